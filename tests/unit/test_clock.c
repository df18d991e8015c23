// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

static void test_simulated_clock_moves_only_when_told(void **state) {
  (void)state;
  struct clock clock;

  clock_init_simulated(&clock, 1000);
  int64_t mono = clock_mono_us(&clock);
  assert_int_equal(clock_wall_us(&clock), 1000);
  assert_int_equal(clock_mono_us(&clock), mono);
  clock_advance(&clock, 3 * 24 * 3600 * US_PER_S);
  assert_int_equal(clock_wall_us(&clock), 1000 + INT64_C(259200000000));
  assert_int_equal(clock_mono_us(&clock), mono + INT64_C(259200000000));
}

static void test_jump_moves_the_wall_clock_alone(void **state) {
  (void)state;
  struct clock clock;

  clock_init_simulated(&clock, US_PER_S);
  int64_t mono = clock_mono_us(&clock);
  clock_jump(&clock, -5 * US_PER_S);
  assert_int_equal(clock_wall_us(&clock), -4 * US_PER_S);
  assert_int_equal(clock_mono_us(&clock), mono);
}

static void test_real_clock_reads_the_system(void **state) {
  (void)state;
  struct clock clock;

  clock_init_real(&clock);
  int64_t before = clock_mono_us(&clock);
  assert_true(clock_mono_us(&clock) >= before);
  assert_true(clock_wall_us(&clock) > INT64_C(1500000000) * US_PER_S); // in microseconds, after 2017
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_simulated_clock_moves_only_when_told),
      cmocka_unit_test(test_jump_moves_the_wall_clock_alone),
      cmocka_unit_test(test_real_clock_reads_the_system),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
