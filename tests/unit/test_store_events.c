// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/catalogue.h"
#include "store/settings.h"
#include "store/sqlite/sweep.h"
#include "support/store_fixture.h"

static int setup(void **state) {
  *state = fixture_new();
  return 0;
}

static int teardown(void **state) {
  fixture_free(*state);
  return 0;
}

static void test_an_event_comes_back_as_it_went_in(void **state) {
  struct fixture *f = *state;
  struct event event = fixture_push(f, "demo"), read;

  assert_int_equal(event.seq, 1);
  assert_int_equal(event.recorded_at_us, FIXTURE_START_US);
  assert_int_equal(event_get(f->reader, &event.id, f->arena, &read, &f->err), 0);
  assert_memory_equal(&read.id, &event.id, sizeof(read.id));
  assert_int_equal(read.seq, 1);
  assert_true(str_eq_c(read.repository.name, "app"));
  assert_int_equal(read.repository.created_at_us, FIXTURE_START_US);
  assert_int_equal(read.artifacts_len, 1);
  assert_true(str_eq_c(read.artifacts[0].tags[0], "v1"));
  struct uuid other = {{1}};
  assert_int_equal(event_get(f->reader, &other, f->arena, &read, &f->err), ERR_NOT_FOUND);
}

static void test_an_unknown_project_is_made_only_when_asked(void **state) {
  struct fixture *f = *state;
  struct event event = fixture_event(f, EVENT_PUSH_ARTIFACT, "Not A Name", "app", FIXTURE_DIGEST_A, "v1");

  assert_int_equal(fixture_commit(f, &event, NULL, NULL), ERR_INVALID);
  (void)fixture_push(f, "made");
  struct project project;
  assert_int_equal(project_get_by_name(f->reader, STR("made"), f->arena, &project, &f->err), 0);
  assert_false(project.is_public);
  assert_int_equal(project.repo_count, 1);
}

static int add_event(struct store_conn *conn, void *ctx, struct error *err) {
  return event_commit(conn, ctx, err);
}

static int add_and_refuse(struct store_conn *conn, void *ctx, struct error *err) {
  int rc = event_commit(conn, ctx, err);

  return rc != 0 ? rc : error_set(err, ERR_BAD_REQUEST, "changed its mind");
}

static void test_no_project_is_made_when_not_asked(void **state) {
  struct fixture *f = *state;
  struct event event = fixture_event(f, EVENT_PUSH_ARTIFACT, "unknown", "app", FIXTURE_DIGEST_A, "v1");
  struct event_commit commit = {.event = &event};

  assert_int_equal(fixture_write(f, add_event, &commit), ERR_NOT_FOUND);
  assert_string_equal(f->err.text, "project unknown not found");
}

static void test_sequence_numbers_have_no_gaps_under_failures_and_duplicates(void **state) {
  struct fixture *f = *state;

  for (int i = 0; i < 20; i++) {
    struct event event = fixture_event(f, EVENT_PUSH_ARTIFACT, "demo", "app", FIXTURE_DIGEST_A, "v1");
    struct event_commit commit = {.event = &event, .create_project = true};
    if (i % 3 == 1) {
      assert_int_equal(fixture_write(f, add_and_refuse, &commit), ERR_BAD_REQUEST);
      continue;
    }
    char key[16];
    (void)snprintf(key, sizeof(key), "key-%d", i / 6);
    struct event_commit out;
    assert_int_equal(fixture_commit(f, &event, key, &out), 0);
  }
  fixture_number_is(f, "SELECT count(*) FROM event", fixture_number(f, "SELECT max(seq) FROM event"));
  fixture_number_is(f, "SELECT min(seq) FROM event", 1);
  fixture_number_is(f, "SELECT seq FROM project WHERE name = 'demo'", fixture_number(f, "SELECT max(seq) FROM event"));
}

