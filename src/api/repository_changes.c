// SPDX-License-Identifier: Apache-2.0
// Harbor's paths that change what the registry holds: deletes of repositories, artifacts and tags, and new tags. All go the
// way of /v2/ (registry/change.h), and so make the same events.
#include <stdio.h>

#include "api/catalogue_call.h"
#include "api/change_desk.h"
#include "registry/client.h"
#include "registry/manifest.h"

enum {
  DELETE_PAGE_ROWS = 100,
  DELETE_MAX_ARTIFACTS = 1000, // of one call
  DELETE_MAX_MS = 30000,       // likewise: then it says how far it came
  PAGE_ARENA_BYTES = 16 * 1024 * 1024,
  MANIFEST_ARENA_BYTES = 8 * 1024 * 1024,
  STATUS_OK = 200,
  STATUS_BAD_REQUEST = 400,
  STATUS_UNAUTHORIZED = 401,
  STATUS_FORBIDDEN = 403,
  STATUS_NOT_FOUND = 404,
  STATUS_METHOD = 405,
  STATUS_UNSUPPORTED = 415,
  STATUS_INTERNAL = 500,
};

static int find_desk(struct api_call *call, struct change_desk **out, struct error *err) {
  *out = call_change_desk(call);
  return *out ? 0
              : error_set(err, ERR_PRECONDITION, "there is no registry to change: the setting upstream.url is empty");
}

static int enter(struct api_call *call, struct change_desk *desk, struct error *err) {
  int rc = change_desk_enter(desk, err);

  if (rc == ERR_TOO_MANY)
    call_header(call, "Retry-After", STR("5"));
  return rc;
}

// ---- an order -------------------------------------------------------------------------------------------------------------

