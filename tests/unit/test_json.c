// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/json_scan.h"

static struct arena *arena;
static struct error err;

static struct json_object *parsed(struct str text) {
  struct json_object *value = NULL;

  if (json_parse(text, arena, &value, &err) != 0)
    fail_msg("refused %.*s: %s", STR_ARG(text), err.text);
  return value;
}

static void assert_refused(struct str text, const char *words) {
  struct json_object *value;

  if (json_parse(text, arena, &value, &err) != ERR_INVALID)
    fail_msg("taken: %.*s", STR_ARG(text));
  assert_null(value);
  if (!str_contains(str_of(err.text), str_of(words)))
    fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static int make_arena(void **state) {
  (void)state;
  arena = arena_new(1 << 20);
  return arena ? 0 : -1;
}

static int drop_arena(void **state) {
  (void)state;
  arena_free(arena);
  return 0;
}

static void test_members_are_read_by_kind(void **state) {
  (void)state;
  struct json_object *o =
      parsed(STR("{\"s\":\"x\\u00e4\\ud83d\\ude00\",\"i\":-5,\"b\":true,\"n\":null,\"d\":1.5,\"o\":{},\"a\":[1,2]}"));
  enum json_kind kind;
  struct str s = STR("untouched");
  int64_t i = 7;
  bool b = false;

  assert_true(json_get_str(o, "s", &s) && str_eq_c(s, "x\xc3\xa4\xf0\x9f\x98\x80"));
  assert_true(json_get_i64(o, "i", &i) && i == -5);
  assert_true(json_get_bool(o, "b", &b) && b);
  assert_non_null(json_get_object(o, "o"));
  assert_int_equal(json_array_len(json_get_array(o, "a")), 2);
  assert_int_equal(json_kind(json_array_at(json_get_array(o, "a"), 1)), JSON_INT);
  assert_null(json_array_at(json_get_array(o, "a"), 2));
  assert_null(json_member(o, "n", &kind));
  assert_int_equal(kind, JSON_NULL);
  assert_null(json_member(o, "absent", &kind));
  assert_int_equal(kind, JSON_ABSENT);
  assert_string_equal(json_kind_name(json_kind(json_member(o, "d", NULL))), "decimal");
}

// json-c 0.18 refuses such strings in its strict mode.
static void test_strings_in_any_script_are_read(void **state) {
  (void)state;
  struct json_object *o = parsed(STR("{\"\xc3\xa4\":\"\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 \x7f\"}"));
  struct str s = STR_EMPTY;

  assert_true(json_get_str(o, "\xc3\xa4", &s));
  assert_true(str_eq_c(s, "\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 \x7f"));
}

static void test_wrong_kinds_answer_absent(void **state) {
  (void)state;
  struct json_object *o = parsed(STR("{\"s\":1,\"i\":1.0,\"b\":1,\"o\":[],\"a\":{},\"t\":\"5\"}"));
  struct str s = STR("untouched");
  int64_t i = 7;
  bool b = false;

  assert_false(json_get_str(o, "s", &s));
  assert_false(json_get_i64(o, "i", &i));
  assert_false(json_get_i64(o, "t", &i));
  assert_false(json_get_bool(o, "b", &b));
  assert_null(json_get_object(o, "o"));
  assert_null(json_get_array(o, "a"));
  assert_false(json_get_str(json_get_array(o, "o"), "x", &s));
  assert_false(json_get_str(NULL, "x", &s));
  assert_int_equal(json_array_len(o), 0);
  assert_int_equal(json_str(o).len, 0);
  assert_true(str_eq_c(s, "untouched"));
  assert_int_equal(i, 7);
}

static void test_any_value_may_be_at_the_top(void **state) {
  (void)state;
  assert_int_equal(json_kind(parsed(STR("12"))), JSON_INT);
  assert_int_equal(json_kind(parsed(STR(" -0.5e-3 "))), JSON_DOUBLE);
  assert_int_equal(json_kind(parsed(STR("0"))), JSON_INT);
  assert_int_equal(json_kind(parsed(STR("\"\""))), JSON_STRING);
  assert_int_equal(json_kind(parsed(STR("null"))), JSON_NULL);
  assert_int_equal(json_kind(parsed(STR("\r\n\t false\n"))), JSON_BOOL);
  assert_int_equal(json_kind(parsed(STR("[]"))), JSON_ARRAY);
}

static void test_text_outside_of_rfc_8259_is_refused(void **state) {
  (void)state;
  static const char *const BAD[] = {"{",
                                    "[",
                                    "[1",
                                    "[1,",
                                    "[1,]",
                                    "{\"a\"}",
                                    "{\"a\":}",
                                    "{\"a\":1,}",
                                    "{a:1}",
                                    "{'a':1}",
                                    "[1 2]",
                                    "]",
                                    "}",
                                    ",",
                                    "{\"a\":1]",
                                    "[1}",
                                    "nul",
                                    "True",
                                    "NaN",
                                    "Infinity",
                                    "-Infinity",
                                    "nan",
                                    "01",
                                    "-",
                                    "+1",
                                    ".5",
                                    "1.",
                                    "1e",
                                    "1e+",
                                    "0x10",
                                    "\"",
                                    "\"a",
                                    "\"\\",
                                    "\"\\x\"",
                                    "\"\\u12\"",
                                    "\"\\u12g4\"",
                                    "\"a\nb\"",
                                    "\"\x1f\"",
                                    "/* c */ 1",
                                    "1 // c",
                                    "\xef\xbb\xbf{}",
                                    "{\"a\" 1}",
                                    "{1:2}",
                                    "[,1]",
                                    "--1",
                                    "1-",
                                    "nullx",
                                    "truefalse",
                                    "",
                                    " ",
                                    "\v1"};

  for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
    assert_refused(str_of(BAD[i]), "");
}

static void test_refusals_say_what_and_where(void **state) {
  (void)state;
  assert_refused(STR("{\"a\":1,x}"), "invalid character at byte 8");
  assert_refused(STR("{\"a\":"), "ends too early");
  assert_refused(STR("{} {}"), "something after the value at byte 4");
  assert_refused(STR("{}\0"), "something after the value at byte 3");
  assert_refused(STR("[\"a\xff\"]"), "not valid UTF-8");
  assert_refused(STR("[\"\xed\xa0\x80\"]"), "not valid UTF-8");
}

static void test_nul_and_half_surrogates_are_refused_in_keys_and_values(void **state) {
  (void)state;
  assert_refused(STR("[\"a\\u0000b\"]"), "U+0000 in a string at byte 4");
  assert_refused(STR("[\"a\0b\"]"), "U+0000 in a string at byte 4");
  assert_refused(STR("{\"a\\u0000\":1}"), "U+0000");
  assert_refused(STR("[\"\\ud800\"]"), "half a surrogate pair in a string at byte 3");
  assert_refused(STR("[\"\\ud800\\n\"]"), "half a surrogate pair");
  assert_refused(STR("[\"\\ud800\\u0041\"]"), "half a surrogate pair");
  assert_refused(STR("[\"\\udc00\"]"), "half a surrogate pair");
  assert_refused(STR("[\"\\ud800\\ue000\"]"), "half a surrogate pair");
  assert_refused(STR("[\"\\udbff\\udbff\"]"), "half a surrogate pair");
  struct str s = json_str(json_array_at(parsed(STR("[\"\\uDBFF\\uDFFF\\u2028\"]")), 0));
  assert_true(str_eq_c(s, "\xf4\x8f\xbf\xbf\xe2\x80\xa8"));
}

static void test_integers_are_exact_to_64_bits_or_refused(void **state) {
  (void)state;
  struct json_object *o = parsed(STR("{\"max\":9223372036854775807,\"min\":-9223372036854775808,\"z\":-0}"));
  int64_t i;

  assert_true(json_get_i64(o, "max", &i) && i == INT64_MAX);
  assert_true(json_get_i64(o, "min", &i) && i == INT64_MIN);
  assert_true(json_get_i64(o, "z", &i) && i == 0);
  assert_refused(STR("[9223372036854775808]"), "integer outside of 64 bits at byte 2");
  assert_refused(STR("[18446744073709551615]"), "integer outside of 64 bits");
  assert_refused(STR("[-9223372036854775809]"), "integer outside of 64 bits");
  assert_refused(STR("[1e400]"), "number too large");
  assert_refused(STR("0.00000000000000000000000000000000000000000000000000000000000000001"), "longer than 64");
}

static struct str nested(char *to, size_t levels) {
  memset(to, '[', levels);
  to[levels] = '1';
  memset(to + levels + 1, ']', levels);
  return (struct str){to, 2 * levels + 1};
}

static void test_depth_has_a_limit(void **state) {
  (void)state;
  static char text[200001];

  assert_int_equal(json_kind(parsed(nested(text, JSON_MAX_DEPTH))), JSON_ARRAY);
  assert_refused(nested(text, JSON_MAX_DEPTH + 1), "nested deeper than 32 levels");
  assert_refused(nested(text, 100000), "nested deeper than 32 levels");
  (void)parsed(
      STR("[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]"));
}

// A megabyte of `{}` would be a tree of 350 MB.
static void test_number_of_containers_has_a_limit(void **state) {
  static char text[3 * (JSON_MAX_CONTAINERS + 1)];
  size_t len = 0;

  (void)state;
  text[len++] = '[';
  for (int i = 1; i < JSON_MAX_CONTAINERS; i++) {
    text[len++] = i % 2 ? '[' : '{';
    text[len++] = i % 2 ? ']' : '}';
    text[len++] = ',';
  }
  text[len - 1] = ']';
  assert_int_equal(json_array_len(parsed((struct str){text, len})), JSON_MAX_CONTAINERS - 1);
  for (const char *one_more = ",[]]"; *one_more; one_more++)
    text[len++ - 1] = *one_more;
  len--;
  assert_refused((struct str){text, len}, "more than 32768 arrays and objects");
  assert_int_equal(json_scan((struct str){text, len}, JSON_MAX_DEPTH, &err), 0); // who builds no tree may go on
}

static void test_kinds_of_levels_are_told_apart_at_every_depth(void **state) {
  (void)state;
  (void)parsed(STR("[{\"a\":[{\"b\":[]},{}]},[{}]]"));
  assert_refused(STR("[{\"a\":[{\"b\":[}]}]}]"), "invalid character");
  assert_refused(STR("[{\"a\":[1]]"), "invalid character");
  assert_refused(STR("[{\"a\":1},\"b\":1]"), "invalid character");
}

static void test_last_of_duplicate_keys_counts(void **state) {
  (void)state;
  int64_t i;

  assert_true(json_get_i64(parsed(STR("{\"a\":1,\"b\":2,\"a\":3}")), "a", &i) && i == 3);
}

static void test_members_are_walked_in_document_order(void **state) {
  (void)state;
  static const char *const KEYS[] = {"z", "a", "", "m"};
  struct json_object *o = parsed(STR("{\"z\":1,\"a\":null,\"\":3,\"m\":[]}"));
  struct json_object *value;
  struct str key;
  size_t cursor = 0, count = 0;

  while (json_next_member(o, &cursor, &key, &value)) {
    assert_true(str_eq_c(key, KEYS[count++]));
    if (str_eq_c(key, "a"))
      assert_null(value);
  }
  assert_int_equal(count, 4);
  assert_false(json_next_member(o, &cursor, &key, &value));
  cursor = 0;
  assert_false(json_next_member(parsed(STR("{}")), &cursor, &key, &value));
  cursor = 0;
  assert_false(json_next_member(NULL, &cursor, &key, &value));
}

static void test_arena_without_room_refuses_and_leaks_nothing(void **state) {
  (void)state;
  CLEANUP(arena_cleanup) struct arena *full = arena_new(0);
  struct json_object *value;

  assert_int_equal(json_parse(STR("{\"a\":[1,2]}"), full, &value, &err), ERR_NO_MEMORY);
  assert_null(value);
}

static void test_every_cut_of_a_document_is_refused(void **state) {
  (void)state;
  struct str whole = STR("{\"a\":[1.5e3,true,null,\"x\\u00e4\\ud83d\\ude00\xc3\xa4\"],\"b\":{\"c\":-1}}");

  (void)parsed(whole);
  for (size_t len = 0; len < whole.len; len++)
    assert_refused(str_slice(whole, 0, len), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_members_are_read_by_kind),
      cmocka_unit_test(test_strings_in_any_script_are_read),
      cmocka_unit_test(test_wrong_kinds_answer_absent),
      cmocka_unit_test(test_any_value_may_be_at_the_top),
      cmocka_unit_test(test_text_outside_of_rfc_8259_is_refused),
      cmocka_unit_test(test_refusals_say_what_and_where),
      cmocka_unit_test(test_nul_and_half_surrogates_are_refused_in_keys_and_values),
      cmocka_unit_test(test_integers_are_exact_to_64_bits_or_refused),
      cmocka_unit_test(test_depth_has_a_limit),
      cmocka_unit_test(test_number_of_containers_has_a_limit),
      cmocka_unit_test(test_kinds_of_levels_are_told_apart_at_every_depth),
      cmocka_unit_test(test_last_of_duplicate_keys_counts),
      cmocka_unit_test(test_members_are_walked_in_document_order),
      cmocka_unit_test(test_arena_without_room_refuses_and_leaks_nothing),
      cmocka_unit_test(test_every_cut_of_a_document_is_refused),
  };
  return cmocka_run_group_tests(tests, make_arena, drop_arena);
}
