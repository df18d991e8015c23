// SPDX-License-Identifier: Apache-2.0
// delivery ls, show, redeliver.
#include <stdio.h>

#include "cli/webhook.h"

static const struct table_column COLUMNS[] = {
    {"ID", "id"},
    {"EVENT", "event_type"},
    {"STATUS", "status"},
    {"ATTEMPTS", "attempts"},
    {"ANSWER", "last_status"},
    {"CREATED", "created_at"},
    {"NEXT TRY", "next_try_at"},
    {"WORDS", "last_error"},
};
static const struct table_column FIELDS[] = {
    {"Id", "id"},
    {"Event", "event_type"},
    {"Event id", "event_id"},
    {"Webhook", "policy_id"},
    {"Type", "target_type"},
    {"Address", "address"},
    {"Status", "status"},
    {"State", "state"},
    {"Suspended", "suspended_reason"},
    {"Paused", "lane.paused"},
    {"Breaker open", "lane.breaker_open"},
    {"Created", "created_at"},
    {"Started", "started_at"},
    {"Ended", "ended_at"},
    {"Next try", "next_try_at"},
    {"Last answer", "last_status"},
    {"Words", "last_error"},
    {"Payload", "payload"},
};
static const struct table_column ATTEMPT_COLUMNS[] = {
    {"ATTEMPT", "number"},
    {"STARTED", "started_at"},
    {"OUTCOME", "outcome"},
    {"ANSWER", "status"},
    {"MICROSECONDS", "timings_us.total"},
    {"WORDS", "error"},
};

static int delivery_path(struct cli *cli, const char *rest, struct str *path, struct error *err) {
  int64_t id;
  if (!str_to_i64(str_of(cli->operands[0]), &id))
    return error_set(err, ERR_CONFIG, "`%s` is not the number of a delivery; `harbinger delivery ls` shows them",
                     cli->operands[0]);
  int rc = cli_project_path(cli, "/webhook/deliveries/", path, err);
  if (rc != 0)
    return rc;
  *path = arena_printf(cli->arena, "%.*s%lld%s", STR_ARG(*path), (long long)id, rest);
  return path->ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory");
}

static int run_ls(struct cli *cli, struct error *err) {
  const char *webhook = cli_value(cli, "webhook"), *status = cli_value(cli, "status");
  struct json_object *policy;
  struct str path;
  if (!webhook)
    return error_set(err, ERR_CONFIG, "name the webhook with --webhook NAME; see `harbinger delivery ls --help`");
  int rc = webhook_find(cli, webhook, &path, &policy, err);
  if (rc != 0)
    return rc;
  path = arena_printf(cli->arena, "%.*s/deliveries", STR_ARG(path));
  if (path.ptr && status) {
    struct str escaped = api_client_escape(str_of(status), cli->arena);
    path = arena_printf(cli->arena, "%.*s?q=status%%3D%.*s", STR_ARG(path), STR_ARG(escaped));
  }
  if (!path.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  return cli_show_list(cli, path, COLUMNS, ARRAY_LEN(COLUMNS), "no delivery yet", err);
}

static int run_show(struct cli *cli, struct error *err) {
  struct api_answer answer;
  struct str path;
  int rc = delivery_path(cli, "", &path, err);
  if (rc == 0)
    rc = cli_call(cli, "GET", path, STR_EMPTY, &answer, err);
  if (rc != 0)
    return rc;
  if (cli->json) {
    cli_print_json(&answer);
    return 0;
  }
  const struct json_object *attempts = json_get_array(answer.json, "attempts");
  table_print_fields(stdout, FIELDS, ARRAY_LEN(FIELDS), answer.json, cli->arena);
  if (json_array_len(attempts) > 0) {
    cli_say(cli, "%s", "");
    table_print(stdout, ATTEMPT_COLUMNS, ARRAY_LEN(ATTEMPT_COLUMNS), attempts, cli->arena);
  }
  return 0;
}

static int run_redeliver(struct cli *cli, struct error *err) {
  struct api_answer answer;
  struct str path;
  int64_t id = 0;
  int rc = delivery_path(cli, "/redeliver", &path, err);
  if (rc == 0)
    rc = cli_call(cli, "POST", path, STR_EMPTY, &answer, err);
  if (rc != 0)
    return rc;
  if (cli->json)
    cli_print_json(&answer);
  (void)json_get_i64(answer.json, "id", &id);
  cli_say(cli, "sent again as delivery %lld", (long long)id);
  return 0;
}

static const struct cli_option LS_OPTIONS[] = {
    CLI_PROJECT_OPTION,
    {"webhook", "NAME|ID", "whose deliveries"},
    {"status", "STATUS", "only Running, Success, Error or Stopped"},
    CLI_LIST_OPTIONS,
    {0},
};
static const struct cli_option ONE_OPTIONS[] = {CLI_PROJECT_OPTION, {0}};

const struct cli_command cli_delivery_commands[] = {
    {.noun = "delivery",
     .verb = "ls",
     .summary = "list the deliveries of a webhook, newest first",
     .options = LS_OPTIONS,
     .examples = "harbinger delivery ls --project team-a --webhook ci\n"
                 "harbinger delivery ls --project team-a --webhook ci --status Error --json\n",
     .run = run_ls},
    {.noun = "delivery",
     .verb = "show",
     .operands = "ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "show one delivery with all its attempts: what was sent, what came back, when the next try is",
     .options = ONE_OPTIONS,
     .examples = "harbinger delivery show 41 --project team-a\n",
     .run = run_show},
    {.noun = "delivery",
     .verb = "redeliver",
     .operands = "ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "send the same event again, as a new delivery",
     .options = ONE_OPTIONS,
     .examples = "harbinger delivery redeliver 41 --project team-a\n",
     .run = run_redeliver},
    {0},
};
