// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/writer.h"

#include <stdio.h>

#include "base/fault.h"
#include "store/sqlite/health.h"
#include "store/sqlite/known.h"
#include "store/sqlite/matching.h"
#include "store/sqlite/mover.h"
#include "store/sqlite/seen.h"
#include "store/sqlite/sweep.h"

// A checkpoint of 4,000 pages costs 25 to 46 ms at saturation: it begins when enough has gathered and nobody waits, at
// the latest when the log is six times that, and the mover makes it (mover.h), in rounds that each leave less. What is
// left when that is little, or after so many rounds, the writer moves between two commits.
enum { CHECKPOINT_IDLE_PAGES = 1000, CHECKPOINT_BUSY_PAGES = 6000, CHECKPOINT_BUSY_ITEMS = 8 };
enum { CHECKPOINT_SHORT_PAGES = 400, CHECKPOINT_ROUNDS = 6 };
// Readers that overlap without a gap keep the log from starting anew, however often it is checkpointed. When it has grown
// to this the writer waits for those that are reading, so long at most, and new ones read the file.
enum { CHECKPOINT_WAIT_PAGES = 20000, CHECKPOINT_WAIT_MS = 250 };

// A commit writes each page that it touches once, however many items touch it, and waits for the disk once: under load a
// little patience makes each event cheaper. Only after a group that shows the load, so that a lone event never waits.
enum { GATHER_ABOVE_ITEMS = 8, GATHER_ITEMS = 64 };
// Of what nobody waits for a group takes only so much: a commit of 256 attempts is 20 ms when they lie in as many places,
// and who comes meanwhile waits for that and for his own. As many as there are others, at least, so that neither starves.
enum { PATIENT_US = 4000, PATIENT_PRESSED_US = 1000, PATIENT_LEAST = 16 };

struct group {
  struct store_write *items[STORE_BATCH_ITEMS]; // the patient ones last
  size_t len, pressing;
  int64_t began_us;
  bool failed[STORE_BATCH_ITEMS]; // has its outcome already
};

static int commit_hook(void *arg, sqlite3 *db, const char *name, int pages) {
  struct store *store = arg;

  (void)db, (void)name;
  store->wal_pages = pages;
  return SQLITE_OK;
}

// ---- metrics --------------------------------------------------------------------------------------------------------

static void register_events(struct store *store, struct metrics *metrics) {
  char labels[96];

  for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
    for (int source = 0; source < SOURCE_KIND_COUNT; source++) {
      (void)snprintf(labels, sizeof(labels), "type=\"%s\",source=\"%s\"", event_type_name((enum event_type)type),
                     source_kind_name((enum source_kind)source));
      store->metrics.events[type][source] =
          metrics_counter(metrics, "harbinger_events_total", labels, "Events committed, by type and source.");
    }
  }
}

static void register_sweeps(struct store *store, struct metrics *metrics) {
  static const char *const names[SWEEP_COUNT] = {
      [SWEEP_CANCELLED] = "cancelled", [SWEEP_SEEN] = "seen",         [SWEEP_NOTES] = "notes",
      [SWEEP_ATTEMPTS] = "attempts",   [SWEEP_BODIES] = "bodies",     [SWEEP_EVENTS] = "events",
      [SWEEP_DELETED] = "deleted",     [SWEEP_SESSIONS] = "sessions", [SWEEP_ORDER] = "order",
      [SWEEP_EXPIRED] = "expired",
  };
  char labels[48];

  for (int i = 0; i < SWEEP_COUNT; i++) {
    if (!names[i])
      continue;
    (void)snprintf(labels, sizeof(labels), "sweep=\"%s\"", names[i]);
    store->metrics.swept[i] =
        metrics_counter(metrics, "harbinger_store_swept_rows_total", labels, "Rows that sweeps rewrote or deleted.");
  }
}

