// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/mover.h"

#include <stdlib.h>

#include "base/fault.h"

struct mover {
  struct store *store;
  struct store_conn *conn;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t asked;
  bool stopping;
  _Atomic enum mover_state state;
  int moved; // written before MOVER_MOVED, read after it
};

// A failure is the writer's to find, which moves the rest itself and knows what to do about it.
static int move_log(struct store *store, struct store_conn *conn) {
  static const char look[] = "PRAGMA user_version"; // before it has read SQLite does not know that there is a log
  struct error err;
  int in_log = 0, moved = 0;
  int64_t began_us = clock_mono_us(store->clock), version;

  FAULT_POINT("store.move.before");
  int rc = conn_number(conn, look, 0, &version, &err);
  if (rc == 0)
    rc = sqlite3_wal_checkpoint_v2(conn->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved);
  FAULT_POINT("store.move.after");
  metric_observe(store->metrics.move_seconds, (double)(clock_mono_us(store->clock) - began_us) / (double)US_PER_S);
  return rc == SQLITE_OK && moved > 0 ? moved : 0;
}

static bool wait_for_work(struct mover *mover) {
  (void)pthread_mutex_lock(&mover->lock);
  while (!mover->stopping && atomic_load(&mover->state) != MOVER_MOVES)
    (void)pthread_cond_wait(&mover->asked, &mover->lock);
  bool works = !mover->stopping;
  (void)pthread_mutex_unlock(&mover->lock);
  return works;
}

static void *mover_main(void *arg) {
  struct mover *mover = arg;

  while (wait_for_work(mover)) {
    (void)atomic_fetch_add(&mover->store->moving, 1);
    mover->moved = move_log(mover->store, mover->conn);
    (void)atomic_fetch_sub(&mover->store->moving, 1);
    atomic_store(&mover->state, MOVER_MOVED);
  }
  return NULL;
}

static int begin(struct mover *mover, struct error *err) {
  char words[128];

  if (pthread_mutex_init(&mover->lock, NULL) != 0)
    return error_set(err, ERR_NO_MEMORY, "no memory for the store's mover");
  if (pthread_cond_init(&mover->asked, NULL) != 0) {
    (void)pthread_mutex_destroy(&mover->lock);
    return error_set(err, ERR_NO_MEMORY, "no memory for the store's mover");
  }
  int rc = pthread_create(&mover->thread, NULL, mover_main, mover);
  if (rc == 0)
    return 0;
  (void)pthread_cond_destroy(&mover->asked);
  (void)pthread_mutex_destroy(&mover->lock);
  return error_set(err, ERR_NO_MEMORY, "cannot start the store's mover: %s", error_errno(rc, words));
}

struct mover *mover_start(struct store *store, struct error *err) {
  struct mover *mover = calloc(1, sizeof(*mover));

  if (!mover) {
    (void)error_set(err, ERR_NO_MEMORY, "no memory for the store's mover");
    return NULL;
  }
  mover->store = store;
  atomic_init(&mover->state, MOVER_RESTS);
  // One for all moves: opened by name later it might be another file by then.
  int rc = conn_open(store, store->path, CONN_READER, &mover->conn, err);
  if (rc == 0 && begin(mover, err) != 0) {
    conn_close(mover->conn);
    rc = (int)err->code;
  }
  if (rc != 0) {
    free(mover);
    return NULL;
  }
  (void)pthread_setname_np(mover->thread, "mover");
  return mover;
}

void mover_stop(struct mover *mover) {
  if (!mover)
    return;
  (void)pthread_mutex_lock(&mover->lock);
  mover->stopping = true;
  (void)pthread_cond_signal(&mover->asked);
  (void)pthread_mutex_unlock(&mover->lock);
  (void)pthread_join(mover->thread, NULL);
  (void)pthread_cond_destroy(&mover->asked);
  (void)pthread_mutex_destroy(&mover->lock);
  conn_close(mover->conn);
  free(mover);
}

enum mover_state mover_look(struct mover *mover) {
  return atomic_load(&mover->state);
}

void mover_ask(struct mover *mover) {
  (void)pthread_mutex_lock(&mover->lock);
  atomic_store(&mover->state, MOVER_MOVES);
  (void)pthread_cond_signal(&mover->asked);
  (void)pthread_mutex_unlock(&mover->lock);
}

int mover_take(struct mover *mover) {
  int moved = mover->moved;

  atomic_store(&mover->state, MOVER_RESTS);
  return moved;
}
