// SPDX-License-Identifier: Apache-2.0
// Where and how a target's requests go: the address taken apart, authorization, format. Read from the store once and
// cached by the lane; requests on their way hold it too, so it is counted. Secrets are in this memory only and in
// nothing that is logged or recorded. One thread at a time: the loop's, but for a test's, which is made before it is
// handed to the loop.
#ifndef HARBINGER_DISPATCH_ROUTE_H
#define HARBINGER_DISPATCH_ROUTE_H

#include "net/url.h"
#include "policy/policy.h"
#include "store/store.h"

struct route {
  struct arena *arena;
  int users;
  uint64_t generation; // of the policies when it was read
  struct target target;
  bool enabled; // its policy
  bool has_url; // else `why` says what is wrong with the address
  struct url url;
  struct error why;
  struct str authorization; // value of the header, empty when none
  struct str masked;        // the address for people
};

// One user: the caller. NULL with ERR_NOT_FOUND when the target is gone, other errors when the store cannot be read.
struct route *route_load(struct store *store, struct store_conn *reader, int64_t target_id, struct error *err)
    MUST_CHECK;
// Of a target as it stands (a copy), stored or not: for tests. One user: the caller.
struct route *route_of_target(const struct target *target, struct error *err) MUST_CHECK;
struct route *route_use(struct route *route); // one user more
void route_drop(struct route *route);         // NULL is fine

#endif
