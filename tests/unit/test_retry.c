// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "dispatch/breaker.h"
#include "dispatch/retry.h"
#include "dispatch/window.h"

static const int64_t HOUR_MS = 3600 * 1000;
static const int64_t NOW_US = INT64_C(1700000000) * 1000000; // Tue, 14 Nov 2023 22:13:20 GMT

static struct retry_config config_default(void) {
  return (struct retry_config){
      .steps_ms = {5000, 30000, 120000, 600000, 1800000, 3600000, 7200000, 14400000, 28800000},
      .steps_len = 9,
      .give_up_ms = 72 * HOUR_MS,
      .permanent_tries = 3,
      .retry_after_cap_ms = 8 * HOUR_MS,
      .pause_min_ms = 5000,
      .pause_max_ms = 600000,
  };
}

static struct retry_verdict judge_status(enum target_type type, int status, const char *body) {
  struct http_result result = {.outcome = HTTP_OUTCOME_ANSWERED, .status = status, .body = str_of(body)};
  return retry_judge(type, &result);
}

static void test_each_status_means_what_the_document_says(void **state) {
  (void)state;
  for (int status = 200; status <= 999; status++) {
    struct retry_verdict verdict = judge_status(TARGET_HTTP, status, "");
    enum retry_class want = RETRY_SCHEDULE;
    if (status < 300)
      want = RETRY_SUCCESS;
    else if (status == 410)
      want = RETRY_SUSPEND;
    else if (status < 500 && status != 408 && status != 425 && status != 429)
      want = RETRY_FEW;
    assert_int_equal(verdict.class, want);
    assert_int_equal(verdict.pauses_lane, status == 429 || status == 503);
    assert_int_equal(verdict.spends_breaker, status >= 300);
    assert_string_equal(verdict.outcome, status < 300 ? "success" : "http_error");
  }
}

static void test_each_outcome_without_an_answer(void **state) {
  (void)state;
  static const struct {
    enum http_outcome outcome;
    enum retry_class class;
    const char *name;
    bool spends;
  } CASES[] = {
      {HTTP_OUTCOME_DNS, RETRY_SCHEDULE, "dns", true},
      {HTTP_OUTCOME_BLOCKED, RETRY_FEW, "blocked", false},
      {HTTP_OUTCOME_CONNECT, RETRY_SCHEDULE, "connect", true},
      {HTTP_OUTCOME_TLS, RETRY_SCHEDULE, "tls", true},
      {HTTP_OUTCOME_TIMEOUT, RETRY_SCHEDULE, "timeout", true},
      {HTTP_OUTCOME_CLOSED, RETRY_SCHEDULE, "closed", true},
      {HTTP_OUTCOME_MALFORMED, RETRY_SCHEDULE, "malformed", true},
      {HTTP_OUTCOME_LOCAL, RETRY_SCHEDULE, "local", false},
  };
  for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
    for (int type = TARGET_HTTP; type <= TARGET_SLACK; type++) {
      struct http_result result = {.outcome = CASES[i].outcome};
      struct retry_verdict verdict = retry_judge((enum target_type)type, &result);
      assert_int_equal(verdict.class, CASES[i].class);
      assert_string_equal(verdict.outcome, CASES[i].name);
      assert_int_equal(verdict.spends_breaker, CASES[i].spends);
      assert_false(verdict.pauses_lane);
    }
  }
}

