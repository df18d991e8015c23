// SPDX-License-Identifier: Apache-2.0
#include "base/json_writer.h"

#include <json-c/json.h>

#include "base/json.h"
#include "base/utf8.h"

struct json_writer json_writer_make(struct buf *buf, bool html_escape) {
  return (struct json_writer){.buf = buf, .html_escape = html_escape};
}

// Before each value or key: the comma that the one before it asked for.
static void separate(struct json_writer *w) {
  if (w->need_comma)
    buf_put_char(w->buf, ',');
  w->need_comma = true;
}

static void begin(struct json_writer *w, char bracket) {
  separate(w);
  buf_put_char(w->buf, bracket);
  w->need_comma = false;
}

static void end(struct json_writer *w, char bracket) {
  buf_put_char(w->buf, bracket);
  w->need_comma = true;
}

void json_object_begin(struct json_writer *w) {
  begin(w, '{');
}

void json_object_end(struct json_writer *w) {
  end(w, '}');
}

void json_array_begin(struct json_writer *w) {
  begin(w, '[');
}

void json_array_end(struct json_writer *w) {
  end(w, ']');
}

// Bytes that are not written as they are: always, and where HTML is minded.
enum { ESCAPED = 1, ESCAPED_IN_HTML = 2 };
static const uint8_t SPECIAL[256] = {
    [0x00 ... 0x1F] = ESCAPED, ['"'] = ESCAPED,         ['\\'] = ESCAPED,        [0x80 ... 0xFF] = ESCAPED,
    ['<'] = ESCAPED_IN_HTML,   ['>'] = ESCAPED_IN_HTML, ['&'] = ESCAPED_IN_HTML,
};

// How many bytes at the front of `s` are written as they are.
static size_t plain_run(struct str s, bool html_escape) {
  uint8_t special = html_escape ? ESCAPED | ESCAPED_IN_HTML : ESCAPED;
  size_t i = 0;

  while (i < s.len && !(SPECIAL[(unsigned char)s.ptr[i]] & special))
    i++;
  return i;
}

static void put_ascii_escape(struct buf *buf, unsigned char c) {
  static const char DIGITS[] = "0123456789abcdef";
  static const char SHORT[] = "\"\\\b\f\n\r\t", LETTERS[] = "\"\\bfnrt";
  const char *at = memchr(SHORT, c, sizeof(SHORT) - 1);
  char text[] = {'\\', 'u', '0', '0', DIGITS[c >> 4], DIGITS[c & 0x0F]};

  if (at) {
    text[1] = LETTERS[at - SHORT];
    buf_put(buf, (struct str){text, 2});
  } else {
    buf_put(buf, (struct str){text, sizeof(text)});
  }
}

// One character that is not plain; returns how many bytes it took.
static size_t put_special(struct buf *buf, struct str s) {
  unsigned char c = (unsigned char)s.ptr[0];
  uint32_t code_point;

  if (c < 0x80) {
    put_ascii_escape(buf, c);
    return 1;
  }
  size_t len = utf8_next(s, &code_point);
  if (len == 0) {
    buf_put_c(buf, "\\ufffd");
    return 1;
  }
  if (code_point == 0x2028 || code_point == 0x2029) // line ends to JavaScript
    buf_put_c(buf, code_point == 0x2028 ? "\\u2028" : "\\u2029");
  else
    buf_put(buf, str_slice(s, 0, len));
  return len;
}

// Nearly all strings need no escape: one reservation and one copy. False, and nothing is written, for any other.
static bool put_plain(struct json_writer *w, struct str s) {
  if (plain_run(s, w->html_escape) < s.len)
    return false;
  char *to = buf_reserve(w->buf, s.len + 2);
  if (!to)
    return true; // the buffer has failed
  *to++ = '"';
  if (s.len > 0)
    memcpy(to, s.ptr, s.len);
  to[s.len] = '"';
  buf_added(w->buf, s.len + 2);
  return true;
}

