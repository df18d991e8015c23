// SPDX-License-Identifier: Apache-2.0
// What a client command is, and what its function may use: the options and operands as typed, a connection to the server
// that is made when it is first asked for, and the usual ways to show an answer. Each noun is one file with one table of
// commands; cli.c joins the tables. One thread. Everything lives in the arena of the command and ends with it.
#ifndef HARBINGER_CLI_COMMAND_H
#define HARBINGER_CLI_COMMAND_H

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "cli/api_client.h"
#include "cli/table.h"

enum { CLI_MAX_OPTIONS = 20, CLI_MAX_OPERANDS = 2, CLI_ARENA_BYTES = 128 * 1024 * 1024 };

struct cli_option {
  const char *name;  // without the dashes; NULL ends a list
  const char *value; // what to write in the help, "NAME"; NULL: a flag
  const char *meaning;
};

struct cli;

struct cli_command {
  const char *noun, *verb; // verb NULL: the noun is the command
  const char *operands;    // as in the usage line; NULL: none
  size_t min_operands, max_operands;
  const char *summary;              // one line, no full stop
  const struct cli_option *options; // besides --json and --help; may be NULL
  const char *examples;             // lines, each with its newline
  int (*run)(struct cli *cli, struct error *err);
};

struct cli {
  const struct cli_command *command;
  struct arena *arena;
  const char *values[CLI_MAX_OPTIONS]; // in the order of command->options; a flag that was given is ""
  const char *operands[CLI_MAX_OPERANDS];
  size_t operands_len;
  bool json;
  bool help;
  struct api_client *client; // NULL until cli_client
};

// The tables, each ended by a command without noun.
extern const struct cli_command cli_login_commands[], cli_project_commands[], cli_webhook_commands[],
    cli_webhook_change_commands[], cli_webhook_pause_commands[], cli_webhook_test_commands[], cli_event_commands[],
    cli_delivery_commands[], cli_token_commands[], cli_egress_commands[], cli_log_commands[], cli_listen_commands[],
    cli_completion_commands[], cli_sync_commands[], cli_repository_commands[];
// All of them, ended by NULL.
extern const struct cli_command *const cli_tables[];

// Read options and operands of `command` from argv (argv[0] is skipped). ERR_CONFIG with words and where help is.
int cli_parse(struct cli *cli, const struct cli_command *command, int argc, char **argv, struct error *err) MUST_CHECK;
void cli_print_help_of(const struct cli_command *command);

const char *cli_value(const struct cli *cli, const char *option); // NULL when not given
bool cli_flag(const struct cli *cli, const char *option);
// A whole number between min and max; `fallback` when not given.
int cli_number(const struct cli *cli, const char *option, int64_t fallback, int64_t min, int64_t max, int64_t *out,
               struct error *err) MUST_CHECK;
// --project P as a path: "/api/v2.0/projects/P" + `rest`, P escaped.
int cli_project_path(struct cli *cli, const char *rest, struct str *path, struct error *err) MUST_CHECK;
// The server that the person is logged in to. ERR_UNAUTHORIZED with what to do when there is none.
int cli_client(struct cli *cli, struct api_client **out, struct error *err) MUST_CHECK;
// One call; the answer has a status below 400 or an error is returned. `body` may be empty.
int cli_call(struct cli *cli, const char *method, struct str path, struct str body, struct api_answer *out,
             struct error *err) MUST_CHECK;

// Show one page of a list: `path` is asked with page and page_size of --page and --limit; the server's JSON with --json,
// else a table, and on standard error how much there is besides.
int cli_show_list(struct cli *cli, struct str path, const struct table_column *columns, size_t columns_len,
                  const char *when_empty, struct error *err) MUST_CHECK;
// Ask for one object and show it: the server's JSON with --json, else one line per field.
int cli_show_object(struct cli *cli, struct str path, const struct table_column *fields, size_t fields_len,
                    struct error *err) MUST_CHECK;
void cli_print_json(const struct api_answer *answer); // as it came, ended by a newline, safe for terminals
void cli_say(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3); // a line for people; nothing with --json

// For the option tables of lists.
#define CLI_LIST_OPTIONS                                     \
  {"limit", "N", "rows of a page, 1 to 100 (default 25)"}, { \
    "page", "N", "which page, from 1 (default 1)"            \
  }
#define CLI_PROJECT_OPTION \
  { "project", "P", "name of the project" }

#endif
