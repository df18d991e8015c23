// SPDX-License-Identifier: Apache-2.0
// What deliveries.c and delivery_views.c share. Inside store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_DELIVERY_ROWS_H
#define HARBINGER_STORE_SQLITE_DELIVERY_ROWS_H

enum { ATTEMPT_ROWS_PER_DELIVERY = 1024 }; // attempt.id = delivery id * this + number

// The state that readers see, of delivery `d` and its target `t`: what waits below the target's mark is cancelled, whether
// the sweep has rewritten the row or not.
#define DELIVERY_STATE_EXPR "CASE WHEN d.state <= 2 AND d.id < t.cancel_below THEN 5 ELSE d.state END"

// May anything be sent to target `t` of policy `p`?
#define TARGET_IS_OPEN                                                                                               \
  "t.suspended = 0 AND t.strict_order * t.reordering = 0 AND t.deleted_us IS NULL AND p.enabled = 1 AND p.hold = 0 " \
  "AND "                                                                                                             \
  "p.deleted_us IS NULL"

// From *after on, the next target that has something to be sent and that is sent to. 1: *after is one. 2: none so far, *after
// is where to go on: suspended ones are stepped over many at a time, and each call is short. 0: there is no further one.
int target_next_open(struct store_conn *conn, int64_t *after, struct error *err) MUST_CHECK;

#endif
