// SPDX-License-Identifier: Apache-2.0
// The life of a connection: handshake, read, parse, hand to the handler, write, wait for the next, end.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "net/http_server_internal.h"

#define NO_DEADLINE INT64_MAX

// After an early answer we drop what the client still sends, for so long and so much: enough for a client that
// writes a body of tens of megabytes before it looks for the answer.
enum { LINGER_MAX_MS = 5000, LINGER_MAX_BYTES = 32 * 1024 * 1024, LINGER_READS_PER_WAKE = 16 };
enum { WRITES_PER_WAKE = 16 };
enum { TLS_RECORD_HANDSHAKE = 0x16 }; // RFC 8446 5.1

enum flush_result { FLUSHED, FLUSH_BLOCKED, FLUSH_CLOSED };

void http_conn_set_state(struct http_conn *conn, enum http_conn_state state) {
  struct http_server *server = conn->server;
  bool was_idle = conn->state <= HTTP_CONN_IDLE || conn->state == HTTP_CONN_LINGER;
  bool is_idle = state <= HTTP_CONN_IDLE || state == HTTP_CONN_LINGER;
  conn->state = (uint8_t)state;
  if (was_idle && is_idle && state != HTTP_CONN_LINGER)
    return;
  if (!was_idle && !is_idle)
    return;
  list_remove(was_idle ? &server->idle : &server->busy, &conn->node);
  if (state == HTTP_CONN_LINGER)
    list_push_front(&server->idle, &conn->node); // the first to go when room is needed
  else
    list_push_back(is_idle ? &server->idle : &server->busy, &conn->node);
}

// Make sure that the timer fires no later than the deadline. A timer that is set earlier is left: it looks again when
// it fires, so that a busy connection touches the heap once in a while, not with each request.
static void conn_arm(struct http_conn *conn) {
  if (conn->deadline_us == NO_DEADLINE)
    return;
  if (conn->timer.entry.index == 0 || conn->timer.entry.at_us > conn->deadline_us)
    loop_timer_set(conn->server->loop, &conn->timer, conn->deadline_us);
}

static int64_t conn_in_ms(const struct http_conn *conn, int64_t ms) {
  return loop_now_us(conn->server->loop) + ms * US_PER_MS;
}

void http_conn_deadline_us(struct http_conn *conn, int64_t at_us) {
  conn->deadline_us = at_us;
  conn_arm(conn);
}

void http_conn_deadline_ms(struct http_conn *conn, int64_t ms) {
  http_conn_deadline_us(conn, ms == HTTP_NO_DEADLINE_MS ? NO_DEADLINE : conn_in_ms(conn, ms));
}

// Wait for these events; closes and answers false when epoll refuses.
bool http_conn_want(struct http_conn *conn, uint32_t events) {
  struct error err;
  if (loop_io_set(conn->server->loop, &conn->io, events, &err) == 0)
    return true;
  log_error(conn->server->log, "net", "connection of %s: %s", conn->peer_text, err.text);
  http_conn_close(conn);
  return false;
}

void http_conn_resume_soon(struct http_conn *conn) {
  conn->resume = true;
  loop_timer_set(conn->server->loop, &conn->timer, loop_now_us(conn->server->loop));
}

// One message is over: tell, and give its memory back.
static void conn_end_message(struct http_conn *conn) {
  struct http_server *server = conn->server;
  struct http_message *message = conn->message;
  if (!message)
    return;
  http_stream_told(message);
  http_body_broken(message, NULL);
  if (message->answered) {
    int64_t since_us = message->head_mono_us;
    int64_t took_us = since_us ? clock_mono_us(loop_clock(server->loop)) - since_us : 0;
    server->handler.on_answered(server->handler.ctx, &message->request, message->status, took_us);
  }
  conn->message = NULL;
  http_message_release(server, message);
}

