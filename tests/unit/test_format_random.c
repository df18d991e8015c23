// SPDX-License-Identifier: Apache-2.0
// Rules that hold for any event, tried with random hostile ones: the wire rule, Slack's limits, the store's form.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/utf8.h"
#include "event/copy.h"
#include "format/format.h"
#include "support/bodies.h"

enum { RANDOM_EVENTS = 500 };

// ---- Random events --------------------------------------------------------------------------------------------------

struct dice {
  uint64_t state;
  bool invalid; // may bytes be malformed?
};

static uint64_t roll(struct dice *dice, uint64_t sides) {
  dice->state ^= dice->state << 13;
  dice->state ^= dice->state >> 7;
  dice->state ^= dice->state << 17;
  return dice->state % sides;
}

static struct str hostile(struct dice *dice, struct arena *arena, size_t max_bytes) {
  static const char *const PIECES[] = {"a",
                                       "web",
                                       "\"",
                                       "\\",
                                       "<",
                                       ">",
                                       "&",
                                       "&amp;",
                                       "`",
                                       "\xE2\x80\xA8",
                                       "\x01",
                                       "\x7F",
                                       "\t",
                                       "\n",
                                       "\r",
                                       "<!channel>",
                                       "é",
                                       "😀",
                                       "<@U02>",
                                       "\xE2\x80\xAE",
                                       "\"harbinger\":{",
                                       "},",
                                       "*b*",
                                       "\xC2\x85",
                                       "\xEF\xBF\xBE"};
  static const char *const BROKEN[] = {"\xFF", "\xC3", "\xED\xA0\x80", "\xF5\x80"};
  struct buf buf;
  size_t pieces = roll(dice, 8) == 0 ? max_bytes : roll(dice, 12);

  buf_init(&buf, max_bytes + 16);
  while (pieces-- > 0) {
    const char *piece = PIECES[roll(dice, ARRAY_LEN(PIECES))];
    if (dice->invalid && roll(dice, 10) == 0)
      piece = BROKEN[roll(dice, ARRAY_LEN(BROKEN))];
    if (buf.len + strlen(piece) > max_bytes)
      break;
    buf_put_c(&buf, piece);
  }
  struct str text = arena_str(arena, buf_str(&buf));
  assert_non_null(text.ptr);
  buf_free(&buf);
  return text;
}

static void put_artifact_object(struct json_writer *w, struct dice *dice, struct arena *arena) {
  json_array_begin(w);
  json_object_begin(w);
  json_field_str(w, "fail_reason", hostile(dice, arena, 5000));
  json_field_str(w, "name_tag", hostile(dice, arena, 900));
  json_key(w, "references");
  if (roll(dice, 2)) {
    json_put_null(w);
  } else {
    json_array_begin(w);
    json_put_str(w, STR("v1"));
    json_array_end(w);
  }
  json_object_end(w);
  json_array_end(w);
}

static void put_report(struct json_writer *w, struct dice *dice, struct arena *arena) {
  json_object_begin(w);
  json_field_str(w, "scan_status", STR("Success"));
  json_field_str(w, "report_id", hostile(dice, arena, 300));
  json_key(w, "summary");
  if (roll(dice, 2)) {
    json_put_null(w);
  } else {
    json_object_begin(w);
    json_key(w, "summary");
    json_object_begin(w);
    json_field_i64(w, "Low", (int64_t)roll(dice, 1000));
    json_field_i64(w, "Critical", (int64_t)roll(dice, UINT64_C(1) << 62));
    json_object_end(w);
    json_field_i64(w, "total", 5);
    json_object_end(w);
  }
  json_field_str(w, "end_time", STR("2026-08-21T08:16:19.123456789Z"));
  json_object_end(w);
}

