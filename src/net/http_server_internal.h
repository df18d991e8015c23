// SPDX-License-Identifier: Apache-2.0
// What the files of the HTTP server share; not for others. http_server.c: listener, limits, start and stop.
// http_server_conn.c: the life of a connection. http_server_body.c: bodies of requests, whole or bit by bit.
// http_server_answer.c: the bytes of an answer. http_server_stream.c: answers that come bit by bit. Loop thread only.
//
// Invariants: a connection is in exactly one list, `idle` (no byte of a message seen, or lingering; those may be
// closed at any time, longest first) or `busy`. It has a message if and only if bytes of a request were seen and the
// answer is not yet written; an idle connection holds no buffer. While a handler has the request nothing is read but the
// pieces of its body that it wants.
#ifndef HARBINGER_NET_HTTP_SERVER_INTERNAL_H
#define HARBINGER_NET_HTTP_SERVER_INTERNAL_H

#include "base/list.h"
#include "net/http_server.h"

enum {
  HTTP_SERVER_READ_BYTES = 16 * 1024,         // one read
  HTTP_SERVER_PIECE_BYTES = 64 * 1024,        // one of a body that is read bit by bit
  HTTP_SERVER_READS_PER_WAKE = 8,             // then the others have their turn
  HTTP_SERVER_SPARE_MESSAGES = 64,            // kept for the next request, with their parser
  HTTP_SERVER_SPARE_BUFFER_BYTES = 16 * 1024, // a spare message keeps buffers up to this size
  HTTP_SERVER_HEAD_OUT_BYTES = 64 * 1024,     // head of an answer
  HTTP_SERVER_REQUEST_ID_BYTES = 128,
};

#define HTTP_NO_DEADLINE_MS (-1)

enum http_conn_state {
  HTTP_CONN_HANDSHAKE, // TLS
  HTTP_CONN_IDLE,      // between messages, or new
  HTTP_CONN_HEAD,      // bytes of a head have come
  HTTP_CONN_BODY,
  HTTP_CONN_RECEIVING, // the handler has the request and reads its body
  HTTP_CONN_HANDLING,  // the handler has the request
  HTTP_CONN_STREAMING, // and writes its answer bit by bit
  HTTP_CONN_WRITING,   // the socket is full
  HTTP_CONN_LINGER,    // answered and shut down; what still comes is dropped so that the answer is not reset
};

// A request in progress and its answer.
struct http_message {
  struct http_request request;
  struct http_conn *conn;
  struct http_message *next_spare;
  struct http_parser *parser;
  struct buf body;
  struct buf out;
  size_t charged_bytes; // of the server's budget for what comes in
  size_t unsent_bytes;  // of the one for answers, once the client did not take all at once
  size_t out_sent;
  int64_t head_mono_us;    // end of the head
  int64_t last_byte_us;    // of the body
  int64_t window_start_us; // of the minimum rate
  int64_t body_rested_us;  // when the handler last had what it wanted
  struct http_body_handler body_handler;
  size_t window_bytes;
  int status;
  bool has_head;
  bool answered;   // `out` is complete
  bool incomplete; // answered before the request was read to its end
  bool close;      // after the answer
  bool bit_by_bit; // the handler reads the body
  bool has_reader; // it has said how
  bool body_open;  // it is to be told the rest of it
  bool body_ended; // the parser has seen the end
  bool body_wanted;
  bool body_in_piece; // inside of on_piece
  bool says_continue; // before the first piece, unless it comes without
  bool streaming;     // the handler may write; `out` from `out_sent` on is what the client has not taken
  bool streamed;      // it was: an empty `out` is then one that was taken
  bool bodiless;      // nothing of what is written is sent
  bool sized;         // the stream's length was announced
  bool chunked;
  bool blocked;   // the socket took less than it was given
  bool taken_due; // the handler waits for on_taken
  bool aborted;   // to be reset once no callback runs
  uint64_t stream_left;
  struct http_stream_handler stream_handler;
  char request_id[UUID_TEXT_BYTES];
};

struct http_conn {
  struct loop_io io;
  struct loop_timer timer; // fires at or before deadline_us: moving a deadline back costs nothing
  int64_t deadline_us;     // INT64_MAX: none
  struct list_node node;
  struct http_server *server;
  struct stream *stream;
  struct http_message *message;
  char *rest; // bytes that were read and not yet parsed: of the next request, or of a body that is read bit by bit
  uint32_t rest_len;
  uint8_t state;
  bool fresh;       // no byte came yet: the header deadline counts from the accept
  bool in_dispatch; // inside a callback of the handler: http_respond only fills `out`
  bool resume;      // the timer was set to continue reading
  size_t lingered_bytes;
  struct address peer;
  char peer_text[ADDRESS_TEXT_BYTES];
};

