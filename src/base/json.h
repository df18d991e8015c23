// SPDX-License-Identifier: Apache-2.0
// JSON in, by json-c behind a strict edge: valid UTF-8, a depth limit, no duplicate keys that matter, nothing after
// the value, integers exact to 64 bits. A document is owned by an arena (it is put when the arena is freed).
// Accessors never fail on a wrong type: they answer "absent", so that callers check fields one by one.
#ifndef HARBINGER_BASE_JSON_H
#define HARBINGER_BASE_JSON_H

#include "base/arena.h"
#include "base/error.h"

struct json_object; // json-c's

// A tree takes up to a kilobyte for each array or object, whatever the text's length: these bound what a stranger's
// body costs. No event or request of ours comes near them (an event of 1 MiB with nothing but children has 12,000).
enum { JSON_MAX_DEPTH = 32, JSON_MAX_CONTAINERS = 32768 };
enum json_kind { JSON_ABSENT, JSON_NULL, JSON_BOOL, JSON_INT, JSON_DOUBLE, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

// Parse the whole of `text`. ERR_INVALID with words ("invalid character at byte 12", "nested deeper than 32 levels",
// "not valid UTF-8", "U+0000 in a string", "more than 32768 arrays and objects"). The result lives as long as the arena.
int json_parse(struct str text, struct arena *arena, struct json_object **out, struct error *err) MUST_CHECK;

enum json_kind json_kind(const struct json_object *value); // NULL pointer is JSON_ABSENT only through json_member
const char *json_kind_name(enum json_kind kind);           // "string", "integer" ...
// Member of an object; JSON null and absent are told apart by the kind.
struct json_object *json_member(const struct json_object *object, const char *key, enum json_kind *kind);
bool json_get_str(const struct json_object *object, const char *key, struct str *out); // view into the document
bool json_get_i64(const struct json_object *object, const char *key, int64_t *out);
bool json_get_bool(const struct json_object *object, const char *key, bool *out);
struct json_object *json_get_object(const struct json_object *object, const char *key); // or NULL
struct json_object *json_get_array(const struct json_object *object, const char *key);  // or NULL
size_t json_array_len(const struct json_object *array);
struct json_object *json_array_at(const struct json_object *array, size_t i);
struct str json_str(const struct json_object *string); // of a JSON_STRING value; else the empty string
// Walk the members of an object in document order: start with *cursor = 0.
bool json_next_member(const struct json_object *object, size_t *cursor, struct str *key, struct json_object **value);

#endif
