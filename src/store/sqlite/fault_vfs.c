// SPDX-License-Identifier: Apache-2.0
// Of the fault build alone: scripts/list-sources keeps it out of the release.
#include "store/sqlite/fault_vfs.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/fault.h"
#include "base/str.h"

// As disks: a sector is written whole or not at all. A block keeps eight, with a bit for each that differs from the file.
enum { SECTOR_BYTES = 512, BLOCK_SECTORS = 8, BLOCK_BYTES = SECTOR_BYTES * BLOCK_SECTORS };
enum { BUCKETS = 4096, EARLY_ONE_IN = 4, DEFAULT_SEED = 1 };

struct block {
  struct block *next; // of its bucket
  sqlite3_int64 at;   // multiple of BLOCK_BYTES
  uint8_t dirty;      // bit i: sector i is not in the file
  unsigned char bytes[BLOCK_BYTES];
};

// What one file is for this process beyond what is on the disk. Kept as long as any connection has the file open; the
// last one's close writes it out, as a process that ends leaves its writes to the kernel.
struct overlay {
  struct overlay *next;
  char *path;
  size_t users;
  sqlite3_int64 size; // as the process sees it
  sqlite3_int64
      real_to; // bytes of the file that still hold, however long it is: it was cut here and the cut not synced
  struct block *buckets[BUCKETS];
};

struct fault_file {
  sqlite3_file base;
  struct overlay *overlay; // NULL: not delayed
  sqlite3_file *real;      // behind this struct
};

static struct {
  pthread_once_t once;
  sqlite3_vfs vfs;
  sqlite3_vfs *under;
  bool power;
  pthread_mutex_t lock; // overlays and the chance
  struct overlay *overlays;
  uint64_t chance;
} shim = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

static struct fault_file *file_of(sqlite3_file *file) {
  return (struct fault_file *)(void *)file;
}

// As SQLite's own does: only a full disk has a code of its own.
static int code_of(int why, int otherwise) {
  errno = why;
  return why == ENOSPC ? SQLITE_FULL : otherwise;
}

// xorshift64*: the run can be repeated with the same seed, as far as threads allow.
static bool goes_early(void) {
  uint64_t x = shim.chance;

  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  shim.chance = x;
  return (x * UINT64_C(2685821657736338717) >> 40) % EARLY_ONE_IN == 0;
}

// ---- an overlay (under shim.lock) ------------------------------------------------------------------------------------

static struct block **bucket_of(struct overlay *overlay, sqlite3_int64 at) {
  return &overlay->buckets[(uint64_t)(at / BLOCK_BYTES) % BUCKETS];
}

static struct block *find_block(struct overlay *overlay, sqlite3_int64 at) {
  struct block *block = *bucket_of(overlay, at);

  while (block && block->at != at)
    block = block->next;
  return block;
}

// The file's own bytes, zeros where it has none (any more).
static int read_under(struct fault_file *file, unsigned char *out, int len, sqlite3_int64 at) {
  sqlite3_int64 left = file->overlay->real_to - at;
  int real = left <= 0 ? 0 : left < len ? (int)left : len;

  memset(out, 0, (size_t)len);
  if (real == 0)
    return SQLITE_OK;
  int rc = file->real->pMethods->xRead(file->real, out, real, at);
  return rc == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : rc;
}

static int obtain_block(struct fault_file *file, sqlite3_int64 at, struct block **out) {
  struct block *block = find_block(file->overlay, at);

  *out = block;
  if (block)
    return SQLITE_OK;
  block = calloc(1, sizeof(*block));
  if (!block)
    return SQLITE_IOERR_NOMEM;
  block->at = at;
  int rc = read_under(file, block->bytes, BLOCK_BYTES, at);
  if (rc != SQLITE_OK) {
    free(block);
    return rc;
  }
  struct block **bucket = bucket_of(file->overlay, at);
  block->next = *bucket;
  *bucket = block;
  *out = block;
  return SQLITE_OK;
}

static int write_sector(struct fault_file *file, struct block *block, int sector) {
  struct overlay *overlay = file->overlay;
  sqlite3_int64 at = block->at + (sqlite3_int64)sector * SECTOR_BYTES;
  sqlite3_int64 left = overlay->size - at;
  int len = left < SECTOR_BYTES ? (int)left : SECTOR_BYTES;

  block->dirty &= (uint8_t) ~(1U << sector);
  return len <= 0 ? SQLITE_OK
                  : file->real->pMethods->xWrite(file->real, block->bytes + (size_t)sector * SECTOR_BYTES, len, at);
}

