// SPDX-License-Identifier: Apache-2.0
// What the tests of sending share: the real store in a folder of its own, the real client and guard, simulated time, and
// webhooks with a receiver on loopback behind each. Everything but the store's writer runs on the test's thread.
#ifndef HARBINGER_TESTS_UNIT_SUPPORT_DISPATCH_FIXTURE_H
#define HARBINGER_TESTS_UNIT_SUPPORT_DISPATCH_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dispatch/dispatch.h"
#include "support/dns_server.h"
#include "support/receiver.h"

enum {
  DISPATCH_FIXTURE_STEPS = 4000,
  DISPATCH_FIXTURE_STEP_MS = 5,
  DISPATCH_FIXTURE_MAX_SEEN = 256,
  DISPATCH_FIXTURE_MAX_HOOKS = 8,
};

#define START_US (INT64_C(1700000000) * US_PER_S)
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS INT64_C(3600000)

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define STATUS_ANSWER(words) "HTTP/1.1 " words "\r\nContent-Length: 0\r\n\r\n"

// A request as it came.
struct test_request {
  int64_t at_us, delivery_id;
  int attempt, hook;
  enum event_type type;
};

// A webhook with one target, and the receiver behind it.
struct test_hook {
  struct dispatch_fixture *fixture;
  struct receiver *receiver;
  const char *answer; // NULL: none
  struct policy policy;
  int64_t target_id;
  int requests;
  char last[8192];
};

struct dispatch_fixture {
  struct clock clock;
  struct loop *loop;
  struct id_source *ids;
  struct metrics *metrics;
  struct dns_server *names;
  struct resolver *resolver;
  struct egress *guard;
  struct http_client *client;
  char dir[64];
  struct store *store;
  bool store_stopped;
  struct store_conn *reader, *own_reader;
  struct dispatch_config config;
  struct dispatch *dispatch;
  _Atomic bool deaf_to_notices, store_broken;
  struct arena *arena;
  int64_t project_id;
  struct test_hook hooks[DISPATCH_FIXTURE_MAX_HOOKS];
  int hooks_len;
  struct test_request seen[DISPATCH_FIXTURE_MAX_SEEN];
  int seen_len;
  int drained;
};

// Step until the condition holds; the test fails when it does not come.
#define WAIT_FOR(fixture, condition)                                    \
  do {                                                                  \
    for (int i_ = 0; i_ < DISPATCH_FIXTURE_STEPS && !(condition); i_++) \
      loop_step((fixture)->loop, DISPATCH_FIXTURE_STEP_MS);             \
    assert_true(condition);                                             \
  } while (0)
int dispatch_fixture_set_up(void **state);
int dispatch_fixture_tear_down(void **state);
// Free the dispatch, with requests on their way or not, and make another with fixture->config.
void dispatch_fixture_reopen(struct dispatch_fixture *fixture);
void dispatch_fixture_start(struct dispatch_fixture *fixture);
// Let what can happen without time happen; then let time pass.
void dispatch_fixture_settle(struct dispatch_fixture *fixture);
void dispatch_fixture_advance(struct dispatch_fixture *fixture, int64_t ms);
// Until nothing is on its way and everything is recorded.
void dispatch_fixture_wait_quiet(struct dispatch_fixture *fixture);
int64_t dispatch_fixture_gauge(struct dispatch_fixture *fixture, const char *name);
// So many requests came in all, each for another delivery.
void dispatch_fixture_assert_each_once(struct dispatch_fixture *fixture, int deliveries);
// An event for every hook, committed when this returns.
void dispatch_fixture_happen(struct dispatch_fixture *fixture, enum event_type type);
void dispatch_fixture_happen_times(struct dispatch_fixture *fixture, enum event_type type, int times);

// A webhook that wants pushes and pulls. `host` NULL: the receiver's address; userinfo may stand before it.
struct test_hook *test_hook_add_at(struct dispatch_fixture *fixture, const char *host, enum target_type type,
                                   const char *auth_header);
struct test_hook *test_hook_add(struct dispatch_fixture *fixture);
struct target *test_hook_target(struct test_hook *hook);
void test_hook_save(struct test_hook *hook); // hook->policy as it is now
// From another thread, as the API does.
struct dispatch_lane_state test_hook_lane_state(struct test_hook *hook);
void test_hook_cancel(struct test_hook *hook);

struct str test_request_header(const char *request, const char *name); // "" when it has none
int64_t test_request_number(const char *request, const char *name);
struct delivery test_delivery_get(struct dispatch_fixture *fixture, int64_t id);
bool test_delivery_is(struct dispatch_fixture *fixture, int64_t id, enum delivery_state state);
struct attempt test_attempt_get(struct dispatch_fixture *fixture, int64_t id, int number);

#endif
