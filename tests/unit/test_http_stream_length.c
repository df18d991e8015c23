// SPDX-License-Identifier: Apache-2.0
// Answers that come bit by bit with a length that was announced: framing, bodies that never will be complete, and how the
// handler learns that the client has taken what was written.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/server_fixture.h"

struct streamer {
  struct http_request *request;
  int closed, taken;
  bool end_when_taken;
};

static void on_closed(void *ctx) {
  ((struct streamer *)ctx)->closed++;
}

static void on_taken(void *ctx) {
  struct streamer *streamer = ctx;
  streamer->taken++;
  if (streamer->end_when_taken)
    http_stream_end(streamer->request);
}

static void respond(struct streamer *streamer, const struct http_response *response) {
  const struct http_stream_handler handler = {.ctx = streamer, .on_closed = on_closed, .on_taken = on_taken};
  struct error err;
  assert_int_equal(http_respond_stream(streamer->request, response, &handler, &err), 0);
}

static void begin(struct world *world, struct caller *client, const char *request, struct streamer *streamer,
                  const struct http_response *response) {
  *streamer = (struct streamer){0};
  world->defer = true;
  caller_open(world, client);
  caller_send_c(world, client, request);
  world_await_requests(world, world->requests + 1);
  streamer->request = world->waiting[world->requests - 1];
  respond(streamer, response);
}

static void put(struct streamer *streamer, struct str data) {
  struct error err;
  assert_int_equal(http_stream_write(streamer->request, data, &err), 0);
}

static void await(struct world *world, const int *count, int least) {
  for (int i = 0; i < MAX_ROUNDS && *count < least; i++)
    (void)loop_step(world->loop, 1);
  assert_true(*count >= least);
}

static void await_reset(struct world *world, struct caller *client) {
  for (int i = 0; i < MAX_ROUNDS && !client->ended; i++) {
    loop_step(world->loop, 1);
    caller_read(client);
  }
  assert_true(client->reset);
}

static void assert_served_again(struct world *world, struct caller *client) {
  world->defer = false;
  caller_send_c(world, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  caller_await(world, client, "done\n");
}

#define GET "GET /s HTTP/1.1\r\nHost: h\r\n\r\n"
static const struct http_response eleven = {.status = 200, .has_length = true, .length = 11};

static void test_an_announced_length_needs_no_chunks_and_keeps_the_connection(void **state) {
  struct world *world = *state;
  static const char *const requests[] = {GET, "GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"};
  for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
    struct caller client;
    struct streamer streamer;
    begin(world, &client, requests[i], &streamer, &eleven);
    put(&streamer, STR("hello "));
    put(&streamer, STR("world"));
    http_stream_end(streamer.request);
    caller_await(world, &client, "\r\n\r\nhello world");
    assert_true(caller_got(&client, "Content-Length: 11\r\n"));
    assert_false(caller_got(&client, "chunked"));
    assert_int_equal(streamer.closed, 0);
    assert_served_again(world, &client);
    caller_close(&client);
  }
}

static void test_a_body_that_was_taken_before_its_end_keeps_the_connection(void **state) {
  struct world *world = *state;
  struct caller client;
  struct streamer streamer;
  begin(world, &client, GET, &streamer, &eleven);
  put(&streamer, STR("hello world"));
  caller_await(world, &client, "hello world");
  await(world, &streamer.taken, 1);
  http_stream_end(streamer.request);
  assert_int_equal(world->answered, 1);
  assert_served_again(world, &client);
  caller_close(&client);
}

static void test_a_body_that_ends_short_is_reset(void **state) {
  struct world *world = *state;
  struct caller client;
  struct streamer streamer;
  begin(world, &client, GET, &streamer, &eleven);
  put(&streamer, STR("hello"));
  caller_await(world, &client, "hello");
  http_stream_end(streamer.request);
  await_reset(world, &client);
  assert_int_equal(streamer.closed, 0);
  assert_int_equal(world->answered, 1);
  caller_close(&client);
}

