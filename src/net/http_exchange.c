// SPDX-License-Identifier: Apache-2.0
#include "base/fault.h"
#include "net/http_client_internal.h"

enum { READS_PER_ROUND = 16 };

// Names that decide where a message ends or whom it is for are the client's alone.
static bool is_own_header(struct str name) {
  return str_ieq_c(name, "host") || str_ieq_c(name, "content-length") || str_ieq_c(name, "transfer-encoding");
}

static int write_headers(struct http_call *call, struct error *err) {
  struct buf *out = &call->out;
  for (size_t i = 0; i < call->params.headers_len; i++) {
    const struct http_header *header = &call->params.headers[i];
    if (!http_is_token(header->name) || is_own_header(header->name))
      return error_set(err, ERR_INVALID, "the header name \"%.*s\" cannot be sent", STR_ARG(header->name));
    if (!http_is_field_value(header->value)) // the value may be a secret
      return error_set(err, ERR_INVALID, "the value of header %.*s has a byte that a header may not have",
                       STR_ARG(header->name));
    buf_put(out, header->name);
    buf_put(out, STR(": "));
    buf_put(out, header->value);
    buf_put(out, STR("\r\n"));
  }
  return 0;
}

// RFC 9112 3.2. Not url_host_header: it wants an arena, and this is the happy path.
static void write_host(struct buf *out, const struct url *url) {
  bool brackets = url->host_is_address && url->address.family == AF_INET6;
  buf_put(out, STR("Host: "));
  if (brackets)
    buf_put_char(out, '[');
  buf_put(out, url->host);
  if (brackets)
    buf_put_char(out, ']');
  if (url->port != (url->https ? 443 : 80)) {
    buf_put_char(out, ':');
    buf_put_i64(out, url->port);
  }
  buf_put(out, STR("\r\n"));
}

// RFC 9110 8.6: a method that expects content says so even when there is none.
static bool needs_length(const struct http_call_params *params) {
  return params->body.len > 0 || str_eq_c(params->method, "POST") || str_eq_c(params->method, "PUT") ||
         str_eq_c(params->method, "PATCH");
}

// RFC 9112 6: how the peer is to find the end of the body.
static void write_framing(struct http_call *call) {
  const struct http_call_params *params = &call->params;
  const struct call_stream *stream = call->stream;
  struct buf *out = &call->out;
  bool is_stream = stream && stream->to.has_body;
  if (is_stream && !stream->to.has_length) {
    buf_put(out, STR("Transfer-Encoding: chunked\r\n"));
    return;
  }
  if (!is_stream && !needs_length(params))
    return;
  uint64_t length = stream ? stream->body_left : params->body.len;
  buf_put(out, STR("Content-Length: "));
  buf_put_i64(out, (int64_t)length);
  buf_put(out, STR("\r\n"));
}

int call_write_head(struct http_call *call, struct error *err) {
  const struct http_call_params *params = &call->params;
  struct buf *out = &call->out;
  if (!http_is_token(params->method))
    return error_set(err, ERR_INVALID, "\"%.*s\" is no HTTP method", STR_ARG(params->method));
  buf_clear(out);
  buf_put(out, params->method);
  buf_put_char(out, ' ');
  buf_put(out, params->url.target);
  buf_put(out, STR(" HTTP/1.1\r\n"));
  write_host(out, &params->url);
  int rc = write_headers(call, err);
  if (rc != 0)
    return rc;
  write_framing(call);
  buf_put(out, STR("\r\n"));
  call->head_bytes = out->len;
  if (!call->stream && params->body.len + out->len <= HTTP_JOINED_BYTES)
    buf_put(out, params->body);
  if (out->no_memory)
    return error_set(err, ERR_NO_MEMORY, "no memory for a request");
  if (out->failed || call->head_bytes > HTTP_MAX_REQUEST_HEAD_BYTES)
    return error_set(err, ERR_INVALID, "the request's header is longer than %d bytes", HTTP_MAX_REQUEST_HEAD_BYTES);
  return 0;
}

static size_t request_bytes(const struct http_call *call) {
  return call->head_bytes + call->params.body.len;
}

bool call_request_sent(const struct http_call *call) {
  if (call->stream)
    return call->stream->complete;
  return call->sent_bytes == request_bytes(call);
}

