// SPDX-License-Identifier: Apache-2.0
// Events in the store: one commit inserts the event, its deliveries and what it changes in the catalogue. See store.h.
#ifndef HARBINGER_STORE_EVENTS_H
#define HARBINGER_STORE_EVENTS_H

#include "event/event.h"
#include "policy/policy.h"
#include "store/query.h"
#include "store/store.h"

struct event_commit {
  struct event *event;        // id, project_id, seq, recorded_at_us, repository facts are filled in
  bool create_project;        // make repository.project when it is unknown (private), else ERR_NOT_FOUND
  struct str source_key;      // duplicates by it are recognised for 48 h; empty: never a duplicate
  int64_t source_time_us;     // when the source made it: names the hour bucket, so that one look-up is enough
  struct str idempotency_key; // of POST /events: same key and body hash: the event of then; other body: ERR_CONFLICT
  uint8_t body_sha256[SHA256_BYTES];
  // Results:
  bool duplicate;
  bool known; // PULL: a pull that no enabled policy wants is not written (promise of the guarantees); id is then zero
  size_t deliveries;
};

// Insert, inside a store_write. For DELETE_ARTIFACT by digest the tags and size are taken from the catalogue when the
// event does not have them (tags removed under the same request id count). Applies PUSH, PULL and DELETE to the
// catalogue, gives the sequence number, matches the project's policies, inserts deliveries (none while notifications
// are switched off), and remembers the source key.
int event_commit(struct store_conn *conn, struct event_commit *commit, struct error *err) MUST_CHECK;

int event_get(struct store_conn *conn, const struct uuid *id, struct arena *arena, struct event *out, struct error *err)
    MUST_CHECK;
// Of one project (0: all), newest first by default. Keys: type, seq, occurred_at, repository,
// unchanged (true, false).
int event_list(struct store_conn *conn, int64_t project_id, const struct query *query, struct arena *arena,
               struct event **out, size_t *len, int64_t *total, struct error *err) MUST_CHECK;

#endif
