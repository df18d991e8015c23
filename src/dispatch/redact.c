// SPDX-License-Identifier: Apache-2.0
#include "dispatch/redact.h"

#include "base/buf.h"
#include "policy/policy.h"

static const char *find(struct str text, struct str secret) {
  return memmem(text.ptr, text.len, secret.ptr, secret.len);
}

static struct str keep(struct buf *out, struct arena *arena) {
  struct str kept = out->failed ? STR_EMPTY : arena_str(arena, buf_str(out));
  buf_free(out);
  return kept.ptr ? kept : STR_EMPTY;
}

static struct str redact(struct str text, struct str secret, struct arena *arena) {
  if (secret.len < REDACT_MIN_SECRET_BYTES || !find(text, secret))
    return text;
  struct buf out;
  // The mask is at most two bytes longer than the shortest secret.
  buf_init(&out, 2 * text.len + sizeof SECRET_MASK);
  const char *at;
  while ((at = find(text, secret)) != NULL) {
    size_t before = (size_t)(at - text.ptr);
    buf_put(&out, str_slice(text, 0, before));
    buf_put_c(&out, SECRET_MASK);
    text = str_from(text, before + secret.len);
  }
  buf_put(&out, text);
  return keep(&out, arena);
}

// "Bearer X": X; empty without a blank.
static struct str credentials_of(struct str authorization) {
  ptrdiff_t blank = str_find(authorization, ' ');
  return blank < 0 ? STR_EMPTY : str_trim(str_from(authorization, (size_t)blank));
}

struct str redact_authorization(struct str text, struct str authorization, struct arena *arena) {
  return redact(redact(text, authorization, arena), credentials_of(authorization), arena);
}

static struct str redact_end(struct str text, struct str secret, struct arena *arena) {
  size_t len = secret.len < text.len ? secret.len : text.len;
  while (len >= REDACT_MIN_SECRET_BYTES && !str_ends(text, str_slice(secret, 0, len)))
    len--;
  if (len < REDACT_MIN_SECRET_BYTES)
    return text;
  struct buf out;
  buf_init(&out, text.len + sizeof SECRET_MASK);
  buf_put(&out, str_slice(text, 0, text.len - len));
  buf_put_c(&out, SECRET_MASK);
  return keep(&out, arena);
}

struct str redact_cut_end(struct str text, struct str authorization, struct arena *arena) {
  return redact_end(redact_end(text, authorization, arena), credentials_of(authorization), arena);
}
