// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrate.h"

#include <stdio.h>

#include "base/fault.h"
#include "store/admin.h"
#include "store/settings.h"
#include "store/sqlite/backup.h"
#include "store/sqlite/state.h"

static const char folder[] = "src/store/sqlite/";
static const char repeat_mark[] = "\n-- repeat\n";

// Settings that migrations keep; both schema and people's settings know nothing of them.
#define KEY_PROGRAM "program"  // the version that last served the store
#define KEY_UPGRADE "upgrade"  // while one is under way: the schema it goes to; the backup has been made
#define KEY_REPEAT "migration" // the one whose first part is in place

enum { TELL_INSTRUCTIONS = 1000000, TELL_BYTES = 128, MIGRATE_ARENA_BYTES = 64 * 1024 };

// The number that the file's name begins with, or 0 when it is no migration.
static int64_t number_of(const struct embedded_file *file) {
  struct str path = str_of(file->path);
  int64_t number;

  if (!str_starts_c(path, folder) || !str_ends(path, STR(".sql")))
    return 0;
  struct str name = str_from(path, sizeof(folder) - 1);
  ptrdiff_t end = str_find(name, '_');
  return end > 0 && str_to_i64(str_slice(name, 0, (size_t)end), &number) ? number : 0;
}

static int64_t newest_of(const struct embedded_file *files) {
  int64_t newest = 0;

  for (const struct embedded_file *file = files; file->path; file++)
    newest = number_of(file) > newest ? number_of(file) : newest;
  return newest;
}

int64_t migrate_newest(void) {
  return newest_of(embedded_files);
}

// ---- what the store remembers of it ----------------------------------------------------------------------------------

static int forget(struct store_conn *conn, const char *key, struct error *err) {
  static const char sql[] = "DELETE FROM setting WHERE key = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, str_of(key));
  return stmt_run(&stmt, "remember the upgrade", err);
}

static int remember_number(struct store_conn *conn, const char *key, int64_t number, struct error *err) {
  char text[32];
  int len = snprintf(text, sizeof(text), "%lld", (long long)number);

  return setting_put(conn, key, (struct str){text, (size_t)len}, err);
}

// 0 when nothing is remembered.
static int remembered_number(struct store_conn *conn, const char *key, int64_t *out, struct error *err) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(MIGRATE_ARENA_BYTES);
  struct str text;

  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "no memory to upgrade the store");
  int rc = setting_get(conn, key, arena, &text, err);
  if (rc != 0 || !text.ptr || !str_to_i64(text, out))
    *out = 0;
  return rc;
}

// ---- one migration ----------------------------------------------------------------------------------------------------

struct pass {
  struct store_conn *conn;
  int64_t number, newest, began_us, said_us;
  int64_t rows_before; // that the connection had changed when it began
};

// How many rows have changed; of how many nobody knows, and a long statement tells nothing of itself but that it goes on.
// Not 0: it shall end, and what the transaction has done is taken back.
static int tell(void *ctx) {
  struct pass *pass = ctx;
  const struct store *store = pass->conn->store;
  int64_t now_us = clock_mono_us(store->clock);
  long long rows = (long long)(sqlite3_total_changes64(pass->conn->db) - pass->rows_before);
  char what[TELL_BYTES];

  (void)snprintf(what, sizeof(what), "upgrading to schema %lld of %lld, %lld rows so far", (long long)pass->number,
                 (long long)pass->newest, rows);
  if (store_progress_tell(store->config.progress, what, 0, 0, NULL) != 0)
    return 1;
  if (now_us - pass->said_us < 2 * US_PER_S)
    return 0;
  pass->said_us = now_us;
  log_info(store->log, "store", "%s, after %lld s", what, (long long)((now_us - pass->began_us) / US_PER_S));
  return 0;
}

static int in_transaction(struct store_conn *conn, const char *const *parts, size_t len, struct error *err) {
  int rc = conn_exec(conn, "BEGIN IMMEDIATE", err);

  for (size_t i = 0; rc == 0 && i < len; i++)
    rc = parts[i] ? conn_exec(conn, parts[i], err) : 0;
  if (rc == 0)
    rc = conn_exec(conn, "COMMIT", err);
  if (rc != 0 && !sqlite3_get_autocommit(conn->db))
    (void)sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
  return rc;
}

