// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALLEST_BUF_BYTES = 128, DOUBLE_TEXT_BYTES = 40, DOUBLE_DIGITS = 17 };

void buf_init(struct buf *buf, size_t max_bytes) {
  *buf = (struct buf){.max_bytes = max_bytes};
}

void buf_free(struct buf *buf) {
  free(buf->ptr);
  buf_init(buf, buf->max_bytes);
}

void buf_clear(struct buf *buf) {
  buf->len = 0;
  buf->failed = buf->no_memory = false;
}

static bool buf_grow(struct buf *buf, size_t needed) {
  size_t cap = buf->cap < SMALLEST_BUF_BYTES ? SMALLEST_BUF_BYTES : buf->cap;

  while (cap < needed) {
    if (__builtin_mul_overflow(cap, (size_t)2, &cap))
      cap = needed;
  }
  if (cap > buf->max_bytes)
    cap = buf->max_bytes;
  char *grown = realloc(buf->ptr, cap);
  if (!grown) {
    buf->no_memory = true;
    return false;
  }
  buf->ptr = grown;
  buf->cap = cap;
  return true;
}

void buf_expect(struct buf *buf, size_t size) {
  if (size > buf->cap && size <= buf->max_bytes)
    (void)buf_grow(buf, size);
}

char *buf_reserve(struct buf *buf, size_t size) {
  size_t needed;

  // Once failed, all later appends do nothing: no output with a hole in the middle.
  if (buf->failed)
    return NULL;
  if (__builtin_add_overflow(buf->len, size ? size : 1, &needed))
    needed = SIZE_MAX;
  // An append of nothing at the very maximum is fine; there is only no room to point to if no memory was taken yet.
  if (size == 0 && buf->ptr && buf->len == buf->cap)
    return buf->ptr + buf->len;
  if (needed > buf->cap && (needed > buf->max_bytes || !buf_grow(buf, needed))) {
    buf->failed = true;
    return NULL;
  }
  return buf->ptr + buf->len;
}

void buf_added(struct buf *buf, size_t size) {
  if (size > buf->cap - buf->len) // a caller that wrote past its reservation: say so, never read beyond
    buf->failed = true;
  else
    buf->len += size;
}

void buf_put(struct buf *buf, struct str s) {
  if (s.len == 0)
    return;
  char *to = buf_reserve(buf, s.len);
  if (!to)
    return;
  memcpy(to, s.ptr, s.len);
  buf->len += s.len;
}

void buf_put_c(struct buf *buf, const char *cstr) {
  buf_put(buf, str_of(cstr));
}

void buf_put_char(struct buf *buf, char c) {
  char *to = buf_reserve(buf, 1);

  if (!to)
    return;
  *to = c;
  buf->len++;
}

struct str i64_text(int64_t value, char text[static I64_TEXT_BYTES]) {
  char *at = text + I64_TEXT_BYTES;
  uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

  do {
    *--at = (char)('0' + magnitude % 10);
    magnitude /= 10;
  } while (magnitude);
  if (value < 0)
    *--at = '-';
  return (struct str){at, (size_t)(text + I64_TEXT_BYTES - at)};
}

void buf_put_i64(struct buf *buf, int64_t value) {
  char text[I64_TEXT_BYTES];

  buf_put(buf, i64_text(value, text));
}

// The fewest digits that read back as the same number, as "d.ddde-dd" in `text`.
static void shortest_digits(double value, char text[static DOUBLE_TEXT_BYTES]) {
  for (int precision = 0; precision < DOUBLE_DIGITS; precision++) {
    (void)snprintf(text, DOUBLE_TEXT_BYTES, "%.*e", precision, value);
    if (strtod(text, NULL) == value)
      return;
  }
}

// `digits` with the decimal point after the digit of 10^exponent, zeros where there are no digits.
static void put_positional(struct buf *buf, struct str digits, long exponent) {
  long count = (long)digits.len;

  if (exponent < 0)
    buf_put_c(buf, "0.");
  for (long zeros = -1 - exponent; zeros > 0; zeros--)
    buf_put_char(buf, '0');
  for (long i = 0; i < count; i++) {
    if (i > 0 && i == exponent + 1)
      buf_put_char(buf, '.');
    buf_put_char(buf, digits.ptr[i]);
  }
  for (long zeros = exponent + 1 - count; zeros > 0; zeros--)
    buf_put_char(buf, '0');
}

void buf_put_double(struct buf *buf, double value) {
  char text[DOUBLE_TEXT_BYTES];
  char digits[DOUBLE_TEXT_BYTES];
  double size = fabs(value);
  size_t count = 0;

  if (!isfinite(value)) {
    buf_put_c(buf, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
    return;
  }
  shortest_digits(size, text);
  char *exponent_at = strchr(text, 'e');
  long exponent = strtol(exponent_at + 1, NULL, 10);
  if (signbit(value))
    buf_put_char(buf, '-');
  if (size != 0 && (size < 1e-6 || size >= 1e21)) { // ECMAScript's borders, which Go follows
    buf_printf(buf, "%.*se%+ld", (int)(exponent_at - text), text, exponent);
    return;
  }
  for (const char *at = text; at < exponent_at; at++) {
    if (*at != '.')
      digits[count++] = *at;
  }
  put_positional(buf, (struct str){digits, count}, exponent);
}

void buf_printf(struct buf *buf, const char *fmt, ...) {
  va_list args, again;

  va_start(args, fmt);
  va_copy(again, args);
  int len = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  // vsnprintf always ends with a NUL, for which the last byte before the maximum may have no room: write aside then.
  char *to = len > 0 ? buf_reserve(buf, (size_t)len) : NULL;
  if (to && buf->cap - buf->len > (size_t)len) {
    (void)vsnprintf(to, (size_t)len + 1, fmt, again);
    buf->len += (size_t)len;
  } else if (to) {
    char *aside = malloc((size_t)len + 1);
    if (aside && vsnprintf(aside, (size_t)len + 1, fmt, again) == len)
      buf_put(buf, (struct str){aside, (size_t)len});
    else
      buf->failed = true;
    free(aside);
  } else if (len < 0) {
    buf->failed = true;
  }
  va_end(again);
}

void buf_consume(struct buf *buf, size_t size) {
  if (size >= buf->len) {
    buf->len = 0;
    return;
  }
  if (size == 0)
    return;
  memmove(buf->ptr, buf->ptr + size, buf->len - size);
  buf->len -= size;
}

struct str buf_str(const struct buf *buf) {
  return buf->ptr ? (struct str){buf->ptr, buf->len} : STR_EMPTY;
}
