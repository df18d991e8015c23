// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/str.h"
#include "base/utf8.h"

static void test_set_returns_the_code_and_keeps_the_words(void **state) {
  (void)state;
  struct error err;

  assert_int_equal(error_set(&err, ERR_NOT_FOUND, "no policy %d", 7), ERR_NOT_FOUND);
  assert_int_equal(err.code, ERR_NOT_FOUND);
  assert_string_equal(err.text, "no policy 7");
  assert_int_equal(error_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
}

static void test_context_comes_before_the_words(void **state) {
  (void)state;
  struct error err;

  (void)error_set(&err, ERR_IO, "disk full");
  assert_int_equal(error_context(&err, "save event %d", 3), ERR_IO);
  assert_string_equal(err.text, "save event 3: disk full");
  assert_int_equal(error_context(NULL, "x"), ERR_INTERNAL);
  (void)error_set(&err, ERR_FULL, "again: %s", err.text); // an argument may be the old words
  assert_string_equal(err.text, "again: save event 3: disk full");
}

static void test_long_words_are_cut_on_a_code_point(void **state) {
  (void)state;
  char words[2000];
  struct error err;

  for (size_t shift = 0; shift < 3; shift++) {
    memset(words, 'x', shift);
    for (size_t i = shift; i + 3 < sizeof(words); i += 3)
      memcpy(words + i, "\xe2\x82\xac", 4);
    (void)error_set(&err, ERR_INVALID, "%s", words);
    assert_true(strlen(err.text) > ERROR_TEXT_BYTES - 4);
    assert_true(utf8_valid(str_of(err.text)));
    assert_null(strchr(err.text, '?'));
    (void)error_context(&err, "%s", words);
    assert_true(strlen(err.text) < ERROR_TEXT_BYTES);
    assert_true(utf8_valid(str_of(err.text)));
  }
}

static void test_words_are_always_utf8(void **state) {
  (void)state;
  struct error err;

  (void)error_set(&err, ERR_INVALID, "name \xff\xc3 \xe2\x82\xac");
  assert_string_equal(err.text, "name ?? \xe2\x82\xac");
}

static void test_every_code_has_its_row(void **state) {
  (void)state;
  for (int code = ERR_HEADER_TOO_LARGE; code <= ERR_OK; code++) {
    assert_true(error_http_status((enum errcode)code) >= 200);
    assert_non_null(error_harbor_code((enum errcode)code));
    assert_true(strlen(error_name((enum errcode)code)) > 0);
    for (int other = ERR_HEADER_TOO_LARGE; other < code; other++)
      assert_string_not_equal(error_name((enum errcode)code), error_name((enum errcode)other));
  }
  assert_int_equal(error_http_status(ERR_NOT_FOUND), 404);
  assert_string_equal(error_harbor_code(ERR_PRECONDITION), "PRECONDITION");
  assert_int_equal(error_http_status(ERR_HEADER_TOO_LARGE), 431);
  assert_int_equal(error_exit_code(ERR_CONFIG), 2);
  assert_int_equal(error_exit_code(ERR_IO), 1);
  assert_int_equal(error_exit_code(ERR_OK), 0);
  assert_int_equal(error_http_status((enum errcode) - 999), 500);
  assert_int_equal(error_http_status((enum errcode)5), 500);
}

static void test_errno_has_words_even_when_unknown(void **state) {
  (void)state;
  char buf[128];

  assert_string_equal(error_errno(ENOENT, buf), "No such file or directory");
  assert_string_equal(error_errno(99999, buf), "error number 99999");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_set_returns_the_code_and_keeps_the_words),
      cmocka_unit_test(test_context_comes_before_the_words),
      cmocka_unit_test(test_long_words_are_cut_on_a_code_point),
      cmocka_unit_test(test_words_are_always_utf8),
      cmocka_unit_test(test_every_code_has_its_row),
      cmocka_unit_test(test_errno_has_words_even_when_unknown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
