// SPDX-License-Identifier: Apache-2.0
// Failures in a row, per user name and per address: how long the next answer to a failure is held back. A bounded
// table; when it is full the one that failed longest ago is forgotten. Shared by threads (a lock inside); nobody sleeps
// here.
#ifndef HARBINGER_AUTH_SLOWDOWN_H
#define HARBINGER_AUTH_SLOWDOWN_H

#include "base/error.h"
#include "net/address.h"

struct slowdown;

struct slowdown_config {
  size_t max_tracked;                 // users and addresses together
  int64_t delay_min_ms, delay_max_ms; // doubling per failure in a row
  int64_t forget_ms;                  // without a failure
};

struct slowdown *slowdown_new(const struct slowdown_config *config, struct error *err) MUST_CHECK;
void slowdown_free(struct slowdown *slowdown);
// One more failure of `user` (empty: no name was given) from `peer`, at `now_us` (monotonic). The longer delay of both,
// in milliseconds. IPv6 addresses count by their /64, which is what one subscriber has.
int64_t slowdown_failed(struct slowdown *slowdown, struct str user, const struct address *peer, int64_t now_us);
// The user has shown the right password. The address keeps its count: an attacker with an account of his own must not
// reset it.
void slowdown_succeeded(struct slowdown *slowdown, struct str user);

#endif
