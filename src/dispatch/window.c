// SPDX-License-Identifier: Apache-2.0
#include "dispatch/window.h"

#include <stdlib.h>

struct window_entry {
  struct window_entry *next;
  int64_t delivery_id;
  int64_t due_us;
};

struct window {
  struct window_entry *spare; // given back
  size_t fresh;               // slots never used begin here, so that untouched pages cost nothing
  size_t used, max_entries;
  struct window_entry slots[];
};

struct window *window_new(size_t max_entries) {
  size_t size;
  if (__builtin_mul_overflow(max_entries, sizeof(struct window_entry), &size) ||
      __builtin_add_overflow(size, sizeof(struct window), &size))
    return NULL;
  struct window *window = calloc(1, size);
  if (window)
    window->max_entries = max_entries;
  return window;
}

void window_free(struct window *window) {
  free(window);
}

size_t window_used(const struct window *window) {
  return window->used;
}

static struct window_entry *entry_take(struct window *window) {
  struct window_entry *entry = window->spare;
  if (entry)
    window->spare = entry->next;
  else if (window->fresh < window->max_entries)
    entry = &window->slots[window->fresh++];
  else
    return NULL;
  window->used++;
  return entry;
}

static void entry_give_back(struct window *window, struct window_entry *entry) {
  entry->next = window->spare;
  window->spare = entry;
  window->used--;
}

void window_queue_init(struct window_queue *queue) {
  *queue = (struct window_queue){.store_due_us = WINDOW_NOTHING};
}

bool window_push(struct window *window, struct window_queue *queue, int64_t delivery_id, int64_t due_us) {
  struct window_entry *entry = entry_take(window);
  if (!entry)
    return false;
  *entry = (struct window_entry){.delivery_id = delivery_id, .due_us = due_us};
  if (queue->last)
    queue->last->next = entry;
  else
    queue->first = entry;
  queue->last = entry;
  return true;
}

bool window_pop(struct window *window, struct window_queue *queue, int64_t *delivery_id, int64_t *due_us) {
  struct window_entry *entry = queue->first;
  if (!entry)
    return false;
  *delivery_id = entry->delivery_id;
  *due_us = entry->due_us;
  queue->first = entry->next;
  if (!queue->first)
    queue->last = NULL;
  entry_give_back(window, entry);
  return true;
}

void window_in_store(struct window_queue *queue, int64_t due_us) {
  if (due_us < queue->store_due_us)
    queue->store_due_us = due_us;
}

size_t window_forget(struct window *window, struct window_queue *queue) {
  int64_t delivery_id, due_us;
  size_t count = 0;
  for (; window_pop(window, queue, &delivery_id, &due_us); count++)
    window_in_store(queue, due_us);
  return count;
}

int64_t window_next_us(const struct window_queue *queue) {
  if (queue->first && queue->first->due_us <= queue->store_due_us)
    return queue->first->due_us;
  return queue->store_due_us;
}

bool window_front_is_next(const struct window_queue *queue) {
  return queue->first && queue->first->due_us <= queue->store_due_us;
}
