// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/sweep.h"

#include "base/fault.h"
#include "store/deliveries.h"
#include "store/sqlite/delivery_rows.h"
#include "store/sqlite/event_find.h"
#include "store/sqlite/expiry.h"
#include "store/sqlite/order.h"
#include "store/sqlite/seen.h"
#include "store/sqlite/writer.h"

enum { SWEEP_PASS_MAX_STEPS = 1000000 };
enum { SWEEP_SLICE_ROWS = 50 }; // of one statement: under a millisecond, then the clock is looked at

// One step: what it may still touch, and whether the pass has come to its end.
struct step {
  struct store *store;
  int64_t rows, began_us;
  bool finished;
};

static bool spent(const struct step *step) {
  return step->rows >= STORE_SWEEP_ROWS ||
         clock_mono_us(step->store->clock) - step->began_us >= SWEEP_STEP_MS * US_PER_MS;
}

// Run a change bound to one or two numbers; adds what it touched to the step.
static int change(struct step *step, const char *sql, int64_t first, int64_t second, struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(step->store->conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, first);
  if (sqlite3_bind_parameter_count(stmt.raw) > 1)
    stmt_bind_i64(&stmt, 2, second);
  rc = stmt_run(&stmt, "sweep", err);
  if (rc == 0)
    step->rows += stmt_changes(&stmt);
  return rc;
}

// The same for a change of at most ?2 rows, again until nothing is left or the step is spent.
static int change_all(struct step *step, const char *sql, int64_t first, struct error *err) {
  int rc = 0;

  for (int64_t before = -1; rc == 0 && step->rows != before && !spent(step);) {
    before = step->rows;
    rc = change(step, sql, first, SWEEP_SLICE_ROWS, err);
  }
  return rc;
}

// One row of numbers bound to one or two numbers: 1, 0 or an error.
static int find(struct step *step, const char *sql, int64_t first, int64_t second, int64_t *out, int columns,
                struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(step->store->conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, first);
  if (sqlite3_bind_parameter_count(stmt.raw) > 1)
    stmt_bind_i64(&stmt, 2, second);
  rc = stmt_step(&stmt, "sweep", err);
  for (int i = 0; rc == 1 && i < columns; i++)
    out[i] = stmt_i64(&stmt, i);
  return rc;
}

static int64_t wall_before(const struct step *step, int64_t seconds) {
  return clock_wall_us(step->store->clock) - seconds * US_PER_S;
}

static int64_t shorter(int64_t a_s, int64_t b_s) {
  return a_s < b_s ? a_s : b_s;
}

// ---- cancelled rows -------------------------------------------------------------------------------------------------

// Reads at most STORE_SWEEP_ROWS entries of the waiting index after the cursor, whatever they are: a target that was
// switched on again may have many live rows between the cancelled ones.
static int read_waiting(struct step *step, int64_t target_id, struct delivery_notice *rows, size_t *len,
                        struct error *err) {
  static const char sql[] = "SELECT prio, due_us, id FROM delivery INDEXED BY delivery_waiting WHERE state <= 1 AND "
                            "target_id = ?1 AND (prio, due_us, id) > (?2, ?3, ?4) ORDER BY prio, due_us, id LIMIT ?5";
  struct delivery_notice *after = &step->store->sweep.after;
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(step->store->conn, sql, &stmt, err);

  *len = 0;
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target_id);
  stmt_bind_i64(&stmt, 2, after->prio);
  stmt_bind_i64(&stmt, 3, after->due_us);
  stmt_bind_i64(&stmt, 4, after->delivery_id);
  stmt_bind_i64(&stmt, 5, STORE_SWEEP_ROWS);
  while ((rc = stmt_step(&stmt, "read what waits for a target", err)) == 1)
    rows[(*len)++] = (struct delivery_notice){
        .prio = (int)stmt_i64(&stmt, 0), .due_us = stmt_i64(&stmt, 1), .delivery_id = stmt_i64(&stmt, 2)};
  return rc;
}

