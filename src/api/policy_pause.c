// SPDX-License-Identifier: Apache-2.0
// Pausing a webhook and letting it go on: what a plain `enabled` cannot say, whether what waits is kept. Rights and order
// of checks are those of changing it (policies.c).
#include "api/policy_rules.h"
#include "api/routes.h"
#include "store/policies.h"

#define INVALID "validation failure list:\n"

struct pause {
  struct api_call *call;
  struct project project;
  int64_t id;
  bool keeps; // hold in place of skip, keep in place of drop
  struct policy_switched switched;
};

// ---- what is asked --------------------------------------------------------------------------------------------------

// One of two words. `fallback` NULL: it is required.
static int read_word(const struct json_object *body, const char *name, const char *yes, const char *no,
                     const char *fallback, bool *out, struct error *err) {
  enum json_kind kind;
  struct str word = fallback ? str_of(fallback) : STR_EMPTY;

  (void)json_member(body, name, &kind);
  bool absent = kind == JSON_ABSENT || kind == JSON_NULL;
  if (absent && !fallback)
    return error_set(err, ERR_INVALID, INVALID "%s in body is required", name);
  if (!absent && !json_get_str(body, name, &word))
    return error_set(err, ERR_INVALID, INVALID "%s in body must be of type string: \"%s\"", name, json_kind_name(kind));
  *out = str_eq_c(word, yes);
  if (*out || str_eq_c(word, no))
    return 0;
  return error_set(err, ERR_INVALID, INVALID "%s in body should be one of [%s %s]", name, yes, no);
}

static int find(struct pause *pause, struct error *err) {
  return call_project(pause->call, 0, AUTH_CHANGE_PROJECT, &pause->project, err);
}

// ---- the change -----------------------------------------------------------------------------------------------------

static int name_changes(struct pause *pause, bool enabled, bool held, bool dropped, struct error *err) {
  const struct policy_switched *was = &pause->switched;
  struct str fields = arena_printf(pause->call->arena, "%s%s%s%s", was->was_enabled != enabled ? ", enabled" : "",
                                   was->was_paused != held ? ", harbinger.paused" : "",
                                   was->suspended > 0 && enabled && !held ? ", harbinger.suspended" : "",
                                   dropped ? ", waiting deliveries (dropped)" : "");

  if (!fields.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for the audit");
  pause->call->changed_fields = fields.len > 2 ? str_from(fields, 2) : STR_EMPTY;
  return 0;
}

static int apply_pause(struct store_conn *conn, void *ctx, struct error *err) {
  struct pause *pause = ctx;
  int rc = policy_pause(conn, pause->project.id, pause->id, pause->keeps, pause->call->arena, &pause->switched, err);

  return rc != 0 ? rc : name_changes(pause, pause->keeps, pause->keeps, !pause->keeps, err);
}

static int apply_resume(struct store_conn *conn, void *ctx, struct error *err) {
  struct pause *pause = ctx;
  int rc = policy_resume(conn, pause->project.id, pause->id, !pause->keeps, pause->call->arena, &pause->switched, err);

  return rc != 0 ? rc : name_changes(pause, true, false, !pause->keeps, err);
}

static int change(struct pause *pause, int (*apply)(struct store_conn *conn, void *ctx, struct error *err),
                  const char *operation, struct error *err) {
  struct api_call *call = pause->call;
  struct policy policy;
  struct error ignored; // one whose secrets cannot be opened is paused, too
  bool known = policy_get(call->conn, pause->project.id, pause->id, call->arena, &policy, &ignored) == 0;
  struct str name = known ? policy.name : arena_printf(call->arena, "%lld", (long long)pause->id);

  if (!name.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for an answer");
  return call_change(call, apply, pause, operation, "policy", policy_rules_subject(call, &pause->project, name), err);
}

int policies_pause(struct api_call *call, struct error *err) {
  struct pause pause = {.call = call};
  struct json_object *body;
  int rc = call_path_int(call, 1, "webhook_policy_id", &pause.id, err);

  if (rc == 0)
    rc = call_body(call, &body, err);
  if (rc == 0)
    rc = read_word(body, "mode", "hold", "skip", NULL, &pause.keeps, err);
  if (rc == 0)
    rc = find(&pause, err);
  if (rc == 0)
    rc = change(&pause, apply_pause, "pause", err);
  if (rc != 0)
    return rc;
  // Held as well: no request's first byte leaves after the answer.
  dispatch_cancel(call->config->dispatch, pause.switched.targets, pause.switched.targets_len,
                  call->config->cancel_wait_ms);
  return policies_get(call, err);
}

int policies_resume(struct api_call *call, struct error *err) {
  struct pause pause = {.call = call};
  struct json_object *body;
  int rc = call_path_int(call, 1, "webhook_policy_id", &pause.id, err);

  if (rc == 0)
    rc = call_body(call, &body, err);
  if (rc == 0)
    rc = read_word(body, "backlog", "keep", "drop", "keep", &pause.keeps, err);
  if (rc == 0)
    rc = find(&pause, err);
  if (rc == 0)
    rc = change(&pause, apply_resume, "resume", err);
  if (rc != 0)
    return rc;
  if (!pause.keeps)
    dispatch_cancel(call->config->dispatch, pause.switched.targets, pause.switched.targets_len,
                    call->config->cancel_wait_ms);
  dispatch_wake(call->config->dispatch, pause.switched.targets, pause.switched.targets_len);
  return policies_get(call, err);
}
