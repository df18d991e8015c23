// SPDX-License-Identifier: Apache-2.0
// API tokens of the caller: the text is told once, when a token is made; the store keeps its MAC.
#include "api/routes.h"
#include "base/rfc3339.h"
#include "base/utf8.h"

enum { TOKENS_MAX_PER_USER = 1000, TOKEN_MAX_NAME_BYTES = 255 };

static void write_token(const struct api_token *token, struct str text, struct json_writer *w) {
  json_object_begin(w);
  call_field_time_ms(w, "creation_time", token->created_at_us);
  call_field_time_ms(w, "expires_at", token->expires_at_us);
  json_field_i64(w, "id", token->id);
  if (token->last_used_at_us != 0)
    call_field_time_ms(w, "last_used_at", token->last_used_at_us);
  json_field_str(w, "name", token->name);
  json_field_str_opt(w, "token", text);
  json_object_end(w);
}

int tokens_list(struct api_call *call, struct error *err) {
  struct api_token *tokens;
  size_t len;
  int rc = call_require_login(call, err);

  if (rc == 0)
    rc = token_list(call->conn, call->identity.user_id, call->arena, &tokens, &len, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_array_begin(&w);
  for (size_t i = 0; i < len; i++)
    write_token(&tokens[i], STR_EMPTY, &w);
  json_array_end(&w);
  return 0;
}

static int token_name_read(const struct json_object *body, struct str *name, struct error *err) {
  if (!json_get_str(body, "name", name))
    return error_set(err, ERR_INVALID, "validation failure list:\nname in body is required and must be of type string");
  if (name->len == 0 || name->len > TOKEN_MAX_NAME_BYTES)
    return error_set(err, ERR_BAD_REQUEST, "a token needs a name of 1 to %d bytes", TOKEN_MAX_NAME_BYTES);
  return 0;
}

// Absent: as long as the setting allows.
static int expiry_read(const struct api_call *call, const struct json_object *body, int64_t *expires_at_us,
                       struct error *err) {
  int64_t now_us = clock_wall_us(call->config->clock);
  int64_t latest_us = now_us + call->config->token_lifetime_s * US_PER_S;
  enum json_kind kind;
  struct str text;

  *expires_at_us = latest_us;
  (void)json_member(body, "expires_at", &kind);
  if (kind == JSON_ABSENT || kind == JSON_NULL)
    return 0;
  if (!json_get_str(body, "expires_at", &text) || !rfc3339_read(text, expires_at_us))
    return error_set(err, ERR_INVALID, "validation failure list:\nexpires_at in body must be of type date-time");
  if (*expires_at_us <= now_us)
    return error_set(err, ERR_BAD_REQUEST, "expires_at is in the past");
  if (*expires_at_us > latest_us)
    return error_set(err, ERR_BAD_REQUEST, "a token lives at most %lld days: choose an earlier expires_at",
                     (long long)(call->config->token_lifetime_s / (24 * 3600)));
  return 0;
}

struct creation {
  struct api_token token;
  struct arena *arena;
};

static int create_apply(struct store_conn *conn, void *ctx, struct error *err) {
  struct creation *creation = ctx;
  struct api_token *tokens;
  size_t len;
  int rc = token_list(conn, creation->token.user_id, creation->arena, &tokens, &len, err);

  if (rc != 0)
    return rc;
  if (len >= TOKENS_MAX_PER_USER)
    return error_set(err, ERR_PRECONDITION, "you have %zu tokens: delete some that are not used any more", len);
  return token_create(conn, &creation->token, err);
}

int tokens_create(struct api_call *call, struct error *err) {
  struct json_object *body;
  char text[AUTH_TOKEN_BYTES];
  struct creation creation = {.arena = call->arena};
  struct error wrong;
  int rc = call_body(call, &body, &wrong);

  if (rc == 0)
    rc = token_name_read(body, &creation.token.name, &wrong);
  if (rc == 0)
    rc = expiry_read(call, body, &creation.token.expires_at_us, &wrong);
  if ((rc = call_judge(rc, &wrong, call_require_login(call, err), err)) != 0)
    return rc;
  // A stolen token must not be able to outlive its own end.
  if (call->identity.token_id != 0)
    return error_set(err, ERR_FORBIDDEN, "a token cannot make tokens: log in with name and password");
  creation.token.user_id = call->identity.user_id;
  auth_token_make(call->config->auth, text, creation.token.mac);
  call->changed_fields = STR("name, expires_at");
  rc = call_change(call, create_apply, &creation, "create", "token", creation.token.name, err);
  if (rc == 0)
    rc = call_created(call, creation.token.id, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  write_token(&creation.token, str_of(text), &w);
  return 0;
}

struct revocation {
  int64_t user_id, id;
};

static int delete_apply(struct store_conn *conn, void *ctx, struct error *err) {
  const struct revocation *revocation = ctx;

  return token_delete(conn, revocation->user_id, revocation->id, err);
}

int tokens_delete(struct api_call *call, struct error *err) {
  struct revocation revocation = {.user_id = call->identity.user_id};
  int rc = call_path_int(call, 0, "token_id", &revocation.id, err);

  if (rc == 0)
    rc = call_require_login(call, err);
  if (rc != 0)
    return rc;
  return call_change(call, delete_apply, &revocation, "delete", "token", call->params[0], err);
}
