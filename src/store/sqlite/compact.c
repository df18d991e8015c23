// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "store/care.h"
#include "store/sqlite/durable.h"
#include "store/sqlite/snapshot.h"

enum {
  COMPACT_INSTRUCTIONS = 200000, // between two looks at how far it is
  STEP_PAGES = 100,              // of an online step: under 5 ms
  AUTO_VACUUM_INCREMENTAL = 2,
  SPARE_BYTES = 16 * 1024 * 1024,
};

static int sizes(struct store_conn *conn, int64_t *used_bytes, int64_t *total_bytes, struct error *err) {
  static const char pages_sql[] = "PRAGMA page_count", free_sql[] = "PRAGMA freelist_count",
                    size_sql[] = "PRAGMA page_size";
  int64_t pages = 0, unused = 0, size = 0;
  int rc = conn_number(conn, pages_sql, 0, &pages, err);

  if (rc == 0)
    rc = conn_number(conn, free_sql, 0, &unused, err);
  if (rc == 0)
    rc = conn_number(conn, size_sql, 0, &size, err);
  *used_bytes = (pages - unused) * size;
  *total_bytes = pages * size;
  return rc;
}

// ---- a file beside, in its place ------------------------------------------------------------------------------------

struct vacuum {
  const struct store_progress *progress;
  const char *path;
  int64_t expected_bytes;
  bool ended; // by request
};

static int vacuum_going_on(void *ctx) {
  struct vacuum *vacuum = ctx;
  int64_t done = durable_size(vacuum->path);

  vacuum->ended = store_progress_tell(vacuum->progress, "compacting", done < vacuum->expected_bytes ? done : 0,
                                      vacuum->expected_bytes, NULL) != 0;
  return vacuum->ended;
}

static int write_beside(struct store_conn *conn, bool incremental, struct vacuum *vacuum, struct error *err) {
  static const char incremental_sql[] = "PRAGMA auto_vacuum = INCREMENTAL";
  static const char sql[] = "VACUUM INTO ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};

  if (incremental) {
    int rc = conn_run(conn, incremental_sql, "choose the kind of file", err);
    if (rc != 0)
      return rc;
  }
  int rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, str_of(vacuum->path));
  sqlite3_progress_handler(conn->db, COMPACT_INSTRUCTIONS, vacuum_going_on, vacuum);
  rc = stmt_run(&stmt, "write the compacted file", err);
  sqlite3_progress_handler(conn->db, 0, NULL, NULL);
  if (rc != 0 && vacuum->ended)
    return error_set(err, ERR_UNAVAILABLE, "interrupted: nothing has changed");
  return rc;
}

// Opened once more, as the next start would: what cannot be read does not take the place of what can.
static int check_beside(struct store *store, const char *path, struct error *err) {
  static const char version_sql[] = "PRAGMA user_version", id_sql[] = "PRAGMA application_id",
                    rows_sql[] = "SELECT (SELECT count(*) FROM event) * 1000003 + (SELECT count(*) FROM delivery)";
  static const char *const same[] = {version_sql, id_sql, rows_sql};
  struct store_conn *conn;
  int rc = conn_open(store, path, CONN_READER, &conn, err);

  if (rc != 0)
    return rc;
  for (size_t i = 0; rc == 0 && i < ARRAY_LEN(same); i++) {
    int64_t before = 0, after = 0;
    rc = conn_number(store->conn, same[i], 0, &before, err);
    if (rc == 0)
      rc = conn_number(conn, same[i], 0, &after, err);
    if (rc == 0 && before != after)
      rc = error_set(err, ERR_INTERNAL, "the compacted file is not the same store; nothing has changed");
  }
  conn_close(conn);
  return rc;
}

// With an empty log, and every connection closed, the rename is all.
static int take_place(struct store *store, const char *path, struct error *err) {
  char log[DURABLE_PATH_BYTES];
  int in_log = 0, moved = 0;
  int rc = sqlite3_wal_checkpoint_v2(store->conn->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &in_log, &moved);

  if (rc != SQLITE_OK)
    return conn_error(store->conn, rc, "empty the log", err);
  conn_close(store->conn);
  store->conn = NULL;
  (void)snprintf(log, sizeof(log), "%s-wal", store->path);
  if (durable_size(log) > 0)
    return error_set(err, ERR_UNAVAILABLE, "another program has %s open; nothing has changed", store->path);
  return durable_rename(path, store->path, err);
}

