// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/http_accept.h"

static struct http_head head_of(struct http_header *header, const char *name, const char *value) {
  *header = (struct http_header){str_of(name), str_of(value)};
  return (struct http_head){.headers = header, .headers_len = value ? 1 : 0};
}

static void assert_gzip(const char *value, bool wanted) {
  struct http_header header;
  const struct http_head head = head_of(&header, "accept-encoding", value);
  if (http_accepts_gzip(&head) != wanted)
    fail_msg("Accept-Encoding: %s", value ? value : "(none)");
}

static void test_gzip_is_sent_to_whoever_rather_takes_it(void **state) {
  (void)state;
  assert_gzip("gzip", true);
  assert_gzip("GZip", true);
  assert_gzip("x-gzip", true);
  assert_gzip("gzip, deflate, br, zstd", true);
  assert_gzip("br;q=1.0, gzip;q=0.8, *;q=0.1", true);
  assert_gzip(" br ,\tgzip ; q=0.001", true);
  assert_gzip("*", true);
  assert_gzip("identity;q=0.5, gzip;q=0.5", true);
  assert_gzip("identity;q=0, gzip;q=0.1", true);
  assert_gzip("gzip;q=1.000", true);
  assert_gzip("gzip;Q=1.", true);
}

static void test_gzip_is_not_sent_to_others(void **state) {
  (void)state;
  assert_gzip(NULL, false);
  assert_gzip("", false);
  assert_gzip("identity", false);
  assert_gzip("br", false);
  assert_gzip("gzip;q=0", false);
  assert_gzip("gzip;q=0.000, *", false);
  assert_gzip("*;q=0", false);
  assert_gzip("identity, gzip;q=0.5", false);
  assert_gzip("gzip;q=0.5, *", false); // `*` is identity's weight too
  assert_gzip("notgzip, gzipped", false);
}

static void test_weights_that_are_none_want_nothing(void **state) {
  static const char *const bad[] = {"",   "2",   "1.001", "0.1234", "-1",   "a",    "01",
                                    ".5", "1e0", "0,5",   "1.1",    "0.5.", "\"1\""};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
    char value[64] = "gzip;q=";
    memcpy(value + sizeof "gzip;q=" - 1, bad[i], strlen(bad[i]) + 1);
    assert_gzip(value, false);
  }
}

static void test_a_list_may_come_in_several_headers(void **state) {
  struct http_header headers[] = {{STR("Accept-Encoding"), STR("br")}, {STR("Accept-Encoding"), STR("gzip")}};
  const struct http_head head = {.headers = headers, .headers_len = 2};
  (void)state;
  assert_true(http_accepts_gzip(&head));
}

static void assert_html(const char *value, bool wanted) {
  struct http_header header;
  const struct http_head head = head_of(&header, "Accept", value);
  if (http_accept_names(&head, "text/html") != wanted)
    fail_msg("Accept: %s", value ? value : "(none)");
}

static void test_only_who_names_a_type_is_given_it(void **state) {
  (void)state;
  assert_html("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true);
  assert_html("application/json, TEXT/HTML;level=1;q=0.4", true);
  assert_html("*/*", false);
  assert_html("text/*", false);
  assert_html("text/html;q=0", false);
  assert_html(NULL, false);
}

static void assert_holds(const char *value, bool wanted) {
  struct http_header header;
  const struct http_head head = head_of(&header, "If-None-Match", value);
  if (http_none_match_holds(&head, STR("\"abc\"")) != wanted)
    fail_msg("If-None-Match: %s", value ? value : "(none)");
}

static void test_tags_are_compared_weakly(void **state) {
  (void)state;
  assert_holds("\"abc\"", true);
  assert_holds("W/\"abc\"", true);
  assert_holds("\"x\", W/\"y\",\"abc\"", true);
  assert_holds("*", true);
  assert_holds("\"abcd\"", false);
  assert_holds("abc", false);
  assert_holds("w/\"abc\"", false);
  assert_holds("", false);
  assert_holds(NULL, false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gzip_is_sent_to_whoever_rather_takes_it),
      cmocka_unit_test(test_gzip_is_not_sent_to_others),
      cmocka_unit_test(test_weights_that_are_none_want_nothing),
      cmocka_unit_test(test_a_list_may_come_in_several_headers),
      cmocka_unit_test(test_only_who_names_a_type_is_given_it),
      cmocka_unit_test(test_tags_are_compared_weakly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
