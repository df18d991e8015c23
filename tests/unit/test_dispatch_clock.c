// SPDX-License-Identifier: Apache-2.0
// Due times are wall clock: what becomes of deliveries when it is set forward or back.
#include "support/dispatch_fixture.h"

static void test_a_clock_set_forward_does_not_keep_deliveries_waiting(void **state) {
  struct dispatch_fixture *fixture = *state;
  fixture->config.retry.steps_ms[0] = HOUR_MS;
  fixture->config.retry.steps_len = 1;
  dispatch_fixture_reopen(fixture);
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = STATUS_ANSWER("500 Internal Server Error");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  WAIT_FOR(fixture, hook->requests == 1);
  dispatch_fixture_wait_quiet(fixture);
  clock_jump(&fixture->clock, HOUR_MS * US_PER_MS);
  dispatch_fixture_advance(fixture, 30000); // the next look
  WAIT_FOR(fixture, hook->requests >= 2);
}

// What was due before the clock was set back is due still: neither it nor what comes behind it waits a day.
static void test_a_clock_set_back_does_not_keep_deliveries_waiting(void **state) {
  struct dispatch_fixture *fixture = *state;
  fixture->config.lane_concurrency = 1;
  fixture->config.retry.steps_ms[0] = HOUR_MS;
  fixture->config.retry.steps_len = 1;
  dispatch_fixture_reopen(fixture);
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = NULL;
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 3); // one on its way, two in the window
  WAIT_FOR(fixture, hook->requests == 1);
  dispatch_fixture_settle(fixture);
  clock_jump(&fixture->clock, -24 * HOUR_MS * US_PER_MS);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  hook->answer = OK_ANSWER;
  dispatch_fixture_advance(fixture, 30000); // the first one is given up
  WAIT_FOR(fixture, hook->requests >= 4);
  dispatch_fixture_wait_quiet(fixture);
  dispatch_fixture_advance(fixture, HOUR_MS); // its retry
  WAIT_FOR(fixture, hook->requests == 5);
}

// A retry that was timed by a clock which ran ahead is not further away than the longest wait there is.
static void test_a_retry_timed_by_a_clock_that_ran_ahead_comes(void **state) {
  struct dispatch_fixture *fixture = *state;
  fixture->config.retry.steps_ms[0] = HOUR_MS;
  fixture->config.retry.steps_len = 1;
  dispatch_fixture_reopen(fixture);
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = STATUS_ANSWER("500 Internal Server Error");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  WAIT_FOR(fixture, hook->requests == 1);
  dispatch_fixture_wait_quiet(fixture);
  clock_jump(&fixture->clock, -24 * HOUR_MS * US_PER_MS);
  hook->answer = OK_ANSWER;
  dispatch_fixture_advance(fixture, 30000); // the next look
  WAIT_FOR(fixture, hook->requests == 2);
}

#define DISPATCH_TEST(test) cmocka_unit_test_setup_teardown(test, dispatch_fixture_set_up, dispatch_fixture_tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      DISPATCH_TEST(test_a_clock_set_forward_does_not_keep_deliveries_waiting),
      DISPATCH_TEST(test_a_clock_set_back_does_not_keep_deliveries_waiting),
      DISPATCH_TEST(test_a_retry_timed_by_a_clock_that_ran_ahead_comes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
