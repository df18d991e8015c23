// SPDX-License-Identifier: Apache-2.0
#include "store/care.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/sqlite/database_file.h"
#include "store/sqlite/known.h"
#include "store/sqlite/lock.h"
#include "store/sqlite/matching.h"
#include "store/sqlite/migrate.h"
#include "store/sqlite/mover.h"
#include "store/sqlite/page_cache.h"
#include "store/sqlite/restore.h"
#include "store/sqlite/seal.h"
#include "store/sqlite/seen.h"
#include "store/sqlite/writer.h"

#define RETENTION_FOR_EVER_S INT64_C(315576000000) // ten thousand years

enum { DEFAULT_SEEN_S = 48 * 3600 };
enum { DEFAULT_MAX_QUEUE = 8192, DEFAULT_RETRY_MS = 1000, PATH_MAX_BYTES = 4096 };

// ---- opening --------------------------------------------------------------------------------------------------------

// A retention that nobody set keeps everything: a command that opens the store must not trim it by an empty struct.
static void fill_retention(struct store_retention *retention) {
  int64_t *all[] = {&retention->events_s, &retention->attempts_s,      &retention->failed_attempts_s,
                    &retention->bodies_s, &retention->failed_bodies_s, &retention->ingest_log_s,
                    &retention->audit_s,  &retention->session_idle_s,  &retention->session_max_s};

  for (size_t i = 0; i < ARRAY_LEN(all); i++) {
    if (*all[i] <= 0)
      *all[i] = RETENTION_FOR_EVER_S;
  }
  if (retention->seen_s <= 0)
    retention->seen_s = DEFAULT_SEEN_S;
}

static int make_directory(const char *dir, struct error *err) {
  char words[128];

  if (mkdir(dir, 0700) == 0 || errno == EEXIST)
    return 0;
  return error_set(err, ERR_IO, "cannot make the data directory %s: %s", dir, error_errno(errno, words));
}

static int count_waiting(struct store *store, struct error *err) {
  static const char sql[] = "SELECT (SELECT count(*) FROM delivery INDEXED BY delivery_waiting WHERE state <= 1) + "
                            "(SELECT count(*) FROM delivery INDEXED BY delivery_held WHERE state = 2)";
  int64_t waiting = 0;
  int rc = conn_number(store->conn, sql, 0, &waiting, err);

  atomic_store(&store->waiting, waiting);
  atomic_store(&store->oldest_due_us, INT64_MAX);
  return rc;
}

// Ids keep rising over a restart with the clock set back: the newest event is never trimmed.
static int raise_ids(struct store *store, struct error *err) {
  static const char sql[] = "SELECT uuid FROM event ORDER BY id DESC LIMIT 1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  struct uuid last;
  int rc = stmt_begin(store->conn, sql, &stmt, err);

  if (rc == 0)
    rc = stmt_step(&stmt, "read the newest event", err);
  if (rc != 1)
    return rc;
  struct str bytes = stmt_view(&stmt, 0);
  if (bytes.len == UUID_BYTES) {
    memcpy(last.bytes, bytes.ptr, UUID_BYTES);
    id_source_raise(store->ids, &last);
  }
  return 0;
}

// SQLite answers with another mode where it cannot keep a log (a network file system): then no commit would be what we
// promise.
static int check_log(struct store *store, struct error *err) {
  static const char sql[] = "PRAGMA journal_mode";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(store->conn, sql, &stmt, err);

  if (rc == 0)
    rc = stmt_step(&stmt, "read the journal mode", err);
  if (rc < 0)
    return rc;
  if (rc == 1 && str_eq_c(stmt_view(&stmt, 0), "wal"))
    return 0;
  return error_set(err, ERR_IO,
                   "%s cannot be opened with a write-ahead log: the data directory must be on a local disk",
                   store->path);
}

static int open_all(struct store *store, struct metrics *metrics, struct error *err) {
  int rc = make_directory(store->config.dir, err);

  if (rc == 0)
    rc = lock_take(store->config.dir, &store->lock_fd, err);
  if (rc == 0)
    rc = restore_finish(store->config.dir, store->log, err);
  if (rc == 0)
    rc = database_file_prepare(store->path, err);
  if (rc == 0)
    rc = conn_open(store, store->path, CONN_WRITER, &store->conn, err);
  if (rc == 0)
    rc = check_log(store, err);
  if (rc == 0 && store->config.as_is)
    return migrate_known(store->conn, err);
  if (rc == 0)
    rc = migrate_run(store->conn, err);
  if (rc == 0)
    rc = count_waiting(store, err);
  if (rc == 0 && store->ids)
    rc = raise_ids(store, err);
  if (rc == 0)
    rc = stops_read(store, err);
  return rc == 0 ? writer_init(store, metrics, err) : rc;
}

