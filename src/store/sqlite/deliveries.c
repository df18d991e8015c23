// SPDX-License-Identifier: Apache-2.0
#include "store/deliveries.h"

#include "store/policies.h"
#include "store/sqlite/changes.h"
#include "store/sqlite/delivery_rows.h"
#include "store/sqlite/event_find.h"
#include "store/sqlite/order.h"
#include "store/sqlite/state.h"
#include "store/sqlite/streak.h"

enum {
  SKIP_TARGETS = 512, // looked at in one go for one that is sent to
  LANES_SKIPS = 16,   // in one call of delivery_lanes: the sending loop waits meanwhile
};

const char *delivery_state_name(enum delivery_state state) {
  switch (state) {
  case DELIVERY_PENDING:
    return "pending";
  case DELIVERY_RETRYING:
    return "retrying";
  case DELIVERY_HELD:
    return "held";
  case DELIVERY_SUCCEEDED:
    return "succeeded";
  case DELIVERY_FAILED:
    return "failed";
  case DELIVERY_CANCELLED:
    return "cancelled";
  }
  return "";
}

// One row of a statement with the parameters ?1 and ?2, as its first column. 1: *out is filled; 0: there is none.
static int seek(struct store_conn *conn, const char *sql, int64_t first, int64_t second, int64_t *out,
                struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, first);
  if (second != 0)
    stmt_bind_i64(&stmt, 2, second);
  rc = stmt_step(&stmt, "list the targets with work", err);
  if (rc == 1)
    *out = stmt_i64(&stmt, 0);
  return rc;
}

int target_next_open(struct store_conn *conn, int64_t *after, struct error *err) {
  // A loose scan: one seek per target, whatever waits there.
  static const char waiting[] =
      "SELECT target_id FROM delivery INDEXED BY delivery_waiting WHERE state <= 1 AND target_id > ?1 "
      "ORDER BY target_id LIMIT 1";
  static const char open[] =
      "SELECT t.id FROM target t JOIN policy p ON p.id = t.policy_id WHERE t.id = ?1 AND " TARGET_IS_OPEN;
  // A row is read in a tenth of the time that a seek takes. CROSS: in order of the targets.
  static const char skip[] = "SELECT t.id FROM target t CROSS JOIN policy p ON p.id = t.policy_id WHERE t.id > ?1 AND "
                             "t.id <= ?2 AND " TARGET_IS_OPEN " ORDER BY t.id LIMIT 1";
  int64_t found = 0, id = 0;
  int rc = seek(conn, waiting, *after, 0, &found, err);

  if (rc <= 0)
    return rc;
  *after = found;
  rc = seek(conn, open, found, 0, &id, err);
  if (rc != 0)
    return rc;
  rc = seek(conn, skip, found, found + SKIP_TARGETS, &id, err);
  *after = rc == 1 ? id - 1 : found + SKIP_TARGETS;
  return rc < 0 ? rc : 2;
}

int delivery_lanes(struct store_conn *conn, int64_t *after, int64_t *targets, size_t max, size_t *len,
                   struct error *err) {
  *len = 0;
  for (int skips = 0; *len < max && skips < LANES_SKIPS;) {
    int rc = target_next_open(conn, after, err);
    if (rc < 0)
      return rc;
    if (rc == 0) {
      *after = 0;
      return 0;
    }
    if (rc == 1)
      targets[(*len)++] = *after;
    else
      skips++;
  }
  return 0;
}