static void test_slack_is_judged_by_its_words(void **state) {
  (void)state;
  static const struct {
    int status;
    const char *body;
    enum retry_class class;
    bool spends;
  } CASES[] = {
      {200, "ok", RETRY_SUCCESS, false},
      {200, "", RETRY_SUCCESS, false},
      {204, "", RETRY_SUCCESS, false},
      {400, "invalid_payload", RETRY_NEVER, false},
      {400, "invalid_payload\n", RETRY_NEVER, false},
      {500, "invalid_payload", RETRY_NEVER, false}, // the string, not the code
      {400, "invalid_blocks", RETRY_NEVER, false},
      {400, "no_text", RETRY_NEVER, false},
      {400, "too_many_attachments", RETRY_NEVER, false},
      {400, "user_not_found", RETRY_NEVER, false},
      {403, "action_prohibited", RETRY_SUSPEND, true},
      {403, "posting_to_general_channel_denied", RETRY_SUSPEND, true},
      {403, "invalid_token", RETRY_SUSPEND, true},
      {403, "team_disabled", RETRY_SUSPEND, true},
      {404, "channel_not_found", RETRY_SUSPEND, true},
      {404, "no_service", RETRY_SUSPEND, true},
      {404, "no_service_id", RETRY_SUSPEND, true},
      {404, "no_active_hooks", RETRY_SUSPEND, true},
      {404, "no_team", RETRY_SUSPEND, true},
      {410, "channel_is_archived", RETRY_SUSPEND, true},
      {200, "channel_is_archived", RETRY_SUSPEND, true},
      {500, "rollup_error", RETRY_SCHEDULE, true},
      {400, "rollup_error", RETRY_SCHEDULE, true},
      {404, "<html>not found</html>", RETRY_FEW, true},
      {400, "invalid_payloads", RETRY_FEW, true},
      {429, "no_service", RETRY_SCHEDULE, true},
      {503, "", RETRY_SCHEDULE, true},
  };
  for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
    struct retry_verdict verdict = judge_status(TARGET_SLACK, CASES[i].status, CASES[i].body);
    assert_int_equal(verdict.class, CASES[i].class);
    assert_int_equal(verdict.spends_breaker, CASES[i].spends);
    assert_int_equal(verdict.pauses_lane, CASES[i].status == 429 || CASES[i].status == 503);
  }
  assert_int_equal(judge_status(TARGET_HTTP, 400, "invalid_payload").class, RETRY_FEW);
}

static void test_retry_after_in_all_its_forms(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t ms;
  } CASES[] = {
      {"120", 120000},
      {" 7\t", 7000},
      {"0", 0},
      {"1.5", 2000},
      {"1.0", 1000},
      {"0.001", 1000},
      {"Tue, 14 Nov 2023 22:14:20 GMT", 60000},
      {"Tuesday, 14-Nov-23 22:14:20 GMT", 60000},
      {"Tue Nov 14 22:14:20 2023", 60000},
      {"Tue, 14 Nov 2023 22:13:20 GMT", 0},
      {"Mon, 13 Nov 2023 22:13:20 GMT", 0}, // past
      {"", -1},
      {"-5", -1},
      {"+5", -1},
      {"5s", -1},
      {"1.", -1},
      {".5", -1},
      {"1e3", -1},
      {"1,5", -1},
      {"soon", -1},
  };
  for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
    assert_int_equal(retry_after_ms(str_of(CASES[i].text), NOW_US), CASES[i].ms);
  assert_int_equal(retry_after_ms((struct str){0}, NOW_US), -1);
  assert_true(retry_after_ms(STR("99999999999999999999999999"), NOW_US) > 1000 * HOUR_MS);
  assert_true(retry_after_ms(STR("9223372036854775807"), NOW_US) > 1000 * HOUR_MS);
  assert_int_equal(retry_after_ms(STR("Tue, 14 Nov 2023 22:14:20 GMT"), NOW_US + 1), 60000); // rounded up
}

static void test_a_wait_is_anywhere_up_to_its_step(void **state) {
  (void)state;
  struct retry_config config = config_default();
  static const int64_t STEPS_MS[] = {5000,    30000,    120000,   600000,   1800000, 3600000,
                                     7200000, 14400000, 28800000, 28800000, 28800000};
  for (int attempts = 1; attempts <= (int)ARRAY_LEN(STEPS_MS); attempts++) {
    int64_t wait_ms;
    int64_t step_ms = STEPS_MS[attempts - 1];
    assert_int_equal(retry_next(&config, RETRY_SCHEDULE, attempts, NOW_US, NOW_US, 0, &wait_ms), RETRY_AGAIN);
    assert_int_equal(wait_ms, 0);
    assert_int_equal(retry_next(&config, RETRY_SCHEDULE, attempts, NOW_US, NOW_US, UINT32_MAX, &wait_ms), RETRY_AGAIN);
    assert_int_equal(wait_ms, step_ms - 1);
    assert_int_equal(retry_next(&config, RETRY_SCHEDULE, attempts, NOW_US, NOW_US, UINT32_C(1) << 31, &wait_ms),
                     RETRY_AGAIN);
    assert_int_equal(wait_ms, step_ms / 2);
  }
}

