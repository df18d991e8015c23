// SPDX-License-Identifier: Apache-2.0
// A hash map for keys that an attacker may choose: SipHash with a random key per map, a cap on the entries.
// Keys are byte strings copied by the map; values are pointers that it does not own. One thread.
#ifndef HARBINGER_BASE_MAP_H
#define HARBINGER_BASE_MAP_H

#include "base/str.h"

struct map;

struct map *map_new(size_t max_count) MUST_CHECK;
void map_free(struct map *map);
void *map_get(const struct map *map, struct str key); // NULL when absent
// Insert or replace. ERR_FULL at max_count, ERR_NO_MEMORY.
int map_put(struct map *map, struct str key, void *value) MUST_CHECK;
void *map_remove(struct map *map, struct str key); // the value that was there, or NULL
size_t map_count(const struct map *map);
// Walk all entries in no order: start with *cursor = 0; false at the end. The current entry may be removed.
bool map_next(const struct map *map, size_t *cursor, struct str *key, void **value);

// Integer keys as bytes of the host's order.
#define MAP_KEY(integer_lvalue) ((struct str){(const char *)&(integer_lvalue), sizeof(integer_lvalue)})

#endif
