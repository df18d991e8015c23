// SPDX-License-Identifier: Apache-2.0
// One work from its opening to its end: what is next when something about it has become known.
#include <stdlib.h>

#include "base/fault.h"
#include "event/copy.h"
#include "registry/change_internal.h"

enum { WORK_ARENA_BYTES = 4 * 1024 * 1024 };

static void on_due(struct loop_timer *due) {
  work_step(CONTAINER_OF(due, struct work, due));
}

struct work *work_new(struct changes *changes, struct error *err) {
  struct work *work = calloc(1, sizeof(*work));

  if (work)
    work->arena = arena_new(WORK_ARENA_BYTES);
  if (!work || !work->arena) {
    free(work);
    (void)error_set(err, ERR_NO_MEMORY, "no memory for a change");
    return NULL;
  }
  work->changes = changes;
  work->before = work->found = work->learned_platform = STR_EMPTY;
  work->due.on_fire = on_due;
  list_init(&work->asks);
  list_push_back(&changes->works, &work->all);
  metric_set(changes->metrics.open, (int64_t)changes->works.count);
  return work;
}

void work_place(struct work *work, struct place *place) {
  work->place = place;
  list_push_back(&place->works, &work->node);
}

void work_free(struct work *work) {
  struct changes *changes = work->changes;
  struct place *place = work->place;

  loop_timer_cancel(changes->loop, &work->due);
  settle_forget(work);
  if (work->question) // of its opening
    http_call_cancel(work->question);
  if (work->platform)
    http_call_cancel(work->platform);
  if (list_linked(&work->node))
    list_remove(place ? &place->works : &changes->gaps, &work->node);
  list_remove(&changes->works, &work->all);
  metric_set(changes->metrics.open, (int64_t)changes->works.count);
  arena_free(work->arena);
  arena_free(work->store_arena);
  free(work);
  if (place && !changes->freeing)
    place_turn(place);
}

