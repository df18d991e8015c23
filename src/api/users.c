// SPDX-License-Identifier: Apache-2.0
// The caller's own account, and passwords.
#include "api/routes.h"
#include "base/utf8.h"
#include "store/sessions.h"

int users_current(struct api_call *call, struct error *err) {
  struct user user;
  int rc = call_require_login(call, err);

  if (rc == 0)
    rc = user_get(call->conn, call->identity.user_id, call->arena, &user, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  json_field_bool(&w, "admin_role_in_auth", false);
  json_field_str_opt(&w, "comment", user.comment);
  call_field_time_ms(&w, "creation_time", user.created_at_us);
  json_field_str_opt(&w, "email", user.email);
  json_field_str_opt(&w, "realname", user.realname);
  json_field_bool(&w, "sysadmin_flag", user.is_admin);
  call_field_time_ms(&w, "update_time", user.updated_at_us);
  json_field_i64(&w, "user_id", user.id);
  json_field_str(&w, "username", user.name);
  json_object_end(&w);
  return 0;
}

struct password_change {
  int64_t user_id;
  int64_t keep_session; // 0: none
  struct str hash;
};

static int password_apply(struct store_conn *conn, void *ctx, struct error *err) {
  const struct password_change *change = ctx;

  int rc = user_set_password(conn, change->user_id, change->hash, err);

  // Whoever knew the old password may sit in one of the others.
  return rc == 0 ? session_delete_others(conn, change->user_id, change->keep_session, err) : rc;
}

static int password_field(const struct json_object *body, const char *key, struct str *out, struct error *err) {
  enum json_kind kind;

  *out = STR_EMPTY;
  (void)json_member(body, key, &kind);
  if (kind == JSON_ABSENT || kind == JSON_NULL || json_get_str(body, key, out))
    return 0;
  return error_set(err, ERR_INVALID, "validation failure list:\n%s in body must be of type string", key);
}

// Harbor's checks: one's own password needs the old one; the new one follows the rules and is another.
static int check_passwords(struct api_call *call, const struct user *user, struct str old_password,
                           struct str new_password, struct error *err) {
  bool right;
  int rc;

  if (user->id == call->identity.user_id) {
    rc = auth_password_verify(call->config->auth, old_password, user->password_hash, &right, err);
    if (rc != 0)
      return rc;
    if (!right)
      return error_set(err, ERR_FORBIDDEN, "the current password is incorrect");
  }
  if ((rc = auth_password_check(user->name, new_password, err)) != 0)
    return rc;
  rc = auth_password_verify(call->config->auth, new_password, user->password_hash, &right, err);
  if (rc == 0 && right)
    return error_set(err, ERR_BAD_REQUEST, "the new password is the same as the old one");
  return rc;
}

static int find_user(struct api_call *call, int64_t id, struct user *user, struct error *err) {
  int rc = call_require_login(call, err);

  if (rc == 0 && id != call->identity.user_id)
    rc = call_require(call, AUTH_ADMINISTER, err);
  return rc == 0 ? user_get(call->conn, id, call->arena, user, err) : rc;
}

int users_password(struct api_call *call, struct error *err) {
  struct json_object *body;
  struct str old_password, new_password;
  char hash[PASSWORD_HASH_BYTES];
  struct user user;
  int64_t id;
  int rc = call_path_int(call, 0, "user_id", &id, err);

  if (rc == 0)
    rc = call_body(call, &body, err);
  if (rc == 0)
    rc = password_field(body, "old_password", &old_password, err);
  if (rc == 0)
    rc = password_field(body, "new_password", &new_password, err);
  if (rc == 0)
    rc = find_user(call, id, &user, err);
  if (rc == 0)
    rc = check_passwords(call, &user, old_password, new_password, err);
  if (rc == 0)
    rc = auth_password_hash(call->config->auth, new_password, hash, err);
  if (rc != 0)
    return rc;
  bool own = id == call->identity.user_id;
  struct password_change change = {id, own ? call->identity.session_id : 0, str_of(hash)};
  call->changed_fields = STR("password (secret)");
  if ((rc = call_change(call, password_apply, &change, "password", "user", user.name, err)) != 0)
    return rc;
  auth_forget_user(call->config->auth, user.name);
  if (call->config->on_password_changed)
    call->config->on_password_changed(call->config->ctx, user.name);
  return 0;
}
