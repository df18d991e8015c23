// SPDX-License-Identifier: Apache-2.0
// The bodies of deliveries: every golden byte for byte, the keys of stored bodies, what is recognised.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>

#include "base/clock.h"
#include "base/json.h"
#include "format/format.h"
#include "support/bodies.h"

#ifndef HARBINGER_SOURCE_DIR
#define HARBINGER_SOURCE_DIR "."
#endif

enum { FILE_MAX_BYTES = 1024 * 1024, PATH_BYTES = 4096 };

// ---- Goldens --------------------------------------------------------------------------------------------------------

static const char *source_root(void) {
  const char *root = getenv("HARBINGER_SOURCE_ROOT");

  return root ? root : HARBINGER_SOURCE_DIR;
}

static struct str read_golden(struct arena *arena, const char *name, const char *suffix) {
  char path[PATH_BYTES];
  (void)snprintf(path, sizeof(path), "%s/tests/golden/%s%s", source_root(), name, suffix);
  FILE *file = fopen(path, "rb");
  if (!file)
    fail_msg("%s is missing", path);
  char *bytes = arena_alloc(arena, FILE_MAX_BYTES);
  assert_non_null(bytes);
  size_t len = fread(bytes, 1, FILE_MAX_BYTES, file);
  assert_true(len > 0 && len < FILE_MAX_BYTES);
  assert_int_equal(fclose(file), 0);
  return (struct str){bytes, len};
}

// What the server adds to a submission before it formats.
static void apply_fixture(struct event *event, const struct json_object *fixture) {
  const struct json_object *client = json_get_object(fixture, "client");
  int64_t created_s = 0;

  assert_true(uuid_read(bodies_text(fixture, "id"), &event->id));
  assert_true(json_get_i64(fixture, "seq", &event->seq));
  assert_true(json_get_i64(fixture, "project_id", &event->project_id));
  (void)json_get_i64(fixture, "repository_created", &created_s);
  event->repository.project = bodies_text(fixture, "project_name");
  event->repository.is_public = str_eq_c(bodies_text(fixture, "visibility"), "public");
  event->repository.created_at_us = created_s * US_PER_S;
  event->registry_host = bodies_text(fixture, "registry_host");
  event->upstream_name = bodies_text(fixture, "upstream_name");
  event->trigger = bodies_text(fixture, "trigger");
  event->client.address = bodies_text(client, "address");
  event->client.user_agent = bodies_text(client, "user_agent");
  event->client.request_id = bodies_text(client, "request_id");
}

struct golden_case {
  struct arena *arena;
  struct event event;
  struct format_input input;
};

static void load_case(const char *name, struct golden_case *out) {
  struct json_object *root;
  struct error err = {.code = ERR_OK};

  out->arena = arena_new(BODIES_ARENA_BYTES);
  assert_non_null(out->arena);
  assert_int_equal(json_parse(read_golden(out->arena, name, ".event.json"), out->arena, &root, &err), 0);
  const struct json_object *fixture = json_get_object(root, "fixture");
  if (event_read_submission(json_get_object(root, "event"), out->arena, &out->event, &err) != 0)
    fail_msg("%s: %s", name, err.text);
  apply_fixture(&out->event, fixture);
  out->input =
      (struct format_input){.event = &out->event, .portal_url = bodies_text(fixture, "portal_url"), .extras = true};
  assert_true(json_get_i64(fixture, "policy_id", &out->input.policy_id));
}

static void check_case(const char *name, enum payload_format format, const char *suffix) {
  struct golden_case golden;
  struct buf body;

  load_case(name, &golden);
  golden.input.format = format;
  bodies_render(&golden.input, &body);
  char what[PATH_BYTES];
  (void)snprintf(what, sizeof(what), "%s%s", name, suffix);
  bodies_assert_same(what, buf_str(&body), read_golden(golden.arena, name, suffix));
  buf_free(&body);
  arena_free(golden.arena);
}

// The event that went through the store gives the same bytes.
static void check_stored_case(const char *name) {
  struct golden_case golden;
  struct error err = {.code = ERR_OK};
  struct buf stored, direct, again;
  struct event read;

  load_case(name, &golden);
  buf_init(&stored, EVENT_MAX_JSON_BYTES);
  struct json_writer w = json_writer_make(&stored, true);
  event_write_json(&golden.event, &w);
  assert_int_equal(event_read_json(buf_str(&stored), golden.arena, &read, &err), 0);
  for (int format = PAYLOAD_DEFAULT; format <= PAYLOAD_SLACK; format++) {
    golden.input.format = (enum payload_format)format;
    golden.input.event = &golden.event;
    bodies_render(&golden.input, &direct);
    golden.input.event = &read;
    bodies_render(&golden.input, &again);
    bodies_assert_same(name, buf_str(&again), buf_str(&direct));
    buf_free(&direct);
    buf_free(&again);
  }
  buf_free(&stored);
  arena_free(golden.arena);
}

