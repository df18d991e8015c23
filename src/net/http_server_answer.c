// SPDX-License-Identifier: Apache-2.0
// The bytes of an answer: head and body in one buffer, so that they leave in one send.
#include "base/rfc3339.h"
#include "net/http_server_internal.h"

enum { HTTP_STATUS_NO_CONTENT = 204, HTTP_STATUS_NOT_MODIFIED = 304, HTTP_ERROR_BODY_BYTES = 16 * 1024 };

const struct http_head http_head_unknown = {
    .method = {"", 0},
    .target = {"", 0},
    .path = {"", 0},
    .query = {"", 0},
    .reason = {"", 0},
};

// The client's X-Request-Id when it is safe to repeat in headers and logs, else a fresh UUID.
void http_answer_request_id(struct http_message *message) {
  struct http_request *request = &message->request;
  if (message->has_head) {
    struct str given = http_head_get(request->head, "X-Request-Id");
    if (given.len > 0 && given.len <= HTTP_SERVER_REQUEST_ID_BYTES && http_is_token(given)) {
      request->request_id = given;
      return;
    }
  }
  struct uuid uuid = id_next(message->conn->server->ids);
  request->request_id = str_of(uuid_write(&uuid, message->request_id));
}

// RFC 9110 6.6.1, to the second: written once per second, not per answer.
static struct str answer_date(struct http_server *server) {
  int64_t now_us = clock_wall_us(loop_clock(server->loop));
  int64_t second = now_us / US_PER_S;
  if (second != server->date_second) {
    server->date_second = second;
    http_date_write(now_us, server->date);
  }
  return str_of(server->date);
}

// A header of the handler is dropped when it would break the message, or is the server's own to write.
static bool answer_header_allowed(const struct http_message *message, const struct http_header *header) {
  static const char *const ours[] = {"Content-Length", "Transfer-Encoding", "Connection", "Date", "X-Request-Id"};
  bool good = http_is_token(header->name) && http_is_field_value(header->value);
  for (size_t i = 0; good && i < ARRAY_LEN(ours); i++)
    good = !str_ieq_c(header->name, ours[i]);
  if (!good)
    log_write(message->conn->server->log, LOG_WARN, "net", message->request.request_id,
              "dropped a response header that cannot be sent: %.*s", STR_ARG(header->name));
  return good;
}

static void answer_put_header(struct buf *out, struct str name, struct str value) {
  buf_put(out, name);
  buf_put(out, STR(": "));
  buf_put(out, value);
  buf_put(out, STR("\r\n"));
}

enum answer_body { ANSWER_WITHOUT_BODY, ANSWER_WITH_LENGTH, ANSWER_CHUNKED };

// `length`: what is announced, ANSWER_WITH_LENGTH only.
static void answer_put_head(struct http_message *message, const struct http_response *response, enum answer_body body,
                            uint64_t length) {
  struct buf *out = &message->out;
  buf_put(out, STR("HTTP/1.1 "));
  buf_put_i64(out, response->status);
  buf_put_char(out, ' ');
  buf_put_c(out, http_reason(response->status));
  buf_put(out, STR("\r\n"));
  answer_put_header(out, STR("Date"), answer_date(message->conn->server));
  answer_put_header(out, STR("X-Request-Id"), message->request.request_id);
  buf_put(out, STR("X-Content-Type-Options: nosniff\r\n")); // no browser is to guess what a body is
  int64_t hsts_s = message->conn->server->config.hsts_max_age_s;
  if (message->request.tls && hsts_s > 0) {
    buf_put(out, STR("Strict-Transport-Security: max-age="));
    buf_put_i64(out, hsts_s);
    buf_put(out, STR("\r\n"));
  }
  for (size_t i = 0; i < response->headers_len; i++) {
    if (answer_header_allowed(message, &response->headers[i]))
      answer_put_header(out, response->headers[i].name, response->headers[i].value);
  }
  if (response->content_type)
    answer_put_header(out, STR("Content-Type"), str_of(response->content_type));
  if (body == ANSWER_CHUNKED)
    answer_put_header(out, STR("Transfer-Encoding"), STR("chunked"));
  if (body == ANSWER_WITH_LENGTH) {
    buf_put(out, STR("Content-Length: "));
    buf_put_i64(out, (int64_t)length);
    buf_put(out, STR("\r\n"));
  }
  if (message->close)
    buf_put(out, STR("Connection: close\r\n"));
  else if (message->request.head->version_minor == 0)
    buf_put(out, STR("Connection: keep-alive\r\n")); // RFC 9112 9.3: a 1.0 client asked and must be told
  buf_put(out, STR("\r\n"));
}

