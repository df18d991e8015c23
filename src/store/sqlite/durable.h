// SPDX-License-Identifier: Apache-2.0
// Files of a backup on their way to the disk: summed, copied, synced with the directory that names them. Blocks. Inside
// store/sqlite/ only. Never used on a file that this process has open as a database: closing any descriptor of such a file
// would give up SQLite's locks on it.
#ifndef HARBINGER_STORE_SQLITE_DURABLE_H
#define HARBINGER_STORE_SQLITE_DURABLE_H

#include "store/admin.h"

enum { DURABLE_PATH_BYTES = 4096, DURABLE_SUM_BYTES = 65 };

// "DIR/NAME". ERR_CONFIG when it is too long.
int durable_path(char out[static DURABLE_PATH_BYTES], const char *dir, const char *name, struct error *err) MUST_CHECK;
// The file's bytes, or the directory's names, are on disk.
int durable_sync(const char *path, struct error *err) MUST_CHECK;
int durable_sync_parent(const char *path, struct error *err) MUST_CHECK;
int durable_write(const char *path, struct str content, struct error *err) MUST_CHECK; // 0600, synced
int durable_rename(const char *from, const char *to, struct error *err) MUST_CHECK;    // synced
// The sum of a file, hexadecimal; `to` not NULL: copied there (0600, synced) on the way.
int durable_sum(const char *from, const char *to, const char *what, const struct store_progress *progress,
                char out[static DURABLE_SUM_BYTES], struct error *err) MUST_CHECK;
// Root works for the user that runs harbinger: the file gets the owner of the directory `like`. Nothing for others.
int durable_own(const char *like, const char *path, struct error *err) MUST_CHECK;
bool durable_exists(const char *path);
int64_t durable_size(const char *path); // 0 when it is not there

#endif
