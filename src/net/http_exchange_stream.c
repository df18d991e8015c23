// SPDX-License-Identifier: Apache-2.0
// An exchange whose bodies come and go bit by bit. One step sends what waits, asks for more, reads a piece or several and says
// what to wait for; what the caller asks for from outside is done by a step of its own, from the loop. Callbacks are called
// by steps alone.
#include <stdio.h>
#include <stdlib.h>

#include "net/http_client_internal.h"

enum { SENDS_PER_STEP = 8, READS_PER_STEP = 8, CHUNK_SIZE_BYTES = 24 };

bool call_stream_new(struct http_call *call, const struct http_call_stream *to) {
  struct call_stream *stream = calloc(1, sizeof(*stream));
  if (!stream)
    return false;
  stream->call = call;
  stream->to = *to;
  stream->body_left = to->has_body && to->has_length ? to->length : 0;
  stream->ended = !to->has_body || (to->has_length && to->length == 0);
  call->stream = stream;
  return true;
}

static void soon(struct call_stream *stream) {
  struct http_client *client = stream->call->client;
  if (stream->is_soon || stream->in_step)
    return;
  stream->is_soon = true;
  list_push_back(&client->soon, &stream->soon_node);
  client_run_soon(client);
}

static void progress(struct http_call *call) {
  call->stream->progress_us = loop_now_us(call->client->loop);
}

static size_t unsent_bytes(const struct http_call *call) {
  return call->out.len - call->stream->out_sent;
}

// An answer that came early ends the sending: the peer has heard enough.
static bool still_sends(const struct http_call *call) {
  return call->state == CALL_EXCHANGING && !call->answered && !call->send_failed;
}

// ---- deadlines

int64_t call_stream_deadline_us(const struct http_call *call) {
  const struct call_stream *stream = call->stream;
  if (call->state != CALL_EXCHANGING)
    return INT64_MAX;
  bool owes_room = still_sends(call) && unsent_bytes(call) > 0;
  bool owes_bytes = !stream->paused && (call->answered || !http_parser_idle(call->conn->parser));
  if (owes_room || owes_bytes)
    return stream->progress_us + stream->to.idle_timeout_ms * US_PER_MS;
  if (stream->complete && !call->answered && call->answer_began) // with an interim answer
    return call->first_byte_deadline_us;
  return INT64_MAX;
}

const char *call_stream_late_words(const struct http_call *call) {
  if (still_sends(call) && unsent_bytes(call) > 0)
    return "the request's body was not taken by";
  return call->answered ? "no more of the answer's body came from" : "no more of the answer's header came from";
}

// ---- sending

// What the socket takes of `data`, now.
static size_t write_some(struct http_call *call, struct str data) {
  struct call_stream *stream = call->stream;
  size_t sent = 0;
  while (sent < data.len && !stream->blocked && !call->send_failed) {
    struct error err;
    size_t written = 0;
    enum stream_result result = stream_write(call->conn->stream, str_from(data, sent), &written, &err);
    if (result == STREAM_WANT_READ || result == STREAM_WANT_WRITE)
      stream->blocked = true;
    else if (result != STREAM_OK)
      call->send_failed = true;
    sent += written;
  }
  if (sent > 0) {
    call->sent_bytes += sent;
    call->request_started = true;
    progress(call);
  }
  return sent;
}

static void flush(struct http_call *call) {
  struct call_stream *stream = call->stream;
  if (!still_sends(call))
    return;
  stream->out_sent += write_some(call, str_from(buf_str(&call->out), stream->out_sent));
  if (unsent_bytes(call) > 0 || !stream->ended || stream->complete || call->send_failed)
    return;
  stream->complete = true;
  call->first_byte_deadline_us = loop_now_us(call->client->loop) + call->params.first_byte_timeout_ms * US_PER_MS;
}

bool http_call_takes_more(const struct http_call *call) {
  const struct call_stream *stream = call->stream;
  return stream && !stream->ended && still_sends(call) && !stream->blocked && unsent_bytes(call) == 0;
}

// False: the call has ended.
static bool send_step(struct http_call *call) {
  struct call_stream *stream = call->stream;
  for (int i = 0; i < SENDS_PER_STEP; i++) {
    flush(call);
    if (stream->asked || !http_call_takes_more(call))
      return true;
    stream->asked = true;
    call->in_callback = true;
    stream->to.on_sendable(call->params.ctx);
    if (!call_left_callback(call))
      return false;
  }
  stream->again = true; // the others have their turn
  return true;
}

// Behind what waits, which is the head at most.
static int put_piece(struct http_call *call, struct str piece, struct str before, struct str after, struct error *err) {
  struct buf *out = &call->out;
  if (unsent_bytes(call) == 0)
    progress(call);
  buf_put(out, before);
  buf_put(out, piece);
  buf_put(out, after);
  return out->failed ? error_set(err, ERR_NO_MEMORY, "no memory for a piece of a request's body") : 0;
}

