// SPDX-License-Identifier: Apache-2.0
#include "net/byte_class.h"

#define TOKEN BYTE_TOKEN
#define PATH BYTE_PATH
#define QUERY BYTE_QUERY
#define HOST BYTE_HOST
#define URI (BYTE_PATH | BYTE_QUERY | BYTE_HOST)
#define BOTH (BYTE_TOKEN | BYTE_PATH | BYTE_QUERY | BYTE_HOST)

const uint8_t byte_classes[256] = {
    ['!'] = BOTH,
    ['"'] = QUERY,
    ['#'] = TOKEN,
    ['$'] = BOTH,
    ['%'] = BOTH,
    ['&'] = BOTH,
    ['\''] = BOTH,
    ['('] = URI,
    [')'] = URI,
    ['*'] = BOTH,
    ['+'] = BOTH,
    [','] = URI,
    ['-'] = BOTH,
    ['.'] = BOTH,
    ['/'] = PATH | QUERY,
    ['0' ... '9'] = BOTH | BYTE_HEX | BYTE_DIGIT,
    [':'] = URI,
    [';'] = URI,
    ['<'] = QUERY,
    ['='] = URI,
    ['>'] = QUERY,
    ['?'] = QUERY,
    ['@'] = PATH | QUERY,
    ['A' ... 'F'] = BOTH | BYTE_HEX | BYTE_ALPHA,
    ['G' ... 'Z'] = BOTH | BYTE_ALPHA,
    ['['] = QUERY | HOST,
    ['\\'] = QUERY,
    [']'] = QUERY | HOST,
    ['^'] = TOKEN | QUERY,
    ['_'] = BOTH,
    ['`'] = TOKEN | QUERY,
    ['a' ... 'f'] = BOTH | BYTE_HEX | BYTE_ALPHA,
    ['g' ... 'z'] = BOTH | BYTE_ALPHA,
    ['{'] = QUERY,
    ['|'] = TOKEN | QUERY,
    ['}'] = QUERY,
    ['~'] = BOTH,
};

bool byte_escapes_valid(struct str s) {
  const char *end = s.ptr + s.len;
  const char *at = s.ptr;
  while (at < end && (at = memchr(at, '%', (size_t)(end - at))) != NULL) {
    if (end - at < 3 || !byte_is(at[1], BYTE_HEX) || !byte_is(at[2], BYTE_HEX))
      return false;
    at += 3;
  }
  return true;
}

unsigned byte_hex_value(char digit) {
  unsigned c = (unsigned char)digit;
  return c <= '9' ? c - '0' : (c | 0x20U) - 'a' + 10;
}
