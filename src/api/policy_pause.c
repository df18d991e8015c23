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
  bool resumes;
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

static int read_words(struct pause *pause, const struct json_object *body, struct error *err) {
  if (pause->resumes)
    return read_word(body, "backlog", "keep", "drop", "keep", &pause->keeps, err);
  return read_word(body, "mode", "hold", "skip", NULL, &pause->keeps, err);
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

static int apply(struct store_conn *conn, void *ctx, struct error *err) {
  struct pause *pause = ctx;
  struct arena *arena = pause->call->arena;
  struct policy policy;
  int rc = policy_get_shown(conn, pause->project.id, pause->id, arena, &policy, err);

  if (rc == 0)
    rc = policy_rules_unchanged(pause->call, policy.updated_at_us, err);
  if (rc != 0)
    return rc;
  if (pause->resumes)
    rc = policy_resume(conn, pause->project.id, pause->id, !pause->keeps, arena, &pause->switched, err);
  else
    rc = policy_pause(conn, pause->project.id, pause->id, pause->keeps, arena, &pause->switched, err);
  bool held = !pause->resumes && pause->keeps;
  return rc != 0 ? rc : name_changes(pause, pause->resumes || held, held, !pause->keeps, err);
}

static int change(struct pause *pause, struct error *err) {
  struct api_call *call = pause->call;
  struct policy policy;
  int rc = policy_get_shown(call->conn, pause->project.id, pause->id, call->arena, &policy, err);

  return rc != 0 ? rc
                 : call_change(call, apply, pause, pause->resumes ? "resume" : "pause", "policy",
                               policy_rules_subject(call, &pause->project, policy.name), err);
}

static int pause_or_resume(struct api_call *call, bool resumes, struct error *err) {
  struct pause pause = {.call = call, .resumes = resumes};
  struct json_object *body;
  int rc = call_path_int(call, 1, "webhook_policy_id", &pause.id, err);

  if (rc == 0)
    rc = call_body(call, &body, err);
  if (rc == 0)
    rc = read_words(&pause, body, err);
  if (rc == 0)
    rc = call_project(call, 0, AUTH_CHANGE_PROJECT, &pause.project, err);
  if (rc == 0)
    rc = change(&pause, err);
  if (rc != 0)
    return rc;
  // Of what is held as well: no request's first byte leaves after the answer.
  if (!resumes || !pause.keeps)
    dispatch_cancel(call->config->dispatch, pause.switched.targets, pause.switched.targets_len,
                    call->config->cancel_wait_ms);
  if (resumes)
    dispatch_wake(call->config->dispatch, pause.switched.targets, pause.switched.targets_len);
  return policies_get(call, err);
}

int policies_pause(struct api_call *call, struct error *err) {
  return pause_or_resume(call, false, err);
}

int policies_resume(struct api_call *call, struct error *err) {
  return pause_or_resume(call, true, err);
}