// From here on the request can be sent no more than once: the producer does not say the same again.
static void begin_piece(struct http_call *call) {
  struct call_stream *stream = call->stream;
  stream->asked = false;
  call->retried = true;
  if (unsent_bytes(call) > 0)
    return;
  buf_clear(&call->out);
  stream->out_sent = 0;
}

int http_call_send(struct http_call *call, struct str piece, struct error *err) {
  struct call_stream *stream = call->stream;
  char size[CHUNK_SIZE_BYTES];
  if (piece.len == 0)
    return 0;
  if (!stream || piece.len > HTTP_PIECE_BYTES || stream->ended ||
      (stream->to.has_length && piece.len > stream->body_left))
    return error_set(err, ERR_INTERNAL, "a piece of a request's body is more than was announced");
  begin_piece(call);
  if (call->answered || call->send_failed)
    return 0;
  int rc;
  if (stream->to.has_length) {
    stream->body_left -= piece.len;
    stream->ended = stream->body_left == 0;
    size_t sent = still_sends(call) && unsent_bytes(call) == 0 ? write_some(call, piece) : 0;
    rc = sent < piece.len ? put_piece(call, str_from(piece, sent), STR_EMPTY, STR_EMPTY, err) : 0;
  } else { // RFC 9112 7.1
    (void)snprintf(size, sizeof(size), "%zx\r\n", piece.len);
    rc = put_piece(call, piece, str_of(size), STR("\r\n"), err);
  }
  flush(call);
  soon(stream);
  return rc;
}

void http_call_send_end(struct http_call *call) {
  struct call_stream *stream = call->stream;
  struct error ignored;
  if (!stream || stream->ended)
    return;
  begin_piece(call);
  stream->ended = true;
  stream->broken = stream->body_left > 0;
  if (!stream->to.has_length && put_piece(call, STR("0\r\n\r\n"), STR_EMPTY, STR_EMPTY, &ignored) != 0)
    stream->broken = true;
  if (!stream->broken)
    flush(call);
  soon(stream);
}

// ---- receiving

static bool give(struct http_call *call, struct str piece) {
  if (piece.len == 0)
    return true;
  call->in_callback = true;
  call->stream->to.on_piece(call->params.ctx, piece);
  return call_left_callback(call);
}

static bool tell_head(struct http_call *call) {
  const struct http_head *head = http_parser_head(call->conn->parser);
  struct http_result result = {
      .outcome = HTTP_OUTCOME_ANSWERED, .status = head->status, .head = head, .body = STR_EMPTY};
  call_describe(call, &result);
  call->in_callback = true;
  call->stream->to.on_head(call->params.ctx, &result);
  return call_left_callback(call);
}

// The receiver rests before it has seen all that was read with the head.
static bool hold_rest(struct http_call *call, struct str input) {
  struct call_stream *stream = call->stream;
  stream->held = true;
  stream->rest_len = input.len;
  if (input.len == 0)
    return true;
  stream->rest = malloc(input.len);
  if (!stream->rest) {
    call_answer_cut(call, "no memory for the answer of");
    return false;
  }
  memcpy(stream->rest, input.ptr, input.len);
  return true;
}

// The end of the answer, unless the receiver rests. False: the call has ended.
static bool settle(struct http_call *call) {
  struct call_stream *stream = call->stream;
  if (stream->owed == OWED_NOTHING || stream->paused)
    return true;
  if (stream->owed == OWED_DONE)
    call_answer_done(call, stream->more_input);
  else
    call_answer_cut(call, "the answer's body breaks HTTP/1.1, from");
  return false;
}

// Parse what was read at `bytes`, which is overwritten: chunks of one read become one piece. False: the call has ended.
static bool take(struct http_call *call, char *bytes, size_t len) {
  struct call_stream *stream = call->stream;
  struct http_parser *parser = call->conn->parser;
  struct str input = {bytes, len}, piece;
  struct error err;
  char *start = bytes;
  size_t kept = 0;
  for (;;) {
    switch (http_parser_next(parser, &input, &piece)) {
    case HTTP_NEED_MORE:
      return give(call, (struct str){start, kept});
    case HTTP_HEAD:
      if (!call_take_head(call))
        return false;
      if (!call->answered)
        break;
      if (!tell_head(call))
        return false;
      if (stream->paused)
        return hold_rest(call, input);
      break;
    case HTTP_BODY:
      if (kept == 0)
        start = bytes + (piece.ptr - bytes);
      else if (start + kept != piece.ptr)
        memmove(start + kept, piece.ptr, piece.len);
      kept += piece.len;
      break;
    case HTTP_DONE:
      if (call->answered) {
        stream->owed = OWED_DONE;
        stream->more_input = input.len > 0;
        return give(call, (struct str){start, kept}) && settle(call);
      }
      http_parser_reset(parser); // an interim answer
      call_expect_answer(call);
      break;
    case HTTP_BAD:
      if (call->answered) {
        stream->owed = OWED_CUT;
        return give(call, (struct str){start, kept}) && settle(call);
      }
      (void)http_parser_error(parser, &err);
      call_malformed(call, err.text);
      return false;
    }
  }
}

