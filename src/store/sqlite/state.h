// SPDX-License-Identifier: Apache-2.0
// The store's one struct, shared by store.c, writer.c and sweep.c. What is not atomic or under `health_lock` belongs to
// the writer's thread once store_start has run. Inside store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_STATE_H
#define HARBINGER_STORE_SQLITE_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "store/sqlite/changes.h"
#include "store/sqlite/conn.h"
#include "store/sqlite/expiry.h"
#include "store/sqlite/stops.h"

enum sweep_kind {
  SWEEP_CANCELLED, // rows of cancelled deliveries
  SWEEP_ORDER,     // rows of targets whose strict order was switched
  SWEEP_EXPIRED,   // what waited too long for a target that is not sent to
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
  int64_t attempt_id, body_id, event_id;
  size_t deleted_kind;
  int64_t depth_target_id, depth_oldest_us;
  struct expiry expiry;
};

enum { STORE_FILE_DATABASE, STORE_FILE_LOG, STORE_FILES };

// What a file that SQLite has open was under its name; inode 0: not seen yet.
struct store_file {
  dev_t device;
  ino_t inode;
  int64_t bytes;
};

struct seal_keys;
struct mover;

struct store_metrics {
  struct metric *commit_seconds, *batch_items, *queue_items, *checkpoint_seconds, *move_seconds;
  struct metric *failed_items, *wal_pages, *low_space;
  struct metric *events[EVENT_TYPE_COUNT][SOURCE_KIND_COUNT];
  struct metric *swept[SWEEP_COUNT], *sweep_seconds, *expired;
};

struct store {
  struct store_config config; // dir is our copy
  char *path;                 // DIR/harbinger.db
  const struct clock *clock;
  struct id_source *ids;
  const struct log *log;
  struct store_metrics metrics;
  int lock_fd;
  bool started;
  struct store_conn *conn; // the writer's
  struct queue *queue;
  pthread_t thread;
  struct mover *mover; // NULL before store_start: the writer moves the log itself

  struct seal_keys *_Atomic keys; // seal.h
  struct stops stops;

  _Atomic uint64_t generation;
  _Atomic int64_t waiting, oldest_due_us;
  _Atomic int snapshots; // held now: the log is not moved (snapshot.h)
  _Atomic int moving;    // the log is on its way into the file (mover.h)
  _Atomic bool broken;
  _Atomic bool low_space;
  pthread_mutex_t health_lock;
  struct error health; // why it is broken
  struct error space;  // why no event is taken, while low_space

  // The writer's own:
  struct changes changes;
  struct sweep sweep;
  int64_t probe_us;     // when a broken store is tried again (monotonic)
  size_t last_group;    // items of the last turn
  size_t last_pressing; // of them those that somebody waited for
  int64_t looked_us;    // health.c: at the disk and the files
  int wal_pages;        // as the last commit left the log
  int checkpoint_base;  // pages that a long reader kept from being reset
  int move_rounds;      // since the log was empty
  int commits_since_look;
  bool cut; // the file was made shorter by somebody else
  struct store_file files[STORE_FILES];
};

#endif
