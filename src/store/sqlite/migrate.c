// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/migrate.h"

#include <stdio.h>

#include "base/embedded.h"

static const char folder[] = "src/store/sqlite/";

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

int64_t migrate_newest(void) {
  int64_t newest = 0;

  for (const struct embedded_file *file = embedded_files; file->path; file++)
    newest = number_of(file) > newest ? number_of(file) : newest;
  return newest;
}

static int apply(struct store_conn *conn, const struct embedded_file *file, int64_t number, struct error *err) {
  char version[128];

  (void)snprintf(version, sizeof(version), "PRAGMA application_id = %d; PRAGMA user_version = %lld; COMMIT",
                 SCHEMA_APPLICATION_ID, (long long)number);
  int rc = conn_exec(conn, "BEGIN IMMEDIATE", err);
  if (rc == 0)
    rc = conn_exec(conn, (const char *)file->data, err);
  if (rc == 0)
    rc = conn_exec(conn, version, err);
  if (rc == 0)
    return 0;
  if (!sqlite3_get_autocommit(conn->db))
    (void)sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
  return error_context(err, "migration %s", file->path);
}

static int check_file(struct store_conn *conn, int64_t version, struct error *err) {
  static const char id_sql[] = "PRAGMA application_id";
  int64_t id;
  int rc = conn_number(conn, id_sql, 0, &id, err);

  if (rc != 0)
    return rc;
  if (version > 0 && id != SCHEMA_APPLICATION_ID)
    return error_set(err, ERR_CONFIG,
                     "harbinger.db in the data directory belongs to another program: use another --data");
  if (version > migrate_newest())
    return error_set(
        err, ERR_CONFIG,
        "the data directory was written by a newer harbinger (schema %lld, this program knows %lld): run that "
        "version, or restore a backup made before the upgrade",
        (long long)version, (long long)migrate_newest());
  return 0;
}

int migrate_run(struct store_conn *conn, const struct log *log, struct error *err) {
  static const char version_sql[] = "PRAGMA user_version";
  int64_t version;
  int rc = conn_number(conn, version_sql, 0, &version, err);

  if (rc == 0)
    rc = check_file(conn, version, err);
  for (const struct embedded_file *file = embedded_files; rc == 0 && file->path; file++) { // sorted by path: by number
    int64_t number = number_of(file);
    if (number <= version)
      continue;
    rc = apply(conn, file, number, err);
    if (rc == 0)
      log_info(log, "store", "schema %lld is in place", (long long)number);
  }
  return rc;
}
