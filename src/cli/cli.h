// SPDX-License-Identifier: Apache-2.0
// The client commands, over the API only: login, whoami, project, webhook, event, delivery, token, egress, ingest, listen,
// completion. Tables for people, --json for programs. One process, one thread; exits with the codes of error.h's table.
#ifndef HARBINGER_CLI_CLI_H
#define HARBINGER_CLI_CLI_H

#include <stdbool.h>

// Is argv[1] one of the client commands?
bool cli_owns(const char *command);
// Run it; the exit code.
int cli_main(int argc, char **argv);
// The client commands for `harbinger --help`, one per line, and for shell completion.
void cli_print_commands(void);

#endif
