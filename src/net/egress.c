// SPDX-License-Identifier: Apache-2.0
#include "net/egress.h"

#include <errno.h>
#include <ifaddrs.h>
#include <pthread.h>
#include <stdlib.h>

enum { EGRESS_MAX_LOCAL = 4096, EGRESS_MAX_EXTRA_PORTS = 64 };

enum range_kind {
  RANGE_NEVER,
  RANGE_HOST,    // loopback, link-local, metadata: never, but the start flag lifts it
  RANGE_PRIVATE, // an administrator may allow it
};

struct range {
  uint8_t base[16];
  uint8_t prefix_len;
  enum range_kind kind;
};

// The first range that holds the address decides, so an address inside a wider range stands before it.
//
// IANA IPv4 special-purpose address registry, multicast, and what clouds answer on. Entries that the registry calls
// globally reachable (AS112, PCP and TURN anycast) are no receivers of webhooks either.
static const struct range ipv4_ranges[] = {
    {{168, 63, 129, 16}, 32, RANGE_HOST},   // Azure's platform address: public by its number
    {{100, 100, 100, 200}, 32, RANGE_HOST}, // Alibaba's metadata, inside CGNAT
    {{127}, 8, RANGE_HOST},                 // loopback
    {{169, 254}, 16, RANGE_HOST},           // link-local, with most clouds' metadata
    {{10}, 8, RANGE_PRIVATE},               // RFC 1918
    {{172, 16}, 12, RANGE_PRIVATE},         // RFC 1918
    {{192, 168}, 16, RANGE_PRIVATE},        // RFC 1918
    {{100, 64}, 10, RANGE_PRIVATE},         // CGNAT, RFC 6598
    {{0}, 8, RANGE_NEVER},                  // this network; 0.0.0.0 connects to loopback
    {{192, 0, 0}, 24, RANGE_NEVER},         // IETF protocol assignments
    {{192, 0, 2}, 24, RANGE_NEVER},         // documentation
    {{198, 51, 100}, 24, RANGE_NEVER},      // documentation
    {{203, 0, 113}, 24, RANGE_NEVER},       // documentation
    {{192, 31, 196}, 24, RANGE_NEVER},      // AS112
    {{192, 52, 193}, 24, RANGE_NEVER},      // AMT
    {{192, 175, 48}, 24, RANGE_NEVER},      // AS112, direct delegation
    {{192, 88, 99}, 24, RANGE_NEVER},       // 6to4 relay anycast
    {{198, 18}, 15, RANGE_NEVER},           // benchmarking
    {{224}, 4, RANGE_NEVER},                // multicast
    {{240}, 4, RANGE_NEVER},                // reserved, broadcast
};

