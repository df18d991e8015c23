// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/terminal.h"

const struct cli_command *const cli_tables[] = {
    cli_login_commands,         cli_project_commands,      cli_webhook_commands,    cli_webhook_change_commands,
    cli_webhook_pause_commands, cli_webhook_test_commands, cli_event_commands,      cli_delivery_commands,
    cli_token_commands,         cli_egress_commands,       cli_log_commands,        cli_listen_commands,
    cli_completion_commands,    cli_sync_commands,         cli_repository_commands, NULL,
};

#define EACH_COMMAND(table, command)                                         \
  for (const struct cli_command *const *table = cli_tables; *table; table++) \
    for (const struct cli_command *command = *table; command->noun; command++)

bool cli_owns(const char *command) {
  EACH_COMMAND(table, known) {
    if (str_eq_c(str_of(command), known->noun))
      return true;
  }
  return false;
}

static void print_row(const struct cli_command *command) {
  char left[64];
  (void)snprintf(left, sizeof left, "%s%s%s%s%s", command->noun, command->verb ? " " : "",
                 command->verb ? command->verb : "", command->operands ? " " : "",
                 command->operands ? command->operands : "");
  printf("  %-26s %s\n", left, command->summary);
}

void cli_print_commands(void) {
  EACH_COMMAND(table, command)
  print_row(command);
}

// The verbs of a noun, when no verb or --help was typed.
static int print_verbs(const char *noun, const char *wrong_verb) {
  if (wrong_verb) {
    terminal_printf(stderr, "harbinger %s: there is no `%s`; `harbinger %s --help` lists what there is\n", noun,
                    wrong_verb, noun);
    return error_exit_code(ERR_CONFIG);
  }
  printf("usage: harbinger %s COMMAND [OPTIONS]\n\n", noun);
  EACH_COMMAND(table, command) {
    if (str_eq_c(str_of(noun), command->noun))
      print_row(command);
  }
  printf("\n`harbinger %s COMMAND --help` explains each, with examples.\n", noun);
  return 0;
}

static const struct cli_command *find(const char *noun, const char *verb) {
  EACH_COMMAND(table, command) {
    if (str_eq_c(str_of(noun), command->noun) && (!command->verb || str_eq_c(str_of(verb), command->verb)))
      return command;
  }
  return NULL;
}

static int run(const struct cli_command *command, int argc, char **argv, struct error *err) {
  struct cli cli = {.arena = arena_new(CLI_ARENA_BYTES)};
  if (!cli.arena)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  int rc = cli_parse(&cli, command, argc, argv, err);
  if (rc == 0 && cli.help)
    cli_print_help_of(command);
  else if (rc == 0)
    rc = command->run(&cli, err);
  api_client_free(cli.client);
  arena_free(cli.arena);
  if (fflush(stdout) != 0 && rc == 0)
    rc = error_set(err, ERR_IO, "standard output cannot be written");
  return rc;
}

int cli_main(int argc, char **argv) {
  const char *noun = argc > 1 ? argv[1] : "", *verb = argc > 2 ? argv[2] : "";
  struct error err = {0};
  const struct cli_command *command = find(noun, verb);
  bool wants_help = verb[0] == '\0' || str_eq_c(str_of(verb), "--help") || str_eq_c(str_of(verb), "-h") ||
                    str_eq_c(str_of(verb), "help");
  if (!command)
    return print_verbs(noun, wants_help ? NULL : verb);
  int words = command->verb ? 2 : 1;
  int rc = run(command, argc - words, argv + words, &err);
  if (rc == 0)
    return 0;
  terminal_printf(stderr, "harbinger %s%s%s: %s\n", command->noun, command->verb ? " " : "",
                  command->verb ? command->verb : "", err.text[0] ? err.text : error_name(err.code));
  return error_exit_code(err.code);
}
