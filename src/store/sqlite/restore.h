// SPDX-License-Identifier: Apache-2.0
// What a restore that was killed has left undone, done at the next opening of the directory. Inside store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_RESTORE_H
#define HARBINGER_STORE_SQLITE_RESTORE_H

#include "base/error.h"
#include "base/log.h"

// DIR/harbinger.db.restored, when it is there, is a whole and checked store that shall take the place of the one in DIR,
// which goes to DIR/replaced-N. Files of work that never came so far are removed. Under the lock, before the store is opened.
int restore_finish(const char *dir, const struct log *log, struct error *err) MUST_CHECK;

#endif
