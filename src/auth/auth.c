// SPDX-License-Identifier: Apache-2.0
#include "auth/auth.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "auth/credential_cache.h"
#include "auth/failure_notes.h"
#include "auth/password.h"
#include "auth/session.h"
#include "auth/slowdown.h"

enum { TOKEN_LEN = 4 + AUTH_TEXT_LEN, TOUCH_INTERVAL_S = 60, NAME_MAX_BYTES = 255 };

#define TOKEN_PREFIX "hbt_"

struct auth {
  struct auth_config config;
  const struct clock *clock;
  uint8_t token_key[SEAL_KEY_BYTES];
  struct credential_cache *cache;
  struct slowdown *slowdown;
  struct hash_gate *gate;
  struct auth_sessions *sessions;
  struct failure_notes *notes;
  char nobody_hash[PASSWORD_HASH_BYTES]; // of a password that nobody knows: what unknown names are checked against
  atomic_bool touching;                  // one token's use is being recorded; others are skipped meanwhile
};

static int refuse(struct auth *auth, struct str user, const struct address *peer, int64_t *delay_ms,
                  struct error *err) {
  *delay_ms = slowdown_failed(auth->slowdown, user, peer, clock_mono_us(auth->clock));
  return error_set(err, ERR_UNAUTHORIZED, "unauthorized");
}

// ---- Basic ----------------------------------------------------------------------------------------------------------

static void identity_of_user(const struct user *user, int64_t token_id, struct identity *out) {
  *out = (struct identity){.authenticated = true,
                           .kind = IDENTITY_USER,
                           .user_id = user->id,
                           .name = user->name,
                           .is_admin = user->is_admin,
                           .token_id = token_id};
}

// *right tells whether name and password belong together. An unknown or disabled name costs the same hash as a wrong
// password, so that the time tells nobody which names exist.
static int check_password(struct auth *auth, struct store_conn *conn, struct str name, struct str password,
                          struct arena *arena, struct user *user, bool *right, struct error *err) {
  bool plausible = name.len > 0 && name.len <= NAME_MAX_BYTES && password.len <= PASSWORD_MAX_BYTES;
  int rc = plausible ? user_get_by_name(conn, name, arena, user, err) : ERR_NOT_FOUND;

  if (rc == ERR_NOT_FOUND)
    user->id = 0;
  if (rc != 0 && rc != ERR_NOT_FOUND)
    return rc;
  bool known = rc == 0 && !user->disabled;
  rc = auth_password_verify(auth, plausible ? password : STR_EMPTY,
                            known ? user->password_hash : str_of(auth->nobody_hash), right, err);
  *right = *right && known;
  return rc;
}

static int identify_password(struct auth *auth, struct store_conn *conn, struct str name, struct str password,
                             const struct address *peer, struct arena *arena, struct identity *out, int64_t *delay_ms,
                             struct error *err) {
  int64_t now_us = clock_mono_us(auth->clock);
  struct credential known;
  struct user user;
  bool right;

  if (credential_cache_get(auth->cache, name, password, now_us, arena, &known)) {
    *out = (struct identity){.authenticated = true,
                             .kind = IDENTITY_USER,
                             .user_id = known.user_id,
                             .name = known.name,
                             .is_admin = known.is_admin};
    return 0;
  }
  uint64_t generation = credential_cache_generation(auth->cache);
  int rc = check_password(auth, conn, name, password, arena, &user, &right, err);
  if (rc != 0)
    return rc;
  if (!right) {
    out->name = user.id != 0 ? user.name : STR_EMPTY;
    return refuse(auth, name, peer, delay_ms, err);
  }
  slowdown_succeeded(auth->slowdown, name);
  identity_of_user(&user, 0, out);
  credential_cache_put(auth->cache, generation, name, password, now_us,
                       &(struct credential){.user_id = user.id, .name = user.name, .is_admin = user.is_admin});
  return 0;
}

int auth_login(struct auth *auth, struct store_conn *conn, struct str name, struct str password,
               const struct address *peer, struct arena *arena, struct user *out, int64_t *delay_ms,
               struct error *err) {
  bool right;

  *delay_ms = 0;
  int rc = check_password(auth, conn, name, password, arena, out, &right, err);
  if (rc != 0)
    return rc;
  if (!right) {
    (void)refuse(auth, name, peer, delay_ms, err);
    return error_set(err, ERR_UNAUTHORIZED, "invalid user name or password");
  }
  slowdown_succeeded(auth->slowdown, name);
  return 0;
}

