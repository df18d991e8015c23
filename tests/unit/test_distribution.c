// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rfc3339.h"
#include "ingest/distribution.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX "application/vnd.oci.image.index.v1+json"

enum { ARENA_BYTES = 32 * 1024 * 1024, MAX_EVENTS = 100 };

static const struct notification_rules RULES = {
    .instance = {"harbor-east", 11},
    .default_project = {"library", 7},
    .external_host = {"", 0},
    .own_user_agent = {"Harbinger/1 (secret)", 20},
    .received_us = 1787300000000000,
};

static int set_up(void **state) {
  *state = arena_new(ARENA_BYTES);
  return *state ? 0 : -1;
}

static int tear_down(void **state) {
  arena_free(*state);
  return 0;
}

static void assert_str(struct str got, const char *expected) {
  if (!str_eq_c(got, expected))
    fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(got), expected);
}

// The only notification of an envelope around `event`.
static struct notification read_one(struct arena *arena, const struct notification_rules *rules, const char *event) {
  struct str body = arena_printf(arena, "{\"events\":[%s]}", event);
  struct notification *out;
  struct error err;
  size_t len;

  assert_non_null(body.ptr);
  if (distribution_read(body, rules, MAX_EVENTS, arena, &out, &len, &err) != 0)
    fail_msg("%s: %s", event, err.text);
  assert_int_equal(len, 1);
  assert_true((out[0].outcome == NOTIFICATION_EVENT) == (out[0].event != NULL));
  return out[0];
}

static void assert_outcome(struct arena *arena, const char *event, enum notification_outcome expected) {
  struct notification n = read_one(arena, &RULES, event);

  if (n.outcome != expected)
    fail_msg("%s: %s, not %s", event, notification_outcome_name(n.outcome), notification_outcome_name(expected));
}

// As CNCF Distribution 2.8 writes it.
#define PUSH_V1                                                                                                  \
  "{\n   \"id\": \"320678d8-ca14-430f-8bb6-4ca139cd83f7\",\n   \"timestamp\": "                                  \
  "\"2016-03-09T14:44:26.402973972-08:00\","                                                                     \
  "\n   \"action\": \"push\",\n   \"target\": {\"mediaType\": \"" OCI_MANIFEST "\", \"size\": 708, \"digest\": " \
  "\"sha256:" HEX_A "\", \"length\": 708, \"repository\": \"team-a/web/api\", \"url\": "                         \
  "\"http://192.168.100.227:5000/v2/team-a/web/api/manifests/sha256:" HEX_A                                      \
  "\", \"tag\": \"v1.2\"},\n   \"request\": "                                                                    \
  "{\"id\": \"6df24a34-0959-4923-81ca-14f09767db19\", \"addr\": \"192.168.64.11:42961\", \"host\": "             \
  "\"192.168.100.227:5000\", \"method\": \"PUT\", \"useragent\": \"docker/24.0\"},\n   \"actor\": {\"name\": "   \
  "\"alice\"},\n   \"source\": {\"addr\": \"xtal.local:5000\", \"instanceID\": \"a53db899\"}\n}"

static void test_a_push_by_tag_becomes_all_that_the_envelope_says(void **state) {
  struct notification n = read_one(*state, &RULES, PUSH_V1);
  const struct event *e = n.event;
  int64_t at_us;

  assert_true(rfc3339_read(STR("2016-03-09T22:44:26.402973Z"), &at_us));
  assert_non_null(e);
  assert_str(n.id, "320678d8-ca14-430f-8bb6-4ca139cd83f7");
  assert_true(n.source_time_us == at_us && e->occurred_at_us == at_us);
  assert_int_equal(e->type, EVENT_PUSH_ARTIFACT);
  assert_int_equal(e->data.type, EVENT_PUSH_ARTIFACT);
  assert_int_equal(e->actor.kind, ACTOR_USER);
  assert_str(e->actor.name, "alice");
  assert_str(e->client.address, "192.168.64.11");
  assert_str(e->client.user_agent, "docker/24.0");
  assert_str(e->client.request_id, "6df24a34-0959-4923-81ca-14f09767db19");
  assert_str(e->repository.project, "team-a");
  assert_str(e->repository.name, "web/api");
  assert_str(e->upstream_name, "team-a/web/api");
  assert_str(e->registry_host, "192.168.100.227:5000");
  assert_int_equal(e->source.kind, SOURCE_DISTRIBUTION);
  assert_str(e->source.instance, "harbor-east");
  assert_int_equal(e->artifacts_len, 1);
  assert_str(e->artifacts[0].digest, "sha256:" HEX_A);
  assert_str(e->artifacts[0].reference, "v1.2");
  assert_int_equal(e->artifacts[0].tags_len, 1);
  assert_str(e->artifacts[0].tags[0], "v1.2");
  assert_str(e->artifacts[0].media_type, OCI_MANIFEST);
  assert_true(e->artifacts[0].size_bytes == -1); // the manifest's is not the artifact's
}

