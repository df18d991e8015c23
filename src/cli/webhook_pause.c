// SPDX-License-Identifier: Apache-2.0
// webhook pause, resume: stop sending for a while, and say what becomes of what waits.
#include "cli/webhook.h"

static int judge_word(const char *option, const char *word, const char *yes, const char *no, struct error *err) {
  if (word && (str_eq_c(str_of(word), yes) || str_eq_c(str_of(word), no)))
    return 0;
  return error_set(err, ERR_CONFIG, "--%s takes %s or %s", option, yes, no);
}

// POST {"KEY": "WORD"} to the webhook's call `action`; then the webhook as JSON, or `words`.
static int switch_it(struct cli *cli, const char *action, const char *key, const char *word, const char *words,
                     struct error *err) {
  struct json_object *policy;
  struct api_answer answer;
  struct str path, body;
  int rc = webhook_find(cli, cli->operands[0], &path, &policy, err);
  if (rc != 0)
    return rc;
  struct str call = arena_printf(cli->arena, "%.*s/%s", STR_ARG(path), action);
  body = arena_printf(cli->arena, "{\"%s\": \"%s\"}", key, word);
  if (!call.ptr || !body.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  rc = cli_call(cli, "POST", call, body, &answer, err);
  if (rc != 0)
    return rc;
  if (cli->json)
    cli_print_json(&answer);
  else
    cli_say(cli, "%s webhook %s: %s", str_eq_c(str_of(action), "pause") ? "paused" : "resumed", cli->operands[0],
            words);
  return 0;
}

static int run_pause(struct cli *cli, struct error *err) {
  const char *mode = cli_value(cli, "mode");
  int rc = judge_word("mode", mode, "hold", "skip", err);
  if (rc != 0)
    return rc;
  return switch_it(cli, "pause", "mode", mode,
                   str_eq_c(str_of(mode), "hold")
                       ? "its deliveries wait until it is resumed"
                       : "what waited is cancelled, and no delivery is made until it is resumed",
                   err);
}

static int run_resume(struct cli *cli, struct error *err) {
  const char *backlog = cli_value(cli, "backlog");
  if (!backlog)
    backlog = "keep";
  int rc = judge_word("backlog", backlog, "keep", "drop", err);
  if (rc != 0)
    return rc;
  return switch_it(cli, "resume", "backlog", backlog,
                   str_eq_c(str_of(backlog), "keep") ? "what waits is sent" : "what waited is cancelled", err);
}

static const struct cli_option PAUSE_OPTIONS[] = {
    CLI_PROJECT_OPTION,
    {"mode", "hold|skip", "hold: deliveries are made and wait; skip: what waits is cancelled and none is made"},
    {0},
};
static const struct cli_option RESUME_OPTIONS[] = {
    CLI_PROJECT_OPTION,
    {"backlog", "keep|drop", "what waits: keep sends it (default), drop cancels it"},
    {0},
};

const struct cli_command cli_webhook_pause_commands[] = {
    {.noun = "webhook",
     .verb = "pause",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "stop sending; nothing leaves any more once this has returned",
     .options = PAUSE_OPTIONS,
     .examples = "harbinger webhook pause ci --project team-a --mode hold\n"
                 "harbinger webhook pause ci --project team-a --mode skip\n",
     .run = run_pause},
    {.noun = "webhook",
     .verb = "resume",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "send again what was paused, disabled, or suspended because its receiver was gone",
     .options = RESUME_OPTIONS,
     .examples = "harbinger webhook resume ci --project team-a\n"
                 "harbinger webhook resume ci --project team-a --backlog drop\n",
     .run = run_resume},
    {0},
};
