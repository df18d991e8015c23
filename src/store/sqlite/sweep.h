// SPDX-License-Identifier: Apache-2.0
// What the writer tidies between its groups: rows of cancelled deliveries, buckets of seen keys, the ingest log and what
// is older than its retention. Steps of at most STORE_SWEEP_ROWS rows and SWEEP_STEP_MS, each a transaction of its own,
// so that no commit waits longer than 5 ms for one, its own commit included. The writer's thread only.
#ifndef HARBINGER_STORE_SQLITE_SWEEP_H
#define HARBINGER_STORE_SQLITE_SWEEP_H

#include "store/sqlite/state.h"

enum { SWEEP_STEP_MS = 3, SWEEP_REST_MS = 20 };

void sweep_init(struct store *store);
// A step of one sweep that is due. False: none was. `busy`: others wait; then a step is made only after a rest.
bool sweep_step(struct store *store, bool busy);
int sweep_wait_ms(const struct store *store); // until the next one is due, at most a second
void sweep_wake(struct store *store, enum sweep_kind kind);
// Make all due and run them to the end of one pass. For tests and before a backup.
void sweep_all(struct store *store);

#endif
