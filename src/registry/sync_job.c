// SPDX-License-Identifier: Apache-2.0
#include "registry/sync_job.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { SYNC_NICENESS = 5 };

struct sync_job {
  struct registry_sync_config config;
  struct store *store;
  const struct clock *clock;
  pthread_mutex_t lock; // around what follows
  struct sync_state state;
  bool cancelled, stopped, must_join;
  pthread_t thread;
};

static bool tell(void *ctx, const char *what, int64_t done, int64_t of) {
  struct sync_job *job = ctx;

  pthread_mutex_lock(&job->lock);
  job->state.what = what;
  job->state.done = done;
  job->state.of = of;
  bool go_on = !job->cancelled;
  pthread_mutex_unlock(&job->lock);
  return go_on;
}

static void log_end(const struct sync_job *job, int rc, const struct sync_counts *counts, const struct error *err) {
  if (rc != 0)
    log_warn(job->config.log, "sync", "the registry is not read to its end: %s; the next sync goes on from there",
             err->text);
  else
    log_info(
        job->config.log, "sync",
        "the catalogue is as the registry: %lld repositories read, %lld tags added, %lld moved, %lld removed, %lld "
        "manifests removed",
        (long long)counts->repositories, (long long)counts->added, (long long)counts->moved,
        (long long)counts->removed_tags, (long long)counts->removed_artifacts);
}

static void *sync_main(void *arg) {
  struct sync_job *job = arg;
  const struct store_progress progress = {.tell = tell, .ctx = job};
  struct registry_sync_config config = job->config;
  struct sync_counts counts;
  struct error err = {0};

  (void)setpriority(PRIO_PROCESS, 0, SYNC_NICENESS); // of this thread alone, on Linux
  config.walk.project = job->state.project;          // changes only while no thread runs
  log_info(config.log, "sync", "reading the registry%s%s", config.walk.project[0] ? ": " : "", config.walk.project);
  int rc = registry_sync(&config, job->store, &progress, &counts, &err);
  log_end(job, rc, &counts, &err);
  pthread_mutex_lock(&job->lock);
  job->state.running = false;
  job->state.ended_us = clock_wall_us(job->clock);
  job->state.rc = rc;
  job->state.err = err;
  job->state.counts = counts;
  pthread_mutex_unlock(&job->lock);
  return NULL;
}

// With the lock. The thread has ended, or is about to without taking the lock again.
static void join_ended(struct sync_job *job) {
  if (job->must_join)
    pthread_join(job->thread, NULL);
  job->must_join = false;
}

static int begin(struct sync_job *job, struct str project, struct error *err) {
  char words[128];

  if (job->stopped)
    return error_set(err, ERR_UNAVAILABLE, "the server is stopping: run it again in a moment");
  if (job->state.running)
    return error_set(err, ERR_CONFLICT,
                     "a sync is going on%s%s: wait for its end, or stop it with `harbinger sync --stop`",
                     job->state.project[0] ? " of project " : "", job->state.project);
  join_ended(job);
  job->cancelled = false;
  job->state = (struct sync_state){.running = true, .what = "beginning", .started_us = clock_wall_us(job->clock)};
  (void)snprintf(job->state.project, sizeof job->state.project, "%.*s", STR_ARG(project));
  int rc = pthread_create(&job->thread, NULL, sync_main, job);
  if (rc != 0) {
    job->state.running = false;
    return error_set(err, ERR_NO_MEMORY, "cannot start a thread for it: %s", error_errno(rc, words));
  }
  pthread_setname_np(job->thread, "sync");
  job->must_join = true;
  return 0;
}

int sync_job_begin(struct sync_job *job, struct str project, struct error *err) {
  pthread_mutex_lock(&job->lock);
  int rc = begin(job, project, err);
  pthread_mutex_unlock(&job->lock);
  return rc;
}

bool sync_job_cancel(struct sync_job *job) {
  pthread_mutex_lock(&job->lock);
  bool running = job->state.running;
  job->cancelled = true;
  pthread_mutex_unlock(&job->lock);
  return running;
}

void sync_job_state(struct sync_job *job, struct sync_state *out) {
  pthread_mutex_lock(&job->lock);
  *out = job->state;
  pthread_mutex_unlock(&job->lock);
}

struct sync_job *sync_job_new(const struct registry_sync_config *config, struct store *store, const struct clock *clock,
                              struct error *err) {
  struct sync_job *job = calloc(1, sizeof *job);

  if (!job) {
    (void)error_set(err, ERR_NO_MEMORY, "out of memory for the sync");
    return NULL;
  }
  job->config = *config;
  job->store = store;
  job->clock = clock;
  pthread_mutex_init(&job->lock, NULL);
  return job;
}

void sync_job_stop(struct sync_job *job) {
  if (!job)
    return;
  pthread_mutex_lock(&job->lock);
  job->stopped = job->cancelled = true;
  pthread_mutex_unlock(&job->lock);
  join_ended(job); // nothing begins any more
}

void sync_job_free(struct sync_job *job) {
  if (!job)
    return;
  sync_job_stop(job);
  pthread_mutex_destroy(&job->lock);
  free(job);
}