static bool is_duplicate(struct fixture *f, const char *key, int64_t source_time_us) {
  struct event event = fixture_event(f, EVENT_PUSH_ARTIFACT, "demo", "app", FIXTURE_DIGEST_A, "v1");
  struct event_commit commit = {
      .event = &event, .create_project = true, .source_key = str_of(key), .source_time_us = source_time_us};

  assert_int_equal(fixture_write(f, add_event, &commit), 0);
  assert_true(commit.known);
  return commit.duplicate;
}

static void test_duplicates_are_recognised_for_48_hours_and_then_not(void **state) {
  struct fixture *f = *state;

  assert_false(is_duplicate(f, "n1", FIXTURE_START_US));
  assert_true(is_duplicate(f, "n1", FIXTURE_START_US));
  assert_false(is_duplicate(f, "n2", FIXTURE_START_US));
  for (int hour = 0; hour < 47; hour++) {
    clock_advance(&f->clock, FIXTURE_HOUR_US);
    sweep_all(f->store);
    assert_true(is_duplicate(f, "n1", FIXTURE_START_US));
  }
  clock_advance(&f->clock, 3 * FIXTURE_HOUR_US);
  sweep_all(f->store);
  assert_false(is_duplicate(f, "n1", FIXTURE_START_US));
  assert_true(is_duplicate(f, "n1", FIXTURE_START_US)); // remembered by its arrival now
  fixture_number_is(f, "SELECT count(*) FROM sqlite_master WHERE name GLOB 'seen_*'", 0);
}

static void test_a_source_with_a_wrong_clock_makes_no_duplicates(void **state) {
  struct fixture *f = *state;
  int64_t ahead_us = FIXTURE_START_US + 90 * 60 * US_PER_S, ancient_us = 5;

  assert_false(is_duplicate(f, "ahead", ahead_us));
  assert_true(is_duplicate(f, "ahead", ahead_us));
  assert_false(is_duplicate(f, "ancient", ancient_us));
  clock_advance(&f->clock, FIXTURE_HOUR_US); // its time is within the window now: still known
  assert_true(is_duplicate(f, "ahead", ahead_us));
  clock_advance(&f->clock, 10 * FIXTURE_HOUR_US);
  assert_true(is_duplicate(f, "ancient", ancient_us));
}

static void test_duplicates_are_known_after_a_restart(void **state) {
  struct fixture *f = *state;

  assert_false(is_duplicate(f, "n1", FIXTURE_START_US));
  fixture_close(f);
  fixture_open(f);
  assert_true(is_duplicate(f, "n1", FIXTURE_START_US));
}

static void test_the_key_of_a_refused_event_is_not_remembered(void **state) {
  struct fixture *f = *state;
  struct event event = fixture_event(f, EVENT_PUSH_ARTIFACT, "demo", "app", FIXTURE_DIGEST_A, "v1");
  struct event_commit commit = {
      .event = &event, .create_project = true, .source_key = STR("n1"), .source_time_us = FIXTURE_START_US};

  // The first key of its hour: the bucket's table goes with the rollback too.
  assert_int_equal(fixture_write(f, add_and_refuse, &commit), ERR_BAD_REQUEST);
  assert_false(is_duplicate(f, "n1", FIXTURE_START_US));
  assert_true(is_duplicate(f, "n1", FIXTURE_START_US));
}

static void test_an_idempotency_key_answers_with_the_event_of_then(void **state) {
  struct fixture *f = *state;
  struct event first = fixture_event(f, EVENT_PUSH_ARTIFACT, "demo", "app", FIXTURE_DIGEST_A, "v1"), second = first;
  struct event_commit commit = {
      .event = &first, .create_project = true, .idempotency_key = STR("once"), .body_sha256 = {1}};

  first.source.kind = second.source.kind = SOURCE_API;
  assert_int_equal(fixture_write(f, add_event, &commit), 0);
  assert_false(commit.duplicate);
  commit.event = &second;
  assert_int_equal(fixture_write(f, add_event, &commit), 0);
  assert_true(commit.duplicate);
  assert_memory_equal(&second.id, &first.id, sizeof(first.id));
  assert_int_equal(second.seq, 1);
  commit.body_sha256[0] = 2;
  assert_int_equal(fixture_write(f, add_event, &commit), ERR_CONFLICT);
  struct event other = fixture_event(f, EVENT_PUSH_ARTIFACT, "other", "app", FIXTURE_DIGEST_A, "v1");
  commit.event = &other; // another project's key is another key
  assert_int_equal(fixture_write(f, add_event, &commit), 0);
  assert_false(commit.duplicate);
}

