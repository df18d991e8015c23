// SPDX-License-Identifier: Apache-2.0
// Deliveries as people see them: lists in Harbor's words, attempts.
#include "store/deliveries.h"
#include "store/sqlite/delivery_rows.h"
#include "store/sqlite/event_find.h"
#include "store/sqlite/query_sql.h"

#define ENDED_EXPR "coalesce(d.ended_us, CASE WHEN d.state <= 2 AND d.id < t.cancel_below THEN t.cancelled_us END, 0)"

// Harbor's words for the states (design section 7): what waits is Running.
#define STATUS_EXPR \
  "CASE " DELIVERY_STATE_EXPR " WHEN 3 THEN 'Success' WHEN 4 THEN 'Error' WHEN 5 THEN 'Stopped' ELSE 'Running' END"

#define EVENT_TYPE_EXPR                                                                                      \
  "CASE d.event_type WHEN 0 THEN 'PUSH_ARTIFACT' WHEN 1 THEN 'PULL_ARTIFACT' WHEN 2 THEN 'DELETE_ARTIFACT' " \
  "WHEN 3 THEN 'QUOTA_EXCEED' WHEN 4 THEN 'QUOTA_WARNING' WHEN 5 THEN 'SCANNING_FAILED' "                    \
  "WHEN 6 THEN 'SCANNING_STOPPED' WHEN 7 THEN 'SCANNING_COMPLETED' WHEN 8 THEN 'REPLICATION' "               \
  "WHEN 9 THEN 'TAG_RETENTION' END"

#define DELIVERY_COLUMNS                                                                                        \
  "d.id, d.policy_id, d.target_id, p.project_id, d.target_type, e.uuid, d.event_type, " DELIVERY_STATE_EXPR     \
  ", d.attempts, coalesce(d.last_status, 0), coalesce(d.last_words, ''), d.created_us, coalesce(d.started_us, " \
  "0), " ENDED_EXPR ", d.due_us, t.format, t.extras"

#define DELIVERY_TABLES \
  "JOIN target t ON t.id = d.target_id JOIN policy p ON p.id = d.policy_id JOIN event e ON e.id = d.event_rowid"

// The newest 10,000, so that a list costs the same however long the history is. By the id of the oldest of them, and not by
// a join with their ids: then the page is read in the order of the index and ends with its last row.
#define NEWEST(of)                                                                                              \
  "delivery d " DELIVERY_TABLES " WHERE ?1 = ?1 AND ?2 = ?2 AND d.id >= coalesce((SELECT d.id FROM delivery d " \
  "WHERE " of " ORDER BY d.id DESC LIMIT 1 OFFSET 9999), 0) AND " of

static int read_delivery(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  struct delivery *delivery = out;

  *delivery = (struct delivery){
      .id = stmt_i64(stmt, 0),
      .policy_id = stmt_i64(stmt, 1),
      .target_id = stmt_i64(stmt, 2),
      .project_id = stmt_i64(stmt, 3),
      .target_type = (enum target_type)stmt_i64(stmt, 4),
      .event_type = (enum event_type)stmt_i64(stmt, 6),
      .state = (enum delivery_state)stmt_i64(stmt, 7),
      .attempts = (int)stmt_i64(stmt, 8),
      .last_status = (int)stmt_i64(stmt, 9),
      .last_words = stmt_text(stmt, 10, arena),
      .created_at_us = stmt_i64(stmt, 11),
      .started_at_us = stmt_i64(stmt, 12),
      .ended_at_us = stmt_i64(stmt, 13),
      .format = (enum payload_format)stmt_i64(stmt, 15),
      .extras = stmt_bool(stmt, 16),
  };
  struct str uuid = stmt_view(stmt, 5);
  if (uuid.len == UUID_BYTES)
    memcpy(delivery->event_id.bytes, uuid.ptr, UUID_BYTES);
  if (delivery->state <= DELIVERY_HELD)
    delivery->due_us = stmt_i64(stmt, 14);
  return stmt_copied(stmt, err);
}

