// SPDX-License-Identifier: Apache-2.0
// The store's one struct, shared by store.c, writer.c and sweep.c. What is not atomic or under `health_lock` belongs to
// the writer's thread once store_start has run. Inside store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_STATE_H
#define HARBINGER_STORE_SQLITE_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/sqlite/changes.h"
#include "store/sqlite/conn.h"

enum sweep_kind {
  SWEEP_CANCELLED, // rows of cancelled deliveries
  SWEEP_SEEN,      // buckets of seen keys
  SWEEP_NOTES,     // the ingest log, the audit, tags out of sight
  SWEEP_ATTEMPTS,
  SWEEP_BODIES,
  SWEEP_EVENTS,   // with their deliveries: by age, then by size
  SWEEP_DELETED,  // rows of policies, targets and projects that history no longer needs
  SWEEP_SESSIONS, // that have ended by themselves
  SWEEP_DEPTH,    // the oldest waiting delivery
  SWEEP_COUNT,
};

struct sweep {
  int64_t due_us[SWEEP_COUNT]; // monotonic
  int64_t rested_us;           // when the last step ended: the queue has its turn between steps
  int last;                    // the kind of the last step: they take turns
  // Where each goes on; 0 at the start of a pass.
  int64_t target_id, cancel_below;
  struct delivery_notice after;
  int64_t attempt_id, body_id, event_id, deleted_id;
  int64_t depth_target_id, depth_oldest_us;
};

struct store_metrics {
  struct metric *commit_seconds, *batch_items, *queue_items, *checkpoint_seconds, *failed_items, *wal_pages, *low_space;
  struct metric *events[EVENT_TYPE_COUNT][SOURCE_KIND_COUNT];
  struct metric *swept[SWEEP_COUNT];
};

struct store {
  struct store_config config; // dir is our copy
  char *path;                 // DIR/harbinger.db
  const struct clock *clock;
  struct id_source *ids;
  const struct log *log;
  struct store_metrics metrics;
  int lock_fd;
  struct store_conn *conn; // the writer's
  struct queue *queue;
  pthread_t thread;
  bool started;

  _Atomic uint64_t generation;
  _Atomic int64_t waiting, oldest_due_us;
  _Atomic bool broken;
  pthread_mutex_t health_lock;
  struct error health; // why it is broken

  // The writer's own:
  struct changes changes;
  struct sweep sweep;
  int64_t probe_us;    // when a broken store is tried again (monotonic)
  int wal_pages;       // as the last commit left the log
  int checkpoint_base; // pages that a long reader kept from being reset
  int64_t space_checked_us;
  int commits_since_space;
  bool low_space;
  struct error space; // why no event is taken
};

#endif
