// SPDX-License-Identifier: Apache-2.0
// Sending with the real store, client and guard; receivers on loopback; simulated time.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "format/format.h"
#include "store/policies.h"
#include "support/dispatch_fixture.h"

// ---- tests ----------------------------------------------------------------------------------------------------------

static void test_an_event_is_delivered_and_its_attempt_recorded(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add_at(fixture, NULL, TARGET_HTTP, "Bearer very-secret");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  WAIT_FOR(fixture, hook->requests == 1);
  dispatch_fixture_wait_quiet(fixture);
  int64_t id = fixture->seen[0].delivery_id;
  assert_true(strncmp(hook->last, "POST /hook?key=geheim HTTP/1.1\r\n", 32) == 0);
  assert_true(str_eq_c(test_request_header(hook->last, "Content-Type"), "application/json"));
  assert_true(str_eq_c(test_request_header(hook->last, "User-Agent"), "Harbinger/test"));
  assert_true(str_eq_c(test_request_header(hook->last, "Authorization"), "Bearer very-secret"));
  assert_int_equal(test_request_number(hook->last, "webhook-timestamp"), START_US / US_PER_S);
  assert_int_equal(test_request_header(hook->last, "webhook-id").len, 36);
  assert_true(str_eq_c(test_request_header(hook->last, "X-Harbinger-Attempt"), "1"));
  assert_true(str_eq_c(test_request_header(hook->last, "X-Harbinger-Event"), "PUSH_ARTIFACT"));
  assert_true(test_delivery_is(fixture, id, DELIVERY_SUCCEEDED));
  struct attempt attempt = test_attempt_get(fixture, id, 1);
  assert_int_equal(attempt.status, 200);
  assert_true(str_eq_c(attempt.outcome, "success"));
  assert_true(str_contains(attempt.request_headers, STR("Authorization: ********\n")));
  assert_false(str_contains(attempt.request_headers, STR("very-secret")));
  assert_false(str_contains(attempt.request_headers, STR("geheim")));
  assert_true(str_eq_c(attempt.response_headers, "Content-Length: 2\n"));
  assert_true(str_eq_c(attempt.response_body, "ok"));
  // The bytes that were sent are the bytes that are kept.
  struct str body;
  struct error err;
  struct format_input input = {.format = PAYLOAD_DEFAULT, .extras = true};
  char key[FORMAT_KEY_BYTES];
  assert_int_equal(delivery_body(fixture->own_reader, id, format_key(&input, key), fixture->arena, &body, &err), 0);
  assert_non_null(body.ptr);
  assert_true(str_eq(body, str_of(strstr(hook->last, "\r\n\r\n") + 4)));
  dispatch_fixture_advance(fixture, 2000);
  assert_false(test_hook_lane_state(hook).known); // a lane without work is no lane
}

static void test_userinfo_of_the_address_is_sent_as_basic(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add_at(fixture, "al%40ice:pass@127.0.0.1", TARGET_HTTP, "");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  WAIT_FOR(fixture, hook->requests == 1);
  dispatch_fixture_wait_quiet(fixture);
  assert_true(str_eq_c(test_request_header(hook->last, "Authorization"), "Basic YWxAaWNlOnBhc3M="));
  struct attempt attempt = test_attempt_get(fixture, fixture->seen[0].delivery_id, 1);
  assert_true(str_contains(attempt.request_headers, STR("Authorization: ********\n")));
  assert_false(str_contains(attempt.request_headers, STR("pass")));
}

