// SPDX-License-Identifier: Apache-2.0
// Bodies of requests. One is either buffered whole before the handler has the request, within a limit and a budget, or read
// bit by bit while the handler has it: then a read of the socket is a piece, and nothing is read before it is wanted.
#include <stdio.h>
#include <stdlib.h>

#include "net/http_server_internal.h"

// While nothing is wanted only the client's end is of interest. Edge-triggered: one that has sent all and shut down its side
// stays so for as long as it waits for its answer.
#define REST_EVENTS ((uint32_t)EPOLLRDHUP | (uint32_t)EPOLLET)
#define WANT_EVENTS ((uint32_t)EPOLLIN | (uint32_t)EPOLLRDHUP)

// ---- what both have

void http_body_charge(const struct http_conn *conn) {
  struct http_message *message = conn->message;
  size_t bytes = http_parser_large_head_bytes(message->parser) + message->body.cap;
  if (message->bit_by_bit && !message->body_ended)
    bytes += conn->rest_len;
  conn->server->buffered_bytes += bytes - message->charged_bytes;
  message->charged_bytes = bytes;
}

bool http_body_has_budget(const struct http_conn *conn, size_t more_bytes) {
  const struct http_server *server = conn->server;
  const struct http_message *message = conn->message;
  size_t bytes = http_parser_large_head_bytes(message->parser) + message->body.len + more_bytes;
  return server->buffered_bytes - message->charged_bytes + bytes <= server->config.max_buffered_bytes;
}

int64_t http_body_deadline_us(const struct http_conn *conn) {
  const struct http_server_config *config = &conn->server->config;
  int64_t idle_us = conn->message->last_byte_us + config->body_idle_timeout_ms * US_PER_MS;
  int64_t window_us = conn->message->window_start_us + config->body_rate_window_ms * US_PER_MS;
  return idle_us < window_us ? idle_us : window_us;
}

void http_body_expired(struct http_conn *conn, int64_t now_us) {
  const struct http_server_config *config = &conn->server->config;
  struct http_message *message = conn->message;
  if (now_us - message->last_byte_us >= config->body_idle_timeout_ms * US_PER_MS) {
    http_conn_fail(conn, 408, "the body stopped coming");
    return;
  }
  if (now_us - message->window_start_us >= config->body_rate_window_ms * US_PER_MS) {
    if ((int64_t)message->window_bytes * 1000 < (int64_t)config->body_min_bytes_per_s * config->body_rate_window_ms) {
      http_conn_fail(conn, 408, "the body came too slowly");
      return;
    }
    message->window_start_us = now_us;
    message->window_bytes = 0;
  }
  http_conn_deadline_us(conn, http_body_deadline_us(conn));
}

// ---- whole

static void fail_too_large(struct http_conn *conn) {
  char words[96];
  (void)snprintf(words, sizeof words, "the body is larger than the %zu bytes allowed here",
                 conn->message->body.max_bytes);
  http_conn_fail(conn, 413, words);
}

bool http_body_begin(struct http_conn *conn, struct str input) {
  struct http_server *server = conn->server;
  struct http_message *message = conn->message;
  const struct http_head *head = message->request.head;
  size_t limit = server->handler.body_limit(server->handler.ctx, head);
  message->body.max_bytes = limit;
  if (head->has_length && head->length > limit) {
    fail_too_large(conn);
    return false;
  }
  if (head->has_length)
    message->body.max_bytes = (size_t)head->length;
  int64_t now_us = loop_now_us(server->loop);
  message->last_byte_us = message->window_start_us = now_us;
  message->window_bytes = 0;
  bool waits = message->says_continue && input.len == 0;
  return !waits || http_conn_say_continue(conn);
}

bool http_body_add(struct http_conn *conn, struct str piece) {
  struct http_message *message = conn->message;
  if (piece.len > message->body.max_bytes - message->body.len) {
    fail_too_large(conn);
    return false;
  }
  if (!http_body_has_budget(conn, piece.len)) {
    http_conn_fail(conn, 503, "too many request bodies are being received at once; try again later");
    return false;
  }
  buf_put(&message->body, piece);
  if (message->body.failed) {
    http_conn_fail(conn, 503, "no memory for the request body; try again later");
    return false;
  }
  http_body_charge(conn);
  message->window_bytes += piece.len;
  message->last_byte_us = loop_now_us(conn->server->loop);
  return true;
}

