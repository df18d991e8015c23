// SPDX-License-Identifier: Apache-2.0
#include "api/delivery_view.h"

#include "base/rfc3339.h"
#include "format/format.h"
#include "store/events.h"

enum { PAYLOADS_MAX_BYTES = 16 * 1024 * 1024 };

const char *delivery_view_status(const struct delivery *delivery) {
  switch (delivery->state) {
  case DELIVERY_SUCCEEDED:
    return "Success";
  case DELIVERY_FAILED:
    return "Error";
  case DELIVERY_CANCELLED:
    return "Stopped";
  default:
    return "Running";
  }
}

const char *delivery_view_task_status(const struct delivery *delivery) {
  switch (delivery->state) {
  case DELIVERY_PENDING:
    return "Pending";
  case DELIVERY_RETRYING:
  case DELIVERY_HELD:
    return "Scheduled";
  default:
    return delivery_view_status(delivery);
  }
}

struct str delivery_view_error(const struct delivery *delivery) {
  return delivery->state == DELIVERY_SUCCEEDED ? STR_EMPTY : delivery->last_words;
}

void delivery_view_field_time_us(struct json_writer *w, const char *key, int64_t at_us) {
  char text[RFC3339_BYTES];

  if (at_us != 0)
    json_field_str(w, key, str_of(rfc3339_write(at_us, 6, text)));
}

void delivery_view_field_lines(struct json_writer *w, const char *key, struct str lines) {
  struct str line;

  json_key(w, key);
  json_array_begin(w);
  while (lines.len > 0 && str_next(&lines, '\n', &line))
    if (line.len > 0)
      json_put_str(w, line);
  json_array_end(w);
}

static void field_duration(struct json_writer *w, const char *key, int64_t us) {
  if (us >= 0)
    json_field_i64(w, key, us);
}

void delivery_view_field_timings(struct json_writer *w, const struct attempt *attempt) {
  json_key(w, "timings_us");
  json_object_begin(w);
  field_duration(w, "dns", attempt->dns_us);
  field_duration(w, "connect", attempt->connect_us);
  field_duration(w, "tls", attempt->tls_us);
  field_duration(w, "first_byte", attempt->first_byte_us);
  field_duration(w, "total", attempt->total_us);
  json_object_end(w);
}

// ---- the body -------------------------------------------------------------------------------------------------------

static int render(struct api_call *call, const struct format_input *input, struct str *out, struct error *err) {
  struct buf body;

  buf_init(&body, FORMAT_MAX_BODY_BYTES);
  int rc = format_render(input, call->arena, &body, err);
  if (rc == 0) {
    *out = arena_str(call->arena, buf_str(&body));
    if (!out->ptr)
      rc = error_set(err, ERR_NO_MEMORY, "out of memory for a payload");
  }
  buf_free(&body);
  return rc;
}

int delivery_view_payload(struct api_call *call, const struct delivery *delivery, struct str *out, struct error *err) {
  struct event event;
  struct format_input input = {.event = &event,
                               .format = delivery->format,
                               .extras = delivery->extras,
                               .policy_id = delivery->policy_id,
                               .portal_url = str_of(call->config->portal_url)};
  char key[FORMAT_KEY_BYTES];

  *out = (struct str){0};
  if (call->body.len > PAYLOADS_MAX_BYTES)
    return 0;
  int rc = delivery_body(call->conn, delivery->id, format_key(&input, key), call->arena, out, err);
  if (rc != 0 || out->ptr || delivery->attempts > 0)
    return rc;
  // The sender will make the same bytes: rendering depends on event and target alone.
  rc = event_get(call->conn, &delivery->event_id, call->arena, &event, err);
  if (rc == ERR_NOT_FOUND)
    return 0;
  return rc != 0 ? rc : render(call, &input, out, err);
}

// ---- the log --------------------------------------------------------------------------------------------------------

// "2026-08-21T08:13:20Z [INFO] [attempt 1]: ", the form of Harbor's job log.
static void put_prefix(struct buf *out, int64_t at_us, const char *level, int attempt) {
  char text[RFC3339_BYTES];

  buf_printf(out, "%s [%s] [attempt %d]: ", rfc3339_write(at_us, 3, text), level, attempt);
}

// What came from outside stands in quotes with everything escaped that could look like a line of ours.
static void put_quoted(struct buf *out, struct str text) {
  struct json_writer w = json_writer_make(out, false);

  json_put_str(&w, text);
}

