// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rfc3339.h"
#include "store/identity.h"
#include "store/settings.h"
#include "store/sqlite/sweep.h"
#include "store/sqlite/writer.h"
#include "support/store_fixture.h"

static int setup(void **state) {
  *state = fixture_new();
  return 0;
}

static int teardown(void **state) {
  fixture_free(*state);
  return 0;
}

struct removal {
  struct fixture *f;
  int64_t project_id, id;
  int64_t *targets;
  size_t len;
};

static int delete_policy(struct store_conn *conn, void *ctx, struct error *err) {
  struct removal *r = ctx;

  return policy_delete(conn, r->project_id, r->id, r->f->arena, &r->targets, &r->len, err);
}

static int delete_project(struct store_conn *conn, void *ctx, struct error *err) {
  struct removal *r = ctx;

  return project_delete(conn, r->project_id, r->f->arena, &r->targets, &r->len, err);
}

static int create_policy(struct store_conn *conn, void *ctx, struct error *err) {
  return policy_create(conn, ctx, err);
}

static void test_a_policy_comes_back_with_its_secrets(void **state) {
  struct fixture *f = *state;
  int64_t project_id = fixture_project(f, "demo");
  struct policy policy = fixture_policy(f, project_id, "ci", 2), read;

  policy.tagged_only = true;
  policy.targets[1].auth_header = STR_EMPTY;
  policy.targets[1].extras = false;
  fixture_policy_create(f, &policy);
  assert_int_equal(policy_get(f->reader, project_id, policy.id, f->arena, &read, &f->err), 0);
  assert_true(str_eq_c(read.name, "ci"));
  assert_true(read.enabled && read.tagged_only);
  assert_int_equal(read.event_types_len, 2);
  assert_int_equal(read.event_types[1], EVENT_DELETE_ARTIFACT);
  assert_int_equal(read.event_mask, policy.event_mask);
  assert_int_equal(read.targets_len, 2);
  assert_true(str_eq(read.targets[0].address, policy.targets[0].address));
  assert_true(str_eq_c(read.targets[0].auth_header, "Bearer plain-secret"));
  assert_int_equal(read.targets[1].auth_header.len, 0);
  assert_true(read.targets[0].extras && !read.targets[1].extras);
  assert_int_equal(policy_get(f->reader, project_id + 1, policy.id, f->arena, &read, &f->err), ERR_NOT_FOUND);
  assert_string_equal(f->err.text, "notificationPolicy 1 not found");
}

