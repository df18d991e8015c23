// SPDX-License-Identifier: Apache-2.0
// repository ls, delete; artifact ls, show, delete; tag add, delete: what the registry holds, and changes of it.
#include <stdio.h>

#include "base/json_writer.h"
#include "cli/command.h"

enum { TAG_BODY_MAX_BYTES = 4096, CLI_PATH_BYTES = 4096 };

static const struct table_column REPOSITORIES[] = {
    {"NAME", "name"},
    {"ARTIFACTS", "artifact_count"},
    {"TAGS", "harbinger.tag_count"},
    {"BYTES", "harbinger.size"},
    {"PULLS", "pull_count"},
    {"PUSHED", "harbinger.last_push_time"},
};
static const struct table_column ARTIFACTS[] = {
    {"DIGEST", "digest"}, {"TAGS", "tags"}, {"KIND", "harbinger.kind"}, {"BYTES", "size"}, {"PUSHED", "push_time"},
};
static const struct table_column ARTIFACT[] = {
    {"Repository", "repository_name"},
    {"Digest", "digest"},
    {"Tags", "tags"},
    {"Kind", "harbinger.kind"},
    {"Media type", "manifest_media_type"},
    {"Platform", "extra_attrs.os"},
    {"Architecture", "extra_attrs.architecture"},
    {"Bytes", "size"},
    {"Pushed", "push_time"},
    {"Pulled", "pull_time"},
};

// A thing as people write it: project/repository, and of an artifact :tag or @sha256:... behind it.
struct reference {
  struct str project, repository, artifact; // artifact empty: none was written
};

static int read_reference(const char *text, bool wants_artifact, struct reference *out, struct error *err) {
  struct str whole = str_of(text);
  ptrdiff_t at = str_find(whole, '@'), slash = str_find(whole, '/');
  size_t end = at < 0 ? whole.len : (size_t)at;

  *out = (struct reference){.artifact = at < 0 ? STR_EMPTY : str_from(whole, (size_t)at + 1)};
  for (size_t i = end; at < 0 && i > 0 && whole.ptr[i - 1] != '/'; i--) {
    if (whole.ptr[i - 1] != ':')
      continue;
    out->artifact = str_from(whole, i);
    end = i - 1;
    break;
  }
  bool named = slash > 0 && (size_t)slash + 1 < end;
  if (named && (out->artifact.len > 0) == wants_artifact) {
    out->project = str_slice(whole, 0, (size_t)slash);
    out->repository = str_slice(whole, (size_t)slash + 1, end);
    return 0;
  }
  return wants_artifact
             ? error_set(err, ERR_CONFIG,
                         "`%s` does not name an artifact: write team-a/web:v1 or team-a/web@sha256:...", text)
             : error_set(err, ERR_CONFIG, "`%s` does not name a repository: write team-a/web", text);
}

