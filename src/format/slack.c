// SPDX-License-Identifier: Apache-2.0
// A Slack message: what happened, to what, by whom, when, with the essentials and a link. Strict JSON;
// tests/golden/README.md gives the layout.
#include "base/rfc3339.h"
#include "format/body.h"
#include "format/slack_text.h"

enum { MESSAGE_TEXT_BYTES = 64 * 1024, PORTAL_URL_MAX_BYTES = 1000 };

struct slack {
  const struct event *event;
  struct arena *scratch;
  struct json_writer *w;
  struct buf text; // the text that is being put together
};

// The first values of a list, and how many there are.
struct values {
  struct str first[SLACK_LISTED_VALUES];
  size_t len;
};

static void values_add(struct values *values, struct str value) {
  if (value.len == 0)
    return;
  if (values->len < SLACK_LISTED_VALUES)
    values->first[values->len] = value;
  values->len++;
}

static struct str made(struct slack *slack, struct str text) {
  if (text.ptr)
    return text;
  slack->w->buf->failed = true;
  return STR_EMPTY;
}

// ---- JSON of Block Kit ----------------------------------------------------------------------------------------------

static void put_text(struct slack *slack, const char *key) {
  if (slack->text.failed)
    slack->w->buf->failed = true;
  if (slack->text.no_memory)
    slack->w->buf->no_memory = true;
  json_field_str(slack->w, key, buf_str(&slack->text));
  buf_clear(&slack->text);
}

// `"verbatim":true`: Slack links nothing by itself.
static void put_mrkdwn(struct slack *slack) {
  json_object_begin(slack->w);
  json_field_str(slack->w, "type", STR("mrkdwn"));
  put_text(slack, "text");
  json_field_bool(slack->w, "verbatim", true);
  json_object_end(slack->w);
}

static void put_plain_text(struct slack *slack) {
  json_key(slack->w, "text");
  json_object_begin(slack->w);
  json_field_str(slack->w, "type", STR("plain_text"));
  put_text(slack, "text");
  json_field_bool(slack->w, "emoji", false);
  json_object_end(slack->w);
}

static void block_begin(struct slack *slack, const char *type) {
  json_object_begin(slack->w);
  json_field_str(slack->w, "type", str_of(type));
}

// ---- Title and subject ----------------------------------------------------------------------------------------------

static const char *replication_title(struct str job_status) {
  if (str_eq_c(job_status, "Running"))
    return "Replication running";
  if (str_eq_c(job_status, "Success"))
    return "Replication succeeded";
  if (str_eq_c(job_status, "Error"))
    return "Replication failed";
  return str_eq_c(job_status, "Stopped") ? "Replication stopped" : "Replication changed";
}

static const char *title(const struct event *event) {
  static const char *const TITLES[EVENT_TYPE_COUNT] = {
      [EVENT_PUSH_ARTIFACT] = "Artifact pushed",        [EVENT_PULL_ARTIFACT] = "Artifact pulled",
      [EVENT_DELETE_ARTIFACT] = "Artifact deleted",     [EVENT_QUOTA_EXCEED] = "Quota exceeded",
      [EVENT_QUOTA_WARNING] = "Quota near its limit",   [EVENT_SCANNING_FAILED] = "Scan failed",
      [EVENT_SCANNING_STOPPED] = "Scan stopped",        [EVENT_SCANNING_COMPLETED] = "Scan completed",
      [EVENT_TAG_RETENTION] = "Tag retention finished",
  };

  if (event->type == EVENT_REPLICATION)
    return replication_title(event->data.replication.job_status);
  return (size_t)event->type < EVENT_TYPE_COUNT ? TITLES[event->type] : "";
}

static struct str subject(struct slack *slack) {
  const struct event *event = slack->event;

  if (event_type_is_quota(event->type))
    return event->repository.project;
  if (event->type == EVENT_REPLICATION || event->type == EVENT_TAG_RETENTION || event->artifacts_len == 0)
    return made(slack, event_repo_full_name(event, slack->scratch));
  return made(slack, event_artifact_name(event, &event->artifacts[0], slack->scratch));
}

static void write_summary(struct slack *slack) {
  buf_printf(&slack->text, "%s: ", title(slack->event));
  slack_put(&slack->text, SLACK_CODE, subject(slack), SLACK_VALUE_CHARS);
  if (slack->event->actor.name.len > 0) {
    buf_put_c(&slack->text, " by ");
    slack_put(&slack->text, SLACK_CODE, slack->event->actor.name, SLACK_VALUE_CHARS);
  }
  put_text(slack, "text");
}

