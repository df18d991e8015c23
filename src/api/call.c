// SPDX-License-Identifier: Apache-2.0
#include "api/call.h"

#include "api/routes.h"
#include "base/rfc3339.h"
#include "base/utf8.h"
#include "net/url.h"
#include "store/settings.h"

enum { QUOTED_BYTES = 128 }; // of a client's words in a message

#define INVALID "validation failure list:\n"

// ---- headers and parameters -----------------------------------------------------------------------------------------

// go-swagger's reading of booleans: these words are true, every other one is false, none is an error.
static bool is_true(struct str word) {
  static const char *const words[] = {"true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"};

  for (size_t i = 0; i < ARRAY_LEN(words); i++)
    if (str_ieq_c(word, words[i]))
      return true;
  return false;
}

bool call_header_bool(const struct api_call *call, const char *name) {
  struct str value = http_head_get(call->request->head, name);

  return value.ptr && is_true(value);
}

static int not_an_integer(const char *name, const char *place, struct str text, struct error *err) {
  return error_set(err, ERR_INVALID, INVALID "%s in %s must be of type int64: \"%.*s\"", name, place,
                   STR_ARG(utf8_cut(text, QUOTED_BYTES)));
}

int call_path_int(struct api_call *call, size_t i, const char *name, int64_t *out, struct error *err) {
  if (str_to_i64(call->params[i], out))
    return 0;
  return not_an_integer(name, "path", call->params[i], err);
}

bool call_query_str(struct api_call *call, const char *name, struct str *out) {
  return url_query_get(call->request->head->query, name, call->arena, out);
}

int call_query_bool(struct api_call *call, const char *name, bool fallback, bool *out, struct error *err) {
  struct str text;

  (void)err;
  *out = fallback;
  if (call_query_str(call, name, &text) && text.len > 0)
    *out = is_true(text);
  return 0;
}

int call_query_int(struct api_call *call, const char *name, int64_t fallback, int64_t *out, struct error *err) {
  struct str text;

  *out = fallback;
  if (!call_query_str(call, name, &text) || text.len == 0 || str_to_i64(text, out))
    return 0;
  return not_an_integer(name, "query", text, err);
}

// ---- the body -------------------------------------------------------------------------------------------------------

int call_content_type(struct api_call *call, const char *wanted, struct error *err) {
  struct str type = http_head_get(call->request->head, "Content-Type");

  if (!type.ptr || type.len == 0)
    type = STR("application/octet-stream"); // RFC 9110 8.3; go-swagger takes it for that, too
  ptrdiff_t end = str_find(type, ';');
  struct str media = str_trim(end < 0 ? type : str_slice(type, 0, (size_t)end));
  if (str_ieq_c(media, wanted))
    return 0;
  return error_set(err, ERR_INVALID, INVALID "unsupported media type \"%.*s\", only [%s] are allowed",
                   STR_ARG(utf8_cut(media, QUOTED_BYTES)), wanted);
}

int call_body(struct api_call *call, struct json_object **out, struct error *err) {
  const char *name = call->route && call->route->body ? call->route->body : "body";

  if (call->request->body.len == 0)
    return error_set(err, ERR_INVALID, INVALID "%s in body is required", name);
  int rc = call_content_type(call, "application/json", err);
  if (rc != 0)
    return rc;
  rc = json_parse(call->request->body, call->arena, out, err);
  if (rc == 0 && json_kind(*out) != JSON_OBJECT)
    rc = error_set(err, ERR_INVALID, "an object is wanted, not %s", json_kind_name(json_kind(*out)));
  if (rc != ERR_INVALID)
    return rc;
  struct error cause = *err;
  return error_set(err, ERR_INVALID, INVALID "parsing %s body from \"\" failed, because %s", name, cause.text);
}

// ---- rights ---------------------------------------------------------------------------------------------------------

int call_require(struct api_call *call, enum auth_action action, struct error *err) {
  return auth_allow(&call->identity, action, false, err);
}

int call_require_login(struct api_call *call, struct error *err) {
  return call->identity.authenticated ? 0 : error_set(err, ERR_UNAUTHORIZED, "unauthorized");
}

int call_judge(int input, const struct error *input_err, int rights, struct error *err) {
  if (input != ERR_INVALID && (rights != 0 || input == 0))
    return rights;
  if (err)
    *err = *input_err;
  return input;
}

