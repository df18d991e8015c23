// SPDX-License-Identifier: Apache-2.0
// The writer: takes what waits, runs it as one transaction, commits, tells the outcome; between the groups it
// checkpoints, sweeps and tries a broken store again. Its thread is the only one that writes. A test may drive it by hand
// with writer_turn instead of starting the thread.
#ifndef HARBINGER_STORE_SQLITE_WRITER_H
#define HARBINGER_STORE_SQLITE_WRITER_H

#include "store/sqlite/state.h"

int writer_init(struct store *store, struct metrics *metrics, struct error *err) MUST_CHECK;
void *writer_main(void *store); // the thread: until the queue is closed and empty
// One group, one sweep step, one checkpoint or one probe. False: there was nothing to do.
bool writer_turn(struct store *store);
// Run `step` as a transaction of its own. A failure of the file makes the store broken.
int writer_transaction(struct store *store, int (*step)(struct store *store, void *arg, struct error *err), void *arg,
                       struct error *err) MUST_CHECK;
void writer_checkpoint(struct store *store);

#endif
