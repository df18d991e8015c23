// SPDX-License-Identifier: Apache-2.0
// One try of one delivery, for the files that make up the sender: sender.c starts it and hears what came back, sending_verdict.c
// decides what becomes of the delivery, sending_record.c sees the attempt into the store. Here its states and its one end.
// Loop thread only, but for the writer's `done`.
#ifndef HARBINGER_DISPATCH_SENDING_H
#define HARBINGER_DISPATCH_SENDING_H

#include "dispatch/request.h"
#include "dispatch/sender.h"

struct sending {
  struct list_node node; // in sender->lists[state]
  enum sending_state state;
  struct lane_running running;
  struct sender *sender;
  struct lane *lane;
  struct route *route;
  struct arena *arena; // holds this struct too
  struct http_call *call;
  struct delivery_notice notice;
  struct delivery_load load;
  struct request request;
  char format_key[FORMAT_KEY_BYTES];
  int64_t started_at_us, exchanging_since_us;
  bool limited;  // started on the share of suspect lanes
  bool probe;    // started with the breaker open
  bool arriving; // counts in sender->arriving while it connects
  struct store_write write;
  struct loop_task recorded;
  struct attempt_result result;
};

int64_t sending_wall_us(const struct sender *sender);

void sending_enter(struct sending *sending, enum sending_state state); // its first state list
void sending_move_to(struct sending *sending, enum sending_state state);
// Of one that was never entered.
void sending_free(struct sending *sending);
// The one end of every try that was entered. Does not settle the lane.
void sending_take_out(struct sending *sending);
void sending_release(struct sending *sending); // the same, and the lane and the sender are told

// What becomes of the delivery after this try: fills result's state, due time, words and what is asked about the target;
// the lane's breaker, pause and concurrency follow.
void sending_decide(struct sending *sending, const struct lane_report *report);

// Hand the result to the writer; when the store will not take it, keep it and hand it over again.
void sending_record(struct sending *sending);
void sending_on_recorded(struct loop_task *task);       // the writer has answered
void sending_on_record_timer(struct loop_timer *timer); // kept results are handed over again

#endif
