// SPDX-License-Identifier: Apache-2.0
#include "dispatch/sending.h"

int64_t sending_wall_us(const struct sender *sender) {
  return clock_wall_us(loop_clock(sender->loop));
}

void sending_enter(struct sending *sending, enum sending_state state) {
  struct sender *sender = sending->sender;
  sending->state = state;
  list_push_back(&sender->lists[state], &sending->node);
  sender->limited[state] += sending->limited;
  if (state == SENDING_CONNECTING)
    sender->arriving[sending->limited] += sending->arriving;
}

static void leave(struct sending *sending) {
  struct sender *sender = sending->sender;
  list_remove(&sender->lists[sending->state], &sending->node);
  sender->limited[sending->state] -= sending->limited;
  if (sending->state == SENDING_CONNECTING)
    sender->arriving[sending->limited] -= sending->arriving;
}

void sending_move_to(struct sending *sending, enum sending_state state) {
  leave(sending);
  sending_enter(sending, state);
}

void sending_free(struct sending *sending) {
  route_drop(sending->route);
  arena_free(sending->arena);
}

void sending_take_out(struct sending *sending) {
  leave(sending);
  list_remove(&sending->lane->running, &sending->running.node);
  sending_free(sending);
}

void sending_release(struct sending *sending) {
  struct sender *sender = sending->sender;
  struct lane *lane = sending->lane;
  sending_take_out(sending);
  (void)lane_settle(lane);
  sender->on_released(sender->ctx);
}
