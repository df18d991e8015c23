// SPDX-License-Identifier: Apache-2.0
// Calls whose bodies come and go bit by bit: what is on the wire, pausing, early answers, and every way in which one ends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/client_fixture.h"

struct streamed {
  struct http_call *call;
  struct http_call_params params;
  struct http_call_stream stream;
  char url[128];
  struct buf got;
  int sendable, heads, pieces, done;
  int status;
  uint64_t length;
  size_t largest;
  bool pause_at_head, pause_at_piece, cancel_at_head, cancel_at_piece, cancel_at_sendable;
  struct http_result result; // of on_done; `head` is no longer valid
};

static void on_sendable(void *ctx) {
  struct streamed *streamed = ctx;
  streamed->sendable++;
  if (streamed->cancel_at_sendable)
    http_call_cancel(streamed->call);
}

static void on_head(void *ctx, const struct http_result *result) {
  struct streamed *streamed = ctx;
  assert_int_equal(result->outcome, HTTP_OUTCOME_ANSWERED);
  assert_int_equal(streamed->heads, 0);
  streamed->heads++;
  streamed->status = result->status;
  streamed->length = result->head->length;
  assert_int_equal(result->head->status, result->status);
  if (streamed->pause_at_head)
    http_call_pause(streamed->call);
  if (streamed->cancel_at_head)
    http_call_cancel(streamed->call);
}

static void on_piece(void *ctx, struct str piece) {
  struct streamed *streamed = ctx;
  assert_true(piece.len > 0 && piece.len <= 64 * 1024);
  assert_int_equal(streamed->heads, 1);
  assert_int_equal(streamed->done, 0);
  streamed->pieces++;
  streamed->largest = piece.len > streamed->largest ? piece.len : streamed->largest;
  buf_put(&streamed->got, piece);
  if (streamed->pause_at_piece)
    http_call_pause(streamed->call);
  if (streamed->cancel_at_piece)
    http_call_cancel(streamed->call);
}

static void on_done(void *ctx, const struct http_result *result) {
  struct streamed *streamed = ctx;
  streamed->done++;
  streamed->call = NULL;
  streamed->result = *result;
  streamed->result.head = NULL;
}

static void init(struct streamed *streamed, const char *method, const char *scheme, const char *host, uint16_t port) {
  struct error err;
  *streamed = (struct streamed){0};
  buf_init(&streamed->got, 64 * 1024 * 1024);
  (void)snprintf(streamed->url, sizeof streamed->url, "%s://%s:%u/v2/", scheme, host, port);
  streamed->stream = (struct http_call_stream){
      .idle_timeout_ms = 30000, .on_sendable = on_sendable, .on_head = on_head, .on_piece = on_piece};
  streamed->params = (struct http_call_params){
      .method = str_of(method),
      .connect_timeout_ms = 5000,
      .first_byte_timeout_ms = 10000,
      .total_timeout_ms = 1, // does not count
      .on_done = on_done,
      .ctx = streamed,
      .stream = &streamed->stream,
  };
  assert_int_equal(url_parse(str_of(streamed->url), &streamed->params.url, &err), 0);
}

static void start(struct client_fixture *fixture, struct streamed *streamed) {
  struct error err;
  streamed->call = http_client_start(fixture->client, &streamed->params, &err);
  assert_non_null(streamed->call);
}

static void begin_get(struct client_fixture *fixture, struct streamed *streamed) {
  init(streamed, "GET", "http", "127.0.0.1", fixture->receiver->port);
  start(fixture, streamed);
}

static void finish(struct streamed *streamed) {
  buf_free(&streamed->got);
}

static struct receiver_peer *newest(struct client_fixture *fixture) {
  return &fixture->receiver->peers[fixture->receiver->accepted - 1];
}

static bool has_got(const struct streamed *streamed, const char *text) {
  return str_eq_c(buf_str(&streamed->got), text);
}

static void send_piece(struct streamed *streamed, const char *text) {
  struct error err;
  assert_int_equal(http_call_send(streamed->call, str_of(text), &err), 0);
}

static void assert_whole(const struct streamed *streamed, int status) {
  if (streamed->result.outcome != HTTP_OUTCOME_ANSWERED)
    print_error("%s\n", streamed->result.err.text);
  assert_int_equal(streamed->result.outcome, HTTP_OUTCOME_ANSWERED);
  assert_int_equal(streamed->result.status, status);
  assert_false(streamed->result.truncated);
  assert_int_equal(streamed->heads, 1);
  assert_int_equal(streamed->status, status);
}

