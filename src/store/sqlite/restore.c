// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/restore.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "store/sqlite/backup.h"
#include "store/sqlite/durable.h"
#include "store/sqlite/lock.h"
#include "store/sqlite/migrate.h"
#include "store/sqlite/snapshot.h"

#define RESTORING "harbinger.db.restoring" // being copied and checked: worth nothing
#define RESTORED "harbinger.db.restored"   // whole: from its appearance on the restore will happen
#define COMPACTING "harbinger.db.compact"

// The first one must be there when keys are brought.
static const struct {
  const char *name, *staged;
} key_files[] = {{"secret.key", "secret.key.restored"}, {"token.key", "token.key.restored"}};

enum { PROGRESS_INSTRUCTIONS = 100000, RESTORE_SPARE_BYTES = 16 * 1024 * 1024 };

// ---- the end of a restore -----------------------------------------------------------------------------------------------

// The same name however often it is asked for the same restore: the time at which RESTORED was written.
static int aside_path(const char *dir, char out[static DURABLE_PATH_BYTES], struct error *err) {
  char restored[DURABLE_PATH_BYTES], name[64];
  struct stat st = {0};
  int rc = durable_path(restored, dir, RESTORED, err);

  if (rc != 0)
    return rc;
  (void)stat(restored, &st);
  (void)snprintf(name, sizeof(name), "replaced-%lld",
                 (long long)st.st_mtim.tv_sec * US_PER_S + (long long)st.st_mtim.tv_nsec / 1000);
  return durable_path(out, dir, name, err);
}

static int move_aside(const char *dir, const char *aside, const char *name, struct error *err) {
  char from[DURABLE_PATH_BYTES], to[DURABLE_PATH_BYTES], words[128];
  int rc = durable_path(from, dir, name, err);

  if (rc == 0)
    rc = durable_path(to, aside, name, err);
  if (rc != 0 || !durable_exists(from))
    return rc;
  if (mkdir(aside, 0700) != 0 && errno != EEXIST)
    return error_set(err, ERR_IO, "cannot make %s: %s", aside, error_errno(errno, words));
  rc = durable_own(dir, aside, err);
  return rc == 0 ? durable_rename(from, to, err) : rc;
}

// The log last: without its file it is nothing, and the file without it would be an older store.
static int put_aside(const char *dir, const char *aside, struct error *err) {
  static const char *const names[] = {"harbinger.db", "harbinger.db-wal", "harbinger.db-shm"};

  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    int rc = move_aside(dir, aside, names[i], err);
    if (rc != 0)
      return rc;
  }
  return durable_exists(aside) ? durable_sync(dir, err) : 0;
}

static int take_keys(const char *dir, const char *aside, struct error *err) {
  char from[DURABLE_PATH_BYTES], to[DURABLE_PATH_BYTES];

  for (size_t i = 0; i < ARRAY_LEN(key_files); i++) {
    int rc = durable_path(from, dir, key_files[i].staged, err);
    if (rc == 0)
      rc = durable_path(to, dir, key_files[i].name, err);
    if (rc == 0 && durable_exists(from)) {
      rc = move_aside(dir, aside, key_files[i].name, err);
      if (rc == 0)
        rc = durable_rename(from, to, err);
    }
    if (rc != 0)
      return rc;
  }
  return 0;
}

static int remove_leftovers(const char *dir, struct error *err) {
  static const char *const names[] = {
      RESTORING,  RESTORING "-wal",      RESTORING "-shm",      RESTORING "-journal",
      COMPACTING, COMPACTING "-journal", "secret.key.restored", "token.key.restored",
  };
  char path[DURABLE_PATH_BYTES];

  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    int rc = durable_path(path, dir, names[i], err);
    if (rc != 0)
      return rc;
    (void)unlink(path);
  }
  return 0;
}

int restore_finish(const char *dir, const struct log *log, struct error *err) {
  char path[DURABLE_PATH_BYTES], aside[DURABLE_PATH_BYTES], store[DURABLE_PATH_BYTES];
  int rc = durable_path(path, dir, RESTORED, err);

  if (rc == 0 && !durable_exists(path))
    return remove_leftovers(dir, err);
  if (rc == 0)
    rc = aside_path(dir, aside, err);
  if (rc == 0)
    rc = put_aside(dir, aside, err);
  if (rc == 0)
    rc = take_keys(dir, aside, err);
  if (rc == 0)
    rc = durable_path(store, dir, "harbinger.db", err);
  if (rc == 0)
    rc = durable_rename(path, store, err);
  if (rc != 0)
    return error_context(err, "cannot finish the restore of %s", dir);
  log_info(log, "store", "the restored store is in place in %s", dir);
  return 0;
}

int store_settle(const char *dir, const struct log *log, struct error *err) {
  int lock = -1;

  if (!durable_exists(dir))
    return 0;
  int rc = lock_take(dir, &lock, err);
  if (rc == 0)
    rc = restore_finish(dir, log, err);
  if (lock >= 0)
    (void)close(lock);
  return rc;
}

// ---- is the backup one? -------------------------------------------------------------------------------------------------

