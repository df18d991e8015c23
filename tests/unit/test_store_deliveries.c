// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "store/admin.h"
#include "store/sqlite/sweep.h"
#include "support/store_fixture.h"

static int setup(void **state) {
  struct fixture *f = fixture_new();
  struct policy policy = fixture_policy(f, fixture_project(f, "demo"), "ci", 1);

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

static struct delivery get(struct fixture *f, int64_t id) {
  struct delivery delivery;

  if (delivery_get(f->reader, id, f->arena, &delivery, &f->err) != 0)
    fail_msg("delivery %lld: %s", (long long)id, f->err.text);
  return delivery;
}

static int64_t waiting(struct fixture *f) {
  struct delivery_depth depth;

  delivery_depth(f->store, &depth);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state <= 1", depth.waiting);
  return depth.waiting;
}

static void test_a_commit_tells_its_deliveries(void **state) {
  struct fixture *f = *state;
  struct event event = fixture_push(f, "demo");

  assert_int_equal(f->notices_len, 1);
  assert_int_equal(f->notices[0].delivery_id, 1);
  assert_int_equal(f->notices[0].target_id, 1);
  assert_int_equal(f->notices[0].prio, 0);
  assert_int_equal(f->notices[0].due_us, event.recorded_at_us);
  assert_int_equal(waiting(f), 1);
}

static void test_everything_for_a_try_is_loaded(void **state) {
  struct fixture *f = *state;
  struct event event = fixture_push(f, "demo");
  struct delivery_load load;

  assert_int_equal(delivery_load(f->reader, 1, "default", f->arena, &load, &f->err), 0);
  assert_memory_equal(&load.event.id, &event.id, sizeof(event.id));
  assert_int_equal(load.target_id, 1);
  assert_int_equal(load.state, DELIVERY_PENDING);
  assert_null(load.body.ptr);
  assert_int_equal(delivery_load(f->reader, 2, "default", f->arena, &load, &f->err), ERR_NOT_FOUND);
  assert_string_equal(f->err.text, "execution 2 not found");
}

static void test_attempts_and_the_body_of_the_first_are_kept(void **state) {
  struct fixture *f = *state;
  struct delivery_load load;
  struct attempt *attempts;
  struct str body;
  size_t len;

  (void)fixture_push(f, "demo");
  struct attempt_result first = fixture_result(1, 1, DELIVERY_RETRYING, FIXTURE_START_US + 100);
  first.body = STR("{\"first\":1}");
  assert_int_equal(fixture_record(f, &first), 0);
  struct delivery delivery = get(f, 1);
  assert_int_equal(delivery.state, DELIVERY_RETRYING);
  assert_int_equal(delivery.attempts, 1);
  assert_int_equal(delivery.last_status, 500);
  assert_int_equal(delivery.started_at_us, FIXTURE_START_US + 100);
  assert_int_equal(delivery.ended_at_us, 0);
  assert_int_equal(delivery.due_us, FIXTURE_START_US + 100 + 5 * US_PER_S);
  assert_int_equal(waiting(f), 1);

  struct attempt_result second = fixture_result(1, 2, DELIVERY_SUCCEEDED, FIXTURE_START_US + 5 * US_PER_S);
  second.body = STR("{\"second\":1}"); // the first one stays
  assert_int_equal(fixture_record(f, &second), 0);
  delivery = get(f, 1);
  assert_int_equal(delivery.state, DELIVERY_SUCCEEDED);
  assert_int_equal(delivery.ended_at_us, FIXTURE_START_US + 5 * US_PER_S + 2500);
  assert_int_equal(delivery.due_us, 0);
  assert_int_equal(waiting(f), 0);
  assert_int_equal(delivery_load(f->reader, 1, "default", f->arena, &load, &f->err), 0);
  assert_true(str_eq_c(load.body, "{\"first\":1}"));
  assert_int_equal(delivery_body(f->reader, 1, "cloudevents:1", f->arena, &body, &f->err), 0);
  assert_null(body.ptr);
  assert_int_equal(delivery_attempts(f->reader, 1, f->arena, &attempts, &len, &f->err), 0);
  assert_int_equal(len, 2);
  assert_int_equal(attempts[0].number, 1);
  assert_true(str_eq_c(attempts[0].words, "answered 500"));
  assert_int_equal(attempts[1].status, 200);
  assert_int_equal(attempts[1].tls_us, -1);
  assert_true(str_eq_c(attempts[1].response_body, "ok"));
  is_sound(f);
}

static void test_an_attempt_is_recorded_once(void **state) {
  struct fixture *f = *state;

  (void)fixture_push(f, "demo");
  struct attempt_result result = fixture_result(1, 1, DELIVERY_RETRYING, FIXTURE_START_US);
  assert_int_equal(fixture_record(f, &result), 0);
  result.state = DELIVERY_FAILED;
  assert_int_equal(fixture_record(f, &result), ERR_CONFLICT);
  assert_int_equal(get(f, 1).state, DELIVERY_RETRYING); // the refused one changed nothing
  assert_int_equal(waiting(f), 1);
  result.attempt.number = 1024;
  assert_int_equal(fixture_record(f, &result), ERR_INTERNAL);
  result = fixture_result(77, 1, DELIVERY_FAILED, FIXTURE_START_US);
  assert_int_equal(fixture_record(f, &result), ERR_NOT_FOUND);
}

static void test_what_waits_comes_by_priority_due_time_and_id(void **state) {
  struct fixture *f = *state;
  struct delivery_notice next[8];
  size_t len;

  for (int i = 0; i < 6; i++) {
    (void)fixture_push(f, "demo");
    if (i == 3)
      clock_advance(&f->clock, US_PER_S);
  }
  struct attempt_result late = fixture_result(1, 1, DELIVERY_RETRYING, FIXTURE_START_US + 60 * US_PER_S);
  struct attempt_result early = fixture_result(2, 1, DELIVERY_RETRYING, FIXTURE_START_US);
  assert_int_equal(fixture_record(f, &late), 0);
  assert_int_equal(fixture_record(f, &early), 0);
  assert_int_equal(delivery_next(f->reader, 1, 0, INT64_MIN, 0, next, 3, &len, &f->err), 0);
  assert_int_equal(len, 3);
  assert_true(next[0].delivery_id == 3 && next[1].delivery_id == 4 && next[2].delivery_id == 5);
  assert_int_equal(delivery_next(f->reader, 1, 0, next[1].due_us, next[1].delivery_id, next, 8, &len, &f->err), 0);
  assert_int_equal(len, 2);
  assert_int_equal(next[0].delivery_id, 5);
  assert_int_equal(delivery_next(f->reader, 1, 2, INT64_MIN, 0, next, 8, &len, &f->err), 0);
  assert_int_equal(len, 2);
  assert_true(next[0].delivery_id == 2 && next[1].delivery_id == 1);
  assert_int_equal(next[0].prio, 2);
}

static void test_lanes_are_the_targets_with_work_each_once(void **state) {
  struct fixture *f = *state;
  struct policy policy = fixture_policy(f, 1, "many", 20);
  int64_t lanes[32];
  size_t len;

  fixture_policy_create(f, &policy);
  for (int i = 0; i < 3; i++)
    (void)fixture_push(f, "demo");
  assert_int_equal(delivery_lanes(f->reader, &(int64_t){0}, lanes, 32, &len, &f->err), 0);
  assert_int_equal(len, 21);
  for (size_t i = 1; i < len; i++)
    assert_true(lanes[i] > lanes[i - 1]);
  assert_int_equal(delivery_lanes(f->reader, &(int64_t){lanes[4]}, lanes, 5, &len, &f->err), 0);
  assert_int_equal(len, 5);
  assert_int_equal(lanes[0], 6);
}

static int disable(struct store_conn *conn, void *ctx, struct error *err) {
  struct fixture *f = ctx;
  struct policy policy;
  int64_t *targets;
  size_t len;
  int rc = policy_get(conn, 1, 1, f->arena, &policy, err);

  policy.enabled = false;
  return rc != 0 ? rc : policy_update(conn, &policy, f->arena, &targets, &len, err);
}

static void test_an_attempt_under_way_at_the_cancel_is_recorded(void **state) {
  struct fixture *f = *state;

  for (int i = 0; i < 3; i++)
    (void)fixture_push(f, "demo");
  assert_int_equal(fixture_write(f, disable, f), 0);
  struct attempt_result retry = fixture_result(1, 1, DELIVERY_RETRYING, FIXTURE_START_US);
  struct attempt_result failed = fixture_result(2, 1, DELIVERY_FAILED, FIXTURE_START_US);
  struct attempt_result success = fixture_result(3, 1, DELIVERY_SUCCEEDED, FIXTURE_START_US);
  assert_int_equal(fixture_record(f, &retry), 0);
  assert_int_equal(fixture_record(f, &failed), 0);
  assert_int_equal(fixture_record(f, &success), 0);
  assert_int_equal(get(f, 1).state, DELIVERY_CANCELLED);
  assert_int_equal(get(f, 2).state, DELIVERY_CANCELLED);
  assert_int_equal(get(f, 3).state, DELIVERY_SUCCEEDED);
  fixture_number_is(f, "SELECT count(*) FROM attempt", 3);
  assert_int_equal(waiting(f), 0);
}

static int again(struct store_conn *conn, void *ctx, struct error *err) {
  return delivery_again(conn, 1, ctx, err);
}

static void test_a_redelivery_is_a_new_delivery_of_the_same_event(void **state) {
  struct fixture *f = *state;
  int64_t id;

  struct event event = fixture_push(f, "demo");
  struct attempt_result failed = fixture_result(1, 1, DELIVERY_FAILED, FIXTURE_START_US);
  assert_int_equal(fixture_record(f, &failed), 0);
  clock_advance(&f->clock, US_PER_S);
  assert_int_equal(fixture_write(f, again, &id), 0);
  assert_int_equal(id, 2);
  assert_int_equal(get(f, 2).state, DELIVERY_PENDING);
  struct delivery second = get(f, 2);
  assert_memory_equal(&second.event_id, &event.id, sizeof(event.id));
  assert_int_equal(f->notices[f->notices_len - 1].delivery_id, 2);
  assert_int_equal(waiting(f), 1);
  assert_int_equal(fixture_write(f, disable, f), 0);
  assert_int_equal(fixture_write(f, again, &id), ERR_PRECONDITION);
}

static int64_t listed(struct fixture *f, const char *key, const char *value) {
  struct query_condition condition = {
      .key = str_of(key), .op = QUERY_EQ, .values = {{.kind = QUERY_TEXT, .text = str_of(value)}}};
  struct query query = {.conditions = &condition, .conditions_len = 1, .page = 1, .page_size = 10};
  struct delivery *rows;
  size_t len;
  int64_t total;

  if (delivery_list(f->reader, 1, 1, &query, f->arena, &rows, &len, &total, &f->err) != 0)
    fail_msg("delivery_list: %s", f->err.text);
  return total;
}

static void test_deliveries_are_listed_in_harbors_words(void **state) {
  struct fixture *f = *state;
  struct query query = {.page = 1, .page_size = 10};
  struct delivery *rows;
  size_t len;
  int64_t total;

  for (int i = 0; i < 4; i++)
    (void)fixture_push(f, "demo");
  struct attempt_result failed = fixture_result(1, 1, DELIVERY_FAILED, FIXTURE_START_US);
  struct attempt_result success = fixture_result(2, 1, DELIVERY_SUCCEEDED, FIXTURE_START_US);
  assert_int_equal(fixture_record(f, &failed), 0);
  assert_int_equal(fixture_record(f, &success), 0);
  assert_int_equal(listed(f, "status", "Running"), 2);
  assert_int_equal(listed(f, "status", "Success"), 1);
  assert_int_equal(listed(f, "status", "Error"), 1);
  assert_int_equal(listed(f, "id", "3"), 1);
  assert_int_equal(listed(f, "vendor_type", "WEBHOOK"), 4);
  assert_int_equal(listed(f, "vendor_type", "SLACK"), 0);
  assert_int_equal(listed(f, "extra_attrs.event_type", "PUSH_ARTIFACT"), 4);
  assert_int_equal(listed(f, "extra_attrs.event_type", "PULL_ARTIFACT"), 0);
  assert_int_equal(delivery_list(f->reader, 1, 0, &query, f->arena, &rows, &len, &total, &f->err), 0);
  assert_int_equal(total, 4);
  assert_int_equal(rows[0].id, 4); // newest first
  assert_int_equal(rows[0].project_id, 1);
  assert_int_equal(delivery_list(f->reader, 2, 1, &query, f->arena, &rows, &len, &total, &f->err), 0);
  assert_int_equal(total, 0); // not of that project
  assert_int_equal(fixture_write(f, disable, f), 0);
  assert_int_equal(listed(f, "status", "Stopped"), 2);
  assert_int_equal(listed(f, "status", "Running"), 0);
}

// Of the policy, of the project and of all: the newest 10,000, newest first.
static void test_a_list_covers_the_newest_ten_thousand(void **state) {
  struct fixture *f = *state;
  static const int64_t of[3][2] = {{1, 1}, {1, 0}, {0, 0}}; // project, policy
  struct query query = {.page = 667, .page_size = 15};
  struct delivery *rows;
  size_t len;
  int64_t total;

  (void)fixture_push(f, "demo");
  fixture_exec(
      f, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10005) INSERT INTO delivery "
         "SELECT i, event_rowid, policy_id, target_id, target_type, event_type, 3, prio, 1, due_us, created_us, 1, "
         "2, 200, '', 0 FROM delivery, n WHERE id = 1");
  for (size_t i = 0; i < ARRAY_LEN(of); i++) {
    assert_int_equal(delivery_list(f->reader, of[i][0], of[i][1], &query, f->arena, &rows, &len, &total, &f->err), 0);
    assert_int_equal(total, 10000);
    assert_int_equal(len, 10);
    assert_int_equal(rows[9].id, 6); // the last of the last page
  }
}

