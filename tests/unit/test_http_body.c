// SPDX-License-Identifier: Apache-2.0
// Bodies of requests that are read bit by bit: every piece, once, in order, only when it is wanted, and every way in which one
// ends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/server_fixture.h"

// A handler that reads one body and notes what it is told.
struct reader {
  struct http_request *request;
  struct buf got;
  int pieces, ended, broken;
  bool greedy;        // wants the next piece inside of on_piece
  bool answers_piece; // http_respond inside of on_piece
  size_t largest;
  struct error why;
};

static void answer(struct http_request *request, int status) {
  http_respond(request, &(struct http_response){.status = status, .content_type = "text/plain", .body = STR("said\n")});
}

static void on_piece(void *ctx, struct str piece) {
  struct reader *reader = ctx;
  assert_true(piece.len > 0 && piece.len <= 64 * 1024);
  assert_int_equal(reader->ended + reader->broken, 0);
  reader->pieces++;
  reader->largest = piece.len > reader->largest ? piece.len : reader->largest;
  buf_put(&reader->got, piece);
  assert_false(reader->got.failed);
  if (reader->answers_piece)
    answer(reader->request, 403);
  else if (reader->greedy)
    http_body_want(reader->request);
}

static void on_end(void *ctx) {
  struct reader *reader = ctx;
  reader->ended++;
}

static void on_broken(void *ctx, const struct error *why) {
  struct reader *reader = ctx;
  reader->broken++;
  reader->why = *why;
}

static struct http_body_handler handler_of(struct reader *reader) {
  return (struct http_body_handler){.ctx = reader, .on_piece = on_piece, .on_end = on_end, .on_broken = on_broken};
}

// Send `head` and wait until the handler has it; the reader is set up and wants nothing yet.
static void begin(struct world *world, struct caller *client, struct reader *reader, const char *head) {
  *reader = (struct reader){0};
  buf_init(&reader->got, 64 * 1024 * 1024);
  world->defer = world->stream_bodies = true;
  caller_open(world, client);
  caller_send_c(world, client, head);
  world_await_requests(world, world->requests + 1);
  reader->request = world->waiting[world->requests - 1];
  assert_true(reader->request->body_to_come);
  const struct http_body_handler handler = handler_of(reader);
  http_body_read(reader->request, &handler);
}

static void end(struct caller *client, struct reader *reader) {
  caller_close(client);
  buf_free(&reader->got);
}

static void await(struct world *world, const int *count, int least) {
  for (int i = 0; i < MAX_ROUNDS && *count < least; i++)
    (void)loop_step(world->loop, 1);
  assert_true(*count >= least);
}

static bool has_got(const struct reader *reader, const char *text) {
  return str_eq_c(buf_str(&reader->got), text);
}

#define POST_5 "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
#define POST_CHUNKED "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

static void test_nothing_is_told_before_it_is_wanted_and_the_connection_is_kept(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, POST_5 "he");
  caller_send_c(world, &client, "llo");
  world_settle(world);
  assert_int_equal(reader.pieces, 0);
  http_body_want(reader.request);
  assert_int_equal(reader.pieces, 0); // not from inside
  await(world, &reader.pieces, 1);
  world_settle(world);
  assert_int_equal(reader.pieces, 1);
  assert_true(has_got(&reader, "he"));
  http_body_want(reader.request);
  await(world, &reader.pieces, 2);
  assert_true(has_got(&reader, "hello"));
  world_settle(world);
  assert_int_equal(reader.ended, 0);
  http_body_want(reader.request);
  await(world, &reader.ended, 1);
  assert_false(reader.request->body_to_come);
  http_body_want(reader.request); // there is nothing more to want
  world_settle(world);
  answer(reader.request, 201);
  caller_await(world, &client, "said\n");
  assert_false(caller_got(&client, "Connection: close"));
  assert_int_equal(reader.broken, 0);
  world->defer = world->stream_bodies = false;
  caller_send_c(world, &client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  caller_await(world, &client, "done\n");
  end(&client, &reader);
}

static void test_chunks_of_one_read_are_one_piece(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, POST_CHUNKED "1\r\na\r\n2\r\nbc\r\n3;x=y\r\ndef\r\n0\r\nT: v\r\n\r\n");
  http_body_want(reader.request);
  await(world, &reader.pieces, 1);
  assert_true(has_got(&reader, "abcdef"));
  http_body_want(reader.request);
  await(world, &reader.ended, 1);
  assert_int_equal(reader.pieces, 1);
  answer(reader.request, 200);
  caller_await(world, &client, "said\n");
  end(&client, &reader);
}