// RFC 9110 8.6: no Content-Length with 204; a 304 has no body, but may say how long it would be.
static bool status_has_body(int status) {
  return status != HTTP_STATUS_NO_CONTENT && status != HTTP_STATUS_NOT_MODIFIED;
}

static bool is_head(const struct http_message *message) {
  return str_eq_c(message->request.head->method, "HEAD");
}

// Compose into `out`; false when memory or the cap does not allow it.
static bool answer_compose(struct http_message *message, const struct http_response *response) {
  bool has_body = status_has_body(response->status);
  bool is_announced = response->has_length && (is_head(message) || response->status == HTTP_STATUS_NOT_MODIFIED);
  bool has_length = has_body || (is_announced && response->status != HTTP_STATUS_NO_CONTENT);
  const struct http_server *server = message->conn->server;
  if (response->body.len > server->config.max_response_bytes)
    return false;
  buf_clear(&message->out);
  message->out.max_bytes = server->config.max_response_bytes + HTTP_SERVER_HEAD_OUT_BYTES;
  answer_put_head(message, response, has_length ? ANSWER_WITH_LENGTH : ANSWER_WITHOUT_BODY,
                  is_announced ? response->length : response->body.len);
  if (has_body && !is_head(message))
    buf_put(&message->out, response->body);
  return !message->out.failed;
}

bool http_answer_compose_head(struct http_message *message, const struct http_response *response) {
  bool has_body = status_has_body(response->status);
  enum answer_body body = ANSWER_WITHOUT_BODY;
  message->sized = response->has_length && response->status != HTTP_STATUS_NO_CONTENT;
  message->bodiless = !has_body || is_head(message);
  message->stream_left = message->sized && !message->bodiless ? response->length : 0;
  if (message->sized)
    body = ANSWER_WITH_LENGTH;
  else if (has_body && message->request.head->version_minor > 0) // RFC 9112 6.1: not for HTTP/1.0
    body = ANSWER_CHUNKED;
  message->chunked = body == ANSWER_CHUNKED && !message->bodiless;
  // What has no length ends with the connection, or is HEAD's, whose clients may not know how to read it.
  message->close = message->close || (has_body && !message->sized && !message->chunked);
  buf_clear(&message->out);
  message->out.max_bytes = HTTP_STREAM_MAX_PENDING_BYTES + HTTP_SERVER_HEAD_OUT_BYTES;
  answer_put_head(message, response, body, response->length);
  return !message->out.failed;
}

void http_answer_write(struct http_message *message, const struct http_response *response) {
  const struct http_server *server = message->conn->server;
  message->close = message->close || response->close || message->incomplete || server->draining ||
                   !message->request.head->keep_alive;
  message->status = response->status;
  message->answered = true;
  if (answer_compose(message, response))
    return;
  log_write(server->log, LOG_ERROR, "net", message->request.request_id,
            "an answer of %zu bytes is over the limit of %zu or memory is out", response->body.len,
            server->config.max_response_bytes);
  message->close = true;
  message->status = message->out.no_memory ? 503 : 500; // memory comes back, the limit does not
  // Without memory even for this nothing is sent: `out` is empty and the connection is closed.
  if (!answer_compose(message, &(struct http_response){.status = message->status, .close = true}))
    buf_clear(&message->out);
}

void http_answer_error(struct http_message *message, int status, const char *words) {
  static const struct http_header retry_after = {{"Retry-After", 11}, {"5", 1}};
  const struct http_server_handler *handler = &message->conn->server->handler;
  const char *content_type = NULL;
  struct buf body;
  buf_init(&body, HTTP_ERROR_BODY_BYTES);
  handler->write_error(handler->ctx, message->request.head->path, status, words, &body, &content_type);
  if (body.failed)
    buf_clear(&body);
  http_answer_write(message, &(struct http_response){
                                 .status = status,
                                 .content_type = body.len > 0 ? content_type : NULL,
                                 .headers = &retry_after,
                                 .headers_len = status == 503 ? 1 : 0,
                                 .body = buf_str(&body),
                                 .close = true,
                             });
  buf_free(&body);
}
