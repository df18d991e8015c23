// SPDX-License-Identifier: Apache-2.0
#include "ingest/distribution.h"

#include <stddef.h>

#include "base/json_scan.h"
#include "base/json_walk.h"
#include "base/rfc3339.h"
#include "base/utf8.h"
#include "net/address.h"
#include "registry/manifest.h"

enum {
  KEPT_TEXT_BYTES = 255,
  USER_AGENT_MAX_BYTES = 512,
  ID_MAX_BYTES = 255,
  FIRST_NOTIFICATIONS = 4,
};

// One notification as sent.
struct fields {
  struct str id, timestamp, action;
  struct str media_type, artifact_type, digest, repository, tag, url; // of target
  struct str references, platform, size;                              // of target, values not read yet
  struct str request_id, address, host, method, user_agent;           // of request
  struct str actor;
};

static void fields_clear(struct fields *fields) {
  struct str *all = (struct str *)(void *)fields;

  for (size_t i = 0; i < sizeof(*fields) / sizeof(*all); i++)
    all[i] = STR_EMPTY;
}

struct field_row {
  const char *key;
  size_t offset;
};

struct reader {
  const struct notification_rules *rules;
  struct arena *arena;
};

static const struct field_row TOP_ROWS[] = {
    {"id", offsetof(struct fields, id)},
    {"timestamp", offsetof(struct fields, timestamp)},
    {"action", offsetof(struct fields, action)},
};
static const struct field_row TARGET_ROWS[] = {
    {"mediaType", offsetof(struct fields, media_type)},
    {"artifactType", offsetof(struct fields, artifact_type)},
    {"digest", offsetof(struct fields, digest)},
    {"repository", offsetof(struct fields, repository)},
    {"tag", offsetof(struct fields, tag)},
    {"url", offsetof(struct fields, url)},
};
static const struct field_row REQUEST_ROWS[] = {
    {"id", offsetof(struct fields, request_id)},
    {"addr", offsetof(struct fields, address)},
    {"host", offsetof(struct fields, host)},
    {"method", offsetof(struct fields, method)},
    {"useragent", offsetof(struct fields, user_agent)},
};
static const struct field_row ACTOR_ROWS[] = {{"name", offsetof(struct fields, actor)}};

bool distribution_is_media_type(struct str content_type) {
  ptrdiff_t semicolon = str_find(content_type, ';');
  struct str type = str_trim(semicolon < 0 ? content_type : str_slice(content_type, 0, (size_t)semicolon));

  return str_ieq_c(type, "application/vnd.docker.distribution.events.v1+json") ||
         str_ieq_c(type, "application/vnd.docker.distribution.events.v2+json") || str_ieq_c(type, "application/json");
}

// ---- the text into fields -------------------------------------------------------------------------------------------

// 0, ERR_INVALID when the member is no string, ERR_NO_MEMORY. Null counts as absent.
static int read_row(const struct reader *r, const struct field_row *rows, size_t len, struct str key, struct str value,
                    struct fields *fields) {
  enum json_kind kind = json_walk_kind(value);

  for (size_t i = 0; i < len; i++) {
    if (!str_eq_c(key, rows[i].key) || kind == JSON_NULL)
      continue;
    if (kind != JSON_STRING)
      return ERR_INVALID;
    struct str *field = (struct str *)(void *)((char *)fields + rows[i].offset);
    return json_walk_str(value, r->arena, field) ? 0 : ERR_NO_MEMORY;
  }
  return 0;
}

static int read_object(const struct reader *r, const struct field_row *rows, size_t len, struct str object,
                       struct fields *fields) {
  struct json_walk walk = json_walk_open(object);
  enum json_kind kind = json_walk_kind(object);
  struct str key, value;
  int rc = kind == JSON_OBJECT || kind == JSON_NULL ? 0 : ERR_INVALID;

  while (rc == 0 && json_walk_next(&walk, &key, &value))
    rc = read_row(r, rows, len, key, value, fields);
  return rc;
}

// Beside its strings, members of target of other kinds; of kinds that they should not have they say nothing.
static int read_target_row(const struct reader *r, struct str key, struct str value, struct fields *fields) {
  if (str_eq_c(key, "references"))
    fields->references = json_walk_kind(value) == JSON_ARRAY ? value : fields->references;
  else if (str_eq_c(key, "platform"))
    fields->platform = json_walk_kind(value) == JSON_OBJECT ? value : fields->platform;
  else if (str_eq_c(key, "size"))
    fields->size = value;
  else
    return read_row(r, TARGET_ROWS, ARRAY_LEN(TARGET_ROWS), key, value, fields);
  return 0;
}

