// SPDX-License-Identifier: Apache-2.0
#include "base/json_walk.h"

enum { HEX_DIGITS = 4, UTF8_MAX_BYTES = 4 };

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct str skip_blanks(struct str text) {
  size_t i = 0;

  while (i < text.len && is_blank(text.ptr[i]))
    i++;
  return str_from(text, i);
}

// The end of the string whose quote is at `at`: behind its second quote, or the end of the text.
static size_t string_end(struct str text, size_t at) {
  size_t i = at + 1;

  while (i < text.len) {
    const char *quote = memchr(text.ptr + i, '"', text.len - i);
    if (!quote)
      break;
    size_t end = (size_t)(quote - text.ptr);
    const char *escape = memchr(text.ptr + i, '\\', end - i);
    if (!escape)
      return end + 1;
    i = (size_t)(escape - text.ptr) + 2;
  }
  return text.len;
}

// The length of the array or object at the front: the scan has matched the brackets, so that counting is enough.
static size_t container_len(struct str text) {
  static const bool STRUCTURAL[256] = {['"'] = true, ['{'] = true, ['['] = true, ['}'] = true, [']'] = true};
  size_t depth = 0, i = 0;

  while (i < text.len) {
    char c = text.ptr[i];
    if (!STRUCTURAL[(unsigned char)c]) {
      i++;
      continue;
    }
    if (c == '"') {
      i = string_end(text, i);
      continue;
    }
    i++;
    if (c == '{' || c == '[')
      depth++;
    else if ((c == '}' || c == ']') && --depth == 0)
      break;
  }
  return i;
}

static size_t scalar_len(struct str text) {
  size_t i = 0;

  while (i < text.len && !is_blank(text.ptr[i]) && text.ptr[i] != ',' && text.ptr[i] != '}' && text.ptr[i] != ']')
    i++;
  return i;
}

static struct str take_value(struct str *rest) {
  char first = rest->len ? rest->ptr[0] : '\0';
  size_t len = first == '"'                   ? string_end(*rest, 0)
               : first == '{' || first == '[' ? container_len(*rest)
                                              : scalar_len(*rest);
  struct str value = str_slice(*rest, 0, len);

  *rest = skip_blanks(str_from(*rest, len));
  return value;
}

static bool is_integer(struct str value) {
  for (size_t i = value.ptr[0] == '-' ? 1 : 0; i < value.len; i++) {
    if (value.ptr[i] < '0' || value.ptr[i] > '9')
      return false;
  }
  return true;
}

enum json_kind json_walk_kind(struct str value) {
  value = skip_blanks(value);
  if (value.len == 0)
    return JSON_ABSENT;
  switch (value.ptr[0]) {
  case '{':
    return JSON_OBJECT;
  case '[':
    return JSON_ARRAY;
  case '"':
    return JSON_STRING;
  case 't':
  case 'f':
    return JSON_BOOL;
  case 'n':
    return JSON_NULL;
  default:
    return is_integer(value) ? JSON_INT : JSON_DOUBLE;
  }
}

struct json_walk json_walk_open(struct str value) {
  enum json_kind kind = json_walk_kind(value);

  if (kind != JSON_OBJECT && kind != JSON_ARRAY)
    return (struct json_walk){STR_EMPTY};
  return (struct json_walk){skip_blanks(str_from(skip_blanks(value), 1))};
}

bool json_walk_next(struct json_walk *walk, struct str *key, struct str *value) {
  struct str rest = walk->rest;

  if (rest.len && rest.ptr[0] == ',')
    rest = skip_blanks(str_from(rest, 1));
  if (rest.len == 0 || rest.ptr[0] == '}' || rest.ptr[0] == ']') {
    walk->rest = STR_EMPTY;
    return false;
  }
  *key = STR_EMPTY;
  *value = take_value(&rest);
  if (rest.len && rest.ptr[0] == ':') { // that was the key
    *key = str_slice(*value, 1, value->len - 1);
    rest = skip_blanks(str_from(rest, 1));
    *value = take_value(&rest);
  }
  walk->rest = rest;
  return true;
}

static uint32_t hex_value(const char *digits) {
  uint32_t value = 0;

  for (int i = 0; i < HEX_DIGITS; i++) {
    char c = digits[i];
    value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

static size_t put_code_point(uint32_t c, char out[static UTF8_MAX_BYTES]) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    out[0] = (char)(0xc0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3f));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3f));
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3;
  }
  out[0] = (char)(0xf0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 0x3f));
  out[2] = (char)(0x80 | (c >> 6 & 0x3f));
  out[3] = (char)(0x80 | (c & 0x3f));
  return 4;
}

// One escape at the front of `text`, which begins behind the backslash. Returns the bytes read.
static size_t take_escape(struct str text, char out[static UTF8_MAX_BYTES], size_t *out_len) {
  static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";

  if (text.ptr[0] != 'u') {
    const char *place = strchr(from, text.ptr[0]);
    out[0] = place ? to[place - from] : text.ptr[0];
    *out_len = 1;
    return 1;
  }
  uint32_t c = hex_value(text.ptr + 1);
  size_t read = 1 + HEX_DIGITS;
  if (c >= 0xd800 && c < 0xdc00) { // the scan has seen to it that the other half follows
    c = 0x10000 + ((c - 0xd800) << 10) + (hex_value(text.ptr + read + 2) - 0xdc00);
    read += 2 + HEX_DIGITS;
  }
  *out_len = put_code_point(c, out);
  return read;
}

bool json_walk_str(struct str value, struct arena *arena, struct str *out) {
  if (json_walk_kind(value) != JSON_STRING)
    return false;
  struct str raw = str_slice(value, 1, value.len - 1);
  if (str_find(raw, '\\') < 0) {
    *out = raw;
    return true;
  }
  // No escape is shorter than what it stands for.
  char *text = arena_alloc(arena, raw.len);
  size_t len = 0;
  if (!text)
    return false;
  for (size_t i = 0; i < raw.len;) {
    if (raw.ptr[i] != '\\') {
      text[len++] = raw.ptr[i++];
      continue;
    }
    char bytes[UTF8_MAX_BYTES];
    size_t bytes_len;
    i += 1 + take_escape(str_from(raw, i + 1), bytes, &bytes_len);
    memcpy(text + len, bytes, bytes_len);
    len += bytes_len;
  }
  *out = (struct str){text, len};
  return true;
}

bool json_walk_i64(struct str value, int64_t *out) {
  return json_walk_kind(value) == JSON_INT && str_to_i64(value, out);
}
