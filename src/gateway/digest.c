// SPDX-License-Identifier: Apache-2.0
#include "gateway/digest.h"

#include "base/buf.h"
#include "base/crypto.h"

enum { DIGEST_TEXT_BYTES = sizeof("sha512:") + 2 * SHA512_BYTES };

static void write_digest(const char *prefix, struct str hash, struct buf *out) {
  buf_init(out, DIGEST_TEXT_BYTES + 1);
  buf_put_c(out, prefix);
  crypto_hex(hash, out);
}

static void write_of(bool sha512, struct str content, struct buf *out) {
  uint8_t hash[SHA512_BYTES];

  if (sha512)
    crypto_sha512(content, hash);
  else
    crypto_sha256(content, hash);
  write_digest(sha512 ? "sha512:" : "sha256:",
               (struct str){(const char *)hash, sha512 ? (size_t)SHA512_BYTES : (size_t)SHA256_BYTES}, out);
}

struct str digest_of(struct str content, struct arena *arena) {
  struct buf text;

  write_of(false, content, &text);
  struct str digest = text.failed ? (struct str){0} : arena_str(arena, buf_str(&text));
  buf_free(&text);
  return digest;
}

bool digest_matches(struct str digest, struct str content) {
  bool sha512 = str_starts_c(digest, "sha512:");
  struct buf text;

  if (!sha512 && !str_starts_c(digest, "sha256:"))
    return false;
  write_of(sha512, content, &text);
  bool same = !text.failed && str_eq(buf_str(&text), digest);
  buf_free(&text);
  return same;
}
