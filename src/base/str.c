// SPDX-License-Identifier: Apache-2.0
#include "base/str.h"

static unsigned char ascii_lower(char c) {
  unsigned char u = (unsigned char)c;
  return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

static bool bytes_ieq(const char *a, const char *b, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (ascii_lower(a[i]) != ascii_lower(b[i]))
      return false;
  }
  return true;
}

struct str str_of(const char *cstr) {
  if (!cstr)
    return STR_EMPTY;
  return (struct str){cstr, strlen(cstr)};
}

bool str_eq(struct str a, struct str b) {
  // The length first: memcmp may not be given NULL, which an empty view may hold.
  return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_ieq(struct str a, struct str b) {
  return a.len == b.len && bytes_ieq(a.ptr, b.ptr, a.len);
}

bool str_ieq_c(struct str a, const char *cstr) {
  return str_ieq(a, str_of(cstr));
}

bool str_starts(struct str s, struct str prefix) {
  return s.len >= prefix.len && str_eq((struct str){s.ptr, prefix.len}, prefix);
}

bool str_starts_c(struct str s, const char *prefix) {
  return str_starts(s, str_of(prefix));
}

bool str_ends(struct str s, struct str suffix) {
  return s.len >= suffix.len && str_eq(str_from(s, s.len - suffix.len), suffix);
}

int str_cmp(struct str a, struct str b) {
  size_t common = a.len < b.len ? a.len : b.len;
  int order = common ? memcmp(a.ptr, b.ptr, common) : 0;

  if (order != 0)
    return order;
  return (a.len > b.len) - (a.len < b.len);
}

bool str_contains(struct str s, struct str part) {
  if (part.len == 0)
    return true;
  return s.len >= part.len && memmem(s.ptr, s.len, part.ptr, part.len) != NULL;
}

bool str_icontains(struct str s, struct str part) {
  for (size_t i = 0; i + part.len <= s.len; i++) {
    if (bytes_ieq(s.ptr + i, part.ptr, part.len))
      return true;
  }
  return part.len == 0;
}

ptrdiff_t str_find(struct str s, char c) {
  const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
  return at ? at - s.ptr : -1;
}

ptrdiff_t str_rfind(struct str s, char c) {
  const char *at = s.len ? memrchr(s.ptr, c, s.len) : NULL;
  return at ? at - s.ptr : -1;
}

struct str str_trim(struct str s) {
  while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
    s.ptr++;
    s.len--;
  }
  while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
    s.len--;
  return s;
}

bool str_next(struct str *rest, char sep, struct str *part) {
  if (!rest->ptr)
    return false;

  ptrdiff_t at = str_find(*rest, sep);
  if (at < 0) {
    *part = *rest;
    *rest = (struct str){NULL, 0}; // NULL marks "exhausted", an empty rest is one more part
    return true;
  }
  part->ptr = rest->ptr;
  part->len = (size_t)at;
  rest->ptr += at + 1;
  rest->len -= (size_t)at + 1;
  return true;
}

bool str_to_u64(struct str s, uint64_t *out) {
  uint64_t value = 0;

  if (s.len == 0)
    return false;
  for (size_t i = 0; i < s.len; i++) {
    if (s.ptr[i] < '0' || s.ptr[i] > '9')
      return false;
    uint64_t digit = (uint64_t)(s.ptr[i] - '0');
    if (__builtin_mul_overflow(value, UINT64_C(10), &value) || __builtin_add_overflow(value, digit, &value))
      return false;
  }
  *out = value;
  return true;
}

bool str_to_i64(struct str s, int64_t *out) {
  bool negative = s.len > 0 && s.ptr[0] == '-';
  uint64_t magnitude;

  if (!str_to_u64(negative ? str_from(s, 1) : s, &magnitude))
    return false;
  if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
    return false;
  if (negative)
    *out = magnitude == 0 ? 0 : -(int64_t)(magnitude - 1) - 1;
  else
    *out = (int64_t)magnitude;
  return true;
}

bool str_eq_secret(struct str a, struct str b) {
  volatile unsigned char difference = 0; // volatile: the compiler may not leave the loop early

  if (a.len != b.len)
    return false;
  for (size_t i = 0; i < a.len; i++)
    difference = (unsigned char)(difference | ((unsigned char)a.ptr[i] ^ (unsigned char)b.ptr[i]));
  return difference == 0;
}
