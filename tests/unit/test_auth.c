// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/auth.h"
#include "auth/credential_cache.h"
#include "auth/password.h"
#include "auth/slowdown.h"
#include "base/id.h"
#include "store/identity.h"
#include "support/store_fixture.h"

#define PASSWORD "Right4Sure"

struct world {
  struct fixture *store;
  struct auth *auth;
  struct address peer;
  // Of the last judgement:
  struct identity who;
  int64_t delay_ms;
};

static const struct auth_config test_config = {
    .cache_ms = 60000,
    .max_cached = 1024,
    .max_tracked = 65536,
    .delay_min_ms = 250,
    .delay_max_ms = 8000,
    .forget_ms = 900000,
    .max_hashing = 2,
    .max_hash_waiters = 32,
};

static const uint8_t token_key[SEAL_KEY_BYTES] = {1, 2, 3};

struct new_user {
  const char *name, *password;
  bool is_admin, disabled;
  int64_t id;
};

static int add_user(struct store_conn *conn, void *ctx, struct error *err) {
  struct new_user *new = ctx;
  char hash[PASSWORD_HASH_BYTES];
  int rc = crypto_password_hash(str_of(new->password), hash, err);
  struct user user = {
      .name = str_of(new->name), .password_hash = str_of(hash), .is_admin = new->is_admin, .disabled = new->disabled};
  if (rc == 0)
    rc = user_create(conn, &user, err);
  new->id = user.id;
  return rc;
}

static int64_t make_user(struct world *world, const char *name, bool is_admin, bool disabled) {
  struct new_user new = {name, PASSWORD, is_admin, disabled, 0};
  assert_int_equal(fixture_write(world->store, add_user, &new), 0);
  return new.id;
}

static int setup(void **state) {
  struct world *world = test_calloc(1, sizeof *world);
  struct error err;
  world->store = fixture_new();
  world->auth = auth_new(&test_config, token_key, &world->store->clock, &err);
  assert_non_null(world->auth);
  assert_true(address_read(STR("192.0.2.7"), &world->peer));
  *state = world;
  return 0;
}

static int teardown(void **state) {
  struct world *world = *state;
  auth_free(world->auth);
  fixture_free(world->store);
  test_free(world);
  return 0;
}

static int judge(struct world *world, struct str authorization) {
  return auth_identify(world->auth, world->store->reader, authorization, &world->peer, world->store->arena, &world->who,
                       &world->delay_ms, &world->store->err);
}

static int basic(struct world *world, const char *name, const char *password) {
  struct buf header, pair;
  buf_init(&header, 4096);
  buf_init(&pair, 4096);
  buf_printf(&pair, "%s:%s", name, password);
  buf_put_c(&header, "Basic ");
  crypto_base64(buf_str(&pair), &header);
  struct str text = arena_str(world->store->arena, buf_str(&header));
  buf_free(&header);
  buf_free(&pair);
  return judge(world, text);
}

static void test_without_credentials_one_is_anonymous(void **state) {
  struct world *world = *state;
  assert_int_equal(judge(world, (struct str){0}), 0);
  assert_false(world->who.authenticated);
  assert_int_equal(world->delay_ms, 0);
}

static void test_right_password_names_the_user(void **state) {
  struct world *world = *state;
  int64_t id = make_user(world, "alice", true, false);
  assert_int_equal(basic(world, "alice", PASSWORD), 0);
  assert_true(world->who.authenticated && world->who.is_admin);
  assert_int_equal(world->who.user_id, id);
  assert_true(str_eq_c(world->who.name, "alice"));
  assert_int_equal(world->who.token_id, 0);
  assert_int_equal(world->delay_ms, 0);
}

static void test_wrong_credentials_are_unauthorized_and_wait(void **state) {
  struct world *world = *state;
  make_user(world, "alice", false, false);
  make_user(world, "gone", false, true);
  assert_int_equal(basic(world, "alice", "Wrong4Sure"), ERR_UNAUTHORIZED);
  assert_int_equal(world->delay_ms, 250);
  assert_false(world->who.authenticated);
  assert_string_equal(world->store->err.text, "unauthorized");
  assert_int_equal(basic(world, "gone", PASSWORD), ERR_UNAUTHORIZED);
  assert_int_equal(basic(world, "nobody", PASSWORD), ERR_UNAUTHORIZED);
  assert_int_equal(basic(world, "", ""), ERR_UNAUTHORIZED);
}

