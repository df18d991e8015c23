// SPDX-License-Identifier: Apache-2.0
// Answers that come bit by bit: what is on the wire, and every way in which one ends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "support/server_fixture.h"

static void on_closed(void *ctx) {
  int *closed = ctx;
  ++*closed;
}

// A request that waits, answered with the head of a stream that has an end of its own.
static struct http_request *begin(struct world *world, struct caller *client, const char *request, int *closed) {
  const struct http_stream_handler handler = {.ctx = closed, .on_closed = on_closed};
  struct error err;
  *closed = 0;
  world->defer = true;
  caller_open(world, client);
  caller_send_c(world, client, request);
  world_await_requests(world, world->requests + 1);
  struct http_request *waiting = world->waiting[world->requests - 1];
  const struct http_response response = {.status = 200, .content_type = "text/event-stream"};
  assert_int_equal(http_respond_stream(waiting, &response, &handler, &err), 0);
  return waiting;
}

static void put(struct http_request *request, const char *text) {
  struct error err;
  assert_int_equal(http_stream_write(request, str_of(text), &err), 0);
}

#define GET "GET /s HTTP/1.1\r\nHost: h\r\n\r\n"

static void test_chunks_leave_as_they_are_written_and_the_connection_is_kept(void **state) {
  struct world *world = *state;
  struct caller client;
  int closed;
  struct http_request *request = begin(world, &client, GET, &closed);
  caller_await(world, &client, "\r\n\r\n");
  assert_true(caller_got(&client, "Transfer-Encoding: chunked\r\n"));
  assert_false(caller_got(&client, "Content-Length"));
  put(request, "hello");
  put(request, ""); // nothing, and not the end
  caller_await(world, &client, "5\r\nhello\r\n");
  put(request, "0123456789abcdef!");
  caller_await(world, &client, "11\r\n0123456789abcdef!\r\n");
  assert_int_equal(world->answered, 0);
  http_stream_end(request);
  caller_await(world, &client, "\r\n0\r\n\r\n");
  assert_int_equal(world->answered, 1);
  assert_int_equal(world->last_status, 200);
  assert_int_equal(closed, 0);
  world->defer = false;
  caller_send_c(world, &client, GET);
  caller_await(world, &client, "done\n");
  caller_close(&client);
}

static void test_http_1_0_reads_to_the_end_of_the_connection(void **state) {
  struct world *world = *state;
  struct caller client;
  int closed;
  struct http_request *request = begin(world, &client, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &closed);
  put(request, "hello");
  caller_await(world, &client, "\r\n\r\nhello");
  assert_false(caller_got(&client, "chunked"));
  http_stream_end(request);
  caller_await_end(world, &client);
  assert_int_equal(world->answered, 1);
  caller_close(&client);
}

static void test_a_request_that_came_early_is_answered_after_the_stream(void **state) {
  struct world *world = *state;
  struct caller client;
  int closed;
  struct http_request *request = begin(world, &client, GET GET, &closed);
  put(request, "x");
  caller_await(world, &client, "1\r\nx\r\n");
  assert_int_equal(world->requests, 1);
  world->defer = false;
  http_stream_end(request);
  caller_await(world, &client, "done\n");
  assert_int_equal(world->answered, 2);
  caller_close(&client);
}

static void test_a_client_that_goes_is_told(void **state) {
  struct world *world = *state;
  struct caller client;
  int closed;
  (void)begin(world, &client, GET, &closed);
  caller_await(world, &client, "\r\n\r\n");
  caller_close(&client);
  for (int i = 0; i < MAX_ROUNDS && closed == 0; i++)
    (void)loop_step(world->loop, 1);
  assert_int_equal(closed, 1);
  assert_int_equal(world->answered, 1);
  assert_int_equal(http_server_connections(world->server), 0);
}

// Writes until the server refuses, which must be long before memory would hurt.
static size_t fill(struct world *world, struct http_request *request) {
  static char piece[8 * 1024];
  struct error err;
  size_t written = 0;
  while (http_stream_write(request, (struct str){piece, sizeof piece}, &err) == 0) {
    written += sizeof piece;
    assert_true(written < 64 * 1024 * 1024);
    world_settle(world);
  }
  assert_int_equal(err.code, ERR_FULL);
  return written;
}

