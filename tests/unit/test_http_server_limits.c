// SPDX-License-Identifier: Apache-2.0
// The HTTP server's deadlines and bounds: each is reached by moving the simulated clock or by sending too much, and the
// client sees an answer rather than a reset.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/server_fixture.h"

static void test_slow_header_is_408(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send_c(world, &client, "GET / HTTP/1.1\r\n");
  for (int second = 0; second < 9; second++) { // a byte now and then does not help
    world_advance_ms(world, 1000);
    caller_send_c(world, &client, "X");
  }
  caller_read(&client);
  assert_int_equal(client.got.len, 0);
  world_advance_ms(world, 1001);
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.1 408 "));
  assert_true(caller_got(&client, "Connection: close\r\n"));
  caller_close(&client);
}

static void test_silent_new_connection_is_closed_without_a_word(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  world_settle(world);
  assert_int_equal(http_server_connections(world->server), 1);
  world_advance_ms(world, 10001);
  caller_await_end(world, &client);
  assert_int_equal(client.got.len, 0);
  assert_int_equal(world->answered, 0);
  caller_close(&client);
}

static void test_stopped_body_is_408(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send_c(world, &client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\nab");
  world_settle(world);
  world_advance_ms(world, 29000);
  caller_read(&client);
  assert_int_equal(client.got.len, 0);
  world_advance_ms(world, 1001);
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.1 408 "));
  assert_true(caller_got(&client, "stopped coming"));
  caller_close(&client);
}

static void test_body_below_the_least_rate_is_408(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send_c(world, &client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n");
  char piece[20000];
  memset(piece, 'x', sizeof piece);
  // 2 KB/s in the first minute passes.
  for (int i = 0; i < 6; i++) {
    caller_send(world, &client, (struct str){piece, sizeof piece});
    world_advance_ms(world, 10000);
  }
  world_settle(world);
  caller_read(&client);
  assert_int_equal(client.got.len, 0);
  // 100 bytes/s in the second does not, though it never stops.
  for (int i = 0; i < 7 && !client.ended; i++) {
    caller_send(world, &client, (struct str){piece, 1000});
    world_advance_ms(world, 10000);
    caller_read(&client);
  }
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.1 408 "));
  assert_true(caller_got(&client, "too slowly"));
  caller_close(&client);
}

static void test_large_header_is_431(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  char piece[4096];
  memset(piece, 'x', sizeof piece);
  caller_send_c(world, &client, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
  for (int i = 0; i < 40; i++) // far more than the limit: the client must see the answer, not a reset
    caller_send(world, &client, (struct str){piece, sizeof piece});
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.1 431 "));
  caller_close(&client);
}

static void test_announced_large_body_is_413_and_seen_by_a_client_that_sends_first(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  char piece[64 * 1024];
  memset(piece, 'x', sizeof piece);
  caller_send_c(world, &client, "POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 10485761\r\n\r\n");
  for (int i = 0; i < 160; i++)
    caller_send(world, &client, (struct str){piece, sizeof piece});
  caller_await(world, &client, "larger than the 262144 bytes");
  assert_true(caller_got(&client, "HTTP/1.1 413 "));
  caller_await_end(world, &client);
  assert_int_equal(world->requests, 0);
  caller_close(&client);
  world_settle(world);
  assert_int_equal(http_server_connections(world->server), 0);
}

static void test_lingering_connection_is_not_kept_for_ever(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  caller_send_c(world, &client, "POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 10485761\r\n\r\n");
  caller_await(world, &client, "413");
  world_settle(world);
  assert_int_equal(http_server_connections(world->server), 1);
  world_advance_ms(world, 5001);
  assert_int_equal(http_server_connections(world->server), 0);
  caller_close(&client);
}

static void test_chunked_body_over_the_limit_is_413(void **state) {
  struct world *world = *state;
  struct caller client;
  caller_open(world, &client);
  char piece[64 * 1024];
  memset(piece, 'x', sizeof piece);
  caller_send_c(world, &client, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n50000\r\n");
  for (int i = 0; i < 5; i++)
    caller_send(world, &client, (struct str){piece, sizeof piece});
  caller_await(world, &client, "larger than");
  assert_true(caller_got(&client, "HTTP/1.1 413 "));
  assert_int_equal(world->requests, 0);
  caller_close(&client);
}

static void test_bodies_over_the_budget_are_503(void **state) {
  struct world *world = *state;
  struct caller first, second, third;
  char piece[200 * 1024];
  memset(piece, 'x', sizeof piece);
  const char *head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 204800\r\n\r\n";
  world->defer = true;
  caller_open(world, &first);
  caller_send_c(world, &first, head);
  caller_send(world, &first, (struct str){piece, sizeof piece});
  world_await_requests(world, 1);
  caller_open(world, &second);
  caller_send_c(world, &second, head);
  caller_send(world, &second, (struct str){piece, sizeof piece});
  caller_await(world, &second, "too many request bodies");
  assert_true(caller_got(&second, "HTTP/1.1 503 "));
  assert_true(caller_got(&second, "Retry-After: "));
  // Answered requests give their part back.
  world->defer = false;
  world_answer(world, world->waiting[0]);
  caller_await(world, &first, "done\n");
  caller_open(world, &third);
  caller_send_c(world, &third, head);
  caller_send(world, &third, (struct str){piece, sizeof piece});
  caller_await(world, &third, "done\n");
  caller_close(&first);
  caller_close(&second);
  caller_close(&third);
}

static void test_large_heads_over_the_budget_are_503(void **state) {
  struct world *world = *state;
  struct caller clients[MAX_CONNECTIONS];
  char piece[40 * 1024]; // of a header: the parser takes 64 KiB for it
  memset(piece, 'x', sizeof piece);
  for (int i = 0; i < MAX_CONNECTIONS - 1; i++) {
    caller_open(world, &clients[i]);
    caller_send_c(world, &clients[i], "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    caller_send(world, &clients[i], (struct str){piece, sizeof piece});
    world_settle(world);
    caller_read(&clients[i]);
    assert_int_equal(caller_got(&clients[i], "HTTP/1.1 503 "), i >= BUDGET_BYTES / (64 * 1024));
  }
  assert_true(caller_got(&clients[MAX_CONNECTIONS - 2], "too many large headers"));
  // Small ones are served, and those that were taken can be completed.
  struct caller *small = &clients[MAX_CONNECTIONS - 1];
  caller_open(world, small);
  caller_send_c(world, small, "GET / HTTP/1.1\r\n");
  world_settle(world);
  caller_send_c(world, small, "Host: h\r\n\r\n");
  caller_await(world, small, "done\n");
  caller_send_c(world, &clients[0], "\r\n\r\n");
  caller_await(world, &clients[0], "done\n");
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    caller_close(&clients[i]);
}

// Each alone would be waited for (below).
static void test_answers_over_the_budget_that_nobody_takes_are_given_up(void **state) {
  struct world *world = *state;
  struct caller slow, slower, prompt;
  size_t size = (size_t)16 << 20;
  char *body = calloc(1, size);
  world->answer = (struct str){body, size};
  caller_open(world, &slow);
  caller_send_c(world, &slow, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world_await_requests(world, 1);
  caller_open(world, &slower);
  caller_send_c(world, &slower, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world_await_requests(world, 2);
  world_settle(world);
  assert_int_equal(world->answered, 1);
  assert_int_equal(http_server_connections(world->server), 1);
  world->answer = STR("small");
  caller_open(world, &prompt);
  caller_send_c(world, &prompt, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  caller_await(world, &prompt, "small");
  while (slow.got.len < size) {
    caller_read(&slow);
    loop_step(world->loop, 1);
  }
  world_settle(world);
  assert_int_equal(world->answered, 3);
  caller_close(&slow);
  caller_close(&slower);
  caller_close(&prompt);
  free(body);
}

static void test_large_answer_arrives_whole_when_read_slowly(void **state) {
  struct world *world = *state;
  struct caller client;
  size_t size = (size_t)16 << 20;
  char *body = malloc(size);
  memset(body, 'y', size);
  world->answer = (struct str){body, size};
  caller_open(world, &client);
  caller_send_c(world, &client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world_await_requests(world, 1);
  world_settle(world);
  assert_int_equal(world->answered, 0);
  char *piece = malloc(size);
  while (client.got.len < size) {
    // 10 s for each part, far longer than the write timeout in all, but never so long without progress.
    world_advance_ms(world, 10000);
    ssize_t n = recv(client.fd, piece, size / 8, 0);
    assert_true(n > 0);
    buf_put(&client.got, (struct str){piece, (size_t)n});
  }
  free(piece);
  world_settle(world);
  assert_int_equal(world->answered, 1);
  caller_send_c(world, &client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); // and the connection goes on
  world_await_requests(world, 2);
  caller_close(&client);
  free(body);
}

static void test_client_that_does_not_read_is_closed(void **state) {
  struct world *world = *state;
  struct caller client;
  size_t size = (size_t)16 << 20;
  char *body = calloc(1, size);
  world->answer = (struct str){body, size};
  caller_open(world, &client);
  caller_send_c(world, &client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world_await_requests(world, 1);
  world_settle(world);
  world_advance_ms(world, 29000);
  assert_int_equal(http_server_connections(world->server), 1);
  world_advance_ms(world, 1001);
  assert_int_equal(http_server_connections(world->server), 0);
  assert_int_equal(world->answered, 1);
  caller_close(&client);
  free(body);
}

static void test_above_the_limit_the_longest_idle_goes(void **state) {
  struct world *world = *state;
  struct caller clients[MAX_CONNECTIONS + 2];
  for (int i = 0; i < MAX_CONNECTIONS; i++) {
    caller_open(world, &clients[i]);
    caller_send_c(world, &clients[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    caller_await(world, &clients[i], "done\n");
  }
  // The first talks again, so the second has been idle longest.
  caller_send_c(world, &clients[0], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world_await_requests(world, MAX_CONNECTIONS + 1);
  caller_open(world, &clients[MAX_CONNECTIONS]);
  caller_await_end(world, &clients[1]);
  caller_read(&clients[0]);
  assert_false(clients[0].ended);
  assert_int_equal(http_server_connections(world->server), MAX_CONNECTIONS);
  // When all are in the middle of something, the new one is turned away with a word.
  for (int i = 0; i <= MAX_CONNECTIONS; i++) {
    if (i != 1)
      caller_send_c(world, &clients[i], "GET / HT");
  }
  world_settle(world);
  caller_open(world, &clients[MAX_CONNECTIONS + 1]);
  caller_await_end(world, &clients[MAX_CONNECTIONS + 1]);
  assert_true(caller_got(&clients[MAX_CONNECTIONS + 1], "HTTP/1.1 503 "));
  for (int i = 0; i < MAX_CONNECTIONS + 2; i++)
    caller_close(&clients[i]);
}

static void test_without_descriptors_a_client_is_told_and_the_next_served(void **state) {
  struct world *world = *state;
  struct caller told, served;
  struct rlimit before, none;
  caller_open(world, &told);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  int lowest_free = dup(0);
  close(lowest_free);
  none = before;
  none.rlim_cur = (rlim_t)lowest_free;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  for (int i = 0; i < MAX_ROUNDS && !told.ended; i++) {
    loop_step(world->loop, 1);
    caller_read(&told);
  }
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  assert_true(told.ended);
  assert_true(caller_got(&told, "HTTP/1.1 503 "));
  caller_open(world, &served);
  caller_send_c(world, &served, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world_settle(world);
  assert_int_equal(world->requests, 0); // accepting rests
  world_advance_ms(world, 101);
  caller_await(world, &served, "done\n");
  caller_close(&told);
  caller_close(&served);
}

#define HELD(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      HELD(test_slow_header_is_408),
      HELD(test_silent_new_connection_is_closed_without_a_word),
      HELD(test_stopped_body_is_408),
      HELD(test_body_below_the_least_rate_is_408),
      HELD(test_large_header_is_431),
      HELD(test_announced_large_body_is_413_and_seen_by_a_client_that_sends_first),
      HELD(test_lingering_connection_is_not_kept_for_ever),
      HELD(test_chunked_body_over_the_limit_is_413),
      HELD(test_bodies_over_the_budget_are_503),
      HELD(test_large_heads_over_the_budget_are_503),
      HELD(test_answers_over_the_budget_that_nobody_takes_are_given_up),
      HELD(test_large_answer_arrives_whole_when_read_slowly),
      HELD(test_client_that_does_not_read_is_closed),
      HELD(test_above_the_limit_the_longest_idle_goes),
      HELD(test_without_descriptors_a_client_is_told_and_the_next_served),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
