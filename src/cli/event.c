// SPDX-License-Identifier: Apache-2.0
// event ls, show, send.
#include <stdio.h>
#include <unistd.h>

#include "cli/command.h"

enum { EVENT_FILE_MAX_BYTES = 1024 * 1024 };

static const struct table_column COLUMNS[] = {
    {"SEQ", "seq"},
    {"TYPE", "type"},
    {"OCCURRED", "occurred_at"},
    {"ACTOR", "actor.name"},
    {"REPOSITORY", "repository.full_name"},
    {"REFERENCE", "artifacts.0.reference|artifacts.0.tags.0|artifacts.0.digest"},
    {"ID", "id"},
};
static const struct table_column FIELDS[] = {
    {"Id", "id"},
    {"Seq", "seq"},
    {"Type", "type"},
    {"Occurred", "occurred_at"},
    {"Recorded", "recorded_at"},
    {"Actor", "actor.name"},
    {"Actor kind", "actor.kind"},
    {"Trigger", "trigger"},
    {"Client", "client.address"},
    {"User agent", "client.user_agent"},
    {"Request", "client.request_id"},
    {"Repository", "repository.full_name"},
    {"Public", "repository.public"},
    {"Digest", "artifacts.0.digest"},
    {"Tags", "artifacts.0.tags"},
    {"Kind", "artifacts.0.kind"},
    {"Platform", "artifacts.0.platform"},
    {"Size", "artifacts.0.size"},
    {"Media type", "artifacts.0.media_type"},
    {"Further artifact", "artifacts.1.digest"},
    {"Data", "data"},
    {"Source", "source.kind"},
    {"Source instance", "source.instance"},
    {"Unchanged", "unchanged"},
    {"Inferred", "inferred"},
};

// Why each webhook of the project got it or not.
static const struct table_column WHY_COLUMNS[] = {
    {"WEBHOOK", "policy_name|policy_id"}, {"SENT", "matched"},  {"DELIVERY", "deliveries.0.id"},
    {"STATUS", "deliveries.0.status"},    {"REASON", "reason"},
};

static int run_ls(struct cli *cli, struct error *err) {
  struct str path;
  const char *type = cli_value(cli, "type");
  int rc = cli_project_path(cli, "/events", &path, err);
  if (rc != 0)
    return rc;
  bool all = cli_flag(cli, "unchanged");
  if (type || all) {
    const char *every = "unchanged%3D%7Btrue%20false%7D", *comma = type && all ? "%2C" : "";
    struct str escaped = api_client_escape(str_of(type), cli->arena);
    path = arena_printf(cli->arena, "%.*s?q=%s%.*s%s%s", STR_ARG(path), type ? "type%3D" : "", STR_ARG(escaped), comma,
                        all ? every : "");
    if (!escaped.ptr || !path.ptr)
      return error_set(err, ERR_NO_MEMORY, "out of memory");
  }
  return cli_show_list(cli, path, COLUMNS, ARRAY_LEN(COLUMNS), "no event yet", err);
}

static int run_show(struct cli *cli, struct error *err) {
  struct api_answer answer;
  struct str path, id = api_client_escape(str_of(cli->operands[0]), cli->arena);
  int rc = cli_project_path(cli, "/events/", &path, err);
  if (rc != 0)
    return rc;
  path = arena_printf(cli->arena, "%.*s%.*s", STR_ARG(path), STR_ARG(id));
  if (!id.ptr || !path.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  if ((rc = cli_call(cli, "GET", path, STR_EMPTY, &answer, err)) != 0)
    return rc;
  if (cli->json) {
    cli_print_json(&answer);
    return 0;
  }
  const struct json_object *webhooks = json_get_array(answer.json, "deliveries");
  table_print_fields(stdout, FIELDS, ARRAY_LEN(FIELDS), answer.json, cli->arena);
  if (json_array_len(webhooks) > 0) {
    cli_say(cli, "%s", "");
    table_print(stdout, WHY_COLUMNS, ARRAY_LEN(WHY_COLUMNS), webhooks, cli->arena);
  }
  return 0;
}

static int run_send(struct cli *cli, struct error *err) {
  const char *file = cli->operands[0], *key = cli_value(cli, "idempotency-key");
  struct api_client_request request = {.method = "POST", .idempotency_key = str_of(key)};
  struct api_client *client;
  struct api_answer answer;
  struct str id = STR_EMPTY;
  int rc = cli_project_path(cli, "/events", &request.path, err);
  if (rc == 0)
    rc = api_client_read_file(str_eq_c(str_of(file), "-") ? "/dev/stdin" : file, EVENT_FILE_MAX_BYTES, cli->arena,
                              &request.body, err);
  if (rc == 0 && request.body.len == 0)
    rc = error_set(err, ERR_BAD_REQUEST, "%s is empty", file);
  if (rc == 0)
    rc = cli_client(cli, &client, err);
  if (rc == 0)
    rc = api_client_call(client, &request, &answer, err);
  if (rc != 0)
    return rc;
  if (cli->json)
    cli_print_json(&answer);
  if (!json_get_str(answer.json, "id", &id))
    id = str_from(answer.location, (size_t)(str_rfind(answer.location, '/') + 1));
  cli_say(cli, "event %.*s is recorded", STR_ARG(id));
  return 0;
}

static const struct cli_option LS_OPTIONS[] = {CLI_PROJECT_OPTION,
                                               {"type", "TYPE", "only this event type, e.g. PUSH_ARTIFACT"},
                                               {"unchanged", NULL, "also pushes that changed nothing"},
                                               CLI_LIST_OPTIONS,
                                               {0}};
static const struct cli_option SHOW_OPTIONS[] = {CLI_PROJECT_OPTION, {0}};
static const struct cli_option SEND_OPTIONS[] = {
    CLI_PROJECT_OPTION,
    {"idempotency-key", "KEY", "sent twice with the same key, it is one event"},
    {0},
};

const struct cli_command cli_event_commands[] = {
    {.noun = "event",
     .verb = "ls",
     .summary = "list the events of a project, newest first",
     .options = LS_OPTIONS,
     .examples = "harbinger event ls --project team-a\n"
                 "harbinger event ls --project team-a --type PUSH_ARTIFACT --limit 100 --json\n",
     .run = run_ls},
    {.noun = "event",
     .verb = "show",
     .operands = "ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "show one event, and why each webhook got it or not",
     .options = SHOW_OPTIONS,
     .examples = "harbinger event show 0198c2f4-7a51-7cc3-9a3b-1f2e3d4c5b6a --project team-a\n",
     .run = run_show},
    {.noun = "event",
     .verb = "send",
     .operands = "FILE",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "record an event from a file of JSON (- is standard input): for jobs and for trying a webhook",
     .options = SEND_OPTIONS,
     .examples =
         "harbinger event send scan.json --project team-a --idempotency-key scan-4711\n"
         "DIGEST=sha256:$(echo hello | sha256sum | cut -c 1-64)\n"
         "echo '{\"type\":\"PUSH_ARTIFACT\",\"repository\":{\"name\":\"web\"},\"artifacts\":[{\"tags\":[\"v1\"],"
         "\"digest\":\"'$DIGEST'\"}]}' | harbinger event send - --project team-a\n",
     .run = run_send},
    {0},
};
