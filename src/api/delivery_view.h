// SPDX-License-Identifier: Apache-2.0
// What the views of a delivery share, Harbor's and ours: its state in Harbor's words, its body, its log. Pool threads, with
// the call's connection and arena. Secrets never get here: attempts are stored without them.
#ifndef HARBINGER_API_DELIVERY_VIEW_H
#define HARBINGER_API_DELIVERY_VIEW_H

#include "api/call.h"
#include "store/deliveries.h"

// Harbor's words for an execution: Running while it waits or is sent, then Success, Error or Stopped.
const char *delivery_view_status(const struct delivery *delivery);
// The same for its task: Pending before the first try, Scheduled between tries.
const char *delivery_view_task_status(const struct delivery *delivery);
// Why the last try failed; empty when it did not.
struct str delivery_view_error(const struct delivery *delivery);
// The request's body: the stored one; rendered while no try has been made. ptr NULL when it has been trimmed, or when the
// answer is so long already that it leaves payloads out (16 MiB).
int delivery_view_payload(struct api_call *call, const struct delivery *delivery, struct str *out, struct error *err)
    MUST_CHECK;
// All tries in order as lines of text into the answer: what was sent, what came back, timings, when the next try is.
int delivery_view_log(struct api_call *call, const struct delivery *delivery, struct error *err) MUST_CHECK;

// A time in microseconds, as our own views write it; 0, which is never or unknown, is left out.
void delivery_view_field_time_us(struct json_writer *w, const char *key, int64_t at_us);
// Recorded header lines as an array of strings.
void delivery_view_field_lines(struct json_writer *w, const char *key, struct str lines);
// `timings_us` of a try; what was not reached is left out.
void delivery_view_field_timings(struct json_writer *w, const struct attempt *attempt);

#endif
