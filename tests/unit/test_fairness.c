// SPDX-License-Identifier: Apache-2.0
// Nobody waits for anybody, counted in turns and in simulated time: real store, client and guard, receivers on loopback.
#include <stdio.h>
#include <stdlib.h>

#include "store/policies.h"
#include "store/sqlite/conn.h"
#include "support/dispatch_fixture.h"

#define FAILURE STATUS_ANSWER("500 Internal Server Error")

// ---- classes of one lane --------------------------------------------------------------------------------------------

// How many requests of `type` came between number `from` and the first of another type.
static int waited_for(const struct dispatch_fixture *fixture, int from, enum event_type type) {
  int count = 0;
  while (from + count < fixture->seen_len && fixture->seen[from + count].type == type)
    count++;
  assert_true(from + count < fixture->seen_len);
  return count;
}

// Answers what is out, one after the other, until a request of another type than `type` has come.
static void answer_until_overtaken(struct test_hook *hook, int from, enum event_type type) {
  struct dispatch_fixture *fixture = hook->fixture;
  while (fixture->seen_len == from || fixture->seen[fixture->seen_len - 1].type == type) {
    int before = fixture->seen_len;
    peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
    WAIT_FOR(fixture, fixture->seen_len > before);
  }
}

static struct test_hook *one_at_a_time(struct dispatch_fixture *fixture) {
  fixture->config.lane_concurrency = 1;
  dispatch_fixture_reopen(fixture);
  struct test_hook *hook = test_hook_add(fixture);
  hook->answer = NULL;
  return hook;
}

// A push comes at every point of a lane that is busy with pulls. `pulls` of them wait already.
static void push_into_pulls(struct dispatch_fixture *fixture, int pulls, int pushes) {
  struct test_hook *hook = one_at_a_time(fixture);
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PULL_ARTIFACT, pulls);
  WAIT_FOR(fixture, fixture->seen_len == 1);
  for (int i = 0; i < pushes; i++) {
    for (int k = 0; k < i % 3; k++) { // some pulls more, so that the push meets each place of the turns
      int before = fixture->seen_len;
      peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
      WAIT_FOR(fixture, fixture->seen_len > before);
    }
    int from = fixture->seen_len; // one is on its way
    dispatch_fixture_happen(fixture, EVENT_PUSH_ARTIFACT);
    dispatch_fixture_settle(fixture);
    answer_until_overtaken(hook, from, EVENT_PULL_ARTIFACT);
    assert_true(waited_for(fixture, from, EVENT_PULL_ARTIFACT) <= 1); // with the one on its way: two
  }
}

static void test_a_push_waits_for_at_most_two_pulls_of_its_lane(void **state) {
  push_into_pulls(*state, 60, 12);
}

static void test_a_push_overtakes_a_backlog_that_no_window_holds(void **state) {
  struct dispatch_fixture *fixture = *state;
  fixture->config.window = 8;
  push_into_pulls(fixture, 120, 12);
}

static int make_late_retries(struct store_conn *conn, void *ctx, struct error *err) {
  (void)ctx;
  return conn_exec(conn, "UPDATE delivery SET state = 1, prio = 3, attempts = 5 WHERE state = 0", err);
}

// A first try, push or pull, comes at every point of a lane that is busy with late retries.
static void first_try_into_retries(struct dispatch_fixture *fixture, enum event_type type) {
  enum event_type other = type == EVENT_PUSH_ARTIFACT ? EVENT_PULL_ARTIFACT : EVENT_PUSH_ARTIFACT;
  struct test_hook *hook = one_at_a_time(fixture);
  struct error err;
  atomic_store(&fixture->deaf_to_notices, true);
  dispatch_fixture_happen_times(fixture, other, 40);
  assert_int_equal(store_write_sync(fixture->store, make_late_retries, NULL, &err), 0);
  atomic_store(&fixture->deaf_to_notices, false);
  dispatch_fixture_start(fixture);
  WAIT_FOR(fixture, fixture->seen_len == 1);
  assert_int_equal(fixture->seen[0].attempt, 6);
  for (int i = 0; i < 8; i++) {
    int from = fixture->seen_len;
    dispatch_fixture_happen(fixture, type);
    dispatch_fixture_settle(fixture);
    answer_until_overtaken(hook, from, other);
    assert_true(waited_for(fixture, from, other) <= 1);
    peer_send(&hook->receiver->peers[0], STR(OK_ANSWER));
    WAIT_FOR(fixture, fixture->seen[fixture->seen_len - 1].type == other);
  }
}

