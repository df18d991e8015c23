// SPDX-License-Identifier: Apache-2.0
// The catalogue beside the registry: names for a walk, and what it found put right. Each repair holds only while the row is
// what it was when the registry was asked: an event that came meanwhile knows better.
#include "store/catalogue.h"
#include "store/sqlite/catalogue_changes.h"
#include "store/sqlite/known.h"
#include "store/sqlite/state.h"

#define OF_PROJECT " FROM repository r JOIN project p ON p.id = r.project_id WHERE p.deleted_us IS NULL"

static int read_name(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  *(struct catalogue_name *)out = (struct catalogue_name){
      .id = stmt_i64(stmt, 0), .project = stmt_text(stmt, 1, arena), .name = stmt_text(stmt, 2, arena)};
  return stmt_copied(stmt, err);
}

int catalogue_names_after(struct store_conn *conn, struct str project, int64_t after_id, int64_t limit,
                          struct arena *arena, struct catalogue_name **out, size_t *len, struct error *err) {
  static const char sql[] =
      "SELECT r.id, p.name, r.name" OF_PROJECT " AND r.id > ?1 AND (?2 = '' OR p.name = ?2) ORDER BY r.id LIMIT ?3";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  void *rows;
  int rc = stmt_begin(conn, sql, &stmt, err);

  *out = NULL;
  *len = 0;
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, after_id);
  stmt_bind_text(&stmt, 2, project);
  stmt_bind_i64(&stmt, 3, limit);
  rc = rows_read(&stmt, "list repositories", read_name, sizeof(**out), arena, &rows, len, err);
  *out = rows;
  return rc;
}

static int one_number(struct stmt *stmt, const char *what, int64_t *out, struct error *err) {
  int rc = stmt_step(stmt, what, err);

  *out = rc == 1 ? stmt_i64(stmt, 0) : 0;
  return rc < 0 ? rc : 0;
}

int catalogue_count_after(struct store_conn *conn, struct str project, int64_t after_id, int64_t *count,
                          struct error *err) {
  static const char sql[] = "SELECT count(*)" OF_PROJECT " AND r.id > ?1 AND (?2 = '' OR p.name = ?2)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  *count = 0;
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, after_id);
  stmt_bind_text(&stmt, 2, project);
  return one_number(&stmt, "count repositories", count, err);
}

int catalogue_repository_id(struct store_conn *conn, struct str project, struct str name, int64_t *id,
                            struct error *err) {
  static const char sql[] = "SELECT r.id" OF_PROJECT " AND p.name = ?1 AND r.name = ?2";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  *id = 0;
  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, project);
  stmt_bind_text(&stmt, 2, name);
  return one_number(&stmt, "look a repository up", id, err);
}

// ---- repairs ------------------------------------------------------------------------------------------------------------

static int find_project(struct store_conn *conn, const struct catalogue_repair *repair, int64_t *id,
                        struct error *err) {
  static const char sql[] = "SELECT id FROM project WHERE name = ?1 AND deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  *id = 0;
  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, repair->project);
  rc = one_number(&stmt, "look a project up", id, err);
  if (rc != 0 || *id != 0 || !repair->create_project || repair->kind != REPAIR_SET_TAG ||
      !event_is_project_name(repair->project))
    return rc;
  return catalogue_project_make(conn, repair->project, clock_wall_us(conn->store->clock), id, err);
}

// A delete touches its repository: what was asked before it may be gone.
static int deleted_since(struct store_conn *conn, int64_t repository_id, int64_t asked_us, int64_t *since,
                         struct error *err) {
  static const char sql[] = "SELECT updated_us > created_us AND updated_us >= ?2 FROM repository WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  *since = 0;
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, repository_id);
  stmt_bind_i64(&stmt, 2, asked_us);
  return one_number(&stmt, "look a repository up", since, err);
}

// Is the tag what it was? ?3 empty: it was not there.
static int tag_is_as_known(struct store_conn *conn, int64_t repository_id, const struct catalogue_repair *repair,
                           int64_t *as_known, struct error *err) {
  static const char sql[] =
      "SELECT CASE WHEN ?3 = '' THEN NOT EXISTS (SELECT 1 FROM tag WHERE repository_id = ?1 AND name = ?2 AND "
      "removed_us IS NULL) ELSE EXISTS (SELECT 1 FROM tag g JOIN artifact a ON a.id = g.artifact_id WHERE "
      "g.repository_id = ?1 AND g.name = ?2 AND g.removed_us IS NULL AND a.digest = ?3 AND g.pushed_us = ?4) END";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  *as_known = 0;
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, repository_id);
  stmt_bind_text(&stmt, 2, repair->tag);
  stmt_bind_text(&stmt, 3, repair->known_digest);
  stmt_bind_i64(&stmt, 4, repair->known_pushed_us);
  return one_number(&stmt, "look a tag up", as_known, err);
}

