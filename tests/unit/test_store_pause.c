// SPDX-License-Identifier: Apache-2.0
// Pauses, suspensions and expiry in the store: what waits for whom, what is written when, and what a read costs.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/settings.h"
#include "store/sqlite/stops.h"
#include "store/sqlite/sweep.h"
#include "store/stops.h"
#include "support/store_fixture.h"

enum { TARGET = 1, CANCELLED_ROWS = 20000, STEPS_OF_A_PAGE = 4000, HELD_ROWS = 700, SUSPENDED_TARGETS = 100000 };
static const int64_t BACKLOG_S = 3600;

static int setup(void **state) {
  struct fixture *f = fixture_new();
  struct policy policy = fixture_policy(f, fixture_project(f, "demo"), "ci", 1);

  fixture_policy_create(f, &policy);
  assert_int_equal(policy.targets[0].id, TARGET);
  f->config.retention.backlog_s = BACKLOG_S;
  fixture_close(f);
  fixture_open(f);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture_free(*state);
  return 0;
}

// ---- what the tests do ----------------------------------------------------------------------------------------------

struct switching {
  struct fixture *f;
  bool resumes, word; // hold in place of skip, drop in place of keep
  struct policy_switched out;
};

static int apply_switch(struct store_conn *conn, void *ctx, struct error *err) {
  struct switching *s = ctx;

  return s->resumes ? policy_resume(conn, 1, 1, s->word, s->f->arena, &s->out, err)
                    : policy_pause(conn, 1, 1, s->word, s->f->arena, &s->out, err);
}

static struct policy_switched turn(struct fixture *f, bool resumes, bool word) {
  struct switching s = {.f = f, .resumes = resumes, .word = word};

  if (fixture_write(f, apply_switch, &s) != 0)
    fail_msg("%s", f->err.text);
  assert_int_equal(s.out.targets_len, 1);
  assert_int_equal(s.out.targets[0], TARGET);
  return s.out;
}

static struct policy_switched hold(struct fixture *f) {
  return turn(f, false, true);
}

static struct policy_switched skip_all(struct fixture *f) {
  return turn(f, false, false);
}

static struct policy_switched resume(struct fixture *f, bool drop) {
  return turn(f, true, drop);
}

static size_t lanes(struct fixture *f) {
  int64_t ids[4];
  size_t len;

  assert_int_equal(delivery_lanes(f->reader, &(int64_t){0}, ids, 4, &len, &f->err), 0);
  return len;
}

static size_t next(struct fixture *f) {
  struct delivery_notice rows[64];
  size_t len;

  assert_int_equal(delivery_next(f->reader, TARGET, 0, INT64_MIN, 0, rows, 64, &len, &f->err), 0);
  return len;
}

static int64_t waiting(struct fixture *f) {
  struct delivery_depth depth;

  delivery_depth(f->store, &depth);
  return depth.waiting;
}

static void push_times(struct fixture *f, int times) {
  for (int i = 0; i < times; i++)
    (void)fixture_push(f, "demo");
}

// A try by a sender that suspends after an hour of failing.
static void try(struct fixture *f, int64_t id, int number, enum delivery_state state) {
  int64_t now_us = clock_wall_us(&f->clock);
  struct attempt_result result = fixture_result(id, number, state, now_us);

  result.target_failed = state != DELIVERY_SUCCEEDED;
  result.suspend_failing_before_us = now_us - FIXTURE_HOUR_US;
  if (fixture_record(f, &result) != 0)
    fail_msg("%s", f->err.text);
}

// ---- hold and skip --------------------------------------------------------------------------------------------------

static void test_held_deliveries_wait_without_a_lane_a_notice_or_an_age(void **state) {
  struct fixture *f = *state;
  struct delivery_depth depth;
  struct policy_switched was = hold(f);

  assert_true(was.was_enabled && !was.was_paused);
  f->notices_len = 0;
  push_times(f, 3);
  assert_int_equal(f->notices_len, 0);
  assert_int_equal(lanes(f), 0);
  assert_int_equal(waiting(f), 3);
  clock_advance(&f->clock, FIXTURE_HOUR_US / 2);
  sweep_all(f->store);
  delivery_depth(f->store, &depth);
  assert_int_equal(depth.oldest_due_us, 0); // nobody need be woken for what a person paused

  was = resume(f, false);
  assert_true(was.was_paused);
  assert_int_equal(lanes(f), 1);
  assert_int_equal(next(f), 3);
  sweep_all(f->store);
  delivery_depth(f->store, &depth);
  assert_int_equal(depth.oldest_due_us, FIXTURE_START_US);
}

