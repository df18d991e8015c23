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

// A request that waits, answered with the head of a stream.
static struct http_request *begin(struct world *world, struct caller *client, const char *request, int *closed) {
  const struct http_stream_handler handler = {closed, on_closed};
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

static void test_draining_ends_streams_at_once_and_begins_none(void **state) {
  struct world *world = *state;
  struct caller client, late;
  int closed, never;
  struct error err;
  struct http_request *request = begin(world, &client, GET, &closed);
  put(request, "x");
  caller_open(world, &late);
  caller_send_c(world, &late, GET);
  world_await_requests(world, 2);
  http_server_drain(world->server, on_drained, world);
  assert_int_equal(closed, 1);
  caller_await(world, &client, "1\r\nx\r\n0\r\n\r\n");
  caller_await_end(world, &client);
  const struct http_stream_handler handler = {&never, on_closed};
  assert_int_equal(http_respond_stream(world->waiting[1], &(struct http_response){.status = 200}, &handler, &err),
                   ERR_UNAVAILABLE);
  world_answer(world, world->waiting[1]);
  caller_await_end(world, &late);
  for (int i = 0; i < MAX_ROUNDS && !world->drained; i++)
    (void)loop_step(world->loop, 1);
  assert_true(world->drained);
  caller_close(&client);
  caller_close(&late);
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
      TEST(test_a_client_that_takes_again_goes_on),
      TEST(test_draining_ends_streams_at_once_and_begins_none),
      TEST(test_an_idle_stream_is_not_timed_out),
#undef TEST
  };
  return cmocka_run_group_tests_name("http_stream", tests, NULL, NULL);
}
