// SPDX-License-Identifier: Apache-2.0
#include "base/pool.h"

#include <pthread.h>
#include <stdlib.h>

struct pool_thread {
  struct pool *pool;
  pthread_t handle;
  bool started;
};

struct pool {
  struct pool_config config;
  struct queue *jobs;
  struct pool_thread threads[POOL_MAX_THREADS];
  // Threads report the outcome of context_open to pool_new.
  pthread_mutex_t lock;
  pthread_cond_t opened;
  size_t ready, failed;
  struct error err;
};

static bool thread_open(struct pool *pool, void **context) {
  struct error err = {0};
  *context = pool->config.context_open ? pool->config.context_open(pool->config.ctx, &err) : pool;
  pthread_mutex_lock(&pool->lock);
  if (*context) {
    pool->ready++;
  } else {
    pool->failed++;
    pool->err = err;
  }
  pthread_cond_signal(&pool->opened);
  pthread_mutex_unlock(&pool->lock);
  return *context != NULL;
}

static void *thread_main(void *arg) {
  struct pool_thread *self = arg;
  struct pool *pool = self->pool;
  void *context = NULL;
  if (!thread_open(pool, &context))
    return NULL;
  // A closed queue still hands out what waits; only then does queue_wait say false for good.
  while (queue_wait(pool->jobs, -1) || !queue_closed(pool->jobs)) {
    struct queue_node *node = queue_take(pool->jobs, 1);
    if (!node)
      continue;
    struct pool_job *job = CONTAINER_OF(node, struct pool_job, node);
    job->run(job, context);
  }
  if (pool->config.context_close)
    pool->config.context_close(pool->config.ctx, context);
  return NULL;
}

static int threads_start(struct pool *pool, struct error *err) {
  for (size_t i = 0; i < pool->config.threads; i++) {
    struct pool_thread *thread = &pool->threads[i];
    thread->pool = pool;
    if (pthread_create(&thread->handle, NULL, thread_main, thread) != 0)
      return error_set(err, ERR_NO_MEMORY, "cannot start pool thread %zu of %zu", i + 1, pool->config.threads);
    thread->started = true;
  }
  pthread_mutex_lock(&pool->lock);
  while (pool->ready + pool->failed < pool->config.threads)
    pthread_cond_wait(&pool->opened, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
  if (pool->failed == 0)
    return 0;
  if (err)
    *err = pool->err;
  return pool->err.code ? (int)pool->err.code : ERR_INTERNAL;
}

struct pool *pool_new(const struct pool_config *config, struct error *err) {
  if (config->threads == 0 || config->threads > POOL_MAX_THREADS) {
    error_set(err, ERR_CONFIG, "a pool has 1 to %d threads, not %zu", POOL_MAX_THREADS, config->threads);
    return NULL;
  }
  struct pool *pool = calloc(1, sizeof *pool);
  struct queue *jobs = queue_new(config->max_jobs);
  if (!pool || !jobs) {
    free(pool);
    queue_free(jobs);
    error_set(err, ERR_NO_MEMORY, "out of memory for the thread pool");
    return NULL;
  }
  pool->config = *config;
  pool->jobs = jobs;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->opened, NULL);
  if (threads_start(pool, err) != 0) {
    pool_free(pool);
    return NULL;
  }
  return pool;
}

int pool_add(struct pool *pool, struct pool_job *job) {
  return queue_push(pool->jobs, &job->node);
}

void pool_stop(struct pool *pool) {
  if (!pool)
    return;
  queue_close(pool->jobs);
  for (size_t i = 0; i < pool->config.threads; i++) {
    if (pool->threads[i].started)
      pthread_join(pool->threads[i].handle, NULL);
    pool->threads[i].started = false;
  }
}

void pool_free(struct pool *pool) {
  if (!pool)
    return;
  pool_stop(pool);
  queue_free(pool->jobs);
  pthread_cond_destroy(&pool->opened);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}
