// SPDX-License-Identifier: Apache-2.0
// net/egress.c: the three tiers, each range by its first and last address and their neighbours, ports, and what lifts what.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ifaddrs.h>
#include <pthread.h>

#include "net/egress.h"

static int setup(void **state) {
  *state = egress_new(NULL);
  return *state ? 0 : -1;
}

static int teardown(void **state) {
  egress_free(*state);
  return 0;
}

static struct cidr cidr(const char *text) {
  struct cidr range;
  if (!cidr_read(str_of(text), &range))
    fail_msg("no range: %s", text);
  return range;
}

static enum egress_verdict judge_port(struct egress *egress, const char *text, uint16_t port, struct error *err) {
  struct address address;
  if (!address_read(str_of(text), &address))
    fail_msg("no address: %s", text);
  address.port = port;
  return egress_check(egress, &address, err);
}

static void expect_port(struct egress *egress, const char *text, uint16_t port, enum egress_verdict expected) {
  struct error err = {0};
  enum egress_verdict verdict = judge_port(egress, text, port, &err);
  if (verdict != expected)
    fail_msg("%s port %u: verdict %d, expected %d", text, (unsigned)port, (int)verdict, (int)expected);
  assert_int_equal(err.code, expected == EGRESS_ALLOWED ? ERR_OK : ERR_BLOCKED);
  assert_null(strstr(err.text, text)); // the words name no address
}

static void expect(struct egress *egress, const char *text, enum egress_verdict expected) {
  expect_port(egress, text, 443, expected);
}

// In the order of the addresses. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct range_case {
  const char *before; // NULL: not tested, or the first address there is
  enum egress_verdict before_is;
  const char *first, *last;
  enum egress_verdict range_is;
  const char *after;
  enum egress_verdict after_is;
};

#define NEVER EGRESS_NEVER
#define PRIVATE EGRESS_PRIVATE
#define ALLOWED EGRESS_ALLOWED

static const struct range_case ipv4_cases[] = {
    {NULL, NEVER, "0.0.0.0", "0.255.255.255", NEVER, "1.0.0.0", ALLOWED},
    {"9.255.255.255", ALLOWED, "10.0.0.0", "10.255.255.255", PRIVATE, "11.0.0.0", ALLOWED},
    {"100.63.255.255", ALLOWED, "100.64.0.0", "100.127.255.255", PRIVATE, "100.128.0.0", ALLOWED},
    {"100.100.100.199", PRIVATE, "100.100.100.200", "100.100.100.200", NEVER, "100.100.100.201", PRIVATE},
    {"126.255.255.255", ALLOWED, "127.0.0.0", "127.255.255.255", NEVER, "128.0.0.0", ALLOWED},
    {"168.63.129.15", ALLOWED, "168.63.129.16", "168.63.129.16", NEVER, "168.63.129.17", ALLOWED},
    {"169.253.255.255", ALLOWED, "169.254.0.0", "169.254.255.255", NEVER, "169.255.0.0", ALLOWED},
    {"172.15.255.255", ALLOWED, "172.16.0.0", "172.31.255.255", PRIVATE, "172.32.0.0", ALLOWED},
    {"191.255.255.255", ALLOWED, "192.0.0.0", "192.0.0.255", NEVER, "192.0.1.0", ALLOWED},
    {"192.0.1.255", ALLOWED, "192.0.2.0", "192.0.2.255", NEVER, "192.0.3.0", ALLOWED},
    {"192.31.195.255", ALLOWED, "192.31.196.0", "192.31.196.255", NEVER, "192.31.197.0", ALLOWED},
    {"192.52.192.255", ALLOWED, "192.52.193.0", "192.52.193.255", NEVER, "192.52.194.0", ALLOWED},
    {"192.88.98.255", ALLOWED, "192.88.99.0", "192.88.99.255", NEVER, "192.88.100.0", ALLOWED},
    {"192.167.255.255", ALLOWED, "192.168.0.0", "192.168.255.255", PRIVATE, "192.169.0.0", ALLOWED},
    {"192.175.47.255", ALLOWED, "192.175.48.0", "192.175.48.255", NEVER, "192.175.49.0", ALLOWED},
    {"198.17.255.255", ALLOWED, "198.18.0.0", "198.19.255.255", NEVER, "198.20.0.0", ALLOWED},
    {"198.51.99.255", ALLOWED, "198.51.100.0", "198.51.100.255", NEVER, "198.51.101.0", ALLOWED},
    {"203.0.112.255", ALLOWED, "203.0.113.0", "203.0.113.255", NEVER, "203.0.114.0", ALLOWED},
    {"223.255.255.255", ALLOWED, "224.0.0.0", "239.255.255.255", NEVER, "240.0.0.0", NEVER},
    {"239.255.255.255", NEVER, "240.0.0.0", "255.255.255.255", NEVER, NULL, NEVER},
};

