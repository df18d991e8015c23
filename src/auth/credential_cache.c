// SPDX-License-Identifier: Apache-2.0
#include "auth/credential_cache.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/list.h"
#include "base/map.h"

enum { PROCESS_KEY_BYTES = 32, NAME_BYTES = 256, CREDENTIAL_MAX_BYTES = 2048 };

struct entry {
  struct list_node node; // oldest first: all live equally long
  char key[HMAC_BYTES];
  int64_t until_us;
  int64_t user_id;
  bool is_admin;
  size_t name_len;
  char name[NAME_BYTES];
};

struct credential_cache {
  pthread_mutex_t lock;
  uint8_t process_key[PROCESS_KEY_BYTES];
  size_t max_count;
  int64_t life_ms;
  uint64_t generation;
  struct map *map; // key -> struct entry
  struct list by_age;
};

static struct str entry_key(const struct entry *entry) {
  return (struct str){entry->key, HMAC_BYTES};
}

static struct str entry_name(const struct entry *entry) {
  return (struct str){entry->name, entry->name_len};
}

static void drop(struct credential_cache *cache, struct entry *entry) {
  (void)map_remove(cache->map, entry_key(entry));
  list_remove(&cache->by_age, &entry->node);
  free(entry);
}

static void drop_old(struct credential_cache *cache, int64_t now_us) {
  struct list_node *oldest;

  while ((oldest = list_first(&cache->by_age))) {
    struct entry *entry = CONTAINER_OF(oldest, struct entry, node);
    if (cache->by_age.count <= cache->max_count && entry->until_us > now_us)
      return;
    drop(cache, entry);
  }
}

// False when name and password are longer than any that are right.
static bool make_key(const struct credential_cache *cache, struct str name, struct str password,
                     char out[static HMAC_BYTES]) {
  char text[CREDENTIAL_MAX_BYTES];
  uint8_t mac[HMAC_BYTES];

  if (name.len + 1 + password.len > sizeof text)
    return false;
  memcpy(text, name.ptr, name.len);
  text[name.len] = '\0';
  memcpy(text + name.len + 1, password.ptr, password.len);
  crypto_hmac_sha256((struct str){(const char *)cache->process_key, PROCESS_KEY_BYTES},
                     (struct str){text, name.len + 1 + password.len}, mac);
  explicit_bzero(text, sizeof text);
  memcpy(out, mac, HMAC_BYTES);
  return true;
}

bool credential_cache_get(struct credential_cache *cache, struct str name, struct str password, int64_t now_us,
                          struct arena *arena, struct credential *out) {
  char key[HMAC_BYTES];

  if (!make_key(cache, name, password, key))
    return false;
  pthread_mutex_lock(&cache->lock);
  const struct entry *entry = map_get(cache->map, (struct str){key, sizeof key});
  bool found = entry && entry->until_us > now_us;
  if (found) {
    *out = (struct credential){
        .user_id = entry->user_id, .name = arena_str(arena, entry_name(entry)), .is_admin = entry->is_admin};
    found = out->name.ptr != NULL;
  }
  pthread_mutex_unlock(&cache->lock);
  return found;
}

uint64_t credential_cache_generation(struct credential_cache *cache) {
  pthread_mutex_lock(&cache->lock);
  uint64_t generation = cache->generation;
  pthread_mutex_unlock(&cache->lock);
  return generation;
}

static void put_locked(struct credential_cache *cache, struct entry *entry, int64_t now_us) {
  struct entry *old = map_get(cache->map, entry_key(entry));

  if (old)
    drop(cache, old);
  if (map_put(cache->map, entry_key(entry), entry) != 0) {
    free(entry);
    return;
  }
  list_push_back(&cache->by_age, &entry->node);
  drop_old(cache, now_us);
}

void credential_cache_put(struct credential_cache *cache, uint64_t generation, struct str name, struct str password,
                          int64_t now_us, const struct credential *credential) {
  struct entry *entry = credential->name.len <= NAME_BYTES ? calloc(1, sizeof *entry) : NULL;

  if (!entry || !make_key(cache, name, password, entry->key)) {
    free(entry);
    return;
  }
  entry->until_us = now_us + cache->life_ms * US_PER_MS;
  entry->user_id = credential->user_id;
  entry->is_admin = credential->is_admin;
  entry->name_len = credential->name.len;
  memcpy(entry->name, credential->name.ptr, credential->name.len);
  pthread_mutex_lock(&cache->lock);
  if (generation == cache->generation)
    put_locked(cache, entry, now_us);
  else
    free(entry);
  pthread_mutex_unlock(&cache->lock);
}

void credential_cache_forget(struct credential_cache *cache, struct str stored_name) {
  pthread_mutex_lock(&cache->lock);
  cache->generation++;
  LIST_EACH (&cache->by_age, node, following) {
    struct entry *entry = CONTAINER_OF(node, struct entry, node);
    if (str_ieq(entry_name(entry), stored_name))
      drop(cache, entry);
  }
  pthread_mutex_unlock(&cache->lock);
}

size_t credential_cache_count(struct credential_cache *cache) {
  pthread_mutex_lock(&cache->lock);
  size_t count = cache->by_age.count;
  pthread_mutex_unlock(&cache->lock);
  return count;
}

struct credential_cache *credential_cache_new(size_t max_count, int64_t life_ms, struct error *err) {
  struct credential_cache *cache = calloc(1, sizeof *cache);
  struct map *map = map_new(max_count + 1); // one is added before the oldest goes

  if (!cache || !map) {
    free(cache);
    map_free(map);
    error_set(err, ERR_NO_MEMORY, "out of memory for the credential cache");
    return NULL;
  }
  pthread_mutex_init(&cache->lock, NULL);
  random_bytes(cache->process_key, sizeof cache->process_key);
  cache->max_count = max_count;
  cache->life_ms = life_ms;
  cache->map = map;
  list_init(&cache->by_age);
  return cache;
}

void credential_cache_free(struct credential_cache *cache) {
  if (!cache)
    return;
  LIST_EACH (&cache->by_age, node, following)
    free(CONTAINER_OF(node, struct entry, node));
  map_free(cache->map);
  pthread_mutex_destroy(&cache->lock);
  explicit_bzero(cache->process_key, sizeof cache->process_key);
  free(cache);
}
