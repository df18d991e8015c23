// SPDX-License-Identifier: Apache-2.0
#include "dispatch/redact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_redacted(const char *text, const char *authorization, const char *expected) {
  struct arena *arena = arena_new(64 * 1024);
  struct redact_secrets secrets = redact_secrets_of(str_of(authorization), NULL);
  struct str out = redact(str_of(text), &secrets, arena);
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
  struct redact_secrets secrets = redact_secrets_of(str_of(authorization), NULL);
  struct str out = redact_cut_end(str_of(text), &secrets, arena);

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

static void assert_address_redacted(const char *address, const char *text, const char *expected) {
  struct arena *arena = arena_new(64 * 1024);
  struct error err;
  struct url url;

  assert_int_equal(url_parse(str_of(address), &url, &err), 0);
  struct redact_secrets secrets = redact_secrets_of(STR_EMPTY, &url);
  struct str out = redact(str_of(text), &secrets, arena);
  assert_int_equal(out.len, strlen(expected));
  assert_memory_equal(out.ptr, expected, out.len);
  arena_free(arena);
}

static void test_what_may_be_secret_of_an_address_is_masked(void **state) {
  (void)state;
  const char *chat = "https://hooks.example.com/services/T0123/B0123/abcdefghijklmnopqrstuvwx";
  assert_address_redacted(chat, "no /services/T0123/B0123/abcdefghijklmnopqrstuvwx here", "no ******** here");
  assert_address_redacted(chat, "token abcdefghijklmnopqrstuvwx is over", "token ******** is over");
  assert_address_redacted("https://ci.example.com/build?token=0123456789ab&job=x", "/build?token=0123456789ab&job=x",
                          "********");
  assert_address_redacted("https://ci.example.com/build?token=0123456789ab&job=x", "'0123456789ab' is wrong",
                          "'********' is wrong");
  assert_address_redacted("https://ci:t0k3n-of-ci@ci.example.com/", "ci:t0k3n-of-ci, t0k3n-of-ci",
                          "********, ********");
}

static void test_ordinary_words_of_an_address_stay(void **state) {
  (void)state;
  assert_address_redacted("https://ci.example.com/build?job=x", "Cannot POST /build", "Cannot POST /build");
  assert_address_redacted("https://ci.example.com/", "https://ci.example.com/", "https://ci.example.com/");
}

static void test_no_address_has_more_secrets_than_are_kept(void **state) {
  (void)state;
  struct error err;
  struct url url;
  struct redact_secrets secrets;

  assert_int_equal(
      url_parse(STR("http://a.example/aaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbb/cccccccccccccccc/dddddddddddddddd/"
                    "eeeeeeeeeeeeeeee/ffffffffffffffff/gggggggggggggggg/hhhhhhhhhhhhhhhh/iiiiiiiiiiiiiiii/"
                    "jjjjjjjjjjjjjjjj/kkkkkkkkkkkkkkkk/llllllllllllllll/mmmmmmmmmmmmmmmm/nnnnnnnnnnnnnnnn/"
                    "oooooooooooooooo/pppppppppppppppp/qqqqqqqqqqqqqqqq/rrrrrrrrrrrrrrrr/ssssssssssssssss/"
                    "tttttttttttttttt/uuuuuuuuuuuuuuuu/vvvvvvvvvvvvvvvv/wwwwwwwwwwwwwwww/xxxxxxxxxxxxxxxx"),
                &url, &err),
      0);
  secrets = redact_secrets_of(STR("Bearer abcdef"), &url);
  assert_int_equal(secrets.len, REDACT_MAX_SECRETS);
  assert_true(str_eq_c(secrets.items[0], "Bearer abcdef") && str_eq(secrets.items[2], url.target));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_echoed_authorization_is_masked_wherever_it_stands),
      cmocka_unit_test(test_credentials_alone_are_masked_too),
      cmocka_unit_test(test_a_secret_without_scheme_is_masked),
      cmocka_unit_test(test_other_answers_stay_as_they_are),
      cmocka_unit_test(test_a_short_word_does_not_blacken_the_answer),
      cmocka_unit_test(test_the_beginning_of_a_secret_at_a_cut_is_masked),
      cmocka_unit_test(test_what_may_be_secret_of_an_address_is_masked),
      cmocka_unit_test(test_ordinary_words_of_an_address_stay),
      cmocka_unit_test(test_no_address_has_more_secrets_than_are_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