#define ONES "ffff:ffff:ffff:ffff:ffff:ffff"

static const struct range_case ipv6_cases[] = {
    {NULL, NEVER, "::", "1fff:ffff:" ONES, NEVER, "2000::", ALLOWED},
    {"2000:ffff:" ONES, ALLOWED, "2001::", "2001:1ff:" ONES, NEVER, "2001:200::", ALLOWED},
    {"2001:db7:" ONES, ALLOWED, "2001:db8::", "2001:db8:" ONES, NEVER, "2001:db9::", ALLOWED},
    {"2001:ffff:" ONES, ALLOWED, "2002::", "2002:ffff:" ONES, NEVER, "2003::", ALLOWED},
    {"2620:4f:7fff:ffff:ffff:ffff:ffff:ffff", ALLOWED, "2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", NEVER,
     "2620:4f:8001::", ALLOWED},
    {"3ffd:ffff:" ONES, ALLOWED, "3ffe::", "3ffe:ffff:" ONES, NEVER, "3fff:1000::", ALLOWED},
    {"3ffe:ffff:" ONES, NEVER, "3fff::", "3fff:fff:" ONES, NEVER, "3fff:1000::", ALLOWED},
    {"3fff:ffff:" ONES, ALLOWED, "4000::", "fbff:ffff:" ONES, NEVER, "fc00::", PRIVATE},
    {"fbff:ffff:" ONES, NEVER, "fc00::", "fdff:ffff:" ONES, PRIVATE, "fe00::", NEVER},
    {"fd00:ec2::253", PRIVATE, "fd00:ec2::254", "fd00:ec2::254", NEVER, "fd00:ec2::255", PRIVATE},
    {"fd20:ce::253", PRIVATE, "fd20:ce::254", "fd20:ce::254", NEVER, "fd20:ce::255", PRIVATE},
    {"fe7f:ffff:" ONES, NEVER, "fe80::", "febf:ffff:" ONES, NEVER, "fec0::", NEVER},
    {"fec0::", NEVER, "feff:ffff:" ONES, "ff00::", NEVER, "ffff:ffff:" ONES, NEVER},
};

static void walk(struct egress *egress, const struct range_case *cases, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (cases[i].before)
      expect(egress, cases[i].before, cases[i].before_is);
    expect(egress, cases[i].first, cases[i].range_is);
    expect(egress, cases[i].last, cases[i].range_is);
    if (cases[i].after)
      expect(egress, cases[i].after, cases[i].after_is);
  }
}

static void test_each_range_ends_where_it_ends(void **state) {
  walk(*state, ipv4_cases, ARRAY_LEN(ipv4_cases));
  walk(*state, ipv6_cases, ARRAY_LEN(ipv6_cases));
}

static void test_addresses_with_names(void **state) {
  static const char *const never[] = {
      "::",
      "::1",
      "::ffff:127.0.0.1",
      "::ffff:8.8.8.8",
      "::127.0.0.1",
      "::ffff:0:127.0.0.1",
      "64:ff9b::1",
      "64:ff9b:1::1",
      "100::1",
      "100:0:0:1::1",
      "5f00::1",
      "2001::1",
      "2001:1::1",
      "2001:2::1",
      "2001:10::1",
      "2001:20::1",
      "2001:30::1",
      "2001:4:112::1",
      "2002:7f00:1::",
      "2002:a00:1::1",
      "fe80::1",
      "fec0::1",
      "ff02::1",
      "ff0e::1",
      "0.0.0.0",
      "127.0.0.1",
      "169.254.169.254",
      "169.254.170.2",
      "192.0.0.192",
      "255.255.255.255",
      "192.0.0.8",
      "192.0.0.170",
      "233.252.0.1",
      "2620:4f:8000::1",
      "::ffff:10.0.0.1",
  };
  for (size_t i = 0; i < ARRAY_LEN(never); i++)
    expect(*state, never[i], EGRESS_NEVER);
  static const char *const public[] = {"1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1"};
  for (size_t i = 0; i < ARRAY_LEN(public); i++)
    expect(*state, public[i], EGRESS_ALLOWED);
  struct address other = {.family = AF_UNIX, .port = 443};
  assert_int_equal(egress_check(*state, &other, NULL), EGRESS_NEVER);
}

