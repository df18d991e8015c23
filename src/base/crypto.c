// SPDX-License-Identifier: Apache-2.0
#include "base/crypto.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdlib.h>

// OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
enum { PASSWORD_PASSES = 2, PASSWORD_MEMORY_BYTES = 19 * 1024 * 1024 };

// A sealed value: one byte of version, the nonce, the ciphertext with its tag.
enum {
  SEAL_VERSION = 1,
  SEAL_NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
  SEAL_TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
  SEAL_HEAD_BYTES = 1 + SEAL_NONCE_BYTES,
  SEAL_EXTRA_BYTES = SEAL_HEAD_BYTES + SEAL_TAG_BYTES
};

_Static_assert(SHA256_BYTES == crypto_hash_sha256_BYTES, "one length of SHA-256");
_Static_assert(SHA512_BYTES == crypto_hash_sha512_BYTES, "one length of SHA-512");
_Static_assert(PASSWORD_HASH_BYTES == crypto_pwhash_argon2id_STRBYTES, "one length of PHC strings");
_Static_assert(SEAL_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "one length of keys");

static const unsigned char *bytes_of(struct str s) {
  return (const unsigned char *)s.ptr;
}

int crypto_start(struct error *err) {
  if (sodium_init() < 0)
    return error_set(err, ERR_INTERNAL, "cannot start libsodium: the system gives no random bytes");
  return 0;
}

void crypto_sha256(struct str data, uint8_t out[static SHA256_BYTES]) {
  // libsodium, not OpenSSL: what is hashed here is short, and OpenSSL 3 looks its algorithm up and allocates for each call,
  // ten times the cost of the hash; this one cannot fail.
  (void)crypto_hash_sha256(out, bytes_of(data.len ? data : STR_EMPTY), data.len);
}

void crypto_sha512(struct str data, uint8_t out[static SHA512_BYTES]) {
  (void)crypto_hash_sha512(out, bytes_of(data.len ? data : STR_EMPTY), data.len);
}

struct crypto_sum *crypto_sum_begin(void) {
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();

  if (!ctx)
    return NULL;
  if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1)
    return (struct crypto_sum *)(void *)ctx;
  EVP_MD_CTX_free(ctx);
  return NULL;
}

void crypto_sum_add(struct crypto_sum *sum, struct str data) {
  if (EVP_DigestUpdate((EVP_MD_CTX *)(void *)sum, data.ptr, data.len) != 1)
    abort(); // as crypto_sha256
}

void crypto_sum_end(struct crypto_sum *sum, uint8_t *out) {
  EVP_MD_CTX *ctx = (EVP_MD_CTX *)(void *)sum;
  unsigned char bytes[EVP_MAX_MD_SIZE];

  if (!ctx)
    return;
  if (out) {
    if (EVP_DigestFinal_ex(ctx, bytes, NULL) != 1)
      abort();
    memcpy(out, bytes, SHA256_BYTES);
  }
  EVP_MD_CTX_free(ctx);
}

void crypto_digest(struct str prefix, struct str data, uint8_t out[static DIGEST_BYTES]) {
  crypto_generichash_state state;

  (void)crypto_generichash_init(&state, NULL, 0, DIGEST_BYTES); // these fail for lengths only, which are right
  (void)crypto_generichash_update(&state, bytes_of(prefix.len ? prefix : STR_EMPTY), prefix.len);
  (void)crypto_generichash_update(&state, bytes_of(data.len ? data : STR_EMPTY), data.len);
  (void)crypto_generichash_final(&state, out, DIGEST_BYTES);
}

void crypto_hmac_sha256(struct str key, struct str data, uint8_t out[static HMAC_BYTES]) {
  // An empty key is legal (RFC 2104), but NULL would mean "the key of the call before" to OpenSSL.
  struct str used = key.len ? key : STR_EMPTY;
  unsigned out_len = HMAC_BYTES;

  if (used.len > INT_MAX ||
      !HMAC(EVP_sha256(), used.ptr, (int)used.len, bytes_of(data.len ? data : STR_EMPTY), data.len, out, &out_len))
    abort();
}

int crypto_password_hash(struct str password, char out[static PASSWORD_HASH_BYTES], struct error *err) {
  if (crypto_pwhash_argon2id_str(out, password.ptr, password.len, PASSWORD_PASSES, PASSWORD_MEMORY_BYTES) != 0)
    return error_set(err, ERR_NO_MEMORY, "cannot hash a password: no %d bytes of memory", (int)PASSWORD_MEMORY_BYTES);
  return 0;
}

