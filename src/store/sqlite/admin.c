// SPDX-License-Identifier: Apache-2.0
#include "store/admin.h"

#include "store/sqlite/conn.h"

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
    // Trimming leaves holes below what still waits, but nothing gives a number above the counter.
    "SELECT printf('project %d has given the numbers up to %d but its newest event has %d', p.id, p.seq, max(e.seq)) "
    "FROM "
    "project p JOIN event e ON e.project_id = p.id GROUP BY p.id HAVING max(e.seq) > p.seq LIMIT ?1",
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

int store_check(struct store_conn *conn, struct arena *arena, struct store_finding **out, size_t *len,
                struct error *err) {
  struct findings findings = {.arena = arena};
  int rc = store_read_begin(conn, err);

  if (rc != 0)
    return rc;
  rc = quick_check(conn, &findings, err);
  for (size_t i = 0; rc == 0 && i < ARRAY_LEN(checks); i++)
    rc = run_check(conn, checks[i], &findings, err);
  store_read_end(conn);
  *out = findings.rows;
  *len = findings.len;
  return rc;
}