static void test_each_switch_names_a_new_state_of_the_policy(void **state) {
  struct fixture *f = *state;
  int64_t before_us = fixture_number(f, "SELECT updated_us FROM policy"), after_us;

  for (int i = 0; i < 4; i++) {
    if (i % 2 == 0)
      (void)hold(f);
    else
      (void)resume(f, false);
    after_us = fixture_number(f, "SELECT updated_us FROM policy"); // the clock of the test stands still
    assert_true(after_us > before_us);
    before_us = after_us;
  }
}

static void test_skip_and_drop_cancel_and_hold_and_keep_do_not(void **state) {
  struct fixture *f = *state;

  push_times(f, 2);
  (void)hold(f);
  assert_int_equal(next(f), 2);
  (void)skip_all(f);
  assert_int_equal(next(f), 0);
  push_times(f, 1);
  fixture_number_is(f, "SELECT count(*) FROM delivery", 2);
  (void)hold(f);
  push_times(f, 2);
  assert_int_equal(next(f), 2);
  (void)resume(f, true);
  assert_int_equal(next(f), 0);
  push_times(f, 1);
  assert_int_equal(next(f), 1);
  sweep_all(f->store);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state = 5", 4);
  assert_int_equal(waiting(f), 1);
}

static void test_a_policy_whose_secrets_cannot_be_opened_is_paused_all_the_same(void **state) {
  struct fixture *f = *state;

  fixture_exec(f, "UPDATE target SET address = x'00'");
  (void)hold(f);
  (void)skip_all(f);
  fixture_number_is(f, "SELECT enabled + hold FROM policy", 0);
}

static void test_pausing_what_is_not_there_is_told(void **state) {
  struct fixture *f = *state;
  struct switching s = {.f = f, .word = true};

  fixture_exec(f, "UPDATE policy SET deleted_us = 1");
  assert_int_equal(fixture_write(f, apply_switch, &s), ERR_NOT_FOUND);
  s.resumes = true;
  assert_int_equal(fixture_write(f, apply_switch, &s), ERR_NOT_FOUND);
}

// ---- the streak -----------------------------------------------------------------------------------------------------

static void test_a_streak_begins_with_a_failure_and_ends_with_a_success(void **state) {
  struct fixture *f = *state;

  push_times(f, 3);
  try(f, 1, 1, DELIVERY_RETRYING);
  fixture_number_is(f, "SELECT failing_since_us FROM target", FIXTURE_START_US);
  clock_advance(&f->clock, 60 * US_PER_S);
  try(f, 2, 1, DELIVERY_RETRYING);
  fixture_number_is(f, "SELECT failing_since_us FROM target", FIXTURE_START_US);
  try(f, 1, 2, DELIVERY_SUCCEEDED);
  fixture_number_is(f, "SELECT failing_since_us FROM target", 0);
  clock_advance(&f->clock, FIXTURE_HOUR_US);
  try(f, 3, 1, DELIVERY_RETRYING);
  fixture_number_is(f, "SELECT suspended FROM target", 0); // the streak is young again
}

static void test_the_streak_is_written_when_it_begins_and_ends_and_not_with_each_failure(void **state) {
  struct fixture *f = *state;

  push_times(f, 8);
  fixture_exec(f, "CREATE TABLE written (at); CREATE TRIGGER writes AFTER UPDATE ON target BEGIN INSERT INTO written "
                  "VALUES (1); END");
  for (int64_t id = 1; id <= 4; id++)
    try(f, id, 1, DELIVERY_RETRYING);
  fixture_number_is(f, "SELECT count(*) FROM written", 1);
  for (int64_t id = 5; id <= 8; id++)
    try(f, id, 1, DELIVERY_SUCCEEDED);
  fixture_number_is(f, "SELECT count(*) FROM written", 2);
}

