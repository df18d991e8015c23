// SPDX-License-Identifier: Apache-2.0
// The store's file before SQLite opens it: made in one step, so that an empty one is never ours, and looked at, because SQLite
// takes a file that was cut to nothing for a new store and throws its log away. Before the store is open; any thread.
#ifndef HARBINGER_STORE_SQLITE_DATABASE_FILE_H
#define HARBINGER_STORE_SQLITE_DATABASE_FILE_H

#include "base/error.h"

// Make `path` (mode 0600; the log and the shared memory take the same) when there is none; else refuse one that lacks
// pages which its log cannot bring. ERR_IO: it cannot be opened or made. ERR_UNAVAILABLE: it was cut short.
int database_file_prepare(const char *path, struct error *err) MUST_CHECK;

#endif
