// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/changed_fields.h"
#include "store/settings.h"
#include "support/store_fixture.h"

static struct arena *arena;

static int setup(void **state) {
  (void)state;
  arena = arena_new(1 << 20);
  return arena ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  arena_free(arena);
  return 0;
}

static struct target target_of(int64_t id, const char *address, const char *auth_header) {
  return (struct target){.id = id, .address = str_of(address), .auth_header = str_of(auth_header), .extras = true};
}

static struct policy policy_of(struct target *targets, size_t len) {
  return (struct policy){.name = STR("ci"),
                         .description = STR_EMPTY,
                         .enabled = true,
                         .event_mask = 1,
                         .targets = targets,
                         .targets_len = len};
}

static void fields_are(const struct policy *old, const struct policy *policy, const char *expected) {
  struct str fields;
  struct error err;

  assert_int_equal(changed_fields_of_policy(old, policy, arena, &fields, &err), 0);
  char text[CHANGED_FIELDS_MAX_BYTES + 1];
  (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(fields));
  assert_string_equal(text, expected);
}

static void test_a_new_policy_has_all_that_it_says(void **state) {
  struct target target = target_of(0, "http://a.example/", "");
  struct policy policy = policy_of(&target, 1);

  (void)state;
  fields_are(NULL, &policy, "name, enabled, event_types, targets[0].type, targets[0].address (secret)");
  target.auth_header = STR("Bearer x");
  target.strict_order = true;
  target.extras = false;
  policy.enabled = false;
  policy.tagged_only = true;
  fields_are(NULL, &policy,
             "name, event_types, harbinger.tagged, targets[0].type, targets[0].address (secret), "
             "targets[0].auth_header (secret), targets[0].harbinger.extras, targets[0].harbinger.strict_order");
}

static void test_targets_are_compared_by_their_id(void **state) {
  struct target old_targets[] = {target_of(7, "http://a.example/", "Bearer a"), target_of(8, "http://b.example/", "")};
  struct target targets[] = {target_of(8, "http://b.example/", ""), target_of(7, "http://a.example/", "Bearer a")};
  struct policy old = policy_of(old_targets, 2), policy = policy_of(targets, 2);

  (void)state;
  fields_are(&old, &policy, "");
  targets[1].auth_header = STR("Bearer b");
  fields_are(&old, &policy, "targets[1].auth_header (secret)");
  policy.targets_len = 1;
  policy.paused = true;
  policy.event_mask = 3;
  fields_are(&old, &policy, "event_types, harbinger.paused, targets[0] (removed)");
}

static void test_a_long_list_is_cut_at_a_name(void **state) {
  struct target targets[POLICY_MAX_TARGETS];
  struct policy policy = policy_of(targets, POLICY_MAX_TARGETS);
  struct str fields;
  struct error err;

  (void)state;
  for (size_t i = 0; i < POLICY_MAX_TARGETS; i++)
    targets[i] = target_of(0, "http://a.example/", "Bearer x");
  assert_int_equal(changed_fields_of_policy(NULL, &policy, arena, &fields, &err), 0);
  assert_true(fields.len <= CHANGED_FIELDS_MAX_BYTES && fields.len > CHANGED_FIELDS_MAX_BYTES - 64);
  assert_true(str_ends(fields, STR(", and more")));
  struct str rest = fields, field;
  while (str_next(&rest, ',', &field)) {
    field = str_trim(field);
    assert_true(str_starts_c(field, "targets[") || str_eq_c(field, "name") || str_eq_c(field, "enabled") ||
                str_eq_c(field, "event_types") || str_eq_c(field, "and more"));
  }
}

static void test_metadata_of_projects_is_named_key_by_key(void **state) {
  struct project old = {.name = STR("demo"), .metadata = STR("{\"severity\":\"low\"}"), .storage_limit = -1};
  struct project project = old;
  struct str fields;
  struct error err;

  (void)state;
  project.metadata = STR("{\"auto_scan\":\"true\",\"severity\":\"high\"}");
  project.is_public = true;
  assert_int_equal(changed_fields_of_project(&old, &project, arena, &fields, &err), 0);
  assert_true(str_eq_c(fields, "metadata.public, metadata.auto_scan, metadata.severity"));
  assert_int_equal(changed_fields_of_project(&old, &old, arena, &fields, &err), 0);
  assert_int_equal(fields.len, 0);
}

static void test_entries_of_earlier_schemas_have_no_fields(void **state) {
  struct fixture *f = fixture_new();
  struct query query = {.page = 1, .page_size = 10};
  struct audit_entry *entries;
  size_t len;
  int64_t total;

  (void)state;
  fixture_load(f, "schema-006.sql");
  assert_int_equal(audit_list(f->reader, &query, f->arena, &entries, &len, &total, &f->err), 0);
  assert_int_equal(len, 2);
  assert_true(str_eq_c(entries[0].fields, "enabled, targets[0].auth_header (secret)"));
  assert_true(str_eq_c(entries[0].project, "demo") && str_eq_c(entries[0].request_id, "req-2"));
  assert_int_equal(entries[1].fields.len + entries[1].project.len, 0);
  assert_true(str_eq_c(entries[1].subject, "demo/ci"));
  fixture_free(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_new_policy_has_all_that_it_says, setup, teardown),
      cmocka_unit_test_setup_teardown(test_targets_are_compared_by_their_id, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_long_list_is_cut_at_a_name, setup, teardown),
      cmocka_unit_test_setup_teardown(test_metadata_of_projects_is_named_key_by_key, setup, teardown),
      cmocka_unit_test_setup_teardown(test_entries_of_earlier_schemas_have_no_fields, setup, teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