int delivery_next(struct store_conn *conn, int64_t target_id, int prio, int64_t after_due_us, int64_t after_id,
                  struct delivery_notice *out, size_t max, size_t *len, struct error *err) {
  // While the sweep has not been over what a cancel left, those rows lie before all others: what was made after the cancel
  // is due after it, and the read begins there instead of stepping over them. A clock that was set back in between makes
  // younger rows due before the cancel: these are seen when the sweep is done.
  static const char sql[] =
      "SELECT id, due_us FROM delivery INDEXED BY delivery_waiting WHERE state <= 1 AND target_id = ?1 AND prio = ?2 "
      "AND (due_us, id) > (max(?3, (SELECT CASE WHEN swept_below < cancel_below THEN cancelled_us - 1 ELSE ?3 END FROM "
      "target WHERE id = ?1)), ?4) AND id >= (SELECT cancel_below FROM target WHERE id = ?1) ORDER BY due_us, id LIMIT "
      "?5";
  CLEANUP(stmt_end) struct stmt stmt = {0};

  *len = 0;
  int rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target_id);
  stmt_bind_i64(&stmt, 2, prio);
  stmt_bind_i64(&stmt, 3, after_due_us);
  stmt_bind_i64(&stmt, 4, after_id);
  stmt_bind_i64(&stmt, 5, (int64_t)max);
  while ((rc = stmt_step(&stmt, "read what waits for a target", err)) == 1)
    out[(*len)++] = (struct delivery_notice){
        .delivery_id = stmt_i64(&stmt, 0), .target_id = target_id, .prio = prio, .due_us = stmt_i64(&stmt, 1)};
  return rc;
}

static int no_execution(int64_t id, struct error *err) {
  return error_set(err, ERR_NOT_FOUND, "execution %lld not found", (long long)id);
}

// The row that `sql` selects for delivery ?1, to be read from *out; ERR_NOT_FOUND when there is none.
static int find_delivery(struct store_conn *conn, const char *sql, int64_t id, struct stmt *out, struct error *err) {
  int rc = stmt_begin(conn, sql, out, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(out, 1, id);
  rc = stmt_step(out, "read a delivery", err);
  if (rc < 0)
    return rc;
  return rc == 1 ? 0 : no_execution(id, err);
}

static int read_body(struct store_conn *conn, int64_t event_rowid, const char *format_key, struct arena *arena,
                     struct str *body, struct error *err) {
  static const char sql[] = "SELECT data FROM body WHERE event_rowid = ?1 AND format_key = ?2 AND id < " BODY_FIRST_ID
                            " UNION ALL SELECT data FROM body WHERE " BODIES_OF("?1") " AND format_key = ?2 LIMIT 1";
  CLEANUP(stmt_end) struct stmt stmt = {0};

  *body = (struct str){0};
  int rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, event_rowid);
  stmt_bind_text(&stmt, 2, str_of(format_key));
  rc = stmt_step(&stmt, "read a body", err);
  if (rc <= 0)
    return rc;
  *body = stmt_text(&stmt, 0, arena);
  return stmt_copied(&stmt, err);
}

int delivery_load(struct store_conn *conn, int64_t id, const char *format_key, struct arena *arena,
                  struct delivery_load *out, struct error *err) {
  static const char sql[] =
      "SELECT d.target_id, d.policy_id, " DELIVERY_STATE_EXPR
      ", d.attempts, d.created_us, d.event_rowid, e.json, t.failing_since_us FROM delivery d JOIN "
      "target t ON t.id = d.target_id JOIN event e ON e.id = d.event_rowid WHERE d.id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = find_delivery(conn, sql, id, &stmt, err);

  if (rc != 0)
    return rc;
  *out = (struct delivery_load){
      .id = id,
      .target_id = stmt_i64(&stmt, 0),
      .policy_id = stmt_i64(&stmt, 1),
      .state = (enum delivery_state)stmt_i64(&stmt, 2),
      .attempts = (int)stmt_i64(&stmt, 3),
      .created_at_us = stmt_i64(&stmt, 4),
      .failing_since_us = stmt_i64(&stmt, 7),
  };
  rc = event_read_json(stmt_view(&stmt, 6), arena, &out->event, err);
  return rc != 0 ? rc : read_body(conn, stmt_i64(&stmt, 5), format_key, arena, &out->body, err);
}

