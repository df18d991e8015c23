// SPDX-License-Identifier: Apache-2.0
#include "dispatch/lane.h"

#include <stdlib.h>

static const int64_t SUSPECT_AFTER_US = INT64_C(24) * 3600 * US_PER_S;

// 4:2:1:1, spread out. A class without work gives its turn to the next.
static const uint8_t CLASS_ORDER[] = {0, 1, 0, 2, 0, 1, 0, 3};

static int64_t wall_us(const struct lanes *lanes) {
  return clock_wall_us(loop_clock(lanes->loop));
}

// The longest wait that anything of ours gives a retry.
static int64_t longest_wait_us(const struct dispatch_config *config) {
  const struct retry_config *retry = &config->retry;
  int64_t longest_ms =
      retry->retry_after_cap_ms > retry->pause_max_ms ? retry->retry_after_cap_ms : retry->pause_max_ms;
  if (config->probe_max_ms > longest_ms)
    longest_ms = config->probe_max_ms;
  for (size_t i = 0; i < retry->steps_len; i++)
    longest_ms = retry->steps_ms[i] > longest_ms ? retry->steps_ms[i] : longest_ms;
  return longest_ms * US_PER_MS;
}

// Due times are wall clock, which may have been set back since: a first try is due as soon as it is there, and what is
// further away than any wait of ours was timed by a clock that ran ahead.
static bool is_due(const struct lanes *lanes, int prio, int64_t due_us) {
  int64_t now_us = wall_us(lanes);
  if (due_us == WINDOW_NOTHING)
    return false;
  return due_us <= now_us || prio < LANE_RETRY_CLASS || due_us > now_us + lanes->longest_wait_us;
}

static bool is_running(const struct lane *lane, int64_t delivery_id) {
  LIST_EACH (&lane->running, node, following) {
    if (CONTAINER_OF(node, struct lane_running, node)->delivery_id == delivery_id)
      return true;
  }
  return false;
}

static void move_to(struct lane *lane, enum lane_state state) {
  list_remove(&lane->lanes->lists[lane->state], &lane->node);
  lane->state = (uint8_t)state;
  list_push_back(&lane->lanes->lists[state], &lane->node);
}

static void forget_window(struct lane *lane) {
  for (int i = 0; i < LANE_CLASSES; i++)
    lane->entries = (uint16_t)(lane->entries - window_forget(lane->lanes->window, &lane->classes[i]));
}

static void lane_free(struct lane *lane) {
  struct lanes *lanes = lane->lanes;
  forget_window(lane);
  loop_timer_cancel(lanes->loop, &lane->timer);
  route_drop(lane->route);
  list_remove(&lanes->lists[lane->state], &lane->node);
  if (lane->breaker.open)
    lanes->breakers_open--;
  (void)map_remove(lanes->by_target, MAP_KEY(lane->target_id));
  free(lane);
}

static void on_lane_timer(struct loop_timer *timer) {
  struct lane *lane = CONTAINER_OF(timer, struct lane, timer);
  lane->expired = true;
  if (lane_settle(lane))
    lane->expired = false;
}

int lanes_init(struct lanes *lanes, struct error *err) {
  for (int i = 0; i < LANE_STATES; i++)
    list_init(&lanes->lists[i]);
  lanes->longest_wait_us = longest_wait_us(lanes->config);
  lanes->window = window_new(lanes->config->window);
  lanes->by_target = map_new(lanes->config->max_lanes);
  if (lanes->window && lanes->by_target)
    return 0;
  window_free(lanes->window);
  map_free(lanes->by_target);
  return error_set(err, ERR_NO_MEMORY, "no memory for a window of %zu deliveries", lanes->config->window);
}

void lanes_free(struct lanes *lanes) {
  for (int i = 0; i < LANE_STATES; i++) {
    struct list_node *node;
    while ((node = list_first(&lanes->lists[i])) != NULL)
      lane_free(CONTAINER_OF(node, struct lane, node));
  }
  window_free(lanes->window);
  map_free(lanes->by_target);
}

