// SPDX-License-Identifier: Apache-2.0
// The writer's compiled policies by project, so that matching an event costs under a microsecond. Matching happens inside
// the transaction that inserts the event, and only the writer changes policies: there is no stale policy to guard against,
// no version to compare and no second try. Secrets are not loaded. The writer's thread only.
#ifndef HARBINGER_STORE_SQLITE_MATCHING_H
#define HARBINGER_STORE_SQLITE_MATCHING_H

#include "policy/policy.h"
#include "store/sqlite/conn.h"

enum {
  POLICY_CACHE_PROJECTS = 1024, // more than that: all are dropped and read again when needed
  POLICY_CACHE_PROJECT_BYTES = 8 * 1024 * 1024,
};

struct policy_cache;

struct compiled_policy {
  struct policy policy;                   // no address, no auth_header
  int64_t triggered_us[EVENT_TYPE_COUNT]; // last written to last_trigger
};

struct compiled_project {
  struct arena *arena;
  int64_t id;
  struct compiled_policy *policies; // living ones, in order of id
  size_t policies_len;
};

struct policy_cache *policy_cache_new(void) MUST_CHECK;
void policy_cache_free(struct policy_cache *cache);
void policy_cache_clear(struct policy_cache *cache);

// The project's policies. Valid until the next change of a policy.
int matching_project(struct store_conn *conn, int64_t project_id, struct compiled_project **out, struct error *err)
    MUST_CHECK;
// Setting notification_enable; absent means on.
int matching_enabled(struct store_conn *conn, bool *enabled, struct error *err) MUST_CHECK;

#endif