static void register_metrics(struct store *store, struct metrics *metrics) {
  // Fine where a disk is well, so that quantiles of two runs compare.
  static const double seconds[] = {0.0001,  0.00015, 0.0002, 0.0003, 0.0004, 0.0005, 0.0007, 0.001,
                                   0.00125, 0.0015,  0.002,  0.0025, 0.003,  0.004,  0.005,  0.006,
                                   0.008,   0.01,    0.015,  0.025,  0.05,   0.1,    0.25,   1};
  static const double items[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
  struct store_metrics *m = &store->metrics;

  m->commit_seconds =
      metrics_histogram(metrics, "harbinger_store_commit_seconds", "",
                        "From the beginning of a group to its commit on disk.", seconds, ARRAY_LEN(seconds));
  m->batch_items =
      metrics_histogram(metrics, "harbinger_store_batch_items", "", "Changes in one commit.", items, ARRAY_LEN(items));
  m->checkpoint_seconds = metrics_histogram(metrics, "harbinger_store_checkpoint_seconds", "",
                                            "Time of a checkpoint between commits.", seconds, ARRAY_LEN(seconds));
  m->move_seconds =
      metrics_histogram(metrics, "harbinger_store_move_seconds", "",
                        "Time of moving the write-ahead log beside commits.", seconds, ARRAY_LEN(seconds));
  m->sweep_seconds = metrics_histogram(metrics, "harbinger_store_sweep_seconds", "",
                                       "Time of one housekeeping transaction.", seconds, ARRAY_LEN(seconds));
  m->queue_items = metrics_gauge(metrics, "harbinger_store_queue_items", "", "Changes that wait for the writer.");
  m->wal_pages = metrics_gauge(metrics, "harbinger_store_wal_pages", "", "Pages in the write-ahead log.");
  m->low_space =
      metrics_gauge(metrics, "harbinger_store_low_space", "", "1 when too little disk is free to take events.");
  m->failed_items = metrics_counter(metrics, "harbinger_store_failed_changes_total", "",
                                    "Changes that were refused or could not be committed.");
  m->expired = metrics_counter(metrics, "harbinger_deliveries_expired_total", "by=\"backlog_age\"",
                               "Deliveries that failed because they had waited too long.");
  register_events(store, metrics);
  register_sweeps(store, metrics);
}

int writer_init(struct store *store, struct metrics *metrics, struct error *err) {
  struct store_conn *conn = store->conn;

  if (metrics)
    register_metrics(store, metrics);
  conn->changes = &store->changes;
  conn->policies = policy_cache_new();
  conn->seen = seen_new();
  conn->known = known_new();
  if (!conn->policies || !conn->seen || !conn->known)
    return error_set(err, ERR_NO_MEMORY, "no memory for the store's writer");
  changes_clear(&store->changes);
  health_init(store);
  (void)sqlite3_wal_hook(conn->db, commit_hook, store);
  sweep_init(store);
  return 0;
}

// ---- transactions ---------------------------------------------------------------------------------------------------

static int begin(struct store *store, struct error *err) {
  static const char sql[] = "BEGIN IMMEDIATE";

  store->conn->broken = 0;
  return conn_run(store->conn, sql, "begin a transaction", err);
}

static void roll_back(struct store *store) {
  struct change_counts nothing = {.oldest_due_us = INT64_MAX};

  if (!sqlite3_get_autocommit(store->conn->db)) // SQLite may have done it itself
    (void)sqlite3_exec(store->conn->db, "ROLLBACK", NULL, NULL, NULL);
  changes_undo(store->conn, &nothing);
}

static int commit(struct store *store, struct error *err) {
  static const char sql[] = "COMMIT";
  int rc = known_flush(store->conn, err);

  return rc == 0 ? conn_run(store->conn, sql, "commit", err) : rc;
}

static void count_events(struct store *store, const struct change_counts *counts) {
  for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
    for (int source = 0; source < SOURCE_KIND_COUNT; source++) {
      if (counts->events[type][source])
        metric_add(store->metrics.events[type][source], counts->events[type][source]);
    }
  }
}

// After the commit: what the transaction changed becomes true for the other threads.
static void publish(struct store *store) {
  struct change_counts counts = store->changes.counts;

  changes_clear(&store->changes);
  store->commits_since_look++;
  (void)atomic_fetch_add(&store->waiting, counts.waiting);
  if (counts.oldest_due_us < atomic_load(&store->oldest_due_us))
    atomic_store(&store->oldest_due_us, counts.oldest_due_us);
  if (store->sweep.depth_target_id != 0 && counts.oldest_due_us < store->sweep.depth_oldest_us)
    store->sweep.depth_oldest_us = counts.oldest_due_us; // a pass that is under way has seen its lane already
  if (counts.policies)
    (void)atomic_fetch_add(&store->generation, 1);
  if (counts.cancelled)
    sweep_wake(store, SWEEP_CANCELLED);
  if (counts.reordering)
    sweep_wake(store, SWEEP_ORDER);
  count_events(store, &counts);
  metric_set(store->metrics.wal_pages, store->wal_pages);
  if ((counts.news || counts.news_of_all) && store->config.on_policy_news)
    store->config.on_policy_news(store->config.ctx, store->changes.news, counts.news, counts.news_of_all);
  if (counts.notices && store->config.on_deliveries)
    store->config.on_deliveries(store->config.ctx, store->changes.notices, counts.notices);
}

