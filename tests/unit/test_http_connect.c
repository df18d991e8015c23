// SPDX-License-Identifier: Apache-2.0
// From a name to a connection that carries a request: addresses, the guard, TLS, and giving up at every stage.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/client_fixture.h"

enum { BLACK_HOLE_SOCKETS = 8 };

// 127.0.0.2:port takes no connection: its backlog is full, so a SYN gets no answer.
struct black_hole {
  int listener;
  int sockets[BLACK_HOLE_SOCKETS];
};

static void black_hole_open(struct black_hole *hole, uint16_t port) {
  struct address address = {.family = AF_INET, .bytes = {127, 0, 0, 2}, .port = port};
  struct sockaddr_storage sockaddr;
  socklen_t len = address_to_sockaddr(&address, &sockaddr);
  hole->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(hole->listener >= 0);
  assert_int_equal(bind(hole->listener, (struct sockaddr *)&sockaddr, len), 0);
  assert_int_equal(listen(hole->listener, 0), 0);
  for (int i = 0; i < BLACK_HOLE_SOCKETS; i++) {
    hole->sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(hole->sockets[i] >= 0);
    (void)!connect(hole->sockets[i], (struct sockaddr *)&sockaddr, len);
  }
}

static void black_hole_close(struct black_hole *hole) {
  for (int i = 0; i < BLACK_HOLE_SOCKETS; i++)
    close(hole->sockets[i]);
  close(hole->listener);
}

static void run(struct client_fixture *fixture, struct test_call *call, const char *scheme, const char *host,
                uint16_t port) {
  test_call_init(call, scheme, host, port);
  test_call_start(fixture, call);
  test_call_wait(fixture, call);
}

static void run_secure(struct client_fixture *fixture, struct test_call *call, const char *host, bool skip_verify) {
  test_call_init(call, "https", host, fixture->secure->port);
  call->params.skip_cert_verify = skip_verify;
  test_call_start(fixture, call);
  test_call_wait(fixture, call);
}

static void assert_ok(const struct test_call *call) {
  if (call->result.outcome != HTTP_OUTCOME_ANSWERED)
    print_error("%s\n", call->result.err.text);
  assert_int_equal(call->result.outcome, HTTP_OUTCOME_ANSWERED);
  assert_int_equal(call->result.status, 200);
}

static void test_a_name_is_resolved_and_kept_in_the_host_header(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  dns_server_set(fixture->names, "hook.example", "127.0.0.1", 60);
  run(fixture, &call, "http", "Hook.example", fixture->receiver->port);
  assert_ok(&call);
  char host[64];
  (void)snprintf(host, sizeof host, "\r\nHost: Hook.example:%u\r\n", fixture->receiver->port);
  assert_non_null(strstr(fixture->receiver->last, host));
  assert_true(call.result.timings.dns_us >= 0);
  run(fixture, &call, "http", "hook.EXAMPLE", fixture->receiver->port);
  assert_true(call.result.reused);
}

static void test_a_name_that_does_not_exist(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  run(fixture, &call, "http", "missing.example", fixture->receiver->port);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_DNS);
  assert_string_equal(call.result.err.text, "the name missing.example does not exist");
  assert_false(call.result.request_sent);
  assert_int_equal(call.result.peer.family, 0);
}

static void test_a_silent_name_server(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  dns_server_silence(fixture->names, "silent.example");
  test_call_init(&call, "http", "silent.example", fixture->receiver->port);
  test_call_start(fixture, &call);
  client_fixture_settle(fixture);
  client_fixture_advance(fixture, 5000);
  test_call_wait(fixture, &call);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_DNS);
}

static void test_a_refused_connection(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  struct receiver *gone = receiver_new(fixture->loop, NULL);
  uint16_t port = gone->port;
  receiver_free(gone);
  run(fixture, &call, "http", "127.0.0.1", port);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_CONNECT);
  assert_non_null(strstr(call.result.err.text, "Connection refused"));
  assert_int_equal(call.connected, 0);
}

static void test_the_next_address_is_tried_when_one_refuses(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  dns_server_set(fixture->names, "two.example", "127.0.0.3,127.0.0.4,127.0.0.1", 60);
  run(fixture, &call, "http", "two.example", fixture->receiver->port);
  assert_ok(&call);
  assert_int_equal(call.result.peer.bytes[3], 1);
}

