// SPDX-License-Identifier: Apache-2.0
// What an event may say: types, names, submissions field by field, Harbor's order of data.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "event/event.h"

enum { ARENA_BYTES = 32 * 1024 * 1024 };

#define DIGEST "sha256:3f1c0ce0a1a7c3f2b7f0e9d8c7b6a5948372615049382716f5e4d3c2b1a09f8e"
#define ARTIFACTS "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"tags\":[\"v1\"],\"reference\":\"v1\"}]"
#define PUSH_HEAD "{\"type\":\"PUSH_ARTIFACT\",\"repository\":{\"name\":\"web/api\"},"
#define SCAN_HEAD "{\"type\":\"SCANNING_COMPLETED\",\"repository\":{\"name\":\"web/api\"}," ARTIFACTS ",\"data\":"
#define QUOTA_HEAD "{\"type\":\"QUOTA_WARNING\",\"data\":"
#define REPLICATION_HEAD "{\"type\":\"REPLICATION\",\"repository\":{\"name\":\"a\"},\"data\":"
#define RETENTION_HEAD "{\"type\":\"TAG_RETENTION\",\"repository\":{\"name\":\"a\"},\"data\":"

struct reading {
  struct arena *arena;
  struct event event;
  struct error err;
};

static int read_body(struct reading *reading, const char *body) {
  struct json_object *value;

  *reading = (struct reading){.arena = arena_new(ARENA_BYTES)};
  assert_non_null(reading->arena);
  if (json_parse(str_of(body), reading->arena, &value, &reading->err) != 0)
    fail_msg("%s: %s", body, reading->err.text);
  return event_read_submission(value, reading->arena, &reading->event, &reading->err);
}

static void accept(struct reading *reading, const char *body) {
  if (read_body(reading, body) != 0)
    fail_msg("%s: %s", body, reading->err.text);
}

static void assert_refused(const char *body, const char *words) {
  struct reading reading;

  if (read_body(&reading, body) != ERR_INVALID)
    fail_msg("%s was taken", body);
  if (!strstr(reading.err.text, words))
    fail_msg("%s: %s, not %s", body, reading.err.text, words);
  arena_free(reading.arena);
}

static void assert_str(struct str is, const char *expected) {
  if (!str_eq_c(is, expected))
    fail_msg("is %.*s, not %s", STR_ARG(is), expected);
}

// ---- Types and names ------------------------------------------------------------------------------------------------

static void test_types_have_harbors_names_in_harbors_order(void **state) {
  static const char *const NAMES[] = {"PUSH_ARTIFACT", "PULL_ARTIFACT",   "DELETE_ARTIFACT",  "QUOTA_EXCEED",
                                      "QUOTA_WARNING", "SCANNING_FAILED", "SCANNING_STOPPED", "SCANNING_COMPLETED",
                                      "REPLICATION",   "TAG_RETENTION"};
  enum event_type type;

  (void)state;
  assert_int_equal(ARRAY_LEN(NAMES), EVENT_TYPE_COUNT);
  for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
    assert_string_equal(event_type_name((enum event_type)i), NAMES[i]);
    assert_true(event_type_read(str_of(NAMES[i]), &type) && (size_t)type == i);
  }
  assert_false(event_type_read(STR("push_artifact"), &type));
  assert_false(event_type_read(STR(""), &type));
  assert_string_equal(event_type_name(EVENT_TYPE_COUNT), "");
  assert_string_equal(event_type_cloudevents(EVENT_TAG_RETENTION), "harbor.tag_retention.finished");
  assert_string_equal(event_type_label(EVENT_SCANNING_COMPLETED), "Scanning finished");
}

struct name_row {
  const char *text;
  bool valid;
};

static void check_names(bool (*check)(struct str), const struct name_row *rows, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (check(str_of(rows[i].text)) != rows[i].valid)
      fail_msg("%s should%s be valid", rows[i].text, rows[i].valid ? "" : " not");
  }
}

static void test_project_names_are_harbors(void **state) {
  static const struct name_row ROWS[] = {{"a", true},    {"team-a", true}, {"a.b_c-1", true}, {"1", true},
                                         {"", false},    {"-a", false},    {"a-", false},     {"a--b", false},
                                         {"A", false},   {"a/b", false},   {"a._b", false},   {"é", false},
                                         {"a b", false}, {"a\n", false}};
  char longest[EVENT_MAX_NAME_BYTES + 1];

  (void)state;
  check_names(event_is_project_name, ROWS, ARRAY_LEN(ROWS));
  memset(longest, 'a', sizeof(longest));
  assert_true(event_is_project_name((struct str){longest, EVENT_MAX_NAME_BYTES}));
  assert_false(event_is_project_name((struct str){longest, EVENT_MAX_NAME_BYTES + 1}));
}

