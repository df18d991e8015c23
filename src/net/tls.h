// SPDX-License-Identifier: Apache-2.0
// TLS by OpenSSL: contexts for the listener and for outgoing connections with one parsed trust store shared by all
// (parsing the system's bundle per connection costs 65 times a handshake), and a non-blocking byte stream over a socket
// that is plain or TLS. Streams belong to one loop thread; contexts are read-only after they are made and shared.
// app/ reads files and hands over bytes.
//
// SIGPIPE: all sending uses MSG_NOSIGNAL, under TLS through a BIO of our own, so nobody needs to ignore the signal.
// Descriptors must be non-blocking. Making a stream that fails leaves the descriptor to the caller. An end of the
// connection without close_notify is STREAM_FAILED (ERR_IO), since it may have been cut by a stranger.
#ifndef HARBINGER_NET_TLS_H
#define HARBINGER_NET_TLS_H

#include "base/error.h"
#include "base/str.h"

struct tls_server;  // certificate and key of the listener
struct tls_client;  // trust store of outgoing connections
struct tls_session; // a session ticket for resumption, kept per pool key

// PEM bytes: chain (leaf first) and key. TLS 1.2 and later.
struct tls_server *tls_server_new(struct str chain_pem, struct str key_pem, struct error *err) MUST_CHECK;
void tls_server_free(struct tls_server *server); // streams that use it keep it alive

// Trust: `ca_pem` when not empty (setting tls.ca_file), else the system's bundle at its compiled-in path; SSL_CERT_FILE and
// SSL_CERT_DIR of the environment are ignored.
struct tls_client *tls_client_new(struct str ca_pem, struct error *err) MUST_CHECK;
void tls_client_free(struct tls_client *client);
void tls_session_free(struct tls_session *session);

enum stream_result {
  STREAM_OK = 0,
  STREAM_WANT_READ,  // wait for EPOLLIN, then call the same again
  STREAM_WANT_WRITE, // wait for EPOLLOUT
  STREAM_EOF,        // clean end from the peer
  STREAM_FAILED,     // `err` says why
};

struct stream; // owns the descriptor once it is made

struct stream *stream_new_plain(int fd) MUST_CHECK;
struct stream *stream_new_server(int fd, struct tls_server *server, struct error *err) MUST_CHECK;
// `host`: SNI and the name that the certificate must carry (an IP literal: its IP SAN, no SNI). `verify` false accepts any
// certificate. `resume` may be NULL.
struct stream *stream_new_client(int fd, struct tls_client *client, struct str host, bool verify,
                                 struct tls_session *resume, struct error *err) MUST_CHECK;
void stream_free(struct stream *stream); // closes; sends close_notify if it can at once
// To be freed without close_notify and with RST: the peer is not to take what it has for the whole.
void stream_reset(struct stream *stream);
// Say that nothing more will be sent (close_notify, FIN) and keep the receiving side open: for a lingering close.
void stream_shutdown(struct stream *stream);

int stream_fd(const struct stream *stream);
bool stream_is_tls(const struct stream *stream);
// Plain streams are done at once. On STREAM_FAILED the words name the cause: "certificate has expired", "certificate is
// not for NAME", "certificate is signed by an authority that is not trusted" ...
enum stream_result stream_handshake(struct stream *stream, struct error *err) MUST_CHECK;
enum stream_result stream_read(struct stream *stream, char *out, size_t size, size_t *got, struct error *err)
    MUST_CHECK;
// The same for pieces larger than a TLS record: as many of them as are there.
enum stream_result stream_read_piece(struct stream *stream, char *out, size_t size, size_t *got, struct error *err)
    MUST_CHECK;
enum stream_result stream_write(struct stream *stream, struct str data, size_t *written, struct error *err) MUST_CHECK;
// Bytes already decrypted and not yet read (they raise no EPOLLIN).
bool stream_pending(const struct stream *stream);
bool stream_resumed(const struct stream *stream);
// The newest ticket, or NULL; the caller owns it.
// A session is used again only for the host, trust store and `verify` it was made with (a verified one also when
// `verify` is false): handing the wrong one to stream_new_client means a full handshake, never a skipped check.
struct tls_session *stream_take_session(struct stream *stream);

#endif
