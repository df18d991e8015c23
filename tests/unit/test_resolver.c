// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/resolver.h"
#include "support/dns_server.h"

enum { MAX_STEPS = 2000, STEP_MS = 10, MAX_TEST_WAITERS = 32 };

struct fixture {
  struct clock clock;
  struct loop *loop;
  struct dns_server *server;
  struct resolver *resolver;
};

// What one waiter was told.
struct told {
  int times;
  bool found;
  struct address addresses[RESOLVER_MAX_ADDRESSES];
  size_t len;
  struct error err;
};

static void on_told(void *ctx, const struct resolver_answer *answer, const struct error *err) {
  struct told *told = ctx;
  told->times++;
  told->found = answer != NULL;
  if (answer) {
    told->len = answer->len;
    memcpy(told->addresses, answer->addresses, answer->len * sizeof answer->addresses[0]);
  } else {
    told->err = *err;
  }
}

static void open_resolver(struct fixture *fixture, size_t max_names, size_t max_waiters) {
  struct error err;
  struct resolver_config config = {
      .servers = dns_server_address(fixture->server),
      .budget_ms = 5000,
      .positive_ttl_ms = 30000,
      .negative_ttl_ms = 5000,
      .max_names = max_names,
      .max_waiters = max_waiters,
  };
  fixture->resolver = resolver_new(fixture->loop, &config, &err);
  assert_non_null(fixture->resolver);
}

static int set_up(void **state) {
  struct fixture *fixture = calloc(1, sizeof *fixture);
  assert_non_null(fixture);
  struct error err;
  clock_init_simulated(&fixture->clock, 1700000000 * US_PER_S);
  fixture->loop = loop_new(&fixture->clock, 64, 16, &err);
  assert_non_null(fixture->loop);
  fixture->server = dns_server_new(fixture->loop);
  open_resolver(fixture, 64, MAX_TEST_WAITERS);
  *state = fixture;
  return 0;
}

static int tear_down(void **state) {
  struct fixture *fixture = *state;
  resolver_free(fixture->resolver);
  dns_server_free(fixture->server);
  loop_free(fixture->loop);
  free(fixture);
  return 0;
}

static void advance(struct fixture *fixture, int64_t ms) {
  clock_advance(&fixture->clock, ms * US_PER_MS);
  while (loop_step(fixture->loop, 0))
    continue;
}

static void ask(struct fixture *fixture, const char *name, struct told *told) {
  struct error err;
  memset(told, 0, sizeof *told);
  assert_non_null(resolver_ask(fixture->resolver, str_of(name), on_told, told, &err));
  assert_int_equal(told->times, 0); // never from inside
}

static void wait_told(struct fixture *fixture, const struct told *told) {
  for (int i = 0; i < MAX_STEPS && told->times == 0; i++)
    loop_step(fixture->loop, STEP_MS);
  assert_int_equal(told->times, 1);
}

static void look_up(struct fixture *fixture, const char *name, struct told *told) {
  ask(fixture, name, told);
  wait_told(fixture, told);
}

static void wait_asked(struct fixture *fixture, const char *name, int times) {
  for (int i = 0; i < MAX_STEPS && dns_server_asked(fixture->server, name) < times; i++)
    loop_step(fixture->loop, STEP_MS);
  assert_true(dns_server_asked(fixture->server, name) >= times);
}

static void assert_address(const struct told *told, size_t i, const char *text) {
  char out[ADDRESS_TEXT_BYTES];
  assert_true(told->found);
  assert_true(i < told->len);
  assert_string_equal(address_write(&told->addresses[i], out), text);
  assert_int_equal(told->addresses[i].port, 0);
}

static void test_a_name_gives_all_its_addresses(void **state) {
  struct fixture *fixture = *state;
  struct told told;
  dns_server_set(fixture->server, "hook.example", "192.0.2.1,192.0.2.2,2001:db8::5", 60);
  look_up(fixture, "Hook.Example.", &told);
  assert_true(told.found);
  assert_int_equal(told.len, 3);
  int families[2] = {0, 0};
  for (size_t i = 0; i < told.len; i++)
    families[told.addresses[i].family == AF_INET6]++;
  assert_int_equal(families[0], 2);
  assert_int_equal(families[1], 1);
}

