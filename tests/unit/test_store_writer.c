// SPDX-License-Identifier: Apache-2.0
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/settings.h"
#include "store/sqlite/migrate.h"
#include "store/sqlite/mover.h"
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

// ---- groups ---------------------------------------------------------------------------------------------------------

struct item {
  struct store_write w;
  struct event event;
  struct event_commit commit;
  bool refuse, end_transaction, done;
  int applied;
};

static int item_apply(struct store_conn *conn, struct store_write *w, struct error *err) {
  struct item *item = CONTAINER_OF(w, struct item, w);
  int rc = event_commit(conn, &item->commit, err);

  item->applied++;
  if (rc == 0 && item->end_transaction)
    (void)sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL); // what SQLite itself does when memory is out
  return rc == 0 && item->refuse ? error_set(err, ERR_BAD_REQUEST, "refused") : rc;
}

static void item_done(struct store_write *w) {
  CONTAINER_OF(w, struct item, w)->done = true;
}

static void submit(struct fixture *f, struct item *item) {
  item->event = fixture_event(f, EVENT_PUSH_ARTIFACT, "demo", "app", FIXTURE_DIGEST_A, "v1");
  item->commit = (struct event_commit){.event = &item->event, .create_project = true};
  item->w = (struct store_write){.apply = item_apply, .done = item_done, .takes_events = true};
  assert_int_equal(store_submit(f->store, &item->w, &f->err), 0);
}

static void test_a_bad_change_loses_only_itself(void **state) {
  struct fixture *f = *state;
  struct policy policy = fixture_policy(f, fixture_project(f, "demo"), "ci", 1);
  struct item items[10] = {0};

  fixture_policy_create(f, &policy);
  for (size_t i = 0; i < ARRAY_LEN(items); i++) {
    items[i].refuse = i == 4;
    submit(f, &items[i]);
  }
  assert_true(writer_turn(f->store)); // one group
  for (size_t i = 0; i < ARRAY_LEN(items); i++) {
    assert_true(items[i].done);
    assert_int_equal(items[i].w.rc, i == 4 ? ERR_BAD_REQUEST : 0);
  }
  assert_string_equal(items[4].w.err.text, "refused");
  fixture_number_is(f, "SELECT count(*) FROM event", 9);
  fixture_number_is(f, "SELECT max(seq) FROM event", 9);
  fixture_number_is(f, "SELECT count(*) FROM delivery", 9);
  assert_int_equal(f->notices_len, 9); // and no notice of what was taken back
  struct delivery_depth depth;
  delivery_depth(f->store, &depth);
  assert_int_equal(depth.waiting, 9);
}

static void test_a_change_that_takes_the_transaction_along_loses_only_itself(void **state) {
  struct fixture *f = *state;
  struct item items[6] = {0};

  for (size_t i = 0; i < ARRAY_LEN(items); i++) {
    items[i].end_transaction = i == 3;
    submit(f, &items[i]);
  }
  assert_true(writer_turn(f->store));
  for (size_t i = 0; i < ARRAY_LEN(items); i++)
    assert_int_equal(items[i].w.rc, i == 3 ? ERR_INTERNAL : 0);
  assert_int_equal(items[0].applied, 3); // together, apart, apart without the bad one
  fixture_number_is(f, "SELECT count(*) FROM event", 5);
  fixture_number_is(f, "SELECT max(seq) FROM event", 5);
  assert_true(store_healthy(f->store, NULL, 0));
}

static void test_a_group_has_at_most_256_changes(void **state) {
  struct fixture *f = *state;
  struct item *items = calloc(300, sizeof(*items));

  assert_non_null(items);
  for (size_t i = 0; i < 300; i++)
    submit(f, &items[i]);
  (void)writer_turn(f->store);
  fixture_number_is(f, "SELECT count(*) FROM event", 256);
  assert_false(items[256].done);
  while (!items[299].done)
    (void)writer_turn(f->store);
  fixture_number_is(f, "SELECT count(*) FROM event", 300);
  free(items);
}

// ---- who waits, and who does not ------------------------------------------------------------------------------------

// A change that takes time and may submit another.
struct timed {
  struct store_write w;
  struct fixture *f;
  int64_t takes_us;
  struct timed *submits;
  int *applied; // by all of a test
  int place;    // in the order of applying, from 1
  bool done;
};

static void submit_timed(struct timed *item);

