// SPDX-License-Identifier: Apache-2.0
// webhook ls, show, rm, events.
#include "cli/webhook.h"

#include <stdio.h>

#include "event/type.h"

static const char POLICIES[] = "/webhook/policies";

static const struct table_column COLUMNS[] = {
    {"ID", "id"},
    {"NAME", "name"},
    {"ENABLED", "enabled"},
    {"TYPE", "targets.0.type"},
    {"FORMAT", "targets.0.payload_format"},
    {"ADDRESS", "targets.0.address"},
    {"EVENTS", "event_types"},
};

const struct table_column webhook_fields[] = {
    {"Name", "name"},
    {"Id", "id"},
    {"Enabled", "enabled"},
    {"Description", "description"},
    {"Events", "event_types"},
    {"Tagged", "harbinger.tagged"},
    {"Warning", "harbinger.warning"},
    {"Type", "targets.0.type"},
    {"Address", "targets.0.address"},
    {"Format", "targets.0.payload_format"},
    {"Auth header", "targets.0.auth_header"},
    {"Certificate check off", "targets.0.skip_cert_verify"},
    {"Extras", "targets.0.harbinger.extras"},
    {"Strict order", "targets.0.harbinger.strict_order"},
    {"Paused", "harbinger.paused"},
    {"Suspended", "targets.0.harbinger.suspended_reason"},
    {"Suspended since", "harbinger.suspended.0.since"},
    {"Further targets", "targets.1.address"},
    {"Creator", "creator"},
    {"Created", "creation_time"},
    {"Updated", "update_time"},
};
const size_t webhook_fields_len = ARRAY_LEN(webhook_fields);

static int by_name(struct cli *cli, const char *name, struct str policies, struct json_object **found,
                   struct error *err) {
  struct api_answer answer;
  struct str path = arena_printf(cli->arena, "%.*s?page_size=0", STR_ARG(policies)), text;
  *found = NULL;
  int rc =
      path.ptr ? cli_call(cli, "GET", path, STR_EMPTY, &answer, err) : error_set(err, ERR_NO_MEMORY, "out of memory");
  if (rc != 0)
    return rc;
  for (size_t i = 0; i < json_array_len(answer.json); i++) {
    struct json_object *policy = json_array_at(answer.json, i);
    if (json_get_str(policy, "name", &text) && str_eq_c(text, name))
      *found = policy;
  }
  return 0;
}

int webhook_find(struct cli *cli, const char *name, struct str *path, struct json_object **policy, struct error *err) {
  struct str policies;
  struct api_answer answer;
  int64_t id;
  int rc = cli_project_path(cli, POLICIES, &policies, err);
  if (rc == 0)
    rc = by_name(cli, name, policies, policy, err);
  if (rc != 0)
    return rc;
  bool named = *policy && json_get_i64(*policy, "id", &id);
  if (!named && !str_to_i64(str_of(name), &id))
    return error_set(err, ERR_NOT_FOUND,
                     "project %s has no webhook `%s`; `harbinger webhook ls --project %s` lists "
                     "them",
                     cli_value(cli, "project"), name, cli_value(cli, "project"));
  *path = arena_printf(cli->arena, "%.*s/%lld", STR_ARG(policies), (long long)id);
  if (!path->ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  if (named)
    return 0;
  rc = cli_call(cli, "GET", *path, STR_EMPTY, &answer, err);
  *policy = answer.json;
  return rc;
}

int webhook_show_changed(struct cli *cli, struct str path, const char *words, struct error *err) {
  if (cli->json)
    return cli_show_object(cli, path, webhook_fields, webhook_fields_len, err);
  cli_say(cli, "%s", words);
  return 0;
}

static int run_ls(struct cli *cli, struct error *err) {
  struct str path;
  int rc = cli_project_path(cli, POLICIES, &path, err);
  if (rc != 0)
    return rc;
  return cli_show_list(cli, path, COLUMNS, ARRAY_LEN(COLUMNS), "no webhook yet: `harbinger webhook create` makes one",
                       err);
}

static int run_show(struct cli *cli, struct error *err) {
  struct str path;
  struct json_object *policy;
  int rc = webhook_find(cli, cli->operands[0], &path, &policy, err);
  if (rc != 0)
    return rc;
  if (cli->json)
    return cli_show_object(cli, path, webhook_fields, webhook_fields_len, err);
  table_print_fields(stdout, webhook_fields, webhook_fields_len, policy, cli->arena);
  return 0;
}

static int run_rm(struct cli *cli, struct error *err) {
  struct str path;
  struct json_object *policy;
  struct api_answer answer;
  int rc = webhook_find(cli, cli->operands[0], &path, &policy, err);
  if (rc == 0)
    rc = cli_call(cli, "DELETE", path, STR_EMPTY, &answer, err);
  if (rc == 0)
    cli_say(cli, "removed webhook %s; what it still had to deliver is cancelled", cli->operands[0]);
  return rc;
}

static int run_events(struct cli *cli, struct error *err) {
  struct str path;
  struct api_answer answer;
  int rc = cli_project_path(cli, "/webhook/events", &path, err);
  if (rc == 0)
    rc = cli_call(cli, "GET", path, STR_EMPTY, &answer, err);
  if (rc != 0)
    return rc;
  if (cli->json) {
    cli_print_json(&answer);
    return 0;
  }
  const struct json_object *types = json_get_array(answer.json, "event_type");
  for (size_t i = 0; i < json_array_len(types); i++) {
    struct str name = json_str(json_array_at(types, i));
    enum event_type type;
    cli_say(cli, "%-20.*s %s", STR_ARG(name), event_type_read(name, &type) ? event_type_label(type) : "");
  }
  return 0;
}

static const struct cli_option OPTIONS[] = {CLI_PROJECT_OPTION, {0}};

const struct cli_command cli_webhook_commands[] = {
    {.noun = "webhook",
     .verb = "ls",
     .summary = "list the webhooks of a project",
     .options = OPTIONS,
     .examples = "harbinger webhook ls --project team-a\n",
     .run = run_ls},
    {.noun = "webhook",
     .verb = "show",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "show one webhook",
     .options = OPTIONS,
     .examples = "harbinger webhook show ci --project team-a\n"
                 "harbinger webhook show 3 --project team-a --json\n",
     .run = run_show},
    {.noun = "webhook",
     .verb = "rm",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "remove a webhook and cancel what it still had to deliver",
     .options = OPTIONS,
     .examples = "harbinger webhook rm ci --project team-a\n",
     .run = run_rm},
    {.noun = "webhook",
     .verb = "events",
     .summary = "list the event types a webhook can ask for",
     .options = OPTIONS,
     .examples = "harbinger webhook events --project team-a\n",
     .run = run_events},
    {0},
};
