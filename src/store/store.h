// SPDX-License-Identifier: Apache-2.0
// The store: the only shared thing and the truth about events and deliveries. One writer thread groups what waits into
// one transaction (at most 256 items, each in a savepoint so that a bad one loses only itself), commits with the disk's
// word, then tells each item its outcome. Readers have connections of their own.
//
// `struct store_conn` is one connection with its prepared statements. Functions of the domain headers beside this file
// take it: the ones that change something are called only from a `store_write` (the writer's connection), the others
// from any connection, by the one thread that owns it. Strings they return live in the arena that is passed in.
#ifndef HARBINGER_STORE_STORE_H
#define HARBINGER_STORE_STORE_H

#include "base/arena.h"
#include "base/crypto.h"
#include "base/error.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/queue.h"

struct store;
struct store_conn;
struct store_progress; // store/admin.h

enum { STORE_BATCH_ITEMS = 256, STORE_SWEEP_ROWS = 500 };

struct store_retention {
  int64_t events_s, attempts_s, failed_attempts_s, bodies_s, failed_bodies_s; // 90 d, 30 d, 90 d, 7 d, 30 d
  int64_t ingest_log_s;                                                       // 1 d
  int64_t seen_s;                                                             // 48 h: duplicates are recognised
  int64_t audit_s;                                                            // 365 d
  int64_t session_idle_s, session_max_s; // 1 h without use, 12 h in all: sessions that nobody can use any more
  int64_t backlog_s;                     // 30 d: deliveries for a target that is not sent to; 0: for ever
  int64_t max_bytes;                     // 2 GiB in all, oldest first; a waiting delivery is never trimmed
};

struct event;

// A delivery that has just been committed. May be dropped by the receiver: the store is the truth.
struct delivery_notice {
  int64_t delivery_id; // 0: some of the target and its class; the store knows which
  int64_t target_id;
  int prio;                  // 0 first try, 1 first try of a pull, 2 retries 1 to 3, 3 later
  int64_t due_us;            // wall clock
  const struct event *event; // what happened, as it is stored, while on_deliveries runs; NULL: read it from the store
};

// Something about the deliveries of a policy was committed: one came, was tried, was cancelled.
struct policy_news {
  int64_t policy_id;
  int64_t project_id; // with policy_id 0: all policies of this project
  bool deleted;       // the policy itself went
};

struct store_config {
  const char *dir; // data directory; created 0700; flock on DIR/lock
  uint8_t seal_key[SEAL_KEY_BYTES];
  uint8_t old_seal_key[SEAL_KEY_BYTES]; // while keys are changed: still opens
  bool has_old_seal_key;
  bool as_is;                    // for care: no migration, nothing is started, only what store/care.h says
  bool no_backup_before_upgrade; // migrate without the way back
  // Told how far a migration is, besides the log, and may end it, which takes its step back; NULL: nobody looks. While
  // store_open runs.
  const struct store_progress *progress;
  size_t max_queue;       // items waiting for the writer, 8192; above it ERR_FULL
  int64_t min_free_bytes; // 64 MiB: below it no new event is taken
  int64_t gather_us;      // 1000: so long a busy writer waits for more to commit together
  int64_t retry_ms;       // 1000: a broken store is tried again
  struct store_retention retention;
  // Called on the writer's thread after a commit.
  void (*on_deliveries)(void *ctx, const struct delivery_notice *notices, size_t len);
  // `len` policies, each once; `all`: and any other. May be NULL.
  void (*on_policy_news)(void *ctx, const struct policy_news *news, size_t len, bool all);
  void (*on_health)(void *ctx, bool healthy, const char *reason);
  void *ctx;
};

// Open, migrate (an older program refuses a newer schema), recover. Words for a second server on the directory, a newer
// schema, no rights, no room. Starts no thread.
struct store *store_open(const struct store_config *config, const struct clock *clock, struct id_source *ids,
                         const struct log *log, struct metrics *metrics, struct error *err) MUST_CHECK;
int store_start(struct store *store, struct error *err) MUST_CHECK; // the writer thread
void store_stop(struct store *store);                               // drains the queue, commits, joins
void store_close(struct store *store);                              // after store_stop; checkpoints

// A change. `apply` runs on the writer's thread in a savepoint of the group's transaction; it may run again if the
// group has to be split, so it changes nothing but the store and *w's own results. Not 0: rolled back to the savepoint.
// `done` runs on the writer's thread after the commit (rc 0) or the failure (rc, w->err); it hands the item back to its
// owner. The item is the caller's memory until `done` returns.
struct store_write {
  struct queue_node node;
  int (*apply)(struct store_conn *conn, struct store_write *w, struct error *err);
  void (*done)(struct store_write *w);
  bool takes_events; // adds events: refused below the free-space floor
  bool patient;      // nobody waits for it: what somebody waits for is committed before it, when it comes in time
  int rc;
  struct error err;
};

// ERR_FULL when too much waits, ERR_UNAVAILABLE when the store is broken or stopping: then `done` is not called.
int store_submit(struct store *store, struct store_write *w, struct error *err) MUST_CHECK;
// Submit and wait for the commit: for pool threads. Returns w's outcome.
int store_write_sync(struct store *store, int (*apply)(struct store_conn *conn, void *ctx, struct error *err),
                     void *ctx, struct error *err) MUST_CHECK;

// A read connection for one thread.
struct store_conn *store_reader_open(struct store *store, struct error *err) MUST_CHECK;
void store_reader_close(struct store_conn *conn);
// Several reads that see the same state; ends within 1 s by discipline of the caller.
int store_read_begin(struct store_conn *conn, struct error *err) MUST_CHECK;
void store_read_end(struct store_conn *conn);

bool store_healthy(struct store *store, char *reason, size_t reason_size);
// Healthy, and enough of the disk is free for events.
bool store_takes_events(struct store *store, char *reason, size_t reason_size);
// Rises with every committed change of a policy, target or setting that sending depends on.
uint64_t store_policy_generation(const struct store *store);

#endif
