// SPDX-License-Identifier: Apache-2.0
#include "app/care_command.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/care.h"
#include "app/control.h"
#include "app/file.h"
#include "base/json.h"
#include "cli/terminal.h"

enum {
  COMMAND_ARENA_BYTES = 4 * 1024 * 1024,
  SHOW_EVERY_US = 100000,
  EXIT_NOT_CHECKED = 3,
  EXIT_INTERRUPTED = 130,
  COMMAND_PATH_BYTES = 4096,
};

struct command {
  const char *noun, *verb, *summary, *help;
  const char *operands; // in the error about them
  int operands_len;
  int kind; // enum care_kind, or -1: restore
};

#define DATA_HELP                                                                                                   \
  "  --data DIR      the data directory (default: $HARBINGER_DATA, else ./data). When its server runs, the server " \
  "does\n"                                                                                                          \
  "                  the work; else the command itself\n"

static const struct command commands[] = {
    {"backup", NULL, "copy the store while the server goes on working",
     "usage: harbinger backup DIR [--data DIR]\n"
     "\n"
     "Writes the store as it is at one moment to DIR, which comes into being whole or not at all; with the server "
     "running\n"
     "nobody waits for it. The key files secret.key and token.key are not in it: keep copies of them apart, so that "
     "who\n"
     "finds a backup reads no address and no secret. DIR is written by the user that runs the server.\n"
     "\n" DATA_HELP "\n"
     "examples:\n"
     "  harbinger backup /var/backups/harbinger-monday --data /var/lib/harbinger\n"
     "  harbinger backup \"/var/backups/harbinger-$(date +%F)\" --data /var/lib/harbinger\n",
     "the directory to write to", 1, CARE_BACKUP},
    {"restore", NULL, "make a backup the store of a data directory",
     "usage: harbinger restore BACKUP [--data DIR] [--keys DIR] [--force] [--without-key]\n"
     "\n"
     "Checks the backup (its sum, the file itself, schema, key), then makes it the store of the data directory, whole "
     "or\n"
     "not at all. The server must be stopped. Nothing is deleted: a store that is there is put aside with --force. "
     "What\n"
     "waited when the backup was made is sent again, with the same ids.\n"
     "\n"
     "  --data DIR      the data directory (default: $HARBINGER_DATA, else ./data); made when it is not there\n"
     "  --keys DIR      take secret.key, and token.key if it is there, from this directory\n"
     "  --force         put aside the store, and with --keys the key files, that are there\n"
     "  --without-key   the key is lost: give up addresses and headers of all webhooks, each of which is suspended\n"
     "\n"
     "examples:\n"
     "  harbinger restore /var/backups/harbinger-monday --data /var/lib/harbinger --keys /root/harbinger-keys\n"
     "  harbinger restore /var/lib/harbinger/backups/before-schema-6 --data /var/lib/harbinger --force\n",
     "the directory of a backup", 1, -1},
    {"check", NULL, "look for damage in the store, and compare it with the registry",
     "usage: harbinger check [--data DIR] [--catalogue]\n"
     "\n"
     "Reads the whole store: pages and indexes, rows whose owners are gone, secrets that the key file does not open. "
     "Changes\n"
     "nothing. Exit code 0: sound; 1: something was found; 2 or 3: it could not be checked.\n"
     "\n" DATA_HELP
     "  --catalogue     compare tags and manifests with the registry (setting upstream.url of the running server)\n"
     "\n"
     "examples:\n"
     "  harbinger check --data /var/lib/harbinger\n"
     "  harbinger check --data /var/lib/harbinger --catalogue\n",
     NULL, 0, CARE_CHECK},
    {"compact", NULL, "give back to the disk what is free in the store",
     "usage: harbinger compact [--data DIR] [--incremental]\n"
     "\n"
     "Rewrites the store without the room that trimmed events left in it, which needs as much free disk as the result\n"
     "takes. The server must be stopped, unless the store was compacted with --incremental before: then the running "
     "server\n"
     "does it in small steps. Without compaction the room is used again, by new events.\n"
     "\n" DATA_HELP
     "  --incremental   from now on the running server can do it (the file takes an eighth of a percent more)\n"
     "\n"
     "examples:\n"
     "  harbinger compact --data /var/lib/harbinger\n"
     "  harbinger compact --data /var/lib/harbinger --incremental\n",
     NULL, 0, CARE_COMPACT},
    {"key", "rotate", "seal all addresses and secrets with a new key",
     "usage: harbinger key rotate [--data DIR]\n"
     "\n"
     "Makes a new key and seals with it what the store keeps sealed: addresses and headers of webhooks. Until all of "
     "it is\n"
     "done the key file holds both keys, so that an interruption costs nothing; the command then goes on where it "
     "was.\n"
     "API tokens and sessions do not depend on this key.\n"
     "\n" DATA_HELP "\n"
     "examples:\n"
     "  harbinger key rotate --data /var/lib/harbinger\n",
     NULL, 0, CARE_KEY_ROTATE},
};

