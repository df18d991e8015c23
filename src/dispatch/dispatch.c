// SPDX-License-Identifier: Apache-2.0
#include "dispatch/dispatch.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/fault.h"
#include "dispatch/sender.h"
#include "dispatch/trial.h"

enum {
  PUMP_BATCH = 16,      // deliveries started in one go, then the loop looks at its sockets and at what is new
  PROMPT_TURNS = 4,     // in a row, then it is the turn of those that have a backlog
  RESCAN_PAGE = 256,    // targets read in one go
  STATE_WAIT_MS = 1000, // for a snapshot of a lane
  CLOCK_JUMP_US = 1000000,
  NOTICES_PERHAPS_CUT = 4096, // the store tells at most so many of one commit
};

struct dispatch_metrics {
  struct metric *lanes[LANE_STATES];
  struct metric *running, *breakers_open, *window, *notices_dropped;
};

struct dispatch {
  struct loop *loop;
  struct dispatch_config config;
  const struct log *log;
  struct lanes lanes;
  struct fresh_pool fresh;
  struct echoes *echoes;
  struct sender sender;
  struct trials *trials;
  struct loop_timer pump_timer, rescan_timer;
  int64_t rescan_after;    // target id that the pass has come to
  bool rescan_all;         // this pass asks the store for lanes that we have, too
  bool pass_failed;        // this pass could not make every lane
  bool complete;           // every target with work has a lane: what a notice names had no work before
  int64_t clock_offset_us; // wall clock minus monotonic at the last pass
  bool limited_turn;       // suspect lanes go first this time
  int prompt_turns;        // in a row
  bool draining;
  void (*on_drained)(void *ctx);
  void *drained_ctx;
  struct dispatch_metrics metrics;
  _Atomic bool healthy;
  _Atomic bool notices_lost;
};

// ---- messages from other threads ------------------------------------------------------------------------------------

// Where another thread waits for the loop. Both hold it, since the waiting may end first.
struct reply {
  atomic_int users;
  struct queue *queue;
  struct queue_node node;
  struct dispatch_lane_state state;
};

struct message {
  struct loop_task task; // task.run says which
  struct dispatch *dispatch;
  struct reply *reply; // NULL: nobody waits
  void *items;         // of this allocation
  size_t len;
};

static struct message *message_new(struct dispatch *dispatch, void (*run)(struct loop_task *task), const void *items,
                                   size_t len, size_t item_bytes) {
  size_t size;
  if (__builtin_mul_overflow(len, item_bytes, &size) || __builtin_add_overflow(size, sizeof(struct message), &size))
    return NULL;
  struct message *message = malloc(size);
  if (!message)
    return NULL;
  *message = (struct message){.task.run = run, .dispatch = dispatch, .items = message + 1, .len = len};
  if (items)
    memcpy(message->items, items, len * item_bytes);
  return message;
}

static struct reply *reply_new(void) {
  struct reply *reply = calloc(1, sizeof(*reply));
  if (!reply)
    return NULL;
  atomic_init(&reply->users, 2);
  reply->queue = queue_new(1);
  if (reply->queue)
    return reply;
  free(reply);
  return NULL;
}

static void reply_drop(struct reply *reply) {
  if (atomic_fetch_sub(&reply->users, 1) != 1)
    return;
  (void)queue_take_all(reply->queue);
  queue_free(reply->queue);
  free(reply);
}

static void message_end(struct message *message) {
  struct reply *reply = message->reply;
  if (reply) {
    // The queue is open and has room for exactly this one.
    if (queue_push(reply->queue, &reply->node) != 0)
      abort();
    reply_drop(reply);
  }
  free(message);
}

