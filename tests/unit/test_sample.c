// SPDX-License-Identifier: Apache-2.0
// The samples of events: each renders in every format, with all that the format has a place for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "event/sample.h"
#include "format/format.h"

enum { ARENA_BYTES = 4 * 1024 * 1024 };

static const int64_t NOW_US = INT64_C(1787300000123456); // 2026-08-21T08:13:20.123456Z

static struct event_sample_input input_of(enum event_type type) {
  struct event_sample_input input = {
      .type = type,
      .now_us = NOW_US,
      .project_id = 7,
      .project = STR("team-a"),
      .is_public = true,
      .registry_host = STR("registry.example.com:5000"),
  };
  assert_true(uuid_read(STR("01a02361-2ac0-7000-8000-000000000001"), &input.id));
  return input;
}

static struct event sample(enum event_type type, struct arena *arena) {
  const struct event_sample_input input = input_of(type);
  struct event event;
  struct error err = {0};

  if (event_sample(&input, arena, &event, &err) != 0)
    fail_msg("%s: %s", event_type_name(type), err.text);
  return event;
}

static struct str render(const struct event *event, enum payload_format format, bool extras, struct arena *arena) {
  const struct format_input input = {.event = event, .format = format, .extras = extras, .policy_id = 3};
  struct buf body;
  struct error err = {0};

  buf_init(&body, FORMAT_MAX_BODY_BYTES);
  if (format_render(&input, arena, &body, &err) != 0)
    fail_msg("%s: %s", event_type_name(event->type), err.text);
  struct str text = arena_str(arena, buf_str(&body));
  assert_non_null(text.ptr);
  buf_free(&body);
  return text;
}

static const struct json_object *member_at(const struct json_object *object, const char *path) {
  struct str rest = str_of(path), name;
  char key[64];

  while (str_next(&rest, '.', &name)) {
    enum json_kind kind;
    assert_true(name.len < sizeof(key));
    memcpy(key, name.ptr, name.len);
    key[name.len] = '\0';
    object = key[0] == '0' ? json_array_at(object, 0) : json_member(object, key, &kind);
    if (!object)
      return NULL;
  }
  return object;
}

static void must_have(enum event_type type, const struct json_object *root, const char *const *paths) {
  for (; *paths; paths++)
    if (!member_at(root, *paths))
      fail_msg("the sample of %s has no %s", event_type_name(type), *paths);
}

static void test_every_format_recognises_its_body_of_every_sample(void **state) {
  static const enum payload_format FORMATS[] = {PAYLOAD_DEFAULT, PAYLOAD_CLOUDEVENTS, PAYLOAD_SLACK};

  (void)state;
  for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
    for (size_t f = 0; f < ARRAY_LEN(FORMATS); f++) {
      struct arena *arena = arena_new(ARENA_BYTES);
      struct event event = sample((enum event_type)type, arena);
      const struct format_info *info = format_info(FORMATS[f]);
      struct error err = {0};
      struct str body = render(&event, FORMATS[f], true, arena);
      const char *name = format_recognise(str_of(info->content_type), body, arena, &err);
      if (!name || strcmp(name, info->name) != 0)
        fail_msg("%s as %s is taken for %s: %.*s", event_type_name(event.type), info->name, name ? name : err.text,
                 STR_ARG(body));
      arena_free(arena);
    }
  }
}