static void test_malformed_credentials_are_unauthorized(void **state) {
  struct world *world = *state;
  static const char *const headers[] = {
      "",
      "Basic",
      "Basic !!!",
      "Basic YWxpY2U=",
      "Bearer",
      "Bearer ",
      "Bearer hbt_x",
      "Digest a",
      "basic",
      "Bearer hbt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
  };
  for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
    assert_int_equal(judge(world, str_of(headers[i])), ERR_UNAUTHORIZED);
    assert_true(world->delay_ms > 0);
  }
}

static void test_delays_double_per_failure_up_to_the_longest(void **state) {
  struct world *world = *state;
  static const int64_t expected[] = {250, 500, 1000, 2000, 4000, 8000, 8000};
  for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
    assert_int_equal(judge(world, STR("Basic !!!")), ERR_UNAUTHORIZED);
    assert_int_equal(world->delay_ms, expected[i]);
  }
  clock_advance(&world->store->clock, test_config.forget_ms * US_PER_MS);
  assert_int_equal(judge(world, STR("Basic !!!")), ERR_UNAUTHORIZED);
  assert_int_equal(world->delay_ms, 250);
}

static void test_failures_of_a_user_count_from_every_address(void **state) {
  struct world *world = *state;
  make_user(world, "alice", false, false);
  for (uint8_t i = 1; i <= 3; i++) {
    world->peer.bytes[3] = i;
    assert_int_equal(basic(world, "alice", "Wrong4Sure"), ERR_UNAUTHORIZED);
  }
  assert_int_equal(world->delay_ms, 1000);
  // A right password ends the row for the user, not for the address.
  assert_int_equal(basic(world, "alice", PASSWORD), 0);
  assert_int_equal(world->delay_ms, 0);
  world->peer.bytes[3] = 9;
  assert_int_equal(basic(world, "alice", "Wrong4Sure"), ERR_UNAUTHORIZED);
  assert_int_equal(world->delay_ms, 250);
  world->peer.bytes[3] = 3;
  assert_int_equal(basic(world, "nobody", "Wrong4Sure"), ERR_UNAUTHORIZED);
  assert_int_equal(world->delay_ms, 500);
}

static int set_password(struct store_conn *conn, void *ctx, struct error *err) {
  char hash[PASSWORD_HASH_BYTES];
  int rc = crypto_password_hash(STR("Other4Sure"), hash, err);
  return rc == 0 ? user_set_password(conn, *(int64_t *)ctx, str_of(hash), err) : rc;
}

static void test_a_changed_password_counts_once_the_user_is_forgotten(void **state) {
  struct world *world = *state;
  int64_t id = make_user(world, "alice", false, false);
  assert_int_equal(basic(world, "alice", PASSWORD), 0);
  assert_int_equal(fixture_write(world->store, set_password, &id), 0);
  assert_int_equal(basic(world, "alice", PASSWORD), 0); // remembered: nobody said that it changed
  auth_forget_user(world->auth, STR("alice"));
  assert_int_equal(basic(world, "alice", PASSWORD), ERR_UNAUTHORIZED);
  assert_int_equal(basic(world, "alice", "Other4Sure"), 0);
}

static void test_a_remembered_password_ends_after_its_minute(void **state) {
  struct world *world = *state;
  int64_t id = make_user(world, "alice", false, false);
  assert_int_equal(basic(world, "alice", PASSWORD), 0);
  assert_int_equal(fixture_write(world->store, set_password, &id), 0);
  clock_advance(&world->store->clock, test_config.cache_ms * US_PER_MS);
  assert_int_equal(basic(world, "alice", PASSWORD), ERR_UNAUTHORIZED);
}

