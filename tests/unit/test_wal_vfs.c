// SPDX-License-Identifier: Apache-2.0
// The log's writes in one piece: nothing but the number of calls may differ from SQLite's own way. A VFS of the test's own
// below it counts what arrives and can fail.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "store/sqlite/wal_vfs.h"

enum { LOG_BYTES = 4 * 1024 * 1024, PAGE_BYTES = 4096, FRAME_HEADER_BYTES = 24 };

// The log as it would be on the disk, in memory.
struct disk {
  sqlite3_file base;
  char *bytes;
};

static char disk_bytes[LOG_BYTES];
static sqlite3_int64 disk_size;
static int writes, longest, syncs, fail_writes;

static int disk_close(sqlite3_file *file) {
  (void)file;
  return SQLITE_OK;
}
static int disk_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at) {
  (void)file;
  memcpy(out, disk_bytes + at, (size_t)len);
  return SQLITE_OK;
}
static int disk_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at) {
  (void)file;
  writes++;
  longest = len > longest ? len : longest;
  if (fail_writes > 0 && --fail_writes == 0)
    return SQLITE_FULL;
  memcpy(disk_bytes + at, bytes, (size_t)len);
  disk_size = at + len > disk_size ? at + len : disk_size;
  return SQLITE_OK;
}
static int disk_truncate(sqlite3_file *file, sqlite3_int64 size) {
  (void)file;
  disk_size = size;
  return SQLITE_OK;
}
static int disk_sync(sqlite3_file *file, int flags) {
  (void)file, (void)flags;
  syncs++;
  return SQLITE_OK;
}
static int disk_length(sqlite3_file *file, sqlite3_int64 *size) {
  (void)file;
  *size = disk_size;
  return SQLITE_OK;
}

static const sqlite3_io_methods disk_methods = {.iVersion = 1,
                                                .xClose = disk_close,
                                                .xRead = disk_read,
                                                .xWrite = disk_write,
                                                .xTruncate = disk_truncate,
                                                .xSync = disk_sync,
                                                .xFileSize = disk_length};

static int disk_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out_flags) {
  (void)vfs, (void)name;
  file->pMethods = &disk_methods;
  if (out_flags)
    *out_flags = flags;
  return SQLITE_OK;
}

static sqlite3_vfs disk_vfs = {
    .iVersion = 1, .szOsFile = sizeof(struct disk), .mxPathname = 64, .zName = "disk", .xOpen = disk_open};

struct world {
  sqlite3_vfs *vfs;
  sqlite3_file *log;
};

static int setup(void **state) {
  struct world *world = calloc(1, sizeof(*world));

  assert_non_null(world);
  assert_int_equal(sqlite3_vfs_register(&disk_vfs, 0), SQLITE_OK);
  const char *name = wal_vfs_name("disk");
  assert_non_null(name);
  world->vfs = sqlite3_vfs_find(name);
  world->log = calloc(1, (size_t)world->vfs->szOsFile);
  assert_non_null(world->log);
  assert_int_equal(world->vfs->xOpen(world->vfs, "log-wal", world->log, SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE, NULL),
                   SQLITE_OK);
  memset(disk_bytes, 0, sizeof(disk_bytes));
  disk_size = writes = longest = syncs = fail_writes = 0;
  *state = world;
  return 0;
}

static int teardown(void **state) {
  struct world *world = *state;

  if (world->log->pMethods)
    assert_int_equal(world->log->pMethods->xClose(world->log), SQLITE_OK);
  free(world->log);
  free(world);
  return 0;
}

static int put(struct world *world, char byte, int len, sqlite3_int64 at) {
  char *bytes = malloc((size_t)len);

  assert_non_null(bytes);
  memset(bytes, byte, (size_t)len);
  int rc = world->log->pMethods->xWrite(world->log, bytes, len, at);
  free(bytes);
  return rc;
}

static int sync_log(struct world *world) {
  return world->log->pMethods->xSync(world->log, SQLITE_SYNC_NORMAL);
}

static void put_frames(struct world *world, int count) {
  sqlite3_int64 at = 32;

  for (int i = 0; i < count; i++) {
    assert_int_equal(put(world, 'h', FRAME_HEADER_BYTES, at), SQLITE_OK);
    assert_int_equal(put(world, (char)('a' + i % 26), PAGE_BYTES, at + FRAME_HEADER_BYTES), SQLITE_OK);
    at += FRAME_HEADER_BYTES + PAGE_BYTES;
  }
}