// ---- bit by bit

// From inside the handler's calls, when the connection must stay: one that epoll refuses ends with its timer.
static void body_watch(struct http_conn *conn, uint32_t events) {
  struct error err;
  if (loop_io_set(conn->server->loop, &conn->io, events, &err) == 0)
    return;
  log_error(conn->server->log, "net", "connection of %s: %s", conn->peer_text, err.text);
  conn->message->body_wanted = false;
  http_conn_deadline_ms(conn, 0);
}

// Is there something to do about a want that no event will tell?
static bool body_waits_in_hand(const struct http_conn *conn) {
  return conn->rest || conn->message->body_ended || conn->message->says_continue || stream_pending(conn->stream);
}

static void body_await(struct http_conn *conn) {
  if (body_waits_in_hand(conn))
    http_conn_resume_soon(conn);
  else
    body_watch(conn, WANT_EVENTS);
}

void http_body_read(struct http_request *request, const struct http_body_handler *handler) {
  struct http_message *message = CONTAINER_OF(request, struct http_message, request);
  if (!message->bit_by_bit || message->has_reader || message->answered)
    return;
  message->body_handler = *handler;
  message->has_reader = message->body_open = true;
  if (message->conn->io.events == 0)
    body_watch(message->conn, REST_EVENTS);
}

void http_body_want(struct http_request *request) {
  struct http_message *message = CONTAINER_OF(request, struct http_message, request);
  struct http_conn *conn = message->conn;
  if (!message->body_open || message->body_wanted || message->answered)
    return;
  int64_t now_us = loop_now_us(conn->server->loop);
  message->body_wanted = true;
  message->last_byte_us = now_us;
  message->window_start_us +=
      now_us - message->body_rested_us; // the client answers for the time that it was let to send
  http_conn_deadline_us(conn, http_body_deadline_us(conn));
  if (!message->body_in_piece) // else http_body_step goes on by itself
    body_await(conn);
}

void http_body_broken(struct http_message *message, const struct error *why) {
  if (!message->body_open)
    return;
  struct error gone;
  error_set(&gone, ERR_IO, "the client closed the connection before the end of the body");
  message->body_open = message->body_wanted = false;
  if (!message->answered) // nobody took it; what the log and the figures are to say
    message->status = 400;
  message->answered = true;
  message->body_handler.on_broken(message->body_handler.ctx, why ? why : &gone);
}

static bool body_end(struct http_conn *conn) {
  struct http_message *message = conn->message;
  message->body_open = message->body_wanted = message->request.body_to_come = false;
  http_conn_deadline_ms(conn, HTTP_NO_DEADLINE_MS);
  http_conn_set_state(conn, HTTP_CONN_HANDLING);
  conn->in_dispatch = true;
  message->body_handler.on_end(message->body_handler.ctx);
  conn->in_dispatch = false;
  return http_conn_after_callback(conn);
}

// Take out of what was read what is body, and put it together at `out`: chunks that came in one read are one piece. False: the
// connection is answered or gone.
static bool body_parse(struct http_conn *conn, struct str input, char *out, size_t *len) {
  struct http_message *message = conn->message;
  struct str piece;
  struct error err;
  int status;
  *len = 0;
  for (;;) {
    switch (http_parser_next(message->parser, &input, &piece)) {
    case HTTP_BODY:
      if (piece.ptr != out + *len)
        memmove(out + *len, piece.ptr, piece.len);
      *len += piece.len;
      break;
    case HTTP_DONE:
      message->body_ended = true;
      message->incomplete = false;
      if (!http_conn_save_rest(conn, input))
        message->close = true; // as with what comes after any request
      return true;
    case HTTP_BAD:
      status = http_parser_error(message->parser, &err);
      http_conn_fail(conn, status, err.text);
      return false;
    default:
      return true;
    }
  }
}

