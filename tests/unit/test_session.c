// SPDX-License-Identifier: Apache-2.0
// Sessions on the real store with simulated time: limits, renewal, bounds, and the tokens that belong to them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/failure_notes.h"
#include "auth/session.h"
#include "store/sqlite/migrate.h"
#include "store/sqlite/sweep.h"
#include "store/sqlite/writer.h"
#include "support/store_fixture.h"

enum { IDLE_S = 3600, MAX_S = 43200, MAX_PER_USER = 32 };

struct world {
  struct fixture *store;
  struct auth_sessions *sessions;
  int64_t alice, bob;
  struct identity who;
};

static const uint8_t token_key[SEAL_KEY_BYTES] = {1, 2, 3};

static int add_user(struct store_conn *conn, void *ctx, struct error *err) {
  struct user *user = ctx;
  return user_create(conn, user, err);
}

static int64_t make_user(struct world *world, const char *name) {
  struct user user = {.name = str_of(name), .password_hash = STR("hash of old")};
  assert_int_equal(fixture_write(world->store, add_user, &user), 0);
  return user.id;
}

static void open_sessions(struct world *world, int64_t idle_s) {
  const struct auth_sessions_config config = {idle_s, MAX_S, MAX_PER_USER, world->store->store};
  world->sessions = auth_sessions_new(&config, token_key, &world->store->clock, &world->store->err);
  assert_non_null(world->sessions);
}

static int setup(void **state) {
  struct world *world = test_calloc(1, sizeof *world);
  world->store = fixture_new();
  fixture_close(world->store);
  world->store->config.retention.session_idle_s = IDLE_S;
  world->store->config.retention.session_max_s = MAX_S;
  fixture_open(world->store);
  world->alice = make_user(world, "alice");
  world->bob = make_user(world, "bob");
  open_sessions(world, IDLE_S);
  *state = world;
  return 0;
}

static int teardown(void **state) {
  struct world *world = *state;
  while (writer_turn(world->store->store)) {
  }
  auth_sessions_free(world->sessions);
  fixture_free(world->store);
  test_free(world);
  return 0;
}

struct start {
  struct world *world;
  struct auth_session_start start;
};

static int start_apply(struct store_conn *conn, void *ctx, struct error *err) {
  struct start *start = ctx;
  return auth_session_start(start->world->sessions, conn, &start->start, start->world->store->arena, err);
}

// The outcome; the cookie's value in `sid` (44 bytes).
static int log_in(struct world *world, int64_t user_id, int64_t replaces, char *sid) {
  struct start start = {.world = world};
  const struct user user = {.id = user_id, .password_hash = STR("hash of old")};
  auth_session_prepare(world->sessions, &user, replaces, &start.start);
  memcpy(sid, start.start.sid, AUTH_TEXT_BYTES);
  return fixture_write(world->store, start_apply, &start);
}

// Whose session is it? 0: nobody's. What the call makes the writer do is done.
static int64_t whose(struct world *world, const char *sid, bool renew) {
  assert_int_equal(auth_session_identify(world->sessions, world->store->reader, str_of(sid), renew, world->store->arena,
                                         &world->who, &world->store->err),
                   0);
  while (writer_turn(world->store->store)) {
  }
  assert_int_equal(world->who.authenticated, world->who.session_id != 0);
  return world->who.user_id;
}

static void pass_s(struct world *world, int64_t seconds) {
  clock_advance(&world->store->clock, seconds * US_PER_S);
}

// ---- who ------------------------------------------------------------------------------------------------------------

static void test_a_session_names_its_user_and_is_not_stored_in_clear(void **state) {
  struct world *world = *state;
  char sid[AUTH_TEXT_BYTES];
  assert_int_equal(log_in(world, world->alice, 0, sid), 0);
  assert_int_equal(whose(world, sid, true), world->alice);
  assert_true(str_eq_c(world->who.name, "alice") && !world->who.is_admin && world->who.token_id == 0);
  uint8_t plain_mac[HMAC_BYTES];
  struct session session;
  crypto_hmac_sha256((struct str){(const char *)token_key, SEAL_KEY_BYTES}, str_of(sid), plain_mac);
  assert_int_equal(session_get_by_mac(world->store->reader, plain_mac, &session, &world->store->err), ERR_NOT_FOUND);
  assert_int_equal(fixture_number(world->store, "SELECT length(mac) FROM session"), HMAC_BYTES);
}

