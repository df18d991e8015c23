// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 client on a loop: resolve, judge every address (guarded calls), connect to a literal address, TLS with name
// and trust checked against the name, send, read the answer with caps and deadlines. Connections are pooled (key: scheme,
// host, port, guard version, trust store, verify); TLS sessions are resumed; no redirects, no decompression, no proxies.
// A request that died on a reused connection before a byte of the answer came is sent once more on a new one.
// Loop thread only.
#ifndef HARBINGER_NET_HTTP_CLIENT_H
#define HARBINGER_NET_HTTP_CLIENT_H

#include "base/arena.h"
#include "base/log.h"
#include "net/egress.h"
#include "net/http.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "net/url.h"

struct http_client;
struct http_call;

struct http_client_config {
  size_t max_calls;              // 4608 in flight
  size_t max_idle;               // 1024 pooled idle connections in all
  size_t max_idle_per_key;       // 64
  size_t max_sessions;           // 4096 TLS tickets kept
  int64_t idle_timeout_ms;       // 30000
  int64_t max_connection_age_ms; // 300000: DNS and certificate changes take effect
};

enum http_outcome {
  HTTP_OUTCOME_ANSWERED,  // a complete final status line and head came (see `truncated` for the body)
  HTTP_OUTCOME_DNS,       // the name could not be resolved
  HTTP_OUTCOME_BLOCKED,   // the egress guard refused
  HTTP_OUTCOME_CONNECT,   // refused, unreachable, reset while connecting; ERR_UNAVAILABLE: our network is not there
  HTTP_OUTCOME_TLS,       // handshake, name or trust
  HTTP_OUTCOME_TIMEOUT,   // one of the deadlines
  HTTP_OUTCOME_CLOSED,    // closed or reset before an answer
  HTTP_OUTCOME_MALFORMED, // the answer was no HTTP/1.1, or 101, or too many 1xx
  HTTP_OUTCOME_LOCAL,     // our own limits: descriptors, memory, calls
};

struct http_timings { // microseconds from the start of the call; -1 when that stage was not reached or not needed
  int64_t dns_us, connect_us, tls_us, first_byte_us, total_us;
};

struct http_result {
  enum http_outcome outcome;
  struct error err; // words when not ANSWERED
  int status;
  const struct http_head *head; // ANSWERED only
  struct str body;              // the first keep_body_bytes
  bool truncated;               // more came than was kept, or the body was cut short
  bool request_sent;            // at least one byte of the request left
  bool reused, tls_resumed;
  struct address peer; // family 0 when not connected
  struct http_timings timings;
};

// A call whose bodies come and go bit by bit. Its total_timeout_ms does not count; first_byte_timeout_ms counts from the last
// byte of the request, idle_timeout_ms while bytes are waited for that the other side owes.
struct http_call_stream {
  bool has_body;   // a body is sent, by http_call_send
  bool has_length; // with Content-Length `length`, else chunked
  uint64_t length;
  int64_t idle_timeout_ms; // 30000
  // The connection takes (more of) the body: http_call_send may be called, once.
  void (*on_sendable)(void *ctx);
  // The final head has come; `result` as for on_done, without a body. The body comes by on_piece, its end by on_done (with
  // `truncated` when it was cut short).
  void (*on_head)(void *ctx, const struct http_result *result);
  void (*on_piece)(void *ctx, struct str piece); // at most 64 KiB, valid until it returns
};

struct http_call_params {
  struct url url; // views must live until the call ends
  struct str method;
  const struct http_header *headers; // besides Host and Content-Length, which the client writes
  size_t headers_len;
  struct str body; // must live until the call ends
  bool guarded;    // judge addresses with the guard; false for operator-configured addresses
  bool skip_cert_verify;
  size_t keep_body_bytes;          // 4096
  size_t read_body_bytes;          // 65536: then the connection is closed and the answer counts as complete
  int64_t connect_timeout_ms;      // 5000: from start of connect to end of handshake
  int64_t first_byte_timeout_ms;   // 10000 from the request's last byte
  int64_t total_timeout_ms;        // 30000
  void (*on_connected)(void *ctx); // may be NULL: connecting is over, exchanging begins
  void (*on_done)(void *ctx, const struct http_result *result); // exactly once, never before start returns
  void *ctx;
  const struct http_call_stream
      *stream; // NULL: body and answer are whole. Copied; `body`, keep_ and read_body_bytes do not count
};

struct http_client *http_client_new(struct loop *loop, struct resolver *resolver, struct egress *guard,
                                    struct tls_client *tls, const struct http_client_config *config,
                                    const struct log *log, struct error *err) MUST_CHECK;
void http_client_free(struct http_client *client); // all calls must have ended or been cancelled
// NULL: full or out of memory, `err` filled, on_done is not called.
struct http_call *http_client_start(struct http_client *client, const struct http_call_params *params,
                                    struct error *err) MUST_CHECK;
void http_call_cancel(struct http_call *call); // on_done will not be called; a half-sent request is reset
// A byte of the request has left on the connection that it has now; after a kept one died, on the new one.
bool http_call_request_started(const struct http_call *call);
// Streams: the next piece of the body; copied, or written at once. Allowed once per on_sendable; after the last of the announced
// length, or http_call_send_end, no more. ERR_NO_MEMORY: cancel the call.
int http_call_send(struct http_call *call, struct str piece, struct error *err) MUST_CHECK;
void http_call_send_end(struct http_call *call);
// Streams: the next piece may be given now, without waiting for on_sendable.
bool http_call_takes_more(const struct http_call *call);
// Streams: neither on_head nor on_piece nor on_done until it is resumed; nothing is read from the socket meanwhile. May be called inside on_head, on_piece.
void http_call_pause(struct http_call *call);
void http_call_resume(struct http_call *call);
void http_call_once(struct http_call *call); // from now on a kept connection that dies is not replaced by a new one

#endif
