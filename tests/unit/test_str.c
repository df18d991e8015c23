// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static void test_equality_knows_case_length_and_empty_views(void **state) {
  (void)state;
  struct str none = {NULL, 0};

  assert_true(str_eq(none, STR_EMPTY));
  assert_true(str_eq_c(STR("abc"), "abc"));
  assert_false(str_eq_c(STR("abc"), "abd"));
  assert_false(str_eq_c(STR("abc"), "ab"));
  assert_true(str_ieq_c(STR("Content-TYPE"), "content-type"));
  assert_false(str_ieq_c(STR("\xc3\x84"), "\xc3\xa4")); // ASCII only
  assert_false(str_ieq_c(STR("@"), "`"));               // neighbours of the letters do not fold
  assert_int_equal(str_of(NULL).len, 0);
}

static void test_order_is_bytewise_and_unsigned(void **state) {
  (void)state;
  assert_true(str_cmp(STR("a"), STR("b")) < 0);
  assert_true(str_cmp(STR("ab"), STR("a")) > 0);
  assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
  assert_int_equal(str_cmp(STR("a"), STR("a")), 0);
  assert_int_equal(str_cmp(STR_EMPTY, STR_EMPTY), 0);
}

static void test_prefix_suffix_and_parts_are_found(void **state) {
  (void)state;
  assert_true(str_starts_c(STR("sha256:ab"), "sha256:"));
  assert_false(str_starts_c(STR("sha"), "sha256:"));
  assert_true(str_ends(STR("a.tar"), STR(".tar")));
  assert_false(str_ends(STR("tar"), STR(".tar")));
  assert_true(str_contains(STR("abcd"), STR("bc")));
  assert_true(str_contains(STR("abcd"), STR_EMPTY));
  assert_false(str_contains(STR("ab"), STR("abc")));
  assert_true(str_icontains(STR("Keep-Alive, CLOSE"), STR("close")));
  assert_false(str_icontains(STR("clos"), STR("close")));
  assert_true(str_icontains(STR_EMPTY, STR_EMPTY));
  assert_int_equal(str_find(STR("a/b/c"), '/'), 1);
  assert_int_equal(str_rfind(STR("a/b/c"), '/'), 3);
  assert_int_equal(str_find(STR_EMPTY, '/'), -1);
  assert_int_equal(str_rfind(STR("abc"), '/'), -1);
}

static void test_slices_stay_inside(void **state) {
  (void)state;
  assert_true(str_eq_c(str_from(STR("abc"), 1), "bc"));
  assert_int_equal(str_from(STR("abc"), 4).len, 0);
  assert_true(str_eq_c(str_slice(STR("abc"), 1, 99), "bc"));
  assert_int_equal(str_slice(STR("abc"), 2, 1).len, 0);
  assert_true(str_eq_c(str_trim(STR(" \t a b\t ")), "a b"));
  assert_int_equal(str_trim(STR(" \t ")).len, 0);
  assert_true(str_eq_c(str_trim(STR("\na")), "\na"));
}

static void test_next_gives_every_part_and_the_empty_last_one_once(void **state) {
  (void)state;
  struct str rest = STR("a,,b,");
  struct str part;

  assert_true(str_next(&rest, ',', &part) && str_eq_c(part, "a"));
  assert_true(str_next(&rest, ',', &part) && part.len == 0);
  assert_true(str_next(&rest, ',', &part) && str_eq_c(part, "b"));
  assert_true(str_next(&rest, ',', &part) && part.len == 0);
  assert_false(str_next(&rest, ',', &part));
  rest = STR_EMPTY;
  assert_true(str_next(&rest, ',', &part) && part.len == 0);
  assert_false(str_next(&rest, ',', &part));
}

static void test_numbers_are_exact_or_refused(void **state) {
  (void)state;
  static const char *const BAD[] = {"", "-", "+1", " 1", "1 ", "1a", "0x1", "--1", "1.0"};
  int64_t i64 = 7;
  uint64_t u64 = 7;

  assert_true(str_to_i64(STR("9223372036854775807"), &i64) && i64 == INT64_MAX);
  assert_true(str_to_i64(STR("-9223372036854775808"), &i64) && i64 == INT64_MIN);
  assert_true(str_to_i64(STR("-0"), &i64) && i64 == 0);
  assert_false(str_to_i64(STR("9223372036854775808"), &i64));
  assert_false(str_to_i64(STR("-9223372036854775809"), &i64));
  assert_true(str_to_u64(STR("18446744073709551615"), &u64) && u64 == UINT64_MAX);
  assert_false(str_to_u64(STR("18446744073709551616"), &u64));
  assert_false(str_to_u64(STR("99999999999999999999999"), &u64));
  assert_false(str_to_u64(STR("-1"), &u64));
  for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
    assert_false(str_to_i64(str_of(BAD[i]), &i64));
  assert_int_equal(i64, 0); // refused numbers leave the result alone
}

static void test_secrets_compare_like_strings(void **state) {
  (void)state;
  assert_true(str_eq_secret(STR("token"), STR("token")));
  assert_false(str_eq_secret(STR("token"), STR("tokem")));
  assert_false(str_eq_secret(STR("Token"), STR("token")));
  assert_false(str_eq_secret(STR("token"), STR("token2")));
  assert_true(str_eq_secret(STR_EMPTY, STR_EMPTY));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_equality_knows_case_length_and_empty_views),
      cmocka_unit_test(test_order_is_bytewise_and_unsigned),
      cmocka_unit_test(test_prefix_suffix_and_parts_are_found),
      cmocka_unit_test(test_slices_stay_inside),
      cmocka_unit_test(test_next_gives_every_part_and_the_empty_last_one_once),
      cmocka_unit_test(test_numbers_are_exact_or_refused),
      cmocka_unit_test(test_secrets_compare_like_strings),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
