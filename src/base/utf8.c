// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

static bool continues(char c) {
  return ((unsigned char)c & 0xC0) == 0x80;
}

// Length that the first byte promises and the bits it gives; 0 for a byte that cannot start a code point.
static size_t lead(unsigned char byte, uint32_t *bits) {
  if (byte < 0x80) {
    *bits = byte;
    return 1;
  }
  if (byte >= 0xC2 && byte <= 0xDF) { // C0 and C1 would be overlong
    *bits = byte & 0x1FU;
    return 2;
  }
  if (byte >= 0xE0 && byte <= 0xEF) {
    *bits = byte & 0x0FU;
    return 3;
  }
  if (byte >= 0xF0 && byte <= 0xF4) { // F5 and up would be above U+10FFFF
    *bits = byte & 0x07U;
    return 4;
  }
  return 0;
}

size_t utf8_next(struct str s, uint32_t *code_point) {
  static const uint32_t SMALLEST[] = {0, 0, 0x80, 0x800, 0x10000}; // by length; below it is overlong
  uint32_t value;

  if (s.len == 0)
    return 0;
  size_t len = lead((unsigned char)s.ptr[0], &value);
  if (len == 0 || len > s.len)
    return 0;
  for (size_t i = 1; i < len; i++) {
    if (!continues(s.ptr[i]))
      return 0;
    value = value << 6 | ((unsigned char)s.ptr[i] & 0x3FU);
  }
  if (value < SMALLEST[len] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
    return 0;
  *code_point = value;
  return len;
}

bool utf8_valid(struct str s) {
  size_t i = 0;

  while (i < s.len) {
    uint64_t eight;
    // Most text is ASCII: eight bytes at a time while no high bit is set.
    if (s.len - i >= sizeof(eight)) {
      memcpy(&eight, s.ptr + i, sizeof(eight));
      if ((eight & UINT64_C(0x8080808080808080)) == 0) {
        i += sizeof(eight);
        continue;
      }
    }
    uint32_t code_point;
    size_t len = utf8_next((struct str){s.ptr + i, s.len - i}, &code_point);
    if (len == 0)
      return false;
    i += len;
  }
  return true;
}

struct str utf8_cut(struct str s, size_t max_bytes) {
  if (s.len <= max_bytes)
    return s;

  size_t end = max_bytes;
  while (end > 0 && max_bytes - end < 3 && continues(s.ptr[end]))
    end--;
  if (continues(s.ptr[end])) // not UTF-8 anyway: no boundary to look for
    end = max_bytes;
  return (struct str){s.ptr, end};
}

size_t utf8_count(struct str s) {
  size_t count = 0;

  for (size_t i = 0; i < s.len; count++) {
    uint32_t code_point;
    size_t len = utf8_next((struct str){s.ptr + i, s.len - i}, &code_point);
    i += len ? len : 1;
  }
  return count;
}
