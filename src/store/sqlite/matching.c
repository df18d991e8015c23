// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/matching.h"

#include <stdlib.h>

#include "base/map.h"
#include "store/sqlite/changes.h"
#include "store/sqlite/policy_rows.h"

struct policy_cache {
  struct map *projects; // struct compiled_project by id; each lives in an arena of its own
  bool enabled, enabled_known;
};

struct policy_cache *policy_cache_new(void) {
  struct policy_cache *cache = calloc(1, sizeof(*cache));

  if (!cache)
    return NULL;
  cache->projects = map_new(POLICY_CACHE_PROJECTS);
  if (cache->projects)
    return cache;
  free(cache);
  return NULL;
}

void policy_cache_clear(struct policy_cache *cache) {
  size_t cursor = 0;
  struct str key;
  void *value;

  cache->enabled_known = false;
  while (map_next(cache->projects, &cursor, &key, &value)) {
    struct compiled_project *project = value;
    (void)map_remove(cache->projects, key);
    arena_free(project->arena);
  }
}

void policy_cache_free(struct policy_cache *cache) {
  if (!cache)
    return;
  policy_cache_clear(cache);
  map_free(cache->projects);
  free(cache);
}

static int load_triggers(struct store_conn *conn, struct compiled_policy *compiled, struct error *err) {
  static const char sql[] = "SELECT event_type, at_us FROM last_trigger WHERE policy_id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, compiled->policy.id);
  while ((rc = stmt_step(&stmt, "read last triggers", err)) == 1) {
    int64_t type = stmt_i64(&stmt, 0);
    if (type >= 0 && type < EVENT_TYPE_COUNT)
      compiled->triggered_us[type] = stmt_i64(&stmt, 1);
  }
  return rc;
}

static int compile(struct store_conn *conn, struct compiled_project *project, struct error *err) {
  struct policy *policies;
  size_t len;
  int rc = policy_rows_of_project(conn, project->id, project->arena, &policies, &len, err);

  if (rc != 0)
    return rc;
  project->policies = arena_array(project->arena, len ? len : 1, sizeof(*project->policies));
  if (!project->policies)
    return rows_no_memory(err);
  project->policies_len = len;
  for (size_t i = 0; i < len; i++) {
    project->policies[i].policy = policies[i];
    rc = load_triggers(conn, &project->policies[i], err);
    if (rc != 0)
      return rc;
  }
  return 0;
}

int matching_project(struct store_conn *conn, int64_t project_id, struct compiled_project **out, struct error *err) {
  struct compiled_project *project = map_get(conn->policies->projects, MAP_KEY(project_id));

  if (project) {
    *out = project;
    return 0;
  }
  struct arena *arena = arena_new(POLICY_CACHE_PROJECT_BYTES);
  project = arena ? ARENA_NEW(arena, struct compiled_project) : NULL;
  if (!project) {
    arena_free(arena);
    return error_set(err, ERR_NO_MEMORY, "no memory to compile the policies of project %lld", (long long)project_id);
  }
  project->arena = arena;
  project->id = project_id;
  int rc = compile(conn, project, err);
  if (rc == 0 && arena_out_of_memory(arena)) // kept with a hole it would go on losing deliveries
    rc = error_set(err, ERR_NO_MEMORY, "no memory to compile the policies of project %lld", (long long)project_id);
  if (rc == 0 && map_count(conn->policies->projects) >= POLICY_CACHE_PROJECTS)
    policy_cache_clear(conn->policies);
  if (rc == 0 && map_put(conn->policies->projects, MAP_KEY(project_id), project) != 0)
    rc = error_set(err, ERR_NO_MEMORY, "no memory to keep the policies of project %lld", (long long)project_id);
  if (rc != 0) {
    arena_free(arena);
    return rc;
  }
  *out = project;
  return 0;
}

int matching_enabled(struct store_conn *conn, bool *enabled, struct error *err) {
  static const char sql[] = "SELECT value IN ('0', 'false', 'off') FROM setting WHERE key = 'notification_enable'";
  struct policy_cache *cache = conn->policies;

  if (!cache->enabled_known) {
    int64_t off;
    int rc = conn_number(conn, sql, 0, &off, err);
    if (rc != 0)
      return rc;
    cache->enabled = off == 0;
    cache->enabled_known = true;
  }
  *enabled = cache->enabled;
  return 0;
}
