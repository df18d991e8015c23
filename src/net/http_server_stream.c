// SPDX-License-Identifier: Apache-2.0
// Answers that come bit by bit. What the handler writes leaves at once when it is much and the socket takes it; the rest waits
// in the message's `out` until the loop finds room. A connection that is found lost inside the handler's calls stays until
// the loop comes to it, so that it never goes while the handler writes.
#include <stdio.h>

#include "net/http_server_internal.h"

enum {
  STREAM_WRITES_PER_WAKE = 16,
  STREAM_AT_ONCE_BYTES = 8 * 1024, // less than this waits for its round: many small writes leave in one
  CHUNK_SIZE_BYTES = 24,
};

// The peer's end is noticed without reading what it may still send.
#define STREAM_EVENTS EPOLLRDHUP

static struct http_message *message_of(struct http_request *request) {
  return CONTAINER_OF(request, struct http_message, request);
}

// The connection ends with its timer, not here.
static void stream_lost(struct http_message *message) {
  message->blocked = true; // nothing more is tried
  http_conn_deadline_ms(message->conn, 0);
}

// From inside the handler's calls, when the connection must stay.
static void stream_want(struct http_conn *conn, uint32_t events) {
  struct error err;
  if (loop_io_set(conn->server->loop, &conn->io, events | STREAM_EVENTS, &err) == 0)
    return;
  log_error(conn->server->log, "net", "connection of %s: %s", conn->peer_text, err.text);
  http_conn_deadline_ms(conn, 0);
}

static size_t stream_waiting(const struct http_message *message) {
  return message->out.len - message->out_sent;
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
  bool close_was = message->close;
  message->close =
      message->close || response->close || message->incomplete || conn->server->draining || !request->head->keep_alive;
  if (!http_answer_compose_head(message, response)) {
    buf_clear(&message->out);
    message->close = close_was;
    return error_set(err, ERR_NO_MEMORY, "no memory for the head of an answer");
  }
  message->status = response->status;
  message->answered = message->streaming = message->streamed = true;
  message->body_open = message->body_wanted = false;
  message->stream_handler = *handler;
  message->taken_due = handler->on_taken != NULL;
  message->out_sent = 0;
  http_conn_set_state(conn, HTTP_CONN_STREAMING);
  stream_charge(message);
  http_conn_deadline_ms(conn, conn->server->config.write_timeout_ms);
  stream_want(conn, EPOLLOUT);
  return 0;
}

// What the socket takes of `data`, now.
static size_t stream_send(struct http_message *message, struct str data) {
  struct http_conn *conn = message->conn;
  size_t sent = 0;
  while (sent < data.len && !message->blocked) {
    struct error err;
    size_t written;
    enum stream_result result = stream_write(conn->stream, str_from(data, sent), &written, &err);
    if (result == STREAM_WANT_READ || result == STREAM_WANT_WRITE)
      message->blocked = true;
    else if (result != STREAM_OK)
      stream_lost(message);
    sent += written;
  }
  return sent;
}

static void stream_put(struct http_message *message, struct str data, struct str chunk_size) {
  struct buf *out = &message->out;
  if (out->len + data.len + CHUNK_SIZE_BYTES > out->cap) { // rather than to grow
    buf_consume(out, message->out_sent);
    message->out_sent = 0;
  }
  buf_put(out, chunk_size);
  buf_put(out, data);
  if (message->chunked)
    buf_put_c(out, "\r\n");
}

// Write `data` behind what waits. Little waits for its round.
static int stream_add(struct http_message *message, struct str data, struct error *err) {
  struct buf *out = &message->out;
  char digits[CHUNK_SIZE_BYTES];
  struct str chunk_size = STR_EMPTY;
  bool at_once = !message->blocked && stream_waiting(message) + data.len >= STREAM_AT_ONCE_BYTES;
  if (message->chunked) { // RFC 9112 7.1
    (void)snprintf(digits, sizeof digits, "%zx\r\n", data.len);
    chunk_size = str_of(digits);
  }
  size_t sent = 0;
  if (at_once && stream_waiting(message) == 0 && !message->chunked)
    sent = stream_send(message, data);
  size_t before = stream_waiting(message);
  if (sent < data.len)
    stream_put(message, str_from(data, sent), chunk_size);
  if (out->failed && sent == 0) {
    out->failed = false;
    out->len = message->out_sent + before;
    return error_set(err, ERR_NO_MEMORY, "no memory for an answer");
  }
  if (out->failed) // a part has left: the rest is owed
    stream_lost(message);
  if (at_once && !message->blocked)
    message->out_sent += stream_send(message, str_from(buf_str(out), message->out_sent));
  return 0;
}

