// SPDX-License-Identifier: Apache-2.0
#include "api/change_desk.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/list.h"
#include "base/utf8.h"
#include "event/copy.h"
#include "net/loop.h"

enum { CHANGE_ARENA_BYTES = 12 * 1024 * 1024, WORDS_ARENA_BYTES = 64 * 1024 };

struct change_desk {
  struct change_desk_config config;
  pthread_mutex_t lock; // around what follows
  size_t places;        // taken
  bool closed;
  struct list open; // handed to the loop, not answered yet
};

struct desk_change {
  struct change_desk *desk;
  struct list_node node; // in desk->open, until it is answered
  atomic_int users;      // the thread, and the loop until its answer
  struct arena *arena;
  struct change_order order;
  struct loop_task start;
  struct queue *done;
  struct queue_node done_node;
  // The answer:
  int rc;
  struct error err;
  struct desk_answer answer;
};

static void drop(struct desk_change *change) {
  if (atomic_fetch_sub(&change->users, 1) != 1)
    return;
  (void)queue_take_all(change->done);
  queue_free(change->done);
  arena_free(change->arena);
  free(change);
}

// ---- on the loop --------------------------------------------------------------------------------------------------------

// Its first message: {"errors":[{"code":..,"message":..}]}, as the registry's specification has it.
static void read_words(struct str body, char words[static DESK_WORDS_BYTES]) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(WORDS_ARENA_BYTES);
  struct json_object *json;
  struct error ignored;
  struct str text = STR_EMPTY;

  words[0] = '\0';
  if (!arena || json_parse(body, arena, &json, &ignored) != 0)
    return;
  (void)json_get_str(json_array_at(json_get_array(json, "errors"), 0), "message", &text);
  text = utf8_cut(text, DESK_WORDS_BYTES - 1);
  (void)snprintf(words, DESK_WORDS_BYTES, "%.*s", STR_ARG(text));
}

// Tell who waits, once; the loop's share goes with it.
static void answered(struct desk_change *change) {
  struct change_desk *desk = change->desk;

  pthread_mutex_lock(&desk->lock);
  list_remove(&desk->open, &change->node);
  pthread_mutex_unlock(&desk->lock);
  int rc = queue_push(change->done, &change->done_node);
  if (rc == ERR_FULL) // there is room for exactly this one; it is closed with the desk, and then nobody waits
    abort();
  drop(change);
}

static void on_done(void *ctx, const struct change_result *result) {
  struct desk_change *change = ctx;

  change->rc = result->rc;
  change->err = result->err;
  if (result->rc == 0) {
    change->answer.status = result->answer->status;
    read_words(result->answer->body, change->answer.words);
  }
  answered(change);
}

static void start(struct loop_task *task) {
  struct desk_change *change = CONTAINER_OF(task, struct desk_change, start);

  change->rc = change_start(change->desk->config.changes, &change->order, on_done, change, &change->err);
  if (change->rc != 0)
    answered(change);
}

// ---- on a pool thread ---------------------------------------------------------------------------------------------------

static int copy_order(struct desk_change *change, const struct change_order *order, struct error *err) {
  struct arena *arena = change->arena;
  struct change_order *copy = &change->order;

  *copy = *order;
  copy->project = arena_str(arena, order->project);
  copy->repository = arena_str(arena, order->repository);
  copy->tag = arena_str(arena, order->tag);
  copy->digest = arena_str(arena, order->digest);
  copy->media_type = arena_str(arena, order->media_type);
  copy->body = arena_str(arena, order->body);
  bool copied = event_copy(&order->event, arena, &copy->event);
  if (copied && copy->project.ptr && copy->repository.ptr && copy->tag.ptr && copy->digest.ptr &&
      copy->media_type.ptr && copy->body.ptr)
    return 0;
  return error_set(err, ERR_NO_MEMORY, "no memory for a change of the registry");
}

static struct desk_change *change_new(struct change_desk *desk, const struct change_order *order, struct error *err) {
  struct desk_change *change = calloc(1, sizeof *change);

