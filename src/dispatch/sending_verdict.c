// SPDX-License-Identifier: Apache-2.0
#include "dispatch/sending.h"
#include "store/stops.h"

enum {
  SENDING_ATTEMPTS_MAX_BYTES = 16 * 1024 * 1024,
  SENDING_MAX_TRIES = 1000, // the store numbers attempts to 1,023
};

// Since when the schedule has lasted as long as it lasts. Time in which the program did not run is none of it.
static int64_t give_up_before_us(const struct sending *sending, int64_t now_us) {
  const struct sender *sender = sending->sender;
  return store_ran_since(sender->store, now_us, sender->config->retry.give_up_ms * US_PER_MS);
}

// Wall clock of the first try: the schedule's end counts from it.
static int64_t first_try_us(struct sending *sending, int64_t now_us) {
  const struct delivery_load *load = &sending->load;
  if (load->attempts == 0)
    return sending->started_at_us;
  // Created before it was tried: only when that is too long ago does the difference matter.
  if (load->created_at_us > give_up_before_us(sending, now_us))
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
  int64_t before_us = give_up_before_us(sending, now_us), failing_since_us = sending->load.failing_since_us;
  return sending->probe && failing_since_us != 0 && failing_since_us <= before_us &&
         sending->load.created_at_us <= before_us;
}

static void give_up(struct sending *sending) {
  sending->result.state = DELIVERY_FAILED;
  lane_forget_head(sending->lane, sending->load.id);
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
    result->suspend_failing_before_us = store_ran_since(sending->sender->store, result->attempt.ended_at_us, after_us);
}

static void decide_failed(struct sending *sending, const struct lane_report *report) {
  struct attempt_result *result = &sending->result;
  enum retry_class class = report->verdict.class;
  int64_t now_us = result->attempt.ended_at_us, wait_ms;
  // As if it had been tried first so much later as the program did not run since.
  int64_t first_us = now_us - store_ran_us(sending->sender->store, first_try_us(sending, now_us), now_us);
  uint32_t random;
  random_bytes(&random, sizeof(random));
  if (result->attempt.number >= SENDING_MAX_TRIES ||
      retry_next(&sending->sender->config->retry, class, result->attempt.number, first_us, now_us, random, &wait_ms) ==
          RETRY_GIVE_UP)
    give_up(sending);
  else if (class != RETRY_SUSPEND && waited_in_vain(sending, now_us))
    expire(sending);
  else
    schedule_again(sending, report, wait_ms);
}

void sending_decide(struct sending *sending, const struct lane_report *report) {
  struct attempt_result *result = &sending->result;
  enum retry_class class = report->verdict.class;
  lane_report(sending->lane, report);
  if (class == RETRY_SUCCESS) {
    result->state = DELIVERY_SUCCEEDED;
    return;
  }
  result->target_failed = report->verdict.spends_breaker && !report->verdict.ours;
  decide_failed(sending, report);
  ask_for_suspension(sending);
  if (class != RETRY_SUSPEND)
    return;
  sending->lane->suspended = true;
  result->suspend_target = true;
  result->suspend_reason = result->attempt.words;
}
