// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/wal_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"

// Most commits fit; a larger one goes in pieces.
enum { GATHERED_MAX_BYTES = 512 * 1024 };
// SQLite's own VFS takes the length of a write modulo 128 KiB: no page is longer.
enum { WRITE_MAX_BYTES = 64 * 1024 };

struct wal_file {
  sqlite3_file base;
  sqlite3_int64 start; // where in the file the gathered bytes belong
  int len;
  char *bytes;
  sqlite3_file *real; // behind this struct
};

// Written once, at the first call.
static struct {
  pthread_once_t once;
  const char *under_name;
  sqlite3_vfs *under;
  sqlite3_vfs vfs;
} gather = {.once = PTHREAD_ONCE_INIT};

static struct wal_file *wal_of(sqlite3_file *file) {
  return (struct wal_file *)(void *)file;
}

// A failure loses what was gathered: SQLite rolls the transaction back and begins again at the same place.
static int flush(struct wal_file *wal) {
  int len = wal->len, rc = SQLITE_OK;

  wal->len = 0;
  for (int done = 0; rc == SQLITE_OK && done < len; done += WRITE_MAX_BYTES) {
    int part = len - done < WRITE_MAX_BYTES ? len - done : WRITE_MAX_BYTES;
    rc = wal->real->pMethods->xWrite(wal->real, wal->bytes + done, part, wal->start + done);
  }
  return rc;
}

static int wal_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at) {
  struct wal_file *wal = wal_of(file);
  sqlite3_int64 end = wal->start + wal->len;

  if (wal->len > 0 && at >= wal->start && at + len <= end) { // a checksum of a frame that is not out yet
    memcpy(wal->bytes + (at - wal->start), bytes, (size_t)len);
    return SQLITE_OK;
  }
  if (at != end || len > GATHERED_MAX_BYTES - wal->len) {
    int rc = flush(wal);
    if (rc != SQLITE_OK || len > GATHERED_MAX_BYTES)
      return rc != SQLITE_OK ? rc : wal->real->pMethods->xWrite(wal->real, bytes, len, at);
  }
  if (wal->len == 0)
    wal->start = at;
  memcpy(wal->bytes + wal->len, bytes, (size_t)len);
  wal->len += len;
  return SQLITE_OK;
}

static int wal_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at) {
  struct wal_file *wal = wal_of(file);
  int rc = at + len > wal->start ? flush(wal) : SQLITE_OK;

  return rc != SQLITE_OK ? rc : wal->real->pMethods->xRead(wal->real, out, len, at);
}

static int wal_sync(sqlite3_file *file, int flags) {
  struct wal_file *wal = wal_of(file);
  int rc = flush(wal);

  return rc != SQLITE_OK ? rc : wal->real->pMethods->xSync(wal->real, flags);
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size) {
  struct wal_file *wal = wal_of(file);
  int rc = flush(wal);

  return rc != SQLITE_OK ? rc : wal->real->pMethods->xTruncate(wal->real, size);
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *size) {
  struct wal_file *wal = wal_of(file);
  int rc = flush(wal);

  return rc != SQLITE_OK ? rc : wal->real->pMethods->xFileSize(wal->real, size);
}

static int wal_close(sqlite3_file *file) {
  struct wal_file *wal = wal_of(file);
  int rc = flush(wal), closed = wal->real->pMethods->xClose(wal->real);

  free(wal->bytes);
  return rc != SQLITE_OK ? rc : closed;
}

static int wal_lock(sqlite3_file *file, int level) {
  return wal_of(file)->real->pMethods->xLock(wal_of(file)->real, level);
}

static int wal_unlock(sqlite3_file *file, int level) {
  return wal_of(file)->real->pMethods->xUnlock(wal_of(file)->real, level);
}

static int wal_check_lock(sqlite3_file *file, int *out) {
  return wal_of(file)->real->pMethods->xCheckReservedLock(wal_of(file)->real, out);
}

// Padding behind a sync, on devices that need it, is told of here: nothing may stay gathered then.
static int wal_control(sqlite3_file *file, int op, void *arg) {
  int rc = flush(wal_of(file));

  return rc != SQLITE_OK ? rc : wal_of(file)->real->pMethods->xFileControl(wal_of(file)->real, op, arg);
}

static int wal_sector_size(sqlite3_file *file) {
  return wal_of(file)->real->pMethods->xSectorSize(wal_of(file)->real);
}

static int wal_device(sqlite3_file *file) {
  return wal_of(file)->real->pMethods->xDeviceCharacteristics(wal_of(file)->real);
}

// Version 1: a log is neither mapped nor has it shared memory of its own.
static const sqlite3_io_methods wal_methods = {
    .iVersion = 1,
    .xClose = wal_close,
    .xRead = wal_read,
    .xWrite = wal_write,
    .xTruncate = wal_truncate,
    .xSync = wal_sync,
    .xFileSize = wal_size,
    .xLock = wal_lock,
    .xUnlock = wal_unlock,
    .xCheckReservedLock = wal_check_lock,
    .xFileControl = wal_control,
    .xSectorSize = wal_sector_size,
    .xDeviceCharacteristics = wal_device,
};

static int open_file(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out_flags) {
  struct wal_file *wal = wal_of(file);

  (void)vfs;
  if (!(flags & SQLITE_OPEN_WAL))
    return gather.under->xOpen(gather.under, name, file, flags, out_flags);
  memset(wal, 0, sizeof(*wal));
  wal->real = (sqlite3_file *)(void *)(wal + 1);
  wal->real->pMethods = NULL;
  wal->bytes = malloc(GATHERED_MAX_BYTES);
  int rc = wal->bytes ? gather.under->xOpen(gather.under, name, wal->real, flags, out_flags) : SQLITE_NOMEM;
  if (rc == SQLITE_OK) {
    wal->base.pMethods = &wal_methods;
    return SQLITE_OK;
  }
  if (wal->real->pMethods) // opened as far as it must be closed
    (void)wal->real->pMethods->xClose(wal->real);
  free(wal->bytes);
  wal->base.pMethods = NULL;
  return rc;
}

static void make(void) {
  gather.under = sqlite3_vfs_find(gather.under_name);
  if (!gather.under)
    return;
  gather.vfs = *gather.under; // its other functions take any VFS of the same kind, and are called with this one
  gather.vfs.pNext = NULL;
  gather.vfs.zName = "harbinger-wal";
  gather.vfs.szOsFile = (int)sizeof(struct wal_file) + gather.under->szOsFile;
  gather.vfs.xOpen = open_file;
  if (sqlite3_vfs_register(&gather.vfs, 0) != SQLITE_OK)
    gather.under = NULL;
}

const char *wal_vfs_name(const char *under) {
  gather.under_name = under;
  if (pthread_once(&gather.once, make) != 0 || !gather.under)
    return NULL;
  return gather.vfs.zName;
}
