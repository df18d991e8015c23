// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "app/portal.h"
#include "support/server_fixture.h"

#define BYTES(text) (const unsigned char *)(text), sizeof(text) - 1

static const struct embedded_page no_pages[] = {{0}};
static const struct embedded_page few_pages[] = {
    {"index.html", "text/html", "h1", BYTES("<base href=\"/\" /><i>__CSP_NONCE__</i>"), NULL, 0},
    {0},
};

// What the portal of these pages says to one request.
static struct str ask(struct world *world, const struct embedded_page *pages, const char *public_url, const char *line,
                      struct caller *client) {
  struct error err = {0};
  struct portal *portal = portal_new(pages, public_url, &err);

  assert_non_null(portal);
  world->defer = true;
  caller_open(world, client);
  caller_send_c(world, client, line);
  caller_send_c(world, client, " HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
  world_await_requests(world, 1);
  portal_handle(portal, world->waiting[0]);
  caller_await_end(world, client);
  portal_free(portal);
  return buf_str(&client->got);
}

static void test_a_program_without_portal_says_how_to_get_one(void **state) {
  struct caller client;
  struct str got = ask(*state, no_pages, "", "GET /", &client);
  assert_true(str_starts_c(got, "HTTP/1.1 200 OK\r\n"));
  assert_true(caller_got(&client, "Content-Type: text/plain; charset=utf-8\r\n"));
  assert_true(caller_got(&client, "scripts/build-portal"));
  caller_close(&client);
}

static void test_a_program_without_portal_has_none_of_its_addresses(void **state) {
  struct caller client;
  struct str got = ask(*state, no_pages, "", "GET /harbor/projects", &client);
  assert_true(str_starts_c(got, "HTTP/1.1 404 Not Found\r\n"));
  assert_true(caller_got(&client, "Content-Type: application/json; charset=utf-8\r\n"));
  caller_close(&client);
}

static void assert_prefix(struct world *world, const char *public_url, const char *base) {
  struct caller client;
  (void)ask(world, few_pages, public_url, "GET /harbor/projects", &client);
  if (!caller_got(&client, base))
    fail_msg("%s gave %.*s", public_url, STR_ARG(buf_str(&client.got)));
  assert_false(caller_got(&client, "__CSP_NONCE__"));
  caller_close(&client);
}

static void test_prefix_at_the_root(void **state) {
  assert_prefix(*state, "http://h", "<base href=\"/\" /><i>");
}

static void test_prefix_with_what_html_would_take_for_its_own(void **state) {
  assert_prefix(*state, "http://h/a&lt;b/?q=1", "<base href=\"/a&amp;lt;b/\" /><i>");
}

static void test_prefix_is_never_a_host(void **state) {
  assert_prefix(*state, "http://h///evil.example//", "<base href=\"/evil.example/\" /><i>");
}

int main(void) {
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)
  const struct CMUnitTest tests[] = {
      IN_WORLD(test_a_program_without_portal_says_how_to_get_one),
      IN_WORLD(test_a_program_without_portal_has_none_of_its_addresses),
      IN_WORLD(test_prefix_at_the_root),
      IN_WORLD(test_prefix_with_what_html_would_take_for_its_own),
      IN_WORLD(test_prefix_is_never_a_host),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
