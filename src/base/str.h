// SPDX-License-Identifier: Apache-2.0
// (base, length) strings: a view of bytes that somebody else owns. Never NUL-terminated unless a function
// says so. Plain value, any thread.
#ifndef HARBINGER_BASE_STR_H
#define HARBINGER_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

struct str {
  const char *ptr;
  size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_EMPTY ((struct str){"", 0})
// For printf: printf("%.*s", STR_ARG(s)).
#define STR_ARG(s) (int)(s).len, (s).ptr

struct str str_of(const char *cstr); // NULL gives the empty string
bool str_eq(struct str a, struct str b);
// Inline: with a literal only lengths are compared, mostly.
static inline bool str_eq_c(struct str a, const char *cstr) {
  size_t len = cstr ? strlen(cstr) : 0;
  return a.len == len && (len == 0 || memcmp(a.ptr, cstr, len) == 0);
}
bool str_ieq(struct str a, struct str b); // ASCII case-insensitive
bool str_ieq_c(struct str a, const char *cstr);
bool str_starts(struct str s, struct str prefix);
bool str_starts_c(struct str s, const char *prefix);
bool str_ends(struct str s, struct str suffix);
int str_cmp(struct str a, struct str b); // bytewise, <0 0 >0
bool str_contains(struct str s, struct str part);
bool str_icontains(struct str s, struct str part);
ptrdiff_t str_find(struct str s, char c);  // first position of c or -1
ptrdiff_t str_rfind(struct str s, char c); // last position of c or -1
// s[start..end), as far as there is such a part.
static inline struct str str_slice(struct str s, size_t start, size_t end) {
  if (end > s.len)
    end = s.len;
  return s.ptr && start < end ? (struct str){s.ptr + start, end - start} : STR_EMPTY;
}
static inline struct str str_from(struct str s, size_t start) { // s[start..], empty when past the end
  return str_slice(s, start, s.len);
}
struct str str_trim(struct str s); // spaces and tabs on both sides

// Cut the part before `sep` off the front of *rest into *part. False when *rest was exhausted before the call
// (an empty last part is returned once). Start with `rest->ptr != NULL`.
bool str_next(struct str *rest, char sep, struct str *part);

// Strict numbers: the whole string, decimal, no sign for u64, no blanks, no overflow. False otherwise.
bool str_to_i64(struct str s, int64_t *out);
bool str_to_u64(struct str s, uint64_t *out);

// Constant time in the content (the lengths may leak): for tokens, MACs, passwords.
bool str_eq_secret(struct str a, struct str b);

#endif