static void test_three_days_of_retries_follow_the_schedule(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = STATUS_ANSWER("500 Internal Server Error");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  WAIT_FOR(fixture, hook->requests == 1);
  const struct retry_config *retry = &fixture->config.retry;
  int64_t id = fixture->seen[0].delivery_id;
  for (int number = 1;; number++) {
    dispatch_fixture_wait_quiet(fixture);
    assert_int_equal(hook->requests, number);
    assert_int_equal(fixture->seen[number - 1].attempt, number);
    struct delivery delivery = test_delivery_get(fixture, id);
    assert_int_equal(delivery.attempts, number);
    if (delivery.state == DELIVERY_FAILED)
      break;
    assert_int_equal(delivery.state, DELIVERY_RETRYING);
    size_t step = (size_t)number - 1 < retry->steps_len ? (size_t)number - 1 : retry->steps_len - 1;
    int64_t wait_us = delivery.due_us - clock_wall_us(&fixture->clock);
    assert_true(wait_us >= 0 && wait_us <= retry->steps_ms[step] * US_PER_MS);
    assert_true(delivery.due_us <= START_US + retry->give_up_ms * US_PER_MS);
    if (wait_us > US_PER_MS) { // not before it is due
      clock_advance(&fixture->clock, wait_us - US_PER_MS);
      dispatch_fixture_settle(fixture);
      assert_int_equal(hook->requests, number);
      wait_us = US_PER_MS;
    }
    clock_advance(&fixture->clock, wait_us);
    WAIT_FOR(fixture, hook->requests == number + 1);
  }
  assert_true(hook->requests > 12);
  assert_true(clock_wall_us(&fixture->clock) == START_US + retry->give_up_ms * US_PER_MS);
  dispatch_fixture_advance(fixture, 72 * HOUR_MS);
  dispatch_fixture_wait_quiet(fixture);
  assert_false(test_delivery_is(fixture, id, DELIVERY_RETRYING));
}

static void test_an_answer_that_a_retry_will_hardly_change_gets_three_tries(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = STATUS_ANSWER("404 Not Found");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  for (int number = 1; number <= 3; number++) {
    WAIT_FOR(fixture, hook->requests == number);
    dispatch_fixture_wait_quiet(fixture);
    dispatch_fixture_advance(fixture, MINUTE_MS);
  }
  dispatch_fixture_advance(fixture, HOUR_MS);
  dispatch_fixture_wait_quiet(fixture);
  assert_int_equal(hook->requests, 3);
  int64_t id = fixture->seen[0].delivery_id;
  assert_true(test_delivery_is(fixture, id, DELIVERY_FAILED));
  assert_true(str_eq_c(test_attempt_get(fixture, id, 3).words, "the receiver answered 404 Not Found"));
}

static void test_retry_after_pauses_the_whole_lane(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture), *other = test_hook_add(fixture);
  hook->answer = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n";
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 3);
  WAIT_FOR(fixture, hook->requests == 1 && other->requests == 3);
  dispatch_fixture_wait_quiet(fixture);
  struct dispatch_lane_state lane = test_hook_lane_state(hook);
  assert_true(lane.known && lane.paused && !lane.breaker_open);
  assert_int_equal(lane.next_us, START_US + 120 * US_PER_S);
  hook->answer = OK_ANSWER;
  dispatch_fixture_advance(fixture, 119 * 1000);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT); // a newcomer waits too
  WAIT_FOR(fixture, other->requests == 4);
  dispatch_fixture_wait_quiet(fixture);
  assert_int_equal(hook->requests, 1);
  dispatch_fixture_advance(fixture, 1000);
  WAIT_FOR(fixture, hook->requests == 5);
  for (int i = 0; i < fixture->seen_len; i++)
    assert_true(fixture->seen[i].hook == 1 || i == 0 || fixture->seen[i].at_us == START_US + 120 * US_PER_S ||
                fixture->seen[i].at_us == START_US);
}

static void test_503_without_retry_after_pauses_longer_each_time(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = STATUS_ANSWER("503 Service Unavailable");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 5);
  for (int i = 0; i < 4; i++) {
    WAIT_FOR(fixture, hook->requests == i + 1);
    dispatch_fixture_wait_quiet(fixture);
    assert_int_equal(test_hook_lane_state(hook).next_us - clock_wall_us(&fixture->clock), (5 * US_PER_S) << i);
    dispatch_fixture_advance(fixture, 5000 << i);
  }
}