static int make_event(struct api_call *call, const struct project *project, struct str repository, enum event_type type,
                      struct event *out, struct error *err) {
  struct event_artifact *artifact = ARENA_NEW(call->arena, struct event_artifact);
  char address[ADDRESS_TEXT_BYTES];
  struct str agent = http_head_get(call->request->head, "User-Agent");

  *out = (struct event){.type = type, .occurred_at_us = clock_wall_us(call->config->clock), .trigger = STR_EMPTY};
  if (!artifact)
    return error_set(err, ERR_NO_MEMORY, "no memory for an event");
  out->actor.kind = ACTOR_USER;
  out->actor.name = call->identity.name;
  out->client.address = arena_str(call->arena, str_of(address_write(&call->request->peer, address)));
  out->client.user_agent = agent.ptr ? agent : STR_EMPTY;
  out->client.request_id = call->request->request_id;
  out->repository.project = project->name;
  out->repository.name = repository;
  out->repository.is_public = project->is_public;
  out->upstream_name = ARENA_JOIN(call->arena, project->name, STR("/"), repository);
  out->source.kind = SOURCE_GATEWAY;
  out->source.instance = STR_EMPTY;
  out->data.type = type;
  out->artifacts = artifact;
  out->artifacts_len = 1;
  if (!out->client.address.ptr || !out->upstream_name.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for an event");
  return call_registry_host(call, &out->registry_host, err);
}

// The name within the project of a repository whose name is "project/name".
static struct str inner_name(const struct project *project, const struct repository *repository) {
  return str_from(repository->name, project->name.len + 1);
}

// `tag` empty: by the digest.
static int delete_order(struct api_call *call, const struct project *project, struct str repository,
                        const struct artifact *artifact, struct str tag, struct change_order *out, struct error *err) {
  *out = (struct change_order){.kind = CHANGE_DELETE,
                               .project = project->name,
                               .repository = repository,
                               .tag = tag,
                               .digest = tag.len ? STR_EMPTY : artifact->digest,
                               .media_type = STR_EMPTY,
                               .body = STR_EMPTY};
  int rc = make_event(call, project, repository, EVENT_DELETE_ARTIFACT, &out->event, err);
  if (rc != 0)
    return rc;
  struct str *tags = ARENA_NEW(call->arena, struct str);
  if (!tags)
    return error_set(err, ERR_NO_MEMORY, "no memory for an event");
  *tags = tag;
  out->event.artifacts[0] = (struct event_artifact){.digest = out->digest,
                                                    .tags = tag.len ? tags : NULL,
                                                    .tags_len = tag.len ? 1 : 0,
                                                    .reference = tag.len ? tag : artifact->digest,
                                                    .media_type = STR_EMPTY,
                                                    .platform = STR_EMPTY,
                                                    .size_bytes = -1};
  return 0;
}

// ---- what the registry answered -------------------------------------------------------------------------------------------

static int told(const struct desk_answer *answer, enum errcode code, const char *what, const char *advice,
                struct error *err) {
  return error_set(err, code, "the registry refuses %s with status %d%s%s%s: %s", what, answer->status,
                   answer->words[0] ? " (" : "", answer->words, answer->words[0] ? ")" : "", advice);
}

// 0 when it is done; ERR_NOT_FOUND: the registry does not have it.
static int judge(struct api_call *call, const struct desk_answer *answer, const char *what, bool tag_delete,
                 struct error *err) {
  int status = answer->status;

  if (status >= STATUS_OK && status < 300)
    return 0;
  if (status == STATUS_NOT_FOUND)
    return error_set(err, ERR_NOT_FOUND, "the registry does not have it any more");
  if (tag_delete && (status == STATUS_BAD_REQUEST || status == STATUS_METHOD || status == STATUS_UNSUPPORTED))
    return told(
        answer, ERR_NOT_IMPLEMENTED, what,
        "it cannot remove one tag alone, as CNCF Distribution before version 3 cannot. Delete the artifact, which "
        "removes all its tags, or push something else under this tag",
        err);
  if (status == STATUS_METHOD)
    return told(answer, ERR_PRECONDITION, what,
                "deletes are switched off there; CNCF Distribution has the setting storage.delete.enabled", err);
  if (status == STATUS_UNAUTHORIZED || status == STATUS_FORBIDDEN)
    return told(answer, ERR_PRECONDITION, what, "let the setting upstream.authorization be of an account that may",
                err);
  if (status < STATUS_INTERNAL)
    return told(answer, ERR_PRECONDITION, what, "ask who runs it", err);
  call->words_for_all = true;
  return told(answer, ERR_UNAVAILABLE, what, "whether it was done is found out, and becomes an event then", err);
}

static int run(struct api_call *call, struct change_desk *desk, const struct change_order *order, const char *what,
               struct error *err) {
  struct desk_answer answer = {0};
  int rc = change_desk_run(desk, order, &answer, err);

  if (rc == 0)
    return judge(call, &answer, what, order->kind == CHANGE_DELETE && order->tag.len > 0, err);
  if (rc == ERR_NO_MEMORY || rc == ERR_INTERNAL)
    return rc;
  call->words_for_all = true; // the registry's trouble, or too many changes: said to whoever asked
  struct error why = *err;
  return error_set(err, ERR_UNAVAILABLE, "%s%s", why.text,
                   rc == ERR_TIMEOUT ? "; it may still be done, and becomes an event then" : "");
}

// ---- what we had and the registry has not ---------------------------------------------------------------------------------

struct forget {
  struct str project, repository;
  const struct artifact *artifact;
  bool empty_repository; // drop that, when nothing is left in it
};

// A registry may have what is of the default project under its bare name, which no change reaches: that is not gone.
static int refuse_bare(struct api_call *call, struct str name, const struct artifact *artifact, struct error *err) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(MANIFEST_ARENA_BYTES);
  const struct store_progress nobody = {0};
  struct registry_client client = {0};
  struct registry_question question = {.method = STR("HEAD")};

  if (str_find(name, '/') >= 0)
    return 0;
  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "no memory to ask the registry");
  question.path = arena_printf(arena, "/v2/%.*s/manifests/%.*s", STR_ARG(name), STR_ARG(artifact->digest));
  int rc = registry_client_open(&client, call->config->upstream, &nobody, err);
  if (rc == 0)
    rc = registry_client_ask(&client, &question, 1, arena, err);
  registry_client_close(&client);
  if (rc != 0 || question.status != STATUS_OK)
    return rc;
  return error_set(err, ERR_PRECONDITION,
                   "the registry has it as %.*s, without a project, where nothing changes through here: do it in the "
                   "registry, then `harbinger sync`",
                   STR_ARG(name));
}