// Post and wait until the loop has run it. False: it did not in time, or there is no memory.
static bool ask_loop(struct dispatch *dispatch, struct message *message, int64_t max_wait_ms,
                     struct dispatch_lane_state *state) {
  struct reply *reply = message ? reply_new() : NULL;
  if (!reply) {
    log_error(dispatch->log, "dispatch", "no memory for a message to the sending loop");
    free(message);
    return false;
  }
  message->reply = reply;
  // Reserved: those who ask are as many as there are threads that can wait.
  if (loop_post_reserved(dispatch->loop, &message->task) != 0) {
    reply_drop(reply);
    reply_drop(reply);
    free(message);
    return false;
  }
  bool answered = queue_wait(reply->queue, max_wait_ms < INT32_MAX ? (int)max_wait_ms : INT32_MAX);
  if (answered && state)
    *state = reply->state;
  reply_drop(reply);
  return answered;
}

// ---- sending --------------------------------------------------------------------------------------------------------

static void pump_soon(void *ctx) {
  struct dispatch *dispatch = ctx;
  if (dispatch->pump_timer.entry.index == 0)
    loop_timer_set(dispatch->loop, &dispatch->pump_timer, loop_now_us(dispatch->loop));
}

static void show_metrics(struct dispatch *dispatch) {
  const struct lanes *lanes = &dispatch->lanes;
  for (int i = 0; i < LANE_STATES; i++)
    metric_set(dispatch->metrics.lanes[i], (int64_t)lanes->lists[i].count);
  metric_set(dispatch->metrics.running, (int64_t)sender_running(&dispatch->sender));
  metric_set(dispatch->metrics.breakers_open, (int64_t)lanes->breakers_open);
  metric_set(dispatch->metrics.window, (int64_t)window_used(lanes->window));
}

static struct lane *first_with_room(struct dispatch *dispatch, enum lane_state state) {
  struct list_node *node = list_first(&dispatch->lanes.lists[state]);
  if (!node || !sender_has_room(&dispatch->sender, state))
    return NULL;
  return CONTAINER_OF(node, struct lane, node);
}

// The lists take turns, and the lanes of a list do. Of five turns one is left to those that have a backlog, however many
// others there are.
static struct lane *next_lane(struct dispatch *dispatch) {
  if (dispatch->draining || !atomic_load(&dispatch->healthy))
    return NULL;
  bool prompt_may = dispatch->prompt_turns < PROMPT_TURNS;
  struct lane *lane = prompt_may ? first_with_room(dispatch, LANE_PROMPT) : NULL;
  if (!lane)
    lane = first_with_room(dispatch, dispatch->limited_turn ? LANE_LIMITED : LANE_READY);
  if (!lane)
    lane = first_with_room(dispatch, dispatch->limited_turn ? LANE_READY : LANE_LIMITED);
  return lane || prompt_may ? lane : first_with_room(dispatch, LANE_PROMPT);
}

static void take_turn(struct dispatch *dispatch, struct lane *lane) {
  struct list *list = &dispatch->lanes.lists[lane->state];
  struct delivery_notice notice;
  if (lane->state == LANE_PROMPT) {
    dispatch->prompt_turns += dispatch->prompt_turns < PROMPT_TURNS;
  } else {
    dispatch->prompt_turns = 0;
    dispatch->limited_turn = lane->state != LANE_LIMITED;
  }
  list_remove(list, &lane->node);
  list_push_back(list, &lane->node);
  if (lane_take(lane, &notice))
    sender_start(&dispatch->sender, lane, &notice);
  (void)lane_settle(lane);
}

static void tell_drained(struct dispatch *dispatch) {
  void (*on_drained)(void *ctx) = dispatch->on_drained;
  if (!dispatch->draining || !on_drained || sender_running(&dispatch->sender) > 0)
    return;
  dispatch->on_drained = NULL;
  on_drained(dispatch->drained_ctx);
}

