// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 server on a loop: listener (plain or TLS), keep-alive, deadlines (header 10 s; body 30 s without progress
// and at least 1 KiB/s over 60 s, else 408), 64 KiB of header (else 431), bodies buffered up to a limit that the handler
// gives per request or read by it bit by bit, a budget over all buffered bodies and large heads (else 503), another over answers that clients are
// slow to take (else the connection is closed), a cap on connections. A request is answered once, on
// the loop's thread, at once or later; it stays valid until then even if the client has gone. A parked connection costs
// no work: it sits in a list and a heap. Knows no route. The loop needs a timer per connection and two more
// (max_timers >= max_connections + 2). Needs nobody to ignore SIGPIPE.
#ifndef HARBINGER_NET_HTTP_SERVER_H
#define HARBINGER_NET_HTTP_SERVER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/log.h"
#include "net/address.h"
#include "net/http.h"
#include "net/loop.h"
#include "net/tls.h"

struct http_server;

struct http_server_config {
  struct address listen;         // port 0: any free one
  int backlog;                   // 1024
  size_t max_connections;        // 16384; above it the connection that was idle longest is closed
  size_t max_head_bytes;         // 65536
  size_t max_buffered_bytes;     // all bodies and large heads, 256 MiB; as much again for answers not yet taken
  size_t max_response_bytes;     // one answer, 64 MiB
  size_t request_arena_bytes;    // cap of a request's arena besides its body, 32 MiB
  int64_t header_timeout_ms;     // 10000, from the first byte (or the accept) to the end of the head
  int64_t body_idle_timeout_ms;  // 30000 without a byte
  int64_t body_rate_window_ms;   // 60000
  size_t body_min_bytes_per_s;   // 1024 over the window
  int64_t keep_alive_timeout_ms; // 75000 between requests
  int64_t write_timeout_ms;      // 30000 without progress when answering
  int64_t hsts_max_age_s;        // over TLS: Strict-Transport-Security (RFC 6797) with it; 0: none
};

struct http_request {
  struct arena *arena; // lives until http_respond; its bytes may be used by a pool thread meanwhile
  const struct http_head *head;
  struct str body;   // complete; empty while body_to_come
  bool body_to_come; // the handler reads it with http_body_read
  struct address peer;
  struct str peer_text; // "192.0.2.1:4711"
  bool peer_is_loopback;
  bool tls;
  struct str request_id; // the client's X-Request-Id if it is a sane token of at most 128 bytes, else a fresh UUID
  int64_t received_us;   // wall clock at the end of the head
  void *user;            // the handler's
};

struct http_response {
  int status;
  const char *content_type;          // NULL: no body header
  const struct http_header *headers; // extra ones; values are checked, a bad one is dropped and logged
  size_t headers_len;
  struct str body; // copied
  bool close;      // close the connection after it
  // The length that is announced instead of the body's: of an answer to HEAD, and of a stream, which then is not chunked and
  // must write just as much.
  bool has_length;
  uint64_t length;
};

struct http_server_handler {
  void *ctx;
  // After the head, when a body is announced: how many bytes of it may come; more is 413 before reading on.
  size_t (*body_limit)(void *ctx, const struct http_head *head);
  // After the head, when a body is announced: true when the handler reads it bit by bit. on_request is then called at once and
  // body_limit is not. NULL: no body is.
  bool (*streams_body)(void *ctx, const struct http_head *head);
  // The request is complete, or body_to_come. Answer now or later with http_respond.
  void (*on_request)(void *ctx, struct http_request *request);
  // The body of an error that the server itself answers (400, 408, 413, 431, 503 ...), in the shape of `path` (empty when
  // unknown). Sets *content_type.
  void (*write_error)(void *ctx, struct str path, int status, const char *words, struct buf *out,
                      const char **content_type);
  // One request was answered: for the request log and metrics, when the answer is written or could not be (the client
  // had gone; status 400 when that broke its body off). `duration_us` from the end of the head. `arena` and `body` are not to be looked at any more. Also for
  // answers of the server itself; when no head was understood, method and path are empty and `duration_us` is 0.
  void (*on_answered)(void *ctx, const struct http_request *request, int status, int64_t duration_us);
};

struct http_server *http_server_new(struct loop *loop, const struct http_server_config *config,
                                    const struct http_server_handler *handler, struct id_source *ids,
                                    const struct log *log, struct error *err) MUST_CHECK;