static int timed_apply(struct store_conn *conn, struct store_write *w, struct error *err) {
  struct timed *item = CONTAINER_OF(w, struct timed, w);
  (void)conn, (void)err;
  assert_int_equal(item->place, 0);
  item->place = ++*item->applied;
  clock_advance(&item->f->clock, item->takes_us);
  if (item->submits)
    submit_timed(item->submits);
  return 0;
}

static void timed_done(struct store_write *w) {
  CONTAINER_OF(w, struct timed, w)->done = true;
}

static void submit_timed(struct timed *item) {
  item->w.apply = timed_apply;
  item->w.done = timed_done;
  assert_int_equal(store_submit(item->f->store, &item->w, &item->f->err), 0);
}

static struct timed *timed_new(struct fixture *f, size_t len, bool patient, int64_t takes_us, int *applied) {
  struct timed *items = calloc(len, sizeof(*items));

  assert_non_null(items);
  for (size_t i = 0; i < len; i++)
    items[i] = (struct timed){.w.patient = patient, .f = f, .takes_us = takes_us, .applied = applied};
  return items;
}

static size_t count_done(const struct timed *items, size_t len) {
  size_t count = 0;

  for (size_t i = 0; i < len; i++)
    count += items[i].done;
  return count;
}

static void test_who_waits_is_not_kept_by_a_row_of_attempts(void **state) {
  enum { ATTEMPTS = 200, COMES_AT = 20 };
  struct fixture *f = *state;
  int applied = 0;
  struct timed *attempts = timed_new(f, ATTEMPTS, true, 100, &applied), *event = timed_new(f, 1, false, 100, &applied);

  attempts[COMES_AT].submits = event;
  for (size_t i = 0; i < ATTEMPTS; i++)
    submit_timed(&attempts[i]);
  int64_t began_us = clock_mono_us(&f->clock);
  (void)writer_turn(f->store);
  assert_int_equal(count_done(attempts, ATTEMPTS), COMES_AT + 1); // the group ends at once
  (void)writer_turn(f->store);
  assert_true(event->done);
  assert_int_equal(event->place, COMES_AT + 2); // the first of the next one, which is short
  assert_true(clock_mono_us(&f->clock) - began_us < 5000);
  while (count_done(attempts, ATTEMPTS) < ATTEMPTS)
    (void)writer_turn(f->store);
  for (size_t i = 1; i < ATTEMPTS; i++) // none twice, none out of turn
    assert_true(attempts[i].place > attempts[i - 1].place);
  free(attempts);
  free(event);
}

static void test_attempts_alone_are_committed_in_short_groups(void **state) {
  enum { ATTEMPTS = 200 };
  struct fixture *f = *state;
  int applied = 0;
  struct timed *attempts = timed_new(f, ATTEMPTS, true, 100, &applied);

  for (size_t i = 0; i < ATTEMPTS; i++)
    submit_timed(&attempts[i]);
  (void)writer_turn(f->store);
  assert_int_equal(count_done(attempts, ATTEMPTS), 40); // 4 ms
  while (count_done(attempts, ATTEMPTS) < ATTEMPTS)
    (void)writer_turn(f->store);
  free(attempts);
}

static void test_events_without_end_leave_attempts_their_share_of_each_group(void **state) {
  enum { EVENTS = 400, ATTEMPTS = 100 };
  struct fixture *f = *state;
  int applied = 0;
  struct timed *events = timed_new(f, EVENTS, false, 100, &applied);
  struct timed *attempts = timed_new(f, ATTEMPTS, true, 100, &applied);

  for (size_t i = 0; i < EVENTS; i++)
    submit_timed(&events[i]);
  for (size_t i = 0; i < ATTEMPTS; i++)
    submit_timed(&attempts[i]);
  (void)writer_turn(f->store);
  assert_int_equal(count_done(events, EVENTS), STORE_BATCH_ITEMS * 3 / 4);
  assert_int_equal(count_done(attempts, ATTEMPTS), STORE_BATCH_ITEMS / 4);
  while (count_done(events, EVENTS) < EVENTS || count_done(attempts, ATTEMPTS) < ATTEMPTS)
    (void)writer_turn(f->store);
  free(events);
  free(attempts);
}