int writer_transaction(struct store *store, int (*step)(struct store *store, void *arg, struct error *err), void *arg,
                       struct error *err) {
  int rc = begin(store, err);

  if (rc == 0)
    rc = step(store, arg, err);
  if (rc == 0)
    rc = commit(store, err);
  if (rc == 0) {
    publish(store);
    return 0;
  }
  roll_back(store);
  if (store->conn->broken)
    health_broken(store, err);
  return rc;
}

// ---- a group --------------------------------------------------------------------------------------------------------

static void fail(struct group *group, size_t i, int rc, const struct error *err) {
  group->items[i]->rc = rc;
  group->items[i]->err = *err;
  group->failed[i] = true;
}

enum item_end {
  ITEM_DONE,
  ITEM_ALONE_LOST,       // rolled back to its savepoint
  ITEM_FAILED,           // without a savepoint: the group must run again with them
  ITEM_TOOK_TRANSACTION, // nothing of the group is left, the item has failed
  ITEM_BROKE_STORE,
};

static enum item_end apply_plain(struct store *store, struct store_write *w, struct error *err) {
  int rc = w->apply(store->conn, w, err);

  if (store->conn->broken)
    return ITEM_BROKE_STORE;
  if (rc == 0 && !sqlite3_get_autocommit(store->conn->db))
    return ITEM_DONE;
  return ITEM_FAILED;
}

static enum item_end apply_apart(struct store *store, struct store_write *w, struct error *err) {
  static const char savepoint[] = "SAVEPOINT item";
  static const char release[] = "RELEASE item";
  struct store_conn *conn = store->conn;
  struct change_counts before = store->changes.counts;

  if (conn_run(conn, savepoint, "begin a change", err) != 0)
    return conn->broken ? ITEM_BROKE_STORE : ITEM_TOOK_TRANSACTION;
  int rc = w->apply(conn, w, err);
  if (rc != 0 && err->code == ERR_OK)
    (void)error_set(err, (enum errcode)rc, "the change was refused");
  if (conn->broken)
    return ITEM_BROKE_STORE;
  if (sqlite3_get_autocommit(conn->db)) {
    if (rc == 0)
      (void)error_set(err, ERR_INTERNAL, "a change ended the transaction of its group");
    return ITEM_TOOK_TRANSACTION;
  }
  if (rc == 0 && (rc = known_flush(conn, err)) == 0)
    return conn_run(conn, release, "end a change", err) == 0 ? ITEM_DONE : ITEM_TOOK_TRANSACTION;
  struct error why = *err;
  if (conn_exec(conn, "ROLLBACK TO item; RELEASE item", err) != 0)
    return ITEM_TOOK_TRANSACTION;
  changes_undo(conn, &before);
  *err = why;
  return ITEM_ALONE_LOST;
}

static enum item_end apply_item(struct store *store, struct store_write *w, bool apart, struct error *err) {
  if (w->takes_events && atomic_load(&store->low_space)) {
    *err = store->space;
    return ITEM_ALONE_LOST;
  }
  return apart ? apply_apart(store, w, err) : apply_plain(store, w, err);
}

static void tell(struct store *store, struct group *group) {
  for (size_t i = 0; i < group->len; i++) {
    if (group->items[i]->rc != 0)
      metric_add(store->metrics.failed_items, 1);
    group->items[i]->done(group->items[i]); // the item is its owner's again
  }
}

// The planted defect. What the owners get back is theirs: no notice may show it any more.
static void tell_early(struct store *store, struct group *group) {
  for (size_t i = 0; i < store->changes.counts.notices; i++)
    store->changes.notices[i].event = NULL;
  tell(store, group);
  fault_linger();
}

// Whether the group ends before item `at`.
static bool is_enough(const struct store *store, const struct group *group, size_t at) {
  if (!group->items[at]->patient || at < group->pressing + PATIENT_LEAST || at < 2 * group->pressing)
    return false;
  bool pressed = group->pressing > 0 || queue_is_pressed(store->queue);
  return clock_mono_us(store->clock) - group->began_us >= (pressed ? PATIENT_PRESSED_US : PATIENT_US);
}

static void give_back(struct store *store, struct group *group, size_t from) {
  for (size_t i = from; i < group->len; i++)
    group->items[i]->node.next = i + 1 < group->len ? &group->items[i + 1]->node : NULL;
  queue_give_back(store->queue, &group->items[from]->node);
  group->len = from;
}

