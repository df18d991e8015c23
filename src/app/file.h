// SPDX-License-Identifier: Apache-2.0
// Files for the rooms below, which read none themselves: whole files with a cap, and small secret files (0600) written
// so that they are there whole or not at all. Any thread; blocks.
#ifndef HARBINGER_APP_FILE_H
#define HARBINGER_APP_FILE_H

#include "base/arena.h"
#include "base/error.h"
#include "store/care.h"

// The whole file into the arena (a NUL follows). ERR_TOO_LARGE over `max_bytes`.
int file_read(const char *path, size_t max_bytes, struct arena *arena, struct str *out, struct error *err) MUST_CHECK;
// Write beside, fsync, rename; mode 0600.
int file_write_secret(const char *path, struct str content, struct error *err) MUST_CHECK;
// The first SEAL_KEY_BYTES of a key file; made with random bytes when it is not there. Refused when others may read it.
int file_key(const char *path, uint8_t *key, size_t len, struct error *err) MUST_CHECK;
// The key file of the store: one key, or two while keys are changed (`harbinger key rotate`), the new one first.
int file_keys(const char *path, struct store_keys *out, struct error *err) MUST_CHECK;
int file_keys_write(const char *path, const struct store_keys *keys, struct error *err) MUST_CHECK;

#endif
