// SPDX-License-Identifier: Apache-2.0
#include "auth/session.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { RANDOM_BYTES = 32, TOUCH_INTERVAL_S = 60, TOUCHES_PER_IDLE = 4 };

struct auth_sessions {
  struct auth_sessions_config config;
  const struct clock *clock;
  uint8_t session_key[HMAC_BYTES], csrf_key[HMAC_BYTES];
  int64_t touch_interval_us;
  atomic_bool touching; // one session's use is being recorded; others are skipped meanwhile
};

static struct str bytes(const uint8_t *data, size_t len) {
  return (struct str){(const char *)data, len};
}

static void write_text(const uint8_t data[static RANDOM_BYTES], char out[static AUTH_TEXT_BYTES]) {
  struct buf text;

  buf_init(&text, AUTH_TEXT_BYTES);
  crypto_base64url(bytes(data, RANDOM_BYTES), &text);
  if (text.failed || text.len != AUTH_TEXT_LEN)
    abort(); // no memory for 44 bytes: a secret must never be shorter than it should be
  memcpy(out, text.ptr, AUTH_TEXT_LEN);
  out[AUTH_TEXT_LEN] = '\0';
  explicit_bzero(text.ptr, text.len);
  buf_free(&text);
}

void auth_random_text(char out[static AUTH_TEXT_BYTES]) {
  uint8_t secret[RANDOM_BYTES];

  random_bytes(secret, sizeof(secret));
  write_text(secret, out);
  explicit_bzero(secret, sizeof(secret));
}

bool auth_is_random_text(struct str text) {
  if (text.len != AUTH_TEXT_LEN)
    return false;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
      return false;
  }
  return true;
}

static void sid_mac(const struct auth_sessions *sessions, struct str sid, uint8_t mac[static HMAC_BYTES]) {
  crypto_hmac_sha256(bytes(sessions->session_key, HMAC_BYTES), sid, mac);
}

// ---- the use of a session -------------------------------------------------------------------------------------------

struct session_use {
  struct store_write write;
  struct auth_sessions *sessions;
  int64_t session_id, at_us;
};

static int use_apply(struct store_conn *conn, struct store_write *write, struct error *err) {
  const struct session_use *use = CONTAINER_OF(write, struct session_use, write);

  return session_touch(conn, use->session_id, use->at_us, use->sessions->touch_interval_us, err);
}

static void use_done(struct store_write *write) {
  struct session_use *use = CONTAINER_OF(write, struct session_use, write);

  atomic_store(&use->sessions->touching, false);
  free(use);
}

// Not waited for; when it is skipped, the next call notes it.
static void record_use(struct auth_sessions *sessions, const struct session *session, int64_t now_us) {
  if (!sessions->config.store || now_us - session->last_seen_at_us < sessions->touch_interval_us ||
      atomic_exchange(&sessions->touching, true))
    return;
  struct session_use *use = calloc(1, sizeof(*use));
  if (use) {
    use->write.apply = use_apply;
    use->write.done = use_done;
    use->sessions = sessions;
    use->session_id = session->id;
    use->at_us = now_us;
    if (store_submit(sessions->config.store, &use->write, NULL) == 0)
      return;
  }
  free(use);
  atomic_store(&sessions->touching, false);
}

static bool is_over(const struct auth_sessions *sessions, const struct session *session, int64_t now_us) {
  return now_us - session->last_seen_at_us >= sessions->config.idle_s * US_PER_S ||
         now_us - session->created_at_us >= sessions->config.max_s * US_PER_S;
}

int auth_session_identify(struct auth_sessions *sessions, struct store_conn *conn, struct str sid, bool renew,
                          struct arena *arena, struct identity *out, struct error *err) {
  int64_t now_us = clock_wall_us(sessions->clock);
  uint8_t mac[HMAC_BYTES];
  struct session session;
  struct user user;

  *out = (struct identity){.name = STR_EMPTY};
  if (!auth_is_random_text(sid))
    return 0;
  sid_mac(sessions, sid, mac);
  int rc = session_get_by_mac(conn, mac, &session, err);
  if (rc == 0 && is_over(sessions, &session, now_us))
    return 0;
  if (rc == 0)
    rc = user_get(conn, session.user_id, arena, &user, err);
  if (rc == ERR_NOT_FOUND || (rc == 0 && user.disabled))
    return 0;
  if (rc != 0)
    return rc;
  if (renew)
    record_use(sessions, &session, now_us);
  *out = (struct identity){.authenticated = true,
                           .kind = IDENTITY_USER,
                           .user_id = user.id,
                           .name = user.name,
                           .is_admin = user.is_admin,
                           .session_id = session.id};
  return 0;
}

