// SPDX-License-Identifier: Apache-2.0
#include "dispatch/sender.h"

#include <stdlib.h>

#include "base/fault.h"
#include "dispatch/request.h"

enum {
  SENDING_ATTEMPTS_MAX_BYTES = 16 * 1024 * 1024,
  SENDING_MAX_TRIES = 1000, // the store numbers attempts to 1,023
};

// The last two are ours: a delivery that cannot be made into a request, and our own limits (never recorded).
static const char *const OUTCOMES[SENDER_OUTCOMES] = {"success",   "http_error", "dns",     "blocked",
                                                      "connect",   "tls",        "timeout", "closed",
                                                      "malformed", "unsendable", "local"};

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

static int64_t wall_us(const struct sender *sender) {
  return clock_wall_us(loop_clock(sender->loop));
}

static void enter(struct sending *sending, enum sending_state state) {
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

static void move_to(struct sending *sending, enum sending_state state) {
  leave(sending);
  enter(sending, state);
}

static void sending_free(struct sending *sending) {
  route_drop(sending->route);
  arena_free(sending->arena);
}

// The one end of every try that was entered. Does not settle the lane.
static void take_out(struct sending *sending) {
  leave(sending);
  list_remove(&sending->lane->running, &sending->running.node);
  sending_free(sending);
}

static void release(struct sending *sending) {
  struct sender *sender = sending->sender;
  struct lane *lane = sending->lane;
  take_out(sending);
  (void)lane_settle(lane);
  sender->on_released(sender->ctx);
}

static void forget_head(struct lane *lane, int64_t delivery_id) {
  if (lane->head_id == delivery_id)
    lane->head_id = 0;
}

static void count(struct metric *const metrics[SENDER_OUTCOMES], const char *outcome) {
  for (size_t i = 0; i < SENDER_OUTCOMES; i++) {
    if (str_eq_c(str_of(outcome), OUTCOMES[i]))
      metric_add(metrics[i], 1);
  }
}

// ---- recording ------------------------------------------------------------------------------------------------------

static int apply_record(struct store_conn *conn, struct store_write *w, struct error *err) {
  struct sending *sending = CONTAINER_OF(w, struct sending, write);
  int rc = delivery_record(conn, &sending->result, err);
  FAULT_POINT("store.attempt.applied");
  return rc;
}

static void on_committed(struct store_write *w) { // the writer's thread
  struct sending *sending = CONTAINER_OF(w, struct sending, write);
  // The loop outlives the store's writer and never closes its queue.
  if (loop_post_reserved(sending->sender->loop, &sending->recorded) != 0)
    abort();
}

static void arm_record_timer(struct sender *sender) {
  if (sender->record_timer.entry.index == 0)
    loop_timer_set(sender->loop, &sender->record_timer, loop_now_us(sender->loop) + SENDER_RECORD_RETRY_MS * US_PER_MS);
}

static void hand_over(struct sending *sending) {
  struct sender *sender = sending->sender;
  struct error err;
  sending->write = (struct store_write){.apply = apply_record, .done = on_committed};
  if (store_submit(sender->store, &sending->write, &err) == 0) {
    move_to(sending, SENDING_RECORDING);
    FAULT_POINT("dispatch.record.submitted");
    return;
  }
  move_to(sending, SENDING_UNRECORDED);
  arm_record_timer(sender);
}

void sender_record_again(struct sender *sender) {
  struct list *list = &sender->lists[SENDING_UNRECORDED];
  for (size_t left = list->count; left > 0; left--) // those that are refused again go to the back
    hand_over(CONTAINER_OF(list_first(list), struct sending, node));
}

static void on_record_timer(struct loop_timer *timer) {
  sender_record_again(CONTAINER_OF(timer, struct sender, record_timer));
}

static void tell_end(const struct sending *sending) {
  struct sender *sender = sending->sender;
  const struct attempt_result *result = &sending->result;
  log_debug(sender->log, "dispatch", "delivery %lld to target %lld (%.*s), try %d: %.*s %d in %lld ms",
            (long long)sending->load.id, (long long)sending->lane->target_id, STR_ARG(sending->route->masked),
            result->attempt.number, STR_ARG(result->attempt.outcome), result->attempt.status,
            (long long)((result->attempt.ended_at_us - result->attempt.started_at_us) / US_PER_MS));
  if (result->state == DELIVERY_SUCCEEDED) {
    metric_add(sender->metrics.succeeded, 1);
    echoes_delivered(sender->echoes, sending->load.policy_id, &sending->load.event, sending->started_at_us,
                     wall_us(sender));
  }
  if (result->state == DELIVERY_FAILED) {
    metric_add(sender->metrics.failed, 1);
    log_info(sender->log, "dispatch", "delivery %lld to target %lld (%.*s) failed for good after %d tries: %.*s",
             (long long)sending->load.id, (long long)sending->lane->target_id, STR_ARG(sending->route->masked),
             result->attempt.number, STR_ARG(result->attempt.words));
  }
  if (result->state == DELIVERY_FAILED && result->ended_words.len > 0)
    metric_add(sender->metrics.expired, 1);
  if (!result->suspended)
    return;
  metric_add(result->suspend_target ? sender->metrics.suspended_gone : sender->metrics.suspended_failing, 1);
  log_warn(sender->log, "dispatch", "target %lld (%.*s) is suspended, its deliveries wait until it is resumed: %s",
           (long long)sending->lane->target_id, STR_ARG(sending->route->masked), result->suspended_why);
}

static void on_recorded(struct loop_task *task) {
  struct sending *sending = CONTAINER_OF(task, struct sending, recorded);
  struct lane *lane = sending->lane;
  const struct attempt_result *result = &sending->result;
  int rc = sending->write.rc;
  FAULT_POINT("dispatch.recorded");
  if (rc == ERR_CONFLICT) // a commit whose outcome was not known had taken place
    rc = 0;
  if (rc != 0 && rc != ERR_NOT_FOUND) { // not found: it was deleted with its history
    if (log_pace(sending->sender->log, &lane->lanes->unrecorded))
      log_error(sending->sender->log, "dispatch", "the attempt of delivery %lld is not recorded yet: %s",
                (long long)sending->load.id, sending->write.err.text);
    move_to(sending, SENDING_UNRECORDED);
    arm_record_timer(sending->sender);
    return;
  }
  if (rc == 0)
    tell_end(sending);
  if (rc == 0 && result->state == DELIVERY_RETRYING)
    window_in_store(&lane->classes[result->prio], result->due_us);
  else
    forget_head(lane, sending->load.id);
  if (result->suspend_target)
    lane->suspended = false;
  if (result->suspend_target || result->suspended)
    lane_forget_work(lane);
  release(sending);
}

// ---- the verdict ----------------------------------------------------------------------------------------------------

// Wall clock of the first try: the schedule's end counts from it.
static int64_t first_try_us(struct sending *sending, int64_t now_us) {
  const struct delivery_load *load = &sending->load;
  if (load->attempts == 0)
    return sending->started_at_us;
  // Created before it was tried: only when that is too long ago does the difference matter.
  if (now_us - load->created_at_us < sending->sender->config->retry.give_up_ms * US_PER_MS)
    return load->created_at_us;
  int64_t first_us = load->created_at_us;
  struct arena *arena = arena_new(SENDING_ATTEMPTS_MAX_BYTES);
  struct attempt *attempts;
  size_t len;
  struct error err;
  if (arena && delivery_attempts(sending->sender->reader, load->id, arena, &attempts, &len, &err) == 0 && len > 0)
    first_us = attempts[0].started_at_us;
  arena_free(arena);
  return first_us;
}

static int64_t until_ms(int64_t at_us, int64_t now_us) {
  return at_us > now_us ? (at_us - now_us + US_PER_MS - 1) / US_PER_MS : 0;
}

static void schedule_again(struct sending *sending, const struct lane_report *report, int64_t wait_ms) {
  struct lane *lane = sending->lane;
  struct attempt_result *result = &sending->result;
  int64_t held_ms = until_ms(lane->not_before_us, loop_now_us(sending->sender->loop));
  if (report->retry_after_ms > wait_ms)
    wait_ms = report->retry_after_ms;
  if (lane->breaker.open && (lane->head_id == 0 || lane->head_id == sending->load.id)) {
    lane->head_id = sending->load.id;
    wait_ms = held_ms; // the probe's time, not the schedule's
  } else if (lane->paused && held_ms > wait_ms) {
    wait_ms = held_ms;
  }
  result->state = DELIVERY_RETRYING;
  result->prio = retry_prio(sending->load.event.type, result->attempt.number);
  result->due_us = result->attempt.ended_at_us + wait_ms * US_PER_MS;
}

// It has waited as long as the schedule lasts, and so long its target has failed: this try was its turn and its last one.
// A schedule of its own would keep every delivery of a dead target for as long again, one behind the other.
static bool waited_in_vain(const struct sending *sending, int64_t now_us) {
  int64_t give_up_us = sending->sender->config->retry.give_up_ms * US_PER_MS;
  int64_t failing_since_us = sending->load.failing_since_us;
  return sending->probe && failing_since_us != 0 && now_us - failing_since_us >= give_up_us &&
         now_us - sending->load.created_at_us >= give_up_us;
}

static void give_up(struct sending *sending) {
  sending->result.state = DELIVERY_FAILED;
  forget_head(sending->lane, sending->load.id);
}

static void expire(struct sending *sending) {
  struct str words = arena_printf(sending->arena,
                                  "expired: it waited for longer than the retry schedule lasts, and its "
                                  "target failed all that time; the last try: %.*s",
                                  STR_ARG(sending->result.attempt.words));
  sending->result.ended_words = words.ptr ? words : STR("expired");
  give_up(sending);
}

// Long failure: only on the word of a target that is failing now, and not at the first try after a long silence.
static void ask_for_suspension(struct sending *sending) {
  struct attempt_result *result = &sending->result;
  int64_t after_us = sending->sender->config->suspend_after_s * US_PER_S;
  if (after_us > 0 && (sending->lane->breaker.open || result->state == DELIVERY_FAILED))
    result->suspend_failing_before_us = result->attempt.ended_at_us - after_us;
}

static void decide_failed(struct sending *sending, const struct lane_report *report) {
  struct attempt_result *result = &sending->result;
  enum retry_class class = report->verdict.class;
  int64_t now_us = result->attempt.ended_at_us, wait_ms;
  uint32_t random;
  random_bytes(&random, sizeof(random));
  if (result->attempt.number >= SENDING_MAX_TRIES ||
      retry_next(&sending->sender->config->retry, class, result->attempt.number, first_try_us(sending, now_us), now_us,
                 random, &wait_ms) == RETRY_GIVE_UP)
    give_up(sending);
  else if (class != RETRY_SUSPEND && waited_in_vain(sending, now_us))
    expire(sending);
  else
    schedule_again(sending, report, wait_ms);
}

static void decide(struct sending *sending, const struct lane_report *report) {
  struct attempt_result *result = &sending->result;
  enum retry_class class = report->verdict.class;
  lane_report(sending->lane, report);
  if (class == RETRY_SUCCESS) {
    result->state = DELIVERY_SUCCEEDED;
    return;
  }
  result->target_failed = report->verdict.spends_breaker;
  decide_failed(sending, report);
  ask_for_suspension(sending);
  if (class != RETRY_SUSPEND)
    return;
  sending->lane->suspended = true;
  result->suspend_target = true;
  result->suspend_reason = result->attempt.words;
}

// `answer` NULL: nothing was sent.
static void begin_record(struct sending *sending, const struct http_result *answer, const char *outcome,
                         struct str words) {
  struct attempt_result *result = &sending->result;
  *result = (struct attempt_result){
      .format_key = sending->format_key, .body = STR_EMPTY, .suspend_reason = STR_EMPTY, .ended_words = STR_EMPTY};
  request_record(sending->route, &sending->request, answer, outcome, words, sending->started_at_us,
                 wall_us(sending->sender), sending->arena, &result->attempt);
  result->attempt.delivery_id = sending->load.id;
  result->attempt.number = sending->load.attempts + 1;
  if (sending->request.body_is_new)
    result->body = sending->request.body;
}

static int64_t read_retry_after(const struct sending *sending, const struct http_result *answer) {
  if (answer->outcome != HTTP_OUTCOME_ANSWERED)
    return -1;
  int64_t cap_ms = sending->sender->config->retry.retry_after_cap_ms;
  int64_t wait_ms = retry_after_ms(http_head_get(answer->head, "Retry-After"), wall_us(sending->sender));
  return wait_ms < cap_ms ? wait_ms : cap_ms;
}

// ---- the call -------------------------------------------------------------------------------------------------------

// Nothing about the receiver was learnt: the delivery goes back as it was.
static void put_back(struct sending *sending) {
  lane_give_back(sending->lane, &sending->notice);
  lane_hold_ms(sending->lane, LANE_STORE_WAIT_MS);
  release(sending);
}

static void on_done(void *ctx, const struct http_result *answer) {
  struct sending *sending = ctx;
  struct sender *sender = sending->sender;
  struct lane *lane = sending->lane;
  enum target_type type = sending->route->target.type;
  sending->call = NULL;
  lane->active--;
  lane->slow = sending->state == SENDING_SLOW;
  if (sending->state == SENDING_CONNECTING)
    lane->connects = false;
  struct lane_report report = {.verdict = retry_judge(type, answer),
                               .retry_after_ms = read_retry_after(sending, answer),
                               .probe = sending->probe};
  count(sender->metrics.attempts, report.verdict.outcome);
  if (answer->outcome == HTTP_OUTCOME_LOCAL) {
    if (log_pace(sender->log, &lane->lanes->short_of))
      log_warn(sender->log, "dispatch", "delivery %lld waits for our own limits: %s", (long long)sending->load.id,
               answer->err.text);
    put_back(sending);
    return;
  }
  // A name that does not exist is its owner's; a name server that does not answer is everybody's.
  if (answer->outcome == HTTP_OUTCOME_DNS && answer->err.code != ERR_NOT_FOUND &&
      log_pace(sender->log, &lane->lanes->names))
    log_warn(sender->log, "dispatch", "names cannot be looked up: %s; deliveries to names wait, others go on",
             answer->err.text);
  struct str words = STR_EMPTY;
  if (report.verdict.class != RETRY_SUCCESS)
    words = request_failure_words(answer, type, sending->arena);
  FAULT_POINT("dispatch.answer.read");
  begin_record(sending, answer, report.verdict.outcome, words);
  decide(sending, &report);
  metric_observe(sender->metrics.attempt_seconds, (double)answer->timings.total_us / (double)US_PER_S);
  hand_over(sending);
  (void)lane_settle(lane);
  sender->on_released(sender->ctx);
}

static void arm_slow_timer(struct sender *sender) {
  struct list_node *node = list_first(&sender->lists[SENDING_EXCHANGING]);
  if (!node || sender->slow_timer.entry.index != 0)
    return;
  loop_timer_set(sender->loop, &sender->slow_timer,
                 CONTAINER_OF(node, struct sending, node)->exchanging_since_us + SENDER_SLOW_MS * US_PER_MS);
}

static void on_connected(void *ctx) {
  struct sending *sending = ctx;
  sending->exchanging_since_us = loop_now_us(sending->sender->loop);
  sending->lane->connects = true;
  move_to(sending, SENDING_EXCHANGING);
  arm_slow_timer(sending->sender);
  sending->sender->on_released(sending->sender->ctx); // room to connect
}

// The list is in order of age: its front is the oldest.
static void on_slow_timer(struct loop_timer *timer) {
  struct sender *sender = CONTAINER_OF(timer, struct sender, slow_timer);
  struct list_node *node;
  while ((node = list_first(&sender->lists[SENDING_EXCHANGING])) != NULL) {
    struct sending *sending = CONTAINER_OF(node, struct sending, node);
    if (loop_now_us(sender->loop) - sending->exchanging_since_us < SENDER_SLOW_MS * US_PER_MS)
      break;
    move_to(sending, SENDING_SLOW);
    sending->lane->slow = true;
    (void)lane_settle(sending->lane);
  }
  arm_slow_timer(sender);
  sender->on_released(sender->ctx);
}

static int send_request(struct sending *sending, struct error *err) {
  struct http_call_params params = request_call(sending->route, &sending->request, sending->sender->config);
  params.on_connected = on_connected;
  params.on_done = on_done;
  params.ctx = sending;
  sending->call = http_client_start(sending->sender->client, &params, err);
  return sending->call ? 0 : (int)err->code;
}

// It cannot be made into a request: the words go into its history as a failed try that nobody was sent.
static void record_unsendable(struct sending *sending, const struct error *why) {
  struct str words = arena_str(sending->arena, str_of(why->text));
  struct lane_report report = {.verdict = {.class = RETRY_FEW, .outcome = "unsendable"}, .retry_after_ms = -1};
  begin_record(sending, NULL, report.verdict.outcome, words.ptr ? words : STR_EMPTY);
  count(sending->sender->metrics.attempts, report.verdict.outcome);
  decide(sending, &report);
  hand_over(sending);
}

static bool is_our_limit(enum errcode code) {
  return code == ERR_NO_MEMORY || code == ERR_FULL || code == ERR_IO || code == ERR_UNAVAILABLE;
}

static void start_call(struct sending *sending) {
  struct error err;
  const struct dispatch_config *config = sending->sender->config;
  struct lane *lane = sending->lane;
  int rc = sending->route->has_url ? 0 : error_set(&err, sending->route->why.code, "%s", sending->route->why.text);
  const struct request_input input = {.event = &sending->load.event,
                                      .stored_body = sending->load.body,
                                      .delivery_id = sending->load.id,
                                      .attempt = sending->load.attempts + 1,
                                      .now_wall_us = sending->started_at_us};
  if (rc == 0)
    rc = request_make(sending->route, &input, config, sending->arena, &sending->request, &err);
  if (arena_out_of_memory(sending->arena)) // what was read or made may have holes
    rc = error_set(&err, ERR_NO_MEMORY, "no memory for a delivery");
  if (rc == 0)
    rc = send_request(sending, &err);
  if (rc == 0) {
    lane->active++;
    if (sending->route->target.type == TARGET_SLACK)
      lane_hold_ms(lane, config->slack_interval_ms);
  } else if (is_our_limit(err.code)) {
    if (log_pace(sending->sender->log, &lane->lanes->short_of))
      log_warn(sending->sender->log, "dispatch", "delivery %lld waits for our own limits: %s",
               (long long)sending->load.id, err.text);
    lane_give_back(lane, &sending->notice);
    lane_hold_ms(lane, LANE_STORE_WAIT_MS);
    take_out(sending);
  } else {
    record_unsendable(sending, &err);
  }
}

// ---- claiming -------------------------------------------------------------------------------------------------------

// The lane's target as it is now; NULL when nothing may be sent to it, and the lane has been told.
static struct route *current_route(struct sender *sender, struct lane *lane, const struct delivery_notice *notice) {
  struct error err;
  if (lane->route && lane->route->generation != store_policy_generation(sender->store)) {
    route_drop(lane->route);
    lane->route = NULL;
  }
  if (!lane->route)
    lane->route = route_load(sender->store, sender->reader, lane->target_id, &err);
  if (!lane->route && err.code != ERR_NOT_FOUND) {
    if (log_pace(sender->log, &lane->lanes->unread))
      log_error(sender->log, "dispatch", "cannot read target %lld: %s", (long long)lane->target_id, err.text);
    lane_give_back(lane, notice);
    lane_hold_ms(lane, LANE_STORE_WAIT_MS);
    return NULL;
  }
  if (!lane->route || !lane->route->enabled || lane->route->target.suspended || lane->route->target.reordering) {
    lane_forget_work(lane); // the store lists it again when it is resumed, and a notice or a wake says so
    return NULL;
  }
  int limit = lane->route->target.type == TARGET_SLACK ? 1 : sender->config->lane_concurrency;
  lane->limit = (uint16_t)(limit < 1 ? 1 : limit > LANE_MAX_RUNNING ? LANE_MAX_RUNNING : limit);
  if (lane->concurrency > lane->limit)
    lane->concurrency = lane->limit;
  lane->ordered = lane->route->target.strict_order;
  if (lane->ordered && lane->running.count > 0) { // it was switched on while they were on their way
    lane_give_back(lane, notice);
    return NULL;
  }
  return lane->route;
}

// In the arena of its event when that is there.
static struct sending *sending_new(struct sender *sender, struct lane *lane, const struct delivery_notice *notice) {
  const struct event *event = NULL;
  // Only a first try: what was tried has a body and a history in the store.
  struct arena *arena = notice->prio < LANE_RETRY_CLASS ? fresh_take(sender->fresh, notice->delivery_id, &event) : NULL;
  if (arena && lane->ordered) { // only the store knows whether it is held by now
    arena_free(arena);
    arena = NULL;
    event = NULL;
  }
  if (!arena)
    arena = arena_new(SENDING_MAX_BYTES);
  struct sending *sending = arena ? ARENA_NEW(arena, struct sending) : NULL;
  if (!sending) {
    arena_free(arena);
    return NULL;
  }
  sending->sender = sender;
  sending->lane = lane;
  sending->route = route_use(lane->route);
  sending->arena = arena;
  sending->notice = *notice;
  sending->running.delivery_id = notice->delivery_id;
  sending->recorded.run = on_recorded;
  sending->started_at_us = wall_us(sender);
  sending->limited = lane_is_limited(lane);
  sending->probe = lane->breaker.open;
  sending->arriving = lane->connects;
  if (event)
    sending->load = (struct delivery_load){.id = notice->delivery_id,
                                           .target_id = lane->target_id,
                                           .policy_id = lane->route->target.policy_id,
                                           .state = DELIVERY_PENDING,
                                           .created_at_us = event->recorded_at_us,
                                           .event = *event};
  struct format_input input = request_format(sending->route, NULL, sender->config->portal_url);
  (void)format_key(&input, sending->format_key);
  return sending;
}

static bool is_waiting(enum delivery_state state) {
  return state == DELIVERY_PENDING || state == DELIVERY_RETRYING;
}

void sender_start(struct sender *sender, struct lane *lane, const struct delivery_notice *notice) {
  struct route *route = current_route(sender, lane, notice);
  if (!route)
    return;
  if (notice->delivery_id < route->target.cancel_below) {
    forget_head(lane, notice->delivery_id);
    return;
  }
  struct error err;
  FAULT_POINT("dispatch.claimed");
  struct sending *sending = sending_new(sender, lane, notice);
  int rc = sending ? 0 : error_set(&err, ERR_NO_MEMORY, "no memory for another delivery");
  if (rc == 0 && sending->load.id == 0)
    rc = delivery_load(sender->reader, notice->delivery_id, sending->format_key, sending->arena, &sending->load, &err);
  FAULT_POINT("dispatch.loaded");
  if (sending && arena_out_of_memory(sending->arena)) // an event with holes, or one that looks unreadable
    rc = error_set(&err, ERR_NO_MEMORY, "no memory for another delivery");
  bool unreadable = rc == ERR_INVALID; // the event as it is stored; asking again would not mend it
  if ((rc == 0 || unreadable) && is_waiting(sending->load.state)) {
    list_push_back(&lane->running, &sending->running.node);
    enter(sending, SENDING_CONNECTING);
    if (unreadable)
      record_unsendable(sending, &err);
    else
      start_call(sending);
    return;
  }
  if (sending)
    sending_free(sending);
  if (rc == 0 || unreadable || rc == ERR_NOT_FOUND) { // it has ended, or is gone with its history
    forget_head(lane, notice->delivery_id);
    return;
  }
  if (log_pace(sender->log, &lane->lanes->unread))
    log_error(sender->log, "dispatch", "cannot read delivery %lld: %s", (long long)notice->delivery_id, err.text);
  lane_give_back(lane, notice);
  lane_hold_ms(lane, LANE_STORE_WAIT_MS);
}

void sender_cancel(struct sender *sender, struct lane *lane) {
  LIST_EACH (&lane->running, node, following) {
    struct sending *sending = CONTAINER_OF(node, struct sending, running.node);
    if (!sending->call)
      continue;
    if (http_call_request_started(sending->call)) { // it ends as it ends, but begins nowhere else
      http_call_once(sending->call);
      continue;
    }
    http_call_cancel(sending->call);
    lane->active--;
    forget_head(lane, sending->load.id);
    take_out(sending);
  }
  sender->on_released(sender->ctx);
}

// ---- budgets and life -----------------------------------------------------------------------------------------------

static size_t share_of(size_t budget) {
  size_t share = budget / SENDER_LIMITED_SHARE;
  return share > 0 ? share : 1;
}

bool sender_has_room(const struct sender *sender, bool limited) {
  const struct dispatch_config *config = sender->config;
  size_t connecting = sender->lists[SENDING_CONNECTING].count;
  size_t arriving = sender->arriving[0] + sender->arriving[1];
  size_t exchanging = sender->lists[SENDING_EXCHANGING].count + arriving; // the slow ones have a share of their own
  size_t limited_exchanging = sender->limited[SENDING_EXCHANGING] + sender->arriving[1];
  size_t slow = sender->lists[SENDING_SLOW].count;
  // What waits for its commit counts too: a slow disk must not gather deliveries in memory.
  if (sender_running(sender) >= config->max_connecting + config->max_exchanging ||
      sender->lists[SENDING_RECORDING].count >= SENDER_RECORDING_MAX || connecting >= config->max_connecting ||
      exchanging >= config->max_exchanging)
    return false;
  return !limited || (sender->limited[SENDING_CONNECTING] < share_of(config->max_connecting) &&
                      limited_exchanging + slow < share_of(config->max_exchanging));
}

size_t sender_running(const struct sender *sender) {
  size_t running = 0;
  for (int i = 0; i < SENDING_STATES; i++)
    running += sender->lists[i].count;
  return running;
}

static void init_metrics(struct sender_metrics *out, struct metrics *metrics) {
  static const double SECONDS[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
  for (size_t i = 0; i < SENDER_OUTCOMES; i++) {
    struct buf labels;
    buf_init(&labels, 64);
    buf_printf(&labels, "outcome=\"%s\"", OUTCOMES[i]);
    buf_put_char(&labels, '\0');
    if (!labels.failed)
      out->attempts[i] =
          metrics_counter(metrics, "harbinger_attempts_total", labels.ptr, "Tries by what became of them.");
    buf_free(&labels);
  }
  out->succeeded =
      metrics_counter(metrics, "harbinger_deliveries_total", "outcome=\"succeeded\"", "Deliveries that ended, by how.");
  out->failed =
      metrics_counter(metrics, "harbinger_deliveries_total", "outcome=\"failed\"", "Deliveries that ended, by how.");
  out->suspended_gone = metrics_counter(metrics, "harbinger_targets_suspended_total", "reason=\"gone\"",
                                        "Targets that are not sent to until a person resumes them, by why.");
  out->suspended_failing = metrics_counter(metrics, "harbinger_targets_suspended_total", "reason=\"failing\"",
                                           "Targets that are not sent to until a person resumes them, by why.");
  out->expired = metrics_counter(metrics, "harbinger_deliveries_expired_total", "by=\"schedule\"",
                                 "Deliveries that failed because they had waited too long.");
  out->attempt_seconds = metrics_histogram(metrics, "harbinger_attempt_seconds", "",
                                           "Time from the start of a try to its end.", SECONDS, ARRAY_LEN(SECONDS));
}

void sender_init(struct sender *sender, struct metrics *metrics) {
  for (int i = 0; i < SENDING_STATES; i++) {
    list_init(&sender->lists[i]);
    sender->limited[i] = 0;
  }
  sender->arriving[0] = sender->arriving[1] = 0;
  sender->slow_timer.on_fire = on_slow_timer;
  sender->record_timer.on_fire = on_record_timer;
  init_metrics(&sender->metrics, metrics);
}

void sender_free(struct sender *sender) {
  for (int i = 0; i < SENDING_STATES; i++) {
    struct list_node *node;
    while ((node = list_first(&sender->lists[i])) != NULL) {
      struct sending *sending = CONTAINER_OF(node, struct sending, node);
      if (sending->call)
        http_call_cancel(sending->call);
      take_out(sending);
    }
  }
  loop_timer_cancel(sender->loop, &sender->slow_timer);
  loop_timer_cancel(sender->loop, &sender->record_timer);
}