static void write_header(struct slack *slack) {
  struct str text = made(slack, arena_printf(slack->scratch, "%s: %.*s", title(slack->event), STR_ARG(subject(slack))));

  block_begin(slack, "header");
  slack_put(&slack->text, SLACK_LINE, text, SLACK_HEADER_CHARS);
  put_plain_text(slack);
  json_object_end(slack->w);
}

// ---- Fields ---------------------------------------------------------------------------------------------------------

static void label(struct slack *slack, const char *name) {
  buf_printf(&slack->text, "*%s*\n", name);
}

static void field_code(struct slack *slack, const char *name, struct str value) {
  if (value.len == 0)
    return;
  label(slack, name);
  slack_put(&slack->text, SLACK_CODE, value, SLACK_VALUE_CHARS);
  put_mrkdwn(slack);
}

static void field_size(struct slack *slack, const char *name, int64_t size_bytes) {
  if (size_bytes < 0)
    return;
  label(slack, name);
  slack_put_size(&slack->text, size_bytes);
  put_mrkdwn(slack);
}

static void field_list(struct slack *slack, const char *name, const struct values *values) {
  size_t max_chars = values->len > 1 ? SLACK_LISTED_VALUE_CHARS : SLACK_VALUE_CHARS;

  if (values->len == 0)
    return;
  label(slack, name);
  for (size_t i = 0; i < values->len && i < SLACK_LISTED_VALUES; i++) {
    if (i > 0)
      buf_put_char(&slack->text, '\n');
    slack_put(&slack->text, SLACK_CODE, values->first[i], max_chars);
  }
  if (values->len > SLACK_LISTED_VALUES)
    buf_printf(&slack->text, "\nand %zu more", values->len - SLACK_LISTED_VALUES);
  put_mrkdwn(slack);
}

static void write_artifact_fields(struct slack *slack) {
  const struct event *event = slack->event;
  struct values names = {.len = 0}, tags = {.len = 0}, digests = {.len = 0};
  bool resource = event->type == EVENT_PUSH_ARTIFACT || event->type == EVENT_PULL_ARTIFACT ||
                  event->type == EVENT_DELETE_ARTIFACT || event_type_is_scan(event->type);

  for (size_t i = 0; i < event->artifacts_len; i++) {
    const struct event_artifact *artifact = &event->artifacts[i];
    values_add(&names, made(slack, event_artifact_name(event, artifact, slack->scratch)));
    values_add(&digests, artifact->digest);
    for (size_t j = 0; j < artifact->tags_len; j++)
      values_add(&tags, artifact->tags[j]);
  }
  field_list(slack, "Artifact", &names);
  field_list(slack, "Tags", &tags);
  field_list(slack, "Digest", &digests);
  if (resource && event->artifacts_len > 0)
    field_code(slack, "Resource", made(slack, event_resource_url(event, &event->artifacts[0], slack->scratch)));
  if (event->artifacts_len == 1)
    field_size(slack, "Size", event->artifacts[0].size_bytes);
}

static void write_scan_fields(struct slack *slack) {
  const struct event_scan *scan = &slack->event->data.scan;

  field_code(slack, "Status", scan->status);
  if (scan->has_counts) {
    label(slack, "Findings");
    buf_printf(&slack->text, "%lld critical, %lld major, %lld minor", (long long)scan->critical, (long long)scan->major,
               (long long)scan->minor);
    put_mrkdwn(slack);
  } else {
    field_code(slack, "SBOM", scan->sbom_digest);
  }
  field_code(slack, "Completed", scan->completed_at);
}

static void write_quota_fields(struct slack *slack) {
  const struct event_quota *quota = &slack->event->data.quota;

  field_size(slack, "Requested", quota->requested_bytes);
  if (quota->used_bytes < 0)
    return;
  label(slack, "Used");
  slack_put_size(&slack->text, quota->used_bytes);
  if (quota->limit_bytes >= 0) {
    buf_put_c(&slack->text, " of ");
    slack_put_size(&slack->text, quota->limit_bytes);
  }
  if (quota->percent >= 0)
    buf_printf(&slack->text, " (%lld%%)", (long long)quota->percent);
  put_mrkdwn(slack);
}

static void write_replication_fields(struct slack *slack) {
  const struct event_replication *replication = &slack->event->data.replication;

  field_code(slack, "Status", replication->job_status);
  field_code(slack, "Source", replication->src);
  field_code(slack, "Destination", replication->dest);
  field_code(slack, "Trigger", replication->trigger_type);
}