// Run all that have no outcome yet. 0: committed. 1: the transaction is gone but the store is well: run again, with
// savepoints. Negative: nothing is committed and *err is everybody's.
static int run_once(struct store *store, struct group *group, bool apart, struct error *err) {
  int rc = begin(store, err);

  FAULT_POINT("store.group.begun");
  for (size_t i = 0; rc == 0 && i < group->len; i++) {
    struct error item_err = {0};
    if (group->failed[i])
      continue;
    if (!apart && is_enough(store, group, i)) {
      give_back(store, group, i);
      break;
    }
    enum item_end end = apply_item(store, group->items[i], apart, &item_err);
    FAULT_POINT("store.item.applied");
    if (end == ITEM_DONE)
      continue;
    if (end == ITEM_BROKE_STORE) {
      *err = item_err;
      rc = ERR_UNAVAILABLE;
      break;
    }
    if (end != ITEM_FAILED)
      fail(group, i, (int)item_err.code, &item_err);
    if (end != ITEM_ALONE_LOST) {
      roll_back(store);
      return 1;
    }
  }
  if (FAULT_PLANTED("answer_before_commit") && rc == 0)
    tell_early(store, group);
  FAULT_POINT("store.commit.before");
  if (rc == 0)
    rc = commit(store, err);
  FAULT_POINT("store.commit.after");
  if (rc != 0)
    roll_back(store);
  return rc;
}

// First all together: a savepoint makes SQLite keep a copy of every page that the item touches, which costs as much as
// the event. Only when one fails the group runs again, each apart, so that the bad one loses only itself.
static int run_all(struct store *store, struct group *group, struct error *err) {
  int rc = run_once(store, group, false, err);

  while (rc == 1) // at most once more per item: each round gives one its outcome
    rc = run_once(store, group, true, err);
  return rc;
}

static void run_group(struct store *store, struct group *group) {
  struct error err = {0};

  group->began_us = clock_mono_us(store->clock);

  int rc = run_all(store, group, &err);
  for (size_t i = 0; rc < 0 && i < group->len; i++) {
    if (!group->failed[i])
      fail(group, i, rc, &err);
  }
  if (rc == 0) {
    metric_observe(store->metrics.commit_seconds,
                   (double)(clock_mono_us(store->clock) - group->began_us) / (double)US_PER_S);
    metric_observe(store->metrics.batch_items, (double)group->len);
    publish(store);
    FAULT_POINT("store.published");
  } else if (store->conn->broken) {
    health_broken(store, &err);
  }
  if (!FAULT_PLANTED("answer_before_commit"))
    tell(store, group);
}

// ---- between groups -------------------------------------------------------------------------------------------------

void writer_checkpoint(struct store *store) {
  int64_t began_us = clock_mono_us(store->clock);
  int in_log = 0, moved = 0;
  struct error err = {0};
  bool waits = store->wal_pages >= CHECKPOINT_WAIT_PAGES;
  if (waits)
    (void)sqlite3_busy_timeout(store->conn->db, CHECKPOINT_WAIT_MS);
  FAULT_POINT("store.checkpoint.before");
  int rc = sqlite3_wal_checkpoint_v2(store->conn->db, NULL,
                                     waits ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved);
  FAULT_POINT("store.checkpoint.after");
  if (waits)
    (void)sqlite3_busy_timeout(store->conn->db, CONN_BUSY_MS);

  if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
    (void)conn_error(store->conn, rc, "move the log into the database file", &err);
    if (store->conn->broken)
      health_broken(store, &err);
    else
      log_warn(store->log, "store", "%s; it is tried again as many pages later", err.text);
    store->checkpoint_base = store->wal_pages;
    return;
  }
  // A reader holds back the rest: the log goes on growing from there, and the next try comes as many pages later.
  store->checkpoint_base = moved < in_log ? in_log : 0;
  store->wal_pages = moved < in_log ? in_log : 0;
  health_file_written(store);
  metric_observe(store->metrics.checkpoint_seconds,
                 (double)(clock_mono_us(store->clock) - began_us) / (double)US_PER_S);
}

static int write_probe(struct store *store, void *arg, struct error *err) {
  static const char sql[] = "UPDATE probe SET at_us = ?1 WHERE id = 1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(store->conn, sql, &stmt, err);

  (void)arg;
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, clock_wall_us(store->clock));
  return stmt_run(&stmt, "write to the store", err);
}

