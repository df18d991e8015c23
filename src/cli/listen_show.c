// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/rfc3339.h"
#include "cli/listen.h"
#include "cli/terminal.h"
#include "event/type.h"
#include "format/format.h"

enum { LINE_MAX_BYTES = 2 * LISTEN_MAX_BODY_BYTES + 64 * 1024 };

static struct str type_of_cloudevents(struct str type) {
  for (int i = 0; i < EVENT_TYPE_COUNT; i++)
    if (str_eq_c(type, event_type_cloudevents((enum event_type)i)))
      return str_of(event_type_name((enum event_type)i));
  return type;
}

static void measure(const struct json_object *body, const struct json_object *extras,
                    const struct http_request *request, struct received *out) {
  struct str text;
  int64_t at_us, seconds;
  if (json_get_str(extras, "occurred_at", &text) && rfc3339_read(text, &at_us)) {
    out->latency_is_exact = true;
  } else if (json_get_i64(body, "occur_at", &seconds) && seconds > 0 && seconds < INT64_C(253402300800)) {
    at_us = seconds * US_PER_S;
  } else if (!json_get_str(body, "time", &text) || !rfc3339_read(text, &at_us)) {
    return;
  }
  int64_t latency_us = request->received_us - at_us;
  out->latency_us = latency_us > 0 ? latency_us : 0; // two clocks may differ
}

static void read_data(const struct json_object *body, const struct json_object *data,
                      const struct http_request *request, struct received *out) {
  const struct json_object *resource = json_array_at(json_get_array(data, "resources"), 0);
  const struct json_object *repository = json_get_object(data, "repository");
  const struct json_object *extras = json_get_object(data, "harbinger");
  (void)json_get_str(resource, "resource_url", &out->resource);
  (void)json_get_str(resource, "digest", &out->digest);
  (void)json_get_str(repository, "repo_full_name", &out->repository);
  (void)json_get_str(body, "operator", &out->actor);
  if (out->event_id.len == 0)
    (void)json_get_str(extras, "event_id", &out->event_id);
  measure(body, extras, request, out);
}

int received_read(const struct http_request *request, struct arena *arena, struct received *out, struct error *err) {
  const struct http_head *head = request->head;
  struct json_object *body;
  *out = (struct received){.latency_us = -1,
                           .type = http_head_get(head, "X-Harbinger-Event"),
                           .event_id = http_head_get(head, "webhook-id"),
                           .delivery = http_head_get(head, "X-Harbinger-Delivery"),
                           .attempt = http_head_get(head, "X-Harbinger-Attempt")};
  out->format = format_recognise(http_head_get(head, "Content-Type"), request->body, arena, err);
  if (!out->format)
    return error_set(err, ERR_BAD_REQUEST, "the body is none of Harbinger's formats: %s", err->text);
  int rc = json_parse(request->body, arena, &body, err);
  if (rc != 0)
    return rc;
  const struct json_object *data = json_get_object(body, "event_data");
  (void)json_get_str(body, "text", &out->text);
  (void)json_get_str(body, "type", &out->type);
  if (!data && (data = json_get_object(body, "data")))
    out->type = type_of_cloudevents(out->type);
  read_data(body, data, request, out);
  return 0;
}

static void put_latency(struct buf *line, const struct received *received) {
  if (received->latency_us < 0)
    return;
  if (received->latency_is_exact && received->latency_us < 10 * US_PER_S)
    buf_printf(line, ", %lld.%lld ms after it happened", (long long)(received->latency_us / US_PER_MS),
               (long long)(received->latency_us % US_PER_MS / 100));
  else
    buf_printf(line, ", %s%lld s after it happened", received->latency_is_exact ? "" : "about ",
               (long long)(received->latency_us / US_PER_S));
}

static void put_named(struct buf *line, const char *before, struct str value) {
  if (value.len == 0)
    return;
  buf_put_c(line, before);
  terminal_put(line, value);
}

static void put_people(struct buf *line, const struct received *received, const struct http_request *request) {
  struct str what = received->resource;
  if (what.len == 0)
    what = received->repository.len > 0 ? received->repository : received->text;
  terminal_put(line, received->type.len > 0 ? received->type : STR("event"));
  put_named(line, "  ", what);
  put_named(line, "  by ", received->actor);
  put_latency(line, received);
  buf_put_c(line, "\n    ");
  buf_printf(line, "%s, %zu bytes", received->format, request->body.len);
  put_named(line, ", delivery ", received->delivery);
  put_named(line, ", attempt ", received->attempt);
  put_named(line, ", event ", received->event_id);
  put_named(line, ", ", received->digest);
  buf_put_char(line, '\n');
}

static void put_json(struct buf *line, const struct received *received, const struct http_request *request) {
  char at[RFC3339_BYTES];
  struct buf object;
  buf_init(&object, LINE_MAX_BYTES);
  struct json_writer w = json_writer_make(&object, false);
  json_object_begin(&w);
  json_field_str(&w, "received_at", str_of(rfc3339_write(request->received_us, 6, at)));
  json_field_str(&w, "format", str_of(received->format));
  json_field_str(&w, "type", received->type);
  json_field_str_opt(&w, "event_id", received->event_id);
  json_field_str_opt(&w, "delivery", received->delivery);
  json_field_str_opt(&w, "attempt", received->attempt);
  if (received->latency_us >= 0)
    json_field_i64(&w, "latency_us", received->latency_us);
  json_key(&w, "body");
  json_put_raw(&w, request->body); // it was read as JSON
  json_object_end(&w);
  terminal_put_json(line, buf_str(&object));
  line->failed = line->failed || object.failed;
  buf_free(&object);
  for (size_t i = 0; i < line->len; i++)
    if (line->ptr[i] == '\n' || line->ptr[i] == '\r')
      line->ptr[i] = ' '; // between the body's values: one object, one line
  buf_put_char(line, '\n');
}

void received_print(const struct received *received, const struct http_request *request, bool json) {
  struct buf line;
  buf_init(&line, LINE_MAX_BYTES);
  if (json)
    put_json(&line, received, request);
  else
    put_people(&line, received, request);
  if (line.failed)
    (void)fputs("harbinger listen: a delivery was too large to show\n", stderr);
  else
    (void)fwrite(line.ptr, 1, line.len, stdout);
  (void)fflush(stdout);
  buf_free(&line);
}
