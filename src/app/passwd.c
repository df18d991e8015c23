// SPDX-License-Identifier: Apache-2.0
#include "app/passwd.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/control.h"
#include "app/file.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "cli/terminal.h"

enum { COMMAND_ARENA_BYTES = 256 * 1024 };

static void print_help(void) {
  puts(
      "usage: harbinger user passwd NAME [--data DIR] [--password-stdin]\n"
      "\n"
      "Gives a user a new password. Asks for it on a terminal; with --password-stdin it is the first line of standard\n"
      "input; otherwise a random one is made and printed. Works with the server running or stopped.\n"
      "\n"
      "examples:\n"
      "  harbinger user passwd admin --data /var/lib/harbinger\n"
      "  printf '%s\\n' \"$NEW\" | harbinger user passwd admin --password-stdin");
}

// *made: the password is ours and must be printed.
static int choose_password(bool from_stdin, char out[static TERMINAL_LINE_BYTES], bool *made, struct error *err) {
  char again[TERMINAL_LINE_BYTES];
  *made = false;
  if (from_stdin)
    return terminal_read_line("password", out, err);
  if (!isatty(STDIN_FILENO)) {
    char password[25];
    auth_password_make(password);
    snprintf(out, TERMINAL_LINE_BYTES, "%s", password);
    *made = true;
    return 0;
  }
  int rc = terminal_ask("New password", true, out, err);
  if (rc == 0)
    rc = terminal_ask("Again", true, again, err);
  if (rc != 0)
    return rc;
  return strcmp(out, again) == 0 ? 0 : error_set(err, ERR_BAD_REQUEST, "the two passwords differ");
}

static int set_through_server(const char *dir, const char *name, const char *password, struct arena *arena,
                              struct error *err) {
  struct buf line;
  buf_init(&line, CONTROL_MAX_LINE_BYTES - 1);
  struct json_writer w = json_writer_make(&line, false);
  json_object_begin(&w);
  json_field_str(&w, "command", STR("passwd"));
  json_field_str(&w, "name", str_of(name));
  json_field_str(&w, "password", str_of(password));
  json_object_end(&w);
  struct str answer, words;
  struct json_object *reply;
  int rc = line.failed ? error_set(err, ERR_BAD_REQUEST, "name or password is too long")
                       : control_ask(dir, buf_str(&line), NULL, arena, &answer, err);
  buf_free(&line);
  if (rc == 0)
    rc = json_parse(answer, arena, &reply, err);
  if (rc == 0 && json_get_str(reply, "error", &words))
    rc = error_set(err, ERR_BAD_REQUEST, "%.*s", STR_ARG(words));
  return rc;
}

static int set_in_store(const char *dir, const char *name, const char *password, struct error *err) {
  struct clock clock;
  struct log log;
  clock_init_real(&clock);
  log_init(&log, &clock, 2, false, LOG_WARN);
  struct store_config config = {.dir = dir, .max_queue = 16, .retry_ms = 1000};
  char key[4096];
  snprintf(key, sizeof key, "%s/harbinger.db", dir);
  if (access(key, F_OK) != 0)
    return error_set(err, ERR_NOT_FOUND, "there is no store in %s; name the data directory with --data", dir);
  snprintf(key, sizeof key, "%s/secret.key", dir);
  int rc = store_settle(dir, &log, err); // the key may be the one of a restore that was killed
  if (rc == 0)
    rc = file_key(key, config.seal_key, sizeof config.seal_key, err);
  if (rc != 0)
    return rc;
  config.retention = (struct store_retention){.events_s = INT32_MAX,
                                              .attempts_s = INT32_MAX,
                                              .failed_attempts_s = INT32_MAX,
                                              .bodies_s = INT32_MAX,
                                              .failed_bodies_s = INT32_MAX,
                                              .ingest_log_s = INT32_MAX,
                                              .seen_s = INT32_MAX,
                                              .audit_s = INT32_MAX,
                                              .max_bytes = INT64_MAX};
  struct id_source *ids = id_source_new(&clock);
  struct metrics *metrics = metrics_new(256);
  struct store *store = ids && metrics ? store_open(&config, &clock, ids, &log, metrics, err) : NULL;
  if (!store)
    rc = err->code ? (int)err->code : ERR_NO_MEMORY;
  if (rc == 0 && (rc = store_start(store, err)) == 0) {
    rc = control_set_password(store, NULL, dir, getuid(), str_of(name), str_of(password), err);
    store_stop(store);
  }
  if (store)
    store_close(store);
  metrics_free(metrics);
  id_source_free(ids);
  return rc;
}

static int set_password(const char *dir, const char *name, const char *password, struct error *err) {
  struct arena *arena = arena_new(COMMAND_ARENA_BYTES);
  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  int rc = set_through_server(dir, name, password, arena, err);
  arena_free(arena);
  return rc == ERR_NOT_FOUND ? set_in_store(dir, name, password, err) : rc;
}

int passwd_main(int argc, char **argv) {
  static const struct option known[] = {{"data", required_argument, NULL, 'd'},
                                        {"password-stdin", no_argument, NULL, 'i'},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};
  const char *dir = getenv("HARBINGER_DATA");
  if (!dir)
    dir = "./data";
  bool from_stdin = false, made;
  int option;
  while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
    if (option == 'h') {
      print_help();
      return 0;
    }
    if (option == 'd')
      dir = optarg;
    if (option == 'i')
      from_stdin = true;
    if (option == '?')
      return 2;
  }
  struct error err = {0};
  char password[TERMINAL_LINE_BYTES];
  int rc = crypto_start(&err);
  if (rc == 0 && optind + 1 != argc)
    rc = error_set(&err, ERR_CONFIG, "name one user; see harbinger user passwd --help");
  if (rc == 0)
    rc = choose_password(from_stdin, password, &made, &err);
  if (rc == 0)
    rc = set_password(dir, argv[optind], password, &err);
  if (rc == 0 && made)
    printf("%s\n", password);
  explicit_bzero(password, sizeof password);
  if (rc == 0)
    return 0;
  fprintf(stderr, "harbinger user passwd: %s\n", err.text);
  return error_exit_code(err.code);
}