// Told every so many instructions of SQLite: how the check of a file ends when it shall.
static int going_on(void *ctx) {
  const struct store_progress *progress = ctx;

  return store_progress_tell(progress, "checking", 0, 0, NULL) != 0;
}

static int first_words(sqlite3 *db, const char *sql, char *out, size_t size) {
  sqlite3_stmt *stmt = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

  if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    const unsigned char *text = sqlite3_column_text(stmt, 0);
    (void)snprintf(out, size, "%s", text ? (const char *)text : "");
    rc = SQLITE_OK;
  }
  (void)sqlite3_finalize(stmt);
  return rc;
}

static int check_copy(const char *path, const struct store_progress *progress, struct error *err) {
  sqlite3 *db = NULL;
  char words[256] = "", id[32] = "", expected[32];
  struct store_progress own = progress ? *progress : (struct store_progress){0};

  (void)snprintf(expected, sizeof(expected), "%d", SCHEMA_APPLICATION_ID);
  int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
  if (rc == SQLITE_OK) {
    sqlite3_progress_handler(db, PROGRESS_INSTRUCTIONS, going_on, &own);
    rc = first_words(db, "PRAGMA application_id", id, sizeof(id));
  }
  if (rc == SQLITE_OK)
    rc = first_words(db, "PRAGMA quick_check(1)", words, sizeof(words));
  if (rc == SQLITE_OK)
    rc = first_words(db, "PRAGMA journal_mode = DELETE", (char[16]){0}, 16); // leaves no log beside the copy
  if (rc != SQLITE_OK)
    (void)snprintf(words, sizeof(words), "%s", db ? sqlite3_errmsg(db) : "no memory");
  (void)sqlite3_close(db);
  if ((rc & 0xff) == SQLITE_INTERRUPT)
    return error_set(err, ERR_UNAVAILABLE, "interrupted: nothing has changed");
  if (rc != SQLITE_OK || strcmp(words, "ok") != 0)
    return error_set(err, ERR_INVALID, "the file in the backup is damaged: %s: take an older backup", words);
  if (strcmp(id, expected) != 0)
    return error_set(err, ERR_INVALID, "the file in the backup is the database of another program");
  return 0;
}

static int check_manifest(const struct store_restore *what, const struct store_manifest *manifest, struct error *err) {
  if (manifest->schema > migrate_newest())
    return error_set(err, ERR_CONFIG,
                     "the backup was made by harbinger %.*s (schema %lld), and this program, " HARBINGER_VERSION
                     ", knows schema %lld: restore it with that version",
                     STR_ARG(manifest->program), (long long)manifest->schema, (long long)migrate_newest());
  struct str ours = str_of(what->fingerprints), theirs = manifest->keys, one;
  size_t had = 0, needed = 0;
  if (ours.len == 0)
    return 0;
  while (str_next(&theirs, ',', &one)) {
    had += str_contains(ours, one);
    needed++;
  }
  if (had == needed)
    return 0;
  // Some of it is sealed with the one, some with the other.
  if (had > 0)
    return error_set(err, ERR_PRECONDITION,
                     "the backup was made while keys were changed and needs both of them (%.*s), and the key file has "
                     "one (%s): put both into one file, `cat NEW OLD > DIR/secret.key; chmod 600 DIR/secret.key`, and "
                     "name it with --keys DIR",
                     STR_ARG(manifest->keys), what->fingerprints);
  return error_set(err, ERR_PRECONDITION,
                   "the backup was sealed with another key (%.*s) than the key file has (%s): bring the key file of "
                   "that time with --keys DIR, or give up all webhook addresses and headers with --without-key",
                   STR_ARG(manifest->keys), what->fingerprints);
}

// ---- restore ------------------------------------------------------------------------------------------------------------

static int check_place(const struct store_restore *what, const struct store_manifest *manifest, struct error *err) {
  char path[DURABLE_PATH_BYTES];
  int rc = durable_path(path, what->dir, "harbinger.db", err);

  if (rc != 0)
    return rc;
  if (durable_exists(path) && !what->force)
    return error_set(err, ERR_CONFLICT,
                     "%s holds a store already: --force puts it aside (nothing is deleted), or name another --data",
                     what->dir);
  int64_t free_bytes = disk_free_bytes(what->dir);
  if (free_bytes < manifest->size_bytes + RESTORE_SPARE_BYTES)
    return error_set(err, ERR_UNAVAILABLE, "the store takes %lld MiB, and %lld MiB are free for %s: make room",
                     (long long)(manifest->size_bytes >> 20) + 1, (long long)(free_bytes >> 20), what->dir);
  return 0;
}

// A row of the audit as every schema has it.
static const char restored_sql[] =
    "INSERT INTO audit (at_us, actor, address, request_id, operation, kind, subject) VALUES (?1, 'operator on this "
    "machine', ?2, '', 'restore', 'store', ?3)";