static void test_a_client_that_takes_nothing_is_refused_more_and_cut(void **state) {
  struct world *world = *state;
  struct caller client;
  int closed;
  struct http_request *request = begin(world, &client, GET, &closed);
  (void)fill(world, request);
  assert_int_equal(closed, 0);
  world_advance_ms(world, 30001); // write_timeout_ms
  assert_int_equal(closed, 1);
  assert_int_equal(http_server_connections(world->server), 0);
  caller_close(&client);
}

static void test_slow_clients_share_one_budget(void **state) {
  struct world *world = *state;
  struct caller slow, other;
  static char piece[8 * 1024];
  struct error err;
  int closed, other_closed;
  (void)fill(world, begin(world, &slow, GET, &closed));
  struct http_request *request = begin(world, &other, GET, &other_closed);
  caller_await(world, &other, "\r\n\r\n");
  size_t waiting = 0;
  while (http_stream_write(request, (struct str){piece, sizeof piece}, &err) == 0)
    waiting = http_stream_waiting(request);
  assert_int_equal(err.code, ERR_FULL);
  assert_true(waiting <= BUDGET_BYTES - (HTTP_STREAM_MAX_PENDING_BYTES - 2 * sizeof piece));
  caller_close(&slow); // its share is free again
  for (int i = 0; i < MAX_ROUNDS && closed == 0; i++)
    (void)loop_step(world->loop, 1);
  assert_int_equal(http_stream_write(request, (struct str){piece, sizeof piece}, &err), 0);
  http_stream_end(request);
  caller_await(world, &other, "\r\n0\r\n\r\n");
  caller_close(&other);
}

static void test_a_client_that_takes_again_goes_on(void **state) {
  struct world *world = *state;
  struct caller client;
  int closed;
  struct http_request *request = begin(world, &client, GET, &closed);
  (void)fill(world, request);
  for (int i = 0; i < MAX_ROUNDS; i++) {
    struct error err;
    buf_clear(&client.got);
    caller_read(&client);
    world_settle(world);
    if (http_stream_write(request, STR("the last"), &err) == 0)
      break;
    assert_true(i + 1 < MAX_ROUNDS);
  }
  http_stream_end(request);
  for (int i = 0; i < MAX_ROUNDS && !caller_got(&client, "the last\r\n0\r\n\r\n"); i++) {
    if (client.got.len > 1024)
      buf_consume(&client.got, client.got.len - 1024); // room for more; the end is looked for in what is left
    caller_read(&client);
    (void)loop_step(world->loop, 1);
  }
  assert_true(caller_got(&client, "the last\r\n0\r\n\r\n"));
  assert_int_equal(closed, 0);
  caller_close(&client);
}

static void on_drained(void *ctx) {
  ((struct world *)ctx)->drained = true;
}

static void await_drained(struct world *world) {
  for (int i = 0; i < MAX_ROUNDS && !world->drained; i++)
    (void)loop_step(world->loop, 1);
  assert_true(world->drained);
}

static void end_on_drain(void *ctx) {
  struct http_request **request = ctx;
  http_stream_end(*request);
}

static void test_draining_asks_endless_streams_to_end_and_begins_none(void **state) {
  struct world *world = *state;
  struct caller client, late;
  struct http_request *request = NULL;
  struct error err;
  const struct http_stream_handler handler = {.ctx = &request, .on_closed = on_closed, .on_drain = end_on_drain};
  const struct http_response head = {.status = 200};
  world->defer = true;
  caller_open(world, &client);
  caller_send_c(world, &client, GET);
  world_await_requests(world, 1);
  request = world->waiting[0];
  assert_int_equal(http_respond_stream(request, &head, &handler, &err), 0);
  put(request, "x");
  caller_open(world, &late);
  caller_send_c(world, &late, GET);
  world_await_requests(world, 2);
  http_server_drain(world->server, on_drained, world);
  caller_await(world, &client, "1\r\nx\r\n0\r\n\r\n");
  caller_await_end(world, &client);
  assert_int_equal(http_respond_stream(world->waiting[1], &head, &handler, &err), ERR_UNAVAILABLE);
  world_answer(world, world->waiting[1]);
  caller_await_end(world, &late);
  await_drained(world);
  caller_close(&client);
  caller_close(&late);
}

