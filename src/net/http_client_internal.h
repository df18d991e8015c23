// SPDX-License-Identifier: Apache-2.0
// What the files of the HTTP client share; nobody else includes it. http_client.c owns calls and their deadlines,
// http_pool.c keys, idle connections and TLS tickets, http_connect.c the way from a name to a finished handshake,
// http_exchange.c one request and its answer, http_exchange_stream.c the same with bodies that come bit by bit. A call is in exactly one state; every way to its end goes through
// call_finish, call_fail or http_call_cancel. Loop thread only.
#ifndef HARBINGER_NET_HTTP_CLIENT_INTERNAL_H
#define HARBINGER_NET_HTTP_CLIENT_INTERNAL_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "net/http_client.h"

enum {
  HTTP_MAX_DIALS = 4,            // connection attempts of one call that run side by side
  HTTP_DIAL_STAGGER_MS = 250,    // RFC 8305 5: the next address starts after this
  HTTP_MAX_INFORMATIONAL = 8,    // 1xx answers before the final one
  HTTP_READ_BYTES = 16 * 1024,   // one read; also one TLS record
  HTTP_PIECE_BYTES = 64 * 1024,  // one of a body that comes bit by bit
  HTTP_JOINED_BYTES = 16 * 1024, // head and body up to this leave in one write
  HTTP_MAX_REQUEST_HEAD_BYTES = 64 * 1024,
  HTTP_MAX_OUT_BYTES = HTTP_MAX_REQUEST_HEAD_BYTES + HTTP_PIECE_BYTES + 64, // a piece with its frame, behind the head
  HTTP_SPARE_CALLS = 128,  // ended calls kept for the next, so that a delivery allocates nothing
  HTTP_MAX_IDLE_WAKES = 8, // times an idle TLS connection may wake us without data (tickets)
};

struct http_dial;

// Where a connection leads and under which rules it was made: the unit of reuse.
struct http_pool_key {
  struct list idle;              // struct client_conn.key_node, used last at the back
  struct tls_session *session;   // newest ticket, or NULL
  struct list_node session_node; // in client->sessions while there is a ticket, used last at the back
  size_t users;                  // connections and calls that point here
  size_t len;
  char bytes[];
};

struct client_conn {
  struct loop_io io;
  struct http_client *client;
  struct http_pool_key *key;
  struct http_call *call; // NULL when idle
  struct stream *stream;  // owns the descriptor; NULL while connecting, then io.fd is ours
  struct http_parser *parser;
  struct list_node key_node;  // key->idle
  struct list_node idle_node; // client->idle
  struct address peer;
  int64_t created_us, idle_since_us;
  int idle_wakes;
  bool reused; // has carried an exchange before
};

enum call_state {
  CALL_STARTING,    // in client->starting
  CALL_RESOLVING,   // query
  CALL_CONNECTING,  // dial
  CALL_HANDSHAKING, // conn
  CALL_EXCHANGING,  // conn
  CALL_ENDED,
};

// What came of an answer and was not given because the receiver pauses.
enum call_owed { OWED_NOTHING, OWED_DONE, OWED_CUT };

// Of a call with http_call_stream.
struct call_stream {
  struct http_call *call;
  struct http_call_stream to;
  struct list_node soon_node; // client->soon, when is_soon
  size_t out_sent;            // of call->out, which is what the socket has not taken yet
  uint64_t body_left;         // of an announced length
  int64_t progress_us;        // when the peer last did something, or we began to wait for it
  char *rest;                 // of the answer, read and not parsed
  size_t rest_len;
  enum call_owed owed;
  bool more_input; // something followed the answer
  bool is_soon;
  bool in_step;     // the step goes on by itself
  bool again;       // it wants another one
  bool asked;       // on_sendable was called, and nothing came yet
  bool ended;       // the last byte of the body is in `out` or gone
  bool complete;    // the request has left
  bool blocked;     // the socket takes no more
  bool broken;      // the producer stopped short of what it announced
  bool paused;      // the receiver rests
  bool held;        // `rest`, which may be empty, is to be parsed when it goes on
  bool read_again;  // without waiting for an event
  bool read_writes; // TLS must write before it reads on
};

struct http_call {
  struct http_client *client;
  struct list_node node; // client->starting, client->running or client->spare
  struct list *home;
  enum call_state state;
  struct http_call_params params;
  struct http_pool_key *key;
  struct resolver_query *query;
  struct http_dial *dial;
  struct client_conn *conn;
  struct loop_timer timer; // the nearest of the deadlines below
  int64_t started_us;
  int64_t total_deadline_us;
  int64_t connect_deadline_us;    // while connecting or handshaking
  int64_t stagger_us;             // while connecting: when the next address starts
  int64_t first_byte_deadline_us; // 0 until the request has left
  struct buf out;                 // head, and the body when it fits
  struct buf body;                // kept part of the answer
  size_t head_bytes, sent_bytes;
  uint64_t answer_body_bytes;
  int informational;
  bool answer_began; // a byte of the answer came
  bool answered;     // the final head is complete
  bool answer_cut;   // more came than was kept, or the body was cut short
  bool send_failed;  // the peer takes no more of the request; it may have answered
  bool request_started;
  bool retried;                // a reused connection died under it once, or must not again
  bool told_connected;         // once, also when the call is retried
  bool in_callback, cancelled; // cancelled from inside on_connected
  bool reused, tls_resumed;
  struct address peer;
  struct http_timings timings;
  const char *cut_words;      // why the answer's body is not whole; NULL: nothing to say
  struct call_stream *stream; // NULL: bodies are whole
};

