// SPDX-License-Identifier: Apache-2.0
#include "dispatch/trial.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/list.h"
#include "dispatch/request.h"

enum { TRIAL_MAX_BYTES = 8 * 1024 * 1024 }; // a body of FORMAT_MAX_BODY_BYTES, what it is made of, and what is kept

struct trials {
  struct trials_config config;
  pthread_mutex_t lock; // around what follows
  size_t places;        // taken
  bool closed;
  struct list open; // handed to the loop, not answered yet
};

struct trial {
  struct trials *trials;
  atomic_int users; // who asked, and the loop while it has the trial
  bool has_place;   // of who asks, then of who drops the trial last
  struct arena *arena;
  struct route *route;
  struct request request;
  int64_t started_at_us;
  // Of the loop from the post to the answer:
  struct list_node node; // in trials->open
  struct loop_task start;
  struct http_call *call;
  bool answered;
  // The answer:
  struct queue *done;
  struct queue_node done_node;
  int rc;
  struct error err;
  struct attempt attempt;
  bool truncated;
};

// ---- places ---------------------------------------------------------------------------------------------------------

static int take_place(struct trials *trials, struct error *err) {
  size_t max = trials->config.dispatch->max_trials;
  pthread_mutex_lock(&trials->lock);
  bool closed = trials->closed, full = trials->places >= max;
  if (!closed && !full)
    trials->places++;
  pthread_mutex_unlock(&trials->lock);
  if (closed)
    return error_set(err, ERR_UNAVAILABLE, "the server is stopping");
  if (full)
    return error_set(err, ERR_TOO_MANY,
                     "%zu tests are on their way, which is as many as run at once; try again when one "
                     "has ended",
                     max);
  return 0;
}

static void leave_place(struct trials *trials) {
  pthread_mutex_lock(&trials->lock);
  trials->places--;
  pthread_mutex_unlock(&trials->lock);
}

// ---- on the loop ----------------------------------------------------------------------------------------------------

// Tell who waits. The loop's share is dropped by the caller.
static void answer(struct trial *trial, int rc) {
  struct trials *trials = trial->trials;
  pthread_mutex_lock(&trials->lock);
  list_remove(&trials->open, &trial->node);
  pthread_mutex_unlock(&trials->lock);
  trial->rc = rc;
  trial->answered = true;
  // The queue is open and has room for exactly this one.
  if (queue_push(trial->done, &trial->done_node) != 0)
    abort();
}

static void on_done(void *ctx, const struct http_result *result) {
  struct trial *trial = ctx;
  const struct trials_config *config = &trial->trials->config;
  enum target_type type = trial->route->target.type;
  trial->call = NULL;
  if (result->outcome == HTTP_OUTCOME_LOCAL) {
    trial->err = result->err;
    answer(trial, error_context(&trial->err, "the test could not be sent"));
    trial_drop(trial);
    return;
  }
  struct retry_verdict verdict = retry_judge(type, result);
  struct str words = verdict.class == RETRY_SUCCESS ? STR_EMPTY : request_failure_words(result, type, trial->arena);
  request_record(trial->route, &trial->request, result, verdict.outcome, words, trial->started_at_us,
                 clock_wall_us(loop_clock(config->loop)), trial->arena, &trial->attempt);
  trial->truncated = result->truncated;
  log_debug(config->log, "dispatch", "test of %.*s: %s %d", STR_ARG(trial->route->masked), verdict.outcome,
            trial->attempt.status);
  answer(trial, 0);
  trial_drop(trial);
}

static void start(struct loop_task *task) {
  struct trial *trial = CONTAINER_OF(task, struct trial, start);
  const struct trials_config *config = &trial->trials->config;
  if (trial->answered) { // closed before the loop came to it
    trial_drop(trial);
    return;
  }
  struct http_call_params params = request_call(trial->route, &trial->request, config->dispatch);
  params.on_done = on_done;
  params.ctx = trial;
  trial->call = http_client_start(config->client, &params, &trial->err);
  if (trial->call)
    return;
  answer(trial, error_context(&trial->err, "the test could not be sent"));
  trial_drop(trial);
}

static struct trial *first_open(struct trials *trials) {
  pthread_mutex_lock(&trials->lock);
  trials->closed = true;
  struct list_node *node = list_first(&trials->open);
  pthread_mutex_unlock(&trials->lock);
  return node ? CONTAINER_OF(node, struct trial, node) : NULL;
}

