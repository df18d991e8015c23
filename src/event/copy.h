// SPDX-License-Identifier: Apache-2.0
// A copy of an event that outlives the memory it came in. A pure function; any thread.
#ifndef HARBINGER_EVENT_COPY_H
#define HARBINGER_EVENT_COPY_H

#include "event/event.h"

// Can this event be copied? Only pushes, pulls and deletes, which carry no data of their own type: they are what comes in
// numbers; a copy of all others would be a second reader of every shape.
bool event_is_plain(const struct event *event);
// All of a plain event into the arena. False: it is not plain, or does not fit.
bool event_copy(const struct event *event, struct arena *arena, struct event *out) MUST_CHECK;

#endif