static void test_an_answer_comes_in_pieces_and_the_connection_is_kept(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  const char *const replies[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.1 100 \r\n\r\nHTTP/1.1 206 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
  };
  static const int statuses[] = {200, 206, 200};
  for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
    fixture->reply = replies[i];
    begin_get(fixture, &streamed);
    client_fixture_wait(fixture, &streamed.done, 1);
    assert_whole(&streamed, statuses[i]);
    assert_true(has_got(&streamed, "hello"));
    assert_int_equal(streamed.pieces, 1); // chunks of one read are one piece
    assert_int_equal(streamed.sendable, 0);
    finish(&streamed);
  }
  assert_int_equal(fixture->receiver->accepted, 1);
}

static void test_answers_without_a_body_end_after_their_head(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  static const struct {
    const char *method, *reply;
    int status;
  } cases[] = {
      {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n", 200},
      {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200},
      {"DELETE", "HTTP/1.1 204 No Content\r\n\r\n", 204},
      {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304},
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    fixture->reply = cases[i].reply;
    init(&streamed, cases[i].method, "http", "127.0.0.1", fixture->receiver->port);
    start(fixture, &streamed);
    client_fixture_wait(fixture, &streamed.done, 1);
    assert_whole(&streamed, cases[i].status);
    assert_int_equal(streamed.pieces, 0);
    if (i == 0)
      assert_int_equal(streamed.length, 12345);
    finish(&streamed);
  }
  assert_int_equal(fixture->receiver->accepted, 1);
}

static void test_an_answer_without_a_length_ends_with_its_connection(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  fixture->reply = "HTTP/1.1 200 OK\r\n\r\nto the end";
  fixture->receiver->on_request = reply_and_close;
  begin_get(fixture, &streamed);
  client_fixture_wait(fixture, &streamed.done, 1);
  assert_whole(&streamed, 200);
  assert_true(has_got(&streamed, "to the end"));
  finish(&streamed);
}

static void test_an_answer_cut_short_is_given_and_told(void **state) {
  struct client_fixture *fixture = *state;
  static const char *const replies[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nX",
  };
  fixture->receiver->on_request = reply_and_close;
  for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
    struct streamed streamed;
    fixture->reply = replies[i];
    begin_get(fixture, &streamed);
    client_fixture_wait(fixture, &streamed.done, 1);
    assert_int_equal(streamed.result.outcome, HTTP_OUTCOME_ANSWERED);
    assert_true(streamed.result.truncated);
    assert_true(strlen(streamed.result.err.text) > 0);
    assert_int_equal(streamed.heads, 1);
    assert_true(has_got(&streamed, "hello"));
    finish(&streamed);
  }
}

static void test_a_body_with_a_length_is_asked_for_piece_by_piece(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  init(&streamed, "PUT", "http", "127.0.0.1", fixture->receiver->port);
  streamed.stream.has_body = streamed.stream.has_length = true;
  streamed.stream.length = 11;
  start(fixture, &streamed);
  client_fixture_wait(fixture, &streamed.sendable, 1);
  client_fixture_settle(fixture);
  assert_int_equal(streamed.sendable, 1); // once, until it is answered
  assert_true(http_call_takes_more(streamed.call));
  send_piece(&streamed, "hello ");
  assert_int_equal(streamed.sendable, 1); // not from inside
  client_fixture_wait(fixture, &streamed.sendable, 2);
  struct error err;
  assert_int_not_equal(http_call_send(streamed.call, STR("world!"), &err), 0); // one byte more than announced
  send_piece(&streamed, "world");
  assert_false(http_call_takes_more(streamed.call));
  client_fixture_wait(fixture, &streamed.done, 1);
  assert_int_equal(streamed.sendable, 2);
  assert_whole(&streamed, 200);
  assert_true(has_got(&streamed, "ok"));
  char expected[256];
  (void)snprintf(expected, sizeof expected,
                 "PUT /v2/ HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Length: 11\r\n\r\nhello world",
                 fixture->receiver->port);
  assert_string_equal(fixture->receiver->last, expected);
  assert_true(streamed.result.request_sent);
  finish(&streamed);
  begin_get(fixture, &streamed); // the pool has taken the connection back
  client_fixture_wait(fixture, &streamed.done, 1);
  assert_true(streamed.result.reused);
  assert_int_equal(fixture->receiver->accepted, 1);
  finish(&streamed);
}

