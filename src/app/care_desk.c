// SPDX-License-Identifier: Apache-2.0
#include "app/care_desk.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { CARE_NICENESS = 5 };

struct care_desk {
  struct care_place place;
  char *data; // absolute, for words that others read
  struct loop *loop;
  const struct log *log;
  struct care_job *job; // that runs, or NULL
  pthread_t thread;
  bool must_join;
  bool stopped; // nothing begins any more: a command may come while the loop takes its last answers
  _Atomic bool cancelled;
};

static bool tell(void *ctx, const char *what, int64_t done, int64_t of) {
  struct care_job *job = ctx;
  atomic_store(&job->at, done);
  atomic_store(&job->of, of);
  atomic_store(&job->what, what);
  return !atomic_load(&job->desk->cancelled);
}

static const char *name_of(const struct care_job *job) {
  switch (job->request.kind) {
  case CARE_BACKUP:
    return "backup";
  case CARE_CHECK:
    return "check";
  case CARE_COMPACT:
    return "compaction";
  case CARE_KEY_ROTATE:
    return "change of keys";
  case CARE_KINDS:
    break;
  }
  return "work";
}

static void *care_main(void *arg) {
  struct care_job *job = arg;
  struct care_desk *desk = job->desk;
  const struct store_progress progress = {.tell = tell, .ctx = job};
  (void)setpriority(PRIO_PROCESS, 0, CARE_NICENESS); // of this thread alone, on Linux
  log_info(desk->log, "care", "%s begun%s%s", name_of(job), job->request.dir[0] ? ": " : "", job->request.dir);
  job->rc = care_do(&job->request, &desk->place, &progress, &job->text, &job->exit_code, &job->err);
  if (job->rc == 0)
    log_info(desk->log, "care", "%s done%s", name_of(job), job->exit_code ? ": it found something" : "");
  else
    log_warn(desk->log, "care", "%s not done: %s", name_of(job), job->err.text);
  if (loop_post_reserved(desk->loop, &job->ended) != 0)
    log_warn(desk->log, "care", "stopped before a command was answered");
  return NULL;
}

static void join(struct care_desk *desk) {
  if (desk->must_join)
    pthread_join(desk->thread, NULL);
  desk->must_join = false;
}

static void job_ended(struct loop_task *task) {
  struct care_job *job = CONTAINER_OF(task, struct care_job, ended);
  struct care_desk *desk = job->desk;
  join(desk); // posting was the last thing that it did
  desk->job = NULL;
  job->done(job);
}

int care_desk_begin(struct care_desk *desk, struct care_job *job, struct error *err) {
  if (desk->stopped)
    return error_set(err, ERR_UNAVAILABLE, "the server is stopping: run it again in a moment");
  if (desk->job)
    return error_set(err, ERR_CONFLICT, "a %s is going on: wait for its end", name_of(desk->job));
  job->desk = desk;
  job->ended.run = job_ended;
  atomic_store(&desk->cancelled, false);
  buf_init(&job->text, CARE_TEXT_BYTES);
  int rc = pthread_create(&desk->thread, NULL, care_main, job);
  if (rc != 0) {
    char words[128];
    return error_set(err, ERR_NO_MEMORY, "cannot start a thread for it: %s", error_errno(rc, words));
  }
  pthread_setname_np(desk->thread, "care");
  desk->must_join = true;
  desk->job = job;
  return 0;
}

void care_desk_cancel(struct care_desk *desk) {
  atomic_store(&desk->cancelled, true);
}

bool care_job_progress(struct care_job *job, const char **what, int64_t *at, int64_t *of) {
  *what = atomic_load(&job->what);
  *at = atomic_load(&job->at);
  *of = atomic_load(&job->of);
  return *what != NULL;
}

struct care_desk *care_desk_new(const struct care_place *place, struct loop *loop, const struct log *log,
                                struct error *err) {
  struct care_desk *desk = calloc(1, sizeof *desk);
  if (!desk) {
    error_set(err, ERR_NO_MEMORY, "out of memory for care");
    return NULL;
  }
  desk->place = *place;
  desk->data = realpath(place->data, NULL);
  if (desk->data)
    desk->place.data = desk->data;
  desk->loop = loop;
  desk->log = log;
  return desk;
}

void care_desk_close(struct care_desk *desk) {
  if (!desk)
    return;
  desk->stopped = true;
  care_desk_cancel(desk);
}

void care_desk_stop(struct care_desk *desk) {
  care_desk_close(desk);
  if (desk)
    join(desk);
}

void care_desk_free(struct care_desk *desk) {
  care_desk_stop(desk);
  if (desk)
    free(desk->data);
  free(desk);
}