// TLS on the listener for connections accepted from now on (may be called again to swap certificates; NULL: plain). The
// context stays the caller's and must live until another is set. A TLS hello on a plain port, and plain HTTP on a TLS
// port, get an HTTP answer in plain text that says so.
void http_server_set_tls(struct http_server *server, struct tls_server *tls);
struct address http_server_address(const struct http_server *server); // with the port that was bound
// Every answer carries X-Request-Id, X-Content-Type-Options, Date, Content-Length but with 204 and 304 (and Connection
// where it applies); these and Transfer-Encoding are not for the handler to write. May be called inside on_request. The
// request must not be used after it, but for what on_answered is given.
void http_respond(struct http_request *request, const struct http_response *response);

// ---- bodies that are read bit by bit -------------------------------------------------------------------------------

// Nothing of this is called from inside a function of this header.
struct http_body_handler {
  void *ctx;
  void (*on_piece)(void *ctx, struct str piece); // once per http_body_want; at most 64 KiB, valid until it returns
  void (*on_end)(void *ctx);                     // the body is complete, told at the want after the last piece
  // It never will be: the client has gone, is too slow or breaks the protocol. It has been answered, if it could be; the
  // request must not be used any more. Instead of on_end, once, and not after http_respond or http_respond_stream.
  void (*on_broken)(void *ctx, const struct error *why);
};

// Take the body of a request with body_to_come; what becomes of its client is told from here on. 100 Continue is sent with the
// first want, if the client waits for it and has sent nothing of the body. A request that is answered before its body has
// ended is the last of its connection, and nothing more of the body is told.
void http_body_read(struct http_request *request, const struct http_body_handler *handler);
// One more piece, or the end. Nothing is read from the socket until it is asked for, and the deadlines of bodies count only
// meanwhile.
void http_body_want(struct http_request *request);

// ---- answers that come bit by bit -----------------------------------------------------------------------------------

enum { HTTP_STREAM_MAX_PENDING_BYTES = 256 * 1024 }; // written and not yet taken by the client

struct http_stream_handler {
  void *ctx;
  // The stream ended otherwise than by http_stream_end: the client has gone (or sends no more), or it takes nothing for
  // write_timeout_ms. The request must not be used any more. Never called from inside a function of this header but
  // http_server_free.
  void (*on_closed)(void *ctx);
  // After the head and each http_stream_write: nothing of what was written waits for the client any more, also when all was
  // taken at once. NULL: nobody asks.
  void (*on_taken)(void *ctx);
  // The server drains: end now, which may happen inside of it. Only for a stream without an end of its own; NULL for
  // others: they run to their end, as answers of known length do.
  void (*on_drain)(void *ctx);
};

// Answer with a head now and a body by http_stream_write: of response->length bytes with has_length, else chunked (RFC 9112
// 7.1), or to the end of the connection for HTTP/1.0. HEAD, 204 and 304: the head alone, what is written is dropped; HEAD
// without a length ends the connection. `response->body` is not looked at. Of the request's own body nothing more is told.
// The request, its arena too, stays valid until on_closed or http_stream_end, and counts as answered then.
// ERR_UNAVAILABLE while the server drains if there is an on_drain, ERR_NO_MEMORY: nothing was answered.
int http_respond_stream(struct http_request *request, const struct http_response *response,
                        const struct http_stream_handler *handler, struct error *err) MUST_CHECK;
// Copies. ERR_FULL when more than HTTP_STREAM_MAX_PENDING_BYTES would wait for the client, or all streams and answers
// together have used up their budget, ERR_NO_MEMORY, ERR_INTERNAL for more than the announced length: nothing was taken
// then. A client that has gone is told by on_closed, not here. A large piece that the socket takes at once is not copied.
int http_stream_write(struct http_request *request, struct str data, struct error *err) MUST_CHECK;
// Bytes written that wait for the client. While it is 0 the source need not be paused until on_taken.
size_t http_stream_waiting(struct http_request *request);
// The body is complete. What still waits is sent like any answer. Short of the announced length it is a mistake of the
// handler: it is logged and the connection is reset. The request must not be used any more.
void http_stream_end(struct http_request *request);
// The body never will be: the connection is reset, so that the client cannot take what it has for the whole. The request must
// not be used any more; on_closed is not called.
void http_stream_abort(struct http_request *request);

// Stop accepting, close idle connections, let the others finish their request. `on_drained` once none is left, from the
// loop, so that it may free the server.
void http_server_drain(struct http_server *server, void (*on_drained)(void *ctx), void *ctx);
void http_server_free(struct http_server *server); // closes what is left; unanswered requests must be answered first
size_t http_server_connections(const struct http_server *server);
// In the last seconds a client was turned away because no descriptor was left.
bool http_server_turns_away(const struct http_server *server);

#endif