static void test_the_next_address_is_tried_when_one_is_silent(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  struct black_hole hole;
  black_hole_open(&hole, fixture->receiver->port);
  dns_server_set(fixture->names, "two.example", "127.0.0.2,127.0.0.1", 60);
  test_call_init(&call, "http", "two.example", fixture->receiver->port);
  test_call_start(fixture, &call);
  for (int i = 0; i < 20 && dns_server_asked(fixture->names, "two.example") == 0; i++)
    loop_step(fixture->loop, 10);
  client_fixture_settle(fixture);
  client_fixture_advance(fixture, 249);
  assert_int_equal(call.done, 0);
  client_fixture_advance(fixture, 1);
  test_call_wait(fixture, &call);
  assert_ok(&call);
  assert_int_equal(call.result.peer.bytes[3], 1);
  black_hole_close(&hole);
}

static void test_a_silent_address_runs_into_the_connect_deadline(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  struct black_hole hole;
  black_hole_open(&hole, fixture->receiver->port);
  test_call_init(&call, "http", "127.0.0.2", fixture->receiver->port);
  test_call_start(fixture, &call);
  client_fixture_settle(fixture);
  client_fixture_advance(fixture, 4999);
  assert_int_equal(call.done, 0);
  client_fixture_advance(fixture, 1);
  assert_int_equal(call.done, 1);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_TIMEOUT);
  assert_false(call.result.request_sent);
  black_hole_close(&hole);
}

static void test_one_forbidden_address_refuses_the_answer(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  const char *const answers[] = {"127.0.0.1,169.254.169.254", "169.254.169.254,127.0.0.1", "127.0.0.1,::1"};
  for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
    char name[32];
    (void)snprintf(name, sizeof name, "mixed%zu.example", i);
    dns_server_set(fixture->names, name, answers[i], 60);
    run(fixture, &call, "http", name, fixture->receiver->port);
    assert_int_equal(call.result.outcome, HTTP_OUTCOME_BLOCKED);
    assert_int_equal(call.result.err.code, ERR_BLOCKED);
    assert_null(strstr(call.result.err.text, "169.254"));
    assert_int_equal(call.result.peer.family, 0);
  }
  assert_int_equal(fixture->receiver->accepted, 0);
}

// The guard of the fixture lets loopback through; this one is as it comes.
static void test_loopback_is_refused_by_name_and_by_number(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  struct error err;
  struct egress *strict = egress_new(&err);
  assert_non_null(strict);
  struct http_client_config config = {4, 4, 2, 2, 30000, 300000};
  struct http_client *loose = fixture->client;
  fixture->client = http_client_new(fixture->loop, fixture->resolver, strict, fixture->tls, &config, NULL, &err);
  assert_non_null(fixture->client);
  dns_server_set(fixture->names, "public.example", "192.0.2.1,127.0.0.1", 60);
  const char *const hosts[] = {"127.0.0.1", "localhost", "public.example"};
  for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
    run(fixture, &call, "http", hosts[i], fixture->receiver->port);
    assert_int_equal(call.result.outcome, HTTP_OUTCOME_BLOCKED);
  }
  assert_int_equal(fixture->receiver->accepted, 0);
  // What the operator configured is not judged, and shares no connection with what is.
  test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
  call.params.guarded = false;
  test_call_start(fixture, &call);
  test_call_wait(fixture, &call);
  assert_ok(&call);
  run(fixture, &call, "http", "127.0.0.1", fixture->receiver->port);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_BLOCKED);
  http_client_free(fixture->client);
  egress_free(strict);
  fixture->client = loose;
}

static void test_a_changed_policy_ends_the_use_of_older_connections(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  struct error err;
  run(fixture, &call, "http", "127.0.0.1", fixture->receiver->port);
  struct cidr range;
  assert_true(cidr_read(STR("10.1.0.0/16"), &range));
  assert_int_equal(egress_set_allowed(fixture->guard, &range, 1, &err), 0);
  run(fixture, &call, "http", "127.0.0.1", fixture->receiver->port);
  assert_ok(&call);
  assert_false(call.result.reused);
  // An own endpoint is refused from the moment it is one, whatever is in the pool.
  struct address own = {.family = AF_INET, .bytes = {127, 0, 0, 1}, .port = fixture->receiver->port};
  assert_int_equal(egress_add_own(fixture->guard, &own, &err), 0);
  run(fixture, &call, "http", "127.0.0.1", fixture->receiver->port);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_BLOCKED);
  assert_int_equal(fixture->receiver->requests, 2);
}

static void test_a_name_that_rebinds_is_judged_again(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  dns_server_set(fixture->names, "rebind.example", "127.0.0.1", 0);
  run(fixture, &call, "http", "rebind.example", fixture->receiver->port);
  assert_ok(&call);
  dns_server_set(fixture->names, "rebind.example", "169.254.169.254", 0);
  run(fixture, &call, "http", "rebind.example", fixture->receiver->port);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_BLOCKED);
}

