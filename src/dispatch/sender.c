// SPDX-License-Identifier: Apache-2.0
#include "dispatch/sender.h"

#include "base/fault.h"
#include "dispatch/sending.h"

// The last two are ours: a delivery that cannot be made into a request, and our own limits (never recorded).
static const char *const OUTCOMES[SENDER_OUTCOMES] = {"success",   "http_error", "dns",     "blocked",
                                                      "connect",   "tls",        "timeout", "closed",
                                                      "malformed", "unsendable", "local"};

static void count(struct metric *const metrics[SENDER_OUTCOMES], const char *outcome) {
  for (size_t i = 0; i < SENDER_OUTCOMES; i++) {
    if (str_eq_c(str_of(outcome), OUTCOMES[i]))
      metric_add(metrics[i], 1);
  }
}

// `answer` NULL: nothing was sent.
static void begin_record(struct sending *sending, const struct http_result *answer, const char *outcome,
                         struct str words) {
  struct attempt_result *result = &sending->result;
  *result = (struct attempt_result){
      .format_key = sending->format_key, .body = STR_EMPTY, .suspend_reason = STR_EMPTY, .ended_words = STR_EMPTY};
  request_record(sending->route, &sending->request, answer, outcome, words, sending->started_at_us,
                 sending_wall_us(sending->sender), sending->arena, &result->attempt);
  result->attempt.delivery_id = sending->load.id;
  result->attempt.number = sending->load.attempts + 1;
  if (sending->request.body_is_new)
    result->body = sending->request.body;
}

static int64_t read_retry_after(const struct sending *sending, const struct http_result *answer) {
  if (answer->outcome != HTTP_OUTCOME_ANSWERED)
    return -1;
  int64_t cap_ms = sending->sender->config->retry.retry_after_cap_ms;
  int64_t wait_ms = retry_after_ms(http_head_get(answer->head, "Retry-After"), sending_wall_us(sending->sender));
  return wait_ms < cap_ms ? wait_ms : cap_ms;
}

// ---- the call -------------------------------------------------------------------------------------------------------

// Nothing about the receiver was learnt: the delivery goes back as it was.
static void put_back(struct sending *sending) {
  lane_give_back(sending->lane, &sending->notice);
  lane_hold_ms(sending->lane, LANE_STORE_WAIT_MS);
  sending_release(sending);
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
  sending_decide(sending, &report);
  metric_observe(sender->metrics.attempt_seconds, (double)answer->timings.total_us / (double)US_PER_S);
  sending_record(sending);
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
  sending_move_to(sending, SENDING_EXCHANGING);
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
    sending_move_to(sending, SENDING_SLOW);
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
  sending_decide(sending, &report);
  sending_record(sending);
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
    sending_take_out(sending);
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
  // Only the store knows whether one of a strict order is held by now, and since when its target has been failing.
  if (arena && (lane->ordered || lane->failing)) {
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
  sending->recorded.run = sending_on_recorded;
  sending->started_at_us = sending_wall_us(sender);
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
    lane_forget_head(lane, notice->delivery_id);
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
    sending_enter(sending, SENDING_CONNECTING);
    if (unreadable)
      record_unsendable(sending, &err);
    else
      start_call(sending);
    return;
  }
  if (sending)
    sending_free(sending);
  if (rc == 0 || unreadable || rc == ERR_NOT_FOUND) { // it has ended, or is gone with its history
    lane_forget_head(lane, notice->delivery_id);
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
    lane_forget_head(lane, sending->load.id);
    sending_take_out(sending);
  }
  sender->on_released(sender->ctx);
}

// ---- budgets and life -----------------------------------------------------------------------------------------------

// A lane that owes nothing else need not wait for the commit of what backlogs have sent.
static size_t recording_max(enum lane_state state) {
  return state == LANE_PROMPT ? SENDER_RECORDING_MAX + SENDER_RECORDING_PROMPT : SENDER_RECORDING_MAX;
}

static size_t share_of(size_t budget) {
  size_t share = budget / SENDER_LIMITED_SHARE;
  return share > 0 ? share : 1;
}

bool sender_has_room(const struct sender *sender, enum lane_state state) {
  bool limited = state == LANE_LIMITED;
  const struct dispatch_config *config = sender->config;
  size_t connecting = sender->lists[SENDING_CONNECTING].count;
  size_t arriving = sender->arriving[0] + sender->arriving[1];
  size_t exchanging = sender->lists[SENDING_EXCHANGING].count + arriving; // the slow ones have a share of their own
  size_t limited_exchanging = sender->limited[SENDING_EXCHANGING] + sender->arriving[1];
  size_t slow = sender->lists[SENDING_SLOW].count;
  // What waits for its commit counts too: a slow disk must not gather deliveries in memory.
  if (sender_running(sender) >= config->max_connecting + config->max_exchanging ||
      sender->lists[SENDING_RECORDING].count >= recording_max(state) || connecting >= config->max_connecting ||
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
  sender->record_timer.on_fire = sending_on_record_timer;
  init_metrics(&sender->metrics, metrics);
}

void sender_free(struct sender *sender) {
  for (int i = 0; i < SENDING_STATES; i++) {
    struct list_node *node;
    while ((node = list_first(&sender->lists[i])) != NULL) {
      struct sending *sending = CONTAINER_OF(node, struct sending, node);
      if (sending->call)
        http_call_cancel(sending->call);
      sending_take_out(sending);
    }
  }
  loop_timer_cancel(sender->loop, &sender->slow_timer);
  loop_timer_cancel(sender->loop, &sender->record_timer);
}
