// SPDX-License-Identifier: Apache-2.0
// Thin names for what the house needs of libsodium and OpenSSL. Pure functions, any thread (argon2 takes 19 MiB and
// about 11 ms: pool threads only). `crypto_start` once before all others.
#ifndef HARBINGER_BASE_CRYPTO_H
#define HARBINGER_BASE_CRYPTO_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum {
  SHA256_BYTES = 32,
  SHA512_BYTES = 64,
  DIGEST_BYTES = 32,
  HMAC_BYTES = 32,
  SEAL_KEY_BYTES = 32,
  PASSWORD_HASH_BYTES = 128
};

int crypto_start(struct error *err) MUST_CHECK;

void crypto_sha256(struct str data, uint8_t out[static SHA256_BYTES]);
void crypto_sha512(struct str data, uint8_t out[static SHA512_BYTES]);
// BLAKE2b-256 of the two together, a sixth of the cost of SHA-256 for short texts: for what stays in this house. A prefix
// of a fixed length keeps domains apart.
void crypto_digest(struct str prefix, struct str data, uint8_t out[static DIGEST_BYTES]);
// Of data that comes piece by piece. NULL: no memory. `_end` fills `out` (NULL: nobody wants it) and frees.
struct crypto_sum;
struct crypto_sum *crypto_sum_begin(void) MUST_CHECK;
void crypto_sum_add(struct crypto_sum *sum, struct str data);
void crypto_sum_end(struct crypto_sum *sum, uint8_t *out);
void crypto_hmac_sha256(struct str key, struct str data, uint8_t out[static HMAC_BYTES]);

// argon2id, 19 MiB, t=2 (OWASP's minimum; 11 ms). `out` is a NUL-terminated PHC string.
int crypto_password_hash(struct str password, char out[static PASSWORD_HASH_BYTES], struct error *err) MUST_CHECK;
bool crypto_password_verify(struct str password, const char *hash);

// Seal a secret at rest: XChaCha20-Poly1305 with a random nonce; `context` (e.g. "target.auth_header") is
// authenticated, so that a sealed value cannot be moved to another column. Result in the arena; .ptr NULL: no memory.
struct str crypto_seal(const uint8_t key[static SEAL_KEY_BYTES], struct str context, struct str plain,
                       struct arena *arena) MUST_CHECK;
// Open it again. ERR_INTERNAL when the key is another or the bytes were changed.
int crypto_open(const uint8_t key[static SEAL_KEY_BYTES], struct str context, struct str sealed, struct arena *arena,
                struct str *plain, struct error *err) MUST_CHECK;

// The three writers below need one byte more of the buffer's maximum than they write.
void crypto_base64(struct str data, struct buf *out); // standard alphabet, padded
// Standard base64, padding required. False when malformed; result in the arena.
bool crypto_base64_read(struct str text, struct arena *arena, struct str *data) MUST_CHECK;
void crypto_base64url(struct str data, struct buf *out); // URL alphabet, no padding
void crypto_hex(struct str data, struct buf *out);       // lower case

#endif