static void test_start_flag_lifts_this_host_only(void **state) {
  struct egress *egress = *state;
  static const char *const lifted[] = {
      "127.0.0.0/8", "::1", "169.254.0.0/16", "fe80::/10", "100.100.100.200", "168.63.129.16/32", "fd00:ec2::254/128"};
  for (size_t i = 0; i < ARRAY_LEN(lifted); i++) {
    struct cidr range = cidr(lifted[i]);
    char text[ADDRESS_TEXT_BYTES];
    expect(egress, address_write(&range.base, text), EGRESS_NEVER);
    assert_int_equal(egress_allow_at_start(egress, &range, NULL), 0);
    expect(egress, address_write(&range.base, text), EGRESS_ALLOWED);
  }
  expect(egress, "127.255.255.255", EGRESS_ALLOWED);
  expect(egress, "169.254.169.254", EGRESS_ALLOWED);
  expect_port(egress, "127.0.0.1", 22, EGRESS_PORT); // ports are another matter
  expect(egress, "0.0.0.0", EGRESS_NEVER);
  expect(egress, "::", EGRESS_NEVER);
  expect(egress, "::ffff:127.0.0.1", EGRESS_NEVER);
  expect(egress, "::ffff:169.254.169.254", EGRESS_NEVER);

  static const char *const refused[] = {"0.0.0.0/0",   "::/0",        "0.0.0.0/8",     "0.0.0.0/32",
                                        "::/128",      "10.0.0.0/8",  "100.64.0.0/10", "fc00::/7",
                                        "224.0.0.0/4", "126.0.0.0/7", "192.0.2.0/24",  "::ffff:127.0.0.1/128",
                                        "8.8.8.8/32",  "169.0.0.0/8", "2001:db8::/32"};
  for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
    struct cidr range = cidr(refused[i]);
    struct error err = {0};
    if (egress_allow_at_start(egress, &range, &err) != ERR_INVALID)
      fail_msg("lifted: %s", refused[i]);
    assert_non_null(strstr(err.text, "harbinger egress allow"));
  }
}

static void test_a_narrow_start_range_lifts_no_more(void **state) {
  struct cidr range = cidr("127.0.0.4/30");
  assert_int_equal(egress_allow_at_start(*state, &range, NULL), 0);
  expect(*state, "127.0.0.3", EGRESS_NEVER);
  expect(*state, "127.0.0.4", EGRESS_ALLOWED);
  expect(*state, "127.0.0.7", EGRESS_ALLOWED);
  expect(*state, "127.0.0.8", EGRESS_NEVER);
  expect(*state, "::1", EGRESS_NEVER);
}

