// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/conn.h"

#include <stdlib.h>

#include "base/fault.h"
#include "store/sqlite/fault_vfs.h"
#include "store/sqlite/wal_vfs.h"

// Why each pragma:
// - synchronous FULL: a commit that returned is on disk (promise 1); at batches of 256 it costs a tenth more than NORMAL.
// - wal_autocheckpoint 0: the writer checkpoints itself between commits and measures it (writer.c); a checkpoint inside a
//   commit would be somebody's latency.
// - journal_size_limit: a WAL that a long reader made grow is cut to this at the next restart of the log.
// - no mmap: an I/O error in a mapped page is SIGBUS, not SQLITE_IOERR, and a broken store must answer 503.
// - query_only on readers: only a store_write changes anything.
#define PRAGMAS_COMMON          \
  "PRAGMA busy_timeout = 5000;" \
  "PRAGMA temp_store = MEMORY;" \
  "PRAGMA mmap_size = 0;"       \
  "PRAGMA wal_autocheckpoint = 0;"
static const char pragmas_writer[] = PRAGMAS_COMMON "PRAGMA journal_mode = WAL;"
                                                    "PRAGMA synchronous = FULL;"
                                                    "PRAGMA foreign_keys = ON;"
                                                    "PRAGMA cache_size = -16384;"
                                                    "PRAGMA journal_size_limit = 67108864;";
static const char pragmas_reader[] = PRAGMAS_COMMON "PRAGMA query_only = ON;"
                                                    "PRAGMA cache_size = -2048;";

enum { LOOKASIDE_BYTES = 4096, LOOKASIDE_SLOTS = 128 };

bool conn_rc_is_broken(int rc) {
  if (rc == SQLITE_IOERR_NOMEM) // of memory, not of the disk
    return false;
  switch (rc & 0xff) {
  case SQLITE_FULL:
  case SQLITE_READONLY:
  case SQLITE_IOERR:
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
  case SQLITE_CANTOPEN:
  case SQLITE_PERM:
    return true;
  default:
    return false;
  }
}

static enum errcode errcode_of(int rc) {
  if (conn_rc_is_broken(rc) || (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
    return ERR_UNAVAILABLE;
  if ((rc & 0xff) == SQLITE_NOMEM || rc == SQLITE_IOERR_NOMEM)
    return ERR_NO_MEMORY;
  if ((rc & 0xff) == SQLITE_TOOBIG)
    return ERR_TOO_LARGE;
  return ERR_INTERNAL;
}

static const char *advice_of(int rc) {
  switch (rc & 0xff) {
  case SQLITE_FULL:
    return ": make room on the disk of the data directory; it is tried again by itself";
  case SQLITE_READONLY:
  case SQLITE_PERM:
    return ": the data directory must be writable for the user that runs harbinger";
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return ": the file is damaged; restore a backup";
  default:
    return "";
  }
}

int conn_error(struct store_conn *conn, int rc, const char *what, struct error *err) {
  int full = sqlite3_extended_errcode(conn->db);

  if ((full & 0xff) != (rc & 0xff))
    full = rc; // the connection has had another error since
  if (conn_rc_is_broken(full))
    conn->broken = full;
  return error_set(err, errcode_of(full), "cannot %s: the store says \"%s\" (%d)%s", what, sqlite3_errmsg(conn->db),
                   full, advice_of(full));
}

int conn_exec(struct store_conn *conn, const char *sql, struct error *err) {
  int rc = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);

  return rc == SQLITE_OK ? 0 : conn_error(conn, rc, "run a statement", err);
}

int conn_open(struct store *store, const char *path, enum conn_kind kind, struct store_conn **out, struct error *err) {
  struct store_conn *conn = calloc(1, sizeof(*conn));

  *out = NULL;
  if (!conn)
    return error_set(err, ERR_NO_MEMORY, "cannot open %s: no memory", path);
  conn->store = store;
  // NOMUTEX: a connection belongs to one thread at a time by contract.
  int rc = sqlite3_open_v2(path, &conn->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                           kind == CONN_WRITER ? wal_vfs_name(fault_vfs_name()) : fault_vfs_name());
  if (rc != SQLITE_OK) {
    (void)error_set(err, errcode_of(rc), "cannot open %s: %s%s", path,
                    conn->db ? sqlite3_errmsg(conn->db) : sqlite3_errstr(rc), advice_of(rc));
    conn_close(conn);
    return err ? (int)err->code : ERR_UNAVAILABLE;
  }
  (void)sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  // Small memory of running statements comes from here and not from malloc: enough for the records of an event.
  if (kind == CONN_WRITER)
    (void)sqlite3_db_config(conn->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, LOOKASIDE_BYTES, LOOKASIDE_SLOTS);
  int result = conn_exec(conn, kind == CONN_WRITER ? pragmas_writer : pragmas_reader, err);
  if (FAULT_PLANTED("synchronous_off") && result == 0)
    result = conn_exec(conn, "PRAGMA synchronous = OFF", err);
  if (result != 0) {
    (void)error_context(err, "cannot open %s", path);
    conn_close(conn);
    return result;
  }
  *out = conn;
  return 0;
}

void conn_close(struct store_conn *conn) {
  if (!conn)
    return;
  for (size_t i = 0; i < CONN_MAX_STATEMENTS; i++)
    (void)sqlite3_finalize(conn->statements[i].raw);
  (void)sqlite3_close(conn->db);
  free(conn);
}

// The slot of this text: where it is, or the free one where it belongs. There is always a free one.
static struct cached_statement *slot_of(struct store_conn *conn, const char *sql) {
  size_t at = ((uintptr_t)sql * UINT64_C(0x9E3779B97F4A7C15)) >> 56;

