// SPDX-License-Identifier: Apache-2.0
// JSON out: compact, in the order written, bytes as Go's encoding/json makes them (Harbor's payloads are compared byte
// for byte). Escapes: `"` `\` \b \f \n \r \t short forms as Go >= 1.22, other controls \u00XX, U+2028/2029 always;
// `<` `>` `&` as \u003c \u003e \u0026 when `html_escape` (event bodies yes, API bodies no). Invalid UTF-8 becomes
// \ufffd. Commas are the writer's business. Writes into a capped buf; check buf.failed once at the end.
#ifndef HARBINGER_BASE_JSON_WRITER_H
#define HARBINGER_BASE_JSON_WRITER_H

#include "base/buf.h"

struct json_object;

struct json_writer {
  struct buf *buf;
  bool html_escape;
  bool need_comma;
};

struct json_writer json_writer_make(struct buf *buf, bool html_escape);
void json_object_begin(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array_begin(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_key(struct json_writer *w, const char *key); // a name of ours, in which nothing is to be escaped
void json_key_str(struct json_writer *w, struct str key);
void json_put_str(struct json_writer *w, struct str s);
void json_put_i64(struct json_writer *w, int64_t value);
void json_put_bool(struct json_writer *w, bool value);
void json_put_null(struct json_writer *w);
void json_put_raw(struct json_writer *w, struct str json); // already JSON, one value
// A parsed json-c value, keys in document order, numbers as they were (integers exact, doubles shortest form).
void json_put_value(struct json_writer *w, const struct json_object *value);
// key + value in one call; the _opt form writes nothing when the string is empty or the number is 0 (Go's omitempty).
void json_field_str(struct json_writer *w, const char *key, struct str s);
void json_field_str_opt(struct json_writer *w, const char *key, struct str s);
void json_field_i64(struct json_writer *w, const char *key, int64_t value);
void json_field_i64_opt(struct json_writer *w, const char *key, int64_t value);
void json_field_bool(struct json_writer *w, const char *key, bool value);

#endif
