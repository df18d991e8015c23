// SPDX-License-Identifier: Apache-2.0
// The store's file before it is opened: made whole, refused when pages are lost, taken when its log brings them.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "store/sqlite/database_file.h"

enum { PAGE_BYTES = 4096, ROWS = 40, NAME_BYTES = 64 };

struct place {
  char dir[32], path[NAME_BYTES], log[NAME_BYTES];
};

static int setup(void **state) {
  struct place *place = calloc(1, sizeof(*place));

  assert_non_null(place);
  (void)snprintf(place->dir, sizeof(place->dir), "/tmp/harbinger-file-XXXXXX");
  assert_non_null(mkdtemp(place->dir));
  (void)snprintf(place->path, sizeof(place->path), "%s/harbinger.db", place->dir);
  (void)snprintf(place->log, sizeof(place->log), "%s/harbinger.db-wal", place->dir);
  *state = place;
  return 0;
}

static int teardown(void **state) {
  struct place *place = *state;
  static const char *const suffixes[] = {"", "-wal", "-shm", ".new"};
  char path[NAME_BYTES + 8];

  for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
    (void)snprintf(path, sizeof(path), "%s%s", place->path, suffixes[i]);
    (void)unlink(path);
  }
  assert_int_equal(rmdir(place->dir), 0);
  free(place);
  return 0;
}

static int64_t bytes_of(const char *path) {
  struct stat found;

  assert_int_equal(stat(path, &found), 0);
  return found.st_size;
}

static void copy(const char *from, const char *to) {
  char bytes[PAGE_BYTES];
  int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ssize_t len;

  assert_true(in >= 0 && out >= 0);
  while ((len = read(in, bytes, sizeof(bytes))) > 0)
    assert_int_equal(write(out, bytes, (size_t)len), len);
  (void)close(in);
  (void)close(out);
}

// A file with one row a page. `with_log`: as a kill leaves it, everything in the log and in the file too.
static void fill(const struct place *place, bool with_log) {
  char from[NAME_BYTES + 8], log[NAME_BYTES + 16];
  struct error err;
  sqlite3 *db;

  assert_int_equal(database_file_prepare(place->path, &err), 0);
  assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
  for (int i = 0; i < ROWS; i++)
    assert_int_equal(sqlite3_exec(db, "INSERT INTO t VALUES (zeroblob(3000))", NULL, NULL, NULL), SQLITE_OK);
  if (with_log) {
    assert_int_equal(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL), SQLITE_OK);
    (void)snprintf(from, sizeof(from), "%s.new", place->path);
    (void)snprintf(log, sizeof(log), "%s", place->log);
    copy(place->log, from); // the log goes when the connection does
  }
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  if (with_log)
    assert_int_equal(rename(from, log), 0);
}

static void test_a_missing_file_is_made_whole(void **state) {
  const struct place *place = *state;
  struct stat found;
  struct error err;

  assert_int_equal(database_file_prepare(place->path, &err), 0);
  assert_int_equal(stat(place->path, &found), 0);
  assert_int_equal(found.st_mode & 0777, 0600);
  assert_true(found.st_size > 0); // an empty one is never ours
  assert_int_equal(access(place->log, F_OK), -1);
  assert_int_equal(database_file_prepare(place->path, &err), 0);
}

static void test_what_a_kill_left_of_making_is_made_anew(void **state) {
  const struct place *place = *state;
  char made[NAME_BYTES + 8];
  struct error err;

  (void)snprintf(made, sizeof(made), "%s.new", place->path);
  int fd = open(made, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_int_equal(write(fd, "half", 4), 4);
  (void)close(fd);
  assert_int_equal(database_file_prepare(place->path, &err), 0);
  assert_int_equal(access(made, F_OK), -1);
}

static void test_a_file_cut_short_is_refused(void **state) {
  const struct place *place = *state;
  struct error err;

  fill(place, false);
  int64_t bytes = bytes_of(place->path);
  assert_true(bytes > ROWS * PAGE_BYTES);
  assert_int_equal(database_file_prepare(place->path, &err), 0);
  const int64_t cuts[] = {bytes - 1, bytes - PAGE_BYTES, bytes / 2, PAGE_BYTES, 99, 0};
  for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
    assert_int_equal(truncate(place->path, cuts[i]), 0);
    assert_int_equal(database_file_prepare(place->path, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "cut short"));
    assert_int_equal(bytes_of(place->path), cuts[i]); // and left as it is
  }
}

static void test_pages_that_the_log_holds_are_not_missing(void **state) {
  const struct place *place = *state;
  struct error err;

  fill(place, true);
  assert_int_equal(truncate(place->path, 3 * PAGE_BYTES), 0);
  assert_int_equal(database_file_prepare(place->path, &err), 0);
  // A log that ends before the last of them does not.
  assert_int_equal(truncate(place->log, bytes_of(place->log) - 3 * PAGE_BYTES), 0);
  assert_int_equal(database_file_prepare(place->path, &err), ERR_UNAVAILABLE);
}

static void test_pages_of_an_older_round_of_the_log_do_not_count(void **state) {
  const struct place *place = *state;
  struct error err;

  fill(place, true);
  assert_int_equal(truncate(place->path, 3 * PAGE_BYTES), 0);
  int fd = open(place->log, O_RDWR | O_CLOEXEC);
  assert_int_equal(pwrite(fd, "new salt", 8, 16), 8);
  (void)close(fd);
  assert_int_equal(database_file_prepare(place->path, &err), ERR_UNAVAILABLE);
}

static void test_a_log_without_its_file_is_not_thrown_away(void **state) {
  const struct place *place = *state;
  struct error err;

  fill(place, true);
  assert_int_equal(unlink(place->path), 0);
  int64_t bytes = bytes_of(place->log);
  assert_int_equal(database_file_prepare(place->path, &err), ERR_UNAVAILABLE);
  assert_non_null(strstr(err.text, "restore a backup"));
  assert_int_equal(bytes_of(place->log), bytes);
  assert_int_equal(access(place->path, F_OK), -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_missing_file_is_made_whole, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what_a_kill_left_of_making_is_made_anew, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_file_cut_short_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(test_pages_that_the_log_holds_are_not_missing, setup, teardown),
      cmocka_unit_test_setup_teardown(test_pages_of_an_older_round_of_the_log_do_not_count, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_log_without_its_file_is_not_thrown_away, setup, teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
