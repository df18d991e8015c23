// SPDX-License-Identifier: Apache-2.0
// One state of the store, held for as long as a backup or a check takes, on a read connection of its own.
//
// A reader holds back the end of the write-ahead log: while a snapshot is held the writer does not try to move the log into
// the file (it could not get past the reader, and would wait for it), and the log grows with what is written. Bounded:
// snapshot_fits says no at STORE_MAX_HELD_LOG_MIB, or when the disk would come near the floor at which no event is taken.
// At the end the log is moved by this thread, beside the writer, so that nobody's commit waits for a gigabyte.
// Inside store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_SNAPSHOT_H
#define HARBINGER_STORE_SQLITE_SNAPSHOT_H

#include "store/sqlite/state.h"

struct snapshot {
  struct store *store;
  struct store_conn *conn; // NULL: not begun
};

int snapshot_begin(struct store *store, struct snapshot *out, struct error *err) MUST_CHECK;
int snapshot_fits(const struct snapshot *snapshot, struct error *err) MUST_CHECK;
void snapshot_end(struct snapshot *snapshot); // fine when it was not begun, and twice

// Bytes that are free on the disk of `dir` for this user; INT64_MAX when nobody can tell.
int64_t disk_free_bytes(const char *dir);

#endif
