// SPDX-License-Identifier: Apache-2.0
// The settler: works that no answer settled are asked about until it is known what became of them, those that a kill left
// open like those of a minute ago.
#include <stdlib.h>

#include "base/fault.h"
#include "event/copy.h"
#include "registry/change_internal.h"

enum { RECOVER_ROWS = 256, RECOVER_ARENA_BYTES = 64 * 1024 * 1024 };

// ---- taking turns -------------------------------------------------------------------------------------------------------

static void settle_turn(struct changes *changes);

static void ask_now(struct work *work) {
  struct changes *changes = work->changes;
  struct error err = {0};
  enum question_about about = work->found.len ? ASK_DIGEST : ASK_REFERENCE;

  work->question_final = work_is_final(work);
  work->asking = true;
  changes->questions++;
  int rc = call_ask(work, about, &err);
  FAULT_POINT("change.settle.asked");
  if (rc == 0)
    return;
  work->asking = false;
  changes->questions--;
  work->next_question_us = changes_now_us(changes) + CHANGE_DOWN_FIRST_MS * US_PER_MS;
  loop_timer_set(changes->loop, &work->due, work->next_question_us);
}

static void settle_turn(struct changes *changes) {
  bool down = changes_now_us(changes) < changes->down_until_us;
  int most = changes->down_ms > 0 ? 1 : CHANGE_SETTLE_AT_ONCE;

  while (!down && changes->questions < most && !list_empty(&changes->ready)) {
    struct work *work = CONTAINER_OF(list_pop_front(&changes->ready), struct work, ready);
    ask_now(work);
  }
  if (down && !list_empty(&changes->ready)) // the head wakes the rest
    loop_timer_set(changes->loop, &CONTAINER_OF(list_first(&changes->ready), struct work, ready)->due,
                   changes->down_until_us);
}

void settle_want(struct work *work) {
  struct changes *changes = work->changes;

  if (work->asking)
    return;
  if (!list_linked(&work->ready)) {
    if (changes_now_us(changes) < work->next_question_us) {
      loop_timer_set(changes->loop, &work->due, work->next_question_us);
      return;
    }
    list_push_back(&changes->ready, &work->ready);
  }
  settle_turn(changes);
}

void settle_soon(struct work *work) {
  work->next_question_us = work->pause_ms = 0;
  if (work->asking) // what is being asked may be older than what has come to pass
    work->question_final = false;
}

void settle_forget(struct work *work) {
  struct changes *changes = work->changes;

  if (!work->asking && !list_linked(&work->ready))
    return;
  if (list_linked(&work->ready))
    list_remove(&changes->ready, &work->ready);
  if (work->asking) {
    http_call_cancel(work->question);
    work->question = NULL;
    work->asking = false;
    changes->questions--;
  }
  settle_turn(changes); // it may have been the one that wakes the others
}

// ---- what the answers mean ----------------------------------------------------------------------------------------------

static void upstream_silent(struct changes *changes, const struct error *err) {
  if (changes_now_us(changes) < changes->down_until_us)
    return; // another question has said so already
  if (changes->down_ms == 0)
    log_warn(changes->log, "registry", "changes cannot be settled now, it is tried again: %s", err->text);
  changes->down_ms = changes->down_ms == 0 ? CHANGE_DOWN_FIRST_MS : 2 * changes->down_ms;
  if (changes->down_ms > CHANGE_DOWN_SLOWEST_MS)
    changes->down_ms = CHANGE_DOWN_SLOWEST_MS;
  changes->down_until_us = changes_now_us(changes) + changes->down_ms * US_PER_MS;
}

static void happened(struct work *work, bool moved) {
  work->happened = true;
  // The one forward without an answer is what moved it: nothing more can come.
  if (moved && work->lost == 1 && work->agreed + work->unclear == 0)
    work->lost = 0;
}

// Not there (yet).
static void not_seen(struct work *work) {
  if (work->question_final && work_is_final(work)) // nothing was forwarded since it was asked
    work->refuted = true;
}

// A reference that leads to a third digest: ours was there when it came, if it is known by its own name and was not before.
static bool is_overtaken(const struct work *work, struct str digest) {
  return digest.len > 0 && !str_eq(digest, work->before) && !work->row.existed &&
         !str_eq(work->before, work->row.digest) && !str_eq(work->row.reference, work->row.digest);
}

static void judge_put(struct work *work, struct str digest) {
  if (work->about == ASK_DIGEST) {
    if (digest.len > 0) {
      work->inferred = true;
      happened(work, true);
    } else {
      work->found = STR_EMPTY;
      not_seen(work);
    }
  } else if (str_eq(digest, work->row.digest)) {
    bool moved = !str_eq(work->before, digest);
    if (moved || work->question_final)
      happened(work, moved);
  } else if (is_overtaken(work, digest)) {
    work->found = digest;
    work->next_question_us = 0;
  } else {
    not_seen(work);
  }
}

static void judge_delete(struct work *work, struct str digest) {
  if (digest.len == 0 && work->before.len > 0)
    happened(work, true);
  else
    not_seen(work);
}

