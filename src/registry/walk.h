// SPDX-License-Identifier: Apache-2.0
// The catalogue and the registry that it is about, side by side: first each repository that we know, then those that only
// the registry's list has. Whoever walks is told of each repository with what differs in it: `check` makes words of it
// (compare.h), `sync` repairs it (sync.h). Reads only; blocks its thread.
#ifndef HARBINGER_REGISTRY_WALK_H
#define HARBINGER_REGISTRY_WALK_H

#include "registry/client.h"

struct registry_walk_config {
  struct registry_client_config client;
  const char *default_project; // of our names the registry may have these without it
  const char *project;         // only its repositories; NULL or "": all
};

enum walk_phase { WALK_KNOWN, WALK_LISTED, WALK_DONE };

// Where a walk is, and so where it goes on.
struct walk_position {
  enum walk_phase phase;
  int64_t after_id; // WALK_KNOWN: the repository that was done last
  int64_t last_id;  // repositories with a higher id came while the walk was going on: WALK_LISTED looks at them, too
  struct str after; // WALK_LISTED: the registry's name that was done last; empty: none yet
};

enum walk_difference_kind {
  WALK_TAG_GONE,      // we have it, the registry does not
  WALK_TAG_MOVED,     // `digest` there, `known_digest` here
  WALK_TAG_NEW,       // the registry only; `digest` when it was asked for
  WALK_ARTIFACT_GONE, // without tags, or all of them gone or moved
};

struct walk_difference {
  enum walk_difference_kind kind;
  struct str tag, digest, known_digest;
  int64_t known_pushed_us; // of the tag, or of the artifact, as we read it
};

struct walk_repository {
  struct str project, name; // ours: "team-a", "web/api"
  bool known;               // we have it
  bool gone;                // the registry has neither tags nor manifests of it
  int64_t asked_us;         // what we knew at this moment is compared
  const char *unreadable;   // why the registry does not tell of it; NULL: it does
  struct walk_difference *differences;
  size_t len;
};

struct walk_visitor {
  bool ask_new; // the digests of tags that only the registry has, too
  // Not 0 ends the walk with it. What it is told lives until it returns; the position is that after this repository.
  int (*on_repository)(void *ctx, const struct walk_repository *repository, const struct walk_position *position,
                       struct error *err);
  void *ctx;
};

struct walk_counts {
  int64_t compared; // tags and manifests that were asked for
  int list_status;  // not 0: the registry refuses to list its repositories, with this status
};

// `from`: {0} for a whole walk. An error when the registry cannot be asked.
int registry_walk(const struct registry_walk_config *config, struct registry_client *client, struct store_conn *conn,
                  const struct walk_position *from, const struct walk_visitor *visitor, struct walk_counts *counts,
                  struct error *err) MUST_CHECK;

#endif
