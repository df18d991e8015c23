// SPDX-License-Identifier: Apache-2.0
#include "event/copy.h"

bool event_is_plain(const struct event *event) {
  return event->type == EVENT_PUSH_ARTIFACT || event->type == EVENT_PULL_ARTIFACT ||
         event->type == EVENT_DELETE_ARTIFACT;
}

// Absent stays absent: an empty text takes no memory.
static bool copy_text(struct str *text, struct arena *arena) {
  if (text->len == 0)
    return true;
  *text = arena_str(arena, *text);
  return text->ptr != NULL;
}

static bool copy_tags(struct event_artifact *artifact, struct arena *arena) {
  struct str *tags = artifact->tags_len ? arena_array(arena, artifact->tags_len, sizeof(*tags)) : NULL;

  if (artifact->tags_len && !tags)
    return false;
  for (size_t i = 0; i < artifact->tags_len; i++) {
    tags[i] = artifact->tags[i];
    if (!copy_text(&tags[i], arena))
      return false;
  }
  artifact->tags = tags;
  return true;
}

static bool copy_children(struct event_artifact *artifact, struct arena *arena) {
  size_t len = artifact->children_len;
  struct event_child *children = len ? arena_array(arena, len, sizeof(*children)) : NULL;

  if (len && !children)
    return false;
  for (size_t i = 0; i < len; i++) {
    children[i] = artifact->children[i];
    if (!copy_text(&children[i].digest, arena) || !copy_text(&children[i].media_type, arena) ||
        !copy_text(&children[i].platform, arena))
      return false;
  }
  artifact->children = children;
  return true;
}

static bool copy_artifacts(struct event *event, struct arena *arena) {
  size_t len = event->artifacts_len;
  struct event_artifact *artifacts = len ? arena_array(arena, len, sizeof(*artifacts)) : NULL;

  if (len && !artifacts)
    return false;
  for (size_t i = 0; i < len; i++) {
    struct event_artifact *copy = &artifacts[i];
    *copy = event->artifacts[i];
    if (!copy_text(&copy->digest, arena) || !copy_tags(copy, arena) || !copy_text(&copy->reference, arena) ||
        !copy_text(&copy->media_type, arena) || !copy_text(&copy->platform, arena) || !copy_children(copy, arena))
      return false;
  }
  event->artifacts = artifacts;
  return true;
}

bool event_copy(const struct event *event, struct arena *arena, struct event *out) {
  if (!event_is_plain(event))
    return false;
  *out = *event;
  return copy_text(&out->actor.name, arena) && copy_text(&out->trigger, arena) &&
         copy_text(&out->client.address, arena) && copy_text(&out->client.user_agent, arena) &&
         copy_text(&out->client.request_id, arena) && copy_text(&out->repository.project, arena) &&
         copy_text(&out->repository.name, arena) && copy_artifacts(out, arena) &&
         copy_text(&out->source.instance, arena) && copy_text(&out->registry_host, arena) &&
         copy_text(&out->upstream_name, arena);
}