static void test_long_failure_suspends_once_in_the_name_of_the_system(void **state) {
  struct fixture *f = *state;
  struct audit_entry *entries;
  struct query query = {.page = 1, .page_size = 10};
  size_t len;
  int64_t total;

  push_times(f, 3);
  try(f, 1, 1, DELIVERY_RETRYING);
  uint64_t generation = store_policy_generation(f->store);
  clock_advance(&f->clock, 2 * FIXTURE_DAY_US);
  try(f, 1, 2, DELIVERY_RETRYING);
  try(f, 2, 1, DELIVERY_RETRYING); // on its way at the same time
  assert_true(store_policy_generation(f->store) > generation);
  fixture_number_is(f, "SELECT suspended_us FROM target WHERE suspended = 1", FIXTURE_START_US + 2 * FIXTURE_DAY_US);
  fixture_number_is(f,
                    "SELECT suspended_reason = 'no delivery succeeded since 2026-08-21T08:13:20Z, 2 days; the last "
                    "try: answered 500' FROM target",
                    1);
  assert_int_equal(audit_list(f->reader, &query, f->arena, &entries, &len, &total, &f->err), 0);
  assert_int_equal(total, 1);
  assert_true(str_eq_c(entries[0].actor, "system") && str_eq_c(entries[0].operation, "suspend"));
  assert_true(str_eq_c(entries[0].subject, "demo/ci") && str_eq_c(entries[0].project, "demo"));
  assert_true(str_eq_c(entries[0].fields, "targets[0].harbinger.suspended"));
  assert_int_equal(lanes(f), 0);
  f->notices_len = 0;
  push_times(f, 1);
  assert_int_equal(f->notices_len, 0);
  assert_int_equal(waiting(f), 4);

  struct policy_switched was = resume(f, false);
  assert_int_equal(was.suspended, 1);
  fixture_number_is(f, "SELECT suspended + suspended_us + failing_since_us FROM target", 0);
  assert_int_equal(lanes(f), 1);
}

static void test_saving_an_enabled_policy_ends_a_suspension_and_its_streak(void **state) {
  struct fixture *f = *state;
  struct policy policy;

  push_times(f, 1);
  try(f, 1, 1, DELIVERY_RETRYING);
  clock_advance(&f->clock, FIXTURE_DAY_US);
  try(f, 1, 2, DELIVERY_RETRYING);
  fixture_number_is(f, "SELECT suspended FROM target", 1);
  assert_int_equal(policy_get(f->reader, 1, 1, f->arena, &policy, &f->err), 0);
  fixture_policy_update(f, &policy);
  fixture_number_is(f, "SELECT suspended + suspended_us + failing_since_us FROM target", 0);
}

// ---- expiry ---------------------------------------------------------------------------------------------------------

static void test_what_waits_too_long_for_a_paused_target_ends_in_steps(void **state) {
  struct fixture *f = *state;

  (void)hold(f);
  push_times(f, HELD_ROWS);
  clock_advance(&f->clock, BACKLOG_S * US_PER_S);
  push_times(f, 2);
  sweep_all(f->store);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state = 4", 0); // exactly as old as it may be
  clock_advance(&f->clock, US_PER_S);
  sweep_wake(f->store, SWEEP_EXPIRED);
  int most = 0, before = 0, steps = 0;
  while (steps < 1000 && sweep_step(f->store, false)) {
    int64_t ended = fixture_number(f, "SELECT count(*) FROM delivery WHERE state = 4");
    most = (int)ended - before > most ? (int)ended - before : most;
    before = (int)ended;
    steps++;
  }
  assert_true(most <= STORE_SWEEP_ROWS);
  fixture_number_is(f,
                    "SELECT count(*) FROM delivery WHERE state = 4 AND last_words = 'expired: it waited for more than "
                    "3600 seconds while its webhook was paused'",
                    HELD_ROWS);
  assert_int_equal(waiting(f), 2);
  (void)resume(f, false);
  assert_int_equal(next(f), 2);
}

