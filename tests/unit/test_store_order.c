// SPDX-License-Identifier: Apache-2.0
// Strict order in the store: of a target only the head waits in the index, the others are held.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/admin.h"
#include "store/sqlite/sweep.h"
#include "support/store_fixture.h"

static int setup(void **state) {
  struct fixture *f = fixture_new();
  struct policy policy = fixture_policy(f, fixture_project(f, "demo"), "ci", 1);

  policy.targets[0].strict_order = true;
  fixture_policy_create(f, &policy);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture_free(*state);
  return 0;
}

static void is_sound(struct fixture *f) {
  struct store_finding *findings;
  size_t len;

  assert_int_equal(store_check(f->store, NULL, f->arena, &findings, &len, &f->err), 0);
  if (len)
    fail_msg("%.*s", STR_ARG(findings[0].what));
}

static enum delivery_state state_of(struct fixture *f, int64_t id) {
  struct delivery delivery;

  if (delivery_get(f->reader, id, f->arena, &delivery, &f->err) != 0)
    fail_msg("delivery %lld: %s", (long long)id, f->err.text);
  return delivery.state;
}

static void push_times(struct fixture *f, int times) {
  for (int i = 0; i < times; i++)
    (void)fixture_push(f, "demo");
}

static void record(struct fixture *f, int64_t id, int number, enum delivery_state state) {
  struct attempt_result result = fixture_result(id, number, state, FIXTURE_START_US);

  if (fixture_record(f, &result) != 0)
    fail_msg("%s", f->err.text);
}

static void waiting_are(struct fixture *f, int64_t expected) {
  struct delivery_depth depth;

  delivery_depth(f->store, &depth);
  assert_int_equal(depth.waiting, expected);
}

static void last_notice_is(struct fixture *f, int64_t id) {
  assert_true(f->notices_len > 0);
  assert_int_equal(f->notices[f->notices_len - 1].delivery_id, id);
}

static int change_policy(struct store_conn *conn, struct fixture *f, bool enabled, bool strict, struct error *err) {
  struct policy policy;
  int64_t *targets;
  size_t len;
  int rc = policy_get(conn, 1, 1, f->arena, &policy, err);

  if (rc != 0)
    return rc;
  policy.enabled = enabled;
  policy.targets[0].strict_order = strict;
  return policy_update(conn, &policy, f->arena, &targets, &len, err);
}

static int apply_disabled(struct store_conn *conn, void *ctx, struct error *err) {
  return change_policy(conn, ctx, false, true, err);
}

static int apply_enabled(struct store_conn *conn, void *ctx, struct error *err) {
  return change_policy(conn, ctx, true, true, err);
}

static int apply_unordered(struct store_conn *conn, void *ctx, struct error *err) {
  return change_policy(conn, ctx, true, false, err);
}

static void change(struct fixture *f, fixture_apply *apply) {
  if (fixture_write(f, apply, f) != 0)
    fail_msg("%s", f->err.text);
}

static void test_only_the_head_waits_and_its_end_promotes_the_next(void **state) {
  struct fixture *f = *state;

  push_times(f, 3);
  assert_int_equal(f->notices_len, 1);
  last_notice_is(f, 1);
  assert_int_equal(state_of(f, 1), DELIVERY_PENDING);
  assert_int_equal(state_of(f, 2), DELIVERY_HELD);
  assert_int_equal(state_of(f, 3), DELIVERY_HELD);
  waiting_are(f, 3); // held is waiting, for people
  record(f, 1, 1, DELIVERY_RETRYING);
  assert_int_equal(f->notices_len, 1); // the head's retries hold the others
  record(f, 1, 2, DELIVERY_SUCCEEDED);
  last_notice_is(f, 2);
  assert_int_equal(state_of(f, 2), DELIVERY_PENDING);
  assert_int_equal(state_of(f, 3), DELIVERY_HELD);
  waiting_are(f, 2);
  is_sound(f);
  record(f, 2, 1, DELIVERY_FAILED); // for good: the next goes on
  last_notice_is(f, 3);
  record(f, 3, 1, DELIVERY_SUCCEEDED);
  waiting_are(f, 0);
  push_times(f, 1);
  assert_int_equal(state_of(f, 4), DELIVERY_PENDING);
  is_sound(f);
}

static void test_events_of_one_commit_are_held_too(void **state) {
  struct fixture *f = *state;
  struct policy policy = fixture_policy(f, 1, "other", 2);

  fixture_policy_create(f, &policy); // 2 and 3 are not in order
  push_times(f, 2);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE target_id = 1 AND state = 2", 1);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE target_id <> 1 AND state = 0", 4);
}

static int again(struct store_conn *conn, void *ctx, struct error *err) {
  return delivery_again(conn, 1, ctx, err);
}