// What came last: a chunked body is another request to the receiver, once its end has come.
static void await_received(struct client_fixture *fixture, const char *text) {
  for (int i = 0; i < 2000; i++) {
    if (strstr(fixture->receiver->last, text) || str_contains(buf_str(&newest(fixture)->in), str_of(text)))
      return;
    loop_step(fixture->loop, 10);
  }
  fail_msg("never received: %s", text);
}

// The receiver takes a head without a length for a whole request: what follows stays in `in`.
static void begin_chunked(struct client_fixture *fixture, struct streamed *streamed) {
  fixture->receiver->on_request = NULL;
  init(streamed, "PATCH", "http", "127.0.0.1", fixture->receiver->port);
  streamed->stream.has_body = true;
  start(fixture, streamed);
  client_fixture_wait(fixture, &streamed->sendable, 1);
}

static void test_a_body_without_a_length_is_chunked(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  begin_chunked(fixture, &streamed);
  await_received(fixture, "\r\nTransfer-Encoding: chunked\r\n");
  assert_null(strstr(fixture->receiver->last, "Content-Length"));
  send_piece(&streamed, "hello world!");
  client_fixture_wait(fixture, &streamed.sendable, 2);
  send_piece(&streamed, "x");
  client_fixture_wait(fixture, &streamed.sendable, 3);
  http_call_send_end(streamed.call);
  await_received(fixture, "c\r\nhello world!\r\n1\r\nx\r\n0\r\n\r\n");
  peer_send(newest(fixture), STR("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"));
  client_fixture_wait(fixture, &streamed.done, 1);
  assert_whole(&streamed, 202);
  finish(&streamed);
}

static void test_an_early_answer_ends_the_sending_and_the_connection(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  begin_chunked(fixture, &streamed);
  send_piece(&streamed, "hello");
  client_fixture_wait(fixture, &streamed.sendable, 2);
  peer_send(newest(fixture), STR("HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nno"));
  client_fixture_wait(fixture, &streamed.pieces, 1);
  assert_int_equal(streamed.status, 401);
  assert_int_equal(streamed.done, 0);
  send_piece(&streamed, "asked for before"); // goes nowhere, and is no mistake
  client_fixture_settle(fixture);
  assert_int_equal(streamed.sendable, 2);
  peer_send(newest(fixture), STR("!\n"));
  client_fixture_wait(fixture, &streamed.done, 1);
  assert_whole(&streamed, 401);
  assert_true(has_got(&streamed, "no!\n"));
  struct receiver_peer *peer = newest(fixture);
  for (int i = 0; i < 2000 && !peer->lost; i++)
    loop_step(fixture->loop, 10);
  assert_true(peer->lost_by_reset); // a request that is not whole must not look as if it were
  finish(&streamed);
}

static void test_interim_answers_amid_the_body_are_passed_over(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  begin_chunked(fixture, &streamed);
  peer_send(newest(fixture), STR("HTTP/1.1 102 Processing\r\n\r\n"));
  client_fixture_settle(fixture);
  client_fixture_advance(fixture, 3600 * 1000); // the producer takes its time
  assert_int_equal(streamed.done, 0);
  send_piece(&streamed, "hello");
  client_fixture_wait(fixture, &streamed.sendable, 2);
  http_call_send_end(streamed.call);
  await_received(fixture, "0\r\n\r\n");
  client_fixture_advance(fixture, 9999);
  assert_int_equal(streamed.done, 0);
  client_fixture_advance(fixture, 2); // first_byte_timeout_ms
  assert_int_equal(streamed.done, 1);
  assert_int_equal(streamed.result.outcome, HTTP_OUTCOME_TIMEOUT);
  assert_int_equal(streamed.heads, 0);
  finish(&streamed);
}

