// SPDX-License-Identifier: Apache-2.0
#include "store/policies.h"

#include "base/rfc3339.h"
#include "store/sqlite/changes.h"
#include "store/sqlite/policy_rows.h"
#include "store/sqlite/query_sql.h"
#include "store/sqlite/state.h"

// Room for what one policy's row needs besides the caller's arena: sealed secrets of all its targets.
enum { POLICY_SCRATCH_BYTES = 4 * 1024 * 1024 };

static int no_scratch(struct error *err) {
  return error_set(err, ERR_NO_MEMORY, "no memory to store a policy");
}

static int name_is_free(struct store_conn *conn, const struct policy *policy, struct error *err) {
  static const char sql[] = "SELECT count(*), sum(name = ?2 AND id <> ?3) FROM policy WHERE project_id = ?1 AND "
                            "deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, policy->project_id);
  stmt_bind_text(&stmt, 2, policy->name);
  stmt_bind_i64(&stmt, 3, policy->id);
  rc = stmt_step(&stmt, "look a policy's name up", err);
  if (rc < 0)
    return rc;
  if (stmt_i64(&stmt, 1) > 0)
    return error_set(err, ERR_CONFLICT, "notification policy named %.*s already exists", STR_ARG(policy->name));
  if (policy->id == 0 && stmt_i64(&stmt, 0) >= POLICY_ROWS_MAX_PER_PROJECT)
    return error_set(err, ERR_INVALID, "the project has %d notification policies already; delete some",
                     POLICY_ROWS_MAX_PER_PROJECT);
  return 0;
}

static int insert_policy(struct store_conn *conn, struct policy *policy, struct arena *scratch, struct error *err) {
  static const char sql[] = "INSERT INTO policy (project_id, name, description, creator, enabled, event_types, "
                            "tagged_only, created_us, updated_us) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8 "
                            "FROM project WHERE id = ?1 AND deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  struct str types = policy_row_event_types(policy, scratch);

  if (!types.ptr)
    return no_scratch(err);
  int rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, policy->project_id);
  stmt_bind_text(&stmt, 2, policy->name);
  stmt_bind_text(&stmt, 3, policy->description);
  stmt_bind_text(&stmt, 4, policy->creator);
  stmt_bind_i64(&stmt, 5, policy->enabled);
  stmt_bind_text(&stmt, 6, types);
  stmt_bind_i64(&stmt, 7, policy->tagged_only);
  stmt_bind_i64(&stmt, 8, policy->created_at_us);
  rc = stmt_run(&stmt, "insert a policy", err);
  if (rc == 0 && stmt_changes(&stmt) == 0)
    return error_set(err, ERR_NOT_FOUND, "project %lld not found", (long long)policy->project_id);
  if (rc == 0)
    policy->id = sqlite3_last_insert_rowid(conn->db);
  return rc;
}

int policy_create(struct store_conn *conn, struct policy *policy, struct error *err) {
  CLEANUP(arena_cleanup) struct arena *scratch = arena_new(POLICY_SCRATCH_BYTES);

  if (!scratch)
    return no_scratch(err);
  policy->id = 0;
  policy->created_at_us = policy->updated_at_us = clock_wall_us(conn->store->clock);
  int rc = name_is_free(conn, policy, err);
  if (rc == 0)
    rc = insert_policy(conn, policy, scratch, err);
  for (size_t i = 0; rc == 0 && i < policy->targets_len; i++) {
    policy->targets[i].policy_id = policy->id;
    rc = target_row_insert(conn, &policy->targets[i], (int64_t)i, scratch, err);
  }
  if (rc == 0)
    change_policies(conn);
  return rc;
}

static int read_shown_policy(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  int rc = policy_row_read(stmt, arena, out, err);

  return rc != 0 ? rc : policy_rows_targets(stmt->conn, out, SECRETS_SHOWN, arena, err);
}

int policy_get(struct store_conn *conn, int64_t project_id, int64_t id, struct arena *arena, struct policy *out,
               struct error *err) {
  return policy_row_find(conn, project_id, id, SECRETS_OPEN, arena, out, err);
}

int policy_get_shown(struct store_conn *conn, int64_t project_id, int64_t id, struct arena *arena, struct policy *out,
                     struct error *err) {
  return policy_row_find(conn, project_id, id, SECRETS_SHOWN, arena, out, err);
}

