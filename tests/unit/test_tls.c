// SPDX-License-Identifier: Apache-2.0
// TLS streams against each other over a socket pair, with certificates made here: what is refused and in which words,
// what may be resumed, and how a connection ends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/tls.h"

enum { MAX_TURNS = 1000, PEM_BYTES = 64 * 1024, DAY_S = 86400 };

// A key with its certificate.
struct identity {
  EVP_PKEY *key;
  X509 *cert;
};

struct recipe {
  const struct identity *issuer; // NULL: self-signed
  const char *names;             // subjectAltName, NULL: none
  bool authority;
  int from_day, to_day; // from now
};

struct world {
  struct identity authority, stranger, good, self_signed, expired, future, other_name, common_name, unknown;
  struct tls_client *client;
};

struct pair {
  struct stream *client, *server;
  struct error client_err, server_err;
  enum stream_result client_result, server_result;
};

static void identity_extend(struct identity *identity, int nid, const char *value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, identity->cert, identity->cert, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
  assert_non_null(extension);
  assert_int_equal(X509_add_ext(identity->cert, extension, -1), 1);
  X509_EXTENSION_free(extension);
}

static struct identity identity_make(const char *common_name, const struct recipe *recipe) {
  static long serial = 1;
  struct identity identity = {EVP_EC_gen("P-256"), X509_new()};
  assert_non_null(identity.key);
  assert_non_null(identity.cert);
  X509_set_version(identity.cert, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(identity.cert), serial++);
  X509_gmtime_adj(X509_getm_notBefore(identity.cert), (long)recipe->from_day * DAY_S);
  X509_gmtime_adj(X509_getm_notAfter(identity.cert), (long)recipe->to_day * DAY_S);
  X509_set_pubkey(identity.cert, identity.key);
  X509_NAME *name = X509_get_subject_name(identity.cert);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0);
  const struct identity *issuer = recipe->issuer ? recipe->issuer : &identity;
  X509_set_issuer_name(identity.cert, X509_get_subject_name(issuer->cert));
  if (recipe->authority)
    identity_extend(&identity, NID_basic_constraints, "critical,CA:TRUE");
  if (recipe->names)
    identity_extend(&identity, NID_subject_alt_name, recipe->names);
  assert_true(X509_sign(identity.cert, issuer->key, EVP_sha256()) > 0);
  return identity;
}

static void identity_free(struct identity *identity) {
  EVP_PKEY_free(identity->key);
  X509_free(identity->cert);
}

static void bio_into(BIO *bio, struct buf *out) {
  char *data;
  long len = BIO_get_mem_data(bio, &data);
  buf_put(out, (struct str){data, (size_t)len});
  BIO_free(bio);
}

static void cert_pem(const struct identity *identity, struct buf *out) {
  BIO *bio = BIO_new(BIO_s_mem());
  assert_int_equal(PEM_write_bio_X509(bio, identity->cert), 1);
  bio_into(bio, out);
}

static void key_pem(const struct identity *identity, const char *passphrase, struct buf *out) {
  BIO *bio = BIO_new(BIO_s_mem());
  assert_int_equal(PEM_write_bio_PrivateKey(bio, identity->key, passphrase ? EVP_aes_128_cbc() : NULL,
                                            (const unsigned char *)passphrase, passphrase ? (int)strlen(passphrase) : 0,
                                            NULL, NULL),
                   1);
  bio_into(bio, out);
}

static struct tls_client *client_trusting(const struct identity *authority) {
  struct error err;
  struct buf pem;
  buf_init(&pem, PEM_BYTES);
  cert_pem(authority, &pem);
  struct tls_client *client = tls_client_new(buf_str(&pem), &err);
  assert_non_null(client);
  buf_free(&pem);
  return client;
}

