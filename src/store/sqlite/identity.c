// SPDX-License-Identifier: Apache-2.0
#include "store/identity.h"

#include "store/sqlite/state.h"

#define USER_COLUMNS "id, name, email, realname, comment, password_hash, is_admin, disabled, created_us, updated_us"
#define TOKEN_COLUMNS "id, user_id, name, mac, created_us, expires_us, used_us"

int user_create(struct store_conn *conn, struct user *user, struct error *err) {
  static const char sql[] =
      "INSERT INTO user (name, email, realname, comment, password_hash, is_admin, disabled, created_us, "
      "updated_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) ON CONFLICT (name) DO NOTHING";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  user->created_at_us = user->updated_at_us = clock_wall_us(conn->store->clock);
  stmt_bind_text(&stmt, 1, user->name);
  stmt_bind_text(&stmt, 2, user->email);
  stmt_bind_text(&stmt, 3, user->realname);
  stmt_bind_text(&stmt, 4, user->comment);
  stmt_bind_text(&stmt, 5, user->password_hash);
  stmt_bind_i64(&stmt, 6, user->is_admin);
  stmt_bind_i64(&stmt, 7, user->disabled);
  stmt_bind_i64(&stmt, 8, user->created_at_us);
  rc = stmt_run(&stmt, "insert a user", err);
  if (rc == 0 && stmt_changes(&stmt) == 0)
    return error_set(err, ERR_CONFLICT, "user %.*s already exists", STR_ARG(user->name));
  if (rc == 0)
    user->id = sqlite3_last_insert_rowid(conn->db);
  return rc;
}

static int read_user(struct stmt *stmt, struct arena *arena, struct user *out, struct error *err) {
  *out = (struct user){
      .id = stmt_i64(stmt, 0),
      .name = stmt_text(stmt, 1, arena),
      .email = stmt_text(stmt, 2, arena),
      .realname = stmt_text(stmt, 3, arena),
      .comment = stmt_text(stmt, 4, arena),
      .password_hash = stmt_text(stmt, 5, arena),
      .is_admin = stmt_bool(stmt, 6),
      .disabled = stmt_bool(stmt, 7),
      .created_at_us = stmt_i64(stmt, 8),
      .updated_at_us = stmt_i64(stmt, 9),
  };
  return stmt_copied(stmt, err);
}

int user_get(struct store_conn *conn, int64_t id, struct arena *arena, struct user *out, struct error *err) {
  static const char sql[] = "SELECT " USER_COLUMNS " FROM user WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  rc = stmt_step(&stmt, "read a user", err);
  if (rc <= 0)
    return rc < 0 ? rc : error_set(err, ERR_NOT_FOUND, "user %lld not found", (long long)id);
  return read_user(&stmt, arena, out, err);
}

int user_get_by_name(struct store_conn *conn, struct str name, struct arena *arena, struct user *out,
                     struct error *err) {
  static const char sql[] = "SELECT " USER_COLUMNS " FROM user WHERE name = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_text(&stmt, 1, name);
  rc = stmt_step(&stmt, "read a user", err);
  if (rc <= 0)
    return rc < 0 ? rc : error_set(err, ERR_NOT_FOUND, "user %.*s not found", STR_ARG(name));
  return read_user(&stmt, arena, out, err);
}

int user_set_password(struct store_conn *conn, int64_t id, struct str password_hash, struct error *err) {
  static const char sql[] = "UPDATE user SET password_hash = ?2, updated_us = ?3 WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  stmt_bind_text(&stmt, 2, password_hash);
  stmt_bind_i64(&stmt, 3, clock_wall_us(conn->store->clock));
  rc = stmt_run(&stmt, "set a password", err);
  if (rc == 0 && stmt_changes(&stmt) == 0)
    return error_set(err, ERR_NOT_FOUND, "user %lld not found", (long long)id);
  return rc;
}

int token_create(struct store_conn *conn, struct api_token *token, struct error *err) {
  static const char sql[] =
      "INSERT INTO token (user_id, name, mac, created_us, expires_us) VALUES (?1, ?2, ?3, ?4, ?5)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  token->created_at_us = clock_wall_us(conn->store->clock);
  stmt_bind_i64(&stmt, 1, token->user_id);
  stmt_bind_text(&stmt, 2, token->name);
  stmt_bind_blob(&stmt, 3, (struct str){(const char *)token->mac, HMAC_BYTES});
  stmt_bind_i64(&stmt, 4, token->created_at_us);
  stmt_bind_i64(&stmt, 5, token->expires_at_us);
  rc = stmt_run(&stmt, "insert a token", err);
  if (rc == 0)
    token->id = sqlite3_last_insert_rowid(conn->db);
  return rc;
}

static int read_token(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  struct api_token *token = out;

  *token = (struct api_token){
      .id = stmt_i64(stmt, 0),
      .user_id = stmt_i64(stmt, 1),
      .name = stmt_text(stmt, 2, arena),
      .created_at_us = stmt_i64(stmt, 4),
      .expires_at_us = stmt_i64(stmt, 5),
      .last_used_at_us = stmt_i64(stmt, 6),
  };
  struct str mac = stmt_view(stmt, 3);
  if (mac.len == HMAC_BYTES)
    memcpy(token->mac, mac.ptr, HMAC_BYTES);
  return stmt_copied(stmt, err);
}

int token_get_by_mac(struct store_conn *conn, const uint8_t mac[static HMAC_BYTES], struct arena *arena,
                     struct api_token *out, struct error *err) {
  static const char sql[] = "SELECT " TOKEN_COLUMNS " FROM token WHERE mac = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_blob(&stmt, 1, (struct str){(const char *)mac, HMAC_BYTES});
  rc = stmt_step(&stmt, "read a token", err);
  if (rc <= 0)
    return rc < 0 ? rc : error_set(err, ERR_NOT_FOUND, "token not found");
  return read_token(&stmt, arena, out, err);
}

int token_list(struct store_conn *conn, int64_t user_id, struct arena *arena, struct api_token **out, size_t *len,
               struct error *err) {
  static const char sql[] = "SELECT " TOKEN_COLUMNS " FROM token WHERE user_id = ?1 ORDER BY id";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  void *rows;
  int rc = stmt_begin(conn, sql, &stmt, err);

  *out = NULL;
  *len = 0;
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, user_id);
  rc = rows_read(&stmt, "list tokens", read_token, sizeof(**out), arena, &rows, len, err);
  *out = rows;
  return rc;
}

int token_delete(struct store_conn *conn, int64_t user_id, int64_t id, struct error *err) {
  static const char sql[] = "DELETE FROM token WHERE id = ?1 AND user_id = ?2";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  stmt_bind_i64(&stmt, 2, user_id);
  rc = stmt_run(&stmt, "delete a token", err);
  if (rc == 0 && stmt_changes(&stmt) == 0)
    return error_set(err, ERR_NOT_FOUND, "token %lld not found", (long long)id);
  return rc;
}

int token_touch(struct store_conn *conn, int64_t id, int64_t at_us, struct error *err) {
  // By the minute: a token that is used a thousand times a second is written once a minute.
  static const char sql[] = "UPDATE token SET used_us = ?2 WHERE id = ?1 AND used_us <= ?2 - 60000000";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, id);
  stmt_bind_i64(&stmt, 2, at_us);
  return stmt_run(&stmt, "note the use of a token", err);
}