static struct str unsent(const struct http_call *call) {
  if (call->sent_bytes < call->out.len)
    return str_from(buf_str(&call->out), call->sent_bytes);
  return str_from(call->params.body, call->sent_bytes - call->head_bytes);
}

// What epoll is to wait for; a peer that takes no more is only listened to.
static int watch(struct http_call *call, bool want_write, struct error *err) {
  return loop_io_set(call->client->loop, &call->conn->io, want_write ? EPOLLIN | EPOLLOUT : EPOLLIN, err);
}

// Write what the socket takes. *want_write: it is full.
static void send_request(struct http_call *call, bool *want_write) {
  struct error err;
  *want_write = false;
  FAULT_POINT("client.first_byte.before");
  while (!call_request_sent(call)) {
    size_t written = 0;
    enum stream_result result = stream_write(call->conn->stream, unsent(call), &written, &err);
    if (result == STREAM_WANT_READ || result == STREAM_WANT_WRITE) {
      *want_write = result == STREAM_WANT_WRITE;
      return;
    }
    if (result != STREAM_OK) {
      call->send_failed = true;
      return;
    }
    call->sent_bytes += written;
    call->request_started = true;
  }
  FAULT_POINT("client.request.sent");
  call->first_byte_deadline_us = loop_now_us(call->client->loop) + call->params.first_byte_timeout_ms * US_PER_MS;
}

void call_finish_answered(struct http_call *call, bool reusable) {
  const struct http_head *head = http_parser_head(call->conn->parser);
  struct http_result result = {
      .outcome = HTTP_OUTCOME_ANSWERED,
      .status = head->status,
      .head = head,
      .body = buf_str(&call->body),
      .truncated = call->answer_cut,
  };
  if (call->stream && call->cut_words)
    error_set(&result.err, ERR_IO, "%s %.*s port %u", call->cut_words, STR_ARG(call->params.url.host),
              call->params.url.port);
  call_finish(call, &result, reusable);
}

void call_answer_cut(struct http_call *call, const char *words) {
  call->answer_cut = true;
  call->cut_words = words;
  call_finish_answered(call, false);
}

void call_connection_lost(struct http_call *call, const struct error *cause) {
  if (call->answered) {
    if (cause || http_parser_eof(call->conn->parser) != HTTP_DONE)
      call_answer_cut(call, "the answer was cut short by");
    else
      call_finish_answered(call, false);
    return;
  }
  if (!call->answer_began && call_retry(call))
    return;
  struct error err;
  const struct url *url = &call->params.url;
  error_set(&err, ERR_IO, "%.*s port %u closed the connection %s%s%s", STR_ARG(url->host), url->port,
            call->answer_began ? "in the middle of its answer's header" : "without an answer", cause ? ": " : "",
            cause ? cause->text : "");
  call_fail(call, HTTP_OUTCOME_CLOSED, &err);
}

void call_malformed(struct http_call *call, const char *words) {
  struct error err;
  const struct url *url = &call->params.url;
  error_set(&err, ERR_INVALID, "%.*s port %u did not answer as HTTP/1.1 asks: %s", STR_ARG(url->host), url->port,
            words);
  call_fail(call, HTTP_OUTCOME_MALFORMED, &err);
}

bool call_take_head(struct http_call *call) {
  int status = http_parser_head(call->conn->parser)->status;
  if (status == 101) {
    call_malformed(call, "it switched to a protocol that nobody asked for (101)");
    return false;
  }
  if (status >= 200) {
    call->answered = true;
    return true;
  }
  if (++call->informational > HTTP_MAX_INFORMATIONAL) {
    call_malformed(call, "more than 8 interim answers (1xx)");
    return false;
  }
  return true;
}

// False: the call has ended, because more came than is read.
static bool take_body(struct http_call *call, struct str piece) {
  const struct http_call_params *params = &call->params;
  call->answer_body_bytes += piece.len;
  size_t room = params->keep_body_bytes - call->body.len;
  if (room > 0)
    buf_put(&call->body, str_slice(piece, 0, piece.len < room ? piece.len : room));
  if (piece.len > room)
    call->answer_cut = true;
  if (call->answer_body_bytes <= params->read_body_bytes)
    return true;
  call_answer_cut(call, NULL);
  return false;
}

void call_expect_answer(struct http_call *call) {
  if (str_eq_c(call->params.method, "HEAD"))
    http_parser_expect_no_body(call->conn->parser);
}