static int insert_restored(sqlite3 *db, const struct store_restore *what) {
  struct timespec now = {0};
  sqlite3_stmt *stmt = NULL;
  int rc = sqlite3_prepare_v2(db, restored_sql, -1, &stmt, NULL);

  (void)clock_gettime(CLOCK_REALTIME, &now);
  if (rc == SQLITE_OK) {
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000);
    (void)sqlite3_bind_text(stmt, 2, what->who, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(stmt, 3, what->backup, -1, SQLITE_STATIC);
    rc = sqlite3_step(stmt);
  }
  (void)sqlite3_finalize(stmt);
  return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

// The copy's own last changes before it is a store: who restored it, and with --without-key what is lost. What no key opens
// is nothing; the webhook says so instead of failing to be read.
static int finish_copy(const struct store_restore *what, const char *path, struct error *err) {
  static const char give_up_sql[] =
      "PRAGMA secure_delete = ON; UPDATE target SET address = x'', auth_header = x'', suspended = 1, suspended_reason "
      "= "
      "'its address was lost with the key of the restored backup: edit the webhook to give it one'";
  sqlite3 *db = NULL;
  int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

  if (rc == SQLITE_OK)
    rc = insert_restored(db, what);
  if (rc == SQLITE_OK && what->without_key)
    rc = sqlite3_exec(db, give_up_sql, NULL, NULL, NULL);
  if (rc != SQLITE_OK)
    rc = error_set(err, ERR_IO, "cannot change %s: %s", path, db ? sqlite3_errmsg(db) : "no memory");
  (void)sqlite3_close(db);
  return rc;
}

// The key files that shall come with the store wait beside it.
static int stage_keys(const struct store_restore *what, struct error *err) {
  char from[DURABLE_PATH_BYTES], to[DURABLE_PATH_BYTES], sum[DURABLE_SUM_BYTES];

  for (size_t i = 0; what->keys && i < ARRAY_LEN(key_files); i++) {
    int rc = durable_path(from, what->keys, key_files[i].name, err);
    if (rc == 0)
      rc = durable_path(to, what->dir, key_files[i].staged, err);
    if (rc == 0 && (i == 0 || durable_exists(from)))
      rc = durable_sum(from, to, "copying", NULL, sum, err);
    if (rc == 0 && durable_exists(to))
      rc = durable_own(what->dir, to, err);
    if (rc != 0)
      return rc;
  }
  return 0;
}

static int copy_checked(const struct store_restore *what, const struct store_manifest *manifest, const char *path,
                        const struct store_progress *progress, struct error *err) {
  char from[DURABLE_PATH_BYTES], sum[DURABLE_SUM_BYTES];
  int rc = durable_path(from, what->backup, BACKUP_DATABASE, err);

  if (rc == 0)
    rc = durable_sum(from, path, "copying", progress, sum, err);
  if (rc == 0 && !str_eq_c(manifest->sha256, sum))
    return error_set(err, ERR_INVALID, "%s is not what was backed up (its sum differs): take another copy of it", from);
  if (rc == 0)
    rc = check_copy(path, progress, err);
  if (rc == 0)
    rc = finish_copy(what, path, err);
  if (rc == 0)
    rc = durable_own(what->dir, path, err);
  return rc == 0 ? durable_sync(path, err) : rc;
}

static int restore_locked(const struct store_restore *what, const struct store_progress *progress, struct arena *arena,
                          struct store_restored *out, struct error *err) {
  char copy[DURABLE_PATH_BYTES], restored[DURABLE_PATH_BYTES], aside[DURABLE_PATH_BYTES];
  int rc = restore_finish(what->dir, NULL, err); // of one before this one

  if (rc == 0)
    rc = check_place(what, &out->manifest, err);
  if (rc == 0)
    rc = durable_path(copy, what->dir, RESTORING, err);
  if (rc == 0)
    rc = durable_path(restored, what->dir, RESTORED, err);
  if (rc != 0)
    return rc;
  rc = copy_checked(what, &out->manifest, copy, progress, err);
  if (rc == 0)
    rc = stage_keys(what, err);
  if (rc == 0)
    rc = durable_rename(copy, restored, err); // from here on it happens, now or at the next start
  else
    (void)unlink(copy);
  if (rc == 0)
    rc = aside_path(what->dir, aside, err);
  if (rc == 0)
    rc = restore_finish(what->dir, NULL, err);
  if (rc != 0 || !durable_exists(aside))
    return rc;
  out->aside = arena_str(arena, str_of(aside));
  return out->aside.ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory; the restore is done");
}

int store_restore(const struct store_restore *what, const struct store_progress *progress, struct arena *arena,
                  struct store_restored *out, struct error *err) {
  char words[128];
  int lock = -1;

  *out = (struct store_restored){.aside = STR_EMPTY};
  int rc = store_backup_manifest(what->backup, arena, &out->manifest, err);
  if (rc == 0)
    rc = check_manifest(what, &out->manifest, err);
  if (rc == 0 && mkdir(what->dir, 0700) != 0 && errno != EEXIST)
    rc = error_set(err, ERR_IO, "cannot make %s: %s", what->dir, error_errno(errno, words));
  if (rc == 0)
    rc = lock_take(what->dir, &lock, err);
  if (rc == 0)
    rc = restore_locked(what, progress, arena, out, err);
  if (lock >= 0)
    (void)close(lock);
  return rc;
}
