// SPDX-License-Identifier: Apache-2.0
#include "store/projects.h"

#include "store/sqlite/changes.h"
#include "store/sqlite/known.h"
#include "store/sqlite/policy_rows.h"
#include "store/sqlite/query_sql.h"
#include "store/sqlite/state.h"

#define PROJECT_COLUMNS \
  "p.id, p.name, p.owner_id, p.owner_name, p.is_public, p.metadata, p.storage_limit, p.created_us, p.updated_us"

// For the rows of a page only: as a column it would be counted for each row that is sorted.
static int count_repositories(struct store_conn *conn, struct project *project, struct error *err) {
  static const char sql[] = "SELECT count(*) FROM repository WHERE project_id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, project->id);
  rc = stmt_step(&stmt, "count the repositories of a project", err);
  if (rc < 0)
    return rc;
  project->repo_count = stmt_i64(&stmt, 0);
  return 0;
}

static int read_project(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  *(struct project *)out = (struct project){
      .id = stmt_i64(stmt, 0),
      .name = stmt_text(stmt, 1, arena),
      .owner_id = stmt_i64(stmt, 2),
      .owner_name = stmt_text(stmt, 3, arena),
      .is_public = stmt_bool(stmt, 4),
      .metadata = stmt_text(stmt, 5, arena),
      .storage_limit = stmt_i64(stmt, 6),
      .created_at_us = stmt_i64(stmt, 7),
      .updated_at_us = stmt_i64(stmt, 8),
  };
  int rc = stmt_copied(stmt, err);
  return rc != 0 ? rc : count_repositories(stmt->conn, out, err);
}

int project_create(struct store_conn *conn, struct project *project, struct error *err) {
  static const char sql[] = "INSERT INTO project (name, owner_id, owner_name, is_public, metadata, storage_limit, "
                            "created_us, updated_us) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7 WHERE NOT EXISTS "
                            "(SELECT 1 FROM project WHERE name = ?1 AND deleted_us IS NULL)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  project->created_at_us = project->updated_at_us = clock_wall_us(conn->store->clock);
  stmt_bind_text(&stmt, 1, project->name);
  stmt_bind_i64(&stmt, 2, project->owner_id);
  stmt_bind_text(&stmt, 3, project->owner_name);
  stmt_bind_i64(&stmt, 4, project->is_public);
  stmt_bind_text(&stmt, 5, project->metadata.len ? project->metadata : STR("{}"));
  stmt_bind_i64(&stmt, 6, project->storage_limit);
  stmt_bind_i64(&stmt, 7, project->created_at_us);
  rc = stmt_run(&stmt, "insert a project", err);
  if (rc == 0 && stmt_changes(&stmt) == 0)
    return error_set(err, ERR_CONFLICT, "The project named %.*s already exists", STR_ARG(project->name));
  if (rc == 0)
    project->id = sqlite3_last_insert_rowid(conn->db);
  return rc;
}

static int not_found(int64_t id, struct error *err) {
  return error_set(err, ERR_NOT_FOUND, "project %lld not found", (long long)id);
}

int project_update(struct store_conn *conn, const struct project *project, struct error *err) {
  static const char sql[] =
      "UPDATE project SET is_public = ?2, metadata = ?3, storage_limit = ?4, updated_us = ?5 WHERE "
      "id = ?1 AND deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = known_forget_projects(conn, err);

  if (rc == 0)
    rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, project->id);
  stmt_bind_i64(&stmt, 2, project->is_public);
  stmt_bind_text(&stmt, 3, project->metadata.len ? project->metadata : STR("{}"));
  stmt_bind_i64(&stmt, 4, project->storage_limit);
  stmt_bind_i64(&stmt, 5, clock_wall_us(conn->store->clock));
  rc = stmt_run(&stmt, "update a project", err);
  return rc == 0 && stmt_changes(&stmt) == 0 ? not_found(project->id, err) : rc;
}

int project_get(struct store_conn *conn, int64_t id, struct arena *arena, struct project *out, struct error *err) {
  static const char sql[] = "SELECT " PROJECT_COLUMNS " FROM project p WHERE p.id = ?1 AND p.deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  rc = stmt_step(&stmt, "read a project", err);
  if (rc <= 0)
    return rc < 0 ? rc : not_found(id, err);
  return read_project(&stmt, arena, out, err);
}

int project_get_by_name(struct store_conn *conn, struct str name, struct arena *arena, struct project *out,
                        struct error *err) {
  static const char sql[] = "SELECT " PROJECT_COLUMNS " FROM project p WHERE p.name = ?1 AND p.deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, name);
  rc = stmt_step(&stmt, "read a project", err);
  if (rc <= 0)
    return rc < 0 ? rc : error_set(err, ERR_NOT_FOUND, "project %.*s not found", STR_ARG(name));
  return read_project(&stmt, arena, out, err);
}