static void test_the_host_that_an_operator_set_goes_before_that_of_the_client(void **state) {
  struct notification_rules rules = RULES;

  rules.external_host = STR("registry.example.com");
  assert_str(read_one(*state, &rules, PUSH_V1).event->registry_host, "registry.example.com");
}

#define TARGET(action, target, method)                                                                 \
  "{\"id\":\"i\",\"timestamp\":\"2026-08-21T08:13:20Z\",\"action\":\"" action "\",\"target\":{" target \
  "},\"request\":{\"id\":\"r-1\",\"method\":\"" method "\"},\"actor\":{}}"
#define MANIFEST(rest) \
  "\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"sha256:" HEX_A "\",\"repository\":\"team/app\"" rest

static void test_a_push_by_digest_has_no_tag_and_the_digest_as_reference(void **state) {
  const struct event *e = read_one(*state, &RULES, TARGET("push", MANIFEST(""), "PUT")).event;

  assert_int_equal(e->artifacts[0].tags_len, 0);
  assert_str(e->artifacts[0].reference, "sha256:" HEX_A);
  assert_int_equal(e->actor.kind, ACTOR_ANONYMOUS);
}

static void test_each_notification_gets_its_outcome(void **state) {
  static const struct {
    const char *event;
    enum notification_outcome outcome;
  } rows[] = {
      {TARGET("pull", MANIFEST(",\"tag\":\"v1\""), "GET"), NOTIFICATION_EVENT},
      {TARGET("pull", MANIFEST(""), "HEAD"), NOTIFICATION_HEAD},
      {TARGET("pull", MANIFEST(""), "POST"), NOTIFICATION_METHOD},
      {TARGET("pull", MANIFEST(""), ""), NOTIFICATION_METHOD},
      {TARGET("push",
              "\"mediaType\":\"application/octet-stream\",\"digest\":\"sha256:" HEX_A
              "\",\"repository\":\"team/app\",\"url\":\"http://r/v2/team/app/blobs/sha256:" HEX_A "\"",
              "PUT"),
       NOTIFICATION_BLOB},
      {TARGET("pull", "\"digest\":\"sha256:" HEX_A "\",\"repository\":\"team/app\"", "GET"), NOTIFICATION_BLOB},
      {TARGET("pull",
              "\"digest\":\"sha256:" HEX_A "\",\"repository\":\"team/app\",\"url\":\"/v2/team/app/manifests/x\"",
              "GET"),
       NOTIFICATION_EVENT},
      {TARGET("mount", MANIFEST(",\"fromRepository\":\"a/b\""), "POST"), NOTIFICATION_MOUNT},
      {TARGET("delete", "\"digest\":\"sha256:" HEX_A "\",\"repository\":\"team/app\"", "DELETE"), NOTIFICATION_EVENT},
      {TARGET("delete", "\"tag\":\"v1\",\"repository\":\"team/app\"", "DELETE"), NOTIFICATION_TAG_OF_DELETE},
      {TARGET("delete", "\"repository\":\"team/app\"", "DELETE"), NOTIFICATION_REPOSITORY},
      {TARGET("delete", "\"tag\":\"v 1\",\"repository\":\"team/app\"", "DELETE"), NOTIFICATION_MALFORMED},
      {TARGET("delete",
              "\"mediaType\":\"application/octet-stream\",\"digest\":\"sha256:" HEX_A "\",\"repository\":\"team/app\"",
              "DELETE"),
       NOTIFICATION_BLOB},
      {TARGET("copy", MANIFEST(""), "PUT"), NOTIFICATION_UNKNOWN_ACTION},
      {TARGET("", MANIFEST(""), "PUT"), NOTIFICATION_MALFORMED},
      {TARGET("push", "\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"sha256:abc\",\"repository\":\"team/app\"",
              "PUT"),
       NOTIFICATION_MALFORMED},
      {TARGET("push", MANIFEST(",\"tag\":\"../x\""), "PUT"), NOTIFICATION_MALFORMED},
      {TARGET("push", "\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"sha256:" HEX_A "\"", "PUT"),
       NOTIFICATION_MALFORMED},
      {TARGET("push", MANIFEST(",\"repository\":\"team/\""), "PUT"), NOTIFICATION_MALFORMED},
      {TARGET("push", MANIFEST(",\"repository\":\"team/App\""), "PUT"), NOTIFICATION_MALFORMED},
      {TARGET("push", MANIFEST(",\"repository\":\"/app\""), "PUT"), NOTIFICATION_NO_PROJECT_NAME},
      {TARGET("push", MANIFEST(",\"repository\":\"a__b/app\""), "PUT"), NOTIFICATION_NO_PROJECT_NAME},
      {TARGET("push", MANIFEST(",\"repository\":\"Team/app\""), "PUT"), NOTIFICATION_NO_PROJECT_NAME},
      {"7", NOTIFICATION_MALFORMED},
      {"null", NOTIFICATION_MALFORMED},
      {"[]", NOTIFICATION_MALFORMED},
      {"{}", NOTIFICATION_MALFORMED},
      {"{\"action\":\"push\",\"target\":[]}", NOTIFICATION_MALFORMED},
      {"{\"action\":7}", NOTIFICATION_MALFORMED},
      {"{\"action\":\"push\",\"target\":{\"digest\":{}}}", NOTIFICATION_MALFORMED},
      {"{\"action\":\"push\",\"target\":null}", NOTIFICATION_BLOB},
  };

  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    assert_outcome(*state, rows[i].event, rows[i].outcome);
}

