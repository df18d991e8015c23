// SPDX-License-Identifier: Apache-2.0
// Which bytes may stand where in HTTP and in addresses: one table of 256, read by the HTTP parser and the URL parser, so
// that what one of them takes the other takes too. Constant, any thread.
#ifndef HARBINGER_NET_BYTE_CLASS_H
#define HARBINGER_NET_BYTE_CLASS_H

#include "base/str.h"

enum byte_class {
  BYTE_TOKEN = 1, // RFC 9110 5.6.2: method, header name
  BYTE_PATH = 2,  // RFC 3986 3.3: pchar and '/'
  BYTE_QUERY =
      4, // visible ASCII but '#': wider than RFC 3986 3.4 by "<>[\]^`{|}, which clients send and no one splits at
  BYTE_HOST = 8,   // RFC 3986 3.2.2 and 3.2.3: host and port, with the brackets
  BYTE_HEX = 16,   // RFC 5234 B.1, both cases
  BYTE_DIGIT = 32, // 0 to 9
  BYTE_ALPHA = 64, // ASCII letters
};

extern const uint8_t byte_classes[256];

static inline bool byte_is(char byte, unsigned classes) {
  return (byte_classes[(unsigned char)byte] & classes) != 0;
}

// RFC 9110 5.5: blanks, visible ASCII and obs-text; no control byte but HTAB.
static inline bool byte_is_field_value(char byte) {
  unsigned char c = (unsigned char)byte;
  return (c >= 0x20 && c != 0x7f) || c == '\t';
}

// How many bytes at the front of `s` are of one of `classes`.
static inline size_t byte_span(struct str s, unsigned classes) {
  size_t i = 0;
  while (i < s.len && byte_is(s.ptr[i], classes))
    i++;
  return i;
}

// Each '%' is followed by two hexadecimal digits (RFC 3986 2.1).
bool byte_escapes_valid(struct str s);
// Value of a hexadecimal digit; the caller has checked BYTE_HEX.
unsigned byte_hex_value(char digit);

#endif
