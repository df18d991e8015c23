// SPDX-License-Identifier: Apache-2.0
// An arena owns every byte of one request, one delivery or one message, with destructors linked to it, and is
// freed as a whole. It belongs to one thread at a time; ownership may move with a message. Every arena has a cap.
#ifndef HARBINGER_BASE_ARENA_H
#define HARBINGER_BASE_ARENA_H

#include <stdarg.h>

#include "base/str.h"

struct arena;

// `max_bytes`: the cap on all allocations together. NULL when memory is out.
struct arena *arena_new(size_t max_bytes) MUST_CHECK;
void arena_free(struct arena *arena);     // NULL is fine; destructors run last-in first-out
void arena_cleanup(struct arena **arena); // for CLEANUP(arena_cleanup)

// Zeroed memory aligned for any object, or NULL when memory is out or the cap is reached.
void *arena_alloc(struct arena *arena, size_t size) MUST_CHECK;
#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
// `count` zeroed objects; NULL on overflow, cap or no memory.
void *arena_array(struct arena *arena, size_t count, size_t size) MUST_CHECK;

// Copies, always followed by a NUL byte so that .ptr is also a C string. `.ptr == NULL` when memory is out.
struct str arena_str(struct arena *arena, struct str s) MUST_CHECK;
char *arena_cstr(struct arena *arena, struct str s) MUST_CHECK;
// The parts one after the other, and a number in digits: what arena_printf does in a tenth of its time.
struct str arena_join(struct arena *arena, const struct str *parts, size_t len) MUST_CHECK;
#define ARENA_JOIN(arena, ...) \
  arena_join(arena, (const struct str[]){__VA_ARGS__}, sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))
struct str arena_i64(struct arena *arena, int64_t value) MUST_CHECK;
struct str arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;

// Run fn(arg) when the arena is freed. Returns 0 or ERR_NO_MEMORY (then fn has been run already).
int arena_on_free(struct arena *arena, void (*fn)(void *), void *arg) MUST_CHECK;

size_t arena_used_bytes(const struct arena *arena);

// Did it ever refuse for lack of memory, not because of its cap? What was made of it may have holes then: whoever reads
// input from outside into an arena asks before it calls the input wrong, and before it stores or sends what it made.
bool arena_out_of_memory(const struct arena *arena);

#endif
