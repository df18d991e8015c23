// SPDX-License-Identifier: Apache-2.0
#include "dispatch/request.h"

#include "base/clock.h"
#include "dispatch/redact.h"

enum { REQUEST_MAX_QUOTED_BYTES = 100, KEEP_BODY_BYTES = 4096, READ_BODY_BYTES = 65536, EXPECTED_BODY_BYTES = 2048 };

struct format_input request_format(const struct route *route, const struct event *event, const char *portal_url) {
  return (struct format_input){.event = event,
                               .format = route->target.format,
                               .extras = route->target.extras,
                               .policy_id = route->target.policy_id,
                               .portal_url = str_of(portal_url)};
}

static int no_memory(struct error *err) {
  return error_set(err, ERR_NO_MEMORY, "no memory for a delivery");
}

static int make_body(const struct route *route, const struct request_input *input, const char *portal_url,
                     struct arena *arena, struct request *out, struct error *err) {
  if (input->stored_body.ptr) {
    out->body = input->stored_body;
    return 0;
  }
  struct format_input format = request_format(route, input->event, portal_url);
  struct buf body;
  buf_init(&body, FORMAT_MAX_BODY_BYTES);
  buf_expect(&body, EXPECTED_BODY_BYTES);
  int rc = format_render(&format, arena, &body, err);
  if (rc == 0) {
    out->body = arena_str(arena, buf_str(&body));
    out->body_is_new = true;
    rc = out->body.ptr ? 0 : no_memory(err);
  }
  buf_free(&body);
  return rc;
}

static void add(struct request *out, const char *name, struct str value) {
  out->headers[out->headers_len++] = (struct http_header){str_of(name), value};
}

int request_make(const struct route *route, const struct request_input *input, const struct dispatch_config *config,
                 struct arena *arena, struct request *out, struct error *err) {
  char uuid[UUID_TEXT_BYTES];
  *out = (struct request){0};
  int rc = make_body(route, input, config->portal_url, arena, out, err);
  if (rc != 0)
    return rc;
  struct str id = arena_str(arena, str_of(uuid_write(&input->event->id, uuid)));
  struct str timestamp = arena_i64(arena, input->now_wall_us / US_PER_S);
  struct str delivery = arena_i64(arena, input->delivery_id);
  struct str number = arena_i64(arena, input->attempt);
  if (!id.ptr || !timestamp.ptr || !delivery.ptr || !number.ptr)
    return no_memory(err);
  add(out, "Content-Type", str_of(format_info(route->target.format)->content_type));
  add(out, "User-Agent", str_of(config->user_agent));
  add(out, "webhook-id", id); // Standard Webhooks: the same for every try
  add(out, "webhook-timestamp", timestamp);
  add(out, "X-Harbinger-Delivery", delivery);
  add(out, "X-Harbinger-Attempt", number);
  add(out, "X-Harbinger-Event", str_of(event_type_name(input->event->type)));
  if (input->is_test)
    add(out, "X-Harbinger-Test", STR("true"));
  if (route->authorization.len > 0)
    add(out, "Authorization", route->authorization);
  return 0;
}

struct http_call_params request_call(const struct route *route, const struct request *request,
                                     const struct dispatch_config *config) {
  return (struct http_call_params){
      .url = route->url,
      .method = STR("POST"),
      .headers = request->headers,
      .headers_len = request->headers_len,
      .body = request->body,
      .guarded = true,
      .skip_cert_verify = route->target.skip_cert_verify,
      .keep_body_bytes = KEEP_BODY_BYTES,
      .read_body_bytes = READ_BODY_BYTES,
      .connect_timeout_ms = config->connect_timeout_ms,
      .first_byte_timeout_ms = config->first_byte_timeout_ms,
      .total_timeout_ms = config->total_timeout_ms,
  };
}

// ---- what is kept ---------------------------------------------------------------------------------------------------

static struct str keep(struct buf *text, struct arena *arena) {
  struct str kept = arena_str(arena, buf_str(text));
  buf_free(text);
  return kept.ptr ? kept : STR_EMPTY;
}

static void put_line(struct buf *text, struct str name, struct str value) {
  size_t size = name.len + value.len + 3;
  if (text->len + size > REQUEST_MAX_RECORDED_BYTES)
    return; // whole lines only
  buf_put(text, name);
  buf_put_c(text, ": ");
  buf_put(text, value);
  buf_put_char(text, '\n');
}

