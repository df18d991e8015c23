// SPDX-License-Identifier: Apache-2.0
// The store's form of an event.
#include "event/artifact.h"
#include "event/event.h"
#include "event/names.h"

enum { STORED_TEXT_BYTES = EVENT_MAX_JSON_BYTES }; // what the store holds was within its bounds when it came in

static void write_time_opt(struct json_writer *w, const char *key, int64_t us) {
  if (us != 0)
    json_field_i64(w, key, us);
}

static void write_mark(struct json_writer *w, const char *key, bool mark) {
  if (mark)
    json_field_bool(w, key, true);
}

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

static void write_repository(const struct event *event, struct json_writer *w) {
  json_key(w, "repository");
  json_object_begin(w);
  json_field_str_opt(w, "project", event->repository.project);
  json_field_str_opt(w, "name", event->repository.name);
  json_field_bool(w, "public", event->repository.is_public);
  write_time_opt(w, "created_at_us", event->repository.created_at_us);
  json_object_end(w);
}

static void write_artifacts(const struct event *event, struct json_writer *w) {
  json_key(w, "artifacts");
  json_array_begin(w);
  for (size_t i = 0; i < event->artifacts_len; i++) {
    json_object_begin(w);
    json_field_str_opt(w, "reference", event->artifacts[i].reference);
    event_artifact_write_members(&event->artifacts[i], w);
    json_object_end(w);
  }
  json_array_end(w);
}

void event_write_json(const struct event *event, struct json_writer *w) {
  char id[UUID_TEXT_BYTES];

  json_object_begin(w);
  json_field_str(w, "id", str_of(uuid_write(&event->id, id)));
  json_field_i64_opt(w, "project_id", event->project_id);
  json_field_i64_opt(w, "seq", event->seq);
  json_field_str(w, "type", str_of(event_type_name(event->type)));
  write_time_opt(w, "occurred_at_us", event->occurred_at_us);
  write_time_opt(w, "recorded_at_us", event->recorded_at_us);
  write_parties(event, w);
  write_repository(event, w);
  write_artifacts(event, w);
  json_key(w, "data");
  struct event_data data = event->data;
  data.type = event->type; // the event's type decides, also for a source that has no data to fill in
  event_data_write(&data, w);
  json_key(w, "source");
  json_object_begin(w);
  json_field_str(w, "kind", str_of(source_kind_name(event->source.kind)));
  json_field_str_opt(w, "instance", event->source.instance);
  json_object_end(w);
  json_field_str_opt(w, "registry_host", event->registry_host);
  json_field_str_opt(w, "upstream_name", event->upstream_name);
  write_mark(w, "unchanged", event->unchanged);
  write_mark(w, "inferred", event->inferred);
  json_object_end(w);
}

static int text(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
                const char *name, struct str *out) {
  return field_str(r, object, at, name, STORED_TEXT_BYTES, out);
}

static int number(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
                  const char *name, int64_t *out) {
  return field_i64(r, object, at, name, INT64_MIN, 0, out);
}

static int read_head(const struct field_reader *r, const struct json_object *object, struct event *out) {
  struct field_path id_place = field_member(NULL, "id"), type_place = field_member(NULL, "type");
  struct str id, type;
  int result = text(r, object, NULL, "id", &id);

  if (result == 0)
    result = text(r, object, NULL, "type", &type);
  if (result != 0)
    return result;
  if (!uuid_read(id, &out->id))
    return field_refuse(r, &id_place, "is not a UUID");
  if (!event_type_read(type, &out->type))
    return field_refuse(r, &type_place, "is not the name of an event type");
  result = number(r, object, NULL, "project_id", &out->project_id);
  if (result == 0)
    result = number(r, object, NULL, "seq", &out->seq);
  if (result == 0)
    result = number(r, object, NULL, "occurred_at_us", &out->occurred_at_us);
  return result == 0 ? number(r, object, NULL, "recorded_at_us", &out->recorded_at_us) : result;
}

static int read_parties(const struct field_reader *r, const struct json_object *object, struct event *out) {
  struct field_path actor_place = field_member(NULL, "actor"), client_place = field_member(NULL, "client");
  const struct json_object *actor = json_get_object(object, "actor");
  const struct json_object *client = json_get_object(object, "client");
  struct str kind;
  int result = text(r, actor, &actor_place, "kind", &kind);

  if (result == 0 && kind.len > 0 && !actor_kind_read(kind, &out->actor.kind))
    result = field_refuse(r, &actor_place, "is of an unknown kind");
  if (result == 0)
    result = text(r, actor, &actor_place, "name", &out->actor.name);
  if (result == 0)
    result = text(r, object, NULL, "trigger", &out->trigger);
  if (result == 0)
    result = text(r, client, &client_place, "address", &out->client.address);
  if (result == 0)
    result = text(r, client, &client_place, "user_agent", &out->client.user_agent);
  return result == 0 ? text(r, client, &client_place, "request_id", &out->client.request_id) : result;
}

static int read_repository(const struct field_reader *r, const struct json_object *object, struct event *out) {
  struct field_path place = field_member(NULL, "repository");
  const struct json_object *repository = json_get_object(object, "repository");
  int result = text(r, repository, &place, "project", &out->repository.project);

  if (result == 0)
    result = text(r, repository, &place, "name", &out->repository.name);
  if (result == 0)
    result = field_bool(r, repository, &place, "public", &out->repository.is_public);
  return result == 0 ? number(r, repository, &place, "created_at_us", &out->repository.created_at_us) : result;
}

static int read_source(const struct field_reader *r, const struct json_object *object, struct event *out) {
  struct field_path place = field_member(NULL, "source");
  const struct json_object *source = json_get_object(object, "source");
  struct str kind;
  int result = text(r, source, &place, "kind", &kind);

  if (result == 0 && !source_kind_read(kind, &out->source.kind))
    result = field_refuse(r, &place, "is of an unknown kind");
  if (result == 0)
    result = text(r, source, &place, "instance", &out->source.instance);
  if (result == 0)
    result = text(r, object, NULL, "registry_host", &out->registry_host);
  return result == 0 ? text(r, object, NULL, "upstream_name", &out->upstream_name) : result;
}

int event_read_json(struct str json, struct arena *arena, struct event *out, struct error *err) {
  static const char *const NAMES[] = {
      "id",     "project_id",    "seq",           "type",       "occurred_at_us", "recorded_at_us",
      "actor",  "trigger",       "client",        "repository", "artifacts",      "data",
      "source", "registry_host", "upstream_name", "unchanged",  "inferred",       NULL};
  struct field_reader r = {.arena = arena, .err = err};
  struct json_object *object;

  *out = (struct event){.type = EVENT_PUSH_ARTIFACT};
  int result = json_parse(json, arena, &object, err);
  if (result == 0)
    result = field_only(&r, object, NULL, NAMES);
  if (result == 0)
    result = read_head(&r, object, out);
  if (result == 0)
    result = read_parties(&r, object, out);
  if (result == 0)
    result = read_repository(&r, object, out);
  if (result == 0)
    result = event_artifacts_read(&r, object, false, out);
  if (result == 0)
    result = event_data_read(out->type, json_member(object, "data", NULL), arena, &out->data, err);
  (void)json_get_bool(object, "unchanged", &out->unchanged);
  (void)json_get_bool(object, "inferred", &out->inferred);
  return result == 0 ? read_source(&r, object, out) : result;
}
