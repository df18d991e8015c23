// SPDX-License-Identifier: Apache-2.0
#include "store/catalogue.h"

#include "store/sqlite/query_sql.h"

#define REPOSITORY_COLUMNS \
  "r.id, r.project_id, p.name || '/' || r.name, r.description, r.pull_count, r.created_us, r.updated_us"
#define ARTIFACT_COLUMNS                                                                                         \
  "a.id, r.project_id, a.repository_id, a.digest, a.media_type, a.platform, a.kind, a.size_bytes, a.pushed_us, " \
  "a.pulled_us"

// What is counted, for the rows of a page only: as columns they would be counted for each row that is sorted.
static int read_counts(struct store_conn *conn, struct repository *repository, struct error *err) {
  static const char sql[] =
      "SELECT count(*), coalesce(sum(max(size_bytes, 0)), 0), coalesce(max(pushed_us), 0), (SELECT count(*) FROM tag "
      "WHERE repository_id = ?1 AND removed_us IS NULL) FROM artifact WHERE repository_id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, repository->id);
  rc = stmt_step(&stmt, "count what a repository holds", err);
  if (rc < 0)
    return rc;
  repository->artifact_count = stmt_i64(&stmt, 0);
  repository->size_bytes = stmt_i64(&stmt, 1);
  repository->last_pushed_at_us = stmt_i64(&stmt, 2);
  repository->tag_count = stmt_i64(&stmt, 3);
  return 0;
}

static int read_repository(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  *(struct repository *)out = (struct repository){
      .id = stmt_i64(stmt, 0),
      .project_id = stmt_i64(stmt, 1),
      .name = stmt_text(stmt, 2, arena),
      .description = stmt_text(stmt, 3, arena),
      .pull_count = stmt_i64(stmt, 4),
      .created_at_us = stmt_i64(stmt, 5),
      .updated_at_us = stmt_i64(stmt, 6),
  };
  int rc = stmt_copied(stmt, err);
  return rc != 0 ? rc : read_counts(stmt->conn, out, err);
}

int repository_list(struct store_conn *conn, int64_t project_id, const struct query *query, struct arena *arena,
                    struct repository **out, size_t *len, int64_t *total, struct error *err) {
  static const struct query_column columns[] = {
      {"name", "p.name || '/' || r.name", COLUMN_TEXT}, {"repository_id", "r.id", COLUMN_INT},
      {"pull_count", "r.pull_count", COLUMN_INT},       {"creation_time", "r.created_us", COLUMN_TIME},
      {"update_time", "r.updated_us", COLUMN_TIME},
  };
  const struct query_list list = {
      .what = "list repositories",
      .read = read_repository,
      .item_bytes = sizeof(struct repository),
      .select = REPOSITORY_COLUMNS,
      .from = project_id > 0
                  ? "repository r JOIN project p ON p.id = r.project_id WHERE r.project_id = ?1"
                  : "repository r JOIN project p ON p.id = r.project_id WHERE p.deleted_us IS NULL AND (?1 = 0 "
                    "OR p.is_public = 1)",
      .columns = columns,
      .columns_len = ARRAY_LEN(columns),
      .default_order = "r.created_us DESC",
      .indexed_key = project_id > 0 ? "name" : NULL,
      .indexed_expr = "r.name",
      .tie = "r.id DESC",
      .fixed = {project_id},
      .fixed_len = 1,
  };
  void *rows;
  int rc = query_sql_list(conn, &list, query, arena, &rows, len, total, err);

  *out = rows;
  return rc;
}

