// SPDX-License-Identifier: Apache-2.0
// Can the store be written, and may it take events? Who finds out that it broke tells here; here it is told to everybody,
// once per change. Besides what SQLite reports this looks at what SQLite does not see: the free space, and whether the
// files that are open are still the ones under their names and as long as they were. Writer's thread only.
#ifndef HARBINGER_STORE_SQLITE_HEALTH_H
#define HARBINGER_STORE_SQLITE_HEALTH_H

#include "store/sqlite/state.h"

// Remembers the files as they are: after the store was opened.
void health_init(struct store *store);
// The store cannot be written: it is tried again after `retry_ms`. Several calls are one change.
void health_broken(struct store *store, const struct error *why);
void health_works(struct store *store);
// At most once a second and once in HEALTH_LOOK_COMMITS commits: a call costs as much as an event. May break the store.
void health_look(struct store *store);
// Before a broken store is tried again: are its files still there, and is there room for more than the trial itself
// needs? The trial alone would succeed on a full disk, in a part of the log that is there already, and the store would
// break and work in turns.
int health_may_try(struct store *store, struct error *err) MUST_CHECK;
// A checkpoint has just changed the length of the file.
void health_file_written(struct store *store);

#endif