static int forget_apply(struct store_conn *conn, void *ctx, struct error *err) {
  const struct forget *forget = ctx;
  const struct artifact *artifact = forget->artifact;
  struct catalogue_repair repair = {.project = forget->project,
                                    .repository = forget->repository,
                                    .tag = STR_EMPTY,
                                    .digest = STR_EMPTY,
                                    .known_digest = STR_EMPTY};
  int rc = 0;

  for (size_t i = 0; artifact && rc == 0 && i < artifact->tags_len; i++) {
    repair.kind = REPAIR_DROP_TAG;
    repair.tag = artifact->tags[i].name;
    repair.known_digest = artifact->digest;
    repair.known_pushed_us = artifact->tags[i].pushed_at_us;
    rc = catalogue_repair(conn, &repair, err);
  }
  if (artifact && rc == 0) {
    repair.kind = REPAIR_DROP_ARTIFACT;
    repair.digest = artifact->digest;
    repair.known_pushed_us = artifact->pushed_at_us;
    rc = catalogue_repair(conn, &repair, err);
  }
  repair.kind = REPAIR_DROP_REPOSITORY;
  return rc == 0 && forget->empty_repository ? catalogue_repair(conn, &repair, err) : rc;
}

static int audit_apply(struct store_conn *conn, void *ctx, struct error *err) {
  (void)conn;
  (void)ctx;
  (void)err;
  return 0; // the change itself is committed with its event
}

// ---- artifacts ------------------------------------------------------------------------------------------------------------

static int delete_artifact(struct api_call *call, struct change_desk *desk, const struct project *project,
                           struct str repository, const struct artifact *artifact, struct error *err) {
  struct change_order order;
  int rc = delete_order(call, project, repository, artifact, STR_EMPTY, &order, err);

  return rc == 0 ? run(call, desk, &order, "the delete", err) : rc;
}

