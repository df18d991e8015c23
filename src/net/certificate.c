// SPDX-License-Identifier: Apache-2.0
#include "net/certificate.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/address.h"
#include "net/tls_internal.h"

enum {
  HOST_MAX_BYTES = 253,
  LABEL_MAX_BYTES = 63,
  NAMES_MAX_BYTES = CERTIFICATE_MAX_HOSTS * (HOST_MAX_BYTES + 8),
  COMMON_NAME_MAX_BYTES = 64, // RFC 5280 appendix A
  SERIAL_BITS = 127,          // RFC 5280 4.1.2.2: positive, at most 20 octets
  BACKDATED_S = 3600,
};

// ---- names ----------------------------------------------------------------------------------------------------------------

static bool is_address(struct str host) {
  struct address address;

  return address_read(host, &address);
}

static bool label_valid(struct str label) {
  bool valid = label.len > 0 && label.len <= LABEL_MAX_BYTES && label.ptr[0] != '-' && label.ptr[label.len - 1] != '-';

  for (size_t i = 0; valid && i < label.len; i++) {
    char c = label.ptr[i];
    valid = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  }
  return valid;
}

bool certificate_host_valid(struct str host) {
  struct str rest = host, label;
  bool letters = false;

  if (is_address(host))
    return true;
  if (host.len == 0 || host.len > HOST_MAX_BYTES || str_ends(host, STR(".")))
    return false;
  if (str_starts_c(rest, "*."))
    rest = str_from(rest, 2);
  while (str_next(&rest, '.', &label)) {
    if (!label_valid(label))
      return false;
    for (size_t i = 0; i < label.len; i++)
      letters = letters || label.ptr[i] > '9';
  }
  return letters; // 127.1 and the like are no names
}

// ---- pieces -----------------------------------------------------------------------------------------------------------------

static int failed(const char *what, struct error *err) {
  char words[256];

  return error_set(err, ERR_TLS, "cannot make %s: %s", what, tls_error_words(words));
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value, struct error *err) {
  X509V3_CTX ctx;

  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
  int added = extension ? X509_add_ext(cert, extension, -1) : 0;
  X509_EXTENSION_free(extension);
  return added ? 0 : failed("an extension of a certificate", err);
}

static bool set_serial(X509 *cert) {
  BIGNUM *number = BN_new();
  bool set = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
             BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));

  BN_free(number);
  return set;
}

static bool set_times(X509 *cert, int days, int64_t now_us) {
  time_t now = (time_t)(now_us / US_PER_S);

  // The hour before counts: not a second more than `days` in all.
  return X509_time_adj_ex(X509_getm_notBefore(cert), 0, -BACKDATED_S, &now) &&
         X509_time_adj_ex(X509_getm_notAfter(cert), days, -BACKDATED_S - 1, &now);
}

static bool set_subject(X509 *cert, struct str name) {
  size_t len = name.len < COMMON_NAME_MAX_BYTES ? name.len : COMMON_NAME_MAX_BYTES;

  return X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8, (const unsigned char *)name.ptr,
                                    (int)len, -1, 0);
}

// Without signature and extensions.
static X509 *begin(EVP_PKEY *key, struct str subject, X509 *issuer, int days, int64_t now_us, struct error *err) {
  X509 *cert = X509_new();

  if (cert && X509_set_version(cert, X509_VERSION_3) && set_serial(cert) && set_times(cert, days, now_us) &&
      set_subject(cert, subject) && X509_set_pubkey(cert, key) &&
      X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)))
    return cert;
  X509_free(cert);
  (void)failed("a certificate", err);
  return NULL;
}

static struct str pem_of(X509 *cert, X509 *issuer, EVP_PKEY *key, struct arena *arena) {
  BIO *bio = BIO_new(BIO_s_mem());
  struct str copy = {0};
  char *text = NULL;
  bool written = bio && (!cert || PEM_write_bio_X509(bio, cert)) && (!issuer || PEM_write_bio_X509(bio, issuer)) &&
                 (!key || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
  long len = written ? BIO_get_mem_data(bio, &text) : 0;

  if (len > 0)
    copy = arena_str(arena, (struct str){text, (size_t)len});
  if (key && len > 0)
    OPENSSL_cleanse(text, (size_t)len);
  BIO_free(bio);
  return copy;
}

// ---- the two certificates ---------------------------------------------------------------------------------------------------

static X509 *make_authority(const struct certificate_request *request, EVP_PKEY *key, struct error *err) {
  char name[COMMON_NAME_MAX_BYTES + 1];

  (void)snprintf(name, sizeof name, "Harbinger CA of %.*s", STR_ARG(request->hosts[0]));
  X509 *cert = begin(key, str_of(name), NULL, CERTIFICATE_CA_DAYS, request->now_us, err);
  if (cert && add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0", err) == 0 &&
      add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign", err) == 0 &&
      add_extension(cert, cert, NID_subject_key_identifier, "hash", err) == 0 &&
      (X509_sign(cert, key, EVP_sha256()) != 0 || failed("a signature", err) == 0))
    return cert;
  X509_free(cert);
  return NULL;
}

// "DNS:registry.example.com,IP:192.0.2.7": the grammar of hosts has no comma, and nothing else that this syntax knows.
static int alternative_names(const struct certificate_request *request, struct arena *arena, const char **out,
                             struct error *err) {
  struct buf names;

