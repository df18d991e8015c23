// SPDX-License-Identifier: Apache-2.0
#include "event/event.h"

struct str event_repo_full_name(const struct event *event, struct arena *arena) {
  if (event->repository.name.len == 0)
    return arena_str(arena, event->repository.project);
  return ARENA_JOIN(arena, event->repository.project, STR("/"), event->repository.name);
}

static struct str first_tag(const struct event_artifact *artifact) {
  return artifact->tags_len > 0 ? artifact->tags[0] : STR_EMPTY;
}

// The tag that the client named, else the first one that is known.
static struct str own_tag(const struct event_artifact *artifact) {
  return event_is_tag(artifact->reference) ? artifact->reference : first_tag(artifact);
}

static struct str first_of(struct str a, struct str b, struct str c) {
  if (a.len > 0)
    return a;
  return b.len > 0 ? b : c;
}

struct str event_resource_tag(const struct event *event, const struct event_artifact *artifact) {
  switch (event->type) {
  case EVENT_PUSH_ARTIFACT:
  case EVENT_PULL_ARTIFACT:
    return first_of(artifact->reference, first_tag(artifact), artifact->digest);
  case EVENT_DELETE_ARTIFACT:
    return first_of(first_tag(artifact), artifact->digest, artifact->reference);
  case EVENT_QUOTA_EXCEED:
  case EVENT_QUOTA_WARNING:
    return event_is_tag(artifact->reference) ? artifact->reference : STR_EMPTY;
  default:
    return own_tag(artifact);
  }
}

struct str event_resource_url(const struct event *event, const struct event_artifact *artifact, struct arena *arena) {
  struct str reference = event_resource_tag(event, artifact);
  struct str name = event->upstream_name;

  if (reference.len == 0)
    reference = artifact->digest;
  if (event->registry_host.len == 0 || reference.len == 0)
    return STR_EMPTY;
  if (name.len == 0)
    name = event_repo_full_name(event, arena);
  if (!name.ptr)
    return name;
  return ARENA_JOIN(arena, event->registry_host, STR("/"), name, event_is_digest(reference) ? STR("@") : STR(":"),
                    reference);
}

struct str event_artifact_name(const struct event *event, const struct event_artifact *artifact, struct arena *arena) {
  struct str name = event_repo_full_name(event, arena);
  struct str tag = own_tag(artifact);

  if (!name.ptr || (tag.len == 0 && artifact->digest.len == 0))
    return name;
  if (tag.len > 0)
    return ARENA_JOIN(arena, name, STR(":"), tag);
  return ARENA_JOIN(arena, name, STR("@"), artifact->digest);
}
