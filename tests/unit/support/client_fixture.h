// SPDX-License-Identifier: Apache-2.0
// What the tests of the HTTP client share: a loop on simulated time, a name server, a guard that lets loopback through,
// an authority, a plain receiver, and one client; calls that note what they are told.
#ifndef HARBINGER_TESTS_UNIT_SUPPORT_CLIENT_FIXTURE_H
#define HARBINGER_TESTS_UNIT_SUPPORT_CLIENT_FIXTURE_H

#include "net/http_client.h"
#include "support/dns_server.h"
#include "support/pki.h"
#include "support/receiver.h"

enum { TEST_MAX_CALLS = 4 };

struct client_fixture {
  struct clock clock;
  struct loop *loop;
  struct dns_server *names;
  struct resolver *resolver;
  struct egress *guard;
  struct pki *pki;
  struct tls_client *tls;
  struct http_client *client;
  struct receiver *receiver; // plain
  struct receiver *secure;   // after client_fixture_secure
  struct tls_server *secure_tls;
  // For the receivers' callbacks.
  const char *reply;
  const char *replies[4]; // by number of the request, when set
};

struct test_call {
  struct http_call *call;
  struct http_call_params params;
  char url[256];
  int done, connected;
  bool cancel_when_connected;
  struct http_result result; // `head` is no longer valid
  char body[8192];
  char header[256]; // the answer's X-Test
};

int client_fixture_set_up(void **state);
int client_fixture_tear_down(void **state);
void client_fixture_secure(struct client_fixture *fixture, struct pki *pki, const char *alt_names);

// Let what can happen without time happen; then let time pass.
void client_fixture_settle(struct client_fixture *fixture);
void client_fixture_advance(struct client_fixture *fixture, int64_t ms);
// Step until *value is at least `least`; fails the test when that does not come.
void client_fixture_wait(struct client_fixture *fixture, const int *value, int least);

// A POST of {"a":1} to scheme://host:port/hook, with defaults that the test may change before it starts it.
void test_call_init(struct test_call *call, const char *scheme, const char *host, uint16_t port);
void test_call_start(struct client_fixture *fixture, struct test_call *call);
void test_call_wait(struct client_fixture *fixture, struct test_call *call);
// All three for the plain receiver.
void test_call_run(struct client_fixture *fixture, struct test_call *call);

// Callbacks for receivers: send fixture->replies[n] or fixture->reply; then nothing more, or close, or reset.
void reply_to_request(struct receiver_peer *peer, void *fixture);
void reply_and_close(struct receiver_peer *peer, void *fixture);
void close_at_request(struct receiver_peer *peer, void *fixture);
void reset_at_request(struct receiver_peer *peer, void *fixture);

#endif
