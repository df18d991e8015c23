// SPDX-License-Identifier: Apache-2.0
#include "secure.h"

#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wall.h"

static SSL_CTX *checked(SSL_CTX *context, int well, const char *what) {
  if (!context || well != 1) {
    ERR_print_errors_fp(stderr);
    give_up("secure", what);
  }
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return context;
}

SSL_CTX *secure_client(const char *ca_file) {
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  int well = context ? SSL_CTX_load_verify_locations(context, ca_file, NULL) : 0;
  checked(context, well, ca_file);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  return context;
}

SSL_CTX *secure_server(const char *cert_file, const char *key_file) {
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  int well = context && SSL_CTX_use_certificate_chain_file(context, cert_file) == 1
                 ? SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM)
                 : 0;
  return checked(context, well, cert_file);
}

SSL *secure_wrap(SSL_CTX *context, int fd, int is_server, SSL_SESSION *session) {
  SSL *ssl = SSL_new(context);
  if (!ssl || SSL_set_fd(ssl, fd) != 1)
    give_up("secure", "no memory");
  if (is_server)
    SSL_set_accept_state(ssl);
  else
    SSL_set_connect_state(ssl);
  if (session)
    SSL_set_session(ssl, session);
  return ssl;
}

static ssize_t outcome(SSL *ssl, int got) {
  if (got > 0)
    return got;
  int why = SSL_get_error(ssl, got);
  ERR_clear_error();
  return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? SECURE_AGAIN : SECURE_GONE;
}

ssize_t secure_read(SSL *ssl, int fd, char *into, size_t len) {
  if (ssl)
    return outcome(ssl, SSL_read(ssl, into, (int)len));
  ssize_t got = recv(fd, into, len, MSG_DONTWAIT);
  return got >= 0 ? got : errno == EAGAIN ? SECURE_AGAIN : SECURE_GONE;
}

ssize_t secure_write(SSL *ssl, int fd, const char *from, size_t len) {
  if (ssl)
    return outcome(ssl, SSL_write(ssl, from, (int)len));
  ssize_t sent = send(fd, from, len, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent >= 0 ? sent : errno == EAGAIN ? SECURE_AGAIN : SECURE_GONE;
}

void secure_close(SSL *ssl, int fd) {
  if (ssl) {
    SSL_set_quiet_shutdown(ssl, 1);
    SSL_shutdown(ssl);
    SSL_free(ssl);
  }
  close(fd);
}