static void test_administrators_allow_private_ranges_only(void **state) {
  struct egress *egress = *state;
  struct error err = {0};
  assert_int_equal(judge_port(egress, "10.1.2.3", 443, &err), EGRESS_PRIVATE);
  assert_non_null(strstr(err.text, "harbinger egress allow"));

  const struct cidr ranges[] = {cidr("10.1.0.0/16"), cidr("100.64.0.0/10"), cidr("fd00::/8")};
  assert_int_equal(egress_set_allowed(egress, ranges, ARRAY_LEN(ranges), NULL), 0);
  expect(egress, "10.0.255.255", EGRESS_PRIVATE);
  expect(egress, "10.1.0.0", EGRESS_ALLOWED);
  expect(egress, "10.1.255.255", EGRESS_ALLOWED);
  expect(egress, "10.2.0.0", EGRESS_PRIVATE);
  expect(egress, "fd12::1", EGRESS_ALLOWED);
  expect(egress, "fc12::1", EGRESS_PRIVATE);
  // Allowing a network does not open the metadata inside it, nor its mapped spelling.
  expect(egress, "100.100.100.200", EGRESS_NEVER);
  expect(egress, "fd00:ec2::254", EGRESS_NEVER);
  expect(egress, "::ffff:10.1.0.1", EGRESS_NEVER);

  static const char *const refused[] = {"127.0.0.0/8",        "0.0.0.0/0",      "10.0.0.0/7",  "8.8.8.8/32",
                                        "169.254.0.0/16",     "::1/128",        "fe80::/10",   "2000::/3",
                                        "fc00::/6",           "192.168.0.0/15", "100.0.0.0/8", "172.0.0.0/8",
                                        "::ffff:10.0.0.0/104"};
  for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
    struct cidr range = cidr(refused[i]);
    if (egress_set_allowed(egress, &range, 1, &err) != ERR_INVALID)
      fail_msg("allowed: %s", refused[i]);
  }
  expect(egress, "10.1.0.1", EGRESS_ALLOWED); // a refused change changes nothing
  assert_int_equal(egress_set_allowed(egress, NULL, 0, NULL), 0);
  expect(egress, "10.1.0.1", EGRESS_PRIVATE);
}

static void test_port_policy(void **state) {
  static const uint16_t open[] = {80, 443, 1024, 3000, 8080, 8443, 65535};
  static const uint16_t closed[] = {0,   1,   21,  22,   23,   25,   53,   79,   81,   111,  135,  139,  442,
                                    444, 445, 587, 1023, 2049, 2375, 2379, 3306, 5432, 6379, 9200, 11211};
  for (size_t i = 0; i < ARRAY_LEN(open); i++)
    expect_port(*state, "1.1.1.1", open[i], EGRESS_ALLOWED);
  for (size_t i = 0; i < ARRAY_LEN(closed); i++)
    expect_port(*state, "1.1.1.1", closed[i], EGRESS_PORT);
  expect_port(*state, "127.0.0.1", 22, EGRESS_NEVER); // the address speaks first
  expect_port(*state, "10.0.0.1", 22, EGRESS_PRIVATE);

  const uint16_t extra[] = {81, 2375, 0};
  assert_int_equal(egress_set_extra_ports(*state, extra, ARRAY_LEN(extra), NULL), 0);
  expect_port(*state, "1.1.1.1", 81, EGRESS_ALLOWED);
  expect_port(*state, "1.1.1.1", 2375, EGRESS_ALLOWED);
  expect_port(*state, "1.1.1.1", 0, EGRESS_PORT);
  expect_port(*state, "1.1.1.1", 2379, EGRESS_PORT);
  expect_port(*state, "127.0.0.1", 81, EGRESS_NEVER);
}

static void add_own(struct egress *egress, const char *endpoint) {
  struct address address;
  assert_true(address_read_with_port(str_of(endpoint), &address));
  assert_int_equal(egress_add_own(egress, &address, NULL), 0);
}

static void test_nothing_lifts_our_own_endpoints(void **state) {
  struct egress *egress = *state;
  const struct cidr loopback = cidr("127.0.0.0/8"), loopback6 = cidr("::1"), private = cidr("10.0.0.0/8");
  assert_int_equal(egress_allow_at_start(egress, &loopback, NULL), 0);
  assert_int_equal(egress_allow_at_start(egress, &loopback6, NULL), 0);
  assert_int_equal(egress_set_allowed(egress, &private, 1, NULL), 0);
  expect_port(egress, "127.0.0.1", 8080, EGRESS_ALLOWED);

  add_own(egress, "127.0.0.1:8080"); // one address
  expect_port(egress, "127.0.0.1", 8080, EGRESS_NEVER);
  expect_port(egress, "127.0.0.1", 8081, EGRESS_ALLOWED);
  expect_port(egress, "127.0.0.2", 8080, EGRESS_ALLOWED);

  add_own(egress, "10.0.0.9:5000"); // the upstream
  expect_port(egress, "10.0.0.9", 5000, EGRESS_NEVER);
  expect_port(egress, "10.0.0.9", 5001, EGRESS_ALLOWED);
  add_own(egress, "1.1.1.1:5000");
  expect_port(egress, "1.1.1.1", 5000, EGRESS_NEVER);
  const uint16_t extra = 5000;
  assert_int_equal(egress_set_extra_ports(egress, &extra, 1, NULL), 0);
  expect_port(egress, "1.1.1.1", 5000, EGRESS_NEVER);

  add_own(egress, "[::]:9090"); // that port on every address of this machine, both families
  expect_port(egress, "127.0.0.1", 9090, EGRESS_NEVER);
  expect_port(egress, "127.9.9.9", 9090, EGRESS_NEVER);
  expect_port(egress, "::1", 9090, EGRESS_NEVER);
  expect_port(egress, "8.8.8.8", 9090, EGRESS_ALLOWED);
  expect_port(egress, "10.0.0.9", 9090, EGRESS_ALLOWED);
}