static void test_the_cache_is_bounded_and_refuses_what_was_changed_meanwhile(void **state) {
  struct error err;
  struct arena *arena = arena_new(64 * 1024);
  struct credential_cache *cache = credential_cache_new(4, 1000, &err);
  struct credential out, alice = {7, STR("alice"), true};
  (void)state;
  for (int i = 0; i < 20; i++) {
    struct str password = arena_printf(arena, "p%d", i);
    credential_cache_put(cache, credential_cache_generation(cache), STR("alice"), password, 0, &alice);
  }
  assert_int_equal(credential_cache_count(cache), 4);
  assert_true(credential_cache_get(cache, STR("alice"), STR("p19"), 0, arena, &out));
  assert_int_equal(out.user_id, 7);
  assert_true(out.is_admin && str_eq_c(out.name, "alice"));
  assert_false(credential_cache_get(cache, STR("alice"), STR("p15"), 0, arena, &out));
  assert_false(credential_cache_get(cache, STR("alicep1"), STR("9"), 0, arena, &out)); // no other split of the two
  assert_false(credential_cache_get(cache, STR("alice"), STR("p19"), 1000 * US_PER_MS, arena, &out));
  uint64_t before = credential_cache_generation(cache);
  credential_cache_forget(cache, STR("ALICE"));
  assert_int_equal(credential_cache_count(cache), 0);
  credential_cache_put(cache, before, STR("alice"), STR("old"), 0, &alice);
  assert_false(credential_cache_get(cache, STR("alice"), STR("old"), 0, arena, &out));
  credential_cache_free(cache);
  arena_free(arena);
}

static void test_the_table_of_failures_is_bounded(void **state) {
  const struct slowdown_config config = {8, 100, 800, 1000};
  struct error err;
  struct slowdown *slowdown = slowdown_new(&config, &err);
  struct address first = {.family = AF_INET6, .bytes = {0x20, 0x01}}, other;
  (void)state;
  assert_int_equal(slowdown_failed(slowdown, STR("u"), &first, 0), 100);
  assert_int_equal(slowdown_failed(slowdown, STR("u"), &first, 0), 200);
  first.bytes[15] = 1; // the same /64
  assert_int_equal(slowdown_failed(slowdown, STR_EMPTY, &first, 0), 400);
  first.bytes[7] = 1; // another
  assert_int_equal(slowdown_failed(slowdown, STR_EMPTY, &first, 0), 100);
  // An address written as IPv4 in IPv6 is the same address.
  assert_true(address_read(STR("198.51.100.4"), &other));
  assert_int_equal(slowdown_failed(slowdown, STR_EMPTY, &other, 0), 100);
  assert_true(address_read(STR("::ffff:198.51.100.4"), &other));
  assert_int_equal(slowdown_failed(slowdown, STR_EMPTY, &other, 0), 200);
  // Enough new ones push the oldest out.
  for (uint32_t i = 0; i < 1000; i++) {
    memcpy(other.bytes, &i, sizeof i);
    other.family = AF_INET;
    assert_int_equal(slowdown_failed(slowdown, STR_EMPTY, &other, 0), 100);
  }
  assert_int_equal(slowdown_failed(slowdown, STR("u"), &first, 0), 100);
  slowdown_free(slowdown);
}

// ---- the gate of hashes ---------------------------------------------------------------------------------------------

struct gate_thread {
  struct hash_gate *gate;
  pthread_t handle;
  atomic_int *inside, *most, *refused;
};

static void *gate_main(void *arg) {
  struct gate_thread *thread = arg;
  struct error err;
  for (int i = 0; i < 200; i++) {
    if (hash_gate_enter(thread->gate, &err) != 0) {
      assert_int_equal(err.code, ERR_UNAVAILABLE);
      atomic_fetch_add(thread->refused, 1);
      continue;
    }
    int inside = atomic_fetch_add(thread->inside, 1) + 1, most = atomic_load(thread->most);
    while (inside > most && !atomic_compare_exchange_weak(thread->most, &most, inside)) {
    }
    atomic_fetch_sub(thread->inside, 1);
    hash_gate_leave(thread->gate);
  }
  return NULL;
}

static void test_at_most_so_many_hash_at_once(void **state) {
  struct error err;
  struct hash_gate *gate = hash_gate_new(2, 64, &err);
  struct gate_thread threads[8];
  atomic_int inside = 0, most = 0, refused = 0;
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
    threads[i] = (struct gate_thread){.gate = gate, .inside = &inside, .most = &most, .refused = &refused};
    assert_int_equal(pthread_create(&threads[i].handle, NULL, gate_main, &threads[i]), 0);
  }
  for (size_t i = 0; i < ARRAY_LEN(threads); i++)
    pthread_join(threads[i].handle, NULL);
  assert_true(most >= 1 && most <= 2);
  assert_int_equal(refused, 0);
  hash_gate_free(gate);
}