static int work_url(struct work *work, const char *what, struct str last, struct url *out, struct error *err) {
  struct str text = arena_printf(work->arena, "%s/v2/%.*s/%.*s/%s/%.*s", work->changes->config.upstream_url,
                                 STR_ARG(work->row.project), STR_ARG(work->row.repository), what, STR_ARG(last));

  if (!text.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for a change");
  return url_parse(text, out, err);
}

int work_urls(struct work *work, struct error *err) {
  int rc = work_url(work, "manifests", work->row.reference, &work->url_reference, err);

  struct str digest = work->row.digest.len ? work->row.digest : work->before;
  if (rc == 0 && digest.len)
    rc = work_url(work, "manifests", digest, &work->url_digest, err);
  return rc;
}

// ---- opening ------------------------------------------------------------------------------------------------------------

static int work_fill(struct work *work, const struct ask *ask, struct error *err) {
  const struct change_order *order = &ask->order;
  struct intent *row = &work->row;

  row->kind = order->kind == CHANGE_DELETE ? INTENT_DELETE : INTENT_PUT;
  row->project = arena_str(work->arena, order->project);
  row->repository = arena_str(work->arena, order->repository);
  row->reference = arena_str(work->arena, ask->reference);
  row->digest = arena_str(work->arena, order->digest);
  row->before = STR_EMPTY;
  row->forwards = 1;
  if (!row->project.ptr || !row->repository.ptr || !row->reference.ptr || !row->digest.ptr ||
      !event_copy(&order->event, work->arena, &row->event))
    return error_set(err, ERR_NO_MEMORY, "no memory for a change");
  return work_urls(work, err);
}

void work_open(struct ask *ask) {
  struct changes *changes = ask->changes;
  struct place *place = ask->place;
  struct error err = {0};
  struct work *work = work_new(changes, &err);

  if (!work) {
    ask_end(ask, (int)err.code, &err, false);
    return;
  }
  work_place(work, place);
  work->whole = ask->order.kind == CHANGE_DELETE && ask->order.tag.len == 0;
  work->opening = true;
  work_join(work, ask);
  if (work_fill(work, ask, &err) != 0 || call_ask(work, ASK_BEFORE, &err) != 0) {
    work->open_err = err;
    loop_timer_set(changes->loop, &work->due, 0); // from the loop: who opened it walks through the place's list
    return;
  }
  if (ask->config_digest.len && work_url(work, "blobs", ask->config_digest, &work->url_config, &err) == 0)
    call_ask_platform(work);
  write_open(work);
}

// A change that comes later and ends with the same bytes: the event of the first is that of both.
bool work_takes(const struct work *work, const struct ask *ask) {
  return ask->order.kind == CHANGE_PUT && work->row.kind == INTENT_PUT && str_eq(work->row.digest, ask->order.digest) &&
         work->writing != WRITE_TELL && work->writing != WRITE_CLOSE && work->open_err.code == 0 && !work->refuted;
}

void work_join(struct work *work, struct ask *ask) {
  ask->place = NULL;
  ask->work = work;
  ask->state = ASK_READY;
  list_push_back(&work->asks, &ask->node);
  if (!work->opening)
    loop_timer_set(work->changes->loop, &work->due, 0);
}

void work_end_asks(struct work *work, enum ask_state state, int rc, const struct error *err) {
  LIST_EACH (&work->asks, node, following) {
    struct ask *ask = CONTAINER_OF(node, struct ask, node);
    if (ask->state == state)
      ask_end(ask, rc, err, state != ASK_READY);
  }
}

// True when it is open: what comes next is forwarding.
static bool step_opening(struct work *work) {
  if (work->open_err.code != 0) {
    if (work->question)
      http_call_cancel(work->question);
    work->question = NULL;
    work->opening = false;
    work->refuted = true;
    work_end_asks(work, ASK_READY, (int)work->open_err.code, &work->open_err);
    return true;
  }
  if (!work->before_known)
    return false;
  work->opening = false;
  FAULT_POINT("change.opened");
  return true;
}

// ---- forwarding ---------------------------------------------------------------------------------------------------------

static int count_ready(const struct work *work) {
  int ready = 0;

  LIST_EACH (&work->asks, node, following)
    ready += CONTAINER_OF(node, struct ask, node)->state == ASK_READY;
  return ready;
}

// Before anything is forwarded the store knows how often, and over what. True: it has to be told first.
static bool forward_ready(struct work *work) {
  int ready = count_ready(work);

  if (ready == 0)
    return false;
  if (work->row.id != 0 && !work->stuck &&
      (work->stored_forwards < work->forwarded + ready || !str_eq(work->row.before, work->before))) {
    work->row.forwards = work->forwarded + ready;
    work->row.before = work->before;
    write_forward(work);
    return true;
  }
  FAULT_POINT("change.forward.before");
  LIST_EACH (&work->asks, node, following) {
    struct ask *ask = CONTAINER_OF(node, struct ask, node);
    if (ask->state == ASK_READY)
      call_forward(ask);
  }
  FAULT_POINT("change.forward.begun");
  return false;
}

bool work_is_final(const struct work *work) {
  return work->under_way == 0 && count_ready(work) == 0 &&
         (work->lost == 0 || changes_now_us(work->changes) >= work->hold_until_us);
}

// ---- the end ------------------------------------------------------------------------------------------------------------

static bool is_tag_delete(const struct work *work) {
  return work->row.kind == INTENT_DELETE && work->row.digest.len == 0;
}

// What the event still has to learn. True: it is being asked.
static bool complete(struct work *work) {
  struct error err;

  if (work->platform || work->question)
    return true;
  if (!is_tag_delete(work) || work->gone_known)
    return false;
  work->gone_known = true;
  if (work->before.len == 0)
    return false;
  if (call_ask(work, ASK_GONE, &err) != 0)
    work_ask_gone_later(work, &err);
  return true;
}

void work_ask_gone_later(struct work *work, const struct error *why) {
  struct changes *changes = work->changes;
  struct error words;

  work->gone_known = false;
  (void)error_set(&words, ERR_IO, "the registry behind has done it, and is asked what went with it (%s)", why->text);
  work_end_asks(work, ASK_ANSWERED, (int)words.code, &words);
  loop_timer_set(changes->loop, &work->due, changes_now_us(changes) + CHANGE_DOWN_FIRST_MS * US_PER_MS);
}

// It happened, and there is no store to tell it to: gateway.on_store_failure is pass.
static void step_without_store(struct work *work) {
  work_end_asks(work, ASK_ANSWERED, 0, NULL);
  if (work_is_final(work))
    gap_add(work);
  else if (work->under_way == 0)
    loop_timer_set(work->changes->loop, &work->due, work->hold_until_us);
}

static void step_happened(struct work *work) {
  settle_forget(work);
  if (complete(work))
    return;
  if (work->row.id == 0 || work->stuck)
    step_without_store(work);
  else
    write_tell(work);
}

void work_step(struct work *work) {
  if (work->writing != WRITE_NONE || work->detached || (work->opening && !step_opening(work)))
    return;
  if (forward_ready(work))
    return;
  if (work->happened && !work->row.told) {
    step_happened(work);
    return;
  }
  bool final = work_is_final(work);
  if (work->row.told)
    work_end_asks(work, ASK_ANSWERED, 0, NULL); // those that joined it later
  if (final && (work->row.told || work->refuted || work->lost + work->unclear == 0))
    write_close(work);
  else if (work->row.told && work->under_way == 0)
    loop_timer_set(work->changes->loop, &work->due, work->hold_until_us);
  else if (!work->row.told && work->lost + work->unclear > 0)
    settle_want(work);
}