static void put_quoted(struct json_writer *w, struct str s) {
  if (put_plain(w, s))
    return;
  buf_put_char(w->buf, '"');
  while (s.len > 0 && !w->buf->failed) {
    size_t len = plain_run(s, w->html_escape);
    if (len > 0)
      buf_put(w->buf, (struct str){s.ptr, len});
    else
      len = put_special(w->buf, s);
    s = (struct str){s.ptr + len, s.len - len};
  }
  buf_put_char(w->buf, '"');
}

void json_key_str(struct json_writer *w, struct str key) {
  separate(w);
  put_quoted(w, key);
  buf_put_char(w->buf, ':');
  w->need_comma = false;
}

void json_key(struct json_writer *w, const char *key) {
  size_t len = strlen(key), comma = w->need_comma;
  char *to = buf_reserve(w->buf, len + 3 + comma);

  w->need_comma = false;
  if (!to)
    return;
  if (comma)
    *to++ = ',';
  *to = '"';
  memcpy(to + 1, key, len);
  memcpy(to + 1 + len, "\":", 2);
  buf_added(w->buf, len + 3 + comma);
}

void json_put_str(struct json_writer *w, struct str s) {
  separate(w);
  put_quoted(w, s);
}

void json_put_i64(struct json_writer *w, int64_t value) {
  separate(w);
  buf_put_i64(w->buf, value);
}

void json_put_bool(struct json_writer *w, bool value) {
  json_put_raw(w, value ? STR("true") : STR("false"));
}

void json_put_null(struct json_writer *w) {
  json_put_raw(w, STR("null"));
}

void json_put_raw(struct json_writer *w, struct str json) {
  separate(w);
  buf_put(w->buf, json);
}

static void put_double(struct json_writer *w, double value) {
  separate(w);
  buf_put_double(w->buf, value);
}

// Recursion is bounded: json_parse takes nothing deeper, and a value built deeper fails the buffer.
static void put_value(struct json_writer *w, const struct json_object *value, int depth_left);

static void put_members(struct json_writer *w, const struct json_object *object, int depth_left) {
  struct json_object *member;
  size_t cursor = 0;
  struct str key;

  json_object_begin(w);
  while (json_next_member(object, &cursor, &key, &member)) {
    json_key_str(w, key);
    put_value(w, member, depth_left);
  }
  json_object_end(w);
}

static void put_items(struct json_writer *w, const struct json_object *array, int depth_left) {
  size_t len = json_array_len(array);

  json_array_begin(w);
  for (size_t i = 0; i < len; i++)
    put_value(w, json_array_at(array, i), depth_left);
  json_array_end(w);
}

static void put_value(struct json_writer *w, const struct json_object *value, int depth_left) {
  switch (json_kind(value)) {
  case JSON_ABSENT:
  case JSON_NULL:
    json_put_null(w);
    return;
  case JSON_BOOL:
    json_put_bool(w, json_object_get_boolean(value));
    return;
  case JSON_INT:
    json_put_i64(w, json_object_get_int64(value));
    return;
  case JSON_DOUBLE:
    put_double(w, json_object_get_double(value));
    return;
  case JSON_STRING:
    json_put_str(w, json_str(value));
    return;
  case JSON_ARRAY:
  case JSON_OBJECT:
    break;
  }
  if (depth_left == 0)
    w->buf->failed = true;
  else if (json_kind(value) == JSON_ARRAY)
    put_items(w, value, depth_left - 1);
  else
    put_members(w, value, depth_left - 1);
}

void json_put_value(struct json_writer *w, const struct json_object *value) {
  put_value(w, value, JSON_MAX_DEPTH);
}

void json_field_str(struct json_writer *w, const char *key, struct str s) {
  json_key(w, key);
  json_put_str(w, s);
}

void json_field_str_opt(struct json_writer *w, const char *key, struct str s) {
  if (s.len)
    json_field_str(w, key, s);
}

void json_field_i64(struct json_writer *w, const char *key, int64_t value) {
  json_key(w, key);
  json_put_i64(w, value);
}

void json_field_i64_opt(struct json_writer *w, const char *key, int64_t value) {
  if (value)
    json_field_i64(w, key, value);
}

void json_field_bool(struct json_writer *w, const char *key, bool value) {
  json_key(w, key);
  json_put_bool(w, value);
}
