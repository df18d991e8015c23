// SPDX-License-Identifier: Apache-2.0
// One request and its answer: framing, limits, deadlines, connections that are used again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/client_fixture.h"

static struct receiver_peer *newest(struct client_fixture *fixture) {
  return &fixture->receiver->peers[fixture->receiver->accepted - 1];
}

// Start a call and wait until the receiver has its request, which it does not answer.
static void start_unanswered(struct client_fixture *fixture, struct test_call *call) {
  int before = fixture->receiver->requests;
  fixture->receiver->on_request = NULL;
  test_call_init(call, "http", "127.0.0.1", fixture->receiver->port);
  test_call_start(fixture, call);
  client_fixture_wait(fixture, &fixture->receiver->requests, before + 1);
}

static void assert_answered(const struct test_call *call, int status, const char *body) {
  if (call->result.outcome != HTTP_OUTCOME_ANSWERED)
    print_error("%s\n", call->result.err.text);
  assert_int_equal(call->result.outcome, HTTP_OUTCOME_ANSWERED);
  assert_int_equal(call->result.status, status);
  assert_string_equal(call->body, body);
}

static void test_the_request_is_written_exactly(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  struct http_header headers[] = {{STR("Content-Type"), STR("application/json")}, {STR("X-Empty"), STR("")}};
  test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
  call.params.headers = headers;
  call.params.headers_len = 2;
  test_call_start(fixture, &call);
  test_call_wait(fixture, &call);
  char expected[512];
  (void)snprintf(expected, sizeof expected,
                 "POST /hook?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
                 "X-Empty: \r\nContent-Length: 7\r\n\r\n{\"a\":1}",
                 fixture->receiver->port);
  assert_string_equal(fixture->receiver->last, expected);
  assert_answered(&call, 200, "ok");
  assert_string_equal(call.header, "yes");
  assert_true(call.result.request_sent);
  assert_false(call.result.truncated);
  assert_int_equal(call.result.peer.port, fixture->receiver->port);
  assert_true(call.result.timings.connect_us >= 0 && call.result.timings.first_byte_us >= 0);
  assert_int_equal(call.result.timings.dns_us, -1);
  assert_int_equal(call.result.timings.tls_us, -1);
}

static void test_a_header_that_could_forge_the_message_is_refused(void **state) {
  struct client_fixture *fixture = *state;
  const struct http_header bad[] = {
      {STR("X-A"), STR("b\r\nX-Evil: 1")},
      {STR("X-A"), STR("b\nc")},
      {STR("X A"), STR("b")},
      {STR(""), STR("b")},
      {STR("host"), STR("other")},
      {STR("Content-length"), STR("0")},
      {STR("Transfer-Encoding"), STR("chunked")},
  };
  for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
    struct test_call call;
    struct error err;
    test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
    call.params.headers = &bad[i];
    call.params.headers_len = 1;
    assert_null(http_client_start(fixture->client, &call.params, &err));
    assert_int_equal(err.code, ERR_INVALID);
  }
}

static void test_a_kept_connection_is_used_again(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  for (int i = 0; i < 3; i++) {
    test_call_run(fixture, &call);
    assert_answered(&call, 200, "ok");
    assert_int_equal(call.result.reused, i > 0);
    assert_int_equal(call.connected, 1);
  }
  assert_int_equal(fixture->receiver->accepted, 1);
}

static void test_chunked_answers(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->reply = "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  test_call_run(fixture, &call);
  assert_answered(&call, 202, "abcde");
  test_call_run(fixture, &call);
  assert_true(call.result.reused);
}

static void test_answers_that_end_with_the_connection(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->reply = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
  fixture->receiver->on_request = reply_and_close;
  test_call_run(fixture, &call);
  assert_answered(&call, 200, "until the end");
  assert_false(call.result.truncated);
  test_call_run(fixture, &call);
  assert_false(call.result.reused);
}

static void test_connection_close_is_obeyed(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->reply = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
  test_call_run(fixture, &call);
  assert_answered(&call, 204, "");
  assert_true(newest(fixture)->lost);
}

static void test_a_body_that_is_cut_short_counts_as_an_answer(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->reply = "HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf";
  fixture->receiver->on_request = reply_and_close;
  test_call_run(fixture, &call);
  assert_answered(&call, 500, "half");
  assert_true(call.result.truncated);
}