static void test_what_waits_for_a_target_that_is_sent_to_does_not_expire(void **state) {
  struct fixture *f = *state;

  push_times(f, 2);
  clock_advance(&f->clock, 3 * BACKLOG_S * US_PER_S);
  try(f, 1, 1, DELIVERY_RETRYING); // it has begun to fail just now
  fixture_exec(f, "UPDATE target SET suspended = 0");
  sweep_all(f->store);
  assert_int_equal(waiting(f), 2);
  // Failing for as long as that it does.
  fixture_exec(f, "UPDATE target SET failing_since_us = failing_since_us - 7200000000");
  sweep_all(f->store);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state = 4", 1); // the other is due later
}

static void test_a_pause_that_has_just_begun_ends_nothing_however_old_it_is(void **state) {
  struct fixture *f = *state;

  push_times(f, 2);
  clock_advance(&f->clock, 3 * BACKLOG_S * US_PER_S); // the program was stopped
  (void)hold(f);
  sweep_all(f->store);
  assert_int_equal(waiting(f), 2);
  (void)resume(f, false);
  fixture_exec(f, "UPDATE target SET suspended = 1, suspended_us = (SELECT max(updated_us) FROM policy)");
  sweep_all(f->store);
  assert_int_equal(waiting(f), 2);
  clock_advance(&f->clock, (BACKLOG_S + 1) * US_PER_S);
  sweep_all(f->store);
  assert_int_equal(waiting(f), 0);
}

static void test_without_a_limit_nothing_expires(void **state) {
  struct fixture *f = *state;

  f->config.retention.backlog_s = 0;
  fixture_close(f);
  fixture_open(f);
  (void)hold(f);
  push_times(f, 2);
  clock_advance(&f->clock, 400 * FIXTURE_DAY_US);
  sweep_all(f->store);
  assert_int_equal(waiting(f), 2);
  fixture_number_is(f, "SELECT count(*) FROM event", 2); // an event that waits is never trimmed
}

static void test_in_strict_order_the_followers_expire_after_their_head(void **state) {
  struct fixture *f = *state;
  struct policy policy;

  assert_int_equal(policy_get(f->reader, 1, 1, f->arena, &policy, &f->err), 0);
  policy.targets[0].strict_order = true;
  fixture_policy_update(f, &policy);
  sweep_all(f->store);
  (void)hold(f);
  push_times(f, 5);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state = 2", 4);
  clock_advance(&f->clock, 2 * BACKLOG_S * US_PER_S);
  push_times(f, 1);
  sweep_all(f->store);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state = 4 AND id <= 5", 5);
  fixture_number_is(f, "SELECT state FROM delivery WHERE id = 6", 0); // the head now
  assert_int_equal(waiting(f), 1);
}

// A database that a program of schema 5 left while a webhook was held.
static void test_a_hold_of_schema_5_is_still_one(void **state) {
  struct fixture *f = *state;
  struct policy policy;

  fixture_load(f, "schema-005.sql");
  assert_int_equal(policy_get(f->reader, 1, 1, f->arena, &policy, &f->err), 0);
  assert_true(policy.enabled && policy.paused && !policy.targets[0].suspended);
  assert_int_equal(lanes(f), 0);
  assert_int_equal(waiting(f), 2);
  (void)resume(f, false);
  assert_int_equal(lanes(f), 1);
  fixture_number_is(f, "SELECT failing_since_us FROM target", 0);
}

static void test_what_is_suspended_since_nobody_knows_when_counts_from_when_it_is_seen(void **state) {
  struct fixture *f = *state;

  push_times(f, 2);
  fixture_exec(f, "UPDATE target SET suspended = 1, suspended_reason = 'lost', suspended_us = 0");
  clock_advance(&f->clock, 2 * BACKLOG_S * US_PER_S);
  sweep_all(f->store);
  assert_int_equal(waiting(f), 2);
  clock_advance(&f->clock, (BACKLOG_S + 1) * US_PER_S);
  sweep_all(f->store);
  assert_int_equal(waiting(f), 0);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state = 4", 2);
}

// ---- time in which the program did not run --------------------------------------------------------------------------

static void stand_still(struct fixture *f, int64_t us) {
  sweep_all(f->store); // it notes that the program runs
  fixture_close(f);
  clock_advance(&f->clock, us);
  fixture_open(f);
}

