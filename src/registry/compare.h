// SPDX-License-Identifier: Apache-2.0
// The catalogue beside the registry that it is about, in words: which tags and manifests does only one of them have, and
// which tags name something else. Reads only; blocks its thread and nobody else's (registry/walk.h).
#ifndef HARBINGER_REGISTRY_COMPARE_H
#define HARBINGER_REGISTRY_COMPARE_H

#include "registry/walk.h"

struct registry_difference {
  struct str what; // "team-a/web: tag v1 is not in the registry"
};

struct registry_compared {
  struct registry_difference *differences; // the first STORE_CHECK_MAX_FINDINGS, in the arena
  size_t len;
  struct walk_counts counts;
};

// An error when the registry cannot be asked.
int registry_compare(const struct registry_walk_config *config, struct store *store,
                     const struct store_progress *progress, struct arena *arena, struct registry_compared *out,
                     struct error *err) MUST_CHECK;
// Words for one difference; .ptr NULL: no memory.
struct str registry_difference_words(const struct walk_repository *repository, const struct walk_difference *difference,
                                     struct arena *arena) MUST_CHECK;

#endif
