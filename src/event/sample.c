// SPDX-License-Identifier: Apache-2.0
// The samples are written as the bodies that a trusted job would submit and read as those are: so they obey every rule of
// real events, and what the data's readers derive is derived here, too.
#include "event/sample.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/rfc3339.h"

#define REPOSITORY "sample/app"
#define DIGEST "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define DIGEST_AMD64 "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
#define DIGEST_ARM64 "sha256:fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13"

#define IMAGE_TYPE "application/vnd.oci.image.manifest.v1+json"
#define IMAGE                                                                                                          \
  "[{\"digest\":\"" DIGEST "\",\"tags\":[\"v1.2.0\",\"latest\"],\"reference\":\"v1.2.0\",\"media_type\":\"" IMAGE_TYPE \
  "\",\"kind\":\"image\",\"platform\":\"linux/amd64\",\"size\":28311552}]"
#define CHILD(digest, platform, size)                                                                        \
  "{\"digest\":\"" digest "\",\"media_type\":\"" IMAGE_TYPE "\",\"kind\":\"image\",\"platform\":\"" platform \
  "\",\"size\":" size "}"
#define INDEX                                                                                              \
  "[{\"digest\":\"" DIGEST "\",\"tags\":[\"v1.2.0\",\"latest\"],\"reference\":\"v1.2.0\",\"media_type\":"  \
  "\"application/vnd.oci.image.index.v1+json\",\"kind\":\"index\",\"size\":56623104,\"children\":[" CHILD( \
      DIGEST_AMD64, "linux/amd64", "28311552") "," CHILD(DIGEST_ARM64, "linux/arm64", "28311000") "]}]"

enum {
  SCAN_S = 9,                // a scan took so long
  REPLICATION_S = 5,         // a replication began so long before its event
  REPOSITORY_S = 86400 * 30, // the repository is so old
};

// ---- data by type ---------------------------------------------------------------------------------------------------

// The report of a scan that began SCAN_S ago and ended now, if it did.
static struct str scan_data(const struct event_sample_input *input, const char *status, const char *severity,
                            const char *summary, const char *error, struct arena *arena) {
  char start[RFC3339_BYTES], end[RFC3339_BYTES];

  return arena_printf(
      arena,
      "{\"scan_type\":\"vulnerability\",\"scan_overview\":{\"application/vnd.security.vulnerability.report; "
      "version=1.1\":{\"report_id\":\"7c1bd6f0-2f56-4c3f-9a53-0f6c1f5e8a11\",\"scan_status\":\"%s\",\"severity\":\"%"
      "s\","
      "\"duration\":%d,\"summary\":%s,\"start_time\":\"%s\",\"end_time\":\"%s\",\"scanner\":{\"name\":\"Trivy\","
      "\"vendor\":\"Aqua Security\",\"version\":\"v0.70.0\"},\"complete_percent\":%d}}%s}",
      status, severity, SCAN_S, summary, rfc3339_write(input->now_us - SCAN_S * US_PER_S, 0, start),
      rfc3339_write(input->now_us, 0, end), str_eq_c(str_of(status), "Success") ? 100 : 0, error);
}

static struct str completed_data(const struct event_sample_input *input, struct arena *arena) {
  static const char SUMMARY[] = "{\"total\":19,\"fixable\":11,\"summary\":{\"Critical\":1,\"High\":3,\"Medium\":6,"
                                "\"Low\":7,\"Negligible\":2}}";

  return scan_data(input, "Success", "Critical", SUMMARY, "", arena);
}

static struct str failed_data(const struct event_sample_input *input, struct arena *arena) {
  return scan_data(input, "Error", "", "null",
                   ",\"error\":\"scanner Trivy: pull of the image failed: 401 Unauthorized\"", arena);
}

static struct str stopped_data(const struct event_sample_input *input, struct arena *arena) {
  return scan_data(input, "Stopped", "", "null", "", arena);
}

static struct str exceed_data(const struct event_sample_input *input, struct arena *arena) {
  (void)input;
  return arena_printf(arena,
                      "{\"details\":\"adding 2.1 MiB of storage resource, which when updated to current usage of "
                      "8.3 MiB will exceed the configured upper limit of 10.0 MiB.\",\"requested\":2202010,"
                      "\"used\":8703181,\"limit\":10485760,\"percent\":83}");
}

static struct str warning_data(const struct event_sample_input *input, struct arena *arena) {
  (void)input;
  return arena_printf(arena, "{\"details\":\"quota usage reach 85%%: resource storage used 9.0 MiB of 10.0 MiB\","
                             "\"requested\":524288,\"used\":9437184,\"limit\":10485760,\"percent\":90}");
}

// Harbor's `harbor_hostname`: without the port. Escaped, as it stands in a string.
static struct str host_name(const struct event_sample_input *input, struct arena *arena) {
  struct str host = input->registry_host;
  ptrdiff_t colon = str_rfind(host, ':');
  struct buf buf;

  if (colon > 0 && !str_ends(host, STR("]")))
    host = str_slice(host, 0, (size_t)colon);
  buf_init(&buf, 6 * EVENT_MAX_NAME_BYTES + sizeof "\"\"");
  struct json_writer w = json_writer_make(&buf, true);
  json_put_str(&w, host.len <= EVENT_MAX_NAME_BYTES ? host : str_slice(host, 0, EVENT_MAX_NAME_BYTES));
  struct str text = buf.failed ? (struct str){0} : arena_str(arena, str_slice(buf_str(&buf), 1, buf.len - 1));
  buf_free(&buf);
  return text;
}

static struct str replication_data(const struct event_sample_input *input, struct arena *arena) {
  struct str host = host_name(input, arena);