static void write_retention_fields(struct slack *slack) {
  const struct event_retention *retention = &slack->event->data.retention;

  if (retention->object.len == 0)
    return;
  field_code(slack, "Status", retention->result);
  label(slack, "Deleted");
  buf_put_i64(&slack->text, retention->deleted);
  put_mrkdwn(slack);
  label(slack, "Kept");
  buf_printf(&slack->text, "%lld of %lld", (long long)retention->retained, (long long)retention->total);
  put_mrkdwn(slack);
}

static void write_fields(struct slack *slack) {
  const struct event *event = slack->event;

  block_begin(slack, "section");
  json_key(slack->w, "fields");
  json_array_begin(slack->w);
  field_code(slack, "Project", event->repository.project);
  field_code(slack, "Repository", event->repository.name);
  write_artifact_fields(slack);
  if (event_type_is_scan(event->type))
    write_scan_fields(slack);
  else if (event_type_is_quota(event->type))
    write_quota_fields(slack);
  else if (event->type == EVENT_REPLICATION)
    write_replication_fields(slack);
  else if (event->type == EVENT_TAG_RETENTION)
    write_retention_fields(slack);
  json_array_end(slack->w);
  json_object_end(slack->w);
}

// ---- Details and context --------------------------------------------------------------------------------------------

static struct str details_of(const struct event *event) {
  if (event_type_is_scan(event->type))
    return event->data.scan.error;
  if (event_type_is_quota(event->type))
    return event->data.quota.details;
  if (event->type != EVENT_REPLICATION)
    return STR_EMPTY;
  const struct event_replication *replication = &event->data.replication;
  return replication->fail_reason.len > 0 ? replication->fail_reason : replication->description;
}

static void write_details(struct slack *slack) {
  struct str details = details_of(slack->event);

  if (details.len == 0)
    return;
  block_begin(slack, "section");
  slack_put(&slack->text, SLACK_DETAILS, details, SLACK_DETAILS_CHARS);
  put_plain_text(slack);
  json_object_end(slack->w);
}

static void write_actor(struct slack *slack) {
  const struct event *event = slack->event;

  if (event->actor.name.len == 0 && event->actor.kind != ACTOR_ANONYMOUS)
    return;
  buf_put_c(&slack->text, "By ");
  if (event->actor.name.len > 0)
    slack_put(&slack->text, SLACK_CODE, event->actor.name, SLACK_VALUE_CHARS);
  else
    buf_put_c(&slack->text, "anonymous");
  put_mrkdwn(slack);
}

static void write_link(struct slack *slack, struct str portal_url) {
  if (portal_url.len == 0 || portal_url.len > PORTAL_URL_MAX_BYTES)
    return;
  buf_printf(&slack->text, "<%.*s/harbor/projects/%lld/webhook|Open in Harbinger>", STR_ARG(portal_url),
             (long long)slack->event->project_id);
  put_mrkdwn(slack);
}

static void write_context(struct slack *slack, struct str portal_url) {
  const struct event *event = slack->event;
  char id[UUID_TEXT_BYTES], time[RFC3339_BYTES];

  block_begin(slack, "context");
  json_key(slack->w, "elements");
  json_array_begin(slack->w);
  write_actor(slack);
  buf_printf(&slack->text, "<!date^%lld^{date_short_pretty} {time}|%s>",
             (long long)body_unix_seconds(event->occurred_at_us), rfc3339_write(event->occurred_at_us, 0, time));
  put_mrkdwn(slack);
  buf_put_c(&slack->text, "Event ");
  slack_put(&slack->text, SLACK_CODE, str_of(uuid_write(&event->id, id)), SLACK_VALUE_CHARS);
  put_mrkdwn(slack);
  write_link(slack, portal_url);
  json_array_end(slack->w);
  json_object_end(slack->w);
}

int slack_render(const struct format_input *input, struct arena *scratch, struct buf *out, struct error *err) {
  struct json_writer w = json_writer_make(out, true);
  struct slack slack = {.event = input->event, .scratch = scratch, .w = &w};

  (void)err;
  buf_init(&slack.text, MESSAGE_TEXT_BYTES);
  json_object_begin(&w);
  write_summary(&slack);
  json_key(&w, "blocks");
  json_array_begin(&w);
  write_header(&slack);
  write_fields(&slack);
  write_details(&slack);
  write_context(&slack, input->portal_url);
  json_array_end(&w);
  json_object_end(&w);
  buf_free(&slack.text);
  return 0;
}
