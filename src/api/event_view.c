// SPDX-License-Identifier: Apache-2.0
#include "api/event_view.h"

#include "api/delivery_view.h"
#include "event/artifact.h"
#include "store/policies.h"

enum { POLICIES_MAX = 1000 }; // as many as a project may have

static void write_parties(const struct event *event, struct json_writer *w) {
  json_key(w, "actor");
  json_object_begin(w);
  json_field_str_opt(w, "kind", str_of(actor_kind_name(event->actor.kind)));
  json_field_str_opt(w, "name", event->actor.name);
  json_object_end(w);
  json_field_str_opt(w, "trigger", event->trigger);
  json_key(w, "client");
  json_object_begin(w);
  json_field_str_opt(w, "address", event->client.address);
  json_field_str_opt(w, "user_agent", event->client.user_agent);
  json_field_str_opt(w, "request_id", event->client.request_id);
  json_object_end(w);
}

static void write_repository(const struct event *event, struct str full_name, struct json_writer *w) {
  json_key(w, "repository");
  json_object_begin(w);
  json_field_str(w, "project", event->repository.project);
  json_field_str_opt(w, "name", event->repository.name);
  json_field_str(w, "full_name", full_name);
  json_field_bool(w, "public", event->repository.is_public);
  delivery_view_field_time_us(w, "created_at", event->repository.created_at_us);
  json_object_end(w);
}

static void write_source(const struct event *event, struct json_writer *w) {
  json_key(w, "source");
  json_object_begin(w);
  json_field_str(w, "kind", str_of(source_kind_name(event->source.kind)));
  json_field_str_opt(w, "instance", event->source.instance);
  json_object_end(w);
}

int event_view_write(struct api_call *call, const struct event *event, struct json_writer *w, struct error *err) {
  char id[UUID_TEXT_BYTES];
  struct str full_name = event_repo_full_name(event, call->arena);

  if (!full_name.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for an event");
  json_field_str(w, "id", str_of(uuid_write(&event->id, id)));
  json_field_i64(w, "seq", event->seq);
  json_field_str(w, "type", str_of(event_type_name(event->type)));
  delivery_view_field_time_us(w, "occurred_at", event->occurred_at_us);
  delivery_view_field_time_us(w, "recorded_at", event->recorded_at_us);
  write_parties(event, w);
  write_repository(event, full_name, w);
  json_key(w, "artifacts");
  json_array_begin(w);
  for (size_t i = 0; i < event->artifacts_len; i++) {
    json_object_begin(w);
    json_field_str_opt(w, "reference", event->artifacts[i].reference);
    event_artifact_write_members(&event->artifacts[i], w);
    json_object_end(w);
  }
  json_array_end(w);
  json_key(w, "data");
  event_data_write(&event->data, w);
  write_source(event, w);
  if (event->unchanged)
    json_field_bool(w, "unchanged", true);
  if (event->inferred)
    json_field_bool(w, "inferred", true);
  return 0;
}

// ---- why ------------------------------------------------------------------------------------------------------------

static bool has_delivery(const struct delivery *deliveries, size_t len, int64_t policy_id) {
  for (size_t i = 0; i < len; i++)
    if (deliveries[i].policy_id == policy_id)
      return true;
  return false;
}

// The policy as it is now is asked; where it says yes and nothing was made, it was another one then.
static const char *reason(const struct policy *policy, const struct event *event, bool delivered) {
  enum policy_verdict verdict = policy_match(policy, event);

  if (delivered)
    return policy_verdict_words(POLICY_MATCHES);
  if (verdict != POLICY_MATCHES)
    return policy_verdict_words(verdict);
  if (policy->created_at_us > event->recorded_at_us)
    return "the policy was created after the event";
  if (policy->updated_at_us > event->recorded_at_us)
    return "the policy matches as it is now, but was changed after the event";
  return "notifications were switched off for all projects, or the deliveries have been trimmed";
}

static void write_policy(int64_t id, struct str name, bool matched, const char *why, const struct delivery *deliveries,
                         size_t len, struct json_writer *w) {
  json_object_begin(w);
  json_field_i64(w, "policy_id", id);
  json_field_str_opt(w, "policy_name", name);
  json_field_bool(w, "matched", matched);
  json_field_str(w, "reason", str_of(why));
  json_key(w, "deliveries");
  json_array_begin(w);
  for (size_t i = 0; i < len; i++) {
    if (deliveries[i].policy_id != id)
      continue;
    json_object_begin(w);
    json_field_i64(w, "id", deliveries[i].id);
    json_field_i64(w, "target_id", deliveries[i].target_id);
    json_field_str(w, "status", str_of(delivery_view_status(&deliveries[i])));
    json_object_end(w);
  }
  json_array_end(w);
  json_object_end(w);
}

static bool is_listed(const struct policy *policies, size_t len, int64_t id) {
  for (size_t i = 0; i < len; i++)
    if (policies[i].id == id)
      return true;
  return false;
}

int event_view_write_deliveries(struct api_call *call, const struct event *event, struct json_writer *w,
                                struct error *err) {
  struct query all = {.page = 1, .max_rows = POLICIES_MAX, .sorts = {{.key = STR("id")}}, .sorts_len = 1};
  struct policy *policies;
  struct delivery *deliveries;
  size_t policies_len, len;
  int64_t total;
  int rc = policy_list(call->conn, event->project_id, &all, call->arena, &policies, &policies_len, &total, err);

  if (rc == 0)
    rc = delivery_of_event(call->conn, &event->id, call->arena, &deliveries, &len, err);
  if (rc != 0)
    return rc;
  json_key(w, "deliveries");
  json_array_begin(w);
  for (size_t i = 0; i < policies_len; i++) {
    bool delivered = has_delivery(deliveries, len, policies[i].id);
    write_policy(policies[i].id, policies[i].name, delivered, reason(&policies[i], event, delivered), deliveries, len,
                 w);
  }
  for (size_t i = 0; i < len; i++) { // each policy that is gone once, at its first delivery
    int64_t id = deliveries[i].policy_id;
    if (!is_listed(policies, policies_len, id) && !has_delivery(deliveries, i, id))
      write_policy(id, STR_EMPTY, true, "the policy matched and was deleted later", deliveries, len, w);
  }
  json_array_end(w);
  return 0;
}