static void test_repository_names_are_oci_names(void **state) {
  static const struct name_row ROWS[] = {
      {"a", true},     {"web/api", true}, {"a__b", true},  {"a_b", true},   {"a---b", true}, {"a.b/c-d/e", true},
      {"", false},     {"/a", false},     {"a/", false},   {"a//b", false}, {"a..b", false}, {"a___b", false},
      {"a._b", false}, {"A", false},      {"a/-b", false}, {"a:b", false},  {"a b", false}};

  (void)state;
  check_names(event_is_repository_name, ROWS, ARRAY_LEN(ROWS));
}

static void test_tags_and_digests_are_oci_names(void **state) {
  static const struct name_row TAGS[] = {{"v1.0", true}, {"_x", true},  {"Latest-1", true}, {"", false},
                                         {".a", false},  {"-a", false}, {"a:b", false},     {"a/b", false}};
  static const struct name_row DIGESTS[] = {{DIGEST, true},     {DIGEST "0", false}, {"sha256:3F1C", false},
                                            {"sha256:", false}, {"md5:00", false},   {"", false}};
  char text[200];

  (void)state;
  check_names(event_is_tag, TAGS, ARRAY_LEN(TAGS));
  check_names(event_is_digest, DIGESTS, ARRAY_LEN(DIGESTS));
  memset(text, 'a', sizeof(text));
  assert_true(event_is_tag((struct str){text, 128}));
  assert_false(event_is_tag((struct str){text, 129}));
  memcpy(text, "sha512:", 7);
  assert_true(event_is_digest((struct str){text, 7 + 128}));
  assert_false(event_is_digest((struct str){text, 7 + 64}));
  memcpy(text, "sha256:", 7);
  text[70] = 'A';
  assert_false(event_is_digest((struct str){text, 71}));
}

static void test_media_types_tell_the_kind(void **state) {
  static const struct {
    const char *manifest, *config;
    enum artifact_kind kind;
  } ROWS[] = {
      {"application/vnd.oci.image.index.v1+json", "", ARTIFACT_INDEX},
      {"application/vnd.docker.distribution.manifest.list.v2+json", "", ARTIFACT_INDEX},
      {"application/vnd.docker.distribution.manifest.v2+json", "", ARTIFACT_IMAGE},
      {"application/vnd.oci.image.manifest.v1+json", "", ARTIFACT_UNKNOWN},
      {"application/vnd.oci.image.manifest.v1+json; charset=utf-8", "application/vnd.oci.image.config.v1+json",
       ARTIFACT_IMAGE},
      {"application/vnd.oci.image.manifest.v1+json", "application/vnd.cncf.helm.config.v1+json", ARTIFACT_CHART},
      {"application/vnd.oci.image.manifest.v1+json", "application/vnd.cncf.notary.signature", ARTIFACT_SIGNATURE},
      {"application/vnd.oci.image.manifest.v1+json", "Application/SPDX+json", ARTIFACT_SBOM},
      {"application/vnd.oci.image.manifest.v1+json", "application/vnd.in-toto+json", ARTIFACT_ATTESTATION},
      {"application/vnd.oci.image.manifest.v1+json", "application/wasm", ARTIFACT_OTHER},
      {"application/x-unheard-of", "", ARTIFACT_OTHER},
      {"", "", ARTIFACT_UNKNOWN},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
    enum artifact_kind kind = artifact_kind_of(str_of(ROWS[i].manifest), str_of(ROWS[i].config));
    assert_string_equal(artifact_kind_name(kind), artifact_kind_name(ROWS[i].kind));
  }
}

// ---- Submissions ----------------------------------------------------------------------------------------------------

