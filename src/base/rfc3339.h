// SPDX-License-Identifier: Apache-2.0
// Time as text: RFC 3339 for bodies and API, HTTP dates (RFC 9110 5.6.7) for Retry-After. Pure functions, UTC only
// when writing, any offset when reading. No locale, no system time zone.
#ifndef HARBINGER_BASE_RFC3339_H
#define HARBINGER_BASE_RFC3339_H

#include "base/str.h"

enum { RFC3339_BYTES = 40 }; // longest text written, with its NUL

// Write `unix_us` with `digits` (0, 3 or 6) digits of fraction and 'Z', e.g. 2026-08-21T08:13:20.123Z.
// Times outside of the years 1 to 9999 are held at their ends. The time `RFC3339_ZERO_US` is Go's zero time,
// 0001-01-01T00:00:00Z. Returns `out`.
#define RFC3339_ZERO_US INT64_MIN
const char *rfc3339_write(int64_t unix_us, int digits, char out[static RFC3339_BYTES]);

// Read RFC 3339 with 0 to 9 digits of fraction and 'Z' or an offset; false when malformed or out of 0001..9999.
// Year 1 January 1 00:00:00Z reads as RFC3339_ZERO_US.
bool rfc3339_read(struct str s, int64_t *unix_us) MUST_CHECK;

// Read the three HTTP date forms (IMF-fixdate, RFC 850, asctime). RFC 9110 5.6.7. A two-digit year below 69 is 20xx.
bool http_date_read(struct str s, int64_t *unix_us) MUST_CHECK;
// Write IMF-fixdate; `out` holds 30 bytes.
const char *http_date_write(int64_t unix_us, char out[static 30]);

#endif
