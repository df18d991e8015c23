// SPDX-License-Identifier: Apache-2.0
// What a client would rather have: Accept and Accept-Encoding with their weights (RFC 9110 12.4.2, 12.5), and whether it
// holds what it asks for (13.1.2). Pure functions of a request's head; any thread.
#ifndef HARBINGER_NET_HTTP_ACCEPT_H
#define HARBINGER_NET_HTTP_ACCEPT_H

#include "net/http.h"

// Does the request rather take a body that gzip has compressed than the same as it is? False when it says nothing.
bool http_accepts_gzip(const struct http_head *head) MUST_CHECK;
// Does Accept name this media type itself, with a weight above 0? What `*/*` would take does not count: programs send that.
bool http_accept_names(const struct http_head *head, const char *media_type) MUST_CHECK;
// Does If-None-Match hold the entity tag `etag` (with its quotes, and without a comma), so that the answer is 304? By weak
// comparison, as RFC 9110 13.1.2 asks; `*` holds every tag.
bool http_none_match_holds(const struct http_head *head, struct str etag) MUST_CHECK;

#endif