static void test_a_delete_of_version_2_with_its_empty_members_is_a_delete(void **state) {
  // Distribution 3 writes the three members of the descriptor always.
  struct notification n = read_one(
      *state, &RULES,
      TARGET("delete", "\"mediaType\":\"\",\"digest\":\"sha256:" HEX_A "\",\"size\":0,\"repository\":\"team/app\"",
             "DELETE"));
  assert_int_equal(n.event->type, EVENT_DELETE_ARTIFACT);
  assert_int_equal(n.event->artifacts[0].tags_len, 0);
  assert_true(n.event->artifacts[0].size_bytes == -1);
  assert_str(n.event->artifacts[0].media_type, "");

  n = read_one(*state, &RULES,
               TARGET("delete",
                      "\"mediaType\":\"\",\"digest\":\"\",\"size\":0,\"repository\":\"team/web/app\",\"tag\":\"v1\"",
                      "DELETE"));
  assert_int_equal(n.outcome, NOTIFICATION_TAG_OF_DELETE);
  assert_str(n.tag.project, "team");
  assert_str(n.tag.repository, "web/app");
  assert_str(n.tag.request_id, "r-1");
  assert_str(n.reference, "v1");
}

static void test_a_name_without_a_slash_belongs_to_the_default_project(void **state) {
  const struct event *e =
      read_one(*state, &RULES, TARGET("push", MANIFEST(",\"repository\":\"hello-world\""), "PUT")).event;

  assert_str(e->repository.project, "library");
  assert_str(e->repository.name, "hello-world");
  assert_str(e->upstream_name, "hello-world");
}

static void test_references_make_size_and_kind_of_an_image(void **state) {
  const struct event *e =
      read_one(
          *state, &RULES,
          TARGET("push",
                 MANIFEST(",\"size\":5,\"references\":[{\"mediaType\":\"application/vnd.cncf.helm.config.v1+json\","
                          "\"digest\":\"sha256:" HEX_B
                          "\",\"size\":30},{\"mediaType\":\"x/y\",\"digest\":\"sha256:" HEX_B "\",\"size\":400}]"),
                 "PUT"))
          .event;

  assert_true(e->artifacts[0].size_bytes == 435);
  assert_int_equal(e->artifacts[0].kind, ARTIFACT_CHART);
  e = read_one(
          *state, &RULES,
          TARGET("push", MANIFEST(",\"size\":5,\"references\":[{\"digest\":\"sha256:" HEX_B "\",\"size\":-9}]"), "PUT"))
          .event;
  assert_true(e->artifacts[0].size_bytes == -1);
}

