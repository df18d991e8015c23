// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/event_find.h"

// The first row at or behind *id. 1: *id is its own, *order how its uuid compares; 0: there is none.
static int look(struct store_conn *conn, const struct uuid *uuid, int64_t *id, int *order, struct error *err) {
  static const char sql[] = "SELECT id, uuid FROM event WHERE id >= ?1 ORDER BY id LIMIT 1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, *id);
  rc = stmt_step(&stmt, "look an event up", err);
  if (rc != 1)
    return rc;
  struct str found = stmt_view(&stmt, 1);
  *id = stmt_i64(&stmt, 0);
  *order = found.len == UUID_BYTES ? memcmp(found.ptr, uuid->bytes, UUID_BYTES) : -1;
  return 1;
}

int event_find(struct store_conn *conn, const struct uuid *uuid, int64_t *rowid, struct error *err) {
  static const char last[] = "SELECT max(id) FROM event";
  int64_t low = 1, high; // it is in [low, high], if anywhere
  int rc = conn_number(conn, last, 0, &high, err);

  while (rc >= 0 && low <= high) {
    int64_t middle = low + (high - low) / 2;
    int order = 1;
    *rowid = middle;
    rc = look(conn, uuid, rowid, &order, err);
    if (rc == 1 && order == 0)
      return 1;
    if (rc == 1 && order < 0)
      low = *rowid + 1;
    else
      high = middle - 1;
  }
  return rc < 0 ? rc : 0;
}