// A sector that reaches the disk early must not bring back, before it, bytes that a cut has taken away: then it waits.
static bool may_go_early(const struct overlay *overlay, sqlite3_int64 at) {
  return at < overlay->real_to && goes_early();
}

static int overlay_write(struct fault_file *file, const unsigned char *from, int len, sqlite3_int64 at) {
  struct overlay *overlay = file->overlay;
  sqlite3_int64 end = at + len;

  if (end > overlay->size)
    overlay->size = end;
  while (at < end) {
    sqlite3_int64 begin = at - at % BLOCK_BYTES, sector_end = at - at % SECTOR_BYTES + SECTOR_BYTES;
    int sector = (int)((at - begin) / SECTOR_BYTES);
    size_t part = (size_t)((end < sector_end ? end : sector_end) - at);
    struct block *block;
    int rc = obtain_block(file, begin, &block);
    if (rc != SQLITE_OK)
      return rc;
    memcpy(block->bytes + (at - begin), from, part);
    block->dirty |= (uint8_t)(1U << sector);
    if (may_go_early(overlay, at))
      rc = write_sector(file, block, sector);
    if (rc != SQLITE_OK)
      return rc;
    from += part;
    at += (sqlite3_int64)part;
  }
  return SQLITE_OK;
}

static int overlay_read(struct fault_file *file, unsigned char *out, int len, sqlite3_int64 at) {
  struct overlay *overlay = file->overlay;
  sqlite3_int64 left = overlay->size - at;
  int there = left <= 0 ? 0 : left < len ? (int)left : len;
  int rc = read_under(file, out, len, at);

  for (int done = 0; rc == SQLITE_OK && done < there;) {
    sqlite3_int64 now = at + done, begin = now - now % BLOCK_BYTES;
    int room = (int)(begin + BLOCK_BYTES - now), part = there - done < room ? there - done : room;
    const struct block *block = find_block(overlay, begin);
    if (block)
      memcpy(out + done, block->bytes + (now - begin), (size_t)part);
    done += part;
  }
  if (rc != SQLITE_OK || there == len)
    return rc;
  memset(out + there, 0, (size_t)(len - there));
  return SQLITE_IOERR_SHORT_READ;
}

static void overlay_clear(struct overlay *overlay) {
  for (size_t i = 0; i < BUCKETS; i++) {
    struct block *block;
    while ((block = overlay->buckets[i]) != NULL) {
      overlay->buckets[i] = block->next;
      free(block);
    }
  }
}

static void overlay_cut(struct overlay *overlay, sqlite3_int64 size) {
  for (size_t i = 0; i < BUCKETS; i++) {
    struct block **link = &overlay->buckets[i], *block;
    while ((block = *link) != NULL) {
      if (block->at >= size) {
        *link = block->next;
        free(block);
        continue;
      }
      if (block->at + BLOCK_BYTES > size)
        memset(block->bytes + (size - block->at), 0, (size_t)(block->at + BLOCK_BYTES - size));
      link = &block->next;
    }
  }
  overlay->size = size;
  if (overlay->real_to > size)
    overlay->real_to = size;
}

// All that waits goes to the file; only then is it what the process believes it to be.
static int overlay_write_out(struct fault_file *file) {
  struct overlay *overlay = file->overlay;
  const struct sqlite3_io_methods *under = file->real->pMethods;
  sqlite3_int64 real_size = 0;
  int rc = under->xFileSize(file->real, &real_size);

  if (rc == SQLITE_OK && real_size > overlay->real_to)
    rc = under->xTruncate(file->real, overlay->real_to);
  for (size_t i = 0; rc == SQLITE_OK && i < BUCKETS; i++) {
    for (struct block *block = overlay->buckets[i]; rc == SQLITE_OK && block; block = block->next) {
      for (int sector = 0; rc == SQLITE_OK && sector < BLOCK_SECTORS; sector++) {
        if (block->dirty & (1U << sector))
          rc = write_sector(file, block, sector);
      }
    }
  }
  if (rc != SQLITE_OK)
    return rc;
  overlay->real_to = INT64_MAX;
  overlay_clear(overlay);
  return SQLITE_OK;
}

static struct overlay *find_overlay(const char *path) {
  struct overlay *overlay = shim.overlays;