static void test_https_with_a_certificate_for_the_name(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  client_fixture_secure(fixture, fixture->pki, "DNS:hook.example,IP:127.0.0.1");
  dns_server_set(fixture->names, "hook.example", "127.0.0.1", 60);
  for (int i = 0; i < 3; i++) {
    run_secure(fixture, &call, "hook.example", false);
    assert_ok(&call);
    assert_string_equal(call.body, "ok");
    assert_int_equal(call.result.reused, i > 0);
  }
  assert_int_equal(fixture->secure->accepted, 1);
  run_secure(fixture, &call, "127.0.0.1", false);
  assert_ok(&call);
  assert_true(call.result.timings.tls_us >= call.result.timings.connect_us);
}

static void test_https_with_a_certificate_for_another_name(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  client_fixture_secure(fixture, fixture->pki, "DNS:other.example");
  dns_server_set(fixture->names, "hook.example", "127.0.0.1", 60);
  run_secure(fixture, &call, "hook.example", false);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_TLS);
  assert_int_equal(call.result.err.code, ERR_TLS);
  assert_non_null(strstr(call.result.err.text, "hook.example"));
  assert_int_equal(fixture->secure->requests, 0);
  assert_false(call.result.request_sent);
}

static void test_https_with_an_unknown_authority(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  struct pki *stranger = pki_new();
  client_fixture_secure(fixture, stranger, "DNS:hook.example");
  dns_server_set(fixture->names, "hook.example", "127.0.0.1", 60);
  run_secure(fixture, &call, "hook.example", false);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_TLS);
  assert_int_equal(fixture->secure->requests, 0);
  // Whoever skips the check gets through, and nobody else on that connection or with its ticket.
  run_secure(fixture, &call, "hook.example", true);
  assert_ok(&call);
  run_secure(fixture, &call, "hook.example", false);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_TLS);
  run_secure(fixture, &call, "hook.example", true);
  assert_true(call.result.reused);
  pki_free(stranger);
}

static void test_tls_sessions_are_resumed(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  client_fixture_secure(fixture, fixture->pki, "IP:127.0.0.1");
  fixture->reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
  for (int i = 0; i < 3; i++) {
    run_secure(fixture, &call, "127.0.0.1", false);
    assert_ok(&call);
    assert_false(call.result.reused);
    assert_int_equal(call.result.tls_resumed, i > 0);
  }
}

static void test_the_ticket_that_was_not_used_longest_gives_way(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  const char *const hosts[] = {"a.example", "b.example", "c.example"}; // and the client keeps two tickets
  client_fixture_secure(fixture, fixture->pki, "DNS:a.example,DNS:b.example,DNS:c.example");
  fixture->reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
  for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
    dns_server_set(fixture->names, hosts[i], "127.0.0.1", 60);
    run_secure(fixture, &call, hosts[i], false);
    assert_ok(&call);
  }
  run_secure(fixture, &call, "c.example", false);
  assert_true(call.result.tls_resumed);
  run_secure(fixture, &call, "a.example", false);
  assert_false(call.result.tls_resumed);
}

static void test_https_to_a_port_without_tls(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  test_call_init(&call, "https", "127.0.0.1", fixture->receiver->port);
  test_call_start(fixture, &call);
  client_fixture_wait(fixture, &fixture->receiver->accepted, 1);
  peer_send(&fixture->receiver->peers[0], STR("HTTP/1.1 400 Bad Request\r\n\r\n"));
  test_call_wait(fixture, &call);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_TLS);
}

static void test_a_handshake_that_stands_still(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->receiver->deaf = true;
  test_call_init(&call, "https", "127.0.0.1", fixture->receiver->port);
  test_call_start(fixture, &call);
  client_fixture_wait(fixture, &fixture->receiver->accepted, 1);
  client_fixture_settle(fixture);
  client_fixture_advance(fixture, 5000);
  assert_int_equal(call.done, 1);
  assert_int_equal(call.result.outcome, HTTP_OUTCOME_TIMEOUT);
  assert_non_null(strstr(call.result.err.text, "TLS handshake"));
}

// After a cancelled call nothing is told, and its place is free again.
static void assert_cancelled(struct client_fixture *fixture, struct test_call *call) {
  http_call_cancel(call->call);
  client_fixture_settle(fixture);
  client_fixture_advance(fixture, 60000);
  assert_int_equal(call->done, 0);
  struct test_call others[TEST_MAX_CALLS];
  for (int i = 0; i < TEST_MAX_CALLS; i++) {
    test_call_init(&others[i], "http", "127.0.0.1", fixture->receiver->port);
    test_call_start(fixture, &others[i]);
  }
  for (int i = 0; i < TEST_MAX_CALLS; i++) {
    test_call_wait(fixture, &others[i]);
    assert_ok(&others[i]);
  }
}

