// SPDX-License-Identifier: Apache-2.0
// The non-blocking byte stream of net/tls.h: a socket, plain or under TLS.
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/address.h"
#include "net/tls.h"
#include "net/tls_internal.h"

enum { STREAM_PEER_NAME_BYTES = 128 };
enum { STREAM_RECORD_BYTES = 16 * 1024 }; // the most that a TLS record holds (RFC 8446 5.1)

// OpenSSL reads on for as long as a peer sends key updates or tickets, and the loop would stand still meanwhile: a key
// update costs it 30 us and the peer 27 bytes. A call takes little more than one record from the socket; all calls of a
// handshake, and all between two pieces of data, no more than what an honest peer could need.
enum {
  STREAM_MAX_CALL_BYTES = 16 * 1024,
  STREAM_MAX_HANDSHAKE_BYTES = 256 * 1024, // OpenSSL takes chains of 100 KiB
  STREAM_MAX_IDLE_BYTES = 48 * 1024,       // a record not yet complete, and tickets
};

// What only a TLS stream needs: idle plain connections are many and shall be small.
struct stream_tls {
  SSL *ssl;
  struct tls_server *server; // one of the two, with a reference
  struct tls_client *client;
  SSL_SESSION *newest; // client: the last ticket that came
  size_t call_bytes;   // read from the socket in this call
  size_t idle_bytes;   // read from the socket since the start, the end of the handshake, or data came out
  int io_errno;        // why the socket failed under OpenSSL, 0 when it did not
  bool peer_closed;    // recv answered 0
  bool handshaken;
  bool verify;
  bool broken;     // after a fatal error nothing may be sent, not even close_notify
  bool unseen;     // a read behind the one that was answered found an end, or an error, which the next one tells
  bool maybe_more; // the last read did not run dry, so whole records may wait inside OpenSSL
  char host[TLS_HOST_BYTES];
  char peer_name[STREAM_PEER_NAME_BYTES]; // a name in a refused certificate, for the words
};

struct stream {
  int fd;
  struct stream_tls *tls; // NULL: plain
};

static int stream_bio_read(BIO *bio, char *out, int size) {
  struct stream *stream = BIO_get_data(bio);
  struct stream_tls *tls = stream->tls;
  BIO_clear_retry_flags(bio);
  if (tls->call_bytes >= STREAM_MAX_CALL_BYTES) { // the socket stays readable, so that the loop comes back to it
    BIO_set_retry_read(bio);
    return -1;
  }
  ssize_t got = recv(stream->fd, out, (size_t)size, 0);
  if (got > 0) {
    tls->call_bytes += (size_t)got;
    tls->idle_bytes += (size_t)got;
    return (int)got;
  }
  if (got == 0)
    tls->peer_closed = true;
  else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
    BIO_set_retry_read(bio);
  else
    tls->io_errno = errno;
  return (int)got;
}

static int stream_bio_write(BIO *bio, const char *data, int size) {
  struct stream *stream = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  ssize_t sent = send(stream->fd, data, (size_t)size, MSG_NOSIGNAL);
  if (sent >= 0)
    return (int)sent;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
    BIO_set_retry_write(bio);
  else
    stream->tls->io_errno = errno;
  return -1;
}

static long stream_bio_ctrl(BIO *bio, int command, long number, void *arg) {
  (void)number;
  (void)arg;
  struct stream *stream = BIO_get_data(bio);
  switch (command) {
  case BIO_CTRL_FLUSH:
    return 1;
  case BIO_CTRL_EOF:
    return stream && stream->tls->peer_closed;
  default:
    return 0;
  }
}

BIO_METHOD *stream_bio_method_new(void) {
  // No BIO_get_new_index: a process has about a hundred of them, and every reload of certificates would take one.
  BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "harbinger socket");
  if (!method)
    return NULL;
  if (!BIO_meth_set_read(method, stream_bio_read) || !BIO_meth_set_write(method, stream_bio_write) ||
      !BIO_meth_set_ctrl(method, stream_bio_ctrl)) {
    BIO_meth_free(method);
    return NULL;
  }
  return method;
}