static void test_a_redelivery_comes_after_all_that_wait(void **state) {
  struct fixture *f = *state;
  int64_t id;

  push_times(f, 2);
  record(f, 1, 1, DELIVERY_SUCCEEDED);
  assert_int_equal(fixture_write(f, again, &id), 0);
  assert_int_equal(state_of(f, id), DELIVERY_HELD);
  record(f, 2, 1, DELIVERY_SUCCEEDED);
  last_notice_is(f, id);
  record(f, id, 1, DELIVERY_SUCCEEDED);
  assert_int_equal(fixture_write(f, again, &id), 0); // nothing waits: it is the head
  assert_int_equal(state_of(f, id), DELIVERY_PENDING);
  last_notice_is(f, id);
}

static void test_a_cancel_ends_what_is_held_and_new_ones_go_out_at_once(void **state) {
  struct fixture *f = *state;

  push_times(f, 3);
  change(f, apply_disabled);
  for (int64_t id = 1; id <= 3; id++)
    assert_int_equal(state_of(f, id), DELIVERY_CANCELLED);
  change(f, apply_enabled);
  push_times(f, 2); // the sweep may not have come yet
  last_notice_is(f, 4);
  assert_int_equal(state_of(f, 4), DELIVERY_PENDING);
  assert_int_equal(state_of(f, 5), DELIVERY_HELD);
  record(f, 1, 1, DELIVERY_RETRYING); // was on its way at the cancel
  assert_int_equal(state_of(f, 1), DELIVERY_CANCELLED);
  sweep_all(f->store);
  waiting_are(f, 2);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state = 5", 3);
  assert_int_equal(state_of(f, 4), DELIVERY_PENDING);
  assert_int_equal(state_of(f, 5), DELIVERY_HELD);
  is_sound(f);
}

static void test_switched_off_everything_waits_at_once(void **state) {
  struct fixture *f = *state;
  int64_t lanes[4];
  size_t len;

  push_times(f, 1200);
  change(f, apply_unordered);
  push_times(f, 1);
  assert_int_equal(state_of(f, 1201), DELIVERY_PENDING);
  sweep_all(f->store);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state = 0", 1201);
  fixture_number_is(f, "SELECT count(*) FROM target WHERE reordering = 1", 0);
  waiting_are(f, 1201);
  assert_int_equal(delivery_lanes(f->reader, &(int64_t){0}, lanes, 4, &len, &f->err), 0);
  assert_int_equal(len, 1);
  is_sound(f);
}

static void test_switched_on_what_waits_is_put_in_order_before_anything_is_sent(void **state) {
  struct fixture *f = *state;
  int64_t lanes[4];
  size_t len;

  change(f, apply_unordered);
  sweep_all(f->store);
  push_times(f, 1000);
  record(f, 1, 1, DELIVERY_RETRYING);
  record(f, 2, 1, DELIVERY_SUCCEEDED);
  change(f, apply_enabled); // in strict order again
  fixture_number_is(f, "SELECT reordering FROM target", 1);
  assert_int_equal(delivery_lanes(f->reader, &(int64_t){0}, lanes, 4, &len, &f->err), 0);
  assert_int_equal(len, 0);
  push_times(f, 1);
  assert_int_equal(state_of(f, 1001), DELIVERY_HELD);
  record(f, 7, 1, DELIVERY_RETRYING); // was on its way
  sweep_all(f->store);
  fixture_number_is(f, "SELECT reordering FROM target", 0);
  last_notice_is(f, 1);
  assert_int_equal(state_of(f, 1), DELIVERY_RETRYING);
  assert_int_equal(f->notices[f->notices_len - 1].due_us, FIXTURE_START_US + 5 * US_PER_S); // its wait goes on
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state = 2", 999);
  waiting_are(f, 1000);
  is_sound(f);
}

static void test_a_try_that_was_on_its_way_when_order_came_keeps_its_place(void **state) {
  struct fixture *f = *state;

  change(f, apply_unordered);
  sweep_all(f->store);
  push_times(f, 4);
  change(f, apply_enabled);
  sweep_all(f->store);
  record(f, 3, 1, DELIVERY_RETRYING); // 3 and 2 were on their way; 1 is the head
  assert_int_equal(state_of(f, 3), DELIVERY_HELD);
  record(f, 2, 1, DELIVERY_SUCCEEDED);
  assert_int_equal(state_of(f, 1), DELIVERY_PENDING);
  is_sound(f);
  record(f, 1, 1, DELIVERY_FAILED);
  last_notice_is(f, 3);
  assert_int_equal(state_of(f, 3), DELIVERY_RETRYING);
  assert_int_equal(f->notices[f->notices_len - 1].prio, 2);
}

static void test_waiting_is_counted_again_at_the_next_start(void **state) {
  struct fixture *f = *state;
  int64_t count;
  bool more;

  push_times(f, 5);
  assert_int_equal(delivery_waiting(f->reader, 1, 10, &count, &more, &f->err), 0);
  assert_int_equal(count, 5);
  assert_int_equal(delivery_waiting(f->reader, 1, 3, &count, &more, &f->err), 0);
  assert_true(count == 3 && more);
  fixture_close(f);
  fixture_open(f);
  waiting_are(f, 5);
}

