// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/order.h"

#include "store/sqlite/changes.h"
#include "store/sqlite/state.h"

enum { PRIO_COUNT = 4 }; // see struct delivery_notice

// What lives of target `t`: a row below the target's mark is cancelled, whether the sweep has come to it or not.
#define SOMETHING_WAITS                                                                                         \
  "EXISTS (SELECT 1 FROM delivery d INDEXED BY delivery_waiting WHERE d.state <= 1 AND d.target_id = t.id AND " \
  "d.id >= t.cancel_below)"
#define SOMETHING_IS_HELD                                                                                   \
  "EXISTS (SELECT 1 FROM delivery d INDEXED BY delivery_held WHERE d.state = 2 AND d.target_id = t.id AND " \
  "d.id >= t.cancel_below)"

// A delivery that was tried before goes on as one that is retried.
#define WAITING_STATE "CASE WHEN attempts > 0 THEN 1 ELSE 0 END"

// 1: `sql` bound to the target gave a row, which is left to be read; 0: none.
static int ask(struct store_conn *conn, const char *sql, int64_t target_id, struct stmt *out, struct error *err) {
  int rc = stmt_begin(conn, sql, out, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(out, 1, target_id);
  return stmt_step(out, "read the order of a target", err);
}

static int run(struct store_conn *conn, const char *sql, int64_t id, int64_t *changed, struct error *err) {
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  if (sqlite3_bind_parameter_count(stmt.raw) > 1)
    stmt_bind_i64(&stmt, 2, ORDER_STEP_ROWS);
  rc = stmt_run(&stmt, "put a target in order", err);
  if (rc == 0 && changed)
    *changed = stmt_changes(&stmt);
  return rc;
}

int order_holds(struct store_conn *conn, int64_t target_id, bool *holds, struct error *err) {
  // The held first: where something is held, the answer needs no look at what waits.
  static const char sql[] = "SELECT t.reordering = 1 OR " SOMETHING_IS_HELD " OR " SOMETHING_WAITS
                            " FROM target t WHERE t.id = ?1 AND t.strict_order = 1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = ask(conn, sql, target_id, &stmt, err);

  *holds = rc == 1 && stmt_bool(&stmt, 0);
  return rc < 0 ? rc : 0;
}

static int begin_to_wait(struct store_conn *conn, const struct delivery_notice *notice, struct error *err) {
  static const char sql[] = "UPDATE delivery SET state = " WAITING_STATE " WHERE id = ?1";
  int rc = run(conn, sql, notice->delivery_id, NULL, err);

  if (rc == 0)
    change_notice(conn, notice);
  return rc;
}

int order_promote(struct store_conn *conn, int64_t target_id, struct error *err) {
  static const char sql[] =
      "SELECT h.id, h.prio, h.due_us FROM target t JOIN delivery h INDEXED BY delivery_held ON h.state = 2 AND "
      "h.target_id = t.id AND h.id >= t.cancel_below WHERE t.id = ?1 AND t.strict_order = 1 AND t.reordering = 0 AND "
      "NOT " SOMETHING_WAITS " ORDER BY h.id LIMIT 1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = ask(conn, sql, target_id, &stmt, err);

  if (rc <= 0)
    return rc;
  struct delivery_notice notice = {.target_id = target_id,
                                   .delivery_id = stmt_i64(&stmt, 0),
                                   .prio = (int)stmt_i64(&stmt, 1),
                                   .due_us = stmt_i64(&stmt, 2)};
  stmt_end(&stmt);
  return begin_to_wait(conn, &notice, err);
}

// ---- the switch was turned ------------------------------------------------------------------------------------------

static int hold_some(struct store_conn *conn, int64_t target_id, int64_t *moved, struct error *err) {
  static const char sql[] = "UPDATE delivery SET state = 2 WHERE id IN (SELECT id FROM delivery INDEXED BY "
                            "delivery_waiting WHERE state <= 1 AND target_id = ?1 LIMIT ?2)";

  return run(conn, sql, target_id, moved, err);
}

static int release_some(struct store_conn *conn, int64_t target_id, int64_t *moved, struct error *err) {
  static const char sql[] = "UPDATE delivery SET state = " WAITING_STATE " WHERE id IN (SELECT h.id FROM target t JOIN "
                            "delivery h INDEXED BY delivery_held ON h.state = 2 AND h.target_id = t.id AND h.id >= "
                            "t.cancel_below WHERE t.id = ?1 ORDER BY h.id LIMIT ?2)";
  int rc = run(conn, sql, target_id, moved, err);

  // No single ones: the lane asks the store for each class.
  for (int prio = 0; rc == 0 && *moved > 0 && prio < PRIO_COUNT; prio++)
    change_notice(conn, &(struct delivery_notice){
                            .target_id = target_id, .prio = prio, .due_us = clock_wall_us(conn->store->clock)});
  return rc;
}

static int settle(struct store_conn *conn, int64_t target_id, struct error *err) {
  static const char sql[] = "UPDATE target SET reordering = 0 WHERE id = ?1";
  int rc = run(conn, sql, target_id, NULL, err);

  if (rc != 0)
    return rc;
  change_policies(conn); // whoever knows the target reads it again
  return order_promote(conn, target_id, err);
}

int order_move(struct store_conn *conn, int64_t target_id, int64_t *moved, struct error *err) {
  static const char sql[] = "SELECT strict_order FROM target WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = ask(conn, sql, target_id, &stmt, err);

  *moved = 0;
  if (rc < 0)
    return rc;
  bool strict = rc == 1 && stmt_bool(&stmt, 0);
  stmt_end(&stmt);
  rc = strict ? hold_some(conn, target_id, moved, err) : release_some(conn, target_id, moved, err);
  return rc == 0 && *moved == 0 ? settle(conn, target_id, err) : rc;
}
