// SPDX-License-Identifier: Apache-2.0
// Rows of policy and target turned into values and back. Inside store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_POLICY_ROWS_H
#define HARBINGER_STORE_SQLITE_POLICY_ROWS_H

#include "policy/policy.h"
#include "store/sqlite/conn.h"

// A bound on what one event can be matched with, and on the rows that deleting a project touches at once.
enum { POLICY_ROWS_MAX_PER_PROJECT = 1000 };

// The columns that policy_row_read expects, of a table or alias `p`.
#define POLICY_COLUMNS                                                                                            \
  "p.id, p.project_id, p.name, p.description, p.creator, p.enabled, p.event_types, p.tagged_only, p.created_us, " \
  "p.updated_us, p.hold"
int policy_row_read(struct stmt *stmt, struct arena *arena, struct policy *out, struct error *err) MUST_CHECK;
enum row_secrets {
  SECRETS_SEALED, // left out
  SECRETS_OPEN,   // what cannot be opened fails the read
  SECRETS_SHOWN,  // for people: what cannot be opened is SECRET_MASK
};
// Fill policy->targets with the living ones.
int policy_rows_targets(struct store_conn *conn, struct policy *policy, enum row_secrets secrets, struct arena *arena,
                        struct error *err) MUST_CHECK;
// A living policy of the project with its targets. ERR_NOT_FOUND as policy_get.
int policy_row_find(struct store_conn *conn, int64_t project_id, int64_t id, enum row_secrets secrets,
                    struct arena *arena, struct policy *out, struct error *err) MUST_CHECK;
// The living policies of a project in order of id, with targets, without secrets.
int policy_rows_of_project(struct store_conn *conn, int64_t project_id, struct arena *arena, struct policy **out,
                           size_t *len, struct error *err) MUST_CHECK;
// "PUSH_ARTIFACT,PULL_ARTIFACT"
struct str policy_row_event_types(const struct policy *policy, struct arena *arena) MUST_CHECK;

#define TARGET_COLUMNS                                                                                            \
  "t.id, t.policy_id, t.type, t.address, t.auth_header, t.skip_cert_verify, t.format, t.extras, t.cancel_below, " \
  "t.suspended, t.suspended_reason, t.strict_order, t.reordering, t.suspended_us"
enum { TARGET_COLUMNS_COUNT = 14 }; // what is selected after them has this number
int target_row_read(struct stmt *stmt, enum row_secrets secrets, struct arena *arena, struct target *out,
                    struct error *err) MUST_CHECK;
int target_row_insert(struct store_conn *conn, struct target *target, int64_t position, struct arena *arena,
                      struct error *err) MUST_CHECK;
// Replaces what a person sets; ends a suspension when `resume`.
int target_row_update(struct store_conn *conn, const struct target *target, int64_t position, bool resume,
                      struct arena *arena, struct error *err) MUST_CHECK;

// Everything that waits for these targets is cancelled from this transaction on (deliveries.c honours it on each read);
// a sweep rewrites the rows. `deleted`: the targets go too.
int targets_cancel(struct store_conn *conn, const int64_t *ids, size_t len, bool deleted, struct error *err) MUST_CHECK;

#endif