static bool file_holds(struct fixture *f, const char *name, const char *text) {
  char path[128];
  (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
  FILE *file = fopen(path, "rb");
  struct buf content;

  if (!file)
    return false;
  buf_init(&content, 64 * 1024 * 1024);
  for (;;) {
    char *to = buf_reserve(&content, 65536);
    assert_non_null(to);
    size_t got = fread(to, 1, 65536, file);
    buf_added(&content, got);
    if (got == 0)
      break;
  }
  (void)fclose(file);
  bool found = str_contains(buf_str(&content), str_of(text));
  buf_free(&content);
  return found;
}

static void test_addresses_and_secrets_are_not_in_clear_in_the_files(void **state) {
  struct fixture *f = *state;
  struct policy policy = fixture_policy(f, fixture_project(f, "demo"), "visible-name", 1);

  fixture_policy_create(f, &policy);
  assert_true(file_holds(f, "harbinger.db-wal", "visible-name")); // the search finds what is there
  assert_false(file_holds(f, "harbinger.db-wal", "plain-secret"));
  assert_false(file_holds(f, "harbinger.db-wal", "receiver-0.example"));
  fixture_close(f);
  assert_true(file_holds(f, "harbinger.db", "visible-name"));
  assert_false(file_holds(f, "harbinger.db", "plain-secret"));
  assert_false(file_holds(f, "harbinger.db", "receiver-0.example"));
  fixture_open(f);
}

static void test_another_key_file_is_told_in_words(void **state) {
  struct fixture *f = *state;
  struct policy policy = fixture_policy(f, fixture_project(f, "demo"), "ci", 1), read;

  fixture_policy_create(f, &policy);
  fixture_close(f);
  f->config.seal_key[0] ^= 1;
  fixture_open(f);
  assert_int_not_equal(policy_get(f->reader, 1, policy.id, f->arena, &read, &f->err), 0);
  assert_non_null(strstr(f->err.text, "key file"));
  struct removal r = {.f = f, .project_id = 1, .id = policy.id};
  assert_int_equal(fixture_write(f, delete_policy, &r), 0); // and yet it can go
}

static void test_names_are_unique_among_the_living(void **state) {
  struct fixture *f = *state;
  int64_t project_id = fixture_project(f, "demo");
  struct policy policy = fixture_policy(f, project_id, "ci", 1), again = fixture_policy(f, project_id, "ci", 1);

  fixture_policy_create(f, &policy);
  assert_int_equal(fixture_write(f, create_policy, &again), ERR_CONFLICT);
  assert_string_equal(f->err.text, "notification policy named ci already exists");
  struct removal r = {.f = f, .project_id = project_id, .id = policy.id};
  assert_int_equal(fixture_write(f, delete_policy, &r), 0);
  assert_int_equal(r.len, 1);
  assert_int_equal(fixture_write(f, delete_policy, &r), ERR_NOT_FOUND);
  assert_int_equal(fixture_write(f, create_policy, &again), 0);
  assert_true(again.id > policy.id);
}

static void test_a_policy_of_an_unknown_project_is_refused(void **state) {
  struct fixture *f = *state;
  struct policy policy = fixture_policy(f, 99, "ci", 1);

  assert_int_equal(fixture_write(f, create_policy, &policy), ERR_NOT_FOUND);
  fixture_number_is(f, "SELECT count(*) FROM policy", 0);
}

static void test_an_update_keeps_the_ids_of_targets(void **state) {
  struct fixture *f = *state;
  int64_t project_id = fixture_project(f, "demo");
  struct policy policy = fixture_policy(f, project_id, "ci", 2), changed = fixture_policy(f, project_id, "renamed", 2),
                read;

  fixture_policy_create(f, &policy);
  int64_t first = policy.targets[0].id, second = policy.targets[1].id;
  clock_advance(&f->clock, US_PER_S);
  changed.id = policy.id;
  changed.targets[0].id = second; // the first goes, one comes
  fixture_policy_update(f, &changed);
  assert_int_equal(policy_get(f->reader, project_id, policy.id, f->arena, &read, &f->err), 0);
  assert_true(str_eq_c(read.name, "renamed"));
  assert_int_equal(read.created_at_us, FIXTURE_START_US);
  assert_int_equal(read.updated_at_us, FIXTURE_START_US + US_PER_S);
  assert_int_equal(read.targets_len, 2);
  assert_int_equal(read.targets[0].id, second);
  assert_true(read.targets[1].id > second);
  struct target target;
  bool enabled;
  assert_int_equal(target_get(f->reader, first, f->arena, &target, &enabled, &f->err), ERR_NOT_FOUND);
  assert_int_equal(target_get(f->reader, second, f->arena, &target, &enabled, &f->err), 0);
  assert_true(enabled);
  assert_int_equal(target.cancel_below, 0);
}

static struct delivery only_delivery(struct fixture *f, int64_t policy_id) {
  struct query query = {.page = 1, .page_size = 10};
  struct delivery *rows;
  size_t len;
  int64_t total;

  assert_int_equal(delivery_list(f->reader, 0, policy_id, &query, f->arena, &rows, &len, &total, &f->err), 0);
  assert_int_equal(total, 1);
  return rows[0];
}

static void nothing_waits_for(struct fixture *f, int64_t target_id) {
  struct delivery_notice next[4];
  size_t len;

  assert_int_equal(delivery_next(f->reader, target_id, 0, INT64_MIN, 0, next, 4, &len, &f->err), 0);
  assert_int_equal(len, 0);
}

static void test_disabling_cancels_at_once_and_enabling_brings_nothing_back(void **state) {
  struct fixture *f = *state;
  int64_t project_id = fixture_project(f, "demo"), lanes[4];
  struct policy policy = fixture_policy(f, project_id, "ci", 1);
  size_t len;

  fixture_policy_create(f, &policy);
  (void)fixture_push(f, "demo");
  assert_int_equal(delivery_lanes(f->reader, &(int64_t){0}, lanes, 4, &len, &f->err), 0);
  assert_int_equal(len, 1);
  clock_advance(&f->clock, US_PER_S);
  policy.enabled = false;
  fixture_policy_update(f, &policy);
  // As the commit of the update left the rows, before the sweep that came with it.
  fixture_exec(f, "UPDATE delivery SET state = 0, ended_us = NULL; UPDATE target SET swept_below = 0");
  fixture_close(f);
  fixture_open(f);
  struct delivery delivery = only_delivery(f, policy.id);
  assert_int_equal(delivery.state, DELIVERY_CANCELLED);
  assert_int_equal(delivery.ended_at_us, FIXTURE_START_US + US_PER_S);
  nothing_waits_for(f, policy.targets[0].id);
  assert_int_equal(delivery_lanes(f->reader, &(int64_t){0}, lanes, 4, &len, &f->err), 0);
  assert_int_equal(len, 0);

  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state = 0", 1); // that was not the sweep

  policy.enabled = true;
  fixture_policy_update(f, &policy);
  nothing_waits_for(f, policy.targets[0].id);
  (void)fixture_push(f, "demo");
  struct delivery_notice next[4];
  assert_int_equal(delivery_next(f->reader, policy.targets[0].id, 0, INT64_MIN, 0, next, 4, &len, &f->err), 0);
  assert_int_equal(len, 1);
  sweep_all(f->store);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state = 5 AND id = 1", 1);
  fixture_number_is(f, "SELECT count(*) FROM delivery WHERE state = 0", 1);
  fixture_number_is(f, "SELECT count(*) FROM target WHERE swept_below < cancel_below", 0);
  struct delivery_depth depth;
  delivery_depth(f->store, &depth);
  assert_int_equal(depth.waiting, 1);
}

static void test_a_disabled_policy_makes_no_delivery(void **state) {
  struct fixture *f = *state;
  struct policy policy = fixture_policy(f, fixture_project(f, "demo"), "ci", 1);

  policy.enabled = false;
  fixture_policy_create(f, &policy);
  (void)fixture_push(f, "demo");
  fixture_number_is(f, "SELECT count(*) FROM delivery", 0);
}

static void test_tagged_only_leaves_out_events_without_a_tag(void **state) {
  struct fixture *f = *state;
  struct policy policy = fixture_policy(f, fixture_project(f, "demo"), "ci", 1);
  struct event untagged = fixture_event(f, EVENT_PUSH_ARTIFACT, "demo", "app", FIXTURE_DIGEST_B, NULL);
  struct event_commit out;

  policy.tagged_only = true;
  fixture_policy_create(f, &policy);
  assert_int_equal(fixture_commit(f, &untagged, NULL, &out), 0);
  assert_int_equal(out.deliveries, 0);
  (void)fixture_push(f, "demo");
  fixture_number_is(f, "SELECT count(*) FROM delivery", 1);
}

static void test_a_deleted_policy_leaves_its_history_until_it_is_trimmed(void **state) {
  struct fixture *f = *state;
  int64_t project_id = fixture_project(f, "demo");
  struct policy policy = fixture_policy(f, project_id, "ci", 1), other = fixture_policy(f, project_id, "other", 1);

  fixture_policy_create(f, &policy);
  (void)fixture_push(f, "demo");
  struct removal r = {.f = f, .project_id = project_id, .id = policy.id};
  assert_int_equal(fixture_write(f, delete_policy, &r), 0);
  sweep_all(f->store);
  assert_int_equal(only_delivery(f, policy.id).state, DELIVERY_CANCELLED);
  clock_advance(&f->clock, 91 * FIXTURE_DAY_US);
  fixture_policy_create(f, &other);
  (void)fixture_push(f, "demo"); // the newest is never trimmed
  sweep_all(f->store);
  sweep_all(f->store);
  fixture_number_is(f, "SELECT count(*) FROM event", 1);
  fixture_number_is(f, "SELECT count(*) FROM delivery", 1);
  fixture_number_is(f, "SELECT count(*) FROM policy", 1);
  fixture_number_is(f, "SELECT count(*) FROM target", 1);
}

static void test_a_project_with_repositories_stays_and_another_goes_with_its_policies(void **state) {
  struct fixture *f = *state;
  int64_t project_id = fixture_project(f, "demo"), empty_id = fixture_project(f, "empty");
  struct policy policy = fixture_policy(f, empty_id, "ci", 2);
  struct policy read;

  (void)fixture_push(f, "demo");
  struct removal r = {.f = f, .project_id = project_id};
  assert_int_equal(fixture_write(f, delete_project, &r), ERR_PRECONDITION);
  fixture_policy_create(f, &policy);
  uint64_t generation = store_policy_generation(f->store);
  r.project_id = empty_id;
  assert_int_equal(fixture_write(f, delete_project, &r), 0);
  assert_int_equal(r.len, 2);
  assert_true(store_policy_generation(f->store) > generation);
  assert_int_equal(policy_get(f->reader, empty_id, policy.id, f->arena, &read, &f->err), ERR_NOT_FOUND);
  assert_true(fixture_project(f, "empty") > empty_id);
}

static void test_a_suspended_target_waits_until_its_policy_is_saved_again(void **state) {
  struct fixture *f = *state;
  struct policy policy = fixture_policy(f, fixture_project(f, "demo"), "ci", 1);
  int64_t lanes[4];
  size_t len;

  fixture_policy_create(f, &policy);
  (void)fixture_push(f, "demo");
  struct attempt_result gone = fixture_result(1, 1, DELIVERY_FAILED, FIXTURE_START_US);
  gone.suspend_target = true;
  gone.suspend_reason = STR("answered 410 Gone");
  assert_int_equal(fixture_record(f, &gone), 0);
  (void)fixture_push(f, "demo");
  assert_int_equal(delivery_lanes(f->reader, &(int64_t){0}, lanes, 4, &len, &f->err), 0);
  assert_int_equal(len, 0);
  struct policy read;
  assert_int_equal(policy_get(f->reader, 1, policy.id, f->arena, &read, &f->err), 0);
  assert_true(read.targets[0].suspended);
  assert_true(str_eq_c(read.targets[0].suspended_reason, "answered 410 Gone"));
  fixture_policy_update(f, &policy);
  assert_int_equal(delivery_lanes(f->reader, &(int64_t){0}, lanes, 4, &len, &f->err), 0);
  assert_int_equal(len, 1);
  assert_int_equal(lanes[0], policy.targets[0].id);
}

static void test_last_triggers_are_one_per_policy_and_type(void **state) {
  struct fixture *f = *state;
  struct policy policy = fixture_policy(f, fixture_project(f, "demo"), "ci", 1);
  struct last_trigger *rows;
  size_t len;

  fixture_policy_create(f, &policy);
  (void)fixture_push(f, "demo");
  clock_advance(&f->clock, 5 * US_PER_S);
  (void)fixture_push(f, "demo");
  assert_int_equal(policy_last_triggers(f->reader, 1, f->arena, &rows, &len, &f->err), 0);
  assert_int_equal(len, 2);
  assert_int_equal(rows[0].triggered_at_us, FIXTURE_START_US + 5 * US_PER_S);
  assert_int_equal(rows[1].triggered_at_us, RFC3339_ZERO_US);
}

// ---- queries --------------------------------------------------------------------------------------------------------

static int64_t found(struct fixture *f, struct query_condition condition, const char *first) {
  struct query query = {.conditions = &condition, .conditions_len = 1, .page = 1, .page_size = 10};
  struct policy *rows;
  size_t len;
  int64_t total;

  if (policy_list(f->reader, 1, &query, f->arena, &rows, &len, &total, &f->err) != 0)
    fail_msg("policy_list: %s", f->err.text);
  assert_int_equal(len, total);
  if (total && first)
    assert_true(str_eq_c(rows[0].name, first));
  return total;
}

static struct query_condition text_condition(const char *key, enum query_op op, const char *text) {
  return (struct query_condition){
      .key = str_of(key), .op = op, .values = {{.kind = QUERY_TEXT, .text = str_of(text)}, {.kind = QUERY_NONE}}};
}

static void test_queries_select_by_every_form_of_q(void **state) {
  struct fixture *f = *state;
  int64_t project_id = fixture_project(f, "demo");
  const char *names[] = {"alpha", "Beta_1", "beta%2", "gamma"};

  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    struct policy policy = fixture_policy(f, project_id, names[i], 1);
    policy.enabled = i != 3;
    fixture_policy_create(f, &policy);
    clock_advance(&f->clock, US_PER_S);
  }
  assert_int_equal(found(f, text_condition("name", QUERY_EQ, "alpha"), "alpha"), 1);
  assert_int_equal(found(f, text_condition("name", QUERY_EQ, "alph"), NULL), 0);
  assert_int_equal(found(f, text_condition("name", QUERY_LIKE, "BETA"), "beta%2"), 2);
  assert_int_equal(found(f, text_condition("name", QUERY_LIKE, "_"), "Beta_1"), 1); // no wildcard
  assert_int_equal(found(f, text_condition("name", QUERY_LIKE, "%"), "beta%2"), 1);
  assert_int_equal(found(f, text_condition("enabled", QUERY_EQ, "false"), "gamma"), 1);
  assert_int_equal(found(f, text_condition("id", QUERY_EQ, "2"), "Beta_1"), 1);
  assert_int_equal(found(f, text_condition("id", QUERY_EQ, "two"), NULL), 0);
  assert_int_equal(found(f, text_condition("id", QUERY_GT, "2"), "gamma"), 2);
  assert_int_equal(found(f, text_condition("nonsense'; DROP TABLE policy; --", QUERY_EQ, "x"), NULL), 4);
  assert_int_equal(found(f, text_condition("name", QUERY_EQ, "' OR 1 = 1 --"), NULL), 0);

  struct query_condition range = {.key = STR("creation_time"),
                                  .op = QUERY_RANGE,
                                  .values = {{.kind = QUERY_TIME, .number = FIXTURE_START_US + US_PER_S},
                                             {.kind = QUERY_TIME, .number = FIXTURE_START_US + 2 * US_PER_S}}};
  assert_int_equal(found(f, range, "beta%2"), 2);
  range.values[1].kind = QUERY_NONE;
  assert_int_equal(found(f, range, "gamma"), 3);
  struct query_value list[] = {{.kind = QUERY_TEXT, .text = STR("gamma")}, {.kind = QUERY_TEXT, .text = STR("alpha")}};
  struct query_condition in = {.key = STR("name"), .op = QUERY_IN, .list = list, .list_len = 2};
  assert_int_equal(found(f, in, "gamma"), 2);
  in.list_len = 0;
  assert_int_equal(found(f, in, NULL), 0);
}

