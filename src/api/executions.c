// SPDX-License-Identifier: Apache-2.0
// Harbor's views of deliveries: executions, tasks, the deprecated jobs and last triggers. One delivery is one execution
// with one task of the same id (design section 7). Harbor's words for states: what waits is Running; its task is Pending
// before the first try and Scheduled between tries.
#include "api/delivery_view.h"
#include "api/routes.h"
#include "base/rfc3339.h"
#include "store/policies.h"

enum { UNPAGED_MAX_ROWS = 1000 };

// ---- what all of them begin with ------------------------------------------------------------------------------------

static int find_execution(struct api_call *call, int64_t policy_id, int64_t id, struct delivery *out,
                          struct error *err) {
  int rc = delivery_get(call->conn, id, call->arena, out, err);

  if (rc == ERR_NOT_FOUND)
    return error_set(err, ERR_NOT_FOUND, "execution %lld not found", (long long)id);
  if (rc == 0 && out->policy_id != policy_id)
    return error_set(err, ERR_NOT_FOUND, "resource not found: execution %lld not found in policy %lld", (long long)id,
                     (long long)policy_id);
  return rc;
}

// Project and policy of the path, for somebody who may read them.
static int find_policy(struct api_call *call, int64_t policy_id, struct policy *out, struct error *err) {
  struct project project;
  int rc = call_project(call, 0, AUTH_READ_PROJECT, &project, err);

  return rc != 0 ? rc : policy_get(call->conn, project.id, policy_id, call->arena, out, err);
}

static void field_time_s(struct json_writer *w, const char *key, int64_t at_us) {
  char text[RFC3339_BYTES];

  json_field_str(w, key, str_of(rfc3339_write(at_us == 0 ? RFC3339_ZERO_US : at_us, 0, text)));
}

// A key and value: a condition that the server itself adds. The client's own of that key are overwritten, as in Harbor.
static int add_condition(struct api_call *call, struct query *query, const char *key, enum query_op op,
                         const struct query_condition *wanted, struct error *err) {
  struct query_condition *conditions = arena_array(call->arena, query->conditions_len + 1, sizeof *conditions);
  size_t len = 0;

  if (!conditions)
    return error_set(err, ERR_NO_MEMORY, "out of memory for the query of a list");
  conditions[len] = *wanted;
  conditions[len].key = str_of(key);
  conditions[len++].op = op;
  for (size_t i = 0; i < query->conditions_len && len < QUERY_MAX_CONDITIONS; i++)
    if (!str_eq_c(query->conditions[i].key, key))
      conditions[len++] = query->conditions[i];
  query->conditions = conditions;
  query->conditions_len = len;
  return 0;
}

// ---- executions -----------------------------------------------------------------------------------------------------

static const char *vendor_type(const struct delivery *delivery) {
  return delivery->target_type == TARGET_SLACK ? "SLACK" : "WEBHOOK";
}

static void write_metrics(const struct delivery *delivery, struct json_writer *w) {
  const char *status = delivery_view_task_status(delivery);

  json_key(w, "metrics");
  json_object_begin(w);
  json_field_i64_opt(w, "error_task_count", str_eq_c(str_of(status), "Error"));
  json_field_i64_opt(w, "pending_task_count", str_eq_c(str_of(status), "Pending"));
  json_field_i64_opt(w, "scheduled_task_count", str_eq_c(str_of(status), "Scheduled"));
  json_field_i64_opt(w, "stopped_task_count", str_eq_c(str_of(status), "Stopped"));
  json_field_i64_opt(w, "success_task_count", str_eq_c(str_of(status), "Success"));
  json_field_i64(w, "task_count", 1);
  json_object_end(w);
}

static int write_execution(struct api_call *call, const struct delivery *delivery, struct json_writer *w,
                           struct error *err) {
  struct str payload;
  int rc = delivery_view_payload(call, delivery, &payload, err);

  if (rc != 0)
    return rc;
  json_object_begin(w);
  field_time_s(w, "end_time", delivery->ended_at_us);
  json_key(w, "extra_attrs");
  json_object_begin(w);
  json_field_str(w, "event_type", str_of(event_type_name(delivery->event_type)));
  if (payload.ptr)
    json_field_str(w, "payload", payload);
  json_object_end(w);
  json_field_i64(w, "id", delivery->id);
  write_metrics(delivery, w);
  field_time_s(w, "start_time", delivery->created_at_us);
  json_field_str(w, "status", str_of(delivery_view_status(delivery)));
  json_field_str_opt(w, "status_message", delivery_view_error(delivery));
  json_field_str(w, "trigger", STR("EVENT"));
  json_field_i64(w, "vendor_id", delivery->policy_id);
  json_field_str(w, "vendor_type", str_of(vendor_type(delivery)));
  json_object_end(w);
  return 0;
}

