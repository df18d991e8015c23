// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

static void test_valid_text_is_valid_and_counted(void **state) {
  (void)state;
  assert_true(utf8_valid(STR_EMPTY));
  assert_true(utf8_valid(STR("plain ascii that is longer than eight bytes")));
  assert_true(utf8_valid(STR("12345678\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 tail of text")));
  assert_true(utf8_valid(STR("\xf4\x8f\xbf\xbf")));
  assert_true(utf8_valid(STR("\xed\x9f\xbf\xee\x80\x80"))); // both sides of the surrogates
  assert_true(utf8_valid(STR("a\0b")));
  assert_int_equal(utf8_count(STR("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")), 4);
  assert_int_equal(utf8_count(STR("\xff\xc3z")), 3);
}

static void test_malformed_text_is_refused(void **state) {
  (void)state;
  static const char *const BAD[] = {"\x80",
                                    "\xff",
                                    "\xc0\x80",
                                    "\xc1\xbf",
                                    "\xc3",
                                    "\xe2\x82",
                                    "\xf0\x9f\x98",
                                    "\xe0\x80\x80",
                                    "\xe0\x9f\xbf",
                                    "\xf0\x80\x80\x80",
                                    "\xf0\x8f\xbf\xbf",
                                    "\xed\xa0\x80",
                                    "\xed\xbf\xbf",
                                    "\xf4\x90\x80\x80",
                                    "\xf5\x80\x80\x80",
                                    "\xc3(",
                                    "\xe2(\xac",
                                    "\xe2\x82(",
                                    "long enough to be read in eights \xff",
                                    "12345678\x80"};
  uint32_t code_point;

  for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
    assert_false(utf8_valid(str_of(BAD[i])));
  assert_int_equal(utf8_next(STR_EMPTY, &code_point), 0);
  assert_int_equal(utf8_next(STR("\xed\xa0\x80"), &code_point), 0);
}

static void test_next_decodes_each_length(void **state) {
  (void)state;
  uint32_t code_point = 0;

  assert_int_equal(utf8_next(STR("A"), &code_point), 1);
  assert_int_equal(code_point, 'A');
  assert_int_equal(utf8_next(STR("\xc3\xa4x"), &code_point), 2);
  assert_int_equal(code_point, 0xE4);
  assert_int_equal(utf8_next(STR("\xe2\x82\xac"), &code_point), 3);
  assert_int_equal(code_point, 0x20AC);
  assert_int_equal(utf8_next(STR("\xf0\x9f\x98\x80"), &code_point), 4);
  assert_int_equal(code_point, 0x1F600);
}

static void test_cut_ends_on_a_code_point(void **state) {
  (void)state;
  struct str text = STR("a\xf0\x9f\x98\x80z");

  assert_int_equal(utf8_cut(text, 0).len, 0);
  assert_int_equal(utf8_cut(text, 1).len, 1);
  for (size_t max = 2; max < 5; max++)
    assert_int_equal(utf8_cut(text, max).len, 1);
  assert_int_equal(utf8_cut(text, 5).len, 5);
  assert_int_equal(utf8_cut(text, 99).len, 6);
  assert_int_equal(utf8_cut(STR("\x80\x80\x80\x80\x80\x80"), 5).len, 5); // no boundary to find
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_valid_text_is_valid_and_counted),
      cmocka_unit_test(test_malformed_text_is_refused),
      cmocka_unit_test(test_next_decodes_each_length),
      cmocka_unit_test(test_cut_ends_on_a_code_point),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
