// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/snapshot.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "store/care.h"

enum { MOVE_ROUNDS = 16, MOVED_ENOUGH_US = 20000, SPARE_BYTES = 32 * 1024 * 1024, SNAPSHOT_PATH_BYTES = 4096 };

int64_t disk_free_bytes(const char *dir) {
  struct statvfs space;

  if (statvfs(dir, &space) != 0)
    return INT64_MAX;
  return (int64_t)((uint64_t)space.f_bavail * (uint64_t)space.f_frsize);
}

int snapshot_begin(struct store *store, struct snapshot *out, struct error *err) {
  static const char look[] = "SELECT count(*) FROM sqlite_master";
  int64_t tables;

  *out = (struct snapshot){.store = store};
  int rc = conn_open(store, store->path, CONN_READER, &out->conn, err);
  if (rc != 0)
    return rc;
  (void)atomic_fetch_add(&store->snapshots, 1);
  // What is in the log now need not be held back.
  (void)sqlite3_wal_checkpoint_v2(out->conn->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  rc = store_read_begin(out->conn, err);
  if (rc == 0)
    rc = conn_number(out->conn, look, 0, &tables, err); // from here on it is one state
  if (rc != 0)
    snapshot_end(out);
  return rc;
}

int snapshot_fits(const struct snapshot *snapshot, struct error *err) {
  char path[SNAPSHOT_PATH_BYTES];
  struct stat log;
  const struct store *store = snapshot->store;

  (void)snprintf(path, sizeof(path), "%s-wal", store->path);
  int64_t log_bytes = stat(path, &log) == 0 ? (int64_t)log.st_size : 0;
  if (log_bytes > STORE_MAX_HELD_LOG_MIB * INT64_C(1048576))
    return error_set(err, ERR_UNAVAILABLE,
                     "more than %d MiB were written meanwhile, and all of it must be kept apart until this is done: "
                     "try again when less is going on",
                     STORE_MAX_HELD_LOG_MIB);
  if (log_bytes > 0 && disk_free_bytes(store->config.dir) < store->config.min_free_bytes + SPARE_BYTES)
    return error_set(err, ERR_UNAVAILABLE,
                     "the disk of %s is nearly full, and what is written meanwhile must be kept apart until this is "
                     "done: make room, and try again",
                     store->config.dir);
  return 0;
}

void snapshot_end(struct snapshot *snapshot) {
  struct store *store = snapshot->store;

  if (!snapshot->conn)
    return;
  store_read_end(snapshot->conn);
  // Each round moves what was written during the one before. Beside the writer: a checkpoint needs no write lock.
  for (int i = 0; i < MOVE_ROUNDS; i++) {
    int64_t began_us = clock_mono_us(store->clock);
    if (sqlite3_wal_checkpoint_v2(snapshot->conn->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) != SQLITE_OK)
      break;
    if (clock_mono_us(store->clock) - began_us < MOVED_ENOUGH_US)
      break;
  }
  (void)atomic_fetch_sub(&store->snapshots, 1);
  conn_close(snapshot->conn);
  snapshot->conn = NULL;
}
