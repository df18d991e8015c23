// SPDX-License-Identifier: Apache-2.0
#include "store/admin.h"

#include "store/care.h"
#include "store/sqlite/snapshot.h"

// Each gives the words of what it finds.
static const char *const checks[] = {
    "SELECT printf('delivery %d has no event (%d)', d.id, d.event_rowid) FROM delivery d LEFT JOIN event e ON e.id = "
    "d.event_rowid WHERE e.id IS NULL LIMIT ?1",
    "SELECT printf('delivery %d has no target (%d)', d.id, d.target_id) FROM delivery d LEFT JOIN target t ON t.id = "
    "d.target_id WHERE t.id IS NULL LIMIT ?1",
    "SELECT printf('delivery %d has no policy (%d)', d.id, d.policy_id) FROM delivery d LEFT JOIN policy p ON p.id = "
    "d.policy_id WHERE p.id IS NULL LIMIT ?1",
    "SELECT printf('event %d has no project (%d)', e.id, e.project_id) FROM event e LEFT JOIN project p ON p.id = "
    "e.project_id WHERE p.id IS NULL LIMIT ?1",
    "SELECT printf('attempt %d of delivery %d has no delivery', a.id % 1024, a.id / 1024) FROM attempt a LEFT JOIN "
    "delivery "
    "d ON d.id = a.id / 1024 WHERE d.id IS NULL LIMIT ?1",
    "SELECT printf('body %d has no event (%d)', b.id, b.event_rowid) FROM body b LEFT JOIN event e ON e.id = "
    "b.event_rowid "
    "WHERE e.id IS NULL LIMIT ?1",
    // What event_find rests on.
    "SELECT printf('event %d has an id that is not above the one before', id) FROM (SELECT id, uuid, lag(uuid) OVER "
    "(ORDER BY id) AS before FROM event) WHERE uuid <= before LIMIT ?1",
    "SELECT printf('delivery %d is not among those that its event (%d) names', d.id, d.event_rowid) FROM delivery d "
    "JOIN "
    "event e ON e.id = d.event_rowid WHERE d.apart = 0 AND NOT (d.id >= e.first_delivery AND d.id < e.first_delivery + "
    "e.deliveries) LIMIT ?1",
    // Trimming leaves holes below what still waits, but nothing gives a number above the counter.
    "SELECT printf('project %d has given the numbers up to %d but its newest event has %d', p.id, p.seq, max(e.seq)) "
    "FROM "
    "project p JOIN event e ON e.project_id = p.id GROUP BY p.id HAVING max(e.seq) > p.seq LIMIT ?1",
    "SELECT printf('target %d holds deliveries and nothing of it goes out', t.id) FROM target t WHERE t.reordering = 0 "
    "AND EXISTS (SELECT 1 FROM delivery d WHERE d.state = 2 AND d.target_id = t.id AND d.id >= t.cancel_below) AND "
    "NOT EXISTS (SELECT 1 FROM delivery d WHERE d.state <= 1 AND d.target_id = t.id AND d.id >= t.cancel_below) "
    "LIMIT ?1",
    "SELECT printf('target %d is in strict order and %d of its deliveries wait at once', t.id, count(*)) FROM target t "
    "JOIN delivery d ON d.state <= 1 AND d.target_id = t.id AND d.id >= t.cancel_below WHERE t.strict_order = 1 AND "
    "t.reordering = 0 GROUP BY t.id HAVING count(*) > 1 LIMIT ?1",
    "SELECT printf('tag %d has no artifact (%d)', g.id, g.artifact_id) FROM tag g LEFT JOIN artifact a ON a.id = "
    "g.artifact_id WHERE a.id IS NULL LIMIT ?1",
};

struct findings {
  struct arena *arena;
  struct store_finding *rows;
  size_t len, cap;
};

static int add(struct findings *findings, struct str what, struct error *err) {
  findings->rows = rows_grow(findings->arena, findings->rows, findings->len, &findings->cap, sizeof(*findings->rows));
  if (!findings->rows || !what.ptr)
    return rows_no_memory(err);
  findings->rows[findings->len++].what = what;
  return 0;
}

