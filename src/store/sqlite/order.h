// SPDX-License-Identifier: Apache-2.0
// Strict order: of a target that asks for it only the head waits in the index; what follows is held (DELIVERY_HELD) and
// goes into the index one by one, each with the commit that ends its predecessor. The order is that of delivery ids, which
// is the order of commits. Whatever ends a waiting delivery of one target has to call order_promote in the same
// transaction. A cancel has not: it ends what is held as well. The writer's thread only; inside store/sqlite/.
#ifndef HARBINGER_STORE_SQLITE_ORDER_H
#define HARBINGER_STORE_SQLITE_ORDER_H

#include "store/sqlite/conn.h"

enum { ORDER_STEP_ROWS = 32 }; // moved by one statement of a sweep

// Must a delivery that is made now be held? Two seeks, however much is held; asked only of targets in strict order.
int order_holds(struct store_conn *conn, int64_t target_id, bool *holds, struct error *err) MUST_CHECK;

// A delivery of this target ended: its oldest held one begins to wait, with a notice, unless another one waits still or
// the target's rows are being moved.
int order_promote(struct store_conn *conn, int64_t target_id, struct error *err) MUST_CHECK;

// Move up to ORDER_STEP_ROWS rows of a target whose switch was turned: on, all that wait are held and then the oldest is
// promoted; off, all that are held wait. *moved 0: the target is done. Cancelled rows stay where they are held, for the
// sweep of cancelled rows.
int order_move(struct store_conn *conn, int64_t target_id, int64_t *moved, struct error *err) MUST_CHECK;

#endif