// Held ones leave their index as they are cancelled, so that no cursor is needed.
static int cancel_held(struct step *step, int64_t target_id, int64_t cancelled_us, bool *all, struct error *err) {
  static const char sql[] =
      "UPDATE delivery SET state = 5, ended_us = ?2 WHERE id IN (SELECT d.id FROM target t JOIN delivery d INDEXED BY "
      "delivery_held ON d.state = 2 AND d.target_id = t.id AND d.id < t.cancel_below WHERE t.id = ?1 LIMIT 32)";
  int rc = 0;

  *all = false;
  while (rc == 0 && !*all && !spent(step)) {
    int64_t before = step->rows;
    rc = change(step, sql, target_id, cancelled_us, err);
    change_waiting(step->store->conn, before - step->rows);
    *all = step->rows == before;
  }
  return rc;
}

static int cancel_rows(struct step *step, int64_t target_id, int64_t below, int64_t cancelled_us, struct error *err) {
  static const char cancel[] = "UPDATE delivery SET state = 5, ended_us = ?2 WHERE id = ?1";
  static const char swept[] = "UPDATE target SET swept_below = ?2 WHERE id = ?1";
  struct sweep *sweep = &step->store->sweep;
  struct delivery_notice rows[STORE_SWEEP_ROWS];
  size_t len, i = 0;
  int rc = read_waiting(step, target_id, rows, &len, err);

  for (; rc == 0 && i < len && !spent(step); i++) {
    if (rows[i].delivery_id >= below)
      continue;
    rc = change(step, cancel, rows[i].delivery_id, cancelled_us, err);
    change_waiting(step->store->conn, -1);
  }
  if (rc != 0)
    return rc;
  if (i > 0)
    sweep->after = rows[i - 1];
  if (i < len || len == STORE_SWEEP_ROWS)
    return 0; // more of this target
  bool all;
  rc = cancel_held(step, target_id, cancelled_us, &all, err);
  if (rc != 0 || !all)
    return rc;
  sweep->target_id = 0;
  return change(step, swept, target_id, below, err);
}

static int sweep_cancelled(struct step *step, struct error *err) {
  static const char next[] =
      "SELECT id, cancel_below, cancelled_us FROM target INDEXED BY target_unswept WHERE swept_below < "
      "cancel_below AND id >= ?1 ORDER BY id LIMIT 1";
  struct sweep *sweep = &step->store->sweep;
  int64_t row[3];
  int rc = find(step, next, sweep->target_id, 0, row, 3, err);

  if (rc < 0)
    return rc;
  if (rc == 0) {
    step->finished = sweep->target_id == 0;
    sweep->target_id = 0;
    return 0;
  }
  // Cancelled once more meanwhile: newer rows may lie before the cursor.
  if (row[0] != sweep->target_id || row[1] != sweep->cancel_below) {
    sweep->target_id = row[0];
    sweep->cancel_below = row[1];
    sweep->after = (struct delivery_notice){.prio = -1, .due_us = INT64_MIN};
  }
  return cancel_rows(step, row[0], row[1], row[2], err);
}

// ---- strict order switched ------------------------------------------------------------------------------------------

static int sweep_order(struct step *step, struct error *err) {
  static const char next[] =
      "SELECT id FROM target INDEXED BY target_reordering WHERE reordering = 1 AND id >= ?1 ORDER BY id LIMIT 1";
  int64_t target_id, moved = 0;

  while (!spent(step)) {
    int rc = find(step, next, 0, 0, &target_id, 1, err);
    step->finished = rc == 0;
    if (rc == 1)
      rc = order_move(step->store->conn, target_id, &moved, err);
    if (rc != 0 || step->finished)
      return rc;
    step->rows += moved;
  }
  return 0;
}

// ---- what waited too long -------------------------------------------------------------------------------------------

static int sweep_expired(struct step *step, struct error *err) {
  struct store *store = step->store;
  int64_t ended;
  int rc = store->sweep.expiry.target_id == 0 ? stops_note(store->conn, err) : 0; // once a pass

  for (int64_t looked = 0; rc == 0 && looked < STORE_SWEEP_ROWS && !step->finished && !spent(step); looked++) {
    ended = 0;
    rc =
        expiry_some(store->conn, store->config.retention.backlog_s, &store->sweep.expiry, &ended, &step->finished, err);
    step->rows += ended;
  }
  return rc;
}

// ---- small tables ---------------------------------------------------------------------------------------------------

static int sweep_seen(struct step *step, struct error *err) {
  while (!step->finished && !spent(step)) {
    int64_t rows;
    int rc = seen_drop_old(step->store->conn, step->store->config.retention.seen_s, &rows, err);
    if (rc < 0)
      return rc;
    step->finished = rc == 0;
    step->rows += rows;
  }
  return 0;
}