static void test_of_a_long_body_the_beginning_is_kept(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->reply = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
  test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
  call.params.keep_body_bytes = 4;
  test_call_start(fixture, &call);
  test_call_wait(fixture, &call);
  assert_answered(&call, 200, "0123");
  assert_true(call.result.truncated);
  test_call_run(fixture, &call);
  assert_true(call.result.reused); // it was read to its end
}

static void test_a_body_over_the_limit_closes_the_connection(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->reply = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n0123456789";
  test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
  call.params.read_body_bytes = 9;
  test_call_start(fixture, &call);
  test_call_wait(fixture, &call);
  assert_answered(&call, 200, "0123456789");
  assert_true(call.result.truncated);
  assert_true(newest(fixture)->lost);
}

static void test_an_answer_before_the_whole_request_is_taken(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  size_t size = 32 * 1024 * 1024; // more than the sockets hold
  char *body = calloc(1, size);
  assert_non_null(body);
  fixture->receiver->deaf = true;
  test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
  call.params.body = (struct str){body, size};
  test_call_start(fixture, &call);
  client_fixture_wait(fixture, &call.connected, 1);
  client_fixture_settle(fixture);
  assert_true(http_call_request_started(call.call));
  peer_send(newest(fixture), STR("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"));
  test_call_wait(fixture, &call);
  assert_answered(&call, 413, "");
  fixture->receiver->deaf = false;
  test_call_run(fixture, &call);
  assert_false(call.result.reused);
  free(body);
}

static void test_interim_answers_are_skipped(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->reply = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
                   "HTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\n!";
  test_call_run(fixture, &call);
  assert_answered(&call, 201, "!");
  test_call_run(fixture, &call);
  assert_true(call.result.reused);
}

static void test_a_flood_of_interim_answers_is_malformed(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  char reply[9 * 32] = "";
  for (int i = 0; i < 8; i++)
    memcpy(reply + strlen(reply), "HTTP/1.1 100 Continue\r\n\r\n", 26);
  char eight[sizeof reply + 64];
  (void)snprintf(eight, sizeof eight, "%sHTTP/1.1 204 No Content\r\n\r\n", reply);
  fixture->replies[0] = eight;
  test_call_run(fixture, &call);
  assert_answered(&call, 204, "");
  memcpy(reply + strlen(reply), "HTTP/1.1 100 Continue\r\n\r\n", 26);
  fixture->replies[1] = reply;
  test_call_run(fixture, &call);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_MALFORMED);
}

static void test_what_is_not_http_is_malformed(void **state) {
  struct client_fixture *fixture = *state;
  const char *const bad[] = {
      "SSH-2.0-OpenSSH_9.2\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
  };
  for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
    struct test_call call;
    fixture->reply = bad[i];
    test_call_run(fixture, &call);
    assert_int_equal(call.result.outcome, HTTP_OUTCOME_MALFORMED);
    assert_true(newest(fixture)->lost);
  }
  assert_int_equal(fixture->receiver->requests, ARRAY_LEN(bad)); // none is sent twice
}

static void test_a_connection_that_ends_before_an_answer(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->receiver->on_request = close_at_request;
  test_call_run(fixture, &call);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_CLOSED);
  assert_true(call.result.request_sent);
  fixture->receiver->on_request = reset_at_request;
  test_call_run(fixture, &call);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_CLOSED);
  fixture->reply = "HTTP/1.1 200 OK\r\nConten";
  fixture->receiver->on_request = reply_and_close;
  test_call_run(fixture, &call);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_CLOSED);
  assert_int_equal(fixture->receiver->requests, 3); // on new connections nothing is sent twice
}

static void test_no_first_byte_in_time(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  start_unanswered(fixture, &call);
  client_fixture_advance(fixture, 9999);
  assert_int_equal(call.done, 0);
  client_fixture_advance(fixture, 1);
  assert_int_equal(call.done, 1);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_TIMEOUT);
  assert_int_equal(call.result.timings.total_us, 10000 * US_PER_MS);
  client_fixture_settle(fixture);
  assert_true(newest(fixture)->lost);
}

static void test_a_trickling_head_runs_into_the_total_deadline(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  start_unanswered(fixture, &call);
  peer_send(newest(fixture), STR("HTTP/1.1 200 OK\r\nX-Slow: "));
  for (int i = 0; i < 29; i++) {
    client_fixture_advance(fixture, 1000);
    assert_int_equal(call.done, 0);
    peer_send(newest(fixture), STR("z"));
  }
  client_fixture_advance(fixture, 1000);
  assert_int_equal(call.done, 1);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_TIMEOUT);
}