// Nothing came after the answer; a TLS record that is no data (a ticket) does not count.
static bool is_quiet(struct stream *stream) {
  char byte;
  size_t got = 0;
  struct error ignored;
  return !stream_pending(stream) || stream_read(stream, &byte, 1, &got, &ignored) == STREAM_WANT_READ;
}

void call_answer_done(struct http_call *call, bool more_input) {
  const struct client_conn *conn = call->conn;
  bool reusable =
      !more_input && call_request_sent(call) && http_parser_head(conn->parser)->keep_alive && is_quiet(conn->stream);
  call_finish_answered(call, reusable);
}

// False: the call has ended.
static bool take_input(struct http_call *call, struct str input) {
  struct http_parser *parser = call->conn->parser;
  if (!call->answer_began) {
    call->answer_began = true;
    call->timings.first_byte_us = loop_now_us(call->client->loop) - call->started_us;
  }
  for (;;) {
    struct str piece = STR_EMPTY;
    struct error err;
    switch (http_parser_next(parser, &input, &piece)) {
    case HTTP_NEED_MORE:
      return true;
    case HTTP_HEAD:
      if (!call_take_head(call))
        return false;
      break;
    case HTTP_BODY:
      if (!take_body(call, piece))
        return false;
      break;
    case HTTP_DONE:
      if (call->answered) {
        call_answer_done(call, input.len > 0);
        return false;
      }
      http_parser_reset(parser); // an interim answer
      call_expect_answer(call);
      break;
    case HTTP_BAD:
      if (call->answered) {
        call_answer_cut(call, NULL);
        return false;
      }
      (void)http_parser_error(parser, &err);
      call_malformed(call, err.text);
      return false;
    }
  }
}

static void keep_waiting(struct http_call *call, bool want_write) {
  struct error err;
  if (call->send_failed && !call->answered) {
    call_connection_lost(call, NULL);
    return;
  }
  if (watch(call, want_write, &err) != 0) {
    call_fail(call, HTTP_OUTCOME_LOCAL, &err);
    return;
  }
  call_arm(call);
}

// One recv() when the answer is small: a short read means that the socket is empty.
static void read_answer(struct http_call *call, bool want_write) {
  struct http_client *client = call->client;
  struct stream *stream = call->conn->stream;
  struct error err;
  for (int reads = 1;; reads++) {
    size_t got = 0;
    enum stream_result result = stream_read(stream, client->read_buf, HTTP_READ_BYTES, &got, &err);
    if (result == STREAM_EOF || result == STREAM_FAILED) {
      call_connection_lost(call, result == STREAM_EOF ? NULL : &err);
      return;
    }
    if (result != STREAM_OK) {
      keep_waiting(call, want_write || result == STREAM_WANT_WRITE);
      return;
    }
    if (!take_input(call, (struct str){client->read_buf, got}))
      return;
    if (!stream_pending(stream) && (got < HTTP_READ_BYTES || reads >= READS_PER_ROUND)) {
      keep_waiting(call, want_write && !call->answered);
      return;
    }
  }
}

// The planted defect: a request that has left counts as answered well.
static void close_unread(struct http_call *call) {
  static const struct http_head nothing = {.is_response = true, .status = 200};
  struct http_result result = {.outcome = HTTP_OUTCOME_ANSWERED, .status = 200, .head = &nothing, .body = STR_EMPTY};
  call_finish(call, &result, false);
}

static void send_or_read(struct http_call *call, bool readable) {
  bool want_write = false;
  if (!call->answered && !call->send_failed && !call_request_sent(call))
    send_request(call, &want_write);
  if (FAULT_PLANTED("close_before_answer") && call_request_sent(call)) {
    close_unread(call);
    return;
  }
  if (readable || call->send_failed)
    read_answer(call, want_write);
  else
    keep_waiting(call, want_write);
}

void call_exchange(struct http_call *call) {
  call->state = CALL_EXCHANGING;
  call_expect_answer(call);
  if (!call->stream) {
    send_or_read(call, false);
    return;
  }
  call->stream->progress_us = loop_now_us(call->client->loop);
  call_stream_step(call, false);
}

// With the request gone, room to write means that TLS had to write before it could read on.
void call_exchange_ready(struct http_call *call, uint32_t events) {
  bool readable = (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 || call_request_sent(call);
  if (!call->stream) {
    send_or_read(call, readable);
    return;
  }
  call->stream->blocked = false;
  call_stream_step(call, readable);
}