int delivery_body(struct store_conn *conn, int64_t id, const char *format_key, struct arena *arena, struct str *body,
                  struct error *err) {
  static const char sql[] = "SELECT event_rowid FROM delivery WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = find_delivery(conn, sql, id, &stmt, err);

  if (rc != 0)
    return rc;
  return read_body(conn, stmt_i64(&stmt, 0), format_key, arena, body, err);
}

// ---- recording an attempt -------------------------------------------------------------------------------------------

struct recorded { // the row as it was
  int64_t target_id, policy_id, event_rowid;
  enum delivery_state state; // as stored
  bool cancelled, strict_order;
  int64_t failing_since_us; // its target
};

static int read_row(struct store_conn *conn, int64_t id, struct recorded *out, struct error *err) {
  static const char sql[] =
      "SELECT d.target_id, d.event_rowid, d.state, d.id < t.cancel_below, d.policy_id, t.strict_order, "
      "t.failing_since_us FROM delivery d JOIN target t ON t.id = d.target_id WHERE d.id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = find_delivery(conn, sql, id, &stmt, err);

  if (rc != 0)
    return rc;
  out->target_id = stmt_i64(&stmt, 0);
  out->event_rowid = stmt_i64(&stmt, 1);
  out->policy_id = stmt_i64(&stmt, 4);
  out->strict_order = stmt_bool(&stmt, 5);
  out->failing_since_us = stmt_i64(&stmt, 6);
  out->state = (enum delivery_state)stmt_i64(&stmt, 2);
  out->cancelled = out->state == DELIVERY_CANCELLED || (out->state <= DELIVERY_HELD && stmt_bool(&stmt, 3));
  return 0;
}

static int insert_attempt(struct store_conn *conn, const struct attempt *attempt, struct error *err) {
  static const char sql[] = "INSERT OR IGNORE INTO attempt (id, started_us, ended_us, outcome, status, words, "
                            "request_headers, response_headers, "
                            "response_body, dns_us, connect_us, tls_us, first_byte_us, total_us, reused) VALUES (?1, "
                            "?2, ?3, ?4, ?5, ?6, ?7, ?8, "
                            "?9, ?10, ?11, ?12, ?13, ?14, ?15)";
  CLEANUP(stmt_end) struct stmt stmt = {0};

  if (attempt->number < 1 || attempt->number >= ATTEMPT_ROWS_PER_DELIVERY)
    return error_set(err, ERR_INTERNAL, "attempt number %d of delivery %lld is not within 1 to %d", attempt->number,
                     (long long)attempt->delivery_id, ATTEMPT_ROWS_PER_DELIVERY - 1);
  int rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, attempt->delivery_id * ATTEMPT_ROWS_PER_DELIVERY + attempt->number);
  stmt_bind_i64(&stmt, 2, attempt->started_at_us);
  stmt_bind_i64(&stmt, 3, attempt->ended_at_us);
  stmt_bind_text(&stmt, 4, attempt->outcome);
  stmt_bind_i64(&stmt, 5, attempt->status);
  stmt_bind_text(&stmt, 6, attempt->words);
  stmt_bind_text(&stmt, 7, attempt->request_headers);
  stmt_bind_blob(&stmt, 8, attempt->response_headers);
  stmt_bind_blob(&stmt, 9, attempt->response_body);
  stmt_bind_i64(&stmt, 10, attempt->dns_us);
  stmt_bind_i64(&stmt, 11, attempt->connect_us);
  stmt_bind_i64(&stmt, 12, attempt->tls_us);
  stmt_bind_i64(&stmt, 13, attempt->first_byte_us);
  stmt_bind_i64(&stmt, 14, attempt->total_us);
  stmt_bind_i64(&stmt, 15, attempt->connection_reused);
  rc = stmt_run(&stmt, "insert an attempt", err);
  if (rc == 0 && stmt_changes(&stmt) == 0)
    return error_set(err, ERR_CONFLICT, "attempt %d of delivery %lld is recorded already", attempt->number,
                     (long long)attempt->delivery_id);
  return rc;
}