// RFC 7617: base64 of name ':' password; the first colon is the one that counts.
static bool basic_read(struct str encoded, struct arena *arena, struct str *name, struct str *password) {
  struct str pair;
  ptrdiff_t colon = crypto_base64_read(encoded, arena, &pair) ? str_find(pair, ':') : -1;

  if (colon < 0)
    return false;
  *name = str_slice(pair, 0, (size_t)colon);
  *password = str_from(pair, (size_t)colon + 1);
  return true;
}

static int identify_basic(struct auth *auth, struct store_conn *conn, struct str encoded, const struct address *peer,
                          struct arena *arena, struct identity *out, int64_t *delay_ms, struct error *err) {
  struct str name, password;

  if (!basic_read(encoded, arena, &name, &password))
    return refuse(auth, STR_EMPTY, peer, delay_ms, err);
  return identify_password(auth, conn, name, password, peer, arena, out, delay_ms, err);
}

// An Authorization header as scheme and the rest.
static struct str split_scheme(struct str authorization, struct str *rest) {
  ptrdiff_t blank = str_find(authorization, ' ');

  *rest = blank < 0 ? STR_EMPTY : str_trim(str_from(authorization, (size_t)blank));
  return blank < 0 ? authorization : str_slice(authorization, 0, (size_t)blank);
}

// ---- tokens ---------------------------------------------------------------------------------------------------------

static void token_mac(const struct auth *auth, struct str token, uint8_t mac[static HMAC_BYTES]) {
  crypto_hmac_sha256((struct str){(const char *)auth->token_key, SEAL_KEY_BYTES}, token, mac);
}

struct token_use {
  struct store_write write;
  struct auth *auth;
  int64_t token_id, at_us;
};

static int token_use_apply(struct store_conn *conn, struct store_write *write, struct error *err) {
  const struct token_use *use = CONTAINER_OF(write, struct token_use, write);
  int rc = token_touch(conn, use->token_id, use->at_us, err);

  return rc == ERR_NOT_FOUND ? 0 : rc; // revoked meanwhile
}

static void token_use_done(struct store_write *write) {
  struct token_use *use = CONTAINER_OF(write, struct token_use, write);

  atomic_store(&use->auth->touching, false);
  free(use);
}

// Once a minute and token; not waited for, skipped when the store or another use is busy.
static void token_record_use(struct auth *auth, const struct api_token *token, int64_t now_us) {
  if (!auth->config.store || now_us - token->last_used_at_us < TOUCH_INTERVAL_S * US_PER_S ||
      atomic_exchange(&auth->touching, true))
    return;
  struct token_use *use = calloc(1, sizeof *use);
  if (use) {
    use->write.apply = token_use_apply;
    use->write.done = token_use_done;
    use->auth = auth;
    use->token_id = token->id;
    use->at_us = now_us;
    if (store_submit(auth->config.store, &use->write, NULL) == 0)
      return;
  }
  free(use);
  atomic_store(&auth->touching, false);
}

static int identify_token(struct auth *auth, struct store_conn *conn, struct str text, const struct address *peer,
                          struct arena *arena, struct identity *out, int64_t *delay_ms, struct error *err) {
  int64_t now_us = clock_wall_us(auth->clock);
  uint8_t mac[HMAC_BYTES];
  struct api_token token;
  struct user user;

  if (text.len != TOKEN_LEN || !str_starts_c(text, TOKEN_PREFIX))
    return refuse(auth, STR_EMPTY, peer, delay_ms, err);
  token_mac(auth, text, mac);
  int rc = token_get_by_mac(conn, mac, arena, &token, err);
  if (rc == 0)
    rc = user_get(conn, token.user_id, arena, &user, err);
  if (rc == ERR_NOT_FOUND || (rc == 0 && (token.expires_at_us <= now_us || user.disabled)))
    return refuse(auth, STR_EMPTY, peer, delay_ms, err);
  if (rc != 0)
    return rc;
  token_record_use(auth, &token, now_us);
  identity_of_user(&user, token.id, out);
  return 0;
}

// ---- public ---------------------------------------------------------------------------------------------------------

int auth_identify(struct auth *auth, struct store_conn *conn, struct str authorization, const struct address *peer,
                  struct arena *arena, struct identity *out, int64_t *delay_ms, struct error *err) {
  *out = (struct identity){.name = STR_EMPTY};
  *delay_ms = 0;
  if (!authorization.ptr)
    return 0;
  struct str rest;
  struct str scheme = split_scheme(authorization, &rest);
  if (str_ieq_c(scheme, "Basic"))
    return identify_basic(auth, conn, rest, peer, arena, out, delay_ms, err);
  if (str_ieq_c(scheme, "Bearer"))
    return identify_token(auth, conn, rest, peer, arena, out, delay_ms, err);
  return refuse(auth, STR_EMPTY, peer, delay_ms, err);
}