static int many_pushes(struct store_conn *conn, void *ctx, struct error *err) {
  struct fixture *f = ctx;
  int rc = 0;

  for (int i = 0; rc == 0 && i < 1300; i++) {
    struct event event = fixture_event(f, EVENT_PUSH_ARTIFACT, "demo", "app", FIXTURE_DIGEST_A, "v1");
    struct event_commit commit = {.event = &event};
    rc = event_commit(conn, &commit, err);
  }
  return rc;
}

static void test_a_long_cancel_is_swept_in_steps_and_true_from_the_start(void **state) {
  struct fixture *f = *state;

  assert_int_equal(fixture_write(f, many_pushes, f), 0);
  assert_int_equal(fixture_write(f, disable, f), 0); // its turn made the first step
  assert_true(fixture_number(f, "SELECT count(*) FROM delivery WHERE state = 0") >= 1300 - STORE_SWEEP_ROWS);
  assert_int_equal(listed(f, "status", "Stopped"), 1300);
  int64_t before = waiting(f);
  int steps = 0;
  while (sweep_step(f->store, false) && waiting(f) > 0) {
    assert_true(before - waiting(f) <= STORE_SWEEP_ROWS);
    before = waiting(f);
    assert_true(++steps < 100);
  }
  assert_int_equal(waiting(f), 0);
  sweep_all(f->store);
  fixture_number_is(f, "SELECT count(*) FROM target WHERE swept_below < cancel_below", 0);
  is_sound(f);
}