static int repeat(struct pass *pass, const char *statement, struct error *err) {
  sqlite3 *db = pass->conn->db;
  int64_t rows = 0, before;
  int rc;

  do {
    before = sqlite3_total_changes64(db);
    rc = in_transaction(pass->conn, &statement, 1, err);
    FAULT_POINT("store.migration.between");
    rows += sqlite3_total_changes64(db) - before;
    if (rc == 0 && tell(pass) != 0)
      rc = error_set(err, ERR_UNAVAILABLE, "interrupted; it goes on where it was");
    // Nobody reads yet: the log stays short however many rows there are.
    (void)sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  } while (rc == 0 && sqlite3_total_changes64(db) > before);
  if (rc == 0)
    log_info(pass->conn->store->log, "store", "schema %lld: %lld rows were rewritten", (long long)pass->number,
             (long long)rows);
  return rc;
}

static int apply(struct pass *pass, const struct embedded_file *file, struct error *err) {
  char version[128], begun[160];
  const char *sql = (const char *)file->data, *rest = strstr(sql, repeat_mark);
  int64_t in_place = 0;

  (void)snprintf(version, sizeof(version), "PRAGMA application_id = %d; PRAGMA user_version = %lld",
                 SCHEMA_APPLICATION_ID, (long long)pass->number);
  if (!rest) {
    const char *const whole[] = {sql, version};
    return in_transaction(pass->conn, whole, ARRAY_LEN(whole), err);
  }
  // One with a second part is never the first: there is a table of settings.
  (void)snprintf(begun, sizeof(begun), "INSERT OR REPLACE INTO setting (key, value) VALUES ('" KEY_REPEAT "', '%lld')",
                 (long long)pass->number);
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(2 * file->size_bytes + MIGRATE_ARENA_BYTES);
  char *first = arena ? arena_cstr(arena, (struct str){sql, (size_t)(rest - sql)}) : NULL;
  if (!first)
    return error_set(err, ERR_NO_MEMORY, "no memory to upgrade the store");
  int rc = remembered_number(pass->conn, KEY_REPEAT, &in_place, err);
  if (rc == 0 && in_place != pass->number) {
    const char *const parts[] = {first, begun};
    rc = in_transaction(pass->conn, parts, ARRAY_LEN(parts), err);
  }
  if (rc == 0)
    rc = repeat(pass, rest + sizeof(repeat_mark) - 1, err);
  const char *const last[] = {version, "DELETE FROM setting WHERE key = '" KEY_REPEAT "'"};
  return rc == 0 ? in_transaction(pass->conn, last, ARRAY_LEN(last), err) : rc;
}

static int migrate_one(struct store_conn *conn, const struct embedded_file *file, int64_t newest, struct error *err) {
  const struct store *store = conn->store;
  int64_t now_us = clock_mono_us(store->clock);
  struct pass pass = {.conn = conn,
                      .number = number_of(file),
                      .newest = newest,
                      .began_us = now_us,
                      .said_us = now_us,
                      .rows_before = sqlite3_total_changes64(conn->db)};

  sqlite3_progress_handler(conn->db, TELL_INSTRUCTIONS, tell, &pass);
  int rc = apply(&pass, file, err);
  sqlite3_progress_handler(conn->db, 0, NULL, NULL);
  FAULT_POINT("store.migration.between");
  if (rc != 0)
    return error_context(err, "migration %s", file->path);
  log_info(store->log, "store", "schema %lld is in place after %lld ms", (long long)pass.number,
           (long long)((clock_mono_us(store->clock) - pass.began_us) / US_PER_MS));
  return 0;
}

// ---- the whole way ------------------------------------------------------------------------------------------------------