// Who may not see all projects must not learn from the answer whether this one exists: unknown ones answer them like
// forbidden ones.
static int project_unknown(struct api_call *call, enum auth_action action, struct error *err) {
  struct error unknown = *err;
  int rc = auth_allow(&call->identity, action, false, err);

  if (rc == 0 && err)
    *err = unknown;
  return rc != 0 ? rc : ERR_NOT_FOUND;
}

int call_project(struct api_call *call, size_t i, enum auth_action action, struct project *out, struct error *err) {
  struct str text = call->params[i];
  int64_t id;
  int rc;

  if (str_find(text, ' ') >= 0)
    return error_set(err, ERR_BAD_REQUEST, "invalid project name: \"%.*s\"", STR_ARG(utf8_cut(text, QUOTED_BYTES)));
  if (!call_header_bool(call, "X-Is-Resource-Name") && str_to_i64(text, &id))
    rc = project_get(call->conn, id, call->arena, out, err);
  else
    rc = project_get_by_name(call->conn, text, call->arena, out, err);
  if (rc == ERR_NOT_FOUND)
    return project_unknown(call, action, err);
  if (rc == 0)
    rc = auth_allow(&call->identity, action, out->is_public, err);
  if (rc == 0)
    call->changed_in = out->name;
  return rc;
}

int call_registry_host(struct api_call *call, struct str *out, struct error *err) {
  struct url url;

  *out = str_of(call->config->registry_url);
  if (out->len > 0 || url_parse(str_of(call->config->external_url), &url, err) != 0)
    return 0;
  *out = url_host_header(&url, call->arena);
  return out->ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory for an event");
}

int call_pull_host(struct api_call *call, struct str *out, struct error *err) {
  *out = str_of(call->config->registry_url);
  return call->config->upstream ? call_registry_host(call, out, err) : 0;
}

// ---- the answer -----------------------------------------------------------------------------------------------------

struct json_writer call_json(struct api_call *call) {
  return json_writer_make(&call->body, false);
}

void call_header(struct api_call *call, const char *name, struct str value) {
  if (call->headers_len < API_MAX_ANSWER_HEADERS) // more than any handler writes
    call->headers[call->headers_len++] = (struct http_header){str_of(name), value};
}

int call_created(struct api_call *call, int64_t id, struct error *err) {
  struct str path = call->request->head->path;

  while (path.len > 1 && path.ptr[path.len - 1] == '/')
    path.len--;
  struct str location = arena_printf(call->arena, "%.*s/%lld", STR_ARG(path), (long long)id);
  if (!location.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for an answer");
  call->status = 201;
  call_header(call, "Location", location);
  return 0;
}

void call_field_time_ms(struct json_writer *w, const char *key, int64_t at_us) {
  char text[RFC3339_BYTES];

  json_field_str(w, key, str_of(rfc3339_write(at_us == 0 ? RFC3339_ZERO_US : at_us, 3, text)));
}

// ---- changes --------------------------------------------------------------------------------------------------------

struct audited_change {
  const struct api_call *call;
  int (*apply)(struct store_conn *conn, void *ctx, struct error *err);
  void *ctx;
  struct audit_entry entry;
};

static int apply_audited(struct store_conn *conn, void *ctx, struct error *err) {
  struct audited_change *change = ctx;
  int rc = change->apply(conn, change->ctx, err);

  change->entry.fields = change->call->changed_fields;     // known only now
  if (rc == 0 && arena_out_of_memory(change->call->arena)) // what would be kept may have holes
    rc = error_set(err, ERR_NO_MEMORY, "no memory for this change");
  return rc != 0 ? rc : audit_add(conn, &change->entry, err);
}

int call_change(struct api_call *call, int (*apply)(struct store_conn *conn, void *ctx, struct error *err), void *ctx,
                const char *operation, const char *kind, struct str subject, struct error *err) {
  char address[ADDRESS_TEXT_BYTES];
  struct audited_change change = {
      .call = call,
      .apply = apply,
      .ctx = ctx,
      .entry =
          {
              .at_us = clock_wall_us(call->config->clock),
              .actor = call->identity.name,
              .address = str_of(address_write(&call->request->peer, address)),
              .request_id = call->request->request_id,
              .operation = str_of(operation),
              .kind = str_of(kind),
              .project = call->changed_in,
              .subject = subject,
          },
  };

  return store_write_sync(call->config->store, apply_audited, &change, err);
}