static int sweep_notes(struct step *step, struct error *err) {
  // Both tables grow by id as by time.
  static const char notes[] =
      "DELETE FROM ingest_note WHERE id IN (SELECT id FROM ingest_note ORDER BY id LIMIT ?2) AND "
      "at_us < ?1";
  static const char audit[] =
      "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?2) AND at_us < ?1";
  static const char tags[] =
      "DELETE FROM tag WHERE id IN (SELECT id FROM tag WHERE removed_us IS NOT NULL AND removed_us < "
      "?1 ORDER BY removed_us LIMIT ?2)";
  const struct store_retention *retention = &step->store->config.retention;
  int rc = change_all(step, notes, wall_before(step, retention->ingest_log_s), err);

  if (rc == 0)
    rc = change_all(step, audit, wall_before(step, retention->audit_s), err);
  if (rc == 0)
    rc = change_all(step, tags, wall_before(step, retention->seen_s), err);
  step->finished = step->rows == 0;
  return rc;
}

static int sweep_sessions(struct step *step, struct error *err) {
  static const char idle[] =
      "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE seen_us < ?1 ORDER BY seen_us LIMIT ?2)";
  static const char old[] =
      "DELETE FROM session WHERE id IN (SELECT id FROM session ORDER BY id LIMIT ?2) AND created_us < ?1";
  const struct store_retention *retention = &step->store->config.retention;
  int rc = change_all(step, idle, wall_before(step, retention->session_idle_s), err);

  if (rc == 0)
    rc = change_all(step, old, wall_before(step, retention->session_max_s), err);
  step->finished = step->rows == 0;
  return rc;
}

// ---- retention ------------------------------------------------------------------------------------------------------

// Attempts lie by delivery and so by its age. Those of failed deliveries stay longer; the walk passes over them.
static int sweep_attempts(struct step *step, struct error *err) {
  static const char next[] = "SELECT a.id / 1024, coalesce(d.state, 3), coalesce(d.created_us, 0), "
                             "coalesce(d.ended_us, 0) FROM attempt a LEFT JOIN "
                             "delivery d ON d.id = a.id / 1024 WHERE a.id >= ?1 ORDER BY a.id LIMIT 1";
  static const char drop[] = "DELETE FROM attempt WHERE id >= ?1 AND id < ?2";
  const struct store_retention *retention = &step->store->config.retention;
  int64_t *at = &step->store->sweep.attempt_id, row[4];

  for (int64_t looked = 0; looked < STORE_SWEEP_ROWS && !spent(step); looked++) {
    int rc = find(step, next, *at, 0, row, 4, err);
    if (rc < 0)
      return rc;
    if (rc == 0 || row[2] >= wall_before(step, shorter(retention->attempts_s, retention->failed_attempts_s))) {
      step->finished = true;
      *at = 0;
      return 0;
    }
    int64_t from = row[0] * ATTEMPT_ROWS_PER_DELIVERY;
    int64_t keep_s = row[1] == DELIVERY_FAILED ? retention->failed_attempts_s : retention->attempts_s;
    bool old = row[1] > DELIVERY_HELD && row[3] < wall_before(step, keep_s);
    *at = from + ATTEMPT_ROWS_PER_DELIVERY;
    if (old && (rc = change(step, drop, from, *at, err)) != 0)
      return rc;
  }
  return 0;
}

// Of a delivery: whether it still needs its event's body (2), or failed (1).
#define BODY_WORTH "CASE WHEN d.state <= 2 THEN 2 WHEN d.state = 4 THEN 1 ELSE 0 END"

