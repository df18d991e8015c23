// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void test_appends_grow_up_to_the_maximum_and_not_beyond(void **state) {
  (void)state;
  struct buf buf;

  buf_init(&buf, 1000);
  for (int i = 0; i < 1000; i++)
    buf_put_char(&buf, 'x');
  assert_false(buf.failed);
  assert_int_equal(buf.len, 1000);
  assert_true(buf.cap <= 1000);
  buf_put_char(&buf, 'y');
  assert_true(buf.failed);
  assert_int_equal(buf.len, 1000);
  buf_free(&buf);
}

static void test_failed_buffer_takes_nothing_more_until_cleared(void **state) {
  (void)state;
  struct buf buf;

  buf_init(&buf, 4);
  buf_put(&buf, STR("abcde"));
  assert_true(buf.failed);
  buf_put(&buf, STR("ab")); // would fit, but what came before is missing
  assert_int_equal(buf.len, 0);
  assert_null(buf_reserve(&buf, 1));
  buf_clear(&buf);
  buf_put(&buf, STR("abcd"));
  assert_false(buf.failed);
  assert_true(str_eq_c(buf_str(&buf), "abcd"));
  buf_free(&buf);
  assert_int_equal(buf.max_bytes, 4);
  assert_int_equal(buf_str(&buf).len, 0);
}

static void test_printf_fills_the_very_last_byte(void **state) {
  (void)state;
  struct buf buf;

  buf_init(&buf, 5);
  buf_printf(&buf, "%s", "12345");
  assert_false(buf.failed);
  assert_true(str_eq_c(buf_str(&buf), "12345"));
  buf_printf(&buf, "%s", "");
  assert_false(buf.failed);
  buf_printf(&buf, "%d", 6);
  assert_true(buf.failed);
  buf_free(&buf);
}

static void test_reserve_refuses_overflow(void **state) {
  (void)state;
  struct buf buf;

  buf_init(&buf, SIZE_MAX / 4);
  buf_put_c(&buf, "abc");
  assert_null(buf_reserve(&buf, SIZE_MAX));
  assert_true(buf.failed);
  assert_true(str_eq_c(buf_str(&buf), "abc"));
  buf_free(&buf);
}

static void test_reserve_and_added_append_in_place(void **state) {
  (void)state;
  struct buf buf;

  buf_init(&buf, 100);
  char *to = buf_reserve(&buf, 3);
  assert_non_null(to);
  memcpy(to, "abc", 3);
  buf_added(&buf, 2);
  assert_true(str_eq_c(buf_str(&buf), "ab"));
  buf_added(&buf, 1000); // more than there is room for is never believed
  assert_true(buf.failed);
  assert_int_equal(buf.len, 2);
  buf_free(&buf);
}

static void test_consume_drops_the_front(void **state) {
  (void)state;
  struct buf buf;

  buf_init(&buf, 100);
  buf_put_c(&buf, "abcdef");
  buf_consume(&buf, 2);
  assert_true(str_eq_c(buf_str(&buf), "cdef"));
  buf_consume(&buf, 0);
  buf_consume(&buf, 99);
  assert_int_equal(buf.len, 0);
  buf_free(&buf);
}

static void assert_number(const char *expected, double value) {
  struct buf buf;

  buf_init(&buf, 100);
  buf_put_double(&buf, value);
  buf_put_char(&buf, '\0');
  assert_string_equal(buf.ptr, expected);
  buf_free(&buf);
}

static void test_integers_are_written_exactly(void **state) {
  (void)state;
  struct buf buf;

  buf_init(&buf, 100);
  buf_put_i64(&buf, INT64_MIN);
  buf_put_char(&buf, ' ');
  buf_put_i64(&buf, INT64_MAX);
  buf_put_char(&buf, ' ');
  buf_put_i64(&buf, 0);
  assert_true(str_eq_c(buf_str(&buf), "-9223372036854775808 9223372036854775807 0"));
  buf_free(&buf);
}

static void test_doubles_are_written_in_the_shortest_form_as_go_does(void **state) {
  (void)state;
  assert_number("0.1", 0.1);
  assert_number("1", 1.0);
  assert_number("-1.5", -1.5);
  assert_number("100", 100.0);
  assert_number("0.005", 0.005);
  assert_number("0.000001", 1e-6);
  assert_number("1e-7", 1e-7);
  assert_number("1.25e-9", 1.25e-9);
  assert_number("123456789012345680000", 1.2345678901234568e20);
  assert_number("1e+21", 1e21);
  assert_number("1.7976931348623157e+308", 1.7976931348623157e308);
  assert_number("5e-324", 5e-324);
  assert_number("0.30000000000000004", 0.1 + 0.2);
  assert_number("-0", -0.0);
  assert_number("3.141592653589793", 3.141592653589793);
  assert_number("+Inf", (double)INFINITY);
  assert_number("NaN", (double)NAN);
}

static void test_doubles_read_back_as_themselves(void **state) {
  (void)state;
  uint64_t seed = 42;

  for (int i = 0; i < 2000; i++) {
    double value;
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    memcpy(&value, &seed, sizeof(value));
    if (!isfinite(value))
      continue;
    struct buf buf;
    buf_init(&buf, 400);
    buf_put_double(&buf, value);
    buf_put_char(&buf, '\0');
    assert_true(strtod(buf.ptr, NULL) == value);
    buf_free(&buf);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_appends_grow_up_to_the_maximum_and_not_beyond),
      cmocka_unit_test(test_failed_buffer_takes_nothing_more_until_cleared),
      cmocka_unit_test(test_printf_fills_the_very_last_byte),
      cmocka_unit_test(test_reserve_refuses_overflow),
      cmocka_unit_test(test_reserve_and_added_append_in_place),
      cmocka_unit_test(test_consume_drops_the_front),
      cmocka_unit_test(test_integers_are_written_exactly),
      cmocka_unit_test(test_doubles_are_written_in_the_shortest_form_as_go_does),
      cmocka_unit_test(test_doubles_read_back_as_themselves),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