// TLS 1.3 sends tickets after the handshake, as many as it likes: the newest is kept. Returning 1 keeps the reference.
int stream_on_new_session(SSL *ssl, SSL_SESSION *session) {
  struct stream *stream = SSL_get_app_data(ssl);
  if (!stream || !SSL_SESSION_is_resumable(session))
    return 0;
  SSL_SESSION_free(stream->tls->newest);
  stream->tls->newest = session;
  return 1;
}

// The first DNS name of a certificate. Left empty when it has none, or one that is not plain: a stranger wrote it.
static void stream_first_name(X509 *cert, char out[static STREAM_PEER_NAME_BYTES]) {
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS)
      continue;
    const char *text = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
    size_t len = (size_t)ASN1_STRING_length(name->d.dNSName);
    bool plain = len > 0 && len < STREAM_PEER_NAME_BYTES;
    for (size_t at = 0; plain && at < len; at++)
      plain = text[at] > ' ' && text[at] < 0x7f;
    if (plain)
      memcpy(out, text, len);
    break;
  }
  GENERAL_NAMES_free(names);
}

// Changes no verdict: it only keeps a refused certificate's name, which is gone when the handshake has failed.
static int stream_on_verify(int ok, X509_STORE_CTX *ctx) {
  SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
  struct stream *stream = ssl ? SSL_get_app_data(ssl) : NULL;
  X509 *cert = X509_STORE_CTX_get0_cert(ctx);
  if (!ok && stream && cert)
    stream_first_name(cert, stream->tls->peer_name);
  return ok;
}

struct stream *stream_new_plain(int fd) {
  struct stream *stream = calloc(1, sizeof *stream);
  if (stream)
    stream->fd = fd;
  return stream;
}

// Everything but the descriptor, which stays the caller's when making a stream fails.
static void stream_discard(struct stream *stream) {
  struct stream_tls *tls = stream->tls;
  if (tls) {
    SSL_free(tls->ssl);
    SSL_SESSION_free(tls->newest);
    if (tls->server)
      tls_server_release(tls->server);
    if (tls->client)
      tls_client_release(tls->client);
    free(tls);
  }
  free(stream);
}

static struct stream *stream_new_tls(int fd, SSL_CTX *ctx, const BIO_METHOD *method, struct error *err) {
  struct stream *stream = stream_new_plain(fd);
  struct stream_tls *tls = stream ? calloc(1, sizeof *tls) : NULL;
  if (!tls) {
    free(stream);
    error_set(err, ERR_NO_MEMORY, "no memory for a TLS connection");
    return NULL;
  }
  stream->tls = tls;
  tls->ssl = SSL_new(ctx);
  BIO *bio = tls->ssl ? BIO_new(method) : NULL;
  if (!bio) {
    stream_discard(stream);
    ERR_clear_error();
    error_set(err, ERR_NO_MEMORY, "no memory for a TLS connection");
    return NULL;
  }
  BIO_set_data(bio, stream);
  BIO_set_init(bio, 1);
  SSL_set_bio(tls->ssl, bio, bio);
  SSL_set_app_data(tls->ssl, stream);
  return stream;
}

struct stream *stream_new_server(int fd, struct tls_server *server, struct error *err) {
  struct stream *stream = stream_new_tls(fd, server->ctx, server->bio_method, err);
  if (!stream)
    return NULL;
  atomic_fetch_add(&server->references, 1);
  stream->tls->server = server;
  SSL_set_accept_state(stream->tls->ssl);
  return stream;
}

