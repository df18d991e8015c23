// SPDX-License-Identifier: Apache-2.0
#include "api/project_body.h"

#include "base/rfc3339.h"
#include "base/utf8.h"

enum { METADATA_MAX_BYTES = 32 * 1024, PROJECT_QUOTED_BYTES = 128 };

// Harbor's metadata in the order that it is written in; `public` is a column of its own. Other keys are ignored.
static const char *const metadata_keys[] = {
    "auto_sbom_generation",
    "auto_scan",
    "enable_content_trust",
    "enable_content_trust_cosign",
    "max_upstream_conn",
    "prevent_vul",
    "proxy_speed_kb",
    "public",
    "retention_id",
    "reuse_sys_cve_allowlist",
    "severity",
};

const char *project_metadata_key(size_t i) {
  return i < ARRAY_LEN(metadata_keys) ? metadata_keys[i] : NULL;
}

static int wrong_type(const char *key, const char *wanted, struct error *err) {
  return error_set(err, ERR_INVALID, "validation failure list:\n%s in body must be of type %s", key, wanted);
}

// Harbor's grammar of names: lower case letters and digits, single separators `.`, `_`, `-` between them.
static bool name_valid(struct str name) {
  bool after_separator = true;

  if (name.len == 0 || name.len > PROJECT_MAX_NAME_BYTES)
    return false;
  for (size_t i = 0; i < name.len; i++) {
    char c = name.ptr[i];
    bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!plain && (after_separator || (c != '.' && c != '_' && c != '-')))
      return false;
    after_separator = !plain;
  }
  return !after_separator;
}

static int name_read(const struct json_object *body, struct arena *arena, struct project *project, struct error *err) {
  struct str name;

  if (!json_get_str(body, "project_name", &name)) {
    enum json_kind kind;
    (void)json_member(body, "project_name", &kind);
    if (kind != JSON_ABSENT && kind != JSON_NULL)
      return wrong_type("project_name", "string", err);
    name = STR_EMPTY;
  }
  if (!name_valid(name))
    return error_set(err, ERR_BAD_REQUEST,
                     "the project name \"%.*s\" is not valid: 1 to %d lower case letters and digits, with single `.`, "
                     "`_` or `-` between them",
                     STR_ARG(utf8_cut(name, PROJECT_QUOTED_BYTES)), PROJECT_MAX_NAME_BYTES);
  project->name = arena_str(arena, name);
  return project->name.ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory for a project");
}

static bool metadata_true(struct str value) {
  return str_ieq_c(value, "true") || str_eq_c(value, "1");
}

// One key: of the request if it says it, else the stored one. False when neither does.
static int metadata_value(const struct json_object *given, const struct json_object *stored, const char *key,
                          struct str *value, struct error *err) {
  enum json_kind kind;
  const struct json_object *member = json_member(given, key, &kind);

  *value = (struct str){0};
  if (kind == JSON_STRING)
    *value = json_str(member);
  else if (kind != JSON_ABSENT && kind != JSON_NULL)
    return wrong_type(key, "string", err);
  else
    (void)json_get_str(stored, key, value);
  if (value->ptr && value->len > PROJECT_MAX_METADATA_VALUE_BYTES)
    return error_set(err, ERR_BAD_REQUEST, "the metadata %s is longer than %d bytes", key,
                     PROJECT_MAX_METADATA_VALUE_BYTES);
  return 0;
}

// Merge the request's metadata over the stored object of strings.
static int metadata_merge(const struct json_object *given, struct arena *arena, struct project *project,
                          struct error *err) {
  struct json_object *stored = NULL;
  struct buf out;
  int rc = project->metadata.len > 0 ? json_parse(project->metadata, arena, &stored, err) : 0;

  buf_init(&out, METADATA_MAX_BYTES);
  struct json_writer w = json_writer_make(&out, false);
  json_object_begin(&w);
  for (size_t i = 0; rc == 0 && i < ARRAY_LEN(metadata_keys); i++) {
    struct str value;
    rc = metadata_value(given, stored, metadata_keys[i], &value, err);
    if (rc != 0 || !value.ptr)
      continue;
    if (str_eq_c(str_of(metadata_keys[i]), "public"))
      project->is_public = metadata_true(value);
    else
      json_field_str(&w, metadata_keys[i], value);
  }
  json_object_end(&w);
  if (rc == 0) {
    project->metadata = out.failed ? (struct str){0} : arena_str(arena, buf_str(&out));
    if (!project->metadata.ptr)
      rc = error_set(err, ERR_NO_MEMORY, "out of memory for the metadata of a project");
  }
  buf_free(&out);
  return rc;
}

