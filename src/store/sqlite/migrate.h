// SPDX-License-Identifier: Apache-2.0
// Numbered migrations (src/store/sqlite/NNN_*.sql, embedded in the program), each run once, in order; SQLite's user_version
// is the schema's number. Before the first of them the store is backed up (backup.h). Inside store/sqlite/ only.
//
// A migration is one transaction: killed in the middle it never was. One that rewrites many rows has a second part after a
// line `-- repeat`, a single statement that changes at most some thousand rows which still need it; it runs in a
// transaction each time until it changes none, and goes on where it was killed. The first part then runs once: a setting
// remembers.
#ifndef HARBINGER_STORE_SQLITE_MIGRATE_H
#define HARBINGER_STORE_SQLITE_MIGRATE_H

#include "base/embedded.h"
#include "store/sqlite/conn.h"

enum { SCHEMA_APPLICATION_ID = 0x48424e47 }; // "HBNG"

// Bring the file to the newest schema. ERR_CONFIG when it is newer than this program or not ours.
int migrate_run(struct store_conn *conn, struct error *err) MUST_CHECK;
// Is it a file that this program can read as it is? ERR_CONFIG as above, ERR_NOT_FOUND when there is nothing in it.
int migrate_known(struct store_conn *conn, struct error *err) MUST_CHECK;
int64_t migrate_newest(void); // the schema that this program knows

// With other files than the program's own: for tests.
int migrate_run_files(struct store_conn *conn, const struct embedded_file *files, struct error *err) MUST_CHECK;

#endif