static int read_target(const struct reader *r, struct str target, struct fields *fields) {
  struct json_walk walk = json_walk_open(target);
  enum json_kind kind = json_walk_kind(target);
  struct str key, value;
  int rc = kind == JSON_OBJECT || kind == JSON_NULL ? 0 : ERR_INVALID;

  while (rc == 0 && json_walk_next(&walk, &key, &value))
    rc = read_target_row(r, key, value, fields);
  return rc;
}

static int read_fields(const struct reader *r, struct str text, struct fields *fields) {
  struct json_walk walk = json_walk_open(text);
  struct str key, value;
  int rc = json_walk_kind(text) == JSON_OBJECT && text.len <= DISTRIBUTION_MAX_NOTIFICATION_BYTES ? 0 : ERR_INVALID;

  while (rc == 0 && json_walk_next(&walk, &key, &value)) {
    if (str_eq_c(key, "target")) {
      rc = read_target(r, value, fields);
    } else if (str_eq_c(key, "request")) {
      rc = read_object(r, REQUEST_ROWS, ARRAY_LEN(REQUEST_ROWS), value, fields);
    } else if (str_eq_c(key, "actor")) {
      rc = read_object(r, ACTOR_ROWS, ARRAY_LEN(ACTOR_ROWS), value, fields);
    } else {
      rc = read_row(r, TOP_ROWS, ARRAY_LEN(TOP_ROWS), key, value, fields);
    }
  }
  return rc;
}

// ---- fields into what happened --------------------------------------------------------------------------------------

// Distribution names the media type of blobs application/octet-stream, or that of the layer; what it does not name, its
// address or tag tells.
static bool is_manifest(const struct fields *f) {
  return manifest_is_media_type(f->media_type) || f->tag.len > 0 || str_contains(f->url, STR("/manifests/"));
}

static enum notification_outcome outcome_of_delete(const struct fields *f) {
  if (f->digest.len == 0 && f->tag.len == 0)
    return NOTIFICATION_REPOSITORY;
  if (f->digest.len == 0)
    return event_is_tag(f->tag) ? NOTIFICATION_TAG_OF_DELETE : NOTIFICATION_MALFORMED;
  if (!event_is_digest(f->digest) || (f->tag.len > 0 && !event_is_tag(f->tag)))
    return NOTIFICATION_MALFORMED;
  return f->media_type.len > 0 && !is_manifest(f) ? NOTIFICATION_BLOB : NOTIFICATION_EVENT;
}

static enum notification_outcome outcome_of_transfer(const struct fields *f, bool pull) {
  if (!is_manifest(f))
    return NOTIFICATION_BLOB;
  if (pull && !str_eq_c(f->method, "GET"))
    return str_eq_c(f->method, "HEAD") ? NOTIFICATION_HEAD : NOTIFICATION_METHOD;
  if (!event_is_digest(f->digest) || (f->tag.len > 0 && !event_is_tag(f->tag)))
    return NOTIFICATION_MALFORMED;
  return NOTIFICATION_EVENT;
}

static bool is_own(const struct reader *r, const struct fields *f) {
  return r->rules->own_user_agent.len > 0 && str_eq_secret(f->user_agent, r->rules->own_user_agent);
}

static enum notification_outcome outcome_of(const struct reader *r, const struct fields *f, enum event_type *type) {
  if (f->id.len > ID_MAX_BYTES)
    return NOTIFICATION_MALFORMED;
  if (is_own(r, f)) // what came through us is an event already, or was our own question
    return NOTIFICATION_OWN;
  if (str_eq_c(f->action, "push")) {
    *type = EVENT_PUSH_ARTIFACT;
    return outcome_of_transfer(f, false);
  }
  if (str_eq_c(f->action, "pull")) {
    *type = EVENT_PULL_ARTIFACT;
    return outcome_of_transfer(f, true);
  }
  if (str_eq_c(f->action, "delete")) {
    *type = EVENT_DELETE_ARTIFACT;
    return outcome_of_delete(f);
  }
  if (str_eq_c(f->action, "mount"))
    return NOTIFICATION_MOUNT;
  return f->action.len ? NOTIFICATION_UNKNOWN_ACTION : NOTIFICATION_MALFORMED;
}

struct place {
  struct str project, repository;
};

// The first path component is the project, a name without a slash belongs to the default one.
static enum notification_outcome find_place(const struct reader *r, struct str name, struct place *place) {
  ptrdiff_t slash = str_find(name, '/');

  if (name.len == 0)
    return NOTIFICATION_MALFORMED;
  place->project = slash < 0 ? r->rules->default_project : str_slice(name, 0, (size_t)slash);
  place->repository = slash < 0 ? name : str_from(name, (size_t)slash + 1);
  if (!event_is_project_name(place->project))
    return NOTIFICATION_NO_PROJECT_NAME;
  return event_is_repository_name(place->repository) ? NOTIFICATION_EVENT : NOTIFICATION_MALFORMED;
}