static int rename_policy(struct store_conn *conn, void *ctx, struct error *err) {
  struct fixture *f = ctx;
  struct policy policy;
  int64_t *targets;
  size_t len;
  int rc = policy_get(conn, 1, 1, f->arena, &policy, err);

  policy.enabled = false;
  if (rc == 0)
    rc = policy_update(conn, &policy, f->arena, &targets, &len, err);
  struct event event = fixture_event(f, EVENT_PUSH_ARTIFACT, "demo", "app", FIXTURE_DIGEST_A, "v1");
  struct event_commit commit = {.event = &event};
  if (rc == 0) // compiles the policies as this change has left them
    rc = event_commit(conn, &commit, err);
  return rc != 0 ? rc : error_set(err, ERR_BAD_REQUEST, "changed its mind");
}

static void test_compiled_policies_of_a_refused_change_are_forgotten(void **state) {
  struct fixture *f = *state;
  struct policy policy = fixture_policy(f, fixture_project(f, "demo"), "ci", 1);

  fixture_policy_create(f, &policy);
  uint64_t generation = store_policy_generation(f->store);
  assert_int_equal(fixture_write(f, rename_policy, f), ERR_BAD_REQUEST);
  assert_int_equal(store_policy_generation(f->store), generation);
  (void)fixture_push(f, "demo");
  fixture_number_is(f, "SELECT count(*) FROM delivery", 1);
}

// ---- the thread -----------------------------------------------------------------------------------------------------

static int one_push(struct store_conn *conn, void *ctx, struct error *err) {
  struct event_commit *commit = ctx;

  return event_commit(conn, commit, err);
}

struct pusher {
  struct fixture *f;
  pthread_t thread;
  struct event event;
  int failures;
};

static void *push_many(void *arg) {
  struct pusher *pusher = arg;
  struct error err;

  for (int i = 0; i < 50; i++) {
    struct event_commit commit = {.event = &pusher->event, .create_project = true};
    if (store_write_sync(pusher->f->store, one_push, &commit, &err) != 0)
      pusher->failures++;
  }
  return NULL;
}

static void test_threads_wait_for_their_commit(void **state) {
  struct fixture *f = *state;
  struct pusher pushers[4];

  assert_int_equal(store_start(f->store, &f->err), 0);
  for (size_t i = 0; i < ARRAY_LEN(pushers); i++) {
    pushers[i] = (struct pusher){.f = f};
    pushers[i].event = fixture_event(f, EVENT_PUSH_ARTIFACT, "demo", "app", FIXTURE_DIGEST_A, "v1");
    assert_int_equal(pthread_create(&pushers[i].thread, NULL, push_many, &pushers[i]), 0);
  }
  for (size_t i = 0; i < ARRAY_LEN(pushers); i++) {
    (void)pthread_join(pushers[i].thread, NULL);
    assert_int_equal(pushers[i].failures, 0);
  }
  fixture_number_is(f, "SELECT count(*) FROM event", 200);
  fixture_number_is(f, "SELECT max(seq) FROM event", 200);
}

static void test_stopping_commits_what_was_taken_and_takes_no_more(void **state) {
  struct fixture *f = *state;
  struct item items[20] = {0}, late = {0};

  for (size_t i = 0; i < ARRAY_LEN(items); i++)
    submit(f, &items[i]);
  assert_int_equal(store_start(f->store, &f->err), 0);
  store_stop(f->store);
  for (size_t i = 0; i < ARRAY_LEN(items); i++)
    assert_true(items[i].done && items[i].w.rc == 0);
  late.w = (struct store_write){.apply = item_apply, .done = item_done};
  assert_int_equal(store_submit(f->store, &late.w, &f->err), ERR_UNAVAILABLE);
  fixture_number_is(f, "SELECT count(*) FROM event", 20);
}

static void test_a_full_queue_is_told(void **state) {
  struct fixture *f = *state;
  struct item items[4] = {0};

  fixture_close(f);
  f->config.max_queue = 3;
  fixture_open(f);
  for (size_t i = 0; i < 3; i++)
    submit(f, &items[i]);
  items[3].w = (struct store_write){.apply = item_apply, .done = item_done};
  assert_int_equal(store_submit(f->store, &items[3].w, &f->err), ERR_FULL);
  (void)writer_turn(f->store);
  assert_false(items[3].done);
}

// ---- broken ---------------------------------------------------------------------------------------------------------

// SQLite's own limit stands for the full disk: the same SQLITE_FULL comes out of the same calls.
static void limit_pages(struct fixture *f, int more) {
  char sql[64];

  (void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %lld",
                 (long long)(fixture_number(f, "PRAGMA page_count") + more));
  fixture_exec(f, sql);
}

