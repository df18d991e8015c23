// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/catalogue_changes.h"

#include "store/catalogue.h"
#include "store/sqlite/known.h"
#include "store/sqlite/state.h"

int catalogue_project_make(struct store_conn *conn, struct str name, int64_t at_us, int64_t *id, struct error *err) {
  static const char sql[] =
      "INSERT INTO project (name, owner_id, owner_name, is_public, metadata, storage_limit, created_us, updated_us) "
      "VALUES (?1, coalesce((SELECT id FROM user WHERE id = 1), 0), coalesce((SELECT name FROM user WHERE id = 1), "
      "''), 0, "
      "'{}', -1, ?2, ?2)";
  CLEANUP(stmt_end) struct stmt stmt = {0};

  if (!event_is_project_name(name))
    return error_set(err, ERR_INVALID, "\"%.*s\" cannot be the name of a project", STR_ARG(name));
  int rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, name);
  stmt_bind_i64(&stmt, 2, at_us);
  rc = stmt_run(&stmt, "make a project for an event", err);
  *id = sqlite3_last_insert_rowid(conn->db);
  return rc;
}

static int place_find(struct store_conn *conn, struct str repository, struct catalogue_place *out, struct error *err) {
  static const char sql[] = "SELECT id, created_us FROM repository WHERE project_id = ?1 AND name = ?2";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, out->project_id);
  stmt_bind_text(&stmt, 2, repository);
  rc = stmt_step(&stmt, "look a repository up", err);
  if (rc == 1) {
    out->repository_id = stmt_i64(&stmt, 0);
    out->repository_created_us = stmt_i64(&stmt, 1);
  }
  return rc < 0 ? rc : 0;
}

static int place_make(struct store_conn *conn, struct str repository, struct catalogue_place *out, struct error *err) {
  static const char sql[] = "INSERT INTO repository (project_id, name, created_us, updated_us) VALUES (?1, ?2, ?3, ?3)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  out->repository_created_us = clock_wall_us(conn->store->clock);
  stmt_bind_i64(&stmt, 1, out->project_id);
  stmt_bind_text(&stmt, 2, repository);
  stmt_bind_i64(&stmt, 3, out->repository_created_us);
  rc = stmt_run(&stmt, "insert a repository", err);
  out->repository_id = sqlite3_last_insert_rowid(conn->db);
  return rc;
}

int catalogue_place(struct store_conn *conn, int64_t project_id, struct str repository, bool create,
                    struct catalogue_place *out, struct error *err) {
  *out = (struct catalogue_place){.project_id = project_id};
  if (repository.len == 0)
    return 0;
  const struct known_repository *known = known_repository(conn, project_id, repository);
  if (known) {
    out->repository_id = known->id;
    out->repository_created_us = known->created_us;
    return 0;
  }
  int rc = place_find(conn, repository, out, err);
  bool is_new = rc == 0 && out->repository_id == 0 && create;
  if (is_new)
    rc = place_make(conn, repository, out, err);
  if (rc == 0 && out->repository_id != 0)
    known_add_repository(conn, project_id, repository, out->repository_id, out->repository_created_us, is_new);
  return rc;
}

static void bind_artifact(struct stmt *stmt, int64_t id, const struct event_artifact *artifact, int64_t at_us) {
  stmt_bind_i64(stmt, 1, id);
  stmt_bind_text(stmt, 2, artifact->digest);
  stmt_bind_text(stmt, 3, artifact->media_type);
  stmt_bind_text(stmt, 4, artifact->platform);
  stmt_bind_i64(stmt, 5, (int64_t)artifact->kind);
  stmt_bind_i64(stmt, 6, artifact->size_bytes);
  stmt_bind_i64(stmt, 7, at_us);
}

// *id 0: it is there already. `incomplete`: the size, the media type or, of an image, the platform is not known.
static int artifact_insert(struct store_conn *conn, int64_t repository_id, const struct event_artifact *artifact,
                           int64_t at_us, int64_t *id, struct error *err) {
  static const char sql[] =
      "INSERT INTO artifact (repository_id, digest, media_type, platform, kind, size_bytes, pushed_us, incomplete) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6 < 0 OR ?3 = '' OR (?4 = '' AND ?5 <= ?8)) "
      "ON CONFLICT DO NOTHING";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  bind_artifact(&stmt, repository_id, artifact, at_us);
  stmt_bind_i64(&stmt, 8, (int64_t)ARTIFACT_IMAGE);
  rc = stmt_run(&stmt, "insert an artifact", err);
  *id = stmt_changes(&stmt) > 0 ? sqlite3_last_insert_rowid(conn->db) : 0;
  return rc;
}

