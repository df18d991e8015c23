// SPDX-License-Identifier: Apache-2.0
// The fault build's file system as files and as a store. The process that writes is a child: power is cut by SIGKILL.
#define HARBINGER_FAULTS 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fault.c"             // NOLINT(bugprone-suspicious-include): the release library has neither
#include "store/sqlite/fault_vfs.c" // NOLINT(bugprone-suspicious-include)

#include <sys/wait.h>

enum { PATH_BYTES = 256, OPEN_FLAGS = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB };

struct place {
  char folder[64], path[PATH_BYTES], control_path[PATH_BYTES];
  struct fault_control *control;
};

static int set_up(void **out) {
  struct place *place = calloc(1, sizeof(*place));

  assert_non_null(place);
  (void)snprintf(place->folder, sizeof(place->folder), "/tmp/harbinger-vfs-XXXXXX");
  assert_non_null(mkdtemp(place->folder));
  (void)snprintf(place->path, sizeof(place->path), "%s/file.db", place->folder);
  (void)snprintf(place->control_path, sizeof(place->control_path), "%s/control", place->folder);
  int fd = open(place->control_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  assert_int_equal(ftruncate(fd, FAULT_CONTROL_BYTES), 0);
  place->control = mmap(NULL, FAULT_CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  assert_ptr_not_equal(place->control, MAP_FAILED);
  (void)close(fd);
  *out = place;
  return 0;
}

static int tear_down(void **in) {
  struct place *place = *in;
  static const char *const names[] = {"file.db", "file.db-wal", "file.db-shm", "control"};
  char path[PATH_BYTES];

  (void)munmap(place->control, FAULT_CONTROL_BYTES);
  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    (void)snprintf(path, sizeof(path), "%s/%s", place->folder, names[i]);
    (void)unlink(path);
  }
  assert_int_equal(rmdir(place->folder), 0);
  free(place);
  return 0;
}

// Runs `work` in a child with this environment, which ends by `work` or by SIGKILL after it. The child's failed
// assertions are its exit code.
static void in_child(struct place *place, const char *kind, const char *seed, bool cut, void (*work)(struct place *)) {
  pid_t child = fork();

  assert_true(child >= 0);
  if (child == 0) {
    (void)setenv("HARBINGER_FAULT_VFS", kind, 1);
    (void)setenv("HARBINGER_FAULT_SEED", seed, 1);
    (void)setenv("HARBINGER_FAULT_CONTROL", place->control_path, 1);
    work(place);
    if (cut)
      (void)kill(getpid(), SIGKILL);
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  if (cut)
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  else
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// In a child an assertion of cmocka would go on in the parent's copy.
static void must(bool holds, int line) {
  if (holds)
    return;
  (void)fprintf(stderr, "test_fault_vfs.c:%d does not hold\n", line);
  _exit(1);
}
#define MUST(holds) must(holds, __LINE__)

// ---- as files -------------------------------------------------------------------------------------------------------

static sqlite3_file *open_file(const char *path) {
  sqlite3_vfs *vfs = sqlite3_vfs_find(fault_vfs_name());
  sqlite3_file *file = vfs ? calloc(1, (size_t)vfs->szOsFile) : NULL;

  MUST(file && vfs->xOpen(vfs, path, file, OPEN_FLAGS, NULL) == SQLITE_OK);
  return file;
}

static void close_file(sqlite3_file *file) {
  MUST(file->pMethods->xClose(file) == SQLITE_OK);
  free(file);
}

static void write_at(sqlite3_file *file, const char *bytes, sqlite3_int64 at) {
  MUST(file->pMethods->xWrite(file, bytes, (int)strlen(bytes), at) == SQLITE_OK);
}

static bool reads(sqlite3_file *file, const char *bytes, sqlite3_int64 at) {
  char got[64] = "";

  return file->pMethods->xRead(file, got, (int)strlen(bytes), at) == SQLITE_OK &&
         memcmp(got, bytes, strlen(bytes)) == 0;
}

static sqlite3_int64 size_of(sqlite3_file *file) {
  sqlite3_int64 size = -1;

  MUST(file->pMethods->xFileSize(file, &size) == SQLITE_OK);
  return size;
}

// Everything of a small file as it is on the disk.
static size_t disk(const struct place *place, char *out, size_t room) {
  int fd = open(place->path, O_RDONLY | O_CLOEXEC);
  ssize_t len = fd >= 0 ? pread(fd, out, room, 0) : -1;

  if (fd >= 0)
    (void)close(fd);
  return len > 0 ? (size_t)len : 0;
}

static void read_back(struct place *place) {
  sqlite3_file *one = open_file(place->path), *other = open_file(place->path);
  char got[16] = "full of other";

  write_at(one, "across", 4093); // two blocks
  write_at(one, "inside", 10);
  MUST(size_of(other) == 4099 && reads(other, "across", 4093) && reads(other, "inside", 10));
  MUST(reads(other, "ross", 4095));
  MUST(other->pMethods->xRead(other, got, 12, 4095) == SQLITE_IOERR_SHORT_READ);
  MUST(memcmp(got, "ross\0\0\0\0\0\0\0\0", 12) == 0);
  close_file(one);
  MUST(reads(other, "across", 4093)); // as long as one has it open
  close_file(other);
  other = open_file(place->path);
  MUST(size_of(other) == 4099 && reads(other, "across", 4093) && reads(other, "inside", 10));
  close_file(other);
}

static void test_every_connection_reads_what_was_written(void **in) {
  in_child(*in, "power", "1", false, read_back);
}

static void sync_then_write(struct place *place) {
  sqlite3_file *file = open_file(place->path);
  char sector[SECTOR_BYTES];

  memset(sector, 's', sizeof(sector));
  for (int i = 0; i < 64; i++)
    MUST(file->pMethods->xWrite(file, sector, SECTOR_BYTES, (sqlite3_int64)i * SECTOR_BYTES) == SQLITE_OK);
  MUST(file->pMethods->xSync(file, SQLITE_SYNC_FULL) == SQLITE_OK);
  memset(sector, 'n', sizeof(sector));
  for (int i = 0; i < 64; i++)
    MUST(file->pMethods->xWrite(file, sector, SECTOR_BYTES, (sqlite3_int64)i * SECTOR_BYTES) == SQLITE_OK);
  MUST(reads(file, "nnnn", 510) && reads(file, "nnnn", (sqlite3_int64)63 * SECTOR_BYTES));
}

static void test_a_cut_loses_what_was_not_synced_but_a_share_of_whole_sectors(void **in) {
  struct place *place = *in;
  char got[64 * SECTOR_BYTES + 1] = {0};
  uint64_t early[2] = {0};
  static const char *const seeds[2] = {"7", "8"};

  for (int run = 0; run < 2; run++) {
    in_child(place, "power", seeds[run], true, sync_then_write);
    assert_int_equal(disk(place, got, sizeof(got)), 64 * SECTOR_BYTES);
    for (int i = 0; i < 64; i++) {
      const char *sector = got + (size_t)i * SECTOR_BYTES;
      assert_true(sector[0] == 's' || sector[0] == 'n');
      for (size_t j = 0; j < SECTOR_BYTES; j++)
        assert_int_equal(sector[j], sector[0]);
      early[run] |= (uint64_t)(sector[0] == 'n') << i;
    }
    int count = __builtin_popcountll(early[run]);
    assert_in_range(count, 1, 40);
  }
  assert_true(early[0] != early[1]); // the seed says which
}

static void test_without_power_cuts_a_kill_loses_nothing(void **in) {
  struct place *place = *in;
  char got[64 * SECTOR_BYTES + 1] = {0};

  in_child(place, "", "1", true, sync_then_write);
  assert_int_equal(disk(place, got, sizeof(got)), 64 * SECTOR_BYTES);
  for (size_t i = 0; i < 64 * (size_t)SECTOR_BYTES; i++)
    assert_int_equal(got[i], 'n');
}

static void truncate_then_grow(struct place *place) {
  sqlite3_file *file = open_file(place->path);

  write_at(file, "0123456789", 0);
  write_at(file, "far away", 9000);
  MUST(file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK);
  MUST(file->pMethods->xTruncate(file, 4) == SQLITE_OK);
  MUST(size_of(file) == 4 && reads(file, "0123", 0));
  write_at(file, "x", 9003);
  MUST(size_of(file) == 9004);
  char got[8];
  MUST(file->pMethods->xRead(file, got, 8, 4) == SQLITE_OK && memcmp(got, "\0\0\0\0\0\0\0\0", 8) == 0);
  MUST(file->pMethods->xRead(file, got, 4, 9000) == SQLITE_OK && memcmp(got, "\0\0\0x", 4) == 0);
}

static void truncate_and_sync(struct place *place) {
  truncate_then_grow(place);
  sqlite3_file *file = open_file(place->path); // a second one: the first is open yet
  MUST(file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK);
}

static void test_a_cut_file_comes_back_as_it_was_unless_synced(void **in) {
  struct place *place = *in;
  char got[16384] = {0};

  in_child(place, "power", "1", true, truncate_then_grow);
  assert_int_equal(disk(place, got, sizeof(got)), 9008);
  assert_memory_equal(got, "0123456789", 10);
  assert_memory_equal(got + 9000, "far away", 8);
  in_child(place, "power", "1", true, truncate_and_sync);
  assert_int_equal(disk(place, got, sizeof(got)), 9004);
  assert_memory_equal(got, "0123\0\0\0\0\0\0", 10);
  assert_memory_equal(got + 9000, "\0\0\0x", 4);
}

static void fail_as_told(struct place *place) {
  sqlite3_file *file = open_file(place->path);
  const struct sqlite3_io_methods *methods_of = file->pMethods;
  char got[4];

  write_at(file, "well", 0);
  place->control->disk = ENOSPC;
  MUST(methods_of->xWrite(file, "more", 4, 4) == SQLITE_FULL && methods_of->xSync(file, 0) == SQLITE_FULL);
  place->control->disk = EIO;
  MUST(methods_of->xWrite(file, "more", 4, 4) == SQLITE_IOERR_WRITE && errno == EIO);
  MUST(methods_of->xTruncate(file, 0) == SQLITE_IOERR_TRUNCATE && methods_of->xSync(file, 0) == SQLITE_IOERR_FSYNC);
  MUST(reads(file, "well", 0));
  place->control->disk = 0;
  place->control->sync = EIO;
  write_at(file, "more", 4);
  MUST(methods_of->xSync(file, 0) == SQLITE_IOERR_FSYNC);
  place->control->sync = 0;
  place->control->read = EIO;
  MUST(methods_of->xRead(file, got, 4, 0) == SQLITE_IOERR_READ);
  place->control->read = 0;
  place->control->clock_offset_us = -86400000000;
  MUST(fault_clock_offset_us() == -86400000000);
  MUST(methods_of->xSync(file, 0) == SQLITE_OK && reads(file, "wellmore", 0));
  close_file(file);
}

static void test_the_control_file_says_which_calls_fail(void **in) {
  in_child(*in, "", "1", false, fail_as_told);
  in_child(*in, "power", "1", false, fail_as_told);
}

// ---- as a store -----------------------------------------------------------------------------------------------------

static sqlite3 *open_store(const char *path, const char *vfs) {
  sqlite3 *db = NULL;

  MUST(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs) == SQLITE_OK);
  MUST(sqlite3_exec(db, "PRAGMA wal_autocheckpoint = 0; PRAGMA journal_mode = WAL", NULL, NULL, NULL) == SQLITE_OK);
  return db;
}

static int64_t number(sqlite3 *db, const char *sql) {
  sqlite3_stmt *stmt = NULL;

  MUST(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW);
  int64_t value = sqlite3_column_int64(stmt, 0);
  (void)sqlite3_finalize(stmt);
  return value;
}

static void commit_rows(struct place *place, const char *synchronous) {
  sqlite3 *db = open_store(place->path, fault_vfs_name()), *reader = open_store(place->path, fault_vfs_name());

  MUST(sqlite3_exec(db, "PRAGMA synchronous = FULL; CREATE TABLE t (v TEXT)", NULL, NULL, NULL) == SQLITE_OK);
  MUST(sqlite3_exec(db, synchronous, NULL, NULL, NULL) == SQLITE_OK);
  for (int i = 0; i < 200; i++) {
    MUST(sqlite3_exec(db, "INSERT INTO t VALUES (hex(zeroblob(400)))", NULL, NULL, NULL) == SQLITE_OK);
    if (i % 50 == 49)
      MUST(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) == SQLITE_OK);
  }
  MUST(number(reader, "SELECT count(*) FROM t") == 200);
  MUST(sqlite3_exec(db, "BEGIN; DELETE FROM t", NULL, NULL, NULL) == SQLITE_OK);
}

static void commit_in_full(struct place *place) {
  commit_rows(place, "PRAGMA synchronous = FULL");
}

static void commit_without_sync(struct place *place) {
  commit_rows(place, "PRAGMA synchronous = OFF");
}

static void test_a_store_keeps_every_commit_over_a_power_cut(void **in) {
  struct place *place = *in;

  in_child(place, "power", "3", true, commit_in_full);
  sqlite3 *db = open_store(place->path, NULL);
  assert_int_equal(number(db, "SELECT count(*) FROM t"), 200);
  assert_int_equal(number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
  (void)sqlite3_close(db);
}

static void test_a_store_that_does_not_sync_loses_commits_in_a_power_cut(void **in) {
  struct place *place = *in;
  sqlite3 *db = NULL;
  sqlite3_stmt *stmt = NULL;

  in_child(place, "power", "3", true, commit_without_sync);
  assert_int_equal(sqlite3_open_v2(place->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
  bool kept = sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &stmt, NULL) == SQLITE_OK &&
              sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_int64(stmt, 0) == 200;
  (void)sqlite3_finalize(stmt);
  (void)sqlite3_close(db);
  assert_false(kept);
}

// ---- points and plants ----------------------------------------------------------------------------------------------

static void pass_five_times(struct place *place) {
  (void)place;
  (void)setenv("HARBINGER_FAULTS", "store.commit.before=kill@3,drop_notices=plant", 1);
  MUST(fault_planted("drop_notices") && !fault_planted("synchronous_off"));
  for (int i = 0; i < 5; i++) {
    fault_point("store.commit.after");
    fault_point("store.commit.before");
    if (i < 2)
      place->control->read = i + 1; // how far it came
    else
      _exit(3);
  }
}

static void test_a_point_kills_at_the_pass_that_was_asked_for(void **in) {
  struct place *place = *in;

  in_child(place, "", "1", true, pass_five_times);
  assert_int_equal(place->control->read, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_every_connection_reads_what_was_written, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_cut_loses_what_was_not_synced_but_a_share_of_whole_sectors, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(test_without_power_cuts_a_kill_loses_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_cut_file_comes_back_as_it_was_unless_synced, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_the_control_file_says_which_calls_fail, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_store_keeps_every_commit_over_a_power_cut, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_store_that_does_not_sync_loses_commits_in_a_power_cut, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_point_kills_at_the_pass_that_was_asked_for, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