static void test_a_name_that_does_not_exist_says_so(void **state) {
  struct fixture *fixture = *state;
  struct told told;
  look_up(fixture, "missing.example", &told);
  assert_false(told.found);
  assert_int_equal(told.err.code, ERR_NOT_FOUND);
  assert_string_equal(told.err.text, "the name missing.example does not exist");
}

static void test_a_name_without_an_address_says_so(void **state) {
  struct fixture *fixture = *state;
  struct told told;
  dns_server_set(fixture->server, "mail.example", "", 60);
  look_up(fixture, "mail.example", &told);
  assert_false(told.found);
  assert_string_equal(told.err.text, "the name mail.example has no address");
}

static void test_a_silent_name_server_costs_the_budget_and_no_other_name(void **state) {
  struct fixture *fixture = *state;
  struct told silent, other;
  dns_server_silence(fixture->server, "silent.example");
  dns_server_set(fixture->server, "other.example", "192.0.2.7", 60);
  ask(fixture, "silent.example", &silent);
  wait_asked(fixture, "silent.example", 1);
  look_up(fixture, "other.example", &other);
  assert_address(&other, 0, "192.0.2.7");
  advance(fixture, 4999);
  assert_int_equal(silent.times, 0);
  advance(fixture, 1);
  wait_told(fixture, &silent);
  assert_false(silent.found);
  assert_int_equal(silent.err.code, ERR_TIMEOUT);
  // The failure is kept for a while: the next waiter is told at once.
  look_up(fixture, "silent.example", &silent);
  assert_int_equal(silent.err.code, ERR_TIMEOUT);
  // After that one waits for the question that is still open, for a budget of its own.
  advance(fixture, 5001);
  ask(fixture, "silent.example", &silent);
  advance(fixture, 4999);
  assert_int_equal(silent.times, 0);
  advance(fixture, 1);
  wait_told(fixture, &silent);
  assert_int_equal(silent.err.code, ERR_TIMEOUT);
}

static void test_many_waiters_ask_once(void **state) {
  struct fixture *fixture = *state;
  struct told told[8];
  dns_server_set(fixture->server, "hook.example", "192.0.2.1", 60);
  for (size_t i = 0; i < ARRAY_LEN(told); i++)
    ask(fixture, i % 2 ? "hook.example" : "HOOK.example", &told[i]);
  for (size_t i = 0; i < ARRAY_LEN(told); i++) {
    wait_told(fixture, &told[i]);
    assert_address(&told[i], 0, "192.0.2.1");
  }
  assert_int_equal(dns_server_asked(fixture->server, "hook.example"), 1);
}

static void test_an_answer_is_kept_for_its_ttl(void **state) {
  struct fixture *fixture = *state;
  struct told told;
  dns_server_set(fixture->server, "hook.example", "192.0.2.1", 10);
  look_up(fixture, "hook.example", &told);
  dns_server_set(fixture->server, "hook.example", "192.0.2.9", 10);
  advance(fixture, 9999);
  look_up(fixture, "hook.example", &told);
  assert_address(&told, 0, "192.0.2.1");
  assert_int_equal(dns_server_asked(fixture->server, "hook.example"), 1);
  advance(fixture, 1);
  look_up(fixture, "hook.example", &told);
  assert_address(&told, 0, "192.0.2.9");
  assert_int_equal(dns_server_asked(fixture->server, "hook.example"), 2);
}

static void test_a_long_ttl_is_cut_to_30_s(void **state) {
  struct fixture *fixture = *state;
  struct told told;
  dns_server_set(fixture->server, "hook.example", "192.0.2.1", 86400);
  look_up(fixture, "hook.example", &told);
  advance(fixture, 30000);
  look_up(fixture, "hook.example", &told);
  assert_int_equal(dns_server_asked(fixture->server, "hook.example"), 2);
}