static int sweep_bodies(struct step *step, struct error *err) {
  static const char next[] =
      "SELECT b.id, b.event_rowid, coalesce(e.recorded_us, 0), (SELECT coalesce(max(worth), 0) "
      "FROM (SELECT " BODY_WORTH " AS worth FROM " DELIVERIES_MADE_WITH(
          "b.event_rowid") " UNION ALL SELECT " BODY_WORTH
                           " FROM " DELIVERIES_MADE_LATER(
                               "b.event_rowid") ")) FROM "
                                                "body b LEFT JOIN event e ON e.id = b.event_rowid WHERE b.id > ?1 "
                                                "ORDER BY b.id LIMIT 1";
  static const char drop[] = "DELETE FROM body WHERE id = ?1";
  const struct store_retention *retention = &step->store->config.retention;
  int64_t *at = &step->store->sweep.body_id, row[4];

  for (int64_t looked = 0; looked < STORE_SWEEP_ROWS && !spent(step); looked++) {
    int rc = find(step, next, *at, 0, row, 4, err);
    if (rc < 0)
      return rc;
    // Bodies are stored with the first attempt and lie nearly in the order of their events: the first young one ends the
    // pass, a straggler waits for the next.
    if (rc == 0 || row[2] >= wall_before(step, shorter(retention->bodies_s, retention->failed_bodies_s))) {
      step->finished = true;
      *at = 0;
      return 0;
    }
    *at = row[0];
    int64_t keep_s = row[3] == 1 ? retention->failed_bodies_s : retention->bodies_s;
    if (row[3] != 2 && row[2] < wall_before(step, keep_s) && (rc = change(step, drop, row[0], 0, err)) != 0)
      return rc;
  }
  return 0;
}

// Take an event and all that belongs to it, unless something of it waits. A part may be left for the next step.
static int drop_event(struct step *step, int64_t rowid, bool *gone, struct error *err) {
  static const char next[] = "SELECT d.id FROM " DELIVERIES_MADE_WITH(
      "?1") " AND d.id < (SELECT max(id) FROM delivery) UNION ALL SELECT d.id "
            "FROM " DELIVERIES_MADE_LATER("?1") " AND d.id < (SELECT max(id) FROM delivery) LIMIT 1";
  static const char left[] =
      "SELECT 1 FROM " DELIVERIES_MADE_WITH("?1") " UNION ALL SELECT 1 FROM " DELIVERIES_MADE_LATER("?1") " LIMIT 1";
  static const char attempts[] = "DELETE FROM attempt WHERE id >= ?1 * 1024 AND id < (?1 + 1) * 1024";
  static const char delivery[] = "DELETE FROM delivery WHERE id = ?1";
  static const char bodies[] = "DELETE FROM body WHERE " BODIES_OF("?1");
  static const char old_bodies[] = "DELETE FROM body WHERE event_rowid = ?1 AND id < " BODY_FIRST_ID;
  static const char event[] = "DELETE FROM event WHERE id = ?1";
  int64_t id;
  int rc;

  *gone = false;
  while ((rc = find(step, next, rowid, 0, &id, 1, err)) == 1) {
    if (spent(step))
      return 0;
    rc = change(step, attempts, id, 0, err);
    if (rc == 0)
      rc = change(step, delivery, id, 0, err);
    if (rc != 0)
      return rc;
  }
  if (rc == 0)
    rc = find(step, left, rowid, 0, &id, 1, err); // the newest delivery of all stays, so that no id comes twice
  *gone = true;
  if (rc != 0)
    return rc < 0 ? rc : 0;
  rc = change(step, bodies, rowid, 0, err);
  if (rc == 0)
    rc = change(step, old_bodies, rowid, 0, err);
  return rc == 0 ? change(step, event, rowid, 0, err) : rc;
}

static int over_size(struct step *step, bool *over, struct error *err) {
  static const char pages[] = "PRAGMA page_count";
  static const char unused[] = "PRAGMA freelist_count";
  static const char size[] = "PRAGMA page_size";
  struct store_conn *conn = step->store->conn;
  int64_t all, empty, bytes;
  int rc = conn_number(conn, pages, 0, &all, err);

  if (rc == 0)
    rc = conn_number(conn, unused, 0, &empty, err);
  if (rc == 0)
    rc = conn_number(conn, size, 0, &bytes, err);
  if (rc == 0)
    *over =
        step->store->config.retention.max_bytes > 0 && (all - empty) * bytes > step->store->config.retention.max_bytes;
  return rc;
}