size_t lanes_count(const struct lanes *lanes) {
  return map_count(lanes->by_target);
}

struct lane *lane_find(struct lanes *lanes, int64_t target_id) {
  return map_get(lanes->by_target, MAP_KEY(target_id));
}

struct lane *lane_obtain(struct lanes *lanes, int64_t target_id) {
  struct lane *lane = lane_find(lanes, target_id);
  if (lane)
    return lane;
  lane = calloc(1, sizeof(*lane));
  if (!lane)
    return NULL;
  lane->target_id = target_id;
  lane->lanes = lanes;
  lane->timer.on_fire = on_lane_timer;
  lane->concurrency = 1;
  lane->limit = 1; // until its target is known
  list_init(&lane->running);
  for (int i = 0; i < LANE_CLASSES; i++)
    window_queue_init(&lane->classes[i]);
  if (map_put(lanes->by_target, MAP_KEY(target_id), lane) != 0) {
    free(lane);
    return NULL;
  }
  list_push_back(&lanes->lists[LANE_RESTING], &lane->node);
  return lane;
}

static bool is_probing(const struct lane *lane) {
  return lane->breaker.open && lane->head_id != 0;
}

// Monotonic time from which the lane has something to send; WINDOW_NOTHING when it has nothing.
static int64_t work_us(const struct lane *lane) {
  int64_t due_us = WINDOW_NOTHING, now_us = loop_now_us(lane->lanes->loop), now_wall_us = wall_us(lane->lanes);
  for (int i = 0; i < LANE_CLASSES; i++) {
    int64_t class_us = window_next_us(&lane->classes[i]);
    if (is_due(lane->lanes, i, class_us))
      class_us = WINDOW_ASK; // long ago
    due_us = class_us < due_us ? class_us : due_us;
  }
  if (is_probing(lane))
    due_us = now_wall_us;
  if (due_us == WINDOW_NOTHING)
    return WINDOW_NOTHING;
  int64_t at_us = due_us <= now_wall_us ? now_us : now_us + (due_us - now_wall_us);
  return at_us > lane->not_before_us ? at_us : lane->not_before_us;
}

static bool has_room(const struct lane *lane) {
  if (lane->breaker.open || lane->ordered)
    return lane->running.count == 0;
  return lane->active < lane->concurrency && lane->running.count < LANE_MAX_RUNNING;
}

static void rest(struct lane *lane, int64_t until_us) {
  if (lane->state != LANE_RESTING)
    move_to(lane, LANE_RESTING);
  if (until_us == WINDOW_NOTHING)
    loop_timer_cancel(lane->lanes->loop, &lane->timer);
  else if (lane->timer.entry.index == 0 || lane->timer.entry.at_us != until_us)
    loop_timer_set(lane->lanes->loop, &lane->timer, until_us);
  bool sleeps = until_us - loop_now_us(lane->lanes->loop) > LANE_LINGER_MS * US_PER_MS;
  if (sleeps && lane->running.count == 0) { // secrets and memory are not kept for it
    route_drop(lane->route);
    lane->route = NULL;
  }
}

// With a thousand lanes in front of it a new event of an idle target would wait for a thousand deliveries of backlogs.
// Only first tries that the window holds, and few of them with what is on its way: a target that wants more, or whose
// deliveries have waited, queues with the others until it owes nothing.
static bool is_prompt(const struct lane *lane) {
  if (lane->entries == 0 || lane->entries + lane->running.count > LANE_PROMPT_OWED)
    return false;
  for (int i = 0; i < LANE_CLASSES; i++) {
    const struct window_queue *queue = &lane->classes[i];
    if ((i >= LANE_RETRY_CLASS && queue->first) || is_due(lane->lanes, i, queue->store_due_us))
      return false;
  }
  return true;
}

