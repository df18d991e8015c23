// SPDX-License-Identifier: Apache-2.0
#include "api/feed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"

enum { EVENT_MAX_BYTES = 128 };

struct feed {
  struct feed_config config;
  struct loop *loop;
  struct loop_timer tick;
  atomic_size_t watching; // as watches.count, for those who tell
  pthread_mutex_t lock;   // of the list and of what is marked in it
  struct list watches;
};

struct feed_watch {
  struct list_node node;
  struct feed *feed;
  int64_t user_id, project_id, policy_id;
  bool changed, gone; // under the lock
  // The loop's:
  struct http_request *request; // NULL before feed_begin
  int64_t begun_us, written_us;
};

struct feed *feed_new(const struct feed_config *config, struct error *err) {
  struct feed *feed = calloc(1, sizeof(*feed));

  if (!feed) {
    error_set(err, ERR_NO_MEMORY, "out of memory for those who watch deliveries");
    return NULL;
  }
  feed->config = *config;
  list_init(&feed->watches);
  pthread_mutex_init(&feed->lock, NULL);
  return feed;
}

void feed_free(struct feed *feed) {
  if (!feed)
    return;
  pthread_mutex_destroy(&feed->lock);
  free(feed);
}

// ---- any thread -----------------------------------------------------------------------------------------------------

static void mark(struct feed_watch *watch, const struct policy_news *news, size_t len, bool all) {
  watch->changed = watch->changed || all;
  for (size_t i = 0; i < len; i++) {
    bool whole_project = news[i].policy_id == 0 && news[i].project_id == watch->project_id;
    if (news[i].policy_id != watch->policy_id && !whole_project)
      continue;
    watch->changed = true;
    watch->gone = watch->gone || news[i].deleted;
  }
}

void feed_tell(struct feed *feed, const struct policy_news *news, size_t len, bool all) {
  if (atomic_load_explicit(&feed->watching, memory_order_acquire) == 0)
    return;
  pthread_mutex_lock(&feed->lock);
  LIST_EACH (&feed->watches, node, following)
    mark(CONTAINER_OF(node, struct feed_watch, node), news, len, all);
  pthread_mutex_unlock(&feed->lock);
}

static size_t count_of_user(const struct feed *feed, int64_t user_id) {
  size_t count = 0;

  LIST_EACH (&feed->watches, node, following)
    count += CONTAINER_OF(node, struct feed_watch, node)->user_id == user_id;
  return count;
}

static int admit(struct feed *feed, struct feed_watch *watch, struct error *err) {
  if (feed->watches.count >= feed->config.max_watches)
    return error_set(err, ERR_TOO_MANY, "%zu streams are open, which is all this server allows; try again later",
                     feed->config.max_watches);
  if (count_of_user(feed, watch->user_id) >= feed->config.max_per_user)
    return error_set(err, ERR_TOO_MANY, "you have %zu streams open, which is all that one user may; close one",
                     feed->config.max_per_user);
  list_push_back(&feed->watches, &watch->node);
  atomic_store_explicit(&feed->watching, feed->watches.count, memory_order_release);
  return 0;
}

int feed_reserve(struct feed *feed, int64_t user_id, int64_t project_id, int64_t policy_id, struct feed_watch **out,
                 struct error *err) {
  struct feed_watch *watch = calloc(1, sizeof(*watch));

  if (!watch)
    return error_set(err, ERR_NO_MEMORY, "out of memory for a stream");
  *watch = (struct feed_watch){.feed = feed, .user_id = user_id, .project_id = project_id, .policy_id = policy_id};
  pthread_mutex_lock(&feed->lock);
  int rc = admit(feed, watch, err);
  pthread_mutex_unlock(&feed->lock);
  if (rc != 0) {
    free(watch);
    return rc;
  }
  *out = watch;
  return 0;
}

// ---- on the loop ----------------------------------------------------------------------------------------------------

