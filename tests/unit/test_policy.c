// SPDX-License-Identifier: Apache-2.0
// Policies: Harbor's checks in Harbor's words, ours after them, whose secret is kept by whom, who sees what, what
// matches.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "policy/endpoint.h"
#include "policy/policy.h"

enum { ARENA_BYTES = 4 * 1024 * 1024, BODY_BYTES = 64 * 1024 };

#define TARGET "{\"type\":\"http\",\"address\":\"https://ci.example.com/hook\"}"
#define WITH_TARGETS(targets) "{\"name\":\"ci\",\"event_types\":[\"PUSH_ARTIFACT\"],\"targets\":[" targets "]}"
#define WITH_TYPES(types) "{\"name\":\"ci\",\"event_types\":[" types "],\"targets\":[" TARGET "]}"

struct reading {
  struct arena *arena;
  struct policy policy;
  struct error err;
};

static int read_body(struct reading *reading, const char *body, const struct policy *old) {
  struct json_object *value;

  *reading = (struct reading){.arena = arena_new(ARENA_BYTES)};
  assert_non_null(reading->arena);
  if (json_parse(str_of(body), reading->arena, &value, &reading->err) != 0)
    fail_msg("%s: %s", body, reading->err.text);
  return policy_read(value, old, reading->arena, &reading->policy, &reading->err);
}

static void take(struct reading *reading, const char *body, const struct policy *old) {
  if (read_body(reading, body, old) != 0)
    fail_msg("%s: %s", body, reading->err.text);
}

static void assert_str(struct str is, const char *expected) {
  if (!str_eq_c(is, expected))
    fail_msg("is %.*s, not %s", STR_ARG(is), expected);
}

static void assert_words(const struct error *err, const char *body, const char *words, bool exact) {
  if (exact ? strcmp(err->text, words) != 0 : strstr(err->text, words) == NULL)
    fail_msg("%s: %s, not %s", body, err->text, words);
}

// ---- Reading --------------------------------------------------------------------------------------------------------

static void test_a_policy_is_read_and_unknown_keys_are_ignored(void **state) {
  struct reading reading;
  const struct policy *policy = &reading.policy;

  (void)state;
  take(
      &reading,
      "{\"id\":9,\"creator\":\"eve\",\"colour\":{\"a\":1},\"name\":\"ci\",\"description\":\"d\",\"enabled\":true,"
      "\"event_types\":[\"DELETE_ARTIFACT\",\"PUSH_ARTIFACT\",\"DELETE_ARTIFACT\"],\"targets\":[{\"type\":\"http\","
      "\"address\":\"https://a/b\",\"auth_header\":\"Bearer x\",\"skip_cert_verify\":true,\"payload_format\":"
      "\"CloudEvents\",\"harbinger\":{\"extras\":false,\"later\":1}},{\"type\":\"slack\",\"address\":\"https://s/1\"}],"
      "\"harbinger\":{\"tagged\":\"only\"}}",
      NULL);
  assert_int_equal(policy->id, 0);
  assert_str(policy->creator, "");
  assert_str(policy->name, "ci");
  assert_str(policy->description, "d");
  assert_true(policy->enabled && policy->tagged_only);
  assert_int_equal(policy->event_types_len, 2); // the duplicate would be delivered twice
  assert_int_equal(policy->event_types[0], EVENT_DELETE_ARTIFACT);
  assert_int_equal(policy->event_types[1], EVENT_PUSH_ARTIFACT);
  assert_int_equal(policy->event_mask, 1U << EVENT_DELETE_ARTIFACT | 1U << EVENT_PUSH_ARTIFACT);
  assert_int_equal(policy->targets_len, 2);
  assert_str(policy->targets[0].auth_header, "Bearer x");
  assert_true(policy->targets[0].skip_cert_verify);
  assert_int_equal(policy->targets[0].format, PAYLOAD_CLOUDEVENTS);
  assert_false(policy->targets[0].extras);
  assert_int_equal(policy->targets[1].type, TARGET_SLACK);
  assert_int_equal(policy->targets[1].format, PAYLOAD_SLACK);
  assert_true(policy->targets[1].extras);
  assert_int_equal(policy_check(policy, &reading.err), 0);
  arena_free(reading.arena);
}