static const struct command *find(int argc, char **argv) {
  for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
    const struct command *command = &commands[i];
    if (argc > 1 && strcmp(argv[1], command->noun) == 0 &&
        (!command->verb || (argc > 2 && strcmp(argv[2], command->verb) == 0)))
      return command;
  }
  return NULL;
}

bool care_command_owns(int argc, char **argv) {
  return find(argc, argv) != NULL;
}

void care_command_print(FILE *out) {
  for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
    char left[32];
    snprintf(left, sizeof left, "%s%s%s%s", commands[i].noun, commands[i].verb ? " " : "",
             commands[i].verb ? commands[i].verb : "", commands[i].operands_len ? " DIR" : "");
    fprintf(out, "  %-18s %s\n", left, commands[i].summary);
  }
}

// ---- options ----------------------------------------------------------------------------------------------------------

struct options {
  const struct command *command;
  const char *data, *keys, *operand;
  bool catalogue, incremental, force, without_key;
};

// 1: help was printed.
static int read_options(const struct command *command, int argc, char **argv, struct options *out, struct error *err) {
  static const struct option known[] = {
      {"data", required_argument, NULL, 'd'}, {"keys", required_argument, NULL, 'k'},
      {"catalogue", no_argument, NULL, 'c'},  {"incremental", no_argument, NULL, 'i'},
      {"force", no_argument, NULL, 'f'},      {"without-key", no_argument, NULL, 'w'},
      {"help", no_argument, NULL, 'h'},       {0},
  };
  const char *data = getenv("HARBINGER_DATA");
  *out = (struct options){.command = command, .data = data && data[0] ? data : "./data"};
  bool restores = command->kind < 0, wrong = false;
  int option;
  while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
    if (option == 'h') {
      fputs(command->help, stdout);
      return 1;
    }
    out->data = option == 'd' ? optarg : out->data;
    out->keys = option == 'k' ? optarg : out->keys;
    out->catalogue |= option == 'c';
    out->incremental |= option == 'i';
    out->force |= option == 'f';
    out->without_key |= option == 'w';
    wrong |= option == '?' || (strchr("kfw", option) && !restores) || (option == 'c' && command->kind != CARE_CHECK) ||
             (option == 'i' && command->kind != CARE_COMPACT);
  }
  const char *verb = command->verb ? command->verb : "", *blank = command->verb ? " " : "";
  if (wrong)
    return error_set(err, ERR_CONFIG, "that option is not of this command; see harbinger %s%s%s --help", command->noun,
                     blank, verb);
  if (optind + command->operands_len != argc)
    return command->operands_len
               ? error_set(err, ERR_CONFIG, "name %s; see harbinger %s --help", command->operands, command->noun)
               : error_set(err, ERR_CONFIG, "`%s` is too much; see harbinger %s%s%s --help", argv[optind],
                           command->noun, blank, verb);
  out->operand = command->operands_len ? argv[optind] : NULL;
  return 0;
}

// ---- what a person sees -----------------------------------------------------------------------------------------------