static void test_the_schedule_ends_after_three_days(void **state) {
  (void)state;
  struct retry_config config = config_default();
  int64_t wait_ms, end_us = NOW_US + config.give_up_ms * US_PER_MS;
  assert_int_equal(retry_next(&config, RETRY_SCHEDULE, 12, NOW_US, end_us - 1000 * US_PER_MS, UINT32_MAX, &wait_ms),
                   RETRY_AGAIN);
  assert_int_equal(wait_ms, 1000); // the last try is at the end, not after it
  assert_int_equal(retry_next(&config, RETRY_SCHEDULE, 13, NOW_US, end_us, 0, &wait_ms), RETRY_GIVE_UP);
  assert_int_equal(retry_next(&config, RETRY_SCHEDULE, 2, NOW_US, end_us + US_PER_S, 0, &wait_ms), RETRY_GIVE_UP);
}

static void test_answers_that_a_retry_will_hardly_change(void **state) {
  (void)state;
  struct retry_config config = config_default();
  int64_t wait_ms;
  assert_int_equal(retry_next(&config, RETRY_FEW, 1, NOW_US, NOW_US, 7, &wait_ms), RETRY_AGAIN);
  assert_int_equal(retry_next(&config, RETRY_FEW, 2, NOW_US, NOW_US, 7, &wait_ms), RETRY_AGAIN);
  assert_int_equal(retry_next(&config, RETRY_FEW, 3, NOW_US, NOW_US, 7, &wait_ms), RETRY_GIVE_UP);
  assert_int_equal(retry_next(&config, RETRY_NEVER, 1, NOW_US, NOW_US, 7, &wait_ms), RETRY_GIVE_UP);
  assert_int_equal(retry_next(&config, RETRY_SUSPEND, 1, NOW_US, NOW_US, 7, &wait_ms), RETRY_AGAIN);
  assert_int_equal(wait_ms, 0);
}

static void test_pulls_and_retries_come_after_pushes(void **state) {
  (void)state;
  assert_int_equal(retry_prio(EVENT_PUSH_ARTIFACT, 0), 0);
  assert_int_equal(retry_prio(EVENT_DELETE_ARTIFACT, 0), 0);
  assert_int_equal(retry_prio(EVENT_PULL_ARTIFACT, 0), 1);
  for (int attempts = 1; attempts <= 3; attempts++)
    assert_int_equal(retry_prio(EVENT_PULL_ARTIFACT, attempts), 2);
  assert_int_equal(retry_prio(EVENT_PUSH_ARTIFACT, 4), 3);
}

static void test_the_table_says_what_the_code_does(void **state) {
  (void)state;
  struct retry_config config = config_default();
  struct buf out;
  buf_init(&out, 64 * 1024);
  retry_write_table(&config, &out);
  assert_false(out.failed);
  struct str text = buf_str(&out);
  static const char *const PARTS[] = {
      "| 410 | the endpoint is gone | the target is suspended; its deliveries wait until it is resumed |\n",
      "| 429 | the receiver asks for less | the whole schedule, and the whole target pauses |\n",
      "| 300 to 399 | a redirect; it is not followed | 3 tries in all, then failed |\n",
      "| blocked | ",
      "5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 2 h, 4 h, 8 h; the last step repeats until 3 d after the first try.\n",
      "| `channel_is_archived` | the target is suspended",
      "| `invalid_payload` | failed at once",
  };
  for (size_t i = 0; i < ARRAY_LEN(PARTS); i++)
    assert_true(str_contains(text, str_of(PARTS[i])));
  buf_free(&out);
}

static void assert_explained(enum target_type type, const char *outcome, int status, const char *body, int number,
                             enum retry_followed followed, const char *expected) {
  struct retry_config config = config_default();
  const struct retry_past past = {
      .type = type, .outcome = str_of(outcome), .status = status, .response_body = str_of(body), .number = number};
  struct buf out;

  buf_init(&out, 1024);
  retry_explain(&config, &past, followed, &out);
  assert_false(out.failed);
  if (!str_eq_c(buf_str(&out), expected))
    fail_msg("%.*s, not %s", STR_ARG(buf_str(&out)), expected);
  buf_free(&out);
}