static void on_pump(struct loop_timer *timer) {
  struct dispatch *dispatch = CONTAINER_OF(timer, struct dispatch, pump_timer);
  struct lane *lane;
  for (int i = 0; i < PUMP_BATCH && (lane = next_lane(dispatch)) != NULL; i++)
    take_turn(dispatch, lane);
  // lane_settle may have set the timer for the turn that was just taken; without work or room it would spin.
  if (next_lane(dispatch))
    pump_soon(dispatch);
  else
    loop_timer_cancel(dispatch->loop, timer);
  show_metrics(dispatch);
  tell_drained(dispatch);
}

// ---- looking at the store -------------------------------------------------------------------------------------------

static void rescan_at(struct dispatch *dispatch, int64_t wait_ms) {
  loop_timer_set(dispatch->loop, &dispatch->rescan_timer, loop_now_us(dispatch->loop) + wait_ms * US_PER_MS);
}

static bool look_at(struct dispatch *dispatch, int64_t target_id) {
  struct lane *lane = lane_find(&dispatch->lanes, target_id);
  if (lane && !dispatch->rescan_all)
    return true;
  if (!lane)
    lane = lane_obtain(&dispatch->lanes, target_id);
  if (!lane)
    return false;
  lane_ask_store(lane);
  (void)lane_settle(lane);
  return true;
}

static int rescan_page(struct dispatch *dispatch, struct error *err) {
  int64_t targets[RESCAN_PAGE];
  size_t len;
  if (dispatch->rescan_after == 0)
    dispatch->pass_failed = false;
  int64_t after = dispatch->rescan_after;
  int rc = delivery_lanes(dispatch->lanes.reader, &after, targets, RESCAN_PAGE, &len, err);
  if (rc != 0)
    return rc;
  bool more = after != 0;
  for (size_t i = 0; i < len; i++) {
    if (!look_at(dispatch, targets[i])) {
      log_warn(dispatch->log, "dispatch", "%zu targets have work already; the others wait",
               lanes_count(&dispatch->lanes));
      more = false;
      dispatch->pass_failed = true;
      break;
    }
  }
  dispatch->rescan_after = more ? after : 0;
  if (!more) {
    dispatch->rescan_all = false;
    dispatch->complete = !dispatch->pass_failed;
  }
  rescan_at(dispatch, more ? 0 : dispatch->config.rescan_ms);
  return 0;
}

// Due times are wall clock, timers monotonic: when the wall clock was set, what rests has to be timed again.
static void heed_clock(struct dispatch *dispatch) {
  int64_t offset_us = clock_wall_us(loop_clock(dispatch->loop)) - loop_now_us(dispatch->loop);
  int64_t moved_us = offset_us - dispatch->clock_offset_us;
  if (moved_us < CLOCK_JUMP_US && moved_us > -CLOCK_JUMP_US)
    return;
  dispatch->clock_offset_us = offset_us;
  LIST_EACH (&dispatch->lanes.lists[LANE_RESTING], node, following) {
    (void)lane_settle(CONTAINER_OF(node, struct lane, node));
  }
}

static void heed_lost_notices(struct dispatch *dispatch) {
  if (!atomic_exchange(&dispatch->notices_lost, false))
    return;
  dispatch->rescan_all = true;
  dispatch->rescan_after = 0;
  rescan_at(dispatch, 0);
}

static void on_rescan(struct loop_timer *timer) {
  struct dispatch *dispatch = CONTAINER_OF(timer, struct dispatch, rescan_timer);
  struct error err;
  heed_clock(dispatch);
  pump_soon(dispatch);
  if (atomic_exchange(&dispatch->notices_lost, false)) {
    dispatch->rescan_all = true;
    dispatch->rescan_after = 0;
  }
  if (rescan_page(dispatch, &err) == 0)
    return;
  if (log_pace(dispatch->log, &dispatch->lanes.unread))
    log_error(dispatch->log, "dispatch", "cannot read which targets have work: %s", err.text);
  rescan_at(dispatch, dispatch->config.rescan_ms);
}

// ---- what other threads say -----------------------------------------------------------------------------------------

