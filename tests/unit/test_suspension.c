// SPDX-License-Identifier: Apache-2.0
// What becomes of a target that fails for days, in simulated time: suspended when nothing succeeded for long, its backlog
// kept; not for one failure after a long silence.
#include "store/policies.h"
#include "support/dispatch_fixture.h"

enum { SUSPEND_AFTER_DAYS = 5, SCHEDULE_DAYS = 3 };
static const int64_t DAY_MS = 24 * HOUR_MS;

static bool is_suspended(struct test_hook *hook) {
  struct dispatch_fixture *fixture = hook->fixture;
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(65536);
  struct target target;
  struct error err;
  bool enabled;

  assert_non_null(arena);
  assert_int_equal(target_get(fixture->own_reader, hook->target_id, arena, &target, &enabled, &err), 0);
  return target.suspended;
}

static void pass_hours(struct dispatch_fixture *fixture, int hours) {
  for (int i = 0; i < hours; i++) {
    dispatch_fixture_advance(fixture, HOUR_MS);
    dispatch_fixture_wait_quiet(fixture);
  }
}

// A hook whose receiver fails, with a sender that probes it every few hours.
static struct test_hook *begin(struct dispatch_fixture *fixture, const char *answer) {
  fixture->config.suspend_after_s = SUSPEND_AFTER_DAYS * DAY_MS / 1000;
  fixture->config.retry.give_up_ms = SCHEDULE_DAYS * DAY_MS;
  fixture->config.breaker_failures = 2;
  fixture->config.breaker_span_ms = 1000;
  fixture->config.probe_min_ms = HOUR_MS;
  fixture->config.probe_max_ms = 4 * HOUR_MS;
  dispatch_fixture_reopen(fixture);
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = answer;
  dispatch_fixture_start(fixture);
  return hook;
}

static void test_five_days_of_failures_suspend_and_keep_what_waits(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = begin(fixture, STATUS_ANSWER("500 Internal Server Error"));

  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 2);
  dispatch_fixture_wait_quiet(fixture);
  pass_hours(fixture, 24);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 40);
  pass_hours(fixture, SUSPEND_AFTER_DAYS * 24 - 24 - 5);
  assert_false(is_suspended(hook));
  pass_hours(fixture, 10); // the next probe at the latest
  assert_true(is_suspended(hook));
  int tried = hook->requests;
  hook->answer = OK_ANSWER;
  pass_hours(fixture, 24);
  assert_int_equal(hook->requests, tried);
  assert_true(test_delivery_is(fixture, 42, DELIVERY_PENDING));
  // Of those that waited with it, few had a turn that was their last: a probe each.
  int failed = 0;
  for (int64_t id = 3; id <= 42; id++)
    failed += test_delivery_is(fixture, id, DELIVERY_FAILED);
  assert_true(failed > 0 && failed < 20);

  test_hook_save(hook); // resumes it
  const int64_t id = hook->target_id;
  dispatch_wake(fixture->dispatch, &id, 1);
  dispatch_fixture_wait_quiet(fixture);
  WAIT_FOR(fixture, test_delivery_is(fixture, 42, DELIVERY_SUCCEEDED));
}

static void test_a_failure_after_a_long_silence_suspends_nothing(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = begin(fixture, STATUS_ANSWER("404 Not Found"));

  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  pass_hours(fixture, 30);
  assert_true(test_delivery_is(fixture, 1, DELIVERY_FAILED)); // such answers are tried three times
  pass_hours(fixture, 10 * 24);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  WAIT_FOR(fixture, test_delivery_is(fixture, 2, DELIVERY_RETRYING));
  dispatch_fixture_wait_quiet(fixture);
  assert_false(is_suspended(hook));
  hook->answer = OK_ANSWER;
  pass_hours(fixture, 1);
  WAIT_FOR(fixture, test_delivery_is(fixture, 2, DELIVERY_SUCCEEDED));
}

static void test_one_that_fails_for_good_after_a_long_streak_suspends(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = begin(fixture, STATUS_ANSWER("404 Not Found"));

  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  pass_hours(fixture, 10 * 24);
  assert_false(is_suspended(hook));
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  pass_hours(fixture, 30);
  assert_true(is_suspended(hook));
}

static void test_without_the_setting_nothing_is_suspended(void **state) {
  struct dispatch_fixture *fixture = *state;

  fixture->config.suspend_after_s = 0;
  struct test_hook *hook = begin(fixture, STATUS_ANSWER("404 Not Found"));
  fixture->config.suspend_after_s = 0;
  dispatch_fixture_reopen(fixture);
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  pass_hours(fixture, 10 * 24);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  pass_hours(fixture, 30);
  assert_true(test_delivery_is(fixture, 2, DELIVERY_FAILED));
  assert_false(is_suspended(hook));
}

#define SUSPENSION_TEST(name) cmocka_unit_test_setup_teardown(name, dispatch_fixture_set_up, dispatch_fixture_tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      SUSPENSION_TEST(test_five_days_of_failures_suspend_and_keep_what_waits),
      SUSPENSION_TEST(test_a_failure_after_a_long_silence_suspends_nothing),
      SUSPENSION_TEST(test_one_that_fails_for_good_after_a_long_streak_suspends),
      SUSPENSION_TEST(test_without_the_setting_nothing_is_suspended),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
