// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>

#include "cli/login_file.h"
#include "cli/terminal.h"

enum { DEFAULT_PAGE_ROWS = 25, MAX_PAGE_ROWS = 100, MAX_PAGE = 1000000 };
enum { OPTION_JSON = 1000, OPTION_HELP };

// ---- reading what was typed ---------------------------------------------------------------------------------------------

static size_t options_count(const struct cli_command *command) {
  size_t len = 0;
  while (command->options && command->options[len].name && len < CLI_MAX_OPTIONS)
    len++;
  return len;
}

static struct str command_name(const struct cli_command *command, struct arena *arena) {
  struct str name =
      arena_printf(arena, "%s%s%s", command->noun, command->verb ? " " : "", command->verb ? command->verb : "");
  return name.ptr ? name : str_of(command->noun);
}

static int misused(struct cli *cli, struct error *err, const char *words, const char *what) {
  struct str name = command_name(cli->command, cli->arena);
  return error_set(err, ERR_CONFIG, "%s%s; see `harbinger %.*s --help`", words, what, STR_ARG(name));
}

static int read_options(struct cli *cli, int argc, char **argv, struct error *err) {
  struct option known[CLI_MAX_OPTIONS + 3] = {0};
  const struct cli_command *command = cli->command;
  size_t len = options_count(command);
  int option;
  for (size_t i = 0; i < len; i++)
    known[i] = (struct option){command->options[i].name, command->options[i].value ? required_argument : no_argument,
                               NULL, (int)i};
  known[len] = (struct option){"json", no_argument, NULL, OPTION_JSON};
  known[len + 1] = (struct option){"help", no_argument, NULL, OPTION_HELP};
  optind = 0; // a fresh scan
  opterr = 0; // our words, not getopt's
  while ((option = getopt_long(argc, argv, ":h", known, NULL)) != -1) {
    if (option == OPTION_HELP || option == 'h')
      cli->help = true;
    else if (option == OPTION_JSON)
      cli->json = true;
    else if (option == ':')
      return misused(cli, err, "a value is missing after ", argv[optind - 1]);
    else if (option == '?')
      return misused(cli, err, "no such option, or it takes no value: ", argv[optind - 1]);
    else
      cli->values[option] = optarg ? optarg : "";
  }
  return 0;
}

int cli_parse(struct cli *cli, const struct cli_command *command, int argc, char **argv, struct error *err) {
  cli->command = command;
  int rc = read_options(cli, argc, argv, err);
  if (rc != 0 || cli->help)
    return rc;
  for (int i = optind; i < argc; i++) {
    if (cli->operands_len == command->max_operands)
      return misused(cli, err, "this is one word too many: ", argv[i]);
    cli->operands[cli->operands_len++] = argv[i];
  }
  if (cli->operands_len < command->min_operands)
    return misused(cli, err, "something is missing: ", command->operands);
  return 0;
}

const char *cli_value(const struct cli *cli, const char *option) {
  size_t len = options_count(cli->command);
  for (size_t i = 0; i < len; i++)
    if (str_eq_c(str_of(option), cli->command->options[i].name))
      return cli->values[i];
  return NULL;
}

bool cli_flag(const struct cli *cli, const char *option) {
  return cli_value(cli, option) != NULL;
}

int cli_number(const struct cli *cli, const char *option, int64_t fallback, int64_t min, int64_t max, int64_t *out,
               struct error *err) {
  const char *value = cli_value(cli, option);
  *out = fallback;
  if (!value)
    return 0;
  if (!str_to_i64(str_of(value), out) || *out < min || *out > max)
    return error_set(err, ERR_CONFIG, "--%s takes a whole number from %lld to %lld, not `%s`", option, (long long)min,
                     (long long)max, value);
  return 0;
}

int cli_project_path(struct cli *cli, const char *rest, struct str *path, struct error *err) {
  const char *project = cli_value(cli, "project");
  if (!project || !project[0])
    return misused(cli, err, "name the project with ", "--project P");
  struct str escaped = api_client_escape(str_of(project), cli->arena);
  *path = escaped.ptr ? arena_printf(cli->arena, "/api/v2.0/projects/%.*s%s", STR_ARG(escaped), rest) : escaped;
  return path->ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory");
}

// ---- help ---------------------------------------------------------------------------------------------------------------

static void print_option(const char *name, const char *value, const char *meaning) {
  char left[64];
  (void)snprintf(left, sizeof left, "--%s%s%s", name, value ? " " : "", value ? value : "");
  printf("  %-24s %s\n", left, meaning);
}

void cli_print_help_of(const struct cli_command *command) {
  size_t len = options_count(command);
  printf("usage: harbinger %s%s%s%s%s [OPTIONS]\n\n%s.\n\noptions:\n", command->noun, command->verb ? " " : "",
         command->verb ? command->verb : "", command->operands ? " " : "", command->operands ? command->operands : "",
         command->summary);
  for (size_t i = 0; i < len; i++)
    print_option(command->options[i].name, command->options[i].value, command->options[i].meaning);
  print_option("json", NULL, "for programs: JSON on standard output");
  print_option("help", NULL, "this text");
  printf("\nexamples:\n");
  struct str lines = str_of(command->examples), line;
  while (lines.len > 0 && str_next(&lines, '\n', &line))
    printf("  %.*s\n", STR_ARG(line));
}