bool crypto_password_verify(struct str password, const char *hash) {
  char padded[PASSWORD_HASH_BYTES] = {0}; // libsodium may read all of them
  struct str given = str_of(hash);

  if (given.len == 0 || given.len >= sizeof(padded))
    return false;
  memcpy(padded, given.ptr, given.len);
  return crypto_pwhash_argon2id_str_verify(padded, password.ptr, password.len) == 0;
}

struct str crypto_seal(const uint8_t key[static SEAL_KEY_BYTES], struct str context, struct str plain,
                       struct arena *arena) {
  struct str none = {NULL, 0};
  size_t total;

  if (__builtin_add_overflow(plain.len, (size_t)SEAL_EXTRA_BYTES, &total))
    return none;
  unsigned char *sealed = arena_alloc(arena, total);
  if (!sealed)
    return none;
  sealed[0] = SEAL_VERSION;
  randombytes_buf(sealed + 1, SEAL_NONCE_BYTES); // 192 bits: random never repeats
  if (crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + SEAL_HEAD_BYTES, NULL, bytes_of(plain), plain.len,
                                                 bytes_of(context), context.len, NULL, sealed + 1, key) != 0)
    return none;
  return (struct str){(char *)sealed, total};
}

int crypto_open(const uint8_t key[static SEAL_KEY_BYTES], struct str context, struct str sealed, struct arena *arena,
                struct str *plain, struct error *err) {
  const unsigned char *bytes = bytes_of(sealed);

  if (sealed.len < SEAL_EXTRA_BYTES || bytes[0] != SEAL_VERSION)
    return error_set(err, ERR_INTERNAL, "cannot open the sealed %.*s: %zu bytes that were not sealed here",
                     STR_ARG(context), sealed.len);
  size_t len = sealed.len - SEAL_EXTRA_BYTES;
  char *opened = arena_alloc(arena, len + 1);
  if (!opened)
    return error_set(err, ERR_NO_MEMORY, "no memory to open the sealed %.*s", STR_ARG(context));
  if (crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)opened, NULL, NULL, bytes + SEAL_HEAD_BYTES,
                                                 sealed.len - SEAL_HEAD_BYTES, bytes_of(context), context.len,
                                                 bytes + 1, key) != 0)
    return error_set(err, ERR_INTERNAL,
                     "cannot open the sealed %.*s: it was sealed with another key or changed since; restore the "
                     "key file that belongs to this data directory",
                     STR_ARG(context));
  *plain = (struct str){opened, len};
  return 0;
}

static void put_base64(struct str data, struct buf *out, int variant) {
  // Written with a NUL behind, which is not counted; asked for first, because libsodium aborts on lengths it
  // cannot encode.
  if (data.len > out->max_bytes) {
    out->failed = true;
    return;
  }
  size_t len = sodium_base64_encoded_len(data.len, variant);
  char *to = buf_reserve(out, len);
  if (!to)
    return;
  (void)sodium_bin2base64(to, len, bytes_of(data), data.len, variant);
  buf_added(out, len - 1);
}

void crypto_base64(struct str data, struct buf *out) {
  put_base64(data, out, sodium_base64_VARIANT_ORIGINAL);
}

void crypto_base64url(struct str data, struct buf *out) {
  put_base64(data, out, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool crypto_base64_read(struct str text, struct arena *arena, struct str *data) {
  size_t room = text.len / 4 * 3;
  size_t len = 0;

  if (text.len % 4 != 0)
    return false;
  unsigned char *bytes = arena_alloc(arena, room + 1); // and a NUL
  if (!bytes)
    return false;
  if (text.len &&
      sodium_base642bin(bytes, room, text.ptr, text.len, NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
    return false;
  *data = (struct str){(char *)bytes, len};
  return true;
}

void crypto_hex(struct str data, struct buf *out) {
  if (data.len > out->max_bytes) { // as above
    out->failed = true;
    return;
  }
  size_t len = data.len * 2;
  char *to = buf_reserve(out, len + 1);
  if (!to)
    return;
  (void)sodium_bin2hex(to, len + 1, bytes_of(data), data.len);
  buf_added(out, len);
}
