// SPDX-License-Identifier: Apache-2.0
// Users and API tokens in the store: hashes only. See store.h for connections, threads and arenas.
#ifndef HARBINGER_STORE_IDENTITY_H
#define HARBINGER_STORE_IDENTITY_H

#include "store/query.h"
#include "store/store.h"

struct user {
  int64_t id;
  struct str name, email, realname, comment;
  struct str password_hash; // PHC string
  bool is_admin, disabled;
  int64_t created_at_us, updated_at_us;
};

struct api_token {
  int64_t id, user_id;
  struct str name;
  uint8_t mac[HMAC_BYTES];
  int64_t created_at_us, expires_at_us, last_used_at_us; // last_used 0: never (kept by the minute)
};

int user_create(struct store_conn *conn, struct user *user, struct error *err) MUST_CHECK; // ERR_CONFLICT
int user_get(struct store_conn *conn, int64_t id, struct arena *arena, struct user *out, struct error *err) MUST_CHECK;
int user_get_by_name(struct store_conn *conn, struct str name, struct arena *arena, struct user *out,
                     struct error *err) MUST_CHECK; // ERR_NOT_FOUND
int user_set_password(struct store_conn *conn, int64_t id, struct str password_hash, struct error *err) MUST_CHECK;

int token_create(struct store_conn *conn, struct api_token *token, struct error *err) MUST_CHECK;
int token_get_by_mac(struct store_conn *conn, const uint8_t mac[static HMAC_BYTES], struct arena *arena,
                     struct api_token *out, struct error *err) MUST_CHECK;
int token_list(struct store_conn *conn, int64_t user_id, struct arena *arena, struct api_token **out, size_t *len,
               struct error *err) MUST_CHECK;
int token_delete(struct store_conn *conn, int64_t user_id, int64_t id, struct error *err) MUST_CHECK; // ERR_NOT_FOUND
int token_touch(struct store_conn *conn, int64_t id, int64_t at_us, struct error *err) MUST_CHECK;

#endif
