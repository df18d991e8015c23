// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "store/sqlite/seal.h"
#include "store/sqlite/state.h"

enum { RESEAL_ROWS = 50, RESEAL_ARENA_BYTES = 16 * 1024 * 1024, SQL_BYTES = 256 };

static int count_column(struct store_conn *conn, const struct store_keys *keys, const struct sealed_column *column,
                        int64_t *sealed, int64_t *unopened, struct error *err) {
  char sql[SQL_BYTES];
  CLEANUP(stmt_end) struct stmt stmt = {0};
  struct str plain;

  (void)snprintf(sql, sizeof(sql), "SELECT id, %s FROM %s WHERE length(%s) > 0", column->column, column->table,
                 column->column);
  int rc = stmt_begin_once(conn, str_of(sql), &stmt, err);
  while (rc == 0 && (rc = stmt_step(&stmt, "read what is sealed", err)) == 1) {
    CLEANUP(arena_cleanup) struct arena *arena = arena_new(RESEAL_ARENA_BYTES);
    if (!arena)
      return error_set(err, ERR_NO_MEMORY, "no memory to open what is sealed");
    ++*sealed;
    if (seal_open_with(keys, column->context, stmt_view(&stmt, 1), arena, &plain, NULL) != 0)
      ++*unopened;
    else
      explicit_bzero((char *)(uintptr_t)plain.ptr, plain.len);
    rc = 0;
  }
  return rc;
}

int store_count_unopened(struct store *store, const struct store_keys *keys, int64_t *sealed, int64_t *unopened,
                         struct error *err) {
  struct store_conn *conn = store_reader_open(store, err);
  const struct store_keys *used = keys ? keys : &atomic_load(&store->keys)->keys;
  int rc = 0;

  *sealed = *unopened = 0;
  if (!conn)
    return err ? (int)err->code : ERR_UNAVAILABLE;
  for (const struct sealed_column *column = sealed_columns; rc == 0 && column->table; column++)
    rc = count_column(conn, used, column, sealed, unopened, err);
  store_reader_close(conn);
  return rc;
}

// One step through one column: the rows behind `after`, in one transaction. It may run twice (store.h): the second time
// finds what the first would have left.
struct reseal {
  const struct sealed_column *column;
  int64_t after, reached; // ids
  int64_t rows, seen;     // of this step
};

static int put_sealed(struct store_conn *conn, const struct sealed_column *column, int64_t id, struct str sealed,
                      struct error *err) {
  char sql[SQL_BYTES];
  CLEANUP(stmt_end) struct stmt stmt = {0};

  (void)snprintf(sql, sizeof(sql), "UPDATE %s SET %s = ?2 WHERE id = ?1", column->table, column->column);
  int rc = stmt_begin_once(conn, str_of(sql), &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  stmt_bind_blob(&stmt, 2, sealed);
  return stmt_run(&stmt, "seal with the new key", err);
}

static int reseal_row(struct store_conn *conn, struct reseal *reseal, const struct stmt *row, struct arena *arena,
                      struct error *err) {
  struct str plain;

  reseal->reached = stmt_i64(row, 0);
  reseal->seen++;
  if (stmt_view(row, 1).len == 0 ||
      seal_open(conn->store, reseal->column->context, stmt_view(row, 1), arena, &plain, NULL) != 0)
    return 0; // no key opens it: it was lost before
  struct str sealed = seal_text(conn->store, reseal->column->context, plain, arena);
  explicit_bzero((char *)(uintptr_t)plain.ptr, plain.len);
  if (!sealed.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory to seal");
  reseal->rows++;
  return put_sealed(conn, reseal->column, reseal->reached, sealed, err);
}

static int reseal_step(struct store_conn *conn, void *ctx, struct error *err) {
  struct reseal *reseal = ctx;
  char sql[SQL_BYTES];
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(RESEAL_ARENA_BYTES);
  CLEANUP(stmt_end) struct stmt stmt = {0};

  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "no memory to seal");
  reseal->reached = reseal->after;
  reseal->rows = reseal->seen = 0;
  // Nothing of the old ciphertext stays in the page: the old key may be the reason for the new one.
  int rc = conn_exec(conn, "PRAGMA secure_delete = ON", err);
  (void)snprintf(sql, sizeof(sql), "SELECT id, %s FROM %s WHERE id > ?1 ORDER BY id LIMIT %d", reseal->column->column,
                 reseal->column->table, RESEAL_ROWS);
  if (rc == 0)
    rc = stmt_begin_once(conn, str_of(sql), &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, reseal->after);
  while (rc == 0 && (rc = stmt_step(&stmt, "read what is sealed", err)) == 1)
    rc = reseal_row(conn, reseal, &stmt, arena, err);
  stmt_end(&stmt);
  int off = conn_exec(conn, "PRAGMA secure_delete = OFF", rc == 0 ? err : NULL);
  return rc != 0 ? rc : off;
}

int store_reseal(struct store *store, const struct store_progress *progress, int64_t *sealed, struct error *err) {
  int64_t all = 0, unopened = 0;
  int rc = store_count_unopened(store, NULL, &all, &unopened, err);

  *sealed = 0;
  for (const struct sealed_column *column = sealed_columns; rc == 0 && column->table; column++) {
    struct reseal reseal = {.column = column};
    do {
      rc = store_write_sync(store, reseal_step, &reseal, err);
      if (rc != 0)
        break;
      reseal.after = reseal.reached;
      *sealed += reseal.rows;
      rc = store_progress_tell(progress, "sealing", *sealed, all, err);
    } while (rc == 0 && reseal.seen == RESEAL_ROWS);
  }
  return rc;
}
