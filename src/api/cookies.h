// SPDX-License-Identifier: Apache-2.0
// The cookies of a request that can be ours (RFC 6265 5.4): values of one name that have the shape of our random texts, as
// views into the head. Pure functions.
#ifndef HARBINGER_API_COOKIES_H
#define HARBINGER_API_COOKIES_H

#include "net/http.h"

// Of one name: a browser may hold several for the paths of a host, also those of another program. The most specific path
// comes first.
enum { COOKIES_MAX_LOOKED_AT = 4 };

struct cookies {
  struct str values[COOKIES_MAX_LOOKED_AT];
  size_t len;
  bool seen; // the name was there, though perhaps with no value that can be ours
};

// Adds what one Cookie header's value holds of this name.
void cookies_read(struct str header, const char *name, struct cookies *out);
// Of all Cookie headers, in the order in which they came: a proxy may have split them.
struct cookies cookies_find(const struct http_head *head, const char *name);

#endif
