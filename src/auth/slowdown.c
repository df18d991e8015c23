// SPDX-License-Identifier: Apache-2.0
#include "auth/slowdown.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"

enum { KEY_BYTES = 128, MAX_DOUBLINGS = 30 };

struct tracked {
  struct list_node node; // in the order of the last failure
  int failures;          // in a row
  int64_t last_us;
  size_t key_len;
  char key[KEY_BYTES];
};

struct slowdown {
  pthread_mutex_t lock;
  struct slowdown_config config;
  struct map *map; // key -> struct tracked
  struct list by_age;
};

static struct str tracked_key(const struct tracked *tracked) {
  return (struct str){tracked->key, tracked->key_len};
}

static void forget(struct slowdown *slowdown, struct tracked *tracked) {
  (void)map_remove(slowdown->map, tracked_key(tracked));
  list_remove(&slowdown->by_age, &tracked->node);
  free(tracked);
}

static void forget_old(struct slowdown *slowdown, int64_t now_us) {
  struct list_node *oldest;

  while ((oldest = list_first(&slowdown->by_age))) {
    struct tracked *tracked = CONTAINER_OF(oldest, struct tracked, node);
    bool full = slowdown->by_age.count > slowdown->config.max_tracked;
    if (!full && now_us - tracked->last_us < slowdown->config.forget_ms * US_PER_MS)
      return;
    forget(slowdown, tracked);
  }
}

// NULL without memory: then this failure is not counted, which must not keep anybody from logging in.
static struct tracked *tracked_of(struct slowdown *slowdown, struct str key) {
  struct tracked *tracked = map_get(slowdown->map, key);

  if (tracked) {
    list_remove(&slowdown->by_age, &tracked->node);
    list_push_back(&slowdown->by_age, &tracked->node);
    return tracked;
  }
  tracked = calloc(1, sizeof *tracked);
  if (!tracked)
    return NULL;
  tracked->key_len = key.len;
  memcpy(tracked->key, key.ptr, key.len);
  if (map_put(slowdown->map, tracked_key(tracked), tracked) != 0) {
    free(tracked);
    return NULL;
  }
  list_push_back(&slowdown->by_age, &tracked->node);
  return tracked;
}

static int64_t delay_of(const struct slowdown_config *config, int failures) {
  int doublings = failures - 1 < MAX_DOUBLINGS ? failures - 1 : MAX_DOUBLINGS;
  int64_t delay_ms;

  if (__builtin_mul_overflow(config->delay_min_ms, INT64_C(1) << doublings, &delay_ms) ||
      delay_ms > config->delay_max_ms)
    return config->delay_max_ms;
  return delay_ms;
}

static int64_t count_failure(struct slowdown *slowdown, struct str key, int64_t now_us) {
  struct tracked *tracked = tracked_of(slowdown, key);

  if (!tracked)
    return slowdown->config.delay_min_ms;
  if (tracked->failures <= MAX_DOUBLINGS)
    tracked->failures++;
  tracked->last_us = now_us;
  return delay_of(&slowdown->config, tracked->failures);
}

// Keys of users begin with 'u', of addresses with 'a'. A longer name than any user can have is cut: it fails anyway.
static struct str user_key(struct str user, char out[static KEY_BYTES]) {
  size_t len = user.len < KEY_BYTES - 1 ? user.len : KEY_BYTES - 1;

  out[0] = 'u';
  memcpy(out + 1, user.ptr, len);
  return (struct str){out, len + 1};
}

static bool is_mapped_v4(const struct address *peer) {
  static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

  return peer->family == AF_INET6 && memcmp(peer->bytes, prefix, sizeof prefix) == 0;
}

static struct str address_key(const struct address *peer, char out[static KEY_BYTES]) {
  bool mapped = is_mapped_v4(peer), v4 = mapped || peer->family == AF_INET;
  size_t len = v4 ? 4 : 8;

  out[0] = 'a';
  out[1] = v4 ? '4' : '6';
  memcpy(out + 2, peer->bytes + (mapped ? 12 : 0), len);
  return (struct str){out, len + 2};
}

int64_t slowdown_failed(struct slowdown *slowdown, struct str user, const struct address *peer, int64_t now_us) {
  char key[KEY_BYTES];

  pthread_mutex_lock(&slowdown->lock);
  forget_old(slowdown, now_us);
  int64_t delay_ms = count_failure(slowdown, address_key(peer, key), now_us);
  int64_t user_ms = user.len > 0 ? count_failure(slowdown, user_key(user, key), now_us) : 0;
  forget_old(slowdown, now_us); // the two new ones may be over the bound
  pthread_mutex_unlock(&slowdown->lock);
  return user_ms > delay_ms ? user_ms : delay_ms;
}

void slowdown_succeeded(struct slowdown *slowdown, struct str user) {
  char key[KEY_BYTES];

  pthread_mutex_lock(&slowdown->lock);
  struct tracked *tracked = map_get(slowdown->map, user_key(user, key));
  if (tracked)
    forget(slowdown, tracked);
  pthread_mutex_unlock(&slowdown->lock);
}

struct slowdown *slowdown_new(const struct slowdown_config *config, struct error *err) {
  struct slowdown *slowdown = calloc(1, sizeof *slowdown);
  struct map *map = map_new(config->max_tracked + 2); // one call adds two before the oldest go

  if (!slowdown || !map) {
    free(slowdown);
    map_free(map);
    error_set(err, ERR_NO_MEMORY, "out of memory for the table of failed logins");
    return NULL;
  }
  pthread_mutex_init(&slowdown->lock, NULL);
  slowdown->config = *config;
  slowdown->map = map;
  list_init(&slowdown->by_age);
  return slowdown;
}

void slowdown_free(struct slowdown *slowdown) {
  if (!slowdown)
    return;
  LIST_EACH (&slowdown->by_age, node, following)
    free(CONTAINER_OF(node, struct tracked, node));
  map_free(slowdown->map);
  pthread_mutex_destroy(&slowdown->lock);
  free(slowdown);
}