static int keep_mode_and_owner(const char *from, const char *to, struct error *err) {
  struct stat st;
  char words[128];
  int rc = 0, fd = open(to, O_RDONLY | O_NOFOLLOW | O_CLOEXEC); // no connection has it open

  if (fd < 0 || stat(from, &st) != 0 || (geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) != 0) ||
      fchmod(fd, st.st_mode & 07777) != 0)
    rc = error_set(err, ERR_IO, "cannot give %s the owner and mode of %s: %s", to, from, error_errno(errno, words));
  if (fd >= 0)
    (void)close(fd);
  return rc;
}

int store_compact(struct store *store, bool incremental, const struct store_progress *progress,
                  struct store_compacted *out, struct error *err) {
  char path[DURABLE_PATH_BYTES];
  int64_t used = 0;

  *out = (struct store_compacted){0};
  int rc = sizes(store->conn, &used, &out->before_bytes, err);
  if (rc == 0)
    rc = durable_path(path, store->config.dir, "harbinger.db.compact", err);
  if (rc != 0)
    return rc;
  int64_t free_bytes = disk_free_bytes(store->config.dir);
  if (free_bytes < used + SPARE_BYTES)
    return error_set(err, ERR_UNAVAILABLE,
                     "the compacted file takes about %lld MiB beside the one that is there, and %lld MiB are free for "
                     "%s: make room",
                     (long long)((used + SPARE_BYTES) >> 20), (long long)(free_bytes >> 20), store->config.dir);
  struct vacuum vacuum = {.progress = progress, .path = path, .expected_bytes = used};
  (void)unlink(path);
  rc = write_beside(store->conn, incremental, &vacuum, err);
  if (rc == 0)
    rc = check_beside(store, path, err);
  if (rc == 0)
    rc = keep_mode_and_owner(store->path, path, err);
  if (rc == 0)
    rc = durable_sync(path, err);
  out->after_bytes = durable_size(path);
  if (rc == 0)
    rc = take_place(store, path, err);
  if (rc != 0)
    (void)unlink(path);
  return rc;
}

// ---- beside a running writer --------------------------------------------------------------------------------------------

static int compact_step(struct store_conn *conn, void *ctx, struct error *err) {
  static const char free_sql[] = "PRAGMA freelist_count";
  char sql[64];

  (void)snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)", STEP_PAGES);
  int rc = conn_exec(conn, sql, err);
  return rc == 0 ? conn_number(conn, free_sql, 0, ctx, err) : rc;
}

static int online_sizes(struct store *store, int64_t *mode, int64_t *used, int64_t *total, struct error *err) {
  static const char mode_sql[] = "PRAGMA auto_vacuum";
  struct store_conn *conn = store_reader_open(store, err);

  if (!conn)
    return err ? (int)err->code : ERR_UNAVAILABLE;
  int rc = conn_number(conn, mode_sql, 0, mode, err);
  if (rc == 0)
    rc = sizes(conn, used, total, err);
  store_reader_close(conn);
  return rc;
}

int store_compact_online(struct store *store, const struct store_progress *progress, struct store_compacted *out,
                         struct error *err) {
  int64_t mode = 0, used = 0, unused = 0, total = 0;
  int rc = online_sizes(store, &mode, &used, &out->before_bytes, err);

  if (rc == 0 && mode != AUTO_VACUUM_INCREMENTAL)
    return error_set(
        err, ERR_PRECONDITION,
        "this store can only be compacted while its server is stopped, which would give back %lld of %lld "
        "MiB; what is free in the file is used again by itself. A compaction with --incremental makes it a "
        "store that can be compacted while the server runs",
        (long long)((out->before_bytes - used) >> 20), (long long)(out->before_bytes >> 20));
  int64_t most = 0;
  do {
    if (rc == 0)
      rc = store_write_sync(store, compact_step, &unused, err);
    most = unused > most ? unused : most;
    if (rc == 0)
      rc = store_progress_tell(progress, "compacting", most - unused, most, err);
  } while (rc == 0 && unused > 0);
  if (rc == 0 || rc == ERR_UNAVAILABLE) { // what has been given back stays given back
    int again = online_sizes(store, &mode, &used, &total, rc == 0 ? err : NULL);
    out->after_bytes = total;
    rc = rc == 0 ? again : error_set(err, ERR_UNAVAILABLE, "ended early: what was given back stays given back");
  }
  return rc;
}
