// SPDX-License-Identifier: Apache-2.0
// How often one may ask: per user and per project, with a wait that is true.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/rate_limit.h"
#include "base/clock.h"

static void test_a_minutes_worth_at_once_then_one_after_the_other(void **state) {
  struct rate_limit *limit = rate_limit_new(30, NULL);
  int64_t now_us = INT64_C(5000000);

  (void)state;
  for (int i = 0; i < 30; i++)
    assert_int_equal(rate_limit_ask(limit, 1, 1, now_us), 0);
  assert_int_equal(rate_limit_ask(limit, 1, 1, now_us), 2);
  assert_int_equal(rate_limit_ask(limit, 1, 1, now_us + US_PER_S), 1);
  assert_int_equal(rate_limit_ask(limit, 1, 1, now_us + 2 * US_PER_S), 0);
  assert_int_equal(rate_limit_ask(limit, 1, 1, now_us + 2 * US_PER_S), 2);
  now_us += 120 * US_PER_S; // clean again, and no more than a minute's worth has gathered
  for (int i = 0; i < 30; i++)
    assert_int_equal(rate_limit_ask(limit, 1, 1, now_us), 0);
  assert_int_equal(rate_limit_ask(limit, 1, 1, now_us), 2);
  rate_limit_free(limit);
}

static void test_user_and_project_count_each_for_themselves(void **state) {
  struct rate_limit *limit = rate_limit_new(2, NULL);

  (void)state;
  assert_int_equal(rate_limit_ask(limit, 1, 10, 0), 0);
  assert_int_equal(rate_limit_ask(limit, 1, 11, 0), 0);
  assert_int_equal(rate_limit_ask(limit, 1, 12, 0), 30); // the user, in whichever project
  assert_int_equal(rate_limit_ask(limit, 2, 10, 0), 0);
  assert_int_equal(rate_limit_ask(limit, 3, 10, 0), 30); // the project, by whomever
  assert_int_equal(rate_limit_ask(limit, 3, 12, 0), 0);  // a refusal has counted for nobody
  rate_limit_free(limit);
}

static void test_a_full_table_forgets_and_stays_a_table(void **state) {
  struct rate_limit *limit = rate_limit_new(1, NULL);

  (void)state;
  for (int64_t id = 1; id <= 4 * RATE_LIMIT_MAX_TRACKED; id++)
    assert_int_equal(rate_limit_ask(limit, id, id, id), 0);
  int64_t last = 4 * RATE_LIMIT_MAX_TRACKED;
  assert_int_equal(rate_limit_ask(limit, last, last, last), 60);
  rate_limit_free(limit);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_minutes_worth_at_once_then_one_after_the_other),
      cmocka_unit_test(test_user_and_project_count_each_for_themselves),
      cmocka_unit_test(test_a_full_table_forgets_and_stays_a_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
