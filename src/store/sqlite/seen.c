// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/seen.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/sqlite/changes.h"
#include "store/sqlite/state.h"

#define US_PER_HOUR (INT64_C(3600) * US_PER_S)

enum bucket_kind { BUCKET_SEEN, BUCKET_LATE, BUCKET_IDEMPOTENCY };
enum { PREFIX_BYTES = 5 };
static const char *const prefixes[] = {"seen_", "late_", "idem_"};

struct bucket {
  int64_t hour; // since the epoch
  enum bucket_kind kind;
  sqlite3_stmt *find, *add;
};

struct seen {
  struct bucket buckets[SEEN_MAX_BUCKETS];
  size_t len;
  bool known; // the list is that of the file
};

struct seen *seen_new(void) {
  return calloc(1, sizeof(struct seen));
}

void seen_forget(struct seen *seen) {
  for (size_t i = 0; i < seen->len; i++) {
    (void)sqlite3_finalize(seen->buckets[i].find);
    (void)sqlite3_finalize(seen->buckets[i].add);
  }
  seen->len = 0;
  seen->known = false;
}

void seen_free(struct seen *seen) {
  if (!seen)
    return;
  seen_forget(seen);
  free(seen);
}

static const char *bucket_name(const struct bucket *bucket, char out[static 40]) {
  (void)snprintf(out, 40, "%s%lld", prefixes[bucket->kind], (long long)bucket->hour);
  return out;
}

static int bucket_push(struct seen *seen, int64_t hour, enum bucket_kind kind, struct error *err) {
  if (seen->len >= SEEN_MAX_BUCKETS)
    return error_set(err, ERR_FULL, "more than %d hours of seen keys: the clock of the machine or of a source jumps",
                     SEEN_MAX_BUCKETS);
  seen->buckets[seen->len++] = (struct bucket){.hour = hour, .kind = kind};
  return 0;
}

static int load(struct store_conn *conn, struct error *err) {
  static const char sql[] = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB "
                            "'????_[0-9]*'";
  struct seen *seen = conn->seen;
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int64_t hour;

  if (seen->known)
    return 0;
  int rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  while ((rc = stmt_step(&stmt, "list the buckets of seen keys", err)) == 1) {
    struct str name = stmt_view(&stmt, 0);
    for (size_t kind = 0; kind < ARRAY_LEN(prefixes); kind++) {
      if (!str_starts_c(name, prefixes[kind]) || !str_to_i64(str_from(name, PREFIX_BYTES), &hour))
        continue;
      rc = bucket_push(seen, hour, (enum bucket_kind)kind, err);
      if (rc != 0)
        return rc;
    }
  }
  seen->known = rc == 0;
  return rc;
}

static struct bucket *bucket_find(struct seen *seen, int64_t hour, enum bucket_kind kind) {
  for (size_t i = 0; i < seen->len; i++) {
    if (seen->buckets[i].hour == hour && seen->buckets[i].kind == kind)
      return &seen->buckets[i];
  }
  return NULL;
}

static int bucket_prepare(struct store_conn *conn, struct bucket *bucket, struct error *err) {
  char name[40], sql[160];

  if (bucket->find)
    return 0;
  (void)snprintf(sql, sizeof(sql), "SELECT event_id, check_bytes FROM %s WHERE key = ?1", bucket_name(bucket, name));
  int rc = sqlite3_prepare_v3(conn->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &bucket->find, NULL);
  (void)snprintf(sql, sizeof(sql), "INSERT INTO %s (key, event_id, check_bytes) VALUES (?1, ?2, ?3)", name);
  if (rc == SQLITE_OK)
    rc = sqlite3_prepare_v3(conn->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &bucket->add, NULL);
  return rc == SQLITE_OK ? 0 : conn_error(conn, rc, "prepare a bucket of seen keys", err);
}

static int bucket_lookup(struct store_conn *conn, struct bucket *bucket, struct seen_entry *entry, struct error *err) {
  int rc = bucket_prepare(conn, bucket, err);

  if (rc != 0)
    return rc;
  CLEANUP(stmt_end) struct stmt stmt = {.conn = conn, .raw = bucket->find};
  stmt_bind_blob(&stmt, 1, (struct str){(const char *)entry->key, SEEN_KEY_BYTES});
  rc = stmt_step(&stmt, "look up a seen key", err);
  if (rc != 1)
    return rc;
  struct str id = stmt_view(&stmt, 0);
  if (id.len == UUID_BYTES)
    memcpy(entry->event_id.bytes, id.ptr, UUID_BYTES);
  struct str check = stmt_view(&stmt, 1);
  size_t len = check.len < SHA256_BYTES ? check.len : SHA256_BYTES;
  if (len)
    memcpy(entry->check_bytes, check.ptr, len);
  entry->check = (struct str){(const char *)entry->check_bytes, len};
  return 1;
}