// A list answer: the headers, then each delivery by `write`.
static int answer_list(struct api_call *call, const struct query *query, const struct delivery *deliveries, size_t len,
                       int64_t total,
                       int (*write)(struct api_call *, const struct delivery *, struct json_writer *, struct error *),
                       struct error *err) {
  int rc = call_page_headers(call, query, total, err);
  struct json_writer w = call_json(call);

  json_array_begin(&w);
  for (size_t i = 0; rc == 0 && i < len; i++)
    rc = write(call, &deliveries[i], &w, err);
  json_array_end(&w);
  return rc;
}

int executions_list(struct api_call *call, struct error *err) {
  struct query query;
  struct policy policy;
  struct delivery *deliveries;
  int64_t policy_id, total;
  size_t len;
  int rc = call_path_int(call, 1, "webhook_policy_id", &policy_id, err);

  if (rc == 0)
    rc = call_list_query(call, UNPAGED_MAX_ROWS, &query, err);
  if (rc == 0)
    rc = find_policy(call, policy_id, &policy, err);
  if (rc == 0)
    rc = delivery_list(call->conn, policy.project_id, policy_id, &query, call->arena, &deliveries, &len, &total, err);
  return rc != 0 ? rc : answer_list(call, &query, deliveries, len, total, write_execution, err);
}

// ---- tasks ----------------------------------------------------------------------------------------------------------

static int write_task(struct api_call *call, const struct delivery *delivery, struct json_writer *w,
                      struct error *err) {
  int64_t updated_us = delivery->created_at_us;

  (void)call;
  (void)err;
  if (delivery->started_at_us > updated_us)
    updated_us = delivery->started_at_us;
  if (delivery->ended_at_us > updated_us)
    updated_us = delivery->ended_at_us;
  json_object_begin(w);
  field_time_s(w, "creation_time", delivery->created_at_us);
  field_time_s(w, "end_time", delivery->ended_at_us);
  json_field_i64(w, "execution_id", delivery->id);
  json_field_i64(w, "id", delivery->id);
  json_field_i64_opt(w, "run_count", delivery->attempts);
  field_time_s(w, "start_time", delivery->started_at_us);
  json_field_str(w, "status", str_of(delivery_view_task_status(delivery)));
  json_field_str_opt(w, "status_message", delivery_view_error(delivery));
  field_time_s(w, "update_time", updated_us);
  json_object_end(w);
  return 0;
}

// Do the client's conditions on `status` hold? The store knows the words of executions, which differ for tasks that wait.
static bool status_fits(const struct query *query, struct str status) {
  for (size_t i = 0; i < query->conditions_len; i++) {
    const struct query_condition *condition = &query->conditions[i];
    bool fits = condition->op == QUERY_IN ? false : true;
    if (!str_eq_c(condition->key, "status"))
      continue;
    if (condition->op == QUERY_EQ)
      fits = str_eq(condition->values[0].text, status);
    if (condition->op == QUERY_LIKE)
      fits = str_icontains(status, condition->values[0].text);
    for (size_t k = 0; condition->op == QUERY_IN && k < condition->list_len; k++)
      fits = fits || str_eq(condition->list[k].text, status);
    if (!fits)
      return false;
  }
  return true;
}

static void drop_conditions(struct query *query, const char *key) {
  size_t len = 0;

  for (size_t i = 0; i < query->conditions_len; i++)
    if (!str_eq_c(query->conditions[i].key, key))
      query->conditions[len++] = query->conditions[i];
  query->conditions_len = len;
}

