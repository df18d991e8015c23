// SPDX-License-Identifier: Apache-2.0
// egress ls, allow, deny: which private ranges webhooks may reach.
#include <stdio.h>

#include "base/json_writer.h"
#include "cli/command.h"
#include "net/address.h"

enum { BODY_MAX_BYTES = 64 * 1024 };

static const char EGRESS_PATH[] = "/api/v2.0/harbinger/egress";
static const char RANGES[] = "allowed"; // the member with the list

static int get(struct cli *cli, struct api_answer *answer, struct error *err) {
  int rc = cli_call(cli, "GET", str_of(EGRESS_PATH), STR_EMPTY, answer, err);
  if (rc == 0 && !json_get_array(answer->json, RANGES))
    rc = error_set(err, ERR_INTERNAL, "the server's answer has no list of ranges: is it another version?");
  return rc;
}

static int run_ls(struct cli *cli, struct error *err) {
  struct api_answer answer;
  int rc = get(cli, &answer, err);
  if (rc != 0)
    return rc;
  if (cli->json) {
    cli_print_json(&answer);
    return 0;
  }
  const struct json_object *ranges = json_get_array(answer.json, RANGES);
  for (size_t i = 0; i < json_array_len(ranges); i++)
    cli_say(cli, "%.*s", STR_ARG(json_str(json_array_at(ranges, i))));
  if (json_array_len(ranges) == 0)
    (void)fputs("no private range is allowed: webhooks reach public addresses only\n", stderr);
  return 0;
}

// One spelling for one range, so that what was allowed can be denied.
static int read_range(const char *text, char out[static ADDRESS_TEXT_BYTES], struct error *err) {
  struct cidr range;
  if (!cidr_read(str_of(text), &range))
    return error_set(err, ERR_CONFIG,
                     "`%s` is not a range such as 10.1.0.0/16 or fd12::/16 (bits after the prefix must "
                     "be zero)",
                     text);
  (void)cidr_write(&range, out);
  return 0;
}

static int change(struct cli *cli, bool allow, struct error *err) {
  char range[ADDRESS_TEXT_BYTES];
  struct api_answer answer;
  struct buf body;
  bool was_there = false;
  int rc = read_range(cli->operands[0], range, err);
  if (rc == 0)
    rc = get(cli, &answer, err);
  if (rc != 0)
    return rc;
  const struct json_object *ranges = json_get_array(answer.json, RANGES);
  buf_init(&body, BODY_MAX_BYTES);
  struct json_writer w = json_writer_make(&body, false);
  json_object_begin(&w);
  json_key(&w, RANGES);
  json_array_begin(&w);
  for (size_t i = 0; i < json_array_len(ranges); i++) {
    struct str one = json_str(json_array_at(ranges, i));
    bool same = str_eq_c(one, range);
    was_there = was_there || same;
    if (!same || allow)
      json_put_str(&w, one);
  }
  if (allow && !was_there)
    json_put_str(&w, str_of(range));
  json_array_end(&w);
  json_object_end(&w);
  if (!allow && !was_there)
    rc = error_set(err, ERR_NOT_FOUND, "%s was not allowed; `harbinger egress ls` shows what is", range);
  else if (body.failed)
    rc = error_set(err, ERR_TOO_LARGE, "too many ranges");
  else
    rc = cli_call(cli, "PUT", str_of(EGRESS_PATH), buf_str(&body), &answer, err);
  buf_free(&body);
  if (rc == 0 && cli->json)
    return run_ls(cli, err);
  if (rc == 0)
    cli_say(cli, allow ? "webhooks may reach %s" : "webhooks may no longer reach %s", range);
  return rc;
}

static int run_allow(struct cli *cli, struct error *err) {
  return change(cli, true, err);
}

static int run_deny(struct cli *cli, struct error *err) {
  return change(cli, false, err);
}

const struct cli_command cli_egress_commands[] = {
    {.noun = "egress",
     .verb = "ls",
     .summary = "list the private ranges that webhooks may reach",
     .examples = "harbinger egress ls\n",
     .run = run_ls},
    {.noun = "egress",
     .verb = "allow",
     .operands = "CIDR",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "let webhooks reach a private range (RFC 1918, unique local, carrier-grade NAT)",
     .examples = "harbinger egress allow 10.20.0.0/16\n"
                 "harbinger egress allow 192.168.1.7\n",
     .run = run_allow},
    {.noun = "egress",
     .verb = "deny",
     .operands = "CIDR",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "take a range back that was allowed",
     .examples = "harbinger egress deny 10.20.0.0/16\n",
     .run = run_deny},
    {0},
};