  _Static_assert(CONN_MAX_STATEMENTS == 256, "the hash gives 8 bits");
  while (conn->statements[at].sql && conn->statements[at].sql != sql)
    at = (at + 1) % CONN_MAX_STATEMENTS;
  return &conn->statements[at];
}

int stmt_begin(struct store_conn *conn, const char *sql, struct stmt *out, struct error *err) {
  struct cached_statement *slot = slot_of(conn, sql);

  *out = (struct stmt){.conn = conn};
  if (!slot->sql) {
    if (conn->statements_len + 1 >= CONN_MAX_STATEMENTS)
      return error_set(err, ERR_INTERNAL, "more than %d statements on one connection", CONN_MAX_STATEMENTS - 1);
    int rc = sqlite3_prepare_v3(conn->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &slot->raw, NULL);
    if (rc != SQLITE_OK)
      return conn_error(conn, rc, "prepare a statement", err);
    slot->sql = sql;
    conn->statements_len++;
  }
  out->raw = slot->raw;
  return 0;
}

int stmt_begin_once(struct store_conn *conn, struct str sql, struct stmt *out, struct error *err) {
  *out = (struct stmt){.conn = conn, .own = true};
  int rc = sqlite3_prepare_v3(conn->db, sql.ptr, (int)sql.len, 0, &out->raw, NULL);
  return rc == SQLITE_OK ? 0 : conn_error(conn, rc, "prepare a query", err);
}

void stmt_end(struct stmt *stmt) {
  if (!stmt->raw)
    return;
  if (stmt->own) {
    (void)sqlite3_finalize(stmt->raw);
  } else {
    (void)sqlite3_reset(stmt->raw); // repeats the error of the last step, which has been told already
    (void)sqlite3_clear_bindings(stmt->raw);
  }
  stmt->raw = NULL;
}

void stmt_reset(struct stmt *stmt) {
  (void)sqlite3_reset(stmt->raw);
  stmt->bind_rc = 0;
}

static void bound(struct stmt *stmt, int rc) {
  if (rc != SQLITE_OK && stmt->bind_rc == 0)
    stmt->bind_rc = rc;
}

void stmt_bind_i64(struct stmt *stmt, int at, int64_t value) {
  bound(stmt, sqlite3_bind_int64(stmt->raw, at, value));
}

void stmt_bind_text(struct stmt *stmt, int at, struct str value) {
  bound(stmt, sqlite3_bind_text64(stmt->raw, at, value.ptr ? value.ptr : "", value.len, SQLITE_STATIC, SQLITE_UTF8));
}

void stmt_bind_blob(struct stmt *stmt, int at, struct str value) {
  bound(stmt, sqlite3_bind_blob64(stmt->raw, at, value.ptr ? value.ptr : "", value.len, SQLITE_STATIC));
}

void stmt_bind_null(struct stmt *stmt, int at) {
  bound(stmt, sqlite3_bind_null(stmt->raw, at));
}

int stmt_copied(const struct stmt *stmt, struct error *err) {
  return stmt->no_memory ? rows_no_memory(err) : 0;
}

int stmt_step(struct stmt *stmt, const char *what, struct error *err) {
  if (stmt->no_memory)
    return rows_no_memory(err);
  if (stmt->bind_rc != 0)
    return error_set(err, errcode_of(stmt->bind_rc), "cannot %s: a value could not be bound: %s", what,
                     sqlite3_errstr(stmt->bind_rc));
  int rc = sqlite3_step(stmt->raw);
  if (rc == SQLITE_ROW)
    return 1;
  if (rc == SQLITE_DONE)
    return 0;
  return conn_error(stmt->conn, rc, what, err);
}

int stmt_run(struct stmt *stmt, const char *what, struct error *err) {
  int rc = stmt_step(stmt, what, err);

  while (rc == 1)
    rc = stmt_step(stmt, what, err);
  return rc;
}

int64_t stmt_changes(const struct stmt *stmt) {
  return sqlite3_changes64(stmt->conn->db);
}

int64_t stmt_i64(const struct stmt *stmt, int column) {
  return sqlite3_column_int64(stmt->raw, column);
}

bool stmt_bool(const struct stmt *stmt, int column) {
  return sqlite3_column_int64(stmt->raw, column) != 0;
}

bool stmt_is_null(const struct stmt *stmt, int column) {
  return sqlite3_column_type(stmt->raw, column) == SQLITE_NULL;
}

struct str stmt_view(const struct stmt *stmt, int column) {
  const void *data = sqlite3_column_blob(stmt->raw, column); // of a text: its bytes as they are, UTF-8
  int len = sqlite3_column_bytes(stmt->raw, column);

