// SPDX-License-Identifier: Apache-2.0
// What system tests cannot arrange: migrations that this program does not have, killed between their steps, and the limits
// of a held snapshot. The rest of care is in tests/system/test_care.py and test_upgrade.py.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/care.h"
#include "store/settings.h"
#include "store/sqlite/backup.h"
#include "store/sqlite/durable.h"
#include "store/sqlite/migrate.h"
#include "store/sqlite/seal.h"
#include "store/sqlite/snapshot.h"
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

// ---- migrations -------------------------------------------------------------------------------------------------------

#define FILE_OF(name, text) \
  { .path = "src/store/sqlite/" name, .data = (const unsigned char *)(text), .size_bytes = sizeof(text) - 1 }

static const char first_part[] =
    "ALTER TABLE event ADD COLUMN half INTEGER;\nCREATE TABLE ran (at INTEGER);\nINSERT INTO "
    "ran VALUES (1);";
#define REWRITE \
  "\n-- repeat\nUPDATE event SET half = seq / 2 WHERE id IN (SELECT id FROM event WHERE half IS NULL LIMIT 3)"

static void test_a_rewrite_in_steps_goes_on_where_it_was_killed_and_its_first_part_runs_once(void **state) {
  struct fixture *f = *state;
  char broken[512], whole[512], back[512];
  struct store_conn *conn = f->store->conn;

  for (int i = 0; i < 10; i++)
    (void)fixture_push(f, "demo");
  // The same file as it is, and one whose statement fails when it comes to event 7: as good as a kill there.
  (void)snprintf(whole, sizeof(whole), "%s" REWRITE, first_part);
  (void)snprintf(broken, sizeof(broken), "%s" REWRITE " AND (id < 7 OR abs(-9223372036854775807 - 1))", first_part);
  const struct embedded_file killed[] = {
      {"src/store/sqlite/900_half.sql", (const unsigned char *)broken, strlen(broken)}, {0}};
  const struct embedded_file files[] = {{"src/store/sqlite/900_half.sql", (const unsigned char *)whole, strlen(whole)},
                                        {0}};
  int64_t before = fixture_number(f, "PRAGMA user_version");
  assert_int_not_equal(migrate_run_files(conn, killed, &f->err), 0);
  assert_non_null(strstr(f->err.text, "900_half.sql"));
  fixture_number_is(f, "SELECT count(*) FROM event WHERE half IS NOT NULL", 6); // two steps of three are kept
  fixture_number_is(f, "PRAGMA user_version", before);
  // Its number is still the old one, but a program of that number does not know what the first part has made.
  assert_int_equal(migrate_run(conn, &f->err), ERR_CONFIG);
  assert_non_null(strstr(f->err.text, "(schema 900)"));
  assert_non_null(strstr(f->err.text, "before-schema-900"));
  assert_int_equal(migrate_run_files(conn, files, &f->err), 0);
  fixture_number_is(f, "SELECT count(*) FROM event WHERE half = seq / 2", 10);
  fixture_number_is(f, "SELECT count(*) FROM ran", 1);
  fixture_number_is(f, "PRAGMA user_version", 900);
  fixture_number_is(f, "SELECT count(*) FROM setting WHERE key IN ('upgrade', 'migration')", 0);
  // The backup is the one of before the first try.
  struct store_manifest manifest;
  (void)snprintf(back, sizeof(back), "%s/backups/before-schema-900", f->dir);
  assert_int_equal(store_backup_manifest(back, f->arena, &manifest, &f->err), 0);
  assert_int_equal(manifest.schema, before);
  assert_int_equal(manifest.events, 10);
  fixture_exec(f, "ALTER TABLE event DROP COLUMN half; DROP TABLE ran");
  char put_back[64];
  (void)snprintf(put_back, sizeof(put_back), "PRAGMA user_version = %lld", (long long)before);
  fixture_exec(f, put_back);
}

