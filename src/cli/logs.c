// SPDX-License-Identifier: Apache-2.0
// ingest log, audit ls.
#include <stdio.h>

#include "cli/command.h"

static const struct table_column NOTE_COLUMNS[] = {
    {"TIME", "at"},       {"SOURCE", "source"},         {"REASON", "reason"},
    {"ACTION", "action"}, {"REPOSITORY", "repository"}, {"REFERENCE", "reference"},
};
static const struct table_column AUDIT_COLUMNS[] = {
    {"TIME", "at"},   {"ACTOR", "actor"},     {"ADDRESS", "address"}, {"OPERATION", "operation"},
    {"KIND", "kind"}, {"SUBJECT", "subject"},
};

static int run_ingest_log(struct cli *cli, struct error *err) {
  return cli_show_list(cli, STR("/api/v2.0/harbinger/ingest-log"), NOTE_COLUMNS, ARRAY_LEN(NOTE_COLUMNS),
                       "every notification of the last day made an event", err);
}

static int run_audit(struct cli *cli, struct error *err) {
  return cli_show_list(cli, STR("/api/v2.0/harbinger/audit"), AUDIT_COLUMNS, ARRAY_LEN(AUDIT_COLUMNS),
                       "nothing was changed yet", err);
}

static const struct cli_option OPTIONS[] = {CLI_LIST_OPTIONS, {0}};

const struct cli_command cli_log_commands[] = {
    {.noun = "ingest",
     .verb = "log",
     .summary = "list the notifications of the last day that made no event, with the reason",
     .options = OPTIONS,
     .examples = "harbinger ingest log\n"
                 "harbinger ingest log --limit 100 --json\n",
     .run = run_ingest_log},
    {.noun = "audit",
     .verb = "ls",
     .summary = "list who changed what, newest first",
     .options = OPTIONS,
     .examples = "harbinger audit ls\n",
     .run = run_audit},
    {0},
};
