// SPDX-License-Identifier: Apache-2.0
// What tls.c (contexts) and stream.c (byte streams) share. Not for others.
//
// A context is counted: its owner holds one reference and each stream and kept session another, so that freeing or
// swapping a context never pulls it from under a connection. The count is atomic because the threads share contexts;
// the rest is read-only once made.
#ifndef HARBINGER_NET_TLS_INTERNAL_H
#define HARBINGER_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "net/tls.h"

enum { TLS_HOST_BYTES = 256 }; // a host name with its NUL (RFC 1035 2.3.4)

struct tls_server {
  atomic_size_t references;
  SSL_CTX *ctx;
  BIO_METHOD *bio_method;
};

struct tls_client {
  atomic_size_t references;
  SSL_CTX *ctx;
  BIO_METHOD *bio_method;
  size_t authorities; // certificates in the trust store; 0 earns a hint when a handshake fails
};

// A session proves what its first handshake checked and nothing more: it is used again only for the same host,
// the same trust store and the same strictness.
struct tls_session {
  SSL_SESSION *session;
  struct tls_client *client;
  bool verified;
  char host[TLS_HOST_BYTES];
};

void tls_server_release(struct tls_server *server);
void tls_client_release(struct tls_client *client);

// stream.c: a BIO over recv and send with MSG_NOSIGNAL (OpenSSL's own uses write(2), which raises SIGPIPE), and the
// callback that keeps the newest session of a stream.
BIO_METHOD *stream_bio_method_new(void) MUST_CHECK;
int stream_on_new_session(SSL *ssl, SSL_SESSION *session);

// Words for the first error in OpenSSL's queue of this thread; empties the queue.
const char *tls_error_words(char out[static 256]);

#endif
