// SPDX-License-Identifier: Apache-2.0
#include "support/client_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_STEPS = 2000, STEP_MS = 10 };

static void open_client(struct client_fixture *fixture) {
  struct error err;
  struct http_client_config config = {
      .max_calls = TEST_MAX_CALLS,
      .max_idle = 4,
      .max_idle_per_key = 2,
      .max_sessions = 2,
      .idle_timeout_ms = 30000,
      .max_connection_age_ms = 300000,
  };
  fixture->client =
      http_client_new(fixture->loop, fixture->resolver, fixture->guard, fixture->tls, &config, NULL, &err);
  assert_non_null(fixture->client);
}

int client_fixture_set_up(void **state) {
  struct client_fixture *fixture = calloc(1, sizeof *fixture);
  assert_non_null(fixture);
  struct error err;
  clock_init_simulated(&fixture->clock, 1700000000 * US_PER_S);
  fixture->loop = loop_new(&fixture->clock, 64, 16, &err);
  assert_non_null(fixture->loop);
  fixture->names = dns_server_new(fixture->loop);
  struct resolver_config config = {
      .servers = dns_server_address(fixture->names),
      .budget_ms = 5000,
      .positive_ttl_ms = 30000,
      .negative_ttl_ms = 5000,
      .max_names = 16,
      .max_waiters = 16,
  };
  fixture->resolver = resolver_new(fixture->loop, &config, &err);
  assert_non_null(fixture->resolver);
  fixture->guard = egress_new(&err);
  assert_non_null(fixture->guard);
  struct cidr loopback;
  assert_true(cidr_read(STR("127.0.0.0/8"), &loopback));
  assert_int_equal(egress_allow_at_start(fixture->guard, &loopback, &err), 0);
  fixture->pki = pki_new();
  fixture->tls = tls_client_new(pki_ca_pem(fixture->pki), &err);
  assert_non_null(fixture->tls);
  fixture->receiver = receiver_new(fixture->loop, NULL);
  fixture->receiver->ctx = fixture;
  fixture->receiver->on_request = reply_to_request;
  fixture->reply = "HTTP/1.1 200 OK\r\nX-Test: yes\r\nContent-Length: 2\r\n\r\nok";
  open_client(fixture);
  *state = fixture;
  return 0;
}

int client_fixture_tear_down(void **state) {
  struct client_fixture *fixture = *state;
  http_client_free(fixture->client);
  receiver_free(fixture->receiver);
  receiver_free(fixture->secure);
  tls_server_free(fixture->secure_tls);
  tls_client_free(fixture->tls);
  pki_free(fixture->pki);
  egress_free(fixture->guard);
  resolver_free(fixture->resolver);
  dns_server_free(fixture->names);
  loop_free(fixture->loop);
  free(fixture);
  return 0;
}

void client_fixture_secure(struct client_fixture *fixture, struct pki *pki, const char *alt_names) {
  struct str chain, key;
  struct error err;
  pki_issue(pki, alt_names, &chain, &key);
  fixture->secure_tls = tls_server_new(chain, key, &err);
  assert_non_null(fixture->secure_tls);
  fixture->secure = receiver_new(fixture->loop, fixture->secure_tls);
  fixture->secure->ctx = fixture;
  fixture->secure->on_request = reply_to_request;
}

void client_fixture_settle(struct client_fixture *fixture) {
  while (loop_step(fixture->loop, 0))
    continue;
}

void client_fixture_advance(struct client_fixture *fixture, int64_t ms) {
  clock_advance(&fixture->clock, ms * US_PER_MS);
  client_fixture_settle(fixture);
}

void client_fixture_wait(struct client_fixture *fixture, const int *value, int least) {
  for (int i = 0; i < MAX_STEPS && *value < least; i++)
    loop_step(fixture->loop, STEP_MS);
  assert_true(*value >= least);
}

static void on_connected(void *ctx) {
  struct test_call *call = ctx;
  call->connected++;
  if (call->cancel_when_connected)
    http_call_cancel(call->call);
}

static void on_done(void *ctx, const struct http_result *result) {
  struct test_call *call = ctx;
  call->done++;
  call->call = NULL;
  call->result = *result;
  call->result.head = NULL;
  assert_true(result->body.len < sizeof call->body);
  memcpy(call->body, result->body.ptr, result->body.len);
  call->body[result->body.len] = '\0';
  if (result->outcome != HTTP_OUTCOME_ANSWERED) {
    assert_int_not_equal(result->err.code, ERR_OK);
    assert_true(strlen(result->err.text) > 0);
    return;
  }
  assert_int_equal(result->head->status, result->status);
  (void)snprintf(call->header, sizeof call->header, "%.*s", STR_ARG(http_head_get(result->head, "x-test")));
}

void test_call_init(struct test_call *call, const char *scheme, const char *host, uint16_t port) {
  struct error err;
  memset(call, 0, sizeof *call);
  (void)snprintf(call->url, sizeof call->url, "%s://%s:%u/hook?x=1", scheme, host, port);
  call->params = (struct http_call_params){
      .method = STR("POST"),
      .body = STR("{\"a\":1}"),
      .guarded = true,
      .keep_body_bytes = 4096,
      .read_body_bytes = 65536,
      .connect_timeout_ms = 5000,
      .first_byte_timeout_ms = 10000,
      .total_timeout_ms = 30000,
      .on_connected = on_connected,
      .on_done = on_done,
      .ctx = call,
  };
  assert_int_equal(url_parse(str_of(call->url), &call->params.url, &err), 0);
}

void test_call_start(struct client_fixture *fixture, struct test_call *call) {
  struct error err;
  call->call = http_client_start(fixture->client, &call->params, &err);
  assert_non_null(call->call);
  assert_int_equal(call->done + call->connected, 0);
}

void test_call_wait(struct client_fixture *fixture, struct test_call *call) {
  client_fixture_wait(fixture, &call->done, 1);
  client_fixture_settle(fixture);
  assert_int_equal(call->done, 1);
}

void test_call_run(struct client_fixture *fixture, struct test_call *call) {
  test_call_init(call, "http", "127.0.0.1", fixture->receiver->port);
  test_call_start(fixture, call);
  test_call_wait(fixture, call);
}

void reply_to_request(struct receiver_peer *peer, void *ctx) {
  struct client_fixture *fixture = ctx;
  int n = peer->receiver->requests - 1;
  const char *reply = n < (int)ARRAY_LEN(fixture->replies) ? fixture->replies[n] : NULL;
  peer_send(peer, str_of(reply ? reply : fixture->reply));
}

void reply_and_close(struct receiver_peer *peer, void *fixture) {
  reply_to_request(peer, fixture);
  peer_close(peer);
}

void close_at_request(struct receiver_peer *peer, void *fixture) {
  (void)fixture;
  peer_close(peer);
}

void reset_at_request(struct receiver_peer *peer, void *fixture) {
  (void)fixture;
  peer_reset(peer);
}
