// SPDX-License-Identifier: Apache-2.0
// What a manifest, an index or an image's configuration says about an artifact (OCI image spec 1.1 manifest.md,
// image-index.md and config.md; Docker's schema 1, schema 2 and manifest lists). Pure functions; the strings of the
// results are views into the text or live in the arena.
#ifndef HARBINGER_REGISTRY_MANIFEST_H
#define HARBINGER_REGISTRY_MANIFEST_H

#include "event/event.h"

// What a request for a manifest accepts.
#define MANIFEST_ACCEPT                                         \
  "application/vnd.oci.image.manifest.v1+json, "                \
  "application/vnd.oci.image.index.v1+json, "                   \
  "application/vnd.oci.artifact.manifest.v1+json, "             \
  "application/vnd.docker.distribution.manifest.v2+json, "      \
  "application/vnd.docker.distribution.manifest.list.v2+json, " \
  "application/vnd.docker.distribution.manifest.v1+prettyjws;q=0.5"

struct manifest {
  struct str media_type; // without parameters
  enum artifact_kind kind;
  int64_t size_bytes; // the manifest with its configuration and layers; of an index: alone. -1 when it does not say
  struct str config_digest, config_media_type; // empty when there is none
  struct event_child *children;                // of an index, at most EVENT_MAX_CHILDREN; sizes are of the manifests
  size_t children_len;
  bool children_cut; // it lists more
};

// `content_type`: of the answer, for manifests that do not name their type; may be empty. ERR_INVALID when it is no JSON
// object or no manifest.
int manifest_read(struct str json, struct str content_type, struct arena *arena, struct manifest *out,
                  struct error *err) MUST_CHECK;
// "linux/arm64/v8" out of an image's configuration; empty when it does not say. ERR_INVALID when it is no JSON object.
int manifest_config_platform(struct str json, struct arena *arena, struct str *out, struct error *err) MUST_CHECK;

// Content that is not what its digest says is nobody's facts. Other algorithms than SHA-256 are not checked.
bool manifest_has_digest(struct str content, struct str digest);

// Is it the media type of a manifest or an index? Parameters do not count.
bool manifest_is_media_type(struct str media_type);
// Has a configuration of that type an operating system and an architecture?
bool manifest_config_has_platform(struct str config_media_type);
// The kind by the manifest's own type, then its artifactType, its configuration's type and its first layer's, each of
// which may be empty: a cosign signature is an image but for its layer.
enum artifact_kind manifest_kind(struct str media_type, struct str artifact_type, struct str config_media_type,
                                 struct str layer_media_type);
// "os/architecture[/variant]" of a JSON object with those members; empty when it is none. .ptr NULL: no memory.
struct str manifest_platform(struct str object, struct arena *arena) MUST_CHECK;
// One entry of an index (or of a notification's references): a descriptor of OCI. False when it has no digest, or memory
// is out.
bool manifest_read_child(struct str descriptor, struct arena *arena, struct event_child *out) MUST_CHECK;

#endif
