// SPDX-License-Identifier: Apache-2.0
// Warnings of loops: what counts as an answer to a delivery, and when a warning comes and goes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "dispatch/echo.h"

#define START_US (INT64_C(1700000000) * US_PER_S)

struct world {
  struct metrics *metrics;
  struct echoes *echoes;
  struct event_artifact artifact;
  struct event event;
  int64_t now_us;
  char words[ECHO_WORDS_BYTES];
};

static int set_up(void **state) {
  struct world *world = calloc(1, sizeof(*world));
  assert_non_null(world);
  world->metrics = metrics_new(8);
  world->echoes = echoes_new(NULL, world->metrics);
  assert_non_null(world->echoes);
  world->now_us = START_US;
  world->artifact = (struct event_artifact){.reference = STR("latest"), .digest = STR_EMPTY};
  world->event = (struct event){.type = EVENT_PUSH_ARTIFACT,
                                .actor = {ACTOR_ROBOT, STR("robot$ci")},
                                .client = {.address = STR("192.0.2.7")},
                                .repository = {.project = STR("team"), .name = STR("app")},
                                .artifacts = &world->artifact,
                                .artifacts_len = 1};
  *state = world;
  return 0;
}

static int tear_down(void **state) {
  struct world *world = *state;
  echoes_free(world->echoes);
  metrics_free(world->metrics);
  free(world);
  return 0;
}

static void advance(struct world *world, int64_t seconds) {
  world->now_us += seconds * US_PER_S;
}

// It happens so long after what happened before, and is delivered a second later.
static void happen_after(struct world *world, int64_t policy_id, int64_t seconds) {
  advance(world, seconds);
  world->event.recorded_at_us = world->now_us;
  advance(world, 1);
  echoes_delivered(world->echoes, policy_id, &world->event, world->now_us - 1, world->now_us);
}

static void happen_times(struct world *world, int64_t policy_id, int times, int64_t seconds) {
  for (int i = 0; i < times; i++)
    happen_after(world, policy_id, seconds);
}

static bool is_warned(struct world *world, int64_t policy_id) {
  return echoes_warning(world->echoes, policy_id, world->now_us, world->words);
}

static int64_t warnings(struct world *world) {
  return metric_value(metrics_counter(world->metrics, "harbinger_loop_warnings_total", "", ""));
}

static void test_more_than_twenty_answers_in_an_hour_are_a_loop(void **state) {
  struct world *world = *state;
  happen_times(world, 7, 1 + ECHO_PER_HOUR, 2); // the first answers nothing
  assert_false(is_warned(world, 7));
  happen_after(world, 7, 2);
  assert_true(is_warned(world, 7));
  assert_string_equal(world->words,
                      "21 times within an hour the event PUSH_ARTIFACT came again within a minute of its delivery, by "
                      "robot$ci on team/app:latest: perhaps the receiver causes what it is told of");
  assert_false(is_warned(world, 8));
  assert_int_equal(warnings(world), 1);
}

static void test_a_policy_is_warned_of_once_an_hour_and_until_it_is_quiet_for_one(void **state) {
  struct world *world = *state;
  happen_times(world, 7, 200, 9); // for half an hour
  assert_int_equal(warnings(world), 1);
  happen_times(world, 7, 600, 9); // for an hour and a half more
  assert_int_equal(warnings(world), 3);
  assert_true(is_warned(world, 7));
  advance(world, ECHO_WINDOW_S - 1);
  assert_true(is_warned(world, 7));
  advance(world, 1);
  assert_false(is_warned(world, 7));
}

static void test_what_comes_later_than_a_minute_answers_nothing(void **state) {
  struct world *world = *state;
  happen_times(world, 7, 100, ECHO_WITHIN_S);
  assert_false(is_warned(world, 7));
}

static void test_twenty_an_hour_for_hours_are_no_loop(void **state) {
  struct world *world = *state;
  for (int hour = 0; hour < 5; hour++) {
    happen_times(world, 7, 1 + ECHO_PER_HOUR, 2);
    advance(world, ECHO_WINDOW_S);
  }
  assert_false(is_warned(world, 7));
}

static void test_events_of_one_burst_do_not_answer_each_other(void **state) {
  struct world *world = *state;
  world->event.recorded_at_us = world->now_us; // all were made before the first was delivered
  for (int i = 0; i < 100; i++) {
    advance(world, 1);
    echoes_delivered(world->echoes, 7, &world->event, world->now_us - 1, world->now_us);
  }
  assert_false(is_warned(world, 7));
}

static void test_a_receiver_that_acts_before_it_answers_is_heard(void **state) {
  struct world *world = *state;
  for (int i = 0; i < 30; i++) {
    int64_t began_us = world->now_us;
    advance(world, 4);
    echoes_delivered(world->echoes, 7, &world->event, began_us, world->now_us);
    world->event.recorded_at_us = began_us + US_PER_S; // the next one: made while this one was on its way
  }
  assert_true(is_warned(world, 7));
}

