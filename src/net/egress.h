// SPDX-License-Identifier: Apache-2.0
// The egress guard: may this program connect to that address and port on a user's word? Three tiers. Never: any address
// of this machine with a port of ours, the upstream, and every special range but the private ones; the start-up flag
// (`allow_at_start`) lifts loopback, link-local and metadata only, never our own ports. Private (RFC 1918, ULA, CGNAT):
// refused until an administrator allows the range. Public: allowed. Ports 80, 443, 1024 and up, less a deny list.
// The defence is the address handed to connect(): every answer of the resolver is judged, one bad one refuses all.
//
// A guard is shared: reading takes a snapshot by reference under a short lock; any thread.
#ifndef HARBINGER_NET_EGRESS_H
#define HARBINGER_NET_EGRESS_H

#include "base/error.h"
#include "net/address.h"
#include "net/url.h"

enum { EGRESS_MAX_RANGES = 256, EGRESS_MAX_OWN = 64 };

enum egress_verdict {
  EGRESS_ALLOWED,
  EGRESS_NEVER,   // no administrator can allow it at run time
  EGRESS_PRIVATE, // an administrator can: `harbinger egress allow CIDR`
  EGRESS_PORT,    // the port is not one for webhooks
};

struct egress; // owned by app/

struct egress *egress_new(struct error *err) MUST_CHECK;
void egress_free(struct egress *egress);
int egress_allow_at_start(struct egress *egress, const struct cidr *range, struct error *err) MUST_CHECK;
// Replace the ranges that administrators allowed. Ranges outside RFC 1918, ULA and CGNAT are ERR_INVALID.
int egress_set_allowed(struct egress *egress, const struct cidr *ranges, size_t len, struct error *err) MUST_CHECK;
// An endpoint of ours (listener, upstream): with an unspecified address, that port on every address of this
// machine. One that is there already changes nothing.
int egress_add_own(struct egress *egress, const struct address *endpoint, struct error *err) MUST_CHECK;
// Ports outside the default policy that the operator allows besides (setting egress.ports).
int egress_set_extra_ports(struct egress *egress, const uint16_t *ports, size_t len, struct error *err) MUST_CHECK;
// Read the machine's interface addresses again (at start, on SIGHUP).
int egress_refresh_local(struct egress *egress, struct error *err) MUST_CHECK;

// Judge one address with its port. Fills `err` (ERR_BLOCKED) with neutral words and what to do, naming no address
// that was resolved: the delivery log must not become a port scanner.
enum egress_verdict egress_check(struct egress *egress, const struct address *address, struct error *err);
// Judge an address typed by a user when it is saved: port policy, and the host when it is a literal.
int egress_check_url(struct egress *egress, const struct url *url, struct error *err) MUST_CHECK;
// Rises with each change, so that pooled connections of an older policy are not used again.
uint64_t egress_version(struct egress *egress);

#endif
