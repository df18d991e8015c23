// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "base/json_walk.h"

enum { ARENA_BYTES = 1024 * 1024 };

static int set_up(void **state) {
  *state = arena_new(ARENA_BYTES);
  return *state ? 0 : -1;
}

static int tear_down(void **state) {
  arena_free(*state);
  return 0;
}

static struct str scanned(const char *text) {
  struct error err;

  if (json_scan(str_of(text), JSON_MAX_DEPTH, &err) != 0)
    fail_msg("%s: %s", text, err.text);
  return str_of(text);
}

static void assert_str(struct str got, const char *expected) {
  if (!str_eq_c(got, expected))
    fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(got), expected);
}

static void test_members_come_in_order_as_they_are_written(void **state) {
  struct json_walk walk = json_walk_open(scanned(" \n{ \"a\" : 1 ,\"b\":[1,{\"c\":\"]}\\\"\"}] , \"a\":\"x,y\"\t} "));
  static const char *const expected[][2] = {{"a", "1"}, {"b", "[1,{\"c\":\"]}\\\"\"}]"}, {"a", "\"x,y\""}};
  struct str key, value;

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
    assert_true(json_walk_next(&walk, &key, &value));
    assert_str(key, expected[i][0]);
    assert_str(value, expected[i][1]);
  }
  assert_false(json_walk_next(&walk, &key, &value));
  assert_false(json_walk_next(&walk, &key, &value));
}

static void test_elements_have_no_key(void **state) {
  struct json_walk walk = json_walk_open(scanned("[ true,null , -1.5e3,\"k\", {} ,[] ]"));
  static const enum json_kind kinds[] = {JSON_BOOL, JSON_NULL, JSON_DOUBLE, JSON_STRING, JSON_OBJECT, JSON_ARRAY};
  struct str key, value;

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
    assert_true(json_walk_next(&walk, &key, &value));
    assert_int_equal(key.len, 0);
    assert_int_equal(json_walk_kind(value), kinds[i]);
  }
  assert_false(json_walk_next(&walk, &key, &value));
}

static void test_what_is_empty_or_a_scalar_has_nothing_inside(void **state) {
  static const char *const texts[] = {"{}", "[ ]", " { } ", "1", "\"[1]\"", "null", "true"};
  struct str key, value;

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
    struct json_walk walk = json_walk_open(scanned(texts[i]));
    assert_false(json_walk_next(&walk, &key, &value));
  }
  struct json_walk nothing = json_walk_open(STR_EMPTY);
  assert_false(json_walk_next(&nothing, &key, &value));
  assert_int_equal(json_walk_kind(STR_EMPTY), JSON_ABSENT);
}

// Every text's strings are the same as the library's.
static void test_strings_are_decoded_as_the_library_does(void **state) {
  static const char *const texts[] = {"[\"\"]",
                                      "[\"plain\"]",
                                      "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
                                      "[\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"]",
                                      "[\"a\\u0001b\"]",
                                      "[\"\xc3\xa9\\u00E9\"]",
                                      "[\"\\uFFFD\\uDBFF\\uDFFF.\"]"};

  for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
    struct json_walk walk = json_walk_open(scanned(texts[i]));
    struct json_object *document;
    struct str key, value, text = STR_EMPTY;
    assert_int_equal(json_parse(str_of(texts[i]), *state, &document, NULL), 0);
    assert_true(json_walk_next(&walk, &key, &value));
    assert_true(json_walk_str(value, *state, &text));
    if (!str_eq(text, json_str(json_array_at(document, 0))))
      fail_msg("%s: \"%.*s\"", texts[i], STR_ARG(text));
  }
}

static void test_a_string_without_escapes_is_not_copied(void **state) {
  const char *text = "\"view\"";
  struct str out;

  assert_true(json_walk_str(scanned(text), *state, &out));
  assert_ptr_equal(out.ptr, text + 1);
  assert_int_equal(arena_used_bytes(*state), 0);
}

static void test_another_kind_leaves_the_result_alone(void **state) {
  struct str text = STR("kept");
  int64_t number = 7;

  assert_false(json_walk_str(scanned("7"), *state, &text));
  assert_false(json_walk_str(scanned("null"), *state, &text));
  assert_str(text, "kept");
  assert_false(json_walk_i64(scanned("\"7\""), &number));
  assert_false(json_walk_i64(scanned("7.0"), &number));
  assert_false(json_walk_i64(scanned("1e3"), &number));
  assert_int_equal(number, 7);
  assert_true(json_walk_i64(scanned("-9223372036854775808"), &number));
  assert_true(number == INT64_MIN);
}

static void test_a_full_arena_is_told(void **state) {
  struct arena *tiny = arena_new(1);
  struct str out = STR("kept");

  (void)state;
  assert_false(json_walk_str(scanned("\"\\n longer than nothing at all\""), tiny, &out));
  assert_str(out, "kept");
  arena_free(tiny);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_members_come_in_order_as_they_are_written, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_elements_have_no_key, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_what_is_empty_or_a_scalar_has_nothing_inside, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_strings_are_decoded_as_the_library_does, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_string_without_escapes_is_not_copied, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_another_kind_leaves_the_result_alone, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_full_arena_is_told, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("json_walk", tests, NULL, NULL);
}