static void test_what_is_no_sid_is_nobody(void **state) {
  struct world *world = *state;
  char sid[AUTH_TEXT_BYTES], other[AUTH_TEXT_BYTES];
  assert_int_equal(log_in(world, world->alice, 0, sid), 0);
  auth_random_text(other);
  assert_int_equal(whose(world, other, true), 0);
  assert_int_equal(whose(world, "", true), 0);
  sid[AUTH_TEXT_LEN - 1] = '\0';
  assert_int_equal(whose(world, sid, true), 0);
  assert_false(auth_is_random_text(STR("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA;")));
  assert_false(auth_is_random_text((struct str){"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\0", AUTH_TEXT_LEN}));
}

static void test_a_disabled_users_session_is_nobodys(void **state) {
  struct world *world = *state;
  char sid[AUTH_TEXT_BYTES];
  assert_int_equal(log_in(world, world->alice, 0, sid), 0);
  fixture_exec(world->store, "UPDATE user SET disabled = 1 WHERE name = 'alice'");
  assert_int_equal(whose(world, sid, true), 0);
  assert_int_equal(log_in(world, world->alice, 0, sid), ERR_UNAUTHORIZED);
}

// ---- limits ---------------------------------------------------------------------------------------------------------

static void test_an_unused_session_ends_at_the_idle_limit(void **state) {
  struct world *world = *state;
  char sid[AUTH_TEXT_BYTES];
  assert_int_equal(log_in(world, world->alice, 0, sid), 0);
  pass_s(world, IDLE_S - 1);
  assert_int_equal(whose(world, sid, false), world->alice); // X-Harbor-No-Session-Renewal
  pass_s(world, 1);
  assert_int_equal(whose(world, sid, true), 0);
  assert_int_equal(whose(world, sid, true), 0); // and asking does not wake it
}

static void test_use_renews_a_session_until_the_absolute_limit(void **state) {
  struct world *world = *state;
  char sid[AUTH_TEXT_BYTES];
  assert_int_equal(log_in(world, world->alice, 0, sid), 0);
  for (int64_t at_s = 0; at_s < MAX_S - 1800; at_s += 1800) {
    pass_s(world, 1800);
    assert_int_equal(whose(world, sid, true), world->alice);
  }
  pass_s(world, 1799);
  assert_int_equal(whose(world, sid, true), world->alice);
  pass_s(world, 1);
  assert_int_equal(whose(world, sid, true), 0);
}

static void test_use_is_written_at_most_once_a_minute(void **state) {
  struct world *world = *state;
  char sid[AUTH_TEXT_BYTES];
  assert_int_equal(log_in(world, world->alice, 0, sid), 0);
  int64_t first_us = fixture_number(world->store, "SELECT seen_us FROM session"), last_us = first_us, writes = 0;
  for (int i = 0; i < 600; i++) {
    pass_s(world, 1);
    assert_int_equal(whose(world, sid, true), world->alice);
    int64_t seen_us = fixture_number(world->store, "SELECT seen_us FROM session");
    writes += seen_us != last_us;
    last_us = seen_us;
  }
  assert_int_equal(writes, 10);
  assert_int_equal(last_us, first_us + 600 * US_PER_S);
}

static void test_a_short_idle_limit_is_renewed_in_time(void **state) {
  struct world *world = *state;
  char sid[AUTH_TEXT_BYTES];
  auth_sessions_free(world->sessions);
  open_sessions(world, 2);
  assert_int_equal(log_in(world, world->alice, 0, sid), 0);
  for (int i = 0; i < 100; i++) {
    clock_advance(&world->store->clock, US_PER_S);
    assert_int_equal(whose(world, sid, true), world->alice);
  }
  pass_s(world, 2);
  assert_int_equal(whose(world, sid, true), 0);
}

static void test_ended_sessions_are_swept_and_others_are_not(void **state) {
  struct world *world = *state;
  char used[AUTH_TEXT_BYTES], idle[AUTH_TEXT_BYTES];
  assert_int_equal(log_in(world, world->alice, 0, used), 0);
  for (int i = 0; i < 24; i++) {
    pass_s(world, 1790);
    assert_int_equal(whose(world, used, true), world->alice);
    if (i == 20)
      assert_int_equal(log_in(world, world->bob, 0, idle), 0);
  }
  sweep_all(world->store->store);
  fixture_number_is(world->store, "SELECT count(*) FROM session", 1); // bob's is idle for an hour and more
  assert_int_equal(whose(world, idle, true), 0);
  assert_int_equal(whose(world, used, true), world->alice);
  pass_s(world, MAX_S - 24 * 1790 + 1);
  sweep_all(world->store->store);
  fixture_number_is(world->store, "SELECT count(*) FROM session", 0);
}

