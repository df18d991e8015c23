// SPDX-License-Identifier: Apache-2.0
// Testing a webhook, saved or not, and the body it would be sent: the sample of an event goes out as a delivery does, and
// the answer is shown to who waits. Nothing is stored but the audit's entry. What may be sent to, and whose secrets the
// mask stands for, is what saving the webhook would say.
#include "api/delivery_view.h"
#include "api/policy_rules.h"
#include "api/rate_limit.h"
#include "api/routes.h"
#include "base/utf8.h"
#include "dispatch/trial.h"
#include "event/sample.h"
#include "format/format.h"
#include "store/policies.h"

enum { QUOTED_BYTES = 128 };

#define INVALID "validation failure list:\n"
#define UNSAVED "(unsaved)"
#define PLACE_FREE_S "2" // Retry-After while all places are taken

// ---- the sample -----------------------------------------------------------------------------------------------------

static int make_sample(struct api_call *call, const struct project *project, enum event_type type, struct event *out,
                       struct error *err) {
  struct event_sample_input input = {
      .type = type,
      .id = id_next(call->config->ids),
      .now_us = clock_wall_us(call->config->clock),
      .project_id = project->id,
      .project = project->name,
      .is_public = project->is_public,
  };
  int rc = call_registry_host(call, &input.registry_host, err);

  return rc != 0 ? rc : event_sample(&input, call->arena, out, err);
}

static int unknown_event_type(struct str text, struct error *err) {
  return error_set(err, ERR_BAD_REQUEST, "unsupported event type %.*s", STR_ARG(utf8_cut(text, QUOTED_BYTES)));
}

static int read_format(struct api_call *call, enum payload_format *out, struct error *err) {
  struct str type_text = STR_EMPTY, text = STR_EMPTY;
  enum target_type type = TARGET_HTTP;

  *out = PAYLOAD_DEFAULT;
  if (call_query_str(call, "notify_type", &type_text) && type_text.len > 0 && !target_type_read(type_text, &type))
    return error_set(err, ERR_BAD_REQUEST, "unsupported target type %.*s", STR_ARG(utf8_cut(type_text, QUOTED_BYTES)));
  if (type == TARGET_SLACK) {
    *out = PAYLOAD_SLACK;
    return 0;
  }
  if (call_query_str(call, "payload_format", &text) && text.len > 0 && !payload_format_read(text, out))
    return error_set(err, ERR_BAD_REQUEST, "unsupported payload format type: %.*s",
                     STR_ARG(utf8_cut(text, QUOTED_BYTES)));
  return 0;
}

static int write_sample(struct api_call *call, const struct format_input *input, struct error *err) {
  struct buf body;

  buf_init(&body, FORMAT_MAX_BODY_BYTES);
  int rc = format_render(input, call->arena, &body, err);
  if (rc == 0) {
    struct json_writer w = call_json(call);
    json_object_begin(&w);
    json_field_str(&w, "body", buf_str(&body));
    json_field_str(&w, "content_type", str_of(format_info(input->format)->content_type));
    json_field_str(&w, "event_type", str_of(event_type_name(input->event->type)));
    json_object_end(&w);
  }
  buf_free(&body);
  return rc;
}

int webhook_sample(struct api_call *call, struct error *err) {
  struct format_input input = {.portal_url = str_of(call->config->portal_url)};
  struct project project;
  struct event event;
  struct str text;
  enum event_type type;

  if (!call_query_str(call, "event_type", &text) || text.len == 0)
    return error_set(err, ERR_INVALID, INVALID "event_type in query is required");
  int rc = call_query_bool(call, "extras", true, &input.extras, err);
  if (rc == 0)
    rc = call_project(call, 0, AUTH_READ_PROJECT, &project, err);
  if (rc == 0 && !event_type_read(text, &type))
    rc = unknown_event_type(text, err);
  if (rc == 0)
    rc = read_format(call, &input.format, err);
  if (rc == 0)
    rc = make_sample(call, &project, type, &event, err);
  if (rc != 0)
    return rc;
  input.event = &event;
  return write_sample(call, &input, err);
}

