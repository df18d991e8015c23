// SPDX-License-Identifier: Apache-2.0
// ingest log, audit ls.
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/rfc3339.h"
#include "cli/command.h"

static const struct table_column NOTE_COLUMNS[] = {
    {"TIME", "at"},       {"SOURCE", "source"},         {"REASON", "reason"},
    {"ACTION", "action"}, {"REPOSITORY", "repository"}, {"REFERENCE", "reference"},
};
static const struct table_column AUDIT_COLUMNS[] = {
    {"TIME", "at"},   {"ACTOR", "actor"},     {"ADDRESS", "address"}, {"OPERATION", "operation"},
    {"KIND", "kind"}, {"SUBJECT", "subject"}, {"FIELDS", "fields"},   {"REQUEST", "request_id"},
};

static int run_ingest_log(struct cli *cli, struct error *err) {
  return cli_show_list(cli, STR("/api/v2.0/harbinger/ingest-log"), NOTE_COLUMNS, ARRAY_LEN(NOTE_COLUMNS),
                       "every notification of the last day made an event", err);
}

// ---- audit ls -------------------------------------------------------------------------------------------------------

enum { HOUR_S = 60 * 60, DAY_S = 24 * HOUR_S, Q_MAX_BYTES = 4096 };

#define SINCE_MAX_S (INT64_C(36500) * DAY_S)

// "90m", "24h" or "7d" ago, or a time.
static int since_read(struct str text, int64_t *at_us, struct error *err) {
  static const struct {
    char unit;
    int64_t seconds;
  } units[] = {{'s', 1}, {'m', 60}, {'h', HOUR_S}, {'d', DAY_S}};
  struct clock clock;
  int64_t number;

  clock_init_real(&clock);
  if (rfc3339_read(text, at_us))
    return 0;
  for (size_t i = 0; text.len > 1 && i < ARRAY_LEN(units); i++) {
    if (text.ptr[text.len - 1] != units[i].unit || !str_to_i64(str_slice(text, 0, text.len - 1), &number) ||
        number < 0 || number > SINCE_MAX_S / units[i].seconds)
      continue;
    *at_us = clock_wall_us(&clock) - number * units[i].seconds * US_PER_S;
    return 0;
  }
  return error_set(err, ERR_CONFIG,
                   "--since is a time (2026-11-24T10:00:00Z) or how long ago (90m, 24h, 7d), not \"%.*s\"",
                   STR_ARG(text));
}

// Conditions of `q` are separated by commas; the backslash says that the value has no grammar of its own.
static int put_condition(struct cli *cli, struct buf *q, const char *option, struct error *err) {
  const char *value = cli_value(cli, option);

  if (!value)
    return 0;
  if (!value[0] || strchr(value, ','))
    return error_set(err, ERR_CONFIG, "--%s cannot be \"%s\"", option, value);
  buf_printf(q, "%s%s=\\%s", q->len > 0 ? "," : "", option, value);
  return 0;
}

static int put_since(struct cli *cli, struct buf *q, struct error *err) {
  const char *since = cli_value(cli, "since");
  char text[RFC3339_BYTES];
  int64_t at_us;

  if (!since)
    return 0;
  int rc = since_read(str_of(since), &at_us, err);
  if (rc != 0)
    return rc;
  (void)rfc3339_write(at_us, 0, text);
  struct str seconds = str_slice(str_of(text), 0, strlen(text) - 1); // `q` knows no zone but UTC, and no word for it
  buf_printf(q, "%sat=[%.*s~]", q->len > 0 ? "," : "", STR_ARG(seconds));
  return 0;
}

static int audit_path(struct cli *cli, struct str *path, struct error *err) {
  static const char *const options[] = {"project", "actor", "operation", "kind"};
  struct buf q;
  int rc = 0;

  buf_init(&q, Q_MAX_BYTES);
  for (size_t i = 0; rc == 0 && i < ARRAY_LEN(options); i++)
    rc = put_condition(cli, &q, options[i], err);
  if (rc == 0)
    rc = put_since(cli, &q, err);
  if (rc == 0) {
    struct str escaped = api_client_escape(buf_str(&q), cli->arena); // the server takes both off again
    escaped = api_client_escape(escaped, cli->arena);
    *path = q.len > 0 ? arena_printf(cli->arena, "/api/v2.0/harbinger/audit?q=%.*s", STR_ARG(escaped))
                      : STR("/api/v2.0/harbinger/audit");
    rc = escaped.ptr && path->ptr && !q.failed ? 0 : error_set(err, ERR_CONFIG, "these conditions are too long");
  }
  buf_free(&q);
  return rc;
}

static int run_audit(struct cli *cli, struct error *err) {
  struct str path;
  int rc = audit_path(cli, &path, err);

  return rc != 0
             ? rc
             : cli_show_list(cli, path, AUDIT_COLUMNS, ARRAY_LEN(AUDIT_COLUMNS), "nothing of that was done yet", err);
}

static const struct cli_option AUDIT_OPTIONS[] = {
    {"project", "P", "only what happened in this project"},
    {"actor", "NAME", "only what this user did; anonymous: logins that were refused"},
    {"operation", "WORD", "only this: create, update, delete, test, pause, resume, suspend, login ..."},
    {"kind", "WORD",
     "only changes of this: policy, project, delivery, token, egress, user, configuration, session, key"},
    {"since", "TIME", "only from this time on (2026-11-24T10:00:00Z), or from so long ago (90m, 24h, 7d)"},
    CLI_LIST_OPTIONS,
    {0}};

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
     .options = AUDIT_OPTIONS,
     .examples = "harbinger audit ls\n"
                 "harbinger audit ls --project library --since 24h\n"
                 "harbinger audit ls --actor anonymous --operation \"login refused\" --json\n",
     .run = run_audit},
    {0},
};