static void test_a_push_waits_for_at_most_one_late_retry(void **state) {
  first_try_into_retries(*state, EVENT_PUSH_ARTIFACT);
}

static void test_the_first_try_of_a_pull_waits_for_at_most_one_late_retry(void **state) {
  first_try_into_retries(*state, EVENT_PULL_ARTIFACT);
}

// ---- names ----------------------------------------------------------------------------------------------------------

static void test_a_dead_name_server_is_asked_once_by_a_lane_and_stalls_nobody(void **state) {
  struct dispatch_fixture *fixture = *state;
  struct test_hook *named = test_hook_add_at(fixture, "warm.example.com", TARGET_HTTP, "");
  struct test_hook *other = test_hook_add(fixture);
  dns_server_set(fixture->names, "warm.example.com", "127.0.0.1", 1);
  dispatch_fixture_start(fixture);
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 20);
  WAIT_FOR(fixture, named->requests == 20 && other->requests == 20);
  dispatch_fixture_wait_quiet(fixture);
  dns_server_silence(fixture->names, "warm.example.com");
  for (int i = 0; i < named->receiver->accepted; i++)
    peer_close(&named->receiver->peers[i]); // the lane is warm: eight at once would connect anew
  dispatch_fixture_advance(fixture, 2000);  // past the name's time to live
  int asked = dns_server_asked(fixture->names, "warm.example.com");
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, 40);
  WAIT_FOR(fixture, other->requests == 60); // and no time has passed
  WAIT_FOR(fixture, dns_server_asked(fixture->names, "warm.example.com") > asked);
  dispatch_fixture_settle(fixture);
  assert_int_equal(dns_server_asked(fixture->names, "warm.example.com"), asked + 1);
  assert_int_equal(named->requests, 20);
  dispatch_fixture_advance(fixture, 5000); // the resolver's budget: all that wait for the name end together
  dispatch_fixture_wait_quiet(fixture);
  assert_int_equal(named->requests, 20);
}

// ---- a thousand lanes -----------------------------------------------------------------------------------------------

enum {
  LANES = 1024,
  LANES_PER_POLICY = POLICY_MAX_TARGETS,
  EVERY_BAD_LANE = 10, // one in so many
  ROUNDS = 8,
  EVENTS_PER_ROUND = 3,
  ROUND_MS = 5000,
  TRICKLE_MS = 500,
  MAX_TRICKLING = 1024,
};

enum lane_kind { HEALTHY, BLACK_HOLE, TRICKLER, RESETTER, LIMITER, DEAD_NAME, LANE_KINDS };

struct crowd {
  struct dispatch_fixture *fixture;
  struct receiver *receiver;
  enum lane_kind kinds[LANES];
  int requests[LANES];
  int turns[LANES];   // of this round that it had
  int turn, round;    // requests of this round so far
  int latest_turn[4]; // the worst of this round: when the last lane had its first, second ... request
  struct receiver_peer *trickling[MAX_TRICKLING];
  int trickling_len;
  int bad_requests;
};

static enum lane_kind kind_of(int lane) {
  if (lane % EVERY_BAD_LANE != 3)
    return HEALTHY;
  return (enum lane_kind)(BLACK_HOLE + lane / EVERY_BAD_LANE % (LANE_KINDS - BLACK_HOLE));
}

static void answer_bad(struct crowd *crowd, struct receiver_peer *peer, enum lane_kind kind) {
  crowd->bad_requests++;
  if (kind == RESETTER) {
    peer_reset(peer);
  } else if (kind == LIMITER) {
    peer_send(peer, STR("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"));
  } else if (kind == TRICKLER) {
    assert_true(crowd->trickling_len < MAX_TRICKLING);
    crowd->trickling[crowd->trickling_len++] = peer;
    peer_send(peer, STR("HTTP/1.1 200 OK\r\nX-Slow: "));
  } // a black hole says nothing
}

