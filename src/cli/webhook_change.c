// SPDX-License-Identifier: Apache-2.0
// webhook create, edit, enable, disable. An edit sends the whole webhook as the server showed it, with what was asked for
// changed: secrets are shown as a mask, and a mask sent back keeps the secret.
#include <stdio.h>

#include "base/json_writer.h"
#include "cli/terminal.h"
#include "cli/webhook.h"
#include "event/type.h"

enum { BODY_MAX_BYTES = 1024 * 1024 };

// What the options say; a NULL pointer or string: nothing.
struct change {
  const char *name, *description, *url, *type, *format;
  const char *events;      // by comma
  const char *auth_header; // "" takes it away
  const char *verify;      // "true" or "false"
  const char *extras, *strict_order, *tagged;
  const char *enabled;
};

static const char *given(const struct cli *cli, const char *option, const char *value) {
  return cli_flag(cli, option) ? value : NULL;
}

static int read_auth_header(struct cli *cli, const char **out, struct error *err) {
  char line[TERMINAL_LINE_BYTES];
  *out = cli_value(cli, "auth-header");
  if (!cli_flag(cli, "auth-header-stdin"))
    return 0;
  if (*out)
    return error_set(err, ERR_CONFIG, "give --auth-header or --auth-header-stdin, not both");
  int rc = terminal_read_line("auth header", line, err);
  if (rc == 0 && !(*out = arena_cstr(cli->arena, str_of(line))))
    rc = error_set(err, ERR_NO_MEMORY, "out of memory");
  explicit_bzero(line, sizeof line);
  return rc;
}

static int read_change(struct cli *cli, struct change *out, struct error *err) {
  *out = (struct change){
      .name = cli_value(cli, "name"),
      .description = cli_value(cli, "description"),
      .url = cli_value(cli, "url"),
      .type = cli_value(cli, "type"),
      .format = cli_value(cli, "format"),
      .events = cli_value(cli, "event"),
      .verify = given(cli, "skip-cert-verify", "false"),
      .extras = given(cli, "no-extras", "false"),
      .strict_order = given(cli, "strict-order", "true"),
      .tagged = given(cli, "tagged-only", "only"),
      .enabled = given(cli, "disabled", "false"),
  };
  if (cli_flag(cli, "verify-cert"))
    out->verify = "true";
  if (cli_flag(cli, "extras"))
    out->extras = "true";
  if (cli_flag(cli, "no-strict-order"))
    out->strict_order = "false";
  if (cli_flag(cli, "untagged-too"))
    out->tagged = "any";
  return read_auth_header(cli, &out->auth_header, err);
}

// ---- the body -----------------------------------------------------------------------------------------------------------

static void put_events(struct json_writer *w, const char *events, const struct json_object *old) {
  struct str rest = str_of(events), one;
  json_key(w, "event_types");
  if (!events && old) {
    json_put_value(w, old);
    return;
  }
  json_array_begin(w);
  for (int type = 0; !events && type < EVENT_TYPE_COUNT; type++)
    json_put_str(w, str_of(event_type_name((enum event_type)type)));
  while (events && str_next(&rest, ',', &one))
    if (str_trim(one).len > 0)
      json_put_str(w, str_trim(one));
  json_array_end(w);
}

static void put_text(struct json_writer *w, const char *key, const char *changed, const struct json_object *old,
                     const char *fallback) {
  struct str kept;
  if (!changed && json_get_str(old, key, &kept))
    json_field_str(w, key, kept);
  else if (changed || fallback)
    json_field_str(w, key, str_of(changed ? changed : fallback));
}

static void put_bool(struct json_writer *w, const char *key, const char *changed, const struct json_object *old,
                     bool fallback) {
  bool value = fallback;
  if (changed)
    value = str_eq_c(str_of(changed), "true");
  else
    (void)json_get_bool(old, key, &value);
  json_field_bool(w, key, value);
}

