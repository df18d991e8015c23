// SPDX-License-Identifier: Apache-2.0
// net/url.c: one reading of an address and no other; whatever another reader could take for a different host is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/url.h"

static int setup(void **state) {
  *state = arena_new(1 << 20);
  return *state ? 0 : -1;
}

static int teardown(void **state) {
  arena_free(*state);
  return 0;
}

static struct url parsed(const char *text) {
  struct url url;
  struct error err;
  if (url_parse(str_of(text), &url, &err) != 0)
    fail_msg("%s: %s", text, err.text);
  return url;
}

static void assert_str(struct str s, const char *expected) {
  struct str shown = s.ptr ? s : STR("NULL");
  if (!s.ptr || !str_eq_c(s, expected))
    fail_msg("'%.*s' is not '%s'", STR_ARG(shown), expected);
}

static void test_parts_of_an_address(void **state) {
  (void)state;
  struct url url = parsed("https://user:p%40ss@Hooks.Example.COM:8443/a/b;c?x=1&y={z}");
  assert_true(url.https);
  assert_str(url.userinfo, "user:p%40ss");
  assert_str(url.host, "Hooks.Example.COM");
  assert_false(url.host_is_address);
  assert_int_equal(url.port, 8443);
  assert_true(url.port_given);
  assert_str(url.target, "/a/b;c?x=1&y={z}");
  assert_str(url.origin, "https://user:p%40ss@Hooks.Example.COM:8443");

  url = parsed("http://example.com");
  assert_false(url.https);
  assert_null(url.userinfo.ptr);
  assert_int_equal(url.port, 80);
  assert_false(url.port_given);
  assert_str(url.target, "/");
  assert_str(url.origin, "http://example.com");

  url = parsed("https://example.com./x");
  assert_int_equal(url.port, 443);
  assert_str(url.host, "example.com"); // the trailing dot is gone
}

static void test_literal_addresses(void **state) {
  (void)state;
  char text[ADDRESS_TEXT_BYTES];
  struct url url = parsed("http://127.0.0.1:8080/");
  assert_true(url.host_is_address);
  assert_string_equal(address_write_with_port(&url.address, text), "127.0.0.1:8080");
  url = parsed("https://[2001:db8::1]/x");
  assert_true(url.host_is_address);
  assert_str(url.host, "2001:db8::1");
  assert_string_equal(address_write_with_port(&url.address, text), "[2001:db8::1]:443");
  url = parsed("http://[::ffff:127.0.0.1]:81");
  assert_int_equal(url.address.family, AF_INET6);
  assert_int_equal(url.port, 81);
}

static void test_names_that_are_allowed(void **state) {
  (void)state;
  static const char *const cases[] = {
      "http://localhost/", "http://LOCALHOST/",       "http://a/",         "http://xn--bcher-kva.example/",
      "http://1and1.de/",  "http://3com.example.org", "http://a--b-.x1/",  "http://0x7g.example/",
      "http://1.2.3.4a/",  "http://127.0.0.1.nip.io", "http://host.0xfg/",
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++)
    assert_false(parsed(cases[i]).host_is_address);
}

