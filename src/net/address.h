// SPDX-License-Identifier: Apache-2.0
// IP addresses and CIDR ranges as plain values. IPv4-mapped IPv6 (::ffff:a.b.c.d) is kept as IPv6 as written; the egress
// guard decides about it. Pure functions.
#ifndef HARBINGER_NET_ADDRESS_H
#define HARBINGER_NET_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/str.h"

enum { ADDRESS_TEXT_BYTES = 64 };

struct address {
  int family;        // AF_INET or AF_INET6
  uint8_t bytes[16]; // 4 or 16 used, network order
  uint16_t port;     // host order, 0 when not meant
};

struct cidr {
  struct address base;
  int prefix_len;
};

// A dotted quad of exactly four decimal parts without leading zeros, or IPv6 text without zone; anything else is false.
bool address_read(struct str text, struct address *out) MUST_CHECK;
// "1.2.3.4:80", "[::1]:80"; port required.
bool address_read_with_port(struct str text, struct address *out) MUST_CHECK;
const char *address_write(const struct address *address, char out[static ADDRESS_TEXT_BYTES]);           // no port
const char *address_write_with_port(const struct address *address, char out[static ADDRESS_TEXT_BYTES]); // "[::1]:80"
bool address_eq(const struct address *a, const struct address *b); // family and bytes, not the port
socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *out);
bool address_from_sockaddr(const struct sockaddr *sockaddr, struct address *out);
// "10.0.0.0/8", "fd00::/8", or a bare address (full length). Host bits must be zero.
bool cidr_read(struct str text, struct cidr *out) MUST_CHECK;
const char *cidr_write(const struct cidr *cidr, char out[static ADDRESS_TEXT_BYTES]);
bool cidr_contains(const struct cidr *cidr, const struct address *address);
bool address_is_loopback(const struct address *address); // 127.0.0.0/8, ::1

#endif