  return data ? (struct str){data, (size_t)len} : STR_EMPTY;
}

struct str stmt_text(struct stmt *stmt, int column, struct arena *arena) {
  struct str view = stmt_view(stmt, column);
  struct str copy = arena_str(arena, view);

  if (!copy.ptr) {
    stmt->no_memory = true;
    return STR_EMPTY;
  }
  return copy;
}

int conn_run(struct store_conn *conn, const char *sql, const char *what, struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  return rc != 0 ? rc : stmt_run(&stmt, what, err);
}

int conn_number(struct store_conn *conn, const char *sql, int64_t otherwise, int64_t *out, struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  rc = stmt_step(&stmt, "read a number", err);
  if (rc < 0)
    return rc;
  *out = rc == 1 && !stmt_is_null(&stmt, 0) ? stmt_i64(&stmt, 0) : otherwise;
  return 0;
}

int rows_no_memory(struct error *err) {
  return error_set(err, ERR_NO_MEMORY,
                   "the answer does not fit into the memory set aside for it: ask for a smaller page");
}

void *rows_grow(struct arena *arena, void *rows, size_t len, size_t *cap, size_t item_bytes) {
  if (len < *cap)
    return rows;
  size_t new_cap = *cap ? *cap * 2 : 16;
  void *grown = arena_array(arena, new_cap, item_bytes);
  if (!grown)
    return NULL;
  if (len)
    memcpy(grown, rows, len * item_bytes);
  *cap = new_cap;
  return grown;
}

int rows_read(struct stmt *stmt, const char *what, row_reader *read, size_t item_bytes, struct arena *arena,
              void **rows, size_t *len, struct error *err) {
  size_t cap = 0;
  int rc;

  *rows = NULL;
  *len = 0;
  while ((rc = stmt_step(stmt, what, err)) == 1) {
    void *grown = rows_grow(arena, *rows, *len, &cap, item_bytes);
    if (!grown)
      return rows_no_memory(err);
    *rows = grown;
    rc = read(stmt, arena, (char *)grown + *len * item_bytes, err);
    if (rc != 0)
      return rc;
    (*len)++;
  }
  return rc;
}
