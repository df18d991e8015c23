// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 messages (RFC 9110, RFC 9112): one strict incremental parser for requests and responses, and what both
// sides need of a parsed head. The parser owns a capped copy of the head; views handed out live until http_parser_reset.
//
// Refused, because each of them has let two parsers disagree about where a message ends: duplicate or malformed
// Content-Length, Content-Length with Transfer-Encoding, any coding but exactly `chunked`, obs-fold, bare LF, bare CR,
// space before the colon, control bytes, an empty or non-token header name, duplicate Host, a request without Host
// (1.1), HTTP versions other than 1.0 and 1.1, a target that is not origin-form (or `*` for OPTIONS). Chunk extensions
// are skipped up to 256 bytes a chunk, trailers are read and dropped within the head's cap. The target is never decoded.
#ifndef HARBINGER_NET_HTTP_H
#define HARBINGER_NET_HTTP_H

#include "base/error.h"
#include "base/str.h"

enum { HTTP_MAX_HEAD_BYTES = 64 * 1024, HTTP_MAX_HEADERS = 128 };

struct http_header {
  struct str name;  // as received
  struct str value; // outer blanks trimmed
};

struct http_head {
  bool is_response;
  struct str method; // request: token, upper case as sent
  struct str target; // request: as received, never decoded
  struct str path;   // target up to '?'
  struct str query;  // after '?', empty when none
  int status;        // response: 100..999
  struct str reason;
  int version_minor; // 0 or 1
  struct http_header *headers;
  size_t headers_len;
  bool keep_alive; // by version and Connection
  bool expect_continue;
  bool chunked;
  bool has_length;
  uint64_t length;
};

// First header of that name (ASCII case-insensitive); NULL-pointer str when absent.
struct str http_head_get(const struct http_head *head, const char *name);

enum http_event {
  HTTP_NEED_MORE, // all input consumed
  HTTP_HEAD,      // the head is complete: http_parser_head
  HTTP_BODY,      // a piece of decoded body in *piece (view into the input)
  HTTP_DONE,      // message complete; input may hold the next one
  HTTP_BAD,       // refused: http_parser_error; the connection must be closed after the answer
};

struct http_parser;

enum http_parser_kind { HTTP_REQUESTS, HTTP_RESPONSES };

// `max_head_bytes`: start line and headers, and again the trailers.
struct http_parser *http_parser_new(enum http_parser_kind kind, size_t max_head_bytes) MUST_CHECK;
void http_parser_free(struct http_parser *parser);
void http_parser_reset(struct http_parser *parser); // for the next message on the connection; frees the head's memory
// Responses only, before the head: the request was HEAD, so there is no body whatever the head says (RFC 9112 6.3).
void http_parser_expect_no_body(struct http_parser *parser);

// Feed *input and get one event; *input is advanced past what was consumed. `piece` is set for HTTP_BODY.
enum http_event http_parser_next(struct http_parser *parser, struct str *input, struct str *piece);
// Responses that end with the connection: the peer closed. HTTP_DONE or HTTP_BAD (cut short).
enum http_event http_parser_eof(struct http_parser *parser);
const struct http_head *http_parser_head(const struct http_parser *parser);
// After HTTP_BAD: 400 or 431 (501 for an unknown transfer coding, 505 for a version) and words.
int http_parser_error(const struct http_parser *parser, struct error *err);
bool http_parser_idle(const struct http_parser *parser); // nothing of a message seen yet
// What the head takes when it is larger than a parser keeps between messages; 0 for ordinary ones.
size_t http_parser_large_head_bytes(const struct http_parser *parser);

const char *http_reason(int status);    // "Not Found"
bool http_is_token(struct str s);       // RFC 9110 5.6.2
bool http_is_field_value(struct str s); // no CR, LF, NUL, other controls but HTAB; RFC 9110 5.5

#endif
