// SPDX-License-Identifier: Apache-2.0
// What an event changes in the catalogue, inside the transaction that inserts it. The writer's thread only.
#ifndef HARBINGER_STORE_SQLITE_CATALOGUE_CHANGES_H
#define HARBINGER_STORE_SQLITE_CATALOGUE_CHANGES_H

#include "event/event.h"
#include "store/sqlite/conn.h"

struct catalogue_place {
  int64_t project_id, repository_id; // repository_id 0: unknown
  int64_t repository_created_us;     // 0: unknown
};

// Made by an event or by what the registry has: private, and the first administrator's, as nobody asked for it. ERR_INVALID:
// it cannot be a project's name.
int catalogue_project_make(struct store_conn *conn, struct str name, int64_t at_us, int64_t *id, struct error *err)
    MUST_CHECK;
// Find the event's repository; make it when `create`.
int catalogue_place(struct store_conn *conn, int64_t project_id, struct str repository, bool create,
                    struct catalogue_place *out, struct error *err) MUST_CHECK;
int catalogue_push(struct store_conn *conn, const struct catalogue_place *place, const struct event *event,
                   struct error *err) MUST_CHECK;
int catalogue_pull(struct store_conn *conn, const struct catalogue_place *place, const struct event *event,
                   struct error *err) MUST_CHECK;
// Before the delete: tags (also those removed under the same request id), size, media type, kind and platform of artifacts
// that the event names by digest and says nothing else about. What is added lives in the arena.
int catalogue_enrich(struct store_conn *conn, const struct catalogue_place *place, struct event *event,
                     struct arena *arena, struct error *err) MUST_CHECK;
int catalogue_delete(struct store_conn *conn, const struct catalogue_place *place, const struct event *event,
                     struct error *err) MUST_CHECK;

#endif