static void test_lists_are_sorted_and_paged(void **state) {
  struct fixture *f = *state;
  int64_t project_id = fixture_project(f, "demo"), total;
  struct policy *rows;
  size_t len;
  char name[8];

  for (int i = 0; i < 7; i++) {
    (void)snprintf(name, sizeof(name), "p%d", (i * 3) % 7);
    struct policy policy = fixture_policy(f, project_id, name, 1);
    fixture_policy_create(f, &policy);
  }
  struct query query = {
      .sorts = {{STR("unknown"), false}, {STR("name"), false}}, .sorts_len = 2, .page = 2, .page_size = 3};
  assert_int_equal(policy_list(f->reader, project_id, &query, f->arena, &rows, &len, &total, &f->err), 0);
  assert_int_equal(total, 7);
  assert_int_equal(len, 3);
  assert_true(str_eq_c(rows[0].name, "p3") && str_eq_c(rows[2].name, "p5"));
  query.sorts[1].descending = true;
  query.page = 3;
  assert_int_equal(policy_list(f->reader, project_id, &query, f->arena, &rows, &len, &total, &f->err), 0);
  assert_int_equal(len, 1);
  assert_true(str_eq_c(rows[0].name, "p0"));
  query = (struct query){.page = 99, .page_size = 10}; // past the end: the right total all the same
  assert_int_equal(policy_list(f->reader, project_id, &query, f->arena, &rows, &len, &total, &f->err), 0);
  assert_int_equal(len, 0);
  assert_int_equal(total, 7);
  query = (struct query){.page = 1, .page_size = 0, .max_rows = 5};
  assert_int_equal(policy_list(f->reader, project_id, &query, f->arena, &rows, &len, &total, &f->err), 0);
  assert_int_equal(len, 5);
}

