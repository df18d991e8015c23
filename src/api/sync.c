// SPDX-License-Identifier: Apache-2.0
// The sync of the catalogue with the registry (registry/sync_job.h): begin it, watch it, stop it.
#include "api/routes.h"
#include "registry/sync_job.h"

static int require_job(struct api_call *call, struct error *err) {
  if (call->config->sync)
    return 0;
  return error_set(err, ERR_PRECONDITION, "there is no registry to read: the setting upstream.url is empty");
}

static int nothing_apply(struct store_conn *conn, void *ctx, struct error *err) {
  (void)conn;
  (void)ctx;
  (void)err;
  return 0; // the audit's entry is all that is stored
}

static int project_field(const struct json_object *body, struct str *out, struct error *err) {
  enum json_kind kind;

  *out = STR_EMPTY;
  (void)json_member(body, "project", &kind);
  if (kind == JSON_ABSENT || kind == JSON_NULL)
    return 0;
  if (!json_get_str(body, "project", out))
    return error_set(err, ERR_INVALID, "validation failure list:\nproject in body must be of type string");
  if (out->len > 0 && !event_is_project_name(*out))
    return error_set(err, ERR_BAD_REQUEST, "\"%.*s\" cannot be the name of a project", STR_ARG(*out));
  return 0;
}

int sync_begin(struct api_call *call, struct error *err) {
  struct json_object *body;
  struct str project = STR_EMPTY;
  struct error wrong;
  int rc = call_body(call, &body, &wrong);

  if (rc == 0)
    rc = project_field(body, &project, &wrong);
  if ((rc = call_judge(rc, &wrong, call_require(call, AUTH_ADMINISTER, err), err)) != 0 ||
      (rc = require_job(call, err)) != 0 || (rc = sync_job_begin(call->config->sync, project, err)) != 0)
    return rc;
  rc = call_change(call, nothing_apply, NULL, "sync", "catalogue", project.len ? project : STR("all projects"), err);
  call->status = 202;
  return rc;
}

static void write_counts(const struct sync_counts *counts, struct json_writer *w) {
  json_object_begin(w);
  json_field_i64(w, "added", counts->added);
  json_field_i64(w, "changed_meanwhile", counts->changed_meanwhile);
  json_field_i64(w, "compared", counts->compared);
  json_field_i64(w, "facts_asked", counts->facts_asked);
  json_field_i64(w, "moved", counts->moved);
  json_field_i64(w, "refused", counts->refused);
  json_field_i64(w, "removed_artifacts", counts->removed_artifacts);
  json_field_i64(w, "removed_repositories", counts->removed_repositories);
  json_field_i64(w, "removed_tags", counts->removed_tags);
  json_field_i64(w, "repositories", counts->repositories);
  json_field_bool(w, "resumed", counts->resumed);
  json_field_str_opt(w, "trouble", str_of(counts->trouble));
  json_field_i64(w, "unreadable", counts->unreadable);
  json_object_end(w);
}

int sync_get(struct api_call *call, struct error *err) {
  struct sync_state state = {0};
  int rc = call_require(call, AUTH_ADMINISTER, err);

  if (rc != 0)
    return rc;
  if (call->config->sync)
    sync_job_state(call->config->sync, &state);
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  json_field_bool(&w, "running", state.running);
  if (state.what) {
    json_field_i64(&w, "done", state.done);
    json_field_i64(&w, "of", state.of);
    json_field_str(&w, "project", str_of(state.project));
    json_field_str(&w, "what", str_of(state.what));
    call_field_time_ms(&w, "start_time", state.started_us);
  }
  if (state.ended_us) {
    call_field_time_ms(&w, "end_time", state.ended_us);
    if (state.rc != 0)
      json_field_str(&w, "error", str_of(state.err.text));
    json_key(&w, "counts");
    write_counts(&state.counts, &w);
  }
  json_object_end(&w);
  return 0;
}

int sync_stop(struct api_call *call, struct error *err) {
  int rc = call_require(call, AUTH_ADMINISTER, err);

  if (rc != 0)
    return rc;
  if (!call->config->sync || !sync_job_cancel(call->config->sync))
    return error_set(err, ERR_NOT_FOUND, "no sync is going on");
  return call_change(call, nothing_apply, NULL, "stop", "catalogue", STR("sync"), err);
}