static void test_a_sweep_takes_at_most_its_rows_at_once(void **state) {
  struct world *world = *state;
  fixture_exec(world->store,
               "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1201) INSERT INTO "
               "session (user_id, mac, created_us, seen_us) SELECT 1, randomblob(32), 1, 1 FROM n");
  int64_t left = 1201;
  sweep_wake(world->store->store, SWEEP_SESSIONS);
  for (int steps = 0; left > 0 && steps < 1000; steps++) {
    (void)sweep_step(world->store->store, false);
    int64_t now = fixture_number(world->store, "SELECT count(*) FROM session");
    assert_true(left - now <= STORE_SWEEP_ROWS);
    left = now;
  }
  assert_int_equal(left, 0);
}

// ---- bounds ---------------------------------------------------------------------------------------------------------

static void test_ten_thousand_logins_leave_a_bounded_number_the_newest(void **state) {
  struct world *world = *state;
  char first[AUTH_TEXT_BYTES], other[AUTH_TEXT_BYTES], sids[40][AUTH_TEXT_BYTES];
  assert_int_equal(log_in(world, world->bob, 0, other), 0);
  assert_int_equal(log_in(world, world->alice, 0, first), 0);
  for (int i = 0; i < 10000; i++)
    assert_int_equal(log_in(world, world->alice, 0, sids[i % 40]), 0);
  fixture_number_is(world->store, "SELECT count(*) FROM session WHERE user_id = 1", MAX_PER_USER);
  assert_int_equal(whose(world, first, true), 0);
  assert_int_equal(whose(world, other, true), world->bob);
  for (int i = 0; i < 40; i++) // the last was number 9999, in place 39
    assert_int_equal(whose(world, sids[i], true), i >= 40 - MAX_PER_USER ? world->alice : 0);
}

static void test_a_new_login_replaces_the_browsers_session(void **state) {
  struct world *world = *state;
  char old[AUTH_TEXT_BYTES], new[AUTH_TEXT_BYTES];
  assert_int_equal(log_in(world, world->alice, 0, old), 0);
  assert_int_equal(whose(world, old, true), world->alice);
  assert_int_equal(log_in(world, world->alice, world->who.session_id, new), 0);
  assert_string_not_equal(old, new);
  assert_int_equal(whose(world, old, true), 0);
  assert_int_equal(whose(world, new, true), world->alice);
}

// ---- passwords ------------------------------------------------------------------------------------------------------

static int change_password(struct store_conn *conn, void *ctx, struct error *err) {
  const struct world *world = ctx;
  int rc = user_set_password(conn, world->alice, STR("hash of new"), err);
  return rc == 0 ? session_delete_others(conn, world->alice, world->who.session_id, err) : rc;
}

static void test_a_password_change_ends_the_others_and_what_was_about_to_begin(void **state) {
  struct world *world = *state;
  char mine[AUTH_TEXT_BYTES], others[AUTH_TEXT_BYTES], bobs[AUTH_TEXT_BYTES], late[AUTH_TEXT_BYTES];
  assert_int_equal(log_in(world, world->alice, 0, others), 0);
  assert_int_equal(log_in(world, world->bob, 0, bobs), 0);
  assert_int_equal(log_in(world, world->alice, 0, mine), 0);
  assert_int_equal(whose(world, mine, true), world->alice);
  assert_int_equal(fixture_write(world->store, change_password, world), 0);
  assert_int_equal(whose(world, others, true), 0);
  assert_int_equal(whose(world, mine, true), world->alice);
  assert_int_equal(whose(world, bobs, true), world->bob);
  // Its password was right a moment ago.
  assert_int_equal(log_in(world, world->alice, 0, late), ERR_UNAUTHORIZED);
  assert_int_equal(whose(world, late, true), 0);
}

// ---- CSRF -----------------------------------------------------------------------------------------------------------

static void test_a_csrf_token_belongs_to_one_cookie_one_session_and_one_key(void **state) {
  struct world *world = *state;
  char a[AUTH_TEXT_BYTES], b[AUTH_TEXT_BYTES], sid[AUTH_TEXT_BYTES], token[AUTH_TEXT_BYTES], other[AUTH_TEXT_BYTES];
  auth_random_text(a);
  auth_random_text(b);
  auth_random_text(sid);
  auth_csrf_token(world->sessions, str_of(a), str_of(sid), token);
  assert_true(auth_is_random_text(str_of(token)));
  auth_csrf_token(world->sessions, str_of(a), str_of(sid), other);
  assert_string_equal(token, other);
  auth_csrf_token(world->sessions, str_of(b), str_of(sid), other);
  assert_string_not_equal(token, other);
  auth_csrf_token(world->sessions, str_of(a), STR_EMPTY, other);
  assert_string_not_equal(token, other);
  auth_csrf_token(world->sessions, str_of(sid), str_of(a), other);
  assert_string_not_equal(token, other);

  const uint8_t other_key[SEAL_KEY_BYTES] = {3, 2, 1};
  const struct auth_sessions_config config = {IDLE_S, MAX_S, MAX_PER_USER, NULL};
  struct auth_sessions *others = auth_sessions_new(&config, other_key, &world->store->clock, &world->store->err);
  assert_non_null(others);
  auth_csrf_token(others, str_of(a), str_of(sid), other);
  assert_string_not_equal(token, other);
  auth_sessions_free(others);
}

