// SPDX-License-Identifier: Apache-2.0
// Projects in the store. See store.h for connections, threads and arenas.
#ifndef HARBINGER_STORE_PROJECTS_H
#define HARBINGER_STORE_PROJECTS_H

#include "store/query.h"
#include "store/store.h"

struct project {
  int64_t id;
  struct str name;
  int64_t owner_id;
  struct str owner_name;
  bool is_public;
  struct str metadata;   // the other metadata as a JSON object of strings, "{}" when none
  int64_t storage_limit; // bytes, -1 unlimited
  int64_t repo_count;
  int64_t created_at_us, updated_at_us;
};

// ERR_CONFLICT "The project named NAME already exists". Fills id and times.
int project_create(struct store_conn *conn, struct project *project, struct error *err) MUST_CHECK;
int project_update(struct store_conn *conn, const struct project *project, struct error *err) MUST_CHECK;
// ERR_PRECONDITION while repositories exist. Policies go with it, their waiting deliveries are cancelled; the ids of
// the cancelled targets are put into *targets (arena).
int project_delete(struct store_conn *conn, int64_t id, struct arena *arena, int64_t **targets, size_t *targets_len,
                   struct error *err) MUST_CHECK;
// ERR_NOT_FOUND "project NAME not found".
int project_get(struct store_conn *conn, int64_t id, struct arena *arena, struct project *out, struct error *err)
    MUST_CHECK;
int project_get_by_name(struct store_conn *conn, struct str name, struct arena *arena, struct project *out,
                        struct error *err) MUST_CHECK;
// `query` keys: name, public, owner_id, project_id, creation_time, update_time; sorts the same. *total counts all.
int project_list(struct store_conn *conn, const struct query *query, struct arena *arena, struct project **out,
                 size_t *len, int64_t *total, struct error *err) MUST_CHECK;

struct project_counts { // [is_public]
  int64_t projects[2], repositories[2];
};
int project_count(struct store_conn *conn, struct project_counts *out, struct error *err) MUST_CHECK;

#endif
