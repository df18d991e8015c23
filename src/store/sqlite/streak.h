// SPDX-License-Identifier: Apache-2.0
// How long a target has been failing, for suspensions: the first failure since the last success, written when a streak
// begins or ends and not with each failure. The writer's thread only; inside store/sqlite/.
#ifndef HARBINGER_STORE_SQLITE_STREAK_H
#define HARBINGER_STORE_SQLITE_STREAK_H

#include "store/deliveries.h"
#include "store/sqlite/conn.h"

// An attempt at this target is being recorded. `failing_since_us`: as the target's row has it. Suspends the target when
// the result asks for it or the streak began before what the result bears; then sets its `suspended` and words. A failure
// that began before the policy was last changed counts for nothing.
int streak_note(struct store_conn *conn, int64_t target_id, int64_t failing_since_us, struct attempt_result *result,
                struct error *err) MUST_CHECK;

#endif
