// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/policy_rows.h"

#include "base/buf.h"
#include "store/sqlite/changes.h"
#include "store/sqlite/seal.h"
#include "store/sqlite/state.h"

static int read_event_types(struct str names, struct arena *arena, struct policy *out, struct error *err) {
  struct str rest = names, name;
  enum event_type type;

  out->event_types = arena_array(arena, EVENT_TYPE_COUNT, sizeof(*out->event_types));
  if (!out->event_types)
    return rows_no_memory(err);
  while (str_next(&rest, ',', &name)) {
    if (!event_type_read(name, &type) || (out->event_mask & (1U << type)) != 0)
      continue; // of a newer schema, or twice: not ours to send
    out->event_mask |= 1U << type;
    out->event_types[out->event_types_len++] = type;
  }
  return 0;
}

struct str policy_row_event_types(const struct policy *policy, struct arena *arena) {
  struct buf names;

  buf_init(&names, 4096);
  for (size_t i = 0; i < policy->event_types_len; i++) {
    if (i > 0)
      buf_put_char(&names, ',');
    buf_put_c(&names, event_type_name(policy->event_types[i]));
  }
  struct str copy = names.failed ? (struct str){0} : arena_str(arena, buf_str(&names));
  buf_free(&names);
  return copy;
}

int policy_row_read(struct stmt *stmt, struct arena *arena, struct policy *out, struct error *err) {
  *out = (struct policy){
      .id = stmt_i64(stmt, 0),
      .project_id = stmt_i64(stmt, 1),
      .name = stmt_text(stmt, 2, arena),
      .description = stmt_text(stmt, 3, arena),
      .creator = stmt_text(stmt, 4, arena),
      .enabled = stmt_bool(stmt, 5),
      .tagged_only = stmt_bool(stmt, 7),
      .created_at_us = stmt_i64(stmt, 8),
      .updated_at_us = stmt_i64(stmt, 9),
      .paused = stmt_bool(stmt, 10),
  };
  int rc = read_event_types(stmt_view(stmt, 6), arena, out, err);
  return rc != 0 ? rc : stmt_copied(stmt, err);
}

// An empty address was given up by a restore without its key, an empty header was never there.
static int open_sealed(struct stmt *stmt, int column, const char *context, enum row_secrets secrets,
                       struct arena *arena, struct str *out, struct error *err) {
  if (secrets == SECRETS_SEALED || stmt_view(stmt, column).len == 0)
    return 0;
  int rc = seal_open(stmt->conn->store, context, stmt_view(stmt, column), arena, out, err);

  if (rc != 0 && secrets == SECRETS_SHOWN && !arena_out_of_memory(arena)) {
    *out = STR(SECRET_MASK);
    return 0;
  }
  if (rc != 0)
    return error_context(err,
                         "cannot open the sealed %s of target %lld: the key file is not the one it was sealed with",
                         context, (long long)stmt_i64(stmt, 0));
  return 0;
}

int target_row_read(struct stmt *stmt, enum row_secrets secrets, struct arena *arena, struct target *out,
                    struct error *err) {
  *out = (struct target){
      .id = stmt_i64(stmt, 0),
      .policy_id = stmt_i64(stmt, 1),
      .type = (enum target_type)stmt_i64(stmt, 2),
      .skip_cert_verify = stmt_bool(stmt, 5),
      .format = (enum payload_format)stmt_i64(stmt, 6),
      .extras = stmt_bool(stmt, 7),
      .cancel_below = stmt_i64(stmt, 8),
      .suspended = stmt_bool(stmt, 9),
      .suspended_reason = stmt_text(stmt, 10, arena),
      .strict_order = stmt_bool(stmt, 11),
      .reordering = stmt_bool(stmt, 11) && stmt_bool(stmt, 12),
      .suspended_at_us = stmt_i64(stmt, 13),
      .address = STR_EMPTY,
      .auth_header = STR_EMPTY,
  };
  out->type_text = str_of(target_type_name(out->type));
  out->payload_format_text = str_of(payload_format_name(out->format));
  int rc = open_sealed(stmt, 3, "target.address", secrets, arena, &out->address, err);
  if (rc == 0)
    rc = open_sealed(stmt, 4, "target.auth_header", secrets, arena, &out->auth_header, err);
  return rc != 0 ? rc : stmt_copied(stmt, err);
}

int policy_rows_targets(struct store_conn *conn, struct policy *policy, enum row_secrets secrets, struct arena *arena,
                        struct error *err) {
  static const char sql[] = "SELECT " TARGET_COLUMNS " FROM target t WHERE t.policy_id = ?1 AND t.deleted_us IS NULL "
                            "ORDER BY t.position, t.id";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  size_t cap = 0;
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, policy->id);
  while ((rc = stmt_step(&stmt, "read the targets of a policy", err)) == 1) {
    policy->targets = rows_grow(arena, policy->targets, policy->targets_len, &cap, sizeof(struct target));
    if (!policy->targets)
      return rows_no_memory(err);
    rc = target_row_read(&stmt, secrets, arena, &policy->targets[policy->targets_len], err);
    if (rc != 0)
      return rc;
    policy->targets_len++;
  }
  return rc;
}

static int read_sealed_policy(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  int rc = policy_row_read(stmt, arena, out, err);

  return rc != 0 ? rc : policy_rows_targets(stmt->conn, out, SECRETS_SEALED, arena, err);
}