// Which version it was, and how to go back to where this program can go on.
static int refuse_newer(struct store_conn *conn, int64_t version, int64_t newest, struct error *err) {
  struct str wrote = STR_EMPTY;
  struct store_manifest manifest;
  const char *dir = conn->store->config.dir;
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(BACKUP_ARENA_BYTES);

  if (!arena || setting_get(conn, KEY_PROGRAM, arena, &wrote, NULL) != 0 || !wrote.ptr)
    wrote = STR("a newer version");
  struct str back = arena ? backup_way_back(dir, newest, arena, &manifest) : STR_EMPTY;
  if (back.len == 0)
    return error_set(err, ERR_CONFIG,
                     "the store in %s was written by harbinger %.*s (schema %lld); this is harbinger " HARBINGER_VERSION
                     " (schema %lld): run that version, or restore a backup made before the upgrade",
                     dir, STR_ARG(wrote), (long long)version, (long long)newest);
  return error_set(err, ERR_CONFIG,
                   "the store in %s was written by harbinger %.*s (schema %lld); this is harbinger " HARBINGER_VERSION
                   " (schema %lld): run that version, or go back to before the upgrade, without what came since: "
                   "harbinger restore %.*s --data %s --force",
                   dir, STR_ARG(wrote), (long long)version, (long long)newest, STR_ARG(back), dir);
}

static int check_file(struct store_conn *conn, int64_t newest, int64_t *version, struct error *err) {
  static const char version_sql[] = "PRAGMA user_version", id_sql[] = "PRAGMA application_id";
  int64_t id = 0, half = 0;
  int rc = conn_number(conn, version_sql, 0, version, err);

  if (rc == 0)
    rc = conn_number(conn, id_sql, 0, &id, err);
  if (rc != 0)
    return rc;
  if (*version > 0 && id != SCHEMA_APPLICATION_ID)
    return error_set(err, ERR_CONFIG,
                     "harbinger.db in the data directory belongs to another program: use another --data");
  // The first part of a later migration is in place, and its number comes with the last one.
  if (*version > 0 && remembered_number(conn, KEY_REPEAT, &half, NULL) == 0 && half > newest)
    return refuse_newer(conn, half, newest, err);
  return *version > newest ? refuse_newer(conn, *version, newest, err) : 0;
}

int migrate_known(struct store_conn *conn, struct error *err) {
  int64_t version = 0;
  int rc = check_file(conn, migrate_newest(), &version, err);

  if (rc == 0 && version == 0)
    return error_set(err, ERR_NOT_FOUND, "there is no store in %s yet", conn->store->config.dir);
  return rc;
}

// Once per upgrade, however often it is begun: a later copy would be of what is half upgraded.
static int back_up(struct store_conn *conn, int64_t version, int64_t newest, struct error *err) {
  int64_t under_way = 0;

  if (version == 0)
    return 0; // a new store
  int rc = remembered_number(conn, KEY_UPGRADE, &under_way, err);
  if (rc != 0 || under_way == newest)
    return rc;
  if (conn->store->config.no_backup_before_upgrade)
    log_warn(conn->store->log, "store", "upgrading from schema %lld to %lld without a backup, as told",
             (long long)version, (long long)newest);
  else
    rc = backup_before_migration(conn, newest, err);
  return rc == 0 ? remember_number(conn, KEY_UPGRADE, newest, err) : rc;
}

int migrate_run_files(struct store_conn *conn, const struct embedded_file *files, struct error *err) {
  int64_t version = 0, newest = newest_of(files);
  int rc = check_file(conn, newest, &version, err);

  if (rc == 0 && version < newest)
    rc = back_up(conn, version, newest, err);
  // A migration may describe anew what is there (008_fewer_trees.sql).
  (void)sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
  for (const struct embedded_file *file = files; rc == 0 && file->path; file++) // sorted by path: by number
    if (number_of(file) > version)
      rc = migrate_one(conn, file, newest, err);
  (void)sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  // That of a later program, too, which did not come to its end: what this one writes must be in the backup of the next.
  if (rc == 0 && version > 0)
    rc = forget(conn, KEY_UPGRADE, err);
  return rc == 0 ? setting_put(conn, KEY_PROGRAM, STR(HARBINGER_VERSION), err) : rc;
}

int migrate_run(struct store_conn *conn, struct error *err) {
  return migrate_run_files(conn, embedded_files, err);
}
