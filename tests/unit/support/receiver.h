// SPDX-License-Identifier: Apache-2.0
// A receiver of HTTP requests for unit tests, on a loopback port of its own and on the loop under test, plain or TLS. It
// says nothing of its own: the test's callbacks answer, late, in pieces, wrongly or not at all.
#ifndef HARBINGER_TESTS_UNIT_SUPPORT_RECEIVER_H
#define HARBINGER_TESTS_UNIT_SUPPORT_RECEIVER_H

#include "base/buf.h"
#include "net/loop.h"
#include "net/tls.h"

enum { RECEIVER_MAX_PEERS = 4096 };

struct receiver;

// One accepted connection.
struct receiver_peer {
  struct loop_io io;
  struct receiver *receiver;
  struct stream *stream; // NULL: closed
  bool greeted;          // TLS handshake done
  bool lost;             // the client closed or reset
  bool lost_by_reset;
  int requests;  // complete ones
  struct buf in; // what came since the last complete request
};

struct receiver {
  struct loop *loop;
  struct loop_io io;
  uint16_t port;
  struct tls_server *tls; // NULL: plain
  bool deaf;              // do not read, not even a TLS hello
  struct receiver_peer peers[RECEIVER_MAX_PEERS];
  int accepted;    // connections in all; peers[accepted - 1] is the newest
  int requests;    // complete requests in all
  char last[8192]; // head and body of the last one
  size_t last_len;
  void *ctx;
  void (*on_accept)(struct receiver_peer *peer, void *ctx);  // may be NULL
  void (*on_request)(struct receiver_peer *peer, void *ctx); // may be NULL
};

struct receiver *receiver_new(struct loop *loop, struct tls_server *tls); // fails the test when it cannot
void receiver_free(struct receiver *receiver);
void peer_send(struct receiver_peer *peer, struct str data); // all of it must fit the socket
void peer_close(struct receiver_peer *peer);
void peer_reset(struct receiver_peer *peer); // with RST

#endif
