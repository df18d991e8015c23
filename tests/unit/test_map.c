// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/map.h"

enum { MANY = 5000 };

static int values[MANY];

static struct str key_of(int number, char buf[static 16]) {
  int len = snprintf(buf, 16, "key-%d", number);
  return (struct str){buf, (size_t)len};
}

static void test_put_get_replace_and_remove(void **state) {
  (void)state;
  struct map *map = map_new(10);
  int a, b;

  assert_null(map_get(map, STR("x")));
  assert_null(map_remove(map, STR("x")));
  assert_int_equal(map_put(map, STR("x"), &a), 0);
  assert_int_equal(map_put(map, STR("x"), &b), 0);
  assert_int_equal(map_count(map), 1);
  assert_ptr_equal(map_get(map, STR("x")), &b);
  assert_null(map_get(map, STR("X")));
  assert_int_equal(map_put(map, STR_EMPTY, &a), 0);
  assert_int_equal(map_put(map, STR("x\0y"), &a), 0); // bytes, not C strings
  assert_ptr_equal(map_get(map, STR_EMPTY), &a);
  assert_ptr_equal(map_remove(map, STR("x")), &b);
  assert_ptr_equal(map_get(map, STR("x\0y")), &a);
  assert_int_equal(map_count(map), 2);
  map_free(map);
  map_free(NULL);
}

static void test_keys_are_copied(void **state) {
  (void)state;
  struct map *map = map_new(10);
  char key[] = "key";
  int64_t number = 42;

  assert_int_equal(map_put(map, str_of(key), key), 0);
  assert_int_equal(map_put(map, MAP_KEY(number), &number), 0);
  key[0] = 'X';
  assert_ptr_equal(map_get(map, STR("key")), key);
  int64_t same = 42;
  assert_ptr_equal(map_get(map, MAP_KEY(same)), &number);
  map_free(map);
}

static void test_full_map_refuses_new_keys_but_replaces(void **state) {
  (void)state;
  struct map *map = map_new(2);
  int a;

  assert_int_equal(map_put(map, STR("a"), &a), 0);
  assert_int_equal(map_put(map, STR("b"), &a), 0);
  assert_int_equal(map_put(map, STR("c"), &a), ERR_FULL);
  assert_int_equal(map_put(map, STR("b"), &values[1]), 0);
  assert_ptr_equal(map_remove(map, STR("a")), &a);
  assert_int_equal(map_put(map, STR("c"), &a), 0);
  map_free(map);
}

static void test_deletions_in_any_order_lose_no_other_key(void **state) {
  (void)state;
  struct map *map = map_new(MANY);
  char buf[16];

  for (int i = 0; i < MANY; i++)
    assert_int_equal(map_put(map, key_of(i, buf), &values[i]), 0);
  // 7 and MANY have no common divisor: every key once, in an order of its own.
  for (int step = 0; step < MANY; step++) {
    int gone = (int)((step * 7L) % MANY);
    assert_ptr_equal(map_remove(map, key_of(gone, buf)), &values[gone]);
    assert_null(map_get(map, key_of(gone, buf)));
    int left = (int)(((step + 1) * 7L) % MANY);
    if (step + 1 < MANY)
      assert_ptr_equal(map_get(map, key_of(left, buf)), &values[left]);
  }
  assert_int_equal(map_count(map), 0);
  map_free(map);
}

static void test_churn_of_one_slot_stays_right(void **state) {
  (void)state;
  struct map *map = map_new(4);
  char buf[16];

  assert_int_equal(map_put(map, STR("stays"), &values[0]), 0);
  for (int i = 0; i < 20000; i++) {
    assert_int_equal(map_put(map, key_of(i, buf), &values[1]), 0);
    assert_ptr_equal(map_remove(map, key_of(i, buf)), &values[1]);
  }
  assert_ptr_equal(map_get(map, STR("stays")), &values[0]);
  assert_int_equal(map_count(map), 1);
  map_free(map);
}

static void test_walk_visits_all_once_while_current_ones_are_removed(void **state) {
  (void)state;
  struct map *map = map_new(MANY);
  bool seen[MANY] = {false};
  char buf[16];
  size_t cursor = 0;
  struct str key;
  void *value;
  int count = 0;

  assert_false(map_next(map, &cursor, &key, &value));
  cursor = 0;
  for (int i = 0; i < MANY; i++)
    assert_int_equal(map_put(map, key_of(i, buf), &values[i]), 0);
  while (map_next(map, &cursor, &key, &value)) {
    ptrdiff_t number = (int *)value - values;
    assert_false(seen[number]);
    seen[number] = true;
    count++;
    if (number % 3 != 0)
      assert_ptr_equal(map_remove(map, key), value);
  }
  assert_false(map_next(map, &cursor, &key, &value));
  assert_int_equal(count, MANY);
  assert_int_equal(map_count(map), (MANY + 2) / 3);
  map_free(map);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_put_get_replace_and_remove),
      cmocka_unit_test(test_keys_are_copied),
      cmocka_unit_test(test_full_map_refuses_new_keys_but_replaces),
      cmocka_unit_test(test_deletions_in_any_order_lose_no_other_key),
      cmocka_unit_test(test_churn_of_one_slot_stays_right),
      cmocka_unit_test(test_walk_visits_all_once_while_current_ones_are_removed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