  buf_init(&names, NAMES_MAX_BYTES);
  for (size_t i = 0; i < request->hosts_len; i++)
    buf_printf(&names, "%s%s:%.*s", i > 0 ? "," : "", is_address(request->hosts[i]) ? "IP" : "DNS",
               STR_ARG(request->hosts[i]));
  *out = names.failed ? NULL : arena_cstr(arena, buf_str(&names));
  buf_free(&names);
  return *out ? 0 : error_set(err, ERR_NO_MEMORY, "no memory for the names of a certificate");
}

static X509 *make_leaf(const struct certificate_request *request, EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key,
                       struct arena *arena, struct error *err) {
  const char *names;

  if (alternative_names(request, arena, &names, err) != 0)
    return NULL;
  X509 *cert = begin(key, request->hosts[0], ca, request->days, request->now_us, err);
  if (cert && add_extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE", err) == 0 &&
      add_extension(cert, ca, NID_key_usage, "critical,digitalSignature", err) == 0 &&
      add_extension(cert, ca, NID_ext_key_usage, "serverAuth", err) == 0 &&
      add_extension(cert, ca, NID_subject_alt_name, names, err) == 0 &&
      add_extension(cert, ca, NID_subject_key_identifier, "hash", err) == 0 &&
      add_extension(cert, ca, NID_authority_key_identifier, "keyid:always", err) == 0 &&
      (X509_sign(cert, ca_key, EVP_sha256()) != 0 || failed("a signature", err) == 0))
    return cert;
  X509_free(cert);
  return NULL;
}

static int make(const struct certificate_request *request, EVP_PKEY *ca_key, EVP_PKEY *key, struct arena *arena,
                struct certificate_pair *out, struct error *err) {
  X509 *ca = make_authority(request, ca_key, err);
  X509 *leaf = ca ? make_leaf(request, key, ca, ca_key, arena, err) : NULL;

  if (leaf)
    *out = (struct certificate_pair){.ca = pem_of(ca, NULL, NULL, arena),
                                     .ca_key = pem_of(NULL, NULL, ca_key, arena),
                                     .certificate = pem_of(leaf, ca, NULL, arena),
                                     .key = pem_of(NULL, NULL, key, arena)};
  X509_free(leaf);
  X509_free(ca);
  if (!leaf)
    return err->code;
  return out->ca.ptr && out->ca_key.ptr && out->certificate.ptr && out->key.ptr ? 0 : failed("PEM of it", err);
}

int certificate_make(const struct certificate_request *request, struct arena *arena, struct certificate_pair *out,
                     struct error *err) {
  if (request->hosts_len == 0 || request->hosts_len > CERTIFICATE_MAX_HOSTS)
    return error_set(err, ERR_BAD_REQUEST, "a certificate is for 1 to %d names", CERTIFICATE_MAX_HOSTS);
  if (request->days < 1 || request->days > CERTIFICATE_MAX_DAYS)
    return error_set(err, ERR_BAD_REQUEST, "a certificate is valid for 1 to %d days", CERTIFICATE_MAX_DAYS);
  for (size_t i = 0; i < request->hosts_len; i++)
    if (!certificate_host_valid(request->hosts[i]))
      return error_set(err, ERR_BAD_REQUEST,
                       "`%.*s` is no host name and no address: write registry.example.com or 192.0.2.7, without a port",
                       STR_ARG(request->hosts[i]));
  EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
  int rc = ca_key && key ? make(request, ca_key, key, arena, out, err) : failed("a key", err);
  EVP_PKEY_free(ca_key);
  EVP_PKEY_free(key);
  return rc;
}