// 1: the row is of this format, 0: of another, or an error.
static int body_is_of(struct store_conn *conn, int64_t id, struct str format_key, struct error *err) {
  static const char sql[] = "SELECT format_key = ?2 FROM body WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  stmt_bind_text(&stmt, 2, format_key);
  rc = stmt_step(&stmt, "read a body's format", err);
  return rc == 1 ? stmt_bool(&stmt, 0) : rc;
}

// With more formats than places the last ones are made anew for each try, of the same event.
// The event's rows are so many places, and the format's key tells where among them to begin: mostly the place is free, or
// its own from another target's first try.
static int insert_body(struct store_conn *conn, int64_t event_rowid, const char *format_key, struct str body,
                       struct error *err) {
  static const char sql[] = "INSERT OR IGNORE INTO body (id, event_rowid, format_key, data) VALUES (?1, ?2, ?3, ?4)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  struct str key = str_of(format_key);
  uint32_t place = 0;

  if (body.len == 0)
    return 0;
  int rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  for (size_t i = 0; i < key.len; i++)
    place = place * 31 + (unsigned char)key.ptr[i];
  stmt_bind_i64(&stmt, 2, event_rowid);
  stmt_bind_text(&stmt, 3, key);
  stmt_bind_blob(&stmt, 4, body);
  for (int tried = 0; tried < BODY_ROWS_PER_EVENT; tried++, place++) {
    int64_t id = BODY_FIRST + event_rowid * BODY_ROWS_PER_EVENT + place % BODY_ROWS_PER_EVENT;
    stmt_bind_i64(&stmt, 1, id);
    rc = stmt_run(&stmt, "store a body", err);
    if (rc != 0 || stmt_changes(&stmt) > 0)
      return rc;
    rc = body_is_of(conn, id, key, err);
    if (rc != 0)
      return rc == 1 ? 0 : rc;
    stmt_reset(&stmt);
  }
  return 0;
}

// The state after the attempt. What is final stays, but a success counts whatever a person did meanwhile: the receiver has
// it. What was put in order while it was on its way stays held until it is its turn.
static enum delivery_state state_after(const struct recorded *row, enum delivery_state wanted) {
  if (wanted == DELIVERY_SUCCEEDED || row->state == DELIVERY_SUCCEEDED)
    return DELIVERY_SUCCEEDED;
  if (row->cancelled)
    return DELIVERY_CANCELLED;
  if (row->state == DELIVERY_HELD && wanted == DELIVERY_RETRYING)
    return DELIVERY_HELD;
  return row->state == DELIVERY_FAILED ? DELIVERY_FAILED : wanted;
}

static int update_row(struct store_conn *conn, const struct attempt_result *result, enum delivery_state state,
                      struct error *err) {
  static const char sql[] =
      "UPDATE delivery SET state = ?2, prio = CASE WHEN ?2 IN (1, 2) THEN ?3 ELSE prio END, due_us = CASE "
      "WHEN ?2 IN (1, 2) THEN ?4 ELSE due_us END, attempts = max(attempts, ?5), started_us = ?6, "
      "ended_us = ?7, last_status = ?8, last_words = ?9 WHERE id = ?1";
  const struct attempt *attempt = &result->attempt;
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, attempt->delivery_id);
  stmt_bind_i64(&stmt, 2, (int64_t)state);
  stmt_bind_i64(&stmt, 3, result->prio);
  stmt_bind_i64(&stmt, 4, result->due_us);
  stmt_bind_i64(&stmt, 5, attempt->number);
  stmt_bind_i64(&stmt, 6, attempt->started_at_us);
  if (state > DELIVERY_HELD)
    stmt_bind_i64(&stmt, 7, attempt->ended_at_us);
  stmt_bind_i64(&stmt, 8, attempt->status);
  stmt_bind_text(&stmt, 9, result->ended_words.len > 0 ? result->ended_words : attempt->words);
  return stmt_run(&stmt, "update a delivery", err);
}

