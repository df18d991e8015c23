// SPDX-License-Identifier: Apache-2.0
// Reading JSON strictly, member by member, with words that name the place: "artifacts[0].digest: ...". Used by
// everything that reads an event. A reader borrows its arena and error; strings read are copies in the arena. One
// thread.
#ifndef HARBINGER_EVENT_FIELD_H
#define HARBINGER_EVENT_FIELD_H

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

enum { FIELD_PATH_BYTES = 256 };

// A place in a document: linked on the stack from the inside out, written only when something is refused.
struct field_path {
  const struct field_path *up; // NULL at the top
  struct str name;             // of a member; ptr NULL for an element of an array
  size_t index;
};

struct field_reader {
  struct arena *arena;
  struct error *err;
};

struct field_path field_member(const struct field_path *up, const char *name);
struct field_path field_element(const struct field_path *up, size_t index);

// ERR_INVALID with "PATH: words".
int field_refuse(const struct field_reader *r, const struct field_path *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
int field_no_memory(const struct field_reader *r);

// Refuse members of `object` that are not in `names` (NULL-terminated), and a value that is no object. `at` NULL: the
// body.
int field_only(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
               const char *const *names) MUST_CHECK;

// The readers below take member `name` of `object`, whose place is `at`. Absent and null give the default and 0;
// another type, a number outside the bounds or a longer text is refused.
int field_str(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
              const char *name, size_t max_bytes, struct str *out) MUST_CHECK;
// As field_str, and control characters are refused: for names, which end up in headers, logs and chat messages.
int field_name(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
               const char *name, size_t max_bytes, struct str *out) MUST_CHECK;
int field_i64(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
              const char *name, int64_t min, int64_t absent, int64_t *out) MUST_CHECK;
int field_bool(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
               const char *name, bool *out) MUST_CHECK;
// RFC 3339 to microseconds; 0 when absent.
int field_time_us(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
                  const char *name, int64_t *out) MUST_CHECK;
// NULL when absent; the array is a view into the document.
int field_array(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
                const char *name, size_t max_len, struct json_object **out) MUST_CHECK;
int field_object(const struct field_reader *r, const struct json_object *object, const struct field_path *at,
                 const char *name, struct json_object **out) MUST_CHECK;

bool field_has_control(struct str text); // U+0000 to U+001F, U+007F to U+009F

#endif