static void on_crowd_request(struct receiver_peer *peer, void *ctx) {
  struct crowd *crowd = ctx;
  int64_t lane;
  struct str target = str_from(str_of(peer->receiver->last), strlen("POST /"));
  assert_true(str_to_i64(str_slice(target, 0, (size_t)str_find(target, ' ')), &lane));
  assert_true(lane >= 0 && lane < LANES);
  crowd->requests[lane]++;
  crowd->turn++;
  if (crowd->kinds[lane] != HEALTHY) {
    answer_bad(crowd, peer, crowd->kinds[lane]);
    return;
  }
  int nth = crowd->turns[lane]++;
  assert_true(nth < EVENTS_PER_ROUND);
  crowd->latest_turn[nth] = crowd->turn;
  peer_send(peer, STR(OK_ANSWER));
}

static int create_policy(struct store_conn *conn, void *ctx, struct error *err) {
  return policy_create(conn, ctx, err);
}

static void add_policy(struct crowd *crowd, int first_lane) {
  struct dispatch_fixture *fixture = crowd->fixture;
  struct target targets[LANES_PER_POLICY];
  enum event_type types[] = {EVENT_PUSH_ARTIFACT};
  struct error err;
  for (int i = 0; i < LANES_PER_POLICY; i++) {
    int lane = first_lane + i;
    bool named = crowd->kinds[lane] == DEAD_NAME;
    struct str host = named ? arena_printf(fixture->arena, "dead-%d.example.com", lane) : STR("127.0.0.1");
    if (named)
      dns_server_silence(fixture->names, host.ptr);
    targets[i] = (struct target){
        .type = TARGET_HTTP,
        .type_text = STR("http"),
        .address = arena_printf(fixture->arena, "http://%.*s:%u/%d", STR_ARG(host), crowd->receiver->port, lane),
        .auth_header = STR_EMPTY,
        .payload_format_text = STR("Default"),
        .extras = true,
        .suspended_reason = STR_EMPTY};
  }
  struct policy policy = {.project_id = fixture->project_id,
                          .name = arena_printf(fixture->arena, "crowd-%d", first_lane),
                          .description = STR_EMPTY,
                          .creator = STR("admin"),
                          .enabled = true,
                          .event_types = types,
                          .event_types_len = ARRAY_LEN(types),
                          .event_mask = 1U << EVENT_PUSH_ARTIFACT,
                          .targets = targets,
                          .targets_len = LANES_PER_POLICY};
  if (store_write_sync(fixture->store, create_policy, &policy, &err) != 0)
    fail_msg("%s", err.text);
}

static struct crowd *crowd_new(struct dispatch_fixture *fixture, bool bad) {
  struct crowd *crowd = calloc(1, sizeof(*crowd));
  assert_non_null(crowd);
  crowd->fixture = fixture;
  crowd->receiver = receiver_new(fixture->loop, NULL);
  crowd->receiver->ctx = crowd;
  crowd->receiver->on_request = on_crowd_request;
  for (int i = 0; i < LANES; i++)
    crowd->kinds[i] = bad ? kind_of(i) : HEALTHY;
  for (int i = 0; i < LANES; i += LANES_PER_POLICY)
    add_policy(crowd, i);
  return crowd;
}

static void crowd_free(struct crowd *crowd) {
  receiver_free(crowd->receiver);
  free(crowd);
}

static bool all_served(const struct crowd *crowd) {
  for (int i = 0; i < LANES; i++) {
    if (crowd->kinds[i] == HEALTHY && crowd->turns[i] < EVENTS_PER_ROUND)
      return false;
  }
  return true;
}

// Each healthy lane gets all its deliveries while no time passes at all, and each in its turn.
static void run_round(struct crowd *crowd) {
  struct dispatch_fixture *fixture = crowd->fixture;
  memset(crowd->turns, 0, sizeof(crowd->turns));
  crowd->turn = 0;
  dispatch_fixture_happen_times(fixture, EVENT_PUSH_ARTIFACT, EVENTS_PER_ROUND);
  WAIT_FOR(fixture, all_served(crowd));
  for (int nth = 0; nth < EVENTS_PER_ROUND; nth++) {
    // Turns are taken when a request starts and counted when it arrives: what is on its way may change places.
    int turns_of_all = (nth + 1) * LANES;
    int on_their_way = (int)(fixture->config.max_connecting + fixture->config.max_exchanging);
    if (crowd->latest_turn[nth] > turns_of_all + 2 * on_their_way)
      fail_msg("round %d: a lane had its request number %d at turn %d of %d lanes", crowd->round, nth + 1,
               crowd->latest_turn[nth], LANES);
  }
  crowd->round++;
}