static void test_410_suspends_and_its_deliveries_wait_for_a_person(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = STATUS_ANSWER("410 Gone");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 2);
  WAIT_FOR(fixture, hook->requests == 1);
  dispatch_fixture_wait_quiet(fixture);
  dispatch_fixture_advance(fixture, HOUR_MS);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  dispatch_fixture_wait_quiet(fixture);
  assert_int_equal(hook->requests, 1);
  assert_true(test_delivery_is(fixture, fixture->seen[0].delivery_id, DELIVERY_RETRYING));
  struct target target;
  bool enabled;
  struct error err;
  assert_int_equal(target_get(fixture->own_reader, hook->target_id, fixture->arena, &target, &enabled, &err), 0);
  assert_true(target.suspended);
  assert_true(str_eq_c(target.suspended_reason, "the receiver answered 410 Gone"));
  hook->answer = OK_ANSWER;
  test_hook_save(hook);
  dispatch_wake(fixture->dispatch, &hook->target_id, 1);
  WAIT_FOR(fixture, hook->requests == 4);
  dispatch_fixture_wait_quiet(fixture);
  assert_true(test_delivery_is(fixture, fixture->seen[0].delivery_id, DELIVERY_SUCCEEDED));
}

static void test_the_breaker_lets_only_the_head_probe(void **state) {
  struct dispatch_fixture *fixture = *state;
  fixture->config.breaker_failures = 3;
  fixture->config.breaker_span_ms = 1000;
  dispatch_fixture_reopen(fixture);
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = STATUS_ANSWER("500 Internal Server Error");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 2);
  WAIT_FOR(fixture, hook->requests >= 2);
  dispatch_fixture_wait_quiet(fixture);
  for (int i = 0; i < 20 && !test_hook_lane_state(hook).breaker_open; i++) {
    dispatch_fixture_advance(fixture, 5000);
    dispatch_fixture_wait_quiet(fixture);
  }
  assert_true(test_hook_lane_state(hook).breaker_open);
  assert_int_equal(dispatch_fixture_gauge(fixture, "harbinger_breakers_open"), 1);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 3); // they spend no tries
  int64_t head = 0, wait_ms = 30000;
  int requests = hook->requests;
  for (int i = 0; i < 8; i++) {
    dispatch_fixture_wait_quiet(fixture);
    struct dispatch_lane_state lane = test_hook_lane_state(hook);
    assert_true(lane.breaker_open);
    assert_int_equal(lane.next_us - clock_wall_us(&fixture->clock), wait_ms * US_PER_MS);
    dispatch_fixture_advance(fixture, wait_ms - 1);
    dispatch_fixture_wait_quiet(fixture);
    assert_int_equal(hook->requests, requests);
    clock_advance(&fixture->clock, US_PER_MS);
    requests++;
    WAIT_FOR(fixture, hook->requests == requests);
    const struct test_request *seen = &fixture->seen[fixture->seen_len - 1];
    assert_true(head == 0 || seen->delivery_id == head);
    head = seen->delivery_id;
    wait_ms = wait_ms * 2 < fixture->config.probe_max_ms ? wait_ms * 2 : fixture->config.probe_max_ms;
  }
  dispatch_fixture_wait_quiet(fixture);
  hook->answer = OK_ANSWER;
  dispatch_fixture_advance(fixture, wait_ms);
  WAIT_FOR(fixture, hook->requests == requests + 5); // the head, then the other four
  dispatch_fixture_wait_quiet(fixture);
  assert_false(test_hook_lane_state(hook).breaker_open);
  assert_int_equal(dispatch_fixture_gauge(fixture, "harbinger_breakers_open"), 0);
}