static void test_another_actor_tag_repository_type_or_policy_is_no_answer(void **state) {
  static const char *const TAGS[] = {"a", "b", "c"};
  struct world *world = *state;
  for (int i = 0; i < 300; i++) { // no two in a row are the same, and none comes back within a minute
    char name[16];
    snprintf(name, sizeof(name), "actor-%d", i % 100);
    world->event.actor.name = str_of(name);
    world->artifact.reference = str_of(TAGS[i % 3]);
    happen_after(world, 1 + i % 7, 2);
  }
  for (int64_t id = 1; id <= 7; id++)
    assert_false(is_warned(world, id));
}

static void test_pulls_and_jobs_are_left_out(void **state) {
  struct world *world = *state;
  world->event.type = EVENT_PULL_ARTIFACT;
  happen_times(world, 7, 100, 2);
  world->event.type = EVENT_SCANNING_COMPLETED;
  happen_times(world, 7, 100, 2);
  assert_false(is_warned(world, 7));
  world->event.type = EVENT_DELETE_ARTIFACT;
  happen_times(world, 7, 100, 2);
  assert_true(is_warned(world, 7));
}

static void test_without_a_name_the_address_tells_who_it_was(void **state) {
  struct world *world = *state;
  world->event.actor.kind = ACTOR_ANONYMOUS;
  world->event.actor.name = STR_EMPTY;
  for (int i = 0; i < 100; i++) {
    char address[32];
    snprintf(address, sizeof(address), "192.0.2.%d", i);
    world->event.client.address = str_of(address);
    happen_after(world, 7, 2);
  }
  assert_false(is_warned(world, 7));
  world->event.client.address = STR("192.0.2.7");
  happen_times(world, 7, 30, 2);
  assert_true(is_warned(world, 7));
  assert_non_null(strstr(world->words, "by 192.0.2.7 on team/app:latest"));
}

static void test_many_keys_push_the_oldest_out_and_nothing_grows(void **state) {
  struct world *world = *state;
  for (int i = 0; i < 5 * ECHO_KEYS; i++) {
    char name[24];
    snprintf(name, sizeof(name), "actor-%d", i);
    world->event.actor.name = str_of(name);
    echoes_delivered(world->echoes, 1 + i % 500, &world->event, world->now_us - 1, world->now_us);
  }
  world->event.actor.name = STR("robot$ci");
  happen_times(world, 7, 22, 2);
  assert_true(is_warned(world, 7));
}

static void test_more_policies_than_are_kept_push_the_oldest_warning_out(void **state) {
  struct world *world = *state;
  for (int64_t id = 1; id <= ECHO_POLICIES + 1; id++)
    happen_times(world, id, 22, 0);
  assert_false(is_warned(world, 1));
  for (int64_t id = 2; id <= ECHO_POLICIES + 1; id++)
    assert_true(is_warned(world, id));
}

static void test_long_names_are_cut_at_the_end_of_a_character(void **state) {
  struct world *world = *state;
  char name[1200];
  for (size_t i = 0; i + 1 < sizeof(name); i += 2)
    memcpy(name + i, "\xC3\xA4", 2);
  for (size_t len = 1196; len <= 1198; len++) {
    world->event.repository.name = (struct str){name, len & ~(size_t)1};
    world->event.actor.name = len % 2 ? STR("a") : STR("ab");
    happen_times(world, 7, 22, 2);
    assert_true(is_warned(world, 7));
    assert_true(utf8_valid(str_of(world->words)));
    assert_true(strlen(world->words) > ECHO_WORDS_BYTES - 5);
  }
}

static void test_a_clock_that_is_set_back_stops_nothing(void **state) {
  struct world *world = *state;
  happen_times(world, 7, 30, 2);
  advance(world, -86400);
  happen_times(world, 7, 30, 2);
  assert_true(is_warned(world, 7));
  assert_int_equal(warnings(world), 2);
}

#define ECHO_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      ECHO_TEST(test_more_than_twenty_answers_in_an_hour_are_a_loop),
      ECHO_TEST(test_a_policy_is_warned_of_once_an_hour_and_until_it_is_quiet_for_one),
      ECHO_TEST(test_what_comes_later_than_a_minute_answers_nothing),
      ECHO_TEST(test_twenty_an_hour_for_hours_are_no_loop),
      ECHO_TEST(test_events_of_one_burst_do_not_answer_each_other),
      ECHO_TEST(test_a_receiver_that_acts_before_it_answers_is_heard),
      ECHO_TEST(test_another_actor_tag_repository_type_or_policy_is_no_answer),
      ECHO_TEST(test_pulls_and_jobs_are_left_out),
      ECHO_TEST(test_without_a_name_the_address_tells_who_it_was),
      ECHO_TEST(test_many_keys_push_the_oldest_out_and_nothing_grows),
      ECHO_TEST(test_more_policies_than_are_kept_push_the_oldest_warning_out),
      ECHO_TEST(test_long_names_are_cut_at_the_end_of_a_character),
      ECHO_TEST(test_a_clock_that_is_set_back_stops_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
