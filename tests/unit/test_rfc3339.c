// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rfc3339.h"

static const int64_t SECOND_US = 1000000;
static const int64_t FIRST_US = INT64_C(-62135596800) * 1000000;
static const int64_t LAST_US = INT64_C(253402300800) * 1000000 - 1;

static void assert_written(const char *expected, int64_t us, int digits) {
  char out[RFC3339_BYTES];

  assert_string_equal(rfc3339_write(us, digits, out), expected);
}

static void assert_read(const char *text, int64_t expected_us) {
  int64_t us = 1;

  if (!rfc3339_read(str_of(text), &us))
    fail_msg("refused: %s", text);
  assert_true(us == expected_us);
}

static void test_write_gives_the_digits_asked_for(void **state) {
  (void)state;
  assert_written("1970-01-01T00:00:00Z", 0, 0);
  assert_written("2026-08-21T08:13:20Z", INT64_C(1787300000123456), 0);
  assert_written("2026-08-21T08:13:20.123Z", INT64_C(1787300000123456), 3);
  assert_written("2026-08-21T08:13:20.123456Z", INT64_C(1787300000123456), 6);
  assert_written("1969-12-31T23:59:59.999999Z", -1, 6);
  assert_written("2000-02-29T12:00:00Z", INT64_C(951825600) * SECOND_US, 0);
}

static void test_write_holds_times_within_the_years_that_have_a_form(void **state) {
  (void)state;
  assert_written("0001-01-01T00:00:00Z", RFC3339_ZERO_US, 0);
  assert_written("0001-01-01T00:00:00.000Z", RFC3339_ZERO_US, 3);
  assert_written("0001-01-01T00:00:00.000Z", FIRST_US - 1, 3);
  assert_written("9999-12-31T23:59:59.999999Z", LAST_US, 6);
  assert_written("9999-12-31T23:59:59.999999Z", INT64_MAX, 6);
}

static void test_read_takes_fractions_and_offsets(void **state) {
  (void)state;
  assert_read("1970-01-01T00:00:00Z", 0);
  assert_read("2026-08-21T08:13:20.123456Z", INT64_C(1787300000123456));
  assert_read("2026-08-21T08:13:20.123456789Z", INT64_C(1787300000123456));
  assert_read("2026-08-21T08:13:20.1Z", INT64_C(1787300000100000));
  assert_read("2026-08-21t08:13:20z", INT64_C(1787300000000000));
  assert_read("2026-08-21T10:13:20+02:00", INT64_C(1787300000000000));
  assert_read("2026-08-20T22:43:20-09:30", INT64_C(1787300000000000));
  assert_read("2026-08-21T08:13:20-00:00", INT64_C(1787300000000000));
  assert_read("1969-12-31T23:59:59.5Z", -500000);
}

static void test_read_knows_edge_dates(void **state) {
  (void)state;
  assert_read("0001-01-01T00:00:00Z", RFC3339_ZERO_US);
  assert_read("0001-01-01T01:00:00+01:00", RFC3339_ZERO_US);
  assert_read("0001-01-01T00:00:00.000001Z", FIRST_US + 1);
  assert_read("9999-12-31T23:59:59.999999Z", LAST_US);
  assert_read("2024-02-29T00:00:00Z", INT64_C(1709164800) * SECOND_US);
  assert_read("2000-02-29T00:00:00Z", INT64_C(951782400) * SECOND_US);
  assert_read("2016-12-31T23:59:60Z", INT64_C(1483228800) * SECOND_US);
  assert_read("2017-01-01T00:59:60+01:00", INT64_C(1483228800) * SECOND_US);
}

static void test_read_refuses_what_is_no_time(void **state) {
  (void)state;
  static const char *const BAD[] = {"",
                                    "2026",
                                    "2026-08-21",
                                    "2026-08-21T08:13:20",
                                    "2026-08-21 08:13:20Z",
                                    "2026-08-21T08:13Z",
                                    "2026-08-21T08:13:20.Z",
                                    "2026-08-21T08:13:20.1234567890Z",
                                    "2026-08-21T08:13:20,5Z",
                                    "2026-8-21T08:13:20Z",
                                    "2026-13-01T00:00:00Z",
                                    "2026-00-01T00:00:00Z",
                                    "2026-01-00T00:00:00Z",
                                    "2026-01-32T00:00:00Z",
                                    "2026-02-29T00:00:00Z",
                                    "1900-02-29T00:00:00Z",
                                    "2026-04-31T00:00:00Z",
                                    "2026-01-01T24:00:00Z",
                                    "2026-01-01T00:60:00Z",
                                    "2026-01-01T00:00:61Z",
                                    "2026-01-01T12:00:60Z",
                                    "2026-01-01T00:00:00+24:00",
                                    "2026-01-01T00:00:00+01:60",
                                    "2026-01-01T00:00:00+0100",
                                    "2026-01-01T00:00:00+1",
                                    "2026-01-01T00:00:00ZZ",
                                    "2026-01-01T00:00:00Z ",
                                    " 2026-01-01T00:00:00Z",
                                    "0000-12-31T23:59:59Z",
                                    "0001-01-01T00:00:00+00:01",
                                    "9999-12-31T23:59:59-00:01",
                                    "-001-01-01T00:00:00Z",
                                    "+2026-01-01T00:00:00Z",
                                    "2026-01-01T-1:00:00Z"};
  int64_t us;

  for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
    if (rfc3339_read(str_of(BAD[i]), &us))
      fail_msg("taken: %s", BAD[i]);
  }
}

