// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/fault_memory.h"

// The first block is small, because most arenas hold one short message; later blocks double up to the largest, so that
// a big request takes few calls of malloc. What is larger than a quarter of a block gets a block of its own.
enum { FIRST_BLOCK_BYTES = 1024, LARGEST_BLOCK_BYTES = 65536, ALIGN_BYTES = alignof(max_align_t) };
enum { BRIEF_TEXT_BYTES = 256 };

struct block {
  struct block *next;
  size_t used, size;
  alignas(max_align_t) char bytes[];
};

struct cleanup {
  struct cleanup *next;
  void (*fn)(void *);
  void *arg;
};

struct arena {
  struct block *blocks; // the one being filled first
  struct cleanup *cleanups;
  size_t max_bytes, used_bytes, next_block_bytes;
  bool out_of_memory;
};

struct arena *arena_new(size_t max_bytes) {
  struct arena *arena = calloc(1, sizeof(*arena));

  if (!arena)
    return NULL;
  arena->max_bytes = max_bytes;
  arena->next_block_bytes = FIRST_BLOCK_BYTES;
  return arena;
}

void arena_free(struct arena *arena) {
  if (!arena)
    return;
  for (struct cleanup *cleanup = arena->cleanups; cleanup; cleanup = cleanup->next)
    cleanup->fn(cleanup->arg);
  for (struct block *block = arena->blocks, *next; block; block = next) {
    next = block->next;
    free(block);
  }
  free(arena);
}

void arena_cleanup(struct arena **arena) {
  arena_free(*arena);
  *arena = NULL;
}

static struct block *block_new(size_t size) {
  size_t total;

  if (__builtin_add_overflow(size, sizeof(struct block), &total))
    return NULL;
  struct block *block = malloc(total);
  if (!block)
    return NULL;
  block->next = NULL;
  block->used = 0;
  block->size = size;
  return block;
}

// A block with room for `size`: the one being filled, a new one, or one of its own behind it.
static struct block *block_for(struct arena *arena, size_t size) {
  struct block *current = arena->blocks;

  if (current && current->size - current->used >= size)
    return current;

  bool alone = size > arena->next_block_bytes / 4;
  struct block *block = block_new(alone ? size : arena->next_block_bytes);
  if (!block)
    return NULL;
  if (alone && current) { // keep filling the current one
    block->next = current->next;
    current->next = block;
    return block;
  }
  block->next = current;
  arena->blocks = block;
  if (!alone && arena->next_block_bytes < LARGEST_BLOCK_BYTES)
    arena->next_block_bytes *= 2;
  return block;
}

// Memory as malloc left it, or NULL.
static void *alloc_raw(struct arena *arena, size_t size) {
  size_t rounded;

  if (size == 0)
    size = 1;
  if (__builtin_add_overflow(size, (size_t)ALIGN_BYTES - 1, &rounded))
    return NULL;
  rounded &= ~((size_t)ALIGN_BYTES - 1);
  // The cap counts what callers asked for, rounded: used_bytes <= max_bytes always.
  if (rounded > arena->max_bytes - arena->used_bytes)
    return NULL;

  struct block *block = FAULT_ALLOCATION() ? NULL : block_for(arena, rounded);
  if (!block) {
    arena->out_of_memory = true;
    return NULL;
  }
  void *memory = block->bytes + block->used;
  block->used += rounded;
  arena->used_bytes += rounded;
  return memory;
}

void *arena_alloc(struct arena *arena, size_t size) {
  void *memory = alloc_raw(arena, size);

  if (memory)
    memset(memory, 0, size);
  return memory;
}

void *arena_array(struct arena *arena, size_t count, size_t size) {
  size_t total;

  if (__builtin_mul_overflow(count, size, &total))
    return NULL;
  return arena_alloc(arena, total);
}

char *arena_cstr(struct arena *arena, struct str s) {
  size_t total;

  if (__builtin_add_overflow(s.len, (size_t)1, &total))
    return NULL;
  char *copy = alloc_raw(arena, total);
  if (!copy)
    return NULL;
  if (s.len)
    memcpy(copy, s.ptr, s.len);
  copy[s.len] = '\0';
  return copy;
}

struct str arena_str(struct arena *arena, struct str s) {
  char *copy = arena_cstr(arena, s);
  return (struct str){copy, copy ? s.len : 0};
}

struct str arena_join(struct arena *arena, const struct str *parts, size_t len) {
  size_t total = 1;

  for (size_t i = 0; i < len; i++) {
    if (__builtin_add_overflow(total, parts[i].len, &total))
      return (struct str){NULL, 0};
  }
  char *text = alloc_raw(arena, total), *to = text;
  if (!text)
    return (struct str){NULL, 0};
  for (size_t i = 0; i < len; i++) {
    if (parts[i].len > 0)
      memcpy(to, parts[i].ptr, parts[i].len);
    to += parts[i].len;
  }
  *to = '\0';
  return (struct str){text, total - 1};
}

struct str arena_i64(struct arena *arena, int64_t value) {
  char text[I64_TEXT_BYTES];

  return arena_str(arena, i64_text(value, text));
}

struct str arena_printf(struct arena *arena, const char *fmt, ...) {
  va_list args, again;
  struct str result = {NULL, 0};

  va_start(args, fmt);
  va_copy(again, args);
  char brief[BRIEF_TEXT_BYTES]; // most texts are, and are formatted once
  int len = vsnprintf(brief, sizeof(brief), fmt, args);
  va_end(args);
  char *text = len < 0 ? NULL : alloc_raw(arena, (size_t)len + 1);
  if (text && (size_t)len < sizeof(brief)) {
    memcpy(text, brief, (size_t)len + 1);
    result = (struct str){text, (size_t)len};
  } else if (text && vsnprintf(text, (size_t)len + 1, fmt, again) == len) {
    result.ptr = text;
    result.len = (size_t)len;
  }
  va_end(again);
  return result;
}

int arena_on_free(struct arena *arena, void (*fn)(void *), void *arg) {
  struct cleanup *cleanup = alloc_raw(arena, sizeof(*cleanup));

  if (!cleanup) {
    fn(arg);
    return ERR_NO_MEMORY;
  }
  cleanup->fn = fn;
  cleanup->arg = arg;
  cleanup->next = arena->cleanups;
  arena->cleanups = cleanup;
  return 0;
}

size_t arena_used_bytes(const struct arena *arena) {
  return arena->used_bytes;
}

bool arena_out_of_memory(const struct arena *arena) {
  return arena->out_of_memory;
}
