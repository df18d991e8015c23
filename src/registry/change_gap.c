// SPDX-License-Identifier: Apache-2.0
// gateway.on_store_failure = pass: what happened while the store could not take it. It is told, marked inferred and in the
// order in which it happened, when the store is back; a bounded list, what is above it is counted and lost. As long as the list
// holds something nothing else is told to the store, so that events of a tag keep their order.
#include "registry/change_internal.h"

bool gap_is_open(const struct changes *changes) {
  return !list_empty(&changes->gaps);
}

void gap_note(struct changes *changes, const struct error *err) {
  changes->in_gap = true;
  if (log_pace(changes->log, &changes->gap_pace))
    log_warn(changes->log, "registry", "pushes and deletes go through without being recorded first: %s", err->text);
}

static void again(struct changes *changes) {
  loop_timer_set(changes->loop, &changes->gap_due, changes_now_us(changes) + CHANGE_STORE_RETRY_MS * US_PER_MS);
}

void gap_add(struct work *work) {
  struct changes *changes = work->changes;
  struct place *place = work->place;

  metric_add(changes->metrics.gaps, 1);
  changes->gap_count++;
  loop_timer_cancel(changes->loop, &work->due);
  if (changes->gaps.count >= CHANGE_MAX_GAPS) {
    metric_add(changes->metrics.gaps_lost, 1);
    // A row that it has stays open: the settler of the next start finds out what became of it.
    work_free(work);
    return;
  }
  work->detached = true;
  work->inferred = true;
  list_remove(&place->works, &work->node);
  work->place = NULL;
  list_push_back(&changes->gaps, &work->node);
  if (changes->gaps.count == 1)
    again(changes);
  place_turn(place);
}

void gap_fire(struct loop_timer *due) {
  struct changes *changes = CONTAINER_OF(due, struct changes, gap_due);

  if (list_empty(&changes->gaps))
    return;
  struct work *first = CONTAINER_OF(list_first(&changes->gaps), struct work, node);
  if (first->writing == WRITE_NONE)
    write_tell(first);
}

void gap_settled(struct work *work, bool written) {
  struct changes *changes = work->changes;

  if (!written) {
    again(changes);
    return;
  }
  write_told(work);
  work_free(work);
  if (!list_empty(&changes->gaps)) {
    gap_fire(&changes->gap_due);
    return;
  }
  loop_timer_cancel(changes->loop, &changes->gap_due);
  changes->in_gap = false;
  log_warn(changes->log, "registry",
           "the store is back: of %zu changes that went through without it, %lld since the start could not be told",
           changes->gap_count, (long long)metric_value(changes->metrics.gaps_lost));
  changes->gap_count = 0;
}
