// SPDX-License-Identifier: Apache-2.0
// What is sealed at rest, and with which key: the first key of the store seals, each of its at most two opens, so that a
// change of keys needs no moment at which all rows change. The keys may be replaced while other threads seal and open.
// Inside store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_SEAL_H
#define HARBINGER_STORE_SQLITE_SEAL_H

#include "store/care.h"

struct seal_keys {
  struct store_keys keys;
  struct seal_keys *older; // kept until the store closes: a thread may be at work with them
};

int seal_init(struct store *store, struct error *err) MUST_CHECK; // the keys of store->config
void seal_free(struct store *store);

// As crypto_seal and crypto_open. Any thread.
struct str seal_text(struct store *store, const char *context, struct str plain, struct arena *arena) MUST_CHECK;
int seal_open_with(const struct store_keys *keys, const char *context, struct str sealed, struct arena *arena,
                   struct str *plain, struct error *err) MUST_CHECK;
int seal_open(struct store *store, const char *context, struct str sealed, struct arena *arena, struct str *plain,
              struct error *err) MUST_CHECK;

// Each column of the store whose values are sealed; ended by a NULL table. Another one is one more row.
struct sealed_column {
  const char *table, *column, *context;
};
extern const struct sealed_column sealed_columns[];

#endif
