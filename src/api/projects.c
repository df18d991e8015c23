// SPDX-License-Identifier: Apache-2.0
// Projects as in Harbor: create, list, get, head, update, delete, summary.
#include "api/changed_fields.h"
#include "api/project_body.h"
#include "api/routes.h"

enum { PROJECTS_MAX_ROWS = 50000 };

static int role_of(const struct api_call *call) {
  return call->identity.authenticated && call->identity.is_admin ? ROLE_PROJECT_ADMIN : 0;
}

// ---- list -----------------------------------------------------------------------------------------------------------

static void add_condition(struct query *query, const char *key, enum query_op op, struct str text) {
  query->conditions[query->conditions_len++] =
      (struct query_condition){.key = str_of(key), .op = op, .values[0] = {.kind = QUERY_TEXT, .text = text}};
}

// The parameters beside `q`, and that everybody but administrators sees public projects only.
static int narrow(struct api_call *call, struct query *query, struct error *err) {
  struct str text;
  struct query_condition *wider = arena_array(call->arena, query->conditions_len + 4, sizeof *wider);
  bool is_public;

  if (!wider)
    return error_set(err, ERR_NO_MEMORY, "out of memory for the query of a list");
  if (query->conditions_len > 0)
    memcpy(wider, query->conditions, query->conditions_len * sizeof *wider);
  query->conditions = wider;
  if (call_query_str(call, "name", &text) && text.len > 0)
    add_condition(query, "name", QUERY_LIKE, text);
  if (call_query_str(call, "owner", &text) && text.len > 0)
    add_condition(query, "owner_name", QUERY_EQ, text);
  if (call_query_str(call, "public", &text) && text.len > 0) {
    int rc = call_query_bool(call, "public", false, &is_public, err);
    if (rc != 0)
      return rc;
    add_condition(query, "public", QUERY_EQ, is_public ? STR("true") : STR("false"));
  }
  if (role_of(call) == 0)
    add_condition(query, "public", QUERY_EQ, STR("true"));
  return 0;
}

