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
  struct str project, repository, digest;
  struct str media_type, platform;
  enum artifact_kind kind;
  int64_t size_bytes;
};
// What the upstream said, where the catalogue did not know it. Inside a store_write.
int catalogue_complete(struct store_conn *conn, const struct artifact_facts *facts, struct error *err) MUST_CHECK;
// Does the catalogue lack facts of this artifact?
int catalogue_incomplete(struct store_conn *conn, int64_t limit, struct arena *arena, struct artifact_facts **out,
                         size_t *len, struct error *err) MUST_CHECK;

#endif