static void test_a_full_disk_refuses_with_words_and_recovers_by_itself(void **state) {
  struct fixture *f = *state;
  char reason[ERROR_TEXT_BYTES];
  struct item items[200] = {0};

  limit_pages(f, 2);
  for (size_t i = 0; i < ARRAY_LEN(items); i++)
    submit(f, &items[i]);
  (void)writer_turn(f->store);
  for (size_t i = 0; i < ARRAY_LEN(items); i++) { // nothing of the group was acknowledged
    assert_true(items[i].done);
    assert_int_equal(items[i].w.rc, ERR_UNAVAILABLE);
  }
  fixture_number_is(f, "SELECT count(*) FROM event", 0);
  fixture_number_is(f, "SELECT count(*) FROM project", 0);
  assert_false(store_healthy(f->store, reason, sizeof(reason)));
  assert_non_null(strstr(reason, "full"));
  assert_non_null(strstr(reason, "make room"));
  assert_int_equal(f->health_calls, 1);
  assert_false(f->healthy);
  struct item refused = {0};
  refused.w = (struct store_write){.apply = item_apply, .done = item_done};
  assert_int_equal(store_submit(f->store, &refused.w, &f->err), ERR_UNAVAILABLE);

  limit_pages(f, 1000000);
  (void)writer_turn(f->store);
  assert_false(store_healthy(f->store, reason, sizeof(reason))); // its time has not come
  clock_advance(&f->clock, US_PER_S);
  (void)writer_turn(f->store);
  assert_true(store_healthy(f->store, reason, sizeof(reason)));
  assert_int_equal(f->health_calls, 2);
  assert_true(f->healthy);
  (void)fixture_push(f, "demo");
  fixture_number_is(f, "SELECT seq FROM project", 1);
}

static void test_what_waited_when_the_store_broke_is_answered(void **state) {
  struct fixture *f = *state;
  struct item *items = calloc(600, sizeof(*items));

  assert_non_null(items);
  limit_pages(f, 2);
  for (size_t i = 0; i < 600; i++)
    submit(f, &items[i]);
  for (int turns = 0; turns < 4; turns++)
    (void)writer_turn(f->store);
  for (size_t i = 0; i < 600; i++)
    assert_true(items[i].done && items[i].w.rc == ERR_UNAVAILABLE);
  free(items);
}

static void test_below_the_floor_no_event_is_taken_and_the_rest_is(void **state) {
  struct fixture *f = *state;
  struct item item = {0};

  fixture_close(f);
  f->config.min_free_bytes = INT64_MAX;
  fixture_open(f);
  submit(f, &item);
  (void)writer_turn(f->store);
  assert_int_equal(item.w.rc, ERR_UNAVAILABLE);
  assert_non_null(strstr(item.w.err.text, "MiB are free"));
  (void)fixture_project(f, "other"); // no event
  assert_true(store_healthy(f->store, NULL, 0));
}

// ---- opening --------------------------------------------------------------------------------------------------------

static void test_a_second_server_on_the_directory_is_refused(void **state) {
  struct fixture *f = *state;
  struct store *second = store_open(&f->config, &f->clock, f->ids, NULL, NULL, &f->err);
  char pid[32];

  assert_null(second);
  (void)snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
  assert_non_null(strstr(f->err.text, "another harbinger"));
  assert_non_null(strstr(f->err.text, pid));
}

static void test_a_newer_schema_is_refused(void **state) {
  struct fixture *f = *state;

  fixture_exec(f, "PRAGMA user_version = 99");
  store_reader_close(f->reader);
  store_close(f->store);
  f->store = store_open(&f->config, &f->clock, f->ids, NULL, NULL, &f->err);
  assert_null(f->store);
  assert_non_null(strstr(f->err.text, "schema 99"));
}

static void test_a_directory_that_cannot_be_made_is_told(void **state) {
  struct fixture *f = *state;
  struct store_config config = f->config;

  config.dir = "/proc/no/such/place";
  assert_null(store_open(&config, &f->clock, f->ids, NULL, NULL, &f->err));
  assert_non_null(strstr(f->err.text, "/proc/no/such/place"));
}

static void test_the_files_are_their_owners_alone(void **state) {
  struct fixture *f = *state;
  const char *names[] = {"harbinger.db", "harbinger.db-wal", "harbinger.db-shm", "lock"};
  char path[128];
  struct stat info;

  (void)fixture_push(f, "demo");
  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
  }
}