// Slashes of a repository's name are escaped twice, as Harbor wants them.
static int make_path(struct cli *cli, const struct reference *reference, const char *rest, struct str *out,
                     struct error *err) {
  struct str project = api_client_escape(reference->project, cli->arena);
  struct str once = api_client_escape(reference->repository, cli->arena);
  struct str repository = once.ptr ? api_client_escape(once, cli->arena) : once;
  struct str artifact = api_client_escape(reference->artifact, cli->arena);

  if (!project.ptr || !repository.ptr || !artifact.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  *out = arena_printf(cli->arena, "/api/v2.0/projects/%.*s/repositories/%.*s%s%.*s%s", STR_ARG(project),
                      STR_ARG(repository), artifact.len ? "/artifacts/" : "", STR_ARG(artifact), rest);
  return out->ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory");
}

static int path_of(struct cli *cli, bool wants_artifact, const char *rest, struct str *out, struct error *err) {
  struct reference reference;
  int rc = read_reference(cli->operands[0], wants_artifact, &reference, err);

  return rc == 0 ? make_path(cli, &reference, rest, out, err) : rc;
}

static int run_repositories(struct cli *cli, struct error *err) {
  struct str path = STR("/api/v2.0/repositories");
  int rc = cli_value(cli, "project") ? cli_project_path(cli, "/repositories", &path, err) : 0;

  return rc == 0
             ? cli_show_list(cli, path, REPOSITORIES, ARRAY_LEN(REPOSITORIES),
                             "no repository yet: push an image, or read a registry in use with `harbinger sync`", err)
             : rc;
}

static int run_artifacts(struct cli *cli, struct error *err) {
  struct str path;
  int rc = path_of(cli, false, "/artifacts", &path, err);

  return rc == 0 ? cli_show_list(cli, path, ARTIFACTS, ARRAY_LEN(ARTIFACTS), "this repository is empty", err) : rc;
}

static int run_artifact(struct cli *cli, struct error *err) {
  struct str path;
  int rc = path_of(cli, true, "", &path, err);

  return rc == 0 ? cli_show_object(cli, path, ARTIFACT, ARRAY_LEN(ARTIFACT), err) : rc;
}

static int run_delete(struct cli *cli, bool wants_artifact, struct error *err) {
  struct api_answer answer;
  struct str path;
  int rc = path_of(cli, wants_artifact, "", &path, err);

  if (rc == 0)
    rc = cli_call(cli, "DELETE", path, STR_EMPTY, &answer, err);
  if (rc == 0)
    cli_say(cli, "deleted %s", cli->operands[0]);
  return rc;
}

static int run_delete_repository(struct cli *cli, struct error *err) {
  return run_delete(cli, false, err);
}

static int run_delete_artifact(struct cli *cli, struct error *err) {
  return run_delete(cli, true, err);
}

static int run_add_tag(struct cli *cli, struct error *err) {
  struct api_answer answer;
  struct str path;
  struct buf body;
  int rc = path_of(cli, true, "/tags", &path, err);

  if (rc != 0)
    return rc;
  buf_init(&body, TAG_BODY_MAX_BYTES);
  struct json_writer w = json_writer_make(&body, false);
  json_object_begin(&w);
  json_field_str(&w, "name", str_of(cli->operands[1]));
  json_object_end(&w);
  rc = body.failed ? error_set(err, ERR_CONFIG, "the tag is too long")
                   : cli_call(cli, "POST", path, buf_str(&body), &answer, err);
  buf_free(&body);
  if (rc == 0)
    cli_say(cli, "%s is now also %s", cli->operands[0], cli->operands[1]);
  return rc;
}

static int run_delete_tag(struct cli *cli, struct error *err) {
  struct reference reference;
  struct api_answer answer;
  struct str path;
  int rc = read_reference(cli->operands[0], true, &reference, err);

  if (rc == 0 && str_find(reference.artifact, ':') >= 0)
    return error_set(err, ERR_CONFIG, "`%s` names no tag: write team-a/web:v1", cli->operands[0]);
  struct str tag = rc == 0 ? api_client_escape(reference.artifact, cli->arena) : STR_EMPTY;
  struct str rest = tag.ptr ? arena_printf(cli->arena, "/tags/%.*s", STR_ARG(tag)) : tag;
  if (rc == 0 && !rest.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  if (rc == 0)
    rc = make_path(cli, &reference, rest.ptr, &path, err);
  if (rc == 0)
    rc = cli_call(cli, "DELETE", path, STR_EMPTY, &answer, err);
  if (rc == 0)
    cli_say(cli, "deleted the tag %s", cli->operands[0]);
  return rc;
}

static const struct cli_option REPOSITORIES_OPTIONS[] = {
    {"project", "P", "only those of this project"}, CLI_LIST_OPTIONS, {0}};
static const struct cli_option ARTIFACTS_OPTIONS[] = {CLI_LIST_OPTIONS, {0}};

const struct cli_command cli_repository_commands[] = {
    {.noun = "repository",
     .verb = "ls",
     .summary = "list the repositories",
     .options = REPOSITORIES_OPTIONS,
     .examples = "harbinger repository ls\n"
                 "harbinger repository ls --project team-a\n",
     .run = run_repositories},
    {.noun = "repository",
     .verb = "delete",
     .operands = "PROJECT/NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "delete a repository with all its artifacts, in the registry",
     .examples = "harbinger repository delete team-a/web\n",
     .run = run_delete_repository},
    {.noun = "artifact",
     .verb = "ls",
     .operands = "PROJECT/NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "list the artifacts of a repository with their tags",
     .options = ARTIFACTS_OPTIONS,
     .examples = "harbinger artifact ls team-a/web\n",
     .run = run_artifacts},
    {.noun = "artifact",
     .verb = "show",
     .operands = "PROJECT/NAME:TAG",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "show one artifact, by tag or by @digest",
     .examples = "harbinger artifact show team-a/web:v1\n",
     .run = run_artifact},
    {.noun = "artifact",
     .verb = "delete",
     .operands = "PROJECT/NAME:TAG",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "delete an artifact with all its tags, in the registry",
     .examples = "harbinger artifact delete team-a/web:v1\n"
                 "harbinger artifact delete team-a/web@sha256:4f53...\n",
     .run = run_delete_artifact},
    {.noun = "tag",
     .verb = "add",
     .operands = "PROJECT/NAME:TAG NEW",
     .min_operands = 2,
     .max_operands = 2,
     .summary = "give an artifact one more tag, in the registry",
     .examples = "harbinger tag add team-a/web:v1 stable\n",
     .run = run_add_tag},
    {.noun = "tag",
     .verb = "delete",
     .operands = "PROJECT/NAME:TAG",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "delete one tag, where the registry can",
     .examples = "harbinger tag delete team-a/web:old\n",
     .run = run_delete_tag},
    {0},
};
