// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/tls_internal.h"

// More than any real bundle or chain has; the bound keeps a wrong file from being read for ever.
enum { TLS_MAX_CHAIN = 16, TLS_MAX_AUTHORITIES = 4096 };

const char *tls_error_words(char out[static 256]) {
  unsigned long code = ERR_get_error();
  const char *reason = code ? ERR_reason_error_string(code) : NULL;
  if (reason)
    OPENSSL_strlcpy(out, reason, 256);
  else
    ERR_error_string_n(code, out, 256);
  ERR_clear_error();
  return out;
}

// A key with a passphrase must fail: OpenSSL would ask for it on the terminal.
static int tls_no_passphrase(char *out, int size, int writing, void *arg) {
  (void)out;
  (void)size;
  (void)writing;
  (void)arg;
  return -1;
}

static BIO *tls_pem_reader(struct str pem, struct error *err) {
  BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
  if (!bio)
    error_set(err, ERR_NO_MEMORY, "no memory to read %zu bytes of PEM", pem.len);
  return bio;
}

static X509 *tls_next_certificate(BIO *bio) {
  return PEM_read_bio_X509_AUX(bio, NULL, tls_no_passphrase, NULL);
}

// True when the reader stopped because the text had no further PEM block, not because a block was broken.
static bool tls_pem_ended(void) {
  unsigned long code = ERR_peek_last_error();
  bool ended = !code || (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE);
  if (ended)
    ERR_clear_error();
  return ended;
}

static int tls_configure(SSL_CTX *ctx, struct error *err) {
  if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION))
    return error_set(err, ERR_TLS, "OpenSSL does not offer TLS 1.2");
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // One recv for a whole record instead of one for its header and one for the rest.
  SSL_CTX_set_read_ahead(ctx, 1);
  return 0;
}

static int tls_use_chain(SSL_CTX *ctx, struct str pem, struct error *err) {
  char words[256];
  BIO *bio = tls_pem_reader(pem, err);
  if (!bio)
    return ERR_NO_MEMORY;
  int count = 0;
  int rc = 0;
  ERR_clear_error();
  for (X509 *cert; rc == 0 && (cert = tls_next_certificate(bio)); count++) {
    if (count == TLS_MAX_CHAIN)
      rc = error_set(err, ERR_CONFIG, "the certificate file has more than %d certificates", TLS_MAX_CHAIN);
    else if (!(count == 0 ? SSL_CTX_use_certificate(ctx, cert) : (int)SSL_CTX_add1_chain_cert(ctx, cert)))
      rc = error_set(err, ERR_CONFIG, "certificate %d of the certificate file cannot be used: %s", count + 1,
                     tls_error_words(words));
    X509_free(cert);
  }
  BIO_free(bio);
  if (rc == 0 && !tls_pem_ended())
    rc = error_set(err, ERR_CONFIG, "certificate %d of the certificate file cannot be read: %s", count + 1,
                   tls_error_words(words));
  if (rc == 0 && count == 0)
    rc = error_set(err, ERR_CONFIG, "the certificate file has no certificate: it must hold PEM, the server's first");
  return rc;
}

static int tls_use_key(SSL_CTX *ctx, struct str pem, struct error *err) {
  char words[256];
  BIO *bio = tls_pem_reader(pem, err);
  if (!bio)
    return ERR_NO_MEMORY;
  ERR_clear_error();
  EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, tls_no_passphrase, NULL);
  BIO_free(bio);
  if (!key) {
    const char *reason = tls_error_words(words);
    return error_set(err, ERR_CONFIG, "the key file cannot be read: %s (it must hold one PEM key without passphrase)",
                     reason);
  }
  int rc = 0;
  if (!SSL_CTX_use_PrivateKey(ctx, key) || !SSL_CTX_check_private_key(ctx))
    rc = error_set(err, ERR_CONFIG, "the key does not belong to the certificate: %s", tls_error_words(words));
  EVP_PKEY_free(key);
  return rc;
}

