// SPDX-License-Identifier: Apache-2.0
// Events on their way from the commit to the first try: the writer has the event in its hands when it tells of a new
// delivery, and reading it back out of the store and its JSON costs a fifth of a delivery. A cache and nothing more: an
// entry that is missing is read from the store, and both give the same bytes. Entries are made by the writer's thread and
// belong to the loop's from then on; each is bounded, and so is their number.
#ifndef HARBINGER_DISPATCH_FRESH_H
#define HARBINGER_DISPATCH_FRESH_H

#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "event/event.h"
#include "store/store.h"

enum { FRESH_MAX_BYTES = 8192 }; // of one entry; a larger event is read from the store

struct fresh {
  struct list_node node;
  struct arena *arena; // holds this struct too
  int64_t delivery_id;
  struct event event;
};

struct fresh_pool {
  size_t max_entries, arena_bytes;
  atomic_size_t made; // that somebody holds
  struct map *by_delivery;
  struct list oldest_first;
};

// `arena_bytes`: the cap of an entry's arena, in which its delivery goes on.
int fresh_init(struct fresh_pool *pool, size_t max_entries, size_t arena_bytes, struct error *err) MUST_CHECK;
void fresh_free(struct fresh_pool *pool);

// Writer's thread: the event of a notice, copied. NULL: none was given, it is too large, or too many are held.
struct fresh *fresh_make(struct fresh_pool *pool, const struct delivery_notice *notice) MUST_CHECK;
// Loop thread: keep it until its delivery is tried. The oldest goes when there are max_entries.
void fresh_keep(struct fresh_pool *pool, struct fresh *fresh);
// Once: the entry leaves the pool. Its arena, with *event in it, is the caller's. NULL: not there, read the store.
struct arena *fresh_take(struct fresh_pool *pool, int64_t delivery_id, const struct event **event) MUST_CHECK;
void fresh_drop(struct fresh_pool *pool, struct fresh *fresh); // one that is not kept; NULL is fine

#endif