int projects_list(struct api_call *call, struct error *err) {
  struct query query;
  struct project *projects;
  size_t len;
  int64_t total;
  int rc = call_list_query(call, PROJECTS_MAX_ROWS, &query, err);

  if (rc == 0)
    rc = narrow(call, &query, err);
  if (rc == 0)
    rc = project_list(call->conn, &query, call->arena, &projects, &len, &total, err);
  if (rc == 0)
    rc = call_page_headers(call, &query, total, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_array_begin(&w);
  for (size_t i = 0; i < len; i++)
    project_body_write(&projects[i], role_of(call), call->arena, &w);
  json_array_end(&w);
  return 0;
}

int projects_head(struct api_call *call, struct error *err) {
  struct str name;
  struct project project;

  if (!call_query_str(call, "project_name", &name) || name.len == 0)
    return error_set(err, ERR_INVALID, "validation failure list:\nproject_name in query is required");
  int rc = call_require_login(call, err);
  return rc != 0 ? rc : project_get_by_name(call->conn, name, call->arena, &project, err);
}

// ---- create ---------------------------------------------------------------------------------------------------------

static int create_apply(struct store_conn *conn, void *ctx, struct error *err) {
  return project_create(conn, ctx, err);
}

// Clients that name projects want the name in Location, in place of the id.
static int location(struct api_call *call, const struct project *project, struct error *err) {
  if (!call_header_bool(call, "X-Resource-Name-In-Location"))
    return call_created(call, project->id, err);
  struct str path = arena_printf(call->arena, "/api/v2.0/projects/%.*s", STR_ARG(project->name));
  if (!path.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for an answer");
  call->status = 201;
  call_header(call, "Location", path);
  return 0;
}

int projects_create(struct api_call *call, struct error *err) {
  struct json_object *body;
  struct project project = {.metadata = STR("{}"), .storage_limit = -1};
  struct error wrong;
  int rc = call_body(call, &body, &wrong);

  if (rc == 0)
    rc = project_body_read(body, true, call->arena, &project, &wrong);
  if ((rc = call_judge(rc, &wrong, call_require(call, AUTH_ADMINISTER, err), err)) != 0)
    return rc;
  project.owner_id = call->identity.user_id;
  project.owner_name = call->identity.name;
  call->changed_in = project.name;
  rc = changed_fields_of_project(NULL, &project, call->arena, &call->changed_fields, err);
  if (rc != 0)
    return rc;
  rc = call_change(call, create_apply, &project, "create", "project", project.name, err);
  return rc == 0 ? location(call, &project, err) : rc;
}

// ---- one project ----------------------------------------------------------------------------------------------------

int projects_get(struct api_call *call, struct error *err) {
  struct project project;
  int rc = call_project(call, 0, AUTH_READ_PUBLIC, &project, err);

  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  project_body_write(&project, role_of(call), call->arena, &w);
  return 0;
}

struct update {
  const struct json_object *body;
  struct api_call *call;
  int64_t id;
};

// Read and merged in the writer, so that two updates at once do not undo each other.
static int update_apply(struct store_conn *conn, void *ctx, struct error *err) {
  const struct update *update = ctx;
  struct arena *arena = update->call->arena;
  struct project old, project;
  int rc = project_get(conn, update->id, arena, &old, err);

  if (rc != 0)
    return rc;
  project = old;
  rc = project_body_read(update->body, false, arena, &project, err);
  if (rc == 0)
    rc = changed_fields_of_project(&old, &project, arena, &update->call->changed_fields, err);
  return rc == 0 ? project_update(conn, &project, err) : rc;
}

int projects_update(struct api_call *call, struct error *err) {
  struct json_object *body;
  struct project project, probe = {.metadata = STR("{}")};
  struct error wrong;
  int rc = call_body(call, &body, &wrong);

  if (rc == 0)
    rc = project_body_read(body, false, call->arena, &probe, &wrong);
  if ((rc = call_judge(rc, &wrong, call_project(call, 0, AUTH_CHANGE_PROJECT, &project, err), err)) != 0)
    return rc;
  struct update update = {body, call, project.id};
  return call_change(call, update_apply, &update, "update", "project", project.name, err);
}

struct removal {
  struct arena *arena;
  int64_t id;
  int64_t *targets;
  size_t targets_len;
};

static int delete_apply(struct store_conn *conn, void *ctx, struct error *err) {
  struct removal *removal = ctx;

  return project_delete(conn, removal->id, removal->arena, &removal->targets, &removal->targets_len, err);
}

int projects_delete(struct api_call *call, struct error *err) {
  struct project project;
  int rc = call_project(call, 0, AUTH_CHANGE_PROJECT, &project, err);

  if (rc != 0)
    return rc;
  struct removal removal = {.arena = call->arena, .id = project.id};
  rc = call_change(call, delete_apply, &removal, "delete", "project", project.name, err);
  // The answer waits until the sender has taken the word: no request leaves for the project after it.
  if (rc == 0 && removal.targets_len > 0)
    dispatch_cancel(call->config->dispatch, removal.targets, removal.targets_len, call->config->cancel_wait_ms);
  return rc;
}

int projects_summary(struct api_call *call, struct error *err) {
  struct project project;
  int rc = call_project(call, 0, AUTH_READ_PROJECT, &project, err);

  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  json_key(&w, "quota");
  json_object_begin(&w);
  json_key(&w, "hard");
  json_object_begin(&w);
  json_field_i64(&w, "storage", project.storage_limit);
  json_object_end(&w);
  json_key(&w, "used"); // not measured yet: no number is better than a wrong one
  json_object_begin(&w);
  json_object_end(&w);
  json_object_end(&w);
  json_field_i64(&w, "repo_count", project.repo_count);
  json_object_end(&w);
  return 0;
}
