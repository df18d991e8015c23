// SPDX-License-Identifier: Apache-2.0
// Rows that belong to an event, without an index for each. Ids of events are version 7 of one generator that never goes
// back, over restarts too, and only the writer inserts: uuids rise with the rows' ids (store_check looks). Inside
// store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_EVENT_FIND_H
#define HARBINGER_STORE_SQLITE_EVENT_FIND_H

#include "base/id.h"
#include "store/sqlite/conn.h"

// The row of the event with this uuid, by halves: as many look-ups as the number of events has bits. 1: *rowid is set,
// 0: there is none, or an error.
int event_find(struct store_conn *conn, const struct uuid *uuid, int64_t *rowid, struct error *err) MUST_CHECK;

// FROM ... WHERE ... of the deliveries `d` of the event whose row is `event`: those made with it, whose ids it names, and
// those made later. To be put together with UNION ALL.
#define DELIVERIES_MADE_WITH(event)                                                                         \
  "event own JOIN delivery d ON d.id >= own.first_delivery AND d.id < own.first_delivery + own.deliveries " \
  "WHERE own.id = " event
#define DELIVERIES_MADE_LATER(event) "delivery d WHERE d.event_rowid = " event " AND d.apart = 1"

// The bodies of an event lie together, in the order of their events. Ids below the first are from before schema 8.
#define BODY_FIRST_ID "4398046511104"
#define BODIES_OF(event) \
  "id >= " BODY_FIRST_ID " + " event " * 1024 AND id < " BODY_FIRST_ID " + (" event " + 1) * 1024"
enum { BODY_ROWS_PER_EVENT = 1024 };
#define BODY_FIRST INT64_C(4398046511104)

#endif