static void let_time_pass(struct crowd *crowd) {
  for (int ms = 0; ms < ROUND_MS; ms += TRICKLE_MS) {
    dispatch_fixture_advance(crowd->fixture, TRICKLE_MS);
    for (int i = 0; i < crowd->trickling_len; i++) {
      if (crowd->trickling[i]->stream)
        peer_send(crowd->trickling[i], STR("."));
    }
    dispatch_fixture_settle(crowd->fixture);
  }
}

static void test_of_a_thousand_lanes_a_tenth_are_bad_and_cost_the_others_their_turn_only(void **state) {
  struct dispatch_fixture *fixture = *state;
  fixture->config.max_connecting = 128;
  fixture->config.max_exchanging = 96;
  fixture->config.max_lanes = 2 * LANES;
  dispatch_fixture_reopen(fixture);
  struct crowd *crowd = crowd_new(fixture, true);
  dispatch_fixture_start(fixture);
  for (int round = 0; round < ROUNDS; round++) {
    run_round(crowd);
    let_time_pass(crowd);
  }
  int kinds[LANE_KINDS] = {0};
  for (int i = 0; i < LANES; i++) {
    kinds[crowd->kinds[i]]++;
    if (crowd->kinds[i] == HEALTHY)
      assert_int_equal(crowd->requests[i], ROUNDS * EVENTS_PER_ROUND);
  }
  for (int kind = BLACK_HOLE; kind < LANE_KINDS; kind++)
    assert_true(kinds[kind] >= LANES / EVERY_BAD_LANE / (LANE_KINDS - 1));
  assert_true(crowd->bad_requests > LANES / EVERY_BAD_LANE); // they were tried all the time
  crowd_free(crowd);
}

// ---- new events beside backlogs -------------------------------------------------------------------------------------

enum {
  OWING_LANES = 4 * LANES_PER_POLICY,
  OWED = 8,                 // by each
  IDLE_FIRST = OWING_LANES, // the lanes that owe nothing come after them
  IDLE_LANES = LANES_PER_POLICY,
  SLOTS = 8,            // of each budget
  STARTED_AT_ONCE = 16, // by the loop, before it looks at what is new
  BACKLOG_TURNS_IN = 5, // one in so many is theirs
};

// Pulls go to lanes that owe, pushes to lanes that owe nothing.
struct rush {
  struct dispatch_fixture *fixture;
  struct receiver *receiver;
  int owing, idle;  // requests that came
  int next_push_at; // idle requests
  int pushes_left;
};

static void on_rush_request(struct receiver_peer *peer, void *ctx) {
  struct rush *rush = ctx;
  int64_t lane;
  struct str target = str_from(str_of(peer->receiver->last), strlen("POST /"));
  assert_true(str_to_i64(str_slice(target, 0, (size_t)str_find(target, ' ')), &lane));
  *(lane < IDLE_FIRST ? &rush->owing : &rush->idle) += 1;
  peer_send(peer, STR(OK_ANSWER));
  if (rush->pushes_left > 0 && rush->idle >= rush->next_push_at) {
    rush->pushes_left--;
    rush->next_push_at += IDLE_LANES;
    dispatch_fixture_happen(rush->fixture, EVENT_PUSH_ARTIFACT);
  }
}

static void add_lanes(struct rush *rush, int first_lane, enum event_type type) {
  struct dispatch_fixture *fixture = rush->fixture;
  struct target targets[LANES_PER_POLICY];
  struct error err;
  for (int i = 0; i < LANES_PER_POLICY; i++)
    targets[i] = (struct target){
        .type = TARGET_HTTP,
        .type_text = STR("http"),
        .address = arena_printf(fixture->arena, "http://127.0.0.1:%u/%d", rush->receiver->port, first_lane + i),
        .auth_header = STR_EMPTY,
        .payload_format_text = STR("Default"),
        .extras = true,
        .suspended_reason = STR_EMPTY};
  struct policy policy = {.project_id = fixture->project_id,
                          .name = arena_printf(fixture->arena, "rush-%d", first_lane),
                          .description = STR_EMPTY,
                          .creator = STR("admin"),
                          .enabled = true,
                          .event_types = &type,
                          .event_types_len = 1,
                          .event_mask = 1U << type,
                          .targets = targets,
                          .targets_len = LANES_PER_POLICY};
  if (store_write_sync(fixture->store, create_policy, &policy, &err) != 0)
    fail_msg("%s", err.text);
}