// What docs/receiving.md promises of each type; seq is the one thing that a test does not have.
static void test_the_member_harbinger_is_whole(void **state) {
  static const char *const ALL[] = {"event_data.harbinger.event_id",
                                    "event_data.harbinger.occurred_at",
                                    "event_data.harbinger.trigger",
                                    "event_data.harbinger.actor.kind",
                                    "event_data.harbinger.actor.name",
                                    "event_data.harbinger.client.address",
                                    "event_data.harbinger.client.user_agent",
                                    "event_data.harbinger.client.request_id",
                                    NULL};
  static const char *const ARTIFACTS[] = {"event_data.harbinger.artifacts.0.name",
                                          "event_data.harbinger.artifacts.0.digest",
                                          "event_data.harbinger.artifacts.0.tags.0",
                                          "event_data.harbinger.artifacts.0.media_type",
                                          "event_data.harbinger.artifacts.0.kind",
                                          "event_data.harbinger.artifacts.0.size",
                                          NULL};
  static const char *const BY_TYPE[EVENT_TYPE_COUNT][7] = {
      [EVENT_PUSH_ARTIFACT] = {"event_data.resources.0.digest", "event_data.resources.0.tag",
                               "event_data.resources.0.resource_url", "event_data.repository.date_created",
                               "event_data.harbinger.artifacts.0.platform"},
      [EVENT_PULL_ARTIFACT] = {"event_data.harbinger.artifacts.0.children.0.platform"},
      [EVENT_DELETE_ARTIFACT] = {"event_data.resources.0.digest", "event_data.resources.0.tag"},
      [EVENT_QUOTA_EXCEED] = {"event_data.custom_attributes.Details", "event_data.harbinger.quota.requested",
                              "event_data.harbinger.quota.used", "event_data.harbinger.quota.limit",
                              "event_data.harbinger.quota.percent"},
      [EVENT_QUOTA_WARNING] = {"event_data.custom_attributes.Details", "event_data.harbinger.quota.percent"},
      [EVENT_SCANNING_FAILED] = {"event_data.harbinger.scan.error", "event_data.resources.0.scan_overview"},
      [EVENT_SCANNING_STOPPED] = {"event_data.harbinger.scan.status"},
      [EVENT_SCANNING_COMPLETED] = {"event_data.harbinger.scan.critical", "event_data.harbinger.scan.major",
                                    "event_data.harbinger.scan.minor", "event_data.harbinger.scan.completed_at",
                                    "event_data.resources.0.scan_overview", "event_data.scan.scan_type"},
      [EVENT_REPLICATION] = {"event_data.replication.successful_artifact.0.name_tag",
                             "event_data.replication.harbor_hostname", "event_data.replication.src_resource.namespace",
                             "event_data.harbinger.replication.status"},
      [EVENT_TAG_RETENTION] = {"event_data.retention.deleted_artifact.0.name_tag",
                               "event_data.retention.retention_rule.0.params",
                               "event_data.harbinger.retention.artifacts.0.name"},
  };

  (void)state;
  for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
    struct arena *arena = arena_new(ARENA_BYTES);
    struct event event = sample((enum event_type)type, arena);
    struct json_object *root;
    assert_int_equal(json_parse(render(&event, PAYLOAD_DEFAULT, true, arena), arena, &root, NULL), 0);
    must_have(event.type, root, ALL);
    if (type != EVENT_TAG_RETENTION) // there they are a part of `retention`
      must_have(event.type, root, ARTIFACTS);
    must_have(event.type, root, BY_TYPE[type]);
    assert_null(member_at(root, "event_data.harbinger.seq"));
    arena_free(arena);
  }
}

static void test_a_sample_is_of_its_project_and_says_that_it_is_one(void **state) {
  struct arena *arena = arena_new(ARENA_BYTES);
  struct event event = sample(EVENT_PUSH_ARTIFACT, arena);
  struct str body = render(&event, PAYLOAD_DEFAULT, true, arena);

  (void)state;
  assert_true(str_contains(body, STR("\"trigger\":\"test\"")));
  assert_true(str_contains(body, STR("\"operator\":\"harbinger-test\"")));
  assert_true(str_contains(body, STR("registry.example.com:5000/team-a/sample/app:v1.2.0")));
  assert_true(str_contains(body, STR("\"repo_type\":\"public\"")));
  assert_true(str_contains(body, STR("\"occur_at\":1787300000")));
  event = sample(EVENT_REPLICATION, arena);
  body = render(&event, PAYLOAD_DEFAULT, true, arena);
  assert_true(str_contains(body, STR("\"harbor_hostname\":\"registry.example.com\"")));
  arena_free(arena);
}

static void test_the_same_id_and_time_give_the_same_bytes(void **state) {
  (void)state;
  for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
    struct arena *arena = arena_new(ARENA_BYTES);
    struct event first = sample((enum event_type)type, arena), second = sample((enum event_type)type, arena);
    assert_true(str_eq(render(&first, PAYLOAD_DEFAULT, true, arena), render(&second, PAYLOAD_DEFAULT, true, arena)));
    arena_free(arena);
  }
}

static void test_a_hostile_host_stays_text(void **state) {
  struct arena *arena = arena_new(ARENA_BYTES);
  struct event_sample_input input = input_of(EVENT_REPLICATION);
  struct event event;
  struct json_object *root;

  (void)state;
  input.registry_host = STR("a\",\"x\":{<b>\\");
  assert_int_equal(event_sample(&input, arena, &event, NULL), 0);
  struct str body = render(&event, PAYLOAD_DEFAULT, true, arena);
  assert_int_equal(json_parse(body, arena, &root, NULL), 0);
  assert_true(str_eq(json_str(member_at(root, "event_data.replication.harbor_hostname")), STR("a\",\"x\"")));
  arena_free(arena);
}

static void test_no_memory_is_an_error_and_nothing_worse(void **state) {
  (void)state;
  for (size_t bytes = 64; bytes < 8192; bytes += 64) {
    struct arena *arena = arena_new(bytes);
    const struct event_sample_input input = input_of(EVENT_TAG_RETENTION);
    struct event event;
    struct error err = {0};
    if (!arena)
      continue;
    if (event_sample(&input, arena, &event, &err) != 0)
      assert_int_equal(err.code, ERR_NO_MEMORY);
    arena_free(arena);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_format_recognises_its_body_of_every_sample),
      cmocka_unit_test(test_the_member_harbinger_is_whole),
      cmocka_unit_test(test_a_sample_is_of_its_project_and_says_that_it_is_one),
      cmocka_unit_test(test_the_same_id_and_time_give_the_same_bytes),
      cmocka_unit_test(test_a_hostile_host_stays_text),
      cmocka_unit_test(test_no_memory_is_an_error_and_nothing_worse),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
