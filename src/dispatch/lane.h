// SPDX-License-Identifier: Apache-2.0
// A lane per target that has work, so that nobody waits for anybody: its own queue, pace, breaker and pause. A lane is
// in exactly one state list and lane_settle moves it; one timer each says when it has to be looked at again. Lanes are
// made when there is work and freed when there has been none for a moment. Loop thread only; `struct lanes` owns them.
#ifndef HARBINGER_DISPATCH_LANE_H
#define HARBINGER_DISPATCH_LANE_H

#include "base/list.h"
#include "base/map.h"
#include "dispatch/breaker.h"
#include "dispatch/dispatch.h"
#include "dispatch/route.h"
#include "dispatch/window.h"

enum {
  LANE_CLASSES = 4,       // prio: 0 first try, 1 first try of a pull, 2 retries 1 to 3, 3 later
  LANE_RETRY_CLASS = 2,   // the first class of retries: what comes before it is due at once
  LANE_MAX_ENTRIES = 256, // of the window per lane, so that one busy target does not take it all
  LANE_MAX_RUNNING = 64,  // on their way or waiting for the commit of their attempt
  LANE_REFILL_ROWS = 64,
  LANE_STORE_WAIT_MS = 1000, // after the store could not be read, or one of our own limits was met
  LANE_PROMPT_OWED = 2,      // a lane that owes so little, and nothing that waited, does not queue behind backlogs
  LANE_WINDOW_SHARE = 8,     // one in so many entries of the window is for lanes that owe as little
  LANE_LINGER_MS = 1000,     // an idle lane is kept so long: the next event of a busy target finds its route
};

enum lane_state {
  LANE_RESTING, // nothing due, or as much on its way as may be
  LANE_PROMPT,  // may send now, and owes nothing but what has just come
  LANE_READY,   // may send now
  LANE_LIMITED, // the same for suspect and slow lanes, which share a quarter of the budgets
  LANE_STATES,
};

// A delivery that has been claimed: in its lane's `running` until the commit of its attempt is confirmed.
struct lane_running {
  struct list_node node;
  int64_t delivery_id;
};

struct lanes {
  struct loop *loop;
  const struct dispatch_config *config;
  struct store_conn *reader;
  const struct log *log;
  struct window *window;
  struct map *by_target;
  struct list lists[LANE_STATES];
  size_t breakers_open;
  int64_t longest_wait_us; // of a retry
  // Lines about the store, our own limits and the name server, for all lanes together.
  struct log_pace unread, unrecorded, short_of, names;
  void (*on_ready)(void *ctx); // a lane may send: look at the lists soon
  void *ctx;
};

struct lane {
  int64_t target_id;
  struct lanes *lanes;
  struct list_node node; // in lanes->lists[state]
  struct loop_timer timer;
  struct list running; // struct lane_running
  struct window_queue classes[LANE_CLASSES];
  struct route *route;   // NULL until something is sent and again while it rests
  int64_t newest_id;     // the newest delivery that was taken into the window: a notice up to it tells nothing new
  int64_t head_id;       // while the breaker is open: the delivery that probes; 0: the next one will
  int64_t not_before_us; // monotonic: pause, probe, pace of chat targets, trouble of our own
  int64_t last_success_us;
  struct breaker breaker;
  uint32_t pause_ms;
  uint16_t entries; // in the window
  uint16_t active;  // requests on their way
  uint16_t concurrency, limit;
  uint8_t turn; // place in the order of classes
  uint8_t state;
  bool paused : 1;
  bool failing : 1;   // the last result was a failure
  bool slow : 1;      // the last exchange took longer than SENDER_SLOW_MS
  bool connects : 1;  // its last try got a connection
  bool expired : 1;   // its timer fires: an idle lane goes
  bool suspended : 1; // a 410 came; nothing is sent until the store has it
  bool queued : 1;    // owed more than LANE_PROMPT_OWED since it last owed nothing
  bool ordered : 1;   // strict order, as its route says: one at a time, to the commit of its attempt
};
_Static_assert(sizeof(struct lane) <= 256, "a target with work costs 256 bytes");

int lanes_init(struct lanes *lanes, struct error *err) MUST_CHECK; // the other members are filled by the caller
void lanes_free(struct lanes *lanes);                              // nothing may run any more
size_t lanes_count(const struct lanes *lanes);

struct lane *lane_find(struct lanes *lanes, int64_t target_id); // NULL when it has no work
// Find or make. NULL: max_lanes or no memory; the rescan finds the target again.
struct lane *lane_obtain(struct lanes *lanes, int64_t target_id) MUST_CHECK;

// Put it into the right list, set its timer. False when it had no work left and has been freed. After every change.
bool lane_settle(struct lane *lane);
// A delivery was committed. True: it is in the window, and will be claimed without asking the store.
bool lane_notice(struct lane *lane, const struct delivery_notice *notice);
void lane_ask_store(struct lane *lane);   // forget what the window holds and look at the store
void lane_forget_work(struct lane *lane); // nothing waits for this target: gone, disabled, suspended
void lane_forget_head(struct lane *lane, int64_t delivery_id); // it probes no more, if it did
void lane_wake(struct lane *lane);                             // its target was changed or resumed
void lane_hold_ms(struct lane *lane, int64_t wait_ms);
// Claim the next delivery that is due, by the weights of the classes. False: there is none, or the store cannot be read.
// The caller puts it into `running` or gives it back.
bool lane_take(struct lane *lane, struct delivery_notice *out) MUST_CHECK;
void lane_give_back(struct lane *lane, const struct delivery_notice *notice); // it was not sent
bool lane_is_limited(const struct lane *lane);

struct lane_report {
  struct retry_verdict verdict;
  int64_t retry_after_ms; // capped; -1 when absent
  bool probe;             // it was sent with the breaker open
};
// A request ended: concurrency, breaker and pause follow.
void lane_report(struct lane *lane, const struct lane_report *report);

#endif
