// SPDX-License-Identifier: Apache-2.0
// The bytes of one try: body and headers from the event and the target, and what is kept of them and of the answer for
// people, secrets left out. Everything lives in the delivery's arena. Loop thread only; no state.
#ifndef HARBINGER_DISPATCH_REQUEST_H
#define HARBINGER_DISPATCH_REQUEST_H

#include "dispatch/route.h"
#include "format/format.h"
#include "net/http_client.h"
#include "store/deliveries.h"

enum { REQUEST_MAX_HEADERS = 10, REQUEST_MAX_RECORDED_BYTES = 8 * 1024 };

struct request {
  struct http_header headers[REQUEST_MAX_HEADERS]; // besides Host and Content-Length, which the client writes
  size_t headers_len;
  struct str body;
  bool body_is_new; // rendered now: to be stored with the attempt
};

// How the event of a delivery is rendered for this target. `event` may be NULL for format_key.
struct format_input request_format(const struct route *route, const struct event *event, const char *portal_url);
// The stored body, or the event rendered; headers with `attempt` (from 1) and its time. ERR_TOO_LARGE, ERR_NO_MEMORY ...
int request_make(const struct route *route, const struct delivery_load *load, const char *portal_url,
                 const char *user_agent, int attempt, int64_t now_wall_us, struct arena *arena, struct request *out,
                 struct error *err) MUST_CHECK;
// "Name: value\n" lines, Authorization as ********. Empty when there is no memory.
struct str request_recorded(const struct request *request, const struct route *route, struct arena *arena);
struct str request_recorded_answer(const struct http_head *head,
                                   struct arena *arena); // 8 KiB at most; Set-Cookie as ********
// Why the try failed, for a person.
struct str request_failure_words(const struct http_result *result, enum target_type type, struct arena *arena);

#endif