static void put_data(struct json_writer *w, struct dice *dice, struct arena *arena, enum event_type type) {
  json_object_begin(w);
  if (event_type_is_scan(type)) {
    json_field_str(w, "error", hostile(dice, arena, 6000));
    json_key(w, "scan_overview");
    json_object_begin(w);
    json_key_str(w, STR("b\"<&"));
    put_report(w, dice, arena);
    json_key_str(w, STR("a"));
    put_report(w, dice, arena);
    json_object_end(w);
  } else if (event_type_is_quota(type)) {
    json_field_i64(w, "used", (int64_t)roll(dice, UINT64_C(1) << 63));
    json_field_str(w, "details", hostile(dice, arena, 6000));
  } else if (type == EVENT_REPLICATION) {
    json_field_str(w, "description", hostile(dice, arena, 6000));
    json_field_str(w, "job_status", STR("Error"));
    json_key(w, "dest_resource");
    json_object_begin(w);
    json_field_str(w, "endpoint", hostile(dice, arena, 3000));
    json_object_end(w);
    json_key(w, "src_resource");
    json_object_begin(w);
    json_field_str(w, "namespace", hostile(dice, arena, 3000));
    json_object_end(w);
    json_key(w, "failed_artifact");
    put_artifact_object(w, dice, arena);
  } else if (type == EVENT_TAG_RETENTION) {
    json_key(w, "deleted_artifact");
    put_artifact_object(w, dice, arena);
    json_field_i64(w, "retained", 3);
    json_field_i64(w, "total", (int64_t)roll(dice, 100));
  }
  json_object_end(w);
}

static void random_data(struct dice *dice, struct arena *arena, enum event_type type, struct event_data *out) {
  struct dice valid = {.state = dice->state, .invalid = false}; // the text is parsed, so it must be UTF-8
  struct error err = {.code = ERR_OK};
  struct json_object *value;
  struct buf buf;

  buf_init(&buf, EVENT_MAX_JSON_BYTES);
  struct json_writer w = json_writer_make(&buf, false);
  put_data(&w, &valid, arena, type);
  dice->state = valid.state;
  assert_int_equal(json_parse(buf_str(&buf), arena, &value, &err), 0);
  if (event_data_read(type, value, arena, out, &err) != 0)
    fail_msg("%s", err.text);
  buf_free(&buf);
}

static void random_artifact(struct dice *dice, struct arena *arena, struct event_artifact *out) {
  out->digest = roll(dice, 4) ? STR("sha256:3f1c0ce0a1a7c3f2b7f0e9d8c7b6a5948372615049382716f5e4d3c2b1a09f8e")
                              : hostile(dice, arena, 135);
  out->reference = roll(dice, 2) ? STR("v1.0") : hostile(dice, arena, 128);
  out->tags_len = roll(dice, 8);
  out->tags = arena_array(arena, out->tags_len + 1, sizeof(*out->tags));
  for (size_t i = 0; i < out->tags_len; i++)
    out->tags[i] = hostile(dice, arena, 128);
  out->media_type = hostile(dice, arena, 100);
  out->kind = (enum artifact_kind)roll(dice, ARTIFACT_OTHER + 1);
  out->platform = hostile(dice, arena, 40);
  out->size_bytes = roll(dice, 3) ? (int64_t)roll(dice, UINT64_C(1) << 62) : -1;
  out->children_len = roll(dice, 3);
  out->children = arena_array(arena, out->children_len + 1, sizeof(*out->children));
  for (size_t i = 0; i < out->children_len; i++)
    out->children[i] =
        (struct event_child){.digest = hostile(dice, arena, 100), .platform = STR("a/b"), .size_bytes = -1};
}

