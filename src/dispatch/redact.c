// SPDX-License-Identifier: Apache-2.0
#include "dispatch/redact.h"

#include "base/buf.h"
#include "policy/policy.h"

static const char *find(struct str text, struct str secret) {
  return memmem(text.ptr, text.len, secret.ptr, secret.len);
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
  struct str kept = out.failed ? STR_EMPTY : arena_str(arena, buf_str(&out));
  buf_free(&out);
  return kept.ptr ? kept : STR_EMPTY;
}

struct str redact_authorization(struct str text, struct str authorization, struct arena *arena) {
  text = redact(text, authorization, arena);
  ptrdiff_t blank = str_find(authorization, ' ');
  return blank < 0 ? text : redact(text, str_trim(str_from(authorization, (size_t)blank)), arena);
}