// ---- people ---------------------------------------------------------------------------------------------------------

static int people(struct store_conn *conn, void *ctx, struct error *err) {
  struct user admin = {.name = STR("admin"), .password_hash = STR("$argon2id$1"), .is_admin = true};
  struct api_token token = {.user_id = 1, .name = STR("cli"), .mac = {9}, .expires_at_us = FIXTURE_START_US + US_PER_S};
  int rc = user_create(conn, &admin, err);

  (void)ctx;
  return rc != 0 ? rc : token_create(conn, &token, err);
}

static int touch(struct store_conn *conn, void *ctx, struct error *err) {
  return token_touch(conn, 1, *(int64_t *)ctx, err);
}

static int drop_token(struct store_conn *conn, void *ctx, struct error *err) {
  return token_delete(conn, *(int64_t *)ctx, 1, err);
}

static int new_password(struct store_conn *conn, void *ctx, struct error *err) {
  return user_set_password(conn, 1, str_of(ctx), err);
}

static void test_users_and_tokens_are_kept(void **state) {
  struct fixture *f = *state;
  struct user user;
  struct api_token token, *tokens;
  size_t len;
  const uint8_t mac[HMAC_BYTES] = {9}, wrong[HMAC_BYTES] = {8};
  int64_t at_us = FIXTURE_START_US, soon_us = at_us + 59 * US_PER_S, owner = 2;
  char hash[] = "$argon2id$2";

  assert_int_equal(fixture_write(f, people, NULL), 0);
  assert_int_equal(fixture_write(f, people, NULL), ERR_CONFLICT);
  assert_int_equal(user_get_by_name(f->reader, STR("admin"), f->arena, &user, &f->err), 0);
  assert_true(user.is_admin && !user.disabled);
  assert_int_equal(fixture_write(f, new_password, hash), 0);
  assert_int_equal(user_get(f->reader, 1, f->arena, &user, &f->err), 0);
  assert_true(str_eq_c(user.password_hash, "$argon2id$2"));
  assert_int_equal(token_get_by_mac(f->reader, wrong, f->arena, &token, &f->err), ERR_NOT_FOUND);
  assert_int_equal(token_get_by_mac(f->reader, mac, f->arena, &token, &f->err), 0);
  assert_int_equal(fixture_write(f, touch, &at_us), 0);
  assert_int_equal(fixture_write(f, touch, &soon_us), 0); // within the minute: not written
  assert_int_equal(token_list(f->reader, 1, f->arena, &tokens, &len, &f->err), 0);
  assert_int_equal(len, 1);
  assert_int_equal(tokens[0].last_used_at_us, at_us);
  assert_int_equal(fixture_write(f, drop_token, &owner), ERR_NOT_FOUND); // another's
  owner = 1;
  assert_int_equal(fixture_write(f, drop_token, &owner), 0);
}

