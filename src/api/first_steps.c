// SPDX-License-Identifier: Apache-2.0
// What the portal's first page asks: which of the steps to a first delivered webhook have been made.
#include "store/first_steps.h"

#include "api/routes.h"

static void write_project(const struct first_steps *steps, struct json_writer *w) {
  json_key(w, "project");
  json_object_begin(w);
  json_field_i64(w, "id", steps->project_id);
  json_field_str(w, "name", steps->project_name);
  json_object_end(w);
}

static void write_webhook(const struct first_steps *steps, struct json_writer *w) {
  json_key(w, "webhook");
  json_object_begin(w);
  json_field_i64(w, "id", steps->policy_id);
  json_field_str(w, "name", steps->policy_name);
  json_field_i64(w, "project_id", steps->policy_project_id);
  json_field_str(w, "project_name", steps->policy_project_name);
  json_object_end(w);
}

static void write_delivery(const struct first_steps *steps, struct json_writer *w) {
  json_key(w, "delivery");
  json_object_begin(w);
  json_field_i64(w, "id", steps->delivery_id);
  json_field_i64(w, "policy_id", steps->delivery_policy_id);
  json_field_i64(w, "project_id", steps->delivery_project_id);
  json_object_end(w);
}

int first_steps_get(struct api_call *call, struct error *err) {
  struct first_steps steps = {0};
  struct error ignored;
  int rc = call_require_login(call, err);

  // Who sees no project is at the beginning.
  if (rc == 0 && auth_allow(&call->identity, AUTH_READ_PROJECT, false, &ignored) == 0)
    rc = first_steps_read(call->conn, call->arena, &steps, err);
  struct str registry = STR_EMPTY;
  if (rc == 0)
    rc = call_pull_host(call, &registry, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  if (steps.delivery_id != 0)
    write_delivery(&steps, &w);
  if (steps.project_id != 0)
    write_project(&steps, &w);
  json_field_str(&w, "registry", registry);
  if (steps.policy_id != 0)
    write_webhook(&steps, &w);
  json_object_end(&w);
  return 0;
}