// A backlog of OWED deliveries in each of OWING_LANES, which the store alone knows, and lanes that owe nothing.
static struct rush *rush_new(struct dispatch_fixture *fixture) {
  fixture->config.max_connecting = SLOTS;
  fixture->config.max_exchanging = SLOTS;
  fixture->config.window = 8 * IDLE_LANES; // less than what is owed: new events find their share of it alone
  dispatch_fixture_reopen(fixture);
  struct rush *rush = calloc(1, sizeof(*rush));
  assert_non_null(rush);
  rush->fixture = fixture;
  rush->receiver = receiver_new(fixture->loop, NULL);
  rush->receiver->ctx = rush;
  rush->receiver->on_request = on_rush_request;
  for (int lane = 0; lane < OWING_LANES; lane += LANES_PER_POLICY)
    add_lanes(rush, lane, EVENT_PULL_ARTIFACT);
  add_lanes(rush, IDLE_FIRST, EVENT_PUSH_ARTIFACT);
  atomic_store(&fixture->deaf_to_notices, true);
  dispatch_fixture_happen_times(fixture, EVENT_PULL_ARTIFACT, OWED);
  atomic_store(&fixture->deaf_to_notices, false);
  dispatch_fixture_start(fixture);
  return rush;
}

static void rush_free(struct rush *rush) {
  receiver_free(rush->receiver);
  free(rush);
}

// Each of 64 targets has its new event after a few of the backlogs' deliveries, not after one of each of 256 lanes.
static void test_a_new_event_of_an_idle_target_does_not_queue_behind_the_backlogs_of_others(void **state) {
  struct rush *rush = rush_new(*state);
  for (int push = 1; push <= 3; push++) {
    WAIT_FOR(rush->fixture, rush->owing >= push * 100);
    int before = rush->owing;
    dispatch_fixture_happen(rush->fixture, EVENT_PUSH_ARTIFACT);
    WAIT_FOR(rush->fixture, rush->idle == push * IDLE_LANES);
    int share = IDLE_LANES / (BACKLOG_TURNS_IN - 1) + 1;
    // Turns are taken when a request starts and counted when it arrives; the commits of both gather before they are told.
    assert_true(rush->owing - before <= share + 2 * SLOTS + 2 * STARTED_AT_ONCE);
  }
  WAIT_FOR(rush->fixture, rush->owing == OWING_LANES * OWED);
  rush_free(rush);
}

static void test_new_events_without_end_leave_a_backlog_its_share_of_the_turns(void **state) {
  struct rush *rush = rush_new(*state);
  enum { PUSHES = 16 };
  WAIT_FOR(rush->fixture, rush->owing >= 100);
  int before = rush->owing;
  rush->pushes_left = PUSHES - 1;
  rush->next_push_at = 2 * SLOTS; // long before all of the last have been sent: there is always one more
  dispatch_fixture_happen(rush->fixture, EVENT_PUSH_ARTIFACT);
  WAIT_FOR(rush->fixture, rush->idle >= (PUSHES - 1) * IDLE_LANES);
  assert_true((rush->owing - before) * BACKLOG_TURNS_IN >= rush->idle);
  WAIT_FOR(rush->fixture, rush->owing == OWING_LANES * OWED && rush->idle == PUSHES * IDLE_LANES);
  rush_free(rush);
}

#define FAIRNESS_TEST(test) cmocka_unit_test_setup_teardown(test, dispatch_fixture_set_up, dispatch_fixture_tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      FAIRNESS_TEST(test_a_push_waits_for_at_most_two_pulls_of_its_lane),
      FAIRNESS_TEST(test_a_push_overtakes_a_backlog_that_no_window_holds),
      FAIRNESS_TEST(test_a_push_waits_for_at_most_one_late_retry),
      FAIRNESS_TEST(test_the_first_try_of_a_pull_waits_for_at_most_one_late_retry),
      FAIRNESS_TEST(test_a_dead_name_server_is_asked_once_by_a_lane_and_stalls_nobody),
      FAIRNESS_TEST(test_a_new_event_of_an_idle_target_does_not_queue_behind_the_backlogs_of_others),
      FAIRNESS_TEST(test_new_events_without_end_leave_a_backlog_its_share_of_the_turns),
      FAIRNESS_TEST(test_of_a_thousand_lanes_a_tenth_are_bad_and_cost_the_others_their_turn_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
