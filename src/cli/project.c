// SPDX-License-Identifier: Apache-2.0
// project ls, show, create, rm.
#include <stdio.h>

#include "base/json_writer.h"
#include "cli/command.h"

enum { BODY_MAX_BYTES = 4096 };

static const char PROJECTS_PATH[] = "/api/v2.0/projects";

static const struct table_column COLUMNS[] = {
    {"NAME", "name"},
    {"ID", "project_id"},
    {"PUBLIC", "metadata.public"},
    {"REPOSITORIES", "repo_count"},
    {"CREATED", "creation_time"},
};
static const struct table_column FIELDS[] = {
    {"Name", "name"},
    {"Id", "project_id"},
    {"Public", "metadata.public"},
    {"Repositories", "repo_count"},
    {"Owner", "owner_name"},
    {"Created", "creation_time"},
    {"Updated", "update_time"},
};

static int project_path(struct cli *cli, struct str *path, struct error *err) {
  struct str name = api_client_escape(str_of(cli->operands[0]), cli->arena);
  *path = name.ptr ? arena_printf(cli->arena, "%s/%.*s", PROJECTS_PATH, STR_ARG(name)) : name;
  return path->ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory");
}

static int run_ls(struct cli *cli, struct error *err) {
  return cli_show_list(cli, str_of(PROJECTS_PATH), COLUMNS, ARRAY_LEN(COLUMNS),
                       "no project yet: `harbinger project create NAME` makes one", err);
}

static int run_show(struct cli *cli, struct error *err) {
  struct str path;
  int rc = project_path(cli, &path, err);
  return rc == 0 ? cli_show_object(cli, path, FIELDS, ARRAY_LEN(FIELDS), err) : rc;
}

static int run_create(struct cli *cli, struct error *err) {
  struct api_answer answer;
  struct str path;
  struct buf body;
  buf_init(&body, BODY_MAX_BYTES);
  struct json_writer w = json_writer_make(&body, false);
  json_object_begin(&w);
  json_field_str(&w, "project_name", str_of(cli->operands[0]));
  json_key(&w, "metadata");
  json_object_begin(&w);
  json_field_str(&w, "public", cli_flag(cli, "public") ? STR("true") : STR("false"));
  json_object_end(&w);
  json_object_end(&w);
  int rc = body.failed ? error_set(err, ERR_BAD_REQUEST, "the name is too long")
                       : cli_call(cli, "POST", str_of(PROJECTS_PATH), buf_str(&body), &answer, err);
  buf_free(&body);
  if (rc == 0 && cli->json && (rc = project_path(cli, &path, err)) == 0)
    return cli_show_object(cli, path, FIELDS, ARRAY_LEN(FIELDS), err);
  if (rc == 0)
    cli_say(cli, "created project %s", cli->operands[0]);
  return rc;
}

static int run_rm(struct cli *cli, struct error *err) {
  struct api_answer answer;
  struct str path;
  int rc = project_path(cli, &path, err);
  if (rc == 0)
    rc = cli_call(cli, "DELETE", path, STR_EMPTY, &answer, err);
  if (rc == 0)
    cli_say(cli, "removed project %s", cli->operands[0]);
  return rc;
}

static const struct cli_option CREATE_OPTIONS[] = {{"public", NULL, "everybody may read it"}, {0}};

const struct cli_command cli_project_commands[] = {
    {.noun = "project",
     .verb = "ls",
     .summary = "list the projects",
     .examples = "harbinger project ls\n"
                 "harbinger project ls --json | jq -r '.[].name'\n",
     .run = run_ls},
    {.noun = "project",
     .verb = "show",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "show one project",
     .examples = "harbinger project show team-a\n",
     .run = run_show},
    {.noun = "project",
     .verb = "create",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "make a project; the first part of a repository's name is its project",
     .options = CREATE_OPTIONS,
     .examples = "harbinger project create team-a\n"
                 "harbinger project create open-source --public\n",
     .run = run_create},
    {.noun = "project",
     .verb = "rm",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "remove a project that has no repositories, with its webhooks",
     .examples = "harbinger project rm team-a\n",
     .run = run_rm},
    {0},
};