static struct tls_server *server_with(const struct identity *identity) {
  struct error err;
  struct buf chain, key;
  buf_init(&chain, PEM_BYTES);
  buf_init(&key, PEM_BYTES);
  cert_pem(identity, &chain);
  key_pem(identity, NULL, &key);
  struct tls_server *server = tls_server_new(buf_str(&chain), buf_str(&key), &err);
  assert_non_null(server);
  buf_free(&chain);
  buf_free(&key);
  return server;
}

static int set_up(void **state) {
  struct world *world = calloc(1, sizeof *world);
  const struct identity *authority = &world->authority;
  const char *names = "DNS:good.example,DNS:*.wild.example,IP:192.0.2.7";
  world->authority = identity_make("test authority", &(struct recipe){NULL, NULL, true, -1, 10});
  world->stranger = identity_make("strange authority", &(struct recipe){NULL, NULL, true, -1, 10});
  world->good = identity_make("good", &(struct recipe){authority, names, false, -1, 10});
  world->self_signed = identity_make("self", &(struct recipe){NULL, names, false, -1, 10});
  world->expired = identity_make("expired", &(struct recipe){authority, names, false, -10, -1});
  world->future = identity_make("future", &(struct recipe){authority, names, false, 1, 10});
  world->other_name = identity_make("other", &(struct recipe){authority, "DNS:other.example", false, -1, 10});
  world->common_name = identity_make("good.example", &(struct recipe){authority, NULL, false, -1, 10});
  world->unknown = identity_make("unknown", &(struct recipe){&world->stranger, names, false, -1, 10});
  world->client = client_trusting(authority);
  *state = world;
  return 0;
}

static int tear_down(void **state) {
  struct world *world = *state;
  struct identity *all[] = {&world->authority,   &world->stranger,    &world->good,
                            &world->self_signed, &world->expired,     &world->future,
                            &world->other_name,  &world->common_name, &world->unknown};
  for (size_t i = 0; i < ARRAY_LEN(all); i++)
    identity_free(all[i]);
  tls_client_free(world->client);
  free(world);
  return 0;
}

static bool waits(enum stream_result result) {
  return result == STREAM_WANT_READ || result == STREAM_WANT_WRITE;
}

static struct pair pair_shake(struct tls_client *client, struct tls_server *server, const char *host, bool verify,
                              struct tls_session *resume) {
  struct pair pair = {.client_result = STREAM_WANT_READ, .server_result = STREAM_WANT_READ};
  int fds[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  pair.client = stream_new_client(fds[0], client, str_of(host), verify, resume, &pair.client_err);
  pair.server = stream_new_server(fds[1], server, &pair.server_err);
  assert_non_null(pair.client);
  assert_non_null(pair.server);
  for (int i = 0; i < MAX_TURNS && (waits(pair.client_result) || waits(pair.server_result)); i++) {
    if (waits(pair.client_result))
      pair.client_result = stream_handshake(pair.client, &pair.client_err);
    if (waits(pair.server_result))
      pair.server_result = stream_handshake(pair.server, &pair.server_err);
    if (pair.client_result == STREAM_FAILED)
      break;
  }
  return pair;
}

static void pair_free(struct pair *pair) {
  stream_free(pair->client);
  stream_free(pair->server);
}

// Bytes from one side to the other.
static void carry(struct stream *from, struct stream *to, const char *text) {
  struct error err;
  struct str left = str_of(text);
  char in[256];
  size_t got_len = 0;
  for (int i = 0; i < MAX_TURNS && got_len < strlen(text); i++) {
    size_t n = 0;
    assert_int_not_equal(stream_write(from, left, &n, &err), STREAM_FAILED);
    left = str_from(left, n);
    enum stream_result result = stream_read(to, in + got_len, sizeof in - got_len, &n, &err);
    assert_true(result == STREAM_OK || waits(result));
    got_len += n;
  }
  assert_int_equal(got_len, strlen(text));
  assert_memory_equal(in, text, got_len);
}

static void test_good_certificate_carries_bytes_both_ways(void **state) {
  struct world *world = *state;
  struct tls_server *server = server_with(&world->good);
  struct pair pair = pair_shake(world->client, server, "good.example", true, NULL);
  tls_server_free(server); // the stream keeps what it needs
  assert_int_equal(pair.client_result, STREAM_OK);
  assert_int_equal(pair.server_result, STREAM_OK);
  assert_true(stream_is_tls(pair.client));
  carry(pair.client, pair.server, "question");
  carry(pair.server, pair.client, "answer");
  pair_free(&pair);
}

static void test_wildcard_and_address_names_are_accepted(void **state) {
  struct world *world = *state;
  struct tls_server *server = server_with(&world->good);
  const char *const hosts[] = {"a.wild.example", "192.0.2.7"};
  for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
    struct pair pair = pair_shake(world->client, server, hosts[i], true, NULL);
    assert_int_equal(pair.client_result, STREAM_OK);
    pair_free(&pair);
  }
  tls_server_free(server);
}

