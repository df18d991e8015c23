// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
  int number;
  struct list_node node;
};

static int number_of(struct list_node *node) {
  return CONTAINER_OF(node, struct item, node)->number;
}

static void test_order_is_kept_at_both_ends(void **state) {
  (void)state;
  struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
  struct list list;

  list_init(&list);
  assert_true(list_empty(&list));
  assert_null(list_first(&list));
  assert_null(list_pop_front(&list));
  list_push_back(&list, &items[1].node);
  list_push_back(&list, &items[2].node);
  list_push_front(&list, &items[0].node);
  assert_int_equal(list.count, 3);
  for (int i = 0; i < 3; i++)
    assert_int_equal(number_of(list_pop_front(&list)), i);
  assert_true(list_empty(&list));
  assert_int_equal(list.count, 0);
}

static void test_node_knows_whether_it_is_in_a_list(void **state) {
  (void)state;
  struct item item = {0};
  struct list list;

  list_init(&list);
  assert_false(list_linked(&item.node));
  list_push_back(&list, &item.node);
  assert_true(list_linked(&item.node));
  list_remove(&list, &item.node);
  assert_false(list_linked(&item.node));
}

static void test_walk_survives_removal_of_the_current_node(void **state) {
  (void)state;
  struct item items[5] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
  struct list list;
  int seen = 0;

  list_init(&list);
  for (int i = 0; i < 5; i++)
    list_push_back(&list, &items[i].node);
  LIST_EACH (&list, node, following) {
    assert_int_equal(number_of(node), seen++);
    if (number_of(node) % 2 == 0)
      list_remove(&list, node);
  }
  assert_int_equal(seen, 5);
  assert_int_equal(list.count, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order_is_kept_at_both_ends),
      cmocka_unit_test(test_node_knows_whether_it_is_in_a_list),
      cmocka_unit_test(test_walk_survives_removal_of_the_current_node),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
