// SPDX-License-Identifier: Apache-2.0
// Care of a store: backup, restore, compaction, new keys. Long work that tells how far it is and ends when it is asked to;
// killed at any moment it leaves the store as it was. Any thread but the loops and the pool's: each takes as long as the
// file is large. One at a time per store; the caller sees to that.
//
// A backup is a directory with harbinger.db and manifest.json. It does not hold the key files of the data directory
// (secret.key, token.key): who finds a backup reads no address and no secret.
#ifndef HARBINGER_STORE_CARE_H
#define HARBINGER_STORE_CARE_H

#include "store/admin.h"

enum {
  STORE_BACKUPS_KEPT = 2, // of those that are made before migrations
  STORE_FINGERPRINTS_BYTES = 64,
  // How far a log may grow while a backup or a check holds back its end; then the work ends with words.
  STORE_MAX_HELD_LOG_MIB = 4096,
};

struct store_manifest {
  struct str program; // the version that wrote it
  int64_t schema, made_us;
  int64_t size_bytes;
  int64_t projects, policies, events, deliveries, waiting;
  struct str sha256; // of harbinger.db, hexadecimal
  struct str keys;   // fingerprints of the key file's keys when it was made, by comma
};

// Write DIR/harbinger.db and DIR/manifest.json as the store was at one moment, while it goes on working (sqlite/snapshot.h).
// DIR must not exist or be empty; it comes into being whole: until then it is DIR.partial, which the next backup removes.
// ERR_CONFLICT: DIR holds something, or another backup writes there.
int store_backup(struct store *store, const char *dir, const struct store_progress *progress, struct arena *arena,
                 struct store_manifest *out, struct error *err) MUST_CHECK;
// ERR_NOT_FOUND: no backup. ERR_INVALID: not one of ours.
int store_backup_manifest(const char *dir, struct arena *arena, struct store_manifest *out, struct error *err)
    MUST_CHECK;

// A small change by care: through the writer when there is one, else, in a store that was opened `as_is`, at once.
int store_care_write(struct store *store, int (*apply)(struct store_conn *conn, void *ctx, struct error *err),
                     void *ctx, struct error *err) MUST_CHECK;

struct store_restore {
  const char *backup, *dir; // dir: the data directory; made when it is not there
  const char *who;          // for the audit of the restored store: the user on this machine, "uid 0"
  const char *fingerprints; // of the key file that dir will have; "" : not compared
  const char *keys;         // a directory with the key files that shall come into dir; NULL: those of dir stay
  bool force;               // put aside the store that is there
  bool without_key;         // give up what is sealed: each target is suspended and says so
};
struct store_restored {
  struct store_manifest manifest;
  struct str aside; // where the old store went, or empty
};
// Nobody serves `dir`. The backup is checked whole (sum, file, schema) before anything changes; then one rename decides,
// and whatever a kill leaves undone after it the next opening of the directory does.
int store_restore(const struct store_restore *what, const struct store_progress *progress, struct arena *arena,
                  struct store_restored *out, struct error *err) MUST_CHECK;

// Before anything in `dir` is read, the key files included: what a killed restore has left to do. Takes the lock for it.
int store_settle(const char *dir, const struct log *log, struct error *err) MUST_CHECK;

struct store_compacted {
  int64_t before_bytes, after_bytes;
};
// The file without what was freed in it, for a store that was opened `as_is` and not started: written beside, checked,
// renamed; the store is closed for good then (store_close remains). `incremental`: make it one of those below.
int store_compact(struct store *store, bool incremental, const struct store_progress *progress,
                  struct store_compacted *out, struct error *err) MUST_CHECK;
// Beside a running writer, in small steps. ERR_PRECONDITION: the file is not of the kind that can.
int store_compact_online(struct store *store, const struct store_progress *progress, struct store_compacted *out,
                         struct error *err) MUST_CHECK;

// ---- keys -----------------------------------------------------------------------------------------------------------

struct store_keys {
  uint8_t keys[2][SEAL_KEY_BYTES]; // the first one seals; each may open
  size_t len;                      // 1 or 2
};
// Use these from now on, any thread.
int store_set_keys(struct store *store, const struct store_keys *keys, struct error *err) MUST_CHECK;
void store_get_keys(struct store *store, struct store_keys *out);
// A key's name for people and manifests: it says nothing about the key. `out` of all keys by comma.
void store_keys_fingerprints(const struct store_keys *keys, char out[static STORE_FINGERPRINTS_BYTES]);
// How many sealed values none of the keys opens (NULL: those of the store). Reads only, on a connection of its own.
int store_count_unopened(struct store *store, const struct store_keys *keys, int64_t *sealed, int64_t *unopened,
                         struct error *err) MUST_CHECK;
// Seal everything with the first key, in small transactions of the writer (started). Values that no key opens stay.
int store_reseal(struct store *store, const struct store_progress *progress, int64_t *sealed, struct error *err)
    MUST_CHECK;

#endif
