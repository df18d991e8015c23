// SPDX-License-Identifier: Apache-2.0
// The catalogue: what we know of the registry behind us. Changed with the events (store/events.h); may be rebuilt. Read
// by Harbor's paths for repositories and artifacts, completed with facts asked from the upstream. See store.h.
#ifndef HARBINGER_STORE_CATALOGUE_H
#define HARBINGER_STORE_CATALOGUE_H

#include "event/event.h"
#include "store/query.h"
#include "store/store.h"

struct repository {
  int64_t id, project_id;
  struct str name; // full: "team-a/web/api"
  struct str description;
  int64_t artifact_count, tag_count, pull_count;
  int64_t size_bytes;        // of its artifacts, as far as known
  int64_t last_pushed_at_us; // 0 when it has none
  int64_t created_at_us, updated_at_us;
};

struct catalogue_tag {
  int64_t id;
  struct str name;
  int64_t pushed_at_us, pulled_at_us; // 0 when unknown
};

struct artifact {
  int64_t id, project_id, repository_id;
  struct str digest, media_type, platform;
  enum artifact_kind kind;
  int64_t size_bytes; // -1 when unknown
  int64_t pushed_at_us, pulled_at_us;
  struct catalogue_tag *tags;
  size_t tags_len;
};

// Of one project; REPOSITORY_OF_ALL: of all, REPOSITORY_OF_PUBLIC: of the public ones.
enum { REPOSITORY_OF_ALL = 0, REPOSITORY_OF_PUBLIC = -1 };
int repository_list(struct store_conn *conn, int64_t project_id, const struct query *query, struct arena *arena,
                    struct repository **out, size_t *len, int64_t *total, struct error *err) MUST_CHECK;
// `name` within the project. ERR_NOT_FOUND "repository PROJECT/NAME not found".
int repository_get(struct store_conn *conn, int64_t project_id, struct str name, struct arena *arena,
                   struct repository *out, struct error *err) MUST_CHECK;
int artifact_list(struct store_conn *conn, int64_t repository_id, const struct query *query, struct arena *arena,
                  struct artifact **out, size_t *len, int64_t *total, struct error *err) MUST_CHECK;
// `reference`: a digest or a tag. ERR_NOT_FOUND.
int artifact_get(struct store_conn *conn, int64_t repository_id, struct str reference, struct arena *arena,
                 struct artifact *out, struct error *err) MUST_CHECK;
int tag_list(struct store_conn *conn, int64_t repository_id, int64_t artifact_id, const struct query *query,
             struct arena *arena, struct catalogue_tag **out, size_t *len, int64_t *total, struct error *err)
    MUST_CHECK;

// A tag-only delete notification: the tag goes out of sight; a delete of its digest under the same `request_id` still
// lists it. No event. Inside a store_write.
int catalogue_tag_removed(struct store_conn *conn, struct str project, struct str repository, struct str tag,
                          struct str request_id, struct error *err) MUST_CHECK;

struct artifact_facts {
  int64_t id; // of the artifact; 0 when it is found by the three below
  struct str project, repository, digest;
  struct str media_type, platform;
  enum artifact_kind kind;
  int64_t size_bytes;
};
// What the upstream said, where the catalogue did not know it. Inside a store_write.
int catalogue_complete(struct store_conn *conn, const struct artifact_facts *facts, struct error *err) MUST_CHECK;
// Artifacts with a higher id than `after_id` whose facts the catalogue lacks, by id.
int catalogue_incomplete(struct store_conn *conn, int64_t after_id, int64_t limit, struct arena *arena,
                         struct artifact_facts **out, size_t *len, struct error *err) MUST_CHECK;

// ---- beside the registry (registry/walk.h) ----------------------------------------------------------------------------

struct catalogue_name {
  int64_t id;
  struct str project, name; // "team-a", "web/api"
};
// Repositories of a project (empty: of all) with a higher id than `after_id`, by id.
int catalogue_names_after(struct store_conn *conn, struct str project, int64_t after_id, int64_t limit,
                          struct arena *arena, struct catalogue_name **out, size_t *len, struct error *err) MUST_CHECK;
int catalogue_count_after(struct store_conn *conn, struct str project, int64_t after_id, int64_t *count,
                          struct error *err) MUST_CHECK;
// *id 0: we do not have it.
int catalogue_repository_id(struct store_conn *conn, struct str project, struct str name, int64_t *id,
                            struct error *err) MUST_CHECK;

enum catalogue_repair_kind { REPAIR_SET_TAG, REPAIR_DROP_TAG, REPAIR_DROP_ARTIFACT, REPAIR_DROP_REPOSITORY };
enum catalogue_repaired {
  REPAIR_DONE,
  REPAIR_CHANGED,    // the row is not what it was when the registry was asked: an event has been there
  REPAIR_NO_PROJECT, // unknown, and it is not to be made
};

// What the registry says, put into the catalogue without an event; only where nothing has changed since it was asked.
struct catalogue_repair {
  enum catalogue_repair_kind kind;
  struct str project, repository, tag;
  struct str digest;       // SET_TAG: what the tag names in the registry; DROP_ARTIFACT: which
  struct str known_digest; // SET_TAG of a tag that we have, DROP_TAG: what it named here; empty: we had none
  int64_t known_pushed_us; // of the tag or artifact then
  int64_t asked_us;        // when the registry was asked
  bool create_project;     // SET_TAG
  enum catalogue_repaired outcome;
};
// Inside a store_write. DROP_REPOSITORY drops an empty one only.
int catalogue_repair(struct store_conn *conn, struct catalogue_repair *repair, struct error *err) MUST_CHECK;

#endif
