// SPDX-License-Identifier: Apache-2.0
// One process per data directory: a flock on DIR/lock, which goes with the process, however it ends. Inside
// store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_LOCK_H
#define HARBINGER_STORE_SQLITE_LOCK_H

#include "base/error.h"

// *fd: the caller closes it to let go. ERR_UNAVAILABLE names the process that has it.
int lock_take(const char *dir, int *fd, struct error *err) MUST_CHECK;

#endif
