// SPDX-License-Identifier: Apache-2.0
// Who is calling: HTTP Basic against users, Bearer with an API token `hbt_...`, or a browser's session (auth/session.h).
// Passwords are argon2id (two at once), right ones are remembered for 60 s under a keyed hash; tokens are 256 random bits
// stored as HMAC. Wrong credentials are 401 always. Failures slow down per user and per address: the answer is told to
// wait, no thread sleeps. Shared by the pool's threads (locks inside).
#ifndef HARBINGER_AUTH_AUTH_H
#define HARBINGER_AUTH_AUTH_H

#include "auth/rights.h"
#include "base/clock.h"
#include "net/address.h"
#include "store/identity.h"
#include "store/store.h"

struct auth;
struct auth_sessions;

struct auth_config {
  int64_t cache_ms;                      // 60000
  size_t max_cached;                     // 1024
  size_t max_tracked;                    // 65536 users and addresses with failures
  int64_t delay_min_ms, delay_max_ms;    // 250 doubling to 8000 per failure in a row
  int64_t forget_ms;                     // 15 min without a failure
  int max_hashing;                       // 2
  size_t max_hash_waiters;               // 32; above it ERR_UNAVAILABLE
  struct store *store;                   // where the use of a token or session is recorded; NULL: nowhere
  int64_t session_idle_s, session_max_s; // 3600 without use, 43200 in all
  size_t max_sessions_per_user;          // 32
};

// `token_key`: HMAC key of tokens, SEAL_KEY_BYTES.
struct auth *auth_new(const struct auth_config *config, const uint8_t token_key[static SEAL_KEY_BYTES],
                      const struct clock *clock, struct error *err) MUST_CHECK;
void auth_free(struct auth *auth);

// Judge an Authorization header (ptr NULL: anonymous, succeeds). On failure ERR_UNAUTHORIZED and *delay_ms says how
// long the answer must be held back; out->name is then the user's whose password was wrong, or empty (nobody's name, a
// token), for the audit alone. On success *delay_ms is 0.
int auth_identify(struct auth *auth, struct store_conn *conn, struct str authorization, const struct address *peer,
                  struct arena *arena, struct identity *out, int64_t *delay_ms, struct error *err) MUST_CHECK;

// Will auth_identify have to hash a password for this header (Basic, not remembered)? Quick enough for a loop: such calls go
// to threads of their own, so that a storm of guesses keeps nobody else waiting.
bool auth_must_hash(struct auth *auth, struct str authorization, struct arena *arena) MUST_CHECK;

// Name and password as a login form gives them, judged like Basic but never from the cache: `out` is then the user as
// stored now. ERR_UNAUTHORIZED "invalid user name or password" with *delay_ms as above, at equal cost for names that exist
// and others; then out->id tells whether this one does (0: no), for the audit alone. Threads that may hash.
int auth_login(struct auth *auth, struct store_conn *conn, struct str name, struct str password,
               const struct address *peer, struct arena *arena, struct user *out, int64_t *delay_ms, struct error *err)
    MUST_CHECK;
// Is a failed login worth a line in the audit (auth/failure_notes.h)? `name`: of the user that exists, else empty.
bool auth_failure_is_news(struct auth *auth, struct str name, const struct address *peer, int64_t *others) MUST_CHECK;
struct auth_sessions *auth_sessions(const struct auth *auth);

// Rules for a new password: 8 to 128 bytes, valid UTF-8, not the user's name, upper and lower case letter and a digit
// (Harbor's rule). ERR_BAD_REQUEST with words.
int auth_password_check(struct str name, struct str password, struct error *err) MUST_CHECK;
// Hash a new password, counted among the `max_hashing`. ERR_UNAVAILABLE when too many wait. Pool threads.
int auth_password_hash(struct auth *auth, struct str password, char out[static PASSWORD_HASH_BYTES], struct error *err)
    MUST_CHECK;
// Is this the password of the stored hash? Pool threads; ERR_UNAVAILABLE as above.
int auth_password_verify(struct auth *auth, struct str password, struct str hash, bool *right, struct error *err)
    MUST_CHECK;
// A random password that satisfies the rules, 24 characters, NUL-terminated.
void auth_password_make(char out[static 25]);
// Forget cached credentials of a user (password changed, disabled).
void auth_forget_user(struct auth *auth, struct str name);

// A new token: text "hbt_" + 43 base64url characters into `out`, its MAC for the store.
enum { AUTH_TOKEN_BYTES = 48 };
void auth_token_make(const struct auth *auth, char out[static AUTH_TOKEN_BYTES], uint8_t mac[static HMAC_BYTES]);

// The rights table: may this identity do `action`? Until members exist: administrators all; everybody may read public
// projects; nobody else anything.
enum auth_action {
  AUTH_READ_PUBLIC,    // what the public may see of a public project: the project, repositories, artifacts
  AUTH_READ_PROJECT,   // what members see: policies, executions, events, the summary
  AUTH_CHANGE_PROJECT, // policies, metadata, redeliveries
  AUTH_ADMINISTER,     // the system; creating and deleting projects
};
int auth_allow(const struct identity *identity, enum auth_action action, bool project_is_public,
               struct error *err) MUST_CHECK; // ERR_UNAUTHORIZED when anonymous, ERR_FORBIDDEN otherwise

#endif
