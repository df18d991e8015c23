// SPDX-License-Identifier: Apache-2.0
// A deadline heap: intrusive entries ordered by time, one per loop, so that the epoll timeout is the head's deadline
// (no timer descriptors: each costs more than all the rest of a delivery). One thread; entries are the caller's.
#ifndef HARBINGER_BASE_HEAP_H
#define HARBINGER_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct heap_entry {
  int64_t at_us; // the deadline on the caller's clock
  size_t index;  // 1-based place in the heap, 0 when not in it
};

struct heap {
  struct heap_entry **slots;
  size_t count, cap, max_count;
};

void heap_init(struct heap *heap, size_t max_count);
void heap_free(struct heap *heap); // entries are left alone
// Insert or move. ERR_FULL at max_count, ERR_NO_MEMORY.
int heap_set(struct heap *heap, struct heap_entry *entry, int64_t at_us) MUST_CHECK;
void heap_remove(struct heap *heap, struct heap_entry *entry); // fine when not in the heap
struct heap_entry *heap_top(const struct heap *heap);          // earliest, or NULL

#endif