static void test_a_trickling_body_leaves_the_status_to_decide(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  start_unanswered(fixture, &call);
  peer_send(newest(fixture), STR("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nslow"));
  client_fixture_settle(fixture);
  client_fixture_advance(fixture, 29999);
  assert_int_equal(call.done, 0);
  client_fixture_advance(fixture, 1);
  assert_answered(&call, 200, "slow");
  assert_true(call.result.truncated);
}

static void test_a_stale_connection_is_replaced_once(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  test_call_run(fixture, &call);
  // The peer closes just as the next request arrives, as servers do whose idle time is over.
  start_unanswered(fixture, &call);
  peer_close(newest(fixture));
  client_fixture_wait(fixture, &fixture->receiver->requests, 3);
  assert_int_equal(fixture->receiver->accepted, 2);
  reply_to_request(newest(fixture), fixture);
  test_call_wait(fixture, &call);
  assert_answered(&call, 200, "ok");
  assert_false(call.result.reused);
  assert_int_equal(call.connected, 1);
  assert_true(call.result.request_sent);
}

static void test_a_stale_connection_is_not_replaced_once_the_caller_forbids_it(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  test_call_run(fixture, &call);
  start_unanswered(fixture, &call);
  assert_true(http_call_request_started(call.call));
  http_call_once(call.call);
  peer_close(newest(fixture));
  test_call_wait(fixture, &call);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_CLOSED);
  assert_int_equal(fixture->receiver->requests, 2);
  assert_int_equal(fixture->receiver->accepted, 1);
}

static void test_a_request_is_sent_at_most_twice(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  test_call_run(fixture, &call);
  fixture->receiver->on_request = reset_at_request;
  test_call_run(fixture, &call);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_CLOSED);
  assert_int_equal(fixture->receiver->requests, 3);
}

static void test_a_reused_connection_that_began_to_answer_is_not_replaced(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  test_call_run(fixture, &call);
  fixture->reply = "HTTP/1.1 2";
  fixture->receiver->on_request = reply_and_close;
  test_call_run(fixture, &call);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_CLOSED);
  assert_int_equal(fixture->receiver->requests, 2);
}

static void test_an_idle_connection_that_the_peer_closed_is_dropped(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  test_call_run(fixture, &call);
  peer_close(newest(fixture));
  client_fixture_settle(fixture);
  test_call_run(fixture, &call);
  assert_answered(&call, 200, "ok");
  assert_false(call.result.reused);
  assert_int_equal(fixture->receiver->requests, 2);
}