static void test_no_first_byte_leaves_after_a_cancel(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add_at(fixture, "slow.example.com", TARGET_HTTP, "");
  dns_server_silence(fixture->names, "slow.example.com");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 2);
  WAIT_FOR(fixture, dispatch_fixture_gauge(fixture, "harbinger_deliveries_running") == 1);
  WAIT_FOR(fixture, dns_server_asked(fixture->names, "slow.example.com") == 1);
  hook->policy.enabled = false;
  test_hook_save(hook);
  test_hook_cancel(hook);
  dns_server_set(fixture->names, "slow.example.com", "127.0.0.1", 60);
  dispatch_fixture_wait_quiet(fixture);
  dispatch_fixture_advance(fixture, HOUR_MS);
  dispatch_fixture_wait_quiet(fixture);
  assert_int_equal(hook->receiver->accepted, 0);
  assert_true(test_delivery_is(fixture, 1, DELIVERY_CANCELLED));
  assert_true(test_delivery_is(fixture, 2, DELIVERY_CANCELLED));
}

static void test_a_request_on_its_way_survives_a_cancel_and_is_recorded(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = NULL;
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 2);
  WAIT_FOR(fixture, hook->requests == 1);
  hook->policy.enabled = false;
  test_hook_save(hook);
  test_hook_cancel(hook);
  peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
  dispatch_fixture_wait_quiet(fixture);
  assert_int_equal(hook->requests, 1);
  assert_true(test_delivery_is(fixture, fixture->seen[0].delivery_id, DELIVERY_SUCCEEDED));
}

static void test_a_dead_lane_delays_no_other(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *dead = test_hook_add(fixture),
                   *slow_name = test_hook_add_at(fixture, "slow.example.com", TARGET_HTTP, "");
  struct test_hook *alive = test_hook_add(fixture);
  dead->answer = NULL;
  dns_server_silence(fixture->names, "slow.example.com");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 30);
  WAIT_FOR(fixture, alive->requests == 30); // and no time has passed
  assert_int_equal(dead->requests, 1);
  assert_int_equal(slow_name->requests, 0);
}

static void test_a_lane_starts_with_one_and_doubles(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = NULL;
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 40);
  WAIT_FOR(fixture, hook->requests == 1);
  assert_int_equal(test_hook_lane_state(hook).running, 1);
  peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
  WAIT_FOR(fixture, hook->requests == 3);
  peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
  WAIT_FOR(fixture, hook->requests == 6); // four on their way
  peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
  WAIT_FOR(fixture, hook->requests == 11); // eight: the limit
  peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
  WAIT_FOR(fixture, hook->requests == 12);
  dispatch_fixture_settle(fixture);
  assert_int_equal(hook->requests, 12);
}

static void test_pushes_overtake_pulls_but_do_not_stop_them(void **state) {
  struct dispatch_fixture *fixture = *state;
  fixture->config.lane_concurrency = 1;
  dispatch_fixture_reopen(fixture);
  struct test_hook *hook = test_hook_add(fixture);
  dispatch_fixture_start(fixture);
  dispatch_store_health(fixture->dispatch, false);
  dispatch_fixture_happen_times(fixture, EVENT_PULL_ARTIFACT, 8);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 8);
  dispatch_fixture_settle(fixture);
  assert_int_equal(hook->requests, 0);
  dispatch_store_health(fixture->dispatch, true);
  WAIT_FOR(fixture, hook->requests == 16);
  int pushes = 0;
  for (int i = 0; i < 6; i++)
    pushes += fixture->seen[i].type == EVENT_PUSH_ARTIFACT;
  assert_int_equal(pushes, 4);
  for (int i = 6; i < 12; i++)
    pushes += fixture->seen[i].type == EVENT_PUSH_ARTIFACT;
  assert_int_equal(pushes, 8);
}

