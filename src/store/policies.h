// SPDX-License-Identifier: Apache-2.0
// Webhook policies and their targets in the store; addresses and secrets are sealed at rest. See store.h for
// connections, threads and arenas. Every change raises store_policy_generation with its commit.
#ifndef HARBINGER_STORE_POLICIES_H
#define HARBINGER_STORE_POLICIES_H

#include "policy/policy.h"
#include "store/query.h"
#include "store/store.h"

// ERR_CONFLICT "notification policy named NAME already exists". Fills ids and times.
int policy_create(struct store_conn *conn, struct policy *policy, struct error *err) MUST_CHECK;
// Replace fields and targets (targets with an id keep their row, lane and backlog; others are new; missing ones go and
// their waiting deliveries are cancelled). `enabled` going false cancels what waits. Cancelled target ids into *targets.
int policy_update(struct store_conn *conn, struct policy *policy, struct arena *arena, int64_t **targets,
                  size_t *targets_len, struct error *err) MUST_CHECK;
// What a pause or a resumption found: in the caller's arena.
struct policy_switched {
  int64_t *targets; // its targets, for the sender to be told
  size_t targets_len;
  bool was_enabled, was_paused;
  size_t suspended; // targets that were suspended
};

// `hold`: deliveries are made from now on and wait with those that do, nothing is sent; it switches a disabled policy on.
// Else as disabling it: what waits is cancelled, no delivery is made. Both work when the secrets cannot be opened.
int policy_pause(struct store_conn *conn, int64_t project_id, int64_t id, bool hold, struct arena *arena,
                 struct policy_switched *out, struct error *err) MUST_CHECK;
// Enabled, not held, no target suspended, none failing so far. `drop`: what waits now is cancelled.
int policy_resume(struct store_conn *conn, int64_t project_id, int64_t id, bool drop, struct arena *arena,
                  struct policy_switched *out, struct error *err) MUST_CHECK;
// Always works; cancels what waits. History stays for its retention.
int policy_delete(struct store_conn *conn, int64_t project_id, int64_t id, struct arena *arena, int64_t **targets,
                  size_t *targets_len, struct error *err) MUST_CHECK;
// ERR_NOT_FOUND with Harbor's words "notificationPolicy ID not found".
int policy_get(struct store_conn *conn, int64_t project_id, int64_t id, struct arena *arena, struct policy *out,
               struct error *err) MUST_CHECK;
// The same for people, as policy_list has it: an address or header that cannot be opened is SECRET_MASK.
int policy_get_shown(struct store_conn *conn, int64_t project_id, int64_t id, struct arena *arena, struct policy *out,
                     struct error *err) MUST_CHECK;
int policy_list(struct store_conn *conn, int64_t project_id, const struct query *query, struct arena *arena,
                struct policy **out, size_t *len, int64_t *total, struct error *err) MUST_CHECK;

struct last_trigger {
  struct str policy_name;
  enum event_type type;
  bool enabled;
  int64_t created_at_us;
  int64_t triggered_at_us; // RFC3339_ZERO_US when never
};
// One per policy and event type.
int policy_last_triggers(struct store_conn *conn, int64_t project_id, struct arena *arena, struct last_trigger **out,
                         size_t *len, struct error *err) MUST_CHECK;

// A target as the sender needs it; *enabled: its policy is enabled and not held. ERR_NOT_FOUND when it is gone.
int target_get(struct store_conn *conn, int64_t target_id, struct arena *arena, struct target *out, bool *enabled,
               struct error *err) MUST_CHECK;
// 410 or long failure: deliveries wait until a person resumes it (policy_resume, or an update of its policy with
// `enabled`). The audit says it in the name of the system. *newly: it was not suspended yet; the first reason stays.
int target_suspend(struct store_conn *conn, int64_t target_id, struct str reason, bool *newly, struct error *err)
    MUST_CHECK;

#endif