// The one task of an execution as a list, for whatever query the client sends.
static int list_task(struct api_call *call, const struct delivery *execution, struct query *query,
                     struct delivery **out, size_t *len, int64_t *total, struct error *err) {
  struct query_condition *given = arena_array(call->arena, query->conditions_len + 1, sizeof *given);
  struct query narrow = *query;

  if (!given)
    return error_set(err, ERR_NO_MEMORY, "out of memory for the query of a list");
  for (size_t i = 0; i < query->conditions_len; i++)
    given[i] = query->conditions[i];
  narrow.conditions = given;
  drop_conditions(&narrow, "status");
  // The client's own condition on `id` stays beside this one, which names the execution.
  if (narrow.conditions_len == QUERY_MAX_CONDITIONS)
    return error_set(err, ERR_BAD_REQUEST, "the query string has more than %d conditions", QUERY_MAX_CONDITIONS - 1);
  given[narrow.conditions_len++] = (struct query_condition){
      .key = STR("id"), .op = QUERY_EQ, .values = {{.kind = QUERY_INT, .number = execution->id}}};
  int rc = delivery_list(call->conn, execution->project_id, execution->policy_id, &narrow, call->arena, out, len, total,
                         err);
  if (rc == 0 && !status_fits(query, str_of(delivery_view_task_status(execution)))) {
    *len = 0;
    *total = 0;
  }
  return rc;
}

int tasks_list(struct api_call *call, struct error *err) {
  struct query query;
  struct policy policy;
  struct delivery execution, *tasks;
  int64_t policy_id, execution_id, total;
  size_t len;
  int rc = call_path_int(call, 1, "webhook_policy_id", &policy_id, err);

  if (rc == 0)
    rc = call_path_int(call, 2, "execution_id", &execution_id, err);
  if (rc == 0)
    rc = call_list_query(call, UNPAGED_MAX_ROWS, &query, err);
  if (rc == 0)
    rc = find_policy(call, policy_id, &policy, err);
  if (rc == 0)
    rc = find_execution(call, policy_id, execution_id, &execution, err);
  if (rc == 0)
    rc = list_task(call, &execution, &query, &tasks, &len, &total, err);
  return rc != 0 ? rc : answer_list(call, &query, tasks, len, total, write_task, err);
}

// ---- the log of a task ----------------------------------------------------------------------------------------------

static int find_task(struct api_call *call, int64_t execution_id, int64_t task_id, struct error *err) {
  struct delivery other;

  if (task_id == execution_id)
    return 0;
  int rc = delivery_get(call->conn, task_id, call->arena, &other, err);
  if (rc == ERR_NOT_FOUND)
    return error_set(err, ERR_NOT_FOUND, "task %lld not found", (long long)task_id);
  if (rc != 0)
    return rc;
  return error_set(err, ERR_NOT_FOUND, "resource not found: task %lld not found in execution %lld", (long long)task_id,
                   (long long)execution_id);
}

int task_log(struct api_call *call, struct error *err) {
  struct policy policy;
  struct delivery execution;
  int64_t policy_id, execution_id, task_id;
  int rc = call_path_int(call, 1, "webhook_policy_id", &policy_id, err);

  if (rc == 0)
    rc = call_path_int(call, 2, "execution_id", &execution_id, err);
  if (rc == 0)
    rc = call_path_int(call, 3, "task_id", &task_id, err);
  if (rc == 0)
    rc = find_policy(call, policy_id, &policy, err);
  if (rc == 0)
    rc = find_execution(call, policy_id, execution_id, &execution, err);
  if (rc == 0)
    rc = find_task(call, execution_id, task_id, err);
  if (rc != 0)
    return rc;
  call->content_type = "text/plain; charset=utf-8";
  return delivery_view_log(call, &execution, err);
}

// ---- jobs and last triggers: deprecated, still asked for ------------------------------------------------------------

static int write_job(struct api_call *call, const struct delivery *delivery, struct json_writer *w, struct error *err) {
  struct str payload;
  int64_t updated_us = delivery->ended_at_us ? delivery->ended_at_us : delivery->created_at_us;
  int rc = delivery_view_payload(call, delivery, &payload, err);

  if (rc != 0)
    return rc;
  json_object_begin(w);
  call_field_time_ms(w, "creation_time", delivery->created_at_us);
  json_field_str(w, "event_type", str_of(event_type_name(delivery->event_type)));
  json_field_i64(w, "id", delivery->id);
  if (payload.ptr)
    json_field_str(w, "job_detail", payload);
  json_field_str(w, "notify_type", str_of(target_type_name(delivery->target_type)));
  json_field_i64(w, "policy_id", delivery->policy_id);
  json_field_str(w, "status", str_of(delivery_view_status(delivery)));
  call_field_time_ms(w, "update_time", updated_us);
  json_object_end(w);
  return 0;
}