static void test_a_paused_receiver_loses_nothing(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  fixture->reply = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
  init(&streamed, "GET", "http", "127.0.0.1", fixture->receiver->port);
  streamed.pause_at_head = streamed.pause_at_piece = true;
  start(fixture, &streamed);
  client_fixture_wait(fixture, &streamed.heads, 1);
  client_fixture_advance(fixture, 3600 * 1000); // it may rest as long as it likes
  assert_int_equal(streamed.pieces + streamed.done, 0);
  http_call_resume(streamed.call);
  assert_int_equal(streamed.pieces, 0); // not from inside
  client_fixture_wait(fixture, &streamed.pieces, 1);
  assert_true(has_got(&streamed, "hello"));
  peer_send(newest(fixture), STR("world"));
  client_fixture_settle(fixture);
  assert_int_equal(streamed.pieces, 1);
  http_call_resume(streamed.call);
  client_fixture_wait(fixture, &streamed.pieces, 2);
  assert_true(has_got(&streamed, "helloworld"));
  client_fixture_advance(fixture, 3600 * 1000);
  assert_int_equal(streamed.done, 0); // the end waits too
  http_call_resume(streamed.call);
  client_fixture_wait(fixture, &streamed.done, 1);
  assert_whole(&streamed, 200);
  finish(&streamed);
}

static void test_a_cut_that_comes_while_paused_is_told_after_the_bytes(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  fixture->reply = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
  fixture->receiver->on_request = reply_and_close;
  init(&streamed, "GET", "http", "127.0.0.1", fixture->receiver->port);
  streamed.pause_at_head = true;
  start(fixture, &streamed);
  client_fixture_wait(fixture, &streamed.heads, 1);
  client_fixture_settle(fixture);
  assert_int_equal(streamed.done, 0);
  http_call_resume(streamed.call);
  client_fixture_wait(fixture, &streamed.done, 1);
  assert_true(has_got(&streamed, "hello"));
  assert_true(streamed.result.truncated);
  finish(&streamed);
}

static void test_the_peers_silence_is_timed_but_not_ours(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  fixture->reply = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
  begin_get(fixture, &streamed);
  client_fixture_wait(fixture, &streamed.pieces, 1);
  client_fixture_advance(fixture, 29999);
  assert_int_equal(streamed.done, 0);
  client_fixture_advance(fixture, 2);
  assert_int_equal(streamed.done, 1);
  assert_int_equal(streamed.result.outcome, HTTP_OUTCOME_ANSWERED);
  assert_true(streamed.result.truncated);
  finish(&streamed);
}

static void test_a_peer_that_takes_nothing_is_timed(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  static char piece[64 * 1024];
  struct error err;
  fixture->receiver->deaf = true;
  init(&streamed, "PUT", "http", "127.0.0.1", fixture->receiver->port);
  streamed.stream.has_body = streamed.stream.has_length = true;
  streamed.stream.length = UINT64_C(1) << 40;
  start(fixture, &streamed);
  client_fixture_wait(fixture, &streamed.sendable, 1);
  while (http_call_takes_more(streamed.call))
    assert_int_equal(http_call_send(streamed.call, (struct str){piece, sizeof piece}, &err), 0);
  client_fixture_settle(fixture);
  client_fixture_advance(fixture, 29000);
  assert_int_equal(streamed.done, 0);
  client_fixture_advance(fixture, 1001);
  assert_int_equal(streamed.done, 1);
  assert_int_equal(streamed.result.outcome, HTTP_OUTCOME_TIMEOUT);
  finish(&streamed);
}

static void test_cancelling_resets_what_is_half_sent_or_half_read(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  begin_chunked(fixture, &streamed);
  send_piece(&streamed, "hello");
  await_received(fixture, "hello");
  http_call_cancel(streamed.call);
  struct receiver_peer *peer = newest(fixture);
  for (int i = 0; i < 2000 && !peer->lost; i++)
    loop_step(fixture->loop, 10);
  assert_true(peer->lost_by_reset);
  assert_int_equal(streamed.done, 0);
  finish(&streamed);
}

static void test_a_call_may_be_cancelled_in_each_of_its_callbacks(void **state) {
  struct client_fixture *fixture = *state;
  for (int which = 0; which < 3; which++) {
    struct streamed streamed;
    fixture->reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    init(&streamed, "PUT", "http", "127.0.0.1", fixture->receiver->port);
    streamed.cancel_at_head = which == 0;
    streamed.cancel_at_piece = which == 1;
    streamed.cancel_at_sendable = which == 2;
    streamed.stream.has_body = which == 2;
    if (which == 2)
      fixture->receiver->on_request = NULL;
    start(fixture, &streamed);
    client_fixture_wait(fixture, which == 0 ? &streamed.heads : which == 1 ? &streamed.pieces : &streamed.sendable, 1);
    client_fixture_settle(fixture);
    assert_int_equal(streamed.done, 0);
    finish(&streamed);
  }
}

