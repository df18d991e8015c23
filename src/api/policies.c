// SPDX-License-Identifier: Apache-2.0
// Harbor's webhook policies. The order of checks is Harbor's (harbor.md 2.6): what is malformed is 422 before rights; POST
// then asks rights, the 400 rows, the project; PUT asks rights, project and policy, then the 400 rows.
#include "policy/policy.h"

#include "api/changed_fields.h"
#include "api/etag.h"
#include "api/policy_rules.h"
#include "api/routes.h"
#include "base/fault.h"
#include "store/policies.h"

enum { UNPAGED_MAX_ROWS = 1000 };

// Who may change a policy sees its addresses; `auth_header` only where the operator says so.
static enum policy_view view_of(const struct api_call *call) {
  struct error ignored;

  if (auth_allow(&call->identity, AUTH_CHANGE_PROJECT, false, &ignored) != 0)
    return POLICY_VIEW_READER;
  return call->config->reveal_auth_header ? POLICY_VIEW_REVEAL : POLICY_VIEW_EDITOR;
}

// What sending noticed of it. Out of memory it is left out: the policy itself is what was asked for.
static void add_warning(struct api_call *call, struct policy *policy) {
  char words[ECHO_WORDS_BYTES];

  if (dispatch_loop_warning(call->config->dispatch, policy->id, words))
    policy->warning = arena_str(call->arena, str_of(words));
}

