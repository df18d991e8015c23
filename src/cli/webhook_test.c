// SPDX-License-Identifier: Apache-2.0
// webhook test, sample: send the sample of an event to a target and show what came back; the body of a sample.
#include <stdio.h>

#include "base/json_writer.h"
#include "cli/terminal.h"
#include "cli/webhook.h"
#include "policy/policy.h"

enum { BODY_MAX_BYTES = 4096, SHOWN_MAX_BYTES = 4 * 1024 * 1024 };

static const struct table_column FIELDS[] = {
    {"Address", "address"},
    {"Event", "event_type"},
    {"Event id", "event_id"},
    {"Outcome", "outcome"},
    {"Answer", "status"},
    {"Words", "error"},
    {"Name resolved, us", "timings_us.dns"},
    {"Connected, us", "timings_us.connect"},
    {"TLS, us", "timings_us.tls"},
    {"First byte, us", "timings_us.first_byte"},
    {"Total, us", "timings_us.total"},
};

// ---- webhook test ---------------------------------------------------------------------------------------------------

static void print_lines(const char *title, const struct json_object *lines) {
  if (json_array_len(lines) == 0)
    return;
  printf("\n%s:\n", title);
  for (size_t i = 0; i < json_array_len(lines); i++) {
    printf("  ");
    terminal_print(stdout, json_str(json_array_at(lines, i)));
    printf("\n");
  }
}

// Line by line, so that what a receiver lays out in lines can be read; nothing else of it moves the cursor.
static void print_body(const char *title, const struct json_object *answer, const char *key, const char *note) {
  struct str text, line;
  if (!json_get_str(answer, key, &text) || text.len == 0)
    return;
  printf("\n%s%s:\n", title, note);
  while (text.len > 0 && str_next(&text, '\n', &line)) {
    printf("  ");
    terminal_print(stdout, line);
    printf("\n");
  }
}

static void print_test(const struct json_object *answer, struct arena *arena) {
  bool truncated = false;
  (void)json_get_bool(answer, "response_truncated", &truncated);
  table_print_fields(stdout, FIELDS, ARRAY_LEN(FIELDS), answer, arena);
  print_lines("Sent headers", json_get_array(answer, "request_headers"));
  print_body("Sent body", answer, "request_body", "");
  print_lines("Answer's headers", json_get_array(answer, "response_headers"));
  print_body("Answer's body", answer, "response_body", truncated ? ", the beginning" : "");
}

static int write_request(struct cli *cli, struct str *out, struct error *err) {
  const char *event = cli_value(cli, "event");
  int64_t target;
  int rc = cli_number(cli, "target", 0, 0, POLICY_MAX_TARGETS - 1, &target, err);
  if (rc != 0)
    return rc;
  struct buf buf;
  buf_init(&buf, BODY_MAX_BYTES);
  struct json_writer w = json_writer_make(&buf, false);
  json_object_begin(&w);
  if (event)
    json_field_str(&w, "event_type", str_of(event));
  json_field_i64(&w, "target", target);
  json_object_end(&w);
  *out = buf.failed ? (struct str){0} : arena_str(cli->arena, buf_str(&buf));
  buf_free(&buf);
  return out->ptr ? 0 : error_set(err, ERR_CONFIG, "--event takes the name of an event type");
}

// Not 0 unless the receiver took it, so that scripts can ask.
static int judge(const struct json_object *answer, struct error *err) {
  struct str outcome = STR_EMPTY, words = STR_EMPTY;
  (void)json_get_str(answer, "outcome", &outcome);
  (void)json_get_str(answer, "error", &words);
  if (str_eq_c(outcome, "success"))
    return 0;
  return error_set(err, ERR_UNAVAILABLE, "the test was no success: %.*s", STR_ARG(words.len > 0 ? words : outcome));
}

