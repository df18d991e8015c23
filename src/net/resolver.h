// SPDX-License-Identifier: Apache-2.0
// Names to addresses by c-ares on the loop: the same name is asked once however many wait, positive answers are cached
// for min(TTL, 30 s), negative ones for 5 s, each question has a budget of 5 s. It never asks /etc/hosts' owner's proxies
// or the environment; it does read /etc/hosts, so that `localhost` works as people expect. One resolver per loop, loop
// thread only. The egress guard judges the answers; the resolver does not.
#ifndef HARBINGER_NET_RESOLVER_H
#define HARBINGER_NET_RESOLVER_H

#include "net/address.h"
#include "net/loop.h"

enum { RESOLVER_MAX_ADDRESSES = 16 };

struct resolver_config {
  const char *servers;     // "addr:port[,addr:port]", NULL or "": the system's resolv.conf
  int64_t budget_ms;       // 5000
  int64_t positive_ttl_ms; // cap, 30000
  int64_t negative_ttl_ms; // 5000
  size_t max_names;        // cached or in question at once, 4096
  size_t max_waiters;      // 8192
};

struct resolver;
struct resolver_query; // one waiter

struct resolver_answer {
  const struct address *addresses; // ports are 0; both families, in the resolver's order
  size_t len;
};

// `answer` NULL on failure, then `err` says why ("name does not exist", "no answer from the name server in 5 s" ...).
typedef void resolver_fn(void *ctx, const struct resolver_answer *answer, const struct error *err);

struct resolver *resolver_new(struct loop *loop, const struct resolver_config *config, struct error *err) MUST_CHECK;
void resolver_free(struct resolver *resolver); // waiters are answered with ERR_UNAVAILABLE
// Ask. `fn` is never called before this returns (a cached answer comes in the next round). NULL: full, `err` filled.
struct resolver_query *resolver_ask(struct resolver *resolver, struct str name, resolver_fn *fn, void *ctx,
                                    struct error *err) MUST_CHECK;
void resolver_cancel(struct resolver_query *query); // fn will not be called

#endif