// A notice and the event that came with it; one allocation holds the notices of a commit.
struct noticed {
  struct delivery_notice notice;
  struct fresh *fresh; // NULL: the store has it
};

static void heed_notice(struct dispatch *dispatch, const struct noticed *noticed) {
  const struct delivery_notice *notice = &noticed->notice;
  bool is_new = lane_find(&dispatch->lanes, notice->target_id) == NULL;
  struct lane *lane = lane_obtain(&dispatch->lanes, notice->target_id);
  if (!lane) {
    dispatch->pass_failed = true; // the rescan finds it
    dispatch->complete = false;
    fresh_drop(&dispatch->fresh, noticed->fresh);
    return;
  }
  if (is_new && !dispatch->complete)
    lane_ask_store(lane);
  if (!lane_notice(lane, notice))
    fresh_drop(&dispatch->fresh, noticed->fresh);
  else if (noticed->fresh)
    fresh_keep(&dispatch->fresh, noticed->fresh);
  (void)lane_settle(lane);
}

static void run_notices(struct loop_task *task) {
  struct message *message = CONTAINER_OF(task, struct message, task);
  struct dispatch *dispatch = message->dispatch;
  const struct noticed *noticed = message->items;
  for (size_t i = 0; i < message->len; i++)
    heed_notice(dispatch, &noticed[i]);
  heed_lost_notices(dispatch);
  message_end(message);
}

static struct message *message_of_notices(struct dispatch *dispatch, const struct delivery_notice *notices,
                                          size_t len) {
  struct message *message = message_new(dispatch, run_notices, NULL, len, sizeof(struct noticed));
  struct noticed *noticed = message ? message->items : NULL;
  for (size_t i = 0; message && i < len; i++) {
    noticed[i] = (struct noticed){.notice = notices[i], .fresh = fresh_make(&dispatch->fresh, &notices[i])};
    noticed[i].notice.event = NULL; // the writer's, and gone in a moment
  }
  return message;
}

static void drop_notices(struct dispatch *dispatch, struct message *message) {
  const struct noticed *noticed = message ? message->items : NULL;
  for (size_t i = 0; message && i < message->len; i++)
    fresh_drop(&dispatch->fresh, noticed[i].fresh);
  free(message);
}

void dispatch_notify(struct dispatch *dispatch, const struct delivery_notice *notices, size_t len) {
  if (len == 0)
    return;
  FAULT_POINT("dispatch.notice.before");
  struct message *message = message_of_notices(dispatch, notices, len);
  if (len >= NOTICES_PERHAPS_CUT)
    atomic_store(&dispatch->notices_lost, true);
  if (message && !FAULT_PLANTED("drop_notices") && loop_post(dispatch->loop, &message->task) == 0) {
    FAULT_POINT("dispatch.notice.after");
    return;
  }
  drop_notices(dispatch, message);
  metric_add(dispatch->metrics.notices_dropped, (int64_t)len);
  atomic_store(&dispatch->notices_lost, true);
}

static void run_cancel(struct loop_task *task) {
  struct message *message = CONTAINER_OF(task, struct message, task);
  const int64_t *targets = message->items;
  for (size_t i = 0; i < message->len; i++) {
    struct lane *lane = lane_find(&message->dispatch->lanes, targets[i]);
    if (!lane)
      continue;
    sender_cancel(&message->dispatch->sender, lane);
    lane_wake(lane); // whatever it knew is read again, with the target's cancel_below
    (void)lane_settle(lane);
  }
  message_end(message);
}

void dispatch_cancel(struct dispatch *dispatch, const int64_t *targets, size_t len, int64_t max_wait_ms) {
  if (len == 0)
    return;
  struct message *message = message_new(dispatch, run_cancel, targets, len, sizeof(*targets));
  if (!ask_loop(dispatch, message, max_wait_ms, NULL))
    log_warn(dispatch->log, "dispatch", "the sending loop did not take a cancel of %zu targets in time", len);
}

