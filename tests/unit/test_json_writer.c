// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/json_writer.h"

static struct buf buf;

static void assert_text(const char *expected) {
  assert_false(buf.failed);
  if (!str_eq_c(buf_str(&buf), expected))
    fail_msg("%.*s is not %s", STR_ARG(buf_str(&buf)), expected);
  buf_free(&buf);
}

static struct json_writer writer(bool html_escape) {
  buf_init(&buf, 65536);
  return json_writer_make(&buf, html_escape);
}

static void test_commas_are_the_writers_business(void **state) {
  (void)state;
  struct json_writer w = writer(true);

  json_object_begin(&w);
  json_field_str(&w, "type", STR("PUSH_ARTIFACT"));
  json_field_i64(&w, "occur_at", 1787300000);
  json_key(&w, "list");
  json_array_begin(&w);
  json_put_i64(&w, -1);
  json_array_begin(&w);
  json_array_end(&w);
  json_object_begin(&w);
  json_object_end(&w);
  json_put_null(&w);
  json_put_raw(&w, STR("{\"a\":1}"));
  json_array_end(&w);
  json_field_bool(&w, "b", false);
  json_object_end(&w);
  assert_text("{\"type\":\"PUSH_ARTIFACT\",\"occur_at\":1787300000,\"list\":[-1,[],{},null,{\"a\":1}],\"b\":false}");
}

static void test_empty_optional_fields_are_left_out(void **state) {
  (void)state;
  struct json_writer w = writer(true);

  json_object_begin(&w);
  json_field_str_opt(&w, "a", STR_EMPTY);
  json_field_i64_opt(&w, "b", 0);
  json_field_str_opt(&w, "c", STR("x"));
  json_field_i64_opt(&w, "d", 2);
  json_object_end(&w);
  assert_text("{\"c\":\"x\",\"d\":2}");
}

static void test_strings_are_escaped_as_go_does(void **state) {
  (void)state;
  struct json_writer w = writer(true);

  json_put_str(&w, STR("\"\\/\b\f\n\r\t\x01\x1f\x7f <a href='x'>&\0"));
  assert_text("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f \\u003ca href='x'\\u003e\\u0026\\u0000\"");
  w = writer(false);
  json_put_str(&w, STR("<>&\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"));
  assert_text("\"<>&\\u2028\\u2029\xe2\x80\xaa\"");
  w = writer(true);
  json_object_begin(&w);
  json_key_str(&w, STR("<\n>"));
  json_put_bool(&w, true);
  json_object_end(&w);
  assert_text("{\"\\u003c\\n\\u003e\":true}");
}

static void test_each_malformed_byte_becomes_a_replacement_character(void **state) {
  (void)state;
  struct json_writer w = writer(true);

  json_put_str(&w, STR("a\xff\xe2\x82z\xed\xa0\x80\xf0\x9f\x98\x80\xc3"));
  assert_text("\"a\\ufffd\\ufffd\\ufffdz\\ufffd\\ufffd\\ufffd\xf0\x9f\x98\x80\\ufffd\"");
}

static void test_parsed_values_come_out_in_document_order(void **state) {
  (void)state;
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(4096);
  struct json_object *value;
  struct json_writer w = writer(true);

  assert_int_equal(json_parse(STR(" {\"z\" : [1, 2.50, 1e3, -9223372036854775808, true, null, \"\\u00e4<\"],\n"
                                  "\"a\":{}, \"m\":0.1, \"n\":1E-7} "),
                              arena, &value, NULL),
                   0);
  json_array_begin(&w);
  json_put_value(&w, value);
  json_put_value(&w, NULL);
  json_array_end(&w);
  assert_text("[{\"z\":[1,2.5,1000,-9223372036854775808,true,null,\"\xc3\xa4\\u003c\"],\"a\":{},\"m\":0.1,\"n\":1e-7},"
              "null]");
}

static void test_full_buffer_fails_once_and_stays_failed(void **state) {
  (void)state;
  struct json_writer w;

  buf_init(&buf, 10);
  w = json_writer_make(&buf, true);
  json_object_begin(&w);
  json_field_str(&w, "key", STR("too long a value"));
  json_object_end(&w);
  assert_true(buf.failed);
  assert_true(buf.len <= 10);
  buf_free(&buf);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_commas_are_the_writers_business),
      cmocka_unit_test(test_empty_optional_fields_are_left_out),
      cmocka_unit_test(test_strings_are_escaped_as_go_does),
      cmocka_unit_test(test_each_malformed_byte_becomes_a_replacement_character),
      cmocka_unit_test(test_parsed_values_come_out_in_document_order),
      cmocka_unit_test(test_full_buffer_fails_once_and_stays_failed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
