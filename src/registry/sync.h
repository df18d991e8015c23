// SPDX-License-Identifier: Apache-2.0
// An existing registry read into the catalogue, without events, so that Harbinger can be put before a registry in use; later
// the same repairs what has come to differ. The walk is that of `check --catalogue` (registry/walk.h). What was done is
// committed with how far it came: after a kill the next one goes on there. Blocks its thread (sync_job.h has one).
//
// Manifests that no tag names are not found: a registry lists tags only. When each was pushed no registry tells: a tag
// counts as pushed when it was read.
#ifndef HARBINGER_REGISTRY_SYNC_H
#define HARBINGER_REGISTRY_SYNC_H

#include "registry/walk.h"

enum { SYNC_TROUBLE_BYTES = 256 };

struct registry_sync_config {
  struct registry_walk_config walk;
  bool create_projects;     // ingest.unknown_project: create | refuse
  int64_t facts_timeout_ms; // of a question for a manifest
  const struct log *log;
};

struct sync_counts {
  int64_t repositories; // looked at
  int64_t compared;     // tags and manifests that were asked for
  int64_t added, moved, removed_tags, removed_artifacts, removed_repositories;
  int64_t changed_meanwhile; // an event was there first
  int64_t refused;           // tags of projects that are unknown and may not be made
  int64_t unreadable;        // repositories, and tags without a digest, that the registry does not tell of
  int64_t facts_asked;       // artifacts whose size, media type and platform were asked for
  bool resumed;
  char trouble[SYNC_TROUBLE_BYTES]; // the first thing that was refused or unreadable
};

// ERR_UNAVAILABLE when the registry cannot be asked or `progress` ends it: what was read is kept.
int registry_sync(const struct registry_sync_config *config, struct store *store, const struct store_progress *progress,
                  struct sync_counts *counts, struct error *err) MUST_CHECK;

#endif