static void put_target(struct json_writer *w, const struct change *change, const struct json_object *old) {
  struct str type = STR("http");
  const char *auth_header = change->auth_header, *skip = NULL;
  if (change->verify)
    skip = str_eq_c(str_of(change->verify), "true") ? "false" : "true";
  (void)json_get_str(old, "type", &type);
  if (change->type)
    type = str_of(change->type);
  bool is_slack = str_eq_c(type, "slack");
  json_object_begin(w);
  json_field_str(w, "type", type);
  put_text(w, "address", change->url, old, "");
  put_text(w, "auth_header", auth_header, old, NULL);
  put_bool(w, "skip_cert_verify", skip, old, false);
  if (!is_slack || change->format)
    put_text(w, "payload_format", change->format, old, "Default");
  if (!old || change->extras || change->strict_order) {
    const struct json_object *extensions = json_get_object(old, "harbinger");
    json_key(w, "harbinger");
    json_object_begin(w);
    put_bool(w, "extras", change->extras, extensions, true);
    put_bool(w, "strict_order", change->strict_order, extensions, false);
    json_object_end(w);
  }
  json_object_end(w);
}

// `old` NULL: a new one, with our own defaults said explicitly.
static void put_policy(struct json_writer *w, const struct change *change, const struct json_object *old) {
  const struct json_object *targets = json_get_array(old, "targets");
  json_object_begin(w);
  put_text(w, "name", change->name, old, "");
  put_text(w, "description", change->description, old, NULL);
  put_bool(w, "enabled", change->enabled, old, true);
  put_events(w, change->events, json_get_array(old, "event_types"));
  json_key(w, "targets");
  json_array_begin(w);
  put_target(w, change, json_array_at(targets, 0));
  for (size_t i = 1; i < json_array_len(targets); i++)
    json_put_value(w, json_array_at(targets, i));
  json_array_end(w);
  if (!old || change->tagged) {
    json_key(w, "harbinger");
    json_object_begin(w);
    json_field_str(w, "tagged", str_of(change->tagged ? change->tagged : "any"));
    json_object_end(w);
  }
  json_object_end(w);
}

static int send_policy(struct cli *cli, const char *method, struct str path, const struct change *change,
                       const struct json_object *old, struct api_answer *answer, struct error *err) {
  struct buf body;
  buf_init(&body, BODY_MAX_BYTES);
  struct json_writer w = json_writer_make(&body, false);
  put_policy(&w, change, old);
  int rc = body.failed ? error_set(err, ERR_TOO_LARGE, "the webhook is larger than %d bytes", BODY_MAX_BYTES)
                       : cli_call(cli, method, path, buf_str(&body), answer, err);
  buf_free(&body);
  return rc;
}

// ---- the commands -------------------------------------------------------------------------------------------------------

static int run_create(struct cli *cli, struct error *err) {
  struct change change;
  struct str path;
  struct api_answer answer;
  char words[256];
  int rc = cli_project_path(cli, "/webhook/policies", &path, err);
  if (rc == 0)
    rc = read_change(cli, &change, err);
  if (rc == 0 && (!change.name || !change.url))
    rc = error_set(err, ERR_CONFIG, "--name NAME and --url URL are needed; see `harbinger webhook create --help`");
  if (rc == 0)
    rc = send_policy(cli, "POST", path, &change, NULL, &answer, err);
  if (rc != 0)
    return rc;
  struct str id = str_from(answer.location, (size_t)(str_rfind(answer.location, '/') + 1));
  (void)snprintf(words, sizeof words, "created webhook %s (id %.*s)", change.name, STR_ARG(id));
  return webhook_show_changed(cli, answer.location, words, err);
}

static int change_one(struct cli *cli, const struct change *change, const char *done, struct error *err) {
  struct json_object *policy;
  struct api_answer answer;
  struct str path;
  char words[256];
  int rc = webhook_find(cli, cli->operands[0], &path, &policy, err);
  if (rc == 0)
    rc = send_policy(cli, "PUT", path, change, policy, &answer, err);
  if (rc != 0)
    return rc;
  (void)snprintf(words, sizeof words, "%s webhook %s", done, cli->operands[0]);
  return webhook_show_changed(cli, path, words, err);
}