// The log and the file: either may be what broke.
static void probe(struct store *store) {
  struct error err = {0};

  if (health_may_try(store, &err) != 0 || writer_transaction(store, write_probe, NULL, &err) != 0) {
    health_broken(store, &err);
    return;
  }
  store->conn->broken = 0;
  writer_checkpoint(store);
  if (store->conn->broken == 0)
    health_works(store);
}

static bool checkpoint_due(const struct store *store, bool busy) {
  if (atomic_load(&store->snapshots) > 0)
    return false; // it would wait for the one who holds it
  return store->wal_pages - store->checkpoint_base >= (busy ? CHECKPOINT_BUSY_PAGES : CHECKPOINT_IDLE_PAGES);
}

// True when the writer has moved the log itself.
static bool move_log(struct store *store, bool busy) {
  if (!store->mover) {
    if (!checkpoint_due(store, busy))
      return false;
    writer_checkpoint(store);
    return true;
  }
  enum mover_state state = mover_look(store->mover);
  if (state == MOVER_MOVES || (state == MOVER_RESTS && !checkpoint_due(store, busy)))
    return false;
  if (state == MOVER_MOVED) {
    int left = store->wal_pages - mover_take(store->mover);
    if (left <= CHECKPOINT_SHORT_PAGES || store->move_rounds >= CHECKPOINT_ROUNDS) {
      store->move_rounds = 0;
      if (atomic_load(&store->snapshots) > 0)
        return false; // it might wait for the one who holds it
      writer_checkpoint(store);
      return true;
    }
  }
  store->move_rounds++;
  mover_ask(store->mover);
  return false;
}

static void take_group(struct store *store, struct group *group) {
  struct queue_node *node = queue_take(store->queue, STORE_BATCH_ITEMS);

  group->len = group->pressing = 0;
  while (node && group->len < STORE_BATCH_ITEMS) {
    struct store_write *w = CONTAINER_OF(node, struct store_write, node);
    node = node->next;
    w->rc = 0;
    w->err = (struct error){0};
    group->failed[group->len] = false;
    group->pressing += !w->patient;
    group->items[group->len++] = w;
  }
}

// While the store is broken nobody waits for the disk: items fail with the reason at once.
static void refuse_group(struct store *store, struct group *group) {
  for (size_t i = 0; i < group->len; i++)
    fail(group, i, ERR_UNAVAILABLE, &store->health);
  tell(store, group);
}

bool writer_turn(struct store *store) {
  struct group group;

  health_look(store);
  bool broken = atomic_load(&store->broken);
  if (broken && clock_mono_us(store->clock) >= store->probe_us) {
    probe(store);
    return true;
  }
  if (store->last_group >= GATHER_ABOVE_ITEMS && store->config.gather_us > 0)
    queue_gather(store->queue, GATHER_ITEMS, store->config.gather_us, store->last_pressing < GATHER_ABOVE_ITEMS);
  take_group(store, &group);
  store->last_group = group.len;
  store->last_pressing = group.pressing;
  metric_set(store->metrics.queue_items, (int64_t)queue_count(store->queue));
  if (group.len > 0) {
    if (broken)
      refuse_group(store, &group);
    else
      run_group(store, &group);
  }
  broken = atomic_load(&store->broken);
  // Under load the queue is empty for a moment after each group; a checkpoint then would move the same pages again and again.
  bool busy = queue_count(store->queue) > 0 || group.len >= CHECKPOINT_BUSY_ITEMS;
  if (!broken && move_log(store, busy))
    return true;
  if (!broken && sweep_step(store, busy))
    return true;
  return group.len > 0;
}

static int note_stop(struct store *store, void *arg, struct error *err) {
  (void)arg;
  return stops_note(store->conn, err);
}

void *writer_main(void *arg) {
  struct store *store = arg;

  for (;;) {
    bool closed = queue_closed(store->queue); // before the turn: nothing is pushed after it
    if (writer_turn(store) && !(closed && queue_count(store->queue) == 0))
      continue;
    if (closed && queue_count(store->queue) == 0) {
      // What cannot be written now was written a few minutes ago.
      if (!atomic_load(&store->broken) && writer_transaction(store, note_stop, NULL, NULL) != 0)
        log_debug(store->log, "store", "the time of the stop is not noted");
      return NULL;
    }
    int wait_ms = sweep_wait_ms(store);
    if (atomic_load(&store->broken))
      wait_ms = (int)(store->config.retry_ms < 1000 ? store->config.retry_ms : 1000);
    (void)queue_wait(store->queue, wait_ms);
  }
}
