// SPDX-License-Identifier: Apache-2.0
// net/address.c: text is read strictly, written canonically, and ranges hold exactly what they say.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "net/address.h"

static void test_addresses_are_read_and_written_canonically(void **state) {
  (void)state;
  static const struct {
    const char *text, *written;
    int family;
  } cases[] = {
      {"0.0.0.0", "0.0.0.0", AF_INET},
      {"127.0.0.1", "127.0.0.1", AF_INET},
      {"255.255.255.255", "255.255.255.255", AF_INET},
      {"::", "::", AF_INET6},
      {"::1", "::1", AF_INET6},
      {"2001:DB8:0:0::1", "2001:db8::1", AF_INET6},
      {"::ffff:127.0.0.1", "::ffff:127.0.0.1", AF_INET6},
      {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AF_INET6},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct address address;
    char text[ADDRESS_TEXT_BYTES];
    assert_true(address_read(str_of(cases[i].text), &address));
    assert_int_equal(address.family, cases[i].family);
    assert_int_equal(address.port, 0);
    assert_string_equal(address_write(&address, text), cases[i].written);
  }
}

static void test_other_spellings_of_addresses_are_refused(void **state) {
  (void)state;
  static const char *const cases[] = {
      "",
      "0",
      "127.1",
      "127.0.1",
      "0177.0.0.1",
      "0x7f.1",
      "0x7f000001",
      "2130706433",
      "017700000001",
      "1.2.3",
      "1.2.3.4.",
      ".1.2.3.4",
      "1..3.4",
      "1.2.3.4.5",
      "256.1.1.1",
      "1.1.1.256",
      "01.2.3.4",
      "1.2.3.00",
      "1.2.3.4 ",
      " 1.2.3.4",
      "+1.2.3.4",
      "1.2.3.-4",
      "1.2.3.0004",
      "fe80::1%eth0",
      "fe80::1%1",
      "[::1]",
      ":",
      ":::",
      "1::2::3",
      "12345::",
      "::g",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "::1.2.3",
      "::01.2.3.4",
      "::ffff:127.1",
      "1.2.3.4/8",
      "localhost",
      "\xe2\x91\xa0.0.0.1",
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct address address = {.family = 77};
    if (address_read(str_of(cases[i]), &address))
      fail_msg("read: %s", cases[i]);
    assert_int_equal(address.family, 77); // untouched
  }
  struct address address;
  assert_false(address_read((struct str){"::1\0", 4}, &address));
  assert_false(address_read((struct str){"1.2.3.4\0", 8}, &address));
}

static void test_address_with_port(void **state) {
  (void)state;
  struct address address;
  char text[ADDRESS_TEXT_BYTES];
  assert_true(address_read_with_port(STR("1.2.3.4:80"), &address));
  assert_string_equal(address_write_with_port(&address, text), "1.2.3.4:80");
  assert_true(address_read_with_port(STR("[::1]:65535"), &address));
  assert_string_equal(address_write_with_port(&address, text), "[::1]:65535");
  assert_true(address_read_with_port(STR("127.0.0.1:0"), &address));
  assert_int_equal(address.port, 0);
  static const char *const refused[] = {"1.2.3.4", "1.2.3.4:",    "1.2.3.4:65536", "1.2.3.4:080", "[1.2.3.4]:80",
                                        "::1:80",  "[::1]",       "[::1]80",       ":80",         "[]:80",
                                        "[::1:80", "1.2.3.4:8 0", "1.2.3.4:-1",    "[:80",        "1.2.3.4:123456"};
  for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
    if (address_read_with_port(str_of(refused[i]), &address))
      fail_msg("read: %s", refused[i]);
  }
}

static void test_sockaddr_round_trip(void **state) {
  (void)state;
  static const char *const cases[] = {"192.0.2.7:4711", "[2001:db8::7]:443"};
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct address address, back;
    struct sockaddr_storage storage;
    char text[ADDRESS_TEXT_BYTES];
    assert_true(address_read_with_port(str_of(cases[i]), &address));
    socklen_t len = address_to_sockaddr(&address, &storage);
    assert_int_equal(len, address.family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    assert_true(address_from_sockaddr((const struct sockaddr *)&storage, &back));
    assert_true(address_eq(&address, &back));
    assert_string_equal(address_write_with_port(&back, text), cases[i]);
  }
  struct sockaddr other = {.sa_family = AF_UNIX};
  struct address address;
  assert_false(address_from_sockaddr(&other, &address));
}

static void test_ranges_hold_exactly_their_addresses(void **state) {
  (void)state;
  static const struct {
    const char *cidr, *address;
    bool inside;
  } cases[] = {
      {"10.0.0.0/8", "10.0.0.0", true},
      {"10.0.0.0/8", "10.255.255.255", true},
      {"10.0.0.0/8", "11.0.0.0", false},
      {"10.0.0.0/8", "9.255.255.255", false},
      {"172.16.0.0/12", "172.31.255.255", true},
      {"172.16.0.0/12", "172.32.0.0", false},
      {"192.0.2.1", "192.0.2.1", true},
      {"192.0.2.1", "192.0.2.0", false},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"0.0.0.0/0", "::1", false},
      {"::/0", "ffff::1", true},
      {"::/0", "1.2.3.4", false},
      {"fc00::/7", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
      {"fc00::/7", "fe00::", false},
      {"2001:db8::/33", "2001:db8:7fff::", true},
      {"2001:db8::/33", "2001:db8:8000::", false},
      {"::1/128", "::1", true},
      {"::1/128", "::2", false},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct cidr cidr;
    struct address address;
    assert_true(cidr_read(str_of(cases[i].cidr), &cidr));
    assert_true(address_read(str_of(cases[i].address), &address));
    if (cidr_contains(&cidr, &address) != cases[i].inside)
      fail_msg("%s in %s", cases[i].address, cases[i].cidr);
  }
}

static void test_malformed_ranges_are_refused(void **state) {
  (void)state;
  static const char *const cases[] = {
      "",     "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/08",  "10.0.0.0/8 ", "10.0.0.0/-1",
      "10/8", "::/129",    "fd00::1/8",   "/8",         "10.0.0.0/8/8", "10.0.0.0/a",  "2001:db8::1/127"};
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct cidr cidr;
    if (cidr_read(str_of(cases[i]), &cidr))
      fail_msg("read: %s", cases[i]);
  }
  struct cidr cidr;
  char text[ADDRESS_TEXT_BYTES];
  assert_true(cidr_read(STR("FD00::/8"), &cidr));
  assert_string_equal(cidr_write(&cidr, text), "fd00::/8");
  assert_true(cidr_read(STR("192.0.2.1"), &cidr));
  assert_string_equal(cidr_write(&cidr, text), "192.0.2.1/32");
}

static void test_loopback(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool loopback;
  } cases[] = {{"127.0.0.0", true},
               {"127.255.255.255", true},
               {"126.255.255.255", false},
               {"128.0.0.0", false},
               {"::1", true},
               {"::2", false},
               {"::", false},
               {"::ffff:127.0.0.1", false}};
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct address address;
    assert_true(address_read(str_of(cases[i].text), &address));
    assert_int_equal(address_is_loopback(&address), cases[i].loopback);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_addresses_are_read_and_written_canonically),
      cmocka_unit_test(test_other_spellings_of_addresses_are_refused),
      cmocka_unit_test(test_address_with_port),
      cmocka_unit_test(test_sockaddr_round_trip),
      cmocka_unit_test(test_ranges_hold_exactly_their_addresses),
      cmocka_unit_test(test_malformed_ranges_are_refused),
      cmocka_unit_test(test_loopback),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
