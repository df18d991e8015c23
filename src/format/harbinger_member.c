// SPDX-License-Identifier: Apache-2.0
// The member `harbinger`, always the last of `event_data`: all that an event knows and Harbor leaves out. Its members
// stand in one order; what is unknown or empty is left out.
#include "base/rfc3339.h"
#include "event/artifact.h"
#include "format/body.h"

static void write_actor(struct body *body) {
  const struct event *event = body->input->event;
  struct str kind = str_of(actor_kind_name(event->actor.kind));

  if (kind.len == 0 && event->actor.name.len == 0)
    return;
  json_key(body->w, "actor");
  json_object_begin(body->w);
  json_field_str_opt(body->w, "kind", kind);
  json_field_str_opt(body->w, "name", event->actor.name);
  json_object_end(body->w);
}

static void write_client(struct body *body) {
  const struct event *event = body->input->event;

  if (event->client.address.len == 0 && event->client.user_agent.len == 0 && event->client.request_id.len == 0)
    return;
  json_key(body->w, "client");
  json_object_begin(body->w);
  json_field_str_opt(body->w, "address", event->client.address);
  json_field_str_opt(body->w, "user_agent", event->client.user_agent);
  json_field_str_opt(body->w, "request_id", event->client.request_id);
  json_object_end(body->w);
}

static void write_artifacts(struct body *body) {
  const struct event *event = body->input->event;

  if (event->artifacts_len == 0)
    return;
  json_key(body->w, "artifacts");
  json_array_begin(body->w);
  for (size_t i = 0; i < event->artifacts_len; i++) {
    const struct event_artifact *artifact = &event->artifacts[i];
    json_object_begin(body->w);
    json_field_str(body->w, "name", body_text(body, event_artifact_name(event, artifact, body->scratch)));
    event_artifact_write_members(artifact, body->w);
    json_object_end(body->w);
  }
  json_array_end(body->w);
}

static void write_scan(struct json_writer *w, const struct event_scan *scan) {
  json_key(w, "scan");
  json_object_begin(w);
  json_field_str_opt(w, "status", scan->status);
  if (scan->has_counts) {
    json_field_i64(w, "critical", scan->critical);
    json_field_i64(w, "major", scan->major);
    json_field_i64(w, "minor", scan->minor);
  }
  json_field_str_opt(w, "error", scan->error);
  json_field_str_opt(w, "completed_at", scan->completed_at);
  json_object_end(w);
}

static void write_known(struct json_writer *w, const char *key, int64_t value) {
  if (value >= 0)
    json_field_i64(w, key, value);
}

static void write_quota(struct json_writer *w, const struct event_quota *quota) {
  json_key(w, "quota");
  json_object_begin(w);
  write_known(w, "requested", quota->requested_bytes);
  write_known(w, "used", quota->used_bytes);
  write_known(w, "limit", quota->limit_bytes);
  write_known(w, "percent", quota->percent);
  json_object_end(w);
}

// Harbor's `repository`, which the bodies of replication and retention lack.
static void write_repository(struct body *body) {
  if (body->input->event->repository.name.len > 0)
    body_write_repository(body, true);
}

static void write_replication(struct body *body) {
  const struct event_replication *replication = &body->input->event->data.replication;

  json_key(body->w, "replication");
  json_object_begin(body->w);
  write_repository(body);
  json_field_str_opt(body->w, "status", replication->job_status);
  json_field_str_opt(body->w, "error", replication->fail_reason);
  json_object_end(body->w);
}

static void write_retention(struct body *body) {
  json_key(body->w, "retention");
  json_object_begin(body->w);
  write_repository(body);
  write_artifacts(body); // the deleted ones
  json_object_end(body->w);
}

static void write_by_type(struct body *body) {
  const struct event *event = body->input->event;

  if (event_type_is_scan(event->type))
    write_scan(body->w, &event->data.scan);
  else if (event_type_is_quota(event->type))
    write_quota(body->w, &event->data.quota);
  else if (event->type == EVENT_REPLICATION)
    write_replication(body);
  else if (event->type == EVENT_TAG_RETENTION)
    write_retention(body);
}

void body_write_harbinger(struct body *body) {
  const struct event *event = body->input->event;
  char id[UUID_TEXT_BYTES], time[RFC3339_BYTES];

  json_key(body->w, "harbinger");
  json_object_begin(body->w);
  json_field_str(body->w, "event_id", str_of(uuid_write(&event->id, id)));
  json_field_i64_opt(body->w, "seq", event->seq);
  json_field_str(body->w, "occurred_at", str_of(rfc3339_write(event->occurred_at_us, 6, time)));
  json_field_str_opt(body->w, "trigger", event->trigger);
  write_actor(body);
  write_client(body);
  if (event->type != EVENT_TAG_RETENTION)
    write_artifacts(body);
  write_by_type(body);
  if (event->unchanged)
    json_field_bool(body->w, "unchanged", true);
  if (event->inferred)
    json_field_bool(body->w, "inferred", true);
  json_object_end(body->w);
}
