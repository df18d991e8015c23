// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/known.h"

#include <stdlib.h>

#include "store/sqlite/changes.h"

struct known {
  struct known_project projects[KNOWN_PROJECTS]; // name_len 0: a free place
  struct known_repository repositories[KNOWN_REPOSITORIES];
  size_t raised;      // projects whose number is not in the file
  int64_t last_event; // its row; 0: to be read
};

struct known *known_new(void) {
  return calloc(1, sizeof(struct known));
}

void known_free(struct known *known) {
  free(known);
}

// FNV-1a. Names that somebody makes to collide push each other out and cost what they cost before there was a memory.
static size_t place_of(struct str name, int64_t salt, size_t places) {
  uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)salt;

  for (size_t i = 0; i < name.len; i++)
    hash = (hash ^ (unsigned char)name.ptr[i]) * UINT64_C(1099511628211);
  return (size_t)((hash ^ hash >> 32) % places);
}

static int write_seq(struct store_conn *conn, struct known_project *project, struct error *err) {
  static const char sql[] = "UPDATE project SET seq = ?2 WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, project->id);
  stmt_bind_i64(&stmt, 2, project->seq);
  rc = stmt_run(&stmt, "give sequence numbers", err);
  if (rc != 0)
    return rc;
  project->raised = false;
  conn->known->raised--;
  return 0;
}

static int read_project(struct store_conn *conn, struct str name, struct known_project *out, struct error *err) {
  static const char sql[] = "SELECT id, is_public, seq FROM project WHERE name = ?1 AND deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, name);
  rc = stmt_step(&stmt, "look a project up", err);
  if (rc != 1)
    return rc;
  *out = (struct known_project){.id = stmt_i64(&stmt, 0), .is_public = stmt_bool(&stmt, 1), .seq = stmt_i64(&stmt, 2)};
  return 1;
}

int known_project(struct store_conn *conn, struct str name, struct known_project **out, struct error *err) {
  struct known_project *place = &conn->known->projects[place_of(name, 0, KNOWN_PROJECTS)], found;

  *out = NULL;
  if (name.len == 0 || name.len > sizeof(place->name))
    return 0; // the name of none
  if (!str_eq((struct str){place->name, place->name_len}, name)) {
    int rc = place->raised ? write_seq(conn, place, err) : 0;
    if (rc == 0)
      rc = read_project(conn, name, &found, err);
    if (rc != 1)
      return rc;
    found.name_len = name.len;
    memcpy(found.name, name.ptr, name.len);
    *place = found;
    conn->changes->counts.known = true; // the row may be of this transaction
  }
  *out = place;
  return 0;
}

int known_next_event(struct store_conn *conn, int64_t *rowid, struct error *err) {
  static const char sql[] = "SELECT max(id) FROM event";
  struct known *known = conn->known;
  int rc = known->last_event == 0 ? conn_number(conn, sql, 0, &known->last_event, err) : 0;

  conn->changes->counts.known = true;
  *rowid = ++known->last_event;
  return rc;
}

int64_t known_next_seq(struct store_conn *conn, struct known_project *project) {
  if (!project->raised)
    conn->known->raised++;
  project->raised = true;
  conn->changes->counts.known = true;
  return ++project->seq;
}

const struct known_repository *known_repository(const struct store_conn *conn, int64_t project_id, struct str name) {
  const struct known_repository *place = &conn->known->repositories[place_of(name, project_id, KNOWN_REPOSITORIES)];

  return place->project_id == project_id && str_eq((struct str){place->name, place->name_len}, name) ? place : NULL;
}

void known_add_repository(struct store_conn *conn, int64_t project_id, struct str name, int64_t id, int64_t created_us,
                          bool is_new) {
  struct known_repository *place = &conn->known->repositories[place_of(name, project_id, KNOWN_REPOSITORIES)];

  if (is_new)
    conn->changes->counts.known = true;
  if (name.len == 0 || name.len > sizeof(place->name))
    return;
  place->project_id = project_id;
  place->id = id;
  place->created_us = created_us;
  place->name_len = name.len;
  memcpy(place->name, name.ptr, name.len);
}

int known_flush(struct store_conn *conn, struct error *err) {
  struct known *known = conn->known;
  int rc = 0;

  for (size_t i = 0; rc == 0 && known->raised > 0 && i < KNOWN_PROJECTS; i++) {
    if (known->projects[i].raised)
      rc = write_seq(conn, &known->projects[i], err);
  }
  return rc;
}

int known_forget_projects(struct store_conn *conn, struct error *err) {
  int rc = conn->known ? known_flush(conn, err) : 0;

  if (rc == 0 && conn->known)
    memset(conn->known->projects, 0, sizeof(conn->known->projects));
  return rc;
}

void known_forget_repositories(struct store_conn *conn) {
  memset(conn->known->repositories, 0, sizeof(conn->known->repositories));
}

void known_undo(struct known *known) {
  memset(known, 0, sizeof(*known));
}
