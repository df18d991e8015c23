// SPDX-License-Identifier: Apache-2.0
#include "event/data.h"

#include "event/data_parts.h"
#include "event/event.h"

static const struct shape_field ARTIFACT_FIELDS[] = {
    {"type", SHAPE_NAME, SHAPE_ALWAYS, NULL},
    {"status", SHAPE_NAME, SHAPE_ALWAYS, NULL},
    {"name_tag", SHAPE_TEXT, SHAPE_REQUIRED, NULL},
    {"references", SHAPE_STRINGS, SHAPE_ALWAYS, NULL},
    {"fail_reason", SHAPE_TEXT, SHAPE_OMIT_EMPTY, NULL},
};
const struct shape event_artifact_shape = SHAPE_OF(ARTIFACT_FIELDS);

int event_shape_text(const struct field_reader *r, const struct shape_field *field, const struct json_object *value,
                     const struct field_path *at, struct str *out) {
  struct buf buf;

  buf_init(&buf, EVENT_MAX_JSON_BYTES);
  struct json_writer w = json_writer_make(&buf, true);
  int result = shape_write_field(r, field, value, at, &w);
  if (result == 0 && buf.failed)
    result = field_refuse(r, at, "is longer than %d bytes of JSON", EVENT_MAX_JSON_BYTES);
  if (result == 0) {
    *out = arena_str(r->arena, buf_str(&buf));
    result = out->ptr ? 0 : field_no_memory(r);
  }
  buf_free(&buf);
  return result;
}

int event_copy_member(const struct field_reader *r, const struct json_object *object, const char *name,
                      struct str *out) {
  struct str text = STR_EMPTY;

  (void)json_get_str(object, name, &text);
  *out = arena_str(r->arena, text);
  return out->ptr ? 0 : field_no_memory(r);
}

// Whole percent, cut, when the job gave only the sizes.
static void derive_percent(struct event_quota *quota) {
  int64_t hundredfold;

  if (quota->percent >= 0 || quota->used_bytes < 0 || quota->limit_bytes <= 0)
    return;
  if (!__builtin_mul_overflow(quota->used_bytes, INT64_C(100), &hundredfold))
    quota->percent = hundredfold / quota->limit_bytes;
}

int event_quota_read(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                     struct event_quota *out) {
  static const char *const NAMES[] = {"details", "requested", "used", "limit", "percent", NULL};

  *out = (struct event_quota){
      .details = STR_EMPTY, .requested_bytes = -1, .used_bytes = -1, .limit_bytes = -1, .percent = -1};
  if (!value)
    return 0;
  int result = field_only(r, value, at, NAMES);
  if (result == 0)
    result = field_str(r, value, at, "details", EVENT_MAX_TEXT_BYTES, &out->details);
  if (result == 0)
    result = field_i64(r, value, at, "requested", 0, -1, &out->requested_bytes);
  if (result == 0)
    result = field_i64(r, value, at, "used", 0, -1, &out->used_bytes);
  if (result == 0)
    result = field_i64(r, value, at, "limit", -1, -1, &out->limit_bytes);
  if (result == 0)
    result = field_i64(r, value, at, "percent", 0, -1, &out->percent);
  if (result == 0)
    derive_percent(out);
  return result;
}

static void quota_write(const struct event_quota *quota, struct json_writer *w) {
  json_object_begin(w);
  json_field_str_opt(w, "details", quota->details);
  if (quota->requested_bytes >= 0)
    json_field_i64(w, "requested", quota->requested_bytes);
  if (quota->used_bytes >= 0)
    json_field_i64(w, "used", quota->used_bytes);
  if (quota->limit_bytes >= 0)
    json_field_i64(w, "limit", quota->limit_bytes);
  if (quota->percent >= 0)
    json_field_i64(w, "percent", quota->percent);
  json_object_end(w);
}

static void field_raw_opt(struct json_writer *w, const char *key, struct str json) {
  if (json.len == 0)
    return;
  json_key(w, key);
  json_put_raw(w, json);
}

static void scan_write(const struct event_scan *scan, struct json_writer *w) {
  json_object_begin(w);
  json_field_str_opt(w, "scan_type", scan->scan_type);
  field_raw_opt(w, "scan_overview", scan->scan_overview);
  field_raw_opt(w, "sbom_overview", scan->sbom_overview);
  json_field_str_opt(w, "error", scan->error);
  json_object_end(w);
}

static void object_write(struct str object, struct json_writer *w) {
  if (object.len > 0)
    json_put_raw(w, object);
  else
    json_put_null(w);
}

int event_data_read(enum event_type type, const struct json_object *value, struct arena *arena, struct event_data *out,
                    struct error *err) {
  static const char *const NONE[] = {NULL};
  struct field_reader r = {.arena = arena, .err = err};
  struct field_path at = field_member(NULL, "data");

  *out = (struct event_data){.type = type};
  if (json_kind(value) == JSON_NULL)
    value = NULL;
  if (value && json_kind(value) != JSON_OBJECT)
    return field_refuse(&r, &at, "must be an object, not %s", json_kind_name(json_kind(value)));
  if (event_type_is_scan(type))
    return event_scan_read(&r, type, value, &at, &out->scan);
  if (event_type_is_quota(type))
    return event_quota_read(&r, value, &at, &out->quota);
  if (type == EVENT_REPLICATION)
    return event_replication_read(&r, value, &at, &out->replication);
  if (type == EVENT_TAG_RETENTION)
    return event_retention_read(&r, value, &at, &out->retention);
  return value ? field_only(&r, value, &at, NONE) : 0;
}

void event_data_write(const struct event_data *data, struct json_writer *w) {
  if (event_type_is_scan(data->type))
    scan_write(&data->scan, w);
  else if (event_type_is_quota(data->type))
    quota_write(&data->quota, w);
  else if (data->type == EVENT_REPLICATION)
    object_write(data->replication.object, w);
  else if (data->type == EVENT_TAG_RETENTION)
    object_write(data->retention.object, w);
  else
    json_put_null(w);
}