int policies_list(struct api_call *call, struct error *err) {
  struct query query;
  struct project project;
  struct policy *policies;
  size_t len;
  int64_t total;
  int rc = call_list_query(call, UNPAGED_MAX_ROWS, &query, err);

  if (rc == 0)
    rc = call_project(call, 0, AUTH_READ_PROJECT, &project, err);
  if (rc == 0)
    rc = policy_list(call->conn, project.id, &query, call->arena, &policies, &len, &total, err);
  if (rc == 0)
    rc = call_page_headers(call, &query, total, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_array_begin(&w);
  for (size_t i = 0; i < len; i++)
    add_warning(call, &policies[i]);
  for (size_t i = 0; i < len; i++)
    policy_write_json(&policies[i], view_of(call), call->arena, &w);
  json_array_end(&w);
  return 0;
}

int policies_get(struct api_call *call, struct error *err) {
  struct project project;
  struct policy policy;
  int64_t id;
  int rc = call_path_int(call, 1, "webhook_policy_id", &id, err);

  if (rc == 0)
    rc = call_project(call, 0, AUTH_READ_PROJECT, &project, err);
  if (rc == 0)
    rc = policy_get_shown(call->conn, project.id, id, call->arena, &policy, err);
  if (rc != 0)
    return rc;
  struct str etag = etag_make(policy.updated_at_us, call->arena);
  if (!etag.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for an answer");
  call_header(call, "ETag", etag);
  add_warning(call, &policy);
  struct json_writer w = call_json(call);
  policy_write_json(&policy, view_of(call), call->arena, &w);
  return 0;
}

// ---- changes --------------------------------------------------------------------------------------------------------

// The sender forgets what was cancelled before the answer goes; the other targets it shall look at.
static void tell_sender(struct api_call *call, const struct policy *policy, const int64_t *cancelled, size_t len) {
  int64_t ids[POLICY_MAX_TARGETS];
  size_t ids_len = 0;

  if (len > 0)
    dispatch_cancel(call->config->dispatch, cancelled, len, call->config->cancel_wait_ms);
  for (size_t i = 0; policy && i < policy->targets_len && i < POLICY_MAX_TARGETS; i++)
    ids[ids_len++] = policy->targets[i].id;
  if (ids_len > 0)
    dispatch_wake(call->config->dispatch, ids, ids_len);
}

static int apply_create(struct store_conn *conn, void *ctx, struct error *err) {
  return policy_create(conn, ctx, err);
}

int policies_create(struct api_call *call, struct error *err) {
  struct json_object *body;
  struct project project;
  struct policy policy;
  struct error unknown = {.code = ERR_OK};
  int rc = call_body(call, &body, err);

  if (rc == 0)
    rc = policy_read(body, NULL, call->arena, &policy, err);
  if (rc != 0)
    return rc;
  int found = call_project(call, 0, AUTH_CHANGE_PROJECT, &project, &unknown);
  if (found != 0 && found != ERR_NOT_FOUND) {
    *err = unknown;
    return found;
  }
  rc = policy_rules_check(call, &policy, err);
  if (rc == 0)
    rc = policy_adopt_targets(&policy, NULL, call->arena, err);
  if (rc != 0)
    return rc;
  if (found != 0) { // only now: Harbor judges the body before it looks for the project
    *err = unknown;
    return found;
  }
  policy.project_id = project.id;
  policy.creator = call->identity.name;
  rc = changed_fields_of_policy(NULL, &policy, call->arena, &call->changed_fields, err);
  if (rc != 0)
    return rc;
  rc = call_change(call, apply_create, &policy, "create", "policy", policy_rules_subject(call, &project, policy.name),
                   err);
  if (rc != 0)
    return rc;
  tell_sender(call, &policy, NULL, 0);
  return call_created(call, policy.id, err);
}

// What a PUT does within the writer: the targets are matched there, so that of two PUTs at once the later one sees the
// rows that the earlier one left.
struct update {
  struct api_call *call;
  const struct json_object *body;
  int64_t project_id, id;
  struct policy policy; // the result
  int64_t *cancelled;
  size_t cancelled_len;
};

static int apply_update(struct store_conn *conn, void *ctx, struct error *err) {
  struct update *update = ctx;
  struct arena *arena = update->call->arena;
  struct policy old;
  int rc = policy_get(conn, update->project_id, update->id, arena, &old, err);

  if (rc == 0)
    rc = policy_rules_unchanged(update->call, old.updated_at_us, err);
  if (rc == 0)
    rc = policy_read(update->body, &old, arena, &update->policy, err);
  if (rc == 0)
    rc = policy_adopt_targets(&update->policy, &old, arena, err);
  if (rc == 0)
    rc = changed_fields_of_policy(&old, &update->policy, arena, &update->call->changed_fields, err);
  return rc != 0 ? rc : policy_update(conn, &update->policy, arena, &update->cancelled, &update->cancelled_len, err);
}

int policies_update(struct api_call *call, struct error *err) {
  struct json_object *body;
  struct project project;
  struct policy old, policy;
  int64_t id;
  int rc = call_path_int(call, 1, "webhook_policy_id", &id, err);

  if (rc == 0)
    rc = call_body(call, &body, err);
  if (rc == 0)
    rc = policy_read(body, NULL, call->arena, &policy, err);
  if (rc == 0)
    rc = call_project(call, 0, AUTH_CHANGE_PROJECT, &project, err);
  if (rc == 0)
    rc = policy_get(call->conn, project.id, id, call->arena, &old, err);
  if (rc == 0)
    rc = policy_rules_check(call, &policy, err);
  if (rc != 0)
    return rc;
  struct update update = {.call = call, .body = body, .project_id = project.id, .id = id};
  rc = call_change(call, apply_update, &update, "update", "policy", policy_rules_subject(call, &project, policy.name),
                   err);
  if (rc == 0)
    tell_sender(call, &update.policy, update.cancelled, update.cancelled_len);
  return rc;
}

struct removal {
  struct api_call *call;
  int64_t project_id, id;
  int64_t *cancelled;
  size_t cancelled_len;
};

static int apply_delete(struct store_conn *conn, void *ctx, struct error *err) {
  struct removal *removal = ctx;
  struct arena *arena = removal->call->arena;
  struct policy old;
  int rc = policy_get_shown(conn, removal->project_id, removal->id, arena, &old, err);

  if (rc == 0)
    rc = policy_rules_unchanged(removal->call, old.updated_at_us, err);
  return rc != 0 ? rc
                 : policy_delete(conn, removal->project_id, removal->id, arena, &removal->cancelled,
                                 &removal->cancelled_len, err);
}

int policies_delete(struct api_call *call, struct error *err) {
  struct project project;
  struct policy policy;
  int64_t id;
  int rc = call_path_int(call, 1, "webhook_policy_id", &id, err);

  if (rc == 0)
    rc = call_project(call, 0, AUTH_CHANGE_PROJECT, &project, err);
  if (rc == 0)
    rc = policy_get_shown(call->conn, project.id, id, call->arena, &policy, err);
  if (rc != 0)
    return rc;
  struct removal removal = {.call = call, .project_id = project.id, .id = id};
  rc = call_change(call, apply_delete, &removal, "delete", "policy", policy_rules_subject(call, &project, policy.name),
                   err);
  FAULT_POINT("api.policy.deleted");
  if (rc == 0)
    tell_sender(call, NULL, removal.cancelled, removal.cancelled_len);
  FAULT_POINT("api.policy.cancelled");
  return rc;
}