int policy_row_find(struct store_conn *conn, int64_t project_id, int64_t id, enum row_secrets secrets,
                    struct arena *arena, struct policy *out, struct error *err) {
  static const char sql[] = "SELECT " POLICY_COLUMNS " FROM policy p WHERE p.id = ?1 AND p.project_id = ?2 AND "
                            "p.deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  stmt_bind_i64(&stmt, 2, project_id);
  rc = stmt_step(&stmt, "read a policy", err);
  if (rc == 0)
    return error_set(err, ERR_NOT_FOUND, "notificationPolicy %lld not found", (long long)id);
  if (rc == 1)
    rc = policy_row_read(&stmt, arena, out, err);
  return rc != 0 ? rc : policy_rows_targets(conn, out, secrets, arena, err);
}

int policy_rows_of_project(struct store_conn *conn, int64_t project_id, struct arena *arena, struct policy **out,
                           size_t *len, struct error *err) {
  static const char sql[] = "SELECT " POLICY_COLUMNS " FROM policy p WHERE p.project_id = ?1 AND p.deleted_us IS NULL "
                            "ORDER BY p.id";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  void *rows;
  int rc = stmt_begin(conn, sql, &stmt, err);

  *out = NULL;
  *len = 0;
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, project_id);
  rc = rows_read(&stmt, "read the policies of a project", read_sealed_policy, sizeof(**out), arena, &rows, len, err);
  *out = rows;
  return rc;
}

// An empty secret is an empty column: there is nothing to hide, and `has one` stays readable.
static int bind_sealed(struct stmt *stmt, int at, const char *context, struct str plain, struct arena *arena,
                       struct error *err) {
  struct str sealed = STR_EMPTY;

  if (plain.len > 0) {
    sealed = seal_text(stmt->conn->store, context, plain, arena);
    if (!sealed.ptr)
      return rows_no_memory(err);
  }
  stmt_bind_blob(stmt, at, sealed);
  return 0;
}

static int bind_target(struct stmt *stmt, const struct target *target, int64_t position, struct arena *arena,
                       struct error *err) {
  stmt_bind_i64(stmt, 2, position);
  stmt_bind_i64(stmt, 3, (int64_t)target->type);
  int rc = bind_sealed(stmt, 4, "target.address", target->address, arena, err);
  if (rc == 0)
    rc = bind_sealed(stmt, 5, "target.auth_header", target->auth_header, arena, err);
  stmt_bind_i64(stmt, 6, target->skip_cert_verify);
  stmt_bind_i64(stmt, 7, (int64_t)target->format);
  stmt_bind_i64(stmt, 8, target->extras);
  return rc;
}

int target_row_insert(struct store_conn *conn, struct target *target, int64_t position, struct arena *arena,
                      struct error *err) {
  static const char sql[] = "INSERT INTO target (policy_id, position, type, address, auth_header, skip_cert_verify, "
                            "format, extras, strict_order) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target->policy_id);
  rc = bind_target(&stmt, target, position, arena, err);
  stmt_bind_i64(&stmt, 9, target->strict_order);
  if (rc == 0)
    rc = stmt_run(&stmt, "insert a target", err);
  if (rc == 0)
    target->id = sqlite3_last_insert_rowid(conn->db);
  return rc;
}

int target_row_update(struct store_conn *conn, const struct target *target, int64_t position, bool resume,
                      struct arena *arena, struct error *err) {
  static const char sql[] = "UPDATE target SET position = ?2, type = ?3, address = ?4, auth_header = ?5, "
                            "skip_cert_verify = ?6, format = ?7, extras = ?8, strict_order = ?11, "
                            "reordering = CASE WHEN strict_order <> ?11 THEN 1 ELSE reordering END, "
                            "suspended = CASE WHEN ?9 THEN 0 ELSE suspended END, "
                            "suspended_reason = CASE WHEN ?9 THEN '' ELSE suspended_reason END, "
                            "suspended_us = CASE WHEN ?9 THEN 0 ELSE suspended_us END, "
                            "failing_since_us = CASE WHEN ?9 THEN 0 ELSE failing_since_us END "
                            "WHERE id = ?1 AND policy_id = ?10 AND deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target->id);
  rc = bind_target(&stmt, target, position, arena, err);
  stmt_bind_i64(&stmt, 9, resume);
  stmt_bind_i64(&stmt, 10, target->policy_id);
  stmt_bind_i64(&stmt, 11, target->strict_order);
  if (rc == 0)
    rc = stmt_run(&stmt, "update a target", err);
  if (rc == 0 && stmt_changes(&stmt) == 0)
    return error_set(err, ERR_NOT_FOUND, "target %lld of policy %lld not found", (long long)target->id,
                     (long long)target->policy_id);
  if (rc == 0)
    change_reordering(conn);
  return rc;
}

int targets_cancel(struct store_conn *conn, const int64_t *ids, size_t len, bool deleted, struct error *err) {
  static const char sql[] = "UPDATE target SET cancel_below = (SELECT coalesce(max(id), 0) + 1 FROM delivery), "
                            "cancelled_us = ?2, deleted_us = CASE WHEN ?3 THEN ?2 ELSE deleted_us END WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  for (size_t i = 0; rc == 0 && i < len; i++) {
    stmt_bind_i64(&stmt, 1, ids[i]);
    stmt_bind_i64(&stmt, 2, clock_wall_us(conn->store->clock));
    stmt_bind_i64(&stmt, 3, deleted);
    rc = stmt_run(&stmt, "cancel what waits for a target", err);
    stmt_reset(&stmt);
  }
  if (rc == 0 && len > 0)
    change_cancelled(conn);
  return rc;
}
