// SPDX-License-Identifier: Apache-2.0
#include "cli/credentials.h"

#include <unistd.h>

#include "base/crypto.h"
#include "cli/terminal.h"

enum { CREDENTIALS_MAX_BYTES = 4 * TERMINAL_LINE_BYTES };

static int ask_name(struct cli *cli, struct str known, struct str *name, struct error *err) {
  char line[TERMINAL_LINE_BYTES];
  const char *given = cli_value(cli, "username");
  *name = given ? str_of(given) : known;
  if (name->len > 0)
    return 0;
  if (!isatty(STDIN_FILENO))
    return error_set(err, ERR_CONFIG, "standard input is no terminal: give --username NAME and --password-stdin");
  int rc = terminal_ask("User name", false, line, err);
  if (rc != 0)
    return rc;
  *name = arena_str(cli->arena, str_of(line));
  return name->ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory");
}

static int ask_password(struct cli *cli, char *password, struct error *err) {
  if (cli_flag(cli, "password-stdin"))
    return terminal_read_line("password", password, err);
  if (!isatty(STDIN_FILENO))
    return error_set(err, ERR_CONFIG, "standard input is no terminal: give the password with --password-stdin");
  return terminal_ask("Password", true, password, err);
}

int credentials_ask(struct cli *cli, struct str known, struct str *name, struct str *authorization, struct error *err) {
  char password[TERMINAL_LINE_BYTES];
  struct buf pair, header;
  int rc = ask_name(cli, known, name, err);
  if (rc == 0 && str_find(*name, ':') >= 0)
    rc = error_set(err, ERR_BAD_REQUEST, "a user name has no colon");
  if (rc == 0)
    rc = ask_password(cli, password, err);
  if (rc != 0)
    return rc;
  buf_init(&pair, CREDENTIALS_MAX_BYTES);
  buf_init(&header, 2 * CREDENTIALS_MAX_BYTES);
  buf_printf(&pair, "%.*s:%s", STR_ARG(*name), password);
  buf_put_c(&header, "Basic ");
  crypto_base64(buf_str(&pair), &header);
  *authorization = pair.failed || header.failed ? (struct str){0} : arena_str(cli->arena, buf_str(&header));
  explicit_bzero(password, sizeof password);
  if (pair.ptr)
    explicit_bzero(pair.ptr, pair.len);
  buf_free(&pair);
  buf_free(&header);
  return authorization->ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory");
}
