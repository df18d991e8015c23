// SPDX-License-Identifier: Apache-2.0
#include "dispatch/fresh.h"

#include "event/copy.h"

// While the loop is busy as many again may be on their way to it.
enum { FRESH_IN_FLIGHT_FACTOR = 2 };

int fresh_init(struct fresh_pool *pool, size_t max_entries, size_t arena_bytes, struct error *err) {
  pool->max_entries = max_entries;
  pool->arena_bytes = arena_bytes;
  atomic_init(&pool->made, 0);
  list_init(&pool->oldest_first);
  pool->by_delivery = map_new(max_entries + 1);
  return pool->by_delivery ? 0 : error_set(err, ERR_NO_MEMORY, "no memory for %zu new events", max_entries);
}

static struct arena *take_out(struct fresh_pool *pool, struct fresh *fresh) {
  (void)map_remove(pool->by_delivery, MAP_KEY(fresh->delivery_id));
  list_remove(&pool->oldest_first, &fresh->node);
  (void)atomic_fetch_sub(&pool->made, 1);
  return fresh->arena;
}

void fresh_free(struct fresh_pool *pool) {
  struct list_node *node;

  while (pool->by_delivery && (node = list_first(&pool->oldest_first)) != NULL)
    arena_free(take_out(pool, CONTAINER_OF(node, struct fresh, node)));
  map_free(pool->by_delivery);
  pool->by_delivery = NULL;
}

struct fresh *fresh_make(struct fresh_pool *pool, const struct delivery_notice *notice) {
  if (!notice->event || atomic_load(&pool->made) >= FRESH_IN_FLIGHT_FACTOR * pool->max_entries)
    return NULL;
  struct arena *arena = arena_new(pool->arena_bytes);
  struct fresh *fresh = arena ? ARENA_NEW(arena, struct fresh) : NULL;
  if (!fresh || !event_copy(notice->event, arena, &fresh->event) || arena_used_bytes(arena) > FRESH_MAX_BYTES) {
    arena_free(arena);
    return NULL;
  }
  fresh->arena = arena;
  fresh->delivery_id = notice->delivery_id;
  (void)atomic_fetch_add(&pool->made, 1);
  return fresh;
}

void fresh_keep(struct fresh_pool *pool, struct fresh *fresh) {
  struct list_node *oldest = list_first(&pool->oldest_first);

  if (oldest && pool->oldest_first.count >= pool->max_entries)
    arena_free(take_out(pool, CONTAINER_OF(oldest, struct fresh, node)));
  if (map_put(pool->by_delivery, MAP_KEY(fresh->delivery_id), fresh) != 0) {
    fresh_drop(pool, fresh);
    return;
  }
  list_push_back(&pool->oldest_first, &fresh->node);
}

struct arena *fresh_take(struct fresh_pool *pool, int64_t delivery_id, const struct event **event) {
  struct fresh *fresh = map_get(pool->by_delivery, MAP_KEY(delivery_id));

  if (!fresh)
    return NULL;
  *event = &fresh->event;
  return take_out(pool, fresh);
}

void fresh_drop(struct fresh_pool *pool, struct fresh *fresh) {
  if (!fresh)
    return;
  (void)atomic_fetch_sub(&pool->made, 1);
  arena_free(fresh->arena);
}