  if (!host.ptr)
    return host;
  return arena_printf(
      arena,
      "{\"harbor_hostname\":\"%.*s\",\"job_status\":\"Success\",\"description\":\"copy releases to the edge\","
      "\"artifact_type\":\"image\",\"authentication_type\":\"basic\",\"override_mode\":true,\"trigger_type\":"
      "\"MANUAL\","
      "\"policy_creator\":\"admin\",\"execution_timestamp\":%lld,\"src_resource\":{\"registry_type\":\"harbor\","
      "\"endpoint\":\"https://%.*s\",\"namespace\":\"%.*s\"},\"dest_resource\":{\"registry_name\":\"edge\","
      "\"registry_type\":\"docker-registry\",\"endpoint\":\"https://edge.example.com\",\"namespace\":\"mirror\"},"
      "\"successful_artifact\":[{\"type\":\"image\",\"status\":\"Success\",\"name_tag\":\"" REPOSITORY
      " [1 item(s) in total]\",\"references\":[\"v1.2.0\"]}],\"execution_id\":51,\"task_id\":88}",
      STR_ARG(host), (long long)(input->now_us / US_PER_S - REPLICATION_S), STR_ARG(host), STR_ARG(input->project));
}

static struct str retention_data(const struct event_sample_input *input, struct arena *arena) {
  struct str host = host_name(input, arena);

  if (!host.ptr)
    return host;
  return arena_printf(
      arena,
      "{\"total\":4,\"retained\":3,\"harbor_hostname\":\"%.*s\",\"project_name\":\"%.*s\",\"retention_policy_id\":2,"
      "\"retention_rule\":[{\"template\":\"latestPushedK\",\"params\":{\"latestPushedK\":3},\"tag_selectors\":[{"
      "\"kind\":"
      "\"doublestar\",\"decoration\":\"matches\",\"pattern\":\"**\",\"extras\":\"{\\\"untagged\\\":true}\"}],"
      "\"scope_selectors\":{\"repository\":[{\"kind\":\"doublestar\",\"decoration\":\"repoMatches\",\"pattern\":\"**\","
      "\"extras\":\"\"}]}}],\"result\":\"SUCCESS\",\"deleted_artifact\":[{\"type\":\"image\",\"status\":\"SUCCESS\","
      "\"name_tag\":\"" REPOSITORY ":v1.2.0\",\"references\":[\"v1.2.0\",\"latest\"]}]}",
      STR_ARG(host), STR_ARG(input->project));
}

static struct str no_data(const struct event_sample_input *input, struct arena *arena) {
  (void)input;
  return arena_str(arena, STR("null"));
}

static const struct {
  const char *artifacts;
  struct str (*data)(const struct event_sample_input *input, struct arena *arena); // ptr NULL when the arena is full
} SAMPLES[EVENT_TYPE_COUNT] = {
    [EVENT_PUSH_ARTIFACT] = {IMAGE, no_data},
    [EVENT_PULL_ARTIFACT] = {INDEX, no_data}, // so that some sample shows an index with what it lists
    [EVENT_DELETE_ARTIFACT] = {IMAGE, no_data},
    [EVENT_QUOTA_EXCEED] = {IMAGE, exceed_data},
    [EVENT_QUOTA_WARNING] = {IMAGE, warning_data},
    [EVENT_SCANNING_FAILED] = {IMAGE, failed_data},
    [EVENT_SCANNING_STOPPED] = {IMAGE, stopped_data},
    [EVENT_SCANNING_COMPLETED] = {IMAGE, completed_data},
    [EVENT_REPLICATION] = {IMAGE, replication_data},
    [EVENT_TAG_RETENTION] = {IMAGE, retention_data},
};

// ---- the event ------------------------------------------------------------------------------------------------------

static int no_memory(struct error *err) {
  return error_set(err, ERR_NO_MEMORY, "out of memory for a sample");
}

// What the server adds to a submission.
static int complete(const struct event_sample_input *input, struct arena *arena, struct event *out, struct error *err) {
  char id[UUID_TEXT_BYTES];

  out->id = input->id;
  out->project_id = input->project_id;
  out->occurred_at_us = input->now_us;
  out->trigger = STR(EVENT_SAMPLE_TRIGGER);
  out->client.address = STR("192.0.2.10"); // RFC 5737
  out->client.user_agent = STR("docker/27.5.1");
  out->client.request_id = arena_str(arena, str_of(uuid_write(&input->id, id)));
  out->repository.project = input->project;
  out->repository.is_public = input->is_public;
  out->repository.created_at_us = input->now_us - REPOSITORY_S * US_PER_S;
  out->source.kind = SOURCE_API;
  out->source.instance = STR_EMPTY;
  out->registry_host = input->registry_host;
  out->upstream_name = STR_EMPTY; // project/name, as of events without another
  return out->client.request_id.ptr ? 0 : no_memory(err);
}

int event_sample(const struct event_sample_input *input, struct arena *arena, struct event *out, struct error *err) {
  struct json_object *body;
  struct str data = SAMPLES[input->type].data(input, arena);

  if (!data.ptr)
    return no_memory(err);
  struct str text = arena_printf(arena,
                                 "{\"type\":\"%s\",\"actor\":{\"kind\":\"user\",\"name\":\"harbinger-test\"},"
                                 "\"repository\":{\"name\":\"" REPOSITORY "\"},\"artifacts\":%s,\"data\":%.*s}",
                                 event_type_name(input->type), SAMPLES[input->type].artifacts, STR_ARG(data));
  if (!text.ptr)
    return no_memory(err);
  int rc = json_parse(text, arena, &body, err);
  if (rc == 0)
    rc = event_read_submission(body, arena, out, err);
  return rc != 0 ? rc : complete(input, arena, out, err);
}