static void test_addresses_of_this_machine_are_known(void **state) {
  struct egress *egress = *state;
  struct ifaddrs *interfaces;
  assert_int_equal(getifaddrs(&interfaces), 0);
  add_own(egress, "0.0.0.0:9090");
  size_t seen = 0;
  for (const struct ifaddrs *at = interfaces; at; at = at->ifa_next) {
    struct address address;
    if (!at->ifa_addr || !address_from_sockaddr(at->ifa_addr, &address))
      continue;
    // Lift whatever range it is in: only being ours may keep it out.
    struct cidr whole = {.base = address, .prefix_len = address.family == AF_INET ? 32 : 128};
    if (egress_allow_at_start(egress, &whole, NULL) != 0)
      (void)!egress_set_allowed(egress, &whole, 1, NULL);
    address.port = 9090;
    assert_int_equal(egress_check(egress, &address, NULL), EGRESS_NEVER);
    seen++;
  }
  freeifaddrs(interfaces);
  if (seen == 0)
    skip();
}

static void test_version_rises_with_each_change(void **state) {
  struct egress *egress = *state;
  const struct cidr private = cidr("10.0.0.0/8"), loopback = cidr("127.0.0.0/8");
  const uint16_t port = 81;
  uint64_t version = egress_version(egress);
  assert_int_equal(egress_set_allowed(egress, &private, 1, NULL), 0);
  assert_true(egress_version(egress) > version);
  version = egress_version(egress);
  assert_int_equal(egress_allow_at_start(egress, &loopback, NULL), 0);
  assert_true(egress_version(egress) > version);
  version = egress_version(egress);
  assert_int_equal(egress_set_extra_ports(egress, &port, 1, NULL), 0);
  assert_true(egress_version(egress) > version);
  version = egress_version(egress);
  add_own(egress, "127.0.0.1:81");
  assert_true(egress_version(egress) > version);
  version = egress_version(egress);
  assert_int_equal(egress_set_allowed(egress, &loopback, 1, NULL), ERR_INVALID);
  assert_int_equal(egress_version(egress), version);
  assert_int_equal(egress_refresh_local(egress, NULL), 0); // the same addresses as before: no change
  assert_int_equal(egress_version(egress), version);
}

static void test_tables_are_bounded(void **state) {
  struct egress *egress = *state;
  struct cidr ranges[EGRESS_MAX_RANGES + 1];
  uint16_t ports[65] = {0};
  for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
    ranges[i] = cidr("10.0.0.0/8");
  assert_int_equal(egress_set_allowed(egress, ranges, EGRESS_MAX_RANGES, NULL), 0);
  assert_int_equal(egress_set_allowed(egress, ranges, EGRESS_MAX_RANGES + 1, NULL), ERR_INVALID);
  assert_int_equal(egress_set_extra_ports(egress, ports, 65, NULL), ERR_INVALID);
  struct address own = {.family = AF_INET, .bytes = {1, 1, 1, 1}, .port = 443};
  for (size_t i = 0; i < EGRESS_MAX_OWN; i++) {
    own.port = (uint16_t)(1024 + i);
    assert_int_equal(egress_add_own(egress, &own, NULL), 0);
  }
  uint64_t version = egress_version(egress);
  assert_int_equal(egress_add_own(egress, &own, NULL), 0); // it is there already: nothing changes
  assert_int_equal(egress_version(egress), version);
  own.port = 443;
  assert_int_equal(egress_add_own(egress, &own, NULL), ERR_FULL);
  struct cidr loopback = cidr("127.0.0.1");
  for (size_t i = 0; i < EGRESS_MAX_RANGES; i++)
    assert_int_equal(egress_allow_at_start(egress, &loopback, NULL), 0);
  assert_int_equal(egress_allow_at_start(egress, &loopback, NULL), ERR_FULL);
  expect(egress, "127.0.0.1", EGRESS_ALLOWED); // and the guard works on after a refusal
}

