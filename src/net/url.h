// SPDX-License-Identifier: Apache-2.0
// Absolute http and https addresses, parsed strictly once (RFC 3986), as views into the text. A host is a name of
// letters, digits, hyphens and dots (not all numeric, no empty label but one trailing dot, at most 253 bytes, labels at
// most 63), a dotted quad, or a bracketed IPv6 without zone; anything else (`127.1`, `0x7f.1`, `2130706433`, non-ASCII,
// percent-encoding in the host) is refused with words. Pure functions.
#ifndef HARBINGER_NET_URL_H
#define HARBINGER_NET_URL_H

#include "base/arena.h"
#include "base/error.h"
#include "net/address.h"

enum { URL_MAX_BYTES = 2048 };

struct url {
  struct str text;
  bool https;
  struct str userinfo;  // without '@'; ptr NULL when none
  struct str host;      // without brackets and without the trailing dot
  bool host_is_address; // then `address` is set
  struct address address;
  uint16_t port; // 80 or 443 by default
  bool port_given;
  struct str target; // path and query as written ("/" when empty), without fragment
  struct str origin; // scheme://host[:port] part of the text, userinfo excluded only in comparison (url_same_origin)
};

// Scheme lower case `http://` or `https://`; no control bytes, blanks or non-ASCII anywhere; a fragment is refused.
int url_parse(struct str text, struct url *out, struct error *err) MUST_CHECK;
struct str url_path(const struct url *url); // of the target, without query and without '/' at its end: "" at the root
bool url_same_origin(const struct url *a, const struct url *b); // scheme, host (ASCII case-insensitive), port
// The value of the Host header: host[:port], port only when not the scheme's default.
struct str url_host_header(const struct url *url, struct arena *arena) MUST_CHECK;
// The address with what may be secret (userinfo, path, query) replaced by ********: for logs and readers.
struct str url_mask(const struct url *url, struct arena *arena) MUST_CHECK;
// Percent-decode once; false on a malformed escape. '+' stays '+'.
bool url_decode(struct str text, struct arena *arena, struct str *out) MUST_CHECK;
// Value of `key` in a query string (first one), percent-decoded with '+' as blank. False when absent or malformed.
bool url_query_get(struct str query, const char *key, struct arena *arena, struct str *out) MUST_CHECK;

#endif
