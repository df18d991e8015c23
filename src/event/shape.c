// SPDX-License-Identifier: Apache-2.0
#include "event/shape.h"

#include <stdlib.h>

#include "base/rfc3339.h"
#include "event/event.h"

static int check_kind(const struct field_reader *r, const struct field_path *at, const struct json_object *value,
                      enum json_kind wanted, const char *expected) {
  enum json_kind kind = json_kind(value);

  return kind == wanted ? 0 : field_refuse(r, at, "must be %s, not %s", expected, json_kind_name(kind));
}

static int write_string(const struct field_reader *r, enum shape_kind shape_kind, const struct json_object *value,
                        const struct field_path *at, struct json_writer *w) {
  size_t max_bytes = shape_kind == SHAPE_TEXT ? EVENT_MAX_TEXT_BYTES : EVENT_MAX_NAME_BYTES;
  int64_t time_us;
  int result = check_kind(r, at, value, JSON_STRING, "a string");

  if (result != 0)
    return result;
  struct str text = json_str(value);
  if (text.len > max_bytes)
    return field_refuse(r, at, "is longer than %zu bytes", max_bytes);
  if (shape_kind == SHAPE_NAME && field_has_control(text))
    return field_refuse(r, at, "must not hold control characters");
  if (shape_kind == SHAPE_TIME && !rfc3339_read(text, &time_us))
    return field_refuse(r, at, "must be a time as RFC 3339 writes it, such as 2026-08-21T08:13:20Z");
  json_put_str(w, text);
  return 0;
}

static int write_count(const struct field_reader *r, const struct json_object *object, struct str key,
                       const struct json_object *value, const struct field_path *at, struct json_writer *w) {
  int64_t count = 0;
  int result = check_kind(r, at, value, JSON_INT, "an integer");

  if (result != 0)
    return result;
  if (!json_get_i64(object, key.ptr, &count) || count < 0)
    return field_refuse(r, at, "must be 0 or more");
  json_put_i64(w, count);
  return 0;
}

static int write_scalar(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                        struct json_writer *w) {
  enum json_kind kind = json_kind(value);

  if (kind == JSON_ARRAY || kind == JSON_OBJECT)
    return field_refuse(r, at, "must be a string, a number, true, false or null, not %s", json_kind_name(kind));
  if (kind == JSON_STRING)
    return write_string(r, SHAPE_TEXT, value, at, w);
  json_put_value(w, value);
  return 0;
}

static int check_array(const struct field_reader *r, const struct json_object *value, const struct field_path *at) {
  int result = check_kind(r, at, value, JSON_ARRAY, "an array");

  if (result == 0 && json_array_len(value) > EVENT_MAX_LIST)
    result = field_refuse(r, at, "has more than %d elements", EVENT_MAX_LIST);
  return result;
}

static int write_objects(const struct field_reader *r, const struct shape *shape, const struct json_object *value,
                         const struct field_path *at, struct json_writer *w) {
  int result = check_array(r, value, at);

  if (result != 0)
    return result;
  json_array_begin(w);
  for (size_t i = 0; i < json_array_len(value) && result == 0; i++) {
    struct field_path place = field_element(at, i);
    result = shape_write(r, shape, json_array_at(value, i), &place, w);
  }
  json_array_end(w);
  return result;
}

static int write_strings(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                         struct json_writer *w) {
  int result = check_array(r, value, at);

  if (result != 0)
    return result;
  json_array_begin(w);
  for (size_t i = 0; i < json_array_len(value) && result == 0; i++) {
    struct field_path place = field_element(at, i);
    result = write_string(r, SHAPE_NAME, json_array_at(value, i), &place, w);
  }
  json_array_end(w);
  return result;
}

struct entry {
  struct str key;
  struct json_object *value;
};

static int compare_entries(const void *a, const void *b) {
  return str_cmp(((const struct entry *)a)->key, ((const struct entry *)b)->key);
}

static int write_entry(const struct field_reader *r, const struct shape_field *field, const struct json_object *object,
                       const struct entry *entry, const struct field_path *at, struct json_writer *w) {
  json_key_str(w, entry->key);
  switch (field->kind) {
  case SHAPE_MAP:
    return shape_write(r, field->shape, entry->value, at, w);
  case SHAPE_LISTS:
    return write_objects(r, field->shape, entry->value, at, w);
  case SHAPE_COUNTS:
    return write_count(r, object, entry->key, entry->value, at, w);
  default:
    return write_scalar(r, entry->value, at, w);
  }
}