// `status=a,b`: any of. Harbor fails on more than one.
static int add_statuses(struct api_call *call, struct query *query, struct error *err) {
  struct query_condition wanted = {.list = NULL};
  struct str text, part;

  if (!call_query_str(call, "status", &text) || text.len == 0)
    return 0;
  wanted.list = arena_array(call->arena, QUERY_MAX_VALUES, sizeof *wanted.list);
  if (!wanted.list)
    return error_set(err, ERR_NO_MEMORY, "out of memory for the query of a list");
  while (str_next(&text, ',', &part)) {
    if (wanted.list_len == QUERY_MAX_VALUES)
      return error_set(err, ERR_BAD_REQUEST, "status names more than %d values", QUERY_MAX_VALUES);
    wanted.list[wanted.list_len++] = (struct query_value){.kind = QUERY_TEXT, .text = str_trim(part)};
  }
  return add_condition(call, query, "status", QUERY_IN, &wanted, err);
}

int jobs_list(struct api_call *call, struct error *err) {
  struct query query;
  struct policy policy;
  struct delivery *deliveries;
  struct str given;
  int64_t policy_id, total;
  size_t len;

  if (!call_query_str(call, "policy_id", &given) || given.len == 0)
    return error_set(err, ERR_INVALID, "validation failure list:\npolicy_id in query is required");
  int rc = call_query_int(call, "policy_id", 0, &policy_id, err);
  if (rc == 0)
    rc = call_list_query(call, UNPAGED_MAX_ROWS, &query, err);
  if (rc == 0)
    rc = add_statuses(call, &query, err);
  if (rc == 0)
    rc = find_policy(call, policy_id, &policy, err);
  if (rc == 0)
    rc = delivery_list(call->conn, policy.project_id, policy_id, &query, call->arena, &deliveries, &len, &total, err);
  return rc != 0 ? rc : answer_list(call, &query, deliveries, len, total, write_job, err);
}

int last_triggers(struct api_call *call, struct error *err) {
  struct project project;
  struct last_trigger *triggers;
  size_t len;
  int rc = call_project(call, 0, AUTH_READ_PROJECT, &project, err);

  if (rc == 0)
    rc = policy_last_triggers(call->conn, project.id, call->arena, &triggers, &len, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_array_begin(&w);
  for (size_t i = 0; i < len; i++) {
    json_object_begin(&w);
    call_field_time_ms(&w, "creation_time", triggers[i].created_at_us);
    if (triggers[i].enabled)
      json_field_bool(&w, "enabled", true);
    json_field_str(&w, "event_type", str_of(event_type_name(triggers[i].type)));
    call_field_time_ms(&w, "last_trigger_time", triggers[i].triggered_at_us);
    json_field_str(&w, "policy_name", triggers[i].policy_name);
    json_object_end(&w);
  }
  json_array_end(&w);
  return 0;
}

// ---- what a policy may ask for --------------------------------------------------------------------------------------

int supported_events(struct api_call *call, struct error *err) {
  struct project project;
  int rc = call_project(call, 0, AUTH_READ_PROJECT, &project, err);

  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  json_key(&w, "event_type");
  json_array_begin(&w);
  for (int type = 0; type < EVENT_TYPE_COUNT; type++)
    json_put_str(&w, str_of(event_type_name((enum event_type)type)));
  json_array_end(&w);
  json_key(&w, "notify_type");
  json_array_begin(&w);
  json_put_str(&w, str_of(target_type_name(TARGET_HTTP)));
  json_put_str(&w, str_of(target_type_name(TARGET_SLACK)));
  json_array_end(&w);
  json_key(&w, "payload_formats");
  json_array_begin(&w);
  json_object_begin(&w);
  json_key(&w, "formats");
  json_array_begin(&w);
  json_put_str(&w, str_of(payload_format_name(PAYLOAD_DEFAULT)));
  json_put_str(&w, str_of(payload_format_name(PAYLOAD_CLOUDEVENTS)));
  json_array_end(&w);
  json_field_str(&w, "notify_type", str_of(target_type_name(TARGET_HTTP)));
  json_object_end(&w);
  json_array_end(&w);
  json_object_end(&w);
  return 0;
}
