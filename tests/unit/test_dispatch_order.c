// SPDX-License-Identifier: Apache-2.0
// Strict order on its way out: real store and client, receivers on loopback, simulated time.
#include <stdio.h>

#include "store/policies.h"
#include "support/dispatch_fixture.h"

#define FAILURE STATUS_ANSWER("500 Internal Server Error")

static struct test_hook *add_ordered(struct dispatch_fixture *fixture) {
  struct test_hook *hook = test_hook_add(fixture);
  test_hook_target(hook)->strict_order = true;
  test_hook_save(hook);
  return hook;
}

static void wake(struct test_hook *hook) { // as the API does after a change
  dispatch_wake(hook->fixture->dispatch, &hook->target_id, 1);
  dispatch_fixture_wait_quiet(hook->fixture);
}

// So far: in order of ids, none tried before the ones before it had ended.
static void assert_in_order(const struct dispatch_fixture *fixture, int from) {
  for (int i = from + 1; i < fixture->seen_len; i++)
    assert_true(fixture->seen[i].delivery_id >= fixture->seen[i - 1].delivery_id);
}

static void test_the_heads_retries_hold_what_follows(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = add_ordered(fixture);
  hook->answer = FAILURE;
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 3);
  for (int i = 1; i <= 4; i++) {
    WAIT_FOR(fixture, hook->requests >= i);
    dispatch_fixture_wait_quiet(fixture);
    dispatch_fixture_advance(fixture, HOUR_MS);
  }
  dispatch_fixture_wait_quiet(fixture);
  for (int i = 0; i < fixture->seen_len; i++)
    assert_int_equal(fixture->seen[i].delivery_id, 1);
  assert_true(test_delivery_is(fixture, 2, DELIVERY_HELD));
  int tries = hook->requests;
  hook->answer = OK_ANSWER;
  dispatch_fixture_advance(fixture, 8 * HOUR_MS);
  WAIT_FOR(fixture, hook->requests == tries + 3); // and no time passes between them
  dispatch_fixture_wait_quiet(fixture);
  assert_in_order(fixture, 0);
  assert_true(test_delivery_is(fixture, 3, DELIVERY_SUCCEEDED));
}

static void test_one_is_on_its_way_at_a_time_whatever_went_well_before(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = add_ordered(fixture);
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 10);
  WAIT_FOR(fixture, hook->requests == 10);
  dispatch_fixture_wait_quiet(fixture);
  hook->answer = NULL;
  dispatch_fixture_happen_times(fixture, EVENT_PULL_ARTIFACT, 2);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 2); // pushes overtake pulls elsewhere
  for (int i = 11; i <= 14; i++) {
    WAIT_FOR(fixture, hook->requests == i);
    dispatch_fixture_settle(fixture);
    assert_int_equal(hook->requests, i);
    assert_int_equal(test_hook_lane_state(hook).running, 1);
    peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
  }
  dispatch_fixture_wait_quiet(fixture);
  dispatch_fixture_assert_each_once(fixture, 14);
  assert_in_order(fixture, 0);
}

static void test_after_a_failure_for_good_the_next_goes_on(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = add_ordered(fixture);
  hook->answer = STATUS_ANSWER("404 Not Found"); // three tries
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 2);
  for (int i = 1; i <= 6; i++) {
    WAIT_FOR(fixture, hook->requests >= i);
    dispatch_fixture_wait_quiet(fixture);
    dispatch_fixture_advance(fixture, MINUTE_MS);
  }
  dispatch_fixture_wait_quiet(fixture);
  assert_in_order(fixture, 0);
  assert_true(test_delivery_is(fixture, 1, DELIVERY_FAILED));
  assert_true(test_delivery_is(fixture, 2, DELIVERY_FAILED));
}

static void test_switched_on_in_full_flight_waits_for_all_that_fly(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 8);
  WAIT_FOR(fixture, hook->requests == 8);
  dispatch_fixture_wait_quiet(fixture);
  hook->answer = NULL;
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 20);
  WAIT_FOR(fixture, hook->requests == 16); // eight at once
  test_hook_target(hook)->strict_order = true;
  test_hook_save(hook);
  dispatch_wake(fixture->dispatch, &hook->target_id, 1);
  WAIT_FOR(fixture, test_delivery_is(fixture, 28, DELIVERY_HELD));
  WAIT_FOR(fixture, !test_delivery_is(fixture, 9, DELIVERY_HELD));
  hook->answer = OK_ANSWER;
  int open = 0;
  for (int i = 0; i < hook->receiver->accepted; i++)
    open += hook->receiver->peers[i].stream != NULL;
  assert_int_equal(open, 8);
  for (int i = 0; i < 7; i++)
    peer_send(&hook->receiver->peers[i], STR(OK_ANSWER));
  for (int i = 0; i < 20; i++)
    loop_step(fixture->loop, DISPATCH_FIXTURE_STEP_MS);
  assert_int_equal(hook->requests, 16); // the eighth is still out
  peer_send(&hook->receiver->peers[7], STR(OK_ANSWER));
  WAIT_FOR(fixture, hook->requests == 28);
  dispatch_fixture_wait_quiet(fixture);
  dispatch_fixture_assert_each_once(fixture, 28);
  assert_in_order(fixture, 16);
}