static void run_wake(struct loop_task *task) {
  struct message *message = CONTAINER_OF(task, struct message, task);
  struct dispatch *dispatch = message->dispatch;
  const int64_t *targets = message->items;
  for (size_t i = 0; i < message->len; i++) {
    struct lane *lane = lane_obtain(&dispatch->lanes, targets[i]);
    if (!lane) {
      dispatch->pass_failed = true;
      dispatch->complete = false;
      continue;
    }
    lane_wake(lane);
    (void)lane_settle(lane);
  }
  message_end(message);
}

void dispatch_wake(struct dispatch *dispatch, const int64_t *targets, size_t len) {
  if (len == 0)
    return;
  struct message *message = message_new(dispatch, run_wake, targets, len, sizeof(*targets));
  if (message && loop_post(dispatch->loop, &message->task) == 0)
    return;
  free(message);
  atomic_store(&dispatch->notices_lost, true); // the rescan looks at every target
}

static void run_health(struct loop_task *task) {
  struct message *message = CONTAINER_OF(task, struct message, task);
  struct dispatch *dispatch = message->dispatch;
  if (atomic_load(&dispatch->healthy))
    sender_record_again(&dispatch->sender);
  pump_soon(dispatch);
  message_end(message);
}

void dispatch_store_health(struct dispatch *dispatch, bool healthy) {
  atomic_store(&dispatch->healthy, healthy);
  struct message *message = message_new(dispatch, run_health, NULL, 0, 0);
  // Lost, it costs time only: kept records and ready lanes have timers of their own.
  if (message && loop_post_reserved(dispatch->loop, &message->task) != 0)
    free(message);
}

static void run_state(struct loop_task *task) {
  struct message *message = CONTAINER_OF(task, struct message, task);
  struct dispatch *dispatch = message->dispatch;
  const int64_t *target_id = message->items;
  const struct lane *lane = lane_find(&dispatch->lanes, *target_id);
  if (lane) {
    int64_t now_us = loop_now_us(dispatch->loop);
    int64_t offset_us = clock_wall_us(loop_clock(dispatch->loop)) - now_us;
    message->reply->state = (struct dispatch_lane_state){
        .known = true,
        .paused = lane->paused && lane->not_before_us > now_us,
        .breaker_open = lane->breaker.open,
        .running = (int)lane->running.count,
        .next_us = lane->timer.entry.index != 0 ? lane->timer.entry.at_us + offset_us : 0,
    };
  }
  message_end(message);
}

const struct retry_config *dispatch_retry(const struct dispatch *dispatch) {
  return &dispatch->config.retry;
}

void dispatch_lane_state(struct dispatch *dispatch, int64_t target_id, struct dispatch_lane_state *out) {
  *out = (struct dispatch_lane_state){0};
  struct message *message = message_new(dispatch, run_state, &target_id, 1, sizeof(target_id));
  (void)ask_loop(dispatch, message, STATE_WAIT_MS, out);
}

// ---- life -----------------------------------------------------------------------------------------------------------

static void init_metrics(struct dispatch_metrics *out, struct metrics *metrics) {
  static const char *const LABELS[LANE_STATES] = {
      [LANE_RESTING] = "state=\"resting\"",
      [LANE_PROMPT] = "state=\"prompt\"",
      [LANE_READY] = "state=\"ready\"",
      [LANE_LIMITED] = "state=\"limited\"",
  };
  for (int i = 0; i < LANE_STATES; i++)
    out->lanes[i] = metrics_gauge(metrics, "harbinger_lanes", LABELS[i], "Targets with work, by what they do.");
  out->running = metrics_gauge(metrics, "harbinger_deliveries_running", "",
                               "Deliveries on their way or waiting for the commit of their attempt.");
  out->breakers_open =
      metrics_gauge(metrics, "harbinger_breakers_open", "", "Targets of which only the head is tried.");
  out->window = metrics_gauge(metrics, "harbinger_window_deliveries", "", "Waiting deliveries that memory knows.");
  out->notices_dropped = metrics_counter(metrics, "harbinger_notices_dropped_total", "",
                                         "Commit notices dropped; the store is asked then.");
}