static void test_what_waited_while_the_program_did_not_run_does_not_expire(void **state) {
  struct fixture *f = *state;

  push_times(f, 1);
  (void)hold(f);
  for (int stops = 0; stops < 5; stops++)
    stand_still(f, 3 * BACKLOG_S * US_PER_S);
  sweep_all(f->store);
  assert_int_equal(waiting(f), 1);
  clock_advance(&f->clock, (BACKLOG_S + 1) * US_PER_S);
  sweep_all(f->store);
  assert_int_equal(waiting(f), 0);
}

static void test_the_time_that_the_program_ran_is_told_without_its_stops(void **state) {
  struct fixture *f = *state;
  const int64_t hour = FIXTURE_HOUR_US, begin = clock_wall_us(&f->clock);

  clock_advance(&f->clock, hour);
  stand_still(f, 2 * hour); // 1 to 3
  clock_advance(&f->clock, hour);
  stand_still(f, hour / 4); // a short one is time like any other
  stand_still(f, 3 * hour); // 4.25 to 7.25
  int64_t now = clock_wall_us(&f->clock);
  assert_int_equal(store_ran_us(f->store, begin, now), 2 * hour + hour / 4);
  assert_int_equal(store_ran_us(f->store, begin + 2 * hour, now - hour), hour + hour / 4);
  assert_int_equal(store_ran_us(f->store, now, begin), 0);
  assert_int_equal(store_ran_since(f->store, now, hour), begin + 3 * hour + hour / 4);
  assert_int_equal(store_ran_since(f->store, now, hour + hour / 2), begin + 3 * hour / 4);
  assert_int_equal(store_ran_since(f->store, begin + 2 * hour, hour / 2), begin + hour / 2);
}

// ---- what a read costs ----------------------------------------------------------------------------------------------

// How much work the last read of what waits was for SQLite.
static int steps_of_next(struct fixture *f) {
  sqlite3_stmt *stmt = NULL;

  while ((stmt = sqlite3_next_stmt(f->reader->db, stmt)) != NULL) {
    if (str_starts_c(str_of(sqlite3_sql(stmt)), "SELECT id, due_us FROM delivery INDEXED BY delivery_waiting"))
      return sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
  }
  fail_msg("there is no such statement");
  return 0;
}

static void cancel_many(struct fixture *f) {
  char sql[512];

  push_times(f, 1);
  (void)snprintf(sql, sizeof(sql),
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO delivery "
                 "(event_rowid, policy_id, target_id, target_type, event_type, state, prio, attempts, due_us, "
                 "created_us) SELECT 1, 1, 1, 0, 0, 0, 0, 0, %lld - i, %lld - i FROM n",
                 CANCELLED_ROWS, (long long)FIXTURE_START_US, (long long)FIXTURE_START_US);
  fixture_exec(f, sql);
  clock_advance(&f->clock, US_PER_S);
  (void)skip_all(f);
  // As that commit left them: the steps of the sweep that came with it are taken back.
  fixture_exec(f, "UPDATE delivery SET state = 0, ended_us = NULL; UPDATE target SET swept_below = 0");
  (void)hold(f);
  fixture_exec(f, "UPDATE target SET swept_below = 0");
}

static void test_a_read_of_what_waits_begins_behind_what_was_cancelled(void **state) {
  struct fixture *f = *state;

  cancel_many(f);
  push_times(f, 3);
  fixture_exec(f, "UPDATE delivery SET state = 0, ended_us = NULL WHERE state = 5; UPDATE target SET swept_below = 0");
  (void)next(f);
  (void)steps_of_next(f);
  assert_int_equal(next(f), 3);
  assert_true(steps_of_next(f) < STEPS_OF_A_PAGE);
}

static void test_what_is_made_after_the_clock_was_set_back_is_seen_when_the_sweep_is_done(void **state) {
  struct fixture *f = *state;

  push_times(f, 2);
  (void)skip_all(f);
  (void)hold(f);
  fixture_exec(f, "UPDATE delivery SET state = 0, ended_us = NULL; UPDATE target SET swept_below = 0, cancelled_us = "
                  "cancelled_us + 3600000000");
  push_times(f, 1);
  fixture_exec(f, "UPDATE delivery SET state = 0, ended_us = NULL; UPDATE target SET swept_below = 0");
  assert_int_equal(next(f), 0);
  sweep_all(f->store);
  assert_int_equal(next(f), 1);
}

