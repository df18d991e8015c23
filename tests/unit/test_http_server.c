// SPDX-License-Identifier: Apache-2.0
// What the HTTP server says and in which order: answers, kept connections, pipelining, ends of connections, TLS.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "support/pki.h"
#include "support/server_fixture.h"

enum { TLS_READ_BYTES = 16 * 1024 };

static void test_answers_with_its_standing_headers(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send_c(world, &client,
                "POST /a?b HTTP/1.1\r\nHost: h\r\nX-Request-Id: abc-1\r\nContent-Length: 5\r\n\r\nhello");
  caller_await(world, &client, "done\n");
  assert_true(str_eq_c(buf_str(&client.got), "HTTP/1.1 201 Created\r\n"
                                             "Date: Sat, 18 Jul 2026 08:00:00 GMT\r\n"
                                             "X-Request-Id: abc-1\r\n"
                                             "X-Content-Type-Options: nosniff\r\n"
                                             "Content-Type: text/plain\r\n"
                                             "Content-Length: 5\r\n\r\ndone\n"));
  assert_int_equal(world->last_body_len, 5);
  assert_memory_equal(world->last_body, "hello", 5);
  assert_int_equal(world->answered, 1);
  caller_close(&client);
}

static void test_unsafe_request_id_is_replaced(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send_c(world, &client, "GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: a b<script>\r\n\r\n");
  caller_await(world, &client, "done\n");
  assert_false(caller_got(&client, "script"));
  struct str id = str_from(buf_str(&client.got), 0);
  ptrdiff_t at = 0;
  while (!str_starts_c(str_from(id, (size_t)at), "X-Request-Id: "))
    at++;
  struct uuid uuid;
  assert_true(uuid_read(str_slice(id, (size_t)at + 14, (size_t)at + 50), &uuid));
  caller_close(&client);
}

