// SPDX-License-Identifier: Apache-2.0
// Requests over a real HTTP server into a real store whose writer runs: what is answered, and what is on disk then.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/ingest.h"
#include "store/catalogue.h"
#include "support/server_fixture.h"
#include "support/store_fixture.h"

#define TOKEN_EAST "token-of-harbor-east"
#define TOKEN_ALL "token-of-all-the-others"
#define REFUSED "too-large" // a repository whose events the store refuses
#define V1 "application/vnd.docker.distribution.events.v1+json"

enum { MAX_HEARD = 64, BODY_MAX_BYTES = 16 * 1024 * 1024, MANY = 200 };

struct place {
  struct fixture *f;
  struct pool *pool;
  struct world world; // its loop and server; what callers need
  struct ingest *ingest;
  enum event_type heard[MAX_HEARD];
  size_t heard_len;
  struct buf body;
  struct caller caller;
};

static size_t on_body_limit(void *ctx, const struct http_head *head) {
  return ingest_body_limit(((struct place *)ctx)->ingest, head);
}

static void on_request(void *ctx, struct http_request *request) {
  ingest_handle(((struct place *)ctx)->ingest, request);
}

static void on_write_error(void *ctx, struct str path, int status, const char *words, struct buf *out,
                           const char **content_type) {
  (void)ctx, (void)path;
  *content_type = "text/plain";
  buf_printf(out, "server error %d: %s", status, words);
}

static void on_answered(void *ctx, const struct http_request *request, int status, int64_t duration_us) {
  (void)ctx, (void)request, (void)status, (void)duration_us;
}

static void on_committed(void *ctx, const struct event *event) {
  struct place *place = ctx;

  assert_true(event->seq > 0); // it is in the store
  if (place->heard_len < MAX_HEARD)
    place->heard[place->heard_len++] = event->type;
}

static struct ingest_config config_of_tests(void) {
  return (struct ingest_config){
      .sources = {{.name = "default", .token = TOKEN_ALL}, {.name = "east", .token = TOKEN_EAST}},
      .sources_len = 2,
      .create_unknown_projects = true,
      .default_project = "library",
      .external_host = "registry.example.com",
      .inline_body_bytes = 64 * 1024,
  };
}

static void open_ingest(struct place *place, const struct ingest_config *config) {
  struct error err;

  ingest_free(place->ingest);
  place->ingest = ingest_new(config, place->world.loop, place->pool, place->f->store, &place->f->clock, place->f->ids,
                             NULL, place->f->metrics, &err);
  if (!place->ingest)
    fail_msg("ingest_new: %s", err.text);
  ingest_on_committed(place->ingest, on_committed, place);
}

static void open_server(struct place *place) {
  const struct http_server_handler handler = {.ctx = place,
                                              .body_limit = on_body_limit,
                                              .on_request = on_request,
                                              .write_error = on_write_error,
                                              .on_answered = on_answered};
  struct http_server_config config = {
      .backlog = 16,
      .max_connections = MAX_CONNECTIONS,
      .max_head_bytes = 64 * 1024,
      .max_buffered_bytes = 64 * 1024 * 1024,
      .max_response_bytes = 1024 * 1024,
      .request_arena_bytes = 32 * 1024 * 1024,
      .header_timeout_ms = 10000,
      .body_idle_timeout_ms = 30000,
      .body_rate_window_ms = 60000,
      .body_min_bytes_per_s = 1024,
      .keep_alive_timeout_ms = 75000,
      .write_timeout_ms = 30000,
  };
  struct error err;

  assert_true(address_read(STR("127.0.0.1"), &config.listen));
  place->world.loop = loop_new(&place->f->clock, MAX_CONNECTIONS + 2, 64, &err);
  assert_non_null(place->world.loop);
  place->world.server = http_server_new(place->world.loop, &config, &handler, place->f->ids, NULL, &err);
  if (!place->world.server)
    fail_msg("http_server_new: %s", err.text);
}