static void test_a_request_that_follows_the_body_is_kept_for_later(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, POST_5 "helloGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
  reader.greedy = true;
  http_body_want(reader.request);
  await(world, &reader.ended, 1);
  assert_true(has_got(&reader, "hello"));
  assert_int_equal(world->requests, 1);
  world->defer = world->stream_bodies = false;
  answer(reader.request, 200);
  caller_await(world, &client, "done\n");
  assert_int_equal(world->answered, 2);
  end(&client, &reader);
}

static void test_a_large_body_comes_whole_in_large_pieces(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  enum { SIZE = 8 * 1024 * 1024 };
  char head[128];
  char *body = malloc(SIZE);
  for (size_t i = 0; i < SIZE; i++)
    body[i] = (char)(i * 2654435761u >> 13);
  (void)snprintf(head, sizeof head, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", SIZE);
  begin(world, &client, &reader, head);
  reader.greedy = true;
  http_body_want(reader.request);
  caller_send(world, &client, (struct str){body, SIZE});
  await(world, &reader.ended, 1);
  assert_int_equal(reader.got.len, SIZE);
  assert_memory_equal(reader.got.ptr, body, SIZE);
  assert_true(reader.largest > 16 * 1024);
  answer(reader.request, 201);
  caller_await(world, &client, "said\n");
  free(body);
  end(&client, &reader);
}

static void test_an_expecting_client_is_told_to_continue_at_the_first_want(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, "PUT /b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  world_settle(world);
  caller_read(&client);
  assert_int_equal(client.got.len, 0);
  http_body_want(reader.request);
  caller_await(world, &client, "HTTP/1.1 100 Continue\r\n\r\n");
  caller_send_c(world, &client, "he");
  await(world, &reader.pieces, 1);
  reader.greedy = true;
  http_body_want(reader.request);
  caller_send_c(world, &client, "llo");
  await(world, &reader.ended, 1);
  answer(reader.request, 200);
  caller_await(world, &client, "said\n");
  assert_int_equal(caller_count(&client, "100 Continue"), 1);
  end(&client, &reader);
}

static void test_a_client_that_did_not_wait_is_not_told_to_continue(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, "PUT /b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  caller_send_c(world, &client, "hello");
  world_settle(world);
  reader.greedy = true;
  http_body_want(reader.request);
  await(world, &reader.ended, 1);
  answer(reader.request, 200);
  caller_await(world, &client, "said\n");
  assert_false(caller_got(&client, "100 Continue"));
  end(&client, &reader);
}

static void test_a_refusal_before_the_body_says_no_continue_and_ends_the_connection(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, "PUT /b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  answer(reader.request, 403);
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.1 403 "));
  assert_true(caller_got(&client, "Connection: close\r\n"));
  assert_false(caller_got(&client, "100 Continue"));
  assert_int_equal(reader.broken + reader.ended, 0);
  end(&client, &reader);
}

// The client writes megabytes before it looks for the answer, which must not be lost to a reset.
static void test_an_answer_amid_the_body_reaches_a_client_that_goes_on_sending(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  static char more[4 * 1024 * 1024];
  begin(world, &client, &reader, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n");
  reader.answers_piece = true;
  http_body_want(reader.request);
  caller_send(world, &client, (struct str){more, sizeof more});
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.1 403 "));
  assert_true(caller_got(&client, "said\n"));
  assert_int_equal(reader.pieces, 1);
  assert_int_equal(reader.broken + reader.ended, 0);
  assert_int_equal(world->answered, 1);
  end(&client, &reader);
}

static void test_a_client_that_goes_while_nothing_is_wanted_is_noticed(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, POST_5);
  caller_send_c(world, &client, "he");
  http_body_want(reader.request);
  await(world, &reader.pieces, 1);
  world_settle(world);
  assert_int_equal(reader.broken, 0);
  caller_close(&client);
  await(world, &reader.broken, 1);
  world_settle(world);
  assert_int_equal(reader.broken, 1);
  assert_true(strlen(reader.why.text) > 0);
  assert_int_equal(http_server_connections(world->server), 0);
  assert_int_equal(world->answered, 1); // the log hears of it
  assert_int_equal(world->last_status, 400);
  end(&client, &reader);
}

static void test_a_client_that_goes_before_anybody_reads_is_told_of_later(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader = {0};
  world->defer = world->stream_bodies = true;
  caller_open(world, &client);
  caller_send_c(world, &client, POST_5);
  world_await_requests(world, 1);
  caller_close(&client);
  world_settle(world);
  assert_int_equal(world->answered, 0); // the request is still the handler's
  const struct http_body_handler handler = handler_of(&reader);
  http_body_read(world->waiting[0], &handler);
  await(world, &reader.broken, 1);
  assert_int_equal(http_server_connections(world->server), 0);
}

static void test_a_half_closed_client_that_sent_all_is_served(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, POST_CHUNKED);
  caller_send_c(world, &client, "3\r\nabc\r\n");
  caller_send_c(world, &client, "2\r\nde\r\n0\r\n\r\n");
  assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
  world_settle(world);
  assert_int_equal(reader.broken, 0);
  reader.greedy = true;
  http_body_want(reader.request);
  await(world, &reader.ended, 1);
  assert_true(has_got(&reader, "abcde"));
  answer(reader.request, 200);
  caller_await(world, &client, "said\n");
  end(&client, &reader);
}