bool auth_must_hash(struct auth *auth, struct str authorization, struct arena *arena) {
  struct str rest, name, password;
  struct credential known;

  if (!authorization.ptr || !str_ieq_c(split_scheme(authorization, &rest), "Basic"))
    return false;
  if (!basic_read(rest, arena, &name, &password))
    return false;
  return !credential_cache_get(auth->cache, name, password, clock_mono_us(auth->clock), arena, &known);
}

int auth_password_hash(struct auth *auth, struct str password, char out[static PASSWORD_HASH_BYTES],
                       struct error *err) {
  return password_hash(auth->gate, password, out, err);
}

int auth_password_verify(struct auth *auth, struct str password, struct str hash, bool *right, struct error *err) {
  char text[PASSWORD_HASH_BYTES] = "";

  *right = false;
  if (hash.len >= sizeof text)
    return error_set(err, ERR_INTERNAL, "a stored password hash of %zu bytes is none of ours", hash.len);
  memcpy(text, hash.ptr, hash.len);
  return password_verify(auth->gate, password, text, right, err);
}

bool auth_failure_is_news(struct auth *auth, struct str name, const struct address *peer, int64_t *others) {
  return failure_notes_add(auth->notes, name, peer, clock_mono_us(auth->clock), others);
}

struct auth_sessions *auth_sessions(const struct auth *auth) {
  return auth->sessions;
}

void auth_forget_user(struct auth *auth, struct str name) {
  credential_cache_forget(auth->cache, name);
}

void auth_token_make(const struct auth *auth, char out[static AUTH_TOKEN_BYTES], uint8_t mac[static HMAC_BYTES]) {
  memcpy(out, TOKEN_PREFIX, sizeof TOKEN_PREFIX - 1);
  auth_random_text(out + sizeof TOKEN_PREFIX - 1);
  token_mac(auth, (struct str){out, TOKEN_LEN}, mac);
}

int auth_allow(const struct identity *identity, enum auth_action action, bool project_is_public, struct error *err) {
  if (identity->authenticated && identity->is_admin)
    return 0;
  if (action == AUTH_READ_PUBLIC && project_is_public)
    return 0;
  if (!identity->authenticated)
    return error_set(err, ERR_UNAUTHORIZED, "unauthorized");
  return error_set(err, ERR_FORBIDDEN, "forbidden");
}

static int make_nobody(struct auth *auth, struct error *err) {
  char password[25];

  auth_password_make(password);
  int rc = crypto_password_hash(str_of(password), auth->nobody_hash, err);
  explicit_bzero(password, sizeof password);
  return rc;
}

struct auth *auth_new(const struct auth_config *config, const uint8_t token_key[static SEAL_KEY_BYTES],
                      const struct clock *clock, struct error *err) {
  struct auth *auth = calloc(1, sizeof *auth);

  if (!auth) {
    error_set(err, ERR_NO_MEMORY, "out of memory for the authentication");
    return NULL;
  }
  auth->config = *config;
  auth->clock = clock;
  memcpy(auth->token_key, token_key, SEAL_KEY_BYTES);
  const struct slowdown_config slowdown = {config->max_tracked, config->delay_min_ms, config->delay_max_ms,
                                           config->forget_ms};
  const struct auth_sessions_config sessions = {config->session_idle_s, config->session_max_s,
                                                config->max_sessions_per_user, config->store};
  if ((auth->sessions = auth_sessions_new(&sessions, token_key, clock, err)) &&
      (auth->notes = failure_notes_new(err)) &&
      (auth->cache = credential_cache_new(config->max_cached, config->cache_ms, err)) &&
      (auth->slowdown = slowdown_new(&slowdown, err)) &&
      (auth->gate = hash_gate_new(config->max_hashing, config->max_hash_waiters, err)) && make_nobody(auth, err) == 0)
    return auth;
  auth_free(auth);
  return NULL;
}

void auth_free(struct auth *auth) {
  if (!auth)
    return;
  credential_cache_free(auth->cache);
  slowdown_free(auth->slowdown);
  hash_gate_free(auth->gate);
  auth_sessions_free(auth->sessions);
  failure_notes_free(auth->notes);
  explicit_bzero(auth->token_key, sizeof auth->token_key);
  free(auth);
}