static enum lane_state state_to_send(struct lane *lane) {
  if (!is_prompt(lane))
    lane->queued = true;
  if (lane_is_limited(lane))
    return LANE_LIMITED;
  return lane->queued ? LANE_READY : LANE_PROMPT;
}

bool lane_settle(struct lane *lane) {
  struct lanes *lanes = lane->lanes;
  int64_t now_us = loop_now_us(lanes->loop);
  if (lane->not_before_us <= now_us)
    lane->paused = false;
  if (lane->suspended || !has_room(lane)) {
    rest(lane, WINDOW_NOTHING); // what is on its way settles it again
    return true;
  }
  int64_t at_us = work_us(lane);
  if (at_us <= now_us) {
    loop_timer_cancel(lanes->loop, &lane->timer);
    enum lane_state state = state_to_send(lane);
    if (lane->state != state)
      move_to(lane, state);
    lanes->on_ready(lanes->ctx);
    return true;
  }
  if (at_us == WINDOW_NOTHING && lane->running.count == 0) {
    lane->queued = false;
    if (lane->expired && lane->not_before_us <= now_us) {
      lane_free(lane);
      return false;
    }
    at_us = now_us + LANE_LINGER_MS * US_PER_MS;
    if (at_us < lane->not_before_us)
      at_us = lane->not_before_us; // a pause outlives the work it stopped
  }
  rest(lane, at_us);
  return true;
}

// A few hundred backlogs would fill the window, and a new event of another lane would be known to the store alone: a share
// is kept for what has just come for lanes that owe little.
static bool window_has_room(const struct lane *lane, bool just_came) {
  size_t max = lane->lanes->config->window;
  size_t kept = just_came && lane->entries < LANE_PROMPT_OWED ? 0 : max / LANE_WINDOW_SHARE;
  return lane->entries < LANE_MAX_ENTRIES && window_used(lane->lanes->window) + kept < max;
}

static bool may_queue(const struct lane *lane, const struct delivery_notice *notice) {
  const struct window_queue *queue = &lane->classes[notice->prio];
  return is_due(lane->lanes, notice->prio, notice->due_us) && notice->delivery_id > lane->newest_id &&
         notice->due_us < queue->store_due_us && !lane->breaker.open && !lane->paused && !lane->suspended &&
         window_has_room(lane, true);
}

static void saw(struct lane *lane, int64_t delivery_id) {
  if (delivery_id > lane->newest_id)
    lane->newest_id = delivery_id;
}

bool lane_notice(struct lane *lane, const struct delivery_notice *notice) {
  if (notice->prio < 0 || notice->prio >= LANE_CLASSES || is_running(lane, notice->delivery_id))
    return false;
  struct window_queue *queue = &lane->classes[notice->prio];
  if (may_queue(lane, notice) && window_push(lane->lanes->window, queue, notice->delivery_id, notice->due_us)) {
    lane->entries++;
    saw(lane, notice->delivery_id);
    return true;
  }
  window_in_store(queue, notice->due_us);
  return false;
}

void lane_ask_store(struct lane *lane) {
  forget_window(lane);
  for (int i = 0; i < LANE_CLASSES; i++)
    lane->classes[i].store_due_us = WINDOW_ASK;
}

void lane_forget_work(struct lane *lane) {
  forget_window(lane);
  for (int i = 0; i < LANE_CLASSES; i++)
    lane->classes[i].store_due_us = WINDOW_NOTHING;
  lane->head_id = 0;
}

void lane_forget_head(struct lane *lane, int64_t delivery_id) {
  if (lane->head_id == delivery_id)
    lane->head_id = 0;
}

void lane_wake(struct lane *lane) {
  route_drop(lane->route);
  lane->route = NULL;
  lane->ordered = false; // its route will say
  if (lane->breaker.open && !lane->paused)
    lane->not_before_us = 0; // perhaps it was mended: the head probes now
  lane_ask_store(lane);
}