// A body that is cut must not look whole: who has to send one to its end is given the time for it.
static void test_draining_lets_a_body_come_to_its_end(void **state) {
  struct world *world = *state;
  struct caller client;
  int closed;
  struct http_request *request = begin(world, &client, GET, &closed);
  put(request, "first");
  http_server_drain(world->server, on_drained, world);
  caller_await(world, &client, "first\r\n");
  assert_false(caller_got(&client, "\r\n0\r\n"));
  put(request, "last");
  http_stream_end(request);
  caller_await(world, &client, "last\r\n0\r\n\r\n");
  caller_await_end(world, &client);
  await_drained(world);
  assert_int_equal(closed, 0);
  caller_close(&client);
}

static void test_a_cut_body_has_no_end(void **state) {
  struct world *world = *state;
  struct caller client;
  int closed;
  (void)begin(world, &client, GET, &closed);
  caller_await(world, &client, "\r\n\r\n");
  http_server_free(world->server);
  world->server = NULL;
  assert_int_equal(closed, 1);
  caller_await_end(world, &client);
  assert_false(caller_got(&client, "0\r\n\r\n"));
  caller_close(&client);
}

static void test_head_gets_the_head_alone(void **state) {
  struct world *world = *state;
  struct caller client;
  int closed;
  struct http_request *request = begin(world, &client, "HEAD /s HTTP/1.1\r\nHost: h\r\n\r\n", &closed);
  put(request, "not for you");
  caller_await(world, &client, "\r\n\r\n");
  put(request, "nor this");
  http_stream_end(request);
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "Connection: close\r\n"));
  assert_true(str_ends(buf_str(&client.got), STR("\r\n\r\n")));
  assert_int_equal(caller_count(&client, "\r\n\r\n"), 1);
  assert_int_equal(world->answered, 1);
  caller_close(&client);
}

// A body far larger than what may wait: each byte once and in order, however the client reads.
static void test_a_large_body_arrives_whole(void **state) {
  struct world *world = *state;
  struct caller client;
  static char piece[10 * 1024];
  int closed;
  struct error err;
  size_t written = 0, read = 0;
  struct http_request *request = begin(world, &client, "GET /s HTTP/1.0\r\n\r\n", &closed);
  caller_await(world, &client, "\r\n\r\n");
  buf_clear(&client.got); // the head, and nothing was written yet
  while (!client.ended) {
    for (size_t i = 0; i < sizeof piece; i++)
      piece[i] = (char)((written + i) % 251);
    if (written < 8 * 1024 * 1024 && http_stream_write(request, (struct str){piece, sizeof piece}, &err) == 0)
      written += sizeof piece;
    else
      caller_read(&client);
    for (size_t i = 0; i < client.got.len; i++)
      assert_int_equal((uint8_t)client.got.ptr[i], (read + i) % 251);
    read += client.got.len;
    buf_clear(&client.got);
    (void)loop_step(world->loop, 0);
    if (written >= 8 * 1024 * 1024 && request) {
      http_stream_end(request);
      request = NULL;
    }
  }
  assert_int_equal(read, written);
  caller_close(&client);
}

static void test_an_idle_stream_is_not_timed_out(void **state) {
  struct world *world = *state;
  struct caller client;
  int closed;
  struct http_request *request = begin(world, &client, GET, &closed);
  caller_await(world, &client, "\r\n\r\n");
  world_settle(world);
  world_advance_ms(world, 3600 * 1000);
  assert_int_equal(closed, 0);
  put(request, "still here");
  caller_await(world, &client, "still here");
  http_stream_end(request);
  caller_await(world, &client, "0\r\n\r\n");
  caller_close(&client);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
      TEST(test_chunks_leave_as_they_are_written_and_the_connection_is_kept),
      TEST(test_http_1_0_reads_to_the_end_of_the_connection),
      TEST(test_a_request_that_came_early_is_answered_after_the_stream),
      TEST(test_a_client_that_goes_is_told),
      TEST(test_a_client_that_takes_nothing_is_refused_more_and_cut),
      TEST(test_slow_clients_share_one_budget),
      TEST(test_a_client_that_takes_again_goes_on),
      TEST(test_draining_asks_endless_streams_to_end_and_begins_none),
      TEST(test_draining_lets_a_body_come_to_its_end),
      TEST(test_a_cut_body_has_no_end),
      TEST(test_head_gets_the_head_alone),
      TEST(test_a_large_body_arrives_whole),
      TEST(test_an_idle_stream_is_not_timed_out),
#undef TEST
  };
  return cmocka_run_group_tests_name("http_stream", tests, NULL, NULL);
}