int artifacts_delete(struct api_call *call, struct error *err) {
  struct project project;
  struct repository repository;
  struct artifact artifact;
  struct change_desk *desk;
  int rc = call_artifact(call, AUTH_CHANGE_PROJECT, &project, &repository, &artifact, err);

  if (rc != 0 || (rc = find_desk(call, &desk, err)) != 0 || (rc = enter(call, desk, err)) != 0)
    return rc;
  struct str name = inner_name(&project, &repository);
  rc = delete_artifact(call, desk, &project, name, &artifact, err);
  change_desk_leave(desk);
  struct forget forget = {.project = project.name, .repository = name, .artifact = &artifact};
  struct str subject = arena_printf(call->arena, "%.*s@%.*s", STR_ARG(repository.name), STR_ARG(artifact.digest));
  if (!subject.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for the audit");
  if (rc == 0)
    return call_change(call, audit_apply, NULL, "delete", "artifact", subject, err);
  struct error ignored, why = *err;
  if (rc == ERR_NOT_FOUND && refuse_bare(call, name, &artifact, err) != 0)
    return err->code;
  if (rc != ERR_NOT_FOUND || call_change(call, forget_apply, &forget, "delete", "artifact", subject, &ignored) != 0)
    return rc;
  return error_set(err, ERR_NOT_FOUND, "artifact %.*s not found: %s; the catalogue has forgotten it, too",
                   STR_ARG(call->params[2]), why.text);
}

// ---- repositories ---------------------------------------------------------------------------------------------------------

struct sweep {
  struct change_desk *desk;
  const struct project *project;
  const struct repository *repository;
  int64_t deleted, until_us;
};

static int delete_page(struct api_call *call, struct sweep *sweep, struct str name, const struct artifact *artifacts,
                       size_t len, struct error *err) {
  for (size_t i = 0; i < len; i++) {
    if (sweep->deleted == DELETE_MAX_ARTIFACTS || clock_mono_us(call->config->clock) > sweep->until_us) {
      call->words_for_all = true;
      return error_set(err, ERR_UNAVAILABLE, "one call does no more");
    }
    struct forget forget = {.project = sweep->project->name, .repository = name, .artifact = &artifacts[i]};
    int rc = delete_artifact(call, sweep->desk, sweep->project, name, &artifacts[i], err);
    if (rc == ERR_NOT_FOUND && (rc = refuse_bare(call, name, &artifacts[i], err)) == 0)
      rc = store_write_sync(call->config->store, forget_apply, &forget, err);
    if (rc != 0)
      return rc;
    sweep->deleted++;
  }
  return 0;
}

// Always the first page: what was deleted is not in it any more.
static int delete_artifacts(struct api_call *call, struct sweep *sweep, struct str name, struct error *err) {
  const struct query query = {.page = 1, .page_size = DELETE_PAGE_ROWS, .sorts = {{STR("id"), false}}, .sorts_len = 1};

  for (;;) {
    CLEANUP(arena_cleanup) struct arena *arena = arena_new(PAGE_ARENA_BYTES);
    struct artifact *artifacts;
    size_t len;
    int64_t total;
    if (!arena)
      return error_set(err, ERR_NO_MEMORY, "no memory for a page of artifacts");
    int rc = artifact_list(call->conn, sweep->repository->id, &query, arena, &artifacts, &len, &total, err);
    if (rc != 0 || len == 0)
      return rc;
    rc = delete_page(call, sweep, name, artifacts, len, err); // which ends after so many
    if (rc != 0)
      return rc;
  }
}

int repositories_delete(struct api_call *call, struct error *err) {
  struct project project;
  struct repository repository;
  struct sweep sweep = {.project = &project, .repository = &repository};
  int rc = call_repository(call, AUTH_CHANGE_PROJECT, &project, &repository, err);

  if (rc != 0 || (rc = find_desk(call, &sweep.desk, err)) != 0 || (rc = enter(call, sweep.desk, err)) != 0)
    return rc;
  struct str name = inner_name(&project, &repository);
  sweep.until_us = clock_mono_us(call->config->clock) + DELETE_MAX_MS * US_PER_MS;
  rc = delete_artifacts(call, &sweep, name, err);
  change_desk_leave(sweep.desk);
  if (rc != 0 && sweep.deleted > 0) {
    struct error why = *err;
    return error_set(err, why.code, "%lld of %lld artifacts of %.*s are deleted, then: %s. Delete it again to go on",
                     (long long)sweep.deleted, (long long)repository.artifact_count, STR_ARG(repository.name),
                     why.text);
  }
  if (rc != 0)
    return rc;
  struct forget forget = {.project = project.name, .repository = name, .empty_repository = true};
  return call_change(call, forget_apply, &forget, "delete", "repository", repository.name, err);
}

// ---- tags -----------------------------------------------------------------------------------------------------------------

static int read_tag_name(struct api_call *call, struct str *out, struct error *err) {
  struct json_object *body;
  int rc = call_body(call, &body, err);

  if (rc != 0)
    return rc;
  if (!json_get_str(body, "name", out))
    return error_set(err, ERR_INVALID, "validation failure list:\nname in body is required");
  return event_is_tag(*out) ? 0
                            : error_set(err, ERR_BAD_REQUEST,
                                        "\"%.*s\" cannot be a tag: at most 128 letters, digits, dots, hyphens and "
                                        "underscores, not beginning with a dot or hyphen",
                                        (int)(out->len < 200 ? out->len : 200), out->ptr);
}

// The manifest as the registry has it, which is pushed again under the new name. Blocks for one question.
static int fetch_manifest(struct api_call *call, const struct repository *repository, const struct artifact *artifact,
                          struct arena *arena, struct change_order *order, struct error *err) {
  const struct store_progress nobody = {0};
  struct registry_client client = {0};
  struct registry_question question = {
      .method = STR("GET"),
      .path = arena_printf(arena, "/v2/%.*s/manifests/%.*s", STR_ARG(repository->name), STR_ARG(artifact->digest))};
  int rc = registry_client_open(&client, call->config->upstream, &nobody, err);

  if (rc == 0)
    rc = registry_client_ask(&client, &question, 1, arena, err);
  registry_client_close(&client);
  if (rc == ERR_UNAVAILABLE)
    call->words_for_all = true;
  if (rc != 0)
    return rc;
  if (question.status == STATUS_NOT_FOUND)
    return error_set(err, ERR_NOT_FOUND,
                     "artifact %.*s not found: the registry does not have it any more; `harbinger sync` makes the "
                     "catalogue as the registry is",
                     STR_ARG(call->params[2]));
  if (question.status != STATUS_OK || !manifest_has_digest(question.body, artifact->digest)) {
    call->words_for_all = true;
    return error_set(err, ERR_UNAVAILABLE, "the registry answers %d%s to the question for the manifest",
                     question.status, question.status == STATUS_OK ? " with other content than its digest names" : "");
  }
  order->body = question.body;
  order->media_type = question.content_type.len ? question.content_type : artifact->media_type;
  return 0;
}

static int put_order(struct api_call *call, const struct project *project, const struct repository *repository,
                     const struct artifact *artifact, struct str tag, struct change_order *out, struct error *err) {
  struct str *tags = ARENA_NEW(call->arena, struct str);

  out->kind = CHANGE_PUT;
  out->project = project->name;
  out->repository = inner_name(project, repository);
  out->tag = tag;
  out->digest = artifact->digest;
  int rc = make_event(call, project, out->repository, EVENT_PUSH_ARTIFACT, &out->event, err);
  if (rc != 0)
    return rc;
  if (!tags)
    return error_set(err, ERR_NO_MEMORY, "no memory for an event");
  *tags = tag;
  out->event.artifacts[0] = (struct event_artifact){.digest = artifact->digest,
                                                    .tags = tags,
                                                    .tags_len = 1,
                                                    .reference = tag,
                                                    .media_type = out->media_type,
                                                    .kind = artifact->kind,
                                                    .platform = artifact->platform,
                                                    .size_bytes = artifact->size_bytes};
  return 0;
}

static int add_tag(struct api_call *call, struct change_desk *desk, const struct project *project,
                   const struct repository *repository, const struct artifact *artifact, struct str tag,
                   struct error *err) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(MANIFEST_ARENA_BYTES);
  struct change_order order = {0};

  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "no memory for a manifest");
  int rc = fetch_manifest(call, repository, artifact, arena, &order, err);
  if (rc == 0)
    rc = put_order(call, project, repository, artifact, tag, &order, err);
  return rc == 0 ? run(call, desk, &order, "the tag", err) : rc;
}

