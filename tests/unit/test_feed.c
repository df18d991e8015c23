// SPDX-License-Identifier: Apache-2.0
// Who watches deliveries: what is told, when, to whom, and every way in which a watch ends and gives back its place.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>

#include "api/feed.h"
#include "support/server_fixture.h"

enum { USER = 1, PROJECT = 3, POLICY = 7, LIFETIME_MS = 60000 };

#define GET "GET /s HTTP/1.1\r\nHost: h\r\n\r\n"
#define EVENT(name) "event: " name "\ndata: {\"policy_id\":7}\n\n"

static struct feed *new_feed(struct world *world, size_t max_watches, size_t max_per_user) {
  const struct feed_config config = {max_watches, max_per_user, LIFETIME_MS};
  struct error err;
  struct feed *feed = feed_new(&config, &err);

  assert_non_null(feed);
  feed_run(feed, world->loop);
  world->defer = true;
  return feed;
}

// Streams that are left are closed by the server, as when the program ends.
static void end_all(struct world *world, struct feed *feed) {
  http_server_free(world->server);
  world->server = NULL;
  feed_free(feed);
}

static int reserve(struct feed *feed, int64_t user_id, struct feed_watch **watch) {
  struct error err;
  return feed_reserve(feed, user_id, PROJECT, POLICY, watch, &err);
}

static struct http_request *ask(struct world *world, struct caller *client) {
  caller_open(world, client);
  caller_send_c(world, client, GET);
  world_await_requests(world, world->requests + 1);
  return world->waiting[world->requests - 1];
}

static void begin(struct world *world, struct feed_watch *watch, struct caller *client) {
  struct error err;
  assert_int_equal(feed_begin(watch, ask(world, client), NULL, 0, &err), 0);
  caller_await(world, client, EVENT("ready"));
}

static void watch_policy(struct world *world, struct feed *feed, struct caller *client) {
  struct feed_watch *watch;
  assert_int_equal(reserve(feed, USER, &watch), 0);
  begin(world, watch, client);
}

static void tell(struct feed *feed, struct policy_news news) {
  feed_tell(feed, &news, 1, false);
}

// One look at what was told, and what the client has of it.
static void tick(struct world *world, struct caller *client) {
  world_advance_ms(world, FEED_TICK_MS);
  caller_read(client);
}

static void test_it_begins_with_ready(void **state) {
  struct world *world = *state;
  struct feed *feed = new_feed(world, 8, 8);
  struct caller client;

  watch_policy(world, feed, &client);
  assert_true(caller_got(&client, "Content-Type: text/event-stream\r\n"));
  assert_true(caller_got(&client, "retry: 1000\n\n"));
  caller_close(&client);
  end_all(world, feed);
}

static void test_many_changes_are_one_event(void **state) {
  struct world *world = *state;
  struct feed *feed = new_feed(world, 8, 8);
  struct caller client;

  watch_policy(world, feed, &client);
  for (int i = 0; i < 1000; i++)
    tell(feed, (struct policy_news){.policy_id = POLICY});
  tick(world, &client);
  assert_int_equal(caller_count(&client, EVENT("deliveries")), 1);
  for (int i = 0; i < 4; i++)
    tick(world, &client);
  assert_int_equal(caller_count(&client, EVENT("deliveries")), 1);
  tell(feed, (struct policy_news){.policy_id = POLICY});
  tick(world, &client);
  assert_int_equal(caller_count(&client, EVENT("deliveries")), 2);
  caller_close(&client);
  end_all(world, feed);
}

static void test_what_is_told_between_reserving_and_beginning_is_not_lost(void **state) {
  struct world *world = *state;
  struct feed *feed = new_feed(world, 8, 8);
  struct feed_watch *watch;
  struct caller client;

  assert_int_equal(reserve(feed, USER, &watch), 0);
  tell(feed, (struct policy_news){.policy_id = POLICY});
  begin(world, watch, &client);
  tick(world, &client);
  assert_int_equal(caller_count(&client, EVENT("deliveries")), 1);
  caller_close(&client);
  end_all(world, feed);
}