static void test_what_readers_disagree_about_is_refused(void **state) {
  (void)state;
  static const char *const cases[] = {
      // no scheme of ours
      "",
      "example.com",
      "//example.com/",
      "ftp://example.com/",
      "HTTP://example.com/",
      "http:/example.com",
      "http:example.com",
      "https//example.com",
      "file:///etc/passwd",
      " http://example.com/",
      "javascript:alert(1)",
      // spellings of 127.0.0.1 that resolvers take
      "http://127.1/",
      "http://0177.0.0.1/",
      "http://0x7f.1/",
      "http://0x7f000001/",
      "http://0X7F000001/",
      "http://2130706433/",
      "http://017700000001/",
      "http://0/",
      "http://127.0.0.1./",
      "http://1.2.3/",
      "http://127.0.0.01/",
      "http://127.0.0.256/",
      "http://1.2.3.4.5/",
      "http://foo.0x/",
      "http://foo.1/",
      "http://[127.0.0.1]/",
      "http://::1/",
      "http://0.0.0.0.0/",
      "http://4294967296/",
      "http://example.com.1./",
      // non-ASCII
      "http://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1/",
      "http://127。0。0。1/",
      "http://bücher.example/",
      "http://example.com/\xc3\xbc",
      "http://example.com/\xff",
      // where the host ends
      "http://a@b@c/",
      "http://evil.example#@good.example/",
      "http://good.example\\@evil.example/",
      "http://good.example\\.evil.example/",
      "http://example.com/a\\b",
      "http://example.com/?a\\b",
      "http://@example.com/",
      "http://user@/",
      "http://a b@example.com/",
      "http://us[er@example.com/",
      "http://user%4@example.com/",
      "http://u%zz@h/",
      "http://exa%6dple.com/",
      "http://%31%32%37.0.0.1/",
      "http://example.com;evil.example/",
      "http://example.com,evil.example/",
      "http://foo_bar/",
      "http://*.example.com/",
      "http://exam!ple.com/",
      // blanks and controls
      "http://exa mple.com/",
      "http://example.com/a b",
      "http://example.com/\t",
      "http://exam\tple.com/",
      "http://example.com/\r\nHost: evil",
      "http://example.com\n",
      "http://exam\nple.com/",
      "http://example.com/\x7f",
      "http://example.com/ ",
      "\thttp://example.com/",
      // IPv6
      "http://[fe80::1%25eth0]/",
      "http://[fe80::1%eth0]/",
      "http://[::1/",
      "http://::1]/",
      "http://[::1]x/",
      "http://[]/",
      "http://[/",
      "http://[::1]]/",
      "http://[[::1]]/",
      "http://[v1.x]/",
      "http://[::1].example/",
      "http://[::1]@example.com:x/",
      // ports
      "http://example.com:/",
      "http://example.com:0/",
      "http://example.com:65536/",
      "http://example.com:080/",
      "http://example.com:80:80/",
      "http://example.com:-1/",
      "http://example.com:8a/",
      "http://example.com:123456/",
      "http://[::1]:/",
      "http://:80/",
      // empty hosts and labels
      "http://",
      "http:///",
      "http://./",
      "http://../",
      "http://.example.com/",
      "http://a..b/",
      "http://example.com../",
      "http://?x",
      "http:///path",
      // the rest
      "http://example.com?x=1",
      "http://example.com/#",
      "http://example.com/a#b",
      "http://example.com/a%",
      "http://example.com/%2",
      "http://example.com/%gg",
      "http://example.com/?x=%zz",
      "http://example.com/<a>",
      "http://example.com/{a}",
      "http://example.com/a|b",
      "http://example.com/a^b",
      "http://example.com/\"",
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct url url;
    struct error err = {0};
    if (url_parse(str_of(cases[i]), &url, &err) == 0)
      fail_msg("taken: '%s' as host '%.*s'", cases[i], STR_ARG(url.host));
    assert_int_equal(err.code, ERR_BAD_REQUEST);
    assert_true(strlen(err.text) > 20);
  }
  struct url url;
  assert_int_not_equal(url_parse((struct str){"http://a.example\0.b/", 20}, &url, NULL), 0);
}

static void put(char *at, struct str bytes) {
  memcpy(at, bytes.ptr, bytes.len);
}

static void test_lengths(void **state) {
  (void)state;
  char text[URL_MAX_BYTES + 2];
  struct url url;
  memset(text, 'a', sizeof(text));
  put(text, STR("http://h/"));
  assert_int_equal(url_parse((struct str){text, URL_MAX_BYTES}, &url, NULL), 0);
  assert_int_not_equal(url_parse((struct str){text, URL_MAX_BYTES + 1}, &url, NULL), 0);

  memset(text, 'a', sizeof(text));
  put(text, STR("http://"));
  assert_int_equal(url_parse((struct str){text, 7 + 63}, &url, NULL), 0);
  assert_int_not_equal(url_parse((struct str){text, 7 + 64}, &url, NULL), 0);
  for (size_t i = 63; i < 253; i += 64)
    text[7 + i] = '.';
  assert_int_equal(url_parse((struct str){text, 7 + 253}, &url, NULL), 0);
  assert_int_not_equal(url_parse((struct str){text, 7 + 254}, &url, NULL), 0);
  text[7 + 253] = '.'; // one trailing dot does not count
  assert_int_equal(url_parse((struct str){text, 7 + 254}, &url, NULL), 0);
}