void trials_close(struct trials *trials) {
  struct trial *trial;
  while ((trial = first_open(trials)) != NULL) {
    bool is_started = trial->call != NULL;
    if (is_started)
      http_call_cancel(trial->call);
    trial->call = NULL;
    answer(trial, error_set(&trial->err, ERR_UNAVAILABLE, "the server is stopping"));
    if (is_started)
      trial_drop(trial); // else its task does, which is still with the loop
  }
}

// ---- who asks -------------------------------------------------------------------------------------------------------

static int make_request(struct trial *trial, const struct target *target, const struct event *event,
                        struct error *err) {
  const struct trials_config *config = &trial->trials->config;
  trial->route = route_of_target(target, err);
  if (!trial->route)
    return err->code;
  if (!trial->route->has_url)
    return error_set(err, ERR_BAD_REQUEST, "%s", trial->route->why.text);
  trial->started_at_us = clock_wall_us(loop_clock(config->loop));
  const struct request_input input = {
      .event = event, .attempt = 1, .now_wall_us = trial->started_at_us, .is_test = true};
  return request_make(trial->route, &input, config->dispatch, trial->arena, &trial->request, err);
}

int trial_new(struct trials *trials, const struct target *target, const struct event *event, struct trial **out,
              struct error *err) {
  int rc = take_place(trials, err);
  if (rc != 0)
    return rc;
  struct arena *arena = arena_new(TRIAL_MAX_BYTES);
  struct trial *trial = arena ? ARENA_NEW(arena, struct trial) : NULL;
  if (!trial) {
    arena_free(arena);
    leave_place(trials);
    return error_set(err, ERR_NO_MEMORY, "no memory for a test");
  }
  trial->trials = trials;
  trial->arena = arena;
  trial->has_place = true;
  trial->start.run = start;
  atomic_init(&trial->users, 1);
  trial->done = queue_new(1);
  rc = trial->done ? make_request(trial, target, event, err) : error_set(err, ERR_NO_MEMORY, "no memory for a test");
  if (rc != 0) {
    trial_drop(trial);
    return rc;
  }
  *out = trial;
  return 0;
}

// Into the list of the open ones, unless they are closed.
static bool open_trial(struct trial *trial) {
  struct trials *trials = trial->trials;
  pthread_mutex_lock(&trials->lock);
  bool open = !trials->closed;
  if (open)
    list_push_back(&trials->open, &trial->node);
  pthread_mutex_unlock(&trials->lock);
  return open;
}

int trial_run(struct trial *trial, struct error *err) {
  const struct trials_config *config = &trial->trials->config;
  if (!open_trial(trial))
    return error_set(err, ERR_UNAVAILABLE, "the server is stopping");
  atomic_fetch_add(&trial->users, 1);
  // Reserved: places bound how many there are. The loop's queue is never closed.
  if (loop_post_reserved(config->loop, &trial->start) != 0)
    abort();
  int64_t wait_ms = config->dispatch->total_timeout_ms + TRIAL_GRACE_MS;
  if (!queue_wait(trial->done, wait_ms < INT32_MAX ? (int)wait_ms : INT32_MAX))
    return error_set(err, ERR_UNAVAILABLE, "the sending loop did not take a test in time");
  // Not with the last drop, which may be the loop's a moment later: who has the answer may ask again at once.
  leave_place(trial->trials);
  trial->has_place = false;
  if (trial->rc != 0)
    *err = trial->err;
  return trial->rc;
}

struct trial_result trial_result(const struct trial *trial) {
  return (struct trial_result){
      .attempt = &trial->attempt, .request_body = trial->request.body, .truncated = trial->truncated};
}

void trial_drop(struct trial *trial) {
  if (!trial || atomic_fetch_sub(&trial->users, 1) != 1)
    return;
  struct trials *trials = trial->trials;
  if (trial->done) {
    (void)queue_take_all(trial->done);
    queue_free(trial->done);
  }
  bool has_place = trial->has_place;
  route_drop(trial->route);
  arena_free(trial->arena);
  if (has_place)
    leave_place(trials);
}

// ---- life -----------------------------------------------------------------------------------------------------------

struct trials *trials_new(const struct trials_config *config, struct error *err) {
  struct trials *trials = calloc(1, sizeof(*trials));
  if (!trials) {
    error_set(err, ERR_NO_MEMORY, "no memory for tests of webhooks");
    return NULL;
  }
  trials->config = *config;
  pthread_mutex_init(&trials->lock, NULL);
  list_init(&trials->open);
  return trials;
}

void trials_free(struct trials *trials) {
  if (!trials)
    return;
  pthread_mutex_destroy(&trials->lock);
  free(trials);
}