static void test_absent_and_null_fields_have_harbors_defaults(void **state) {
  static const char *const BODIES[] = {
      WITH_TARGETS(TARGET),
      "{\"name\":\"ci\",\"description\":null,\"enabled\":null,\"event_types\":[\"PUSH_ARTIFACT\"],\"harbinger\":null,"
      "\"targets\":[{\"type\":\"http\",\"address\":\"https://a/\",\"auth_header\":null,\"payload_format\":null}]}",
      "{\"name\":\"ci\",\"event_types\":[\"PUSH_ARTIFACT\"],\"targets\":[{\"type\":\"http\",\"address\":\"https://a/\","
      "\"payload_format\":\"\"}]}"};

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(BODIES); i++) {
    struct reading reading;
    take(&reading, BODIES[i], NULL);
    assert_false(reading.policy.enabled);
    assert_false(reading.policy.tagged_only);
    assert_false(reading.policy.targets[0].skip_cert_verify);
    assert_int_equal(reading.policy.targets[0].format, PAYLOAD_DEFAULT);
    assert_int_equal(policy_check(&reading.policy, &reading.err), 0);
    arena_free(reading.arena);
  }
}

static void test_wrong_types_are_422_with_harbors_first_line(void **state) {
  static const char *const ROWS[][2] = {
      {"null", "policy in body is required"},
      {"[]", "policy in body must be of type object: \"array\""},
      {"{\"name\":5}", "name in body must be of type string: \"integer\""},
      {"{\"description\":{}}", "description in body must be of type string: \"object\""},
      {"{\"enabled\":\"true\"}", "enabled in body must be of type boolean: \"string\""},
      {"{\"event_types\":\"PUSH_ARTIFACT\"}", "event_types in body must be of type array: \"string\""},
      {"{\"event_types\":[1]}", "event_types in body must be of type string: \"integer\""},
      {"{\"targets\":{}}", "targets in body must be of type array: \"object\""},
      {"{\"targets\":[\"https://a\"]}", "targets in body must be of type object: \"string\""},
      {"{\"targets\":[{\"type\":1}]}", "targets.type in body must be of type string: \"integer\""},
      {"{\"targets\":[{\"address\":1}]}", "targets.address in body must be of type string"},
      {"{\"targets\":[{\"auth_header\":1}]}", "targets.auth_header in body must be of type string"},
      {"{\"targets\":[{\"skip_cert_verify\":1}]}", "targets.skip_cert_verify in body must be of type boolean"},
      {"{\"targets\":[{\"payload_format\":1}]}", "targets.payload_format in body must be of type string"},
      {"{\"targets\":[{\"harbinger\":1}]}", "targets.harbinger in body must be of type object"},
      {"{\"targets\":[{\"harbinger\":{\"extras\":1}}]}", "targets.harbinger.extras in body must be of type boolean"},
      {"{\"harbinger\":[]}", "harbinger in body must be of type object"},
      {"{\"harbinger\":{\"tagged\":true}}", "harbinger.tagged in body must be of type string"},
      {"{\"harbinger\":{\"tagged\":\"maybe\"}}", "harbinger.tagged in body should be one of [only any]"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
    struct reading reading;
    assert_int_equal(read_body(&reading, ROWS[i][0], NULL), ERR_INVALID);
    assert_int_equal(strncmp(reading.err.text, "validation failure list:\n", 25), 0);
    assert_words(&reading.err, ROWS[i][0], ROWS[i][1], false);
    arena_free(reading.arena);
  }
}

static void assert_too_many(const char *head, const char *element, size_t count, const char *words) {
  struct reading reading;
  struct buf body;

  buf_init(&body, BODY_BYTES);
  buf_put_c(&body, head);
  for (size_t i = 0; i < count; i++)
    buf_printf(&body, "%s%s", i > 0 ? "," : "", element);
  buf_put_c(&body, "]}");
  buf_put_char(&body, '\0');
  assert_false(body.failed);
  assert_int_equal(read_body(&reading, body.ptr, NULL), ERR_INVALID);
  assert_words(&reading.err, head, words, false);
  arena_free(reading.arena);
  buf_free(&body);
}

static void test_lists_have_bounds(void **state) {
  (void)state;
  assert_too_many("{\"targets\":[", "{}", POLICY_MAX_TARGETS + 1, "targets in body should have at most 32 items");
  assert_too_many("{\"event_types\":[", "\"REPLICATION\"", POLICY_MAX_EVENT_TYPES + 1,
                  "event_types in body should have at most 64 items");
}

// ---- Checks ---------------------------------------------------------------------------------------------------------

static void assert_checked(const char *body, const char *words, bool exact) {
  struct reading reading;

  take(&reading, body, NULL);
  assert_int_equal(policy_check(&reading.policy, &reading.err), ERR_BAD_REQUEST);
  assert_words(&reading.err, body, words, exact);
  arena_free(reading.arena);
}

static void test_harbors_checks_have_harbors_words(void **state) {
  static const char *const ROWS[][2] = {
      {"{}", "empty event type"},
      {"{\"name\":\"ci\",\"event_types\":[],\"targets\":[" TARGET "]}", "empty event type"},
      {WITH_TYPES("\"PUSH_ARTIFACT\",\"UPLOAD_CHART\",\"X\""), "unsupported event type UPLOAD_CHART"},
      {WITH_TYPES("\"\""), "unsupported event type "},
      {WITH_TARGETS(""), "empty notification target with policy ci"},
      {"{\"event_types\":[\"REPLICATION\"]}", "empty notification target with policy "},
      {WITH_TARGETS("{\"type\":\"http\"}"), "empty URL"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"  // \"}"), "empty URL"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"ftp://a/\"}"), "invalid scheme: ftp"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"HTTPS://a/\"}"), "invalid scheme: HTTPS"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"a://b://c\"}"), "invalid scheme: a"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://a b/\"}"),
       "parse \"https://a b\": invalid character \" \" in host name"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"a b\"}"),
       "parse \"http://a b\": invalid character \" \" in host name"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://a:x/\"}"),
       "parse \"https://a:x\": invalid port \":x\" after host"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://[::1/\"}"),
       "parse \"https://[::1\": missing ']' in host"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://a/%zz\"}"),
       "parse \"https://a/%zz\": invalid URL escape \"%zz\""},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://a%41/\"}"),
       "parse \"https://a%41\": invalid URL escape \"%41\""},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://a\\n/\"}"),
       "parse \"https://a\\n\": net/url: invalid control character in URL"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://a b@c/\"}"),
       "parse \"https://a b@c\": net/url: invalid userinfo"},
      {WITH_TARGETS("{\"type\":\"teams\",\"address\":\"https://a/\"}"), "unsupported target type teams with policy ci"},
      {WITH_TARGETS("{\"address\":\"https://a/\"}"), "unsupported target type  with policy ci"},
      {WITH_TARGETS("{\"type\":\"slack\",\"address\":\"https://a/\",\"payload_format\":\"Default\"}"),
       "set payload format is not allowed for slack"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://a/\",\"payload_format\":\"XML\"}"),
       "unsupported payload format type: XML"},
      // The second target is looked at, too, and what Harbor finds comes before what we find.
      {WITH_TARGETS(TARGET ",{\"type\":\"http\",\"address\":\"\"}"), "empty URL"},
      {"{\"event_types\":[\"REPLICATION\"],\"targets\":[{\"type\":\"http\",\"address\":\"gopher://a\"}]}",
       "invalid scheme: gopher"},
      {"{\"targets\":[{\"type\":\"x\"}]}", "empty event type"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
    assert_checked(ROWS[i][0], ROWS[i][1], true);
}

