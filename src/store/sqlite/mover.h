// SPDX-License-Identifier: Apache-2.0
// Moves the write-ahead log into the database file beside the writer, in a thread of its own: 4,000 pages are 30 ms, and
// nothing could be committed meanwhile. What the writer adds during a move stays for the next; when little is left the
// writer moves that itself, since only a log that is empty between two commits begins anew (writer.c).
// The writer's thread asks and takes; the thread ends with mover_stop.
#ifndef HARBINGER_STORE_SQLITE_MOVER_H
#define HARBINGER_STORE_SQLITE_MOVER_H

#include "store/sqlite/state.h"

enum mover_state {
  MOVER_RESTS,
  MOVER_MOVES,
  MOVER_MOVED, // until the writer has looked
};

struct mover;

struct mover *mover_start(struct store *store, struct error *err) MUST_CHECK;
void mover_stop(struct mover *mover); // waits for a move that is under way, frees; NULL is fine
enum mover_state mover_look(struct mover *mover);
void mover_ask(struct mover *mover); // begin a move; not while it moves
// After MOVER_MOVED: the pages that are in the file now, of those that the log has. 0 when it could not.
int mover_take(struct mover *mover);

#endif