static void test_a_ttl_of_0_is_asked_each_time(void **state) {
  struct fixture *fixture = *state;
  struct told told;
  dns_server_set(fixture->server, "rebind.example", "192.0.2.1", 0);
  look_up(fixture, "rebind.example", &told);
  assert_address(&told, 0, "192.0.2.1");
  dns_server_set(fixture->server, "rebind.example", "127.0.0.1", 0);
  look_up(fixture, "rebind.example", &told);
  assert_address(&told, 0, "127.0.0.1");
}

static void test_a_failure_is_kept_for_5_s(void **state) {
  struct fixture *fixture = *state;
  struct told told;
  look_up(fixture, "late.example", &told);
  assert_false(told.found);
  int asked = dns_server_asked(fixture->server, "late.example");
  dns_server_set(fixture->server, "late.example", "192.0.2.3", 60);
  advance(fixture, 4999);
  look_up(fixture, "late.example", &told);
  assert_false(told.found);
  assert_int_equal(dns_server_asked(fixture->server, "late.example"), asked);
  advance(fixture, 1);
  look_up(fixture, "late.example", &told);
  assert_address(&told, 0, "192.0.2.3");
}

static void test_localhost_comes_from_the_hosts_file(void **state) {
  struct fixture *fixture = *state;
  struct told told;
  look_up(fixture, "localhost", &told);
  assert_true(told.found);
  for (size_t i = 0; i < told.len; i++)
    assert_true(address_is_loopback(&told.addresses[i]));
  assert_int_equal(dns_server_asked(fixture->server, "localhost"), 0);
}

static void test_a_cancelled_waiter_is_not_told(void **state) {
  struct fixture *fixture = *state;
  struct told gone = {0}, stays;
  struct error err;
  dns_server_set(fixture->server, "hook.example", "192.0.2.1", 60);
  struct resolver_query *query = resolver_ask(fixture->resolver, STR("hook.example"), on_told, &gone, &err);
  assert_non_null(query);
  ask(fixture, "hook.example", &stays);
  resolver_cancel(query);
  wait_told(fixture, &stays);
  query = resolver_ask(fixture->resolver, STR("hook.example"), on_told, &gone, &err); // from the cache
  assert_non_null(query);
  resolver_cancel(query);
  advance(fixture, 1);
  assert_int_equal(gone.times, 0);
}

static void test_waiters_are_bounded(void **state) {
  struct fixture *fixture = *state;
  struct told told[MAX_TEST_WAITERS], refused = {0};
  struct error err;
  dns_server_set(fixture->server, "hook.example", "192.0.2.1", 60);
  for (size_t i = 0; i < MAX_TEST_WAITERS; i++)
    ask(fixture, "hook.example", &told[i]);
  assert_null(resolver_ask(fixture->resolver, STR("hook.example"), on_told, &refused, &err));
  assert_int_equal(err.code, ERR_FULL);
  for (size_t i = 0; i < MAX_TEST_WAITERS; i++)
    wait_told(fixture, &told[i]);
  look_up(fixture, "hook.example", &told[0]);
}

static void test_the_oldest_cached_name_gives_way(void **state) {
  struct fixture *fixture = *state;
  struct told told;
  resolver_free(fixture->resolver);
  open_resolver(fixture, 2, MAX_TEST_WAITERS);
  const char *const names[] = {"a.example", "b.example", "c.example"};
  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    dns_server_set(fixture->server, names[i], "192.0.2.1", 60);
    look_up(fixture, names[i], &told);
  }
  look_up(fixture, "b.example", &told);
  assert_int_equal(dns_server_asked(fixture->server, "b.example"), 1);
  look_up(fixture, "a.example", &told);
  assert_int_equal(dns_server_asked(fixture->server, "a.example"), 2);
}

