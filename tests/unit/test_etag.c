// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/etag.h"

static void test_a_tag_is_quoted_and_differs_with_the_version(void **state) {
  static const struct {
    int64_t version;
    const char *tag;
  } CASES[] = {{0, "\"0\""}, {1, "\"1\""}, {-1, "\"-1\""}, {INT64_MAX, "\"9223372036854775807\""}};
  struct arena *arena = arena_new(4096);

  (void)state;
  assert_non_null(arena);
  for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
    assert_true(str_eq_c(etag_make(CASES[i].version, arena), CASES[i].tag));
  arena_free(arena);
}

static void test_no_room_for_a_tag_is_said(void **state) {
  struct arena *arena = arena_new(1);

  (void)state;
  assert_non_null(arena);
  while (arena_alloc(arena, 16)) {
  }
  assert_null(etag_make(INT64_MAX, arena).ptr);
  arena_free(arena);
}

// Up to two headers; NULL: none. Each value is in memory of its own, so that a read past its end is found.
static bool lets_through(const char *first, const char *second) {
  const char *values[] = {first, second};
  struct http_header headers[3] = {{STR("If-None-Match"), STR("*")}};
  struct http_head head = {.headers = headers, .headers_len = 1};

  for (size_t i = 0; i < ARRAY_LEN(values); i++) {
    if (!values[i])
      continue;
    size_t len = strlen(values[i]);
    char *copy = malloc(len + (len == 0));
    assert_non_null(copy);
    memcpy(copy, values[i], len);
    headers[head.headers_len++] = (struct http_header){STR("if-MATCH"), {copy, len}};
  }
  bool through = etag_if_match(&head, STR("\"17\""));
  for (size_t i = 1; i < head.headers_len; i++)
    free((void *)(uintptr_t)headers[i].value.ptr);
  return through;
}

static void test_if_match_lets_the_named_state_through(void **state) {
  static const char *const VALUES[] = {
      "\"17\"",           "*", " * ", "\"16\", \"17\"", "\"17\",\"18\"", "\t\"17\"\t", ",\"17\"", "\"a,b\", \"17\"",
      "W/\"17\", \"17\"",
  };

  (void)state;
  assert_true(lets_through(NULL, NULL));
  for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
    if (!lets_through(VALUES[i], NULL))
      fail_msg("%s does not match", VALUES[i]);
  }
}

static void test_if_match_stops_every_other(void **state) {
  static const char *const VALUES[] = {
      "",          "\"16\"",  "17",      "\"17",           "17\"",     "'17'",       "W/\"17\"",
      "w/\"17\"",  "\"017\"", "\"17 \"", "\"1\"",          "\"17\"\"", "\"170\"",    "**",
      "*, \"16\"", "\"*\"",   ",",       "\"16\",,\"18\"", "\"17\" x", "\"17\";q=1",
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
    if (lets_through(VALUES[i], NULL))
      fail_msg("%s matches", VALUES[i]);
  }
}

static void test_two_headers_are_one_list(void **state) {
  (void)state;
  assert_true(lets_through("\"16\"", "\"17\""));
  assert_true(lets_through("\"17\"", "\"16\""));
  assert_true(lets_through("garbage", "\"17\""));
  assert_false(lets_through("\"16\"", "\"18\""));
  assert_false(lets_through("\"17", "\""));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_tag_is_quoted_and_differs_with_the_version),
      cmocka_unit_test(test_no_room_for_a_tag_is_said),
      cmocka_unit_test(test_if_match_lets_the_named_state_through),
      cmocka_unit_test(test_if_match_stops_every_other),
      cmocka_unit_test(test_two_headers_are_one_list),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