static int for_each_case(void (*check)(const char *name)) {
  static const char SUFFIX[] = ".event.json";
  char path[PATH_BYTES];
  int count = 0;

  (void)snprintf(path, sizeof(path), "%s/tests/golden", source_root());
  DIR *folder = opendir(path);
  if (!folder)
    fail_msg("%s cannot be read", path);
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    struct str name = str_of(entry->d_name);
    if (!str_ends(name, STR(SUFFIX)))
      continue;
    char *dot = strstr(entry->d_name, SUFFIX);
    *dot = '\0';
    check(entry->d_name);
    count++;
  }
  (void)closedir(folder);
  return count;
}

static void check_default(const char *name) {
  check_case(name, PAYLOAD_DEFAULT, ".default.json");
}

static void check_cloudevents(const char *name) {
  check_case(name, PAYLOAD_CLOUDEVENTS, ".cloudevents.json");
}

static void check_slack(const char *name) {
  check_case(name, PAYLOAD_SLACK, ".slack.json");
}

static void test_default_bodies_are_the_goldens_bytes(void **state) {
  (void)state;
  assert_true(for_each_case(check_default) >= 20);
}

static void test_cloudevents_bodies_are_the_goldens_bytes(void **state) {
  (void)state;
  assert_true(for_each_case(check_cloudevents) >= 20);
}

static void test_slack_bodies_are_the_goldens_bytes(void **state) {
  (void)state;
  assert_true(for_each_case(check_slack) >= 20);
}

static void test_a_stored_event_renders_to_the_same_bytes(void **state) {
  (void)state;
  assert_true(for_each_case(check_stored_case) >= 20);
}

// ---- The rest -------------------------------------------------------------------------------------------------------

static struct event simple_event(void) {
  return (struct event){.type = EVENT_PUSH_ARTIFACT,
                        .actor = {ACTOR_USER, STR("a\x01z\xC2\x85\xEF\xBF\xBF")},
                        .repository = {.project = STR("p"), .name = STR("r")}};
}

static void test_cloudevents_attributes_hold_no_control_characters(void **state) {
  struct event event = simple_event();
  struct format_input input = {.event = &event, .format = PAYLOAD_CLOUDEVENTS, .policy_id = 1};
  struct buf body;

  (void)state;
  bodies_render(&input, &body);
  assert_true(
      str_contains(buf_str(&body), STR("\"operator\":\"a\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\",\"requestid\":\"\"}")));
  buf_free(&body);
}

static void test_a_body_beyond_the_buffers_cap_is_refused_with_words(void **state) {
  struct event event = simple_event();
  struct format_input input = {.event = &event, .format = PAYLOAD_DEFAULT, .extras = true};
  struct arena *scratch = arena_new(BODIES_ARENA_BYTES);
  struct error err = {.code = ERR_OK};
  struct buf body;

  (void)state;
  for (int format = PAYLOAD_DEFAULT; format <= PAYLOAD_SLACK; format++) {
    input.format = (enum payload_format)format;
    buf_init(&body, 64);
    assert_int_equal(format_render(&input, scratch, &body, &err), ERR_TOO_LARGE);
    assert_non_null(strstr(err.text, format_info(input.format)->name));
    buf_free(&body);
  }
  arena_free(scratch);
}

static void test_keys_differ_exactly_where_bodies_do(void **state) {
  struct event event = simple_event();
  struct format_input input = {.event = &event, .format = PAYLOAD_DEFAULT, .extras = true, .policy_id = INT64_MAX};
  char key[FORMAT_KEY_BYTES];

  (void)state;
  assert_string_equal(format_key(&input, key), "default");
  input.extras = false;
  assert_string_equal(format_key(&input, key), "default-plain");
  input.format = PAYLOAD_CLOUDEVENTS;
  assert_string_equal(format_key(&input, key), "cloudevents-plain-9223372036854775807");
  input.extras = true;
  assert_string_equal(format_key(&input, key), "cloudevents-9223372036854775807");
  input.format = PAYLOAD_SLACK;
  assert_string_equal(format_key(&input, key), "slack");
}