// ---- notes on failures ----------------------------------------------------------------------------------------------

static void test_failed_logins_are_noted_once_a_minute_for_each_and_bounded_in_all(void **state) {
  struct world *world = *state;
  struct failure_notes *notes = failure_notes_new(&world->store->err);
  struct address here, there;
  int64_t others = -1, now_us = 1000 * US_PER_S, noted = 0;
  assert_non_null(notes);
  assert_true(address_read(STR("192.0.2.7"), &here) && address_read(STR("192.0.2.8"), &there));
  assert_true(failure_notes_add(notes, STR("alice"), &here, now_us, &others));
  assert_int_equal(others, 0);
  for (int i = 0; i < 500; i++)
    assert_false(failure_notes_add(notes, STR("alice"), &here, now_us + 59 * US_PER_S, &others));
  assert_true(failure_notes_add(notes, STR("alice"), &there, now_us + 59 * US_PER_S, &others));
  assert_int_equal(others, 500);
  assert_true(failure_notes_add(notes, STR("alice"), &here, now_us + 60 * US_PER_S, &others));
  assert_int_equal(others, 0);

  now_us += 1000 * US_PER_S;
  for (uint8_t i = 0; i < 250; i++) {
    here.bytes[3] = i;
    noted += failure_notes_add(notes, STR("bob"), &here, now_us, &others);
  }
  assert_int_equal(noted, FAILURE_NOTES_PER_MINUTE);
  assert_true(failure_notes_add(notes, STR("bob"), &here, now_us + 60 * US_PER_S, &others));
  assert_int_equal(others, 250 - FAILURE_NOTES_PER_MINUTE);
  failure_notes_free(notes);
}

// ---- upgrades -------------------------------------------------------------------------------------------------------

static void test_sessions_come_with_an_upgrade_from_schema_1(void **state) {
  struct world *world = *state;
  char sid[AUTH_TEXT_BYTES];
  auth_sessions_free(world->sessions);
  fixture_load(world->store, "schema-001.sql");
  open_sessions(world, IDLE_S);
  fixture_number_is(world->store, "PRAGMA user_version", migrate_newest());
  world->alice = make_user(world, "alice");
  assert_int_equal(log_in(world, world->alice, 0, sid), 0);
  assert_int_equal(whose(world, sid, true), world->alice);
}

static void test_a_session_of_schema_2_is_still_one(void **state) {
  struct world *world = *state;
  auth_sessions_free(world->sessions);
  fixture_load(world->store, "schema-002.sql");
  open_sessions(world, IDLE_S);
  fixture_number_is(world->store, "PRAGMA user_version", migrate_newest());
  assert_int_equal(whose(world, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", true), 1);
  assert_true(str_eq_c(world->who.name, "alice"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_session_names_its_user_and_is_not_stored_in_clear, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what_is_no_sid_is_nobody, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_disabled_users_session_is_nobodys, setup, teardown),
      cmocka_unit_test_setup_teardown(test_an_unused_session_ends_at_the_idle_limit, setup, teardown),
      cmocka_unit_test_setup_teardown(test_use_renews_a_session_until_the_absolute_limit, setup, teardown),
      cmocka_unit_test_setup_teardown(test_use_is_written_at_most_once_a_minute, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_short_idle_limit_is_renewed_in_time, setup, teardown),
      cmocka_unit_test_setup_teardown(test_ended_sessions_are_swept_and_others_are_not, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_sweep_takes_at_most_its_rows_at_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_ten_thousand_logins_leave_a_bounded_number_the_newest, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_new_login_replaces_the_browsers_session, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_password_change_ends_the_others_and_what_was_about_to_begin, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_a_csrf_token_belongs_to_one_cookie_one_session_and_one_key, setup, teardown),
      cmocka_unit_test_setup_teardown(test_failed_logins_are_noted_once_a_minute_for_each_and_bounded_in_all, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_sessions_come_with_an_upgrade_from_schema_1, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_session_of_schema_2_is_still_one, setup, teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