// The handshake fails with these words, and passes when the certificate is not checked.
static void refused(struct world *world, const struct identity *identity, const char *host, const char *words) {
  struct tls_server *server = server_with(identity);
  struct pair strict = pair_shake(world->client, server, host, true, NULL);
  assert_int_equal(strict.client_result, STREAM_FAILED);
  assert_int_equal(strict.client_err.code, ERR_TLS);
  if (!strstr(strict.client_err.text, words))
    fail_msg("\"%s\" does not say \"%s\"", strict.client_err.text, words);
  pair_free(&strict);
  struct pair lax = pair_shake(world->client, server, host, false, NULL);
  assert_int_equal(lax.client_result, STREAM_OK);
  carry(lax.client, lax.server, "unchecked");
  pair_free(&lax);
  tls_server_free(server);
}

static void test_refusals_name_their_cause(void **state) {
  struct world *world = *state;
  refused(world, &world->expired, "good.example", "certificate has expired");
  refused(world, &world->future, "good.example", "certificate is not yet valid");
  refused(world, &world->self_signed, "good.example", "certificate is self-signed");
  refused(world, &world->unknown, "good.example", "certificate is signed by an authority that is not trusted");
  refused(world, &world->other_name, "good.example", "certificate is not for good.example (it is for other.example)");
  refused(world, &world->good, "192.0.2.8", "certificate is not for 192.0.2.8");
  refused(world, &world->good, "a.b.wild.example", "certificate is not for a.b.wild.example");
  refused(world, &world->common_name, "good.example", "a common name does not count");
}

static void test_trusted_receiver_certificate_is_enough(void **state) {
  struct world *world = *state;
  struct tls_client *client = client_trusting(&world->good); // a leaf, not its authority
  struct tls_server *server = server_with(&world->good);
  struct pair pair = pair_shake(client, server, "good.example", true, NULL);
  assert_int_equal(pair.client_result, STREAM_OK);
  pair_free(&pair);
  tls_server_free(server);
  tls_client_free(client);
}

static struct tls_session *session_of(struct tls_client *client, struct tls_server *server, const char *host,
                                      bool verify) {
  struct pair pair = pair_shake(client, server, host, verify, NULL);
  assert_int_equal(pair.client_result, STREAM_OK);
  assert_false(stream_resumed(pair.client));
  carry(pair.server, pair.client, "the ticket comes before this");
  struct tls_session *session = stream_take_session(pair.client);
  assert_non_null(session);
  assert_null(stream_take_session(pair.client));
  pair_free(&pair);
  return session;
}

static bool resumes(struct tls_client *client, struct tls_server *server, const char *host, bool verify,
                    struct tls_session *session) {
  struct pair pair = pair_shake(client, server, host, verify, session);
  assert_int_equal(pair.client_result, STREAM_OK);
  bool resumed = stream_resumed(pair.client);
  carry(pair.client, pair.server, "hello again");
  pair_free(&pair);
  return resumed;
}

