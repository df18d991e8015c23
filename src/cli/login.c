// SPDX-License-Identifier: Apache-2.0
// login, logout, whoami.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json_writer.h"
#include "cli/credentials.h"
#include "cli/login_file.h"

enum { BODY_MAX_BYTES = 16 * 1024 };

static const char TOKENS_PATH[] = "/api/v2.0/harbinger/tokens";

static int out_of_memory(struct error *err) {
  return error_set(err, ERR_NO_MEMORY, "out of memory");
}

// What the token is called in lists: who would miss it.
static int token_body(struct cli *cli, struct str *out, struct error *err) {
  char host[128] = "";
  struct buf body;
  if (gethostname(host, sizeof host - 1) != 0)
    host[0] = '\0';
  struct str name = arena_printf(cli->arena, "harbinger login on %s", host[0] ? host : "an unnamed machine");
  buf_init(&body, BODY_MAX_BYTES);
  struct json_writer w = json_writer_make(&body, false);
  json_object_begin(&w);
  json_field_str(&w, "name", name.ptr ? name : STR("harbinger login"));
  json_object_end(&w);
  *out = arena_str(cli->arena, buf_str(&body));
  buf_free(&body);
  return out->ptr ? 0 : out_of_memory(err);
}

static int get_token(struct cli *cli, struct login *login, struct str authorization, struct error *err) {
  const struct api_client_config config = {.url = login->url,
                                           .authorization = authorization,
                                           .ca_file = login->ca_file,
                                           .unauthorized = "user name or password is wrong"};
  struct api_client_request request = {.method = "POST", .path = str_of(TOKENS_PATH)};
  struct api_answer answer;
  struct api_client *client = api_client_new(&config, cli->arena, err);
  if (!client)
    return err->code;
  int rc = token_body(cli, &request.body, err);
  if (rc == 0)
    rc = api_client_call(client, &request, &answer, err);
  api_client_free(client);
  if (rc == 0 && (!json_get_str(answer.json, "token", &login->token) || login->token.len == 0))
    rc = error_set(err, ERR_INTERNAL, "%.*s gave no token: is it a Harbinger?", STR_ARG(login->url));
  if (rc == 0)
    (void)json_get_i64(answer.json, "id", &login->token_id);
  return rc;
}

// End a token with the token itself.
static int token_end(struct cli *cli, const struct login *login, struct error *err) {
  struct api_client_config config = {.url = login->url, .ca_file = login->ca_file, .unauthorized = "it is not valid"};
  struct api_client_request request = {.method = "DELETE"};
  struct api_answer answer;
  config.authorization = arena_printf(cli->arena, "Bearer %.*s", STR_ARG(login->token));
  request.path = arena_printf(cli->arena, "%s/%lld", TOKENS_PATH, (long long)login->token_id);
  if (!config.authorization.ptr || !request.path.ptr)
    return out_of_memory(err);
  struct api_client *client = api_client_new(&config, cli->arena, err);
  if (!client)
    return err->code;
  int rc = api_client_call(client, &request, &answer, err);
  api_client_free(client);
  // It expired or was revoked before: nothing is left to end.
  return rc == ERR_UNAUTHORIZED || rc == ERR_NOT_FOUND ? 0 : rc;
}

static int find_ca(struct cli *cli, struct login *login, struct error *err) {
  const char *file = cli_value(cli, "ca-file");
  char words[128];
  login->ca_file = "";
  if (!file)
    return 0;
  // Whole: the next command may run in another folder.
  char *whole = realpath(file, NULL);
  if (!whole)
    return error_set(err, ERR_CONFIG, "--ca-file %s: %s", file, error_errno(errno, words));
  login->ca_file = arena_cstr(cli->arena, str_of(whole));
  free(whole);
  return login->ca_file ? 0 : out_of_memory(err);
}

static int run_login(struct cli *cli, struct error *err) {
  struct login login = {.url = str_of(cli->operands[0])}, before;
  struct str authorization;
  int rc = find_ca(cli, &login, err);
  if (rc == 0)
    rc = credentials_ask(cli, STR_EMPTY, &login.username, &authorization, err);
  if (rc == 0)
    rc = get_token(cli, &login, authorization, err);
  if (rc != 0)
    return rc;
  bool had_one = login_file_read(cli->arena, &before, NULL) == 0 && login_same_server(before.url, login.url);
  if ((rc = login_file_write(cli->arena, &login, err)) != 0) {
    (void)!token_end(cli, &login, NULL);
    return rc;
  }
  if (had_one)
    (void)!token_end(cli, &before, NULL); // nobody knows it any more
  cli_say(cli, "logged in to %.*s as %.*s", STR_ARG(login.url), STR_ARG(login.username));
  return 0;
}

static int run_logout(struct cli *cli, struct error *err) {
  struct login login;
  struct error why = {0};
  int rc = login_file_read(cli->arena, &login, err);
  if (rc == ERR_NOT_FOUND) {
    cli_say(cli, "you were not logged in");
    return 0;
  }
  if (rc != 0)
    return rc;
  int revoked = token_end(cli, &login, &why);
  if ((rc = login_file_remove(cli->arena, err)) != 0)
    return rc;
  if (revoked != 0)
    return error_set(err, why.code,
                     "logged out here, but the token is still valid at the server (%s); end it with "
                     "`harbinger token rm %lld` after another login",
                     why.text, (long long)login.token_id);
  cli_say(cli, "logged out of %.*s; its token is revoked", STR_ARG(login.url));
  return 0;
}

static int run_whoami(struct cli *cli, struct error *err) {
  struct api_answer answer;
  struct login login;
  struct str name = STR_EMPTY;
  bool is_admin = false;
  int rc = login_file_find(cli->arena, &login, err);
  if (rc == 0)
    rc = cli_call(cli, "GET", STR("/api/v2.0/users/current"), STR_EMPTY, &answer, err);
  if (rc != 0)
    return rc;
  if (cli->json) {
    cli_print_json(&answer);
    return 0;
  }
  (void)json_get_str(answer.json, "username", &name);
  (void)json_get_bool(answer.json, "sysadmin_flag", &is_admin);
  cli_say(cli, "%.*s%s at %.*s", STR_ARG(name), is_admin ? " (administrator)" : "", STR_ARG(login.url));
  return 0;
}

static const struct cli_option LOGIN_OPTIONS[] = {
    CREDENTIALS_OPTIONS,
    {"ca-file", "FILE", "PEM authorities to trust for this server instead of the system's"},
    {0},
};

const struct cli_command cli_login_commands[] = {
    {.noun = "login",
     .operands = "URL",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "log in to a server and keep a token, which `logout` revokes",
     .options = LOGIN_OPTIONS,
     .examples = "harbinger login http://127.0.0.1:8080\n"
                 "harbinger login https://registry.example.com --ca-file ca.pem\n"
                 "printf '%s\\n' \"$PASSWORD\" | harbinger login $URL --username admin --password-stdin\n",
     .run = run_login},
    {.noun = "logout",
     .summary = "revoke the token of `login` and forget it",
     .examples = "harbinger logout\n",
     .run = run_logout},
    {.noun = "whoami",
     .summary = "say who is logged in, and where",
     .examples = "harbinger whoami\n"
                 "HARBINGER_URL=http://127.0.0.1:8080 HARBINGER_TOKEN=hbt_... harbinger whoami --json\n",
     .run = run_whoami},
    {0},
};