static void store_free(struct store *store) {
  if (store->conn) {
    if (store->conn->seen)
      seen_free(store->conn->seen);
    policy_cache_free(store->conn->policies);
    known_free(store->conn->known);
    conn_close(store->conn);
  }
  if (store->queue)
    queue_free(store->queue);
  if (store->lock_fd >= 0)
    (void)close(store->lock_fd);
  (void)pthread_mutex_destroy(&store->health_lock);
  seal_free(store);
  free(store->path);
  free((char *)(uintptr_t)store->config.dir);
  free(store);
}

struct store *store_open(const struct store_config *config, const struct clock *clock, struct id_source *ids,
                         const struct log *log, struct metrics *metrics, struct error *err) {
  struct store *store = calloc(1, sizeof(*store));
  char path[PATH_MAX_BYTES];

  if (!store) {
    (void)error_set(err, ERR_NO_MEMORY, "no memory to open the store");
    return NULL;
  }
  // Its own statistics of memory: a mutex and two counters for each of its allocations. Refused, and not needed, when
  // another store of this process has begun already.
  (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  page_cache_install();
  store->config = *config;
  store->clock = clock;
  store->ids = ids;
  store->log = log;
  store->lock_fd = -1;
  store->config.max_queue = config->max_queue ? config->max_queue : DEFAULT_MAX_QUEUE;
  store->config.retry_ms = config->retry_ms > 0 ? config->retry_ms : DEFAULT_RETRY_MS;
  fill_retention(&store->config.retention);
  store->config.dir = strdup(config->dir);
  int path_len = snprintf(path, sizeof(path), "%s/harbinger.db", config->dir);
  store->path = strdup(path);
  store->queue = queue_new(store->config.max_queue);
  bool lock_ok = pthread_mutex_init(&store->health_lock, NULL) == 0;
  int rc = 0;
  if (!store->config.dir || !store->path || !store->queue || !lock_ok)
    rc = error_set(err, ERR_NO_MEMORY, "no memory to open the store");
  else if (path_len < 0 || (size_t)path_len >= sizeof(path))
    rc = error_set(err, ERR_CONFIG, "the name of the data directory is too long");
  if (rc == 0)
    rc = seal_init(store, err);
  if (rc == 0)
    rc = open_all(store, metrics, err);
  if (rc == 0)
    return store;
  store_free(store);
  return NULL;
}

int store_start(struct store *store, struct error *err) {
  char words[128];

  store->mover = mover_start(store, err);
  if (!store->mover)
    return err ? (int)err->code : ERR_NO_MEMORY;
  int rc = pthread_create(&store->thread, NULL, writer_main, store);
  if (rc != 0) {
    mover_stop(store->mover);
    store->mover = NULL;
    return error_set(err, ERR_NO_MEMORY, "cannot start the store's writer: %s", error_errno(rc, words));
  }
  store->started = true;
  (void)pthread_setname_np(store->thread, "writer");
  return 0;
}

void store_stop(struct store *store) {
  queue_close(store->queue);
  if (store->started)
    (void)pthread_join(store->thread, NULL);
  store->started = false;
  mover_stop(store->mover);
  store->mover = NULL;
}

void store_close(struct store *store) {
  if (!store)
    return;
  if (store->conn && !atomic_load(&store->broken))
    (void)sqlite3_wal_checkpoint_v2(store->conn->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  store_free(store);
}

// ---- writing --------------------------------------------------------------------------------------------------------

int store_submit(struct store *store, struct store_write *w, struct error *err) {
  char reason[ERROR_TEXT_BYTES];

  if (!store_healthy(store, reason, sizeof(reason)))
    return error_set(err, ERR_UNAVAILABLE, "%s", reason);
  int rc = w->patient ? queue_push_patient(store->queue, &w->node) : queue_push(store->queue, &w->node);
  if (rc == ERR_FULL)
    return error_set(err, ERR_FULL, "%zu changes wait for the store already: try again", store->config.max_queue);
  if (rc != 0)
    return error_set(err, ERR_UNAVAILABLE, "the store is stopping: try again");
  return 0;
}

struct sync_write {
  struct store_write w;
  int (*apply)(struct store_conn *conn, void *ctx, struct error *err);
  void *ctx;
  pthread_mutex_t lock;
  pthread_cond_t told;
  bool done;
};

static int sync_apply(struct store_conn *conn, struct store_write *w, struct error *err) {
  struct sync_write *sync = CONTAINER_OF(w, struct sync_write, w);

  return sync->apply(conn, sync->ctx, err);
}

static void sync_done(struct store_write *w) {
  struct sync_write *sync = CONTAINER_OF(w, struct sync_write, w);

  (void)pthread_mutex_lock(&sync->lock);
  sync->done = true;
  (void)pthread_cond_signal(&sync->told);
  (void)pthread_mutex_unlock(&sync->lock);
}

int store_write_sync(struct store *store, int (*apply)(struct store_conn *conn, void *ctx, struct error *err),
                     void *ctx, struct error *err) {
  struct sync_write sync = {
      .w = {.apply = sync_apply, .done = sync_done},
      .apply = apply,
      .ctx = ctx,
      .lock = PTHREAD_MUTEX_INITIALIZER,
      .told = PTHREAD_COND_INITIALIZER,
  };
  int rc = store_submit(store, &sync.w, err);

  if (rc != 0)
    return rc;
  (void)pthread_mutex_lock(&sync.lock);
  while (!sync.done)
    (void)pthread_cond_wait(&sync.told, &sync.lock);
  (void)pthread_mutex_unlock(&sync.lock);
  (void)pthread_cond_destroy(&sync.told);
  (void)pthread_mutex_destroy(&sync.lock);
  if (sync.w.rc != 0 && err)
    *err = sync.w.err;
  return sync.w.rc;
}

int store_care_write(struct store *store, int (*apply)(struct store_conn *conn, void *ctx, struct error *err),
                     void *ctx, struct error *err) {
  if (store->started)
    return store_write_sync(store, apply, ctx, err);
  int rc = conn_exec(store->conn, "BEGIN IMMEDIATE", err);

  if (rc == 0)
    rc = apply(store->conn, ctx, err);
  if (rc == 0)
    rc = conn_exec(store->conn, "COMMIT", err);
  if (rc != 0 && !sqlite3_get_autocommit(store->conn->db))
    (void)sqlite3_exec(store->conn->db, "ROLLBACK", NULL, NULL, NULL);
  return rc;
}

// ---- reading --------------------------------------------------------------------------------------------------------

struct store_conn *store_reader_open(struct store *store, struct error *err) {
  struct store_conn *conn;

  return conn_open(store, store->path, CONN_READER, &conn, err) == 0 ? conn : NULL;
}

void store_reader_close(struct store_conn *conn) {
  conn_close(conn);
}

int store_read_begin(struct store_conn *conn, struct error *err) {
  static const char sql[] = "BEGIN";

  return conn_run(conn, sql, "begin to read", err);
}

void store_read_end(struct store_conn *conn) {
  static const char sql[] = "ROLLBACK";

  if (!sqlite3_get_autocommit(conn->db) && conn_run(conn, sql, "end reading", NULL) != 0)
    return; // the connection is broken: its next statement says so
}

bool store_healthy(struct store *store, char *reason, size_t reason_size) {
  if (!atomic_load(&store->broken)) {
    if (reason_size)
      reason[0] = '\0';
    return true;
  }
  (void)pthread_mutex_lock(&store->health_lock);
  (void)snprintf(reason, reason_size, "%s", store->health.text);
  (void)pthread_mutex_unlock(&store->health_lock);
  return false;
}

bool store_takes_events(struct store *store, char *reason, size_t reason_size) {
  if (!store_healthy(store, reason, reason_size))
    return false;
  if (!atomic_load(&store->low_space))
    return true;
  (void)pthread_mutex_lock(&store->health_lock);
  (void)snprintf(reason, reason_size, "%s", store->space.text);
  (void)pthread_mutex_unlock(&store->health_lock);
  return false;
}

uint64_t store_policy_generation(const struct store *store) {
  return atomic_load(&store->generation);
}
