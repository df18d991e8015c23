// SPDX-License-Identifier: Apache-2.0
// User name and password, asked for where a token does not do: login and the making of tokens. One thread.
#ifndef HARBINGER_CLI_CREDENTIALS_H
#define HARBINGER_CLI_CREDENTIALS_H

#include "cli/command.h"

// Value of an Authorization header (Basic, RFC 7617) from --username and --password-stdin, or asked for on a terminal. `known`:
// the name when --username is not given; empty: it is asked for. *name is the name used. Both in the command's arena.
int credentials_ask(struct cli *cli, struct str known, struct str *name, struct str *authorization, struct error *err)
    MUST_CHECK;

#define CREDENTIALS_OPTIONS                                         \
  {"username", "NAME", "user name"}, {                              \
    "password-stdin", NULL, "read the password from standard input" \
  }

#endif