int http_stream_write(struct http_request *request, struct str data, struct error *err) {
  struct http_message *message = message_of(request);
  struct http_conn *conn = message->conn;
  struct http_server *server = conn->server;
  if (data.len == 0 || message->bodiless) // an empty chunk would be the end
    return 0;
  if (message->sized && data.len > message->stream_left)
    return error_set(err, ERR_INTERNAL, "an answer became longer than its announced length");
  size_t waiting = stream_waiting(message);
  if (waiting + data.len > HTTP_STREAM_MAX_PENDING_BYTES ||
      server->unsent_bytes - message->unsent_bytes + waiting + data.len > server->config.max_buffered_bytes)
    return error_set(err, ERR_FULL, "the client does not take what was written");
  int rc = stream_add(message, data, err);
  if (rc != 0)
    return rc;
  message->stream_left -= message->sized ? data.len : 0;
  stream_charge(message);
  message->taken_due = message->stream_handler.on_taken != NULL;
  if (conn->deadline_us <= loop_now_us(server->loop))
    return 0; // lost: its timer ends it
  if (stream_waiting(message) > 0) {
    if (waiting == 0)
      http_conn_deadline_ms(conn, server->config.write_timeout_ms);
    stream_want(conn, EPOLLOUT);
    return 0;
  }
  http_conn_deadline_ms(conn, HTTP_NO_DEADLINE_MS);
  if (message->taken_due)
    http_conn_resume_soon(conn);
  return 0;
}

size_t http_stream_waiting(struct http_request *request) {
  return stream_waiting(message_of(request));
}

void http_stream_end(struct http_request *request) {
  struct http_message *message = message_of(request);
  struct http_server *server = message->conn->server;
  if (message->stream_left > 0) {
    log_write(server->log, LOG_ERROR, "net", request->request_id,
              "an answer ended %llu bytes short of its announced length; the connection is reset",
              (unsigned long long)message->stream_left);
    http_stream_abort(request);
    return;
  }
  message->streaming = false;
  server->unsent_bytes -= message->unsent_bytes; // counted anew if it cannot leave at once
  message->unsent_bytes = 0;
  if (message->chunked)
    buf_put_c(&message->out, "0\r\n\r\n");
  if (message->out.failed) { // without its last chunk it is not taken for whole
    message->close = true;
    buf_clear(&message->out);
    message->out_sent = 0;
  }
  http_conn_answered(message->conn); // from here on an answer like any other
}

void http_stream_abort(struct http_request *request) {
  struct http_message *message = message_of(request);
  message->streaming = false;
  if (message->conn->in_dispatch)
    message->aborted = true;
  else
    http_conn_reset(message->conn);
}

void http_stream_told(struct http_message *message) {
  if (!message->streaming)
    return;
  message->streaming = false;
  if (!message->sized && !message->chunked && !message->bodiless)
    stream_reset(message->conn->stream); // whose end is the connection's must not look as if it had come to it
  message->stream_handler.on_closed(message->stream_handler.ctx);
}

void http_stream_drain(struct http_conn *conn) {
  struct http_message *message = conn->message;
  message->close = true;
  if (message->stream_handler.on_drain)
    message->stream_handler.on_drain(message->stream_handler.ctx);
}

// Nothing waits any more. The handler may write more, or end it.
void http_stream_step(struct http_conn *conn) {
  struct http_message *message = conn->message;
  if (!message->taken_due || stream_waiting(message) > 0)
    return;
  message->taken_due = false;
  message->stream_handler.on_taken(message->stream_handler.ctx);
}

void http_stream_ready(struct http_conn *conn, uint32_t events) {
  struct http_message *message = conn->message;
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    http_conn_close(conn);
    return;
  }
  message->blocked = false;
  for (int i = 0; message->out_sent < message->out.len && i < STREAM_WRITES_PER_WAKE; i++) {
    struct error err;
    size_t written;
    struct str left = str_from(buf_str(&message->out), message->out_sent);
    enum stream_result result = stream_write(conn->stream, left, &written, &err);
    if (result == STREAM_WANT_READ || result == STREAM_WANT_WRITE) {
      message->blocked = true;
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
  http_stream_step(conn);
}