int delivery_list(struct store_conn *conn, int64_t project_id, int64_t policy_id, const struct query *query,
                  struct arena *arena, struct delivery **out, size_t *len, int64_t *total, struct error *err) {
  static const struct query_column columns[] = {
      {"id", "d.id", COLUMN_INT},
      {"status", STATUS_EXPR, COLUMN_TEXT},
      {"start_time", "d.created_us", COLUMN_TIME},
      {"creation_time", "d.created_us", COLUMN_TIME},
      {"update_time", "max(d.created_us, coalesce(d.started_us, 0), " ENDED_EXPR ")", COLUMN_TIME},
      {"end_time", ENDED_EXPR, COLUMN_TIME},
      {"run_count", "d.attempts", COLUMN_INT},
      {"vendor_type", "CASE d.target_type WHEN 1 THEN 'SLACK' ELSE 'WEBHOOK' END", COLUMN_TEXT},
      {"extra_attrs.event_type", EVENT_TYPE_EXPR, COLUMN_TEXT},
      {"event_type", EVENT_TYPE_EXPR, COLUMN_TEXT},
  };
  struct query_list list = {
      .what = "list deliveries",
      .read = read_delivery,
      .item_bytes = sizeof(struct delivery),
      .select = DELIVERY_COLUMNS,
      .columns = columns,
      .columns_len = ARRAY_LEN(columns),
      .tie = "d.id DESC",
      .fixed = {project_id, policy_id},
      .fixed_len = 2,
  };
  void *rows;

  if (policy_id != 0) // of the right project, or of none
    list.from = NEWEST("d.policy_id = ?2") " AND (?1 = 0 OR p.project_id = ?1)";
  else if (project_id != 0)
    list.from = NEWEST("d.policy_id IN (SELECT id FROM policy WHERE project_id = ?1)");
  else
    list.from = NEWEST("1");
  int rc = query_sql_list(conn, &list, query, arena, &rows, len, total, err);
  *out = rows;
  return rc;
}

int delivery_get(struct store_conn *conn, int64_t id, struct arena *arena, struct delivery *out, struct error *err) {
  static const char sql[] = "SELECT " DELIVERY_COLUMNS " FROM delivery d " DELIVERY_TABLES " WHERE d.id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  rc = stmt_step(&stmt, "read a delivery", err);
  if (rc <= 0)
    return rc < 0 ? rc : error_set(err, ERR_NOT_FOUND, "execution %lld not found", (long long)id);
  return read_delivery(&stmt, arena, out, err);
}

int delivery_of_event(struct store_conn *conn, const struct uuid *event_id, struct arena *arena, struct delivery **out,
                      size_t *len, struct error *err) {
  static const char sql[] = "SELECT " DELIVERY_COLUMNS " FROM delivery d " DELIVERY_TABLES
                            " WHERE d.id IN (SELECT d.id FROM " DELIVERIES_MADE_WITH(
                                "?1") " UNION ALL SELECT d.id FROM " DELIVERIES_MADE_LATER("?1") ") ORDER BY d.id "
                                                                                                 "LIMIT ?2";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  void *rows;

  int64_t rowid;

  *out = NULL;
  *len = 0;
  int rc = event_find(conn, event_id, &rowid, err);
  if (rc != 1)
    return rc;
  rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, rowid);
  stmt_bind_i64(&stmt, 2, DELIVERY_MAX_OF_EVENT);
  rc = rows_read(&stmt, "list the deliveries of an event", read_delivery, sizeof(**out), arena, &rows, len, err);
  *out = rows;
  return rc;
}