void lane_hold_ms(struct lane *lane, int64_t wait_ms) {
  int64_t until_us = loop_now_us(lane->lanes->loop) + wait_ms * US_PER_MS;
  if (until_us > lane->not_before_us)
    lane->not_before_us = until_us;
}

// One page of the class from the store: the first row that is not running goes to *out, the others that are due into the
// window while there is room. False when the page held nothing to send and another one may.
static bool take_page(struct lane *lane, int prio, const struct delivery_notice *rows, size_t len,
                      struct delivery_notice *out) {
  struct window_queue *queue = &lane->classes[prio];
  for (size_t i = 0; i < len; i++) {
    const struct delivery_notice *row = &rows[i];
    if (is_running(lane, row->delivery_id))
      continue;
    if (!is_due(lane->lanes, prio, row->due_us)) {
      window_in_store(queue, row->due_us);
      return true;
    }
    if (out->delivery_id == 0) {
      *out = *row;
    } else if (window_has_room(lane, false) && window_push(lane->lanes->window, queue, row->delivery_id, row->due_us)) {
      lane->entries++;
    } else {
      window_in_store(queue, row->due_us);
      return true;
    }
    saw(lane, row->delivery_id);
  }
  if (len < LANE_REFILL_ROWS)
    return true;
  if (out->delivery_id != 0)
    window_in_store(queue, rows[len - 1].due_us); // the next row is not before it
  return out->delivery_id != 0;
}

// Read the class again from its start; what the window held of it is in the store too.
static int refill(struct lane *lane, int prio, struct delivery_notice *out) {
  struct window_queue *queue = &lane->classes[prio];
  struct delivery_notice rows[LANE_REFILL_ROWS];
  int64_t after_due_us = INT64_MIN, after_id = 0;
  struct error err;
  size_t len;
  lane->entries = (uint16_t)(lane->entries - window_forget(lane->lanes->window, queue));
  queue->store_due_us = WINDOW_NOTHING;
  out->delivery_id = 0;
  // Pages full of deliveries that run already are few: LANE_MAX_RUNNING bounds them.
  for (;;) {
    int rc = delivery_next(lane->lanes->reader, lane->target_id, prio, after_due_us, after_id, rows, LANE_REFILL_ROWS,
                           &len, &err);
    if (rc != 0) {
      if (log_pace(lane->lanes->log, &lane->lanes->unread))
        log_error(lane->lanes->log, "dispatch", "cannot read what waits for target %lld: %s",
                  (long long)lane->target_id, err.text);
      queue->store_due_us = WINDOW_ASK;
      lane_hold_ms(lane, LANE_STORE_WAIT_MS);
      return rc;
    }
    if (take_page(lane, prio, rows, len, out))
      return 0;
    after_due_us = rows[len - 1].due_us;
    after_id = rows[len - 1].delivery_id;
  }
}

// 1: taken, 0: nothing due, negative: the store.
static int take_class(struct lane *lane, int prio, struct delivery_notice *out) {
  struct window_queue *queue = &lane->classes[prio];
  if (!is_due(lane->lanes, prio, window_next_us(queue)))
    return 0;
  if (!window_front_is_next(queue)) {
    int rc = refill(lane, prio, out);
    return rc != 0 ? rc : out->delivery_id != 0;
  }
  if (!window_pop(lane->lanes->window, queue, &out->delivery_id, &out->due_us))
    return 0;
  lane->entries--;
  return 1;
}