// ---- what happened into an event ------------------------------------------------------------------------------------

// The client's address without its port; behind a proxy Distribution writes it without one.
static struct str client_address(struct str text, struct arena *arena) {
  struct address address;
  char plain[ADDRESS_TEXT_BYTES];

  if (!address_read_with_port(text, &address))
    return utf8_cut(text, KEPT_TEXT_BYTES);
  struct str copy = arena_str(arena, str_of(address_write(&address, plain)));
  return copy.ptr ? copy : STR_EMPTY;
}

// It comes from a client's Host header and goes into links: only what a host and port may be is taken.
static struct str registry_host(struct str text) {
  if (text.len > KEPT_TEXT_BYTES)
    return STR_EMPTY;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    bool name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!name && !strchr(".-:[]", c))
      return STR_EMPTY;
  }
  return text;
}

static void set_actor(struct event *event, struct str name) {
  event->actor.name = utf8_cut(name, KEPT_TEXT_BYTES);
  if (name.len == 0)
    event->actor.kind = ACTOR_ANONYMOUS;
  else
    event->actor.kind = str_starts_c(name, "robot$") ? ACTOR_ROBOT : ACTOR_USER;
}

// With events.includereferences: of an index its children, of the others the configuration and the layers, whose sizes
// make that of the artifact. (target.size alone is the manifest's and says nothing of it.)
static void read_index(const struct reader *r, const struct fields *f, struct event_artifact *artifact) {
  struct json_walk walk = json_walk_open(f->references);
  struct event_child child;
  struct str key, value;
  size_t count = 0;

  while (json_walk_next(&walk, &key, &value) && count < EVENT_MAX_CHILDREN)
    count++;
  artifact->children = count ? arena_array(r->arena, count, sizeof(*artifact->children)) : NULL;
  if (!artifact->children)
    return;
  walk = json_walk_open(f->references);
  while (artifact->children_len < count && json_walk_next(&walk, &key, &value)) {
    if (manifest_read_child(value, r->arena, &child))
      artifact->children[artifact->children_len++] = child;
  }
}

static void read_references(const struct reader *r, const struct fields *f, struct event_artifact *artifact) {
  struct json_walk walk = json_walk_open(f->references);
  struct str key, value, types[2] = {STR_EMPTY, STR_EMPTY}; // of the configuration and of the first layer
  int64_t sum;
  size_t i = 0;

  if (!json_walk_i64(f->size, &sum))
    sum = -1;
  for (; json_walk_next(&walk, &key, &value); i++) {
    struct event_child part;
    if (!manifest_read_child(value, r->arena, &part))
      part.size_bytes = -1;
    else if (i < ARRAY_LEN(types))
      types[i] = part.media_type;
    if (sum < 0 || part.size_bytes < 0 || __builtin_add_overflow(sum, part.size_bytes, &sum))
      sum = -1;
  }
  artifact->size_bytes = i > 0 ? sum : -1;
  artifact->kind = manifest_kind(f->media_type, f->artifact_type, types[0], types[1]);
}

static int make_artifact(const struct reader *r, const struct fields *f, struct event *event) {
  struct event_artifact *artifact = ARENA_NEW(r->arena, struct event_artifact);
  struct str *tag = f->tag.len ? ARENA_NEW(r->arena, struct str) : NULL;

  if (!artifact || (f->tag.len && !tag))
    return ERR_NO_MEMORY;
  *artifact = (struct event_artifact){
      .digest = f->digest,
      .reference = f->tag.len ? f->tag : f->digest,
      .media_type = utf8_cut(f->media_type, KEPT_TEXT_BYTES),
      .kind = manifest_kind(f->media_type, f->artifact_type, STR_EMPTY, STR_EMPTY),
      .platform = manifest_platform(f->platform, r->arena),
      .size_bytes = -1,
  };
  if (!artifact->platform.ptr)
    return ERR_NO_MEMORY;
  event->artifacts = artifact;
  event->artifacts_len = 1;
  // A delete's tags are the catalogue's to say: a digest goes with all of them.
  if (tag && event->type != EVENT_DELETE_ARTIFACT) {
    *tag = f->tag;
    artifact->tags = tag;
    artifact->tags_len = 1;
  }
  if (f->references.len && artifact->kind == ARTIFACT_INDEX)
    read_index(r, f, artifact);
  else if (f->references.len)
    read_references(r, f, artifact);
  return 0;
}