struct dispatch *dispatch_new(struct loop *loop, struct http_client *client, struct store *store,
                              struct store_conn *reader, const struct dispatch_config *config, const struct log *log,
                              struct metrics *metrics, struct error *err) {
  struct dispatch *dispatch = calloc(1, sizeof(*dispatch));
  if (!dispatch) {
    error_set(err, ERR_NO_MEMORY, "no memory for sending");
    return NULL;
  }
  dispatch->loop = loop;
  dispatch->config = *config;
  dispatch->log = log;
  dispatch->pump_timer.on_fire = on_pump;
  dispatch->rescan_timer.on_fire = on_rescan;
  dispatch->clock_offset_us = clock_wall_us(loop_clock(loop)) - clock_mono_us(loop_clock(loop));
  atomic_init(&dispatch->healthy, true);
  atomic_init(&dispatch->notices_lost, false);
  dispatch->lanes = (struct lanes){.loop = loop, .config = &dispatch->config, .reader = reader, .log = log};
  dispatch->lanes.on_ready = pump_soon;
  dispatch->lanes.ctx = dispatch;
  dispatch->sender = (struct sender){.loop = loop,
                                     .client = client,
                                     .store = store,
                                     .reader = reader,
                                     .fresh = &dispatch->fresh,
                                     .config = &dispatch->config,
                                     .log = log};
  dispatch->sender.on_released = pump_soon;
  dispatch->sender.ctx = dispatch;
  sender_init(&dispatch->sender, metrics);
  init_metrics(&dispatch->metrics, metrics);
  const struct trials_config trials = {.loop = loop, .client = client, .dispatch = &dispatch->config, .log = log};
  dispatch->trials = trials_new(&trials, err);
  dispatch->echoes = dispatch->sender.echoes = echoes_new(log, metrics);
  if (dispatch->trials && !dispatch->echoes)
    error_set(err, ERR_NO_MEMORY, "no memory for sending");
  if (dispatch->trials && dispatch->echoes &&
      fresh_init(&dispatch->fresh, config->max_fresh, SENDING_MAX_BYTES, err) == 0 &&
      lanes_init(&dispatch->lanes, err) == 0)
    return dispatch;
  fresh_free(&dispatch->fresh);
  echoes_free(dispatch->echoes);
  trials_free(dispatch->trials);
  free(dispatch);
  return NULL;
}

bool dispatch_loop_warning(struct dispatch *dispatch, int64_t policy_id, char words[static ECHO_WORDS_BYTES]) {
  return echoes_warning(dispatch->echoes, policy_id, clock_wall_us(loop_clock(dispatch->loop)), words);
}

struct trials *dispatch_trials(struct dispatch *dispatch) {
  return dispatch->trials;
}

int dispatch_start(struct dispatch *dispatch, struct error *err) {
  return rescan_page(dispatch, err);
}

void dispatch_drain(struct dispatch *dispatch, void (*on_drained)(void *ctx), void *ctx) {
  dispatch->draining = true;
  dispatch->on_drained = on_drained;
  dispatch->drained_ctx = ctx;
  trials_close(dispatch->trials); // a person is told at once; a pool thread must not wait for a receiver
  pump_soon(dispatch);
}

void dispatch_free(struct dispatch *dispatch) {
  if (!dispatch)
    return;
  trials_close(dispatch->trials);
  trials_free(dispatch->trials);
  sender_free(&dispatch->sender);
  fresh_free(&dispatch->fresh);
  echoes_free(dispatch->echoes);
  lanes_free(&dispatch->lanes);
  loop_timer_cancel(dispatch->loop, &dispatch->pump_timer);
  loop_timer_cancel(dispatch->loop, &dispatch->rescan_timer);
  free(dispatch);
}