static volatile sig_atomic_t interrupted; // by SIGINT or SIGTERM: the work ends at its next step

static void on_signal(int number) {
  (void)number;
  interrupted = 1;
}

// The second one ends the process at once.
static void take_signals(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  sigemptyset(&action.sa_mask);
  (void)sigaction(SIGINT, &action, NULL);
  (void)sigaction(SIGTERM, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
}

struct show {
  struct clock clock;
  int64_t shown_us;
  bool on_terminal, is_line_open;
};

static bool show_progress(void *ctx, const char *what, int64_t done, int64_t of) {
  struct show *show = ctx;
  if (interrupted)
    return false;
  int64_t now_us = clock_mono_us(&show->clock);
  if (!show->on_terminal || !what[0] || now_us - show->shown_us < SHOW_EVERY_US)
    return true;
  show->shown_us = now_us;
  show->is_line_open = true;
  fputs("\r\033[K", stderr);
  if (of > 0)
    terminal_printf(stderr, "%s: %lld %%", what, (long long)(done * 100 / of));
  else
    terminal_printf(stderr, "%s ...", what);
  return true;
}

static void end_line(struct show *show) {
  if (show->is_line_open)
    fputs("\r\033[K", stderr);
  show->is_line_open = false;
}

// ---- through the server -----------------------------------------------------------------------------------------------

static int ask_server(const struct options *options, const struct care_request *request,
                      const struct store_progress *progress, struct arena *arena, struct buf *text, int *exit_code,
                      struct error *err) {
  struct buf line;
  struct str answer, words;
  struct json_object *reply;
  int64_t code = 0;
  buf_init(&line, CONTROL_MAX_LINE_BYTES - 1);
  care_request_write(request, &line);
  int rc = line.failed ? error_set(err, ERR_BAD_REQUEST, "the path is too long")
                       : control_ask(options->data, buf_str(&line), progress, arena, &answer, err);
  buf_free(&line);
  if (rc == 0)
    rc = json_parse(answer, arena, &reply, err);
  if (rc != 0)
    return rc;
  (void)json_get_i64(reply, "exit", &code);
  if (json_get_str(reply, "error", &words)) {
    *exit_code = (int)code;
    return error_set(err, ERR_BAD_REQUEST, "%.*s", STR_ARG(words));
  }
  *exit_code = (int)code;
  if (json_get_str(reply, "text", &words))
    buf_put(text, words);
  return 0;
}

// ---- without one ------------------------------------------------------------------------------------------------------

struct opened {
  struct clock clock;
  struct log log;
  struct id_source *ids;
  struct metrics *metrics;
  struct store *store;
};

static int find_store(const char *data, struct error *err) {
  char path[COMMAND_PATH_BYTES];
  snprintf(path, sizeof path, "%s/harbinger.db", data);
  if (access(path, F_OK) == 0)
    return 0;
  return error_set(err, ERR_NOT_FOUND, "there is no store in %s: name the data directory with --data", data);
}

static int may_enter(const char *data, struct error *err) {
  char words[128];
  if (access(data, R_OK | W_OK | X_OK) == 0 || errno != EACCES)
    return 0; // what else is wrong is told by those who need it
  return error_set(err, ERR_IO, "cannot work in %s: %s: run this as the user that runs the server, or as root", data,
                   error_errno(errno, words));
}

static int read_key(const char *data, struct store_config *config, struct error *err) {
  char path[COMMAND_PATH_BYTES];
  struct store_keys keys;
  snprintf(path, sizeof path, "%s/secret.key", data);
  if (access(path, F_OK) != 0 && errno == ENOENT) // never made here: a new key would open nothing
    return error_set(err, ERR_NOT_FOUND, "the key file %s is not there: put it back from where you keep its copy",
                     path);
  int rc = file_keys(path, &keys, err);
  memcpy(config->seal_key, keys.keys[0], SEAL_KEY_BYTES);
  memcpy(config->old_seal_key, keys.keys[1], SEAL_KEY_BYTES);
  config->has_old_seal_key = keys.len == 2;
  explicit_bzero(&keys, sizeof keys);
  return rc;
}

static int store_of(const struct options *options, bool as_is, const struct store_progress *progress,
                    struct opened *opened, struct error *err) {
  struct store_config config = {
      .dir = options->data, .max_queue = 16, .retry_ms = 1000, .as_is = as_is, .progress = progress};
  config.retention.max_bytes = INT64_MAX;
  clock_init_real(&opened->clock);
  log_init(&opened->log, &opened->clock, 2, false, LOG_WARN);
  int rc = may_enter(options->data, err);
  if (rc == 0)
    rc = store_settle(options->data, &opened->log, err);
  if (rc == 0)
    rc = find_store(options->data, err);
  if (rc == 0)
    rc = read_key(options->data, &config, err);
  if (rc != 0)
    return rc;
  opened->ids = id_source_new(&opened->clock);
  opened->metrics = metrics_new(256);
  if (!opened->ids || !opened->metrics)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  opened->store = store_open(&config, &opened->clock, opened->ids, &opened->log, opened->metrics, err);
  explicit_bzero(config.seal_key, sizeof config.seal_key);
  explicit_bzero(config.old_seal_key, sizeof config.old_seal_key);
  if (!opened->store)
    return err->code;
  return as_is ? 0 : store_start(opened->store, err);
}

static void close_store(struct opened *opened) {
  if (opened->store) {
    store_stop(opened->store);
    store_close(opened->store);
  }
  metrics_free(opened->metrics);
  id_source_free(opened->ids);
}

static int do_offline(const struct options *options, const struct care_request *request,
                      const struct store_progress *progress, struct buf *text, int *exit_code, struct error *err) {
  struct opened opened = {0};
  // Only a change of keys writes rows, and so needs the schema of today.
  int rc = store_of(options, request->kind != CARE_KEY_ROTATE, progress, &opened, err);
  char *whole = realpath(options->data, NULL); // what is said must hold in any directory
  const struct care_place place = {.store = opened.store, .data = whole ? whole : options->data, .upstream_url = ""};
  if (rc == 0)
    rc = care_do(request, &place, progress, text, exit_code, err);
  close_store(&opened);
  free(whole);
  return rc;
}

// ---- restore ----------------------------------------------------------------------------------------------------------

// Of the key file that the data directory will have; "" when there is none.
static int fingerprints_of(const struct options *options, char out[static STORE_FINGERPRINTS_BYTES],
                           struct error *err) {
  char path[COMMAND_PATH_BYTES];
  struct store_keys keys;
  snprintf(path, sizeof path, "%s/secret.key", options->keys ? options->keys : options->data);
  out[0] = '\0';
  if (access(path, F_OK) != 0) {
    if (options->without_key && !options->keys)
      return 0;
    return error_set(
        err, ERR_NOT_FOUND,
        "there is no key file %s, and without the key nothing in the backup can be sent: name the directory "
        "with its copy with --keys DIR, or give up all webhook addresses with --without-key",
        path);
  }
  int rc = file_keys(path, &keys, err);
  if (rc == 0)
    store_keys_fingerprints(&keys, out);
  explicit_bzero(&keys, sizeof keys);
  return rc;
}

static int do_restore(const struct options *options, const struct store_progress *progress, struct arena *arena,
                      struct buf *text, struct error *err) {
  char fingerprints[STORE_FINGERPRINTS_BYTES];
  struct store_restored done;
  int rc = may_enter(options->data, err);
  if (rc == 0)
    rc = fingerprints_of(options, fingerprints, err);
  if (rc != 0)
    return rc;
  char who[CARE_WHO_BYTES];
  care_who(getuid(), who);
  const struct store_restore what = {.backup = options->operand,
                                     .dir = options->data,
                                     .who = who,
                                     .keys = options->keys,
                                     .fingerprints = options->without_key ? "" : fingerprints,
                                     .force = options->force,
                                     .without_key = options->without_key};
  rc = store_restore(&what, progress, arena, &done, err);
  if (rc != 0)
    return rc;
  const struct store_manifest *made = &done.manifest;
  buf_printf(text,
             "Restored %s to %s: %lld projects, %lld webhooks, %lld events, %lld deliveries, schema %lld, by harbinger "
             "%.*s.\n",
             options->operand, options->data, (long long)made->projects, (long long)made->policies,
             (long long)made->events, (long long)made->deliveries, (long long)made->schema, STR_ARG(made->program));
  if (made->waiting > 0)
    buf_printf(text, "%lld deliveries waited when it was made; they are sent when the server starts.\n",
               (long long)made->waiting);
  if (done.aside.len > 0)
    buf_printf(text, "What was there is in %.*s; remove it when all is well.\n", STR_ARG(done.aside));
  if (options->without_key)
    buf_put_c(text, "All webhooks are suspended until they are given their addresses again.\n");
  return 0;
}

// ---- all of them ------------------------------------------------------------------------------------------------------

// The server has another working directory.
static int absolute(const char *path, char out[static CARE_PATH_BYTES], struct error *err) {
  char here[CARE_PATH_BYTES] = "";
  if (path[0] != '/' && !getcwd(here, sizeof here))
    return error_set(err, ERR_IO, "cannot tell the current directory: name an absolute path");
  int len = snprintf(out, CARE_PATH_BYTES, "%s%s%s", here, path[0] == '/' ? "" : "/", path);
  if (len < 0 || len >= CARE_PATH_BYTES)
    return error_set(err, ERR_CONFIG, "the path is longer than %d bytes", CARE_PATH_BYTES - 1);
  while (len > 1 && out[len - 1] == '/')
    out[--len] = '\0';
  return 0;
}

static int run(const struct options *options, const struct store_progress *progress, struct buf *text, int *exit_code,
               struct error *err) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(COMMAND_ARENA_BYTES);
  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  if (options->command->kind < 0)
    return do_restore(options, progress, arena, text, err);
  struct care_request request = {.kind = (enum care_kind)options->command->kind,
                                 .catalogue = options->catalogue,
                                 .incremental = options->incremental,
                                 .uid = getuid()};
  int rc = options->operand ? absolute(options->operand, request.dir, err) : 0;
  if (rc != 0)
    return rc;
  rc = ask_server(options, &request, progress, arena, text, exit_code, err);
  if (rc != ERR_NOT_FOUND)
    return rc;
  buf_clear(text);
  return do_offline(options, &request, progress, text, exit_code, err);
}

