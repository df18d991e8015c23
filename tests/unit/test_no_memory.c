// SPDX-License-Identifier: Apache-2.0
// Each n-th allocation fails in turn. malloc and its kin are replaced for this program; under a sanitizer, which
// replaces them itself, the tests are skipped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/crypto.h"
#include "base/error.h"
#include "base/heap.h"
#include "base/id.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/queue.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

enum { MOST_ALLOCATIONS = 200 };

static _Thread_local int until_failure = -1; // -1: none fails
static _Thread_local bool has_failed;

#ifndef SANITIZED
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static bool fails_now(void) {
  if (until_failure < 0)
    return false;
  if (until_failure-- > 0)
    return false;
  has_failed = true;
  errno = ENOMEM;
  return true;
}

void *malloc(size_t size) {
  return fails_now() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  return fails_now() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  return fails_now() ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size) {
  size_t total;
  return __builtin_mul_overflow(count, size, &total) ? NULL : realloc(old, total);
}
#endif

// Run `fn` with the first, the second ... allocation failing until none does. `fn` gives true when it got through
// and checks itself what must hold when it did not.
static void fail_each_allocation(bool (*fn)(void)) {
#ifdef SANITIZED
  (void)fn;
  (void)MOST_ALLOCATIONS;
  skip();
#else
  int failures = 0;

  for (int n = 0; n < MOST_ALLOCATIONS; n++) {
    has_failed = false;
    until_failure = n;
    bool through = fn();
    until_failure = -1;
    if (!has_failed) {
      assert_true(through);
      assert_true(failures > 0);
      return;
    }
    failures++;
  }
  fail_msg("more than %d allocations", (int)MOST_ALLOCATIONS);
#endif
}

static bool use_arena(void) {
  struct arena *arena = arena_new(1 << 20);
  bool ok = arena != NULL;

  for (int i = 0; ok && i < 50; i++)
    ok = arena_alloc(arena, 200) && arena_alloc(arena, 5000) && arena_str(arena, STR("abc")).ptr;
  if (arena && arena_out_of_memory(arena) == ok)
    abort();
  arena_free(arena);
  return ok;
}

static bool use_buf(void) {
  struct buf buf;

  buf_init(&buf, 1 << 20);
  for (int i = 0; i < 1000; i++)
    buf_printf(&buf, "%d,", 1000 + i);
  bool ok = !buf.failed;
  if (ok != (buf.len == 5000) || buf.len % 5 != 0) // whole appends only
    abort();
  buf_free(&buf);
  return ok;
}

static bool use_map(void) {
  struct map *map = map_new(1000);
  bool ok = map != NULL;

  for (int i = 0; ok && i < 40; i++) {
    int result = map_put(map, MAP_KEY(i), &until_failure);
    ok = result == 0;
    if ((map_get(map, MAP_KEY(i)) != NULL) != ok || (!ok && result != ERR_NO_MEMORY))
      abort();
  }
  map_free(map);
  return ok && !has_failed;
}

static bool use_heap(void) {
  struct heap_entry entries[200] = {0};
  struct heap heap;
  bool ok = true;

  heap_init(&heap, 200);
  for (size_t i = 0; ok && i < 200; i++) {
    ok = heap_set(&heap, &entries[i], (int64_t)(200 - i)) == 0;
    if (!ok && entries[i].index != 0)
      abort();
  }
  if (heap.count && heap_top(&heap)->at_us != (int64_t)(201 - heap.count))
    abort();
  heap_free(&heap);
  return ok;
}

static bool use_makers(void) {
  struct clock clock;
  clock_init_simulated(&clock, 0);
  struct queue *queue = queue_new(10);
  struct id_source *ids = id_source_new(&clock);
  struct metrics *metrics = metrics_new(10);
  bool ok = queue && ids && metrics;

  if (metrics) {
    struct metric *metric = metrics_counter(metrics, "a_total", "", "A.");
    metric_add(metric, 1);
    ok = ok && metric;
  }
  queue_free(queue);
  id_source_free(ids);
  metrics_free(metrics);
  return ok;
}

static bool use_seal(void) {
  static const uint8_t KEY[SEAL_KEY_BYTES] = {1};
  struct arena *arena = arena_new(1 << 16);
  struct str sealed = arena ? crypto_seal(KEY, STR("c"), STR("secret"), arena) : (struct str){NULL, 0};

  arena_free(arena);
  return sealed.ptr != NULL;
}

static void test_arena_answers_null(void **state) {
  (void)state;
  fail_each_allocation(use_arena);
}

static void test_buf_fails_with_whole_appends(void **state) {
  (void)state;
  fail_each_allocation(use_buf);
}

static void test_map_keeps_what_it_has(void **state) {
  (void)state;
  fail_each_allocation(use_map);
}

static void test_heap_keeps_its_order(void **state) {
  (void)state;
  fail_each_allocation(use_heap);
}

static void test_makers_answer_null_and_leak_nothing(void **state) {
  (void)state;
  fail_each_allocation(use_makers);
}

static void test_seal_answers_null(void **state) {
  (void)state;
  fail_each_allocation(use_seal);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_arena_answers_null),
      cmocka_unit_test(test_buf_fails_with_whole_appends),
      cmocka_unit_test(test_map_keeps_what_it_has),
      cmocka_unit_test(test_heap_keeps_its_order),
      cmocka_unit_test(test_makers_answer_null_and_leak_nothing),
      cmocka_unit_test(test_seal_answers_null),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
