// SPDX-License-Identifier: Apache-2.0
// The fault build's file system under SQLite: the default one with errors and power cuts, so that what a store promises
// can be tried. A release uses SQLite's own (the name is NULL).
// - Errors as the control file says (base/fault.h): writes, cuts and syncs answer as the system call would with that errno.
// - HARBINGER_FAULT_VFS=power: what was written and not yet synced lives in this process only, in one overlay per file
//   that all connections of the process read. So a SIGKILL is a power cut: exactly what was not synced is lost. As disks
//   do, a share of it reaches the file early, sector by sector of 512 bytes, whatever was written before: which ones,
//   HARBINGER_FAULT_SEED says (a number; default 1). A file's making and removal, its lock and the shared memory of the
//   log are not delayed.
// Any thread may call fault_vfs_name; SQLite calls the rest.
#ifndef HARBINGER_STORE_SQLITE_FAULT_VFS_H
#define HARBINGER_STORE_SQLITE_FAULT_VFS_H

#include <stddef.h>

#ifdef HARBINGER_FAULTS

// For sqlite3_open_v2; registers it the first time.
const char *fault_vfs_name(void);

#else

static inline const char *fault_vfs_name(void) {
  return NULL;
}

#endif

#endif