// RFC 7301: HTTP/1.1 is all we speak; a client that offers only something else is told so by an alert.
static int tls_select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                               const unsigned char *offered, unsigned int offered_len, void *arg) {
  (void)ssl;
  (void)arg;
  static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
  unsigned char *selected = NULL;
  int rc = SSL_select_next_proto(&selected, out_len, ours, sizeof ours - 1, offered, offered_len);
  *out = selected;
  return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int tls_server_open(struct tls_server *server, struct str chain_pem, struct str key_pem, struct error *err) {
  static const unsigned char session_context[] = "harbinger";
  server->bio_method = stream_bio_method_new();
  server->ctx = SSL_CTX_new(TLS_server_method());
  if (!server->ctx || !server->bio_method)
    return error_set(err, ERR_NO_MEMORY, "no memory for a TLS context");
  int rc = tls_configure(server->ctx, err);
  if (rc == 0)
    rc = tls_use_chain(server->ctx, chain_pem, err);
  if (rc == 0)
    rc = tls_use_key(server->ctx, key_pem, err);
  if (rc != 0)
    return rc;
  // Tickets carry the state: no session is kept here, so no number of clients can fill memory.
  SSL_CTX_set_session_cache_mode(server->ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(server->ctx, session_context, sizeof session_context - 1);
  SSL_CTX_set_num_tickets(server->ctx, 1);
  SSL_CTX_set_alpn_select_cb(server->ctx, tls_select_protocol, NULL);
  return 0;
}

struct tls_server *tls_server_new(struct str chain_pem, struct str key_pem, struct error *err) {
  struct tls_server *server = calloc(1, sizeof *server);
  if (!server) {
    error_set(err, ERR_NO_MEMORY, "no memory for a TLS context");
    return NULL;
  }
  atomic_init(&server->references, 1);
  if (tls_server_open(server, chain_pem, key_pem, err) != 0) {
    tls_server_release(server);
    return NULL;
  }
  return server;
}

void tls_server_release(struct tls_server *server) {
  if (atomic_fetch_sub(&server->references, 1) != 1)
    return;
  SSL_CTX_free(server->ctx);
  BIO_meth_free(server->bio_method);
  free(server);
}

void tls_server_free(struct tls_server *server) {
  if (server)
    tls_server_release(server);
}

// The authorities that the operator named.
static int tls_trust_pem(X509_STORE *store, struct str pem, size_t *count, struct error *err) {
  char words[256];
  BIO *bio = tls_pem_reader(pem, err);
  if (!bio)
    return ERR_NO_MEMORY;
  int rc = 0;
  ERR_clear_error();
  for (X509 *cert; rc == 0 && (cert = tls_next_certificate(bio)); (*count)++) {
    if (*count == TLS_MAX_AUTHORITIES)
      rc = error_set(err, ERR_CONFIG, "tls.ca_file has more than %d certificates", TLS_MAX_AUTHORITIES);
    else if (!X509_STORE_add_cert(store, cert))
      rc = error_set(err, ERR_CONFIG, "certificate %zu of tls.ca_file cannot be used: %s", *count + 1,
                     tls_error_words(words));
    X509_free(cert);
  }
  BIO_free(bio);
  if (rc == 0 && !tls_pem_ended())
    rc = error_set(err, ERR_CONFIG, "certificate %zu of tls.ca_file cannot be read: %s", *count + 1,
                   tls_error_words(words));
  if (rc == 0 && *count == 0)
    rc = error_set(err, ERR_CONFIG, "tls.ca_file has no certificate: it must hold PEM");
  return rc;
}

// The system's bundle, where Debian, OpenSSL as built, Fedora and Alpine keep it. None of the paths is taken from the
// environment. A machine without a bundle gets an empty store: it trusts nobody, and failing handshakes say why.
static void tls_trust_system(X509_STORE *store, size_t *count) {
  const char *const paths[] = {
      "/etc/ssl/certs/ca-certificates.crt",
      X509_get_default_cert_file(),
      "/etc/pki/tls/certs/ca-bundle.crt",
      "/etc/ssl/cert.pem",
  };
  for (size_t i = 0; i < ARRAY_LEN(paths) && *count == 0; i++) {
    if (access(paths[i], R_OK) != 0 || !X509_STORE_load_file(store, paths[i]))
      continue;
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    *count = (size_t)sk_X509_OBJECT_num(objects);
  }
  ERR_clear_error();
}

static int tls_client_open(struct tls_client *client, struct str ca_pem, struct error *err) {
  static const unsigned char protocols[] = "\x08http/1.1";
  client->bio_method = stream_bio_method_new();
  client->ctx = SSL_CTX_new(TLS_client_method());
  X509_STORE *store = X509_STORE_new();
  if (!client->ctx || !client->bio_method || !store) {
    X509_STORE_free(store);
    return error_set(err, ERR_NO_MEMORY, "no memory for a TLS context");
  }
  SSL_CTX_set_cert_store(client->ctx, store); // the context owns it now
  int rc = tls_configure(client->ctx, err);
  if (rc != 0)
    return rc;
  if (ca_pem.len > 0)
    rc = tls_trust_pem(store, ca_pem, &client->authorities, err);
  else
    tls_trust_system(store, &client->authorities);
  if (rc != 0)
    return rc;
  // An intermediate authority, or a receiver's own certificate, may be what the operator trusts.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  SSL_CTX_set_session_cache_mode(client->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(client->ctx, stream_on_new_session);
  if (SSL_CTX_set_alpn_protos(client->ctx, protocols, sizeof protocols - 1) != 0)
    return error_set(err, ERR_NO_MEMORY, "no memory for a TLS context");
  return 0;
}

struct tls_client *tls_client_new(struct str ca_pem, struct error *err) {
  struct tls_client *client = calloc(1, sizeof *client);
  if (!client) {
    error_set(err, ERR_NO_MEMORY, "no memory for a TLS context");
    return NULL;
  }
  atomic_init(&client->references, 1);
  if (tls_client_open(client, ca_pem, err) != 0) {
    tls_client_release(client);
    return NULL;
  }
  return client;
}

void tls_client_release(struct tls_client *client) {
  if (atomic_fetch_sub(&client->references, 1) != 1)
    return;
  SSL_CTX_free(client->ctx);
  BIO_meth_free(client->bio_method);
  free(client);
}

void tls_client_free(struct tls_client *client) {
  if (client)
    tls_client_release(client);
}

void tls_session_free(struct tls_session *session) {
  if (!session)
    return;
  SSL_SESSION_free(session->session);
  tls_client_release(session->client);
  free(session);
}
