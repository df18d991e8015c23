// SPDX-License-Identifier: Apache-2.0
// Sessions of people in a browser: a cookie of 256 random bits, of which the store keeps the MAC, ended by an idle and an
// absolute limit; and the tokens against calls that another site makes a browser send (CSRF): a MAC over a random cookie
// and the session, so that a cookie planted by a neighbouring host is worth nothing. Wall clock, since sessions outlive
// the process. Knows no HTTP. Shared by the pool's threads; nothing changes after it was made but a flag.
#ifndef HARBINGER_AUTH_SESSION_H
#define HARBINGER_AUTH_SESSION_H

#include "auth/auth.h"
#include "store/sessions.h"

enum { AUTH_TEXT_LEN = 43, AUTH_TEXT_BYTES = AUTH_TEXT_LEN + 1 }; // 256 bits as base64url, and a NUL

struct auth_sessions_config {
  int64_t idle_s;      // 3600 without use
  int64_t max_s;       // 43200 in all
  size_t max_per_user; // 32; the oldest leave
  struct store *store; // where the use of a session is recorded; NULL: nowhere
};

// `token_key` as in auth_new: the keys for sessions and for CSRF are made from it.
struct auth_sessions *auth_sessions_new(const struct auth_sessions_config *config,
                                        const uint8_t token_key[static SEAL_KEY_BYTES], const struct clock *clock,
                                        struct error *err) MUST_CHECK;
void auth_sessions_free(struct auth_sessions *sessions);

// 256 random bits as text, NUL-terminated.
void auth_random_text(char out[static AUTH_TEXT_BYTES]);
// Can this be such a text?
bool auth_is_random_text(struct str text);

// Who has this session? Not known, past a limit, or its user gone or disabled: *out is the anonymous and 0 is returned.
// `renew`: this use counts against the idle limit, which is noted at most once a minute (more often only when the limit
// is shorter than four), without waiting for it.
int auth_session_identify(struct auth_sessions *sessions, struct store_conn *conn, struct str sid, bool renew,
                          struct arena *arena, struct identity *out, struct error *err) MUST_CHECK;

// The session of a user who has just shown a password. It is made in the writer (auth_session_start), with a sid made
// before it: what a client sends is never taken for a new session.
struct auth_session_start {
  int64_t user_id;
  struct str password_hash; // that the password was checked against
  int64_t replaces;         // a session that ends with it, or 0
  char sid[AUTH_TEXT_BYTES];
  struct session session;
};
void auth_session_prepare(const struct auth_sessions *sessions, const struct user *user, int64_t replaces,
                          struct auth_session_start *out);
// On the writer's connection. ERR_UNAUTHORIZED when the user was disabled or the password changed since it was checked.
int auth_session_start(const struct auth_sessions *sessions, struct store_conn *conn, struct auth_session_start *start,
                       struct arena *arena, struct error *err) MUST_CHECK;

// The token that belongs to this cookie (auth_is_random_text) and this session ("" for none), NUL-terminated.
void auth_csrf_token(const struct auth_sessions *sessions, struct str cookie, struct str sid,
                     char out[static AUTH_TEXT_BYTES]);

#endif
