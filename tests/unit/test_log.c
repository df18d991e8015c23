// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"

static struct clock clock_2026;
static char line[32768];

// What one call of log_write put into a pipe, as a C string.
#define LOGGED(log, ...)                                       \
  do {                                                         \
    int ends_[2];                                              \
    assert_int_equal(pipe2(ends_, O_NONBLOCK | O_CLOEXEC), 0); \
    (log)->fd = ends_[1];                                      \
    log_write((log), __VA_ARGS__);                             \
    ssize_t got_ = read(ends_[0], line, sizeof(line) - 1);     \
    line[got_ > 0 ? got_ : 0] = '\0';                          \
    (void)close(ends_[0]);                                     \
    (void)close(ends_[1]);                                     \
  } while (0)

static struct log make_log(bool json) {
  struct log log;

  clock_init_simulated(&clock_2026, INT64_C(1787300000123456));
  log_init(&log, &clock_2026, -1, json, LOG_INFO);
  return log;
}

static void test_plain_line_has_time_level_room_request_and_message(void **state) {
  (void)state;
  struct log log = make_log(false);

  LOGGED(&log, LOG_WARN, "net", STR("r-1"), "refused %d", 7);
  assert_string_equal(line, "2026-08-21T08:13:20.123Z warn net [r-1]: refused 7\n");
  LOGGED(&log, LOG_INFO, "app", STR_EMPTY, "ready");
  assert_string_equal(line, "2026-08-21T08:13:20.123Z info app: ready\n");
}

static void test_no_value_can_forge_a_line_or_drive_a_terminal(void **state) {
  (void)state;
  struct log log = make_log(false);

  LOGGED(&log, LOG_INFO, "api", STR("a\nb"),
         "x\n2026 error app: forged\r\x1b[2J\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xae\xff\xc3\xa4");
  assert_string_equal(line, "2026-08-21T08:13:20.123Z info api [a\\nb]: x\\n2026 error app: forged"
                            "\\u000d\\u001b[2J\\u007f\\u0085\\u2028\\u202e\\xff\xc3\xa4\n");
}

static void test_json_line_is_json(void **state) {
  (void)state;
  struct log log = make_log(true);
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(65536);
  struct json_object *record;
  struct str message;

  LOGGED(&log, LOG_ERROR, "store", STR("r\"1"), "a \"quoted\"\nline <b> \xff");
  size_t len = strlen(line);
  assert_int_equal(line[len - 1], '\n');
  assert_int_equal(str_find((struct str){line, len - 1}, '\n'), -1);
  assert_int_equal(json_parse((struct str){line, len}, arena, &record, NULL), 0);
  assert_true(json_get_str(record, "message", &message));
  assert_true(str_eq_c(message, "a \"quoted\"\nline <b> \xef\xbf\xbd"));
  assert_true(json_get_str(record, "request_id", &message) && str_eq_c(message, "r\"1"));
  assert_true(json_get_str(record, "level", &message) && str_eq_c(message, "error"));
}

static void test_long_message_is_cut_on_a_code_point_and_still_one_line(void **state) {
  (void)state;
  char words[8192];
  struct log log = make_log(true);
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(65536);
  struct json_object *record;

  for (size_t i = 0; i + 1 < sizeof(words); i++)
    words[i] = '\x01'; // the worst case: six bytes each
  words[sizeof(words) - 1] = '\0';
  LOGGED(&log, LOG_INFO, "api", str_of(words), "%s", words);
  assert_int_equal(json_parse(str_of(line), arena, &record, NULL), 0);

  for (size_t i = 0; i + 4 < sizeof(words); i += 3)
    memcpy(words + i, "\xe2\x82\xac", 4);
  log.json = false;
  LOGGED(&log, LOG_INFO, "api", STR_EMPTY, "%s", words);
  assert_true(utf8_valid(str_of(line)));
  assert_null(strstr(line, "\\x"));
  assert_true(strlen(line) > 2000);
}

static void test_level_decides_and_can_change(void **state) {
  (void)state;
  struct log log = make_log(false);
  enum log_level level;

  LOGGED(&log, LOG_DEBUG, "api", STR_EMPTY, "hidden");
  assert_string_equal(line, "");
  log_set_level(&log, LOG_DEBUG);
  LOGGED(&log, LOG_DEBUG, "api", STR_EMPTY, "shown");
  assert_non_null(strstr(line, " debug api: shown"));
  for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
    assert_true(log_level_read(str_of(log_level_name((enum log_level)i)), &level));
    assert_int_equal(level, i);
  }
  assert_false(log_level_read(STR("INFO"), &level));
  assert_false(log_level_read(STR_EMPTY, &level));
}

static void test_no_log_and_errno_are_left_alone(void **state) {
  (void)state;
  struct log log = make_log(false);

  log_warn(NULL, "api", "nobody %d", 1);
  assert_false(log_enabled(NULL, LOG_ERROR));
  log.fd = -1;
  errno = ENOSPC;
  log_error(&log, "api", "cannot be written");
  assert_int_equal(errno, ENOSPC);
}

static void test_a_line_that_repeats_is_written_once_in_a_while(void **state) {
  (void)state;
  struct log log = make_log(false);
  struct log_pace pace = {0}, other = {0};

  assert_true(log_pace(&log, &pace));
  assert_false(log_pace(&log, &pace));
  assert_true(log_pace(&log, &other));
  clock_advance(&clock_2026, LOG_PACE_MS * US_PER_MS - 1);
  assert_false(log_pace(&log, &pace));
  clock_advance(&clock_2026, 1);
  clock_jump(&clock_2026, -1000 * US_PER_S); // the wall clock has no say
  assert_true(log_pace(&log, &pace));
  assert_false(log_pace(&log, &pace));
  assert_false(log_pace(NULL, &other));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_plain_line_has_time_level_room_request_and_message),
      cmocka_unit_test(test_no_value_can_forge_a_line_or_drive_a_terminal),
      cmocka_unit_test(test_json_line_is_json),
      cmocka_unit_test(test_long_message_is_cut_on_a_code_point_and_still_one_line),
      cmocka_unit_test(test_level_decides_and_can_change),
      cmocka_unit_test(test_no_log_and_errno_are_left_alone),
      cmocka_unit_test(test_a_line_that_repeats_is_written_once_in_a_while),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
