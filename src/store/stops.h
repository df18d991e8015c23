// SPDX-License-Identifier: Apache-2.0
// When the program did not run: in that time nobody tried anything, so that it is no part of how long a target has been
// failing, or of how long somebody had to resume one. Known once the store is open; any thread.
#ifndef HARBINGER_STORE_STOPS_H
#define HARBINGER_STORE_STOPS_H

#include "store/store.h"

// The moment since which, up to `now_us`, the program has run for `span_us`. Wall clock.
int64_t store_ran_since(const struct store *store, int64_t now_us, int64_t span_us);
// How much of the time between the two it has run, in microseconds; 0 when they are the other way round.
int64_t store_ran_us(const struct store *store, int64_t from_us, int64_t to_us);

#endif