static void test_cancel_before_anything_began(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
  test_call_start(fixture, &call);
  assert_cancelled(fixture, &call);
  assert_int_equal(fixture->receiver->requests, TEST_MAX_CALLS);
}

static void test_cancel_while_resolving(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  dns_server_silence(fixture->names, "silent.example");
  test_call_init(&call, "http", "silent.example", fixture->receiver->port);
  test_call_start(fixture, &call);
  client_fixture_settle(fixture);
  assert_cancelled(fixture, &call);
}

static void test_cancel_while_connecting(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  struct black_hole hole;
  black_hole_open(&hole, fixture->receiver->port);
  test_call_init(&call, "http", "127.0.0.2", fixture->receiver->port);
  test_call_start(fixture, &call);
  client_fixture_settle(fixture);
  assert_int_equal(call.done, 0);
  assert_cancelled(fixture, &call);
  black_hole_close(&hole);
}

static void test_cancel_in_the_handshake(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  test_call_init(&call, "https", "127.0.0.1", fixture->receiver->port);
  test_call_start(fixture, &call);
  client_fixture_wait(fixture, &fixture->receiver->accepted, 1);
  client_fixture_settle(fixture);
  assert_cancelled(fixture, &call);
  assert_true(fixture->receiver->peers[0].lost);
}

static void test_cancel_from_on_connected(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
  call.cancel_when_connected = true;
  test_call_start(fixture, &call);
  client_fixture_wait(fixture, &call.connected, 1);
  client_fixture_settle(fixture);
  assert_int_equal(call.done, 0);
  assert_int_equal(fixture->receiver->requests, 0);
}

static void test_cancel_of_a_half_sent_request_resets_it(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  size_t size = 32 * 1024 * 1024;
  char *body = calloc(1, size);
  assert_non_null(body);
  fixture->receiver->deaf = true;
  test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
  call.params.body = (struct str){body, size};
  test_call_start(fixture, &call);
  client_fixture_wait(fixture, &fixture->receiver->accepted, 1);
  client_fixture_settle(fixture);
  assert_true(http_call_request_started(call.call));
  http_call_cancel(call.call);
  struct error err;
  struct receiver_peer *peer = &fixture->receiver->peers[0];
  assert_int_equal(loop_io_set(fixture->loop, &peer->io, EPOLLIN, &err), 0);
  for (int i = 0; i < 2000 && !peer->lost; i++)
    loop_step(fixture->loop, 10);
  assert_true(peer->lost_by_reset);
  assert_int_equal(call.done, 0);
  free(body);
}

static void test_cancel_while_waiting_for_the_answer(void **state) {
  struct client_fixture *fixture = *state;
  struct test_call call;
  fixture->receiver->on_request = NULL;
  test_call_init(&call, "http", "127.0.0.1", fixture->receiver->port);
  test_call_start(fixture, &call);
  client_fixture_wait(fixture, &fixture->receiver->requests, 1);
  fixture->receiver->on_request = reply_to_request;
  assert_cancelled(fixture, &call);
  assert_true(fixture->receiver->peers[0].lost);
  assert_false(fixture->receiver->peers[0].lost_by_reset); // the request was whole
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_a_name_is_resolved_and_kept_in_the_host_header),
      TEST(test_a_name_that_does_not_exist),
      TEST(test_a_silent_name_server),
      TEST(test_a_refused_connection),
      TEST(test_the_next_address_is_tried_when_one_refuses),
      TEST(test_the_next_address_is_tried_when_one_is_silent),
      TEST(test_a_silent_address_runs_into_the_connect_deadline),
      TEST(test_one_forbidden_address_refuses_the_answer),
      TEST(test_loopback_is_refused_by_name_and_by_number),
      TEST(test_a_changed_policy_ends_the_use_of_older_connections),
      TEST(test_a_name_that_rebinds_is_judged_again),
      TEST(test_https_with_a_certificate_for_the_name),
      TEST(test_https_with_a_certificate_for_another_name),
      TEST(test_https_with_an_unknown_authority),
      TEST(test_tls_sessions_are_resumed),
      TEST(test_the_ticket_that_was_not_used_longest_gives_way),
      TEST(test_https_to_a_port_without_tls),
      TEST(test_a_handshake_that_stands_still),
      TEST(test_cancel_before_anything_began),
      TEST(test_cancel_while_resolving),
      TEST(test_cancel_while_connecting),
      TEST(test_cancel_in_the_handshake),
      TEST(test_cancel_from_on_connected),
      TEST(test_cancel_of_a_half_sent_request_resets_it),
      TEST(test_cancel_while_waiting_for_the_answer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
