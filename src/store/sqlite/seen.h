// SPDX-License-Identifier: Apache-2.0
// Keys of the last 48 hours by which duplicates are recognised, in one table per hour that goes as a whole: an index
// on random keys in a table that grows costs six times as much at six million rows. The writer's thread only.
//
// The hour is that of the source's own time, so that a repeated notification finds its key with one look-up. A source time
// that cannot be used (none, before the window, more than an hour ahead) goes by the hour of arrival into a `late` bucket;
// all late buckets are looked through every time, which costs nothing while there is none. Idempotency keys have no time
// either and come often: they have buckets of their own, looked through only for such keys.
#ifndef HARBINGER_STORE_SQLITE_SEEN_H
#define HARBINGER_STORE_SQLITE_SEEN_H

#include "store/sqlite/conn.h"

enum { SEEN_KEY_BYTES = 16, SEEN_MAX_BUCKETS = 512, SEEN_DROP_ROWS = 100 };

struct seen;

struct seen *seen_new(void) MUST_CHECK;
void seen_free(struct seen *seen);
void seen_forget(struct seen *seen); // after a rollback: read the list of tables again

struct seen_entry {
  uint8_t key[SEEN_KEY_BYTES];
  bool idempotency; // an Idempotency-Key, not a source's
  struct uuid event_id;
  struct str check; // what must be the same when the key comes again; may be empty. From seen_find: in `check_bytes`
  uint8_t check_bytes[SHA256_BYTES];
};

// Is the key known? 1 and *entry filled, 0, or an error.
int seen_find(struct store_conn *conn, struct seen_entry *entry, int64_t source_time_us, struct error *err) MUST_CHECK;
int seen_add(struct store_conn *conn, const struct seen_entry *entry, int64_t source_time_us, struct error *err)
    MUST_CHECK;
// Delete at most SEEN_DROP_ROWS keys of a bucket that is older than `window_s`, and the bucket when none is left: to drop
// one of a million keys at once takes as long as to read it. 1: there may be more, *rows went; 0: none.
int seen_drop_old(struct store_conn *conn, int64_t window_s, int64_t *rows, struct error *err) MUST_CHECK;

#endif