static void check_recognised(const char *name) {
  struct golden_case golden;

  load_case(name, &golden);
  for (int format = PAYLOAD_DEFAULT; format <= PAYLOAD_SLACK; format++) {
    const struct format_info *info = format_info((enum payload_format)format);
    struct error err = {.code = ERR_OK};
    struct buf body;
    golden.input.format = (enum payload_format)format;
    bodies_render(&golden.input, &body);
    const char *found = format_recognise(str_of(info->content_type), buf_str(&body), golden.arena, &err);
    assert_non_null(found);
    assert_string_equal(found, info->name);
    buf_free(&body);
  }
  arena_free(golden.arena);
}

static void test_our_bodies_are_recognised(void **state) {
  (void)state;
  assert_true(for_each_case(check_recognised) >= 20);
}

static void test_other_bodies_are_not_recognised_and_words_say_why(void **state) {
  static const struct {
    const char *type, *body, *words;
  } CASES[] = {
      {"application/json", "nonsense", "JSON"},
      {"application/json", "[]", "not a JSON object"},
      {"text/plain", "{}", "content type"},
      {"application/json", "{\"type\":\"PUSH\"}", "`type`"},
      {"application/json", "{\"type\":\"PUSH_ARTIFACT\",\"occur_at\":\"1\"}", "`occur_at`"},
      {"application/json", "{\"type\":\"PUSH_ARTIFACT\",\"occur_at\":1}", "`operator`"},
      {"application/json", "{\"type\":\"PUSH_ARTIFACT\",\"occur_at\":1,\"operator\":\"\"}", "`event_data`"},
      {"application/cloudevents+json", "{\"specversion\":\"0.3\"}", "specversion"},
      {"application/cloudevents+json; charset=utf-8", "{\"specversion\":\"1.0\"}", "id or source"},
      {"application/cloudevents+json", "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/a\"}", "`data`"},
      {"application/cloudevents+json",
       "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/a\",\"type\":\"x\",\"data\":{}}", "none of ours"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
    struct arena *arena = arena_new(BODIES_ARENA_BYTES);
    struct error err = {.code = ERR_OK};
    assert_null(format_recognise(str_of(CASES[i].type), str_of(CASES[i].body), arena, &err));
    if (!strstr(err.text, CASES[i].words) && i > 0)
      fail_msg("%s: %s", CASES[i].body, err.text);
    assert_true(err.text[0] != '\0');
    arena_free(arena);
  }
}

static void assert_size(int64_t size_bytes, const char *text) {
  struct event_artifact artifact = {.digest = STR("sha256:1"), .size_bytes = size_bytes};
  struct event event = simple_event();
  struct format_input input = {.event = &event, .format = PAYLOAD_SLACK, .extras = true};
  char wanted[64];
  struct buf body;

  event.artifacts = &artifact;
  event.artifacts_len = 1;
  bodies_render(&input, &body);
  (void)snprintf(wanted, sizeof(wanted), "\"*Size*\\n%s\"", text);
  if (!str_contains(buf_str(&body), str_of(wanted)))
    fail_msg("%s is not in %.*s", wanted, STR_ARG(buf_str(&body)));
  buf_free(&body);
}

static void test_sizes_are_written_for_people(void **state) {
  (void)state;
  assert_size(0, "0 B");
  assert_size(1023, "1023 B");
  assert_size(1024, "1.0 KiB");
  assert_size(1280, "1.2 KiB"); // half to even
  assert_size(1408, "1.4 KiB"); // 1.375
  assert_size(1048575, "1024.0 KiB");
  assert_size(INT64_MAX, "8.0 EiB");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_default_bodies_are_the_goldens_bytes),
      cmocka_unit_test(test_cloudevents_bodies_are_the_goldens_bytes),
      cmocka_unit_test(test_slack_bodies_are_the_goldens_bytes),
      cmocka_unit_test(test_a_stored_event_renders_to_the_same_bytes),
      cmocka_unit_test(test_cloudevents_attributes_hold_no_control_characters),
      cmocka_unit_test(test_a_body_beyond_the_buffers_cap_is_refused_with_words),
      cmocka_unit_test(test_keys_differ_exactly_where_bodies_do),
      cmocka_unit_test(test_our_bodies_are_recognised),
      cmocka_unit_test(test_other_bodies_are_not_recognised_and_words_say_why),
      cmocka_unit_test(test_sizes_are_written_for_people),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
