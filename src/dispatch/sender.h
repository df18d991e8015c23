// SPDX-License-Identifier: Apache-2.0
// One try of one delivery, from the claim to the confirmed commit of its attempt: load, render, send, judge, record,
// release. A try is in exactly one state list. It stays in its lane's running set until the store has the attempt; when
// the store is broken the record is kept and handed over again, so that nothing is sent twice without need, nor lost.
// Also the budgets: how many may connect and exchange at once. Loop thread only, but for the writer's `done`.
#ifndef HARBINGER_DISPATCH_SENDER_H
#define HARBINGER_DISPATCH_SENDER_H

#include "dispatch/echo.h"
#include "dispatch/fresh.h"
#include "dispatch/lane.h"

enum {
  SENDING_MAX_BYTES = 16 * 1024 * 1024, // of one try: event, body, what is recorded
  SENDER_SLOW_MS = 2000,                // an exchange older than this no longer counts as one of the fast ones
  SENDER_LIMITED_SHARE = 4,             // suspect and slow lanes get one in so many of the budgets
  SENDER_RECORD_RETRY_MS = 1000,        // an attempt that could not be recorded is handed over again
  SENDER_RECORDING_MAX = 256,           // with more waiting for their commit none starts: new events wait behind them
  SENDER_RECORDING_PROMPT = 64,         // beyond that, of lanes that owe nothing else
};

enum sending_state {
  SENDING_CONNECTING,
  SENDING_EXCHANGING,
  SENDING_SLOW,       // exchanging for longer than SENDER_SLOW_MS
  SENDING_RECORDING,  // with the writer
  SENDING_UNRECORDED, // the store would not take it
  SENDING_STATES,
};

enum { SENDER_OUTCOMES = 11 };

struct sender_metrics {
  struct metric *attempts[SENDER_OUTCOMES];
  struct metric *succeeded, *failed, *expired, *suspended_gone, *suspended_failing;
  struct metric *attempt_seconds;
};

struct sender {
  struct loop *loop;
  struct http_client *client;
  struct store *store;
  struct store_conn *reader;
  struct fresh_pool *fresh;
  struct echoes *echoes;
  const struct dispatch_config *config;
  const struct log *log;
  struct list lists[SENDING_STATES];
  size_t limited[SENDING_STATES]; // of them, tries of suspect and slow lanes
  // Connecting tries whose lane connected last time, of other [0] and of suspect and slow lanes [1]: they will exchange in
  // a moment, and nothing can hold them back then.
  size_t arriving[2];
  struct loop_timer slow_timer, record_timer;
  struct sender_metrics metrics;
  void (*on_released)(void *ctx); // room was made, or a try ended
  void *ctx;
};

// The members above `lists` and the callback are filled by the caller.
void sender_init(struct sender *sender, struct metrics *metrics);
// Requests on their way are cancelled. Nothing may be with the writer any more (see dispatch_free).
void sender_free(struct sender *sender);

// Do the budgets allow one more try of such a lane?
bool sender_has_room(const struct sender *sender, enum lane_state state);
size_t sender_running(const struct sender *sender);

// Try a claimed delivery. Whatever becomes of it, the lane knows; the caller settles the lane.
void sender_start(struct sender *sender, struct lane *lane, const struct delivery_notice *notice);
// Drop the lane's tries of which no byte has left.
void sender_cancel(struct sender *sender, struct lane *lane);
void sender_record_again(struct sender *sender); // the store is well again

#endif
