// SPDX-License-Identifier: Apache-2.0
// Names for states of a thing, so that a change can be made of what was read and of nothing newer (RFC 9110 8.8.3,
// 13.1.1). Pure functions; any thread.
#ifndef HARBINGER_API_ETAG_H
#define HARBINGER_API_ETAG_H

#include "base/arena.h"
#include "net/http.h"

// The strong entity tag of a state that `version` names, with its quotes. `ptr` NULL when the arena is full.
struct str etag_make(int64_t version, struct arena *arena) MUST_CHECK;
// Does the head's If-Match let a change of the state named `etag` through? Without one, yes; with `*`, and with a list
// that holds the tag, in one header or several. Weak tags never match, and neither does what cannot be read.
bool etag_if_match(const struct http_head *head, struct str etag) MUST_CHECK;

#endif