int artifact_tags_create(struct api_call *call, struct error *err) {
  struct project project;
  struct repository repository;
  struct artifact artifact, taken;
  struct change_desk *desk;
  struct str tag = STR_EMPTY;
  struct error wrong, ignored;
  int read = read_tag_name(call, &tag, &wrong);
  int rc =
      call_judge(read, &wrong, call_artifact(call, AUTH_CHANGE_PROJECT, &project, &repository, &artifact, err), err);

  if (rc != 0 || (rc = find_desk(call, &desk, err)) != 0)
    return rc;
  if (artifact_get(call->conn, repository.id, tag, call->arena, &taken, &ignored) == 0)
    return error_set(err, ERR_CONFLICT, "tag %.*s already exists in %.*s", STR_ARG(tag), STR_ARG(repository.name));
  if ((rc = enter(call, desk, err)) != 0)
    return rc;
  rc = add_tag(call, desk, &project, &repository, &artifact, tag, err);
  change_desk_leave(desk);
  if (rc != 0)
    return rc;
  struct str subject = arena_printf(call->arena, "%.*s:%.*s", STR_ARG(repository.name), STR_ARG(tag));
  if (!subject.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for the audit");
  call->status = 201;
  return call_change(call, audit_apply, NULL, "create", "tag", subject, err);
}

int artifact_tags_delete(struct api_call *call, struct error *err) {
  struct project project;
  struct repository repository;
  struct artifact artifact;
  struct change_desk *desk;
  struct change_order order;
  struct str tag = call->params[3];
  bool found = false;
  int rc = call_artifact(call, AUTH_CHANGE_PROJECT, &project, &repository, &artifact, err);

  for (size_t i = 0; rc == 0 && i < artifact.tags_len; i++)
    found = found || str_eq(artifact.tags[i].name, tag);
  if (rc == 0 && !found)
    return error_set(err, ERR_NOT_FOUND, "tag %.*s of artifact %.*s not found", STR_ARG(tag), STR_ARG(call->params[2]));
  if (rc != 0 || (rc = find_desk(call, &desk, err)) != 0)
    return rc;
  rc = delete_order(call, &project, inner_name(&project, &repository), &artifact, tag, &order, err);
  if (rc != 0 || (rc = enter(call, desk, err)) != 0)
    return rc;
  rc = run(call, desk, &order, "the delete of the tag", err);
  change_desk_leave(desk);
  if (rc != 0)
    return rc;
  struct str subject = arena_printf(call->arena, "%.*s:%.*s", STR_ARG(repository.name), STR_ARG(tag));
  if (!subject.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for the audit");
  return call_change(call, audit_apply, NULL, "delete", "tag", subject, err);
}