static void test_more_than_was_announced_is_refused(void **state) {
  struct world *world = *state;
  struct caller client;
  struct streamer streamer;
  struct error err;
  begin(world, &client, GET, &streamer, &eleven);
  put(&streamer, STR("hello "));
  assert_int_equal(http_stream_write(streamer.request, STR("world!"), &err), ERR_INTERNAL);
  put(&streamer, STR("world"));
  http_stream_end(streamer.request);
  caller_await(world, &client, "hello world");
  caller_close(&client);
}

static void test_an_aborted_answer_is_reset_whatever_its_framing(void **state) {
  struct world *world = *state;
  static const struct http_response chunked = {.status = 200};
  const struct {
    const char *request;
    const struct http_response *response;
  } cases[] = {{GET, &eleven}, {GET, &chunked}, {"GET /s HTTP/1.0\r\n\r\n", &chunked}};
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct caller client;
    struct streamer streamer;
    begin(world, &client, cases[i].request, &streamer, cases[i].response);
    put(&streamer, STR("hello"));
    caller_await(world, &client, "hello");
    http_stream_abort(streamer.request);
    await_reset(world, &client);
    assert_int_equal(streamer.closed, 0);
    assert_int_equal(world->answered, (int)i + 1);
    assert_int_equal(http_server_connections(world->server), 0);
    caller_close(&client);
  }
}

static void test_what_ends_with_its_connection_is_reset_when_the_server_ends_it(void **state) {
  struct world *world = *state;
  struct caller client;
  struct streamer streamer;
  static const struct http_response endless = {.status = 200};
  begin(world, &client, "GET /s HTTP/1.0\r\n\r\n", &streamer, &endless);
  put(&streamer, STR("hello"));
  caller_await(world, &client, "hello");
  http_server_free(world->server);
  world->server = NULL;
  assert_int_equal(streamer.closed, 1);
  await_reset(world, &client);
  caller_close(&client);
}

static void test_heads_alone_announce_the_length_and_keep_the_connection(void **state) {
  struct world *world = *state;
  static const struct http_response unchanged = {.status = 304, .has_length = true, .length = 11};
  static const struct http_response nothing = {.status = 204};
  const struct {
    const char *request;
    const struct http_response *response;
    bool has_length;
  } cases[] = {{"HEAD /s HTTP/1.1\r\nHost: h\r\n\r\n", &eleven, true}, {GET, &unchanged, true}, {GET, &nothing, false}};
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct caller client;
    struct streamer streamer;
    begin(world, &client, cases[i].request, &streamer, cases[i].response);
    put(&streamer, STR("not for you"));
    http_stream_end(streamer.request);
    caller_await(world, &client, "\r\n\r\n");
    assert_true(str_ends(buf_str(&client.got), STR("\r\n\r\n")));
    assert_int_equal(caller_got(&client, "Content-Length: 11\r\n"), cases[i].has_length);
    assert_false(caller_got(&client, "Transfer-Encoding"));
    assert_served_again(world, &client);
    caller_close(&client);
  }
}

static void test_a_whole_answer_to_head_announces_the_length_it_is_given(void **state) {
  struct world *world = *state;
  struct caller client;
  world->defer = true;
  caller_open(world, &client);
  caller_send_c(world, &client, "HEAD /s HTTP/1.1\r\nHost: h\r\n\r\n");
  world_await_requests(world, 1);
  http_respond(world->waiting[0], &eleven);
  caller_await(world, &client, "Content-Length: 11\r\n");
  assert_served_again(world, &client);
  caller_close(&client);
}