// The ids of the targets that this policy has and `kept` (NULL: nothing) has not.
static int targets_of(const struct policy *old, const struct policy *kept, struct arena *arena, int64_t **ids,
                      size_t *len, struct error *err) {
  *len = 0;
  *ids = arena_array(arena, old->targets_len ? old->targets_len : 1, sizeof(**ids));
  if (!*ids)
    return rows_no_memory(err);
  for (size_t i = 0; i < old->targets_len; i++) {
    bool keep = false;
    for (size_t k = 0; kept && k < kept->targets_len; k++)
      keep = keep || kept->targets[k].id == old->targets[i].id;
    if (!keep)
      (*ids)[(*len)++] = old->targets[i].id;
  }
  return 0;
}

static int update_row(struct store_conn *conn, const struct policy *policy, struct arena *scratch, struct error *err) {
  static const char sql[] =
      "UPDATE policy SET name = ?2, description = ?3, creator = ?4, enabled = ?5, event_types = ?6, "
      "tagged_only = ?7, updated_us = ?8, hold = ?9 WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  struct str types = policy_row_event_types(policy, scratch);

  if (!types.ptr)
    return no_scratch(err);
  int rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, policy->id);
  stmt_bind_text(&stmt, 2, policy->name);
  stmt_bind_text(&stmt, 3, policy->description);
  stmt_bind_text(&stmt, 4, policy->creator);
  stmt_bind_i64(&stmt, 5, policy->enabled);
  stmt_bind_text(&stmt, 6, types);
  stmt_bind_i64(&stmt, 7, policy->tagged_only);
  stmt_bind_i64(&stmt, 8, policy->updated_at_us);
  stmt_bind_i64(&stmt, 9, policy->paused);
  return stmt_run(&stmt, "update a policy", err);
}

static int update_targets(struct store_conn *conn, struct policy *policy, struct arena *scratch, struct error *err) {
  int rc = 0;

  for (size_t i = 0; rc == 0 && i < policy->targets_len; i++) {
    struct target *target = &policy->targets[i];
    target->policy_id = policy->id;
    rc = target->id == 0 ? target_row_insert(conn, target, (int64_t)i, scratch, err)
                         : target_row_update(conn, target, (int64_t)i, policy->enabled, scratch, err);
  }
  return rc;
}

int policy_update(struct store_conn *conn, struct policy *policy, struct arena *arena, int64_t **targets,
                  size_t *targets_len, struct error *err) {
  CLEANUP(arena_cleanup) struct arena *scratch = arena_new(POLICY_SCRATCH_BYTES);
  struct policy old = {0};
  int64_t *gone;
  size_t gone_len;

  if (!scratch)
    return no_scratch(err);
  int rc = policy_get(conn, policy->project_id, policy->id, scratch, &old, err);
  if (rc == 0)
    rc = name_is_free(conn, policy, err);
  if (rc == 0)
    rc = targets_of(&old, policy, scratch, &gone, &gone_len, err);
  if (rc == 0) // what is switched off now is cancelled for good: switching it on again brings nothing back
    rc = targets_of(&old, policy->enabled ? policy : NULL, arena, targets, targets_len, err);
  if (rc != 0)
    return rc;
  policy->created_at_us = old.created_at_us;
  policy->updated_at_us = clock_wall_us(conn->store->clock);
  if (policy->updated_at_us <= old.updated_at_us) // names this state of the policy: no two have the same
    policy->updated_at_us = old.updated_at_us + 1;
  rc = update_row(conn, policy, scratch, err);
  if (rc == 0)
    rc = targets_cancel(conn, *targets, *targets_len, false, err);
  if (rc == 0)
    rc = targets_cancel(conn, gone, gone_len, true, err);
  if (rc == 0)
    rc = update_targets(conn, policy, scratch, err);
  if (rc != 0)
    return rc;
  change_policies(conn);
  change_news(conn, policy->id, false);
  return 0;
}

