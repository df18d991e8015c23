// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"
#include "base/rfc3339.h"
#include "net/url.h"
#include "policy/policy.h"

// ---- Reading --------------------------------------------------------------------------------------------------------

#define FAILURES "validation failure list:\n"

struct reader {
  struct arena *arena;
  struct error *err;
  const char *where; // "" or "targets."
};

static int no_memory(const struct reader *r) {
  return error_set(r->err, ERR_NO_MEMORY, "no memory to read a policy");
}

// The member when it is there and not null, which is Go's zero value. *value is NULL when it is absent.
static int member(const struct reader *r, const struct json_object *object, const char *key, enum json_kind wanted,
                  struct json_object **value) {
  enum json_kind kind;

  *value = json_member(object, key, &kind);
  if (kind == wanted)
    return 0;
  *value = NULL;
  if (kind == JSON_ABSENT || kind == JSON_NULL)
    return 0;
  return error_set(r->err, ERR_INVALID, FAILURES "%s%s in body must be of type %s: \"%s\"", r->where, key,
                   json_kind_name(wanted), json_kind_name(kind));
}

static int read_str(const struct reader *r, const struct json_object *object, const char *key, struct str *out) {
  struct json_object *value;
  int result = member(r, object, key, JSON_STRING, &value);

  *out = STR_EMPTY;
  if (result != 0 || !value)
    return result;
  *out = arena_str(r->arena, json_str(value));
  return out->ptr ? 0 : no_memory(r);
}

static int read_bool(const struct reader *r, const struct json_object *object, const char *key, bool absent,
                     bool *out) {
  struct json_object *value;
  int result = member(r, object, key, JSON_BOOL, &value);

  *out = absent;
  if (result == 0 && value)
    (void)json_get_bool(object, key, out);
  return result;
}

static int read_array(const struct reader *r, const struct json_object *object, const char *key, size_t max_len,
                      struct json_object **out) {
  int result = member(r, object, key, JSON_ARRAY, out);

  if (result == 0 && json_array_len(*out) > max_len)
    result =
        error_set(r->err, ERR_INVALID, FAILURES "%s%s in body should have at most %zu items", r->where, key, max_len);
  return result;
}

static int add_event_type(const struct reader *r, const struct json_object *value, struct policy *out) {
  enum event_type type;

  if (json_kind(value) != JSON_STRING)
    return error_set(r->err, ERR_INVALID, FAILURES "event_types in body must be of type string: \"%s\"",
                     json_kind_name(json_kind(value)));
  if (!event_type_read(json_str(value), &type)) {
    if (!out->unknown_event_type.ptr)
      out->unknown_event_type = arena_str(r->arena, json_str(value));
    return out->unknown_event_type.ptr ? 0 : no_memory(r);
  }
  if (out->event_mask & (UINT32_C(1) << type))
    return 0;
  out->event_mask |= UINT32_C(1) << type;
  out->event_types[out->event_types_len++] = type;
  return 0;
}

static int read_event_types(const struct reader *r, const struct json_object *body, struct policy *out) {
  struct json_object *array;
  int result = read_array(r, body, "event_types", POLICY_MAX_EVENT_TYPES, &array);

  if (result != 0)
    return result;
  out->event_types = arena_array(r->arena, EVENT_TYPE_COUNT, sizeof(*out->event_types));
  if (!out->event_types)
    return no_memory(r);
  for (size_t i = 0; i < json_array_len(array) && result == 0; i++)
    result = add_event_type(r, json_array_at(array, i), out);
  return result;
}

static int read_target_extensions(const struct reader *r, const struct json_object *value, struct target *out) {
  struct json_object *extensions;
  struct reader inner = *r;
  int result = member(r, value, "harbinger", JSON_OBJECT, &extensions);

  out->extras = true;
  out->extras_given = extensions != NULL;
  inner.where = "targets.harbinger.";
  if (result == 0)
    result = read_bool(&inner, extensions, "extras", true, &out->extras);
  if (result == 0)
    result = read_bool(&inner, extensions, "strict_order", false, &out->strict_order);
  enum json_kind kind;
  out->strict_order_given = extensions && json_member(extensions, "strict_order", &kind) && kind == JSON_BOOL;
  return result;
}