static void judge(struct work *work, struct str digest) {
  struct changes *changes = work->changes;
  int64_t now_us = changes_now_us(changes);

  work->pause_ms = work->pause_ms == 0 ? CHANGE_SETTLE_FIRST_MS : 2 * work->pause_ms;
  if (work->pause_ms > CHANGE_SETTLE_SLOWEST_MS)
    work->pause_ms = CHANGE_SETTLE_SLOWEST_MS;
  work->next_question_us = now_us + work->pause_ms * US_PER_MS;
  if (work->lost > 0 && work->hold_until_us > now_us && work->hold_until_us < work->next_question_us)
    work->next_question_us = work->hold_until_us;
  FAULT_POINT("change.settle.heard");
  if (work->row.kind == INTENT_PUT)
    judge_put(work, digest);
  else
    judge_delete(work, digest);
  if (!work->happened)
    return;
  if (!work->row.told)
    log_info(changes->log, "registry", "found out: %s of %.*s/%.*s (%.*s) has happened",
             work->row.kind == INTENT_PUT ? "the push" : "the delete", STR_ARG(work->row.project),
             STR_ARG(work->row.repository), STR_ARG(work->row.reference));
}

static void heard_before(struct work *work, int rc, struct str digest, const struct error *err) {
  struct error url_err;

  if (rc != 0) {
    work->open_err = *err;
    return;
  }
  work->before = digest;
  work->before_known = true;
  // What a tag that is to be deleted leads to: the artifact may go with it.
  if (work->row.digest.len == 0 && work->before.len > 0 && work_urls(work, &url_err) != 0)
    work->open_err = url_err;
}

void work_heard(struct work *work, int rc, struct str digest, const struct error *err) {
  struct changes *changes = work->changes;

  if (work->about == ASK_BEFORE) {
    heard_before(work, rc, digest, err);
  } else if (work->about == ASK_GONE) {
    work->gone = rc == 0 && digest.len == 0;
    if (rc != 0) {
      work_ask_gone_later(work, err);
      settle_turn(changes);
      return;
    }
  } else {
    work->asking = false;
    changes->questions--;
    if (rc == 0) {
      if (changes->down_ms > 0)
        log_info(changes->log, "registry", "the registry behind answers again: changes are being settled");
      changes->down_ms = changes->down_until_us = 0;
      judge(work, digest);
    } else {
      upstream_silent(changes, err);
      work->next_question_us = changes->down_until_us;
    }
  }
  work_step(work);
  settle_turn(changes);
}

// ---- what a kill left open ----------------------------------------------------------------------------------------------

// The forwards of then may still come to pass: the time that they have counts from now.
static int recover_one(struct changes *changes, const struct intent *row, struct error *err) {
  struct work *work = work_new(changes, err);

  if (!work)
    return (int)err->code;
  struct place *place = place_of(changes, row->project, row->repository, err);
  if (!place) {
    work_free(work);
    return (int)err->code;
  }
  work_place(work, place);
  struct intent *own = &work->row;
  *own = *row;
  own->project = arena_str(work->arena, row->project);
  own->repository = arena_str(work->arena, row->repository);
  own->reference = arena_str(work->arena, row->reference);
  own->digest = arena_str(work->arena, row->digest);
  own->before = arena_str(work->arena, row->before);
  if (!own->project.ptr || !own->repository.ptr || !own->reference.ptr || !own->digest.ptr || !own->before.ptr ||
      !event_copy(&row->event, work->arena, &own->event)) {
    work_free(work);
    return error_set(err, ERR_NO_MEMORY, "no memory for the changes that are not settled");
  }
  work->whole = row->kind == INTENT_DELETE && row->digest.len > 0;
  work->before = own->before;
  work->before_known = true;
  work->stored_forwards = work->forwarded = work->lost = row->forwards;
  work->happened = row->told;
  work->hold_until_us = changes_now_us(changes) + changes->config.upstream_timeout_ms * US_PER_MS;
  int rc = work_urls(work, err);
  if (rc != 0)
    work_free(work);
  else
    loop_timer_set(changes->loop, &work->due, 0);
  return rc;
}

int settle_recover(struct changes *changes, struct error *err) {
  struct store_conn *conn = store_reader_open(changes->store, err);
  int64_t after = FAULT_PLANTED("forget_intents") ? INT64_MAX : 0;
  size_t len = RECOVER_ROWS, all = 0;
  int rc = conn ? 0 : (int)err->code;

  while (rc == 0 && len == RECOVER_ROWS) {
    CLEANUP(arena_cleanup) struct arena *arena = arena_new(RECOVER_ARENA_BYTES);
    struct intent *rows = NULL;
    len = 0;
    rc = arena ? intent_list(conn, after, RECOVER_ROWS, arena, &rows, &len, err)
               : error_set(err, ERR_NO_MEMORY, "no memory for the changes that are not settled");
    for (size_t i = 0; rc == 0 && i < len; i++) {
      rc = recover_one(changes, &rows[i], err);
      after = rows[i].id;
    }
    all += len;
  }
  store_reader_close(conn);
  if (rc == 0 && all > 0)
    log_info(changes->log, "registry", "%zu changes of the last run are not settled: the registry behind is asked",
             all);
  return rc;
}