static void drop(struct feed_watch *watch) {
  struct feed *feed = watch->feed;

  pthread_mutex_lock(&feed->lock);
  list_remove(&feed->watches, &watch->node);
  atomic_store_explicit(&feed->watching, feed->watches.count, memory_order_release);
  bool last = feed->watches.count == 0;
  pthread_mutex_unlock(&feed->lock);
  if (last)
    loop_timer_cancel(feed->loop, &feed->tick);
  free(watch);
}

static void on_closed(void *ctx) {
  drop(ctx);
}

static void end(struct feed_watch *watch) {
  struct http_request *request = watch->request;

  drop(watch);
  http_stream_end(request);
}

static void on_drain(void *ctx) {
  end(ctx);
}

// False when the client is so slow that the event found no room: then the stream has ended.
static bool say(struct feed_watch *watch, const char *text) {
  struct error err;

  watch->written_us = loop_now_us(watch->feed->loop);
  if (http_stream_write(watch->request, str_of(text), &err) == 0)
    return true;
  end(watch);
  return false;
}

static bool say_event(struct feed_watch *watch, const char *name) {
  char text[EVENT_MAX_BYTES];

  (void)snprintf(text, sizeof(text), "event: %s\ndata: {\"policy_id\":%lld}\n\n", name, (long long)watch->policy_id);
  return say(watch, text);
}

static void look_at(struct feed_watch *watch, int64_t now_us) {
  struct feed *feed = watch->feed;

  pthread_mutex_lock(&feed->lock);
  bool changed = watch->changed, gone = watch->gone;
  watch->changed = false;
  pthread_mutex_unlock(&feed->lock);
  if (gone) {
    if (say_event(watch, "gone"))
      end(watch);
  } else if (now_us - watch->begun_us >= feed->config.lifetime_ms * US_PER_MS) {
    end(watch); // what changed meanwhile is read when the client comes back
  } else if (changed) {
    (void)say_event(watch, "deliveries");
  } else if (now_us - watch->written_us >= FEED_HEARTBEAT_MS * US_PER_MS) {
    (void)say(watch, ":\n\n");
  }
}

static void arm(struct feed *feed) {
  if (feed->tick.entry.index == 0)
    loop_timer_set(feed->loop, &feed->tick, loop_now_us(feed->loop) + FEED_TICK_MS * US_PER_MS);
}

static void on_tick(struct loop_timer *timer) {
  struct feed *feed = CONTAINER_OF(timer, struct feed, tick);
  int64_t now_us = loop_now_us(feed->loop);
  size_t left = atomic_load(&feed->watching); // no other thread takes out; who comes meanwhile has his turn next time

  // Not while holding the lock: an event may end a watch. Each goes to the back, so that no place is lost.
  while (left-- > 0) {
    pthread_mutex_lock(&feed->lock);
    struct list_node *node = list_pop_front(&feed->watches);
    if (node)
      list_push_back(&feed->watches, node);
    pthread_mutex_unlock(&feed->lock);
    if (!node)
      return;
    struct feed_watch *watch = CONTAINER_OF(node, struct feed_watch, node);
    if (watch->request)
      look_at(watch, now_us);
  }
  if (atomic_load(&feed->watching) > 0)
    arm(feed);
}

void feed_run(struct feed *feed, struct loop *loop) {
  feed->loop = loop;
  feed->tick.on_fire = on_tick;
}

int feed_begin(struct feed_watch *watch, struct http_request *request, const struct http_header *headers,
               size_t headers_len, struct error *err) {
  const struct http_stream_handler handler = {.ctx = watch, .on_closed = on_closed, .on_drain = on_drain};
  const struct http_response response = {
      .status = 200, .content_type = "text/event-stream", .headers = headers, .headers_len = headers_len};
  int rc = http_respond_stream(request, &response, &handler, err);

  if (rc != 0) {
    drop(watch);
    return rc;
  }
  watch->request = request;
  watch->begun_us = loop_now_us(watch->feed->loop);
  // The time after which a browser comes back, and a first event: it knows that it is heard.
  if (say(watch, "retry: 1000\n\n") && say_event(watch, "ready"))
    arm(watch->feed);
  return 0;
}