void http_conn_close(struct http_conn *conn) {
  struct http_server *server = conn->server;
  conn_end_message(conn);
  bool idle = conn->state <= HTTP_CONN_IDLE || conn->state == HTTP_CONN_LINGER;
  list_remove(idle ? &server->idle : &server->busy, &conn->node);
  loop_timer_cancel(server->loop, &conn->timer);
  loop_io_remove(server->loop, &conn->io);
  stream_free(conn->stream);
  free(conn->rest);
  free(conn);
  server->connections--;
  // From the loop, not from here: the owner may free the server when it hears of it.
  if (server->draining && server->connections == 0)
    loop_timer_set(server->loop, &server->drain_timer, loop_now_us(server->loop));
}

static void conn_linger_read(struct http_conn *conn) {
  // MSG_TRUNC on TCP drops the bytes in the kernel (tcp(7)).
  for (int i = 0; i < LINGER_READS_PER_WAKE; i++) {
    ssize_t got = recv(conn->io.fd, conn->server->scratch, HTTP_SERVER_READ_BYTES, MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
      return;
    conn->lingered_bytes += got > 0 ? (size_t)got : 0;
    if (got <= 0 || conn->lingered_bytes > LINGER_MAX_BYTES) {
      http_conn_close(conn);
      return;
    }
  }
}

static void conn_linger(struct http_conn *conn) {
  stream_shutdown(conn->stream);
  free(conn->rest);
  conn->rest = NULL;
  conn->rest_len = 0;
  http_conn_set_state(conn, HTTP_CONN_LINGER);
  conn->deadline_us = conn_in_ms(conn, LINGER_MAX_MS);
  conn_arm(conn);
  http_conn_want(conn, EPOLLIN);
}

// The answer is written: close, linger, or be ready for the next request. One that was written keep-alive before the
// server began to drain closes nevertheless.
static enum flush_result conn_flushed(struct http_conn *conn) {
  bool close_now = conn->message->close || conn->server->draining;
  bool linger = conn->message->incomplete;
  conn_end_message(conn);
  if (close_now && linger) {
    conn_linger(conn);
    return FLUSH_CLOSED;
  }
  if (close_now) {
    http_conn_close(conn);
    return FLUSH_CLOSED;
  }
  http_conn_set_state(conn, HTTP_CONN_IDLE);
  conn->deadline_us = conn_in_ms(conn, conn->server->config.keep_alive_timeout_ms);
  return FLUSHED;
}

// The client does not take the answer at once. Nothing else is kept for it meanwhile, and the answer counts: clients
// that read a byte now and then must not hold more than the budget between them. One alone is always served.
static bool conn_hold_answer(struct http_conn *conn) {
  struct http_server *server = conn->server;
  struct http_message *message = conn->message;
  size_t others_bytes = server->unsent_bytes;
  http_message_drop_request(message);
  http_body_charge(conn);
  message->unsent_bytes = message->out.cap;
  server->unsent_bytes += message->unsent_bytes;
  if (others_bytes == 0 || server->unsent_bytes <= server->config.max_buffered_bytes)
    return true;
  http_server_complain(server, "closed a connection that was slow to take its answer: too many others are");
  http_conn_close(conn);
  return false;
}

static enum flush_result conn_flush_wait(struct http_conn *conn, uint32_t events) {
  if (conn->state != HTTP_CONN_WRITING && !conn_hold_answer(conn))
    return FLUSH_CLOSED;
  http_conn_set_state(conn, HTTP_CONN_WRITING);
  return http_conn_want(conn, events) ? FLUSH_BLOCKED : FLUSH_CLOSED;
}

static enum flush_result conn_flush(struct http_conn *conn) {
  struct http_message *message = conn->message;
  if (message->out_sent == message->out.len) {
    if (message->streamed)
      return conn_flushed(conn);
    http_conn_close(conn); // memory was out when it was composed
    return FLUSH_CLOSED;
  }
  if (conn->state != HTTP_CONN_WRITING)
    conn->deadline_us = conn_in_ms(conn, conn->server->config.write_timeout_ms);
  for (int i = 0; i < WRITES_PER_WAKE; i++) {
    struct error err;
    size_t written;
    struct str left = str_from(buf_str(&message->out), message->out_sent);
    enum stream_result result = stream_write(conn->stream, left, &written, &err);
    if (result == STREAM_WANT_WRITE || result == STREAM_WANT_READ) {
      conn_arm(conn);
      return conn_flush_wait(conn, result == STREAM_WANT_WRITE ? EPOLLOUT : EPOLLIN);
    }
    if (result != STREAM_OK) {
      http_conn_close(conn);
      return FLUSH_CLOSED;
    }
    message->out_sent += written;
    FAULT_POINT("http.answer.written");
    conn->deadline_us = conn_in_ms(conn, conn->server->config.write_timeout_ms);
    if (message->out_sent == message->out.len)
      return conn_flushed(conn);
  }
  conn_arm(conn);
  return conn_flush_wait(conn, EPOLLOUT);
}

void http_conn_reset(struct http_conn *conn) {
  stream_reset(conn->stream);
  http_conn_close(conn);
}

void http_conn_fail(struct http_conn *conn, int status, const char *words) {
  struct http_message *message = conn->message;
  message->incomplete = true;
  if (message->request.request_id.len == 0)
    http_answer_request_id(message);
  log_write(conn->server->log, LOG_DEBUG, "net", message->request.request_id, "answered %s with %d: %s",
            conn->peer_text, status, words);
  http_answer_error(message, status, words);
  struct error why;
  error_set(&why, status == 408 ? ERR_TIMEOUT : status == 503 ? ERR_UNAVAILABLE : ERR_BAD_REQUEST, "%s", words);
  http_body_broken(message, &why);
  (void)conn_flush(conn);
}

// Somebody speaks TLS to the plain port. HTTP/1.0 in plain text is what tools then show to a person.
static void conn_answer_tls_hello(struct http_conn *conn) {
  static const char text[] = "HTTP/1.0 400 Bad Request\r\n"
                             "Content-Type: text/plain; charset=utf-8\r\n"
                             "Connection: close\r\n\r\n"
                             "The client sent an HTTPS request to a port that speaks plain HTTP. "
                             "Use http:// in the address, or switch TLS on for this listener.\n";
  struct http_message *message = conn->message;
  http_answer_request_id(message);
  message->status = 400;
  message->answered = message->close = message->incomplete = true;
  message->out.max_bytes = HTTP_SERVER_HEAD_OUT_BYTES;
  buf_put(&message->out, str_of(text));
  log_debug(conn->server->log, "net", "%s spoke TLS to the plain port", conn->peer_text);
  (void)conn_flush(conn);
}

// First byte of a message. False when the connection is gone or answered.
static bool conn_begin(struct http_conn *conn, struct str input) {
  conn->message = http_message_new(conn);
  if (!conn->message) {
    log_error(conn->server->log, "net", "no memory for a request of %s", conn->peer_text);
    http_conn_close(conn);
    return false;
  }
  http_conn_set_state(conn, HTTP_CONN_HEAD);
  if (!conn->fresh)
    conn->deadline_us = conn_in_ms(conn, conn->server->config.header_timeout_ms);
  conn->fresh = false;
  if (input.ptr[0] == TLS_RECORD_HANDSHAKE && !stream_is_tls(conn->stream)) {
    conn_answer_tls_hello(conn);
    return false;
  }
  return true;
}

// When the socket has no room the client goes on by itself after a while, so nothing waits for it. Not
// so under TLS: OpenSSL has made a record of the line by then, and would take the answer's first bytes for it.
bool http_conn_say_continue(struct http_conn *conn) {
  struct str line = STR("HTTP/1.1 100 Continue\r\n\r\n");
  struct error err;
  size_t written;
  enum stream_result result = stream_write(conn->stream, line, &written, &err);
  bool unsaid = result == STREAM_WANT_READ || result == STREAM_WANT_WRITE;
  if ((unsaid && !stream_is_tls(conn->stream)) || (result == STREAM_OK && written == line.len))
    return true;
  http_conn_close(conn);
  return false;
}

// Ordinary heads are not counted, so that a full budget does not keep small requests out.
static bool conn_charge_head(struct http_conn *conn) {
  if (http_parser_large_head_bytes(conn->message->parser) == 0)
    return true;
  if (http_body_has_budget(conn, 0)) {
    http_body_charge(conn);
    return true;
  }
  http_conn_fail(conn, 503, "too many large headers are being received at once; try again later");
  return false;
}

// The head is complete. False when the connection is gone or answered.
static bool conn_on_head(struct http_conn *conn, struct str input) {
  struct http_server *server = conn->server;
  struct http_message *message = conn->message;
  const struct http_head *head = http_parser_head(message->parser);
  const struct clock *clock = loop_clock(server->loop);
  message->has_head = true;
  message->request.head = head;
  message->request.received_us = clock_wall_us(clock);
  message->head_mono_us = clock_mono_us(clock);
  http_answer_request_id(message);
  http_conn_set_state(conn, HTTP_CONN_BODY);
  if (!conn_charge_head(conn))
    return false;
  if (!head->chunked && (!head->has_length || head->length == 0))
    return true;
  message->says_continue = head->expect_continue && head->version_minor == 1 && input.len == 0;
  message->bit_by_bit = server->handler.streams_body && server->handler.streams_body(server->handler.ctx, head);
  return message->bit_by_bit || http_body_begin(conn, input);
}

bool http_conn_save_rest(struct http_conn *conn, struct str input) {
  if (input.len == 0)
    return true;
  conn->rest = malloc(input.len);
  if (!conn->rest)
    return false; // the next request is lost, the one in hand is not: see conn_dispatch
  memcpy(conn->rest, input.ptr, input.len);
  conn->rest_len = (uint32_t)input.len;
  return true;
}

// What came of the body with the head waits until the handler wants it. False when the connection is gone or answered.
static bool conn_keep_body(struct http_conn *conn, struct str input) {
  if (!http_body_has_budget(conn, input.len)) {
    http_conn_fail(conn, 503, "too many request bodies are being received at once; try again later");
    return false;
  }
  if (!http_conn_save_rest(conn, input)) {
    http_conn_fail(conn, 503, "no memory for the request; try again later");
    return false;
  }
  http_body_charge(conn);
  return true;
}

// The request is complete, or the handler reads its body: hand it over. True when it was answered and written at once.
static bool conn_dispatch(struct http_conn *conn, struct str input) {
  struct http_server *server = conn->server;
  struct http_message *message = conn->message;
  message->request.arena = arena_new(server->config.request_arena_bytes);
  if (!message->request.arena) {
    http_conn_fail(conn, 503, "no memory for the request; try again later");
    return false;
  }
  message->request.body = buf_str(&message->body);
  message->request.body_to_come = message->incomplete = message->bit_by_bit;
  if (message->bit_by_bit && !conn_keep_body(conn, input))
    return false;
  conn->deadline_us = NO_DEADLINE;
  http_conn_set_state(conn, message->bit_by_bit ? HTTP_CONN_RECEIVING : HTTP_CONN_HANDLING);
  conn->in_dispatch = true;
  server->handler.on_request(server->handler.ctx, &message->request);
  conn->in_dispatch = false;
  if (message->aborted) {
    http_conn_reset(conn);
    return false;
  }
  if (message->answered && !message->streaming) {
    enum flush_result result = conn_flush(conn);
    if (result != FLUSH_BLOCKED)
      return result == FLUSHED;
  }
  // Pipelined bytes without memory to keep them: this answer is the last on the connection.
  if (!message->bit_by_bit && !http_conn_save_rest(conn, input))
    message->close = true;
  return false;
}

// Feed what was read, request after request. True when more is wanted from the socket.
static bool conn_run(struct http_conn *conn, struct str input) {
  while (conn->message || input.len > 0) {
    if (!conn->message && !conn_begin(conn, input))
      return false;
    struct error err;
    struct str piece = STR_EMPTY;
    int status;
    switch (http_parser_next(conn->message->parser, &input, &piece)) {
    case HTTP_NEED_MORE:
      if (conn->state == HTTP_CONN_HEAD && !conn_charge_head(conn))
        return false;
      if (conn->state == HTTP_CONN_BODY)
        conn->deadline_us = http_body_deadline_us(conn);
      return true;
    case HTTP_HEAD:
      if (!conn_on_head(conn, input))
        return false;
      if (conn->message->bit_by_bit)
        return conn_dispatch(conn, input);
      break;
    case HTTP_BODY:
      if (!http_body_add(conn, piece))
        return false;
      break;
    case HTTP_DONE:
      if (!conn_dispatch(conn, input))
        return false;
      break;
    case HTTP_BAD:
      status = http_parser_error(conn->message->parser, &err);
      http_conn_fail(conn, status, err.text);
      return false;
    }
  }
  return true;
}

// The peer sends no more. A half-closed connection with a whole request was answered before we come here.
static void conn_ended(struct http_conn *conn, bool clean) {
  if (clean && conn->message)
    http_conn_fail(conn, 400, "the request ended before it was complete");
  else
    http_conn_close(conn);
}

static void conn_read(struct http_conn *conn) {
  struct http_server *server = conn->server;
  for (int i = 0; i < HTTP_SERVER_READS_PER_WAKE; i++) {
    struct error err;
    size_t got;
    enum stream_result result = stream_read(conn->stream, server->scratch, HTTP_SERVER_READ_BYTES, &got, &err);
    if (result == STREAM_EOF || result == STREAM_FAILED) {
      conn_ended(conn, result == STREAM_EOF);
      return;
    }
    if (result != STREAM_OK) {
      conn_arm(conn);
      http_conn_want(conn, result == STREAM_WANT_READ ? EPOLLIN : EPOLLOUT);
      return;
    }
    if (!conn_run(conn, (struct str){server->scratch, got}))
      return;
    // A short read has emptied the socket, as good as EAGAIN and a system call cheaper.
    if (got < HTTP_SERVER_READ_BYTES && !stream_pending(conn->stream))
      break;
  }
  conn_arm(conn);
  if (http_conn_want(conn, EPOLLIN) && stream_pending(conn->stream))
    http_conn_resume_soon(conn);
}

// After an answer that did not leave within conn_run: go on with what waits.
static void conn_continue(struct http_conn *conn) {
  conn_arm(conn);
  if (!http_conn_want(conn, EPOLLIN))
    return;
  if (conn->rest || stream_pending(conn->stream))
    http_conn_resume_soon(conn);
}

static void conn_resume(struct http_conn *conn) {
  if (conn->state == HTTP_CONN_RECEIVING) {
    http_body_step(conn);
    return;
  }
  if (conn->state == HTTP_CONN_STREAMING) {
    http_stream_step(conn);
    return;
  }
  if (conn->state > HTTP_CONN_BODY || conn->state == HTTP_CONN_HANDSHAKE)
    return;
  if (conn->rest) {
    char *rest = conn->rest;
    struct str input = {rest, conn->rest_len};
    conn->rest = NULL;
    conn->rest_len = 0;
    bool more = conn_run(conn, input);
    free(rest);
    if (!more)
      return;
  }
  conn_read(conn);
}

// Plain HTTP on the TLS port: say so in plain HTTP, before OpenSSL sees it.
static bool conn_answer_plain_on_tls(struct http_conn *conn) {
  static const char text[] = "HTTP/1.0 400 Bad Request\r\n"
                             "Content-Type: text/plain; charset=utf-8\r\n"
                             "Connection: close\r\n\r\n"
                             "The client sent a plain HTTP request to a port that speaks HTTPS. "
                             "Use https:// in the address.\n";
  char first;
  if (recv(conn->io.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) != 1 || first < 'A' || first > 'Z')
    return false;
  log_debug(conn->server->log, "net", "%s spoke plain HTTP to the TLS port", conn->peer_text);
  if (send(conn->io.fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
    http_conn_close(conn);
  else
    conn_linger(conn);
  return true;
}

static void conn_handshake(struct http_conn *conn) {
  if (conn->fresh && conn_answer_plain_on_tls(conn))
    return;
  struct error err;
  switch (stream_handshake(conn->stream, &err)) {
  case STREAM_WANT_READ:
    http_conn_want(conn, EPOLLIN);
    return;
  case STREAM_WANT_WRITE:
    http_conn_want(conn, EPOLLOUT);
    return;
  case STREAM_OK:
    http_conn_set_state(conn, HTTP_CONN_IDLE);
    conn_read(conn);
    return;
  case STREAM_EOF:
  case STREAM_FAILED:
    log_debug(conn->server->log, "net", "%s: %s", conn->peer_text, err.text);
    http_conn_close(conn);
    return;
  }
}

static void conn_on_timer(struct loop_timer *timer) {
  struct http_conn *conn = CONTAINER_OF(timer, struct http_conn, timer);
  int64_t now_us = loop_now_us(conn->server->loop);
  if (conn->resume) {
    conn->resume = false;
    conn_arm(conn);
    conn_resume(conn);
    return;
  }
  if (conn->deadline_us > now_us) {
    conn_arm(conn);
    return;
  }
  if (conn->state == HTTP_CONN_HEAD)
    http_conn_fail(conn, 408, "the header took too long to come");
  else if (conn->state == HTTP_CONN_BODY || (conn->state == HTTP_CONN_RECEIVING && conn->message->body_wanted))
    http_body_expired(conn, now_us);
  else if (conn->state != HTTP_CONN_HANDLING)
    http_conn_close(conn);
}

static void conn_on_ready(struct loop_io *io, uint32_t events) {
  struct http_conn *conn = CONTAINER_OF(io, struct http_conn, io);
  switch ((enum http_conn_state)conn->state) {
  case HTTP_CONN_HANDSHAKE:
    conn_handshake(conn);
    return;
  case HTTP_CONN_IDLE:
  case HTTP_CONN_HEAD:
  case HTTP_CONN_BODY:
    // Bytes that were read earlier come first; what is in the socket raises its event again.
    if (!conn->resume)
      conn_read(conn);
    return;
  case HTTP_CONN_RECEIVING:
    http_body_ready(conn, events);
    return;
  case HTTP_CONN_HANDLING:
    // A pipelined request, or the client has gone: both wait for the answer. Until then no more events.
    loop_io_remove(conn->server->loop, io);
    return;
  case HTTP_CONN_STREAMING:
    http_stream_ready(conn, events);
    return;
  case HTTP_CONN_WRITING:
    if (conn_flush(conn) == FLUSHED)
      conn_continue(conn);
    return;
  case HTTP_CONN_LINGER:
    conn_linger_read(conn);
    return;
  }
}

void http_conn_answered(struct http_conn *conn) {
  if (!conn->in_dispatch && conn_flush(conn) == FLUSHED)
    conn_continue(conn);
}

bool http_conn_after_callback(struct http_conn *conn) {
  struct http_message *message = conn->message;
  if (message->aborted)
    http_conn_reset(conn);
  else if (message->answered && !message->streaming)
    http_conn_answered(conn);
  else
    return !message->answered;
  return false;
}

struct http_conn *http_conn_new(struct http_server *server, int fd, const struct address *peer, struct error *err) {
  struct http_conn *conn = calloc(1, sizeof *conn);
  if (!conn) {
    error_set(err, ERR_NO_MEMORY, "no memory for a connection");
    return NULL;
  }
  conn->stream = server->tls ? stream_new_server(fd, server->tls, err) : stream_new_plain(fd);
  if (!conn->stream) {
    if (!server->tls)
      error_set(err, ERR_NO_MEMORY, "no memory for a connection");
    free(conn);
    return NULL;
  }
  conn->server = server;
  conn->io.fd = fd;
  conn->io.on_ready = conn_on_ready;
  conn->timer.on_fire = conn_on_timer;
  conn->state = server->tls ? HTTP_CONN_HANDSHAKE : HTTP_CONN_IDLE;
  conn->fresh = true;
  conn->peer = *peer;
  address_write_with_port(peer, conn->peer_text);
  list_push_back(&server->idle, &conn->node);
  server->connections++;
  return conn;
}

void http_conn_start(struct http_conn *conn) {
  conn->deadline_us = conn_in_ms(conn, conn->server->config.header_timeout_ms);
  conn_arm(conn);
  http_conn_want(conn, EPOLLIN);
}
