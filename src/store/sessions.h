// SPDX-License-Identifier: Apache-2.0
// Sessions in the store: who signed in, when, and when the session was last used. Of the cookie only a MAC is kept. Rows
// that are past both limits of struct store_retention are swept. See store.h for connections, threads and arenas.
#ifndef HARBINGER_STORE_SESSIONS_H
#define HARBINGER_STORE_SESSIONS_H

#include "store/store.h"

enum { SESSIONS_MAX_PER_USER = STORE_SWEEP_ROWS }; // what one change may delete

struct session {
  int64_t id, user_id;
  uint8_t mac[HMAC_BYTES];
  int64_t created_at_us, last_seen_at_us; // wall clock
};

// Sets id and times. A user keeps at most `max_per_user` (1 to SESSIONS_MAX_PER_USER) with this one: the oldest leave.
int session_create(struct store_conn *conn, struct session *session, size_t max_per_user, struct error *err) MUST_CHECK;
int session_get_by_mac(struct store_conn *conn, const uint8_t mac[static HMAC_BYTES], struct session *out,
                       struct error *err) MUST_CHECK; // ERR_NOT_FOUND
// Used at `at_us`; written only when the last note is at least `interval_us` old. Fine when it is gone.
int session_touch(struct store_conn *conn, int64_t id, int64_t at_us, int64_t interval_us, struct error *err)
    MUST_CHECK;
int session_delete(struct store_conn *conn, int64_t id, struct error *err) MUST_CHECK; // fine when it is gone
// End the user's sessions but `keep_id` (0: all of them).
int session_delete_others(struct store_conn *conn, int64_t user_id, int64_t keep_id, struct error *err) MUST_CHECK;

#endif