// The name that the certificate must carry. Common names are not looked at, as in Go (and so in Harbor): only the
// subject's alternative names count (RFC 9110 4.3.4).
static bool stream_expect_host(struct stream *stream) {
  SSL *ssl = stream->tls->ssl;
  char *host = stream->tls->host;
  X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  struct address address;
  if (address_read(str_of(host), &address))
    return X509_VERIFY_PARAM_set1_ip(param, address.bytes, address.family == AF_INET ? 4 : 16);
  return SSL_set_tlsext_host_name(ssl, host) && X509_VERIFY_PARAM_set1_host(param, host, 0);
}

static void stream_resume(struct stream *stream, const struct tls_session *resume) {
  const struct stream_tls *tls = stream->tls;
  if (!resume || resume->client != tls->client || (tls->verify && !resume->verified) ||
      !str_ieq(str_of(resume->host), str_of(tls->host)))
    return;
  // A copy: OpenSSL marks a TLS 1.3 session as used up when the first connection is through its handshake, and all that
  // begin before that one's own ticket is here would pay for a full handshake. Servers take a ticket more than once; that
  // an onlooker can link such connections (RFC 8446 C.4) tells him no more than our address does.
  SSL_SESSION *copy = SSL_SESSION_dup(resume->session);
  // Failing costs a full handshake, nothing else.
  if (!copy || !SSL_set_session(tls->ssl, copy))
    ERR_clear_error();
  SSL_SESSION_free(copy); // the connection holds it
}

struct stream *stream_new_client(int fd, struct tls_client *client, struct str host, bool verify,
                                 struct tls_session *resume, struct error *err) {
  if (host.len == 0 || host.len >= TLS_HOST_BYTES || memchr(host.ptr, 0, host.len)) {
    error_set(err, ERR_INVALID, "not a host name: %.*s", (int)(host.len < 64 ? host.len : 64), host.ptr);
    return NULL;
  }
  struct stream *stream = stream_new_tls(fd, client->ctx, client->bio_method, err);
  if (!stream)
    return NULL;
  atomic_fetch_add(&client->references, 1);
  stream->tls->client = client;
  stream->tls->verify = verify;
  memcpy(stream->tls->host, host.ptr, host.len);
  SSL_set_connect_state(stream->tls->ssl);
  SSL_set_verify(stream->tls->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, verify ? stream_on_verify : NULL);
  if (!stream_expect_host(stream)) {
    stream_discard(stream);
    ERR_clear_error();
    error_set(err, ERR_NO_MEMORY, "no memory for a TLS connection");
    return NULL;
  }
  stream_resume(stream, resume);
  return stream;
}

void stream_free(struct stream *stream) {
  if (!stream)
    return;
  struct stream_tls *tls = stream->tls;
  if (tls) {
    ERR_clear_error();
    if (!tls->broken && SSL_is_init_finished(tls->ssl))
      SSL_shutdown(tls->ssl);
    // Told that it is shut down, OpenSSL leaves the session usable for the next connection.
    SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    ERR_clear_error();
  }
  close(stream->fd);
  stream_discard(stream);
}

void stream_reset(struct stream *stream) {
  const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  (void)!setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  if (stream->tls)
    stream->tls->broken = true;
}

int stream_fd(const struct stream *stream) {
  return stream->fd;
}

bool stream_is_tls(const struct stream *stream) {
  return stream->tls != NULL;
}

void stream_shutdown(struct stream *stream) {
  struct stream_tls *tls = stream->tls;
  if (tls && !tls->broken && SSL_is_init_finished(tls->ssl)) {
    ERR_clear_error();
    SSL_shutdown(tls->ssl);
    ERR_clear_error();
  }
  shutdown(stream->fd, SHUT_WR);
}

static void stream_name_words(const struct stream *stream, struct error *err) {
  const struct stream_tls *tls = stream->tls;
  if (tls->peer_name[0])
    error_set(err, ERR_TLS, "certificate is not for %s (it is for %s)", tls->host, tls->peer_name);
  else
    error_set(err, ERR_TLS, "certificate is not for %s (it carries no DNS name; a common name does not count)",
              tls->host);
}