static int sweep_events(struct step *step, struct error *err) {
  static const char next[] = "SELECT e.id, e.recorded_us, EXISTS (SELECT 1 FROM " DELIVERIES_MADE_WITH(
      "e.id") " AND "
              "d.state <= 2 UNION ALL SELECT 1 FROM " DELIVERIES_MADE_LATER(
                  "e.id") " AND d.state <= 2) FROM event e WHERE e.id > ?1 AND e.id < (SELECT max(id) FROM event) "
                          "ORDER BY e.id "
                          "LIMIT 1";
  int64_t *at = &step->store->sweep.event_id, row[3];
  bool over, gone;
  int rc = over_size(step, &over, err);

  if (rc != 0)
    return rc;
  for (int64_t looked = 0; looked < STORE_SWEEP_ROWS && !spent(step); looked++) {
    rc = find(step, next, *at, 0, row, 3, err);
    if (rc < 0)
      return rc;
    if (rc == 0 || (!over && row[1] >= wall_before(step, step->store->config.retention.events_s))) {
      step->finished = true;
      *at = 0;
      return 0;
    }
    if (row[2] != 0) { // a waiting delivery is never trimmed
      *at = row[0];
      continue;
    }
    rc = drop_event(step, row[0], &gone, err);
    if (rc != 0)
      return rc;
    if (gone)
      *at = row[0];
  }
  return 0;
}

// Rows of what was deleted stay as long as history names them: until the oldest delivery kept is younger than the deletion.
// One kind a step: each is a search of its table.
static int sweep_deleted(struct step *step, struct error *err) {
  static const char targets[] =
      "DELETE FROM target WHERE id IN (SELECT id FROM target WHERE deleted_us IS NOT NULL AND "
      "swept_below >= cancel_below AND cancel_below <= coalesce((SELECT min(id) FROM delivery), "
      "cancel_below) LIMIT ?2)";
  static const char policies[] =
      "DELETE FROM policy WHERE id IN (SELECT p.id FROM policy p WHERE p.deleted_us IS NOT NULL "
      "AND NOT EXISTS (SELECT 1 FROM target t WHERE t.policy_id = p.id) AND NOT EXISTS (SELECT 1 "
      "FROM delivery d WHERE d.policy_id = p.id) LIMIT ?2)";
  static const char projects[] =
      "DELETE FROM project WHERE id IN (SELECT p.id FROM project p WHERE p.deleted_us IS NOT NULL "
      "AND NOT EXISTS (SELECT 1 FROM policy o WHERE o.project_id = p.id) AND NOT EXISTS (SELECT 1 "
      "FROM event e WHERE e.project_id = p.id) AND NOT EXISTS (SELECT 1 FROM repository r WHERE "
      "r.project_id = p.id) LIMIT ?2)";
  static const char *const kinds[] = {targets, policies, projects}; // what names another goes first
  size_t *kind = &step->store->sweep.deleted_kind;
  int rc = change_all(step, kinds[*kind], 0, err);

  if (rc != 0 || step->rows > 0)
    return rc;
  *kind = (*kind + 1) % ARRAY_LEN(kinds);
  step->finished = *kind == 0;
  return 0;
}

// ---- the oldest waiting delivery ------------------------------------------------------------------------------------

// A loose scan over the waiting index, a few lanes a step: an index by due time alone would cost every insert.
static int sweep_depth(struct step *step, struct error *err) {
  static const char first[] =
      "SELECT due_us FROM delivery INDEXED BY delivery_waiting WHERE state <= 1 AND target_id = ?1 AND "
      "prio = ?2 ORDER BY due_us LIMIT 1";
  static const char held[] = "SELECT due_us FROM delivery INDEXED BY delivery_held WHERE state = 2 AND target_id = ?1 "
                             "ORDER BY id LIMIT 1";
  struct sweep *sweep = &step->store->sweep;
  int64_t due_us = 0;

  if (sweep->depth_target_id == 0)
    sweep->depth_oldest_us = INT64_MAX;
  for (int64_t looked = 0; looked < STORE_SWEEP_ROWS && !spent(step); looked++) {
    int rc =
        target_next_open(step->store->conn, &sweep->depth_target_id, err); // nothing is late for one that is paused
    if (rc == 0) {
      atomic_store(&step->store->oldest_due_us, sweep->depth_oldest_us);
      sweep->depth_target_id = 0;
      step->finished = true;
    }
    if (rc <= 0)
      return rc;
    if (rc == 2)
      continue;
    for (int64_t prio = 0; prio <= 3; prio++) {
      rc = find(step, first, sweep->depth_target_id, prio, &due_us, 1, err);
      if (rc < 0)
        return rc;
      if (rc == 1 && due_us < sweep->depth_oldest_us)
        sweep->depth_oldest_us = due_us;
    }
    rc = find(step, held, sweep->depth_target_id, 0, &due_us, 1, err);
    if (rc < 0)
      return rc;
    if (rc == 1 && due_us < sweep->depth_oldest_us)
      sweep->depth_oldest_us = due_us;
  }
  return 0;
}

