// SPDX-License-Identifier: Apache-2.0
#include "event/field.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/rfc3339.h"
#include "base/utf8.h"

enum { PATH_MAX_DEPTH = 16, PATH_NAME_BYTES = 80 };

struct field_path field_member(const struct field_path *up, const char *name) {
  return (struct field_path){.up = up, .name = str_of(name)};
}

struct field_path field_element(const struct field_path *up, size_t index) {
  return (struct field_path){.up = up, .name = {NULL, 0}, .index = index};
}

// "data.scan_overview.X.summary" or "artifacts[0].tags[3]"; a key of the sender's is cut.
static void path_write(const struct field_path *at, struct buf *out) {
  const struct field_path *steps[PATH_MAX_DEPTH];
  size_t len = 0;

  for (; at && len < PATH_MAX_DEPTH; at = at->up)
    steps[len++] = at;
  while (len > 0) {
    const struct field_path *step = steps[--len];
    if (!step->name.ptr) {
      buf_printf(out, "[%zu]", step->index);
      continue;
    }
    if (out->len > 0)
      buf_put_char(out, '.');
    buf_put(out, utf8_cut(step->name, PATH_NAME_BYTES));
  }
}

int field_refuse(const struct field_reader *r, const struct field_path *at, const char *fmt, ...) {
  char words[ERROR_TEXT_BYTES];
  struct buf path;
  va_list args;

  va_start(args, fmt);
  (void)vsnprintf(words, sizeof(words), fmt, args);
  va_end(args);
  buf_init(&path, FIELD_PATH_BYTES);
  path_write(at, &path);
  int result = path.len > 0 ? error_set(r->err, ERR_INVALID, "%.*s: %s", STR_ARG(buf_str(&path)), words)
                            : error_set(r->err, ERR_INVALID, "%s", words);
  buf_free(&path);
  return result;
}

int field_no_memory(const struct field_reader *r) {
  return error_set(r->err, ERR_NO_MEMORY, "no memory to read the event");
}

static int refuse_kind(const struct field_reader *r, const struct field_path *at, enum json_kind is,
                       const char *expected) {
  return field_refuse(r, at, "must be %s, not %s", expected, json_kind_name(is));
}

int field_only(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
               const char *const *names) {
  struct json_object *value;
  size_t cursor = 0;
  struct str key;

  if (json_kind(object) != JSON_OBJECT)
    return at ? refuse_kind(r, at, json_kind(object), "an object")
              : field_refuse(r, at, "the body must be a JSON object, not %s", json_kind_name(json_kind(object)));
  while (json_next_member(object, &cursor, &key, &value)) {
    size_t i = 0;
    while (names[i] && !str_eq_c(key, names[i]))
      i++;
    if (names[i])
      continue;
    struct field_path place = {.up = at, .name = key};
    return field_refuse(r, &place, "is not a member that is known here");
  }
  return 0;
}

// The member when it is there and not null; its kind is checked. *value is NULL when it is absent.
static int member(const struct field_reader *r, const struct json_object *object, const struct field_path *place,
                  enum json_kind wanted, const char *expected, struct json_object **value) {
  enum json_kind kind;

  *value = json_member(object, place->name.ptr, &kind);
  if (kind == wanted)
    return 0;
  *value = NULL;
  return kind == JSON_ABSENT || kind == JSON_NULL ? 0 : refuse_kind(r, place, kind, expected);
}

int field_str(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
              const char *name, size_t max_bytes, struct str *out) {
  struct field_path place = field_member(at, name);
  struct json_object *value;

  *out = STR_EMPTY;
  int result = member(r, object, &place, JSON_STRING, "a string", &value);
  if (result != 0 || !value)
    return result;
  struct str text = json_str(value);
  if (text.len > max_bytes)
    return field_refuse(r, &place, "is longer than %zu bytes", max_bytes);
  *out = arena_str(r->arena, text);
  return out->ptr ? 0 : field_no_memory(r);
}

bool field_has_control(struct str text) {
  while (text.len > 0) {
    uint32_t code_point;
    size_t len = utf8_next(text, &code_point);
    if (len == 0) // malformed: the caller's other checks see it
      return true;
    if (code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F))
      return true;
    text = str_from(text, len);
  }
  return false;
}

int field_name(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
               const char *name, size_t max_bytes, struct str *out) {
  struct field_path place = field_member(at, name);
  int result = field_str(r, object, at, name, max_bytes, out);

  if (result == 0 && field_has_control(*out))
    result = field_refuse(r, &place, "must not hold control characters");
  return result;
}

int field_i64(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
              const char *name, int64_t min, int64_t absent, int64_t *out) {
  struct field_path place = field_member(at, name);
  struct json_object *value;

  *out = absent;
  int result = member(r, object, &place, JSON_INT, "an integer", &value);
  if (result != 0 || !value)
    return result;
  (void)json_get_i64(object, name, out);
  if (*out < min)
    return field_refuse(r, &place, "must be %" PRId64 " or more, not %" PRId64, min, *out);
  return 0;
}

int field_bool(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
               const char *name, bool *out) {
  struct field_path place = field_member(at, name);
  struct json_object *value;

  *out = false;
  int result = member(r, object, &place, JSON_BOOL, "true or false", &value);
  if (result == 0 && value)
    (void)json_get_bool(object, name, out);
  return result;
}

int field_time_us(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
                  const char *name, int64_t *out) {
  struct field_path place = field_member(at, name);
  struct json_object *value;

  *out = 0;
  int result = member(r, object, &place, JSON_STRING, "a string", &value);
  if (result != 0 || !value)
    return result;
  if (!rfc3339_read(json_str(value), out))
    return field_refuse(r, &place, "must be a time as RFC 3339 writes it, such as 2026-08-21T08:13:20.123456Z");
  return 0;
}

int field_array(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
                const char *name, size_t max_len, struct json_object **out) {
  struct field_path place = field_member(at, name);
  int result = member(r, object, &place, JSON_ARRAY, "an array", out);

  if (result == 0 && *out && json_array_len(*out) > max_len)
    result = field_refuse(r, &place, "has more than %zu elements", max_len);
  return result;
}

int field_object(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
                 const char *name, struct json_object **out) {
  struct field_path place = field_member(at, name);

  return member(r, object, &place, JSON_OBJECT, "an object", out);
}