static int read_attempt(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  *(struct attempt *)out = (struct attempt){
      .delivery_id = stmt_i64(stmt, 0) / ATTEMPT_ROWS_PER_DELIVERY,
      .number = (int)(stmt_i64(stmt, 0) % ATTEMPT_ROWS_PER_DELIVERY),
      .started_at_us = stmt_i64(stmt, 1),
      .ended_at_us = stmt_i64(stmt, 2),
      .outcome = stmt_text(stmt, 3, arena),
      .status = (int)stmt_i64(stmt, 4),
      .words = stmt_text(stmt, 5, arena),
      .request_headers = stmt_text(stmt, 6, arena),
      .response_headers = stmt_text(stmt, 7, arena),
      .response_body = stmt_text(stmt, 8, arena),
      .dns_us = stmt_i64(stmt, 9),
      .connect_us = stmt_i64(stmt, 10),
      .tls_us = stmt_i64(stmt, 11),
      .first_byte_us = stmt_i64(stmt, 12),
      .total_us = stmt_i64(stmt, 13),
      .connection_reused = stmt_bool(stmt, 14),
  };
  return stmt_copied(stmt, err);
}

int delivery_attempts(struct store_conn *conn, int64_t id, struct arena *arena, struct attempt **out, size_t *len,
                      struct error *err) {
  static const char sql[] =
      "SELECT id, started_us, ended_us, outcome, status, words, request_headers, response_headers, response_body, "
      "dns_us, "
      "connect_us, tls_us, first_byte_us, total_us, reused FROM attempt WHERE id > ?1 AND id < ?2 ORDER BY id";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  void *rows;

  *out = NULL;
  *len = 0;
  if (id < 0 || id > INT64_MAX / ATTEMPT_ROWS_PER_DELIVERY - 1)
    return 0;
  int rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id * ATTEMPT_ROWS_PER_DELIVERY);
  stmt_bind_i64(&stmt, 2, (id + 1) * ATTEMPT_ROWS_PER_DELIVERY);
  rc = rows_read(&stmt, "read the attempts of a delivery", read_attempt, sizeof(**out), arena, &rows, len, err);
  *out = rows;
  return rc;
}

int delivery_last_duration(struct store_conn *conn, const struct delivery *delivery, int64_t *us, struct error *err) {
  static const char sql[] = "SELECT total_us FROM attempt WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};

  *us = -1;
  if (delivery->attempts == 0)
    return 0;
  int rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, delivery->id * ATTEMPT_ROWS_PER_DELIVERY + delivery->attempts);
  rc = stmt_step(&stmt, "read the last try of a delivery", err);
  if (rc == 1)
    *us = stmt_i64(&stmt, 0);
  return rc < 0 ? rc : 0;
}

int delivery_head(struct store_conn *conn, int64_t target_id, int64_t *id, struct error *err) {
  static const char sql[] =
      "SELECT d.id FROM target t CROSS JOIN delivery d INDEXED BY delivery_waiting ON d.target_id = "
      "t.id AND d.state <= 1 AND d.id >= t.cancel_below WHERE t.id = ?1 LIMIT 1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target_id);
  rc = stmt_step(&stmt, "read the head of a target", err);
  *id = rc == 1 ? stmt_i64(&stmt, 0) : 0;
  return rc < 0 ? rc : 0;
}

int delivery_waiting(struct store_conn *conn, int64_t policy_id, int64_t max, int64_t *count, bool *more,
                     struct error *err) {
  // From the indexes alone: the conditions on the state are their own.
  static const char sql[] =
      "SELECT count(*) FROM (SELECT 1 FROM target t CROSS JOIN delivery d INDEXED BY delivery_waiting ON d.target_id = "
      "t.id AND d.state <= 1 AND d.id >= t.cancel_below WHERE t.policy_id = ?1 AND t.deleted_us IS NULL UNION ALL "
      "SELECT 1 FROM target t CROSS JOIN delivery d INDEXED BY delivery_held ON d.target_id = t.id AND d.state = 2 AND "
      "d.id >= t.cancel_below WHERE t.policy_id = ?1 AND t.deleted_us IS NULL LIMIT ?2)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, policy_id);
  stmt_bind_i64(&stmt, 2, max + 1);
  rc = stmt_step(&stmt, "count what waits", err);
  if (rc < 0)
    return rc;
  *count = stmt_i64(&stmt, 0);
  *more = *count > max;
  if (*more)
    *count = max;
  return 0;
}
