// SPDX-License-Identifier: Apache-2.0
// UUIDv7 (RFC 9562 5.7) from one generator that never goes back, even when the wall clock does, and random bytes.
// The generator is shared by threads (it locks); the rest is pure.
#ifndef HARBINGER_BASE_ID_H
#define HARBINGER_BASE_ID_H

#include "base/clock.h"
#include "base/str.h"

enum { UUID_BYTES = 16, UUID_TEXT_BYTES = 37 }; // text with its NUL

struct uuid {
  uint8_t bytes[UUID_BYTES];
};

struct id_source; // owned by app/, outlives all threads

struct id_source *id_source_new(const struct clock *clock) MUST_CHECK;
void id_source_free(struct id_source *ids);
// The next UUIDv7: millisecond time, then a 12-bit counter and 62 random bits; strictly greater than all before.
struct uuid id_next(struct id_source *ids);
// Start above `last` (the newest id in the store), so that ids keep rising over a restart with the clock set back.
// A `last` that is not version 7 is ignored.
void id_source_raise(struct id_source *ids, const struct uuid *last);

const char *uuid_write(const struct uuid *uuid, char out[static UUID_TEXT_BYTES]); // lower case, 8-4-4-4-12
bool uuid_read(struct str text, struct uuid *uuid) MUST_CHECK;
void random_bytes(void *out, size_t len); // cryptographically strong; aborts if the kernel has none

#endif