// Facts that are given replace what is known; what is not given keeps it.
static int artifact_update(struct store_conn *conn, int64_t id, const struct event_artifact *artifact, int64_t at_us,
                           struct error *err) {
  static const char sql[] = "UPDATE artifact SET media_type = CASE WHEN ?3 <> '' THEN ?3 ELSE media_type END, "
                            "platform = CASE WHEN ?4 <> '' THEN ?4 ELSE platform END, "
                            "kind = CASE WHEN ?5 <> 0 THEN ?5 ELSE kind END, "
                            "size_bytes = CASE WHEN ?6 >= 0 THEN ?6 ELSE size_bytes END, "
                            "pushed_us = max(pushed_us, ?7) WHERE id = ?1 AND digest = ?2";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  bind_artifact(&stmt, id, artifact, at_us);
  return stmt_run(&stmt, "update an artifact", err);
}

// New ones are the many: tried first. (An upsert with RETURNING costs twice as much as the two together.)
static int artifact_upsert(struct store_conn *conn, const struct catalogue_place *place,
                           const struct event_artifact *artifact, int64_t at_us, int64_t *id, struct error *err) {
  static const char sql[] = "SELECT id FROM artifact WHERE repository_id = ?1 AND digest = ?2";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = artifact_insert(conn, place->repository_id, artifact, at_us, id, err);

  if (rc != 0 || *id != 0)
    return rc;
  rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, place->repository_id);
  stmt_bind_text(&stmt, 2, artifact->digest);
  rc = stmt_step(&stmt, "look an artifact up", err);
  if (rc < 0)
    return rc;
  *id = rc == 1 ? stmt_i64(&stmt, 0) : 0;
  stmt_reset(&stmt); // an open cursor on the row would make the change a copy
  return artifact_update(conn, *id, artifact, at_us, err);
}

static int tag_upsert(struct store_conn *conn, const struct catalogue_place *place, int64_t artifact_id,
                      struct str name, int64_t at_us, struct error *err) {
  static const char sql[] = "INSERT INTO tag (repository_id, artifact_id, name, pushed_us) VALUES (?1, ?2, ?3, ?4) "
                            "ON CONFLICT (repository_id, name) DO UPDATE SET artifact_id = excluded.artifact_id, "
                            "pushed_us = excluded.pushed_us, removed_us = NULL, removed_request = NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, place->repository_id);
  stmt_bind_i64(&stmt, 2, artifact_id);
  stmt_bind_text(&stmt, 3, name);
  stmt_bind_i64(&stmt, 4, at_us);
  return stmt_run(&stmt, "set a tag", err);
}

int catalogue_push(struct store_conn *conn, const struct catalogue_place *place, const struct event *event,
                   struct error *err) {
  int rc = 0;

  if (place->repository_id == 0)
    return 0;
  for (size_t i = 0; rc == 0 && i < event->artifacts_len; i++) {
    const struct event_artifact *artifact = &event->artifacts[i];
    int64_t id = 0;
    if (artifact->digest.len == 0)
      continue; // a tag of we do not know what
    rc = artifact_upsert(conn, place, artifact, event->occurred_at_us, &id, err);
    for (size_t k = 0; rc == 0 && k < artifact->tags_len; k++)
      rc = tag_upsert(conn, place, id, artifact->tags[k], event->occurred_at_us, err);
  }
  return rc;
}

static int touch(struct store_conn *conn, const char *sql, int64_t repository_id, struct str key, int64_t at_us,
                 struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, repository_id);
  stmt_bind_text(&stmt, 2, key);
  stmt_bind_i64(&stmt, 3, at_us);
  return stmt_run(&stmt, "note a pull", err);
}