static void test_history_is_trimmed_by_age_and_what_waits_is_not(void **state) {
  struct fixture *f = *state;

  for (int i = 0; i < 4; i++)
    (void)fixture_push(f, "demo");
  struct attempt_result success = fixture_result(1, 1, DELIVERY_SUCCEEDED, FIXTURE_START_US);
  struct attempt_result failed = fixture_result(2, 1, DELIVERY_FAILED, FIXTURE_START_US);
  struct attempt_result retry = fixture_result(3, 1, DELIVERY_RETRYING, FIXTURE_START_US);
  success.body = failed.body = retry.body = STR("{}");
  assert_int_equal(fixture_record(f, &success), 0);
  assert_int_equal(fixture_record(f, &failed), 0);
  assert_int_equal(fixture_record(f, &retry), 0);
  clock_advance(&f->clock, 8 * FIXTURE_DAY_US);
  sweep_all(f->store);
  fixture_number_is(f, "SELECT count(*) FROM body", 2); // of the failed and the waiting one
  fixture_number_is(f, "SELECT count(*) FROM attempt", 3);
  clock_advance(&f->clock, 24 * FIXTURE_DAY_US); // 32 days
  sweep_all(f->store);
  fixture_number_is(f, "SELECT count(*) FROM body", 1);
  fixture_number_is(f, "SELECT count(*) FROM attempt", 2);
  fixture_number_is(f, "SELECT count(*) FROM attempt WHERE id / 1024 = 1", 0);
  clock_advance(&f->clock, 60 * FIXTURE_DAY_US); // 92 days
  sweep_all(f->store);
  // Left: the event of the waiting delivery with all it needs, and the newest (which waits too).
  fixture_number_is(f, "SELECT count(*) FROM event", 2);
  fixture_number_is(f, "SELECT count(*) FROM delivery", 2);
  fixture_number_is(f, "SELECT count(*) FROM attempt", 1);
  fixture_number_is(f, "SELECT count(*) FROM body", 1);
  assert_int_equal(waiting(f), 2);
  is_sound(f);
  (void)fixture_push(f, "demo");
  assert_int_equal(get(f, 5).id, 5);
}