// ---- its beginning --------------------------------------------------------------------------------------------------

void auth_session_prepare(const struct auth_sessions *sessions, const struct user *user, int64_t replaces,
                          struct auth_session_start *out) {
  *out = (struct auth_session_start){.user_id = user->id, .password_hash = user->password_hash, .replaces = replaces};
  auth_random_text(out->sid);
  out->session.user_id = user->id;
  sid_mac(sessions, str_of(out->sid), out->session.mac);
}

int auth_session_start(const struct auth_sessions *sessions, struct store_conn *conn, struct auth_session_start *start,
                       struct arena *arena, struct error *err) {
  struct user user;
  int rc = user_get(conn, start->user_id, arena, &user, err);

  // A password change ends all sessions: one that is made with the old password must not come after it.
  if (rc == ERR_NOT_FOUND || (rc == 0 && (user.disabled || !str_eq_secret(user.password_hash, start->password_hash))))
    return error_set(err, ERR_UNAUTHORIZED, "unauthorized");
  if (rc == 0 && start->replaces != 0)
    rc = session_delete(conn, start->replaces, err);
  return rc == 0 ? session_create(conn, &start->session, sessions->config.max_per_user, err) : rc;
}

// ---- CSRF -----------------------------------------------------------------------------------------------------------

void auth_csrf_token(const struct auth_sessions *sessions, struct str cookie, struct str sid,
                     char out[static AUTH_TEXT_BYTES]) {
  char both[2 * AUTH_TEXT_LEN] = {0}; // both have one length or are empty: no two pairs look alike
  uint8_t mac[HMAC_BYTES];

  memcpy(both, cookie.ptr, cookie.len < AUTH_TEXT_LEN ? cookie.len : AUTH_TEXT_LEN);
  memcpy(both + AUTH_TEXT_LEN, sid.ptr, sid.len < AUTH_TEXT_LEN ? sid.len : AUTH_TEXT_LEN);
  crypto_hmac_sha256(bytes(sessions->csrf_key, HMAC_BYTES), (struct str){both, sizeof(both)}, mac);
  write_text(mac, out);
  explicit_bzero(both, sizeof(both));
}

// ---- life -----------------------------------------------------------------------------------------------------------

struct auth_sessions *auth_sessions_new(const struct auth_sessions_config *config,
                                        const uint8_t token_key[static SEAL_KEY_BYTES], const struct clock *clock,
                                        struct error *err) {
  struct auth_sessions *sessions = calloc(1, sizeof(*sessions));

  if (!sessions) {
    error_set(err, ERR_NO_MEMORY, "out of memory for the sessions");
    return NULL;
  }
  sessions->config = *config;
  sessions->clock = clock;
  int64_t interval_us = config->idle_s * US_PER_S / TOUCHES_PER_IDLE;
  sessions->touch_interval_us = interval_us < TOUCH_INTERVAL_S * US_PER_S ? interval_us : TOUCH_INTERVAL_S * US_PER_S;
  crypto_hmac_sha256(bytes(token_key, SEAL_KEY_BYTES), STR("session key"), sessions->session_key);
  crypto_hmac_sha256(bytes(token_key, SEAL_KEY_BYTES), STR("csrf key"), sessions->csrf_key);
  return sessions;
}

void auth_sessions_free(struct auth_sessions *sessions) {
  if (!sessions)
    return;
  explicit_bzero(sessions->session_key, sizeof(sessions->session_key));
  explicit_bzero(sessions->csrf_key, sizeof(sessions->csrf_key));
  free(sessions);
}
