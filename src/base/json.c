// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <json-c/json.h>
#include <limits.h>

#include "base/json_scan.h"

// json-c counts the scalar inside the deepest array as a level, too; the scan has refused deeper texts already.
enum { TOKENER_DEPTH = JSON_MAX_DEPTH + 2 };
enum { CURSOR_START = 0, CURSOR_END = 1 }; // below the alignment of any entry's address

// json-c's readers take a plain pointer although they change nothing that callers can see.
static struct json_object *plain(const struct json_object *value) {
  return (struct json_object *)(uintptr_t)value;
}

static void put_document(void *document) {
  (void)json_object_put(document);
}

// The library's own strict mode is off: it adds nothing to the scan, and that of 0.18 (Debian 13) takes every byte above
// 0x7f in a string for a control character and refuses it (json-c issue 875).
static struct json_object *parse_scanned(struct json_tokener *tokener, struct str text) {
  struct json_object *document = json_tokener_parse_ex(tokener, text.ptr, (int)text.len);

  // A number at the top might go on; the NUL says that it does not.
  if (!document && json_tokener_get_error(tokener) == json_tokener_continue)
    document = json_tokener_parse_ex(tokener, "", 1);
  return document;
}

int json_parse(struct str text, struct arena *arena, struct json_object **out, struct error *err) {
  *out = NULL;
  if (text.len > INT_MAX)
    return error_set(err, ERR_TOO_LARGE, "a JSON text of %zu bytes is more than can be parsed", text.len);
  int result = json_scan_for_tree(text, JSON_MAX_DEPTH, JSON_MAX_CONTAINERS, err);
  if (result != 0)
    return result;

  struct json_tokener *tokener = json_tokener_new_ex(TOKENER_DEPTH);
  if (!tokener)
    return error_set(err, ERR_NO_MEMORY, "no memory to parse %zu bytes of JSON", text.len);
  struct json_object *document = parse_scanned(tokener, text);
  enum json_tokener_error outcome = json_tokener_get_error(tokener);
  json_tokener_free(tokener);
  if (outcome != json_tokener_success) {
    put_document(document);
    return error_set(err, ERR_INVALID, "the JSON cannot be parsed: %s", json_tokener_error_desc(outcome));
  }
  if (arena_on_free(arena, put_document, document) != 0)
    return error_set(err, ERR_NO_MEMORY, "no memory to keep %zu bytes of JSON", text.len);
  *out = document;
  return 0;
}

enum json_kind json_kind(const struct json_object *value) {
  switch (json_object_get_type(value)) {
  case json_type_boolean:
    return JSON_BOOL;
  case json_type_int:
    return JSON_INT;
  case json_type_double:
    return JSON_DOUBLE;
  case json_type_string:
    return JSON_STRING;
  case json_type_array:
    return JSON_ARRAY;
  case json_type_object:
    return JSON_OBJECT;
  case json_type_null:
    break;
  }
  return JSON_NULL;
}

const char *json_kind_name(enum json_kind kind) {
  static const char *const NAMES[] = {
      [JSON_ABSENT] = "absent",  [JSON_NULL] = "null",     [JSON_BOOL] = "boolean", [JSON_INT] = "integer",
      [JSON_DOUBLE] = "decimal", [JSON_STRING] = "string", [JSON_ARRAY] = "array",  [JSON_OBJECT] = "object"};

  return (size_t)kind < ARRAY_LEN(NAMES) ? NAMES[kind] : "absent";
}

struct json_object *json_member(const struct json_object *object, const char *key, enum json_kind *kind) {
  struct json_object *value = NULL;
  bool found = json_kind(object) == JSON_OBJECT && json_object_object_get_ex(object, key, &value);

  if (kind)
    *kind = found ? json_kind(value) : JSON_ABSENT;
  return value;
}

// The member if it is of this kind, else NULL.
static struct json_object *member_of_kind(const struct json_object *object, const char *key, enum json_kind wanted) {
  enum json_kind kind;
  struct json_object *value = json_member(object, key, &kind);

  return kind == wanted ? value : NULL;
}

bool json_get_str(const struct json_object *object, const char *key, struct str *out) {
  struct json_object *value = member_of_kind(object, key, JSON_STRING);

  if (value)
    *out = json_str(value);
  return value != NULL;
}

bool json_get_i64(const struct json_object *object, const char *key, int64_t *out) {
  struct json_object *value = member_of_kind(object, key, JSON_INT);

  if (value)
    *out = json_object_get_int64(value);
  return value != NULL;
}

bool json_get_bool(const struct json_object *object, const char *key, bool *out) {
  struct json_object *value = member_of_kind(object, key, JSON_BOOL);

  if (value)
    *out = json_object_get_boolean(value);
  return value != NULL;
}

struct json_object *json_get_object(const struct json_object *object, const char *key) {
  return member_of_kind(object, key, JSON_OBJECT);
}

struct json_object *json_get_array(const struct json_object *object, const char *key) {
  return member_of_kind(object, key, JSON_ARRAY);
}

size_t json_array_len(const struct json_object *array) {
  return json_kind(array) == JSON_ARRAY ? json_object_array_length(array) : 0;
}

struct json_object *json_array_at(const struct json_object *array, size_t i) {
  return i < json_array_len(array) ? json_object_array_get_idx(array, i) : NULL;
}

struct str json_str(const struct json_object *string) {
  if (json_kind(string) != JSON_STRING)
    return STR_EMPTY;
  return (struct str){json_object_get_string(plain(string)), (size_t)json_object_get_string_len(string)};
}

bool json_next_member(const struct json_object *object, size_t *cursor, struct str *key, struct json_object **value) {
  if (*cursor == CURSOR_END || json_kind(object) != JSON_OBJECT)
    return false;

  // The cursor is the address of the entry to come.
  struct lh_entry *entry =
      *cursor == CURSOR_START ? lh_table_head(json_object_get_object(object)) : (struct lh_entry *)(uintptr_t)*cursor;
  if (!entry) {
    *cursor = CURSOR_END;
    return false;
  }
  struct lh_entry *following = lh_entry_next(entry);
  *cursor = following ? (size_t)(uintptr_t)following : CURSOR_END;
  *key = str_of(lh_entry_k(entry));
  *value = lh_entry_v(entry);
  return true;
}
