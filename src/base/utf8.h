// SPDX-License-Identifier: Apache-2.0
// UTF-8 as RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Pure functions.
#ifndef HARBINGER_BASE_UTF8_H
#define HARBINGER_BASE_UTF8_H

#include "base/str.h"

bool utf8_valid(struct str s);
// The longest prefix of at most `max_bytes` bytes that ends on a code point boundary.
struct str utf8_cut(struct str s, size_t max_bytes);
// Decode one code point at the front. Returns its length in bytes, or 0 when `s` is empty or malformed there.
size_t utf8_next(struct str s, uint32_t *code_point);
size_t utf8_count(struct str s); // code points; malformed bytes count one each

#endif