static void test_references_are_the_children_of_an_index(void **state) {
  const struct event *e =
      read_one(*state, &RULES,
               TARGET("push",
                      "\"mediaType\":\"" OCI_INDEX "\",\"size\":5,\"digest\":\"sha256:" HEX_A
                      "\",\"repository\":\"team/app\",\"references\":[{\"mediaType\":\"" OCI_MANIFEST
                      "\",\"digest\":\"sha256:" HEX_B "\",\"size\":30,\"platform\":{\"architecture\":\"amd64\",\"os\":"
                      "\"linux\"}},{\"digest\":\"no digest\"}]",
                      "PUT"))
          .event;

  assert_int_equal(e->artifacts[0].kind, ARTIFACT_INDEX);
  assert_int_equal(e->artifacts[0].children_len, 1);
  assert_str(e->artifacts[0].children[0].platform, "linux/amd64");
  assert_true(e->artifacts[0].size_bytes == -1);
}

#define WITH(member) \
  "{\"id\":\"i\",\"timestamp\":\"nonsense\",\"action\":\"push\",\"target\":{" MANIFEST("") "}," member "}"

static void test_who_and_where_are_taken_with_care(void **state) {
  const struct event *e = read_one(*state, &RULES, WITH("\"actor\":{\"name\":\"robot$ci\"}")).event;
  assert_int_equal(e->actor.kind, ACTOR_ROBOT);
  assert_true(e->occurred_at_us == RULES.received_us); // the time could not be read

  e = read_one(*state, &RULES, WITH("\"request\":{\"addr\":\"[2001:db8::1]:80\",\"host\":\"a b\"}")).event;
  assert_str(e->client.address, "2001:db8::1");
  assert_str(e->registry_host, "");
  e = read_one(*state, &RULES, WITH("\"request\":{\"addr\":\"203.0.113.9\",\"host\":\"x/<y>|z\"}")).event;
  assert_str(e->client.address, "203.0.113.9");
  assert_str(e->registry_host, "");
  e = read_one(*state, &RULES, WITH("\"request\":{\"host\":\"[2001:db8::1]:5000\"}")).event;
  assert_str(e->registry_host, "[2001:db8::1]:5000");
}

static void test_what_we_asked_or_forwarded_ourselves_is_no_news(void **state) {
#define PULL_BY(agent) \
  "{\"action\":\"pull\",\"target\":{" MANIFEST("") "},\"request\":{\"method\":\"GET\",\"useragent\":\"" agent "\"}}"
  struct notification_rules nothing_asked = RULES;

  assert_outcome(*state, PULL_BY("Harbinger/1 (secret)"), NOTIFICATION_OWN);
  assert_outcome(*state, PULL_BY("Harbinger/1 (guess!)"), NOTIFICATION_EVENT);
  assert_outcome(*state, PULL_BY(""), NOTIFICATION_EVENT);
  assert_outcome(
      *state,
      "{\"action\":\"push\",\"target\":{" MANIFEST("") "},\"request\":{\"useragent\":\"Harbinger/1 (secret)\"}}",
      NOTIFICATION_OWN);
  assert_outcome(
      *state,
      "{\"action\":\"push\",\"target\":{" MANIFEST("") "},\"request\":{\"useragent\":\"Harbinger/1 (guess!)\"}}",
      NOTIFICATION_EVENT);
  nothing_asked.own_user_agent = STR_EMPTY;
  assert_int_equal(read_one(*state, &nothing_asked, PULL_BY("")).outcome, NOTIFICATION_EVENT);
}

static void test_one_malformed_notification_does_not_spoil_the_others(void **state) {
  static const char body[] = "{\"events\":[" PUSH_V1 ",{\"id\":9}," PUSH_V1 "],\"more\":1}";
  struct notification *out;
  size_t len;

  assert_int_equal(distribution_read(STR(body), &RULES, MAX_EVENTS, *state, &out, &len, NULL), 0);
  assert_int_equal(len, 3);
  assert_int_equal(out[0].outcome, NOTIFICATION_EVENT);
  assert_int_equal(out[1].outcome, NOTIFICATION_MALFORMED);
  assert_int_equal(out[2].outcome, NOTIFICATION_EVENT);
}