// ---- the server ---------------------------------------------------------------------------------------------------------

int cli_client(struct cli *cli, struct api_client **out, struct error *err) {
  struct api_client_config config = {
      .unauthorized = "the server does not accept this login (it has expired, was revoked, or belongs to another "
                      "server): log in again with `harbinger login URL`"};
  struct login login;
  *out = cli->client;
  if (cli->client)
    return 0;
  int rc = login_file_find(cli->arena, &login, err);
  if (rc != 0)
    return rc;
  config.url = login.url;
  config.ca_file = login.ca_file;
  config.authorization = arena_printf(cli->arena, "Bearer %.*s", STR_ARG(login.token));
  if (!config.authorization.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  *out = cli->client = api_client_new(&config, cli->arena, err);
  return cli->client ? 0 : (int)err->code;
}

int cli_call(struct cli *cli, const char *method, struct str path, struct str body, struct api_answer *out,
             struct error *err) {
  const struct api_client_request request = {.method = method, .path = path, .body = body};
  struct api_client *client;
  int rc = cli_client(cli, &client, err);
  return rc == 0 ? api_client_call(client, &request, out, err) : rc;
}

// ---- showing ------------------------------------------------------------------------------------------------------------

void cli_print_json(const struct api_answer *answer) {
  struct buf text;
  buf_init(&text, 2 * (size_t)API_CLIENT_MAX_ANSWER_BYTES);
  terminal_put_json(&text, answer->body);
  if (text.len > 0 && text.ptr[text.len - 1] != '\n')
    buf_put_char(&text, '\n');
  (void)fwrite(text.ptr ? text.ptr : "", 1, text.len, stdout);
  buf_free(&text);
}

void cli_say(const struct cli *cli, const char *fmt, ...) {
  char line[TERMINAL_LINE_BYTES];
  va_list args;
  if (cli->json)
    return;
  va_start(args, fmt);
  int len = vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  if (len > 0)
    terminal_printf(stdout, "%s\n", line);
}

static int not_json(struct error *err) {
  return error_set(err, ERR_INTERNAL, "the server's answer is not the JSON that was expected: is it another version?");
}

static bool is_option_of(const struct cli *cli, const char *option) {
  for (size_t i = 0; i < options_count(cli->command); i++)
    if (str_eq_c(str_of(option), cli->command->options[i].name))
      return true;
  return false;
}

// Lists without --limit are whole: page_size=0.
static int page_path(struct cli *cli, struct str *path, int64_t *page, int64_t *limit, struct error *err) {
  *page = 1;
  *limit = 0;
  if (is_option_of(cli, "limit")) {
    int rc = cli_number(cli, "limit", DEFAULT_PAGE_ROWS, 1, MAX_PAGE_ROWS, limit, err);
    if (rc == 0)
      rc = cli_number(cli, "page", 1, 1, MAX_PAGE, page, err);
    if (rc != 0)
      return rc;
  }
  *path = arena_printf(cli->arena, "%.*s%cpage=%lld&page_size=%lld", STR_ARG(*path),
                       str_find(*path, '?') < 0 ? '?' : '&', (long long)*page, (long long)*limit);
  return path->ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory");
}

int cli_show_list(struct cli *cli, struct str path, const struct table_column *columns, size_t columns_len,
                  const char *when_empty, struct error *err) {
  struct api_answer answer;
  int64_t page, limit;
  int rc = page_path(cli, &path, &page, &limit, err);
  if (rc == 0)
    rc = cli_call(cli, "GET", path, STR_EMPTY, &answer, err);
  if (rc != 0)
    return rc;
  if (json_kind(answer.json) != JSON_ARRAY)
    return not_json(err);
  if (cli->json) {
    cli_print_json(&answer);
    return 0;
  }
  size_t rows = json_array_len(answer.json);
  if (rows == 0)
    (void)fprintf(stderr, "%s\n", when_empty);
  else
    table_print(stdout, columns, columns_len, answer.json, cli->arena);
  if (limit > 0 && rows > 0 && answer.total > page * limit)
    (void)fprintf(stderr, "%zu of %lld; --page %lld shows more\n", rows, (long long)answer.total, (long long)page + 1);
  return 0;
}

int cli_show_object(struct cli *cli, struct str path, const struct table_column *fields, size_t fields_len,
                    struct error *err) {
  struct api_answer answer;
  int rc = cli_call(cli, "GET", path, STR_EMPTY, &answer, err);
  if (rc != 0)
    return rc;
  if (json_kind(answer.json) != JSON_OBJECT)
    return not_json(err);
  if (cli->json)
    cli_print_json(&answer);
  else
    table_print_fields(stdout, fields, fields_len, answer.json, cli->arena);
  return 0;
}
