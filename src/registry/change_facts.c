// SPDX-License-Identifier: Apache-2.0
#include "registry/change_facts.h"

#include "registry/manifest.h"

static void read_body(const struct change_order *order, struct event_artifact *artifact, struct arena *arena,
                      struct str *config_digest) {
  struct manifest manifest;
  struct error err;

  if (manifest_read(order->body, order->media_type, arena, &manifest, &err) != 0) {
    artifact->media_type = order->media_type;
    artifact->kind = manifest_kind(order->media_type, STR_EMPTY, STR_EMPTY, STR_EMPTY);
    return;
  }
  artifact->media_type = manifest.media_type;
  artifact->kind = manifest.kind;
  artifact->children = manifest.children;
  artifact->children_len = manifest.children_len;
  // An index's own size says nothing of what it holds: that is asked for once it is there.
  artifact->size_bytes = manifest.kind == ARTIFACT_INDEX ? -1 : manifest.size_bytes;
  if (manifest.config_digest.len && manifest_config_has_platform(manifest.config_media_type))
    *config_digest = manifest.config_digest;
}

int change_facts_read(struct change_order *order, struct arena *arena, struct str *config_digest, struct error *err) {
  struct event_artifact *artifact = ARENA_NEW(arena, struct event_artifact);
  struct str *tag = ARENA_NEW(arena, struct str);

  *config_digest = STR_EMPTY;
  if (!artifact || !tag)
    return error_set(err, ERR_NO_MEMORY, "no memory for a change");
  *tag = order->tag;
  *artifact = (struct event_artifact){
      .digest = order->digest,
      .reference = order->tag.len ? order->tag : order->digest,
      .media_type = STR_EMPTY,
      .platform = STR_EMPTY,
      .size_bytes = -1,
      .tags = tag,
      .tags_len = order->kind == CHANGE_PUT && order->tag.len ? 1 : 0,
  };
  if (order->kind == CHANGE_PUT)
    read_body(order, artifact, arena, config_digest);
  if (arena_out_of_memory(arena))
    return error_set(err, ERR_NO_MEMORY, "no memory for a change");
  order->event.type = order->kind == CHANGE_PUT ? EVENT_PUSH_ARTIFACT : EVENT_DELETE_ARTIFACT;
  order->event.artifacts = artifact;
  order->event.artifacts_len = 1;
  return 0;
}
