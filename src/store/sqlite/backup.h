// SPDX-License-Identifier: Apache-2.0
// The copy that a backup is: used by store_backup and before a migration. Inside store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_BACKUP_H
#define HARBINGER_STORE_SQLITE_BACKUP_H

#include "store/care.h"
#include "store/sqlite/state.h"

#define BACKUP_DATABASE "harbinger.db"
#define BACKUP_MANIFEST "manifest.json"
#define BACKUPS_FOLDER "backups" // in the data directory: those made before migrations
#define BACKUP_BEFORE "before-schema-"

enum { BACKUP_ARENA_BYTES = 1024 * 1024 };

// As store_backup, from a connection whose read transaction, or the absence of any writer, makes it one state. `fits` may
// be NULL: asked between steps.
int backup_write(struct store_conn *conn, const char *dir, const struct store_progress *progress,
                 int (*fits)(void *ctx, struct error *err), void *ctx, struct arena *arena, struct store_manifest *out,
                 struct error *err) MUST_CHECK;
// Before the migration to `schema`: into DIR/backups/before-schema-N, of which the newest STORE_BACKUPS_KEPT stay.
int backup_before_migration(struct store_conn *conn, int64_t schema, struct error *err) MUST_CHECK;
// The newest of those that a program which knows `schema` can open, as a path in the arena; empty: there is none.
struct str backup_way_back(const char *data_dir, int64_t schema, struct arena *arena, struct store_manifest *out);
// Remove a backup, whole or begun. What is not ours in it stays, and so does it.
void backup_remove(const char *dir);

#endif