static void test_same_origin(void **state) {
  (void)state;
  static const struct {
    const char *a, *b;
    bool same;
  } cases[] = {
      {"http://h/", "http://H:80/x?y", true},    {"https://h/", "https://u:p@h:443/", true},
      {"https://h/", "https://h./", true},       {"http://h/", "https://h/", false},
      {"http://h:443/", "https://h/", false},    {"http://h/", "http://h:81/", false},
      {"http://h/", "http://h2/", false},        {"http://[::1]/", "http://[0:0::1]/", true},
      {"http://[::1]/", "http://[::2]/", false}, {"http://127.0.0.1/", "http://[::ffff:127.0.0.1]/", false},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct url a = parsed(cases[i].a), b = parsed(cases[i].b);
    if (url_same_origin(&a, &b) != cases[i].same)
      fail_msg("%s and %s", cases[i].a, cases[i].b);
  }
}

static void test_host_header(void **state) {
  static const struct {
    const char *url, *host;
  } cases[] = {
      {"http://h/", "h"},
      {"http://h:80/", "h"},
      {"https://h:443/", "h"},
      {"https://h:80/", "h:80"},
      {"http://u@h:8080/", "h:8080"},
      {"http://[::1]/", "[::1]"},
      {"https://[::1]:1/", "[::1]:1"},
      {"http://h./", "h"},
      {"http://1.2.3.4:5/", "1.2.3.4:5"},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct url url = parsed(cases[i].url);
    assert_str(url_host_header(&url, *state), cases[i].host);
  }
}

static void test_mask_shows_no_secret(void **state) {
  static const struct {
    const char *url, *masked;
  } cases[] = {
      {"https://hooks.example/services/T0/B0/secret", "https://hooks.example/********"},
      {"http://u:p@h:8080/x?sig=s", "http://********@h:8080/********"},
      {"http://h", "http://h/"},
      {"http://h/", "http://h/"},
      {"http://h/?sig=s", "http://h/********"},
      {"http://[::1]:81/a", "http://[::1]:81/********"},
      {"https://u@h:443", "https://********@h:443/"},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct url url = parsed(cases[i].url);
    assert_str(url_mask(&url, *state), cases[i].masked);
  }
}

static void test_decode_is_done_once(void **state) {
  struct str out;
  assert_true(url_decode(STR("a%2Fb%252F+%e2%82%AC"), *state, &out));
  assert_str(out, "a/b%2F+\xe2\x82\xac");
  assert_true(url_decode(STR_EMPTY, *state, &out));
  assert_int_equal(out.len, 0);
  assert_true(url_decode(STR("%00"), *state, &out));
  assert_int_equal(out.len, 1);
  static const char *const refused[] = {"%", "%2", "a%2", "%g0", "%0g", "%%20", "%2%20"};
  for (size_t i = 0; i < ARRAY_LEN(refused); i++)
    assert_false(url_decode(str_of(refused[i]), *state, &out));
}

static void test_query_values(void **state) {
  const struct str query = STR("page=2&q=name%3D~a+b&empty=&flag&page=3&bad=%zz&%6bey=v&a+b=c");
  struct str out;
  assert_true(url_query_get(query, "page", *state, &out));
  assert_str(out, "2");
  assert_true(url_query_get(query, "q", *state, &out));
  assert_str(out, "name=~a b");
  assert_true(url_query_get(query, "empty", *state, &out));
  assert_int_equal(out.len, 0);
  assert_true(url_query_get(query, "flag", *state, &out));
  assert_int_equal(out.len, 0);
  assert_true(url_query_get(query, "key", *state, &out));
  assert_str(out, "v");
  assert_true(url_query_get(query, "a b", *state, &out));
  assert_str(out, "c");
  assert_false(url_query_get(query, "bad", *state, &out));
  assert_false(url_query_get(query, "pag", *state, &out));
  assert_false(url_query_get(STR_EMPTY, "page", *state, &out));
  assert_false(url_query_get((struct str){NULL, 0}, "page", *state, &out));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_parts_of_an_address),
      cmocka_unit_test(test_literal_addresses),
      cmocka_unit_test(test_names_that_are_allowed),
      cmocka_unit_test(test_what_readers_disagree_about_is_refused),
      cmocka_unit_test(test_lengths),
      cmocka_unit_test(test_same_origin),
      cmocka_unit_test_setup_teardown(test_host_header, setup, teardown),
      cmocka_unit_test_setup_teardown(test_mask_shows_no_secret, setup, teardown),
      cmocka_unit_test_setup_teardown(test_decode_is_done_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_query_values, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
