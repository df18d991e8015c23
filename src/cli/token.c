// SPDX-License-Identifier: Apache-2.0
// token ls, create, rm.
#include <stdio.h>

#include "base/json_writer.h"
#include "cli/credentials.h"
#include "cli/login_file.h"

enum { BODY_MAX_BYTES = 4096 };

static const char TOKENS_PATH[] = "/api/v2.0/harbinger/tokens";

static const struct table_column COLUMNS[] = {
    {"ID", "id"},
    {"NAME", "name"},
    {"CREATED", "creation_time"},
    {"EXPIRES", "expires_at"},
    {"LAST USED", "last_used_at"},
};

static int run_ls(struct cli *cli, struct error *err) {
  return cli_show_list(cli, str_of(TOKENS_PATH), COLUMNS, ARRAY_LEN(COLUMNS), "no token", err);
}

static int token_body(struct cli *cli, struct str *out, struct error *err) {
  struct buf body;
  buf_init(&body, BODY_MAX_BYTES);
  struct json_writer w = json_writer_make(&body, false);
  json_object_begin(&w);
  json_field_str(&w, "name", str_of(cli->operands[0]));
  json_object_end(&w);
  *out = body.failed ? (struct str){0} : arena_str(cli->arena, buf_str(&body));
  buf_free(&body);
  return out->ptr ? 0 : error_set(err, ERR_BAD_REQUEST, "the name is too long");
}

// A token cannot make tokens (a stolen one must not outlive its own end): the password is asked for.
static int create(struct cli *cli, struct api_answer *answer, struct error *err) {
  struct api_client_config config = {.unauthorized = "user name or password is wrong"};
  struct api_client_request request = {.method = "POST", .path = str_of(TOKENS_PATH)};
  struct login login;
  struct str name;
  int rc = login_file_find(cli->arena, &login, err);
  if (rc == 0)
    rc = token_body(cli, &request.body, err);
  if (rc == 0)
    rc = credentials_ask(cli, login.username, &name, &config.authorization, err);
  if (rc != 0)
    return rc;
  config.url = login.url;
  config.ca_file = login.ca_file;
  struct api_client *client = api_client_new(&config, cli->arena, err);
  if (!client)
    return err->code;
  rc = api_client_call(client, &request, answer, err);
  api_client_free(client);
  return rc;
}

static int run_create(struct cli *cli, struct error *err) {
  struct api_answer answer;
  struct str token = STR_EMPTY;
  int rc = create(cli, &answer, err);
  if (rc != 0)
    return rc;
  (void)json_get_str(answer.json, "token", &token);
  if (cli->json)
    cli_print_json(&answer);
  else
    (void)fputs("this is the only time the token is shown:\n", stderr);
  cli_say(cli, "%.*s", STR_ARG(token));
  return 0;
}

static int run_rm(struct cli *cli, struct error *err) {
  struct api_answer answer;
  struct str path;
  int64_t id;
  if (!str_to_i64(str_of(cli->operands[0]), &id))
    return error_set(err, ERR_CONFIG, "`%s` is not the number of a token; `harbinger token ls` shows them",
                     cli->operands[0]);
  path = arena_printf(cli->arena, "%s/%lld", TOKENS_PATH, (long long)id);
  int rc = path.ptr ? cli_call(cli, "DELETE", path, STR_EMPTY, &answer, err)
                    : error_set(err, ERR_NO_MEMORY, "out of memory");
  if (rc == 0)
    cli_say(cli, "revoked token %lld", (long long)id);
  return rc;
}

static const struct cli_option CREATE_OPTIONS[] = {CREDENTIALS_OPTIONS, {0}};

const struct cli_command cli_token_commands[] = {
    {.noun = "token", .verb = "ls", .summary = "list your tokens", .examples = "harbinger token ls\n", .run = run_ls},
    {.noun = "token",
     .verb = "create",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "make a token for a program and print it once; asks for your password, since a token makes no tokens",
     .options = CREATE_OPTIONS,
     .examples = "harbinger token create ci\n"
                 "TOKEN=$(printf '%s\\n' \"$PASSWORD\" | harbinger token create ci --password-stdin)\n",
     .run = run_create},
    {.noun = "token",
     .verb = "rm",
     .operands = "ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "revoke a token at once",
     .examples = "harbinger token rm 4\n",
     .run = run_rm},
    {0},
};