static int run_check(struct store_conn *conn, const char *sql, struct findings *findings, struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin_once(conn, str_of(sql), &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, STORE_CHECK_MAX_FINDINGS);
  while ((rc = stmt_step(&stmt, "check the store", err)) == 1 && findings->len < STORE_CHECK_MAX_FINDINGS) {
    rc = add(findings, stmt_text(&stmt, 0, findings->arena), err);
    if (rc != 0)
      return rc;
  }
  return rc < 0 ? rc : 0;
}

static int quick_check(struct store_conn *conn, struct findings *findings, struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin_once(conn, STR("PRAGMA quick_check(100)"), &stmt, err);

  if (rc != 0)
    return rc;
  while ((rc = stmt_step(&stmt, "check the file", err)) == 1 && findings->len < STORE_CHECK_MAX_FINDINGS) {
    if (str_eq_c(stmt_view(&stmt, 0), "ok"))
      continue;
    rc = add(findings, stmt_text(&stmt, 0, findings->arena), err);
    if (rc != 0)
      return rc;
  }
  return rc < 0 ? rc : 0;
}

static int check_keys(struct store *store, struct findings *findings, struct error *err) {
  int64_t sealed, unopened;
  int rc = store_count_unopened(store, NULL, &sealed, &unopened, err);

  if (rc != 0 || unopened == 0)
    return rc;
  return add(findings,
             arena_printf(findings->arena,
                          "%lld of %lld sealed addresses and headers do not open with the key file: it is not the one "
                          "they were sealed with",
                          (long long)unopened, (long long)sealed),
             err);
}

// Asked every so many instructions: a statement that reads the whole file ends when it shall.
struct watch {
  const struct snapshot *snapshot;
  const struct store_progress *progress;
  int64_t done;
  struct error why;
};

enum { WATCH_INSTRUCTIONS = 100000, STEPS = 2 + ARRAY_LEN(checks) };

static int watch_tell(struct watch *watch) {
  int rc = store_progress_tell(watch->progress, "checking", watch->done, STEPS, &watch->why);

  return rc == 0 ? snapshot_fits(watch->snapshot, &watch->why) : rc;
}

static int on_instructions(void *ctx) {
  return watch_tell(ctx) != 0;
}

static int check_all(struct watch *watch, struct findings *findings, struct error *err) {
  struct store_conn *conn = watch->snapshot->conn;
  int rc = quick_check(conn, findings, err);

  watch->done = 1;
  for (size_t i = 0; rc == 0 && i < ARRAY_LEN(checks) && findings->len < STORE_CHECK_MAX_FINDINGS; i++) {
    rc = run_check(conn, checks[i], findings, err);
    watch->done++;
    if (rc == 0 && watch_tell(watch) != 0)
      rc = (int)watch->why.code;
  }
  if (rc == 0)
    rc = check_keys(watch->snapshot->store, findings, err);
  // A file that SQLite cannot read through is what was looked for.
  if (rc != 0 && ((conn->broken & 0xff) == SQLITE_CORRUPT || (conn->broken & 0xff) == SQLITE_NOTADB))
    rc = add(findings, arena_str(findings->arena, str_of(err->text)), err);
  if (rc != 0 && watch->why.code != ERR_OK)
    *err = watch->why;
  return rc != 0 && watch->why.code != ERR_OK ? (int)watch->why.code : rc;
}

int store_check(struct store *store, const struct store_progress *progress, struct arena *arena,
                struct store_finding **out, size_t *len, struct error *err) {
  struct findings findings = {.arena = arena};
  struct snapshot snapshot;
  struct error local;
  int rc = snapshot_begin(store, &snapshot, err);

  if (rc != 0)
    return rc;
  struct watch watch = {.snapshot = &snapshot, .progress = progress};
  sqlite3_progress_handler(snapshot.conn->db, WATCH_INSTRUCTIONS, on_instructions, &watch);
  rc = check_all(&watch, &findings, err ? err : &local);
  sqlite3_progress_handler(snapshot.conn->db, 0, NULL, NULL);
  snapshot_end(&snapshot);
  *out = findings.rows;
  *len = findings.len;
  return rc;
}