static void test_a_pull_that_nobody_wants_is_not_written(void **state) {
  struct fixture *f = *state;
  struct event_commit out;

  (void)fixture_push(f, "demo");
  clock_advance(&f->clock, US_PER_S);
  struct event pull = fixture_event(f, EVENT_PULL_ARTIFACT, "demo", "app", FIXTURE_DIGEST_A, "v1");
  assert_int_equal(fixture_commit(f, &pull, NULL, &out), 0);
  assert_false(out.known);
  fixture_number_is(f, "SELECT count(*) FROM event", 1);
  fixture_number_is(f, "SELECT pull_count FROM repository", 1);
  fixture_number_is(f, "SELECT pulled_us FROM artifact", FIXTURE_START_US + US_PER_S);
  fixture_number_is(f, "SELECT pulled_us FROM tag", FIXTURE_START_US + US_PER_S);

  struct policy policy = fixture_policy(f, pull.project_id, "pulls", 1);
  policy.event_types[0] = EVENT_PULL_ARTIFACT;
  policy.event_types_len = 1;
  policy.event_mask = 1U << EVENT_PULL_ARTIFACT;
  fixture_policy_create(f, &policy);
  assert_int_equal(fixture_commit(f, &pull, NULL, &out), 0);
  assert_true(out.known);
  assert_int_equal(out.deliveries, 1);
  assert_int_equal(pull.seq, 2);
  assert_int_equal(f->notices[0].prio, 1);
}

static int switch_off(struct store_conn *conn, void *ctx, struct error *err) {
  return setting_set(conn, "notification_enable", str_of(ctx), err);
}

static void test_no_delivery_is_made_while_notifications_are_off(void **state) {
  struct fixture *f = *state;
  int64_t project_id = fixture_project(f, "demo");
  struct policy policy = fixture_policy(f, project_id, "ci", 1);
  char off[] = "false", on[] = "true";

  fixture_policy_create(f, &policy);
  uint64_t generation = store_policy_generation(f->store);
  assert_int_equal(fixture_write(f, switch_off, off), 0);
  assert_true(store_policy_generation(f->store) > generation);
  (void)fixture_push(f, "demo");
  fixture_number_is(f, "SELECT count(*) FROM event", 1);
  fixture_number_is(f, "SELECT count(*) FROM delivery", 0);
  assert_int_equal(fixture_write(f, switch_off, on), 0);
  (void)fixture_push(f, "demo");
  fixture_number_is(f, "SELECT count(*) FROM delivery", 1);
}

static int remove_tag(struct store_conn *conn, void *ctx, struct error *err) {
  const char **args = ctx;

  return catalogue_tag_removed(conn, STR("demo"), STR("app"), str_of(args[0]), str_of(args[1]), err);
}

static struct event delete_digest(struct fixture *f, const char *request_id) {
  struct event event = fixture_event(f, EVENT_DELETE_ARTIFACT, "demo", "app", FIXTURE_DIGEST_A, NULL), read;

  event.client.request_id = str_of(request_id);
  assert_int_equal(fixture_commit(f, &event, NULL, NULL), 0);
  assert_int_equal(event_get(f->reader, &event.id, f->arena, &read, &f->err), 0);
  return read;
}

static void push_two_tags(struct fixture *f) {
  (void)fixture_push(f, "demo");
  struct event latest = fixture_event(f, EVENT_PUSH_ARTIFACT, "demo", "app", FIXTURE_DIGEST_A, "latest");
  assert_int_equal(fixture_commit(f, &latest, NULL, NULL), 0);
}

