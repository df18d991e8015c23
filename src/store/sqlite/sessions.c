// SPDX-License-Identifier: Apache-2.0
#include "store/sessions.h"

#include "store/sqlite/state.h"

// The newest `keep` of a user stay.
static int drop_oldest(struct store_conn *conn, int64_t user_id, int64_t keep, struct error *err) {
  static const char sql[] =
      "DELETE FROM session WHERE user_id = ?1 AND id <= (SELECT id FROM session WHERE user_id = ?1 "
      "ORDER BY id DESC LIMIT 1 OFFSET ?2)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, user_id);
  stmt_bind_i64(&stmt, 2, keep);
  return stmt_run(&stmt, "end the oldest sessions of a user", err);
}

int session_create(struct store_conn *conn, struct session *session, size_t max_per_user, struct error *err) {
  static const char sql[] = "INSERT INTO session (user_id, mac, created_us, seen_us) VALUES (?1, ?2, ?3, ?3)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = drop_oldest(conn, session->user_id, (int64_t)max_per_user - 1, err);

  if (rc == 0)
    rc = stmt_begin(conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  session->created_at_us = session->last_seen_at_us = clock_wall_us(conn->store->clock);
  stmt_bind_i64(&stmt, 1, session->user_id);
  stmt_bind_blob(&stmt, 2, (struct str){(const char *)session->mac, HMAC_BYTES});
  stmt_bind_i64(&stmt, 3, session->created_at_us);
  rc = stmt_run(&stmt, "insert a session", err);
  if (rc == 0)
    session->id = sqlite3_last_insert_rowid(conn->db);
  return rc;
}

int session_get_by_mac(struct store_conn *conn, const uint8_t mac[static HMAC_BYTES], struct session *out,
                       struct error *err) {
  static const char sql[] = "SELECT id, user_id, created_us, seen_us FROM session WHERE mac = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_blob(&stmt, 1, (struct str){(const char *)mac, HMAC_BYTES});
  rc = stmt_step(&stmt, "read a session", err);
  if (rc <= 0)
    return rc < 0 ? rc : error_set(err, ERR_NOT_FOUND, "there is no such session");
  *out = (struct session){.id = stmt_i64(&stmt, 0),
                          .user_id = stmt_i64(&stmt, 1),
                          .created_at_us = stmt_i64(&stmt, 2),
                          .last_seen_at_us = stmt_i64(&stmt, 3)};
  memcpy(out->mac, mac, HMAC_BYTES);
  return 0;
}

int session_touch(struct store_conn *conn, int64_t id, int64_t at_us, int64_t interval_us, struct error *err) {
  static const char sql[] = "UPDATE session SET seen_us = ?2 WHERE id = ?1 AND seen_us <= ?2 - ?3";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  stmt_bind_i64(&stmt, 2, at_us);
  stmt_bind_i64(&stmt, 3, interval_us);
  return stmt_run(&stmt, "note the use of a session", err);
}

int session_delete(struct store_conn *conn, int64_t id, struct error *err) {
  static const char sql[] = "DELETE FROM session WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  return stmt_run(&stmt, "end a session", err);
}

int session_delete_others(struct store_conn *conn, int64_t user_id, int64_t keep_id, struct error *err) {
  static const char sql[] = "DELETE FROM session WHERE user_id = ?1 AND id <> ?2";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, user_id);
  stmt_bind_i64(&stmt, 2, keep_id);
  return stmt_run(&stmt, "end the other sessions of a user", err);
}
