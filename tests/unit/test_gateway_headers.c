// SPDX-License-Identifier: Apache-2.0
// gateway/headers.c: what passes between a client and the registry, and that no address or secret of one reaches the other.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/headers.h"

static int setup(void **state) {
  *state = arena_new(1 << 20);
  return *state ? 0 : -1;
}

static int teardown(void **state) {
  arena_free(*state);
  return 0;
}

static struct header_rules rules_of(const char *external) {
  struct header_rules rules = {
      .external = str_of(external), .authorization = STR("Basic c2VjcmV0"), .user_agent = STR("Harbinger/1 own")};
  assert_int_equal(url_parse(STR("http://registry.internal:5000"), &rules.upstream, NULL), 0);
  return rules;
}

static struct str value_of(const struct headers *headers, const char *name) {
  struct str found = {0};
  for (size_t i = 0; i < headers->len; i++) {
    if (!str_ieq_c(headers->list[i].name, name))
      continue;
    assert_null(found.ptr); // once
    found = headers->list[i].value;
  }
  return found;
}

static void assert_value(const struct headers *headers, const char *name, const char *expected) {
  struct str value = value_of(headers, name);
  if (!expected ? value.ptr != NULL : (!value.ptr || !str_eq_c(value, expected)))
    fail_msg("%s is '%.*s'", name, STR_ARG(value));
}

static struct headers forward(struct arena *arena, struct http_header *list, size_t len, bool whole, bool abroad) {
  const struct http_head head = {.headers = list, .headers_len = len};
  const struct header_request request = {
      .head = &head, .client = STR("192.0.2.1"), .request_id = STR("req-1"), .whole = whole, .abroad = abroad};
  const struct header_rules rules = rules_of("");
  struct headers out;

  assert_int_equal(headers_forward(&rules, &request, arena, &out, NULL), 0);
  return out;
}

static void test_what_concerns_one_connection_is_not_forwarded(void **state) {
  struct http_header list[] = {
      {STR("Accept"), STR("application/json")},
      {STR("Connection"), STR("close, X-Secret")},
      {STR("X-Secret"), STR("1")},
      {STR("Keep-Alive"), STR("1")},
      {STR("TE"), STR("trailers")},
      {STR("Transfer-Encoding"), STR("chunked")},
      {STR("Content-Length"), STR("5")},
      {STR("Upgrade"), STR("h2c")},
      {STR("Expect"), STR("100-continue")},
      {STR("Host"), STR("registry.example.com")},
      {STR("Content-Type"), STR("text/x")},
      {STR("OCI-Filter"), STR("a")},
  };
  struct headers out = forward(*state, list, ARRAY_LEN(list), false, false);

  assert_value(&out, "Accept", "application/json");
  assert_value(&out, "Content-Type", "text/x");
  assert_value(&out, "OCI-Filter", "a");
  static const char *const gone[] = {"Connection", "X-Secret", "Keep-Alive",    "TE", "Transfer-Encoding", "Upgrade",
                                     "Expect",     "Host",     "Content-Length"};
  for (size_t i = 0; i < ARRAY_LEN(gone); i++)
    assert_value(&out, gone[i], NULL);
}

static void test_the_registry_gets_our_credentials_and_never_the_clients(void **state) {
  struct http_header list[] = {
      {STR("Authorization"), STR("Basic Y2xpZW50")},
      {STR("Cookie"), STR("sid=1")},
      {STR("X-Forwarded-For"), STR("10.0.0.1")},
      {STR("X-Forwarded-Host"), STR("evil")},
      {STR("Forwarded"), STR("for=1")},
      {STR("User-Agent"), STR("docker/1")},
  };
  struct headers out = forward(*state, list, ARRAY_LEN(list), false, false);

  assert_value(&out, "Authorization", "Basic c2VjcmV0");
  assert_value(&out, "User-Agent", "Harbinger/1 own");
  assert_value(&out, "X-Forwarded-For", "192.0.2.1");
  assert_value(&out, "X-Request-Id", "req-1");
  assert_value(&out, "Cookie", NULL);
  assert_value(&out, "X-Forwarded-Host", NULL);
  assert_value(&out, "Forwarded", NULL);
}

static void test_another_host_gets_no_credentials(void **state) {
  struct http_header list[] = {{STR("Authorization"), STR("Basic Y2xpZW50")}, {STR("Range"), STR("bytes=0-1")}};
  struct headers out = forward(*state, list, ARRAY_LEN(list), false, true);

  assert_value(&out, "Authorization", NULL);
  assert_value(&out, "X-Forwarded-For", NULL);
  assert_value(&out, "Range", "bytes=0-1");
}

static void test_a_manifest_is_asked_for_whole_and_uncompressed(void **state) {
  struct http_header list[] = {{STR("Range"), STR("bytes=0-1")},
                               {STR("If-Range"), STR("\"x\"")},
                               {STR("Accept-Encoding"), STR("gzip")},
                               {STR("If-None-Match"), STR("\"x\"")}};
  struct headers out = forward(*state, list, ARRAY_LEN(list), true, false);

  assert_value(&out, "Range", NULL);
  assert_value(&out, "If-Range", NULL);
  assert_value(&out, "Accept-Encoding", NULL);
  assert_value(&out, "If-None-Match", "\"x\"");
}