// The formats that are none of ours stay in the text, for policy_check to name them.
static void settle_format(struct target *target) {
  target->type = TARGET_HTTP;
  target->format = PAYLOAD_DEFAULT;
  (void)!target_type_read(target->type_text, &target->type);
  if (target->type == TARGET_SLACK)
    target->format = PAYLOAD_SLACK;
  else
    (void)!payload_format_read(target->payload_format_text, &target->format);
}

static int read_target(const struct reader *r, const struct json_object *value, struct target *out) {
  if (json_kind(value) != JSON_OBJECT)
    return error_set(r->err, ERR_INVALID, FAILURES "targets in body must be of type object: \"%s\"",
                     json_kind_name(json_kind(value)));
  int result = read_str(r, value, "type", &out->type_text);
  if (result == 0)
    result = read_str(r, value, "address", &out->address);
  if (result == 0)
    result = read_str(r, value, "auth_header", &out->auth_header);
  if (result == 0)
    result = read_bool(r, value, "skip_cert_verify", false, &out->skip_cert_verify);
  if (result == 0)
    result = read_str(r, value, "payload_format", &out->payload_format_text);
  if (result == 0)
    result = read_target_extensions(r, value, out);
  out->suspended_reason = STR_EMPTY;
  settle_format(out);
  return result;
}

static int read_targets(const struct reader *r, const struct json_object *body, struct policy *out) {
  struct reader inner = *r;
  struct json_object *array;
  int result = read_array(r, body, "targets", POLICY_MAX_TARGETS, &array);

  if (result != 0 || json_array_len(array) == 0)
    return result;
  inner.where = "targets.";
  out->targets_len = json_array_len(array);
  out->targets = arena_array(r->arena, out->targets_len, sizeof(*out->targets));
  if (!out->targets)
    return no_memory(r);
  for (size_t i = 0; i < out->targets_len && result == 0; i++)
    result = read_target(&inner, json_array_at(array, i), &out->targets[i]);
  return result;
}

static int read_extensions(const struct reader *r, const struct json_object *body, const struct policy *old,
                           struct policy *out) {
  struct json_object *extensions;
  struct reader inner = *r;
  struct str tagged;
  int result = member(r, body, "harbinger", JSON_OBJECT, &extensions);

  out->tagged_only = old && old->tagged_only;
  if (result != 0 || !extensions)
    return result;
  inner.where = "harbinger.";
  result = read_str(&inner, extensions, "tagged", &tagged);
  if (result != 0)
    return result;
  out->tagged_only = str_eq_c(tagged, "only");
  if (tagged.len > 0 && !out->tagged_only && !str_eq_c(tagged, "any"))
    return error_set(r->err, ERR_INVALID, FAILURES "harbinger.tagged in body should be one of [only any]");
  return 0;
}

int policy_read(const struct json_object *body, const struct policy *old, struct arena *arena, struct policy *out,
                struct error *err) {
  struct reader r = {.arena = arena, .err = err, .where = ""};

  *out = (struct policy){.creator = STR_EMPTY};
  if (old) {
    out->id = old->id;
    out->project_id = old->project_id;
    out->creator = old->creator;
    out->created_at_us = old->created_at_us;
    out->updated_at_us = old->updated_at_us;
  }
  if (json_kind(body) == JSON_NULL)
    return error_set(err, ERR_INVALID, FAILURES "policy in body is required");
  if (json_kind(body) != JSON_OBJECT)
    return error_set(err, ERR_INVALID, FAILURES "policy in body must be of type object: \"%s\"",
                     json_kind_name(json_kind(body)));
  int result = read_str(&r, body, "name", &out->name);
  if (result == 0)
    result = read_str(&r, body, "description", &out->description);
  if (result == 0)
    result = read_bool(&r, body, "enabled", false, &out->enabled);
  if (result == 0)
    result = read_event_types(&r, body, out);
  if (result == 0)
    result = read_targets(&r, body, out);
  out->paused = old && old->paused && out->enabled; // not a field of requests: there are calls for it
  return result == 0 ? read_extensions(&r, body, old, out) : result;
}

// ---- Writing --------------------------------------------------------------------------------------------------------

