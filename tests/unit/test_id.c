// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/id.h"

static const int64_t START_US = INT64_C(1787300000123456);

static int64_t time_ms_of(const struct uuid *uuid) {
  int64_t ms = 0;

  for (int i = 0; i < 6; i++)
    ms = ms << 8 | uuid->bytes[i];
  return ms;
}

static void assert_rises(const struct uuid *before, const struct uuid *after) {
  assert_true(memcmp(before->bytes, after->bytes, UUID_BYTES) < 0);
}

static void test_id_is_a_version_7_uuid_of_the_clocks_millisecond(void **state) {
  (void)state;
  struct clock clock;

  clock_init_simulated(&clock, START_US);
  struct id_source *ids = id_source_new(&clock);
  struct uuid id = id_next(ids);
  assert_int_equal(time_ms_of(&id), START_US / US_PER_MS);
  assert_int_equal(id.bytes[6] >> 4, 7);
  assert_int_equal(id.bytes[8] >> 6, 2);
  id_source_free(ids);
  id_source_free(NULL);
}

static void test_ids_rise_within_a_millisecond_and_past_the_counter(void **state) {
  (void)state;
  struct clock clock;

  clock_init_simulated(&clock, START_US);
  struct id_source *ids = id_source_new(&clock);
  struct uuid last = id_next(ids);
  for (int i = 0; i < 10000; i++) { // more than two counters full
    struct uuid id = id_next(ids);
    assert_rises(&last, &id);
    last = id;
  }
  assert_int_equal(time_ms_of(&last), START_US / US_PER_MS + 2);
  id_source_free(ids);
}

static void test_ids_rise_when_the_clock_goes_back(void **state) {
  (void)state;
  struct clock clock;

  clock_init_simulated(&clock, START_US);
  struct id_source *ids = id_source_new(&clock);
  struct uuid first = id_next(ids);
  clock_jump(&clock, -3600 * US_PER_S);
  struct uuid second = id_next(ids);
  assert_rises(&first, &second);
  clock_jump(&clock, 7200 * US_PER_S);
  struct uuid third = id_next(ids);
  assert_rises(&second, &third);
  assert_int_equal(time_ms_of(&third), START_US / US_PER_MS + 3600000);
  id_source_free(ids);
}

static void test_ids_rise_over_a_restart_with_the_clock_set_back(void **state) {
  (void)state;
  struct clock clock;
  struct uuid stored;
  struct uuid not_version_7 = {{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x4F}};

  clock_init_simulated(&clock, START_US);
  assert_true(uuid_read(STR("ffff0000-0000-7fff-bfff-ffffffffffff"), &stored));
  struct id_source *ids = id_source_new(&clock);
  id_source_raise(ids, &not_version_7);
  struct uuid before = id_next(ids);
  assert_int_equal(time_ms_of(&before), START_US / US_PER_MS);
  id_source_raise(ids, &stored);
  struct uuid id = id_next(ids);
  assert_rises(&stored, &id);
  id_source_raise(ids, &before); // an older one lowers nothing
  struct uuid next = id_next(ids);
  assert_rises(&id, &next);
  id_source_free(ids);
}

enum { THREADS = 4, PER_THREAD = 5000 };

struct maker {
  struct id_source *ids;
  struct uuid made[PER_THREAD];
  pthread_t thread;
};

static void *make_ids(void *arg) {
  struct maker *maker = arg;

  for (int i = 0; i < PER_THREAD; i++)
    maker->made[i] = id_next(maker->ids);
  return NULL;
}

static int compare_ids(const void *a, const void *b) {
  return memcmp(a, b, UUID_BYTES);
}

static void test_threads_never_get_the_same_id(void **state) {
  (void)state;
  struct clock clock;
  struct maker *makers = calloc(THREADS, sizeof(*makers));
  struct uuid *all = calloc((size_t)THREADS * PER_THREAD, sizeof(*all));

  clock_init_real(&clock);
  struct id_source *ids = id_source_new(&clock);
  for (int t = 0; t < THREADS; t++) {
    makers[t].ids = ids;
    assert_int_equal(pthread_create(&makers[t].thread, NULL, make_ids, &makers[t]), 0);
  }
  for (int t = 0; t < THREADS; t++) {
    assert_int_equal(pthread_join(makers[t].thread, NULL), 0);
    for (int i = 1; i < PER_THREAD; i++)
      assert_rises(&makers[t].made[i - 1], &makers[t].made[i]);
    memcpy(all + (size_t)t * PER_THREAD, makers[t].made, sizeof(makers[t].made));
  }
  qsort(all, (size_t)THREADS * PER_THREAD, sizeof(*all), compare_ids);
  for (size_t i = 1; i < (size_t)THREADS * PER_THREAD; i++)
    assert_rises(&all[i - 1], &all[i]);
  id_source_free(ids);
  free(all);
  free(makers);
}

static void test_text_reads_back_and_malformed_text_is_refused(void **state) {
  (void)state;
  static const char *const BAD[] = {"",
                                    "0190163d-8694-739b-aea5-966c26f8ad9",
                                    "0190163d-8694-739b-aea5-966c26f8ad911",
                                    "0190163d08694-739b-aea5-966c26f8ad91",
                                    "0190163g-8694-739b-aea5-966c26f8ad91",
                                    "0190163d-8694-739b-aea5-966c26f8ad9-",
                                    "{190163d-8694-739b-aea5-966c26f8ad9}"};
  char text[UUID_TEXT_BYTES];
  struct uuid uuid;

  assert_true(uuid_read(STR("0190163D-8694-739b-AEA5-966c26f8ad91"), &uuid));
  assert_string_equal(uuid_write(&uuid, text), "0190163d-8694-739b-aea5-966c26f8ad91");
  for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
    assert_false(uuid_read(str_of(BAD[i]), &uuid));
}

static void test_random_bytes_fill_all_and_differ(void **state) {
  (void)state;
  static const unsigned char ZEROS[64];
  unsigned char a[64] = {0}, b[64] = {0};

  random_bytes(a, sizeof(a));
  random_bytes(b, sizeof(b));
  assert_memory_not_equal(a, b, sizeof(a));
  assert_memory_not_equal(a + 32, ZEROS, 32);
  random_bytes(a, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_id_is_a_version_7_uuid_of_the_clocks_millisecond),
      cmocka_unit_test(test_ids_rise_within_a_millisecond_and_past_the_counter),
      cmocka_unit_test(test_ids_rise_when_the_clock_goes_back),
      cmocka_unit_test(test_ids_rise_over_a_restart_with_the_clock_set_back),
      cmocka_unit_test(test_threads_never_get_the_same_id),
      cmocka_unit_test(test_text_reads_back_and_malformed_text_is_refused),
      cmocka_unit_test(test_random_bytes_fill_all_and_differ),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