static void test_a_body_that_ends_early_is_answered_and_told_once(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, POST_5);
  reader.greedy = true;
  http_body_want(reader.request);
  caller_send_c(world, &client, "hel");
  await(world, &reader.pieces, 1);
  assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.1 400 "));
  assert_int_equal(reader.broken, 1);
  assert_int_equal(reader.ended, 0);
  assert_int_equal(world->answered, 1);
  end(&client, &reader);
}

static void test_a_body_that_breaks_the_protocol_is_refused(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, POST_CHUNKED);
  reader.greedy = true;
  http_body_want(reader.request);
  caller_send_c(world, &client, "3\r\nabcX\r\n");
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.1 400 "));
  assert_int_equal(reader.broken, 1);
  end(&client, &reader);
}

static void test_deadlines_count_only_while_a_piece_is_wanted(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
  caller_send_c(world, &client, "a");
  http_body_want(reader.request);
  await(world, &reader.pieces, 1);
  world_advance_ms(world, 3600 * 1000); // the handler takes its time
  assert_int_equal(reader.broken, 0);
  http_body_want(reader.request);
  world_advance_ms(world, 29999);
  assert_int_equal(reader.broken, 0);
  caller_send_c(world, &client, "b");
  await(world, &reader.pieces, 2);
  http_body_want(reader.request);
  world_advance_ms(world, 30001); // body_idle_timeout_ms
  assert_int_equal(reader.broken, 1);
  assert_int_equal(reader.why.code, ERR_TIMEOUT);
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.1 408 "));
  end(&client, &reader);
}

static void test_a_body_that_trickles_is_cut_by_the_rate_of_wanted_time(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
  for (int i = 1; i <= 2; i++) {
    http_body_want(reader.request);
    world_advance_ms(world, 25000);
    caller_send_c(world, &client, "a");
    await(world, &reader.pieces, i);
    world_advance_ms(world, 100000);
  }
  assert_int_equal(reader.broken, 0);
  http_body_want(reader.request);
  world_advance_ms(world, 10001); // 60 s of wanting, two bytes
  assert_int_equal(reader.broken, 1);
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "too slowly"));
  end(&client, &reader);
}

