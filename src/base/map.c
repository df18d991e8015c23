// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"

#include <sodium/crypto_shorthash.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/id.h"

// Chains, not open addressing: each entry holds its key and is an allocation anyway, deleting leaves no marks that an
// attacker could pile up, and a walk may remove the entry it stands on.
struct entry {
  struct entry *next;
  uint64_t hash;
  void *value;
  size_t key_len;
  char key[];
};

enum { SMALLEST_MAP_BUCKETS = 16 };
enum { CURSOR_START = 0, CURSOR_END = 1 }; // no entry has such an address: both are below its alignment

struct map {
  struct entry **buckets;
  size_t bucket_count; // a power of two, or 0 before the first entry
  size_t count, max_count;
  unsigned char hash_key[crypto_shorthash_KEYBYTES];
};

static uint64_t hash_of(const struct map *map, struct str key) {
  uint64_t hash;
  unsigned char out[crypto_shorthash_BYTES];

  _Static_assert(sizeof(hash) == crypto_shorthash_BYTES, "SipHash-2-4 gives 64 bits");
  (void)crypto_shorthash(out, (const unsigned char *)key.ptr, key.len, map->hash_key);
  memcpy(&hash, out, sizeof(hash));
  return hash;
}

static struct entry **bucket_of(const struct map *map, uint64_t hash) {
  return &map->buckets[hash & (map->bucket_count - 1)];
}

// The link that points at the entry with this key, or at the NULL that ends its chain. The map has buckets.
static struct entry **find(const struct map *map, struct str key, uint64_t hash) {
  struct entry **link = bucket_of(map, hash);

  while (*link && !((*link)->hash == hash && str_eq((struct str){(*link)->key, (*link)->key_len}, key)))
    link = &(*link)->next;
  return link;
}

static int grow(struct map *map) {
  size_t old_count = map->bucket_count;
  size_t new_count = old_count ? old_count * 2 : SMALLEST_MAP_BUCKETS;
  struct entry **old = map->buckets;
  struct entry **buckets = calloc(new_count, sizeof(struct entry *));

  if (!buckets)
    return ERR_NO_MEMORY;
  map->buckets = buckets;
  map->bucket_count = new_count;
  for (size_t i = 0; i < old_count; i++) {
    for (struct entry *entry = old[i], *next; entry; entry = next) {
      next = entry->next;
      struct entry **bucket = bucket_of(map, entry->hash);
      entry->next = *bucket;
      *bucket = entry;
    }
  }
  free(old);
  return 0;
}

static struct entry *entry_new(struct str key, uint64_t hash, void *value) {
  size_t total;

  if (__builtin_add_overflow(sizeof(struct entry), key.len, &total))
    return NULL;
  struct entry *entry = malloc(total);
  if (!entry)
    return NULL;
  entry->next = NULL;
  entry->hash = hash;
  entry->value = value;
  entry->key_len = key.len;
  if (key.len)
    memcpy(entry->key, key.ptr, key.len);
  return entry;
}

struct map *map_new(size_t max_count) {
  struct map *map = calloc(1, sizeof(*map));

  if (!map)
    return NULL;
  map->max_count = max_count;
  random_bytes(map->hash_key, sizeof(map->hash_key));
  return map;
}

void map_free(struct map *map) {
  if (!map)
    return;
  for (size_t i = 0; i < map->bucket_count; i++) {
    for (struct entry *entry = map->buckets[i], *next; entry; entry = next) {
      next = entry->next;
      free(entry);
    }
  }
  free(map->buckets);
  free(map);
}

void *map_get(const struct map *map, struct str key) {
  if (map->count == 0)
    return NULL;
  struct entry *entry = *find(map, key, hash_of(map, key));
  return entry ? entry->value : NULL;
}

int map_put(struct map *map, struct str key, void *value) {
  uint64_t hash = hash_of(map, key);

  if (map->bucket_count == 0 && grow(map) != 0)
    return ERR_NO_MEMORY;
  struct entry *found = *find(map, key, hash);
  if (found) {
    found->value = value;
    return 0;
  }
  if (map->count >= map->max_count)
    return ERR_FULL;
  struct entry *entry = entry_new(key, hash, value);
  if (!entry)
    return ERR_NO_MEMORY;
  if (map->count >= map->bucket_count)
    (void)grow(map); // without memory the chains get longer, nothing else
  struct entry **bucket = bucket_of(map, hash);
  entry->next = *bucket;
  *bucket = entry;
  map->count++;
  return 0;
}

void *map_remove(struct map *map, struct str key) {
  if (map->count == 0)
    return NULL;

  struct entry **link = find(map, key, hash_of(map, key));
  struct entry *entry = *link;
  if (!entry)
    return NULL;
  void *value = entry->value;
  *link = entry->next;
  map->count--;
  free(entry);
  return value;
}

size_t map_count(const struct map *map) {
  return map->count;
}

// The first entry of bucket `bucket` or a later one, or NULL.
static struct entry *first_from(const struct map *map, size_t bucket) {
  for (; bucket < map->bucket_count; bucket++) {
    if (map->buckets[bucket])
      return map->buckets[bucket];
  }
  return NULL;
}

bool map_next(const struct map *map, size_t *cursor, struct str *key, void **value) {
  // The cursor is the address of the entry to come, so that the current one may go.
  struct entry *entry = *cursor == CURSOR_START ? first_from(map, 0) : (struct entry *)(uintptr_t)*cursor;

  if (*cursor == CURSOR_END || !entry) {
    *cursor = CURSOR_END;
    return false;
  }
  struct entry *following = entry->next;
  if (!following)
    following = first_from(map, (entry->hash & (map->bucket_count - 1)) + 1);
  *cursor = following ? (size_t)(uintptr_t)following : CURSOR_END;
  if (key)
    *key = (struct str){entry->key, entry->key_len};
  if (value)
    *value = entry->value;
  return true;
}