static void test_a_submission_is_read_field_by_field(void **state) {
  struct reading reading;
  const struct event *event = &reading.event;

  (void)state;
  accept(&reading,
         "{\"type\":\"PUSH_ARTIFACT\",\"occurred_at\":\"2026-08-21T10:13:20.123456+02:00\",\"trigger\":\"push\","
         "\"actor\":{\"kind\":\"robot\",\"name\":\"robot$a+b\"},\"repository\":{\"name\":\"web/api\"},\"artifacts\":[{"
         "\"digest\":\"" DIGEST "\",\"tags\":[\"v1\",\"v2\"],\"reference\":\"v2\",\"media_type\":\"x/y\",\"kind\":"
         "\"index\",\"platform\":\"linux/arm64/v8\",\"size\":0,\"children\":[{\"digest\":\"" DIGEST
         "\",\"platform\":\"linux/amd64\"}]}]}");
  assert_int_equal(event->type, EVENT_PUSH_ARTIFACT);
  assert_int_equal(event->occurred_at_us, INT64_C(1787300000123456));
  assert_int_equal(event->actor.kind, ACTOR_ROBOT);
  assert_str(event->actor.name, "robot$a+b");
  assert_str(event->trigger, "push");
  assert_str(event->repository.name, "web/api");
  assert_int_equal(event->artifacts_len, 1);
  assert_int_equal(event->artifacts[0].tags_len, 2);
  assert_str(event->artifacts[0].tags[1], "v2");
  assert_str(event->artifacts[0].reference, "v2");
  assert_int_equal(event->artifacts[0].kind, ARTIFACT_INDEX);
  assert_int_equal(event->artifacts[0].size_bytes, 0);
  assert_int_equal(event->artifacts[0].children_len, 1);
  assert_str(event->artifacts[0].children[0].platform, "linux/amd64");
  assert_int_equal(event->artifacts[0].children[0].size_bytes, -1);
  assert_int_equal(event->source.kind, SOURCE_API);
  arena_free(reading.arena);
}

static void test_what_a_submission_leaves_out_is_unknown(void **state) {
  struct reading reading;

  (void)state;
  accept(&reading, PUSH_HEAD "\"occurred_at\":null,\"actor\":null,\"data\":{}," ARTIFACTS "}");
  assert_int_equal(reading.event.occurred_at_us, 0);
  assert_int_equal(reading.event.actor.kind, ACTOR_UNKNOWN);
  assert_int_equal(reading.event.artifacts[0].size_bytes, -1);
  assert_str(reading.event.actor.name, "");
  assert_int_equal(reading.event.project_id, 0);
  arena_free(reading.arena);
}

