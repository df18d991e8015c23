// SPDX-License-Identifier: Apache-2.0
// The smallest proxy that the HTTP server and client can make: a request's body goes to the upstream as it comes, the answer
// comes back as the upstream sends it, and neither is read faster than the other side takes it.
#ifndef HARBINGER_TESTS_UNIT_SUPPORT_RELAY_H
#define HARBINGER_TESTS_UNIT_SUPPORT_RELAY_H

#include "net/http_client.h"
#include "net/http_server.h"

struct relay {
  struct http_server *server;
  struct http_client *client;
  const char *scheme, *host;
  uint16_t port; // of the upstream
  int open;      // exchanges under way
  int broken;    // clients that went, upstreams that cut off
};

// The server's handler; `relay` must live as long as the server and be filled before the first request.
struct http_server_handler relay_handler(struct relay *relay);

#endif