// Why the peer's certificate was refused. False when it was not the certificate.
static bool stream_certificate_words(const struct stream *stream, struct error *err) {
  const struct stream_tls *tls = stream->tls;
  if (!tls->client || !tls->verify)
    return false;
  long reason = SSL_get_verify_result(tls->ssl);
  switch (reason) {
  case X509_V_OK:
    return false;
  case X509_V_ERR_CERT_HAS_EXPIRED:
    error_set(err, ERR_TLS, "certificate has expired");
    return true;
  case X509_V_ERR_CERT_NOT_YET_VALID:
    error_set(err, ERR_TLS, "certificate is not yet valid (or this machine's clock is behind)");
    return true;
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    error_set(err, ERR_TLS, "certificate is self-signed and not trusted (add it to tls.ca_file)");
    return true;
  case X509_V_ERR_HOSTNAME_MISMATCH:
  case X509_V_ERR_IP_ADDRESS_MISMATCH:
    stream_name_words(stream, err);
    return true;
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    error_set(err, ERR_TLS, "certificate is signed by an authority that is not trusted%s",
              tls->client->authorities > 0
                  ? ""
                  : " (this machine has no bundle of authorities: install ca-certificates or set tls.ca_file)");
    return true;
  default:
    error_set(err, ERR_TLS, "certificate was refused: %s", X509_verify_cert_error_string(reason));
    return true;
  }
}

static void stream_protocol_words(const struct stream *stream, struct error *err) {
  char words[256];
  unsigned long code = ERR_peek_error();
  int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
  switch (reason) {
  case SSL_R_WRONG_VERSION_NUMBER:
  case SSL_R_HTTP_REQUEST:
  case SSL_R_HTTPS_PROXY_REQUEST:
  case SSL_R_PACKET_LENGTH_TOO_LONG:
    error_set(err, ERR_TLS, "the peer does not speak TLS on this port");
    break;
  case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
  case SSL_R_UNSUPPORTED_PROTOCOL:
    error_set(err, ERR_TLS, "the peer does not offer TLS 1.2 or later");
    break;
  case SSL_R_UNEXPECTED_EOF_WHILE_READING:
    error_set(err, ERR_IO, "connection was closed without the end of the TLS session");
    break;
  default:
    error_set(err, ERR_TLS, "TLS failed: %s", tls_error_words(words));
    break;
  }
  if (!SSL_is_init_finished(stream->tls->ssl))
    error_context(err, "TLS handshake");
}

static void stream_socket_words(int io_errno, struct error *err) {
  char words[128];
  error_set(err, ERR_IO, "%s", error_errno(io_errno, words));
}

// What a call into OpenSSL that gave `rc` <= 0 means. Empties the error queue.
static enum stream_result stream_tls_result(struct stream *stream, int rc, struct error *err) {
  struct stream_tls *tls = stream->tls;
  switch (SSL_get_error(tls->ssl, rc)) {
  case SSL_ERROR_WANT_READ:
    if (tls->idle_bytes <= (tls->handshaken ? STREAM_MAX_IDLE_BYTES : STREAM_MAX_HANDSHAKE_BYTES))
      return STREAM_WANT_READ;
    tls->broken = true;
    error_set(err, ERR_TLS, "the peer sends TLS messages without end and no data");
    return STREAM_FAILED;
  case SSL_ERROR_WANT_WRITE:
    return STREAM_WANT_WRITE;
  case SSL_ERROR_ZERO_RETURN:
    return STREAM_EOF;
  default:
    break;
  }
  tls->broken = true;
  if (tls->io_errno)
    stream_socket_words(tls->io_errno, err);
  else if (!stream_certificate_words(stream, err))
    stream_protocol_words(stream, err);
  ERR_clear_error();
  return STREAM_FAILED;
}

