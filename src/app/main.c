// SPDX-License-Identifier: Apache-2.0
// The one program: `serve` and what works on the machine's own data live in app/, the client commands in cli/.
#include <stdio.h>
#include <string.h>

#include "app/care_command.h"
#include "app/config.h"
#include "app/passwd.h"
#include "app/serve.h"
#include "app/tls_init.h"
#include "base/fault.h"
#include "cli/cli.h"
#include "dispatch/retry.h"

enum { TABLE_MAX_BYTES = 256 * 1024 };

static int print_table(struct buf *table) {
  int rc = table->failed ? 1 : 0;
  fwrite(table->ptr, 1, table->len, stdout);
  buf_free(table);
  return rc;
}

static int settings_main(void) {
  struct buf table;
  buf_init(&table, TABLE_MAX_BYTES);
  config_write_table(&table);
  return print_table(&table);
}

// The table of docs/receiving.md: what an answer means, from the code that judges it.
static int answers_main(void) {
  struct config config;
  struct retry_config retry;
  struct error err = {0};
  int rc = config_load(&config, NULL, NULL, NULL, &err);
  if (rc == 0)
    rc = config_retry(&config, &retry, &err);
  config_free(&config);
  if (rc != 0) {
    fprintf(stderr, "harbinger answers: %s\n", err.text);
    return error_exit_code(err.code);
  }
  struct buf table;
  buf_init(&table, TABLE_MAX_BYTES);
  retry_write_table(&retry, &table);
  return print_table(&table);
}

static void print_help(FILE *out) {
  fputs("usage: harbinger COMMAND [OPTIONS]\n"
        "\n"
        "On the server's machine:\n"
        "  serve              run the server\n"
        "  user passwd NAME   give a user a new password\n",
        out);
  care_command_print(out);
  fputs("  tls init           make a certificate of your own, and say what clients need to trust it\n"
        "  settings           print all settings of serve as a table\n"
        "  answers            print what a receiver's answer leads to, as a table\n",
        out);
  if (out == stdout) {
    puts("\nOver the API (log in first with `harbinger login URL`):");
    fflush(stdout);
    cli_print_commands();
  }
  fputs("\n"
        "  version            print the version\n"
        "\n"
        "`harbinger COMMAND --help` explains each, with examples.\n",
        out);
}

int main(int argc, char **argv) {
  const char *command = argc > 1 ? argv[1] : "";
  if (strcmp(command, "serve") == 0)
    return serve_main(argc - 1, argv + 1);
  if (strcmp(command, "user") == 0 && argc > 2 && strcmp(argv[2], "passwd") == 0)
    return passwd_main(argc - 2, argv + 2);
  if (strcmp(command, "tls") == 0 && argc > 2 && strcmp(argv[2], "init") == 0)
    return tls_init_main(argc - 2, argv + 2);
  if (care_command_owns(argc, argv))
    return care_command_main(argc, argv);
  if (strcmp(command, "settings") == 0)
    return settings_main();
  if (strcmp(command, "answers") == 0)
    return answers_main();
  if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
    puts("harbinger " HARBINGER_VERSION);
    return 0;
  }
  if (strcmp(command, "help") == 0 || strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
    print_help(stdout);
    return 0;
  }
#ifdef HARBINGER_FAULTS
  if (strcmp(command, "faults") == 0) {
    fault_print_names(stdout);
    return 0;
  }
#endif
  if (cli_owns(command))
    return cli_main(argc, argv);
  if (command[0])
    fprintf(stderr, "harbinger: unknown command `%s`\n\n", command);
  print_help(stderr);
  return 2;
}