struct http_client {
  struct loop *loop;
  struct resolver *resolver;
  struct egress *guard;
  struct tls_client *tls;
  struct http_client_config config;
  const struct log *log;
  struct list starting, running, spare; // struct http_call.node
  struct list soon;                     // struct call_stream.soon_node: what is not done inside the caller's calls
  size_t calls;
  struct map *keys;                // struct http_pool_key
  struct list idle;                // struct client_conn.idle_node, oldest first
  struct list sessions;            // struct http_pool_key.session_node
  struct loop_timer start_timer;   // set while `starting` or `soon` is not empty
  struct loop_timer idle_timer;    // set while `idle` is not empty
  char read_buf[HTTP_PIECE_BYTES]; // answers are parsed straight from here
};

// http_pool.c

int http_pool_init(struct http_client *client, struct error *err) MUST_CHECK;
void http_pool_free(struct http_client *client);
// The key of a call; made when new. NULL: no memory. Give back with http_pool_key_unref.
struct http_pool_key *http_pool_key_of(struct http_client *client, const struct http_call_params *params) MUST_CHECK;
void http_pool_key_unref(struct http_client *client, struct http_pool_key *key);
// An idle connection that is young enough, used last first; NULL when there is none.
struct client_conn *http_pool_take(struct http_client *client, struct http_pool_key *key) MUST_CHECK;
void http_pool_put(struct client_conn *conn);           // idle from now on, or closed when there is no room
bool http_pool_drop_oldest(struct http_client *client); // frees a descriptor; false when nothing is idle
void http_pool_idle_ready(struct client_conn *conn);    // something happened on an idle connection
void http_pool_drop_session(struct http_client *client, struct http_pool_key *key); // the key is in use
void http_pool_keep_session(struct client_conn *conn);                              // move a new ticket to the key
// A connection that is not yet in the pool; takes a reference to the key. NULL: no memory.
struct client_conn *client_conn_new(struct http_client *client, struct http_pool_key *key) MUST_CHECK;
void client_conn_close(struct client_conn *conn); // NULL is fine; it must not be idle
void client_conn_reset(struct client_conn *conn); // closed with RST, so that the peer sees the request as broken off

// http_connect.c

void call_connect(struct http_call *call);       // from the name, or the literal address, to call_exchange
void call_connect_timer(struct http_call *call); // a deadline while connecting passed
void call_handshake_ready(struct http_call *call);
void call_dial_ready(struct client_conn *conn);
void call_drop_dial(struct http_call *call);

// http_exchange.c

int call_write_head(struct http_call *call, struct error *err) MUST_CHECK; // fills call->out
void call_exchange(struct http_call *call);                                // call->conn is connected and shaken hands
void call_exchange_ready(struct http_call *call, uint32_t events);
void call_finish_answered(struct http_call *call, bool reusable);
bool call_request_sent(const struct http_call *call);
bool call_take_head(struct http_call *call); // false: the call has ended
void call_expect_answer(struct http_call *call);
void call_answer_done(struct http_call *call, bool more_input);
void call_answer_cut(struct http_call *call, const char *words);
void call_connection_lost(struct http_call *call, const struct error *cause); // `cause` NULL: closed in order
void call_malformed(struct http_call *call, const char *words);

// http_exchange_stream.c

bool call_stream_new(struct http_call *call, const struct http_call_stream *to) MUST_CHECK;
void call_stream_next(struct http_client *client);            // one of `soon`, if there is one
void call_stream_step(struct http_call *call, bool readable); // send, read and wait; may end the call
// INT64_MAX: nothing is owed to us.
int64_t call_stream_deadline_us(const struct http_call *call);
const char *call_stream_late_words(const struct http_call *call);

// http_client.c

void client_run_soon(struct http_client *client); // `soon`, from the loop
void client_conn_on_ready(struct loop_io *io, uint32_t events);
void call_arm(struct http_call *call);            // set the timer for the state
bool call_tell_connected(struct http_call *call); // false: the call was cancelled, do not touch it
void call_fail(struct http_call *call, enum http_outcome outcome, const struct error *err);
void call_finish(struct http_call *call, struct http_result *result, bool reusable);
void call_describe(const struct http_call *call, struct http_result *result); // all but the outcome and the answer
// After a callback: false when it cancelled the call, which is gone then.
bool call_left_callback(struct http_call *call);
bool call_retry(struct http_call *call); // stale connection: once more; false when it may not be

#endif