struct http_server {
  struct loop *loop;
  struct http_server_config config;
  struct http_server_handler handler;
  struct id_source *ids;
  const struct log *log;
  struct tls_server *tls; // app/ owns it
  struct loop_io listener;
  struct loop_timer accept_timer; // accepting pauses while descriptors are out
  struct loop_timer drain_timer;
  struct address address;
  int64_t turned_away_us; // when a client last found no descriptor; 0: never
  int reserve_fd;         // given up for a moment to answer a connection when descriptors are out
  int64_t complained_us;
  struct list idle, busy;
  size_t connections;
  size_t buffered_bytes; // all bodies and large heads in memory
  size_t unsent_bytes;   // all answers that wait for their client
  struct http_message *spare;
  size_t spare_count;
  bool draining;
  void (*on_drained)(void *ctx);
  void *drained_ctx;
  int64_t date_second;
  char date[30];
  char scratch[HTTP_SERVER_PIECE_BYTES]; // shared by all connections, used between two events only
};

// http_server.c
void http_server_complain(struct http_server *server, const char *what); // a warning in the log, once in a while
void http_message_drop_request(struct http_message *message);            // what only the handler needed: arena and body
struct http_message *http_message_new(struct http_conn *conn) MUST_CHECK;
void http_message_release(struct http_server *server, struct http_message *message);

// http_server_conn.c
struct http_conn *http_conn_new(struct http_server *server, int fd, const struct address *peer, struct error *err)
    MUST_CHECK;
void http_conn_start(struct http_conn *conn);    // may free it
void http_conn_close(struct http_conn *conn);    // frees it
void http_conn_answered(struct http_conn *conn); // the handler's answer is in `out`; may free it

// Parts of a connection's life that streams share.
void http_conn_set_state(struct http_conn *conn, enum http_conn_state state);
bool http_conn_want(struct http_conn *conn, uint32_t events);   // false: epoll refused, the connection is gone
void http_conn_deadline_ms(struct http_conn *conn, int64_t ms); // HTTP_NO_DEADLINE_MS: none
void http_conn_deadline_us(struct http_conn *conn, int64_t at_us);
void http_conn_resume_soon(struct http_conn *conn); // in this round's timers: what waits raises no event
// The server's own answer to a request that it does not take: it ends the connection. May free it.
void http_conn_fail(struct http_conn *conn, int status, const char *words);
void http_conn_reset(struct http_conn *conn); // frees it
bool http_conn_save_rest(struct http_conn *conn, struct str input) MUST_CHECK;
// After a callback in which http_respond and http_stream_abort only left their mark. False: the connection is answered,
// streams or is gone.
bool http_conn_after_callback(struct http_conn *conn);
// RFC 9110 10.1.1. False: the connection is gone.
bool http_conn_say_continue(struct http_conn *conn);

// http_server_body.c

// The head announces a body that is buffered. False when the connection is gone or answered.
bool http_body_begin(struct http_conn *conn, struct str input);
bool http_body_add(struct http_conn *conn, struct str piece); // the same
// Count what the message takes of the budget for what comes in: a large head, the body's buffer, which a spare message may
// bring along, and what was read of a body before it was wanted.
void http_body_charge(const struct http_conn *conn);
// Would `more_bytes` of body still fit, after the head and the body that are there?
bool http_body_has_budget(const struct http_conn *conn, size_t more_bytes);
int64_t http_body_deadline_us(const struct http_conn *conn);
// The body's deadline came: too slow by the rule, or a new window begins. May free the connection.
void http_body_expired(struct http_conn *conn, int64_t now_us);
void http_body_ready(struct http_conn *conn, uint32_t events); // while RECEIVING; may free it
void http_body_step(struct http_conn *conn);                   // what was put off; may free it
// It never will be complete: tell the handler, once.
void http_body_broken(struct http_message *message, const struct error *why);

// http_server_stream.c
void http_stream_ready(struct http_conn *conn, uint32_t events); // may free it
void http_stream_drain(struct http_conn *conn);                  // the server drains; may free it
void http_stream_step(struct http_conn *conn);                   // what was put off; may free it
void http_stream_told(struct http_message *message);             // the connection goes: tell the handler, once

// http_server_answer.c
bool http_answer_compose_head(struct http_message *message, const struct http_response *response)
    MUST_CHECK; // of a stream
void http_answer_request_id(struct http_message *message);
void http_answer_write(struct http_message *message, const struct http_response *response);
void http_answer_error(struct http_message *message, int status, const char *words);
extern const struct http_head http_head_unknown; // for answers to what never had a head

#endif
