// SPDX-License-Identifier: Apache-2.0
// What the writer tells of policies after a commit: each once, nothing of what was taken back.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/sqlite/changes.h"
#include "support/store_fixture.h"

struct told {
  struct policy_news news[CHANGES_MAX_NEWS];
  size_t len;
  int calls;
  bool all;
};

static struct told told; // of the last commit that told something; the store's context is the fixture

static void on_news(void *ctx, const struct policy_news *news, size_t len, bool all) {
  (void)ctx;
  assert_true(len <= CHANGES_MAX_NEWS);
  told.calls++;
  told.len = len;
  told.all = all;
  if (len > 0)
    memcpy(told.news, news, len * sizeof(*news));
}

static int setup(void **state) {
  struct fixture *f = fixture_new();

  fixture_close(f);
  f->config.on_policy_news = on_news;
  fixture_open(f);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture_free(*state);
  return 0;
}

static struct policy make_policy(struct fixture *f, int64_t project, const char *name, size_t targets) {
  struct policy policy = fixture_policy(f, project, name, targets);

  fixture_policy_create(f, &policy);
  told = (struct told){0};
  return policy;
}

static void told_once(int64_t policy_id, bool deleted) {
  assert_int_equal(told.calls, 1);
  assert_int_equal(told.len, 1);
  assert_int_equal(told.news[0].policy_id, policy_id);
  assert_int_equal(told.news[0].deleted, deleted);
  assert_false(told.all);
  told = (struct told){0};
}

static void test_new_deliveries_name_their_policy_once(void **state) {
  struct fixture *f = *state;
  int64_t project = fixture_project(f, "demo");
  struct policy policy = make_policy(f, project, "ci", 3);

  (void)fixture_push(f, "demo");
  assert_int_equal(f->notices_len, 3);
  told_once(policy.id, false);
}

static int again(struct store_conn *conn, void *ctx, struct error *err) {
  int64_t new_id;

  return delivery_again(conn, *(int64_t *)ctx, &new_id, err);
}

static void test_an_attempt_and_a_redelivery_are_told(void **state) {
  struct fixture *f = *state;
  struct policy policy = make_policy(f, fixture_project(f, "demo"), "ci", 1);

  (void)fixture_push(f, "demo");
  int64_t delivery = f->notices[0].delivery_id;
  told = (struct told){0};
  struct attempt_result result = fixture_result(delivery, 1, DELIVERY_SUCCEEDED, FIXTURE_START_US);
  assert_int_equal(fixture_record(f, &result), 0);
  told_once(policy.id, false);
  assert_int_equal(fixture_write(f, again, &delivery), 0);
  told_once(policy.id, false);
}

struct removal {
  struct fixture *f;
  int64_t project_id, policy_id;
};

static int remove_policy(struct store_conn *conn, void *ctx, struct error *err) {
  struct removal *removal = ctx;
  int64_t *targets;
  size_t len;

  return policy_delete(conn, removal->project_id, removal->policy_id, removal->f->arena, &targets, &len, err);
}

static int remove_project(struct store_conn *conn, void *ctx, struct error *err) {
  struct removal *removal = ctx;
  int64_t *targets;
  size_t len;

  return project_delete(conn, removal->project_id, removal->f->arena, &targets, &len, err);
}

static void test_a_change_and_the_end_of_a_policy_are_told(void **state) {
  struct fixture *f = *state;
  int64_t project = fixture_project(f, "demo");
  struct policy policy = make_policy(f, project, "ci", 1);
  struct removal removal = {f, project, policy.id};

  policy.enabled = false;
  fixture_policy_update(f, &policy);
  told_once(policy.id, false);
  assert_int_equal(fixture_write(f, remove_policy, &removal), 0);
  told_once(policy.id, true);
}

static void test_a_deleted_project_is_told_as_one(void **state) {
  struct fixture *f = *state;
  int64_t project = fixture_project(f, "demo");
  struct removal removal = {f, project, 0};

  (void)make_policy(f, project, "one", 1);
  (void)make_policy(f, project, "two", 1);
  assert_int_equal(fixture_write(f, remove_project, &removal), 0);
  assert_int_equal(told.news[0].project_id, project);
  told_once(0, true);
}

static int remove_and_fail(struct store_conn *conn, void *ctx, struct error *err) {
  int rc = remove_policy(conn, ctx, err);

  return rc ? rc : error_set(err, ERR_BAD_REQUEST, "refused");
}

static void test_what_is_taken_back_is_not_told(void **state) {
  struct fixture *f = *state;
  int64_t project = fixture_project(f, "demo");
  struct policy policy = make_policy(f, project, "ci", 1);
  struct removal removal = {f, project, policy.id};

  assert_int_equal(fixture_write(f, remove_and_fail, &removal), ERR_BAD_REQUEST);
  assert_int_equal(told.calls, 0);
}

static void test_more_policies_than_there_is_room_for_are_all(void **state) {
  struct fixture *f = *state;
  int64_t project = fixture_project(f, "demo");
  char name[16];

  for (int i = 0; i <= CHANGES_MAX_NEWS; i++) {
    (void)snprintf(name, sizeof(name), "ci-%d", i);
    (void)make_policy(f, project, name, 1);
  }
  (void)fixture_push(f, "demo");
  assert_int_equal(told.calls, 1);
  assert_int_equal(told.len, CHANGES_MAX_NEWS);
  assert_true(told.all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
      TEST(test_new_deliveries_name_their_policy_once),
      TEST(test_an_attempt_and_a_redelivery_are_told),
      TEST(test_a_change_and_the_end_of_a_policy_are_told),
      TEST(test_a_deleted_project_is_told_as_one),
      TEST(test_what_is_taken_back_is_not_told),
      TEST(test_more_policies_than_there_is_room_for_are_all),
#undef TEST
  };
  return cmocka_run_group_tests_name("store_news", tests, NULL, NULL);
}