static void test_taken_is_told_after_each_write_and_never_inside(void **state) {
  struct world *world = *state;
  struct caller client;
  struct streamer streamer;
  static char piece[64 * 1024];
  const struct http_response large = {.status = 200, .has_length = true, .length = 3 * sizeof piece};
  begin(world, &client, GET, &streamer, &large);
  for (int i = 1; i <= 3; i++) {
    put(&streamer, (struct str){piece, sizeof piece});
    assert_int_equal(streamer.taken, i - 1);
    for (int round = 0; round < MAX_ROUNDS && streamer.taken < i; round++) {
      caller_read(&client);
      (void)loop_step(world->loop, 1);
    }
    assert_int_equal(streamer.taken, i);
    assert_int_equal(http_stream_waiting(streamer.request), 0);
    world_settle(world);
    assert_int_equal(streamer.taken, i);
  }
  http_stream_end(streamer.request);
  caller_close(&client);
}

static void test_taken_waits_for_a_slow_client_and_may_end_the_stream(void **state) {
  struct world *world = *state;
  struct caller client;
  struct streamer streamer;
  static char piece[64 * 1024];
  struct error err;
  const struct http_response endless = {.status = 200};
  begin(world, &client, GET, &streamer, &endless);
  while (http_stream_write(streamer.request, (struct str){piece, sizeof piece}, &err) == 0)
    continue;
  assert_int_equal(err.code, ERR_FULL);
  assert_true(http_stream_waiting(streamer.request) > 0);
  world_settle(world);
  assert_int_equal(streamer.taken, 0);
  streamer.end_when_taken = true;
  for (int i = 0; i < MAX_ROUNDS && world->answered == 0; i++) {
    caller_read(&client);
    (void)loop_step(world->loop, 1);
  }
  assert_int_equal(streamer.taken, 1);
  caller_await(world, &client, "\r\n0\r\n\r\n");
  assert_int_equal(streamer.closed, 0);
  caller_close(&client);
}

// A socket whose client is gone is found out inside of http_stream_write, and told later.
static void test_a_client_that_is_found_gone_while_writing_is_told_from_the_loop(void **state) {
  struct world *world = *state;
  struct caller client;
  struct streamer streamer;
  static char piece[64 * 1024];
  struct error err;
  const struct http_response endless = {.status = 200};
  begin(world, &client, GET, &streamer, &endless);
  caller_await(world, &client, "\r\n\r\n");
  caller_send_c(world, &client, "unread, so that its close is a reset");
  caller_close(&client);
  for (int i = 0; i < 8; i++) {
    if (http_stream_write(streamer.request, (struct str){piece, sizeof piece}, &err) != 0)
      break; // full
  }
  assert_int_equal(streamer.closed, 0);
  await(world, &streamer.closed, 1);
  world_settle(world);
  assert_int_equal(streamer.closed, 1);
  assert_int_equal(http_server_connections(world->server), 0);
}

static void test_a_drain_lets_an_announced_length_come_to_its_end(void **state) {
  struct world *world = *state;
  struct caller client;
  struct streamer streamer;
  begin(world, &client, GET, &streamer, &eleven);
  put(&streamer, STR("hello "));
  http_server_drain(world->server, NULL, NULL);
  world_settle(world);
  assert_int_equal(streamer.closed, 0);
  put(&streamer, STR("world"));
  http_stream_end(streamer.request);
  caller_await(world, &client, "hello world");
  caller_await_end(world, &client);
  caller_close(&client);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
      TEST(test_an_announced_length_needs_no_chunks_and_keeps_the_connection),
      TEST(test_a_body_that_was_taken_before_its_end_keeps_the_connection),
      TEST(test_a_body_that_ends_short_is_reset),
      TEST(test_more_than_was_announced_is_refused),
      TEST(test_an_aborted_answer_is_reset_whatever_its_framing),
      TEST(test_what_ends_with_its_connection_is_reset_when_the_server_ends_it),
      TEST(test_heads_alone_announce_the_length_and_keep_the_connection),
      TEST(test_a_whole_answer_to_head_announces_the_length_it_is_given),
      TEST(test_taken_is_told_after_each_write_and_never_inside),
      TEST(test_taken_waits_for_a_slow_client_and_may_end_the_stream),
      TEST(test_a_client_that_is_found_gone_while_writing_is_told_from_the_loop),
      TEST(test_a_drain_lets_an_announced_length_come_to_its_end),
#undef TEST
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