int catalogue_pull(struct store_conn *conn, const struct catalogue_place *place, const struct event *event,
                   struct error *err) {
  static const char repository[] =
      "UPDATE repository SET pull_count = pull_count + 1 WHERE id = ?1 AND ?2 = '' AND ?3 > 0";
  static const char artifact[] =
      "UPDATE artifact SET pulled_us = max(pulled_us, ?3) WHERE repository_id = ?1 AND digest = ?2";
  static const char tag[] = "UPDATE tag SET pulled_us = max(pulled_us, ?3) WHERE repository_id = ?1 AND name = ?2";

  if (place->repository_id == 0)
    return 0;
  int64_t at_us = event->occurred_at_us > 0 ? event->occurred_at_us : 1;
  int rc = touch(conn, repository, place->repository_id, STR_EMPTY, at_us, err);
  for (size_t i = 0; rc == 0 && i < event->artifacts_len; i++) {
    const struct event_artifact *pulled = &event->artifacts[i];
    if (pulled->digest.len)
      rc = touch(conn, artifact, place->repository_id, pulled->digest, at_us, err);
    for (size_t k = 0; rc == 0 && k < pulled->tags_len; k++)
      rc = touch(conn, tag, place->repository_id, pulled->tags[k], at_us, err);
  }
  return rc;
}

static int enrich_tags(struct store_conn *conn, int64_t artifact_id, struct str request_id,
                       struct event_artifact *artifact, struct arena *arena, struct error *err) {
  static const char sql[] = "SELECT name FROM tag WHERE artifact_id = ?1 AND (removed_us IS NULL OR "
                            "(removed_request = ?2 AND ?2 <> '')) ORDER BY id LIMIT ?3";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  artifact->tags = arena_array(arena, EVENT_MAX_TAGS, sizeof(*artifact->tags));
  if (!artifact->tags)
    return rows_no_memory(err);
  stmt_bind_i64(&stmt, 1, artifact_id);
  stmt_bind_text(&stmt, 2, request_id);
  stmt_bind_i64(&stmt, 3, EVENT_MAX_TAGS);
  while ((rc = stmt_step(&stmt, "read the tags of an artifact", err)) == 1)
    artifact->tags[artifact->tags_len++] = stmt_text(&stmt, 0, arena);
  return rc;
}

static int enrich_artifact(struct store_conn *conn, const struct catalogue_place *place, struct str request_id,
                           struct event_artifact *artifact, struct arena *arena, struct error *err) {
  static const char sql[] =
      "SELECT id, media_type, platform, kind, size_bytes FROM artifact WHERE repository_id = ?1 AND "
      "digest = ?2";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, place->repository_id);
  stmt_bind_text(&stmt, 2, artifact->digest);
  rc = stmt_step(&stmt, "look an artifact up", err);
  if (rc != 1)
    return rc; // unknown: the event has the digest alone
  if (artifact->media_type.len == 0)
    artifact->media_type = stmt_text(&stmt, 1, arena);
  if (artifact->platform.len == 0)
    artifact->platform = stmt_text(&stmt, 2, arena);
  if (artifact->kind == ARTIFACT_UNKNOWN)
    artifact->kind = (enum artifact_kind)stmt_i64(&stmt, 3);
  if (artifact->size_bytes < 0)
    artifact->size_bytes = stmt_i64(&stmt, 4);
  rc = stmt_copied(&stmt, err);
  if (rc == 0 && artifact->tags_len == 0)
    rc = enrich_tags(conn, stmt_i64(&stmt, 0), request_id, artifact, arena, err);
  return rc;
}

int catalogue_enrich(struct store_conn *conn, const struct catalogue_place *place, struct event *event,
                     struct arena *arena, struct error *err) {
  if (place->repository_id == 0 || event->artifacts_len == 0)
    return 0;
  // The artifacts are the caller's: `apply` may run again, so a copy is what grows.
  struct event_artifact *copy = arena_array(arena, event->artifacts_len, sizeof(*copy));
  if (!copy)
    return rows_no_memory(err);
  memcpy(copy, event->artifacts, event->artifacts_len * sizeof(*copy));
  event->artifacts = copy;
  for (size_t i = 0; i < event->artifacts_len; i++) {
    if (copy[i].digest.len == 0)
      continue;
    int rc = enrich_artifact(conn, place, event->client.request_id, &copy[i], arena, err);
    if (rc != 0)
      return rc;
  }
  return 0;
}