static void test_connection_is_kept_and_ends_after_its_idle_time(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  for (size_t i = 1; i <= 3; i++) {
    caller_send_c(world, &client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    world_await_requests(world, i);
    world_advance_ms(world, 70000); // each answer starts the 75 s anew
  }
  caller_read(&client);
  assert_int_equal(caller_count(&client, "201 Created"), 3);
  assert_false(client.ended);
  assert_int_equal(http_server_connections(world->server), 1);
  world_advance_ms(world, 5001);
  caller_await_end(world, &client);
  assert_int_equal(http_server_connections(world->server), 0);
  caller_close(&client);
}

static void test_head_is_answered_without_body(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send_c(world, &client, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
  caller_await(world, &client, "\r\n\r\n");
  world_settle(world);
  caller_read(&client);
  assert_true(caller_got(&client, "Content-Length: 5\r\n"));
  assert_false(caller_got(&client, "done"));
  caller_close(&client);
}

static void test_http_1_0_closes_unless_asked(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send_c(world, &client, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  caller_await(world, &client, "done\n");
  assert_true(caller_got(&client, "Connection: keep-alive\r\n"));
  buf_clear(&client.got);
  caller_send_c(world, &client, "GET / HTTP/1.0\r\n\r\n");
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "Connection: close\r\n"));
  assert_true(caller_got(&client, "done\n"));
  caller_close(&client);
}

static void test_chunked_body_arrives_whole(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send_c(world, &client, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  world_settle(world);
  caller_send_c(world, &client, "2;x=y\r\nde\r\n0\r\n\r\n");
  caller_await(world, &client, "done\n");
  assert_int_equal(world->last_body_len, 5);
  assert_memory_equal(world->last_body, "abcde", 5);
  caller_close(&client);
}

static void test_pipelined_requests_wait_their_turn(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  world->defer = true;
  caller_send_c(world, &client,
                "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1"
                "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n2"
                "POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n");
  world_await_requests(world, 1);
  caller_send_c(world, &client, "3"); // what comes later must stay behind what was read before
  world_settle(world);
  assert_int_equal(world->requests, 1);
  world->answer = STR("first");
  world_answer(world, world->waiting[0]);
  world_await_requests(world, 2);
  assert_memory_equal(world->last_body, "2", 1);
  world->defer = false;
  world->answer = STR("second");
  world_answer(world, world->waiting[1]);
  world->answer = STR("third");
  caller_await(world, &client, "third");
  assert_int_equal(world->requests, 3);
  assert_memory_equal(world->last_body, "3", 1);
  assert_int_equal(caller_count(&client, "201 Created"), 3);
  caller_close(&client);
}

static void test_half_closed_client_gets_its_answer(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  world->defer = true;
  caller_send_c(world, &client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
  world_await_requests(world, 1);
  world_settle(world);
  world_answer(world, world->waiting[0]);
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "done\n"));
  caller_close(&client);
}

static void test_truncated_request_is_told_so(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send_c(world, &client, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
  assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.1 400 "));
  assert_true(caller_got(&client, "on [/x]: the request ended"));
  assert_int_equal(world->requests, 0);
  caller_close(&client);
}

static void test_expecting_client_is_told_to_continue(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send_c(world, &client, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  caller_await(world, &client, "HTTP/1.1 100 Continue\r\n\r\n");
  caller_send_c(world, &client, "ok");
  caller_await(world, &client, "done\n");
  buf_clear(&client.got);
  caller_send_c(world, &client,
                "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n");
  caller_await(world, &client, "HTTP/1.1 413 ");
  assert_false(caller_got(&client, "100 Continue"));
  caller_close(&client);
}

static void test_two_lengths_are_400_and_end_the_connection(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send_c(world, &client,
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
                "xGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
  caller_await_end(world, &client);
  assert_int_equal(caller_count(&client, "HTTP/1.1 "), 1);
  assert_true(caller_got(&client, "HTTP/1.1 400 "));
  assert_int_equal(world->requests, 0);
  caller_close(&client);
}

static void test_tls_hello_on_the_plain_port_gets_words(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send(world, &client, (struct str){"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11});
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.0 400 Bad Request\r\n"));
  assert_true(caller_got(&client, "port that speaks plain HTTP"));
  caller_close(&client);
}

static void on_drained(void *ctx) {
  struct world *world = ctx;
  world->drained = true;
}

static void test_drain_closes_the_idle_and_finishes_the_rest(void **state) {
  struct world *world = *state;
  struct caller idle, busy;
  caller_open(world, &idle);
  caller_send_c(world, &idle, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  caller_await(world, &idle, "done\n");
  world->defer = true;
  caller_open(world, &busy);
  caller_send_c(world, &busy, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world_await_requests(world, 2);
  http_server_drain(world->server, on_drained, world);
  caller_await_end(world, &idle);
  world_settle(world);
  assert_false(world->drained);
  world_answer(world, world->waiting[1]);
  caller_await_end(world, &busy);
  assert_true(caller_got(&busy, "Connection: close\r\n"));
  assert_true(caller_got(&busy, "done\n"));
  world_settle(world);
  assert_true(world->drained);
  caller_close(&idle);
  caller_close(&busy);
}

// The head has promised to keep the connection: nobody must wait for a next request all the same.
static void test_drain_ends_a_connection_whose_answer_is_still_being_written(void **state) {
  struct world *world = *state;
  struct caller client;
  size_t size = (size_t)16 << 20;
  char *body = calloc(1, size);
  world->answer = (struct str){body, size};
  caller_open(world, &client);
  caller_send_c(world, &client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world_await_requests(world, 1);
  world_settle(world);
  http_server_drain(world->server, on_drained, world);
  world_settle(world);
  assert_false(world->drained);
  caller_await_end(world, &client);
  assert_true(client.got.len > size);
  world_settle(world);
  assert_true(world->drained);
  caller_close(&client);
  free(body);
}

static void test_client_that_is_gone_does_not_hurt_its_request(void **state) {
  struct world *world = *state;
  struct caller client;
  const struct linger reset = {.l_onoff = 1};
  world->defer = true;
  caller_open(world, &client);
  caller_send_c(world, &client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world_await_requests(world, 1);
  assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
  caller_close(&client); // a reset
  world_settle(world);
  assert_true(str_eq_c(world->waiting[0]->head->path, "/"));
  world_answer(world, world->waiting[0]);
  world_settle(world);
  assert_int_equal(world->answered, 1);
  assert_int_equal(http_server_connections(world->server), 0);
}

static void test_headers_that_would_break_the_answer_are_dropped(void **state) {
  struct world *world = *state;
  struct caller client;
  world->bad_headers = true;
  caller_open(world, &client);
  caller_send_c(world, &client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  caller_await(world, &client, "done\n");
  assert_true(caller_got(&client, "X-Good: yes\r\n"));
  assert_false(caller_got(&client, "Set-Cookie"));
  assert_int_equal(caller_count(&client, "Content-Length"), 1);
  caller_close(&client);
}

static struct tls_server *tls_server_of(struct pki *pki) {
  struct error err;
  struct str chain, key;
  pki_issue(pki, "DNS:server.example", &chain, &key);
  struct tls_server *tls = tls_server_new(chain, key, &err);
  assert_non_null(tls);
  return tls;
}

// One side of the conversation over TLS; the server runs between the turns.
static struct stream *tls_open(struct world *world, struct caller *client, struct tls_client *trust) {
  struct error err;
  caller_open(world, client);
  struct stream *stream = stream_new_client(client->fd, trust, STR("server.example"), true, NULL, &err);
  assert_non_null(stream);
  client->fd = -1; // the stream's now
  enum stream_result result = STREAM_WANT_READ;
  for (int i = 0; i < MAX_ROUNDS && result != STREAM_OK; i++) {
    result = stream_handshake(stream, &err);
    assert_int_not_equal(result, STREAM_FAILED);
    loop_step(world->loop, 1);
  }
  assert_int_equal(result, STREAM_OK);
  return stream;
}

static void tls_send(struct world *world, struct stream *stream, struct str data) {
  struct error err;
  for (int i = 0; i < MAX_ROUNDS && data.len > 0; i++) {
    size_t written;
    assert_int_not_equal(stream_write(stream, data, &written, &err), STREAM_FAILED);
    data = str_from(data, written);
    loop_step(world->loop, 0);
  }
  assert_int_equal(data.len, 0);
}

static void tls_await(struct world *world, struct caller *client, struct stream *stream, const char *text) {
  struct error err;
  for (int i = 0; i < MAX_ROUNDS && !caller_got(client, text); i++) {
    size_t n;
    char *to = buf_reserve(&client->got, TLS_READ_BYTES);
    assert_non_null(to);
    assert_int_not_equal(stream_read(stream, to, TLS_READ_BYTES, &n, &err), STREAM_FAILED);
    buf_added(&client->got, n);
    if (n == 0)
      loop_step(world->loop, 1);
  }
  assert_true(caller_got(client, text));
}

static void test_tls_carries_large_and_pipelined_requests_over_a_change_of_certificates(void **state) {
  struct world *world = *state;
  struct error err;
  struct caller client, next;
  struct pki *pki = pki_new();
  struct tls_server *first = tls_server_of(pki);
  struct tls_server *second = tls_server_of(pki);
  struct tls_client *trust = tls_client_new(pki_ca_pem(pki), &err);
  assert_non_null(trust);
  http_server_set_tls(world->server, first);
  struct stream *stream = tls_open(world, &client, trust);
  http_server_set_tls(world->server, second); // as on SIGHUP
  tls_server_free(first);

  static char body[200 * 1024];
  memset(body, 'x', sizeof body);
  tls_send(world, stream, STR("POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 204800\r\n\r\n"));
  tls_send(world, stream, (struct str){body, sizeof body});
  tls_await(world, &client, stream, "done\n");
  assert_int_equal(world->last_body_len, sizeof body);
  // Two requests in two records that come at once: the second lies in OpenSSL, not in the socket, when the first is
  // answered.
  size_t written;
  world->defer = true;
  struct str a = STR("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  assert_int_equal(stream_write(stream, a, &written, &err), STREAM_OK);
  assert_int_equal(stream_write(stream, a, &written, &err), STREAM_OK);
  world_await_requests(world, 2);
  world_settle(world);
  world->answer = STR("answer a");
  world_answer(world, world->waiting[1]);
  tls_await(world, &client, stream, "answer a");
  world_await_requests(world, 3);
  world->answer = STR("answer b");
  world_answer(world, world->waiting[2]);
  tls_await(world, &client, stream, "answer b");

  struct stream *other = tls_open(world, &next, trust);
  world->defer = false;
  tls_send(world, other, STR("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  tls_await(world, &next, other, "answer b");
  stream_free(stream);
  stream_free(other);
  world_settle(world);
  assert_int_equal(http_server_connections(world->server), 0);
  http_server_set_tls(world->server, NULL);
  tls_server_free(second);
  tls_client_free(trust);
  caller_close(&client);
  caller_close(&next);
  pki_free(pki);
}

static void test_plain_http_on_the_tls_port_gets_words(void **state) {
  struct world *world = *state;
  struct caller client;
  struct pki *pki = pki_new();
  struct tls_server *tls = tls_server_of(pki);
  http_server_set_tls(world->server, tls);
  caller_open(world, &client);
  caller_send_c(world, &client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.0 400 Bad Request\r\n"));
  assert_true(caller_got(&client, "Use https://"));
  caller_close(&client);
  http_server_set_tls(world->server, NULL);
  tls_server_free(tls);
  pki_free(pki);
}

static void test_tls_client_that_says_nothing_is_closed(void **state) {
  struct world *world = *state;
  struct caller client;
  struct pki *pki = pki_new();
  struct tls_server *tls = tls_server_of(pki);
  http_server_set_tls(world->server, tls);
  caller_open(world, &client);
  world_settle(world);
  assert_int_equal(http_server_connections(world->server), 1);
  world_advance_ms(world, 10001);
  caller_await_end(world, &client);
  caller_close(&client);
  http_server_set_tls(world->server, NULL);
  tls_server_free(tls);
  pki_free(pki);
}

#define HELD(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      HELD(test_answers_with_its_standing_headers),
      HELD(test_unsafe_request_id_is_replaced),
      HELD(test_connection_is_kept_and_ends_after_its_idle_time),
      HELD(test_head_is_answered_without_body),
      HELD(test_http_1_0_closes_unless_asked),
      HELD(test_chunked_body_arrives_whole),
      HELD(test_pipelined_requests_wait_their_turn),
      HELD(test_half_closed_client_gets_its_answer),
      HELD(test_truncated_request_is_told_so),
      HELD(test_expecting_client_is_told_to_continue),
      HELD(test_two_lengths_are_400_and_end_the_connection),
      HELD(test_tls_hello_on_the_plain_port_gets_words),
      HELD(test_drain_closes_the_idle_and_finishes_the_rest),
      HELD(test_drain_ends_a_connection_whose_answer_is_still_being_written),
      HELD(test_client_that_is_gone_does_not_hurt_its_request),
      HELD(test_headers_that_would_break_the_answer_are_dropped),
      HELD(test_tls_carries_large_and_pipelined_requests_over_a_change_of_certificates),
      HELD(test_plain_http_on_the_tls_port_gets_words),
      HELD(test_tls_client_that_says_nothing_is_closed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