static void suspend_many(struct fixture *f) {
  char sql[1024];

  (void)snprintf(
      sql, sizeof(sql),
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= %d) INSERT INTO target "
      "(policy_id, position, type, address, auth_header, skip_cert_verify, format, extras, suspended) SELECT "
      "1, i, 0, x'00', x'', 0, 0, 1, i <= %d FROM n; INSERT INTO delivery (event_rowid, policy_id, "
      "target_id, target_type, event_type, state, prio, attempts, due_us, created_us) SELECT 1, 1, id, 0, "
      "0, 0, 0, 0, 1, 1 FROM target WHERE id > 1",
      SUSPENDED_TARGETS, SUSPENDED_TARGETS);
  fixture_exec(f, sql);
}

static void test_a_hundred_thousand_suspended_targets_are_stepped_over(void **state) {
  struct fixture *f = *state;
  int64_t after = 0, ids[4];
  size_t len, found = 0;
  int calls = 0, seeks = 0;
  sqlite3_stmt *stmt = NULL;

  suspend_many(f);
  do {
    assert_int_equal(delivery_lanes(f->reader, &after, ids, 4, &len, &f->err), 0);
    found += len;
    calls++;
  } while (after != 0);
  assert_int_equal(found, 1);
  assert_int_equal(ids[0], SUSPENDED_TARGETS + 2);
  assert_true(calls > 5); // none of them takes long
  while ((stmt = sqlite3_next_stmt(f->reader->db, stmt)) != NULL)
    if (str_starts_c(str_of(sqlite3_sql(stmt)), "SELECT target_id FROM delivery INDEXED BY delivery_waiting"))
      seeks = sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_RUN, 1);
  assert_true(seeks > 0 && seeks < SUSPENDED_TARGETS / 100);
}

#define PAUSE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      PAUSE_TEST(test_held_deliveries_wait_without_a_lane_a_notice_or_an_age),
      PAUSE_TEST(test_each_switch_names_a_new_state_of_the_policy),
      PAUSE_TEST(test_skip_and_drop_cancel_and_hold_and_keep_do_not),
      PAUSE_TEST(test_a_policy_whose_secrets_cannot_be_opened_is_paused_all_the_same),
      PAUSE_TEST(test_pausing_what_is_not_there_is_told),
      PAUSE_TEST(test_a_streak_begins_with_a_failure_and_ends_with_a_success),
      PAUSE_TEST(test_the_streak_is_written_when_it_begins_and_ends_and_not_with_each_failure),
      PAUSE_TEST(test_long_failure_suspends_once_in_the_name_of_the_system),
      PAUSE_TEST(test_saving_an_enabled_policy_ends_a_suspension_and_its_streak),
      PAUSE_TEST(test_what_waits_too_long_for_a_paused_target_ends_in_steps),
      PAUSE_TEST(test_what_waits_for_a_target_that_is_sent_to_does_not_expire),
      PAUSE_TEST(test_a_pause_that_has_just_begun_ends_nothing_however_old_it_is),
      PAUSE_TEST(test_without_a_limit_nothing_expires),
      PAUSE_TEST(test_in_strict_order_the_followers_expire_after_their_head),
      PAUSE_TEST(test_a_hold_of_schema_5_is_still_one),
      PAUSE_TEST(test_a_read_of_what_waits_begins_behind_what_was_cancelled),
      PAUSE_TEST(test_what_is_suspended_since_nobody_knows_when_counts_from_when_it_is_seen),
      PAUSE_TEST(test_what_waited_while_the_program_did_not_run_does_not_expire),
      PAUSE_TEST(test_the_time_that_the_program_ran_is_told_without_its_stops),
      PAUSE_TEST(test_a_hundred_thousand_suspended_targets_are_stepped_over),
      PAUSE_TEST(test_what_is_made_after_the_clock_was_set_back_is_seen_when_the_sweep_is_done),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
