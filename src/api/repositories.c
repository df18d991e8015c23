// SPDX-License-Identifier: Apache-2.0
// Harbor's views of the catalogue: repositories, artifacts, tags. Reading only; repository_changes.c changes them.
#include "api/catalogue_call.h"
#include "base/utf8.h"
#include "net/url.h"

enum { UNPAGED_MAX_ROWS = 1000 };

// ---- what the path names --------------------------------------------------------------------------------------------

// Clients encode the slashes of a repository's name twice ("web%252Fapi"), once ("web%2Fapi") or not at all.
static int repository_name(struct api_call *call, struct str *out, struct error *err) {
  struct str given = call->params[1];

  *out = given;
  if (str_find(given, '%') < 0)
    return 0;
  if (url_decode(given, call->arena, out) && utf8_valid(*out) && str_find(*out, '\0') < 0)
    return 0;
  return error_set(err, ERR_BAD_REQUEST, "the repository's name is not percent-encoded text");
}

int call_repository(struct api_call *call, enum auth_action action, struct project *project, struct repository *out,
                    struct error *err) {
  struct str name;
  int rc = repository_name(call, &name, err);

  if (rc == 0)
    rc = call_project(call, 0, action, project, err);
  return rc != 0 ? rc : repository_get(call->conn, project->id, name, call->arena, out, err);
}

int call_artifact(struct api_call *call, enum auth_action action, struct project *project,
                  struct repository *repository, struct artifact *out, struct error *err) {
  int rc = call_repository(call, action, project, repository, err);

  return rc != 0 ? rc : artifact_get(call->conn, repository->id, call->params[2], call->arena, out, err);
}

// ---- repositories ---------------------------------------------------------------------------------------------------

static void write_repository(const struct repository *repository, struct json_writer *w) {
  json_object_begin(w);
  json_field_i64(w, "artifact_count", repository->artifact_count);
  call_field_time_ms(w, "creation_time", repository->created_at_us);
  json_field_str_opt(w, "description", repository->description);
  json_field_i64(w, "id", repository->id);
  json_field_str(w, "name", repository->name);
  json_field_i64(w, "project_id", repository->project_id);
  json_field_i64(w, "pull_count", repository->pull_count);
  call_field_time_ms(w, "update_time", repository->updated_at_us);
  json_key(w, "harbinger");
  json_object_begin(w);
  call_field_time_ms(w, "last_push_time", repository->last_pushed_at_us);
  json_field_i64(w, "size", repository->size_bytes);
  json_field_i64(w, "tag_count", repository->tag_count);
  json_object_end(w);
  json_object_end(w);
}