static void test_a_delete_lists_all_tags_when_the_digest_comes_first(void **state) {
  struct fixture *f = *state;
  const char *args[] = {"v1", "r1"};

  push_two_tags(f);
  struct event event = delete_digest(f, "r1");
  assert_int_equal(event.artifacts[0].tags_len, 2);
  assert_int_equal(event.artifacts[0].size_bytes, 1234);
  assert_int_equal(fixture_write(f, remove_tag, args), 0);
  fixture_number_is(f, "SELECT count(*) FROM tag", 0);
  fixture_number_is(f, "SELECT count(*) FROM artifact", 0);
}

static void test_a_delete_lists_all_tags_when_they_come_first(void **state) {
  struct fixture *f = *state;
  const char *args[] = {"v1", "r1"};
  struct artifact artifact;

  push_two_tags(f);
  assert_int_equal(fixture_write(f, remove_tag, args), 0);
  assert_int_equal(artifact_get(f->reader, 1, STR("v1"), f->arena, &artifact, &f->err), ERR_NOT_FOUND);
  assert_int_equal(artifact_get(f->reader, 1, STR("latest"), f->arena, &artifact, &f->err), 0);
  assert_int_equal(artifact.tags_len, 1);
  struct event event = delete_digest(f, "r1");
  assert_int_equal(event.artifacts[0].tags_len, 2);
  assert_true(str_eq_c(event.artifacts[0].tags[0], "v1"));
}

static void test_a_tag_removed_by_another_request_is_not_listed(void **state) {
  struct fixture *f = *state;
  const char *args[] = {"v1", "r0"};

  push_two_tags(f);
  assert_int_equal(fixture_write(f, remove_tag, args), 0);
  struct event event = delete_digest(f, "r1");
  assert_int_equal(event.artifacts[0].tags_len, 1);
  assert_true(str_eq_c(event.artifacts[0].tags[0], "latest"));
}

static void test_a_digest_that_the_catalogue_does_not_know_makes_the_event_alone(void **state) {
  struct fixture *f = *state;

  (void)fixture_project(f, "demo");
  struct event event = delete_digest(f, "r1");
  assert_int_equal(event.artifacts_len, 1);
  assert_int_equal(event.artifacts[0].tags_len, 0);
  assert_int_equal(event.artifacts[0].size_bytes, -1);
}

static int complete(struct store_conn *conn, void *ctx, struct error *err) {
  return catalogue_complete(conn, ctx, err);
}

static void test_the_catalogue_learns_what_is_missing_once(void **state) {
  struct fixture *f = *state;
  struct artifact_facts *missing;
  struct artifact artifact;
  size_t len;

  (void)fixture_push(f, "demo");
  assert_int_equal(catalogue_incomplete(f->reader, 0, 10, f->arena, &missing, &len, &f->err), 0);
  assert_int_equal(len, 1); // the platform of an image
  assert_true(str_eq_c(missing[0].repository, "app"));
  struct artifact_facts facts = missing[0];
  facts.platform = STR("linux/arm64");
  facts.size_bytes = 99;
  assert_int_equal(fixture_write(f, complete, &facts), 0);
  assert_int_equal(artifact_get(f->reader, 1, STR("v1"), f->arena, &artifact, &f->err), 0);
  assert_true(str_eq_c(artifact.platform, "linux/arm64"));
  assert_int_equal(artifact.size_bytes, 1234); // known already
  assert_int_equal(catalogue_incomplete(f->reader, 0, 10, f->arena, &missing, &len, &f->err), 0);
  assert_int_equal(len, 0);
}

