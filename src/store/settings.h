// SPDX-License-Identifier: Apache-2.0
// Run-time settings, the egress ranges that administrators allowed, the audit, and the ingest log: each notification that
// made no event, kept a day with its reason. See store.h for connections, threads and arenas.
#ifndef HARBINGER_STORE_SETTINGS_H
#define HARBINGER_STORE_SETTINGS_H

#include "store/query.h"
#include "store/store.h"

// Values are text; ptr NULL when never set. Known keys: notification_enable, token_key, egress_allowed (CIDRs by comma).
int setting_get(struct store_conn *conn, const char *key, struct arena *arena, struct str *value, struct error *err)
    MUST_CHECK;
int setting_set(struct store_conn *conn, const char *key, struct str value, struct error *err) MUST_CHECK;
// The same for what no policy depends on: nothing is read anew, and what is set already is not written.
int setting_put(struct store_conn *conn, const char *key, struct str value, struct error *err) MUST_CHECK;

struct audit_entry {
  int64_t id, at_us;
  struct str actor, address, request_id;
  struct str operation; // "create", "update", "delete", "allow" ...
  struct str kind;      // "policy", "project", "token", "egress", "user", "configuration", "session"
  struct str project;   // its name, or empty: of none
  struct str subject;   // what, without secrets
  struct str fields;    // names of what changed, by comma, without values: "enabled, targets[0].auth_header (secret)"
};
int audit_add(struct store_conn *conn, const struct audit_entry *entry, struct error *err) MUST_CHECK;
int audit_list(struct store_conn *conn, const struct query *query, struct arena *arena, struct audit_entry **out,
               size_t *len, int64_t *total, struct error *err) MUST_CHECK;

struct ingest_note {
  int64_t id, at_us;
  struct str source; // "distribution"
  struct str instance;
  struct str reason; // "blob", "head", "duplicate", "tag of a delete", "no project" ...
  struct str action, repository, reference, notification_id;
};
int ingest_note_add(struct store_conn *conn, const struct ingest_note *note, struct error *err) MUST_CHECK;
int ingest_note_list(struct store_conn *conn, const struct query *query, struct arena *arena, struct ingest_note **out,
                     size_t *len, int64_t *total, struct error *err) MUST_CHECK;

#endif