static void test_too_many_waiters_are_refused_at_once(void **state) {
  struct error err;
  struct hash_gate *gate = hash_gate_new(1, 0, &err);
  (void)state;
  assert_int_equal(hash_gate_enter(gate, &err), 0);
  assert_int_equal(hash_gate_enter(gate, &err), ERR_UNAVAILABLE);
  hash_gate_leave(gate);
  assert_int_equal(hash_gate_enter(gate, &err), 0);
  hash_gate_leave(gate);
  hash_gate_free(gate);
}

// ---- passwords ------------------------------------------------------------------------------------------------------

static void test_rules_for_new_passwords(void **state) {
  static const char *const bad[] = {"", "Sh0rt", "alllower1", "ALLUPPER1", "NoDigits", "Bad\3774Utf8", "Alice4Ever"};
  char longest[130];
  struct error err;
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(bad); i++)
    assert_int_equal(auth_password_check(STR("alice4ever"), str_of(bad[i]), &err), ERR_BAD_REQUEST);
  assert_int_equal(auth_password_check(STR("alice"), STR("Alice4Ever"), &err), 0);
  memset(longest, 'a', sizeof longest);
  memcpy(longest, "A1", 2);
  assert_int_equal(auth_password_check(STR("alice"), (struct str){longest, 128}, &err), 0);
  assert_int_equal(auth_password_check(STR("alice"), (struct str){longest, 129}, &err), ERR_BAD_REQUEST);
}

static void test_made_passwords_follow_the_rules_and_differ(void **state) {
  char made[25], before[25] = "";
  struct error err;
  (void)state;
  for (int i = 0; i < 200; i++) {
    auth_password_make(made);
    assert_int_equal(strlen(made), 24);
    assert_int_equal(auth_password_check(STR("admin"), str_of(made), &err), 0);
    assert_string_not_equal(made, before);
    memcpy(before, made, sizeof made);
  }
}

// ---- tokens ---------------------------------------------------------------------------------------------------------

static int add_token(struct store_conn *conn, void *ctx, struct error *err) {
  return token_create(conn, ctx, err);
}

static struct str make_token(struct world *world, int64_t user_id, int64_t expires_at_us, struct api_token *token) {
  char text[AUTH_TOKEN_BYTES];
  *token = (struct api_token){.user_id = user_id, .name = STR("ci"), .expires_at_us = expires_at_us};
  auth_token_make(world->auth, text, token->mac);
  assert_int_equal(fixture_write(world->store, add_token, token), 0);
  return arena_printf(world->store->arena, "Bearer %s", text);
}

static void test_a_token_is_its_user_until_it_expires(void **state) {
  struct world *world = *state;
  int64_t id = make_user(world, "alice", true, false);
  struct api_token token;
  struct str header = make_token(world, id, FIXTURE_START_US + FIXTURE_DAY_US, &token);
  assert_true(str_starts_c(header, "Bearer hbt_"));
  assert_int_equal(header.len, strlen("Bearer hbt_") + 43);
  assert_int_equal(judge(world, header), 0);
  assert_true(world->who.authenticated && world->who.is_admin && str_eq_c(world->who.name, "alice"));
  assert_int_equal(world->who.token_id, token.id);
  ((char *)(uintptr_t)header.ptr)[header.len - 5] ^= 1;
  assert_int_equal(judge(world, header), ERR_UNAUTHORIZED);
  ((char *)(uintptr_t)header.ptr)[header.len - 5] ^= 1;
  clock_advance(&world->store->clock, FIXTURE_DAY_US);
  assert_int_equal(judge(world, header), ERR_UNAUTHORIZED);
}

static int drop_token(struct store_conn *conn, void *ctx, struct error *err) {
  const struct api_token *token = ctx;
  return token_delete(conn, token->user_id, token->id, err);
}

