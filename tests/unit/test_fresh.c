// SPDX-License-Identifier: Apache-2.0
// New events between their commit and their first try: bounded, handed over once, never another's memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dispatch/fresh.h"

enum { ENTRIES = 4, ARENA_BYTES = 1024 * 1024 };

struct world {
  struct fresh_pool pool;
  char name[64];
  struct event event;
};

static int setup(void **state) {
  struct world *world = calloc(1, sizeof(*world));
  struct error err;

  assert_non_null(world);
  assert_int_equal(fresh_init(&world->pool, ENTRIES, ARENA_BYTES, &err), 0);
  memcpy(world->name, "web/api", 8);
  world->event = (struct event){.type = EVENT_PUSH_ARTIFACT, .seq = 7};
  world->event.repository.name = str_of(world->name);
  *state = world;
  return 0;
}

static int teardown(void **state) {
  struct world *world = *state;

  fresh_free(&world->pool);
  assert_int_equal(atomic_load(&world->pool.made), 0);
  free(world);
  return 0;
}

static struct fresh *make(struct world *world, int64_t delivery_id) {
  struct delivery_notice notice = {.delivery_id = delivery_id, .target_id = 1, .event = &world->event};

  return fresh_make(&world->pool, &notice);
}

static void keep(struct world *world, int64_t delivery_id) {
  struct fresh *fresh = make(world, delivery_id);

  assert_non_null(fresh);
  fresh_keep(&world->pool, fresh);
}

static void test_an_event_is_handed_over_once(void **state) {
  struct world *world = *state;
  const struct event *event = NULL;

  keep(world, 10);
  memset(world->name, 'x', sizeof(world->name)); // the writer's memory is another's by now
  struct arena *arena = fresh_take(&world->pool, 10, &event);
  assert_non_null(arena);
  assert_true(str_eq_c(event->repository.name, "web/api"));
  assert_int_equal(event->seq, 7);
  assert_null(fresh_take(&world->pool, 10, &event));
  arena_free(arena);
}

static void test_the_oldest_goes_when_there_are_too_many(void **state) {
  struct world *world = *state;
  const struct event *event;

  for (int64_t id = 1; id <= ENTRIES + 1; id++)
    keep(world, id);
  assert_null(fresh_take(&world->pool, 1, &event));
  for (int64_t id = 2; id <= ENTRIES + 1; id++)
    arena_free(fresh_take(&world->pool, id, &event));
}

static void test_no_more_are_made_than_the_loop_may_have_to_take(void **state) {
  struct world *world = *state;
  struct fresh *made[2 * ENTRIES];

  for (int64_t i = 0; i < 2 * ENTRIES; i++) {
    made[i] = make(world, i + 1);
    assert_non_null(made[i]);
  }
  assert_null(make(world, 100));
  fresh_drop(&world->pool, made[0]);
  made[0] = make(world, 100);
  assert_non_null(made[0]);
  for (size_t i = 0; i < 2 * ENTRIES; i++)
    fresh_drop(&world->pool, made[i]);
}

static void test_what_is_large_or_has_data_of_its_own_is_read_from_the_store(void **state) {
  static char large[FRESH_MAX_BYTES];
  struct world *world = *state;

  memset(large, 'l', sizeof(large));
  world->event.repository.name = (struct str){large, sizeof(large)};
  assert_null(make(world, 1));
  world->event.repository.name = STR_EMPTY;
  world->event.type = EVENT_SCANNING_COMPLETED;
  assert_null(make(world, 1));
  const struct delivery_notice promoted = {.delivery_id = 1, .target_id = 1};
  assert_null(fresh_make(&world->pool, &promoted));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_an_event_is_handed_over_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_the_oldest_goes_when_there_are_too_many, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_more_are_made_than_the_loop_may_have_to_take, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what_is_large_or_has_data_of_its_own_is_read_from_the_store, setup,
                                      teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
