// SPDX-License-Identifier: Apache-2.0
#include "store/intents.h"

#include "base/buf.h"
#include "store/sqlite/catalogue_changes.h"
#include "store/sqlite/state.h"

// What the catalogue says that the reference leads to, and whether it has the digest.
static int read_before(struct store_conn *conn, struct intent *intent, struct arena *arena, struct error *err) {
  static const char sql[] =
      "SELECT coalesce(CASE WHEN ?3 = ?4 THEN (SELECT a.digest FROM artifact a WHERE a.repository_id = r.id AND "
      "a.digest "
      "= ?4) ELSE (SELECT a.digest FROM tag t JOIN artifact a ON a.id = t.artifact_id WHERE t.repository_id = r.id AND "
      "t.name = ?3 AND t.removed_us IS NULL) END, ''), EXISTS (SELECT 1 FROM artifact a WHERE a.repository_id = r.id "
      "AND "
      "a.digest = ?4) FROM repository r JOIN project p ON p.id = r.project_id WHERE p.name = ?1 AND p.deleted_us IS "
      "NULL "
      "AND r.name = ?2";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  intent->before = STR_EMPTY;
  intent->existed = false;
  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, intent->project);
  stmt_bind_text(&stmt, 2, intent->repository);
  stmt_bind_text(&stmt, 3, intent->reference);
  stmt_bind_text(&stmt, 4, intent->digest);
  rc = stmt_step(&stmt, "look up what a reference leads to", err);
  if (rc != 1)
    return rc;
  intent->before = stmt_text(&stmt, 0, arena);
  intent->existed = stmt_bool(&stmt, 1);
  return stmt_copied(&stmt, err);
}

static int insert(struct store_conn *conn, struct intent *intent, struct str json, struct error *err) {
  static const char sql[] =
      "INSERT INTO intent (kind, project, repository, reference, digest, before, existed, forwards, "
      "opened_us, event) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, (int64_t)intent->kind);
  stmt_bind_text(&stmt, 2, intent->project);
  stmt_bind_text(&stmt, 3, intent->repository);
  stmt_bind_text(&stmt, 4, intent->reference);
  stmt_bind_text(&stmt, 5, intent->digest);
  stmt_bind_text(&stmt, 6, intent->before);
  stmt_bind_i64(&stmt, 7, intent->existed);
  stmt_bind_i64(&stmt, 8, intent->forwards);
  stmt_bind_i64(&stmt, 9, intent->opened_us);
  stmt_bind_text(&stmt, 10, json);
  rc = stmt_run(&stmt, "note what is about to be changed", err);
  if (rc == 0 && stmt_changes(&stmt) == 0)
    return error_set(err, ERR_CONFLICT, "%.*s of %.*s/%.*s is being changed already", STR_ARG(intent->reference),
                     STR_ARG(intent->project), STR_ARG(intent->repository));
  intent->id = sqlite3_last_insert_rowid(conn->db);
  return rc;
}

int intent_open(struct store_conn *conn, struct intent *intent, struct arena *arena, struct error *err) {
  struct buf json;
  int rc = read_before(conn, intent, arena, err);

  if (rc != 0)
    return rc;
  intent->opened_us = clock_wall_us(conn->store->clock);
  buf_init(&json, EVENT_MAX_JSON_BYTES);
  struct json_writer writer = json_writer_make(&json, true);
  event_write_json(&intent->event, &writer);
  if (json.no_memory)
    rc = error_set(err, ERR_NO_MEMORY, "no memory to store an event");
  else if (json.failed)
    rc = error_set(err, ERR_TOO_LARGE, "the event would be larger than %d bytes", EVENT_MAX_JSON_BYTES);
  else
    rc = insert(conn, intent, buf_str(&json), err);
  buf_free(&json);
  return rc;
}

int intent_forward(struct store_conn *conn, int64_t id, struct str before, int forwards, struct error *err) {
  static const char sql[] = "UPDATE intent SET before = ?2, forwards = ?3 WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  stmt_bind_text(&stmt, 2, before);
  stmt_bind_i64(&stmt, 3, forwards);
  return stmt_run(&stmt, "note what is about to be changed", err);
}

static int by_id(struct store_conn *conn, const char *sql, int64_t id, struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  return stmt_run(&stmt, "settle what was to be changed", err);
}

int intent_told(struct store_conn *conn, int64_t id, struct error *err) {
  static const char sql[] = "UPDATE intent SET told = 1 WHERE id = ?1";

  return by_id(conn, sql, id, err);
}

int intent_close(struct store_conn *conn, int64_t id, struct error *err) {
  static const char sql[] = "DELETE FROM intent WHERE id = ?1";

  return by_id(conn, sql, id, err);
}

static int read_intent(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  struct intent *intent = out;

  *intent = (struct intent){
      .id = stmt_i64(stmt, 0),
      .kind = stmt_i64(stmt, 1) == INTENT_DELETE ? INTENT_DELETE : INTENT_PUT,
      .project = stmt_text(stmt, 2, arena),
      .repository = stmt_text(stmt, 3, arena),
      .reference = stmt_text(stmt, 4, arena),
      .digest = stmt_text(stmt, 5, arena),
      .before = stmt_text(stmt, 6, arena),
      .existed = stmt_bool(stmt, 7),
      .forwards = (int)stmt_i64(stmt, 8),
      .told = stmt_bool(stmt, 9),
      .opened_us = stmt_i64(stmt, 10),
  };
  int rc = stmt_copied(stmt, err);
  return rc == 0 ? event_read_json(stmt_view(stmt, 11), arena, &intent->event, err) : rc;
}

int intent_list(struct store_conn *conn, int64_t after, size_t max, struct arena *arena, struct intent **out,
                size_t *len, struct error *err) {
  static const char sql[] = "SELECT id, kind, project, repository, reference, digest, before, existed, forwards, told, "
                            "opened_us, event FROM intent WHERE id > ?1 ORDER BY id LIMIT ?2";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  void *rows = NULL;
  int rc = stmt_begin(conn, sql, &stmt, err);

  *out = NULL;
  *len = 0;
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, after);
  stmt_bind_i64(&stmt, 2, (int64_t)max);
  rc = rows_read(&stmt, "read what was to be changed", read_intent, sizeof(struct intent), arena, &rows, len, err);
  *out = rows;
  return rc;
}

static int project_id(struct store_conn *conn, struct str name, int64_t *out, struct error *err) {
  static const char sql[] = "SELECT id FROM project WHERE name = ?1 AND deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  *out = 0;
  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, name);
  rc = stmt_step(&stmt, "look a project up", err);
  if (rc == 1)
    *out = stmt_i64(&stmt, 0);
  return rc < 0 ? rc : 0;
}

int intent_tag_found(struct store_conn *conn, struct str project, struct str repository, struct str tag,
                     struct str digest, struct error *err) {
  struct event_artifact artifact = {
      .digest = digest, .tags = &tag, .tags_len = 1, .media_type = STR_EMPTY, .platform = STR_EMPTY, .size_bytes = -1};
  struct event event = {
      .occurred_at_us = clock_wall_us(conn->store->clock), .artifacts = &artifact, .artifacts_len = 1};
  struct catalogue_place place;
  int64_t id;
  int rc = project_id(conn, project, &id, err);

  if (rc != 0 || id == 0)
    return rc;
  rc = catalogue_place(conn, id, repository, true, &place, err);
  return rc == 0 ? catalogue_push(conn, &place, &event, err) : rc;
}
