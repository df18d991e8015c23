// SPDX-License-Identifier: Apache-2.0
// A name server for unit tests on a loopback UDP port of its own, on the loop under test: A and AAAA records set by the
// test, NXDOMAIN for names that are not known, silence on demand, and a count of the questions.
#ifndef HARBINGER_TESTS_UNIT_SUPPORT_DNS_SERVER_H
#define HARBINGER_TESTS_UNIT_SUPPORT_DNS_SERVER_H

#include <stdint.h>

#include "net/loop.h"

struct dns_server;

struct dns_server *dns_server_new(struct loop *loop); // fails the test when it cannot
void dns_server_free(struct dns_server *server);
const char *dns_server_address(const struct dns_server *server); // "127.0.0.1:PORT"
// Answer `name` with these addresses, separated by commas, of either family; "" gives an answer without any.
void dns_server_set(struct dns_server *server, const char *name, const char *addresses, uint32_t ttl_s);
void dns_server_fail(struct dns_server *server, const char *name, int rcode); // 2: SERVFAIL, 3: NXDOMAIN
void dns_server_silence(struct dns_server *server, const char *name);         // never answer
int dns_server_asked(const struct dns_server *server, const char *name);      // A questions that came for it

#endif
