// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/fault.h"
#include "dispatch/sending.h"

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

void sending_record(struct sending *sending) {
  struct sender *sender = sending->sender;
  struct error err;
  sending->write = (struct store_write){.apply = apply_record, .done = on_committed, .patient = true};
  if (store_submit(sender->store, &sending->write, &err) == 0) {
    sending_move_to(sending, SENDING_RECORDING);
    FAULT_POINT("dispatch.record.submitted");
    return;
  }
  sending_move_to(sending, SENDING_UNRECORDED);
  arm_record_timer(sender);
}

void sender_record_again(struct sender *sender) {
  struct list *list = &sender->lists[SENDING_UNRECORDED];
  for (size_t left = list->count; left > 0; left--) // those that are refused again go to the back
    sending_record(CONTAINER_OF(list_first(list), struct sending, node));
}

void sending_on_record_timer(struct loop_timer *timer) {
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
                     sending_wall_us(sender));
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

void sending_on_recorded(struct loop_task *task) {
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
    sending_move_to(sending, SENDING_UNRECORDED);
    arm_record_timer(sending->sender);
    return;
  }
  if (rc == 0)
    tell_end(sending);
  if (rc == 0 && result->state == DELIVERY_RETRYING)
    window_in_store(&lane->classes[result->prio], result->due_us);
  else
    lane_forget_head(lane, sending->load.id);
  if (result->suspend_target)
    lane->suspended = false;
  if (result->suspended)
    lane_forget_work(lane);
  else if (result->suspend_target)
    lane_ask_store(lane); // it was suspended already, or changed while this was on its way
  sending_release(sending);
}