static void test_names_in_question_never_give_way(void **state) {
  struct fixture *fixture = *state;
  struct told told[2], refused = {0};
  struct error err;
  resolver_free(fixture->resolver);
  open_resolver(fixture, 2, MAX_TEST_WAITERS);
  dns_server_silence(fixture->server, "a.example");
  dns_server_silence(fixture->server, "b.example");
  ask(fixture, "a.example", &told[0]);
  ask(fixture, "b.example", &told[1]);
  assert_null(resolver_ask(fixture->resolver, STR("c.example"), on_told, &refused, &err));
  assert_int_equal(err.code, ERR_FULL);
  advance(fixture, 5000);
  wait_told(fixture, &told[0]);
  wait_told(fixture, &told[1]);
}

static void test_closing_tells_those_who_wait(void **state) {
  struct fixture *fixture = *state;
  struct told told;
  dns_server_silence(fixture->server, "silent.example");
  ask(fixture, "silent.example", &told);
  wait_asked(fixture, "silent.example", 1);
  resolver_free(fixture->resolver);
  assert_int_equal(told.times, 1);
  assert_int_equal(told.err.code, ERR_UNAVAILABLE);
  open_resolver(fixture, 2, 2);
}

// Whether the kernel's word for it (refused) or the budget comes first is not ours to say.
static void test_a_name_server_that_is_not_there_fails_within_the_budget(void **state) {
  struct fixture *fixture = *state;
  struct told told;
  resolver_free(fixture->resolver);
  char address[ADDRESS_TEXT_BYTES];
  struct dns_server *gone = dns_server_new(fixture->loop);
  (void)snprintf(address, sizeof address, "%s", dns_server_address(gone));
  dns_server_free(gone);
  struct error err;
  struct resolver_config config = {.servers = address,
                                   .budget_ms = 5000,
                                   .positive_ttl_ms = 30000,
                                   .negative_ttl_ms = 5000,
                                   .max_names = 4,
                                   .max_waiters = 4};
  fixture->resolver = resolver_new(fixture->loop, &config, &err);
  assert_non_null(fixture->resolver);
  ask(fixture, "hook.example", &told);
  advance(fixture, 5000);
  wait_told(fixture, &told);
  assert_false(told.found);
  assert_true(told.err.code == ERR_UNAVAILABLE || told.err.code == ERR_TIMEOUT);
}

static void test_servers_that_cannot_be_read_are_refused(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  struct resolver_config config = {.servers = "not a server", .max_names = 4, .max_waiters = 4};
  assert_null(resolver_new(fixture->loop, &config, &err));
  assert_int_equal(err.code, ERR_CONFIG);
}

static void test_a_name_that_is_none_is_refused(void **state) {
  struct fixture *fixture = *state;
  struct told told = {0};
  struct error err;
  char longest[300];
  memset(longest, 'a', sizeof longest);
  assert_null(resolver_ask(fixture->resolver, STR_EMPTY, on_told, &told, &err));
  assert_null(resolver_ask(fixture->resolver, (struct str){longest, 254}, on_told, &told, &err));
  assert_null(resolver_ask(fixture->resolver, (struct str){"a\0b", 3}, on_told, &told, &err));
  assert_int_equal(err.code, ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_a_name_gives_all_its_addresses),
      TEST(test_a_name_that_does_not_exist_says_so),
      TEST(test_a_name_without_an_address_says_so),
      TEST(test_a_silent_name_server_costs_the_budget_and_no_other_name),
      TEST(test_many_waiters_ask_once),
      TEST(test_an_answer_is_kept_for_its_ttl),
      TEST(test_a_long_ttl_is_cut_to_30_s),
      TEST(test_a_ttl_of_0_is_asked_each_time),
      TEST(test_a_failure_is_kept_for_5_s),
      TEST(test_localhost_comes_from_the_hosts_file),
      TEST(test_a_cancelled_waiter_is_not_told),
      TEST(test_waiters_are_bounded),
      TEST(test_the_oldest_cached_name_gives_way),
      TEST(test_names_in_question_never_give_way),
      TEST(test_closing_tells_those_who_wait),
      TEST(test_a_name_server_that_is_not_there_fails_within_the_budget),
      TEST(test_servers_that_cannot_be_read_are_refused),
      TEST(test_a_name_that_is_none_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
