// SPDX-License-Identifier: Apache-2.0
#include "base/json_scan.h"

#include <math.h>
#include <stdlib.h>

#include "base/utf8.h"

enum { NUMBER_BYTES = 64 }; // more digits than any double or int64 needs

struct scan {
  struct str text;
  size_t at;
  int depth, max_depth;
  size_t containers, max_containers;
  uint64_t objects; // bit n: level n is an object, else an array
  struct error *err;
};

// All return false after filling scan->err, so that callers pass it on.
static bool invalid(struct scan *s) {
  if (s->at >= s->text.len)
    (void)error_set(s->err, ERR_INVALID, "the JSON ends too early, after %zu bytes", s->text.len);
  else
    (void)error_set(s->err, ERR_INVALID, "invalid character at byte %zu of the JSON", s->at + 1);
  return false;
}

static bool refuse(struct scan *s, const char *what, size_t at) {
  (void)error_set(s->err, ERR_INVALID, "%s at byte %zu of the JSON", what, at + 1);
  return false;
}

// The byte at hand, or -1 at the end.
static int peek(const struct scan *s) {
  return s->at < s->text.len ? (unsigned char)s->text.ptr[s->at] : -1;
}

static void skip_blanks(struct scan *s) {
  int c = peek(s);

  while (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
    s->at++;
    c = peek(s);
  }
}

static bool scan_word(struct scan *s, const char *word) {
  for (; *word; word++, s->at++) {
    if (peek(s) != *word)
      return invalid(s);
  }
  return true;
}

// Four hexadecimal digits.
static bool scan_hex4(struct scan *s, uint32_t *value) {
  *value = 0;
  for (int i = 0; i < 4; i++, s->at++) {
    int c = peek(s);
    int digit;
    if (c >= '0' && c <= '9')
      digit = c - '0';
    else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
      digit = (c | 0x20) - 'a' + 10;
    else
      return invalid(s);
    *value = *value << 4 | (uint32_t)digit;
  }
  return true;
}

// After "\u": one code point, or two halves of one.
static bool scan_unicode_escape(struct scan *s) {
  size_t start = s->at - 2;
  uint32_t unit, low;

  if (!scan_hex4(s, &unit))
    return false;
  if (unit == 0)
    return refuse(s, "U+0000 in a string", start);
  if (unit < 0xD800 || unit > 0xDFFF)
    return true;
  if (unit > 0xDBFF || peek(s) != '\\')
    return refuse(s, "half a surrogate pair in a string", start);
  s->at++;
  if (peek(s) != 'u')
    return refuse(s, "half a surrogate pair in a string", start);
  s->at++;
  if (!scan_hex4(s, &low))
    return false;
  if (low < 0xDC00 || low > 0xDFFF)
    return refuse(s, "half a surrogate pair in a string", start);
  return true;
}

static bool scan_escape(struct scan *s) {
  s->at++;
  int c = peek(s);
  if (c == 'u') {
    s->at++;
    return scan_unicode_escape(s);
  }
  if (c <= 0 || !strchr("\"\\/bfnrt", c))
    return invalid(s);
  s->at++;
  return true;
}

// Past the bytes of a string that need no look: all but the quote, the backslash and control bytes.
static void skip_plain(struct scan *s) {
  static const bool SPECIAL[256] = {[0x00 ... 0x1F] = true, ['"'] = true, ['\\'] = true};
  const char *ptr = s->text.ptr;
  size_t at = s->at, len = s->text.len;

  while (at < len && !SPECIAL[(unsigned char)ptr[at]])
    at++;
  s->at = at;
}

static bool scan_string(struct scan *s) {
  if (peek(s) != '"')
    return invalid(s);
  s->at++;
  for (;;) {
    skip_plain(s);
    int c = peek(s);
    if (c == '"') {
      s->at++;
      return true;
    }
    if (c == 0)
      return refuse(s, "U+0000 in a string", s->at);
    if (c < 0x20) // also the end
      return invalid(s);
    if (!scan_escape(s))
      return false;
  }
}

static bool scan_digits(struct scan *s) {
  if (peek(s) < '0' || peek(s) > '9')
    return invalid(s);
  while (peek(s) >= '0' && peek(s) <= '9')
    s->at++;
  return true;
}

