// SPDX-License-Identifier: Apache-2.0
// Numbered migrations (src/store/sqlite/NNN_*.sql, embedded in the program): each runs once, in order, in a transaction of
// its own. SQLite's user_version is the schema's number. Inside store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_MIGRATE_H
#define HARBINGER_STORE_SQLITE_MIGRATE_H

#include "store/sqlite/conn.h"

enum { SCHEMA_APPLICATION_ID = 0x48424e47 }; // "HBNG"

// Bring the file to the newest schema. ERR_CONFIG when it is newer than this program or not ours.
int migrate_run(struct store_conn *conn, const struct log *log, struct error *err) MUST_CHECK;
int64_t migrate_newest(void); // the schema that this program knows

#endif