// ---- one test -------------------------------------------------------------------------------------------------------

struct test {
  struct project project;
  struct policy policy; // as it would be saved, or is
  int64_t target;       // which of its targets
  enum event_type type;
};

static int too_many(struct api_call *call, int64_t wait_s, struct error *err) {
  struct str seconds = arena_printf(call->arena, "%lld", (long long)wait_s);

  if (!seconds.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for an answer");
  call_header(call, "Retry-After", seconds);
  return error_set(err, ERR_TOO_MANY,
                   "at most %lld tests a minute are sent for one user and for one project; try again in %lld s",
                   (long long)call->config->tests_per_minute, (long long)wait_s);
}

static int apply_nothing(struct store_conn *conn, void *ctx, struct error *err) {
  (void)conn;
  (void)ctx;
  (void)err;
  return 0;
}

// Count it and note it in the audit, before anything is sent.
static int admit(struct api_call *call, const struct test *test, struct error *err) {
  int64_t wait_s = rate_limit_ask(call_test_limit(call), call->identity.user_id, test->project.id,
                                  clock_mono_us(call->config->clock));

  if (wait_s > 0)
    return too_many(call, wait_s, err);
  return call_change(call, apply_nothing, NULL, "test", "policy",
                     policy_rules_subject(call, &test->project, test->policy.name), err);
}

static void write_answer(struct api_call *call, const struct test *test, const struct event *event,
                         const struct trial_result *result) {
  const struct attempt *attempt = result->attempt;
  struct json_writer w = call_json(call);
  char id[UUID_TEXT_BYTES];

  json_object_begin(&w);
  json_field_str(&w, "address", test->policy.targets[test->target].address); // who may test it may change it
  json_field_str_opt(&w, "error", attempt->words);
  json_field_str(&w, "event_id", str_of(uuid_write(&event->id, id)));
  json_field_str(&w, "event_type", str_of(event_type_name(event->type)));
  json_field_str(&w, "outcome", attempt->outcome);
  json_field_str(&w, "request_body", result->request_body);
  delivery_view_field_lines(&w, "request_headers", attempt->request_headers);
  json_field_str_opt(&w, "response_body", attempt->response_body);
  delivery_view_field_lines(&w, "response_headers", attempt->response_headers);
  if (result->truncated)
    json_field_bool(&w, "response_truncated", true);
  json_field_i64_opt(&w, "status", attempt->status);
  delivery_view_field_timings(&w, attempt);
  json_object_end(&w);
}

static int run(struct api_call *call, const struct test *test, struct error *err) {
  struct trial *trial;
  struct event event;
  int rc = make_sample(call, &test->project, test->type, &event, err);

  if (rc == 0)
    rc = trial_new(dispatch_trials(call->config->dispatch), &test->policy.targets[test->target], &event, &trial, err);
  if (rc == ERR_TOO_MANY)
    call_header(call, "Retry-After", STR(PLACE_FREE_S));
  if (rc != 0)
    return rc;
  rc = admit(call, test, err);
  if (rc == 0)
    rc = trial_run(trial, err);
  if (rc == 0) {
    const struct trial_result result = trial_result(trial);
    write_answer(call, test, &event, &result);
  }
  trial_drop(trial);
  return rc;
}

// ---- what is asked --------------------------------------------------------------------------------------------------

// An integer of the body; `fallback` when it is absent or null.
static int read_int(const struct json_object *body, const char *name, int64_t fallback, int64_t *out,
                    struct error *err) {
  enum json_kind kind;

  (void)json_member(body, name, &kind);
  *out = fallback;
  if (kind == JSON_ABSENT || kind == JSON_NULL || json_get_i64(body, name, out))
    return 0;
  return error_set(err, ERR_INVALID, INVALID "%s in body must be of type integer: \"%s\"", name, json_kind_name(kind));
}

// `ptr` NULL when it is absent or null.
static int read_event_type(const struct json_object *body, struct str *out, struct error *err) {
  enum json_kind kind;

  (void)json_member(body, "event_type", &kind);
  *out = (struct str){0};
  if (kind == JSON_ABSENT || kind == JSON_NULL || json_get_str(body, "event_type", out))
    return 0;
  return error_set(err, ERR_INVALID, INVALID "event_type in body must be of type string: \"%s\"", json_kind_name(kind));
}

static int check_target(const struct test *test, struct error *err) {
  if (test->target >= 0 && (uint64_t)test->target < test->policy.targets_len)
    return 0;
  return error_set(err, ERR_BAD_REQUEST, "there is no target %lld: they are counted from 0, and there are %zu",
                   (long long)test->target, test->policy.targets_len);
}

static int finish_unsaved(struct api_call *call, struct test *test, struct str type, const struct policy *old,
                          struct error *err) {
  struct policy *policy = &test->policy;

  policy->name = old ? old->name : STR(UNSAVED);
  policy->description = STR_EMPTY;
  policy->event_types = &test->type;
  policy->event_types_len = 1;
  policy->unknown_event_type = event_type_read(type, &test->type) ? (struct str){0} : utf8_cut(type, QUOTED_BYTES);
  int rc = policy_rules_check(call, policy, err);
  if (rc == 0)
    rc = policy_adopt_targets(policy, old, call->arena, err);
  if (rc == 0)
    rc = check_target(test, err);
  if (rc == 0)
    policy->targets[test->target].policy_id = old ? old->id : 0;
  return rc;
}

int webhook_test_unsaved(struct api_call *call, struct error *err) {
  struct json_object *body;
  struct policy old;
  struct test test;
  struct str type;
  int64_t policy_id;
  int rc = call_body(call, &body, err);

  if (rc == 0)
    rc = policy_read(body, NULL, call->arena, &test.policy, err);
  if (rc == 0)
    rc = read_event_type(body, &type, err);
  if (rc == 0 && !type.ptr)
    rc = error_set(err, ERR_INVALID, INVALID "event_type in body is required");
  if (rc == 0)
    rc = read_int(body, "policy_id", 0, &policy_id, err);
  if (rc == 0)
    rc = read_int(body, "target", 0, &test.target, err);
  if (rc == 0)
    rc = call_project(call, 0, AUTH_CHANGE_PROJECT, &test.project, err);
  if (rc == 0 && policy_id != 0)
    rc = policy_get(call->conn, test.project.id, policy_id, call->arena, &old, err);
  if (rc == 0)
    rc = finish_unsaved(call, &test, type, policy_id != 0 ? &old : NULL, err);
  return rc != 0 ? rc : run(call, &test, err);
}

int webhook_test_saved(struct api_call *call, struct error *err) {
  struct json_object *body;
  struct test test;
  struct str type;
  int64_t id;
  int rc = call_path_int(call, 1, "webhook_policy_id", &id, err);

  if (rc == 0)
    rc = call_body(call, &body, err);
  if (rc == 0)
    rc = read_event_type(body, &type, err);
  if (rc == 0)
    rc = read_int(body, "target", 0, &test.target, err);
  if (rc == 0)
    rc = call_project(call, 0, AUTH_CHANGE_PROJECT, &test.project, err);
  if (rc == 0)
    rc = policy_get(call->conn, test.project.id, id, call->arena, &test.policy, err);
  if (rc != 0)
    return rc;
  test.type = test.policy.event_types_len > 0 ? test.policy.event_types[0] : EVENT_PUSH_ARTIFACT;
  if (type.ptr && !event_type_read(type, &test.type))
    return unknown_event_type(type, err);
  rc = check_target(&test, err);
  return rc != 0 ? rc : run(call, &test, err);
}
