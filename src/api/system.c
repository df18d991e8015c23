// SPDX-License-Identifier: Apache-2.0
// What the system says of itself, its few settings that can be changed while it runs, and the description of the API.
#include "api/routes.h"
#include "base/rfc3339.h"
#include "base/utf8.h"
#include "store/settings.h"

enum { REASON_BYTES = 256, SYSTEM_QUOTED_BYTES = 64 };

#define NOTIFICATION_ENABLE "notification_enable"

int system_version(struct api_call *call, struct error *err) {
  struct json_writer w = call_json(call);

  (void)err;
  json_object_begin(&w);
  json_field_str(&w, "version", STR("v2.0"));
  json_object_end(&w);
  return 0;
}

int system_ping(struct api_call *call, struct error *err) {
  (void)err;
  call->content_type = "text/plain; charset=utf-8";
  buf_put(&call->body, STR("Pong"));
  return 0;
}

int openapi_get(struct api_call *call, struct error *err) {
  if (call->config->openapi.len == 0)
    return error_set(err, ERR_NOT_FOUND, "this build has no description of its API");
  call->content_type = "application/yaml";
  buf_put(&call->body, call->config->openapi);
  return 0;
}

// ---- health ---------------------------------------------------------------------------------------------------------

static void write_component(struct json_writer *w, const char *name, bool healthy, struct str reason) {
  json_object_begin(w);
  if (!healthy)
    json_field_str(w, "error", reason);
  json_field_str(w, "name", str_of(name));
  json_field_str(w, "status", healthy ? STR("healthy") : STR("unhealthy"));
  json_object_end(w);
}

// The parts that this program has, under Harbor's names. Reasons name files: for administrators only.
int system_health(struct api_call *call, struct error *err) {
  char reason[REASON_BYTES] = "";
  bool healthy = store_healthy(call->config->store, reason, sizeof reason);
  bool may_know = call->identity.authenticated && call->identity.is_admin;
  struct json_writer w = call_json(call);

  (void)err;
  json_object_begin(&w);
  json_key(&w, "components");
  json_array_begin(&w);
  write_component(&w, "core", true, STR_EMPTY);
  write_component(&w, "database", healthy, may_know ? str_of(reason) : STR("the store cannot be written"));
  json_array_end(&w);
  json_field_str(&w, "status", healthy ? STR("healthy") : STR("unhealthy"));
  json_object_end(&w);
  return 0;
}

// ---- notification_enable --------------------------------------------------------------------------------------------

static int notifications_enabled(struct api_call *call, bool *out, struct error *err) {
  struct str value;
  int rc = setting_get(call->conn, NOTIFICATION_ENABLE, call->arena, &value, err);

  *out = rc == 0 && (!value.ptr || !str_eq_c(value, "false"));
  return rc;
}

// ---- systeminfo -----------------------------------------------------------------------------------------------------