// The living targets of a project: what its deletion cancels. At most POLICY_ROWS_MAX_PER_PROJECT policies of 32 each.
static int targets_of(struct store_conn *conn, int64_t id, struct arena *arena, int64_t **targets, size_t *len,
                      struct error *err) {
  static const char sql[] = "SELECT t.id FROM policy p JOIN target t ON t.policy_id = p.id WHERE p.project_id = ?1 AND "
                            "p.deleted_us IS NULL AND t.deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  size_t cap = 0;
  int rc = stmt_begin(conn, sql, &stmt, err);

  *targets = NULL;
  *len = 0;
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  while ((rc = stmt_step(&stmt, "read the targets of a project", err)) == 1) {
    *targets = rows_grow(arena, *targets, *len, &cap, sizeof(int64_t));
    if (!*targets)
      return rows_no_memory(err);
    (*targets)[(*len)++] = stmt_i64(&stmt, 0);
  }
  return rc;
}

static int mark_deleted(struct store_conn *conn, const char *sql, int64_t id, struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  stmt_bind_i64(&stmt, 2, clock_wall_us(conn->store->clock));
  return stmt_run(&stmt, "delete a project", err);
}

int project_delete(struct store_conn *conn, int64_t id, struct arena *arena, int64_t **targets, size_t *targets_len,
                   struct error *err) {
  static const char project[] = "UPDATE project SET deleted_us = ?2 WHERE id = ?1";
  static const char policies[] =
      "UPDATE policy SET deleted_us = ?2, enabled = 0 WHERE project_id = ?1 AND deleted_us IS NULL";
  struct project old;
  int rc = project_get(conn, id, arena, &old, err);

  if (rc != 0)
    return rc;
  if (old.repo_count > 0)
    return error_set(err, ERR_PRECONDITION, "the project contains repositories, can not be deleted");
  rc = known_forget_projects(conn, err);
  if (rc == 0)
    rc = targets_of(conn, id, arena, targets, targets_len, err);
  if (rc == 0)
    rc = targets_cancel(conn, *targets, *targets_len, true, err);
  if (rc == 0)
    rc = mark_deleted(conn, policies, id, err);
  if (rc == 0)
    rc = mark_deleted(conn, project, id, err);
  if (rc != 0)
    return rc;
  change_policies(conn);
  change_news_of_project(conn, id);
  return 0;
}

int project_list(struct store_conn *conn, const struct query *query, struct arena *arena, struct project **out,
                 size_t *len, int64_t *total, struct error *err) {
  static const struct query_column columns[] = {
      {"name", "p.name", COLUMN_TEXT},
      {"public", "p.is_public", COLUMN_BOOL},
      {"owner_id", "p.owner_id", COLUMN_INT},
      {"owner_name", "p.owner_name", COLUMN_TEXT},
      {"project_id", "p.id", COLUMN_INT},
      {"creation_time", "p.created_us", COLUMN_TIME},
      {"update_time", "p.updated_us", COLUMN_TIME},
  };
  static const struct query_list list = {
      .what = "list projects",
      .read = read_project,
      .item_bytes = sizeof(struct project),
      .select = PROJECT_COLUMNS,
      .from = "project p WHERE p.deleted_us IS NULL",
      .columns = columns,
      .columns_len = ARRAY_LEN(columns),
      .default_order = "p.name",
      .tie = "p.id",
  };
  void *rows;
  int rc = query_sql_list(conn, &list, query, arena, &rows, len, total, err);

  *out = rows;
  return rc;
}

static int count_by_access(struct store_conn *conn, const char *sql, int64_t counts[static 2], struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  while (rc >= 0 && (rc = stmt_step(&stmt, "count projects", err)) == 1)
    counts[stmt_bool(&stmt, 0)] = stmt_i64(&stmt, 1);
  return rc;
}

int project_count(struct store_conn *conn, struct project_counts *out, struct error *err) {
  static const char projects[] = "SELECT is_public, count(*) FROM project WHERE deleted_us IS NULL GROUP BY is_public";
  static const char repositories[] =
      "SELECT p.is_public, count(*) FROM repository r JOIN project p ON p.id = r.project_id "
      "WHERE p.deleted_us IS NULL GROUP BY p.is_public";

  *out = (struct project_counts){0};
  int rc = count_by_access(conn, projects, out->projects, err);
  return rc < 0 ? rc : count_by_access(conn, repositories, out->repositories, err);
}
