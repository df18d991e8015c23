// SPDX-License-Identifier: Apache-2.0
// What is due now and known in memory: one bounded pool of entries (ids and due times only) for all lanes, and a queue
// of them per lane and priority class. A queue is a cache of the store's waiting index: `store_due_us` is the earliest
// due time at which the store may hold a row of the class that is not in the queue, so that forgetting entries is always
// right as long as that time is kept. Loop thread only; the pool owns the entries.
#ifndef HARBINGER_DISPATCH_WINDOW_H
#define HARBINGER_DISPATCH_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define WINDOW_NOTHING INT64_MAX // store_due_us: the store holds nothing more
#define WINDOW_ASK INT64_MIN     // store_due_us: nobody knows; ask

struct window;
struct window_entry;

struct window_queue {
  struct window_entry *first, *last;
  int64_t store_due_us; // wall clock
};

struct window *window_new(size_t max_entries) MUST_CHECK; // NULL: no memory
void window_free(struct window *window);
size_t window_used(const struct window *window);

void window_queue_init(struct window_queue *queue); // empty; the store holds nothing
// At the back. False when the pool is empty: the caller notes the row with window_in_store.
bool window_push(struct window *window, struct window_queue *queue, int64_t delivery_id, int64_t due_us) MUST_CHECK;
bool window_pop(struct window *window, struct window_queue *queue, int64_t *delivery_id, int64_t *due_us) MUST_CHECK;
// Note that the store holds a row of this class due then which is not in the queue.
void window_in_store(struct window_queue *queue, int64_t due_us);
// Entries go back to the pool; their due times are kept in store_due_us. How many they were.
size_t window_forget(struct window *window, struct window_queue *queue);
// The earliest time at which the class may have something to send; WINDOW_NOTHING when it has nothing.
int64_t window_next_us(const struct window_queue *queue);
// The queue's front does not come after what the store may hold (equal times: ids decide, and the front has the smaller).
bool window_front_is_next(const struct window_queue *queue);

#endif