static void test_a_transaction_is_written_in_few_pieces_before_its_sync(void **state) {
  struct world *world = *state;

  put_frames(world, 40);
  assert_int_equal(writes, 0);
  assert_int_equal(sync_log(world), SQLITE_OK);
  assert_int_equal(syncs, 1);
  assert_in_range(writes, 1, 4);
  assert_true(longest < 128 * 1024); // SQLite's own VFS takes lengths modulo that
  for (int i = 0; i < 40; i++) {
    const char *frame = disk_bytes + 32 + i * (FRAME_HEADER_BYTES + PAGE_BYTES);
    assert_int_equal(frame[0], 'h');
    assert_int_equal(frame[FRAME_HEADER_BYTES], 'a' + i % 26);
    assert_int_equal(frame[FRAME_HEADER_BYTES + PAGE_BYTES - 1], 'a' + i % 26);
  }
}

static void test_what_was_gathered_can_be_read_written_again_and_measured(void **state) {
  struct world *world = *state;
  sqlite3_int64 size;
  char byte;

  put_frames(world, 3);
  assert_int_equal(put(world, 'H', FRAME_HEADER_BYTES, 32 + FRAME_HEADER_BYTES + PAGE_BYTES), SQLITE_OK); // a checksum
  assert_int_equal(world->log->pMethods->xRead(world->log, &byte, 1, 32 + FRAME_HEADER_BYTES + PAGE_BYTES), SQLITE_OK);
  assert_int_equal(byte, 'H');
  assert_int_equal(put(world, 'z', 10, 5), SQLITE_OK); // elsewhere
  assert_int_equal(world->log->pMethods->xFileSize(world->log, &size), SQLITE_OK);
  assert_int_equal(size, 32 + 3 * (FRAME_HEADER_BYTES + PAGE_BYTES));
  assert_int_equal(disk_bytes[5], 'z');
  put_frames(world, 1);
  assert_int_equal(world->log->pMethods->xTruncate(world->log, 0), SQLITE_OK);
  assert_int_equal(disk_size, 0);
}

static void test_more_than_fits_goes_in_pieces(void **state) {
  struct world *world = *state;

  put_frames(world, 300);
  assert_true(writes > 0);
  assert_int_equal(put(world, 'L', 1024 * 1024, 2 * 1024 * 1024), SQLITE_OK); // longer than all that is gathered
  assert_int_equal(sync_log(world), SQLITE_OK);
  assert_int_equal(disk_bytes[32 + 299 * (FRAME_HEADER_BYTES + PAGE_BYTES)], 'h');
  assert_int_equal(disk_bytes[3 * 1024 * 1024 - 1], 'L');
}

static void test_a_full_disk_fails_the_sync_and_the_next_transaction_begins_anew(void **state) {
  struct world *world = *state;

  put_frames(world, 40);
  fail_writes = 2;
  assert_int_equal(sync_log(world), SQLITE_FULL);
  assert_int_equal(syncs, 0); // nothing is promised
  assert_int_equal(put(world, 'n', PAGE_BYTES, 32), SQLITE_OK);
  assert_int_equal(sync_log(world), SQLITE_OK);
  assert_int_equal(disk_bytes[32], 'n');
}

static void test_closing_writes_what_is_left(void **state) {
  struct world *world = *state;

  put_frames(world, 1);
  assert_int_equal(world->log->pMethods->xClose(world->log), SQLITE_OK);
  world->log->pMethods = NULL;
  assert_int_equal(disk_bytes[32], 'h');
}

static void test_other_files_are_the_lower_vfs_own(void **state) {
  struct world *world = *state;
  sqlite3_file *file = calloc(1, (size_t)world->vfs->szOsFile);

  assert_non_null(file);
  assert_int_equal(world->vfs->xOpen(world->vfs, "main", file, SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE, NULL),
                   SQLITE_OK);
  assert_ptr_equal(file->pMethods, &disk_methods);
  free(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_transaction_is_written_in_few_pieces_before_its_sync, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what_was_gathered_can_be_read_written_again_and_measured, setup, teardown),
      cmocka_unit_test_setup_teardown(test_more_than_fits_goes_in_pieces, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_full_disk_fails_the_sync_and_the_next_transaction_begins_anew, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_closing_writes_what_is_left, setup, teardown),
      cmocka_unit_test_setup_teardown(test_other_files_are_the_lower_vfs_own, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