int seen_find(struct store_conn *conn, struct seen_entry *entry, int64_t source_time_us, struct error *err) {
  int rc = load(conn, err);

  if (rc != 0)
    return rc;
  enum bucket_kind search = entry->idempotency ? BUCKET_IDEMPOTENCY : BUCKET_LATE;
  struct bucket *bucket =
      entry->idempotency ? NULL : bucket_find(conn->seen, source_time_us / US_PER_HOUR, BUCKET_SEEN);
  if (bucket && (rc = bucket_lookup(conn, bucket, entry, err)) != 0)
    return rc;
  for (size_t i = 0; i < conn->seen->len; i++) {
    if (conn->seen->buckets[i].kind == search && (rc = bucket_lookup(conn, &conn->seen->buckets[i], entry, err)) != 0)
      return rc;
  }
  return 0;
}

static int bucket_make(struct store_conn *conn, int64_t hour, enum bucket_kind kind, struct bucket **out,
                       struct error *err) {
  struct bucket wanted = {.hour = hour, .kind = kind};
  char name[40], sql[200];

  conn->changes->counts.seen = true; // before the attempt: a failure half-way must also forget the list
  (void)snprintf(sql, sizeof(sql),
                 "CREATE TABLE %s (key BLOB NOT NULL PRIMARY KEY, event_id BLOB NOT NULL, check_bytes BLOB) STRICT, "
                 "WITHOUT ROWID",
                 bucket_name(&wanted, name));
  int rc = conn_exec(conn, sql, err);
  if (rc == 0)
    rc = bucket_push(conn->seen, hour, kind, err);
  if (rc == 0)
    *out = &conn->seen->buckets[conn->seen->len - 1];
  return rc;
}

int seen_add(struct store_conn *conn, const struct seen_entry *entry, int64_t source_time_us, struct error *err) {
  int64_t now_us = clock_wall_us(conn->store->clock);
  int64_t window_us = conn->store->config.retention.seen_s * US_PER_S;
  bool late = source_time_us < now_us - window_us || source_time_us > now_us + US_PER_HOUR;
  enum bucket_kind kind = entry->idempotency ? BUCKET_IDEMPOTENCY : late ? BUCKET_LATE : BUCKET_SEEN;
  int64_t hour = (kind == BUCKET_SEEN ? source_time_us : now_us) / US_PER_HOUR;

  int rc = load(conn, err);
  if (rc != 0)
    return rc;
  struct bucket *bucket = bucket_find(conn->seen, hour, kind);
  if (!bucket && (rc = bucket_make(conn, hour, kind, &bucket, err)) != 0)
    return rc;
  rc = bucket_prepare(conn, bucket, err);
  if (rc != 0)
    return rc;
  CLEANUP(stmt_end) struct stmt stmt = {.conn = conn, .raw = bucket->add};
  stmt_bind_blob(&stmt, 1, (struct str){(const char *)entry->key, SEEN_KEY_BYTES});
  stmt_bind_blob(&stmt, 2, (struct str){(const char *)entry->event_id.bytes, UUID_BYTES});
  if (entry->check.len)
    stmt_bind_blob(&stmt, 3, entry->check);
  return stmt_run(&stmt, "remember a seen key", err);
}

static int delete_some(struct store_conn *conn, const char *name, int64_t *rows, struct error *err) {
  char sql[160];
  CLEANUP(stmt_end) struct stmt stmt = {0};

  int len = snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE key IN (SELECT key FROM %s ORDER BY key LIMIT %d)", name,
                     name, SEEN_DROP_ROWS);
  int rc = stmt_begin_once(conn, (struct str){sql, (size_t)len}, &stmt, err);
  if (rc == 0)
    rc = stmt_run(&stmt, "delete old keys", err);
  if (rc == 0)
    *rows = stmt_changes(&stmt);
  return rc;
}

static int drop(struct store_conn *conn, const char *name, struct error *err) {
  char sql[80];

  (void)snprintf(sql, sizeof(sql), "DROP TABLE %s", name);
  conn->changes->counts.seen = true;
  seen_forget(conn->seen); // its statements must be gone before the table is
  return conn_exec(conn, sql, err);
}

int seen_drop_old(struct store_conn *conn, int64_t window_s, int64_t *rows, struct error *err) {
  // A bucket holds keys of a whole hour: it is old when its last moment is.
  *rows = 0;
  int64_t oldest_hour = (clock_wall_us(conn->store->clock) - window_s * US_PER_S) / US_PER_HOUR;
  int rc = load(conn, err);

  for (size_t i = 0; rc == 0 && i < conn->seen->len; i++) {
    char name[40];
    if (conn->seen->buckets[i].hour >= oldest_hour)
      continue;
    (void)bucket_name(&conn->seen->buckets[i], name);
    rc = delete_some(conn, name, rows, err);
    if (rc == 0 && *rows < SEEN_DROP_ROWS)
      rc = drop(conn, name, err);
    return rc == 0 ? 1 : rc;
  }
  return rc;
}
