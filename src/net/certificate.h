// SPDX-License-Identifier: Apache-2.0
// A certificate authority of one's own and a server's certificate by it, for machines that have no other: EC P-256, for
// `harbinger tls init`. Pure but for the random source; any thread.
#ifndef HARBINGER_NET_CERTIFICATE_H
#define HARBINGER_NET_CERTIFICATE_H

#include "base/arena.h"
#include "base/error.h"

enum { CERTIFICATE_MAX_HOSTS = 32, CERTIFICATE_MAX_DAYS = 825, CERTIFICATE_CA_DAYS = 3650 };

struct certificate_request {
  const struct str *hosts; // host names (RFC 1123, `*.` in front allowed) and addresses, the first one is the subject
  size_t hosts_len;
  int days;       // 1 to CERTIFICATE_MAX_DAYS: clients refuse what is valid for longer
  int64_t now_us; // wall clock; valid from an hour before, for clocks that are behind
};

struct certificate_pair {                  // PEM, in the arena; wipe the keys when they are written
  struct str ca, ca_key, certificate, key; // certificate: the chain, leaf first
};

// Is it a name or an address that a certificate can be for?
bool certificate_host_valid(struct str host);
// ERR_BAD_REQUEST names the host that cannot be.
int certificate_make(const struct certificate_request *request, struct arena *arena, struct certificate_pair *out,
                     struct error *err) MUST_CHECK;

#endif