static int notes(struct store_conn *conn, void *ctx, struct error *err) {
  struct ingest_note note = {.source = STR("distribution"), .reason = STR("blob"), .repository = STR("demo/app")};
  struct audit_entry entry = {
      .actor = STR("admin"), .operation = STR("delete"), .kind = STR("policy"), .subject = STR("ci")};
  int rc = ingest_note_add(conn, &note, err);

  (void)ctx;
  return rc != 0 ? rc : audit_add(conn, &entry, err);
}

static void test_the_ingest_log_is_kept_a_day_and_the_audit_a_year(void **state) {
  struct fixture *f = *state;
  struct query query = {.page = 1, .page_size = 10};
  struct ingest_note *rows;
  struct audit_entry *entries;
  size_t len;
  int64_t total;

  assert_int_equal(fixture_write(f, notes, NULL), 0);
  clock_advance(&f->clock, 23 * FIXTURE_HOUR_US);
  sweep_all(f->store);
  assert_int_equal(ingest_note_list(f->reader, &query, f->arena, &rows, &len, &total, &f->err), 0);
  assert_int_equal(total, 1);
  assert_true(str_eq_c(rows[0].reason, "blob"));
  assert_int_equal(rows[0].at_us, FIXTURE_START_US);
  clock_advance(&f->clock, 2 * FIXTURE_HOUR_US);
  sweep_all(f->store);
  assert_int_equal(ingest_note_list(f->reader, &query, f->arena, &rows, &len, &total, &f->err), 0);
  assert_int_equal(total, 0);
  assert_int_equal(audit_list(f->reader, &query, f->arena, &entries, &len, &total, &f->err), 0);
  assert_int_equal(total, 1);
  clock_advance(&f->clock, 366 * FIXTURE_DAY_US);
  sweep_all(f->store);
  assert_int_equal(audit_list(f->reader, &query, f->arena, &entries, &len, &total, &f->err), 0);
  assert_int_equal(total, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_policy_comes_back_with_its_secrets, setup, teardown),
      cmocka_unit_test_setup_teardown(test_addresses_and_secrets_are_not_in_clear_in_the_files, setup, teardown),
      cmocka_unit_test_setup_teardown(test_another_key_file_is_told_in_words, setup, teardown),
      cmocka_unit_test_setup_teardown(test_names_are_unique_among_the_living, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_policy_of_an_unknown_project_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(test_an_update_keeps_the_ids_of_targets, setup, teardown),
      cmocka_unit_test_setup_teardown(test_disabling_cancels_at_once_and_enabling_brings_nothing_back, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_disabled_policy_makes_no_delivery, setup, teardown),
      cmocka_unit_test_setup_teardown(test_tagged_only_leaves_out_events_without_a_tag, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_deleted_policy_leaves_its_history_until_it_is_trimmed, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_project_with_repositories_stays_and_another_goes_with_its_policies, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_a_suspended_target_waits_until_its_policy_is_saved_again, setup, teardown),
      cmocka_unit_test_setup_teardown(test_last_triggers_are_one_per_policy_and_type, setup, teardown),
      cmocka_unit_test_setup_teardown(test_queries_select_by_every_form_of_q, setup, teardown),
      cmocka_unit_test_setup_teardown(test_lists_are_sorted_and_paged, setup, teardown),
      cmocka_unit_test_setup_teardown(test_users_and_tokens_are_kept, setup, teardown),
      cmocka_unit_test_setup_teardown(test_the_ingest_log_is_kept_a_day_and_the_audit_a_year, setup, teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
