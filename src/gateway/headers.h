// SPDX-License-Identifier: Apache-2.0
// The headers of a request on its way to the registry behind us and of the answer on its way back: what concerns one
// connection, or tells who we are to each other, does not pass (RFC 9110 7.6.1); addresses in what comes back are ours.
// Pure functions; results live in the arena and are views into the heads.
#ifndef HARBINGER_GATEWAY_HEADERS_H
#define HARBINGER_GATEWAY_HEADERS_H

#include "base/arena.h"
#include "net/http.h"
#include "net/url.h"

struct header_rules {
  struct url upstream;
  struct str external;      // "https://registry.example.com", or empty: addresses are relative
  struct str authorization; // for the registry; empty: none
  struct str user_agent;    // ours
};

struct headers {
  struct http_header *list;
  size_t len;
};

struct header_request {
  const struct http_head *head; // the client's
  struct str client;            // its address
  struct str request_id;
  bool whole;  // no Range: what comes is looked at as a whole
  bool abroad; // to another host than the registry's: without our Authorization
};

int headers_forward(const struct header_rules *rules, const struct header_request *request, struct arena *arena,
                    struct headers *out, struct error *err) MUST_CHECK;

// Of the registry's answer, with Location and Link rewritten and Docker-Distribution-Api-Version there. A Location that
// cannot be rewritten is left out. *content_type is NULL when there is none.
int headers_answer(const struct header_rules *rules, const struct http_head *head, struct arena *arena,
                   struct headers *out, const char **content_type, struct error *err) MUST_CHECK;

enum header_place {
  PLACE_UPSTREAM, // the registry itself
  PLACE_ABROAD,   // another host
  PLACE_BAD,      // no address at all
};
// Where does an address that the registry gave lead? *url is what a call needs; its target is everything behind the host. Unlike
// url_parse it takes addresses of any length: those of object stores, with their signatures, are longer than 2 KiB.
enum header_place headers_place(const struct header_rules *rules, struct str text, struct arena *arena, struct url *url)
    MUST_CHECK;
// A target of the registry as an address for clients. ptr NULL: no memory.
struct str headers_external(const struct header_rules *rules, struct str target, struct arena *arena) MUST_CHECK;

#endif