static void test_what_harbor_takes_and_never_delivers_is_refused_with_words(void **state) {
  static const char *const ROWS[][2] = {
      {"{\"event_types\":[\"REPLICATION\"],\"targets\":[" TARGET "]}", "name is required"},
      {"{\"name\":\"  \",\"event_types\":[\"REPLICATION\"],\"targets\":[" TARGET "]}", "name is required"},
      {"{\"name\":\"a\\u0007\",\"event_types\":[\"REPLICATION\"],\"targets\":[" TARGET "]}", "name must not hold"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"ci.example.com/hook\"}"),
       "targets[0]: the address cannot be used: it must begin with http:// or https://"},
      {WITH_TARGETS(TARGET ",{\"type\":\"http\",\"address\":\" https://a/\"}"),
       "targets[1]: the address cannot be used"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://a/ b\"}"), "targets[0]: the address cannot be used"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"http:///path\"}"), "targets[0]: the address cannot be used"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://0x7f.1/\"}"), "targets[0]: the address cannot be used"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://a/#b\"}"), "targets[0]: the address cannot be used"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://a/********\"}"), "targets[0]: the address is masked"},
      {WITH_TARGETS("{\"type\":\"http\",\"address\":\"https://a/\",\"auth_header\":\"a\\nb: c\"}"),
       "targets[0]: auth_header must not hold line breaks"},
      {WITH_TARGETS("{\"type\":\"slack\",\"address\":\"https://a/\",\"auth_header\":\"\\u007f\"}"),
       "targets[0]: auth_header must not hold line breaks"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
    assert_checked(ROWS[i][0], ROWS[i][1], false);
}

// A policy whose field FIELD is `count` times `piece`.
static int check_long(const char *field, const char *piece, size_t count, struct error *err) {
  struct reading reading;
  struct buf body;

  buf_init(&body, BODY_BYTES);
  buf_put_c(&body, "{\"event_types\":[\"REPLICATION\"],\"name\":\"n\",");
  bool of_target = strcmp(field, "auth_header") == 0;
  if (of_target)
    buf_put_c(&body, "\"targets\":[{\"type\":\"http\",\"address\":\"https://a/\",");
  else
    buf_put_c(&body, "\"targets\":[" TARGET "],");
  buf_printf(&body, "\"%s\":\"", field);
  for (size_t i = 0; i < count; i++)
    buf_put_c(&body, piece);
  buf_put_c(&body, of_target ? "\"}]}" : "\"}");
  buf_put_char(&body, '\0');
  assert_false(body.failed);
  take(&reading, body.ptr, NULL);
  int result = policy_check(&reading.policy, err);
  arena_free(reading.arena);
  buf_free(&body);
  return result;
}

static void test_lengths_are_checked_in_their_units(void **state) {
  struct error err;

  (void)state;
  assert_int_equal(check_long("description", "d", POLICY_MAX_DESCRIPTION_BYTES, &err), 0);
  assert_int_equal(check_long("description", "d", POLICY_MAX_DESCRIPTION_BYTES + 1, &err), ERR_BAD_REQUEST);
  assert_string_equal(err.text, "description is longer than 16384 bytes");
  assert_int_equal(check_long("auth_header", "h", POLICY_MAX_AUTH_HEADER_BYTES, &err), 0);
  assert_int_equal(check_long("auth_header", "h", POLICY_MAX_AUTH_HEADER_BYTES + 1, &err), ERR_BAD_REQUEST);
  assert_string_equal(err.text, "targets[0]: auth_header is longer than 8192 bytes");
}

static void test_a_name_has_256_characters_of_any_script(void **state) {
  struct policy policy;
  struct reading reading;
  char name[4 * 257];

  (void)state;
  take(&reading, WITH_TARGETS(TARGET), NULL);
  policy = reading.policy;
  for (size_t i = 0; i < 257; i++)
    memcpy(name + 4 * i, "😀", 4);
  policy.name = (struct str){name, 4 * 256};
  assert_int_equal(policy_check(&policy, &reading.err), 0);
  policy.name.len = 4 * 257;
  assert_int_equal(policy_check(&policy, &reading.err), ERR_BAD_REQUEST);
  assert_string_equal(reading.err.text, "name is longer than 256 characters");
  arena_free(reading.arena);
}

static void test_addresses_that_go_takes_pass_harbors_check(void **state) {
  static const char *const ADDRESSES[] = {
      "a",     "https://",      "http:///path",   "https://a:/", "https://[::1]:80/x",
      "a%25b", "https://a?%zz", "https://u:p@a/", "https://ü/",  "https://a/%41",
      "a/b c", "https://a/#x",  " https://a "};

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(ADDRESSES); i++) {
    struct error err = {.code = ERR_OK};
    if (str_eq_c(str_of(ADDRESSES[i]), "https://")) // trimmed to "https:", which is a host with an empty port
      assert_int_equal(endpoint_check(str_of(ADDRESSES[i]), &err), 0);
    else if (endpoint_check(str_of(ADDRESSES[i]), &err) != 0)
      fail_msg("%s: %s", ADDRESSES[i], err.text);
  }
}

// ---- Adoption -------------------------------------------------------------------------------------------------------

static struct target stored_target(int64_t id, const char *address, const char *secret) {
  return (struct target){.id = id,
                         .policy_id = 3,
                         .type = TARGET_HTTP,
                         .address = str_of(address),
                         .auth_header = str_of(secret),
                         .extras = false,
                         .cancel_below = 100 + id,
                         .suspended = true,
                         .suspended_reason = STR("410")};
}

// Read TARGETS, adopt from `old`, and leave the outcome in `reading`.
static int adopt(struct reading *reading, const struct policy *old, const char *targets) {
  char body[2048];

  (void)snprintf(body, sizeof(body), "{\"name\":\"ci\",\"event_types\":[\"PUSH_ARTIFACT\"],\"targets\":[%s]}", targets);
  take(reading, body, old);
  return policy_adopt_targets(&reading->policy, old, reading->arena, &reading->err);
}

#define MASKED(address) "{\"type\":\"http\",\"address\":\"" address "\",\"auth_header\":\"********\"}"
#define PLAIN(address) "{\"type\":\"http\",\"address\":\"" address "\"}"

static void assert_adopted(const struct policy *old, const char *targets, const int64_t *ids,
                           const char *const *secrets) {
  struct reading reading;

  if (adopt(&reading, old, targets) != 0)
    fail_msg("%s: %s", targets, reading.err.text);
  for (size_t i = 0; i < reading.policy.targets_len; i++) {
    if (reading.policy.targets[i].id != ids[i])
      fail_msg("%s: target %zu is %d, not %d", targets, i, (int)reading.policy.targets[i].id, (int)ids[i]);
    assert_str(reading.policy.targets[i].auth_header, secrets[i]);
  }
  arena_free(reading.arena);
}

static void assert_mask_refused(const struct policy *old, const char *targets) {
  struct reading reading;

  if (adopt(&reading, old, targets) != ERR_BAD_REQUEST)
    fail_msg("%s was taken", targets);
  assert_string_equal(reading.err.text, "auth_header must be given again when the address changes");
  arena_free(reading.arena);
}

static void test_targets_keep_their_secret_only_within_their_origin(void **state) {
  struct target targets[] = {stored_target(1, "https://a.example/1", "one"),
                             stored_target(2, "https://a.example/2", "two"),
                             stored_target(3, "https://b.example/", "three")};
  const struct policy old = {.id = 3, .targets = targets, .targets_len = 3};

  (void)state;
  // By address, in whatever order.
  assert_adopted(&old, MASKED("https://b.example/") "," MASKED("https://a.example/2"), (int64_t[]){3, 2},
                 (const char *const[]){"three", "two"});
  // A new path at the same origin, in order; the one with its address is taken first.
  assert_adopted(&old, MASKED("https://A.EXAMPLE:443/new") "," MASKED("https://a.example/1"), (int64_t[]){2, 1},
                 (const char *const[]){"two", "one"});
  assert_adopted(&old, MASKED("https://a.example/x") "," MASKED("https://a.example/y"), (int64_t[]){1, 2},
                 (const char *const[]){"one", "two"});
  // A secret given, and one left out: a match all the same.
  assert_adopted(&old, "{\"type\":\"http\",\"address\":\"https://a.example/1\",\"auth_header\":\"new\"}",
                 (int64_t[]){1}, (const char *const[]){"new"});
  assert_adopted(&old, PLAIN("https://a.example/1"), (int64_t[]){1}, (const char *const[]){""});
  // Elsewhere: new.
  assert_adopted(&old, PLAIN("https://c.example/1"), (int64_t[]){0}, (const char *const[]){""});
  assert_mask_refused(&old, MASKED("https://c.example/1"));
  assert_mask_refused(&old, MASKED("http://a.example/1"));
  assert_mask_refused(&old, MASKED("https://a.example:8443/1"));
  assert_mask_refused(&old, "{\"type\":\"slack\",\"address\":\"https://a.example/1\",\"auth_header\":\"********\"}");
  // One stored target gives its secret once.
  assert_mask_refused(&old, MASKED("https://b.example/") "," MASKED("https://b.example/"));
  assert_mask_refused(NULL, MASKED("https://a.example/1"));
  // An address that was lost with its key: the new one is its successor, and brings its own secret.
  struct target lost = stored_target(4, "", "");
  const struct policy restored = {.id = 3, .targets = &lost, .targets_len = 1};
  assert_adopted(&restored, PLAIN("https://c.example/1"), (int64_t[]){4}, (const char *const[]){""});
  assert_mask_refused(&restored, MASKED("https://c.example/1"));
}

static void test_a_secret_is_not_kept_when_verification_is_switched_off(void **state) {
  struct target targets[] = {stored_target(1, "https://a/", "one")};
  struct policy old = {.id = 3, .targets = targets, .targets_len = 1};
  static const char UNVERIFIED[] =
      "{\"type\":\"http\",\"address\":\"https://a/\",\"auth_header\":\"********\",\"skip_cert_verify\":true}";

  (void)state;
  assert_mask_refused(&old, UNVERIFIED);
  assert_adopted(&old,
                 "{\"type\":\"http\",\"address\":\"https://a/\",\"auth_header\":\"new\",\"skip_cert_verify\":true}",
                 (int64_t[]){1}, (const char *const[]){"new"});
  targets[0].skip_cert_verify = true; // it was off already
  assert_adopted(&old, UNVERIFIED, (int64_t[]){1}, (const char *const[]){"one"});
  assert_adopted(&old, MASKED("https://a/"), (int64_t[]){1}, (const char *const[]){"one"});
}

static void test_a_match_keeps_state_and_a_new_target_has_none(void **state) {
  struct target targets[] = {stored_target(1, "https://a/", "one")};
  const struct policy old = {.id = 3, .targets = targets, .targets_len = 1};
  struct reading reading;

  (void)state;
  assert_int_equal(adopt(&reading, &old, PLAIN("https://a/") "," PLAIN("https://b/")), 0);
  assert_int_equal(reading.policy.targets[0].policy_id, 3);
  assert_int_equal(reading.policy.targets[0].cancel_below, 101);
  assert_true(reading.policy.targets[0].suspended);
  assert_str(reading.policy.targets[0].suspended_reason, "410");
  assert_int_equal(reading.policy.targets[1].id, 0);
  assert_false(reading.policy.targets[1].suspended);
  assert_true(reading.policy.targets[1].extras);
  arena_free(reading.arena);
}

static void test_put_without_our_key_keeps_extensions(void **state) {
  struct target targets[] = {stored_target(1, "https://a/", "")};
  const struct policy old = {.id = 3,
                             .project_id = 7,
                             .creator = STR("alice"),
                             .created_at_us = 5,
                             .tagged_only = true,
                             .targets = targets,
                             .targets_len = 1};
  struct reading reading;

  (void)state;
  assert_int_equal(adopt(&reading, &old, PLAIN("https://a/")), 0);
  assert_true(reading.policy.tagged_only);
  assert_false(reading.policy.targets[0].extras);
  assert_int_equal(reading.policy.id, 3);
  assert_int_equal(reading.policy.project_id, 7);
  assert_int_equal(reading.policy.created_at_us, 5);
  assert_str(reading.policy.creator, "alice");
  arena_free(reading.arena);
  assert_int_equal(adopt(&reading, &old, "{\"type\":\"http\",\"address\":\"https://a/\",\"harbinger\":{}}"), 0);
  assert_true(reading.policy.targets[0].extras);
  arena_free(reading.arena);
  take(&reading, "{\"name\":\"ci\",\"harbinger\":{}}", &old);
  assert_false(reading.policy.tagged_only);
  arena_free(reading.arena);
  take(&reading, "{\"name\":\"ci\",\"harbinger\":{\"tagged\":\"any\"}}", &old);
  assert_false(reading.policy.tagged_only);
  arena_free(reading.arena);
}

// ---- Views ----------------------------------------------------------------------------------------------------------

static void assert_view(const struct policy *policy, enum policy_view view, const char *expected) {
  struct arena *arena = arena_new(ARENA_BYTES);
  struct buf buf;

  buf_init(&buf, BODY_BYTES);
  struct json_writer w = json_writer_make(&buf, false);
  policy_write_json(policy, view, arena, &w);
  assert_str(buf_str(&buf), expected);
  buf_free(&buf);
  arena_free(arena);
}

static void test_views_show_secrets_to_whom_they_may(void **state) {
  struct target targets[] = {
      {.type = TARGET_HTTP,
       .address = STR("https://u:p@ci.example.com/hook?token=t0k3n"),
       .auth_header = STR("Bearer s3cret"),
       .extras = true,
       .format = PAYLOAD_CLOUDEVENTS},
      {.type = TARGET_SLACK,
       .address = STR("https://hooks.slack.example/T/B/x"),
       .auth_header = STR_EMPTY,
       .format = PAYLOAD_SLACK,
       .skip_cert_verify = true,
       .suspended = true,
       .suspended_at_us = INT64_C(1787300000500000),
       .suspended_reason = STR("gone")},
  };
  enum event_type types[] = {EVENT_PUSH_ARTIFACT, EVENT_DELETE_ARTIFACT};
  struct policy policy = {.id = 3,
                          .project_id = 7,
                          .name = STR("ci"),
                          .description = STR("a < b"),
                          .creator = STR("alice"),
                          .enabled = true,
                          .event_types = types,
                          .event_types_len = 2,
                          .targets = targets,
                          .targets_len = 2,
                          .tagged_only = true,
                          .paused = true,
                          .created_at_us = INT64_C(1787300000123456),
                          .updated_at_us = INT64_C(1787300001000000)};
#define HEAD                                                                                                          \
  "{\"creation_time\":\"2026-08-21T08:13:20.123Z\",\"creator\":\"alice\",\"description\":\"a < b\",\"enabled\":true," \
  "\"event_types\":[\"PUSH_ARTIFACT\",\"DELETE_ARTIFACT\"],\"id\":3,\"name\":\"ci\",\"project_id\":7,\"targets\":["
#define TAIL                                                                                                          \
  "\"skip_cert_verify\":true,\"type\":\"slack\",\"harbinger\":{\"extras\":false,\"suspended\":true,"                  \
  "\"suspended_reason\":\"gone\"}}],\"update_time\":\"2026-08-21T08:13:21.000Z\",\"harbinger\":{\"paused\":\"hold\"," \
  "\"suspended\":[{\"reason\":\"gone\",\"since\":\"2026-08-21T08:13:20.500Z\",\"target\":1}],\"tagged\":\"only\"}}"

  (void)state;
  assert_view(&policy, POLICY_VIEW_READER,
              HEAD "{\"address\":\"https://********@ci.example.com/********\",\"auth_header\":\"********\","
                   "\"payload_format\":\"CloudEvents\",\"type\":\"http\"},"
                   "{\"address\":\"https://hooks.slack.example/********\"," TAIL);
  assert_view(&policy, POLICY_VIEW_EDITOR,
              HEAD "{\"address\":\"https://u:p@ci.example.com/hook?token=t0k3n\",\"auth_header\":\"********\","
                   "\"payload_format\":\"CloudEvents\",\"type\":\"http\"},"
                   "{\"address\":\"https://hooks.slack.example/T/B/x\"," TAIL);
  assert_view(&policy, POLICY_VIEW_REVEAL,
              HEAD "{\"address\":\"https://u:p@ci.example.com/hook?token=t0k3n\",\"auth_header\":\"Bearer s3cret\","
                   "\"payload_format\":\"CloudEvents\",\"type\":\"http\"},"
                   "{\"address\":\"https://hooks.slack.example/T/B/x\"," TAIL);
}

static void test_a_plain_policy_is_harbors_json(void **state) {
  struct target targets[] = {{.type = TARGET_HTTP, .address = STR("not an address"), .extras = true}};
  struct policy policy = {.targets = targets, .targets_len = 1};

  (void)state;
  assert_view(&policy, POLICY_VIEW_REVEAL,
              "{\"creation_time\":\"1970-01-01T00:00:00.000Z\",\"enabled\":false,\"event_types\":[],\"id\":0,"
              "\"project_id\":0,\"targets\":[{\"address\":\"not an address\",\"payload_format\":\"Default\",\"type\":"
              "\"http\"}],\"update_time\":\"1970-01-01T00:00:00.000Z\"}");
  assert_view(&policy, POLICY_VIEW_READER,
              "{\"creation_time\":\"1970-01-01T00:00:00.000Z\",\"enabled\":false,\"event_types\":[],\"id\":0,"
              "\"project_id\":0,\"targets\":[{\"address\":\"********\",\"payload_format\":\"Default\",\"type\":"
              "\"http\"}],\"update_time\":\"1970-01-01T00:00:00.000Z\"}");
}

// ---- Matching -------------------------------------------------------------------------------------------------------

static void test_verdicts_say_why(void **state) {
  struct str tag = STR("v1");
  struct event_artifact untagged = {.digest = STR("sha256:1"), .reference = STR("sha256:1")};
  struct event_artifact tagged = {.tags = &tag, .tags_len = 1};
  struct event_artifact by_tag = {.reference = STR("v2")};
  struct event event = {.type = EVENT_PUSH_ARTIFACT, .artifacts = &untagged, .artifacts_len = 1};
  struct policy policy = {.event_mask = 1U << EVENT_PUSH_ARTIFACT};

  (void)state;
  assert_int_equal(policy_match(&policy, &event), POLICY_DISABLED);
  policy.enabled = true;
  assert_int_equal(policy_match(&policy, &event), POLICY_MATCHES);
  policy.tagged_only = true;
  assert_int_equal(policy_match(&policy, &event), POLICY_UNTAGGED);
  event.artifacts = &tagged;
  assert_int_equal(policy_match(&policy, &event), POLICY_MATCHES);
  event.artifacts = &by_tag;
  assert_int_equal(policy_match(&policy, &event), POLICY_MATCHES);
  event.artifacts_len = 0;
  assert_int_equal(policy_match(&policy, &event), POLICY_MATCHES);
  event.type = EVENT_TAG_RETENTION;
  assert_int_equal(policy_match(&policy, &event), POLICY_OTHER_TYPE);
  policy.enabled = false;
  assert_int_equal(policy_match(&policy, &event), POLICY_DISABLED);
  assert_string_equal(policy_verdict_words(POLICY_OTHER_TYPE), "the policy does not subscribe to this event type");
  assert_non_null(strstr(policy_verdict_words(POLICY_DISABLED), "disabled"));
  assert_non_null(strstr(policy_verdict_words(POLICY_UNTAGGED), "tag"));
}

static void test_names_of_types_and_formats(void **state) {
  enum target_type type;
  enum payload_format format;

  (void)state;
  assert_true(target_type_read(STR("slack"), &type) && type == TARGET_SLACK);
  assert_true(target_type_read(STR("http"), &type) && type == TARGET_HTTP);
  assert_false(target_type_read(STR("Slack"), &type) || target_type_read(STR(""), &type));
  assert_true(payload_format_read(STR("Default"), &format) && format == PAYLOAD_DEFAULT);
  assert_true(payload_format_read(STR("CloudEvents"), &format) && format == PAYLOAD_CLOUDEVENTS);
  assert_false(payload_format_read(STR("default"), &format) || payload_format_read(STR(""), &format));
  assert_string_equal(target_type_name(TARGET_SLACK), "slack");
  assert_string_equal(payload_format_name(PAYLOAD_SLACK), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_policy_is_read_and_unknown_keys_are_ignored),
      cmocka_unit_test(test_absent_and_null_fields_have_harbors_defaults),
      cmocka_unit_test(test_wrong_types_are_422_with_harbors_first_line),
      cmocka_unit_test(test_lists_have_bounds),
      cmocka_unit_test(test_harbors_checks_have_harbors_words),
      cmocka_unit_test(test_what_harbor_takes_and_never_delivers_is_refused_with_words),
      cmocka_unit_test(test_lengths_are_checked_in_their_units),
      cmocka_unit_test(test_a_name_has_256_characters_of_any_script),
      cmocka_unit_test(test_addresses_that_go_takes_pass_harbors_check),
      cmocka_unit_test(test_targets_keep_their_secret_only_within_their_origin),
      cmocka_unit_test(test_a_secret_is_not_kept_when_verification_is_switched_off),
      cmocka_unit_test(test_a_match_keeps_state_and_a_new_target_has_none),
      cmocka_unit_test(test_put_without_our_key_keeps_extensions),
      cmocka_unit_test(test_views_show_secrets_to_whom_they_may),
      cmocka_unit_test(test_a_plain_policy_is_harbors_json),
      cmocka_unit_test(test_verdicts_say_why),
      cmocka_unit_test(test_names_of_types_and_formats),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
