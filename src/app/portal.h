// SPDX-License-Identifier: Apache-2.0
// The web page: serves what scripts/build-portal has made and the build has put into the program, and says what there is
// instead at every path that is no other room's. index.html is the page for all of the portal's own addresses (/ and
// /harbor/...); it gets the path prefix that a proxy takes away and a fresh nonce for its content security policy.
// Serve loop only.
#ifndef HARBINGER_APP_PORTAL_H
#define HARBINGER_APP_PORTAL_H

#include "base/embedded.h"
#include "base/error.h"
#include "net/http_server.h"

struct portal;

// `pages`: embedded_portal, must live as long. `public_url`: how browsers reach us, "" when nobody said; its path is the
// prefix, e.g. https://ci.example/hooks/ gives /hooks/. NULL and *err on failure.
struct portal *portal_new(const struct embedded_page *pages, const char *public_url, struct error *err) MUST_CHECK;
void portal_free(struct portal *portal); // NULL is fine
// Answers at once.
void portal_handle(struct portal *portal, struct http_request *request);

#endif