// What was read, at `bytes` and overwritten. False: the connection is answered or gone.
static bool body_give(struct http_conn *conn, char *bytes, size_t len) {
  struct http_message *message = conn->message;
  struct str piece = {bytes, 0};
  if (!body_parse(conn, (struct str){bytes, len}, bytes, &piece.len))
    return false;
  if (piece.len == 0)
    return true;
  int64_t now_us = loop_now_us(conn->server->loop);
  message->window_bytes += piece.len;
  message->last_byte_us = message->body_rested_us = now_us;
  message->body_wanted = message->says_continue = false;
  http_conn_deadline_ms(conn, HTTP_NO_DEADLINE_MS);
  message->body_in_piece = conn->in_dispatch = true;
  message->body_handler.on_piece(message->body_handler.ctx, piece);
  message->body_in_piece = conn->in_dispatch = false;
  return http_conn_after_callback(conn);
}

static bool body_give_rest(struct http_conn *conn) {
  char *rest = conn->rest;
  size_t len = conn->rest_len;
  conn->rest = NULL;
  conn->rest_len = 0;
  http_body_charge(conn);
  bool more = body_give(conn, rest, len);
  free(rest);
  return more;
}

static void body_cut(struct http_conn *conn, bool clean, const struct error *cause) {
  if (clean) {
    http_conn_fail(conn, 400, "the request ended before it was complete");
    return;
  }
  http_body_broken(conn->message, cause);
  http_conn_close(conn);
}

// One read. False: there is nothing more to do now, or the connection is answered or gone.
static bool body_give_read(struct http_conn *conn) {
  char *scratch = conn->server->scratch;
  struct error err;
  size_t got;
  enum stream_result result = stream_read_piece(conn->stream, scratch, HTTP_SERVER_PIECE_BYTES, &got, &err);
  switch (result) {
  case STREAM_OK:
    return body_give(conn, scratch, got);
  case STREAM_EOF:
  case STREAM_FAILED:
    body_cut(conn, result == STREAM_EOF, &err);
    return false;
  case STREAM_WANT_READ:
  case STREAM_WANT_WRITE:
    break;
  }
  if (conn->message->says_continue) {
    conn->message->says_continue = false;
    if (!http_conn_say_continue(conn))
      return false;
  }
  body_watch(conn, result == STREAM_WANT_READ ? WANT_EVENTS : (uint32_t)EPOLLOUT);
  return false;
}

void http_body_step(struct http_conn *conn) {
  struct http_message *message = conn->message;
  for (int i = 0; i < HTTP_SERVER_READS_PER_WAKE; i++) {
    if (!message->body_wanted)
      return; // an event that comes nevertheless is put off then
    if (message->body_ended) {
      (void)body_end(conn);
      return;
    }
    if (!(conn->rest ? body_give_rest(conn) : body_give_read(conn)))
      return;
  }
  if (message->body_wanted)
    body_await(conn);
}

// The client sends no more. It may have sent all: what is there is read, as much as one read takes, and kept for the next want.
// False: there is nothing.
static bool body_read_ahead(struct http_conn *conn) {
  struct http_server *server = conn->server;
  struct error err;
  size_t got;
  if (conn->rest)
    return true;
  enum stream_result result = stream_read(conn->stream, server->scratch, HTTP_SERVER_READ_BYTES, &got, &err);
  if (result == STREAM_EOF || result == STREAM_FAILED)
    return false;
  if (result != STREAM_OK)
    return true;
  bool kept = http_conn_save_rest(conn, (struct str){server->scratch, got});
  http_body_charge(conn);
  return kept;
}

void http_body_ready(struct http_conn *conn, uint32_t events) {
  struct http_message *message = conn->message;
  if (!message->has_reader || message->body_ended) {
    loop_io_remove(conn->server->loop, &conn->io); // as while a handler has any request
    return;
  }
  if (message->body_wanted) {
    if (!conn->resume) // bytes that were read earlier come first
      http_body_step(conn);
    return;
  }
  if ((events & (EPOLLHUP | EPOLLERR)) || ((events & EPOLLRDHUP) && !body_read_ahead(conn))) {
    http_conn_close(conn);
    return;
  }
  body_watch(conn, REST_EVENTS);
}