static int run_test(struct cli *cli, struct error *err) {
  struct json_object *policy;
  struct api_answer answer;
  struct str path, body;
  int rc = write_request(cli, &body, err);
  if (rc == 0)
    rc = webhook_find(cli, cli->operands[0], &path, &policy, err);
  if (rc != 0)
    return rc;
  path = arena_printf(cli->arena, "%.*s/test", STR_ARG(path));
  if (!path.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  rc = cli_call(cli, "POST", path, body, &answer, err);
  if (rc != 0)
    return rc;
  if (cli->json)
    cli_print_json(&answer);
  else
    print_test(answer.json, cli->arena);
  return judge(answer.json, err);
}

// ---- webhook sample -------------------------------------------------------------------------------------------------

// The query: Slack is a type of its own, the others are formats of http.
static int sample_path(struct cli *cli, struct str *out, struct error *err) {
  const char *event = cli_value(cli, "event"), *format = cli_value(cli, "format");
  struct str path;
  if (!event)
    return error_set(err, ERR_CONFIG, "name the event type with --event TYPE; `harbinger webhook events` lists them");
  int rc = cli_project_path(cli, "/webhook/sample", &path, err);
  if (rc != 0)
    return rc;
  struct str type = api_client_escape(str_of(event), cli->arena);
  struct str escaped = api_client_escape(str_of(format ? format : "Default"), cli->arena);
  if (!type.ptr || !escaped.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  bool is_slack = str_ieq_c(escaped, "slack");
  *out = arena_printf(cli->arena, "%.*s?event_type=%.*s&extras=%s&%s%.*s", STR_ARG(path), STR_ARG(type),
                      cli_flag(cli, "no-extras") ? "false" : "true",
                      is_slack ? "notify_type=slack" : "payload_format=", is_slack ? 0 : (int)escaped.len, escaped.ptr);
  return out->ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory");
}

static int run_sample(struct cli *cli, struct error *err) {
  struct api_answer answer;
  struct str path, body;
  int rc = sample_path(cli, &path, err);
  if (rc == 0)
    rc = cli_call(cli, "GET", path, STR_EMPTY, &answer, err);
  if (rc != 0)
    return rc;
  if (cli->json) {
    cli_print_json(&answer);
    return 0;
  }
  struct buf text;
  buf_init(&text, SHOWN_MAX_BYTES);
  if (json_get_str(answer.json, "body", &body))
    terminal_put_json(&text, body);
  (void)fwrite(text.ptr ? text.ptr : "", 1, text.len, stdout);
  (void)fputc('\n', stdout);
  buf_free(&text);
  return 0;
}

static const struct cli_option TEST_OPTIONS[] = {
    CLI_PROJECT_OPTION,
    {"event", "TYPE", "which event's sample (default: the first that the webhook asks for)"},
    {"target", "N", "which of its targets, from 0 (default 0)"},
    {0},
};
static const struct cli_option SAMPLE_OPTIONS[] = {
    CLI_PROJECT_OPTION,
    {"event", "TYPE", "which event's sample"},
    {"format", "FORMAT", "Default, CloudEvents or Slack (default Default)"},
    {"no-extras", NULL, "without the member harbinger: Harbor's bytes"},
    {0},
};

const struct cli_command cli_webhook_test_commands[] = {
    {.noun = "webhook",
     .verb = "test",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "send the sample of an event now, enabled or not, and show the answer; fails unless it is a success",
     .options = TEST_OPTIONS,
     .examples = "harbinger webhook test ci --project team-a\n"
                 "harbinger webhook test ci --project team-a --event SCANNING_COMPLETED --target 1 --json\n",
     .run = run_test},
    {.noun = "webhook",
     .verb = "sample",
     .summary = "print the body that a webhook would be sent for an event",
     .options = SAMPLE_OPTIONS,
     .examples = "harbinger webhook sample --project team-a --event PUSH_ARTIFACT\n"
                 "harbinger webhook sample --project team-a --event QUOTA_WARNING --format Slack\n",
     .run = run_sample},
    {0},
};
