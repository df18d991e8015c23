// SPDX-License-Identifier: Apache-2.0
// The shape of a JSON object that Harbor sends: its members in Harbor's order, what each may be, and when Harbor leaves
// one out. One walk checks a value against its shape and writes it in that order, whatever the order it came in; so a
// producer may be careless and receivers still get Harbor's bytes. Shapes are constant tables; pure functions.
#ifndef HARBINGER_EVENT_SHAPE_H
#define HARBINGER_EVENT_SHAPE_H

#include "base/json_writer.h"
#include "event/field.h"

enum shape_kind {
  SHAPE_TEXT,  // string, up to EVENT_MAX_TEXT_BYTES
  SHAPE_NAME,  // string of at most EVENT_MAX_NAME_BYTES without control characters
  SHAPE_TIME,  // string, RFC 3339, kept as it stands
  SHAPE_COUNT, // integer, 0 or more
  SHAPE_BOOL,
  SHAPE_OBJECT,  // of `shape`
  SHAPE_OBJECTS, // array of `shape`
  SHAPE_STRINGS, // array of strings, or null
  SHAPE_MAP,     // object of the sender's keys, sorted; each value an object of `shape`
  SHAPE_LISTS,   // object of the sender's keys, sorted; each value an array of `shape`
  SHAPE_COUNTS,  // object of the sender's keys, sorted; each value an integer, 0 or more
  SHAPE_SCALARS, // object of the sender's keys, sorted; each value a string, number, boolean or null
};

enum shape_rule {
  SHAPE_REQUIRED,   // refused when it is absent or null
  SHAPE_ALWAYS,     // written with its zero value when absent: "", 0, false, the zero time, null for the others
  SHAPE_AS_GIVEN,   // written when it is there, also when zero: a map of Harbor's
  SHAPE_OMIT_EMPTY, // left out when absent or zero, as Go's omitempty does
};

struct shape_field {
  const char *name;
  enum shape_kind kind;
  enum shape_rule rule;
  const struct shape *shape; // of OBJECT, OBJECTS, MAP, LISTS
};

enum { SHAPE_MAX_FIELDS = 20, SHAPE_MAX_KEYS = 256 };

struct shape {
  const struct shape_field *fields;
  size_t len; // at most SHAPE_MAX_FIELDS
};

#define SHAPE_OF(array) ((struct shape){(array), ARRAY_LEN(array)})

// Check `value`, found at `at`, and write it. ERR_INVALID with the place. Shapes do not contain themselves, so the
// depth is that of the tables.
int shape_write(const struct field_reader *r, const struct shape *shape, const struct json_object *value,
                const struct field_path *at, struct json_writer *w) MUST_CHECK;
// The same for one field by itself: a map, an array.
int shape_write_field(const struct field_reader *r, const struct shape_field *field, const struct json_object *value,
                      const struct field_path *at, struct json_writer *w) MUST_CHECK;

#endif