static int set_up(void **state) {
  struct place *place = calloc(1, sizeof(*place));
  struct ingest_config config = config_of_tests();
  struct error err;

  assert_non_null(place);
  place->f = fixture_new();
  place->pool = pool_new(&(struct pool_config){.threads = 1, .max_jobs = 8}, &err);
  assert_non_null(place->pool);
  open_server(place);
  open_ingest(place, &config);
  // Refused for good, as an event that is too large would be, in the midst of its change.
  fixture_exec(place->f, "CREATE TRIGGER refuse BEFORE INSERT ON event WHEN NEW.repository = '" REFUSED
                         "' BEGIN SELECT zeroblob(2000000000); END");
  assert_int_equal(store_start(place->f->store, &err), 0);
  buf_init(&place->body, BODY_MAX_BYTES);
  *state = place;
  return 0;
}

static int tear_down(void **state) {
  struct place *place = *state;

  caller_close(&place->caller);
  pool_free(place->pool);
  http_server_free(place->world.server);
  ingest_free(place->ingest);
  loop_free(place->world.loop);
  buf_free(&place->body);
  fixture_free(place->f);
  free(place);
  return 0;
}

// One notification more in place->body.
static void add(struct place *place, int id, const char *action, const char *target, const char *method) {
  buf_put_c(&place->body, place->body.len ? "," : "{\"events\":[");
  buf_printf(&place->body,
             "{\"id\":\"n-%d\",\"timestamp\":\"2026-08-21T08:13:20.402973972Z\",\"action\":\"%s\",\"target\":{%s},"
             "\"request\":{\"id\":\"r-1\",\"method\":\"%s\",\"host\":\"r:5000\"},\"actor\":{\"name\":\"alice\"}}",
             id, action, target, method);
}

#define TARGET(repository, tag)                                                                                  \
  "\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"" FIXTURE_DIGEST_A "\",\"size\":5," \
  "\"repository\":\"" repository "\",\"tag\":\"" tag "\""

static void add_push(struct place *place, int id) {
  add(place, id, "push", TARGET("team/app", "v1"), "PUT");
}

static void send_request(struct place *place, const char *line, const char *headers, struct str body) {
  struct buf head;

  caller_close(&place->caller);
  caller_open(&place->world, &place->caller);
  buf_init(&head, 8192);
  buf_printf(&head, "%s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n%s\r\n", line, body.len, headers);
  caller_send(&place->world, &place->caller, buf_str(&head));
  buf_free(&head);
  caller_send(&place->world, &place->caller, body);
}

static void expect(struct place *place, const char *status, const char *words) {
  char line[64];

  (void)snprintf(line, sizeof(line), "HTTP/1.1 %s ", status);
  caller_await(&place->world, &place->caller, "\r\n\r\n");
  if (!caller_got(&place->caller, line))
    fail_msg("not %s: %.*s", status, STR_ARG(buf_str(&place->caller.got)));
  caller_await(&place->world, &place->caller, words);
  assert_int_equal(ingest_running(place->ingest), 0);
}

#define HEADERS_EAST "Authorization: Bearer " TOKEN_EAST "\r\nContent-Type: " V1 "\r\n"

// Post what `add` gathered as source east.
static void post(struct place *place, const char *status, const char *words) {
  buf_put_c(&place->body, place->body.len ? "]}" : "{\"events\":[]}");
  send_request(place, "POST /ingest/distribution", HEADERS_EAST, buf_str(&place->body));
  expect(place, status, words);
  buf_clear(&place->body);
}

static void count_is(struct place *place, const char *sql, int64_t expected) {
  fixture_number_is(place->f, sql, expected);
}

static void test_an_answer_of_200_means_that_the_event_is_in_the_store(void **state) {
  struct place *place = *state;

  add_push(place, 1);
  post(place, "200", "{\"accepted\":1,\"events\":1}");
  count_is(place, "SELECT count(*) FROM event", 1);
  count_is(place, "SELECT count(*) FROM tag WHERE name = 'v1'", 1);
  count_is(place, "SELECT json_extract(json, '$.source.instance') = 'east' FROM event", 1);
  assert_int_equal(place->heard_len, 1);
  assert_int_equal(place->heard[0], EVENT_PUSH_ARTIFACT);
}