// One exchange that leaves a connection behind, which then dies when it is used again.
static void leave_a_dying_connection(struct client_fixture *fixture) {
  struct streamed streamed;
  begin_get(fixture, &streamed);
  client_fixture_wait(fixture, &streamed.done, 1);
  finish(&streamed);
  fixture->receiver->on_request = close_at_request;
}

static void test_a_kept_connection_that_died_is_replaced_while_no_piece_was_taken(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  leave_a_dying_connection(fixture);
  init(&streamed, "PUT", "http", "127.0.0.1", fixture->receiver->port);
  streamed.stream.has_body = streamed.stream.has_length = true;
  streamed.stream.length = 5;
  start(fixture, &streamed);
  client_fixture_wait(fixture, &streamed.sendable, 1);
  peer_close(newest(fixture));
  client_fixture_wait(fixture, &fixture->receiver->accepted, 2);
  client_fixture_settle(fixture);
  assert_int_equal(streamed.done, 0);
  assert_int_equal(streamed.sendable, 1); // it was asked, and has not answered
  fixture->receiver->on_request = reply_to_request;
  send_piece(&streamed, "hello");
  client_fixture_wait(fixture, &streamed.done, 1);
  assert_whole(&streamed, 200);
  assert_non_null(strstr(fixture->receiver->last, "\r\n\r\nhello"));
  finish(&streamed);
}

static void test_a_call_whose_producer_gave_a_piece_is_not_sent_twice(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  leave_a_dying_connection(fixture);
  init(&streamed, "PUT", "http", "127.0.0.1", fixture->receiver->port);
  streamed.stream.has_body = streamed.stream.has_length = true;
  streamed.stream.length = 5;
  start(fixture, &streamed);
  client_fixture_wait(fixture, &streamed.sendable, 1);
  send_piece(&streamed, "hel");
  client_fixture_settle(fixture);
  peer_close(newest(fixture));
  client_fixture_wait(fixture, &streamed.done, 1);
  assert_int_equal(streamed.result.outcome, HTTP_OUTCOME_CLOSED);
  assert_true(streamed.result.request_sent);
  assert_int_equal(fixture->receiver->accepted, 1);
  finish(&streamed);
}

static void test_a_producer_that_stops_short_fails_the_call(void **state) {
  struct client_fixture *fixture = *state;
  struct streamed streamed;
  init(&streamed, "PUT", "http", "127.0.0.1", fixture->receiver->port);
  streamed.stream.has_body = streamed.stream.has_length = true;
  streamed.stream.length = 5;
  start(fixture, &streamed);
  client_fixture_wait(fixture, &streamed.sendable, 1);
  send_piece(&streamed, "hel");
  http_call_send_end(streamed.call);
  client_fixture_wait(fixture, &streamed.done, 1);
  assert_int_equal(streamed.result.outcome, HTTP_OUTCOME_LOCAL);
  struct receiver_peer *peer = newest(fixture);
  for (int i = 0; i < 2000 && !peer->lost; i++)
    loop_step(fixture->loop, 10);
  assert_true(peer->lost_by_reset);
  finish(&streamed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)
      TEST(test_an_answer_comes_in_pieces_and_the_connection_is_kept),
      TEST(test_answers_without_a_body_end_after_their_head),
      TEST(test_an_answer_without_a_length_ends_with_its_connection),
      TEST(test_an_answer_cut_short_is_given_and_told),
      TEST(test_a_body_with_a_length_is_asked_for_piece_by_piece),
      TEST(test_a_body_without_a_length_is_chunked),
      TEST(test_an_early_answer_ends_the_sending_and_the_connection),
      TEST(test_interim_answers_amid_the_body_are_passed_over),
      TEST(test_a_paused_receiver_loses_nothing),
      TEST(test_a_cut_that_comes_while_paused_is_told_after_the_bytes),
      TEST(test_the_peers_silence_is_timed_but_not_ours),
      TEST(test_a_peer_that_takes_nothing_is_timed),
      TEST(test_cancelling_resets_what_is_half_sent_or_half_read),
      TEST(test_a_call_may_be_cancelled_in_each_of_its_callbacks),
      TEST(test_a_kept_connection_that_died_is_replaced_while_no_piece_was_taken),
      TEST(test_a_call_whose_producer_gave_a_piece_is_not_sent_twice),
      TEST(test_a_producer_that_stops_short_fails_the_call),
#undef TEST
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