int delivery_record(struct store_conn *conn, struct attempt_result *result, struct error *err) {
  struct recorded row = {0};

  if (result->state != DELIVERY_SUCCEEDED && result->state != DELIVERY_FAILED && result->state != DELIVERY_RETRYING)
    return error_set(err, ERR_INTERNAL, "an attempt cannot end as \"%s\"", delivery_state_name(result->state));
  int rc = read_row(conn, result->attempt.delivery_id, &row, err);
  if (rc != 0)
    return rc;
  enum delivery_state state = state_after(&row, result->state);
  rc = update_row(conn, result, state, err);
  if (rc == 0)
    rc = insert_attempt(conn, &result->attempt, err);
  if (rc == 0)
    rc = insert_body(conn, row.event_rowid, result->format_key, result->body, err);
  if (rc == 0)
    rc = streak_note(conn, row.target_id, row.failing_since_us, result, err);
  if (rc == 0 && row.strict_order && state > DELIVERY_HELD)
    rc = order_promote(conn, row.target_id, err);
  if (rc != 0)
    return rc;
  change_waiting(conn, (state <= DELIVERY_HELD) - (row.state <= DELIVERY_HELD));
  change_news(conn, row.policy_id, false);
  return 0;
}

int delivery_again(struct store_conn *conn, int64_t id, int64_t *new_id, struct error *err) {
  static const char find[] =
      "SELECT t.deleted_us IS NULL AND p.deleted_us IS NULL, p.enabled, d.target_id, d.policy_id, t.strict_order FROM "
      "delivery d "
      "JOIN target t ON t.id = d.target_id JOIN policy p ON p.id = d.policy_id WHERE d.id = ?1";
  static const char sql[] =
      "INSERT INTO delivery (event_rowid, policy_id, target_id, target_type, event_type, state, prio, "
      "attempts, due_us, created_us) SELECT event_rowid, policy_id, target_id, target_type, "
      "event_type, ?3, 0, 0, ?2, ?2 FROM delivery WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int64_t now_us = clock_wall_us(conn->store->clock);
  int rc = find_delivery(conn, find, id, &stmt, err);

  if (rc != 0)
    return rc;
  if (!stmt_bool(&stmt, 0))
    return error_set(err, ERR_PRECONDITION, "delivery %lld cannot be sent again: its webhook was deleted",
                     (long long)id);
  if (!stmt_bool(&stmt, 1))
    return error_set(err, ERR_PRECONDITION,
                     "delivery %lld cannot be sent again: its webhook is disabled; enable it first", (long long)id);
  struct delivery_notice notice = {.target_id = stmt_i64(&stmt, 2), .due_us = now_us};
  int64_t policy_id = stmt_i64(&stmt, 3);
  bool strict = stmt_bool(&stmt, 4), held = false;
  stmt_end(&stmt);
  rc = strict ? order_holds(conn, notice.target_id, &held, err) : 0;
  if (rc == 0)
    rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  stmt_bind_i64(&stmt, 2, now_us);
  stmt_bind_i64(&stmt, 3, held ? DELIVERY_HELD : DELIVERY_PENDING);
  rc = stmt_run(&stmt, "insert a delivery", err);
  if (rc != 0)
    return rc;
  *new_id = notice.delivery_id = sqlite3_last_insert_rowid(conn->db);
  if (held)
    change_waiting(conn, 1);
  else
    change_delivery(conn, &notice);
  change_news(conn, policy_id, false);
  return 0;
}

void delivery_depth(struct store *store, struct delivery_depth *out) {
  out->waiting = atomic_load(&store->waiting);
  int64_t oldest_us = atomic_load(&store->oldest_due_us);
  out->oldest_due_us = out->waiting > 0 && oldest_us != INT64_MAX ? oldest_us : 0;
}