static void test_a_full_window_falls_back_to_the_store(void **state) {
  struct dispatch_fixture *fixture = *state;
  fixture->config.window = 4;
  dispatch_fixture_reopen(fixture);
  struct test_hook *hook = test_hook_add(fixture);
  test_hook_add(fixture);
  dispatch_fixture_start(fixture);
  dispatch_store_health(fixture->dispatch, false);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 70); // more than one page each
  dispatch_fixture_settle(fixture);
  assert_true(dispatch_fixture_gauge(fixture, "harbinger_window_deliveries") <= 4);
  dispatch_store_health(fixture->dispatch, true);
  WAIT_FOR(fixture, fixture->seen_len == 140);
  dispatch_fixture_wait_quiet(fixture);
  dispatch_fixture_assert_each_once(fixture, 140);
  assert_int_equal(hook->requests, 70);
}

static void test_a_notice_that_comes_late_sends_nothing_twice(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = NULL;
  dispatch_fixture_start(fixture);
  atomic_store(&fixture->deaf_to_notices, true);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 3);
  dispatch_wake(fixture->dispatch, &hook->target_id, 1);
  WAIT_FOR(fixture, hook->requests == 1); // the window has the other two from the store
  struct delivery_notice notices[3];
  for (int i = 0; i < 3; i++)
    notices[i] = (struct delivery_notice){.delivery_id = i + 1, .target_id = hook->target_id, .due_us = START_US};
  dispatch_notify(fixture->dispatch, notices, 3);
  dispatch_fixture_settle(fixture);
  hook->answer = OK_ANSWER;
  peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
  WAIT_FOR(fixture, hook->requests == 3);
  dispatch_fixture_wait_quiet(fixture);
  dispatch_fixture_assert_each_once(fixture, 3);
}

static void test_lost_notices_cost_time_only(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  dispatch_fixture_start(fixture);
  dispatch_fixture_settle(fixture);
  atomic_store(&fixture->deaf_to_notices, true);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 3);
  dispatch_fixture_advance(fixture, 29 * 1000);
  assert_int_equal(hook->requests, 0);
  dispatch_fixture_advance(fixture, 1000);
  WAIT_FOR(fixture, hook->requests == 3);
  dispatch_fixture_wait_quiet(fixture);
  dispatch_fixture_assert_each_once(fixture, 3);
}

static void test_a_restart_picks_up_what_waits(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = NULL;
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 3);
  WAIT_FOR(fixture, hook->requests == 1);
  dispatch_fixture_settle(fixture);
  dispatch_fixture_reopen(fixture);
  hook->answer = OK_ANSWER;
  dispatch_fixture_start(fixture);
  WAIT_FOR(fixture, hook->requests == 4);
  dispatch_fixture_wait_quiet(fixture);
  for (int i = 1; i < 4; i++)
    assert_true(test_delivery_is(fixture, fixture->seen[i].delivery_id, DELIVERY_SUCCEEDED));
  assert_int_equal(fixture->seen[0].delivery_id, fixture->seen[1].delivery_id); // the one cut off goes first again
  assert_int_equal(fixture->seen[1].attempt, 1);                                // nothing was recorded of it
}

static void on_drained(void *ctx) {
  struct dispatch_fixture *fixture = ctx;
  fixture->drained++;
}

static void test_a_drain_waits_for_what_runs_and_claims_nothing(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = NULL;
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 3);
  WAIT_FOR(fixture, hook->requests == 1);
  dispatch_drain(fixture->dispatch, on_drained, fixture);
  dispatch_fixture_settle(fixture);
  assert_int_equal(fixture->drained, 0);
  peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
  WAIT_FOR(fixture, fixture->drained == 1);
  dispatch_fixture_settle(fixture);
  assert_int_equal(hook->requests, 1);
  assert_true(test_delivery_is(fixture, fixture->seen[0].delivery_id, DELIVERY_SUCCEEDED));
}

