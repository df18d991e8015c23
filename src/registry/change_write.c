// SPDX-License-Identifier: Apache-2.0
// What a work tells the store: its intent before anything is forwarded, its event with the catalogue when it happened, and
// that it is settled.
#include "base/fault.h"
#include "registry/change_internal.h"
#include "store/catalogue.h"
#include "store/events.h"

// ---- the writer's thread ------------------------------------------------------------------------------------------------

static int open_apply(struct store_conn *conn, struct store_write *w, struct error *err) {
  struct work *work = CONTAINER_OF(w, struct work, write);

  return intent_open(conn, &work->row, work->store_arena, err);
}

static int forward_apply(struct store_conn *conn, struct store_write *w, struct error *err) {
  const struct intent *row = &CONTAINER_OF(w, struct work, write)->row;

  return intent_forward(conn, row->id, row->before, row->forwards, err);
}

static int commit_event(struct store_conn *conn, struct work *work, struct error *err) {
  const struct intent *row = &work->row;
  struct event_commit commit = {.event = &work->row.event, .create_project = true};

  // A tag that went alone takes no artifact with it: as in a source's notification, it goes out of sight.
  if (row->kind == INTENT_DELETE && row->digest.len == 0 && !work->gone)
    return catalogue_tag_removed(conn, row->project, row->repository, row->reference, STR_EMPTY, err);
  int rc = event_commit(conn, &commit, err);
  if (rc == 0 && work->found.len)
    rc = intent_tag_found(conn, row->project, row->repository, row->reference, work->found, err);
  return rc;
}

static int tell_apply(struct store_conn *conn, struct store_write *w, struct error *err) {
  struct work *work = CONTAINER_OF(w, struct work, write);
  int rc = commit_event(conn, work, err);

  if (rc != 0 || work->row.id == 0)
    return rc;
  return work->close_too ? intent_close(conn, work->row.id, err) : intent_told(conn, work->row.id, err);
}

static int close_apply(struct store_conn *conn, struct store_write *w, struct error *err) {
  return intent_close(conn, CONTAINER_OF(w, struct work, write)->row.id, err);
}

static void on_written(struct store_write *w) {
  struct work *work = CONTAINER_OF(w, struct work, write);

  // Refused only when the loop has ended for good; changes_free frees the work then.
  if (loop_post_reserved(work->changes->loop, &work->written) != 0)
    log_debug(work->changes->log, "registry", "a change came back after the serve loop had ended");
}

// ---- the loop -----------------------------------------------------------------------------------------------------------

static const struct {
  int (*apply)(struct store_conn *conn, struct store_write *w, struct error *err);
  bool takes_events;
} WRITES[] = {
    [WRITE_OPEN] = {open_apply, true}, // below the floor of free space no new one is begun
    [WRITE_FORWARD] = {forward_apply, false},
    [WRITE_TELL] = {tell_apply, false},
    [WRITE_CLOSE] = {close_apply, false},
};

static bool is_store_failure(enum errcode code) {
  return code == ERR_UNAVAILABLE || code == ERR_FULL || code == ERR_IO || code == ERR_NO_MEMORY || code == ERR_INTERNAL;
}

static bool passes(struct work *work, const struct error *err) {
  struct changes *changes = work->changes;

  if (changes->config.without_store != CHANGE_PASS || !is_store_failure(err->code))
    return false;
  gap_note(changes, err);
  return true;
}

static void again_later(struct work *work) {
  loop_timer_set(work->changes->loop, &work->due, changes_now_us(work->changes) + CHANGE_STORE_RETRY_MS * US_PER_MS);
}

static struct error words_of(const struct error *err) {
  struct error words;

  if (is_store_failure(err->code))
    (void)error_set(&words, ERR_UNAVAILABLE, "nothing was changed, because it cannot be recorded now: %s", err->text);
  else
    words = *err;
  return words;
}

static void opened(struct work *work, const struct error *err) {
  if (err->code == 0) {
    work->stored_forwards = work->row.forwards;
  } else {
    work->row.id = 0;
    if (!passes(work, err) && work->open_err.code == 0)
      work->open_err = words_of(err);
  }
  work_step(work);
}

static void forward_noted(struct work *work, const struct error *err) {
  if (err->code == 0) {
    work->stored_forwards = work->row.forwards;
  } else if (passes(work, err)) {
    work->stuck = true;
  } else {
    struct error words = words_of(err);
    work->row.forwards = work->stored_forwards;
    work_end_asks(work, ASK_READY, (int)words.code, &words);
  }
  work_step(work);
}