static void test_addresses_are_judged_when_saved(void **state) {
  struct egress *egress = *state;
  static const struct {
    const char *url;
    bool taken;
  } cases[] = {
      {"https://example.com/", true},
      {"http://example.com:8080/", true},
      {"http://example.com:22/", false},
      {"http://example.com:6379/", false},
      {"http://127.0.0.1/", false},
      {"http://[::1]/", false},
      {"http://[::ffff:127.0.0.1]/", false},
      {"http://10.0.0.1/", false},
      {"http://1.1.1.1/", true},
      {"http://0.0.0.0/", false},
      {"http://localhost/", false},
      {"http://LocalHost:8080/", false},
      {"http://localhost./", false},
      {"http://a.LOCALHOST/", false},
      {"http://notlocalhost/", true},
      {"http://localhost.example/", true},
      {"http://169.254.169.254/latest/", false},
      {"http://user@127.0.0.1/", false},
      {"http://[fd00:ec2::254]/", false},
      {"http://[2606:4700::1111]/", true},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct url url;
    struct error err = {0};
    assert_int_equal(url_parse(str_of(cases[i].url), &url, &err), 0);
    int rc = egress_check_url(egress, &url, &err);
    if ((rc == 0) != cases[i].taken)
      fail_msg("%s: %s", cases[i].url, err.text);
    if (!cases[i].taken)
      assert_int_equal(rc, ERR_BLOCKED);
  }
  struct cidr loopback = cidr("127.0.0.0/8");
  struct url url;
  assert_int_equal(egress_allow_at_start(egress, &loopback, NULL), 0);
  assert_int_equal(url_parse(STR("http://localhost:8080/"), &url, NULL), 0);
  assert_int_equal(egress_check_url(egress, &url, NULL), 0);
}

// ---- one guard, many threads

enum { CHANGES = 2000 };

static void *change_policy(void *arg) {
  const struct cidr private = {.base = {.family = AF_INET, .bytes = {10}}, .prefix_len = 8};
  size_t failed = 0;
  for (size_t i = 0; i < CHANGES; i++) {
    failed += egress_set_allowed(arg, &private, i % 2, NULL) != 0;
    failed += egress_refresh_local(arg, NULL) != 0;
  }
  return failed ? arg : NULL;
}

static void *read_policy(void *arg) {
  const struct address never = {.family = AF_INET, .bytes = {127, 0, 0, 1}, .port = 443};
  const struct address private = {.family = AF_INET, .bytes = {10, 0, 0, 1}, .port = 443};
  size_t wrong = 0;
  for (size_t i = 0; i < CHANGES; i++) {
    wrong += egress_check(arg, &never, NULL) != EGRESS_NEVER;
    enum egress_verdict verdict = egress_check(arg, &private, NULL);
    wrong += verdict != EGRESS_PRIVATE && verdict != EGRESS_ALLOWED;
  }
  return wrong ? arg : NULL;
}

static void test_threads_share_a_guard(void **state) {
  pthread_t threads[4];
  for (size_t i = 0; i < ARRAY_LEN(threads); i++)
    assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? change_policy : read_policy, *state), 0);
  for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
    void *result;
    assert_int_equal(pthread_join(threads[i], &result), 0);
    assert_null(result);
  }
  assert_true(egress_version(*state) >= (uint64_t)CHANGES * 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_each_range_ends_where_it_ends),
      TEST(test_addresses_with_names),
      TEST(test_start_flag_lifts_this_host_only),
      TEST(test_a_narrow_start_range_lifts_no_more),
      TEST(test_administrators_allow_private_ranges_only),
      TEST(test_port_policy),
      TEST(test_nothing_lifts_our_own_endpoints),
      TEST(test_addresses_of_this_machine_are_known),
      TEST(test_version_rises_with_each_change),
      TEST(test_tables_are_bounded),
      TEST(test_addresses_are_judged_when_saved),
      TEST(test_threads_share_a_guard),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