static void test_what_cannot_be_recorded_is_not_sent_again(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = NULL;
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  WAIT_FOR(fixture, hook->requests == 1);
  store_stop(fixture->store);
  fixture->store_stopped = true;
  peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
  dispatch_fixture_settle(fixture);
  for (int i = 0; i < 100; i++)
    dispatch_fixture_advance(fixture, MINUTE_MS);
  assert_int_equal(hook->requests, 1);
  assert_int_equal(dispatch_fixture_gauge(fixture, "harbinger_deliveries_running"), 1);
}

// Keeps the writer busy until it is let go.
struct block {
  struct store_write write;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool began, go_on;
};

static int apply_block(struct store_conn *conn, struct store_write *w, struct error *err) {
  (void)conn;
  (void)err;
  struct block *block = CONTAINER_OF(w, struct block, write);
  pthread_mutex_lock(&block->lock);
  block->began = true;
  pthread_cond_broadcast(&block->changed);
  while (!block->go_on)
    pthread_cond_wait(&block->changed, &block->lock);
  pthread_mutex_unlock(&block->lock);
  return 0;
}

static int apply_nothing(struct store_conn *conn, struct store_write *w, struct error *err) {
  (void)conn;
  (void)w;
  (void)err;
  return 0;
}

static void done_nothing(struct store_write *w) {
  (void)w;
}

static void block_writer(struct dispatch_fixture *fixture, struct block *block) {
  struct error err;
  *block = (struct block){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
  block->write = (struct store_write){.apply = apply_block, .done = done_nothing};
  assert_int_equal(store_submit(fixture->store, &block->write, &err), 0);
  pthread_mutex_lock(&block->lock);
  while (!block->began)
    pthread_cond_wait(&block->changed, &block->lock);
  pthread_mutex_unlock(&block->lock);
}

static void let_writer_go(struct block *block) {
  pthread_mutex_lock(&block->lock);
  block->go_on = true;
  pthread_cond_broadcast(&block->changed);
  pthread_mutex_unlock(&block->lock);
}

static void test_an_attempt_that_the_store_refuses_is_handed_over_again(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  struct block block;
  struct error err;
  size_t count = 0;
  hook->answer = NULL;
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 2);
  WAIT_FOR(fixture, hook->requests == 1);
  block_writer(fixture, &block);
  struct store_write *writes = arena_array(fixture->arena, 16384, sizeof(*writes));
  assert_non_null(writes);
  for (;; count++) { // until the queue is full
    assert_true(count < 16384);
    writes[count] = (struct store_write){.apply = apply_nothing, .done = done_nothing};
    if (store_submit(fixture->store, &writes[count], &err) != 0)
      break;
  }
  assert_int_equal(err.code, ERR_FULL);
  hook->answer = OK_ANSWER;
  peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
  WAIT_FOR(fixture, hook->requests == 2); // the next one does not wait for the disk
  dispatch_fixture_settle(fixture);
  assert_int_equal(dispatch_fixture_gauge(fixture, "harbinger_deliveries_running"), 2);
  let_writer_go(&block);
  for (int i = 0; i < DISPATCH_FIXTURE_STEPS && dispatch_fixture_gauge(fixture, "harbinger_deliveries_running") != 0;
       i++) {
    clock_advance(&fixture->clock, US_PER_S);
    loop_step(fixture->loop, DISPATCH_FIXTURE_STEP_MS);
  }
  dispatch_fixture_wait_quiet(fixture);
  dispatch_fixture_assert_each_once(fixture, 2);
  for (int i = 0; i < 2; i++) {
    assert_true(test_delivery_is(fixture, fixture->seen[i].delivery_id, DELIVERY_SUCCEEDED));
    assert_int_equal(test_delivery_get(fixture, fixture->seen[i].delivery_id).attempts, 1);
  }
}