void write_told(const struct work *work) {
  const struct changes *changes = work->changes;
  const struct change_metrics *metrics = &changes->metrics;

  if (work->row.event.seq == 0)
    return; // a tag that went alone is no event
  if (changes->config.on_committed)
    changes->config.on_committed(changes->config.ctx, &work->row.event);
  metric_add(metrics->told, 1);
  if (work->row.event.unchanged)
    metric_add(metrics->unchanged, 1);
  if (work->row.event.inferred)
    metric_add(metrics->inferred, 1);
}

static void told(struct work *work, const struct error *err) {
  struct error words;

  if (err->code == 0) {
    FAULT_POINT("change.told");
    write_told(work);
    work->row.told = true;
    work_end_asks(work, ASK_ANSWERED, 0, NULL);
    if (work->close_too)
      work->row.id = 0;
    work_step(work);
    return;
  }
  if (passes(work, err)) {
    work->stuck = true;
    work_step(work);
    return;
  }
  (void)error_set(&words, ERR_UNAVAILABLE,
                  "the registry behind has done it, but it cannot be recorded now (%s): it will be; or do it again",
                  err->text);
  work_end_asks(work, ASK_ANSWERED, (int)words.code, &words);
  again_later(work);
}

static void closed(struct work *work, const struct error *err) {
  if (err->code == 0) {
    FAULT_POINT("change.closed");
    work->row.id = 0;
    work_free(work);
  } else {
    again_later(work);
  }
}

static void on_back(struct loop_task *task) {
  struct work *work = CONTAINER_OF(task, struct work, written);
  struct changes *changes = work->changes;
  enum work_write kind = work->writing;
  struct error err = work->write.err;

  if (work->write.rc == 0)
    err.code = ERR_OK;
  work->writing = WRITE_NONE;
  changes->writes--;
  if (work->detached)
    gap_settled(work, err.code == 0);
  else if (kind == WRITE_OPEN)
    opened(work, &err);
  else if (kind == WRITE_FORWARD)
    forward_noted(work, &err);
  else if (kind == WRITE_TELL)
    told(work, &err);
  else
    closed(work, &err);
  changes_look_drained(changes);
}

static void submit(struct work *work, enum work_write kind) {
  struct changes *changes = work->changes;
  struct error err = {0};

  work->write =
      (struct store_write){.apply = WRITES[kind].apply, .done = on_written, .takes_events = WRITES[kind].takes_events};
  work->written.run = on_back;
  work->writing = kind;
  changes->writes++;
  int rc = store_submit(changes->store, &work->write, &err);
  if (rc == 0)
    return;
  // The same way as a commit that failed, and not before this returns.
  work->write.rc = rc;
  work->write.err = err;
  on_written(&work->write);
}

void write_open(struct work *work) {
  struct error err;

  if (gap_is_open(work->changes)) { // what happened meanwhile is told first: pass on
    work->row.id = 0;
    gap_fire(&work->changes->gap_due);
    return;
  }
  work->store_arena = arena_new(CHANGE_STORE_ARENA_BYTES);
  if (work->store_arena) {
    submit(work, WRITE_OPEN);
    return;
  }
  (void)error_set(&err, ERR_NO_MEMORY, "no memory for a change");
  work->open_err = err;
  loop_timer_set(work->changes->loop, &work->due, 0);
}

void write_forward(struct work *work) {
  submit(work, WRITE_FORWARD);
}

void write_tell(struct work *work) {
  struct event *event = &work->row.event;

  event->unchanged = work->row.kind == INTENT_PUT && str_eq(work->before, work->row.digest);
  event->inferred = work->inferred;
  if (event->artifacts_len > 0 && work->learned_platform.len)
    event->artifacts[0].platform = work->learned_platform;
  if (work->row.kind == INTENT_DELETE && work->gone && event->artifacts_len > 0) {
    event->artifacts[0].digest = work->before; // its tags and size are the catalogue's
    event->artifacts[0].tags_len = 0;
  }
  work->close_too = work_is_final(work);
  FAULT_POINT("change.tell.before");
  submit(work, WRITE_TELL);
}

void write_close(struct work *work) {
  if (work->row.id == 0) {
    struct changes *changes = work->changes;
    work_free(work);
    changes_look_drained(changes);
  } else {
    submit(work, WRITE_CLOSE);
  }
}