static void test_news_of_others_say_nothing_and_news_of_all_do(void **state) {
  struct world *world = *state;
  struct feed *feed = new_feed(world, 8, 8);
  struct caller client;

  watch_policy(world, feed, &client);
  tell(feed, (struct policy_news){.policy_id = POLICY + 1, .deleted = true});
  tell(feed, (struct policy_news){.project_id = PROJECT + 1, .deleted = true});
  tick(world, &client);
  assert_false(caller_got(&client, "deliveries"));
  assert_false(caller_got(&client, "gone"));
  feed_tell(feed, NULL, 0, true);
  tick(world, &client);
  assert_int_equal(caller_count(&client, EVENT("deliveries")), 1);
  caller_close(&client);
  end_all(world, feed);
}

static void ends_as_gone(struct world *world, struct policy_news news) {
  struct feed *feed = new_feed(world, 1, 1);
  struct feed_watch *watch;
  struct caller client;

  watch_policy(world, feed, &client);
  tell(feed, (struct policy_news){.policy_id = POLICY});
  tell(feed, news);
  tick(world, &client);
  assert_true(caller_got(&client, EVENT("gone") "\r\n0\r\n\r\n"));
  assert_int_equal(world->answered, 1);
  caller_close(&client);
  assert_int_equal(reserve(feed, USER, &watch), 0); // the place is free
  begin(world, watch, &client);
  caller_close(&client);
  end_all(world, feed);
}

static void test_a_deleted_policy_ends_it(void **state) {
  ends_as_gone(*state, (struct policy_news){.policy_id = POLICY, .deleted = true});
}

static void test_a_deleted_project_ends_it(void **state) {
  ends_as_gone(*state, (struct policy_news){.project_id = PROJECT, .deleted = true});
}

static void test_a_quiet_stream_has_a_heartbeat(void **state) {
  struct world *world = *state;
  struct feed *feed = new_feed(world, 8, 8);
  struct caller client;

  watch_policy(world, feed, &client);
  world_advance_ms(world, FEED_HEARTBEAT_MS - FEED_TICK_MS);
  tick(world, &client);
  assert_int_equal(caller_count(&client, "\n:\n\n"), 1);
  tick(world, &client);
  assert_int_equal(caller_count(&client, "\n:\n\n"), 1);
  caller_close(&client);
  end_all(world, feed);
}

static void test_its_life_is_bounded(void **state) {
  struct world *world = *state;
  struct feed *feed = new_feed(world, 8, 8);
  struct caller client;

  watch_policy(world, feed, &client);
  world_advance_ms(world, LIFETIME_MS - 1);
  assert_int_equal(world->answered, 0);
  world_advance_ms(world, FEED_TICK_MS);
  assert_int_equal(world->answered, 1);
  caller_await(world, &client, "\r\n0\r\n\r\n");
  caller_close(&client);
  end_all(world, feed);
}

static void test_places_are_bounded_in_all_and_per_user(void **state) {
  struct world *world = *state;
  struct feed *feed = new_feed(world, 3, 2);
  struct feed_watch *watches[4];
  struct caller clients[3];

  assert_int_equal(reserve(feed, USER, &watches[0]), 0);
  assert_int_equal(reserve(feed, USER, &watches[1]), 0);
  assert_int_equal(reserve(feed, USER, &watches[2]), ERR_TOO_MANY);
  assert_int_equal(reserve(feed, USER + 1, &watches[2]), 0);
  assert_int_equal(reserve(feed, USER + 1, &watches[3]), ERR_TOO_MANY);
  for (int i = 0; i < 3; i++)
    begin(world, watches[i], &clients[i]);
  caller_close(&clients[0]); // who goes gives back his place
  for (int i = 0; i < MAX_ROUNDS && world->answered == 0; i++)
    (void)loop_step(world->loop, 1);
  assert_int_equal(reserve(feed, USER, &watches[3]), 0);
  begin(world, watches[3], &clients[0]);
  for (int i = 0; i < 3; i++)
    caller_close(&clients[i]);
  end_all(world, feed);
}