static void test_the_same_envelope_again_makes_no_second_event(void **state) {
  struct place *place = *state;

  for (int i = 0; i < 3; i++) {
    add_push(place, 1);
    post(place, "200", i ? "{\"accepted\":1,\"events\":0}" : "{\"accepted\":1,\"events\":1}");
  }
  add_push(place, 2);
  add_push(place, 2);
  post(place, "200", "{\"accepted\":2,\"events\":1}");
  count_is(place, "SELECT count(*) FROM event", 2);
  count_is(place, "SELECT count(*) FROM ingest_note WHERE reason = 'duplicate' AND instance = 'east'", 3);
  assert_int_equal(place->heard_len, 2);
}

static void test_the_same_id_of_another_source_is_another_notification(void **state) {
  struct place *place = *state;

  add_push(place, 1);
  post(place, "200", "\"events\":1}");
  add_push(place, 1);
  buf_put_c(&place->body, "]}");
  send_request(place, "POST /ingest/distribution",
               "authorization: bearer " TOKEN_ALL "\r\nContent-Type: application/json\r\n", buf_str(&place->body));
  expect(place, "200", "\"events\":1}");
}

static void test_what_makes_no_event_is_noted_with_its_reason(void **state) {
  struct place *place = *state;

  add(place, 1, "push",
      "\"mediaType\":\"application/octet-stream\",\"digest\":\"" FIXTURE_DIGEST_A "\",\"repository\":\"team/app\"",
      "PUT");
  add(place, 2, "pull", TARGET("team/app", "v1"), "HEAD");
  add(place, 3, "pull", TARGET("team/app", "v1"), "GET");
  add(place, 4, "push", TARGET("Team/app", "v1"), "PUT");
  buf_put_c(&place->body, ",{\"id\":5}");
  add_push(place, 6);
  post(place, "200", "{\"accepted\":6,\"events\":1}");
  count_is(place, "SELECT count(*) FROM ingest_note", 5);
  count_is(place,
           "SELECT count(*) FROM ingest_note WHERE reason = 'blob' AND notification_id = 'n-1' AND action = 'push' "
           "AND repository = 'team/app' AND source = 'distribution'",
           1);
  count_is(place, "SELECT count(*) FROM ingest_note WHERE reason = 'head'", 1);
  count_is(place, "SELECT count(*) FROM ingest_note WHERE reason = 'pull that no webhook asks for'", 1);
  count_is(place, "SELECT count(*) FROM ingest_note WHERE reason = 'not a project name'", 1);
  count_is(place, "SELECT count(*) FROM ingest_note WHERE reason = 'malformed'", 1);
}

static void test_the_notifications_of_one_delete_are_one_event_with_all_tags(void **state) {
  struct place *place = *state;

  add_push(place, 1);
  add(place, 2, "push", TARGET("team/app", "v2"), "PUT");
  post(place, "200", "\"events\":2}");
  add(place, 3, "delete", "\"repository\":\"team/app\",\"tag\":\"v1\"", "DELETE");
  add(place, 4, "delete", "\"repository\":\"team/app\",\"digest\":\"" FIXTURE_DIGEST_A "\"", "DELETE");
  add(place, 5, "delete", "\"repository\":\"team/app\",\"tag\":\"v2\"", "DELETE");
  post(place, "200", "{\"accepted\":3,\"events\":1}");
  count_is(place,
           "SELECT count(*) FROM event WHERE type = 2 AND json_extract(json, '$.artifacts[0].tags[0]') = 'v1' AND "
           "json_extract(json, '$.artifacts[0].tags[1]') = 'v2'",
           1);
  count_is(place, "SELECT count(*) FROM ingest_note WHERE reason = 'tag of a delete'", 2);
  count_is(place, "SELECT count(*) FROM tag", 0);
  assert_int_equal(place->heard[place->heard_len - 1], EVENT_DELETE_ARTIFACT);
}