static void test_a_revoked_token_and_one_of_a_disabled_user_are_refused(void **state) {
  struct world *world = *state;
  int64_t id = make_user(world, "alice", false, false);
  int64_t gone = make_user(world, "gone", false, true);
  struct api_token token, other;
  struct str header = make_token(world, id, FIXTURE_START_US + FIXTURE_DAY_US, &token);
  struct str of_gone = make_token(world, gone, FIXTURE_START_US + FIXTURE_DAY_US, &other);
  assert_int_equal(judge(world, header), 0);
  assert_int_equal(judge(world, of_gone), ERR_UNAUTHORIZED);
  assert_int_equal(fixture_write(world->store, drop_token, &token), 0);
  assert_int_equal(judge(world, header), ERR_UNAUTHORIZED);
}

static void test_the_use_of_a_token_is_recorded_by_the_minute(void **state) {
  struct world *world = *state;
  struct auth_config config = test_config;
  struct error err;
  struct api_token token;
  config.store = world->store->store;
  auth_free(world->auth);
  world->auth = auth_new(&config, token_key, &world->store->clock, &err);
  int64_t id = make_user(world, "alice", false, false);
  struct str header = make_token(world, id, FIXTURE_START_US + FIXTURE_DAY_US, &token);
  int64_t first_us = clock_wall_us(&world->store->clock);
  assert_int_equal(judge(world, header), 0);
  make_user(world, "bob", false, false); // the writer has worked
  assert_int_equal(fixture_number(world->store, "SELECT used_us FROM token"), first_us);
  clock_advance(&world->store->clock, 59 * US_PER_S);
  assert_int_equal(judge(world, header), 0);
  make_user(world, "carol", false, false);
  assert_int_equal(fixture_number(world->store, "SELECT used_us FROM token"), first_us);
  clock_advance(&world->store->clock, US_PER_S);
  assert_int_equal(judge(world, header), 0);
  make_user(world, "dave", false, false);
  assert_int_equal(fixture_number(world->store, "SELECT used_us FROM token"), first_us + 60 * US_PER_S);
}

// ---- rights ---------------------------------------------------------------------------------------------------------

static void test_rights(void **state) {
  const struct identity anonymous = {0}, user = {.authenticated = true},
                        admin = {.authenticated = true, .is_admin = true};
  struct error err;
  (void)state;
  for (int action = AUTH_READ_PUBLIC; action <= AUTH_ADMINISTER; action++) {
    for (int is_public = 0; is_public <= 1; is_public++) {
      bool open = action == AUTH_READ_PUBLIC && is_public;
      assert_int_equal(auth_allow(&admin, (enum auth_action)action, is_public, &err), 0);
      assert_int_equal(auth_allow(&user, (enum auth_action)action, is_public, &err), open ? 0 : ERR_FORBIDDEN);
      assert_int_equal(auth_allow(&anonymous, (enum auth_action)action, is_public, &err), open ? 0 : ERR_UNAUTHORIZED);
    }
  }
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_WORLD(test_without_credentials_one_is_anonymous),
      WITH_WORLD(test_right_password_names_the_user),
      WITH_WORLD(test_wrong_credentials_are_unauthorized_and_wait),
      WITH_WORLD(test_malformed_credentials_are_unauthorized),
      WITH_WORLD(test_delays_double_per_failure_up_to_the_longest),
      WITH_WORLD(test_failures_of_a_user_count_from_every_address),
      WITH_WORLD(test_a_changed_password_counts_once_the_user_is_forgotten),
      WITH_WORLD(test_a_remembered_password_ends_after_its_minute),
      cmocka_unit_test(test_the_cache_is_bounded_and_refuses_what_was_changed_meanwhile),
      cmocka_unit_test(test_the_table_of_failures_is_bounded),
      cmocka_unit_test(test_at_most_so_many_hash_at_once),
      cmocka_unit_test(test_too_many_waiters_are_refused_at_once),
      cmocka_unit_test(test_rules_for_new_passwords),
      cmocka_unit_test(test_made_passwords_follow_the_rules_and_differ),
      WITH_WORLD(test_a_token_is_its_user_until_it_expires),
      WITH_WORLD(test_a_revoked_token_and_one_of_a_disabled_user_are_refused),
      WITH_WORLD(test_the_use_of_a_token_is_recorded_by_the_minute),
      cmocka_unit_test(test_rights),
  };
  struct error err;
  if (crypto_start(&err) != 0)
    return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