// Deliveries begin together: those that start before the first of them has its own ticket have no other than its.
static void test_several_connections_resume_from_one_ticket(void **state) {
  struct world *world = *state;
  struct tls_server *server = server_with(&world->good);
  struct tls_session *session = session_of(world->client, server, "good.example", true);
  struct pair first = pair_shake(world->client, server, "good.example", true, session);
  assert_true(stream_resumed(first.client));
  assert_true(resumes(world->client, server, "good.example", true, session)); // while the first is still open
  pair_free(&first);
  assert_true(resumes(world->client, server, "good.example", true, session));
  tls_session_free(session);
  tls_server_free(server);
}

static void test_session_is_resumed_only_for_what_it_was_checked_for(void **state) {
  struct world *world = *state;
  struct tls_server *server = server_with(&world->good);
  struct tls_session *session = session_of(world->client, server, "good.example", true);
  assert_true(resumes(world->client, server, "good.example", true, session));
  assert_false(resumes(world->client, server, "a.wild.example", true, session));
  tls_session_free(session);
  // A session made without checking is no way around a check.
  session = session_of(world->client, server, "good.example", false);
  assert_false(resumes(world->client, server, "good.example", true, session));
  assert_true(resumes(world->client, server, "good.example", false, session));
  // Nor is one made under another trust store.
  struct tls_client *other = client_trusting(&world->authority);
  assert_false(resumes(other, server, "good.example", false, session));
  tls_client_free(other);
  tls_session_free(session);
  tls_server_free(server);
}

static void test_unchecked_session_does_not_hide_a_bad_certificate(void **state) {
  struct world *world = *state;
  struct tls_server *server = server_with(&world->unknown);
  struct tls_session *session = session_of(world->client, server, "good.example", false);
  struct pair pair = pair_shake(world->client, server, "good.example", true, session);
  assert_int_equal(pair.client_result, STREAM_FAILED);
  pair_free(&pair);
  tls_session_free(session);
  tls_server_free(server);
}

static enum stream_result read_until_settled(struct stream *stream, struct error *err) {
  char in[64];
  size_t got;
  enum stream_result result = STREAM_OK;
  for (int i = 0; i < MAX_TURNS && (result == STREAM_OK || i == 0); i++)
    result = stream_read(stream, in, sizeof in, &got, err);
  return result;
}

static void test_clean_end_and_cut_are_told_apart(void **state) {
  struct world *world = *state;
  struct error err;
  struct tls_server *server = server_with(&world->good);
  struct pair clean = pair_shake(world->client, server, "good.example", true, NULL);
  stream_free(clean.client); // sends close_notify
  assert_int_equal(read_until_settled(clean.server, &err), STREAM_EOF);
  stream_free(clean.server);
  struct pair cut = pair_shake(world->client, server, "good.example", true, NULL);
  assert_int_equal(shutdown(stream_fd(cut.client), SHUT_RDWR), 0); // as a stranger would
  assert_int_equal(read_until_settled(cut.server, &err), STREAM_FAILED);
  assert_int_equal(err.code, ERR_IO);
  pair_free(&cut);
  tls_server_free(server);
}

static void test_writing_to_a_gone_peer_raises_no_signal(void **state) {
  struct world *world = *state;
  struct error err;
  assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR); // it would end this program
  struct tls_server *server = server_with(&world->good);
  struct pair pair = pair_shake(world->client, server, "good.example", true, NULL);
  stream_free(pair.server);
  size_t written;
  enum stream_result result = STREAM_OK;
  for (int i = 0; i < MAX_TURNS && result == STREAM_OK; i++)
    result = stream_write(pair.client, STR("anybody there?"), &written, &err);
  assert_int_equal(result, STREAM_FAILED);
  stream_free(pair.client);
  tls_server_free(server);

  int fds[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  struct stream *plain = stream_new_plain(fds[0]);
  close(fds[1]);
  assert_int_equal(stream_write(plain, STR("x"), &written, &err), STREAM_FAILED);
  assert_non_null(strstr(err.text, "Broken pipe"));
  stream_free(plain);
}