// Everything outside 2000::/3 that is not named here is refused as well: unspecified, IPv4-mapped and -compatible, SIIT,
// NAT64, discard, SRv6, site-local, multicast and what is not allocated.
static const struct range ipv6_ranges[] = {
    {{[15] = 1}, 128, RANGE_HOST},                                         // loopback
    {{0xfe, 0x80}, 10, RANGE_HOST},                                        // link-local
    {{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 128, RANGE_HOST}, // AWS's metadata, inside ULA
    {{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}, 128, RANGE_HOST}, // Google's metadata, inside ULA
    {{0xfc}, 7, RANGE_PRIVATE},                                            // ULA, RFC 4193
    {{0x20, 0x01}, 23, RANGE_NEVER},                                       // IETF protocol assignments, Teredo
    {{0x20, 0x01, 0x0d, 0xb8}, 32, RANGE_NEVER},                           // documentation
    {{0x3f, 0xff}, 20, RANGE_NEVER},                                       // documentation, RFC 9637
    {{0x20, 0x02}, 16, RANGE_NEVER},                                       // 6to4, holds an IPv4 address
    {{0x26, 0x20, 0x00, 0x4f, 0x80}, 48, RANGE_NEVER},                     // AS112, direct delegation
    {{0x3f, 0xfe}, 16, RANGE_NEVER},                                       // once 6bone
};

static const uint16_t denied_ports[] = {22,   25,   53,   111,  135,  139,  445,  2049,
                                        2375, 2379, 3306, 5432, 6379, 9200, 11211};

// What a check reads: never changed once it can be seen, freed by the last who lets go of it.
struct policy {
  unsigned refs; // under egress.lock
  uint64_t version;
  size_t start_len, allowed_len, own_len, ports_len, local_len;
  struct cidr start[EGRESS_MAX_RANGES];
  struct cidr allowed[EGRESS_MAX_RANGES];
  struct address own[EGRESS_MAX_OWN];
  uint16_t ports[EGRESS_MAX_EXTRA_PORTS];
  struct address local[]; // of this machine's interfaces
};

struct egress {
  pthread_mutex_t lock;    // around `policy` and its counts, never held over more
  pthread_mutex_t changes; // one change at a time
  struct policy *policy;
};

// ---- snapshots

static struct policy *policy_take(struct egress *egress) {
  pthread_mutex_lock(&egress->lock);
  struct policy *policy = egress->policy;
  policy->refs++;
  pthread_mutex_unlock(&egress->lock);
  return policy;
}

static void policy_release(struct egress *egress, struct policy *policy) {
  pthread_mutex_lock(&egress->lock);
  bool last = --policy->refs == 0;
  pthread_mutex_unlock(&egress->lock);
  if (last)
    free(policy);
}

// Begin a change: a copy of the policy with the next version. `local` replaces the addresses of this machine; NULL keeps
// them. Ends with change_commit or change_abandon.
static struct policy *change_begin(struct egress *egress, const struct address *local, size_t local_len,
                                   struct error *err) {
  pthread_mutex_lock(&egress->changes);
  const struct policy *old = egress->policy;
  if (!local) {
    local = old->local;
    local_len = old->local_len;
  }
  struct policy *copy = malloc(sizeof(*copy) + local_len * sizeof(copy->local[0]));
  if (!copy) {
    pthread_mutex_unlock(&egress->changes);
    (void)error_set(err, ERR_NO_MEMORY, "out of memory for the egress policy; it stays as it was");
    return NULL;
  }
  pthread_mutex_lock(&egress->lock); // readers count their references in what is copied
  memcpy(copy, old, sizeof(*copy));
  pthread_mutex_unlock(&egress->lock);
  if (local_len > 0)
    memcpy(copy->local, local, local_len * sizeof(copy->local[0]));
  copy->local_len = local_len;
  copy->refs = 1;
  copy->version++;
  return copy;
}

static int change_commit(struct egress *egress, struct policy *policy) {
  pthread_mutex_lock(&egress->lock);
  struct policy *old = egress->policy;
  egress->policy = policy;
  pthread_mutex_unlock(&egress->lock);
  policy_release(egress, old);
  pthread_mutex_unlock(&egress->changes);
  return 0;
}

static void change_abandon(struct egress *egress, struct policy *policy) {
  free(policy);
  pthread_mutex_unlock(&egress->changes);
}

// ---- judging

static struct cidr range_cidr(const struct range *range, int family) {
  struct cidr cidr = {.base.family = family, .prefix_len = range->prefix_len};
  memcpy(cidr.base.bytes, range->base, sizeof(range->base));
  return cidr;
}

// The range that decides about an address; NULL when none of the tables names it.
static const struct range *range_of(const struct address *address) {
  bool ipv4 = address->family == AF_INET;
  const struct range *ranges = ipv4 ? ipv4_ranges : ipv6_ranges;
  size_t len = ipv4 ? ARRAY_LEN(ipv4_ranges) : ARRAY_LEN(ipv6_ranges);
  for (size_t i = 0; i < len; i++) {
    struct cidr cidr = range_cidr(&ranges[i], address->family);
    if (cidr_contains(&cidr, address))
      return &ranges[i];
  }
  return NULL;
}

// `inner` is wholly inside a range of `kind`.
static bool cidr_is_inside(const struct cidr *inner, enum range_kind kind) {
  bool ipv4 = inner->base.family == AF_INET;
  const struct range *ranges = ipv4 ? ipv4_ranges : ipv6_ranges;
  size_t len = ipv4 ? ARRAY_LEN(ipv4_ranges) : ARRAY_LEN(ipv6_ranges);
  for (size_t i = 0; i < len; i++) {
    struct cidr outer = range_cidr(&ranges[i], inner->base.family);
    if (ranges[i].kind == kind && inner->prefix_len >= outer.prefix_len && cidr_contains(&outer, &inner->base))
      return true;
  }
  return false;
}

static bool any_contains(const struct cidr *ranges, size_t len, const struct address *address) {
  for (size_t i = 0; i < len; i++) {
    if (cidr_contains(&ranges[i], address))
      return true;
  }
  return false;
}

static bool address_is_unspecified(const struct address *address) {
  static const uint8_t zero[16] = {0};
  return memcmp(address->bytes, zero, address->family == AF_INET ? 4 : 16) == 0;
}

static bool is_this_machine(const struct policy *policy, const struct address *address) {
  if (address_is_loopback(address) || address_is_unspecified(address))
    return true;
  for (size_t i = 0; i < policy->local_len; i++) {
    if (address_eq(&policy->local[i], address))
      return true;
  }
  return false;
}

// A listener on :: takes IPv4 too, so an unspecified endpoint of either family means both.
static bool is_own_endpoint(const struct policy *policy, const struct address *address) {
  for (size_t i = 0; i < policy->own_len; i++) {
    const struct address *own = &policy->own[i];
    if (own->port != address->port)
      continue;
    if (address_is_unspecified(own) ? is_this_machine(policy, address) : address_eq(own, address))
      return true;
  }
  return false;
}

static enum egress_verdict judge_address(const struct policy *policy, const struct address *address) {
  if (address->family != AF_INET && address->family != AF_INET6)
    return EGRESS_NEVER;
  if (is_own_endpoint(policy, address))
    return EGRESS_NEVER;
  const struct range *range = range_of(address);
  if (!range) {
    bool global_unicast = address->family == AF_INET || (address->bytes[0] & 0xe0) == 0x20; // 2000::/3
    return global_unicast ? EGRESS_ALLOWED : EGRESS_NEVER;
  }
  switch (range->kind) {
  case RANGE_HOST:
    return any_contains(policy->start, policy->start_len, address) ? EGRESS_ALLOWED : EGRESS_NEVER;
  case RANGE_PRIVATE:
    return any_contains(policy->allowed, policy->allowed_len, address) ? EGRESS_ALLOWED : EGRESS_PRIVATE;
  default:
    return EGRESS_NEVER;
  }
}

static bool port_in(const uint16_t *ports, size_t len, uint16_t port) {
  for (size_t i = 0; i < len; i++) {
    if (ports[i] == port)
      return true;
  }
  return false;
}

static bool port_is_open(const struct policy *policy, uint16_t port) {
  if (port == 0)
    return false;
  if (port_in(policy->ports, policy->ports_len, port))
    return true;
  return (port == 80 || port == 443 || port >= 1024) && !port_in(denied_ports, ARRAY_LEN(denied_ports), port);
}

#define MAY_BE_ALLOWED "the target is in a private network that webhooks may not reach; an administrator can allow "
#define ALLOWING_API "PUT /api/v2.0/harbinger/egress"

// `typed`: the address as the person wrote it, which is no news to him.
static int explain_private(const struct address *typed, struct error *err) {
  char text[ADDRESS_TEXT_BYTES];
  if (!typed)
    return error_set(err, ERR_BLOCKED,
                     MAY_BE_ALLOWED
                     "its range: `harbinger egress allow CIDR`, for example 10.1.0.0/16, or " ALLOWING_API);
  const struct cidr alone = {.base = *typed, .prefix_len = typed->family == AF_INET ? 32 : 128};
  return error_set(err, ERR_BLOCKED,
                   MAY_BE_ALLOWED "it: `harbinger egress allow %s`, or the range around it, or " ALLOWING_API,
                   cidr_write(&alone, text));
}

// What a person reads. One text per verdict: it names no address that the name of a target stands for, and does not say
// which of the ranges it was.
static int explain(enum egress_verdict verdict, uint16_t port, const struct address *typed, struct error *err) {
  switch (verdict) {
  case EGRESS_ALLOWED:
    return 0;
  case EGRESS_PRIVATE:
    return explain_private(typed, err);
  case EGRESS_PORT:
    return error_set(err, ERR_BLOCKED,
                     "port %u is not open to webhooks; use 80, 443 or a port from 1024 up that belongs to no "
                     "well-known database or system service",
                     (unsigned)port);
  default:
    return error_set(err, ERR_BLOCKED,
                     "the target is refused by policy: it is this server, or in a network that webhooks never "
                     "reach; use an address that other machines reach it by");
  }
}

static enum egress_verdict judge(struct egress *egress, const struct address *address) {
  struct policy *policy = policy_take(egress);
  enum egress_verdict verdict = judge_address(policy, address);
  if (verdict == EGRESS_ALLOWED && !port_is_open(policy, address->port))
    verdict = EGRESS_PORT;
  policy_release(egress, policy);
  return verdict;
}

enum egress_verdict egress_check(struct egress *egress, const struct address *address, struct error *err) {
  enum egress_verdict verdict = judge(egress, address);
  (void)explain(verdict, address->port, NULL, err);
  return verdict;
}

// RFC 6761 6.3: such names are loopback wherever they are looked up.
static bool is_localhost(struct str host) {
  const struct str name = STR("localhost");
  if (host.len < name.len || !str_ieq(str_from(host, host.len - name.len), name))
    return false;
  return host.len == name.len || host.ptr[host.len - name.len - 1] == '.';
}

int egress_check_url(struct egress *egress, const struct url *url, struct error *err) {
  // A name is judged when its addresses are known; until then any public one stands for it, so that the port is.
  struct address address = {.family = AF_INET, .bytes = {1, 1, 1, 1}};
  if (url->host_is_address)
    address = url->address;
  else if (is_localhost(url->host))
    memcpy(address.bytes, (const uint8_t[]){127, 0, 0, 1}, 4);
  address.port = url->port;
  return explain(judge(egress, &address), url->port, url->host_is_address ? &url->address : NULL, err);
}

// ---- changing the policy

int egress_allow_at_start(struct egress *egress, const struct cidr *range, struct error *err) {
  char text[ADDRESS_TEXT_BYTES];
  if (!cidr_is_inside(range, RANGE_HOST))
    return error_set(err, ERR_INVALID,
                     "cannot allow %s at start: this lifts loopback, link-local and metadata addresses only; "
                     "allow a private range with `harbinger egress allow CIDR`",
                     cidr_write(range, text));
  struct policy *policy = change_begin(egress, NULL, 0, err);
  if (!policy)
    return ERR_NO_MEMORY;
  if (policy->start_len == EGRESS_MAX_RANGES) {
    change_abandon(egress, policy);
    return error_set(err, ERR_FULL, "cannot allow %s at start: there are %d ranges already", cidr_write(range, text),
                     (int)EGRESS_MAX_RANGES);
  }
  policy->start[policy->start_len++] = *range;
  return change_commit(egress, policy);
}

int egress_set_allowed(struct egress *egress, const struct cidr *ranges, size_t len, struct error *err) {
  char text[ADDRESS_TEXT_BYTES];
  if (len > EGRESS_MAX_RANGES)
    return error_set(err, ERR_INVALID, "at most %d ranges can be allowed; join some of them", (int)EGRESS_MAX_RANGES);
  for (size_t i = 0; i < len; i++) {
    if (!cidr_is_inside(&ranges[i], RANGE_PRIVATE))
      return error_set(err, ERR_INVALID,
                       "%s cannot be allowed: only ranges inside 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, "
                       "100.64.0.0/10 and fc00::/7 can; public addresses need no permission",
                       cidr_write(&ranges[i], text));
  }
  struct policy *policy = change_begin(egress, NULL, 0, err);
  if (!policy)
    return ERR_NO_MEMORY;
  if (len > 0)
    memcpy(policy->allowed, ranges, len * sizeof(ranges[0]));
  policy->allowed_len = len;
  return change_commit(egress, policy);
}

static bool is_guarded(struct egress *egress, const struct address *endpoint) {
  struct policy *policy = policy_take(egress);
  bool found = false;
  for (size_t i = 0; i < policy->own_len && !found; i++)
    found = policy->own[i].port == endpoint->port && address_eq(&policy->own[i], endpoint);
  policy_release(egress, policy);
  return found;
}

int egress_add_own(struct egress *egress, const struct address *endpoint, struct error *err) {
  if (is_guarded(egress, endpoint))
    return 0;
  struct policy *policy = change_begin(egress, NULL, 0, err);
  if (!policy)
    return ERR_NO_MEMORY;
  if (policy->own_len == EGRESS_MAX_OWN) {
    change_abandon(egress, policy);
    return error_set(err, ERR_FULL, "cannot guard one more endpoint of this server: there are %d already",
                     (int)EGRESS_MAX_OWN);
  }
  policy->own[policy->own_len++] = *endpoint;
  return change_commit(egress, policy);
}

int egress_set_extra_ports(struct egress *egress, const uint16_t *ports, size_t len, struct error *err) {
  if (len > EGRESS_MAX_EXTRA_PORTS)
    return error_set(err, ERR_INVALID, "at most %d extra ports can be allowed", (int)EGRESS_MAX_EXTRA_PORTS);
  struct policy *policy = change_begin(egress, NULL, 0, err);
  if (!policy)
    return ERR_NO_MEMORY;
  if (len > 0)
    memcpy(policy->ports, ports, len * sizeof(ports[0]));
  policy->ports_len = len;
  return change_commit(egress, policy);
}

// The interfaces' addresses into `local`, at most EGRESS_MAX_LOCAL. Returns how many, or EGRESS_MAX_LOCAL + 1.
static size_t collect_local(const struct ifaddrs *interfaces, struct address *local) {
  size_t len = 0;
  for (const struct ifaddrs *at = interfaces; at; at = at->ifa_next) {
    struct address address;
    if (!at->ifa_addr || !address_from_sockaddr(at->ifa_addr, &address))
      continue;
    if (len == EGRESS_MAX_LOCAL)
      return EGRESS_MAX_LOCAL + 1;
    local[len++] = address;
  }
  return len;
}

static bool same_addresses(const struct policy *policy, const struct address *local, size_t len) {
  if (policy->local_len != len)
    return false;
  for (size_t i = 0; i < len; i++) {
    if (!address_eq(&policy->local[i], &local[i]))
      return false;
  }
  return true;
}

static int replace_local(struct egress *egress, const struct address *local, size_t len, struct error *err) {
  struct policy *now = policy_take(egress);
  bool same = same_addresses(now, local, len);
  policy_release(egress, now);
  if (same)
    return 0; // the version stands: no connection need be given up
  struct policy *policy = change_begin(egress, local, len, err);
  return policy ? change_commit(egress, policy) : ERR_NO_MEMORY;
}

int egress_refresh_local(struct egress *egress, struct error *err) {
  char words[128];
  struct ifaddrs *interfaces;
  if (getifaddrs(&interfaces) != 0)
    return error_set(err, ERR_IO, "cannot read this machine's addresses: %s", error_errno(errno, words));
  struct address *local = calloc(EGRESS_MAX_LOCAL, sizeof(*local));
  int rc;
  if (!local) {
    rc = error_set(err, ERR_NO_MEMORY, "out of memory for this machine's addresses");
  } else {
    size_t len = collect_local(interfaces, local);
    rc = len <= EGRESS_MAX_LOCAL
             ? replace_local(egress, local, len, err)
             : error_set(err, ERR_FULL, "this machine has more than %d addresses; the egress guard cannot hold them",
                         (int)EGRESS_MAX_LOCAL);
  }
  free(local);
  freeifaddrs(interfaces);
  return rc;
}

struct egress *egress_new(struct error *err) {
  struct egress *egress = calloc(1, sizeof(*egress));
  struct policy *policy = calloc(1, sizeof(*policy));
  if (!egress || !policy) {
    free(egress);
    free(policy);
    (void)error_set(err, ERR_NO_MEMORY, "out of memory for the egress guard");
    return NULL;
  }
  policy->refs = 1;
  policy->version = 1;
  egress->policy = policy;
  pthread_mutex_init(&egress->lock, NULL);
  pthread_mutex_init(&egress->changes, NULL);
  if (egress_refresh_local(egress, err) != 0) { // a guard that does not know its machine guards nothing
    egress_free(egress);
    return NULL;
  }
  return egress;
}

void egress_free(struct egress *egress) {
  if (!egress)
    return;
  free(egress->policy);
  pthread_mutex_destroy(&egress->lock);
  pthread_mutex_destroy(&egress->changes);
  free(egress);
}

uint64_t egress_version(struct egress *egress) {
  struct policy *policy = policy_take(egress);
  uint64_t version = policy->version;
  policy_release(egress, policy);
  return version;
}
