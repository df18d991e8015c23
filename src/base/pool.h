// SPDX-License-Identifier: Apache-2.0
// A few threads for work that a loop must not do: reading queries, password hashes, large JSON, files. Jobs wait in one
// bounded queue; each thread has a context of its own (a read connection), made and freed on that thread. A job is the
// caller's memory and ends by handing itself back (a posted loop task). Any thread may add jobs.
#ifndef HARBINGER_BASE_POOL_H
#define HARBINGER_BASE_POOL_H

#include "base/error.h"
#include "base/queue.h"

enum { POOL_MAX_THREADS = 64 };

struct pool;

struct pool_job {
  struct queue_node node;
  void (*run)(struct pool_job *job, void *thread_context);
};

struct pool_config {
  size_t threads;
  size_t max_jobs;                                     // waiting
  void *(*context_open)(void *ctx, struct error *err); // on each thread before its first job; NULL fails pool_new
  void (*context_close)(void *ctx, void *thread_context);
  void *ctx;
};

struct pool *pool_new(const struct pool_config *config, struct error *err) MUST_CHECK;
// ERR_FULL or ERR_UNAVAILABLE (stopping): the job stays the caller's.
int pool_add(struct pool *pool, struct pool_job *job) MUST_CHECK;
// Runs what waits, then joins; from now on pool_add refuses. Twice is fine.
void pool_stop(struct pool *pool);
void pool_free(struct pool *pool); // stops it first
#endif