static void test_every_prefix_of_a_time_is_refused(void **state) {
  (void)state;
  struct str whole = STR("2026-08-21T08:13:20.123+02:00");
  int64_t us;

  assert_true(rfc3339_read(whole, &us));
  for (size_t len = 0; len < whole.len; len++)
    assert_false(rfc3339_read(str_slice(whole, 0, len), &us));
}

static void test_written_times_read_back(void **state) {
  (void)state;
  char out[RFC3339_BYTES];
  int64_t us;

  // Steps of about 97 days over all years, so that every month and leap rule is met.
  for (int64_t at = FIRST_US + 1; at < LAST_US; at += INT64_C(8380800123457)) {
    assert_true(rfc3339_read(str_of(rfc3339_write(at, 6, out)), &us));
    assert_true(us == at);
  }
}

static void test_three_forms_of_http_dates_are_one_time(void **state) {
  (void)state;
  static const char *const FORMS[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                      "Sun Nov  6 08:49:37 1994"};
  int64_t us;

  for (size_t i = 0; i < ARRAY_LEN(FORMS); i++) {
    us = 0;
    assert_true(http_date_read(str_of(FORMS[i]), &us));
    assert_true(us == INT64_C(784111777) * SECOND_US);
    for (size_t len = 0; len < strlen(FORMS[i]); len++)
      assert_false(http_date_read((struct str){FORMS[i], len}, &us));
  }
  assert_true(http_date_read(STR("Fri, 21-Aug-26 08:13:20 GMT"), &us) == false); // the short name is another form's
  assert_true(http_date_read(STR("Friday, 21-Aug-26 08:13:20 GMT"), &us));
  assert_true(us == INT64_C(1787300000000000));
  assert_true(http_date_read(STR("Fri Aug 21 08:13:20 2026"), &us));
  assert_true(us == INT64_C(1787300000000000));
}

static void test_malformed_http_dates_are_refused(void **state) {
  (void)state;
  static const char *const BAD[] = {"",
                                    "Sun",
                                    "Xun, 06 Nov 1994 08:49:37 GMT",
                                    "Sun, 06 Nov 1994 08:49:37 UTC",
                                    "Sun, 06 Nov 1994 08:49:37",
                                    "Sun, 6 Nov 1994 08:49:37 GMT",
                                    "Sun, 31 Feb 1994 08:49:37 GMT",
                                    "Sun, 06 nov 1994 08:49:37 GMT",
                                    "Sun, 06 Nov 1994 24:49:37 GMT",
                                    "Sun, 06 Nov 1994 08:49:37 GMT ",
                                    "120"};
  int64_t us;

  for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
    if (http_date_read(str_of(BAD[i]), &us))
      fail_msg("taken: %s", BAD[i]);
  }
}

static void test_http_date_is_written_with_its_weekday(void **state) {
  (void)state;
  char out[30];

  assert_string_equal(http_date_write(INT64_C(784111777) * SECOND_US, out), "Sun, 06 Nov 1994 08:49:37 GMT");
  assert_string_equal(http_date_write(0, out), "Thu, 01 Jan 1970 00:00:00 GMT");
  assert_string_equal(http_date_write(-1, out), "Wed, 31 Dec 1969 23:59:59 GMT");
  assert_string_equal(http_date_write(INT64_MIN, out), "Mon, 01 Jan 0001 00:00:00 GMT");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_write_gives_the_digits_asked_for),
      cmocka_unit_test(test_write_holds_times_within_the_years_that_have_a_form),
      cmocka_unit_test(test_read_takes_fractions_and_offsets),
      cmocka_unit_test(test_read_knows_edge_dates),
      cmocka_unit_test(test_read_refuses_what_is_no_time),
      cmocka_unit_test(test_every_prefix_of_a_time_is_refused),
      cmocka_unit_test(test_written_times_read_back),
      cmocka_unit_test(test_three_forms_of_http_dates_are_one_time),
      cmocka_unit_test(test_malformed_http_dates_are_refused),
      cmocka_unit_test(test_http_date_is_written_with_its_weekday),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