int policy_delete(struct store_conn *conn, int64_t project_id, int64_t id, struct arena *arena, int64_t **targets,
                  size_t *targets_len, struct error *err) {
  static const char sql[] = "UPDATE policy SET deleted_us = ?2, enabled = 0 WHERE id = ?1";
  CLEANUP(arena_cleanup) struct arena *scratch = arena_new(POLICY_SCRATCH_BYTES);
  CLEANUP(stmt_end) struct stmt stmt = {0};
  struct policy old;

  if (!scratch)
    return no_scratch(err);
  // A policy whose secrets cannot be opened any more must still go.
  int rc = policy_row_find(conn, project_id, id, SECRETS_SEALED, scratch, &old, err);
  if (rc == 0)
    rc = targets_of(&old, NULL, arena, targets, targets_len, err);
  if (rc == 0)
    rc = targets_cancel(conn, *targets, *targets_len, true, err);
  if (rc == 0)
    rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  stmt_bind_i64(&stmt, 2, clock_wall_us(conn->store->clock));
  rc = stmt_run(&stmt, "delete a policy", err);
  if (rc != 0)
    return rc;
  change_policies(conn);
  change_news(conn, id, true);
  return 0;
}

int policy_list(struct store_conn *conn, int64_t project_id, const struct query *query, struct arena *arena,
                struct policy **out, size_t *len, int64_t *total, struct error *err) {
  static const struct query_column columns[] = {
      {"id", "p.id", COLUMN_INT},
      {"name", "p.name", COLUMN_TEXT},
      {"description", "p.description", COLUMN_TEXT},
      {"event_types", "p.event_types", COLUMN_TEXT},
      {"creator", "p.creator", COLUMN_TEXT},
      {"enabled", "p.enabled", COLUMN_BOOL},
      {"creation_time", "p.created_us", COLUMN_TIME},
      {"update_time", "p.updated_us", COLUMN_TIME},
  };
  const struct query_list list = {
      .what = "list policies",
      .read = read_shown_policy,
      .item_bytes = sizeof(struct policy),
      .select = POLICY_COLUMNS,
      .from = "policy p WHERE p.project_id = ?1 AND p.deleted_us IS NULL",
      .columns = columns,
      .columns_len = ARRAY_LEN(columns),
      .default_order = "p.created_us DESC",
      .tie = "p.id DESC",
      .fixed = {project_id},
      .fixed_len = 1,
  };
  void *rows;
  int rc = query_sql_list(conn, &list, query, arena, &rows, len, total, err);

  *out = rows;
  return rc;
}

int policy_last_triggers(struct store_conn *conn, int64_t project_id, struct arena *arena, struct last_trigger **out,
                         size_t *len, struct error *err) {
  static const char sql[] = "SELECT at_us FROM last_trigger WHERE policy_id = ?1 AND event_type = ?2";
  struct policy *policies;
  size_t policies_len, cap = 0;
  CLEANUP(stmt_end) struct stmt stmt = {0};

  *out = NULL;
  *len = 0;
  int rc = policy_rows_of_project(conn, project_id, arena, &policies, &policies_len, err);
  if (rc == 0)
    rc = stmt_begin(conn, sql, &stmt, err);
  for (size_t i = 0; rc == 0 && i < policies_len; i++) {
    for (size_t k = 0; k < policies[i].event_types_len; k++) {
      *out = rows_grow(arena, *out, *len, &cap, sizeof(struct last_trigger));
      if (!*out)
        return rows_no_memory(err);
      stmt_bind_i64(&stmt, 1, policies[i].id);
      stmt_bind_i64(&stmt, 2, (int64_t)policies[i].event_types[k]);
      rc = stmt_step(&stmt, "read last triggers", err);
      if (rc < 0)
        return rc;
      (*out)[(*len)++] = (struct last_trigger){
          .policy_name = policies[i].name,
          .type = policies[i].event_types[k],
          .enabled = policies[i].enabled,
          .created_at_us = policies[i].created_at_us,
          .triggered_at_us = rc == 1 ? stmt_i64(&stmt, 0) : RFC3339_ZERO_US,
      };
      stmt_reset(&stmt);
      rc = 0;
    }
  }
  return rc;
}

int target_get(struct store_conn *conn, int64_t target_id, struct arena *arena, struct target *out, bool *enabled,
               struct error *err) {
  static const char sql[] =
      "SELECT " TARGET_COLUMNS ", p.enabled AND p.hold = 0 FROM target t JOIN policy p ON p.id = t.policy_id "
      "WHERE t.id = ?1 AND t.deleted_us IS NULL AND p.deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target_id);
  rc = stmt_step(&stmt, "read a target", err);
  if (rc <= 0)
    return rc < 0 ? rc : error_set(err, ERR_NOT_FOUND, "target %lld not found", (long long)target_id);
  *enabled = stmt_bool(&stmt, TARGET_COLUMNS_COUNT);
  return target_row_read(&stmt, SECRETS_OPEN, arena, out, err);
}
