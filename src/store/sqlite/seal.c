// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/seal.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/sqlite/state.h"

enum { FINGERPRINT_BYTES = 6 };

const struct sealed_column sealed_columns[] = {
    {"target", "address", "target.address"},
    {"target", "auth_header", "target.auth_header"},
    {NULL, NULL, NULL},
};

int store_set_keys(struct store *store, const struct store_keys *keys, struct error *err) {
  struct seal_keys *next = malloc(sizeof(*next));

  if (!next)
    return error_set(err, ERR_NO_MEMORY, "no memory for the keys");
  next->keys = *keys;
  next->older = atomic_load(&store->keys);
  atomic_store(&store->keys, next);
  return 0;
}

void store_get_keys(struct store *store, struct store_keys *out) {
  *out = atomic_load(&store->keys)->keys;
}

int seal_init(struct store *store, struct error *err) {
  struct store_keys keys = {.len = store->config.has_old_seal_key ? 2 : 1};

  memcpy(keys.keys[0], store->config.seal_key, SEAL_KEY_BYTES);
  memcpy(keys.keys[1], store->config.old_seal_key, SEAL_KEY_BYTES);
  int rc = store_set_keys(store, &keys, err);
  explicit_bzero(&keys, sizeof(keys));
  return rc;
}

void seal_free(struct store *store) {
  struct seal_keys *keys = atomic_load(&store->keys);

  atomic_store(&store->keys, NULL);
  while (keys) {
    struct seal_keys *older = keys->older;
    explicit_bzero(keys, sizeof(*keys));
    free(keys);
    keys = older;
  }
}

struct str seal_text(struct store *store, const char *context, struct str plain, struct arena *arena) {
  return crypto_seal(atomic_load(&store->keys)->keys.keys[0], str_of(context), plain, arena);
}

int seal_open(struct store *store, const char *context, struct str sealed, struct arena *arena, struct str *plain,
              struct error *err) {
  return seal_open_with(&atomic_load(&store->keys)->keys, context, sealed, arena, plain, err);
}

int seal_open_with(const struct store_keys *keys, const char *context, struct str sealed, struct arena *arena,
                   struct str *plain, struct error *err) {
  int rc = ERR_INTERNAL;

  for (size_t i = 0; i < keys->len && rc != 0; i++)
    rc = crypto_open(keys->keys[i], str_of(context), sealed, arena, plain, err);
  return rc;
}

void store_keys_fingerprints(const struct store_keys *keys, char out[static STORE_FINGERPRINTS_BYTES]) {
  size_t len = 0;

  out[0] = '\0';
  for (size_t i = 0; i < keys->len; i++) {
    uint8_t mac[HMAC_BYTES];
    crypto_hmac_sha256((struct str){(const char *)keys->keys[i], SEAL_KEY_BYTES}, STR("fingerprint of a key"), mac);
    if (i > 0)
      out[len++] = ',';
    for (size_t j = 0; j < FINGERPRINT_BYTES; j++)
      len += (size_t)snprintf(out + len, STORE_FINGERPRINTS_BYTES - len, "%02x", mac[j]);
  }
}
