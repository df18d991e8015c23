// SPDX-License-Identifier: Apache-2.0
// How it is known when the program did not run: while it does, the time is written now and then into one setting, beside
// the longer stops so far. Inside store/sqlite/; reading is store/stops.h's.
#ifndef HARBINGER_STORE_SQLITE_STOPS_H
#define HARBINGER_STORE_SQLITE_STOPS_H

#include "base/error.h"
#include "store/store.h"

enum { STOPS_MAX = 128 }; // a machine that is switched off each night, for the longest age of a backlog

// In order of time; written before the writer starts, and read from then on.
struct stops {
  size_t len;
  struct {
    int64_t from_us, to_us;
  } list[STOPS_MAX];
};

// When the store is opened to be served: what is written, and the stop that ends now. Writes nothing: the disk may be full.
int stops_read(struct store *store, struct error *err) MUST_CHECK;
// The program runs at this moment. In a transaction of the writer.
int stops_note(struct store_conn *conn, struct error *err) MUST_CHECK;

#endif
