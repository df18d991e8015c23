// SPDX-License-Identifier: Apache-2.0
// Pauses by people, suspensions by us, and the streak of failures that leads to one.
#include <stdio.h>

#include "base/rfc3339.h"
#include "base/utf8.h"
#include "store/policies.h"
#include "store/settings.h"
#include "store/sqlite/changes.h"
#include "store/sqlite/policy_rows.h"
#include "store/sqlite/state.h"
#include "store/sqlite/streak.h"

enum { PAUSE_SCRATCH_BYTES = 4 * 1024 * 1024, SUBJECT_BYTES = 1024, FIELD_BYTES = 64 };

// ---- by a person ----------------------------------------------------------------------------------------------------

static int read_before(struct store_conn *conn, int64_t project_id, int64_t id, struct arena *arena,
                       struct policy_switched *out, int64_t *updated_us, struct error *err) {
  CLEANUP(arena_cleanup) struct arena *scratch = arena_new(PAUSE_SCRATCH_BYTES);
  struct policy old;

  if (!scratch)
    return rows_no_memory(err);
  int rc = policy_row_find(conn, project_id, id, SECRETS_SEALED, scratch, &old, err);
  if (rc != 0)
    return rc;
  *updated_us = old.updated_at_us;
  *out = (struct policy_switched){.was_enabled = old.enabled, .was_paused = old.paused};
  out->targets = arena_array(arena, old.targets_len ? old.targets_len : 1, sizeof(*out->targets));
  if (!out->targets)
    return rows_no_memory(err);
  for (size_t i = 0; i < old.targets_len; i++) {
    out->targets[out->targets_len++] = old.targets[i].id;
    out->suspended += old.targets[i].suspended;
  }
  return 0;
}

static int set_switches(struct store_conn *conn, int64_t id, bool enabled, bool hold, int64_t updated_us,
                        struct error *err) {
  static const char sql[] = "UPDATE policy SET enabled = ?2, hold = ?3, updated_us = max(?4, ?5 + 1) WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  stmt_bind_i64(&stmt, 2, enabled);
  stmt_bind_i64(&stmt, 3, hold);
  stmt_bind_i64(&stmt, 4, clock_wall_us(conn->store->clock));
  stmt_bind_i64(&stmt, 5, updated_us); // names this state of the policy: no two have the same
  return stmt_run(&stmt, "pause or resume a policy", err);
}

static int switched(struct store_conn *conn, int64_t id) {
  change_policies(conn);
  change_news(conn, id, false);
  return 0;
}

int policy_pause(struct store_conn *conn, int64_t project_id, int64_t id, bool hold, struct arena *arena,
                 struct policy_switched *out, struct error *err) {
  int64_t updated_us = 0;
  int rc = read_before(conn, project_id, id, arena, out, &updated_us, err);

  if (rc == 0)
    rc = set_switches(conn, id, hold, hold, updated_us, err);
  if (rc == 0 && !hold)
    rc = targets_cancel(conn, out->targets, out->targets_len, false, err);
  return rc != 0 ? rc : switched(conn, id);
}

// A target whose address was lost with its key (restore.c) stays suspended: what waits for it could only fail.
static int end_suspensions(struct store_conn *conn, int64_t policy_id, struct error *err) {
  static const char sql[] = "UPDATE target SET suspended = 0, suspended_reason = '', suspended_us = 0, "
                            "failing_since_us = 0 WHERE policy_id = "
                            "?1 AND deleted_us IS NULL AND length(address) > 0";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, policy_id);
  return stmt_run(&stmt, "resume the targets of a policy", err);
}

int policy_resume(struct store_conn *conn, int64_t project_id, int64_t id, bool drop, struct arena *arena,
                  struct policy_switched *out, struct error *err) {
  int64_t updated_us = 0;
  int rc = read_before(conn, project_id, id, arena, out, &updated_us, err);

  if (rc == 0)
    rc = set_switches(conn, id, true, false, updated_us, err);
  if (rc == 0)
    rc = end_suspensions(conn, id, err);
  if (rc == 0 && drop)
    rc = targets_cancel(conn, out->targets, out->targets_len, false, err);
  return rc != 0 ? rc : switched(conn, id);
}

// ---- by us ----------------------------------------------------------------------------------------------------------

struct suspension {
  char project[SUBJECT_BYTES], subject[SUBJECT_BYTES], field[FIELD_BYTES];
  bool suspended; // already
};

static int find_target(struct store_conn *conn, int64_t target_id, struct suspension *out, struct error *err) {
  static const char sql[] =
      "SELECT o.name, o.name || '/' || p.name, t.suspended, (SELECT count(*) FROM target b WHERE b.policy_id = "
      "t.policy_id AND b.deleted_us IS NULL AND (b.position, b.id) < (t.position, t.id)) FROM target t JOIN policy p "
      "ON "
      "p.id = t.policy_id JOIN project o ON o.id = p.project_id WHERE t.id = ?1 AND t.deleted_us IS NULL AND "
      "p.deleted_us IS NULL";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target_id);
  rc = stmt_step(&stmt, "read a target", err);
  if (rc <= 0)
    return rc < 0 ? rc : error_set(err, ERR_NOT_FOUND, "target %lld not found", (long long)target_id);
  (void)snprintf(out->project, sizeof(out->project), "%.*s", STR_ARG(utf8_cut(stmt_view(&stmt, 0), SUBJECT_BYTES - 1)));
  (void)snprintf(out->subject, sizeof(out->subject), "%.*s", STR_ARG(utf8_cut(stmt_view(&stmt, 1), SUBJECT_BYTES - 1)));
  (void)snprintf(out->field, sizeof(out->field), "targets[%lld].harbinger.suspended", (long long)stmt_i64(&stmt, 3));
  out->suspended = stmt_bool(&stmt, 2);
  return 0;
}

