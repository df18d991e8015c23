// SPDX-License-Identifier: Apache-2.0
// Sending: a lane per target with work, retries, breakers, budgets, on one loop. The store is the truth: a window holds
// ids and due times only; notices may be lost; what is `running` is memory, so that after a kill it is sent again. A
// delivery leaves the running set only when the commit of its attempt has been confirmed.
#ifndef HARBINGER_DISPATCH_DISPATCH_H
#define HARBINGER_DISPATCH_DISPATCH_H

#include "base/log.h"
#include "base/metrics.h"
#include "dispatch/echo.h"
#include "dispatch/retry.h"
#include "net/http_client.h"
#include "net/loop.h"
#include "store/deliveries.h"
#include "store/store.h"

struct dispatch;
struct trials;

struct dispatch_config {
  struct retry_config retry;
  size_t window;             // 16384 entries for all lanes
  size_t max_lanes;          // 131072
  size_t max_fresh;          // 1024 events kept from their commit to their first try, 8 KiB each at most
  size_t max_connecting;     // 4096
  size_t max_exchanging;     // 512
  int lane_concurrency;      // 8, at most 64; a lane starts at 1, doubles per success, halves on failure
  int64_t slack_interval_ms; // 1000: at most one message per interval and target
  int64_t connect_timeout_ms, first_byte_timeout_ms, total_timeout_ms; // 5000, 10000, 30000
  int breaker_failures;                                                // 10 in a row ...
  int64_t breaker_span_ms;                                             // ... over at least 30 s
  int64_t probe_min_ms, probe_max_ms;                                  // 30 s doubling to 15 m
  int64_t suspend_after_s; // 5 days: a target that fails all that time is suspended; 0: never
  int64_t rescan_ms;       // 30000: the store is asked for lanes that no notice named
  size_t max_trials;       // 2: tests of webhooks on their way at once
  const char *portal_url;  // base of links in chat messages, may be ""
  const char *user_agent;  // "Harbinger/VERSION"
};

// On the loop's thread, before it runs. `reader` is used on the loop's thread only; reads are point look-ups of rows that
// were just committed (tens of microseconds); anything longer is paged.
struct dispatch *dispatch_new(struct loop *loop, struct http_client *client, struct store *store,
                              struct store_conn *reader, const struct dispatch_config *config, const struct log *log,
                              struct metrics *metrics, struct error *err) MUST_CHECK;
int dispatch_start(struct dispatch *dispatch, struct error *err) MUST_CHECK; // picks up what waits in the store

// Any thread: commit notices. May drop them.
void dispatch_notify(struct dispatch *dispatch, const struct delivery_notice *notices, size_t len);
// Any thread but the loop's: these targets' waiting deliveries were cancelled. Returns when no request for them can leave
// any more, or after `max_wait_ms`. Requests whose first byte has left go on.
void dispatch_cancel(struct dispatch *dispatch, const int64_t *targets, size_t len, int64_t max_wait_ms);
// Any thread: targets were changed, added or resumed; look at the store again.
void dispatch_wake(struct dispatch *dispatch, const int64_t *targets, size_t len);
// Any thread: the store is broken or well again; nothing is claimed while it is broken.
void dispatch_store_health(struct dispatch *dispatch, bool healthy);

// Any thread: does this policy's receiver seem to cause what it is told of (echo.h)? False: no.
bool dispatch_loop_warning(struct dispatch *dispatch, int64_t policy_id, char words[static ECHO_WORDS_BYTES]);

// For tests of webhooks (trial.h), which go out from the same loop.
struct trials *dispatch_trials(struct dispatch *dispatch);

// Loop thread: claim nothing more, end tests at once; `on_drained` when nothing runs.
void dispatch_drain(struct dispatch *dispatch, void (*on_drained)(void *ctx), void *ctx);
// Running calls are cancelled. No attempt may be with the writer any more: after a drain, or after store_stop and running
// the loop until nothing is left.
void dispatch_free(struct dispatch *dispatch);

// The rules of this sender's retries, for explanations. Any thread; lives as long as the sender.
const struct retry_config *dispatch_retry(const struct dispatch *dispatch);

struct dispatch_lane_state { // for people: why is nothing sent?
  bool known;                // the lane has work
  bool paused;               // by 429/503, until `next_us`
  bool breaker_open;         // probing at `next_us`
  int running;
  int64_t next_us; // wall clock, 0 when nothing is scheduled
};
// Any thread but the loop's: a snapshot, asked of the loop. All zero when the lane has no work or the loop does not answer
// within a second.
void dispatch_lane_state(struct dispatch *dispatch, int64_t target_id, struct dispatch_lane_state *out);

#endif