int catalogue_delete(struct store_conn *conn, const struct catalogue_place *place, const struct event *event,
                     struct error *err) {
  static const char tags[] =
      "DELETE FROM tag WHERE artifact_id = (SELECT id FROM artifact WHERE repository_id = ?1 AND "
      "digest = ?2) AND ?3 = ?3";
  static const char artifact[] = "DELETE FROM artifact WHERE repository_id = ?1 AND digest = ?2 AND ?3 = ?3";
  static const char repository[] = "UPDATE repository SET updated_us = max(updated_us, ?3) WHERE id = ?1 AND ?2 = ''";
  int rc = 0;

  if (place->repository_id == 0)
    return 0;
  for (size_t i = 0; rc == 0 && i < event->artifacts_len; i++) {
    if (event->artifacts[i].digest.len == 0)
      continue;
    rc = touch(conn, tags, place->repository_id, event->artifacts[i].digest, 0, err);
    if (rc == 0)
      rc = touch(conn, artifact, place->repository_id, event->artifacts[i].digest, 0, err);
  }
  // By our clock at the commit, not the event's time: a sync that asked the registry before it knows less (catalogue_repair.c).
  return rc != 0 ? rc
                 : touch(conn, repository, place->repository_id, STR_EMPTY, clock_wall_us(conn->store->clock), err);
}

static int touch_repository(struct store_conn *conn, struct str project, struct str repository, struct error *err) {
  static const char sql[] = "UPDATE repository SET updated_us = max(updated_us, ?1) WHERE name = ?3 AND project_id = "
                            "(SELECT id FROM project WHERE name = ?2 AND deleted_us IS NULL)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, clock_wall_us(conn->store->clock));
  stmt_bind_text(&stmt, 2, project);
  stmt_bind_text(&stmt, 3, repository);
  return stmt_run(&stmt, "note that a tag went", err);
}

int catalogue_tag_removed(struct store_conn *conn, struct str project, struct str repository, struct str tag,
                          struct str request_id, struct error *err) {
  static const char sql[] =
      "UPDATE tag SET removed_us = ?1, removed_request = ?2 WHERE name = ?3 AND removed_us IS NULL AND repository_id = "
      "(SELECT r.id FROM repository r JOIN project p ON p.id = r.project_id WHERE p.name = ?4 AND p.deleted_us IS NULL "
      "AND r.name = ?5)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, clock_wall_us(conn->store->clock));
  stmt_bind_text(&stmt, 2, request_id);
  stmt_bind_text(&stmt, 3, tag);
  stmt_bind_text(&stmt, 4, project);
  stmt_bind_text(&stmt, 5, repository);
  rc = stmt_run(&stmt, "put a tag out of sight", err);
  return rc == 0 ? touch_repository(conn, project, repository, err) : rc;
}

int catalogue_complete(struct store_conn *conn, const struct artifact_facts *facts, struct error *err) {
  // Asked once: what the upstream does not know it will not know the next time.
  static const char sql[] =
      "UPDATE artifact SET incomplete = 0, media_type = CASE WHEN media_type = '' THEN ?1 ELSE media_type END, "
      "platform = CASE WHEN platform = '' THEN ?2 ELSE platform END, kind = CASE WHEN kind = 0 THEN ?3 ELSE kind END, "
      "size_bytes = CASE WHEN size_bytes < 0 THEN ?4 ELSE size_bytes END WHERE digest = ?5 AND repository_id = "
      "(SELECT r.id FROM repository r JOIN project p ON p.id = r.project_id WHERE p.name = ?6 AND p.deleted_us IS NULL "
      "AND r.name = ?7)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, facts->media_type);
  stmt_bind_text(&stmt, 2, facts->platform);
  stmt_bind_i64(&stmt, 3, (int64_t)facts->kind);
  stmt_bind_i64(&stmt, 4, facts->size_bytes);
  stmt_bind_text(&stmt, 5, facts->digest);
  stmt_bind_text(&stmt, 6, facts->project);
  stmt_bind_text(&stmt, 7, facts->repository);
  return stmt_run(&stmt, "complete an artifact", err);
}
