// SPDX-License-Identifier: Apache-2.0
// What the commands on webhooks share: finding one by name or id. One thread.
#ifndef HARBINGER_CLI_WEBHOOK_H
#define HARBINGER_CLI_WEBHOOK_H

#include "cli/command.h"

// The webhook of --project that `name` means: its name, or its id when no webhook has such a name. *path is its address
// in the API, *policy its JSON as the server shows it.
int webhook_find(struct cli *cli, const char *name, struct str *path, struct json_object **policy, struct error *err)
    MUST_CHECK;
// The answer of a GET on `path`, for --json after a change, or one line for people.
int webhook_show_changed(struct cli *cli, struct str path, const char *words, struct error *err) MUST_CHECK;

extern const struct table_column webhook_fields[];
extern const size_t webhook_fields_len;

#endif