static void test_above_its_size_the_store_drops_the_oldest_first(void **state) {
  struct fixture *f = *state;

  assert_int_equal(fixture_write(f, many_pushes, f), 0);
  fixture_exec(f, "UPDATE delivery SET state = 3, ended_us = created_us WHERE id > 100");
  fixture_close(f);
  f->config.retention.max_bytes = 600000;
  fixture_open(f);
  sweep_all(f->store);
  int64_t left = fixture_number(f, "SELECT count(*) FROM event");
  assert_true(left > 101 && left < 1300);
  fixture_number_is(f, "SELECT count(*) FROM event WHERE id <= 100", 100);
  fixture_number_is(f, "SELECT count(*) FROM event WHERE id = 101", 0);
  fixture_number_is(f, "SELECT count(*) FROM event WHERE id = 1300", 1);
  is_sound(f);
}

static void test_without_a_retention_nothing_is_trimmed(void **state) {
  struct fixture *f = *state;

  (void)fixture_push(f, "demo");
  struct attempt_result success = fixture_result(1, 1, DELIVERY_SUCCEEDED, FIXTURE_START_US);
  assert_int_equal(fixture_record(f, &success), 0);
  fixture_close(f);
  f->config.retention = (struct store_retention){0};
  fixture_open(f);
  clock_advance(&f->clock, 4000 * FIXTURE_DAY_US);
  (void)fixture_push(f, "demo");
  sweep_all(f->store);
  fixture_number_is(f, "SELECT count(*) FROM event", 2);
  fixture_number_is(f, "SELECT count(*) FROM attempt", 1);
}