static void test_a_lost_head_is_found_by_the_check(void **state) {
  struct fixture *f = *state;
  struct store_finding *findings;
  size_t len;

  push_times(f, 2);
  fixture_exec(f, "UPDATE delivery SET state = 3 WHERE id = 1");
  assert_int_equal(store_check(f->store, NULL, f->arena, &findings, &len, &f->err), 0);
  assert_int_equal(len, 1);
  assert_true(str_eq_c(findings[0].what, "target 1 holds deliveries and nothing of it goes out"));
  fixture_exec(f, "UPDATE delivery SET state = 0");
  assert_int_equal(store_check(f->store, NULL, f->arena, &findings, &len, &f->err), 0);
  assert_int_equal(len, 1);
  assert_true(str_eq_c(findings[0].what, "target 1 is in strict order and 2 of its deliveries wait at once"));
}

static void test_a_directory_of_schema_4_keeps_its_order(void **state) {
  struct fixture *f = *state;

  fixture_load(f, "schema-004.sql");
  assert_int_equal(state_of(f, 2), DELIVERY_PENDING);
  assert_int_equal(state_of(f, 3), DELIVERY_HELD);
  record(f, 2, 1, DELIVERY_SUCCEEDED);
  last_notice_is(f, 3);
  assert_int_equal(state_of(f, 3), DELIVERY_PENDING);
  is_sound(f);
}

// ---- anything in any order ------------------------------------------------------------------------------------------

enum { RANDOM_RUNS = 3, RANDOM_STEPS = 150 };

static uint32_t below(uint32_t *seed, uint32_t limit) {
  *seed = *seed * 1664525U + 1013904223U;
  return (*seed >> 8) % limit;
}

static int64_t head(struct fixture *f) {
  return fixture_number(f, "SELECT coalesce(min(d.id), 0) FROM delivery d JOIN target t ON t.id = d.target_id WHERE "
                           "d.state <= 1 AND d.id >= t.cancel_below");
}

static void end_head(struct fixture *f, uint32_t *seed) {
  static const enum delivery_state ENDS[] = {DELIVERY_RETRYING, DELIVERY_SUCCEEDED, DELIVERY_FAILED};
  int64_t id = head(f);
  struct delivery delivery;

  if (id == 0)
    return;
  assert_int_equal(delivery_get(f->reader, id, f->arena, &delivery, &f->err), 0);
  record(f, id, delivery.attempts + 1, ENDS[below(seed, ARRAY_LEN(ENDS))]);
}

static void take_a_step(struct fixture *f, uint32_t *seed, bool *strict) {
  uint32_t what = below(seed, 100);
  int64_t id;

  if (what < 40)
    push_times(f, (int)below(seed, 4));
  else if (what < 80)
    end_head(f, seed);
  else if (what < 84 && fixture_number(f, "SELECT count(*) FROM delivery") > 0)
    assert_int_equal(fixture_write(f, again, &id), 0);
  else if (what < 88)
    change(f, apply_disabled), change(f, *strict ? apply_enabled : apply_unordered);
  else if (what < 92)
    *strict = !*strict, change(f, *strict ? apply_enabled : apply_unordered);
  else
    (void)sweep_step(f->store, false);
}

// Whatever comes in whatever order: nothing is lost in between, and in order there is one head at most, the oldest.
static void test_random_changes_lose_nobody(void **state) {
  struct fixture *f = *state;

  for (uint32_t run = 1; run <= RANDOM_RUNS; run++) {
    uint32_t seed = run * 7919;
    bool strict = true;
    change(f, apply_enabled);
    for (int i = 0; i < RANDOM_STEPS; i++) {
      take_a_step(f, &seed, &strict);
      if (i % 20 == 0)
        is_sound(f);
      waiting_are(f, fixture_number(f, "SELECT count(*) FROM delivery WHERE state <= 2"));
    }
    sweep_all(f->store);
    is_sound(f);
    for (int i = 0; i < 2000 && head(f) != 0; i++)
      end_head(f, &seed);
    fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state <= 2", 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_only_the_head_waits_and_its_end_promotes_the_next, setup, teardown),
      cmocka_unit_test_setup_teardown(test_events_of_one_commit_are_held_too, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_redelivery_comes_after_all_that_wait, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_cancel_ends_what_is_held_and_new_ones_go_out_at_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_switched_off_everything_waits_at_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_switched_on_what_waits_is_put_in_order_before_anything_is_sent, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_a_try_that_was_on_its_way_when_order_came_keeps_its_place, setup, teardown),
      cmocka_unit_test_setup_teardown(test_waiting_is_counted_again_at_the_next_start, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_lost_head_is_found_by_the_check, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_directory_of_schema_4_keeps_its_order, setup, teardown),
      cmocka_unit_test_setup_teardown(test_random_changes_lose_nobody, setup, teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
