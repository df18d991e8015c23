// SPDX-License-Identifier: Apache-2.0
// The store for commands on the machine. With nobody serving the directory, `store_open`, `store_start` and
// `store_write_sync` do for `user passwd` what they do for the server: the lock keeps the two apart.
#ifndef HARBINGER_STORE_ADMIN_H
#define HARBINGER_STORE_ADMIN_H

#include "store/store.h"

enum { STORE_CHECK_MAX_FINDINGS = 100 };

struct store_finding {
  struct str what; // "delivery 17 has no event"
};

// How far long work is, and whether it shall go on. `tell` may be NULL. It is called on the working thread, often.
struct store_progress {
  bool (*tell)(void *ctx, const char *what, int64_t done, int64_t of); // false: end it; of 0: nobody knows
  void *ctx;
};
// ERR_UNAVAILABLE with words when the work shall end.
int store_progress_tell(const struct store_progress *progress, const char *what, int64_t done, int64_t of,
                        struct error *err) MUST_CHECK;

// The file's own check (SQLite's quick_check) and our invariants: no sequence number above its
// project's counter, no delivery without event, policy or target, no attempt or body without what it belongs to, nothing
// sealed with a key that is not ours. Reads only, on a connection of its own, and takes as long as the file is large. *len 0:
// sound. Findings in the arena, the first STORE_CHECK_MAX_FINDINGS of them. Errors: the file cannot be read at all.
int store_check(struct store *store, const struct store_progress *progress, struct arena *arena,
                struct store_finding **out, size_t *len, struct error *err) MUST_CHECK;

#endif