static void test_the_depth_is_exact_after_a_restart(void **state) {
  struct fixture *f = *state;
  struct delivery_depth depth;

  for (int i = 0; i < 3; i++) {
    (void)fixture_push(f, "demo");
    clock_advance(&f->clock, US_PER_S);
  }
  struct attempt_result success = fixture_result(1, 1, DELIVERY_SUCCEEDED, FIXTURE_START_US);
  assert_int_equal(fixture_record(f, &success), 0);
  sweep_all(f->store);
  delivery_depth(f->store, &depth);
  assert_int_equal(depth.oldest_due_us, FIXTURE_START_US + US_PER_S);
  fixture_close(f);
  fixture_open(f);
  assert_int_equal(waiting(f), 2);
  sweep_all(f->store);
  delivery_depth(f->store, &depth);
  assert_int_equal(depth.oldest_due_us, FIXTURE_START_US + US_PER_S);
}

static void test_the_check_finds_what_is_missing(void **state) {
  struct fixture *f = *state;
  struct store_finding *findings;
  size_t len;

  (void)fixture_push(f, "demo");
  is_sound(f);
  fixture_exec(f, "DELETE FROM event");
  assert_int_equal(store_check(f->store, NULL, f->arena, &findings, &len, &f->err), 0);
  assert_int_equal(len, 1);
  assert_true(str_eq_c(findings[0].what, "delivery 1 has no event (1)"));
}

