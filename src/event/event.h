// SPDX-License-Identifier: Apache-2.0
// What happened in a registry: the one shape that every source is turned into and every format is rendered from.
// Everything that a format needs is in the event, so that rendering is a pure function. A plain value whose strings
// live in an arena of the caller; any thread.
#ifndef HARBINGER_EVENT_EVENT_H
#define HARBINGER_EVENT_EVENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json_writer.h"
#include "event/data.h"
#include "event/type.h"

enum {
  EVENT_MAX_ARTIFACTS = 64,
  EVENT_MAX_TAGS = 256,       // per artifact
  EVENT_MAX_CHILDREN = 256,   // per artifact
  EVENT_MAX_NAME_BYTES = 255, // project and repository names
  EVENT_MAX_JSON_BYTES = 1024 * 1024,
};

enum actor_kind { ACTOR_UNKNOWN, ACTOR_USER, ACTOR_ROBOT, ACTOR_SYSTEM, ACTOR_ANONYMOUS };
enum artifact_kind {
  ARTIFACT_UNKNOWN,
  ARTIFACT_IMAGE,
  ARTIFACT_INDEX,
  ARTIFACT_CHART,
  ARTIFACT_SIGNATURE,
  ARTIFACT_SBOM,
  ARTIFACT_ATTESTATION,
  ARTIFACT_OTHER,
};
enum source_kind { SOURCE_GATEWAY, SOURCE_DISTRIBUTION, SOURCE_ZOT, SOURCE_HARBOR, SOURCE_API, SOURCE_JOB };

struct event_child { // a manifest that an index lists
  struct str digest, media_type;
  enum artifact_kind kind;
  struct str platform;
  int64_t size_bytes; // -1 when unknown
};

struct event_artifact {
  struct str digest; // "sha256:..." or empty
  struct str *tags;  // all that are known
  size_t tags_len;
  struct str reference; // what the client used: a tag or a digest
  struct str media_type;
  enum artifact_kind kind;
  struct str platform;          // "linux/amd64" or empty
  int64_t size_bytes;           // -1 when unknown
  struct event_child *children; // of an index
  size_t children_len;
};

struct event {
  struct uuid id;
  int64_t project_id; // 0 until inserted
  int64_t seq;        // gap-free per project, 0 until inserted
  enum event_type type;
  int64_t occurred_at_us;
  int64_t recorded_at_us; // 0 until inserted

  struct {
    enum actor_kind kind;
    struct str name; // may be empty (anonymous)
  } actor;
  struct str trigger; // "manual", "schedule", "push" ...; empty when unknown
  struct {
    struct str address, user_agent, request_id;
  } client;

  struct {
    struct str project; // Harbor's `namespace`
    struct str name;    // within the project; may hold slashes; empty for events of a whole project
    bool is_public;
    int64_t created_at_us; // 0 when unknown
  } repository;
  struct event_artifact *artifacts;
  size_t artifacts_len;
  struct event_data data; // by type
  bool unchanged;         // a push of what the reference led to already
  bool inferred;          // found out by what the registry holds, or told late: registry/change.h

  struct {
    enum source_kind kind;
    struct str instance;
  } source;
  struct str registry_host; // host[:port] that resource_url begins with
  struct str upstream_name; // the repository's name in the registry, e.g. "team-a/web/api"; project/name when empty
};

// The store's form: all members above, compact, in a fixed order, `<>&` escaped. Reading is the exact inverse.
void event_write_json(const struct event *event, struct json_writer *w);
int event_read_json(struct str json, struct arena *arena, struct event *out, struct error *err) MUST_CHECK;

// The body of POST /projects/{p}/events: {type, occurred_at, actor, trigger, repository, artifacts[], data}, checked
// field by field; the words name the field ("artifacts[0].digest: ..."). Fills only what the body says.
int event_read_submission(const struct json_object *body, struct arena *arena, struct event *out, struct error *err)
    MUST_CHECK;

// These put text into the arena; `.ptr` is NULL when it is full.
// "team-a/web/api"; the project alone when the event has no repository.
struct str event_repo_full_name(const struct event *event, struct arena *arena) MUST_CHECK;
// host/upstream_name:tag or @digest of an artifact (of event_resource_tag, else its digest); empty when there is no
// host or no reference at all.
struct str event_resource_url(const struct event *event, const struct event_artifact *artifact, struct arena *arena)
    MUST_CHECK;
// Harbor's `tag` of a resource: PUSH and PULL what was asked for (a tag or a digest), DELETE the first tag or the
// digest, scans the tag scanned or the first one, quota the tag asked for. Empty when Harbor leaves it out. A view.
struct str event_resource_tag(const struct event *event, const struct event_artifact *artifact) MUST_CHECK;
// project/name:tag of the reference or the first tag, project/name@digest without one.
struct str event_artifact_name(const struct event *event, const struct event_artifact *artifact, struct arena *arena)
    MUST_CHECK;
// The kind that a media type (and an artifactType or config media type, may be empty) means.
enum artifact_kind artifact_kind_of(struct str media_type, struct str config_media_type);

const char *actor_kind_name(enum actor_kind kind);       // "user"; "" when unknown
const char *artifact_kind_name(enum artifact_kind kind); // "image"; "" when unknown
const char *source_kind_name(enum source_kind kind);     // "distribution"
bool event_is_digest(struct str text);                   // "sha256:" + 64 lower hex, or sha512 + 128
bool event_is_tag(struct str text);                      // OCI distribution spec: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}
bool event_is_project_name(struct str text);             // ^[a-z0-9]+(?:[._-][a-z0-9]+)*$, 1..255 as Harbor
bool event_is_repository_name(struct str text);          // OCI distribution spec name, path components

#endif