static void random_event(struct dice *dice, struct arena *arena, struct event *out) {
  *out = (struct event){.type = (enum event_type)roll(dice, EVENT_TYPE_COUNT)};
  for (size_t i = 0; i < sizeof(out->id.bytes); i++)
    out->id.bytes[i] = (uint8_t)roll(dice, 256);
  out->project_id = (int64_t)roll(dice, 1000);
  out->seq = (int64_t)roll(dice, 1000);
  out->occurred_at_us = (int64_t)roll(dice, UINT64_C(4000000000000000));
  out->recorded_at_us = (int64_t)roll(dice, 2) * out->occurred_at_us;
  out->actor.kind = (enum actor_kind)roll(dice, ACTOR_ANONYMOUS + 1);
  out->actor.name = hostile(dice, arena, 2000);
  out->trigger = hostile(dice, arena, 50);
  out->client.address = hostile(dice, arena, 50);
  out->client.user_agent = hostile(dice, arena, 400);
  out->client.request_id = hostile(dice, arena, 200);
  out->repository.project = hostile(dice, arena, 255);
  out->repository.name = hostile(dice, arena, 255);
  out->repository.is_public = roll(dice, 2);
  out->repository.created_at_us = (int64_t)roll(dice, 2) * 1787200000000000;
  out->artifacts_len = roll(dice, 8);
  out->artifacts = arena_array(arena, out->artifacts_len + 1, sizeof(*out->artifacts));
  for (size_t i = 0; i < out->artifacts_len; i++)
    random_artifact(dice, arena, &out->artifacts[i]);
  random_data(dice, arena, out->type, &out->data);
  out->source.kind = (enum source_kind)roll(dice, SOURCE_JOB + 1);
  out->source.instance = hostile(dice, arena, 30);
  out->registry_host = roll(dice, 4) ? STR("registry.example.com") : hostile(dice, arena, 60);
  out->upstream_name = hostile(dice, arena, 255);
}

static void for_each_random_event(bool invalid, void (*check)(struct arena *arena, const struct event *event)) {
  struct dice dice = {.state = UINT64_C(0x9E3779B97F4A7C15), .invalid = invalid};

  for (int i = 0; i < RANDOM_EVENTS; i++) {
    struct arena *arena = arena_new(BODIES_ARENA_BYTES);
    struct event event;
    assert_non_null(arena);
    random_event(&dice, arena, &event);
    check(arena, &event);
    arena_free(arena);
  }
}

// ---- Cutting the last member ----------------------------------------------------------------------------------------

// The string that begins at `at` (its quote): the position after it.
static size_t skip_string(struct str body, size_t at) {
  for (at++; at < body.len && body.ptr[at] != '"'; at++) {
    if (body.ptr[at] == '\\')
      at++;
  }
  return at + 1;
}

// Cut the last member `harbinger` off the object that is member `parent` of the body, touching no other byte.
static struct str cut_last_member(struct arena *arena, struct str body, const char *parent) {
  size_t depth = 0, comma = 0, parent_depth = 0, start = 0;

  for (size_t i = 0; i < body.len;) {
    char c = body.ptr[i];
    if (c == '"') {
      size_t after = skip_string(body, i);
      struct str key = str_slice(body, i + 1, after - 1);
      if (depth == 1 && after < body.len && body.ptr[after] == ':' && str_eq_c(key, parent))
        parent_depth = 2;
      if (depth == 2 && parent_depth == 2 && comma == i - 1 && str_eq_c(key, "harbinger"))
        start = comma;
      i = after;
      continue;
    }
    if (c == ',' && depth == 2)
      comma = i;
    if (c == '{' || c == '[')
      depth++;
    if (c == '}' || c == ']')
      depth--;
    if (c == '}' && depth == 1 && parent_depth == 2) {
      assert_true(start > 0 && comma == start);
      return arena_printf(arena, "%.*s%.*s", STR_ARG(str_slice(body, 0, start)), STR_ARG(str_from(body, i)));
    }
    i++;
  }
  fail_msg("the body has no member %s", parent);
  return STR_EMPTY;
}

static void check_cut(struct arena *arena, const struct event *event) {
  struct format_input input = {.event = event, .policy_id = 3, .portal_url = STR_EMPTY};

  for (int format = PAYLOAD_DEFAULT; format <= PAYLOAD_CLOUDEVENTS; format++) {
    struct buf with, without;
    input.format = (enum payload_format)format;
    input.extras = true;
    bodies_render(&input, &with);
    input.extras = false;
    bodies_render(&input, &without);
    struct str cut = cut_last_member(arena, buf_str(&with), format == PAYLOAD_DEFAULT ? "event_data" : "data");
    bodies_assert_same("the cut body", cut, buf_str(&without));
    assert_true(utf8_valid(buf_str(&with)));
    assert_null(memchr(with.ptr, '<', with.len));
    assert_null(memchr(with.ptr, '&', with.len));
    struct json_object *parsed;
    assert_int_equal(json_parse(buf_str(&with), arena, &parsed, NULL), 0);
    buf_free(&with);
    buf_free(&without);
  }
}

