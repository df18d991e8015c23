// SPDX-License-Identifier: Apache-2.0
// One SQLite connection with its prepared statements: opening, pragmas, binding, reading, and SQLite's errors in the
// house's words. A connection and its statements belong to one thread. Inside store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_CONN_H
#define HARBINGER_STORE_SQLITE_CONN_H

#include <sqlite3.h>

#include "store/store.h"

enum { CONN_MAX_STATEMENTS = 256, CONN_BUSY_MS = 5000 }; // the latter as in the pragmas of conn.c

struct changes;
struct known;
struct policy_cache;
struct seen;

struct cached_statement {
  const char *sql; // the static text: its address is the key
  sqlite3_stmt *raw;
};

struct store_conn {
  sqlite3 *db;
  struct store *store;
  struct cached_statement statements[CONN_MAX_STATEMENTS]; // open addressing by address
  size_t statements_len;
  int broken; // SQLite's code when the file, not a statement, failed; the writer looks at it after each item
  // The writer's connection only, else NULL:
  struct changes *changes;
  struct known *known;
  struct policy_cache *policies;
  struct seen *seen;
};

enum conn_kind { CONN_WRITER, CONN_READER };

// Open DIR/harbinger.db with the pragmas of its kind. The caller frees it with conn_close.
int conn_open(struct store *store, const char *path, enum conn_kind kind, struct store_conn **out, struct error *err)
    MUST_CHECK;
void conn_close(struct store_conn *conn); // NULL is fine

// A statement in use. Get it with stmt_begin, put it with CLEANUP(stmt_end): a statement that is not reset keeps its
// read transaction open. Failures of binding and of memory are remembered and come out of the next stmt_step.
struct stmt {
  struct store_conn *conn;
  sqlite3_stmt *raw;
  bool own;       // finalize at the end: not cached
  bool no_memory; // a column could not be copied
  int bind_rc;
};

// `sql` must be static text: the connection keeps its prepared form under this address. The same text must not be begun
// twice at a time.
int stmt_begin(struct store_conn *conn, const char *sql, struct stmt *out, struct error *err) MUST_CHECK;
// Text that is made for one use.
int stmt_begin_once(struct store_conn *conn, struct str sql, struct stmt *out, struct error *err) MUST_CHECK;
void stmt_end(struct stmt *stmt);
void stmt_reset(struct stmt *stmt); // to run it again with other values

// Values stay the caller's and must live until the statement is reset.
void stmt_bind_i64(struct stmt *stmt, int at, int64_t value);
void stmt_bind_text(struct stmt *stmt, int at, struct str value);
void stmt_bind_blob(struct stmt *stmt, int at, struct str value);
void stmt_bind_null(struct stmt *stmt, int at);

// 1: a row, 0: done, negative: an error in words. `what` completes "cannot ...".
int stmt_step(struct stmt *stmt, const char *what, struct error *err) MUST_CHECK;
// For changes: run to the end. 0 or an error.
int stmt_run(struct stmt *stmt, const char *what, struct error *err) MUST_CHECK;
int64_t stmt_changes(const struct stmt *stmt); // rows that the last stmt_run touched

int64_t stmt_i64(const struct stmt *stmt, int column);
bool stmt_bool(const struct stmt *stmt, int column);
bool stmt_is_null(const struct stmt *stmt, int column);
struct str stmt_view(const struct stmt *stmt, int column); // valid until the next step
// A copy; sets no_memory and returns "" when the arena is full.
struct str stmt_text(struct stmt *stmt, int column, struct arena *arena);
// After the last column was copied: ERR_NO_MEMORY when one could not be.
int stmt_copied(const struct stmt *stmt, struct error *err) MUST_CHECK;

// SQLite's last error on this connection. Marks the connection broken when the file is at fault. Returns the code.
int conn_error(struct store_conn *conn, int rc, const char *what, struct error *err);
// Is this SQLite code a matter of the file or the disk (full, read-only, I/O, corrupt)?
bool conn_rc_is_broken(int rc);
// One statement without values, prepared once: static text as for stmt_begin.
int conn_run(struct store_conn *conn, const char *sql, const char *what, struct error *err) MUST_CHECK;
// Any number of statements without values, prepared each time.
int conn_exec(struct store_conn *conn, const char *sql, struct error *err) MUST_CHECK;
// The first column of the first row as a number; 0 rows give `otherwise`.
int conn_number(struct store_conn *conn, const char *sql, int64_t otherwise, int64_t *out, struct error *err)
    MUST_CHECK;

// The row that the statement is at, turned into the item at `out`: the list's type, uninitialized. 0 or an error.
typedef int row_reader(struct stmt *stmt, struct arena *arena, void *out, struct error *err);
// All rows of a statement whose values are bound, as an array in the arena: *len items of item_bytes, *rows NULL when
// there is none. `what` as for stmt_step. 0 or an error, then *rows and *len hold what was read before it.
int rows_read(struct stmt *stmt, const char *what, row_reader *read, size_t item_bytes, struct arena *arena,
              void **rows, size_t *len, struct error *err) MUST_CHECK;
// Room for one more item in an arena's array of `len` items; *cap 0 at first. NULL when memory is out.
void *rows_grow(struct arena *arena, void *rows, size_t len, size_t *cap, size_t item_bytes) MUST_CHECK;
int rows_no_memory(struct error *err);

#endif
