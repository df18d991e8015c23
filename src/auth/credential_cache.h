// SPDX-License-Identifier: Apache-2.0
// Right passwords of the last minute, so that a client that sends Basic with each request is hashed once. Keys are
// HMAC(random key of this process, name NUL password): the memory holds no password and no hash that could be tried
// elsewhere. Bounded; the oldest go first. Shared by threads (a lock inside).
#ifndef HARBINGER_AUTH_CREDENTIAL_CACHE_H
#define HARBINGER_AUTH_CREDENTIAL_CACHE_H

#include "base/arena.h"
#include "base/error.h"

struct credential_cache;

struct credential {
  int64_t user_id;
  struct str name; // as stored
  bool is_admin;
};

struct credential_cache *credential_cache_new(size_t max_count, int64_t life_ms, struct error *err) MUST_CHECK;
void credential_cache_free(struct credential_cache *cache);
// The user whom this name and password named at most `life_ms` ago; strings into the arena. `now_us` is monotonic.
bool credential_cache_get(struct credential_cache *cache, struct str name, struct str password, int64_t now_us,
                          struct arena *arena, struct credential *out) MUST_CHECK;
// Read before the user's row is: a password that is changed while it is being checked must not be remembered.
uint64_t credential_cache_generation(struct credential_cache *cache);
// Remember, unless somebody was forgotten since `generation`. Without memory nothing is remembered.
void credential_cache_put(struct credential_cache *cache, uint64_t generation, struct str name, struct str password,
                          int64_t now_us, const struct credential *credential);
// Forget all of the user with this stored name (ASCII case does not count).
void credential_cache_forget(struct credential_cache *cache, struct str stored_name);
size_t credential_cache_count(struct credential_cache *cache);

#endif