bool lane_take(struct lane *lane, struct delivery_notice *out) {
  *out = (struct delivery_notice){.target_id = lane->target_id};
  if (is_probing(lane)) {
    out->delivery_id = lane->head_id;
    return true;
  }
  unsigned seen = 0;
  for (size_t i = 0; i < ARRAY_LEN(CLASS_ORDER); i++) {
    size_t slot = (lane->turn + i) % ARRAY_LEN(CLASS_ORDER);
    int prio = CLASS_ORDER[slot];
    if (seen & (1U << prio))
      continue;
    seen |= 1U << prio;
    int taken = take_class(lane, prio, out);
    if (taken < 0)
      return false;
    if (taken == 0)
      continue;
    out->target_id = lane->target_id;
    out->prio = prio;
    lane->turn = (uint8_t)((slot + 1) % ARRAY_LEN(CLASS_ORDER));
    if (lane->breaker.open)
      lane->head_id = out->delivery_id;
    return true;
  }
  return false;
}

void lane_give_back(struct lane *lane, const struct delivery_notice *notice) {
  window_in_store(&lane->classes[notice->prio], notice->due_us);
}

bool lane_is_limited(const struct lane *lane) {
  int64_t now_us = loop_now_us(lane->lanes->loop);
  bool succeeded = lane->last_success_us != 0 && now_us - lane->last_success_us < SUSPECT_AFTER_US;
  return lane->slow || (lane->failing && !succeeded);
}

static void report_success(struct lane *lane) {
  lane->failing = false;
  lane->last_success_us = loop_now_us(lane->lanes->loop);
  lane->pause_ms = 0;
  unsigned doubled = lane->concurrency * 2U;
  lane->concurrency = (uint16_t)(doubled < lane->limit ? doubled : lane->limit);
  if (!breaker_success(&lane->breaker))
    return;
  lane->lanes->breakers_open--;
  lane->head_id = 0;
  lane_ask_store(lane); // the followers are in no window
  log_info(lane->lanes->log, "dispatch", "target %lld answers again; its deliveries go on", (long long)lane->target_id);
}

static void report_pause(struct lane *lane, int64_t retry_after_ms) {
  const struct retry_config *retry = &lane->lanes->config->retry;
  bool paused = lane->paused && lane->not_before_us > loop_now_us(lane->lanes->loop);
  if (retry_after_ms > 0) {
    lane_hold_ms(lane, retry_after_ms);
  } else if (!paused) { // answers to requests that were on their way together count once
    int64_t doubled_ms = lane->pause_ms == 0 ? retry->pause_min_ms : (int64_t)lane->pause_ms * 2;
    int64_t limit_ms = retry->pause_max_ms < UINT32_MAX ? retry->pause_max_ms : UINT32_MAX;
    lane->pause_ms = (uint32_t)(doubled_ms < limit_ms ? doubled_ms : limit_ms);
    lane_hold_ms(lane, lane->pause_ms);
  }
  lane->paused = true;
  forget_window(lane);
}

static void report_failure(struct lane *lane, bool probe) {
  const struct dispatch_config *config = lane->lanes->config;
  const struct breaker_config breaker = {.failures = config->breaker_failures,
                                         .span_ms = config->breaker_span_ms,
                                         .probe_min_ms = config->probe_min_ms,
                                         .probe_max_ms = config->probe_max_ms};
  lane->failing = true;
  lane->concurrency = (uint16_t)(lane->concurrency > 1 ? lane->concurrency / 2 : 1);
  if (lane->breaker.open && !probe)
    return; // it was on its way when the breaker opened, and says nothing new
  if (breaker_failure(&lane->breaker, &breaker, loop_now_us(lane->lanes->loop))) {
    lane->lanes->breakers_open++;
    forget_window(lane);
    log_info(lane->lanes->log, "dispatch",
             "target %lld failed %u times in a row: only its oldest delivery is tried until it answers",
             (long long)lane->target_id, lane->breaker.failures);
  }
  if (lane->breaker.open)
    lane_hold_ms(lane, lane->breaker.probe_ms);
}

void lane_report(struct lane *lane, const struct lane_report *report) {
  if (report->verdict.class == RETRY_SUCCESS)
    report_success(lane);
  else if (report->verdict.spends_breaker)
    report_failure(lane, report->probe);
  if (report->verdict.pauses_lane)
    report_pause(lane, report->retry_after_ms);
}