// As a full disk does: no file of this process may grow.
static void set_disk_full(bool full) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = full ? 0 : limit.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_a_full_disk_loses_no_attempt(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture);
  assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
  hook->answer = NULL;
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  WAIT_FOR(fixture, hook->requests == 1);
  set_disk_full(true);
  peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
  for (int i = 0; i < DISPATCH_FIXTURE_STEPS && !atomic_load(&fixture->store_broken); i++)
    loop_step(fixture->loop, DISPATCH_FIXTURE_STEP_MS);
  dispatch_fixture_settle(fixture);
  set_disk_full(false);
  assert_true(atomic_load(&fixture->store_broken));
  assert_int_equal(dispatch_fixture_gauge(fixture, "harbinger_deliveries_running"), 1);
  assert_int_equal(hook->requests, 1);
  for (int i = 0; i < DISPATCH_FIXTURE_STEPS && atomic_load(&fixture->store_broken); i++) {
    clock_advance(&fixture->clock, US_PER_S);
    loop_step(fixture->loop, DISPATCH_FIXTURE_STEP_MS);
  }
  for (int i = 0; i < 10; i++)
    dispatch_fixture_advance(fixture, 1000);
  dispatch_fixture_wait_quiet(fixture);
  assert_int_equal(hook->requests, 1);
  assert_true(test_delivery_is(fixture, fixture->seen[0].delivery_id, DELIVERY_SUCCEEDED));
  assert_int_equal(test_delivery_get(fixture, fixture->seen[0].delivery_id).attempts, 1);
}

static void test_suspect_lanes_share_a_quarter_of_the_budget(void **state) {
  struct dispatch_fixture *fixture = *state;
  fixture->config.max_exchanging = 8; // two for suspects
  dispatch_fixture_reopen(fixture);
  struct test_hook *suspects[4];
  for (int i = 0; i < 4; i++) {
    suspects[i] = test_hook_add(fixture);
    suspects[i]->answer = STATUS_ANSWER("500 Internal Server Error");
  }
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  WAIT_FOR(fixture, fixture->seen_len == 4);
  dispatch_fixture_wait_quiet(fixture);
  for (int i = 0; i < 4; i++)
    suspects[i]->answer = NULL;
  struct test_hook *healthy = test_hook_add(fixture);
  dispatch_fixture_advance(fixture, 5000); // their second tries are due
  WAIT_FOR(fixture, fixture->seen_len == 6);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 20);
  WAIT_FOR(fixture, healthy->requests == 20);
  assert_int_equal(fixture->seen_len, 26);
  dispatch_fixture_advance(fixture, 3000); // slow by now: they still hold the suspects' share
  assert_int_equal(fixture->seen_len, 26);
  dispatch_fixture_advance(fixture, 7000); // no answer in 10 s: the next two have their turn
  WAIT_FOR(fixture, fixture->seen_len == 28);
  dispatch_fixture_settle(fixture);
  assert_int_equal(fixture->seen_len, 28);
}

static void test_slack_gets_one_message_a_second_and_is_judged_by_words(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add_at(fixture, NULL, TARGET_SLACK, "");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 3);
  for (int i = 1; i <= 3; i++) {
    WAIT_FOR(fixture, hook->requests == i);
    dispatch_fixture_wait_quiet(fixture);
    dispatch_fixture_advance(fixture, 999);
    assert_int_equal(hook->requests, i);
    hook->answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 15\r\n\r\ninvalid_payload";
    dispatch_fixture_advance(fixture, 1);
  }
  dispatch_fixture_wait_quiet(fixture);
  dispatch_fixture_advance(fixture, HOUR_MS);
  assert_int_equal(hook->requests, 3);
  assert_true(test_delivery_is(fixture, fixture->seen[0].delivery_id, DELIVERY_SUCCEEDED));
  assert_true(test_delivery_is(fixture, fixture->seen[1].delivery_id, DELIVERY_FAILED));
  assert_true(str_eq_c(test_attempt_get(fixture, fixture->seen[1].delivery_id, 1).words,
                       "the receiver answered 400 Bad Request: invalid_payload"));
}

