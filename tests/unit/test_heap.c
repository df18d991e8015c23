// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/heap.h"

static uint64_t seed = 1;

static int64_t next_number(int64_t below) {
  seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (int64_t)(seed >> 33) % below;
}

static void test_entries_come_out_by_deadline(void **state) {
  (void)state;
  enum { COUNT = 1000 };
  struct heap_entry entries[COUNT] = {0};
  struct heap heap;
  int64_t last = INT64_MIN;

  heap_init(&heap, COUNT);
  assert_null(heap_top(&heap));
  for (int i = 0; i < COUNT; i++)
    assert_int_equal(heap_set(&heap, &entries[i], next_number(500)), 0);
  for (int i = 0; i < COUNT; i++) {
    struct heap_entry *top = heap_top(&heap);
    assert_true(top->at_us >= last);
    last = top->at_us;
    heap_remove(&heap, top);
    assert_int_equal(top->index, 0);
  }
  assert_null(heap_top(&heap));
  heap_free(&heap);
}

static void test_moves_and_removals_anywhere_keep_the_order(void **state) {
  (void)state;
  enum { COUNT = 64, STEPS = 20000 };
  struct heap_entry entries[COUNT] = {0};
  struct heap heap;

  heap_init(&heap, COUNT);
  for (int step = 0; step < STEPS; step++) {
    struct heap_entry *entry = &entries[next_number(COUNT)];
    if (next_number(3) == 0)
      heap_remove(&heap, entry);
    else
      assert_int_equal(heap_set(&heap, entry, next_number(1000)), 0);

    int64_t earliest = INT64_MAX;
    size_t count = 0;
    for (int i = 0; i < COUNT; i++) {
      if (!entries[i].index)
        continue;
      count++;
      assert_ptr_equal(heap.slots[entries[i].index - 1], &entries[i]);
      earliest = entries[i].at_us < earliest ? entries[i].at_us : earliest;
    }
    assert_int_equal(heap.count, count);
    if (count)
      assert_int_equal(heap_top(&heap)->at_us, earliest);
  }
  heap_free(&heap);
}

static void test_full_heap_refuses_new_entries_but_moves_old_ones(void **state) {
  (void)state;
  struct heap_entry entries[3] = {0};
  struct heap heap;

  heap_init(&heap, 2);
  assert_int_equal(heap_set(&heap, &entries[0], 10), 0);
  assert_int_equal(heap_set(&heap, &entries[1], 20), 0);
  assert_int_equal(heap_set(&heap, &entries[2], 5), ERR_FULL);
  assert_int_equal(entries[2].index, 0);
  heap_remove(&heap, &entries[2]); // not in it: nothing happens
  assert_int_equal(heap_set(&heap, &entries[0], 30), 0);
  assert_ptr_equal(heap_top(&heap), &entries[1]);
  heap_free(&heap);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_entries_come_out_by_deadline),
      cmocka_unit_test(test_moves_and_removals_anywhere_keep_the_order),
      cmocka_unit_test(test_full_heap_refuses_new_entries_but_moves_old_ones),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