  while (overlay && strcmp(overlay->path, path) != 0)
    overlay = overlay->next;
  return overlay;
}

static int use_overlay(struct fault_file *file, const char *path) {
  struct overlay *overlay = find_overlay(path);
  sqlite3_int64 size = 0;

  if (!overlay) {
    int rc = file->real->pMethods->xFileSize(file->real, &size);
    if (rc != SQLITE_OK)
      return rc;
    overlay = calloc(1, sizeof(*overlay));
    char *copy = strdup(path);
    if (!overlay || !copy) {
      free(overlay);
      free(copy);
      return SQLITE_NOMEM;
    }
    overlay->path = copy;
    overlay->size = size;
    overlay->real_to = INT64_MAX;
    overlay->next = shim.overlays;
    shim.overlays = overlay;
  }
  overlay->users++;
  file->overlay = overlay;
  return SQLITE_OK;
}

static int leave_overlay(struct fault_file *file) {
  struct overlay *overlay = file->overlay, **link = &shim.overlays;

  if (--overlay->users > 0)
    return SQLITE_OK;
  int rc = overlay_write_out(file);
  while (*link != overlay)
    link = &(*link)->next;
  *link = overlay->next;
  overlay_clear(overlay);
  free(overlay->path);
  free(overlay);
  return rc;
}

// ---- a file's methods -------------------------------------------------------------------------------------------------

static void lock_shim(void) {
  if (pthread_mutex_lock(&shim.lock) != 0)
    abort();
}

static int unlock_shim(int rc) {
  if (pthread_mutex_unlock(&shim.lock) != 0)
    abort();
  return rc;
}

static int on_close(sqlite3_file *base) {
  struct fault_file *file = file_of(base);
  int rc = SQLITE_OK;

  if (file->overlay) {
    lock_shim();
    rc = unlock_shim(leave_overlay(file));
  }
  int closed = file->real->pMethods->xClose(file->real);
  return rc != SQLITE_OK ? rc : closed;
}

static int on_read(sqlite3_file *base, void *out, int len, sqlite3_int64 at) {
  struct fault_file *file = file_of(base);
  int why = fault_read_errno();

  if (why) {
    errno = why;
    return SQLITE_IOERR_READ;
  }
  if (!file->overlay)
    return file->real->pMethods->xRead(file->real, out, len, at);
  lock_shim();
  return unlock_shim(overlay_read(file, out, len, at));
}

static int on_write(sqlite3_file *base, const void *from, int len, sqlite3_int64 at) {
  struct fault_file *file = file_of(base);
  int why = fault_disk_errno();

  if (why)
    return code_of(why, SQLITE_IOERR_WRITE);
  if (!file->overlay)
    return file->real->pMethods->xWrite(file->real, from, len, at);
  lock_shim();
  return unlock_shim(overlay_write(file, from, len, at));
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size) {
  struct fault_file *file = file_of(base);
  int why = fault_disk_errno();

  if (why)
    return code_of(why, SQLITE_IOERR_TRUNCATE);
  if (!file->overlay)
    return file->real->pMethods->xTruncate(file->real, size);
  lock_shim();
  overlay_cut(file->overlay, size);
  return unlock_shim(SQLITE_OK);
}

static int on_sync(sqlite3_file *base, int flags) {
  struct fault_file *file = file_of(base);
  int why = fault_sync_errno(), rc = SQLITE_OK;

  if (why)
    return code_of(why, SQLITE_IOERR_FSYNC);
  if (file->overlay) {
    lock_shim();
    rc = unlock_shim(overlay_write_out(file));
  }
  return rc != SQLITE_OK ? rc : file->real->pMethods->xSync(file->real, flags);
}

static int on_file_size(sqlite3_file *base, sqlite3_int64 *out) {
  struct fault_file *file = file_of(base);

  if (!file->overlay)
    return file->real->pMethods->xFileSize(file->real, out);
  lock_shim();
  *out = file->overlay->size;
  return unlock_shim(SQLITE_OK);
}

static int on_lock(sqlite3_file *base, int level) {
  sqlite3_file *real = file_of(base)->real;
  return real->pMethods->xLock(real, level);
}

static int on_unlock(sqlite3_file *base, int level) {
  sqlite3_file *real = file_of(base)->real;
  return real->pMethods->xUnlock(real, level);
}

static int on_check_reserved(sqlite3_file *base, int *out) {
  sqlite3_file *real = file_of(base)->real;
  return real->pMethods->xCheckReservedLock(real, out);
}