static void test_a_migration_that_fails_never_was(void **state) {
  struct fixture *f = *state;
  static const struct embedded_file files[] = {
      FILE_OF("901_bad.sql", "CREATE TABLE made (id INTEGER); INSERT INTO nothing VALUES (1);"), {0}};
  int64_t before = fixture_number(f, "PRAGMA user_version");

  assert_int_not_equal(migrate_run_files(f->store->conn, files, &f->err), 0);
  fixture_number_is(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'made'", 0);
  fixture_number_is(f, "PRAGMA user_version", before);
  // The old program goes on with the store: the next upgrade must not take the backup of this one for its own.
  fixture_number_is(f, "SELECT count(*) FROM setting WHERE key = 'upgrade'", 1);
  assert_int_equal(migrate_run(f->store->conn, &f->err), 0);
  fixture_number_is(f, "SELECT count(*) FROM setting WHERE key = 'upgrade'", 0);
}

struct looked {
  int calls, ends_after;
  char what[128];
};

static bool look(void *ctx, const char *what, int64_t done, int64_t of) {
  struct looked *looked = ctx;

  (void)done;
  (void)of;
  (void)snprintf(looked->what, sizeof(looked->what), "%s", what);
  return ++looked->calls <= looked->ends_after;
}

static void test_a_migration_tells_how_far_it_is_and_ends_when_it_shall(void **state) {
  struct fixture *f = *state;
  static const struct embedded_file files[] = {
      FILE_OF("902_long.sql", "CREATE TABLE made (i INTEGER); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                              "FROM n WHERE i < 400000) INSERT INTO made SELECT i FROM n;"),
      {0}};
  struct looked looked = {.ends_after = 2};
  const struct store_progress progress = {.tell = look, .ctx = &looked};
  int64_t before = fixture_number(f, "PRAGMA user_version");

  f->store->config.no_backup_before_upgrade = true;
  f->store->config.progress = &progress;
  assert_int_not_equal(migrate_run_files(f->store->conn, files, &f->err), 0);
  assert_non_null(strstr(f->err.text, "interrupted"));
  assert_int_equal(looked.calls, 3);
  fixture_number_is(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'made'", 0);
  fixture_number_is(f, "PRAGMA user_version", before);
  looked = (struct looked){.ends_after = INT32_MAX};
  assert_int_equal(migrate_run_files(f->store->conn, files, &f->err), 0);
  assert_non_null(strstr(looked.what, "upgrading to schema 902 of 902, "));
  fixture_number_is(f, "SELECT count(*) FROM made", 400000);
  char put_back[96];
  (void)snprintf(put_back, sizeof(put_back), "DROP TABLE made; PRAGMA user_version = %lld", (long long)before);
  fixture_exec(f, put_back);
  f->store->config.progress = NULL;
}

static void test_the_program_that_served_a_store_is_known_to_it(void **state) {
  struct fixture *f = *state;
  struct str value;

  assert_int_equal(setting_get(f->reader, "program", f->arena, &value, &f->err), 0);
  assert_true(str_eq_c(value, HARBINGER_VERSION));
}

// ---- snapshots ----------------------------------------------------------------------------------------------------------

static void test_a_held_snapshot_is_one_state_and_the_writer_waits_for_nobody(void **state) {
  struct fixture *f = *state;
  struct snapshot snapshot;
  static const char count[] = "SELECT count(*) FROM event";
  int64_t events = 0;

  (void)fixture_push(f, "demo");
  assert_int_equal(snapshot_begin(f->store, &snapshot, &f->err), 0);
  for (int i = 0; i < 300; i++)
    (void)fixture_push(f, "demo");
  int64_t began_us = clock_mono_us(f->store->clock);
  while (writer_turn(f->store)) {
  }
  assert_int_equal(clock_mono_us(f->store->clock), began_us);
  assert_int_equal(conn_number(snapshot.conn, count, 0, &events, &f->err), 0);
  assert_int_equal(events, 1);
  assert_int_equal(snapshot_fits(&snapshot, &f->err), 0);
  int pages = f->store->wal_pages;
  assert_true(pages > 300); // none of it was moved, none of it was tried
  snapshot_end(&snapshot);
  snapshot_end(&snapshot);
  assert_int_equal(atomic_load(&f->store->snapshots), 0);
  (void)fixture_push(f, "demo"); // the log begins anew: all of it had been moved
  assert_true(f->store->wal_pages < pages);
}

// Care moves the log into the file beside the writer, and the file may become shorter by that, while the writer makes the
// store longer again in the log.
static void test_a_file_that_care_made_shorter_was_not_cut_by_another(void **state) {
  struct fixture *f = *state;
  struct snapshot snapshot;

  fixture_exec(f, "CREATE TABLE ballast (bytes BLOB); INSERT INTO ballast VALUES (zeroblob(4000000))");
  (void)fixture_push(f, "demo");
  writer_checkpoint(f->store);
  int64_t before = durable_size(f->store->path);
  fixture_exec(f, "DROP TABLE ballast; VACUUM");
  assert_int_equal(snapshot_begin(f->store, &snapshot, &f->err), 0);
  snapshot_end(&snapshot);
  assert_true(durable_size(f->store->path) < before - 3000000);
  for (int i = 0; i < 200; i++)
    (void)fixture_push(f, "demo");
  assert_false(f->store->cut);
  assert_false(atomic_load(&f->store->broken));
}

static void test_a_snapshot_ends_before_the_disk_is_too_full_for_events(void **state) {
  struct fixture *f = *state;
  struct snapshot snapshot;

  assert_int_equal(snapshot_begin(f->store, &snapshot, &f->err), 0);
  (void)fixture_push(f, "demo");
  f->store->config.min_free_bytes = INT64_C(1) << 60;
  assert_int_equal(snapshot_fits(&snapshot, &f->err), ERR_UNAVAILABLE);
  assert_non_null(strstr(f->err.text, "nearly full"));
  f->store->config.min_free_bytes = 0;
  assert_int_equal(snapshot_fits(&snapshot, &f->err), 0);
  snapshot_end(&snapshot);
}

// ---- keys ---------------------------------------------------------------------------------------------------------------

static void test_either_key_opens_and_the_first_one_seals(void **state) {
  struct fixture *f = *state;
  struct store_keys keys;
  struct str plain;

  store_get_keys(f->store, &keys);
  assert_int_equal(keys.len, 1);
  struct str sealed = seal_text(f->store, "target.address", STR("http://a"), f->arena);
  memcpy(keys.keys[1], keys.keys[0], SEAL_KEY_BYTES);
  keys.keys[0][0] ^= 1;
  keys.len = 2;
  assert_int_equal(store_set_keys(f->store, &keys, &f->err), 0);
  struct str later = seal_text(f->store, "target.address", STR("http://b"), f->arena);
  assert_int_equal(seal_open(f->store, "target.address", sealed, f->arena, &plain, &f->err), 0);
  assert_true(str_eq_c(plain, "http://a"));
  assert_int_equal(seal_open(f->store, "target.address", later, f->arena, &plain, &f->err), 0);
  assert_int_not_equal(seal_open(f->store, "target.auth_header", later, f->arena, &plain, &f->err), 0);
  keys.len = 1;
  assert_int_equal(store_set_keys(f->store, &keys, &f->err), 0);
  assert_int_not_equal(seal_open(f->store, "target.address", sealed, f->arena, &plain, &f->err), 0);
  assert_int_equal(seal_open(f->store, "target.address", later, f->arena, &plain, &f->err), 0);
}

static bool stop_at_once(void *ctx, const char *what, int64_t done, int64_t of) {
  (void)ctx, (void)what, (void)done, (void)of;
  return false;
}

static void test_work_that_is_told_to_end_leaves_nothing(void **state) {
  struct fixture *f = *state;
  const struct store_progress progress = {.tell = stop_at_once};
  struct store_manifest manifest;
  struct store_finding *findings;
  char dir[256], partial[300];
  size_t len;

  for (int i = 0; i < 50; i++)
    (void)fixture_push(f, "demo");
  (void)snprintf(dir, sizeof(dir), "%s/kept", f->dir);
  (void)snprintf(partial, sizeof(partial), "%s.partial", dir);
  assert_int_equal(store_backup(f->store, dir, &progress, f->arena, &manifest, &f->err), ERR_UNAVAILABLE);
  assert_int_not_equal(access(dir, F_OK), 0);
  assert_int_not_equal(access(partial, F_OK), 0);
  assert_int_equal(store_check(f->store, &progress, f->arena, &findings, &len, &f->err), ERR_UNAVAILABLE);
  assert_int_equal(atomic_load(&f->store->snapshots), 0);
  assert_int_equal(store_backup(f->store, dir, NULL, f->arena, &manifest, &f->err), 0);
  assert_int_equal(manifest.events, 50);
  assert_int_equal(store_backup(f->store, dir, NULL, f->arena, &manifest, &f->err), ERR_CONFLICT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_rewrite_in_steps_goes_on_where_it_was_killed_and_its_first_part_runs_once,
                                      setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_migration_that_fails_never_was, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_migration_tells_how_far_it_is_and_ends_when_it_shall, setup, teardown),
      cmocka_unit_test_setup_teardown(test_the_program_that_served_a_store_is_known_to_it, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_held_snapshot_is_one_state_and_the_writer_waits_for_nobody, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_a_file_that_care_made_shorter_was_not_cut_by_another, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_snapshot_ends_before_the_disk_is_too_full_for_events, setup, teardown),
      cmocka_unit_test_setup_teardown(test_either_key_opens_and_the_first_one_seals, setup, teardown),
      cmocka_unit_test_setup_teardown(test_work_that_is_told_to_end_leaves_nothing, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