static int answer_repositories(struct api_call *call, int64_t project_id, const struct query *query,
                               struct error *err) {
  struct repository *repositories;
  size_t len;
  int64_t total;
  int rc = repository_list(call->conn, project_id, query, call->arena, &repositories, &len, &total, err);

  if (rc == 0)
    rc = call_page_headers(call, query, total, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_array_begin(&w);
  for (size_t i = 0; i < len; i++)
    write_repository(&repositories[i], &w);
  json_array_end(&w);
  return 0;
}

int repositories_list(struct api_call *call, struct error *err) {
  struct query query;
  struct project project;
  int rc = call_list_query(call, UNPAGED_MAX_ROWS, &query, err);

  if (rc == 0)
    rc = call_project(call, 0, AUTH_READ_PUBLIC, &project, err);
  return rc != 0 ? rc : answer_repositories(call, project.id, &query, err);
}

int repositories_list_all(struct api_call *call, struct error *err) {
  struct error ignored;
  struct query query;
  int rc = call_list_query(call, UNPAGED_MAX_ROWS, &query, err);
  bool all = auth_allow(&call->identity, AUTH_READ_PROJECT, false, &ignored) == 0;

  return rc != 0 ? rc : answer_repositories(call, all ? REPOSITORY_OF_ALL : REPOSITORY_OF_PUBLIC, &query, err);
}

int repositories_get(struct api_call *call, struct error *err) {
  struct project project;
  struct repository repository;
  int rc = call_repository(call, AUTH_READ_PUBLIC, &project, &repository, err);

  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  write_repository(&repository, &w);
  return 0;
}

// ---- artifacts ------------------------------------------------------------------------------------------------------

static const char *harbor_type(enum artifact_kind kind) {
  switch (kind) {
  case ARTIFACT_IMAGE:
  case ARTIFACT_INDEX:
    return "IMAGE";
  case ARTIFACT_CHART:
    return "CHART";
  case ARTIFACT_SBOM:
    return "SBOM";
  default:
    return "UNKNOWN";
  }
}

static void write_tag(const struct catalogue_tag *tag, int64_t repository_id, int64_t artifact_id,
                      struct json_writer *w) {
  json_object_begin(w);
  json_field_i64(w, "artifact_id", artifact_id);
  json_field_i64(w, "id", tag->id);
  json_field_bool(w, "immutable", false);
  json_field_str(w, "name", tag->name);
  call_field_time_ms(w, "pull_time", tag->pulled_at_us);
  call_field_time_ms(w, "push_time", tag->pushed_at_us);
  json_field_i64(w, "repository_id", repository_id);
  json_object_end(w);
}

// Harbor's `extra_attrs` of an image, as far as we know it: "linux/arm64/v8" is os, architecture and variant.
static void write_platform(struct str platform, struct json_writer *w) {
  static const char *const names[] = {"os", "architecture", "variant"};
  struct str part;

  if (platform.len == 0)
    return;
  json_key(w, "extra_attrs");
  json_object_begin(w);
  for (size_t i = 0; i < ARRAY_LEN(names) && str_next(&platform, '/', &part); i++)
    json_field_str_opt(w, names[i], part);
  json_object_end(w);
}

static void write_artifact(const struct artifact *artifact, struct str repository_name, bool with_tags,
                           struct json_writer *w) {
  json_object_begin(w);
  json_field_str(w, "digest", artifact->digest);
  write_platform(artifact->platform, w);
  json_field_i64(w, "id", artifact->id);
  json_field_str_opt(w, "manifest_media_type", artifact->media_type);
  json_field_i64(w, "project_id", artifact->project_id);
  call_field_time_ms(w, "pull_time", artifact->pulled_at_us);
  call_field_time_ms(w, "push_time", artifact->pushed_at_us);
  json_field_i64(w, "repository_id", artifact->repository_id);
  json_field_str(w, "repository_name", repository_name);
  if (artifact->size_bytes >= 0)
    json_field_i64(w, "size", artifact->size_bytes);
  json_key(w, "tags");
  if (!with_tags || artifact->tags_len == 0) { // as Harbor writes an empty slice of pointers
    json_put_null(w);
  } else {
    json_array_begin(w);
    for (size_t i = 0; i < artifact->tags_len; i++)
      write_tag(&artifact->tags[i], artifact->repository_id, artifact->id, w);
    json_array_end(w);
  }
  json_field_str(w, "type", str_of(harbor_type(artifact->kind)));
  if (artifact->kind != ARTIFACT_UNKNOWN) {
    json_key(w, "harbinger");
    json_object_begin(w);
    json_field_str(w, "kind", str_of(artifact_kind_name(artifact->kind)));
    json_object_end(w);
  }
  json_object_end(w);
}

int artifacts_list(struct api_call *call, struct error *err) {
  struct query query;
  struct project project;
  struct repository repository;
  struct artifact *artifacts;
  size_t len;
  int64_t total;
  bool with_tags;
  int rc = call_list_query(call, UNPAGED_MAX_ROWS, &query, err);

  if (rc == 0)
    rc = call_query_bool(call, "with_tag", true, &with_tags, err);
  if (rc == 0)
    rc = call_repository(call, AUTH_READ_PUBLIC, &project, &repository, err);
  if (rc == 0)
    rc = artifact_list(call->conn, repository.id, &query, call->arena, &artifacts, &len, &total, err);
  if (rc == 0)
    rc = call_page_headers(call, &query, total, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_array_begin(&w);
  for (size_t i = 0; i < len; i++)
    write_artifact(&artifacts[i], repository.name, with_tags, &w);
  json_array_end(&w);
  return 0;
}

int artifacts_get(struct api_call *call, struct error *err) {
  struct project project;
  struct repository repository;
  struct artifact artifact;
  bool with_tags;
  int rc = call_query_bool(call, "with_tag", true, &with_tags, err);

  if (rc == 0)
    rc = call_artifact(call, AUTH_READ_PUBLIC, &project, &repository, &artifact, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  write_artifact(&artifact, repository.name, with_tags, &w);
  return 0;
}

// ---- tags -----------------------------------------------------------------------------------------------------------

int artifact_tags_list(struct api_call *call, struct error *err) {
  struct query query;
  struct project project;
  struct repository repository;
  struct artifact artifact;
  struct catalogue_tag *tags;
  size_t len;
  int64_t total;
  int rc = call_list_query(call, UNPAGED_MAX_ROWS, &query, err);

  if (rc == 0)
    rc = call_artifact(call, AUTH_READ_PUBLIC, &project, &repository, &artifact, err);
  if (rc == 0)
    rc = tag_list(call->conn, repository.id, artifact.id, &query, call->arena, &tags, &len, &total, err);
  if (rc == 0)
    rc = call_page_headers(call, &query, total, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_array_begin(&w);
  for (size_t i = 0; i < len; i++)
    write_tag(&tags[i], repository.id, artifact.id, &w);
  json_array_end(&w);
  return 0;
}
