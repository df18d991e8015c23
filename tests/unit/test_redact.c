// SPDX-License-Identifier: Apache-2.0
#include "dispatch/redact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_redacted(const char *text, const char *authorization, const char *expected) {
  struct arena *arena = arena_new(64 * 1024);
  struct str out = redact_authorization(str_of(text), str_of(authorization), arena);
  assert_true(str_eq_c(out, expected));
  arena_free(arena);
}

static void test_echoed_authorization_is_masked_wherever_it_stands(void **state) {
  (void)state;
  assert_redacted("got Bearer t0k3n-of-ci and again Bearer t0k3n-of-ci!", "Bearer t0k3n-of-ci",
                  "got ******** and again ********!");
}

static void test_credentials_alone_are_masked_too(void **state) {
  (void)state;
  assert_redacted("{\"token\":\"t0k3n-of-ci\"}", "Bearer t0k3n-of-ci", "{\"token\":\"********\"}");
}

static void test_a_secret_without_scheme_is_masked(void **state) {
  (void)state;
  assert_redacted("s3cr3ts3cr3t", "s3cr3t", "****************");
}

static void test_other_answers_stay_as_they_are(void **state) {
  (void)state;
  assert_redacted("ok", "Bearer t0k3n-of-ci", "ok");
  assert_redacted("ok", "", "ok");
  assert_redacted("", "Bearer t0k3n-of-ci", "");
}

static void test_a_short_word_does_not_blacken_the_answer(void **state) {
  (void)state;
  assert_redacted("a b c", "b", "a b c");
}

static void assert_cut(const char *text, const char *authorization, const char *expected) {
  struct arena *arena = arena_new(4096);
  struct str out = redact_cut_end(str_of(text), str_of(authorization), arena);

  assert_int_equal(out.len, strlen(expected));
  assert_memory_equal(out.ptr, expected, out.len);
  arena_free(arena);
}

static void test_the_beginning_of_a_secret_at_a_cut_is_masked(void **state) {
  (void)state;
  assert_cut("you sent Bearer t0k3n", "Bearer t0k3n-of-ci", "you sent ********");
  assert_cut("you sent t0k3n-of-c", "Bearer t0k3n-of-ci", "you sent ********");
  assert_cut("you sent t0k3n", "Bearer t0k3n-of-ci", "you sent t0k3n"); // too short to tell from a word
  assert_cut("t0k3n-of-c is what you sent", "Bearer t0k3n-of-ci", "t0k3n-of-c is what you sent");
  assert_cut("t0k3n-of", "t0k3n-of-ci", "********");
  assert_cut("", "Bearer t0k3n-of-ci", "");
  assert_cut("ok", "", "ok");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_echoed_authorization_is_masked_wherever_it_stands),
      cmocka_unit_test(test_credentials_alone_are_masked_too),
      cmocka_unit_test(test_a_secret_without_scheme_is_masked),
      cmocka_unit_test(test_other_answers_stay_as_they_are),
      cmocka_unit_test(test_a_short_word_does_not_blacken_the_answer),
      cmocka_unit_test(test_the_beginning_of_a_secret_at_a_cut_is_masked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
