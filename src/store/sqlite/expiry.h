// SPDX-License-Identifier: Apache-2.0
// The end of what waits too long for a target that nothing is sent to, or that does not answer: suspended, paused, or
// failing all the time. What waits for others is theirs to try, however old. The writer's thread only; inside
// store/sqlite/.
#ifndef HARBINGER_STORE_SQLITE_EXPIRY_H
#define HARBINGER_STORE_SQLITE_EXPIRY_H

#include "store/sqlite/conn.h"

enum { EXPIRY_STEP_ROWS = 25 }; // ended at once; STORE_SWEEP_ROWS is a multiple of it

struct expiry {
  int64_t target_id; // what the pass has come to; 0 at its beginning
  int64_t ended;     // of this target, in this pass
};

// End some of what has been due for longer than `max_age_s`, or go on to the next target. *ended: rows; *finished: there
// was no further target.
int expiry_some(struct store_conn *conn, int64_t max_age_s, struct expiry *expiry, int64_t *ended, bool *finished,
                struct error *err) MUST_CHECK;

#endif