int care_command_main(int argc, char **argv) {
  const struct command *command = find(argc, argv);
  int words = command->verb ? 2 : 1, exit_code = 0;
  struct options options;
  struct error err = {0};
  struct buf text;
  struct show show = {.on_terminal = isatty(STDERR_FILENO)};
  const struct store_progress progress = {.tell = show_progress, .ctx = &show};
  clock_init_real(&show.clock);
  buf_init(&text, CARE_TEXT_BYTES);
  int rc = read_options(command, argc - words, argv + words, &options, &err);
  if (rc == 1)
    return 0;
  take_signals();
  if (rc == 0)
    rc = crypto_start(&err);
  if (rc == 0)
    rc = run(&options, &progress, &text, &exit_code, &err);
  end_line(&show);
  for (struct str rest = buf_str(&text), line; rc == 0 && str_next(&rest, '\n', &line);) {
    if (line.len == 0)
      continue;
    terminal_print(stdout, line);
    putchar('\n');
  }
  buf_free(&text);
  if (rc == 0)
    return fflush(stdout) == 0 ? exit_code : 1;
  terminal_printf(stderr, "harbinger %s%s%s: %s\n", command->noun, command->verb ? " " : "",
                  command->verb ? command->verb : "", err.text);
  if (interrupted)
    return EXIT_INTERRUPTED;
  if (!exit_code)
    exit_code = error_exit_code(err.code);
  // A check that could not be made has found nothing.
  return command->kind == CARE_CHECK && exit_code != error_exit_code(ERR_CONFIG) ? EXIT_NOT_CHECKED : exit_code;
}
