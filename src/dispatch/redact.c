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

// ---- what is secret -------------------------------------------------------------------------------------------------

static void add(struct redact_secrets *secrets, struct str secret, size_t min_bytes) {
  if (secret.len >= min_bytes && secrets->len < REDACT_MAX_SECRETS)
    secrets->items[secrets->len++] = secret;
}

// "Bearer X": X; empty without a blank.
static struct str credentials_of(struct str authorization) {
  ptrdiff_t blank = str_find(authorization, ' ');
  return blank < 0 ? STR_EMPTY : str_trim(str_from(authorization, (size_t)blank));
}

// The part behind the first `c`; empty without one.
static struct str behind(struct str text, char c) {
  ptrdiff_t at = str_find(text, c);
  return at < 0 ? STR_EMPTY : str_from(text, (size_t)at + 1);
}

static void add_address(struct redact_secrets *secrets, const struct url *url) {
  struct str userinfo = url->userinfo.ptr ? url->userinfo : STR_EMPTY;
  struct str path = url_path(url), query = behind(url->target, '?'), part;

  add(secrets, userinfo, REDACT_MIN_SECRET_BYTES);
  add(secrets, behind(userinfo, ':'), REDACT_MIN_SECRET_BYTES);
  add(secrets, url->target, REDACT_MIN_PART_BYTES);
  add(secrets, path, REDACT_MIN_PART_BYTES);
  add(secrets, query, REDACT_MIN_PART_BYTES);
  while (path.len > 0 && str_next(&path, '/', &part))
    add(secrets, part, REDACT_MIN_PART_BYTES);
  while (query.len > 0 && str_next(&query, '&', &part))
    add(secrets, behind(part, '='), REDACT_MIN_PART_BYTES);
}

struct redact_secrets redact_secrets_of(struct str authorization, const struct url *url) {
  struct redact_secrets secrets = {.len = 0};

  add(&secrets, authorization, REDACT_MIN_SECRET_BYTES);
  add(&secrets, credentials_of(authorization), REDACT_MIN_SECRET_BYTES);
  if (url)
    add_address(&secrets, url);
  return secrets;
}

// ---- where it stands ------------------------------------------------------------------------------------------------

static struct str redact_one(struct str text, struct str secret, struct arena *arena) {
  if (!find(text, secret))
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

struct str redact(struct str text, const struct redact_secrets *secrets, struct arena *arena) {
  for (size_t i = 0; i < secrets->len; i++)
    text = redact_one(text, secrets->items[i], arena);
  return text;
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

struct str redact_cut_end(struct str text, const struct redact_secrets *secrets, struct arena *arena) {
  for (size_t i = 0; i < secrets->len; i++)
    text = redact_end(text, secrets->items[i], arena);
  return text;
}