// As a push does it; `incomplete` rows get their facts from the registry later.
static int set_tag(struct store_conn *conn, int64_t project_id, struct catalogue_repair *repair, struct error *err) {
  struct event_artifact artifact = {.digest = repair->digest,
                                    .media_type = STR_EMPTY,
                                    .platform = STR_EMPTY,
                                    .size_bytes = -1,
                                    .tags = &repair->tag,
                                    .tags_len = 1};
  const struct event event = {
      .occurred_at_us = clock_wall_us(conn->store->clock), .artifacts = &artifact, .artifacts_len = 1};
  struct catalogue_place place;
  int64_t deleted = 0, as_known = 0;
  int rc = catalogue_place(conn, project_id, repair->repository, true, &place, err);

  if (rc == 0)
    rc = deleted_since(conn, place.repository_id, repair->asked_us, &deleted, err);
  if (rc == 0)
    rc = tag_is_as_known(conn, place.repository_id, repair, &as_known, err);
  if (rc != 0)
    return rc;
  repair->outcome = !deleted && as_known ? REPAIR_DONE : REPAIR_CHANGED;
  return repair->outcome == REPAIR_DONE ? catalogue_push(conn, &place, &event, err) : 0;
}

static int drop(struct store_conn *conn, const char *sql, int64_t repository_id, struct catalogue_repair *repair,
                struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, repository_id);
  stmt_bind_text(&stmt, 2, repair->kind == REPAIR_DROP_TAG ? repair->tag : repair->digest);
  stmt_bind_text(&stmt, 3, repair->known_digest);
  stmt_bind_i64(&stmt, 4, repair->known_pushed_us);
  rc = stmt_run(&stmt, "repair the catalogue", err);
  if (rc == 0)
    repair->outcome = stmt_changes(&stmt) > 0 ? REPAIR_DONE : REPAIR_CHANGED;
  return rc;
}

int catalogue_repair(struct store_conn *conn, struct catalogue_repair *repair, struct error *err) {
  static const char tag[] = "DELETE FROM tag WHERE repository_id = ?1 AND name = ?2 AND removed_us IS NULL AND "
                            "pushed_us = ?4 AND artifact_id = (SELECT id FROM artifact WHERE repository_id = ?1 AND "
                            "digest = ?3)";
  static const char hidden[] = "DELETE FROM tag WHERE ?3 = ?3 AND ?4 = ?4 AND removed_us IS NOT NULL AND artifact_id = "
                               "(SELECT id FROM artifact WHERE repository_id = ?1 AND digest = ?2)";
  static const char artifact[] =
      "DELETE FROM artifact WHERE repository_id = ?1 AND digest = ?2 AND ?3 = ?3 AND pushed_us = ?4 AND NOT EXISTS "
      "(SELECT 1 FROM tag WHERE artifact_id = artifact.id AND removed_us IS NULL)";
  static const char repository[] =
      "DELETE FROM repository WHERE id = ?1 AND ?2 = ?2 AND ?3 = ?3 AND ?4 = ?4 AND NOT EXISTS (SELECT 1 FROM artifact "
      "WHERE repository_id = ?1) AND NOT EXISTS (SELECT 1 FROM tag WHERE repository_id = ?1)";
  struct catalogue_place place;
  int64_t project_id;
  int rc = find_project(conn, repair, &project_id, err);

  repair->outcome = project_id == 0 && repair->kind == REPAIR_SET_TAG ? REPAIR_NO_PROJECT : REPAIR_CHANGED;
  if (rc != 0 || project_id == 0)
    return rc;
  if (repair->kind == REPAIR_SET_TAG)
    return set_tag(conn, project_id, repair, err);
  rc = catalogue_place(conn, project_id, repair->repository, false, &place, err);
  if (rc != 0 || place.repository_id == 0)
    return rc;
  if (repair->kind == REPAIR_DROP_TAG)
    return drop(conn, tag, place.repository_id, repair, err);
  if (repair->kind == REPAIR_DROP_REPOSITORY) {
    known_forget_repositories(conn);
    return drop(conn, repository, place.repository_id, repair, err);
  }
  rc = drop(conn, hidden, place.repository_id, repair, err); // tags out of sight, which would be nobody's
  return rc == 0 ? drop(conn, artifact, place.repository_id, repair, err) : rc;
}