// What the double of this text is, is json-c's business; that it is one is ours.
static bool double_fits(struct str number) {
  char text[NUMBER_BYTES + 1];

  memcpy(text, number.ptr, number.len);
  text[number.len] = '\0';
  return isfinite(strtod(text, NULL));
}

static bool scan_number(struct scan *s) {
  size_t start = s->at;
  bool integer = true;
  int64_t ignored;

  if (peek(s) == '-')
    s->at++;
  if (peek(s) == '0')
    s->at++; // no digit may follow
  else if (!scan_digits(s))
    return false;
  if (peek(s) == '.') {
    integer = false;
    s->at++;
    if (!scan_digits(s))
      return false;
  }
  if (peek(s) == 'e' || peek(s) == 'E') {
    integer = false;
    s->at++;
    if (peek(s) == '+' || peek(s) == '-')
      s->at++;
    if (!scan_digits(s))
      return false;
  }
  struct str number = str_slice(s->text, start, s->at);
  if (number.len > NUMBER_BYTES)
    return refuse(s, "number longer than 64 characters", start);
  if (integer ? !str_to_i64(number, &ignored) : !double_fits(number))
    return refuse(s, integer ? "integer outside of 64 bits" : "number too large", start);
  return true;
}

static bool scan_scalar(struct scan *s) {
  switch (peek(s)) {
  case '"':
    return scan_string(s);
  case 't':
    return scan_word(s, "true");
  case 'f':
    return scan_word(s, "false");
  case 'n':
    return scan_word(s, "null");
  default:
    return scan_number(s);
  }
}

static bool in_object(const struct scan *s) {
  return s->depth > 0 && (s->objects >> (s->depth - 1) & 1);
}

static bool scan_key(struct scan *s) {
  skip_blanks(s);
  if (!scan_string(s))
    return false;
  skip_blanks(s);
  if (peek(s) != ':')
    return invalid(s);
  s->at++;
  return true;
}

static bool open_level(struct scan *s, bool object) {
  if (s->depth >= s->max_depth) {
    (void)error_set(s->err, ERR_INVALID, "the JSON is nested deeper than %d levels", s->max_depth);
    return false;
  }
  if (s->containers++ >= s->max_containers) {
    (void)error_set(s->err, ERR_INVALID, "the JSON has more than %zu arrays and objects", s->max_containers);
    return false;
  }
  uint64_t bit = UINT64_C(1) << s->depth;
  s->objects = object ? s->objects | bit : s->objects & ~bit;
  s->depth++;
  s->at++;
  return true;
}

// From the start of a value to where it ends or its first inner value starts; *opened tells which.
static bool scan_value_start(struct scan *s, bool *opened) {
  skip_blanks(s);
  int c = peek(s);
  *opened = false;
  if (c != '{' && c != '[')
    return scan_scalar(s);
  if (!open_level(s, c == '{'))
    return false;
  skip_blanks(s);
  if (peek(s) == (c == '{' ? '}' : ']')) {
    s->depth--;
    s->at++;
    return true;
  }
  *opened = true;
  return c == '[' || scan_key(s);
}

// After a value: close levels until a comma asks for the next value (*more) or the document is over.
static bool scan_value_end(struct scan *s, bool *more) {
  *more = false;
  for (;;) {
    skip_blanks(s);
    int c = peek(s);
    if (s->depth == 0)
      return c == -1 || refuse(s, "something after the value", s->at);
    if (c == ',') {
      s->at++;
      *more = true;
      return !in_object(s) || scan_key(s);
    }
    if (c != (in_object(s) ? '}' : ']'))
      return invalid(s);
    s->depth--;
    s->at++;
  }
}

int json_scan(struct str text, int max_depth, struct error *err) {
  return json_scan_for_tree(text, max_depth, SIZE_MAX, err);
}

int json_scan_for_tree(struct str text, int max_depth, size_t max_containers, struct error *err) {
  struct scan s = {.text = text, .max_depth = max_depth, .max_containers = max_containers, .err = err};
  bool more = true;

  if (s.max_depth > JSON_SCAN_MAX_DEPTH)
    s.max_depth = JSON_SCAN_MAX_DEPTH;
  if (!utf8_valid(text))
    return error_set(err, ERR_INVALID, "the JSON is not valid UTF-8");
  while (more) {
    if (!scan_value_start(&s, &more))
      return ERR_INVALID;
    if (!more && !scan_value_end(&s, &more))
      return ERR_INVALID;
  }
  return 0;
}
