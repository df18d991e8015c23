// SPDX-License-Identifier: Apache-2.0
// An event as our API shows it, and why each webhook of its project got it or not. Pool threads, with the call's connection
// and arena.
#ifndef HARBINGER_API_EVENT_VIEW_H
#define HARBINGER_API_EVENT_VIEW_H

#include "api/call.h"
#include "event/event.h"

// The members of an event into an object that is open.
int event_view_write(struct api_call *call, const struct event *event, struct json_writer *w, struct error *err)
    MUST_CHECK;
// Key and value of `deliveries`: one element per policy of the project, and per policy deleted since that has deliveries,
// with the reason in words and the deliveries made.
int event_view_write_deliveries(struct api_call *call, const struct event *event, struct json_writer *w,
                                struct error *err) MUST_CHECK;

#endif
