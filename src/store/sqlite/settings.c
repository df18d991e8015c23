// SPDX-License-Identifier: Apache-2.0
#include "store/settings.h"

#include "store/sqlite/changes.h"
#include "store/sqlite/query_sql.h"
#include "store/sqlite/state.h"

int setting_get(struct store_conn *conn, const char *key, struct arena *arena, struct str *value, struct error *err) {
  static const char sql[] = "SELECT value FROM setting WHERE key = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};

  *value = (struct str){0};
  int rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, str_of(key));
  rc = stmt_step(&stmt, "read a setting", err);
  if (rc <= 0)
    return rc;
  *value = stmt_text(&stmt, 0, arena);
  return stmt_copied(&stmt, err);
}

int setting_put(struct store_conn *conn, const char *key, struct str value, struct error *err) {
  static const char sql[] = "INSERT INTO setting (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = "
                            "excluded.value WHERE value <> excluded.value";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, str_of(key));
  stmt_bind_text(&stmt, 2, value);
  return stmt_run(&stmt, "set a setting", err);
}

int setting_set(struct store_conn *conn, const char *key, struct str value, struct error *err) {
  int rc = setting_put(conn, key, value, err);

  if (rc == 0)
    change_policies(conn); // some of them decide what is sent
  return rc;
}

int audit_add(struct store_conn *conn, const struct audit_entry *entry, struct error *err) {
  static const char sql[] = "INSERT INTO audit (at_us, actor, address, request_id, operation, kind, subject, project, "
                            "fields) VALUES (?1, ?2, "
                            "?3, ?4, ?5, ?6, ?7, ?8, ?9)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, entry->at_us != 0 ? entry->at_us : clock_wall_us(conn->store->clock));
  stmt_bind_text(&stmt, 2, entry->actor);
  stmt_bind_text(&stmt, 3, entry->address);
  stmt_bind_text(&stmt, 4, entry->request_id);
  stmt_bind_text(&stmt, 5, entry->operation);
  stmt_bind_text(&stmt, 6, entry->kind);
  stmt_bind_text(&stmt, 7, entry->subject);
  stmt_bind_text(&stmt, 8, entry->project);
  stmt_bind_text(&stmt, 9, entry->fields);
  return stmt_run(&stmt, "write the audit", err);
}

static int read_audit(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  *(struct audit_entry *)out = (struct audit_entry){
      .id = stmt_i64(stmt, 0),
      .at_us = stmt_i64(stmt, 1),
      .actor = stmt_text(stmt, 2, arena),
      .address = stmt_text(stmt, 3, arena),
      .request_id = stmt_text(stmt, 4, arena),
      .operation = stmt_text(stmt, 5, arena),
      .kind = stmt_text(stmt, 6, arena),
      .subject = stmt_text(stmt, 7, arena),
      .project = stmt_text(stmt, 8, arena),
      .fields = stmt_text(stmt, 9, arena),
  };
  return stmt_copied(stmt, err);
}

int audit_list(struct store_conn *conn, const struct query *query, struct arena *arena, struct audit_entry **out,
               size_t *len, int64_t *total, struct error *err) {
  static const struct query_column columns[] = {
      {"id", "a.id", COLUMN_INT},
      {"at", "a.at_us", COLUMN_TIME},
      {"actor", "a.actor", COLUMN_TEXT},
      {"address", "a.address", COLUMN_TEXT},
      {"request_id", "a.request_id", COLUMN_TEXT},
      {"operation", "a.operation", COLUMN_TEXT},
      {"kind", "a.kind", COLUMN_TEXT},
      {"subject", "a.subject", COLUMN_TEXT},
      {"project", "a.project", COLUMN_TEXT},
      {"fields", "a.fields", COLUMN_TEXT},
  };
  static const struct query_list list = {
      .what = "list the audit",
      .read = read_audit,
      .item_bytes = sizeof(struct audit_entry),
      .select = "a.id, a.at_us, a.actor, a.address, a.request_id, a.operation, a.kind, a.subject, "
                "a.project, a.fields",
      .from = "audit a WHERE 1",
      .columns = columns,
      .columns_len = ARRAY_LEN(columns),
      .tie = "a.id DESC",
  };
  void *rows;
  int rc = query_sql_list(conn, &list, query, arena, &rows, len, total, err);

  *out = rows;
  return rc;
}

int ingest_note_add(struct store_conn *conn, const struct ingest_note *note, struct error *err) {
  static const char sql[] = "INSERT INTO ingest_note (at_us, source, instance, reason, action, repository, reference, "
                            "notification_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, note->at_us != 0 ? note->at_us : clock_wall_us(conn->store->clock));
  stmt_bind_text(&stmt, 2, note->source);
  stmt_bind_text(&stmt, 3, note->instance);
  stmt_bind_text(&stmt, 4, note->reason);
  stmt_bind_text(&stmt, 5, note->action);
  stmt_bind_text(&stmt, 6, note->repository);
  stmt_bind_text(&stmt, 7, note->reference);
  stmt_bind_text(&stmt, 8, note->notification_id);
  return stmt_run(&stmt, "write the ingest log", err);
}

static int read_note(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  *(struct ingest_note *)out = (struct ingest_note){
      .id = stmt_i64(stmt, 0),
      .at_us = stmt_i64(stmt, 1),
      .source = stmt_text(stmt, 2, arena),
      .instance = stmt_text(stmt, 3, arena),
      .reason = stmt_text(stmt, 4, arena),
      .action = stmt_text(stmt, 5, arena),
      .repository = stmt_text(stmt, 6, arena),
      .reference = stmt_text(stmt, 7, arena),
      .notification_id = stmt_text(stmt, 8, arena),
  };
  return stmt_copied(stmt, err);
}

int ingest_note_list(struct store_conn *conn, const struct query *query, struct arena *arena, struct ingest_note **out,
                     size_t *len, int64_t *total, struct error *err) {
  static const struct query_column columns[] = {
      {"id", "n.id", COLUMN_INT},
      {"at", "n.at_us", COLUMN_TIME},
      {"source", "n.source", COLUMN_TEXT},
      {"instance", "n.instance", COLUMN_TEXT},
      {"reason", "n.reason", COLUMN_TEXT},
      {"action", "n.action", COLUMN_TEXT},
      {"repository", "n.repository", COLUMN_TEXT},
      {"reference", "n.reference", COLUMN_TEXT},
      {"notification_id", "n.notification_id", COLUMN_TEXT},
  };
  static const struct query_list list = {
      .what = "list the ingest log",
      .read = read_note,
      .item_bytes = sizeof(struct ingest_note),
      .select = "n.id, n.at_us, n.source, n.instance, n.reason, n.action, n.repository, n.reference, n.notification_id",
      .from = "ingest_note n WHERE 1",
      .columns = columns,
      .columns_len = ARRAY_LEN(columns),
      .tie = "n.id DESC",
  };
  void *rows;
  int rc = query_sql_list(conn, &list, query, arena, &rows, len, total, err);

  *out = rows;
  return rc;
}