static void test_pending_bytes_are_reported(void **state) {
  struct world *world = *state;
  struct error err;
  struct tls_server *server = server_with(&world->good);
  struct pair pair = pair_shake(world->client, server, "good.example", true, NULL);
  char one;
  size_t n;
  assert_int_equal(stream_write(pair.client, STR("ab"), &n, &err), STREAM_OK);
  assert_int_equal(stream_write(pair.client, STR("c"), &n, &err), STREAM_OK); // a record of its own
  const char *expected = "abc";
  for (int i = 0; i < 3; i++) {
    assert_true(i == 0 || stream_pending(pair.server));
    assert_int_equal(stream_read(pair.server, &one, 1, &n, &err), STREAM_OK);
    assert_int_equal(one, expected[i]);
  }
  assert_int_equal(stream_read(pair.server, &one, 1, &n, &err), STREAM_WANT_READ);
  assert_false(stream_pending(pair.server));
  pair_free(&pair);
  tls_server_free(server);
}

// A client without our stream's manners, its handshake done with `server`. Its socket in *fd.
static SSL *raw_client(SSL_CTX *ctx, struct tls_server *server, struct stream **stream, int *fd) {
  struct error err;
  int fds[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  *stream = stream_new_server(fds[1], server, &err);
  assert_non_null(*stream);
  SSL *client = SSL_new(ctx);
  assert_int_equal(SSL_set_fd(client, fds[0]), 1);
  for (int i = 0; i < MAX_TURNS && SSL_connect(client) != 1; i++)
    assert_int_not_equal(stream_handshake(*stream, &err), STREAM_FAILED);
  while (stream_handshake(*stream, &err) != STREAM_OK)
    assert_true(SSL_is_init_finished(client));
  *fd = fds[0];
  return client;
}

static void test_a_peer_that_sends_no_data_does_not_hold_the_reader(void **state) {
  struct world *world = *state;
  struct error err;
  struct stream *stream;
  int fd, left = 0;
  struct tls_server *server = server_with(&world->good);
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  SSL *client = raw_client(ctx, server, &stream, &fd);
  // Many key updates in few writes, so that more waits in the socket than OpenSSL takes at once.
  BIO *records = BIO_new(BIO_s_mem());
  SSL_set0_wbio(client, records);
  for (int i = 0; i < 10000; i++) {
    assert_int_equal(SSL_key_update(client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(client), 1);
  }
  char *data, in[16];
  long len = BIO_get_mem_data(records, &data);
  ssize_t sent = write(fd, data, (size_t)len);
  assert_true(sent > 100000);
  size_t n;
  assert_int_equal(stream_read(stream, in, sizeof in, &n, &err), STREAM_WANT_READ);
  assert_int_equal(ioctl(fd, TIOCOUTQ, &left), 0);
  assert_true(left > 0); // the others have their turn
  // And one that goes on for ever is given up.
  enum stream_result result = STREAM_WANT_READ;
  for (int i = 0; i < MAX_TURNS && result == STREAM_WANT_READ; i++) {
    ssize_t more = sent < len ? write(fd, data + sent, (size_t)(len - sent)) : 0;
    sent += more > 0 ? more : 0;
    result = stream_read(stream, in, sizeof in, &n, &err);
  }
  assert_int_equal(result, STREAM_FAILED);
  assert_non_null(strstr(err.text, "no data"));
  SSL_free(client);
  SSL_CTX_free(ctx);
  close(fd);
  stream_free(stream);
  tls_server_free(server);
}

static void test_peer_without_tls_is_named_so(void **state) {
  struct world *world = *state;
  struct error err;
  int fds[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  struct stream *client = stream_new_client(fds[0], world->client, STR("good.example"), true, NULL, &err);
  assert_non_null(client);
  assert_int_equal(stream_handshake(client, &err), STREAM_WANT_READ);
  const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
  assert_int_equal(write(fds[1], answer, sizeof answer - 1), sizeof answer - 1);
  assert_int_equal(stream_handshake(client, &err), STREAM_FAILED);
  assert_non_null(strstr(err.text, "does not speak TLS"));
  stream_free(client);
  close(fds[1]);
}

static void test_wrong_files_are_refused_with_words(void **state) {
  struct world *world = *state;
  struct error err;
  struct buf chain, key, other, locked;
  buf_init(&chain, PEM_BYTES);
  buf_init(&key, PEM_BYTES);
  buf_init(&other, PEM_BYTES);
  buf_init(&locked, PEM_BYTES);
  cert_pem(&world->good, &chain);
  key_pem(&world->good, NULL, &key);
  key_pem(&world->self_signed, NULL, &other);
  key_pem(&world->good, "secret", &locked);
  assert_null(tls_server_new(STR("no PEM"), buf_str(&key), &err));
  assert_non_null(strstr(err.text, "has no certificate"));
  assert_null(tls_server_new(buf_str(&chain), STR("no PEM"), &err));
  assert_non_null(strstr(err.text, "key file cannot be read"));
  assert_null(tls_server_new(buf_str(&chain), buf_str(&other), &err));
  assert_non_null(strstr(err.text, "does not belong"));
  assert_null(tls_server_new(buf_str(&chain), buf_str(&locked), &err)); // and nobody is asked on the terminal
  assert_int_equal(err.code, ERR_CONFIG);
  struct str cut = str_slice(buf_str(&chain), 0, chain.len / 2);
  assert_null(tls_server_new(cut, buf_str(&key), &err));
  assert_non_null(strstr(err.text, "certificate 1"));
  assert_null(tls_client_new(STR("no PEM"), &err));
  assert_non_null(strstr(err.text, "tls.ca_file has no certificate"));
  buf_free(&chain);
  buf_free(&key);
  buf_free(&other);
  buf_free(&locked);
}

static void test_environment_does_not_widen_trust(void **state) {
  struct world *world = *state;
  struct error err;
  struct buf pem;
  char path[] = "/tmp/harbinger-test-ca-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  buf_init(&pem, PEM_BYTES);
  cert_pem(&world->authority, &pem);
  assert_int_equal(write(fd, pem.ptr, pem.len), (ssize_t)pem.len);
  close(fd);
  assert_int_equal(setenv("SSL_CERT_FILE", path, 1), 0);
  struct tls_client *client = tls_client_new(STR_EMPTY, &err);
  assert_non_null(client);
  struct tls_server *server = server_with(&world->good);
  struct pair pair = pair_shake(client, server, "good.example", true, NULL);
  assert_int_equal(pair.client_result, STREAM_FAILED);
  assert_non_null(strstr(pair.client_err.text, "not trusted"));
  pair_free(&pair);
  tls_server_free(server);
  tls_client_free(client);
  unsetenv("SSL_CERT_FILE");
  unlink(path);
  buf_free(&pem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_good_certificate_carries_bytes_both_ways),
      cmocka_unit_test(test_wildcard_and_address_names_are_accepted),
      cmocka_unit_test(test_refusals_name_their_cause),
      cmocka_unit_test(test_trusted_receiver_certificate_is_enough),
      cmocka_unit_test(test_session_is_resumed_only_for_what_it_was_checked_for),
      cmocka_unit_test(test_several_connections_resume_from_one_ticket),
      cmocka_unit_test(test_unchecked_session_does_not_hide_a_bad_certificate),
      cmocka_unit_test(test_clean_end_and_cut_are_told_apart),
      cmocka_unit_test(test_writing_to_a_gone_peer_raises_no_signal),
      cmocka_unit_test(test_pending_bytes_are_reported),
      cmocka_unit_test(test_a_peer_that_sends_no_data_does_not_hold_the_reader),
      cmocka_unit_test(test_peer_without_tls_is_named_so),
      cmocka_unit_test(test_wrong_files_are_refused_with_words),
      cmocka_unit_test(test_environment_does_not_widen_trust),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
