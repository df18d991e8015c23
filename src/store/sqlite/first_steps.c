// SPDX-License-Identifier: Apache-2.0
#include "store/first_steps.h"

#include "store/sqlite/conn.h"

// A delivery that succeeded is looked for among so many of the newest and of the oldest: whoever has more than that and
// not one success among them reads that there is none.
#define LOOKED_AT "10000"

static int read_project(struct store_conn *conn, struct arena *arena, struct first_steps *out, struct error *err) {
  static const char sql[] = "SELECT id, name FROM project WHERE deleted_us IS NULL ORDER BY id DESC LIMIT 1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc == 0)
    rc = stmt_step(&stmt, "look for a project", err);
  if (rc <= 0)
    return rc;
  out->project_id = stmt_i64(&stmt, 0);
  out->project_name = stmt_text(&stmt, 1, arena);
  return stmt_copied(&stmt, err);
}

static int read_policy(struct store_conn *conn, struct arena *arena, struct first_steps *out, struct error *err) {
  static const char sql[] = "SELECT w.id, w.name, p.id, p.name FROM policy w JOIN project p ON p.id = w.project_id "
                            "WHERE w.deleted_us IS NULL "
                            "AND p.deleted_us IS NULL ORDER BY w.id DESC LIMIT 1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc == 0)
    rc = stmt_step(&stmt, "look for a webhook", err);
  if (rc <= 0)
    return rc;
  out->policy_id = stmt_i64(&stmt, 0);
  out->policy_name = stmt_text(&stmt, 1, arena);
  out->policy_project_id = stmt_i64(&stmt, 2);
  out->policy_project_name = stmt_text(&stmt, 3, arena);
  return stmt_copied(&stmt, err);
}

static int read_delivery(struct store_conn *conn, const char *sql, struct first_steps *out, struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc == 0)
    rc = stmt_step(&stmt, "look for a delivery", err);
  if (rc <= 0)
    return rc;
  out->delivery_id = stmt_i64(&stmt, 0);
  out->delivery_policy_id = stmt_i64(&stmt, 1);
  out->delivery_project_id = stmt_i64(&stmt, 2);
  return 0;
}

#define DELIVERY                                                                                                      \
  "SELECT d.id, d.policy_id, w.project_id FROM delivery d JOIN policy w ON w.id = d.policy_id WHERE d.state = 3 AND " \
  "w.deleted_us IS NULL AND "

int first_steps_read(struct store_conn *conn, struct arena *arena, struct first_steps *out, struct error *err) {
  static const char newest[] =
      DELIVERY "d.id > (SELECT max(id) FROM delivery) - " LOOKED_AT " ORDER BY d.id DESC LIMIT 1";
  static const char oldest[] = DELIVERY "d.id < (SELECT min(id) FROM delivery) + " LOOKED_AT " ORDER BY d.id LIMIT 1";

  *out = (struct first_steps){0};
  int rc = read_project(conn, arena, out, err);
  if (rc >= 0)
    rc = read_policy(conn, arena, out, err);
  if (rc >= 0)
    rc = read_delivery(conn, newest, out, err);
  if (rc >= 0 && out->delivery_id == 0)
    rc = read_delivery(conn, oldest, out, err);
  return rc < 0 ? rc : 0;
}