static struct str request_lines(const struct request *request, const struct route *route, struct arena *arena) {
  struct buf text;
  buf_init(&text, REQUEST_MAX_RECORDED_BYTES + 1);
  if (route->has_url) {
    struct str host = url_host_header(&route->url, arena);
    put_line(&text, STR("Host"), host.ptr ? host : STR_EMPTY);
  }
  for (size_t i = 0; i < request->headers_len; i++) {
    const struct http_header *header = &request->headers[i];
    bool secret = str_ieq_c(header->name, "Authorization");
    put_line(&text, header->name, secret ? str_of(SECRET_MASK) : header->value);
  }
  struct str length = arena_i64(arena, (int64_t)request->body.len);
  put_line(&text, STR("Content-Length"), length.ptr ? length : STR_EMPTY);
  return keep(&text, arena);
}

static struct str answer_lines(const struct http_head *head, struct arena *arena) {
  struct buf text;
  buf_init(&text, REQUEST_MAX_RECORDED_BYTES + 1);
  for (size_t i = 0; i < head->headers_len; i++) {
    const struct http_header *header = &head->headers[i];
    // A session of the receiver's is nothing for those who read our history.
    bool secret = str_ieq_c(header->name, "Set-Cookie");
    put_line(&text, header->name, secret ? str_of(SECRET_MASK) : header->value);
  }
  return keep(&text, arena);
}

// Slack's errors are short words; anything else is shown as the answer's body, not in a sentence of ours.
static bool is_quotable(struct str text) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] < ' ' || text.ptr[i] > '~')
      return false;
  }
  return text.len > 0 && text.len <= REQUEST_MAX_QUOTED_BYTES;
}

struct str request_failure_words(const struct http_result *result, enum target_type type, struct arena *arena) {
  struct str words;
  if (result->outcome != HTTP_OUTCOME_ANSWERED) {
    words = arena_str(arena, str_of(result->err.text));
  } else if (type == TARGET_SLACK && is_quotable(result->body)) {
    words = arena_printf(arena, "the receiver answered %d %s: %.*s", result->status, http_reason(result->status),
                         STR_ARG(result->body));
  } else {
    words = arena_printf(arena, "the receiver answered %d %s", result->status, http_reason(result->status));
  }
  return words.ptr ? str_trim(words) : STR_EMPTY; // a status without a name leaves a blank
}

static void record_answer(const struct http_result *answer, const struct redact_secrets *secrets, struct arena *arena,
                          struct attempt *out) {
  out->dns_us = answer->timings.dns_us;
  out->connect_us = answer->timings.connect_us;
  out->tls_us = answer->timings.tls_us;
  out->first_byte_us = answer->timings.first_byte_us;
  out->total_us = answer->timings.total_us;
  out->connection_reused = answer->reused;
  if (answer->outcome != HTTP_OUTCOME_ANSWERED)
    return;
  out->status = answer->status;
  struct str body = arena_str(arena, answer->body);
  out->response_headers = redact(answer_lines(answer->head, arena), secrets, arena);
  out->response_body = redact(body.ptr ? body : STR_EMPTY, secrets, arena);
  if (answer->truncated)
    out->response_body = redact_cut_end(out->response_body, secrets, arena);
}

void request_record(const struct route *route, const struct request *request, const struct http_result *answer,
                    const char *outcome, struct str words, int64_t started_at_us, int64_t ended_at_us,
                    struct arena *arena, struct attempt *out) {
  const struct redact_secrets secrets = redact_secrets_of(route->authorization, route->has_url ? &route->url : NULL);
  *out = (struct attempt){
      .started_at_us = started_at_us,
      .ended_at_us = ended_at_us,
      .outcome = str_of(outcome),
      .words = redact(words, &secrets, arena),
      .request_headers = request_lines(request, route, arena),
      .response_headers = STR_EMPTY,
      .response_body = STR_EMPTY,
      .dns_us = -1,
      .connect_us = -1,
      .tls_us = -1,
      .first_byte_us = -1,
      .total_us = -1,
  };
  if (answer)
    record_answer(answer, &secrets, arena, out);
}
