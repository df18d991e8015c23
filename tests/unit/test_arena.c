// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/error.h"

static void test_memory_is_zeroed_and_aligned(void **state) {
  (void)state;
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(1 << 20);

  for (size_t size = 0; size < 3000; size += 7) {
    unsigned char *bytes = arena_alloc(arena, size);
    assert_non_null(bytes);
    assert_int_equal((uintptr_t)bytes % _Alignof(max_align_t), 0);
    for (size_t i = 0; i < size; i++)
      assert_int_equal(bytes[i], 0);
    memset(bytes, 0xAA, size); // the next one must not see it
  }
}

static void test_cap_refuses_and_what_was_given_stays(void **state) {
  (void)state;
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(256);
  struct str kept = arena_str(arena, STR("kept"));

  assert_non_null(arena_alloc(arena, 200));
  assert_null(arena_alloc(arena, 64));
  assert_null(arena_str(arena, (struct str){"", SIZE_MAX}).ptr);
  assert_true(arena_used_bytes(arena) <= 256);
  assert_string_equal(kept.ptr, "kept");
  assert_non_null(arena_alloc(arena, 16)); // what still fits is given
}

static void test_whole_cap_can_be_used(void **state) {
  (void)state;
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(100 * 1024);

  assert_non_null(arena_alloc(arena, 100 * 1024));
  assert_null(arena_alloc(arena, 1));
}

static void test_overflowing_sizes_are_refused(void **state) {
  (void)state;
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(SIZE_MAX);

  assert_null(arena_array(arena, SIZE_MAX / 2, 3));
  assert_null(arena_alloc(arena, SIZE_MAX));
  assert_null(arena_alloc(arena, SIZE_MAX - 20));
  assert_non_null(arena_array(arena, 3, 5));
}

static void test_blocks_do_not_overlap(void **state) {
  (void)state;
  enum { COUNT = 300 };
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(1 << 24);
  unsigned char *parts[COUNT];
  size_t sizes[COUNT];

  for (size_t i = 0; i < COUNT; i++) {
    sizes[i] = i % 10 == 0 ? 20000 : 1 + i * 3;
    parts[i] = arena_alloc(arena, sizes[i]);
    assert_non_null(parts[i]);
    memset(parts[i], (int)(i & 0xFF), sizes[i]);
  }
  for (size_t i = 0; i < COUNT; i++) {
    assert_int_equal(parts[i][0], i & 0xFF);
    assert_int_equal(parts[i][sizes[i] - 1], i & 0xFF);
  }
}

static void test_copies_end_with_nul_and_keep_inner_nuls(void **state) {
  (void)state;
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(4096);
  struct str copy = arena_str(arena, STR("a\0b"));

  assert_int_equal(copy.len, 3);
  assert_memory_equal(copy.ptr, "a\0b", 4);
  assert_string_equal(arena_cstr(arena, STR_EMPTY), "");
  assert_string_equal(arena_printf(arena, "%s-%d", "x", 42).ptr, "x-42");
  assert_int_equal(arena_printf(arena, "%s", "").len, 0);
  assert_null(arena_printf(arena, "%5000d", 1).ptr);
}

struct order {
  char text[8];
  size_t len;
};

static struct order order;

static void note(void *arg) {
  order.text[order.len++] = *(const char *)arg;
}

static void test_destructors_run_last_in_first_out(void **state) {
  (void)state;
  static char names[] = "abc";
  struct arena *arena = arena_new(4096);

  memset(&order, 0, sizeof(order));
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(arena_on_free(arena, note, &names[i]), 0);
  assert_int_equal(order.len, 0);
  arena_free(arena);
  assert_string_equal(order.text, "cba");
  arena_free(NULL);
}

static void test_destructor_without_room_runs_at_once(void **state) {
  (void)state;
  static char name = 'x';
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(0);

  memset(&order, 0, sizeof(order));
  assert_int_equal(arena_on_free(arena, note, &name), ERR_NO_MEMORY);
  assert_string_equal(order.text, "x");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_memory_is_zeroed_and_aligned),
      cmocka_unit_test(test_cap_refuses_and_what_was_given_stays),
      cmocka_unit_test(test_whole_cap_can_be_used),
      cmocka_unit_test(test_overflowing_sizes_are_refused),
      cmocka_unit_test(test_blocks_do_not_overlap),
      cmocka_unit_test(test_copies_end_with_nul_and_keep_inner_nuls),
      cmocka_unit_test(test_destructors_run_last_in_first_out),
      cmocka_unit_test(test_destructor_without_room_runs_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