  if (change)
    change->arena = arena_new(CHANGE_ARENA_BYTES);
  if (change)
    change->done = queue_new(1);
  if (change && change->arena && change->done && copy_order(change, order, err) == 0) {
    change->desk = desk;
    change->start.run = start;
    atomic_store(&change->users, 2);
    return change;
  }
  if (change && change->done)
    queue_free(change->done);
  if (change)
    arena_free(change->arena);
  free(change);
  (void)error_set(err, ERR_NO_MEMORY, "no memory for a change of the registry");
  return NULL;
}

// False: the desk is closed.
static bool open_change(struct desk_change *change) {
  struct change_desk *desk = change->desk;

  pthread_mutex_lock(&desk->lock);
  bool open = !desk->closed;
  if (open)
    list_push_back(&desk->open, &change->node);
  pthread_mutex_unlock(&desk->lock);
  // Places bound how many there are.
  if (open && loop_post_reserved(desk->config.loop, &change->start) != 0)
    abort();
  return open;
}

int change_desk_run(struct change_desk *desk, const struct change_order *order, struct desk_answer *answer,
                    struct error *err) {
  struct desk_change *change = change_new(desk, order, err);

  if (!change)
    return err->code;
  if (!open_change(change)) {
    drop(change);
    drop(change);
    return error_set(err, ERR_UNAVAILABLE, "the server is stopping: try again in a moment");
  }
  int rc;
  if (!queue_wait(change->done, (int)desk->config.wait_ms)) {
    rc = queue_closed(change->done) ? error_set(err, ERR_UNAVAILABLE, "the server is stopping: try again in a moment")
                                    : error_set(err, ERR_TIMEOUT, "the registry has not answered for %lld s",
                                                (long long)(desk->config.wait_ms / 1000));
  } else {
    rc = change->rc;
    *answer = change->answer;
    if (rc != 0)
      *err = change->err;
  }
  drop(change);
  return rc;
}

int change_desk_enter(struct change_desk *desk, struct error *err) {
  pthread_mutex_lock(&desk->lock);
  bool full = desk->places >= desk->config.max_at_once;
  desk->places += !full;
  pthread_mutex_unlock(&desk->lock);
  return full ? error_set(err, ERR_TOO_MANY,
                          "%zu changes of the registry are being made through the API, which is as many as run at "
                          "once: try again when one has ended",
                          desk->config.max_at_once)
              : 0;
}

void change_desk_leave(struct change_desk *desk) {
  pthread_mutex_lock(&desk->lock);
  desk->places--;
  pthread_mutex_unlock(&desk->lock);
}

// ---- start and stop -----------------------------------------------------------------------------------------------------

struct change_desk *change_desk_new(const struct change_desk_config *config, struct error *err) {
  struct change_desk *desk = calloc(1, sizeof *desk);

  if (!desk) {
    (void)error_set(err, ERR_NO_MEMORY, "out of memory for changes of the registry");
    return NULL;
  }
  desk->config = *config;
  pthread_mutex_init(&desk->lock, NULL);
  list_init(&desk->open);
  return desk;
}

// Their queues are closed, not filled: an answer may still come, from what the main thread takes out of the loop.
void change_desk_close(struct change_desk *desk) {
  if (!desk)
    return;
  pthread_mutex_lock(&desk->lock);
  desk->closed = true;
  LIST_EACH (&desk->open, node, following)
    queue_close(CONTAINER_OF(node, struct desk_change, node)->done);
  pthread_mutex_unlock(&desk->lock);
}

void change_desk_free(struct change_desk *desk) {
  if (!desk)
    return;
  LIST_EACH (&desk->open, node, following) { // of these the loop had a share
    struct desk_change *change = CONTAINER_OF(node, struct desk_change, node);
    list_remove(&desk->open, &change->node);
    drop(change);
  }
  pthread_mutex_destroy(&desk->lock);
  free(desk);
}