static int metadata_read(const struct json_object *body, struct arena *arena, struct project *project,
                         struct error *err) {
  enum json_kind kind;
  const struct json_object *given = json_member(body, "metadata", &kind);

  if (kind == JSON_ABSENT || kind == JSON_NULL)
    return 0;
  if (kind != JSON_OBJECT)
    return wrong_type("metadata", "object", err);
  return metadata_merge(given, arena, project, err);
}

// 0 and absent are the server's default, which is no limit.
static int limit_read(const struct json_object *body, struct project *project, struct error *err) {
  enum json_kind kind;
  int64_t limit = 0;

  (void)json_member(body, "storage_limit", &kind);
  if (kind == JSON_ABSENT || kind == JSON_NULL)
    return 0;
  if (!json_get_i64(body, "storage_limit", &limit))
    return wrong_type("storage_limit", "int64", err);
  if (limit < -1)
    return error_set(err, ERR_BAD_REQUEST, "invalid storage_limit %lld: bytes, or -1 for no limit", (long long)limit);
  if (limit != 0)
    project->storage_limit = limit;
  return 0;
}

static int registry_refuse(const struct json_object *body, struct error *err) {
  enum json_kind kind;
  int64_t id = 0;

  (void)json_member(body, "registry_id", &kind);
  if (kind == JSON_ABSENT || kind == JSON_NULL || (json_get_i64(body, "registry_id", &id) && id == 0))
    return 0;
  if (kind != JSON_INT)
    return wrong_type("registry_id", "int64", err);
  return error_set(err, ERR_BAD_REQUEST, "proxy cache projects are not supported: leave registry_id out");
}

// `public` beside the metadata: how clients of Harbor before 1.6 said it.
static int public_read(const struct json_object *body, struct project *project, struct error *err) {
  enum json_kind kind;

  (void)json_member(body, "public", &kind);
  if (kind == JSON_ABSENT || kind == JSON_NULL)
    return 0;
  return json_get_bool(body, "public", &project->is_public) ? 0 : wrong_type("public", "boolean", err);
}

int project_body_read(const struct json_object *body, bool for_create, struct arena *arena, struct project *project,
                      struct error *err) {
  int rc = public_read(body, project, err);

  if (rc == 0)
    rc = metadata_read(body, arena, project, err);
  if (rc == 0)
    rc = limit_read(body, project, err);
  if (rc == 0)
    rc = registry_refuse(body, err);
  return rc == 0 && for_create ? name_read(body, arena, project, err) : rc;
}

static void write_metadata(const struct project *project, struct arena *arena, struct json_writer *w) {
  struct json_object *stored = NULL;
  struct str value;

  if (project->metadata.len > 0 && json_parse(project->metadata, arena, &stored, NULL) != 0)
    stored = NULL; // written by us; a broken one is shown as none
  json_key(w, "metadata");
  json_object_begin(w);
  for (size_t i = 0; i < ARRAY_LEN(metadata_keys); i++) {
    if (str_eq_c(str_of(metadata_keys[i]), "public"))
      json_field_str(w, "public", project->is_public ? STR("true") : STR("false"));
    else if (stored && json_get_str(stored, metadata_keys[i], &value))
      json_field_str(w, metadata_keys[i], value);
  }
  json_object_end(w);
}

// Terraform and harbor-cli read its items without asking whether it is there.
static void write_allowlist(const struct project *project, struct json_writer *w) {
  json_key(w, "cve_allowlist");
  json_object_begin(w);
  call_field_time_ms(w, "creation_time", RFC3339_ZERO_US);
  json_field_i64(w, "id", project->id);
  json_key(w, "items");
  json_array_begin(w);
  json_array_end(w);
  json_field_i64(w, "project_id", project->id);
  call_field_time_ms(w, "update_time", RFC3339_ZERO_US);
  json_object_end(w);
}

void project_body_write(const struct project *project, int role, struct arena *arena, struct json_writer *w) {
  json_object_begin(w);
  call_field_time_ms(w, "creation_time", project->created_at_us);
  json_field_i64_opt(w, "current_user_role_id", role);
  json_key(w, "current_user_role_ids");
  json_array_begin(w);
  if (role != 0)
    json_put_i64(w, role);
  json_array_end(w);
  write_allowlist(project, w);
  write_metadata(project, arena, w);
  json_field_str(w, "name", project->name);
  json_field_i64(w, "owner_id", project->owner_id);
  json_field_str_opt(w, "owner_name", project->owner_name);
  json_field_i64(w, "project_id", project->id);
  json_field_i64(w, "repo_count", project->repo_count);
  call_field_time_ms(w, "update_time", project->updated_at_us);
  json_object_end(w);
}