static void test_an_unknown_project_is_created_or_refused_as_configured(void **state) {
  struct place *place = *state;
  struct ingest_config config = config_of_tests();

  config.create_unknown_projects = false;
  open_ingest(place, &config);
  add_push(place, 1);
  post(place, "200", "{\"accepted\":1,\"events\":0}");
  count_is(place, "SELECT count(*) FROM ingest_note WHERE reason = 'no project'", 1);
  count_is(place, "SELECT count(*) FROM project WHERE name = 'team'", 0);

  config.create_unknown_projects = true;
  open_ingest(place, &config);
  add_push(place, 1); // it was no duplicate: no event was made of it
  post(place, "200", "{\"accepted\":1,\"events\":1}");
  count_is(place, "SELECT count(*) FROM project WHERE name = 'team' AND is_public = 0", 1);
}

static void test_a_large_envelope_is_read_in_the_pool_and_committed_in_parts(void **state) {
  struct place *place = *state;

  for (int i = 0; i < MANY; i++)
    add_push(place, i);
  buf_printf(&place->body, "%65536s", ""); // more than is read on the loop
  post(place, "200", "{\"accepted\":200,\"events\":200}");
  count_is(place, "SELECT count(*) FROM event", MANY);
  count_is(place, "SELECT max(seq) FROM event", MANY);
}

static void test_an_empty_envelope_is_accepted(void **state) {
  post(*state, "200", "{\"accepted\":0,\"events\":0}");
}

static void test_limits_are_told_apart_and_nothing_is_stored(void **state) {
  struct place *place = *state;

  for (int i = 0; i <= INGEST_MAX_EVENTS; i++)
    buf_put_c(&place->body, i ? ",{}" : "{\"events\":[{}");
  post(place, "413", "more than 10000 events; nothing of it was taken");
  buf_printf(&place->body, "{\"events\":[]%*s", INGEST_MAX_BODY_BYTES - 13, "");
  buf_put_c(&place->body, "}");
  assert_int_equal(place->body.len, INGEST_MAX_BODY_BYTES);
  send_request(place, "POST /ingest/distribution", HEADERS_EAST, buf_str(&place->body));
  expect(place, "200", "\"accepted\":0");
  caller_close(&place->caller);
  caller_open(&place->world, &place->caller);
  caller_send_c(&place->world, &place->caller,
                "POST /ingest/distribution HTTP/1.1\r\nHost: h\r\n" HEADERS_EAST "Content-Length: 10485761\r\n\r\n");
  expect(place, "413", "server error 413");
  count_is(place, "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM ingest_note)", 0);
}

static void test_what_cannot_be_read_is_400_and_nothing_is_stored(void **state) {
  struct place *place = *state;

  send_request(place, "POST /ingest/distribution", HEADERS_EAST, STR("not json"));
  expect(place, "400", "cannot be read as JSON");
  send_request(place, "POST /ingest/distribution", HEADERS_EAST, STR("{\"event\":[]}"));
  expect(place, "400", "no array `events`");
  count_is(place, "SELECT count(*) FROM ingest_note", 0);
}

static void test_who_is_not_known_is_told_what_to_set(void **state) {
  struct place *place = *state;
  struct ingest_config config = config_of_tests();
  static const char *const headers[] = {
      "Content-Type: " V1 "\r\n",
      "Authorization: Bearer \r\nContent-Type: " V1 "\r\n",
      "Authorization: Bearer " TOKEN_EAST "x\r\nContent-Type: " V1 "\r\n",
      "Authorization: Basic " TOKEN_EAST "\r\nContent-Type: " V1 "\r\n",
      "Authorization: " TOKEN_EAST "\r\nContent-Type: " V1 "\r\n",
  };

  for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
    send_request(place, "POST /ingest/distribution", headers[i], STR("{\"events\":[]}"));
    expect(place, "401", "unauthorized");
    assert_true(caller_got(&place->caller, "WWW-Authenticate: Bearer"));
  }
  config.sources_len = 0;
  open_ingest(place, &config);
  send_request(place, "POST /ingest/distribution", HEADERS_EAST, STR("{\"events\":[]}"));
  expect(place, "401", "HARBINGER_INGEST_TOKEN");
}

static void test_a_large_body_without_a_token_is_not_read(void **state) {
  struct place *place = *state;

  caller_open(&place->world, &place->caller);
  caller_send_c(&place->world, &place->caller,
                "POST /ingest/distribution HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n");
  expect(place, "413", "server error 413");
}