static void test_a_refusal_of_the_guard_gets_three_tries_and_sends_nothing(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add_at(fixture, "192.168.7.7", TARGET_HTTP, "");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  for (int i = 0; i < 10 && !test_delivery_is(fixture, 1, DELIVERY_FAILED); i++) {
    dispatch_fixture_settle(fixture);
    dispatch_fixture_wait_quiet(fixture);
    dispatch_fixture_advance(fixture, MINUTE_MS);
  }
  dispatch_fixture_wait_quiet(fixture);
  struct delivery delivery = test_delivery_get(fixture, 1);
  assert_int_equal(delivery.state, DELIVERY_FAILED);
  assert_int_equal(delivery.attempts, 3);
  assert_true(str_eq_c(test_attempt_get(fixture, 1, 1).outcome, "blocked"));
  assert_int_equal(hook->receiver->accepted, 0);
}

static void test_a_changed_address_counts_from_the_next_try(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *hook = test_hook_add(fixture), *other = test_hook_add(fixture);
  hook->answer = STATUS_ANSWER("500 Internal Server Error");
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
  WAIT_FOR(fixture, hook->requests == 1 && other->requests == 1);
  dispatch_fixture_wait_quiet(fixture);
  test_hook_target(hook)->address = arena_printf(fixture->arena, "http://127.0.0.1:%u/moved", other->receiver->port);
  test_hook_save(hook);
  dispatch_fixture_advance(fixture, 5000);
  WAIT_FOR(fixture, other->requests == 2);
  assert_int_equal(hook->requests, 1);
  assert_true(strncmp(other->last, "POST /moved ", 12) == 0);
}

#define DISPATCH_TEST(test) cmocka_unit_test_setup_teardown(test, dispatch_fixture_set_up, dispatch_fixture_tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      DISPATCH_TEST(test_an_event_is_delivered_and_its_attempt_recorded),
      DISPATCH_TEST(test_userinfo_of_the_address_is_sent_as_basic),
      DISPATCH_TEST(test_three_days_of_retries_follow_the_schedule),
      DISPATCH_TEST(test_an_answer_that_a_retry_will_hardly_change_gets_three_tries),
      DISPATCH_TEST(test_retry_after_pauses_the_whole_lane),
      DISPATCH_TEST(test_503_without_retry_after_pauses_longer_each_time),
      DISPATCH_TEST(test_410_suspends_and_its_deliveries_wait_for_a_person),
      DISPATCH_TEST(test_the_breaker_lets_only_the_head_probe),
      DISPATCH_TEST(test_no_first_byte_leaves_after_a_cancel),
      DISPATCH_TEST(test_a_request_on_its_way_survives_a_cancel_and_is_recorded),
      DISPATCH_TEST(test_a_dead_lane_delays_no_other),
      DISPATCH_TEST(test_a_lane_starts_with_one_and_doubles),
      DISPATCH_TEST(test_pushes_overtake_pulls_but_do_not_stop_them),
      DISPATCH_TEST(test_a_full_window_falls_back_to_the_store),
      DISPATCH_TEST(test_a_notice_that_comes_late_sends_nothing_twice),
      DISPATCH_TEST(test_lost_notices_cost_time_only),
      DISPATCH_TEST(test_a_restart_picks_up_what_waits),
      DISPATCH_TEST(test_a_drain_waits_for_what_runs_and_claims_nothing),
      DISPATCH_TEST(test_what_cannot_be_recorded_is_not_sent_again),
      DISPATCH_TEST(test_an_attempt_that_the_store_refuses_is_handed_over_again),
      DISPATCH_TEST(test_a_full_disk_loses_no_attempt),
      DISPATCH_TEST(test_suspect_lanes_share_a_quarter_of_the_budget),
      DISPATCH_TEST(test_slack_gets_one_message_a_second_and_is_judged_by_words),
      DISPATCH_TEST(test_a_refusal_of_the_guard_gets_three_tries_and_sends_nothing),
      DISPATCH_TEST(test_a_changed_address_counts_from_the_next_try),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
