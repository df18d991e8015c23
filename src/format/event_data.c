// SPDX-License-Identifier: Apache-2.0
// Harbor's `event_data`: keys, order and omission are Harbor's, whatever the event knows beyond them.
#include "base/clock.h"
#include "format/body.h"

int64_t body_unix_seconds(int64_t us) {
  int64_t seconds = us / US_PER_S;

  return us % US_PER_S < 0 ? seconds - 1 : seconds;
}

struct str body_text(struct body *body, struct str text) {
  if (text.ptr)
    return text;
  body->w->buf->failed = true;
  return STR_EMPTY;
}

static void write_raw_opt(struct json_writer *w, const char *key, struct str json) {
  if (json.len == 0)
    return;
  json_key(w, key);
  json_put_raw(w, json);
}

// Harbor sends one element at most, and no array without one.
static void write_resources(struct body *body) {
  const struct event *event = body->input->event;
  const struct event_artifact *artifact = event->artifacts;
  struct json_writer *w = body->w;

  if (event->artifacts_len == 0)
    return;
  json_key(w, "resources");
  json_array_begin(w);
  json_object_begin(w);
  json_field_str_opt(w, "digest", artifact->digest);
  json_field_str_opt(w, "tag", event_resource_tag(event, artifact));
  if (!event_type_is_quota(event->type))
    json_field_str_opt(w, "resource_url", body_text(body, event_resource_url(event, artifact, body->scratch)));
  if (event_type_is_scan(event->type)) {
    write_raw_opt(w, "scan_overview", event->data.scan.scan_overview);
    write_raw_opt(w, "sbom_overview", event->data.scan.sbom_overview);
  }
  json_object_end(w);
  json_array_end(w);
}

void body_write_repository(struct body *body, bool dated) {
  const struct event *event = body->input->event;
  struct json_writer *w = body->w;

  json_key(w, "repository");
  json_object_begin(w);
  if (dated)
    json_field_i64_opt(w, "date_created", body_unix_seconds(event->repository.created_at_us));
  json_field_str(w, "name", event->repository.name);
  json_field_str(w, "namespace", event->repository.project);
  json_field_str(w, "repo_full_name", body_text(body, event_repo_full_name(event, body->scratch)));
  json_field_str(w, "repo_type", event->repository.is_public ? STR("public") : STR("private"));
  json_object_end(w);
}

static void write_object(struct json_writer *w, const char *key, struct str object) {
  json_key(w, key);
  json_put_raw(w, object.len > 0 ? object : STR("{}"));
}

static void write_scan(struct json_writer *w, const struct event_scan *scan) {
  json_key(w, "scan");
  json_object_begin(w);
  json_field_str_opt(w, "scan_type", scan->scan_type);
  json_object_end(w);
}

static void write_custom_attributes(struct json_writer *w, const struct event_quota *quota) {
  json_key(w, "custom_attributes");
  json_object_begin(w);
  json_field_str(w, "Details", quota->details);
  json_object_end(w);
}

void body_write_event_data(struct body *body) {
  const struct event *event = body->input->event;
  struct json_writer *w = body->w;
  bool scan = event_type_is_scan(event->type), quota = event_type_is_quota(event->type);

  json_object_begin(w);
  if (event->type == EVENT_REPLICATION) {
    write_object(w, "replication", event->data.replication.object);
  } else if (event->type == EVENT_TAG_RETENTION) {
    write_object(w, "retention", event->data.retention.object);
  } else {
    write_resources(body);
    body_write_repository(body, !scan && !quota);
  }
  if (scan)
    write_scan(w, &event->data.scan);
  if (quota)
    write_custom_attributes(w, &event->data.quota);
  if (body->input->extras)
    body_write_harbinger(body);
  json_object_end(w);
}