static struct headers answer(struct arena *arena, const char *external, int status, const char *name,
                             const char *value) {
  struct http_header list[] = {{str_of(name), str_of(value)},
                               {STR("WWW-Authenticate"), STR("Bearer realm=\"http://registry.internal:5000/token\"")},
                               {STR("Docker-Content-Digest"), STR("sha256:1")},
                               {STR("Content-Type"), STR("application/json")}};
  const struct http_head head = {
      .is_response = true, .status = status, .headers = list, .headers_len = ARRAY_LEN(list)};
  const struct header_rules rules = rules_of(external);
  struct headers out;
  const char *content_type;

  assert_int_equal(headers_answer(&rules, &head, arena, &out, &content_type, NULL), 0);
  assert_string_equal(content_type, "application/json");
  assert_value(&out, "WWW-Authenticate", NULL);
  assert_value(&out, "Docker-Content-Digest", "sha256:1");
  assert_value(&out, "Docker-Distribution-Api-Version", "registry/2.0");
  return out;
}

static void assert_location(struct arena *arena, const char *external, int status, const char *value,
                            const char *expected) {
  struct headers out = answer(arena, external, status, "Location", value);
  assert_value(&out, "Location", expected);
}

static void test_locations_are_ours(void **state) {
  const char *upload = "http://registry.internal:5000/v2/a/b/blobs/uploads/x?_state=y";

  assert_location(*state, "", 202, upload, "/v2/a/b/blobs/uploads/x?_state=y");
  assert_location(*state, "https://r.example.com", 202, upload,
                  "https://r.example.com/v2/a/b/blobs/uploads/x?_state=y");
  assert_location(*state, "https://r.example.com", 202, "/v2/a/b/blobs/uploads/x",
                  "https://r.example.com/v2/a/b/blobs/uploads/x");
  // The registry believes to have another name: where an upload goes on is behind us all the same.
  assert_location(*state, "", 202, "https://old.example.com/v2/a/b/blobs/uploads/x", "/v2/a/b/blobs/uploads/x");
  assert_location(*state, "", 202, "//old.example.com/v2/a/b/blobs/uploads/x", "/v2/a/b/blobs/uploads/x");
  // Not below /v2/, or no address: left out, never passed on.
  assert_location(*state, "", 202, "http://registry.internal:5000/admin", NULL);
  assert_location(*state, "", 202, "http://user:pw@registry.internal:5000/v2/a/b/blobs/uploads/x", NULL);
  assert_location(*state, "", 202, "/v2/a/../b/blobs/uploads/x", NULL);
  assert_location(*state, "", 202, "ftp://x/", NULL);
  assert_location(*state, "", 202, "", NULL);
}

static void test_redirects_to_other_hosts_pass_and_our_own_registry_is_never_named(void **state) {
  const char *store = "https://store.example.net/bucket/key?X-Signature=1";

  assert_location(*state, "", 307, store, store);
  assert_location(*state, "", 307, "http://registry.internal:5000/v2/a/b/tags/list", "/v2/a/b/tags/list");
  assert_location(*state, "", 307, "http://registry.internal:5000/storage/x", NULL);
}

static void test_links_are_ours(void **state) {
  struct headers out = answer(*state, "https://r.example.com", 200, "Link",
                              "<http://registry.internal:5000/v2/a/b/tags/list?last=x&n=2>; rel=\"next\"");
  assert_value(&out, "Link", "<https://r.example.com/v2/a/b/tags/list?last=x&n=2>; rel=\"next\"");
  out = answer(*state, "", 200, "Link", "</v2/a/b/tags/list?n=2>; rel=\"next\", </v2/a/b/tags/list>; rel=\"first\"");
  assert_value(&out, "Link", "</v2/a/b/tags/list?n=2>; rel=\"next\", </v2/a/b/tags/list>; rel=\"first\"");
  out = answer(*state, "", 200, "Link", "<http://registry.internal:5000/admin>; rel=\"next\"");
  assert_value(&out, "Link", NULL);
  out = answer(*state, "", 200, "Link", "</v2/a/b/tags/list");
  assert_value(&out, "Link", NULL);
}

static void test_what_is_between_the_registry_and_us_is_not_answered(void **state) {
  struct headers out = answer(*state, "", 200, "Set-Cookie", "a=b");
  assert_value(&out, "Set-Cookie", NULL);
  out = answer(*state, "", 200, "Access-Control-Allow-Origin", "*");
  assert_value(&out, "Access-Control-Allow-Origin", NULL);
  out = answer(*state, "", 200, "OCI-Subject", "sha256:2");
  assert_value(&out, "OCI-Subject", "sha256:2");
  out = answer(*state, "", 206, "Content-Range", "bytes 0-1/2");
  assert_value(&out, "Content-Range", "bytes 0-1/2");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_what_concerns_one_connection_is_not_forwarded, setup, teardown),
      cmocka_unit_test_setup_teardown(test_the_registry_gets_our_credentials_and_never_the_clients, setup, teardown),
      cmocka_unit_test_setup_teardown(test_another_host_gets_no_credentials, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_manifest_is_asked_for_whole_and_uncompressed, setup, teardown),
      cmocka_unit_test_setup_teardown(test_locations_are_ours, setup, teardown),
      cmocka_unit_test_setup_teardown(test_redirects_to_other_hosts_pass_and_our_own_registry_is_never_named, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_links_are_ours, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what_is_between_the_registry_and_us_is_not_answered, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