static void test_a_tag_moves_to_the_artifact_pushed_last(void **state) {
  struct fixture *f = *state;
  struct artifact *artifacts;
  struct query query = {.page = 1, .page_size = 10};
  size_t len;
  int64_t total;

  (void)fixture_push(f, "demo");
  clock_advance(&f->clock, US_PER_S);
  struct event again = fixture_event(f, EVENT_PUSH_ARTIFACT, "demo", "app", FIXTURE_DIGEST_B, "v1");
  assert_int_equal(fixture_commit(f, &again, NULL, NULL), 0);
  assert_int_equal(artifact_list(f->reader, 1, &query, f->arena, &artifacts, &len, &total, &f->err), 0);
  assert_int_equal(total, 2);
  assert_true(str_eq_c(artifacts[0].digest, FIXTURE_DIGEST_B));
  assert_int_equal(artifacts[0].tags_len, 1);
  assert_int_equal(artifacts[1].tags_len, 0);
  struct repository repository;
  assert_int_equal(repository_get(f->reader, 1, STR("app"), f->arena, &repository, &f->err), 0);
  assert_true(str_eq_c(repository.name, "demo/app"));
  assert_int_equal(repository.artifact_count, 2);
  assert_int_equal(repository_get(f->reader, 1, STR("no"), f->arena, &repository, &f->err), ERR_NOT_FOUND);
  assert_string_equal(f->err.text, "repository demo/no not found");
}

static void test_events_are_listed_newest_first_and_filtered(void **state) {
  struct fixture *f = *state;
  struct event *events;
  size_t len;
  int64_t total;

  for (int i = 0; i < 5; i++) {
    (void)fixture_push(f, i % 2 ? "other" : "demo");
    clock_advance(&f->clock, US_PER_S);
  }
  struct query all = {.page = 1, .page_size = 2};
  assert_int_equal(event_list(f->reader, 0, &all, f->arena, &events, &len, &total, &f->err), 0);
  assert_int_equal(total, 5);
  assert_int_equal(len, 2);
  assert_int_equal(events[0].occurred_at_us, FIXTURE_START_US + 4 * US_PER_S);
  assert_int_equal(event_list(f->reader, 1, &all, f->arena, &events, &len, &total, &f->err), 0);
  assert_int_equal(total, 3);
  assert_int_equal(events[0].seq, 3);
  struct query_condition condition = {
      .key = STR("type"), .op = QUERY_EQ, .values = {{.kind = QUERY_TEXT, .text = STR("PULL_ARTIFACT")}}};
  struct query pulls = {.conditions = &condition, .conditions_len = 1, .page = 1, .page_size = 10};
  assert_int_equal(event_list(f->reader, 0, &pulls, f->arena, &events, &len, &total, &f->err), 0);
  assert_int_equal(total, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_an_event_comes_back_as_it_went_in, setup, teardown),
      cmocka_unit_test_setup_teardown(test_an_unknown_project_is_made_only_when_asked, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_project_is_made_when_not_asked, setup, teardown),
      cmocka_unit_test_setup_teardown(test_sequence_numbers_have_no_gaps_under_failures_and_duplicates, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_duplicates_are_recognised_for_48_hours_and_then_not, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_source_with_a_wrong_clock_makes_no_duplicates, setup, teardown),
      cmocka_unit_test_setup_teardown(test_duplicates_are_known_after_a_restart, setup, teardown),
      cmocka_unit_test_setup_teardown(test_the_key_of_a_refused_event_is_not_remembered, setup, teardown),
      cmocka_unit_test_setup_teardown(test_an_idempotency_key_answers_with_the_event_of_then, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_pull_that_nobody_wants_is_not_written, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_delivery_is_made_while_notifications_are_off, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_delete_lists_all_tags_when_the_digest_comes_first, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_delete_lists_all_tags_when_they_come_first, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_tag_removed_by_another_request_is_not_listed, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_digest_that_the_catalogue_does_not_know_makes_the_event_alone, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_the_catalogue_learns_what_is_missing_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_tag_moves_to_the_artifact_pushed_last, setup, teardown),
      cmocka_unit_test_setup_teardown(test_events_are_listed_newest_first_and_filtered, setup, teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
