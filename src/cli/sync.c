// SPDX-License-Identifier: Apache-2.0
// sync: the server reads its registry into the catalogue; this side begins it, shows how far it is, and says what came of it.
#include <stdio.h>
#include <unistd.h>

#include "base/json_writer.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "net/loop.h"

enum { SYNC_BODY_MAX_BYTES = 4096, SYNC_POLL_MS = 300, SYNC_ARENA_BYTES = 1024 * 1024 };

static const char SYNC_PATH[] = "/api/v2.0/harbinger/sync";

static long long number(const struct json_object *object, const char *key) {
  int64_t value = 0;
  (void)json_get_i64(object, key, &value);
  return (long long)value;
}

static const char *plural(long long n) {
  return n == 1 ? "" : "s";
}

static void show_progress(const struct json_object *state, bool *shown) {
  struct str what = STR_EMPTY;
  long long done = number(state, "done"), of = number(state, "of");
  (void)json_get_str(state, "what", &what);
  char line[128];
  if (of > 0)
    (void)snprintf(line, sizeof line, "%.*s: %lld of %lld", STR_ARG(what), done, of);
  else
    (void)snprintf(line, sizeof line, "%.*s", STR_ARG(what));
  terminal_printf(stderr, "\r\033[K%s", line);
  (void)fflush(stderr);
  *shown = true;
}

static int begin(struct cli *cli, const char *project, struct error *err) {
  struct api_answer answer;
  struct buf body;
  buf_init(&body, SYNC_BODY_MAX_BYTES);
  struct json_writer w = json_writer_make(&body, false);
  json_object_begin(&w);
  if (project)
    json_field_str(&w, "project", str_of(project));
  json_object_end(&w);
  int rc = body.failed ? error_set(err, ERR_BAD_REQUEST, "the name of the project is too long")
                       : cli_call(cli, "POST", str_of(SYNC_PATH), buf_str(&body), &answer, err);
  buf_free(&body);
  return rc;
}

// What it ended with.
static int tell_end(struct cli *cli, const struct api_answer *answer, struct error *err) {
  struct json_object *counts = json_get_object(answer->json, "counts");
  struct str words = STR_EMPTY, trouble = STR_EMPTY;
  bool resumed = false;
  if (cli->json)
    cli_print_json(answer);
  (void)json_get_bool(counts, "resumed", &resumed);
  if (resumed)
    cli_say(cli, "Went on where an earlier sync had come to.");
  cli_say(cli,
          "Read %lld repositor%s: %lld tag%s added, %lld moved, %lld removed; %lld manifest%s and %lld repositor%s "
          "removed.",
          number(counts, "repositories"), number(counts, "repositories") == 1 ? "y" : "ies", number(counts, "added"),
          plural(number(counts, "added")), number(counts, "moved"), number(counts, "removed_tags"),
          number(counts, "removed_artifacts"), plural(number(counts, "removed_artifacts")),
          number(counts, "removed_repositories"), number(counts, "removed_repositories") == 1 ? "y" : "ies");
  if (json_get_str(answer->json, "error", &words))
    return error_set(err, ERR_UNAVAILABLE, "%.*s; what was read is kept, and `harbinger sync` goes on from there",
                     STR_ARG(words));
  if (!json_get_str(counts, "trouble", &trouble) || trouble.len == 0)
    return 0;
  return error_set(err, ERR_PRECONDITION,
                   "%lld tags are of projects that are unknown, %lld repositories or tags could "
                   "not be read; the first: %.*s",
                   number(counts, "refused"), number(counts, "unreadable"), STR_ARG(trouble));
}

static int watch(struct cli *cli, struct loop *loop, struct error *err) {
  bool on_terminal = isatty(STDERR_FILENO), running = true, shown = false;
  struct arena *whole = cli->arena;
  int rc = 0;
  while (rc == 0 && running) {
    CLEANUP(arena_cleanup) struct arena *arena = arena_new(SYNC_ARENA_BYTES); // of one look: there may be many
    struct api_answer answer;
    if (!arena)
      return error_set(err, ERR_NO_MEMORY, "out of memory");
    cli->arena = arena;
    rc = cli_call(cli, "GET", str_of(SYNC_PATH), STR_EMPTY, &answer, err);
    if (rc == 0 && !json_get_bool(answer.json, "running", &running))
      rc = error_set(err, ERR_INTERNAL, "the server's answer does not say how far it is: is it another version?");
    if (rc == 0 && running && on_terminal && !cli->json)
      show_progress(answer.json, &shown);
    if (rc == 0 && !running) {
      if (shown)
        (void)fputs("\r\033[K", stderr);
      rc = tell_end(cli, &answer, err);
    } else if (rc == 0) {
      (void)loop_step(loop, SYNC_POLL_MS);
    }
    cli->arena = whole;
  }
  return rc;
}

static int run_sync(struct cli *cli, struct error *err) {
  struct api_answer answer;
  struct clock clock;
  if (cli_flag(cli, "stop")) {
    int rc = cli_call(cli, "DELETE", str_of(SYNC_PATH), STR_EMPTY, &answer, err);
    if (rc == 0)
      cli_say(cli, "it stops; what was read is kept");
    return rc;
  }
  int rc = begin(cli, cli_value(cli, "project"), err);
  if (rc != 0 || cli_flag(cli, "no-wait"))
    return rc;
  clock_init_real(&clock);
  struct loop *loop = loop_new(&clock, 1, 1, err);
  if (!loop)
    return err->code;
  rc = watch(cli, loop, err);
  loop_free(loop);
  return rc;
}

static const struct cli_option SYNC_OPTIONS[] = {
    {"project", "P", "only the repositories of this project"},
    {"no-wait", NULL, "begin it and come back; the server goes on"},
    {"stop", NULL, "stop the one that is going on; what it has read is kept"},
    {0}};

const struct cli_command cli_sync_commands[] = {
    {.noun = "sync",
     .summary = "read the registry behind the server into its catalogue, without events",
     .options = SYNC_OPTIONS,
     .examples = "harbinger sync\n"
                 "harbinger sync --project team-a\n",
     .run = run_sync},
    {0},
};