static void test_submissions_are_refused_with_the_place(void **state) {
  static const struct {
    const char *body, *words;
  } ROWS[] = {
      {"[]", "the body must be a JSON object, not array"},
      {"{}", "type: is required"},
      {"{\"type\":5}", "type: must be a string, not integer"},
      {"{\"type\":\"PUSH\"}", "type: is not one of the ten event types: PUSH"},
      {"{\"type\":\"PUSH_ARTIFACT\",\"colour\":1}", "colour: is not a member that is known here"},
      {PUSH_HEAD "\"occurred_at\":1787300000}", "occurred_at: must be a string, not integer"},
      {PUSH_HEAD "\"occurred_at\":\"yesterday\"}", "occurred_at: must be a time as RFC 3339"},
      {PUSH_HEAD "\"occurred_at\":\"1969-12-31T23:59:59Z\"}", "occurred_at: is before 1970"},
      {PUSH_HEAD "\"occurred_at\":\"0001-01-01T00:00:00Z\"}", "occurred_at: is before 1970"},
      {PUSH_HEAD "\"actor\":\"alice\"}", "actor: must be an object, not string"},
      {PUSH_HEAD "\"actor\":{}}", "actor.kind: must be user, robot, system or anonymous"},
      {PUSH_HEAD "\"actor\":{\"kind\":\"king\"}}", "actor.kind: must be user"},
      {PUSH_HEAD "\"actor\":{\"kind\":\"user\"}}", "actor.name: is required unless"},
      {PUSH_HEAD "\"actor\":{\"kind\":\"user\",\"name\":\"a\\u0007\"}}", "actor.name: must not hold control"},
      {PUSH_HEAD "\"actor\":{\"kind\":\"user\",\"name\":\"a\\u0085\"}}", "actor.name: must not hold control"},
      {PUSH_HEAD "\"actor\":{\"kind\":\"user\",\"name\":\"a\",\"mail\":\"b\"}}", "actor.mail: is not a member"},
      {PUSH_HEAD "\"trigger\":\"a\\nb\"}", "trigger: must not hold control"},
      {"{\"type\":\"PUSH_ARTIFACT\"," ARTIFACTS "}", "repository.name: is required"},
      {"{\"type\":\"REPLICATION\"}", "repository.name: is required"},
      {"{\"type\":\"PUSH_ARTIFACT\",\"repository\":{\"name\":\"Web\"}}", "repository.name: is not a repository name"},
      {"{\"type\":\"PUSH_ARTIFACT\",\"repository\":{\"name\":\"a\",\"project\":\"b\"}}", "repository.project: is not"},
      {PUSH_HEAD "\"artifacts\":[]}", "artifacts: must name the artifact"},
      {PUSH_HEAD "\"artifacts\":{}}", "artifacts: must be an array, not object"},
      {PUSH_HEAD "\"artifacts\":[5]}", "artifacts[0]: must be an object, not integer"},
      {PUSH_HEAD "\"artifacts\":[{}]}", "artifacts[0].digest: is required"},
      {PUSH_HEAD "\"artifacts\":[{\"digest\":\"sha256:12\"}]}", "artifacts[0].digest: must be sha256:"},
      {PUSH_HEAD "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"tags\":\"v1\"}]}", "artifacts[0].tags: must be an array"},
      {PUSH_HEAD "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"tags\":[\"a\",\"b c\"]}]}",
       "artifacts[0].tags[1]: is not a tag"},
      {PUSH_HEAD "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"tags\":[null]}]}",
       "artifacts[0].tags[0]: must be a string, not null"},
      {PUSH_HEAD "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"reference\":\"a b\"}]}",
       "artifacts[0].reference: must be a tag or a digest"},
      {PUSH_HEAD "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"kind\":\"boat\"}]}", "artifacts[0].kind: must be image"},
      {PUSH_HEAD "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"size\":-1}]}", "artifacts[0].size: must be 0 or more"},
      {PUSH_HEAD "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"size\":1.5}]}", "artifacts[0].size: must be an integer"},
      {PUSH_HEAD "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"name\":\"a\"}]}", "artifacts[0].name: is not a member"},
      {PUSH_HEAD "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"children\":[{\"digest\":\"x\"}]}]}",
       "artifacts[0].children[0].digest: must be"},
      {PUSH_HEAD "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"children\":[{\"tags\":[]}]}]}",
       "artifacts[0].children[0].tags: is not a member"},
      {PUSH_HEAD ARTIFACTS ",\"data\":{\"x\":1}}", "data.x: is not a member"},
      {PUSH_HEAD ARTIFACTS ",\"data\":[]}", "data: must be an object, not array"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
    assert_refused(ROWS[i].body, ROWS[i].words);
}

static void test_data_is_refused_with_the_place(void **state) {
  static const struct {
    const char *body, *words;
  } ROWS[] = {
      {SCAN_HEAD "{\"scan_type\":\"malware\"}}", "data.scan_type: must be vulnerability or sbom, not malware"},
      {SCAN_HEAD "{\"error\":5}}", "data.error: must be a string"},
      {SCAN_HEAD "{\"colour\":5}}", "data.colour: is not a member"},
      {SCAN_HEAD "{\"scan_overview\":[]}}", "data.scan_overview: must be an object"},
      {SCAN_HEAD "{\"scan_overview\":{\"a/b\":5}}}", "data.scan_overview.a/b: must be an object"},
      {SCAN_HEAD "{\"scan_overview\":{\"a/b\":{}}}}", "data.scan_overview.a/b.scan_status: is required"},
      {SCAN_HEAD "{\"scan_overview\":{\"a\":{\"scan_status\":\"Success\",\"x\":1}}}}",
       "data.scan_overview.a.x: is not"},
      {SCAN_HEAD "{\"scan_overview\":{\"a\":{\"scan_status\":\"Success\",\"duration\":-1}}}}",
       "data.scan_overview.a.duration: must be 0 or more"},
      {SCAN_HEAD "{\"scan_overview\":{\"a\":{\"scan_status\":\"Success\",\"end_time\":\"now\"}}}}",
       "data.scan_overview.a.end_time: must be a time"},
      {SCAN_HEAD "{\"scan_overview\":{\"a\":{\"scan_status\":\"S\",\"summary\":{\"summary\":{\"High\":\"1\"}}}}}}",
       "data.scan_overview.a.summary.summary.High: must be an integer"},
      {SCAN_HEAD "{\"scan_overview\":{\"a\":{\"scan_status\":\"S\",\"scanner\":{\"url\":\"x\"}}}}}",
       "data.scan_overview.a.scanner.url: is not"},
      {SCAN_HEAD "{\"sbom_overview\":{\"duration\":1}}}", "data.sbom_overview.scan_status: is required"},
      {QUOTA_HEAD "{}}", "data.details: is required"},
      {"{\"type\":\"QUOTA_EXCEED\"}", "data.details: is required"},
      {QUOTA_HEAD "{\"details\":\"x\",\"used\":-1}}", "data.used: must be 0 or more, not -1"},
      {QUOTA_HEAD "{\"details\":\"x\",\"percent\":\"85\"}}", "data.percent: must be an integer"},
      {"{\"type\":\"REPLICATION\",\"repository\":{\"name\":\"a\"}}", "data: is required for REPLICATION"},
      {REPLICATION_HEAD "{}}", "data.job_status: is required"},
      {REPLICATION_HEAD "{\"job_status\":\"Success\"}}", "data.src_resource: is required"},
      {REPLICATION_HEAD "{\"job_status\":\"Success\",\"src_resource\":{},\"dest_resource\":{},\"override_mode\":\"\"}}",
       "data.override_mode: must be true or false"},
      {REPLICATION_HEAD
       "{\"job_status\":\"Success\",\"src_resource\":{},\"dest_resource\":{},\"failed_artifact\":[{}]}}",
       "data.failed_artifact[0].name_tag: is required"},
      {RETENTION_HEAD "{\"total\":1}}", "data.retained: is required"},
      {RETENTION_HEAD "{\"total\":1,\"retained\":1,\"retention_rule\":[{\"params\":{\"a\":[]}}]}}",
       "data.retention_rule[0].params.a: must be a string, a number"},
      {RETENTION_HEAD "{\"total\":1,\"retained\":1,\"deleted_artifact\":[{\"name_tag\":\"a\",\"references\":[1]}]}}",
       "data.deleted_artifact[0].references[0]: must be a string"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
    assert_refused(ROWS[i].body, ROWS[i].words);
}

// One more of something than is allowed.
static void assert_too_many(const char *head, const char *element, size_t count, const char *tail, const char *words) {
  struct buf body;

  buf_init(&body, 4 * EVENT_MAX_JSON_BYTES);
  buf_put_c(&body, head);
  for (size_t i = 0; i < count; i++)
    buf_printf(&body, "%s%s", i > 0 ? "," : "", element);
  buf_put_c(&body, tail);
  buf_put_char(&body, '\0');
  assert_false(body.failed);
  assert_refused(body.ptr, words);
  buf_free(&body);
}

static void test_lists_have_bounds(void **state) {
  (void)state;
  assert_too_many(PUSH_HEAD "\"artifacts\":[", "{}", EVENT_MAX_ARTIFACTS + 1, "]}", "artifacts: has more than 64");
  assert_too_many(PUSH_HEAD "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"tags\":[", "\"a\"", EVENT_MAX_TAGS + 1, "]}]}",
                  "artifacts[0].tags: has more than 256");
  assert_too_many(PUSH_HEAD "\"artifacts\":[{\"digest\":\"" DIGEST "\",\"children\":[", "{}", EVENT_MAX_CHILDREN + 1,
                  "]}]}", "artifacts[0].children: has more than 256");
  assert_too_many(RETENTION_HEAD "{\"total\":1,\"retained\":1,\"deleted_artifact\":[", "{\"name_tag\":\"a\"}",
                  EVENT_MAX_LIST + 1, "]}}", "data.deleted_artifact: has more than 1024");
  assert_too_many(QUOTA_HEAD "{\"details\":\"", "aaaaaaaaaaaaaaa", EVENT_MAX_TEXT_BYTES / 16 + 1, "\"}}",
                  "data.details: is longer than 65536 bytes");
}

static void put_escaped(struct buf *out, int count) {
  while (count-- > 0)
    buf_put_char(out, '<'); // six bytes each in the store
}

// An error of `error_chars` and `reports` reports with long ids.
static void put_large_scan(struct buf *out, int error_chars, int reports) {
  buf_put_c(out, SCAN_HEAD "{\"error\":\"");
  put_escaped(out, error_chars);
  buf_put_c(out, "\",\"scan_overview\":{");
  for (int i = 0; i < reports; i++) {
    buf_printf(out, "%s\"%d\":{\"scan_status\":\"S\",\"report_id\":\"", i > 0 ? "," : "", i);
    put_escaped(out, 30000);
    buf_put_c(out, "\"}");
  }
  buf_put_c(out, "}}}");
  buf_put_char(out, '\0');
}

static void assert_too_large(int error_chars, int reports, enum errcode code, const char *words) {
  struct reading reading;
  struct buf body;

  buf_init(&body, 4 * EVENT_MAX_JSON_BYTES);
  put_large_scan(&body, error_chars, reports);
  assert_false(body.failed);
  assert_int_equal(read_body(&reading, body.ptr), code);
  if (words && !strstr(reading.err.text, words))
    fail_msg("%s", reading.err.text);
  arena_free(reading.arena);
  buf_free(&body);
}

static void test_an_event_too_large_for_the_store_is_refused(void **state) {
  (void)state;
  assert_too_large(60000, 3, ERR_OK, NULL);
  assert_too_large(60000, 4, ERR_TOO_LARGE, "the event is larger than");
  assert_too_large(0, 6, ERR_INVALID, "data.scan_overview: is longer than 1048576 bytes of JSON");
}

// ---- Data in Harbor's order -----------------------------------------------------------------------------------------

static void test_an_overview_is_written_in_harbors_order_and_counted(void **state) {
  struct reading reading;
  const struct event_scan *scan = &reading.event.data.scan;

  (void)state;
  accept(&reading, SCAN_HEAD
         "{\"error\":\"\",\"scan_overview\":{\"z\":{\"scan_status\":\"Error\"},\"a\":{\"complete_percent\":100,"
         "\"scanner\":{\"version\":\"1\",\"name\":\"<T>\",\"vendor\":\"V\"},\"end_time\":\"2026-08-21T08:16:19Z\","
         "\"summary\":{\"summary\":{\"Negligible\":1,\"Critical\":2,\"High\":3,\"Medium\":5,\"Low\":7,\"Unknown\":9},"
         "\"total\":27},\"scan_status\":\"Success\",\"report_id\":\"r\"}},\"scan_type\":\"vulnerability\"}}");
  assert_str(
      scan->scan_overview,
      "{\"a\":{\"report_id\":\"r\",\"scan_status\":\"Success\",\"severity\":\"\",\"duration\":0,\"summary\":{"
      "\"total\":27,\"fixable\":0,\"summary\":{\"Critical\":2,\"High\":3,\"Low\":7,\"Medium\":5,\"Negligible\":1,"
      "\"Unknown\":9}},\"start_time\":\"0001-01-01T00:00:00Z\",\"end_time\":\"2026-08-21T08:16:19Z\",\"scanner\":{"
      "\"name\":\"\\u003cT\\u003e\",\"vendor\":\"V\",\"version\":\"1\"},\"complete_percent\":100},\"z\":{"
      "\"report_id\":\"\",\"scan_status\":\"Error\",\"severity\":\"\",\"duration\":0,\"summary\":null,"
      "\"start_time\":\"0001-01-01T00:00:00Z\",\"end_time\":\"0001-01-01T00:00:00Z\",\"complete_percent\":0}}");
  assert_str(scan->status, "Success");
  assert_true(scan->has_counts);
  assert_int_equal(scan->critical, 5);
  assert_int_equal(scan->major, 5);
  assert_int_equal(scan->minor, 8);
  assert_str(scan->completed_at, "2026-08-21T08:16:19Z");
  arena_free(reading.arena);
}

static void assert_status(const char *type, const char *data, const char *status, const char *completed_at) {
  struct reading reading;
  char body[2048];

  (void)snprintf(body, sizeof(body), "{\"type\":\"%s\",\"repository\":{\"name\":\"a\"}," ARTIFACTS ",\"data\":%s}",
                 type, data);
  accept(&reading, body);
  assert_str(reading.event.data.scan.status, status);
  assert_str(reading.event.data.scan.completed_at, completed_at);
  assert_false(reading.event.data.scan.has_counts);
  arena_free(reading.arena);
}

static void test_a_scan_without_a_report_has_the_status_of_its_type(void **state) {
  (void)state;
  assert_status("SCANNING_COMPLETED", "null", "Success", "");
  assert_status("SCANNING_STOPPED", "{}", "Stopped", "");
  assert_status("SCANNING_FAILED", "{\"scan_overview\":{}}", "Error", "");
  assert_status("SCANNING_FAILED", "{\"scan_overview\":{\"a\":{\"scan_status\":\"Pending\",\"summary\":null}}}",
                "Pending", "");
  assert_status("SCANNING_COMPLETED",
                "{\"sbom_overview\":{\"scan_status\":\"Stopped\",\"end_time\":\"2026-08-21T08:16:19.4Z\"}}", "Stopped",
                "2026-08-21T08:16:19.4Z");
}

static void test_replication_is_written_in_harbors_order_with_harbors_omissions(void **state) {
  struct reading reading;
  const struct event_replication *replication = &reading.event.data.replication;

  (void)state;
  accept(&reading, REPLICATION_HEAD
         "{\"task_id\":8,\"failed_artifact\":[{\"fail_reason\":\"no\",\"references\":null,\"name_tag\":\"a:1\"}],"
         "\"dest_resource\":{\"namespace\":\"m\",\"endpoint\":\"https://e\",\"registry_type\":\"harbor\"},"
         "\"src_resource\":{\"endpoint\":\"https://s\"},\"override_mode\":false,\"description\":\"\","
         "\"job_status\":\"Error\",\"trigger_type\":\"MANUAL\",\"execution_id\":0}}");
  assert_str(
      replication->object,
      "{\"job_status\":\"Error\",\"trigger_type\":\"MANUAL\",\"src_resource\":{\"registry_type\":\"\",\"endpoint\":"
      "\"https://s\"},\"dest_resource\":{\"registry_type\":\"harbor\",\"endpoint\":\"https://e\",\"namespace\":"
      "\"m\"},\"failed_artifact\":[{\"type\":\"\",\"status\":\"\",\"name_tag\":\"a:1\",\"references\":null,"
      "\"fail_reason\":\"no\"}],\"task_id\":8}");
  assert_str(replication->job_status, "Error");
  assert_str(replication->src, "https://s");
  assert_str(replication->dest, "https://e/m");
  assert_str(replication->name_tag, "a:1");
  assert_str(replication->fail_reason, "no");
  arena_free(reading.arena);
}

static void test_retention_is_written_in_harbors_order(void **state) {
  struct reading reading;
  const struct event_retention *retention = &reading.event.data.retention;

  (void)state;
  accept(&reading, RETENTION_HEAD "{\"deleted_artifact\":[{\"name_tag\":\"a:1\",\"status\":\"SUCCESS\",\"type\":"
                                  "\"image\"}],\"retained\":0,\"total\":1,"
                                  "\"retention_rule\":[{\"scope_selectors\":{\"repository\":[{\"extras\":\"\",\"kind\":"
                                  "\"doublestar\"}]},\"params\":{"
                                  "\"b\":1.5,\"a\":\"x\"},\"template\":\"always\"}],\"result\":\"SUCCESS\"}}");
  assert_str(
      retention->object,
      "{\"total\":1,\"retained\":0,\"retention_rule\":[{\"template\":\"always\",\"params\":{\"a\":\"x\",\"b\":1.5},"
      "\"scope_selectors\":{\"repository\":[{\"kind\":\"doublestar\",\"decoration\":\"\",\"pattern\":\"\",\"extras\":"
      "\"\"}]}}],\"result\":\"SUCCESS\",\"deleted_artifact\":[{\"type\":\"image\",\"status\":\"SUCCESS\","
      "\"name_tag\":\"a:1\",\"references\":null}]}");
  assert_int_equal(retention->total, 1);
  assert_int_equal(retention->retained, 0);
  assert_int_equal(retention->deleted, 1);
  arena_free(reading.arena);
}

static void test_quota_percent_is_cut_and_derived(void **state) {
  struct reading reading;

  (void)state;
  accept(&reading, QUOTA_HEAD "{\"details\":\"x\",\"used\":999,\"limit\":1000}}");
  assert_int_equal(reading.event.data.quota.percent, 99);
  assert_int_equal(reading.event.data.quota.requested_bytes, -1);
  arena_free(reading.arena);
  accept(&reading, QUOTA_HEAD "{\"details\":\"x\",\"used\":999,\"limit\":-1}}");
  assert_int_equal(reading.event.data.quota.percent, -1);
  assert_int_equal(reading.event.data.quota.limit_bytes, -1);
  arena_free(reading.arena);
  accept(&reading, QUOTA_HEAD "{\"details\":\"x\",\"used\":9223372036854775807,\"limit\":1}}");
  assert_int_equal(reading.event.data.quota.percent, -1);
  arena_free(reading.arena);
}

// ---- Names and addresses of artifacts -------------------------------------------------------------------------------

static void test_tag_and_address_follow_the_type(void **state) {
  static struct str tags[] = {{"v1", 2}, {"v2", 2}};
  struct arena *arena = arena_new(ARENA_BYTES);
  struct event_artifact artifact = {.digest = STR(DIGEST), .tags = tags, .tags_len = 2, .reference = STR(DIGEST)};
  struct event event = {.type = EVENT_PULL_ARTIFACT,
                        .repository = {.project = STR("p"), .name = STR("r")},
                        .registry_host = STR("h:5000")};

  (void)state;
  assert_str(event_resource_tag(&event, &artifact), DIGEST);
  assert_str(event_resource_url(&event, &artifact, arena), "h:5000/p/r@" DIGEST);
  assert_str(event_artifact_name(&event, &artifact, arena), "p/r:v1");
  event.upstream_name = STR("x/y");
  event.type = EVENT_DELETE_ARTIFACT;
  assert_str(event_resource_url(&event, &artifact, arena), "h:5000/x/y:v1");
  event.type = EVENT_SCANNING_COMPLETED;
  artifact.reference = STR("v2");
  assert_str(event_resource_url(&event, &artifact, arena), "h:5000/x/y:v2");
  assert_str(event_artifact_name(&event, &artifact, arena), "p/r:v2");
  artifact.reference = STR_EMPTY;
  artifact.tags_len = 0;
  assert_str(event_resource_tag(&event, &artifact), "");
  assert_str(event_resource_url(&event, &artifact, arena), "h:5000/x/y@" DIGEST);
  event.type = EVENT_QUOTA_EXCEED;
  assert_str(event_resource_tag(&event, &artifact), "");
  event.type = EVENT_PUSH_ARTIFACT;
  assert_str(event_resource_tag(&event, &artifact), DIGEST);
  assert_str(event_artifact_name(&event, &artifact, arena), "p/r@" DIGEST);
  artifact.digest = STR_EMPTY;
  assert_str(event_resource_url(&event, &artifact, arena), "");
  assert_str(event_artifact_name(&event, &artifact, arena), "p/r");
  event.registry_host = STR_EMPTY;
  artifact.digest = STR(DIGEST);
  assert_str(event_resource_url(&event, &artifact, arena), "");
  event.repository.name = STR_EMPTY;
  assert_str(event_repo_full_name(&event, arena), "p");
  arena_free(arena);
}

static void test_stored_events_that_are_damaged_are_refused(void **state) {
  static const struct {
    const char *json, *words;
  } ROWS[] = {
      {"{", ""},
      {"[]", "must be a JSON object"},
      {"{}", "id: is not a UUID"},
      {"{\"id\":\"01a02361-b17b-71a0-82b0-c3d4e5f60700\"}", "type: is not the name"},
      {"{\"id\":\"01a02361-b17b-71a0-82b0-c3d4e5f60700\",\"type\":\"PUSH_ARTIFACT\"}", "source: is of an unknown kind"},
      {"{\"id\":\"01a02361-b17b-71a0-82b0-c3d4e5f60700\",\"type\":\"PUSH_ARTIFACT\",\"x\":1}", "x: is not a member"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
    struct arena *arena = arena_new(ARENA_BYTES);
    struct error err = {.code = ERR_OK};
    struct event event;
    assert_int_equal(event_read_json(str_of(ROWS[i].json), arena, &event, &err), ERR_INVALID);
    if (!strstr(err.text, ROWS[i].words))
      fail_msg("%s: %s", ROWS[i].json, err.text);
    arena_free(arena);
  }
}

// The n-th allocation fails: an error, never a crash, and the same arena is freed whole.
static void test_a_full_arena_is_an_error(void **state) {
  static const char BODY[] =
      SCAN_HEAD "{\"scan_overview\":{\"a\":{\"scan_status\":\"Success\"}},\"error\":\"some words\"}}";
  bool seen = false;

  (void)state;
  for (size_t cap = 256; cap < 16384; cap += 64) {
    struct arena *document = arena_new(ARENA_BYTES), *arena = arena_new(cap);
    struct error err = {.code = ERR_OK};
    struct json_object *value;
    struct event event;
    assert_int_equal(json_parse(STR(BODY), document, &value, &err), 0);
    int result = event_read_submission(value, arena, &event, &err);
    assert_true(result == 0 || result == ERR_NO_MEMORY);
    seen = seen || result == ERR_NO_MEMORY;
    arena_free(arena);
    arena_free(document);
  }
  assert_true(seen);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_types_have_harbors_names_in_harbors_order),
      cmocka_unit_test(test_project_names_are_harbors),
      cmocka_unit_test(test_repository_names_are_oci_names),
      cmocka_unit_test(test_tags_and_digests_are_oci_names),
      cmocka_unit_test(test_media_types_tell_the_kind),
      cmocka_unit_test(test_a_submission_is_read_field_by_field),
      cmocka_unit_test(test_what_a_submission_leaves_out_is_unknown),
      cmocka_unit_test(test_submissions_are_refused_with_the_place),
      cmocka_unit_test(test_data_is_refused_with_the_place),
      cmocka_unit_test(test_lists_have_bounds),
      cmocka_unit_test(test_an_event_too_large_for_the_store_is_refused),
      cmocka_unit_test(test_an_overview_is_written_in_harbors_order_and_counted),
      cmocka_unit_test(test_a_scan_without_a_report_has_the_status_of_its_type),
      cmocka_unit_test(test_replication_is_written_in_harbors_order_with_harbors_omissions),
      cmocka_unit_test(test_retention_is_written_in_harbors_order),
      cmocka_unit_test(test_quota_percent_is_cut_and_derived),
      cmocka_unit_test(test_tag_and_address_follow_the_type),
      cmocka_unit_test(test_stored_events_that_are_damaged_are_refused),
      cmocka_unit_test(test_a_full_arena_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