static int run_edit(struct cli *cli, struct error *err) {
  struct change change;
  int rc = read_change(cli, &change, err);
  return rc == 0 ? change_one(cli, &change, "changed", err) : rc;
}

static int run_enable(struct cli *cli, struct error *err) {
  const struct change change = {.enabled = "true"};
  return change_one(cli, &change, "enabled", err);
}

static int run_disable(struct cli *cli, struct error *err) {
  const struct change change = {.enabled = "false"};
  return change_one(cli, &change, "disabled", err);
}

#define CHANGE_OPTIONS                                                                                             \
  CLI_PROJECT_OPTION, {"name", "NAME", "its name"}, {"url", "URL", "http or https address of the receiver"},       \
      {"type", "TYPE", "http (default) or slack"}, {"format", "FORMAT", "Default or CloudEvents; not with slack"}, \
      {"event", "TYPE[,TYPE]", "event types; see `harbinger webhook events` (default: all)"},                      \
      {"description", "TEXT", "what it is for"},                                                                   \
      {"auth-header", "VALUE", "Authorization header to send (others on this machine can see it; see the next)"},  \
      {"auth-header-stdin", NULL, "read the Authorization header from standard input"},                            \
      {"skip-cert-verify", NULL, "accept any certificate of the receiver"},                                        \
      {"no-extras", NULL, "Harbor's bytes exactly, without the member `harbinger`"},                               \
      {"strict-order", NULL, "one delivery after the other, in the order of the events"}, {                        \
    "tagged-only", NULL, "only events of artifacts with a tag"                                                     \
  }

static const struct cli_option CREATE_OPTIONS[] = {
    CHANGE_OPTIONS, {"disabled", NULL, "make it without switching it on"}, {0}};
static const struct cli_option EDIT_OPTIONS[] = {
    CHANGE_OPTIONS,
    {"verify-cert", NULL, "check the receiver's certificate"},
    {"extras", NULL, "with the member `harbinger`"},
    {"no-strict-order", NULL, "no delivery waits for the one before it"},
    {"untagged-too", NULL, "events of artifacts without a tag, too"},
    {0},
};
static const struct cli_option SWITCH_OPTIONS[] = {CLI_PROJECT_OPTION, {0}};

const struct cli_command cli_webhook_change_commands[] = {
    {.noun = "webhook",
     .verb = "create",
     .summary = "make a webhook, switched on and checking certificates",
     .options = CREATE_OPTIONS,
     .examples =
         "harbinger webhook create --project team-a --name ci --url https://ci.example.com/hook\n"
         "harbinger webhook create --project team-a --name chat --type slack --url "
         "https://hooks.slack.com/services/...\n"
         "printf '%s\\n' \"Bearer $TOKEN\" | harbinger webhook create --project team-a --name ci --url $URL \\\n"
         "    --format CloudEvents --event PUSH_ARTIFACT,DELETE_ARTIFACT --auth-header-stdin\n",
     .run = run_create},
    {.noun = "webhook",
     .verb = "edit",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "change what is named and nothing else; of several targets the first",
     .options = EDIT_OPTIONS,
     .examples = "harbinger webhook edit ci --project team-a --url https://ci2.example.com/hook\n"
                 "harbinger webhook edit ci --project team-a --event PUSH_ARTIFACT --tagged-only\n"
                 "harbinger webhook edit deploy --project team-a --strict-order\n",
     .run = run_edit},
    {.noun = "webhook",
     .verb = "enable",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "switch a webhook on",
     .options = SWITCH_OPTIONS,
     .examples = "harbinger webhook enable ci --project team-a\n",
     .run = run_enable},
    {.noun = "webhook",
     .verb = "disable",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "switch a webhook off and cancel what it still had to deliver",
     .options = SWITCH_OPTIONS,
     .examples = "harbinger webhook disable ci --project team-a\n",
     .run = run_disable},
    {0},
};