static void test_cutting_the_last_member_gives_the_body_without_extras(void **state) {
  (void)state;
  for_each_random_event(false, check_cut);
  for_each_random_event(true, check_cut);
}

// ---- Slack ----------------------------------------------------------------------------------------------------------

static size_t count_char(struct str text, char c) {
  size_t count = 0;

  for (size_t i = 0; i < text.len; i++)
    count += text.ptr[i] == c;
  return count;
}

// Every ampersand begins one of the three entities: none was split by a cut.
static void assert_entities_whole(struct str text) {
  for (size_t i = 0; i < text.len; i++) {
    struct str rest = str_from(text, i);
    if (text.ptr[i] == '&')
      assert_true(str_starts_c(rest, "&amp;") || str_starts_c(rest, "&lt;") || str_starts_c(rest, "&gt;"));
  }
}

static size_t check_text_object(const struct json_object *object, size_t max_chars) {
  struct str type = bodies_text(object, "type"), text = bodies_text(object, "text");
  bool flag = false;

  assert_in_range(utf8_count(text), 1, max_chars);
  assert_entities_whole(text);
  if (str_eq_c(type, "plain_text")) {
    assert_true(json_get_bool(object, "emoji", &flag) && !flag);
    assert_int_equal(count_char(text, '<'), 0);
  } else {
    assert_true(str_eq_c(type, "mrkdwn") && json_get_bool(object, "verbatim", &flag) && flag);
    bool ours = str_starts_c(text, "<!date^") || str_starts_c(text, "<https://portal.example/harbor/projects/");
    assert_int_equal(count_char(text, '<'), ours ? 1 : 0);
    assert_int_equal(count_char(text, '`') % 2, 0);
  }
  return utf8_count(text);
}

static size_t check_list(const struct json_object *list, size_t max_len) {
  size_t total = 0;

  assert_in_range(json_array_len(list), 1, max_len);
  for (size_t i = 0; i < json_array_len(list); i++)
    total += check_text_object(json_array_at(list, i), 2000);
  return total;
}

static size_t check_block(const struct json_object *block) {
  struct str type = bodies_text(block, "type");

  if (str_eq_c(type, "header"))
    return check_text_object(json_get_object(block, "text"), 150);
  if (str_eq_c(type, "context"))
    return check_list(json_get_array(block, "elements"), 4);
  assert_true(str_eq_c(type, "section"));
  if (json_get_array(block, "fields"))
    return check_list(json_get_array(block, "fields"), 10);
  return check_text_object(json_get_object(block, "text"), 3000);
}

static void check_slack_limits(struct arena *arena, const struct event *event) {
  struct format_input input = {
      .event = event, .format = PAYLOAD_SLACK, .extras = true, .portal_url = STR("https://portal.example")};
  struct event named = *event;
  struct json_object *message;
  struct buf body;
  size_t total = 0;

  if (named.repository.project.len == 0)
    named.repository.project = STR("p"); // a project has a name
  input.event = &named;
  bodies_render(&input, &body);
  assert_true(utf8_valid(buf_str(&body)));
  assert_int_equal(json_parse(buf_str(&body), arena, &message, NULL), 0);
  struct str text = bodies_text(message, "text");
  assert_in_range(utf8_count(text), 1, 4000);
  assert_int_equal(count_char(text, '<'), 0);
  assert_int_equal(count_char(text, '\n'), 0);
  const struct json_object *blocks = json_get_array(message, "blocks");
  assert_in_range(json_array_len(blocks), 3, 4);
  for (size_t i = 0; i < json_array_len(blocks); i++)
    total += check_block(json_array_at(blocks, i));
  assert_in_range(total, 1, 13200);
  buf_free(&body);
}

static void test_slack_limits_hold_for_hostile_and_long_names(void **state) {
  (void)state;
  for_each_random_event(false, check_slack_limits);
  for_each_random_event(true, check_slack_limits);
}