static struct str address_for(const struct target *target, enum policy_view view, struct arena *arena) {
  struct url url;
  struct error ignored;

  if (view != POLICY_VIEW_READER)
    return target->address;
  if (url_parse(target->address, &url, &ignored) != 0)
    return STR(SECRET_MASK);
  struct str masked = url_mask(&url, arena);
  return masked.ptr ? masked : STR(SECRET_MASK);
}

static void write_target(const struct target *target, enum policy_view view, struct arena *arena,
                         struct json_writer *w) {
  json_object_begin(w);
  json_field_str(w, "address", address_for(target, view, arena));
  if (target->auth_header.len > 0)
    json_field_str(w, "auth_header", view == POLICY_VIEW_REVEAL ? target->auth_header : STR(SECRET_MASK));
  json_field_str_opt(w, "payload_format", str_of(payload_format_name(target->format)));
  if (target->skip_cert_verify)
    json_field_bool(w, "skip_cert_verify", true);
  json_field_str(w, "type", str_of(target_type_name(target->type)));
  if (!target->extras || target->strict_order || target->suspended) {
    json_key(w, "harbinger");
    json_object_begin(w);
    if (!target->extras)
      json_field_bool(w, "extras", false);
    if (target->strict_order)
      json_field_bool(w, "strict_order", true);
    if (target->suspended) {
      json_field_bool(w, "suspended", true);
      json_field_str_opt(w, "suspended_reason", target->suspended_reason);
    }
    json_object_end(w);
  }
  json_object_end(w);
}

static void write_time(struct json_writer *w, const char *key, int64_t us) {
  char text[RFC3339_BYTES];

  json_field_str(w, key, str_of(rfc3339_write(us, 3, text)));
}

static void write_event_types(const struct policy *policy, struct json_writer *w) {
  json_key(w, "event_types");
  json_array_begin(w);
  for (size_t i = 0; i < policy->event_types_len; i++)
    json_put_str(w, str_of(event_type_name(policy->event_types[i])));
  json_array_end(w);
}

static void write_suspended(const struct policy *policy, struct json_writer *w) {
  json_key(w, "suspended");
  json_array_begin(w);
  for (size_t i = 0; i < policy->targets_len; i++) {
    const struct target *target = &policy->targets[i];
    if (!target->suspended)
      continue;
    json_object_begin(w);
    json_field_str_opt(w, "reason", target->suspended_reason);
    if (target->suspended_at_us != 0)
      write_time(w, "since", target->suspended_at_us);
    json_field_i64(w, "target", (int64_t)i);
    json_object_end(w);
  }
  json_array_end(w);
}

static bool has_suspended(const struct policy *policy) {
  for (size_t i = 0; i < policy->targets_len; i++)
    if (policy->targets[i].suspended)
      return true;
  return false;
}

static void write_extensions(const struct policy *policy, struct json_writer *w) {
  bool suspended = has_suspended(policy);

  if (!policy->paused && !suspended && !policy->tagged_only && policy->warning.len == 0)
    return;
  json_key(w, "harbinger");
  json_object_begin(w);
  if (policy->paused)
    json_field_str(w, "paused", STR("hold"));
  if (suspended)
    write_suspended(policy, w);
  if (policy->tagged_only)
    json_field_str(w, "tagged", STR("only"));
  json_field_str_opt(w, "warning", policy->warning);
  json_object_end(w);
}

void policy_write_json(const struct policy *policy, enum policy_view view, struct arena *arena, struct json_writer *w) {
  json_object_begin(w);
  write_time(w, "creation_time", policy->created_at_us);
  json_field_str_opt(w, "creator", policy->creator);
  json_field_str_opt(w, "description", policy->description);
  json_field_bool(w, "enabled", policy->enabled);
  write_event_types(policy, w);
  json_field_i64(w, "id", policy->id);
  json_field_str_opt(w, "name", policy->name);
  json_field_i64(w, "project_id", policy->project_id);
  json_key(w, "targets");
  json_array_begin(w);
  for (size_t i = 0; i < policy->targets_len; i++)
    write_target(&policy->targets[i], view, arena, w);
  json_array_end(w);
  write_time(w, "update_time", policy->updated_at_us);
  write_extensions(policy, w);
  json_object_end(w);
}