static void on_drained(void *ctx) {
  ((struct world *)ctx)->drained = true;
}

static void test_draining_ends_what_runs_and_begins_nothing(void **state) {
  struct world *world = *state;
  struct feed *feed = new_feed(world, 2, 2);
  struct feed_watch *late;
  struct caller client, other;
  struct error err;

  watch_policy(world, feed, &client);
  struct http_request *request = ask(world, &other);
  assert_int_equal(reserve(feed, USER, &late), 0);
  http_server_drain(world->server, on_drained, world);
  caller_await_end(world, &client);
  assert_true(caller_got(&client, "\r\n0\r\n\r\n"));
  assert_int_equal(feed_begin(late, request, NULL, 0, &err), ERR_UNAVAILABLE);
  world_answer(world, request);
  caller_await_end(world, &other);
  for (int i = 0; i < MAX_ROUNDS && !world->drained; i++)
    (void)loop_step(world->loop, 1);
  assert_true(world->drained);
  caller_close(&client);
  caller_close(&other);
  end_all(world, feed);
}

// ---- threads --------------------------------------------------------------------------------------------------------

enum { TELLERS = 2, TOLD_EACH = 20000 };

static void *tell_often(void *ctx) {
  for (int i = 0; i < TOLD_EACH; i++)
    tell(ctx, (struct policy_news){.policy_id = i % 4 == 0 ? POLICY : POLICY + 1});
  return NULL;
}

struct reservation {
  struct feed *feed;
  struct feed_watch *watches[2];
};

static void *reserve_all(void *ctx) {
  struct reservation *reservation = ctx;

  for (size_t i = 0; i < ARRAY_LEN(reservation->watches); i++)
    if (reserve(reservation->feed, USER, &reservation->watches[i]) != 0)
      return ctx;
  return NULL;
}

// The writer tells and the pool reserves while the loop looks: for the race checker, and the last change is never lost.
static void test_others_tell_and_reserve_while_the_loop_looks(void **state) {
  struct world *world = *state;
  struct feed *feed = new_feed(world, 8, 8);
  struct reservation reservation = {.feed = feed};
  struct caller client, others[2];
  pthread_t tellers[TELLERS], reserver;
  void *refused;

  watch_policy(world, feed, &client);
  for (int i = 0; i < TELLERS; i++)
    assert_int_equal(pthread_create(&tellers[i], NULL, tell_often, feed), 0);
  assert_int_equal(pthread_create(&reserver, NULL, reserve_all, &reservation), 0);
  for (int i = 0; i < 40; i++)
    tick(world, &client);
  for (int i = 0; i < TELLERS; i++)
    pthread_join(tellers[i], NULL);
  pthread_join(reserver, &refused);
  assert_null(refused);
  for (int i = 0; i < 2; i++)
    begin(world, reservation.watches[i], &others[i]);
  buf_clear(&client.got);
  tick(world, &client);
  buf_clear(&client.got);
  tell(feed, (struct policy_news){.policy_id = POLICY});
  tick(world, &client);
  assert_int_equal(caller_count(&client, EVENT("deliveries")), 1);
  caller_close(&client);
  for (int i = 0; i < 2; i++)
    caller_close(&others[i]);
  end_all(world, feed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
      TEST(test_it_begins_with_ready),
      TEST(test_many_changes_are_one_event),
      TEST(test_what_is_told_between_reserving_and_beginning_is_not_lost),
      TEST(test_news_of_others_say_nothing_and_news_of_all_do),
      TEST(test_a_deleted_policy_ends_it),
      TEST(test_a_deleted_project_ends_it),
      TEST(test_a_quiet_stream_has_a_heartbeat),
      TEST(test_its_life_is_bounded),
      TEST(test_places_are_bounded_in_all_and_per_user),
      TEST(test_draining_ends_what_runs_and_begins_nothing),
      TEST(test_others_tell_and_reserve_while_the_loop_looks),
#undef TEST
  };
  return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
