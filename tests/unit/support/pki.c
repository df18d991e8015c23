// SPDX-License-Identifier: Apache-2.0
#include "support/pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { MAX_TEXTS = 32, DAY_S = 86400 };

struct pki {
  EVP_PKEY *key;
  X509 *certificate;
  long serial;
  char *texts[MAX_TEXTS];
  size_t texts_len;
  struct str ca_pem;
};

static struct str keep_text(struct pki *pki, BIO *bio) {
  char *data = NULL;
  long len = BIO_get_mem_data(bio, &data);
  char *copy = malloc((size_t)len + 1);
  assert_non_null(copy);
  memcpy(copy, data, (size_t)len);
  copy[len] = '\0';
  assert_true(pki->texts_len < MAX_TEXTS);
  pki->texts[pki->texts_len++] = copy;
  BIO_free(bio);
  return (struct str){copy, (size_t)len};
}

static struct str certificate_text(struct pki *pki, X509 *certificate) {
  BIO *bio = BIO_new(BIO_s_mem());
  assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
  return keep_text(pki, bio);
}

static void extend(struct pki *pki, X509 *certificate, int nid, const char *value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, pki->certificate ? pki->certificate : certificate, certificate, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
  assert_non_null(extension);
  assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
  X509_EXTENSION_free(extension);
}

static X509 *certificate_new(struct pki *pki, EVP_PKEY *key, const char *common_name) {
  X509 *certificate = X509_new();
  assert_non_null(certificate);
  assert_int_equal(X509_set_version(certificate, 2), 1);
  assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++pki->serial), 1);
  assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY_S));
  assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), DAY_S));
  assert_int_equal(X509_set_pubkey(certificate, key), 1);
  X509_NAME *name = X509_get_subject_name(certificate);
  const unsigned char *text = (const unsigned char *)common_name;
  assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0), 1);
  X509_NAME *issuer = pki->certificate ? X509_get_subject_name(pki->certificate) : name;
  assert_int_equal(X509_set_issuer_name(certificate, issuer), 1);
  return certificate;
}

struct pki *pki_new(void) {
  struct pki *pki = calloc(1, sizeof *pki);
  assert_non_null(pki);
  pki->key = EVP_EC_gen("P-256");
  assert_non_null(pki->key);
  X509 *certificate = certificate_new(pki, pki->key, "Test authority");
  extend(pki, certificate, NID_basic_constraints, "critical,CA:TRUE");
  extend(pki, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  assert_true(X509_sign(certificate, pki->key, EVP_sha256()) > 0);
  pki->certificate = certificate;
  pki->ca_pem = certificate_text(pki, certificate);
  return pki;
}

void pki_free(struct pki *pki) {
  if (!pki)
    return;
  for (size_t i = 0; i < pki->texts_len; i++)
    free(pki->texts[i]);
  X509_free(pki->certificate);
  EVP_PKEY_free(pki->key);
  free(pki);
}

struct str pki_ca_pem(const struct pki *pki) {
  return pki->ca_pem;
}

void pki_issue(struct pki *pki, const char *alt_names, struct str *chain_pem, struct str *key_pem) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  assert_non_null(key);
  X509 *certificate = certificate_new(pki, key, "Test receiver");
  extend(pki, certificate, NID_subject_alt_name, alt_names);
  assert_true(X509_sign(certificate, pki->key, EVP_sha256()) > 0);
  *chain_pem = certificate_text(pki, certificate);
  BIO *bio = BIO_new(BIO_s_mem());
  assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
  *key_pem = keep_text(pki, bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
}
