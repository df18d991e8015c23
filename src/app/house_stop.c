// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "app/house_steps.h"

enum { LAST_ROUNDS = 1024 };

// ---- the stop list ----------------------------------------------------------------------------------------------------

// Both loops finish what runs; each tells this condition when nothing is left.
struct drain {
  struct house *house;
  pthread_mutex_t lock;
  pthread_cond_t done;
  int left;
};

struct drain_step {
  struct loop_task task;
  struct drain *drain;
};

static void drained(void *ctx) {
  struct drain *drain = ctx;
  pthread_mutex_lock(&drain->lock);
  drain->left--;
  pthread_cond_signal(&drain->done);
  pthread_mutex_unlock(&drain->lock);
}

static void drain_server(struct loop_task *task) {
  struct drain_step *step = CONTAINER_OF(task, struct drain_step, task);
  care_desk_close(step->drain->house->desk); // it would go on for as long as the store is large
  http_server_drain(step->drain->house->server, drained, step->drain);
}

// What was forwarded waits for its answer, also when nobody waits for ours.
static void drain_changes(struct loop_task *task) {
  struct drain_step *step = CONTAINER_OF(task, struct drain_step, task);
  changes_drain(step->drain->house->changes, drained, step->drain);
}

static void drain_sender(struct loop_task *task) {
  struct drain_step *step = CONTAINER_OF(task, struct drain_step, task);
  dispatch_drain(step->drain->house->dispatch, drained, step->drain);
}

static void wait_drained(struct drain *drain, int64_t wait_ms) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += wait_ms / 1000;
  until.tv_nsec += (wait_ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&drain->lock);
  while (drain->left > 0)
    if (pthread_cond_timedwait(&drain->done, &drain->lock, &until) != 0)
      break;
  if (drain->left > 0)
    log_warn(&drain->house->log, "app",
             "stopping with work running after %lld ms; it is on disk and will be done after the next start",
             (long long)wait_ms);
  pthread_mutex_unlock(&drain->lock);
}

void house_drain(struct house *house) {
  // Static: a drain that comes true after the wait is over must still find its lock. One house, one stop.
  static struct drain drain = {.lock = PTHREAD_MUTEX_INITIALIZER};
  static struct drain_step server_step, sender_step, changes_step;
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&drain.done, &attr);
  pthread_condattr_destroy(&attr);
  drain.house = house;
  drain.left = house->changes ? 3 : 2;
  server_step = (struct drain_step){.task.run = drain_server, .drain = &drain};
  sender_step = (struct drain_step){.task.run = drain_sender, .drain = &drain};
  changes_step = (struct drain_step){.task.run = drain_changes, .drain = &drain};
  if (loop_post_reserved(house->serve.loop, &server_step.task) != 0)
    drained(&drain);
  if (loop_post_reserved(house->send.loop, &sender_step.task) != 0)
    drained(&drain);
  if (house->changes && loop_post_reserved(house->serve.loop, &changes_step.task) != 0)
    drained(&drain);
  wait_drained(&drain, house->config->drain_ms);
}

static void loop_thread_stop(struct loop_thread *thread) {
  if (!thread->running)
    return;
  loop_stop(thread->loop);
  pthread_join(thread->handle, NULL);
  thread->running = false;
}

// What pool and writer answered after the loops' threads had ended: it is taken on this thread, so that no request and no
// record stays open.
static void take_answers(struct loop *loop) {
  for (int i = 0; loop && i < LAST_ROUNDS && loop_step(loop, 0); i++) {
  }
}

void house_stop(struct house *house) {
  if (house->serve.running && house->send.running)
    house_drain(house);
  loop_thread_stop(&house->serve);
  loop_thread_stop(&house->send);
  api_close(house->api);
  care_desk_stop(house->desk); // it may wait for the writer
  sync_job_stop(house->sync);  // likewise
  pool_stop(house->pool);      // runs what waits; a request that is completed below is refused by it
  pool_stop(house->login_pool);
  if (house->store)
    store_stop(house->store); // commits what waits
  take_answers(house->serve.loop);
  take_answers(house->send.loop);
  pool_free(house->pool);
  pool_free(house->login_pool);
  control_free(house->control);
  care_desk_free(house->desk);
  gateway_stop(house->gateway);
  http_server_free(house->server);
  portal_free(house->portal);
  api_free(house->api);
  gateway_free(house->gateway);
  changes_free(house->changes);
  ingest_free(house->ingest);
  registry_facts_free(house->facts);
  sync_job_free(house->sync);
  dispatch_free(house->dispatch);
  store_reader_close(house->send_reader);
  http_client_free(house->send_client);
  http_client_free(house->serve_client);
  resolver_free(house->send_resolver);
  resolver_free(house->serve_resolver);
  loop_free(house->send.loop);
  loop_free(house->serve.loop);
  tls_server_free(house->tls);
  tls_client_free(house->trust);
  arena_free(house->trust_arena);
  egress_free(house->egress);
  auth_free(house->auth);
  if (house->store)
    store_close(house->store);
  feed_free(house->feed);
  metrics_free(house->metrics);
  id_source_free(house->ids);
  free(house->first_password);
}