// It is another state of the policy, for who reads and saves it, too.
static int name_new_state(struct store_conn *conn, int64_t target_id, struct error *err) {
  static const char sql[] = "UPDATE policy SET updated_us = max(?2, updated_us + 1) WHERE id = (SELECT policy_id FROM "
                            "target WHERE id = ?1)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target_id);
  stmt_bind_i64(&stmt, 2, clock_wall_us(conn->store->clock));
  return stmt_run(&stmt, "suspend a target", err);
}

static int mark_suspended(struct store_conn *conn, int64_t target_id, struct str reason, struct error *err) {
  static const char sql[] = "UPDATE target SET suspended = 1, suspended_reason = ?2, suspended_us = ?3 WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target_id);
  stmt_bind_text(&stmt, 2, reason);
  stmt_bind_i64(&stmt, 3, clock_wall_us(conn->store->clock));
  return stmt_run(&stmt, "suspend a target", err);
}

int target_suspend(struct store_conn *conn, int64_t target_id, struct str reason, bool *newly, struct error *err) {
  struct suspension found = {.suspended = false};
  int rc = find_target(conn, target_id, &found, err);

  *newly = false;
  if (rc != 0 || found.suspended)
    return rc;
  rc = mark_suspended(conn, target_id, reason, err);
  if (rc == 0)
    rc = name_new_state(conn, target_id, err);
  const struct audit_entry entry = {
      .at_us = clock_wall_us(conn->store->clock),
      .actor = STR("system"),
      .address = STR_EMPTY,
      .request_id = STR_EMPTY,
      .operation = STR("suspend"),
      .kind = STR("policy"),
      .project = str_of(found.project),
      .subject = str_of(found.subject),
      .fields = str_of(found.field),
  };
  if (rc == 0)
    rc = audit_add(conn, &entry, err);
  if (rc != 0)
    return rc;
  *newly = true;
  change_policies(conn);
  return 0;
}

// ---- the streak of failures -----------------------------------------------------------------------------------------

static int set_failing(struct store_conn *conn, int64_t target_id, int64_t since_us, struct error *err) {
  static const char sql[] = "UPDATE target SET failing_since_us = ?2 WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target_id);
  stmt_bind_i64(&stmt, 2, since_us);
  return stmt_run(&stmt, "note that a target fails or works", err);
}

// What was tried before a change of the webhook says nothing about how it is now: its address may be another one. A change
// that is still to come was made before the clock was set back.
static int was_changed_since(struct store_conn *conn, int64_t target_id, int64_t at_us, bool *out, struct error *err) {
  static const char sql[] = "SELECT 1 FROM target t JOIN policy p ON p.id = t.policy_id WHERE t.id = ?1 AND "
                            "p.updated_us > ?2 AND p.updated_us <= ?3";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target_id);
  stmt_bind_i64(&stmt, 2, at_us);
  stmt_bind_i64(&stmt, 3, clock_wall_us(conn->store->clock));
  rc = stmt_step(&stmt, "read a policy", err);
  *out = rc == 1;
  return rc < 0 ? rc : 0;
}

static void put_words(struct attempt_result *result, int64_t since_us) {
  int64_t days = (result->attempt.ended_at_us - since_us) / (INT64_C(86400) * US_PER_S);
  char at[RFC3339_BYTES];
  struct str last = utf8_cut(result->attempt.words, ATTEMPT_WHY_BYTES / 2);

  (void)rfc3339_write(since_us, 0, at);
  if (days >= 2)
    (void)snprintf(result->suspended_why, ATTEMPT_WHY_BYTES,
                   "no delivery succeeded since %s, %lld days; the last try: %.*s", at, (long long)days, STR_ARG(last));
  else
    (void)snprintf(result->suspended_why, ATTEMPT_WHY_BYTES, "no delivery succeeded since %s; the last try: %.*s", at,
                   STR_ARG(last));
}

int streak_note(struct store_conn *conn, int64_t target_id, int64_t failing_since_us, struct attempt_result *result,
                struct error *err) {
  const int64_t before_us = result->suspend_failing_before_us;
  int64_t since_us = failing_since_us != 0 ? failing_since_us : result->attempt.started_at_us;
  bool begins = result->target_failed && failing_since_us == 0, outdated = false;
  bool suspends = result->suspend_target || (result->target_failed && since_us < before_us);

  result->suspended = false;
  if (result->state == DELIVERY_SUCCEEDED)
    return failing_since_us != 0 ? set_failing(conn, target_id, 0, err) : 0;
  if (!begins && !suspends)
    return 0;
  int rc = was_changed_since(conn, target_id, result->attempt.started_at_us, &outdated, err);
  if (rc != 0 || outdated)
    return rc;
  if (begins)
    rc = set_failing(conn, target_id, since_us, err);
  if (rc != 0 || !suspends)
    return rc;
  if (result->suspend_target)
    (void)snprintf(result->suspended_why, ATTEMPT_WHY_BYTES, "%.*s",
                   STR_ARG(utf8_cut(result->suspend_reason, ATTEMPT_WHY_BYTES - 1)));
  else
    put_words(result, since_us);
  rc = target_suspend(conn, target_id, str_of(result->suspended_why), &result->suspended, err);
  return rc == ERR_NOT_FOUND ? 0 : rc; // deleted meanwhile: nothing is left to suspend
}
