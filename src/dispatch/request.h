// SPDX-License-Identifier: Apache-2.0
// One request to a receiver, of a delivery (sender.h) or of a test (trial.h): body and headers from the event and the
// target, the call that carries them, and what is kept of both sides for people, secrets left out. Everything lives in
// the arena that is passed in. No state; one thread at a time.
#ifndef HARBINGER_DISPATCH_REQUEST_H
#define HARBINGER_DISPATCH_REQUEST_H

#include "dispatch/dispatch.h"
#include "dispatch/route.h"
#include "format/format.h"

enum { REQUEST_MAX_HEADERS = 10, REQUEST_MAX_RECORDED_BYTES = 8 * 1024 };

struct request_input {
  const struct event *event;
  struct str stored_body; // what an earlier try sent; ptr NULL: the event is rendered
  int64_t delivery_id;    // 0: of a test
  int attempt;            // from 1
  int64_t now_wall_us;
  bool is_test; // says so in a header; the event does in its trigger
};

struct request {
  struct http_header headers[REQUEST_MAX_HEADERS]; // besides Host and Content-Length, which the client writes
  size_t headers_len;
  struct str body;
  bool body_is_new; // rendered now: to be stored with the attempt
};

// How an event is rendered for this target. `event` may be NULL for format_key.
struct format_input request_format(const struct route *route, const struct event *event, const char *portal_url);
// ERR_TOO_LARGE, ERR_NO_MEMORY ...
int request_make(const struct route *route, const struct request_input *input, const struct dispatch_config *config,
                 struct arena *arena, struct request *out, struct error *err) MUST_CHECK;
// How it is sent: guarded, with the limits of deliveries. The callbacks are the caller's. Views of route and request,
// which must live until the call ends.
struct http_call_params request_call(const struct route *route, const struct request *request,
                                     const struct dispatch_config *config);
// Why the try failed, for a person.
struct str request_failure_words(const struct http_result *result, enum target_type type, struct arena *arena);
// What is kept of a try that took place (`answer`) or could not be made (NULL): lines "Name: value" of both sides,
// Authorization and Set-Cookie as ********, and wherever the receiver echoes a secret (redact.h), too. The caller fills
// delivery and number.
void request_record(const struct route *route, const struct request *request, const struct http_result *answer,
                    const char *outcome, struct str words, int64_t started_at_us, int64_t ended_at_us,
                    struct arena *arena, struct attempt *out);

#endif