int repository_get(struct store_conn *conn, int64_t project_id, struct str name, struct arena *arena,
                   struct repository *out, struct error *err) {
  static const char sql[] =
      "SELECT " REPOSITORY_COLUMNS " FROM project p LEFT JOIN repository r ON r.project_id = p.id AND "
      "r.name = ?2 WHERE p.id = ?1";
  static const char project[] = "SELECT name FROM project WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, project_id);
  stmt_bind_text(&stmt, 2, name);
  rc = stmt_step(&stmt, "read a repository", err);
  if (rc < 0)
    return rc;
  if (rc == 1 && !stmt_is_null(&stmt, 0))
    return read_repository(&stmt, arena, out, err);
  stmt_end(&stmt);
  rc = stmt_begin(conn, project, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, project_id);
  rc = stmt_step(&stmt, "read a project", err);
  if (rc < 0)
    return rc;
  struct str shown = rc == 1 ? stmt_view(&stmt, 0) : STR_EMPTY;
  return error_set(err, ERR_NOT_FOUND, "repository %.*s/%.*s not found", STR_ARG(shown), STR_ARG(name));
}

static int read_tag(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  *(struct catalogue_tag *)out = (struct catalogue_tag){
      .id = stmt_i64(stmt, 0),
      .name = stmt_text(stmt, 1, arena),
      .pushed_at_us = stmt_i64(stmt, 2),
      .pulled_at_us = stmt_i64(stmt, 3),
  };
  return stmt_copied(stmt, err);
}

static int read_tags(struct store_conn *conn, struct artifact *artifact, struct arena *arena, struct error *err) {
  static const char sql[] =
      "SELECT id, name, pushed_us, pulled_us FROM tag WHERE artifact_id = ?1 AND removed_us IS NULL "
      "ORDER BY id";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  void *rows;
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, artifact->id);
  rc = rows_read(&stmt, "read the tags of an artifact", read_tag, sizeof(struct catalogue_tag), arena, &rows,
                 &artifact->tags_len, err);
  artifact->tags = rows;
  return rc;
}

static int read_artifact(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  *(struct artifact *)out = (struct artifact){
      .id = stmt_i64(stmt, 0),
      .project_id = stmt_i64(stmt, 1),
      .repository_id = stmt_i64(stmt, 2),
      .digest = stmt_text(stmt, 3, arena),
      .media_type = stmt_text(stmt, 4, arena),
      .platform = stmt_text(stmt, 5, arena),
      .kind = (enum artifact_kind)stmt_i64(stmt, 6),
      .size_bytes = stmt_i64(stmt, 7),
      .pushed_at_us = stmt_i64(stmt, 8),
      .pulled_at_us = stmt_i64(stmt, 9),
  };
  int rc = stmt_copied(stmt, err);
  return rc != 0 ? rc : read_tags(stmt->conn, out, arena, err);
}

int artifact_list(struct store_conn *conn, int64_t repository_id, const struct query *query, struct arena *arena,
                  struct artifact **out, size_t *len, int64_t *total, struct error *err) {
  static const struct query_column columns[] = {
      {"id", "a.id", COLUMN_INT},
      {"digest", "a.digest", COLUMN_TEXT},
      {"media_type", "a.media_type", COLUMN_TEXT},
      {"size", "a.size_bytes", COLUMN_INT},
      {"push_time", "a.pushed_us", COLUMN_TIME},
      {"pull_time", "a.pulled_us", COLUMN_TIME},
      {"type", "CASE a.kind WHEN 3 THEN 'CHART' WHEN 5 THEN 'SBOM' ELSE 'IMAGE' END", COLUMN_TEXT},
  };
  const struct query_list list = {
      .what = "list artifacts",
      .read = read_artifact,
      .item_bytes = sizeof(struct artifact),
      .select = ARTIFACT_COLUMNS,
      .from = "artifact a JOIN repository r ON r.id = a.repository_id WHERE a.repository_id = ?1",
      .columns = columns,
      .columns_len = ARRAY_LEN(columns),
      .default_order = "a.pushed_us DESC",
      .tie = "a.id DESC",
      .fixed = {repository_id},
      .fixed_len = 1,
  };
  void *rows;
  int rc = query_sql_list(conn, &list, query, arena, &rows, len, total, err);

  *out = rows;
  return rc;
}

