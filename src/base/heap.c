// SPDX-License-Identifier: Apache-2.0
#include "base/heap.h"

#include <stdlib.h>

#include "base/error.h"

enum { SMALLEST_HEAP_SLOTS = 64 };

// Slots are 0-based inside; entry->index is the slot plus 1, so that 0 can say "not in the heap".
static void place(struct heap *heap, size_t slot, struct heap_entry *entry) {
  heap->slots[slot] = entry;
  entry->index = slot + 1;
}

static void sift_up(struct heap *heap, size_t slot, struct heap_entry *entry) {
  while (slot > 0) {
    size_t parent = (slot - 1) / 2;
    if (heap->slots[parent]->at_us <= entry->at_us)
      break;
    place(heap, slot, heap->slots[parent]);
    slot = parent;
  }
  place(heap, slot, entry);
}

static void sift_down(struct heap *heap, size_t slot, struct heap_entry *entry) {
  for (;;) {
    size_t child = 2 * slot + 1;
    if (child >= heap->count)
      break;
    if (child + 1 < heap->count && heap->slots[child + 1]->at_us < heap->slots[child]->at_us)
      child++;
    if (entry->at_us <= heap->slots[child]->at_us)
      break;
    place(heap, slot, heap->slots[child]);
    slot = child;
  }
  place(heap, slot, entry);
}

static void settle(struct heap *heap, size_t slot, struct heap_entry *entry) {
  if (slot > 0 && entry->at_us < heap->slots[(slot - 1) / 2]->at_us)
    sift_up(heap, slot, entry);
  else
    sift_down(heap, slot, entry);
}

static int heap_grow(struct heap *heap) {
  size_t cap = heap->cap ? heap->cap * 2 : SMALLEST_HEAP_SLOTS;

  if (cap > heap->max_count)
    cap = heap->max_count;
  struct heap_entry **slots = reallocarray(heap->slots, cap, sizeof(struct heap_entry *));
  if (!slots)
    return ERR_NO_MEMORY;
  heap->slots = slots;
  heap->cap = cap;
  return 0;
}

void heap_init(struct heap *heap, size_t max_count) {
  *heap = (struct heap){.max_count = max_count};
}

void heap_free(struct heap *heap) {
  free(heap->slots);
  heap_init(heap, heap->max_count);
}

int heap_set(struct heap *heap, struct heap_entry *entry, int64_t at_us) {
  if (entry->index) {
    entry->at_us = at_us;
    settle(heap, entry->index - 1, entry);
    return 0;
  }
  if (heap->count >= heap->max_count)
    return ERR_FULL;
  if (heap->count == heap->cap && heap_grow(heap) != 0)
    return ERR_NO_MEMORY;
  entry->at_us = at_us;
  sift_up(heap, heap->count++, entry);
  return 0;
}

void heap_remove(struct heap *heap, struct heap_entry *entry) {
  if (entry->index == 0)
    return;

  size_t slot = entry->index - 1;
  struct heap_entry *last = heap->slots[--heap->count];
  entry->index = 0;
  if (last != entry)
    settle(heap, slot, last);
}

struct heap_entry *heap_top(const struct heap *heap) {
  return heap->count ? heap->slots[0] : NULL;
}