static void put_headers(struct buf *out, const struct attempt *attempt, int64_t at_us, const char *level,
                        const char *what, struct str headers) {
  struct str line;

  while (headers.len > 0 && str_next(&headers, '\n', &line)) {
    if (line.len == 0)
      continue;
    put_prefix(out, at_us, level, attempt->number);
    buf_printf(out, "%s header ", what);
    put_quoted(out, line);
    buf_put_char(out, '\n');
  }
}

static void put_ms(struct buf *out, const char *what, int64_t us) {
  if (us >= 0)
    buf_printf(out, ", %s %lld.%03lld ms", what, (long long)(us / US_PER_MS), (long long)(us % US_PER_MS));
}

static void put_timings(struct buf *out, const struct attempt *attempt) {
  put_prefix(out, attempt->ended_at_us, "INFO", attempt->number);
  buf_printf(out, "timings: %s connection", attempt->connection_reused ? "reused" : "new");
  put_ms(out, "name", attempt->dns_us);
  put_ms(out, "connect", attempt->connect_us);
  put_ms(out, "tls", attempt->tls_us);
  put_ms(out, "first byte", attempt->first_byte_us);
  put_ms(out, "total", attempt->total_us);
  buf_put_char(out, '\n');
}

static void put_outcome(struct buf *out, const struct attempt *attempt, const char *job) {
  bool success = str_eq_c(attempt->outcome, "success");

  put_prefix(out, attempt->ended_at_us, success ? "INFO" : "ERROR", attempt->number);
  if (success)
    buf_printf(out, "success to run %s job, response code: %d\n", job, attempt->status);
  else
    buf_printf(out, "exit %s job, error: %.*s (%.*s)\n", job, STR_ARG(attempt->words), STR_ARG(attempt->outcome));
}

static void put_attempt(struct buf *out, const struct attempt *attempt, const char *job, struct str payload) {
  put_prefix(out, attempt->started_at_us, "INFO", attempt->number);
  buf_printf(out, "start to run %s job\n", job);
  put_headers(out, attempt, attempt->started_at_us, "INFO", "request", attempt->request_headers);
  if (payload.ptr) {
    put_prefix(out, attempt->started_at_us, "INFO", attempt->number);
    buf_put_c(out, "send request to remote endpoint, body: ");
    buf_put(out, payload); // JSON of ours on one line
    buf_put_char(out, '\n');
  }
  if (attempt->status > 0) {
    put_prefix(out, attempt->ended_at_us, "INFO", attempt->number);
    buf_printf(out, "response code: %d\n", attempt->status);
  }
  put_headers(out, attempt, attempt->ended_at_us, "INFO", "response", attempt->response_headers);
  if (attempt->response_body.len > 0) {
    put_prefix(out, attempt->ended_at_us, "INFO", attempt->number);
    buf_put_c(out, "response body: ");
    put_quoted(out, attempt->response_body);
    buf_put_char(out, '\n');
  }
  put_timings(out, attempt);
  put_outcome(out, attempt, job);
}

static void put_end(struct buf *out, const struct delivery *delivery) {
  char text[RFC3339_BYTES];

  if (delivery->state == DELIVERY_HELD)
    buf_printf(out, "%s [INFO] [attempt %d]: waiting for the deliveries before it: the target is in strict order\n",
               rfc3339_write(delivery->created_at_us, 3, text), delivery->attempts + 1);
  if (delivery->state <= DELIVERY_RETRYING)
    buf_printf(out, "%s [INFO] [attempt %d]: waiting for this try\n", rfc3339_write(delivery->due_us, 3, text),
               delivery->attempts + 1);
  if (delivery->state == DELIVERY_CANCELLED)
    buf_printf(out, "%s [INFO] [attempt %d]: cancelled: the webhook was disabled, changed or deleted\n",
               rfc3339_write(delivery->ended_at_us, 3, text), delivery->attempts);
}

int delivery_view_log(struct api_call *call, const struct delivery *delivery, struct error *err) {
  const char *job = delivery->target_type == TARGET_SLACK ? "slack" : "webhook";
  struct attempt *attempts;
  struct str payload;
  size_t len;
  int rc = delivery_attempts(call->conn, delivery->id, call->arena, &attempts, &len, err);

  if (rc == 0)
    rc = delivery_view_payload(call, delivery, &payload, err);
  if (rc != 0)
    return rc;
  // The body is the same for all tries and may be 2 MiB: it stands once.
  for (size_t i = 0; i < len; i++)
    put_attempt(&call->body, &attempts[i], job, i == 0 ? payload : (struct str){0});
  put_end(&call->body, delivery);
  return 0;
}