// Alphabetical, as go-swagger writes it; the fields that only users may read are named so.
int system_info(struct api_call *call, struct error *err) {
  const struct api_config *config = call->config;
  bool known = call->identity.authenticated, enabled;
  struct str registry = STR_EMPTY;
  int rc = notifications_enabled(call, &enabled, err);

  if (rc == 0)
    rc = call_pull_host(call, &registry, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  json_field_str(&w, "auth_mode", STR("db_auth"));
  json_field_str(&w, "banner_message", STR_EMPTY);
  if (known) {
    call_field_time_ms(&w, "current_time", clock_wall_us(config->clock));
    json_field_str(&w, "external_url", str_of(config->external_url));
    json_field_str(&w, "harbor_version", str_of(config->harbor_version));
    json_field_bool(&w, "has_ca_root", false);
    json_field_bool(&w, "notification_enable", enabled);
  }
  json_field_str(&w, "oidc_provider_name", STR_EMPTY);
  json_field_bool(&w, "primary_auth_mode", false);
  if (known) {
    json_field_str(&w, "project_creation_restriction", STR("adminonly"));
    json_field_bool(&w, "read_only", false);
    json_field_str(&w, "registry_url", registry);
  }
  json_field_bool(&w, "self_registration", false);
  json_object_end(&w);
  return 0;
}

// ---- statistics -----------------------------------------------------------------------------------------------------

int system_statistics(struct api_call *call, struct error *err) {
  struct project_counts counts;
  int rc = call_require_login(call, err);

  if (rc == 0)
    rc = project_count(call->conn, &counts, err);
  if (rc != 0)
    return rc;
  if (!call->identity.is_admin) // private ones are not theirs to count
    counts.projects[0] = counts.repositories[0] = 0;
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  json_field_i64(&w, "private_project_count", counts.projects[0]);
  json_field_i64(&w, "private_repo_count", counts.repositories[0]);
  json_field_i64(&w, "public_project_count", counts.projects[1]);
  json_field_i64(&w, "public_repo_count", counts.repositories[1]);
  if (call->identity.is_admin) {
    json_field_i64(&w, "total_project_count", counts.projects[0] + counts.projects[1]);
    json_field_i64(&w, "total_repo_count", counts.repositories[0] + counts.repositories[1]);
  }
  json_object_end(&w);
  return 0;
}

// ---- configurations -------------------------------------------------------------------------------------------------

// Harbor's settings that clients read and that have one value here. `text` NULL: the boolean false.
static const struct fixed_setting {
  const char *key, *text;
} fixed_settings[] = {
    {"auth_mode", "db_auth"}, {"primary_auth_mode", NULL}, {"project_creation_restriction", "adminonly"},
    {"read_only", NULL},      {"self_registration", NULL},
};

static void write_bool_setting(struct json_writer *w, const char *key, bool editable, bool value) {
  json_key(w, key);
  json_object_begin(w);
  json_field_bool(w, "editable", editable);
  json_field_bool(w, "value", value);
  json_object_end(w);
}

static void write_fixed_setting(struct json_writer *w, const struct fixed_setting *setting) {
  if (!setting->text) {
    write_bool_setting(w, setting->key, false, false);
    return;
  }
  json_key(w, setting->key);
  json_object_begin(w);
  json_field_bool(w, "editable", false);
  json_field_str(w, "value", str_of(setting->text));
  json_object_end(w);
}

int configurations_get(struct api_call *call, struct error *err) {
  bool enabled;
  int rc = call_require(call, AUTH_ADMINISTER, err);

  if (rc == 0)
    rc = notifications_enabled(call, &enabled, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  write_fixed_setting(&w, &fixed_settings[0]);
  write_bool_setting(&w, NOTIFICATION_ENABLE, true, enabled);
  for (size_t i = 1; i < ARRAY_LEN(fixed_settings); i++)
    write_fixed_setting(&w, &fixed_settings[i]);
  json_object_end(&w);
  return 0;
}

// A client that sets what cannot be set is told so; one that repeats what is so (Terraform) is right.
static int check_fixed(const struct json_object *body, struct error *err) {
  for (size_t i = 0; i < ARRAY_LEN(fixed_settings); i++) {
    const struct fixed_setting *setting = &fixed_settings[i];
    enum json_kind kind;
    const struct json_object *value = json_member(body, setting->key, &kind);
    bool truth = false;
    if (kind == JSON_ABSENT || kind == JSON_NULL)
      continue;
    bool same = setting->text ? kind == JSON_STRING && str_eq_c(json_str(value), setting->text)
                              : json_get_bool(body, setting->key, &truth) && !truth;
    if (!same)
      return error_set(err, ERR_BAD_REQUEST, "the setting %s cannot be changed here: it is always %s", setting->key,
                       setting->text ? setting->text : "false");
  }
  return 0;
}

static int enable_apply(struct store_conn *conn, void *ctx, struct error *err) {
  const bool *enable = ctx;

  return setting_set(conn, NOTIFICATION_ENABLE, *enable ? STR("true") : STR("false"), err);
}

int configurations_update(struct api_call *call, struct error *err) {
  struct json_object *body;
  enum json_kind kind;
  bool enable = false;
  int rc = call_body(call, &body, err);

  if (rc != 0)
    return rc;
  (void)json_member(body, NOTIFICATION_ENABLE, &kind);
  bool given = json_get_bool(body, NOTIFICATION_ENABLE, &enable);
  if (!given && kind != JSON_ABSENT && kind != JSON_NULL)
    return error_set(err, ERR_INVALID, "validation failure list:\n%s in body must be of type boolean",
                     NOTIFICATION_ENABLE);
  if ((rc = call_require(call, AUTH_ADMINISTER, err)) != 0 || (rc = check_fixed(body, err)) != 0 || !given)
    return rc;
  call->changed_fields = STR(NOTIFICATION_ENABLE);
  return call_change(call, enable_apply, &enable, "update", "configuration",
                     enable ? STR("notification_enable=true") : STR("notification_enable=false"), err);
}

// ---- log level ------------------------------------------------------------------------------------------------------

// The level is this process's alone; the audit is what is stored.
static int nothing_apply(struct store_conn *conn, void *ctx, struct error *err) {
  (void)conn;
  (void)ctx;
  (void)err;
  return 0;
}

int log_level_set(struct api_call *call, struct error *err) {
  struct json_object *body;
  struct str name;
  enum log_level level;
  int rc = call_body(call, &body, err);

  if (rc != 0)
    return rc;
  if (!json_get_str(body, "level", &name))
    return error_set(err, ERR_INVALID,
                     "validation failure list:\nlevel in body is required and must be of type string");
  if ((rc = call_require(call, AUTH_ADMINISTER, err)) != 0)
    return rc;
  if (!log_level_read(name, &level))
    return error_set(err, ERR_BAD_REQUEST, "\"%.*s\" is not a log level: debug, info, warn or error",
                     STR_ARG(utf8_cut(name, SYSTEM_QUOTED_BYTES)));
  struct str subject = arena_printf(call->arena, "log_level=%s", log_level_name(level));
  if (!subject.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for the audit");
  call->changed_fields = STR("level");
  rc = call_change(call, nothing_apply, NULL, "update", "configuration", subject, err);
  if (rc == 0)
    log_set_level(call->config->log, level);
  return rc;
}