static void test_commits_are_on_disk_before_they_are_told(void **state) {
  struct fixture *f = *state;
  CLEANUP(stmt_end) struct stmt stmt = {0};
  static const char sync[] = "PRAGMA synchronous", mode[] = "PRAGMA journal_mode";
  int64_t level;

  assert_int_equal(conn_number(f->store->conn, sync, 0, &level, &f->err), 0);
  assert_int_equal(level, 2); // FULL
  assert_int_equal(stmt_begin(f->store->conn, mode, &stmt, &f->err), 0);
  assert_int_equal(stmt_step(&stmt, "read a pragma", &f->err), 1);
  assert_true(str_eq_c(stmt_view(&stmt, 0), "wal"));
}

static void test_ids_rise_over_a_restart_with_the_clock_set_back(void **state) {
  struct fixture *f = *state;
  struct event before = fixture_push(f, "demo");

  fixture_close(f);
  id_source_free(f->ids);
  clock_jump(&f->clock, -FIXTURE_DAY_US);
  f->ids = id_source_new(&f->clock);
  fixture_open(f);
  struct event after = fixture_push(f, "demo");
  assert_true(memcmp(after.id.bytes, before.id.bytes, UUID_BYTES) > 0);
  assert_int_equal(after.seq, 2);
}

static void test_a_reader_cannot_write(void **state) {
  struct fixture *f = *state;

  assert_int_not_equal(setting_set(f->reader, "key", STR("value"), &f->err), 0);
  fixture_number_is(f, "SELECT count(*) FROM setting WHERE key = 'key'", 0);
}

static void test_reads_between_begin_and_end_see_one_state(void **state) {
  struct fixture *f = *state;

  (void)fixture_push(f, "demo");
  assert_int_equal(store_read_begin(f->reader, &f->err), 0);
  fixture_number_is(f, "SELECT count(*) FROM event", 1);
  (void)fixture_push(f, "demo");
  fixture_number_is(f, "SELECT count(*) FROM event", 1);
  store_read_end(f->reader);
  fixture_number_is(f, "SELECT count(*) FROM event", 2);
}

static void test_the_log_is_checkpointed_when_nobody_waits(void **state) {
  struct fixture *f = *state;
  struct item *items = calloc(2000, sizeof(*items));

  assert_non_null(items);
  for (size_t i = 0; i < 2000; i++)
    submit(f, &items[i]);
  int most = 0;
  while (writer_turn(f->store))
    most = f->store->wal_pages > most ? f->store->wal_pages : most;
  assert_true(most > 300);
  assert_true(f->store->wal_pages < 1000);
  free(items);
}

// Events until the log is long enough to be moved; the mover's thread is beside a writer that is driven by hand.
static int commit_until_moved(struct fixture *f) {
  enum { AT_ONCE = 64, ROUNDS = 1000 };
  struct item *items = calloc(AT_ONCE, sizeof(*items));
  int rounds = 0;

  assert_non_null(items);
  f->store->mover = mover_start(f->store, &f->err);
  assert_non_null(f->store->mover);
  for (; mover_look(f->store->mover) == MOVER_RESTS; rounds++) { // asked, and not looked at yet
    assert_true(rounds < ROUNDS);
    memset(items, 0, AT_ONCE * sizeof(*items));
    for (size_t i = 0; i < AT_ONCE; i++)
      submit(f, &items[i]);
    (void)writer_turn(f->store);
    assert_true(items[AT_ONCE - 1].done);
  }
  free(items);
  return rounds * AT_ONCE;
}

static void turn_or_let_it_move(struct fixture *f) {
  if (!writer_turn(f->store))
    sched_yield();
}

static void test_the_log_is_moved_beside_commits_and_begins_anew(void **state) {
  struct fixture *f = *state;
  int events = commit_until_moved(f);

  assert_true(f->store->wal_pages >= 1000);
  while (f->store->wal_pages > 0)
    turn_or_let_it_move(f);
  fixture_number_is(f, "SELECT count(*) FROM event", events);
  mover_stop(f->store->mover);
  f->store->mover = NULL;
}