static int make_event(const struct reader *r, const struct fields *f, const struct place *place, enum event_type type,
                      struct notification *out) {
  struct event *event = ARENA_NEW(r->arena, struct event);

  if (!event)
    return ERR_NO_MEMORY;
  *event =
      (struct event){.type = type,
                     .occurred_at_us = out->source_time_us ? out->source_time_us : r->rules->received_us,
                     .registry_host = r->rules->external_host.len ? r->rules->external_host : registry_host(f->host),
                     .upstream_name = f->repository};
  event->data.type = type;
  set_actor(event, f->actor);
  event->client.address = client_address(f->address, r->arena);
  event->client.user_agent = utf8_cut(f->user_agent, USER_AGENT_MAX_BYTES);
  event->client.request_id = utf8_cut(f->request_id, KEPT_TEXT_BYTES);
  event->repository.project = place->project;
  event->repository.name = place->repository;
  event->source.kind = SOURCE_DISTRIBUTION;
  event->source.instance = r->rules->instance;
  out->event = event;
  return make_artifact(r, f, event);
}

static void note_fields(const struct fields *f, struct notification *out) {
  int64_t at_us;

  out->id = utf8_cut(f->id, ID_MAX_BYTES);
  out->action = utf8_cut(f->action, KEPT_TEXT_BYTES);
  out->repository = utf8_cut(f->repository, KEPT_TEXT_BYTES);
  out->reference = utf8_cut(f->tag.len ? f->tag : f->digest, KEPT_TEXT_BYTES);
  if (rfc3339_read(f->timestamp, &at_us) && at_us > 0)
    out->source_time_us = at_us;
}

static int read_notification(const struct reader *r, struct str text, struct notification *out) {
  struct fields fields;
  struct place place;
  enum event_type type = EVENT_PUSH_ARTIFACT;

  fields_clear(&fields);
  int rc = read_fields(r, text, &fields);

  note_fields(&fields, out);
  out->outcome = rc == 0 ? outcome_of(r, &fields, &type) : NOTIFICATION_MALFORMED;
  if (rc == ERR_NO_MEMORY)
    return rc;
  bool placed = out->outcome == NOTIFICATION_EVENT || out->outcome == NOTIFICATION_TAG_OF_DELETE;
  enum notification_outcome where = placed ? find_place(r, fields.repository, &place) : NOTIFICATION_EVENT;
  if (where != NOTIFICATION_EVENT)
    out->outcome = where;
  if (out->outcome == NOTIFICATION_TAG_OF_DELETE) {
    out->tag.project = place.project;
    out->tag.repository = place.repository;
    out->tag.request_id = utf8_cut(fields.request_id, KEPT_TEXT_BYTES);
  }
  return out->outcome == NOTIFICATION_EVENT ? make_event(r, &fields, &place, type, out) : 0;
}

// ---- the envelope ---------------------------------------------------------------------------------------------------

static int find_events(struct str body, struct str *events, struct error *err) {
  struct json_walk walk;
  struct str key, value;
  struct error why;

  if (json_scan(body, JSON_MAX_DEPTH, &why) != 0)
    return error_set(err, ERR_BAD_REQUEST, "the body cannot be read as JSON: %s", why.text);
  *events = STR_EMPTY;
  walk = json_walk_open(body);
  while (json_walk_kind(body) == JSON_OBJECT && json_walk_next(&walk, &key, &value)) {
    if (str_eq_c(key, "events"))
      *events = value;
  }
  if (json_walk_kind(*events) != JSON_ARRAY)
    return error_set(err, ERR_BAD_REQUEST, "the body is no envelope of Distribution: it has no array `events`");
  return 0;
}

// Room for one more; the array doubles inside the arena.
static bool notifications_grow(struct arena *arena, struct notification **rows, size_t len, size_t *cap) {
  if (len < *cap)
    return true;
  size_t grown_cap = *cap ? *cap * 2 : FIRST_NOTIFICATIONS;
  struct notification *grown = arena_array(arena, grown_cap, sizeof(*grown));
  if (!grown)
    return false;
  if (len > 0)
    memcpy(grown, *rows, len * sizeof(*grown));
  *rows = grown;
  *cap = grown_cap;
  return true;
}

int distribution_read(struct str body, const struct notification_rules *rules, size_t max_events, struct arena *arena,
                      struct notification **out, size_t *len, struct error *err) {
  const struct reader reader = {rules, arena};
  struct str events, key, value;
  size_t cap = 0;
  int rc = find_events(body, &events, err);

  *out = NULL;
  *len = 0;
  if (rc != 0)
    return rc;
  struct json_walk walk = json_walk_open(events);
  while (json_walk_next(&walk, &key, &value)) {
    if (*len == max_events)
      return error_set(err, ERR_TOO_LARGE, "the envelope has more than %zu events; nothing of it was taken",
                       max_events);
    if (!notifications_grow(arena, out, *len, &cap) || read_notification(&reader, value, &(*out)[*len]) != 0)
      return error_set(err, ERR_NO_MEMORY, "no memory to read an envelope of %zu bytes", body.len);
    (*len)++;
  }
  return 0;
}