static void test_other_paths_methods_and_types_are_refused(void **state) {
  struct place *place = *state;

  send_request(place, "POST /ingest/zot", HEADERS_EAST, STR("{}"));
  expect(place, "404", "/ingest/distribution");
  send_request(place, "POST /ingest/distribution/", HEADERS_EAST, STR("{}"));
  expect(place, "404", "/ingest/distribution");
  send_request(place, "GET /ingest/distribution", HEADERS_EAST, STR(""));
  expect(place, "405", "METHOD_NOT_ALLOWED");
  assert_true(caller_got(&place->caller, "Allow: POST\r\n"));
  send_request(place, "POST /ingest/distribution",
               "Authorization: Bearer " TOKEN_EAST "\r\nContent-Type: application/x-www-form-urlencoded\r\n",
               STR("{\"events\":[]}"));
  expect(place, "415", "UNSUPPORTED_MEDIA_TYPE");
  send_request(place, "POST /ingest/distribution", "Authorization: Bearer " TOKEN_EAST "\r\n", STR("{\"events\":[]}"));
  expect(place, "415", "UNSUPPORTED_MEDIA_TYPE");
}

static void test_a_store_that_stops_is_503_with_a_time_to_come_again(void **state) {
  struct place *place = *state;

  store_stop(place->f->store);
  add_push(place, 1);
  post(place, "503", "try again");
  assert_true(caller_got(&place->caller, "Retry-After: 1\r\n"));
}

static void test_an_event_that_is_refused_for_good_does_not_hold_up_the_others(void **state) {
  struct place *place = *state;

  for (int i = 0; i < 3; i++)
    add_push(place, i);
  add(place, 3, "push", TARGET("team/" REFUSED, "v1"), "PUT");
  for (int i = 4; i < 70; i++)
    add_push(place, i);
  post(place, "200", "{\"accepted\":70,\"events\":69}");
  count_is(place, "SELECT count(*) FROM event", 69);
  count_is(place, "SELECT max(seq) FROM event", 69);
  count_is(place, "SELECT count(*) FROM ingest_note", 1);
  count_is(place, "SELECT count(*) FROM ingest_note WHERE reason = 'refused' AND notification_id = 'n-3'", 1);
}

static void test_a_token_that_is_too_short_is_refused_at_start(void **state) {
  struct place *place = *state;
  struct ingest_config config = config_of_tests();
  struct error err;

  config.sources[1].token = "short";
  assert_null(ingest_new(&config, place->world.loop, place->pool, place->f->store, &place->f->clock, place->f->ids,
                         NULL, NULL, &err));
  assert_int_equal(err.code, ERR_CONFIG);
  assert_non_null(strstr(err.text, "east"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_an_answer_of_200_means_that_the_event_is_in_the_store),
      TEST(test_the_same_envelope_again_makes_no_second_event),
      TEST(test_the_same_id_of_another_source_is_another_notification),
      TEST(test_what_makes_no_event_is_noted_with_its_reason),
      TEST(test_the_notifications_of_one_delete_are_one_event_with_all_tags),
      TEST(test_an_unknown_project_is_created_or_refused_as_configured),
      TEST(test_a_large_envelope_is_read_in_the_pool_and_committed_in_parts),
      TEST(test_an_empty_envelope_is_accepted),
      TEST(test_limits_are_told_apart_and_nothing_is_stored),
      TEST(test_what_cannot_be_read_is_400_and_nothing_is_stored),
      TEST(test_who_is_not_known_is_told_what_to_set),
      TEST(test_a_large_body_without_a_token_is_not_read),
      TEST(test_other_paths_methods_and_types_are_refused),
      TEST(test_a_store_that_stops_is_503_with_a_time_to_come_again),
      TEST(test_an_event_that_is_refused_for_good_does_not_hold_up_the_others),
      TEST(test_a_token_that_is_too_short_is_refused_at_start),
  };
  return cmocka_run_group_tests_name("ingest", tests, NULL, NULL);
}