static void test_a_long_reader_ends_a_move_and_the_next_one_does_the_rest(void **state) {
  enum { TURNS = 1000 };
  struct fixture *f = *state;

  assert_int_equal(store_read_begin(f->reader, &f->err), 0);
  fixture_number_is(f, "SELECT count(*) FROM event", 0); // from here on it holds the log
  (void)commit_until_moved(f);
  while (f->store->checkpoint_base == 0)
    turn_or_let_it_move(f);
  assert_int_equal(f->store->checkpoint_base, f->store->wal_pages); // not again before as much is there once more
  for (int i = 0; i < TURNS; i++)
    (void)writer_turn(f->store);
  assert_int_equal(mover_look(f->store->mover), MOVER_RESTS);
  store_read_end(f->reader);
  f->store->checkpoint_base = 0;
  while (f->store->wal_pages > 0)
    turn_or_let_it_move(f);
  mover_stop(f->store->mover);
  f->store->mover = NULL;
}

static void test_directories_of_later_schemas_open(void **state) {
  static const char *const FILES[] = {"schema-002.sql", "schema-003.sql", "schema-004.sql", "schema-005.sql",
                                      "schema-006.sql", "schema-007.sql", "schema-008.sql", "schema-009.sql"};
  struct fixture *f = *state;

  for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
    fixture_load(f, FILES[i]);
    fixture_number_is(f, "PRAGMA user_version", migrate_newest());
    fixture_number_is(
        f, "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name LIKE '%\\_pushed' ESCAPE '\\'", 2);
    fixture_number_is(f, "SELECT count(*) FROM session", 1);
  }
}

// A database as schema 1 was on the day it was written: later schemas must open it.
static void test_a_directory_of_schema_1_opens(void **state) {
  struct fixture *f = *state;
  struct event *events;
  struct query query = {.page = 1, .page_size = 10};
  size_t len;
  int64_t total;

  fixture_load(f, "schema-001.sql");
  fixture_number_is(f, "PRAGMA user_version", migrate_newest());
  assert_int_equal(event_list(f->reader, 0, &query, f->arena, &events, &len, &total, &f->err), 0);
  assert_int_equal(total, 2);
  assert_true(str_eq_c(events[0].repository.project, "demo"));
  struct policy policy;
  assert_int_equal(policy_get(f->reader, 1, 1, f->arena, &policy, &f->err), 0);
  assert_true(str_eq_c(policy.targets[0].auth_header, "Bearer plain-secret")); // sealed with the fixture's key
  struct attempt *attempts;
  assert_int_equal(delivery_attempts(f->reader, 1, f->arena, &attempts, &len, &f->err), 0);
  assert_int_equal(len, 1);
  struct event event = fixture_push(f, "demo");
  assert_int_equal(event.seq, 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_bad_change_loses_only_itself, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_change_that_takes_the_transaction_along_loses_only_itself, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_a_group_has_at_most_256_changes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_who_waits_is_not_kept_by_a_row_of_attempts, setup, teardown),
      cmocka_unit_test_setup_teardown(test_attempts_alone_are_committed_in_short_groups, setup, teardown),
      cmocka_unit_test_setup_teardown(test_events_without_end_leave_attempts_their_share_of_each_group, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_compiled_policies_of_a_refused_change_are_forgotten, setup, teardown),
      cmocka_unit_test_setup_teardown(test_threads_wait_for_their_commit, setup, teardown),
      cmocka_unit_test_setup_teardown(test_stopping_commits_what_was_taken_and_takes_no_more, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_full_queue_is_told, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_full_disk_refuses_with_words_and_recovers_by_itself, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what_waited_when_the_store_broke_is_answered, setup, teardown),
      cmocka_unit_test_setup_teardown(test_below_the_floor_no_event_is_taken_and_the_rest_is, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_second_server_on_the_directory_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_newer_schema_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_directory_that_cannot_be_made_is_told, setup, teardown),
      cmocka_unit_test_setup_teardown(test_the_files_are_their_owners_alone, setup, teardown),
      cmocka_unit_test_setup_teardown(test_commits_are_on_disk_before_they_are_told, setup, teardown),
      cmocka_unit_test_setup_teardown(test_ids_rise_over_a_restart_with_the_clock_set_back, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_reader_cannot_write, setup, teardown),
      cmocka_unit_test_setup_teardown(test_reads_between_begin_and_end_see_one_state, setup, teardown),
      cmocka_unit_test_setup_teardown(test_the_log_is_checkpointed_when_nobody_waits, setup, teardown),
      cmocka_unit_test_setup_teardown(test_the_log_is_moved_beside_commits_and_begins_anew, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_long_reader_ends_a_move_and_the_next_one_does_the_rest, setup, teardown),
      cmocka_unit_test_setup_teardown(test_directories_of_later_schemas_open, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_directory_of_schema_1_opens, setup, teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