int artifact_get(struct store_conn *conn, int64_t repository_id, struct str reference, struct arena *arena,
                 struct artifact *out, struct error *err) {
  static const char by_digest[] =
      "SELECT " ARTIFACT_COLUMNS " FROM artifact a JOIN repository r ON r.id = a.repository_id "
      "WHERE a.repository_id = ?1 AND a.digest = ?2";
  static const char by_tag[] = "SELECT " ARTIFACT_COLUMNS " FROM tag g JOIN artifact a ON a.id = g.artifact_id JOIN "
                               "repository r ON r.id = a.repository_id WHERE g.repository_id = ?1 AND g.name = ?2 AND "
                               "g.removed_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, event_is_digest(reference) ? by_digest : by_tag, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, repository_id);
  stmt_bind_text(&stmt, 2, reference);
  rc = stmt_step(&stmt, "read an artifact", err);
  if (rc <= 0)
    return rc < 0 ? rc : error_set(err, ERR_NOT_FOUND, "artifact %.*s not found", STR_ARG(reference));
  return read_artifact(&stmt, arena, out, err);
}

int tag_list(struct store_conn *conn, int64_t repository_id, int64_t artifact_id, const struct query *query,
             struct arena *arena, struct catalogue_tag **out, size_t *len, int64_t *total, struct error *err) {
  static const struct query_column columns[] = {
      {"id", "g.id", COLUMN_INT},
      {"name", "g.name", COLUMN_TEXT},
      {"push_time", "g.pushed_us", COLUMN_TIME},
      {"pull_time", "g.pulled_us", COLUMN_TIME},
  };
  const struct query_list list = {
      .what = "list tags",
      .read = read_tag,
      .item_bytes = sizeof(struct catalogue_tag),
      .select = "g.id, g.name, g.pushed_us, g.pulled_us",
      .from = artifact_id != 0 ? "tag g WHERE g.artifact_id = ?2 AND +g.repository_id = ?1 AND g.removed_us IS NULL"
                               : "tag g WHERE g.repository_id = ?1 AND ?2 = 0 AND g.removed_us IS NULL",
      .columns = columns,
      .columns_len = ARRAY_LEN(columns),
      .default_order = "g.pushed_us DESC",
      .tie = "g.id DESC",
      .fixed = {repository_id, artifact_id},
      .fixed_len = 2,
  };
  void *rows;
  int rc = query_sql_list(conn, &list, query, arena, &rows, len, total, err);

  *out = rows;
  return rc;
}

static int read_facts(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  *(struct artifact_facts *)out = (struct artifact_facts){
      .project = stmt_text(stmt, 0, arena),
      .repository = stmt_text(stmt, 1, arena),
      .digest = stmt_text(stmt, 2, arena),
      .media_type = stmt_text(stmt, 3, arena),
      .platform = stmt_text(stmt, 4, arena),
      .kind = (enum artifact_kind)stmt_i64(stmt, 5),
      .size_bytes = stmt_i64(stmt, 6),
      .id = stmt_i64(stmt, 7),
  };
  return stmt_copied(stmt, err);
}

int catalogue_incomplete(struct store_conn *conn, int64_t after_id, int64_t limit, struct arena *arena,
                         struct artifact_facts **out, size_t *len, struct error *err) {
  static const char sql[] =
      "SELECT p.name, r.name, a.digest, a.media_type, a.platform, a.kind, a.size_bytes, a.id FROM artifact a "
      "JOIN repository r ON r.id = a.repository_id JOIN project p ON p.id = r.project_id WHERE "
      "a.incomplete = 1 AND a.id > ?2 ORDER BY a.id LIMIT ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  void *rows;
  int rc = stmt_begin(conn, sql, &stmt, err);

  *out = NULL;
  *len = 0;
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, limit);
  stmt_bind_i64(&stmt, 2, after_id);
  rc = rows_read(&stmt, "list artifacts without facts", read_facts, sizeof(**out), arena, &rows, len, err);
  *out = rows;
  return rc;
}