static void test_switched_off_what_was_held_goes_out_side_by_side(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = add_ordered(fixture);
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 8);
  WAIT_FOR(fixture, hook->requests == 8);
  dispatch_fixture_wait_quiet(fixture);
  hook->answer = NULL;
  dispatch_fixture_happen_times(fixture, EVENT_PULL_ARTIFACT, 9);
  WAIT_FOR(fixture, hook->requests == 9);
  test_hook_target(hook)->strict_order = false;
  test_hook_save(hook);
  dispatch_wake(fixture->dispatch, &hook->target_id, 1);
  WAIT_FOR(fixture, hook->requests == 9 + 7); // eight at once
}

static void test_a_restart_goes_on_with_the_head(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = add_ordered(fixture);
  hook->answer = NULL;
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 4);
  WAIT_FOR(fixture, hook->requests == 1);
  dispatch_fixture_reopen(fixture);
  hook->answer = OK_ANSWER;
  dispatch_fixture_start(fixture);
  WAIT_FOR(fixture, hook->requests == 5);
  dispatch_fixture_wait_quiet(fixture);
  assert_int_equal(fixture->seen[1].delivery_id, 1);
  assert_in_order(fixture, 0);
}

static void test_the_breaker_probes_with_the_head_and_the_next_is_the_head_after_it(void **state) {
  struct dispatch_fixture *fixture = *state;
  fixture->config.breaker_failures = 3;
  fixture->config.breaker_span_ms = 1000;
  fixture->config.retry.give_up_ms = 10 * MINUTE_MS;
  dispatch_fixture_reopen(fixture);
  struct test_hook *hook = add_ordered(fixture);
  hook->answer = FAILURE;
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 2);
  WAIT_FOR(fixture, hook->requests == 1);
  for (int i = 0; i < 200 && !test_delivery_is(fixture, 1, DELIVERY_FAILED); i++) {
    dispatch_fixture_wait_quiet(fixture);
    dispatch_fixture_advance(fixture, 10000);
  }
  assert_true(test_delivery_is(fixture, 1, DELIVERY_FAILED));
  assert_true(test_hook_lane_state(hook).breaker_open);
  assert_int_equal(test_delivery_get(fixture, 2).attempts, 0);
  hook->answer = OK_ANSWER;
  for (int i = 0; i < 200 && !test_delivery_is(fixture, 2, DELIVERY_SUCCEEDED); i++) {
    dispatch_fixture_wait_quiet(fixture);
    dispatch_fixture_advance(fixture, 10000);
  }
  assert_true(test_delivery_is(fixture, 2, DELIVERY_SUCCEEDED));
  assert_in_order(fixture, 0);
}

static void test_disabled_and_enabled_again_starts_with_what_is_new(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = add_ordered(fixture);
  hook->answer = NULL;
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 4);
  WAIT_FOR(fixture, hook->requests == 1);
  hook->policy.enabled = false;
  test_hook_save(hook);
  test_hook_cancel(hook);
  hook->policy.enabled = true;
  test_hook_save(hook);
  dispatch_wake(fixture->dispatch, &hook->target_id, 1);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 2);
  for (int i = 0; i < 20; i++)
    loop_step(fixture->loop, DISPATCH_FIXTURE_STEP_MS);
  assert_int_equal(hook->requests, 1); // the one on its way at the cancel is still out
  hook->answer = OK_ANSWER;
  peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
  WAIT_FOR(fixture, hook->requests == 3);
  wake(hook);
  assert_int_equal(fixture->seen[1].delivery_id, 5);
  assert_int_equal(fixture->seen[2].delivery_id, 6);
  assert_true(test_delivery_is(fixture, 1, DELIVERY_SUCCEEDED));
  assert_true(test_delivery_is(fixture, 2, DELIVERY_CANCELLED));
}

#define ORDER_TEST(test) cmocka_unit_test_setup_teardown(test, dispatch_fixture_set_up, dispatch_fixture_tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      ORDER_TEST(test_the_heads_retries_hold_what_follows),
      ORDER_TEST(test_one_is_on_its_way_at_a_time_whatever_went_well_before),
      ORDER_TEST(test_after_a_failure_for_good_the_next_goes_on),
      ORDER_TEST(test_switched_on_in_full_flight_waits_for_all_that_fly),
      ORDER_TEST(test_switched_off_what_was_held_goes_out_side_by_side),
      ORDER_TEST(test_a_restart_goes_on_with_the_head),
      ORDER_TEST(test_the_breaker_probes_with_the_head_and_the_next_is_the_head_after_it),
      ORDER_TEST(test_disabled_and_enabled_again_starts_with_what_is_new),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