static void test_an_envelope_that_is_none_is_refused_with_words(void **state) {
  static const struct {
    const char *body, *words;
  } rows[] = {
      {"", "as JSON"},
      {"{\"events\":[", "as JSON"},
      {"{\"events\":[]}x", "as JSON"},
      {"{\"events\":[{\"id\":\"\xff\"}]}", "UTF-8"},
      {"{\"events\":[{\"id\":\"\\u0000\"}]}", "as JSON"},
      {"{\"events\":[99999999999999999999]}", "as JSON"},
      {"{}", "no array `events`"},
      {"[]", "no array `events`"},
      {"{\"events\":null}", "no array `events`"},
      {"{\"events\":{\"0\":{}}}", "no array `events`"},
  };

  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    struct notification *out;
    struct error err;
    size_t len;
    assert_int_equal(distribution_read(str_of(rows[i].body), &RULES, MAX_EVENTS, *state, &out, &len, &err),
                     ERR_BAD_REQUEST);
    assert_int_equal(err.code, ERR_BAD_REQUEST);
    if (!strstr(err.text, rows[i].words))
      fail_msg("%s: %s", rows[i].body, err.text);
  }
}

static int read_many(struct arena *arena, size_t count, size_t *len) {
  struct notification *out;
  struct buf body;

  buf_init(&body, 1024 * 1024);
  buf_put_c(&body, "{\"events\":[");
  for (size_t i = 0; i < count; i++)
    buf_put_c(&body, i ? ",{}" : "{}");
  buf_put_c(&body, "]}");
  int rc = distribution_read(buf_str(&body), &RULES, MAX_EVENTS, arena, &out, len, NULL);
  buf_free(&body);
  return rc;
}

static void test_more_events_than_allowed_are_too_many(void **state) {
  size_t len;

  assert_int_equal(read_many(*state, 0, &len), 0);
  assert_int_equal(len, 0);
  assert_int_equal(read_many(*state, MAX_EVENTS, &len), 0);
  assert_int_equal(len, MAX_EVENTS);
  assert_int_equal(read_many(*state, MAX_EVENTS + 1, &len), ERR_TOO_LARGE);
}

static void test_deep_json_is_refused_before_anything_is_built(void **state) {
  enum { DEPTH = 10000 };
  struct notification *out;
  struct buf body;
  size_t len;

  buf_init(&body, 1024 * 1024);
  buf_put_c(&body, "{\"events\":");
  for (int i = 0; i < DEPTH; i++)
    buf_put_char(&body, '[');
  for (int i = 0; i < DEPTH; i++)
    buf_put_char(&body, ']');
  buf_put_char(&body, '}');
  assert_int_equal(distribution_read(buf_str(&body), &RULES, MAX_EVENTS, *state, &out, &len, NULL), ERR_BAD_REQUEST);
  assert_int_equal(arena_used_bytes(*state), 0);
  buf_free(&body);
}

static void test_memory_that_runs_out_is_no_malformed_notification(void **state) {
  struct notification *out;
  struct error err;
  size_t len;

  (void)state;
  for (size_t room = 0; room < 4096; room += 64) {
    struct arena *small = arena_new(room);
    int rc = distribution_read(STR("{\"events\":[" PUSH_V1 "]}"), &RULES, MAX_EVENTS, small, &out, &len, &err);
    assert_true(rc == ERR_NO_MEMORY || (rc == 0 && out[0].outcome == NOTIFICATION_EVENT && room >= 512));
    arena_free(small);
  }
}

static void test_media_types_of_both_versions_are_known(void **state) {
  (void)state;
  assert_true(distribution_is_media_type(STR("application/vnd.docker.distribution.events.v1+json")));
  assert_true(distribution_is_media_type(STR("application/vnd.docker.distribution.events.v2+json; charset=utf-8")));
  assert_true(distribution_is_media_type(STR("Application/JSON")));
  assert_false(distribution_is_media_type(STR("text/plain")));
  assert_false(distribution_is_media_type(STR("")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_push_by_tag_becomes_all_that_the_envelope_says, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_the_host_that_an_operator_set_goes_before_that_of_the_client, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(test_a_push_by_digest_has_no_tag_and_the_digest_as_reference, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_each_notification_gets_its_outcome, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_delete_of_version_2_with_its_empty_members_is_a_delete, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_name_without_a_slash_belongs_to_the_default_project, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_references_make_size_and_kind_of_an_image, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_references_are_the_children_of_an_index, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_who_and_where_are_taken_with_care, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_what_we_asked_or_forwarded_ourselves_is_no_news, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_one_malformed_notification_does_not_spoil_the_others, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_an_envelope_that_is_none_is_refused_with_words, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_more_events_than_allowed_are_too_many, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_deep_json_is_refused_before_anything_is_built, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_memory_that_runs_out_is_no_malformed_notification, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_media_types_of_both_versions_are_known, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("distribution", tests, NULL, NULL);
}
