// SPDX-License-Identifier: Apache-2.0
// The catalogue beside the registry that it is about: which tags and manifests does only one of them have, and which tags
// name something else. Reads only, with a client and a loop of its own, so that it blocks its thread and nobody else's: one
// question at a time.
#ifndef HARBINGER_REGISTRY_COMPARE_H
#define HARBINGER_REGISTRY_COMPARE_H

#include "store/admin.h"

struct registry_compare_config {
  const char *upstream_url, *authorization, *user_agent; // as registry_facts_config
  const char *default_project;                           // of our names the registry may have these without it
  bool skip_cert_verify;
  struct str ca_pem; // whom we trust; empty: the system's
};

struct registry_difference {
  struct str what; // "team-a/web: tag v1 is not in the registry"
};

// The first STORE_CHECK_MAX_FINDINGS differences, in the arena; *compared: tags and manifests that were asked for. An error
// when the registry cannot be asked.
int registry_compare(const struct registry_compare_config *config, struct store *store,
                     const struct store_progress *progress, struct arena *arena, struct registry_difference **out,
                     size_t *len, int64_t *compared, struct error *err) MUST_CHECK;

#endif