// Go writes maps by key.
static int write_map(const struct field_reader *r, const struct shape_field *field, const struct json_object *value,
                     const struct field_path *at, struct json_writer *w) {
  struct entry entries[SHAPE_MAX_KEYS];
  size_t len = 0, cursor = 0;
  struct entry entry;
  int result = check_kind(r, at, value, JSON_OBJECT, "an object");

  if (result != 0)
    return result;
  while (json_next_member(value, &cursor, &entry.key, &entry.value)) {
    if (len == SHAPE_MAX_KEYS)
      return field_refuse(r, at, "has more than %d members", SHAPE_MAX_KEYS);
    if (entry.key.len == 0 || entry.key.len > EVENT_MAX_NAME_BYTES)
      return field_refuse(r, at, "has a key that is empty or longer than %d bytes", EVENT_MAX_NAME_BYTES);
    entries[len++] = entry;
  }
  qsort(entries, len, sizeof(entries[0]), compare_entries);
  json_object_begin(w);
  for (size_t i = 0; i < len && result == 0; i++) {
    struct field_path place = {.up = at, .name = entries[i].key};
    result = write_entry(r, field, value, &entries[i], &place, w);
  }
  json_object_end(w);
  return result;
}

static int write_value(const struct field_reader *r, const struct shape_field *field, const struct json_object *object,
                       const struct json_object *value, const struct field_path *at, struct json_writer *w) {
  int result;

  switch (field->kind) {
  case SHAPE_TEXT:
  case SHAPE_NAME:
  case SHAPE_TIME:
    return write_string(r, field->kind, value, at, w);
  case SHAPE_COUNT:
    return write_count(r, object, str_of(field->name), value, at, w);
  case SHAPE_BOOL:
    result = check_kind(r, at, value, JSON_BOOL, "true or false");
    if (result == 0)
      json_put_value(w, value);
    return result;
  case SHAPE_OBJECT:
    return shape_write(r, field->shape, value, at, w);
  case SHAPE_OBJECTS:
    return write_objects(r, field->shape, value, at, w);
  case SHAPE_STRINGS:
    return write_strings(r, value, at, w);
  case SHAPE_MAP:
  case SHAPE_LISTS:
  case SHAPE_COUNTS:
  case SHAPE_SCALARS:
    break;
  }
  return write_map(r, field, value, at, w);
}

int shape_write_field(const struct field_reader *r, const struct shape_field *field, const struct json_object *value,
                      const struct field_path *at, struct json_writer *w) {
  return write_value(r, field, NULL, value, at, w);
}

static void write_zero(enum shape_kind kind, struct json_writer *w) {
  switch (kind) {
  case SHAPE_TEXT:
  case SHAPE_NAME:
    json_put_str(w, STR_EMPTY);
    return;
  case SHAPE_TIME:
    json_put_str(w, STR("0001-01-01T00:00:00Z"));
    return;
  case SHAPE_COUNT:
    json_put_i64(w, 0);
    return;
  case SHAPE_BOOL:
    json_put_bool(w, false);
    return;
  default:
    json_put_null(w);
    return;
  }
}

// What Go's omitempty leaves out: empty strings, maps and arrays, 0 and false. A value of another type is not empty: it
// is refused when it is written.
static bool is_empty(const struct shape_field *field, const struct json_object *object,
                     const struct json_object *value) {
  enum json_kind kind = json_kind(value);
  int64_t number = 1;
  bool flag = true;
  size_t cursor = 0;
  struct json_object *first;
  struct str key;

  switch (field->kind) {
  case SHAPE_TEXT:
  case SHAPE_NAME:
  case SHAPE_TIME:
    return kind == JSON_STRING && json_str(value).len == 0;
  case SHAPE_COUNT:
    return json_get_i64(object, field->name, &number) && number == 0;
  case SHAPE_BOOL:
    return json_get_bool(object, field->name, &flag) && !flag;
  case SHAPE_OBJECTS:
  case SHAPE_STRINGS:
    return kind == JSON_ARRAY && json_array_len(value) == 0;
  default:
    return kind == JSON_OBJECT && !json_next_member(value, &cursor, &key, &first);
  }
}

static int write_field(const struct field_reader *r, const struct shape_field *field, const struct json_object *object,
                       const struct field_path *at, struct json_writer *w) {
  struct field_path place = field_member(at, field->name);
  enum json_kind kind;
  const struct json_object *value = json_member(object, field->name, &kind);
  bool absent = kind == JSON_ABSENT || kind == JSON_NULL;

  if (absent && field->rule == SHAPE_REQUIRED)
    return field_refuse(r, &place, "is required");
  if (absent && field->rule == SHAPE_AS_GIVEN)
    return 0;
  if (field->rule == SHAPE_OMIT_EMPTY && (absent || is_empty(field, object, value)))
    return 0;
  json_key(w, field->name);
  if (absent) {
    write_zero(field->kind, w);
    return 0;
  }
  return write_value(r, field, object, value, &place, w);
}

int shape_write(const struct field_reader *r, const struct shape *shape, const struct json_object *value,
                const struct field_path *at, struct json_writer *w) {
  const char *names[SHAPE_MAX_FIELDS + 1] = {NULL};

  for (size_t i = 0; i < shape->len && i < SHAPE_MAX_FIELDS; i++)
    names[i] = shape->fields[i].name;
  int result = field_only(r, value, at, names);
  if (result != 0)
    return result;
  json_object_begin(w);
  for (size_t i = 0; i < shape->len && result == 0; i++)
    result = write_field(r, &shape->fields[i], value, at, w);
  json_object_end(w);
  return result;
}
