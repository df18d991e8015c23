// SPDX-License-Identifier: Apache-2.0
// One API call while a pool thread works on it: the request, who asks, a read connection, and the answer being made. A
// handler reads its parameters with the helpers below, fills the answer and returns 0, or returns an error that becomes
// Harbor's error body. Everything lives in the request's arena; nothing is sent before the handler has returned.
#ifndef HARBINGER_API_CALL_H
#define HARBINGER_API_CALL_H

#include "api/api.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "store/projects.h"
#include "store/query.h"

enum { API_MAX_PATH_PARAMS = 6, API_MAX_ANSWER_HEADERS = 12, API_MAX_ANSWER_BYTES = 32 * 1024 * 1024 };

struct api_route;

struct api_call {
  struct api *api;
  const struct api_config *config;
  struct http_request *request;
  struct arena *arena;     // the request's
  struct store_conn *conn; // the pool thread's read connection
  struct identity identity;
  struct str params[API_MAX_PATH_PARAMS]; // of the path, percent-decoded once, in order
  size_t params_len;
  const struct api_route *route;
  struct str sid, csrf_cookie; // of the session in force and the CSRF token; empty: none (api/session.h)
  bool session_ended;          // a cookie came whose session is not in force

  // The answer:
  int status;               // 200 unless set
  const char *content_type; // application/json when there is a body
  struct buf body;
  struct http_header headers[API_MAX_ANSWER_HEADERS];
  size_t headers_len;
  int64_t delay_ms;         // wrong credentials: how long it is held back
  bool words_for_all;       // what a 503 says is the registry's trouble, not ours: the client reads it
  struct feed_watch *watch; // in place of a body: the answer becomes this stream; the handler's last act

  // For the audit of call_change:
  struct str changed_in;     // name of the project that call_project found; empty: of none
  struct str changed_fields; // what the change changed, by name (api/changed_fields.h); `apply` may set it, too
};

typedef int api_handler(struct api_call *call, struct error *err);

// ---- what a handler reads -------------------------------------------------------------------------------------------

// Handlers read path, query and body before they ask for rights: what is malformed is 422 whoever asks, as in Harbor.
// The body as a JSON object, named in messages as the route says (api_route.body). ERR_INVALID with Harbor's
// "validation failure list:\n..." words when it is missing, no JSON, no object, or its Content-Type is not
// application/json.
int call_body(struct api_call *call, struct json_object **out, struct error *err) MUST_CHECK;
// Is the body of this media type? ERR_INVALID with Harbor's words when not.
int call_content_type(struct api_call *call, const char *wanted, struct error *err) MUST_CHECK;
// Path parameter `i` as an integer. ERR_INVALID `validation failure list:\nNAME in path must be of type int64: "abc"`.
int call_path_int(struct api_call *call, size_t i, const char *name, int64_t *out, struct error *err) MUST_CHECK;
// A query parameter, decoded. False when absent.
bool call_query_str(struct api_call *call, const char *name, struct str *out);
int call_query_bool(struct api_call *call, const char *name, bool fallback, bool *out, struct error *err) MUST_CHECK;
int call_query_int(struct api_call *call, const char *name, int64_t fallback, int64_t *out, struct error *err)
    MUST_CHECK;
// page, page_size, q (unescaped once more, as Harbor does) and sort, with Harbor's words on bad values. `max_rows`
// bounds a page_size of 0 or less.
int call_list_query(struct api_call *call, int64_t max_rows, struct query *out, struct error *err) MUST_CHECK;
// The project that path parameter `i` names: an id when it reads as int64 unless X-Is-Resource-Name is true. Checks
// that the caller may do `action` on it; unknown and forbidden projects answer as Harbor does (anonymous 401, others
// 403 or 404).
int call_project(struct api_call *call, size_t i, enum auth_action action, struct project *out, struct error *err)
    MUST_CHECK;
int call_require(struct api_call *call, enum auth_action action, struct error *err) MUST_CHECK; // no project
int call_require_login(struct api_call *call, struct error *err) MUST_CHECK; // anybody but the anonymous
// Harbor's order of refusals: malformed input (ERR_INVALID) is told whoever asks, then rights, then what is wrong with
// the input. `input` is the outcome of reading it (with its words in *input_err), `rights` that of asking (words in
// *err).
int call_judge(int input, const struct error *input_err, int rights, struct error *err) MUST_CHECK;
// host[:port] that the resource_url of an event made here begins with: the registry's as configured, else the one that
// clients reach us by. ERR_NO_MEMORY.
int call_registry_host(struct api_call *call, struct str *out, struct error *err) MUST_CHECK;
// The same for people to push to and pull from: empty while there is no registry behind us and none was named.
int call_pull_host(struct api_call *call, struct str *out, struct error *err) MUST_CHECK;
// A boolean request header, read as Harbor reads booleans (true, 1, yes, on ...).
bool call_header_bool(const struct api_call *call, const char *name);

// ---- what a handler answers -----------------------------------------------------------------------------------------

// A writer into the answer's body (API bodies are not HTML-escaped and end in a newline, added for you).
struct json_writer call_json(struct api_call *call);
void call_header(struct api_call *call, const char *name, struct str value); // value must live in the arena
// X-Total-Count and Link as Harbor writes them.
int call_page_headers(struct api_call *call, const struct query *query, int64_t total, struct error *err) MUST_CHECK;
// 201 with Location: the request's path as received without trailing slash, "/", id.
int call_created(struct api_call *call, int64_t id, struct error *err) MUST_CHECK;

// A field with a date-time as Harbor's go-swagger writes it: milliseconds and Z; RFC3339_ZERO_US and 0 (never) are
// 0001-01-01T00:00:00.000Z.
void call_field_time_ms(struct json_writer *w, const char *key, int64_t at_us);

// ---- changes --------------------------------------------------------------------------------------------------------

// The limit on tests of webhooks, the API's own. Any pool thread.
struct rate_limit *call_test_limit(struct api_call *call);
struct change_desk *call_change_desk(struct api_call *call); // NULL: there is no registry to change
// Run `apply` in the writer together with an audit entry of this caller, in one commit.
int call_change(struct api_call *call, int (*apply)(struct store_conn *conn, void *ctx, struct error *err), void *ctx,
                const char *operation, const char *kind, struct str subject, struct error *err) MUST_CHECK;

#endif