// ---- taking turns ---------------------------------------------------------------------------------------------------

static const struct {
  int (*step)(struct step *step, struct error *err);
  int64_t every_ms; // between passes
} sweeps[SWEEP_COUNT] = {
    [SWEEP_CANCELLED] = {sweep_cancelled, 60000}, // woken by each cancel
    [SWEEP_ORDER] = {sweep_order, 60000},         // woken by each change of a target
    [SWEEP_EXPIRED] = {sweep_expired, 600000},
    [SWEEP_SEEN] = {sweep_seen, 60000},
    [SWEEP_NOTES] = {sweep_notes, 60000},
    // Hourly: a pass walks over all that failed deliveries keep longer.
    [SWEEP_ATTEMPTS] = {sweep_attempts, 3600000},
    [SWEEP_BODIES] = {sweep_bodies, 3600000},
    [SWEEP_EVENTS] = {sweep_events, 60000},
    [SWEEP_DELETED] = {sweep_deleted, 60000},
    [SWEEP_SESSIONS] = {sweep_sessions, 60000},
    [SWEEP_DEPTH] = {sweep_depth, 1000},
};

void sweep_init(struct store *store) {
  for (int i = 0; i < SWEEP_COUNT; i++)
    store->sweep.due_us[i] = clock_mono_us(store->clock);
}

void sweep_wake(struct store *store, enum sweep_kind kind) {
  store->sweep.due_us[kind] = INT64_MIN;
}

static int run_in_transaction(struct store *store, void *arg, struct error *err) {
  struct step *step = arg;

  step->began_us = clock_mono_us(store->clock);
  return sweeps[store->sweep.last].step(step, err);
}

static void run_step(struct store *store, int kind) {
  struct step step = {.store = store};
  struct sweep before = store->sweep;
  struct error err = {0};
  int64_t began_us = clock_mono_us(store->clock);

  store->sweep.last = kind;
  int rc = writer_transaction(store, run_in_transaction, &step, &err);
  FAULT_POINT("store.sweep.stepped");
  int64_t now_us = clock_mono_us(store->clock);
  metric_observe(store->metrics.sweep_seconds, (double)(now_us - began_us) / (double)US_PER_S);
  if (rc != 0) {
    log_warn(store->log, "store", "a sweep failed and is tried again: %s", err.text);
    store->sweep = before;
    store->sweep.last = kind;
  }
  store->sweep.rested_us = now_us;
  if (rc != 0 || step.finished)
    store->sweep.due_us[kind] = now_us + sweeps[kind].every_ms * US_PER_MS;
  if (rc == 0 && kind == SWEEP_EXPIRED)
    metric_add(store->metrics.expired, step.rows);
  if (rc == 0 && kind != SWEEP_DEPTH)
    metric_add(store->metrics.swept[kind], step.rows);
}

bool sweep_step(struct store *store, bool busy) {
  int64_t now_us = clock_mono_us(store->clock);

  if (busy && now_us - store->sweep.rested_us < SWEEP_REST_MS * US_PER_MS)
    return false;
  for (int i = 1; i <= SWEEP_COUNT; i++) {
    int kind = (store->sweep.last + i) % SWEEP_COUNT;
    if (store->sweep.due_us[kind] > now_us)
      continue;
    run_step(store, kind);
    return true;
  }
  return false;
}

int sweep_wait_ms(const struct store *store) {
  int64_t wait_us = US_PER_S, now_us = clock_mono_us(store->clock);

  for (int i = 0; i < SWEEP_COUNT; i++) {
    int64_t until_us = store->sweep.due_us[i] > now_us ? store->sweep.due_us[i] - now_us : 0;
    wait_us = until_us < wait_us ? until_us : wait_us;
  }
  return (int)((wait_us + US_PER_MS - 1) / US_PER_MS);
}

void sweep_all(struct store *store) {
  for (int kind = 0; kind < SWEEP_COUNT; kind++)
    sweep_wake(store, (enum sweep_kind)kind);
  for (int steps = 0; steps < SWEEP_PASS_MAX_STEPS && sweep_step(store, false); steps++) {
  }
}