static void test_a_try_says_why_another_followed(void **state) {
  static const struct {
    const char *outcome;
    int status, number;
    enum retry_followed followed;
    const char *words;
  } CASES[] = {
      {"http_error", 500, 1, RETRY_FOLLOWED, "the receiver failed: tried again, up to 5 s later"},
      {"http_error", 599, 3, RETRY_FOLLOWED_LATER, "the receiver failed: tried again, within 2 min"},
      {"http_error", 503, 2, RETRY_FOLLOWED_LATER,
       "the receiver is not there just now: tried again, within 30 s or when the pause that it asked for is over"},
      {"http_error", 429, 10, RETRY_FOLLOWED,
       "the receiver asks for less: tried again, up to 8 h later or when the pause that it asked for is over"},
      {"http_error", 404, 2, RETRY_FOLLOWED,
       "the receiver does not want this request: tried again, up to 30 s later; such an answer is tried 3 times"},
      {"http_error", 302, 3, RETRY_FOLLOWED_FAILED,
       "a redirect; it is not followed: such an answer is tried 3 times and no more"},
      {"http_error", 410, 1, RETRY_FOLLOWED_LATER,
       "the endpoint is gone: the target is suspended; its deliveries wait until it is resumed"},
      {"http_error", 410, 1, RETRY_FOLLOWED,
       "the endpoint is gone: the target was suspended, and tried again once it was resumed"},
      {"connect", 0, 1, RETRY_FOLLOWED, "no connection: refused, unreachable: tried again, up to 5 s later"},
      {"timeout", 0, 17, RETRY_FOLLOWED_FAILED,
       "no answer within the deadlines: given up, as the schedule ends 3 d after the first try"},
      {"blocked", 0, 3, RETRY_FOLLOWED_FAILED,
       "our egress guard refused the address; nothing was sent: such an answer is tried 3 times and no more"},
      {"dns", 0, 1, RETRY_FOLLOWED_CANCEL,
       "the name could not be resolved: not tried again, because the webhook was disabled, changed or deleted"},
      {"http_error", 410, 1, RETRY_FOLLOWED_CANCEL,
       "the endpoint is gone: not tried again, because the webhook was disabled, changed or deleted"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
    assert_explained(TARGET_HTTP, CASES[i].outcome, CASES[i].status, "", CASES[i].number, CASES[i].followed,
                     CASES[i].words);
}

static void test_slacks_words_explain_a_try(void **state) {
  static const char waits[] =
      "Slack names the reason in its answer: the target is suspended; its deliveries wait until "
      "it is resumed";

  (void)state;
  assert_explained(TARGET_SLACK, "http_error", 400, "invalid_payload", 1, RETRY_FOLLOWED_FAILED,
                   "Slack names the reason in its answer: another try cannot help");
  assert_explained(TARGET_SLACK, "http_error", 404, "no_service", 1, RETRY_FOLLOWED_LATER, waits);
  // An error in an answer of 200 is no delivery, whatever the status says.
  assert_explained(TARGET_SLACK, "http_error", 200, " channel_not_found\n", 1, RETRY_FOLLOWED_LATER, waits);
  assert_explained(TARGET_SLACK, "http_error", 429, "no_service", 1, RETRY_FOLLOWED_LATER,
                   "the receiver asks for less: tried again, within 5 s or when the pause that it asked for is over");
  assert_explained(TARGET_HTTP, "success", 200, "channel_not_found", 1, RETRY_FOLLOWED_LATER, "");
}

static void test_a_success_and_what_no_rule_knows_need_no_words(void **state) {
  (void)state;
  for (int followed = RETRY_FOLLOWED; followed <= RETRY_FOLLOWED_CANCEL; followed++) {
    assert_explained(TARGET_HTTP, "success", 204, "", 1, (enum retry_followed)followed, "");
    assert_explained(TARGET_SLACK, "success", 200, "ok", 1, (enum retry_followed)followed, "");
    assert_explained(TARGET_HTTP, "local", 0, "", 1, (enum retry_followed)followed, "");
    assert_explained(TARGET_HTTP, "", 0, "", 1, (enum retry_followed)followed, "");
    assert_explained(TARGET_HTTP, "of another version", 0, "", 1, (enum retry_followed)followed, "");
  }
}

static void test_the_breaker_opens_after_failures_over_a_span(void **state) {
  (void)state;
  const struct breaker_config config = {
      .failures = 10, .span_ms = 30000, .probe_min_ms = 30000, .probe_max_ms = 900000};
  struct breaker breaker = {0};
  for (int i = 0; i < 20; i++) // fast ones alone do not open it
    assert_false(breaker_failure(&breaker, &config, US_PER_S + i * US_PER_MS));
  assert_true(breaker_failure(&breaker, &config, US_PER_S + 30 * US_PER_S));
  assert_true(breaker.open);
  assert_int_equal(breaker.probe_ms, 30000);
  static const uint32_t PROBES_MS[] = {60000, 120000, 240000, 480000, 900000, 900000};
  for (size_t i = 0; i < ARRAY_LEN(PROBES_MS); i++) {
    assert_false(breaker_failure(&breaker, &config, 100 * US_PER_S));
    assert_int_equal(breaker.probe_ms, PROBES_MS[i]);
  }
  assert_true(breaker_success(&breaker));
  assert_false(breaker.open);
  assert_false(breaker_success(&breaker));
}

static void test_a_success_ends_the_streak(void **state) {
  (void)state;
  const struct breaker_config config = {.failures = 3, .span_ms = 1000, .probe_min_ms = 10, .probe_max_ms = 10};
  struct breaker breaker = {0};
  assert_false(breaker_failure(&breaker, &config, US_PER_S));
  assert_false(breaker_failure(&breaker, &config, 3 * US_PER_S));
  assert_false(breaker_success(&breaker));
  assert_false(breaker_failure(&breaker, &config, 4 * US_PER_S));
  assert_false(breaker_failure(&breaker, &config, 6 * US_PER_S)); // two in a row again
  assert_true(breaker_failure(&breaker, &config, 7 * US_PER_S));
}

static void test_the_window_is_bounded_and_forgets_without_losing(void **state) {
  (void)state;
  struct window *window = window_new(3);
  struct window_queue queue, other;
  int64_t id, due_us;
  assert_non_null(window);
  window_queue_init(&queue);
  window_queue_init(&other);
  assert_int_equal(window_next_us(&queue), WINDOW_NOTHING);
  assert_true(window_push(window, &queue, 1, 10));
  assert_true(window_push(window, &queue, 2, 20));
  assert_true(window_push(window, &other, 3, 5));
  assert_false(window_push(window, &queue, 4, 30)); // the pool is empty
  window_in_store(&queue, 30);
  assert_int_equal(window_used(window), 3);
  assert_true(window_front_is_next(&queue));
  assert_true(window_pop(window, &queue, &id, &due_us));
  assert_int_equal(id, 1);
  assert_int_equal(window_next_us(&queue), 20);
  assert_int_equal(window_forget(window, &queue), 1);
  assert_int_equal(window_next_us(&queue), 20); // the store has it
  assert_false(window_front_is_next(&queue));
  assert_false(window_pop(window, &queue, &id, &due_us));
  assert_int_equal(window_used(window), 1);
  for (int i = 0; i < 100; i++) { // entries are used again
    assert_true(window_push(window, &queue, i, i));
    assert_true(window_pop(window, &queue, &id, &due_us));
    assert_int_equal(id, i);
  }
  window_free(window);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_status_means_what_the_document_says),
      cmocka_unit_test(test_each_outcome_without_an_answer),
      cmocka_unit_test(test_slack_is_judged_by_its_words),
      cmocka_unit_test(test_retry_after_in_all_its_forms),
      cmocka_unit_test(test_a_wait_is_anywhere_up_to_its_step),
      cmocka_unit_test(test_the_schedule_ends_after_three_days),
      cmocka_unit_test(test_answers_that_a_retry_will_hardly_change),
      cmocka_unit_test(test_pulls_and_retries_come_after_pushes),
      cmocka_unit_test(test_the_table_says_what_the_code_does),
      cmocka_unit_test(test_a_try_says_why_another_followed),
      cmocka_unit_test(test_slacks_words_explain_a_try),
      cmocka_unit_test(test_a_success_and_what_no_rule_knows_need_no_words),
      cmocka_unit_test(test_the_breaker_opens_after_failures_over_a_span),
      cmocka_unit_test(test_a_success_ends_the_streak),
      cmocka_unit_test(test_the_window_is_bounded_and_forgets_without_losing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
