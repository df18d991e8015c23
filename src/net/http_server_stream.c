// SPDX-License-Identifier: Apache-2.0
// Answers that come bit by bit. What the handler writes waits in the message's `out` until the loop finds room in the
// socket; nothing is sent from inside the handler's calls, so that a connection never goes while it writes.
#include <stdio.h>

#include "net/http_server_internal.h"

enum { STREAM_WRITES_PER_WAKE = 16, CHUNK_SIZE_BYTES = 24 };

// The peer's end is noticed without reading what it may still send.
#define STREAM_EVENTS EPOLLRDHUP

static struct http_message *message_of(struct http_request *request) {
  return CONTAINER_OF(request, struct http_message, request);
}

static bool is_chunked(const struct http_message *message) {
  return message->request.head->version_minor > 0; // RFC 9112 6.1: not for HTTP/1.0
}

// From inside the handler's calls, when the connection must stay: one that epoll refuses ends with its timer.
static void stream_want(struct http_conn *conn, uint32_t events) {
  struct error err;
  if (loop_io_set(conn->server->loop, &conn->io, events | STREAM_EVENTS, &err) == 0)
    return;
  log_error(conn->server->log, "net", "connection of %s: %s", conn->peer_text, err.text);
  http_conn_deadline_ms(conn, 0);
}

static bool is_head(const struct http_message *message) {
  return str_eq_c(message->request.head->method, "HEAD");
}

// What waits for the client counts in the budget of answers that clients are slow to take. A buffer that has become
// large is given back when nothing waits: a stream may be quiet for long.
static void stream_charge(struct http_message *message) {
  struct http_server *server = message->conn->server;
  struct buf *out = &message->out;
  if (message->out_sent == out->len) {
    message->out_sent = 0;
    buf_clear(out);
    if (out->cap > HTTP_SERVER_SPARE_BUFFER_BYTES)
      buf_free(out);
  }
  size_t bytes = out->len > 0 ? out->cap : 0;
  server->unsent_bytes += bytes - message->unsent_bytes;
  message->unsent_bytes = bytes;
}

int http_respond_stream(struct http_request *request, const struct http_response *response,
                        const struct http_stream_handler *handler, struct error *err) {
  struct http_message *message = message_of(request);
  struct http_conn *conn = message->conn;
  if (message->answered)
    return error_set(err, ERR_INTERNAL, "a request was answered twice");
  if (conn->server->draining && handler->on_drain)
    return error_set(err, ERR_UNAVAILABLE, "the server is stopping");
  message->close = message->close || response->close || conn->server->draining || !request->head->keep_alive ||
                   !is_chunked(message) || is_head(message);
  if (!http_answer_compose_head(message, response)) {
    buf_clear(&message->out);
    return error_set(err, ERR_NO_MEMORY, "no memory for the head of an answer");
  }
  message->status = response->status;
  message->answered = message->streaming = true;
  message->stream_handler = *handler;
  message->out_sent = 0;
  http_conn_set_state(conn, HTTP_CONN_STREAMING);
  stream_charge(message);
  http_conn_deadline_ms(conn, conn->server->config.write_timeout_ms);
  stream_want(conn, EPOLLOUT);
  return 0;
}

int http_stream_write(struct http_request *request, struct str data, struct error *err) {
  struct http_message *message = message_of(request);
  struct http_conn *conn = message->conn;
  struct http_server *server = conn->server;
  struct buf *out = &message->out;
  char size[CHUNK_SIZE_BYTES];
  if (data.len == 0 || is_head(message)) // an empty chunk would be the end
    return 0;
  size_t waiting = out->len - message->out_sent;
  if (waiting + data.len > HTTP_STREAM_MAX_PENDING_BYTES ||
      server->unsent_bytes - message->unsent_bytes + waiting + data.len > server->config.max_buffered_bytes)
    return error_set(err, ERR_FULL, "the client does not take what was written");
  if (out->len + data.len + sizeof size > out->cap) { // rather than to grow
    buf_consume(out, message->out_sent);
    message->out_sent = 0;
  }
  size_t before = out->len;
  (void)snprintf(size, sizeof size, "%zx\r\n", data.len); // RFC 9112 7.1
  if (is_chunked(message))
    buf_put_c(out, size);
  buf_put(out, data);
  if (is_chunked(message))
    buf_put_c(out, "\r\n");
  if (out->failed) {
    out->failed = false;
    out->len = before;
    return error_set(err, ERR_NO_MEMORY, "no memory for an answer");
  }
  stream_charge(message);
  if (waiting == 0)
    http_conn_deadline_ms(conn, server->config.write_timeout_ms);
  stream_want(conn, EPOLLOUT);
  return 0;
}

void http_stream_end(struct http_request *request) {
  struct http_message *message = message_of(request);
  message->streaming = false;
  message->conn->server->unsent_bytes -= message->unsent_bytes; // counted anew if it cannot leave at once
  message->unsent_bytes = 0;
  if (is_chunked(message) && !is_head(message))
    buf_put_c(&message->out, "0\r\n\r\n");
  if (message->out.failed)
    buf_clear(&message->out);        // with nothing to send the connection is closed
  http_conn_answered(message->conn); // from here on an answer like any other
}

void http_stream_told(struct http_message *message) {
  if (!message->streaming)
    return;
  message->streaming = false;
  message->stream_handler.on_closed(message->stream_handler.ctx);
}

void http_stream_drain(struct http_conn *conn) {
  struct http_message *message = conn->message;
  message->close = true;
  if (message->stream_handler.on_drain)
    message->stream_handler.on_drain(message->stream_handler.ctx);
}

void http_stream_ready(struct http_conn *conn, uint32_t events) {
  struct http_message *message = conn->message;
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    http_conn_close(conn);
    return;
  }
  for (int i = 0; message->out_sent < message->out.len && i < STREAM_WRITES_PER_WAKE; i++) {
    struct error err;
    size_t written;
    struct str left = str_from(buf_str(&message->out), message->out_sent);
    enum stream_result result = stream_write(conn->stream, left, &written, &err);
    if (result == STREAM_WANT_READ || result == STREAM_WANT_WRITE) {
      stream_want(conn, result == STREAM_WANT_READ ? EPOLLIN : EPOLLOUT);
      return;
    }
    if (result != STREAM_OK) {
      http_conn_close(conn);
      return;
    }
    message->out_sent += written;
    http_conn_deadline_ms(conn, conn->server->config.write_timeout_ms);
  }
  stream_charge(message);
  if (message->out.len > 0)
    return; // the others have their turn; the event comes again
  http_conn_deadline_ms(conn, HTTP_NO_DEADLINE_MS);
  stream_want(conn, 0);
}