static bool take_held(struct http_call *call) {
  struct call_stream *stream = call->stream;
  char *rest = stream->rest;
  char nothing[1];
  if (!stream->held)
    return true;
  stream->held = false;
  stream->rest = NULL;
  bool goes_on = take(call, rest ? rest : nothing, stream->rest_len);
  free(rest);
  return goes_on;
}

// One read. False: the call has ended. *more: there may be more.
static bool read_piece(struct http_call *call, bool *more) {
  struct http_client *client = call->client;
  struct error err;
  size_t got = 0;
  enum stream_result result =
      stream_read_piece(call->conn->stream, client->read_buf, sizeof(client->read_buf), &got, &err);
  *more = false;
  switch (result) {
  case STREAM_EOF:
  case STREAM_FAILED:
    call_connection_lost(call, result == STREAM_EOF ? NULL : &err);
    return false;
  case STREAM_WANT_READ:
  case STREAM_WANT_WRITE:
    call->stream->read_writes = result == STREAM_WANT_WRITE;
    return true;
  case STREAM_OK:
    break;
  }
  if (!call->answer_began) {
    call->answer_began = true;
    call->timings.first_byte_us = loop_now_us(client->loop) - call->started_us;
  }
  progress(call);
  *more = got == sizeof(client->read_buf) || stream_pending(call->conn->stream);
  return take(call, client->read_buf, got);
}

// False: the call has ended.
static bool receive_step(struct http_call *call, bool readable) {
  struct call_stream *stream = call->stream;
  if (stream->paused)
    return true;
  if (!take_held(call) || !settle(call))
    return false;
  bool more = readable || call->send_failed || stream->read_again;
  stream->read_again = false;
  for (int i = 0; i < READS_PER_STEP && more && !stream->paused; i++) {
    if (!read_piece(call, &more))
      return false;
  }
  stream->read_again = more;
  stream->again |= more && !stream->paused;
  return true;
}

// ---- the step

// A receiver that rests is not disturbed twice: the first event that comes meanwhile is the last.
static void wait_on(struct http_call *call, bool in_vain) {
  struct call_stream *stream = call->stream;
  struct client_conn *conn = call->conn;
  struct error err;
  uint32_t events = 0;
  if (!stream->paused || ((conn->io.events & EPOLLIN) && !in_vain))
    events |= EPOLLIN;
  if ((stream->blocked && still_sends(call)) || (stream->read_writes && !stream->paused))
    events |= EPOLLOUT;
  if (loop_io_set(call->client->loop, &conn->io, events, &err) != 0) {
    if (call->answered)
      call_answer_cut(call, "cannot wait for");
    else
      call_fail(call, HTTP_OUTCOME_LOCAL, &err);
    return;
  }
  call_arm(call);
  if (stream->again)
    soon(stream);
  stream->again = false;
}

void call_stream_step(struct http_call *call, bool readable) {
  struct call_stream *stream = call->stream;
  struct error err;
  if (call->state != CALL_EXCHANGING)
    return;
  if (stream->broken && !call->answered) {
    error_set(&err, ERR_INTERNAL, "the body of a request ended short of its announced length");
    call_fail(call, HTTP_OUTCOME_LOCAL, &err);
    return;
  }
  bool rested = stream->paused;
  stream->in_step = true;
  if (!send_step(call) || !receive_step(call, readable))
    return;
  stream->in_step = false;
  if (call->send_failed && !call->answered && !stream->paused) {
    call_connection_lost(call, NULL);
    return;
  }
  wait_on(call, rested && readable);
}

void call_stream_next(struct http_client *client) {
  struct list_node *node = list_pop_front(&client->soon);
  if (!node)
    return;
  struct call_stream *stream = CONTAINER_OF(node, struct call_stream, soon_node);
  stream->is_soon = false;
  call_stream_step(stream->call, false);
}

void http_call_pause(struct http_call *call) {
  if (call->stream)
    call->stream->paused = true;
}

void http_call_resume(struct http_call *call) {
  struct call_stream *stream = call->stream;
  if (!stream || !stream->paused || call->state == CALL_ENDED)
    return;
  stream->paused = false;
  stream->read_again = true;
  progress(call);
  soon(stream);
}