static int on_file_control(sqlite3_file *base, int what, void *arg) {
  struct fault_file *file = file_of(base);

  // Room made ahead would lengthen the file behind the overlay's back; it is a wish only.
  if (file->overlay && (what == SQLITE_FCNTL_SIZE_HINT || what == SQLITE_FCNTL_CHUNK_SIZE))
    return SQLITE_OK;
  return file->real->pMethods->xFileControl(file->real, what, arg);
}

static int on_sector_size(sqlite3_file *base) {
  sqlite3_file *real = file_of(base)->real;
  return real->pMethods->xSectorSize(real);
}

static int on_characteristics(sqlite3_file *base) {
  sqlite3_file *real = file_of(base)->real;
  return real->pMethods->xDeviceCharacteristics(real);
}

static int on_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **out) {
  sqlite3_file *real = file_of(base)->real;
  return real->pMethods->xShmMap(real, region, size, extend, out);
}

static int on_shm_lock(sqlite3_file *base, int offset, int count, int flags) {
  sqlite3_file *real = file_of(base)->real;
  return real->pMethods->xShmLock(real, offset, count, flags);
}

static void on_shm_barrier(sqlite3_file *base) {
  sqlite3_file *real = file_of(base)->real;
  real->pMethods->xShmBarrier(real);
}

static int on_shm_unmap(sqlite3_file *base, int remove) {
  sqlite3_file *real = file_of(base)->real;
  return real->pMethods->xShmUnmap(real, remove);
}

// Version 2: no memory mapping, which would go past the overlay.
static const struct sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_file_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_check_reserved,
    .xFileControl = on_file_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

// ---- the file system --------------------------------------------------------------------------------------------------

static int on_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *base, int flags, int *out_flags) {
  static const int delayed = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL;
  struct fault_file *file = file_of(base);

  (void)vfs;
  *file = (struct fault_file){.real = (sqlite3_file *)(void *)(file + 1)};
  int rc = shim.under->xOpen(shim.under, path, file->real, flags, out_flags);
  if (rc == SQLITE_OK && shim.power && path && (flags & delayed)) {
    lock_shim();
    rc = unlock_shim(use_overlay(file, path));
    if (rc != SQLITE_OK)
      (void)file->real->pMethods->xClose(file->real);
  }
  if (rc == SQLITE_OK) // else SQLite calls nothing of it
    file->base.pMethods = &methods;
  return rc;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int sync_folder) {
  int why = fault_disk_errno();

  (void)vfs;
  return why ? code_of(why, SQLITE_IOERR_DELETE) : shim.under->xDelete(shim.under, path, sync_folder);
}

// SQLite's own says of an empty file that it does not exist: the log's bytes may be in the overlay alone.
static int on_access(sqlite3_vfs *vfs, const char *path, int flags, int *out) {
  (void)vfs;
  int rc = shim.under->xAccess(shim.under, path, flags, out);
  if (rc != SQLITE_OK || *out || flags != SQLITE_ACCESS_EXISTS)
    return rc;
  lock_shim();
  const struct overlay *overlay = find_overlay(path);
  *out = overlay && overlay->size > 0;
  return unlock_shim(SQLITE_OK);
}

static void set_up_shim(void) {
  const char *kind = getenv("HARBINGER_FAULT_VFS"), *seed = getenv("HARBINGER_FAULT_SEED");
  uint64_t number;

  shim.under = sqlite3_vfs_find(NULL);
  if (!shim.under)
    abort();
  shim.power = kind && strcmp(kind, "power") == 0;
  shim.chance = str_to_u64(str_of(seed), &number) && number > 0 ? number : DEFAULT_SEED;
  // What is not about a file's content is the other's own, called with its own struct as SQLite's wrappers expect.
  shim.vfs = *shim.under;
  shim.vfs.zName = "harbinger-faults";
  shim.vfs.pNext = NULL;
  shim.vfs.szOsFile = (int)sizeof(struct fault_file) + shim.under->szOsFile;
  shim.vfs.xOpen = on_open;
  shim.vfs.xDelete = on_delete;
  shim.vfs.xAccess = on_access;
  if (sqlite3_vfs_register(&shim.vfs, 0) != SQLITE_OK)
    abort();
}

const char *fault_vfs_name(void) {
  if (pthread_once(&shim.once, set_up_shim) != 0)
    abort();
  return shim.vfs.zName;
}