enum stream_result stream_handshake(struct stream *stream, struct error *err) {
  if (!stream->tls)
    return STREAM_OK;
  ERR_clear_error();
  stream->tls->call_bytes = 0;
  int rc = SSL_do_handshake(stream->tls->ssl);
  if (rc == 1) {
    stream->tls->handshaken = true;
    stream->tls->idle_bytes = 0;
    // The peer's first bytes may have come with the end of its handshake.
    stream->tls->maybe_more = true;
    return STREAM_OK;
  }
  return stream_tls_result(stream, rc, err);
}

static enum stream_result stream_plain_read(struct stream *stream, char *out, size_t size, size_t *got,
                                            struct error *err) {
  ssize_t rc = recv(stream->fd, out, size, 0);
  if (rc > 0) {
    *got = (size_t)rc;
    return STREAM_OK;
  }
  if (rc == 0)
    return STREAM_EOF;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
    return STREAM_WANT_READ;
  stream_socket_words(errno, err);
  return STREAM_FAILED;
}

enum stream_result stream_read(struct stream *stream, char *out, size_t size, size_t *got, struct error *err) {
  *got = 0;
  if (size == 0)
    return STREAM_OK;
  if (!stream->tls)
    return stream_plain_read(stream, out, size, got, err);
  ERR_clear_error();
  stream->tls->call_bytes = 0;
  int rc = SSL_read_ex(stream->tls->ssl, out, size, got);
  stream->tls->maybe_more = rc == 1;
  stream->tls->unseen = false;
  if (rc == 1)
    stream->tls->idle_bytes = 0;
  return rc == 1 ? STREAM_OK : stream_tls_result(stream, rc, err);
}

enum stream_result stream_read_piece(struct stream *stream, char *out, size_t size, size_t *got, struct error *err) {
  enum stream_result result = stream_read(stream, out, size, got, err);
  struct error ignored;
  while (result == STREAM_OK && stream->tls && size - *got >= STREAM_RECORD_BYTES) {
    size_t more;
    enum stream_result further = stream_read(stream, out + *got, size - *got, &more, &ignored);
    stream->tls->unseen = further != STREAM_OK && further != STREAM_WANT_READ;
    if (further != STREAM_OK)
      break;
    *got += more;
  }
  return result;
}

static enum stream_result stream_plain_write(struct stream *stream, struct str data, size_t *written,
                                             struct error *err) {
  ssize_t rc = send(stream->fd, data.ptr, data.len, MSG_NOSIGNAL);
  if (rc >= 0) {
    *written = (size_t)rc;
    return STREAM_OK;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
    return STREAM_WANT_WRITE;
  stream_socket_words(errno, err);
  return STREAM_FAILED;
}

enum stream_result stream_write(struct stream *stream, struct str data, size_t *written, struct error *err) {
  *written = 0;
  if (data.len == 0)
    return STREAM_OK;
  if (!stream->tls)
    return stream_plain_write(stream, data, written, err);
  ERR_clear_error();
  stream->tls->call_bytes = 0;
  int rc = SSL_write_ex(stream->tls->ssl, data.ptr, data.len, written);
  return rc == 1 ? STREAM_OK : stream_tls_result(stream, rc, err);
}

bool stream_pending(const struct stream *stream) {
  const struct stream_tls *tls = stream->tls;
  return tls && (tls->unseen || SSL_pending(tls->ssl) > 0 || (tls->maybe_more && SSL_has_pending(tls->ssl)));
}

bool stream_resumed(const struct stream *stream) {
  return stream->tls && SSL_session_reused(stream->tls->ssl);
}

struct tls_session *stream_take_session(struct stream *stream) {
  struct stream_tls *tls = stream->tls;
  if (!tls || !tls->newest)
    return NULL;
  struct tls_session *session = calloc(1, sizeof *session);
  if (!session)
    return NULL;
  session->session = tls->newest;
  tls->newest = NULL;
  session->client = tls->client;
  atomic_fetch_add(&tls->client->references, 1);
  session->verified = tls->verify;
  memcpy(session->host, tls->host, sizeof session->host);
  return session;
}