static void test_an_idle_connection_that_speaks_is_dropped(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  test_call_run(fixture, &call);
  peer_send(newest(fixture), STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  client_fixture_settle(fixture);
  assert_true(newest(fixture)->lost);
  test_call_run(fixture, &call);
  assert_false(call.result.reused);
}

static void test_an_answer_with_more_behind_it_is_the_connections_last(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  test_call_run(fixture, &call);
  assert_answered(&call, 200, "ok");
  test_call_run(fixture, &call);
  assert_false(call.result.reused);
}

static void test_idle_connections_are_closed_in_time(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  test_call_run(fixture, &call);
  client_fixture_advance(fixture, 29999);
  assert_false(newest(fixture)->lost);
  client_fixture_advance(fixture, 1);
  assert_true(newest(fixture)->lost);
}

static void test_a_connection_is_not_used_for_ever(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  for (int i = 0; i < 15; i++) {
    test_call_run(fixture, &call);
    client_fixture_advance(fixture, 21000);
  }
  test_call_run(fixture, &call); // at 315 s
  assert_false(call.result.reused);
  assert_int_equal(fixture->receiver->accepted, 2);
}

static void test_idle_connections_are_bounded_per_address(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call calls[3];
  fixture->receiver->on_request = NULL;
  for (int i = 0; i < 3; i++) {
    test_call_init(&calls[i], "http", "127.0.0.1", fixture->receiver->port);
    test_call_start(fixture, &calls[i]);
  }
  client_fixture_wait(fixture, &fixture->receiver->requests, 3);
  for (int i = 0; i < 3; i++)
    peer_send(&fixture->receiver->peers[i], str_of(fixture->reply));
  for (int i = 0; i < 3; i++)
    test_call_wait(fixture, &calls[i]);
  int lost = 0;
  for (int i = 0; i < 3; i++)
    lost += fixture->receiver->peers[i].lost;
  assert_int_equal(lost, 1);
}

static void test_calls_are_bounded(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call calls[TEST_MAX_CALLS + 1];
  struct error err;
  for (int i = 0; i <= TEST_MAX_CALLS; i++)
    test_call_init(&calls[i], "http", "127.0.0.1", fixture->receiver->port);
  for (int i = 0; i < TEST_MAX_CALLS; i++)
    test_call_start(fixture, &calls[i]);
  assert_null(http_client_start(fixture->client, &calls[TEST_MAX_CALLS].params, &err));
  assert_int_equal(err.code, ERR_FULL);
  for (int i = 0; i < TEST_MAX_CALLS; i++)
    test_call_wait(fixture, &calls[i]);
  test_call_start(fixture, &calls[TEST_MAX_CALLS]);
  test_call_wait(fixture, &calls[TEST_MAX_CALLS]);
  assert_answered(&calls[TEST_MAX_CALLS], 200, "ok");
}

static void test_methods_without_a_body(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->reply = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
  test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
  call.params.method = STR("HEAD");
  call.params.body = STR_EMPTY;
  test_call_start(fixture, &call);
  test_call_wait(fixture, &call);
  assert_answered(&call, 200, "");
  assert_false(call.result.truncated);
  assert_null(strstr(fixture->receiver->last, "Content-Length"));
  test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
  call.params.body = STR_EMPTY;
  fixture->reply = "HTTP/1.1 204 No Content\r\n\r\n";
  test_call_start(fixture, &call);
  test_call_wait(fixture, &call);
  assert_non_null(strstr(fixture->receiver->last, "\r\nContent-Length: 0\r\n"));
  assert_true(call.result.reused);
}

static void test_a_large_body_arrives_whole(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  size_t size = 4 * 1024 * 1024;
  char *body = malloc(size);
  assert_non_null(body);
  memset(body, 'b', size);
  test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
  call.params.body = (struct str){body, size};
  test_call_start(fixture, &call);
  test_call_wait(fixture, &call);
  assert_answered(&call, 200, "ok");
  assert_int_equal(newest(fixture)->requests, 1);
  test_call_run(fixture, &call);
  assert_true(call.result.reused);
  free(body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_the_request_is_written_exactly),
      TEST(test_a_header_that_could_forge_the_message_is_refused),
      TEST(test_a_kept_connection_is_used_again),
      TEST(test_chunked_answers),
      TEST(test_answers_that_end_with_the_connection),
      TEST(test_connection_close_is_obeyed),
      TEST(test_a_body_that_is_cut_short_counts_as_an_answer),
      TEST(test_of_a_long_body_the_beginning_is_kept),
      TEST(test_a_body_over_the_limit_closes_the_connection),
      TEST(test_an_answer_before_the_whole_request_is_taken),
      TEST(test_interim_answers_are_skipped),
      TEST(test_a_flood_of_interim_answers_is_malformed),
      TEST(test_what_is_not_http_is_malformed),
      TEST(test_a_connection_that_ends_before_an_answer),
      TEST(test_no_first_byte_in_time),
      TEST(test_a_trickling_head_runs_into_the_total_deadline),
      TEST(test_a_trickling_body_leaves_the_status_to_decide),
      TEST(test_a_stale_connection_is_replaced_once),
      TEST(test_a_stale_connection_is_not_replaced_once_the_caller_forbids_it),
      TEST(test_a_request_is_sent_at_most_twice),
      TEST(test_a_reused_connection_that_began_to_answer_is_not_replaced),
      TEST(test_an_idle_connection_that_the_peer_closed_is_dropped),
      TEST(test_an_idle_connection_that_speaks_is_dropped),
      TEST(test_an_answer_with_more_behind_it_is_the_connections_last),
      TEST(test_idle_connections_are_closed_in_time),
      TEST(test_a_connection_is_not_used_for_ever),
      TEST(test_idle_connections_are_bounded_per_address),
      TEST(test_calls_are_bounded),
      TEST(test_methods_without_a_body),
      TEST(test_a_large_body_arrives_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