// ---- The store's form -----------------------------------------------------------------------------------------------

static struct str stored(struct arena *arena, const struct event *event) {
  struct buf buf;

  buf_init(&buf, 4 * EVENT_MAX_JSON_BYTES);
  struct json_writer w = json_writer_make(&buf, true);
  event_write_json(event, &w);
  assert_false(buf.failed);
  struct str text = arena_str(arena, buf_str(&buf));
  buf_free(&buf);
  return text;
}

static struct str read_and_store(struct arena *arena, struct str json) {
  struct error err = {.code = ERR_OK};
  struct event event;

  if (event_read_json(json, arena, &event, &err) != 0)
    fail_msg("%s", err.text);
  return stored(arena, &event);
}

static void check_round_trip(struct arena *arena, const struct event *event) {
  struct str first = stored(arena, event);
  bodies_assert_same("the event that was read", read_and_store(arena, first), first);
}

// Malformed bytes are replaced when they are written first, and stay as they are then.
static void check_replaced(struct arena *arena, const struct event *event) {
  struct str second = read_and_store(arena, stored(arena, event));
  assert_true(utf8_valid(second));
  bodies_assert_same("the event that was read twice", read_and_store(arena, second), second);
}

static void test_a_stored_event_is_read_back_exactly(void **state) {
  (void)state;
  for_each_random_event(false, check_round_trip);
}

static void test_malformed_bytes_are_replaced_once(void **state) {
  (void)state;
  for_each_random_event(true, check_replaced);
}

static struct str rendered(struct arena *arena, const struct event *event, enum payload_format format) {
  struct format_input input = {
      .event = event, .format = format, .extras = true, .policy_id = 7, .portal_url = STR_EMPTY};
  struct error err = {.code = ERR_OK};
  struct buf buf;

  buf_init(&buf, FORMAT_MAX_BODY_BYTES);
  if (format_render(&input, arena, &buf, &err) != 0)
    fail_msg("%s", err.text);
  struct str text = arena_str(arena, buf_str(&buf));
  buf_free(&buf);
  return text;
}

// The first try is rendered from the copy that the writer handed over, one after a kill from the store.
static void check_copy(struct arena *arena, const struct event *event) {
  static const enum payload_format FORMATS[] = {PAYLOAD_DEFAULT, PAYLOAD_CLOUDEVENTS, PAYLOAD_SLACK};
  struct arena *apart = arena_new(BODIES_ARENA_BYTES);
  struct error err = {.code = ERR_OK};
  struct event copy, back;

  assert_non_null(apart);
  if (!event_is_plain(event)) {
    assert_false(event_copy(event, apart, &copy));
    arena_free(apart);
    return;
  }
  assert_true(event_copy(event, apart, &copy));
  assert_int_equal(event_read_json(stored(arena, event), arena, &back, &err), 0);
  for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++)
    bodies_assert_same("the copy's body", rendered(arena, &copy, FORMATS[i]), rendered(arena, &back, FORMATS[i]));
  arena_free(apart);
}

static void test_a_copy_gives_the_bytes_that_the_stored_event_gives(void **state) {
  (void)state;
  for_each_random_event(false, check_copy);
}

static void test_a_copy_that_does_not_fit_is_none(void **state) {
  char name[200];
  struct event event = {.type = EVENT_PUSH_ARTIFACT}, copy;
  struct arena *arena = arena_new(sizeof(name) / 2);

  (void)state;
  memset(name, 'n', sizeof(name));
  event.repository.name = (struct str){name, sizeof(name)};
  assert_non_null(arena);
  assert_false(event_copy(&event, arena, &copy));
  arena_free(arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_cutting_the_last_member_gives_the_body_without_extras),
      cmocka_unit_test(test_slack_limits_hold_for_hostile_and_long_names),
      cmocka_unit_test(test_a_stored_event_is_read_back_exactly),
      cmocka_unit_test(test_malformed_bytes_are_replaced_once),
      cmocka_unit_test(test_a_copy_gives_the_bytes_that_the_stored_event_gives),
      cmocka_unit_test(test_a_copy_that_does_not_fit_is_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