// The plans that the design counts on: lanes and refills read the waiting index and nothing else.
static void plan_is(struct fixture *f, const char *sql, const char *expected) {
  sqlite3_stmt *stmt;
  char text[512], whole[4096] = "";

  (void)snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", sql);
  assert_int_equal(sqlite3_prepare_v2(f->reader->db, text, -1, &stmt, NULL), SQLITE_OK);
  while (sqlite3_step(stmt) == SQLITE_ROW) {
    size_t used = strlen(whole);
    (void)snprintf(whole + used, sizeof(whole) - used, "%s\n", (const char *)sqlite3_column_text(stmt, 3));
  }
  (void)sqlite3_finalize(stmt);
  if (!strstr(whole, expected) || strstr(whole, "TEMP B-TREE"))
    fail_msg("%s\nplan: %s", sql, whole);
}

static void test_refills_are_seeks_in_the_waiting_index(void **state) {
  struct fixture *f = *state;

  plan_is(f,
          "SELECT target_id FROM delivery INDEXED BY delivery_waiting WHERE state <= 1 AND target_id > ?1 ORDER BY "
          "target_id "
          "LIMIT 1",
          "SEARCH delivery USING COVERING INDEX delivery_waiting (target_id>?)");
  plan_is(
      f,
      "SELECT id, due_us FROM delivery INDEXED BY delivery_waiting WHERE state <= 1 AND target_id = ?1 AND prio = ?2 "
      "AND "
      "(due_us, id) > (?3, ?4) AND id >= (SELECT cancel_below FROM target WHERE id = ?1) ORDER BY due_us, id LIMIT ?5",
      "USING COVERING INDEX delivery_waiting (target_id=? AND prio=? AND due_us>?)");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_commit_tells_its_deliveries, setup, teardown),
      cmocka_unit_test_setup_teardown(test_everything_for_a_try_is_loaded, setup, teardown),
      cmocka_unit_test_setup_teardown(test_attempts_and_the_body_of_the_first_are_kept, setup, teardown),
      cmocka_unit_test_setup_teardown(test_an_attempt_is_recorded_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what_waits_comes_by_priority_due_time_and_id, setup, teardown),
      cmocka_unit_test_setup_teardown(test_lanes_are_the_targets_with_work_each_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_an_attempt_under_way_at_the_cancel_is_recorded, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_redelivery_is_a_new_delivery_of_the_same_event, setup, teardown),
      cmocka_unit_test_setup_teardown(test_deliveries_are_listed_in_harbors_words, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_list_covers_the_newest_ten_thousand, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_long_cancel_is_swept_in_steps_and_true_from_the_start, setup, teardown),
      cmocka_unit_test_setup_teardown(test_history_is_trimmed_by_age_and_what_waits_is_not, setup, teardown),
      cmocka_unit_test_setup_teardown(test_above_its_size_the_store_drops_the_oldest_first, setup, teardown),
      cmocka_unit_test_setup_teardown(test_without_a_retention_nothing_is_trimmed, setup, teardown),
      cmocka_unit_test_setup_teardown(test_the_depth_is_exact_after_a_restart, setup, teardown),
      cmocka_unit_test_setup_teardown(test_the_check_finds_what_is_missing, setup, teardown),
      cmocka_unit_test_setup_teardown(test_refills_are_seeks_in_the_waiting_index, setup, teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
