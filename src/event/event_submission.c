// SPDX-License-Identifier: Apache-2.0
// The body of POST /projects/{p}/events: an event of a trusted job, checked field by field.
#include "event/artifact.h"
#include "event/event.h"
#include "event/names.h"

// The server adds ids, times, the client and the repository's facts to what a body says.
enum { SERVER_FACTS_BYTES = 32 * 1024 };

static int read_type(const struct field_reader *r, const struct json_object *body, struct event *out) {
  struct field_path place = field_member(NULL, "type");
  struct str name;
  int result = field_str(r, body, NULL, "type", EVENT_MAX_NAME_BYTES, &name);

  if (result != 0)
    return result;
  if (name.len == 0)
    return field_refuse(r, &place, "is required");
  if (!event_type_read(name, &out->type))
    return field_refuse(r, &place, "is not one of the ten event types: %.*s", STR_ARG(name));
  return 0;
}

static int read_occurred_at(const struct field_reader *r, const struct json_object *body, struct event *out) {
  struct field_path place = field_member(NULL, "occurred_at");
  int result = field_time_us(r, body, NULL, "occurred_at", &out->occurred_at_us);

  if (result == 0 && out->occurred_at_us < 0)
    result = field_refuse(r, &place, "is before 1970");
  return result;
}

static int read_actor(const struct field_reader *r, const struct json_object *body, struct event *out) {
  static const char *const NAMES[] = {"kind", "name", NULL};
  struct field_path place = field_member(NULL, "actor"), kind_place = field_member(&place, "kind");
  struct field_path name_place = field_member(&place, "name");
  struct json_object *actor;
  struct str kind;
  int result = field_object(r, body, NULL, "actor", &actor);

  out->actor.name = STR_EMPTY;
  if (result != 0 || !actor)
    return result;
  result = field_only(r, actor, &place, NAMES);
  if (result == 0)
    result = field_str(r, actor, &place, "kind", EVENT_MAX_NAME_BYTES, &kind);
  if (result == 0 && !actor_kind_read(kind, &out->actor.kind))
    result = field_refuse(r, &kind_place, "must be user, robot, system or anonymous");
  if (result == 0)
    result = field_name(r, actor, &place, "name", EVENT_MAX_NAME_BYTES, &out->actor.name);
  if (result == 0 && out->actor.name.len == 0 && out->actor.kind != ACTOR_ANONYMOUS)
    result = field_refuse(r, &name_place, "is required unless the actor is anonymous");
  return result;
}

static bool needs_artifact(enum event_type type) {
  return type == EVENT_PUSH_ARTIFACT || type == EVENT_PULL_ARTIFACT || type == EVENT_DELETE_ARTIFACT ||
         event_type_is_scan(type);
}

static int read_repository(const struct field_reader *r, const struct json_object *body, struct event *out) {
  static const char *const NAMES[] = {"name", NULL};
  struct field_path place = field_member(NULL, "repository"), name_place = field_member(&place, "name");
  struct json_object *repository;
  int result = field_object(r, body, NULL, "repository", &repository);

  out->repository.name = STR_EMPTY;
  if (result == 0 && repository)
    result = field_only(r, repository, &place, NAMES);
  if (result == 0 && repository)
    result = field_str(r, repository, &place, "name", EVENT_MAX_NAME_BYTES, &out->repository.name);
  if (result != 0)
    return result;
  if (out->repository.name.len == 0)
    return event_type_is_quota(out->type) ? 0 : field_refuse(r, &name_place, "is required");
  if (!event_is_repository_name(out->repository.name))
    return field_refuse(r, &name_place,
                        "is not a repository name: lower-case letters and digits, with '.', '_', '-' "
                        "and '/' between them");
  return 0;
}

static int read_artifacts(const struct field_reader *r, const struct json_object *body, struct event *out) {
  struct field_path place = field_member(NULL, "artifacts");
  int result = event_artifacts_read(r, body, true, out);

  if (result == 0 && out->artifacts_len == 0 && needs_artifact(out->type))
    result = field_refuse(r, &place, "must name the artifact");
  return result;
}

static int read_data(const struct field_reader *r, const struct json_object *body, struct event *out) {
  struct field_path place = field_member(NULL, "data"), details_place = field_member(&place, "details");
  int result = event_data_read(out->type, json_member(body, "data", NULL), r->arena, &out->data, r->err);

  if (result != 0)
    return result;
  if (event_type_is_quota(out->type) && out->data.quota.details.len == 0)
    return field_refuse(r, &details_place, "is required");
  if ((out->type == EVENT_REPLICATION && out->data.replication.object.len == 0) ||
      (out->type == EVENT_TAG_RETENTION && out->data.retention.object.len == 0))
    return field_refuse(r, &place, "is required for %s", event_type_name(out->type));
  return 0;
}

// What is accepted must fit into the store with what the server adds.
static int check_size(const struct field_reader *r, const struct event *event) {
  struct buf buf;

  buf_init(&buf, EVENT_MAX_JSON_BYTES - SERVER_FACTS_BYTES);
  struct json_writer w = json_writer_make(&buf, true);
  event_write_json(event, &w);
  bool fits = !buf.failed, no_memory = buf.no_memory;
  buf_free(&buf);
  if (fits)
    return 0;
  if (no_memory)
    return error_set(r->err, ERR_NO_MEMORY, "no memory to take the event");
  return error_set(r->err, ERR_TOO_LARGE, "the event is larger than %d bytes of JSON",
                   EVENT_MAX_JSON_BYTES - SERVER_FACTS_BYTES);
}

static void set_absent(struct event *event) {
  event->trigger = event->client.address = event->client.user_agent = event->client.request_id = STR_EMPTY;
  event->repository.project = event->source.instance = event->registry_host = event->upstream_name = STR_EMPTY;
  event->source.kind = SOURCE_API;
}

int event_read_submission(const struct json_object *body, struct arena *arena, struct event *out, struct error *err) {
  static const char *const NAMES[] = {"type",       "occurred_at", "actor", "trigger",
                                      "repository", "artifacts",   "data",  NULL};
  struct field_reader r = {.arena = arena, .err = err};

  *out = (struct event){.type = EVENT_PUSH_ARTIFACT};
  set_absent(out);
  int result = field_only(&r, body, NULL, NAMES);
  if (result == 0)
    result = read_type(&r, body, out);
  if (result == 0)
    result = read_occurred_at(&r, body, out);
  if (result == 0)
    result = read_actor(&r, body, out);
  if (result == 0)
    result = field_name(&r, body, NULL, "trigger", EVENT_MAX_NAME_BYTES, &out->trigger);
  if (result == 0)
    result = read_repository(&r, body, out);
  if (result == 0)
    result = read_artifacts(&r, body, out);
  if (result == 0)
    result = read_data(&r, body, out);
  return result == 0 ? check_size(&r, out) : result;
}