static void test_waiting_bodies_hold_no_more_than_one_read(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  static char more[256 * 1024];
  begin(world, &client, &reader, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n");
  while (send(client.fd, more, sizeof more, MSG_NOSIGNAL) > 0) // until the client's and the server's sockets are full
    continue;
  world_settle(world);
  http_body_want(reader.request);
  await(world, &reader.pieces, 1);
  world_settle(world);
  assert_true(reader.got.len <= 64 * 1024);
  assert_int_equal(reader.pieces, 1);
  reader.greedy = true;
  http_body_want(reader.request);
  close(client.fd); // noticed behind what it has sent
  client.fd = -1;
  await(world, &reader.broken, 1);
  assert_true(reader.got.len > 256 * 1024);
  end(&client, &reader);
}

// What comes with the heads counts in the budget of everything that is received.
static void test_bodies_that_nobody_wants_yet_share_the_budget(void **state) {
  struct world *world = *state;
  static char big[250 * 1024], piece[16 * 1024];
  struct caller filler, clients[4];
  struct reader readers[3];
  memset(piece, 'x', sizeof piece);
  caller_open(world, &filler);
  caller_send_c(world, &filler, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 262144\r\n\r\n");
  caller_send(world, &filler, (struct str){big, sizeof big});
  world_settle(world);
  (void)snprintf(piece, sizeof piece, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
  piece[strlen(piece)] = 'x';
  int taken = 0;
  world->defer = world->stream_bodies = true;
  for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
    caller_open(world, &clients[i]);
    assert_int_equal(send(clients[i].fd, piece, sizeof piece, MSG_NOSIGNAL), sizeof piece);
    world_settle(world);
    caller_read(&clients[i]);
    if (world->requests > (size_t)taken)
      taken++;
  }
  assert_in_range(taken, 1, 3);
  for (int i = taken; i < (int)ARRAY_LEN(clients); i++)
    assert_true(caller_got(&clients[i], "HTTP/1.1 503 "));
  for (int i = 0; i < taken; i++) { // wanted, they go: there is room again
    readers[i] = (struct reader){.request = world->waiting[i]};
    buf_init(&readers[i].got, 1024 * 1024);
    const struct http_body_handler handler = handler_of(&readers[i]);
    http_body_read(world->waiting[i], &handler);
    http_body_want(world->waiting[i]);
    await(world, &readers[i].pieces, 1);
    caller_close(&clients[i]);
    await(world, &readers[i].broken, 1);
    buf_free(&readers[i].got);
  }
  caller_close(&clients[3]);
  caller_open(world, &clients[3]);
  assert_int_equal(send(clients[3].fd, piece, sizeof piece, MSG_NOSIGNAL), sizeof piece);
  world_await_requests(world, (size_t)taken + 1);
  answer(world->waiting[taken], 200);
  for (size_t i = (size_t)taken; i < ARRAY_LEN(clients); i++)
    caller_close(&clients[i]);
  caller_close(&filler);
}

static void test_an_empty_chunked_body_ends_at_the_first_want(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, POST_CHUNKED "0\r\n\r\n");
  http_body_want(reader.request);
  await(world, &reader.ended, 1);
  assert_int_equal(reader.pieces, 0);
  answer(reader.request, 200);
  caller_await(world, &client, "said\n");
  end(&client, &reader);
}

static void test_http_1_0_bodies_are_read_too(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, "PUT /b HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
  reader.greedy = true;
  http_body_want(reader.request);
  await(world, &reader.ended, 1);
  answer(reader.request, 200);
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "said\n"));
  assert_false(caller_got(&client, "100 Continue"));
  end(&client, &reader);
}

static void test_a_draining_server_lets_a_body_come_to_its_end(void **state) {
  struct world *world = *state;
  struct caller client;
  struct reader reader;
  begin(world, &client, &reader, POST_5 "he");
  http_server_drain(world->server, NULL, NULL);
  reader.greedy = true;
  http_body_want(reader.request);
  caller_send_c(world, &client, "llo");
  await(world, &reader.ended, 1);
  answer(reader.request, 201);
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "HTTP/1.1 201 "));
  end(&client, &reader);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
      TEST(test_nothing_is_told_before_it_is_wanted_and_the_connection_is_kept),
      TEST(test_chunks_of_one_read_are_one_piece),
      TEST(test_a_request_that_follows_the_body_is_kept_for_later),
      TEST(test_a_large_body_comes_whole_in_large_pieces),
      TEST(test_an_expecting_client_is_told_to_continue_at_the_first_want),
      TEST(test_a_client_that_did_not_wait_is_not_told_to_continue),
      TEST(test_a_refusal_before_the_body_says_no_continue_and_ends_the_connection),
      TEST(test_an_answer_amid_the_body_reaches_a_client_that_goes_on_sending),
      TEST(test_a_client_that_goes_while_nothing_is_wanted_is_noticed),
      TEST(test_a_client_that_goes_before_anybody_reads_is_told_of_later),
      TEST(test_a_half_closed_client_that_sent_all_is_served),
      TEST(test_a_body_that_ends_early_is_answered_and_told_once),
      TEST(test_a_body_that_breaks_the_protocol_is_refused),
      TEST(test_deadlines_count_only_while_a_piece_is_wanted),
      TEST(test_a_body_that_trickles_is_cut_by_the_rate_of_wanted_time),
      TEST(test_waiting_bodies_hold_no_more_than_one_read),
      TEST(test_bodies_that_nobody_wants_yet_share_the_budget),
      TEST(test_an_empty_chunked_body_ends_at_the_first_want),
      TEST(test_http_1_0_bodies_are_read_too),
      TEST(test_a_draining_server_lets_a_body_come_to_its_end),
#undef TEST
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
