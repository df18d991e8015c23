// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/health.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { HEALTH_LOOK_COMMITS = 64, PATH_MAX_BYTES = 4096 };
enum { HEADER_BYTES = 100, HEADER_PAGE_BYTES = 16, HEADER_PAGES = 28 };

// What must fit on the disk before a store that was full is tried again.
static const off_t ROOM_BYTES = 1024 * 1024;

static const char *const names[STORE_FILES] = {"harbinger.db", "harbinger.db-wal"};

static void path_of(const struct store *store, const char *name, char path[static PATH_MAX_BYTES]) {
  (void)snprintf(path, PATH_MAX_BYTES, "%s/%s", store->config.dir, name);
}

// ---- telling --------------------------------------------------------------------------------------------------------

static void set_health(struct store *store, bool healthy, const struct error *why) {
  bool was_broken = atomic_load(&store->broken);

  (void)pthread_mutex_lock(&store->health_lock);
  store->health = why ? *why : (struct error){0};
  (void)pthread_mutex_unlock(&store->health_lock);
  atomic_store(&store->broken, !healthy);
  if (was_broken == !healthy)
    return;
  if (healthy)
    log_info(store->log, "store", "the store works again");
  else
    log_error(store->log, "store", "the store is broken and is tried again every %lld ms: %s",
              (long long)store->config.retry_ms, why ? why->text : "");
  if (store->config.on_health)
    store->config.on_health(store->config.ctx, healthy, why ? why->text : "");
}

// ---- free space -----------------------------------------------------------------------------------------------------

static void look_at_space(struct store *store) {
  struct statvfs space;

  if (store->config.min_free_bytes <= 0 || statvfs(store->config.dir, &space) != 0)
    return;
  uint64_t free_bytes = (uint64_t)space.f_bavail * (uint64_t)space.f_frsize;
  bool low = free_bytes < (uint64_t)store->config.min_free_bytes;
  bool was_low = atomic_load(&store->low_space);
  if (low) {
    (void)pthread_mutex_lock(&store->health_lock);
    (void)error_set(&store->space, ERR_UNAVAILABLE,
                    "no new event is taken: %llu MiB are free for %s and %lld MiB must be; make room on that disk",
                    (unsigned long long)(free_bytes >> 20), store->config.dir,
                    (long long)(store->config.min_free_bytes >> 20));
    (void)pthread_mutex_unlock(&store->health_lock);
  }
  atomic_store(&store->low_space, low);
  metric_set(store->metrics.low_space, low);
  if (low && !was_low)
    log_warn(store->log, "store", "%s", store->space.text);
  if (!low && was_low)
    log_info(store->log, "store", "there is room again: events are taken");
}

static int has_room(struct store *store, struct error *err) {
  char path[PATH_MAX_BYTES], words[128];

  path_of(store, "room", path);
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0 && (errno == EMFILE || errno == ENFILE))
    return 0; // says nothing about the disk
  int why = fd < 0 ? errno : posix_fallocate(fd, 0, ROOM_BYTES);
  if (fd >= 0) {
    (void)unlink(path);
    (void)close(fd);
  }
  if (why == 0)
    return 0;
  return error_set(err, ERR_UNAVAILABLE, "cannot write %lld bytes to %s: %s: make room on that disk",
                   (long long)ROOM_BYTES, store->config.dir, error_errno(why, words));
}

// ---- the files ------------------------------------------------------------------------------------------------------

void health_file_written(struct store *store) {
  struct stat stat_now;

  if (stat(store->path, &stat_now) == 0)
    store->files[STORE_FILE_DATABASE].bytes = stat_now.st_size;
}

// Shorter than its own first page says (the database file format, 1.3). Compaction makes it shorter, and a move of the
// log, whoever makes it, writes that page and the new end. What is in the log only does not count: it may have grown
// again there. Read through SQLite's descriptor: closing another one would give up its locks.
static bool is_cut(struct store *store, int64_t bytes) {
  uint8_t header[HEADER_BYTES];
  sqlite3_file *file = NULL;

  if (sqlite3_file_control(store->conn->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file ||
      !file->pMethods || file->pMethods->xRead(file, header, HEADER_BYTES, 0) != SQLITE_OK)
    return true; // its first page is gone
  int64_t page_bytes = header[HEADER_PAGE_BYTES] << 8 | header[HEADER_PAGE_BYTES + 1], pages = 0;
  for (int i = 0; i < 4; i++)
    pages = pages << 8 | header[HEADER_PAGES + i];
  return bytes < pages * (page_bytes == 1 ? 65536 : page_bytes);
}

static int check_file(struct store *store, int which, struct error *err) {
  struct store_file *known = &store->files[which];
  struct stat now;
  char path[PATH_MAX_BYTES];

  path_of(store, names[which], path);
  bool there = stat(path, &now) == 0;
  if (!there && errno != ENOENT)
    return 0;                     // SQLite has the file open and will tell
  if (there && known->inode == 0) // the log is made by the first that writes
    *known = (struct store_file){.device = now.st_dev, .inode = now.st_ino, .bytes = now.st_size};
  if (known->inode == 0)
    return 0;
  if (!there || now.st_dev != known->device || now.st_ino != known->inode)
    return error_set(
        err, ERR_UNAVAILABLE,
        "%s is not the file any more that this server has open: put it back, or stop the server and restore a "
        "backup",
        path);
  if (which != STORE_FILE_DATABASE || now.st_size >= known->bytes)
    return 0;
  if (!store->cut && (atomic_load(&store->snapshots) > 0 || atomic_load(&store->moving) > 0))
    return 0; // the log may be on its way into the file at this moment: looked at when that has ended
  if (!store->cut && !is_cut(store, now.st_size)) {
    known->bytes = now.st_size;
    return 0;
  }
  store->cut = true; // for good: what comes into the gap is not what was there
  return error_set(err, ERR_UNAVAILABLE,
                   "%s was cut short by another program, from %lld to %lld bytes: stop the server and restore a backup",
                   path, (long long)known->bytes, (long long)now.st_size);
}

static int check_files(struct store *store, struct error *err) {
  int rc = 0;

  for (int which = 0; rc == 0 && which < STORE_FILES; which++)
    rc = check_file(store, which, err);
  if (rc == 0 && store->cut)
    rc = error_set(err, ERR_UNAVAILABLE, "%s was cut short by another program: stop the server and restore a backup",
                   store->path);
  return rc;
}

// ---- being told, and looking --------------------------------------------------------------------------------------------------------

void health_broken(struct store *store, const struct error *why) {
  struct error files;

  store->probe_us = clock_mono_us(store->clock) + store->config.retry_ms * US_PER_MS;
  // What SQLite makes of a file that was cut is less clear than what happened to it.
  bool known = check_files(store, &files) != 0;
  set_health(store, false, known ? &files : why);
}

void health_works(struct store *store) {
  set_health(store, true, NULL);
}

void health_init(struct store *store) {
  struct error err;

  store->looked_us = INT64_MIN / 2;
  for (int which = 0; which < STORE_FILES; which++)
    (void)check_file(store, which, &err); // seen for the first time, each is as it should be
}

void health_look(struct store *store) {
  int64_t now_us = clock_mono_us(store->clock);
  struct error err;

  if (now_us - store->looked_us < US_PER_S && store->commits_since_look < HEALTH_LOOK_COMMITS)
    return;
  store->looked_us = now_us;
  store->commits_since_look = 0;
  look_at_space(store);
  if (atomic_load(&store->broken) || check_files(store, &err) == 0)
    return;
  // A log without a name ends with this process: what is in it goes into the file while both are open.
  if (!store->cut)
    (void)sqlite3_wal_checkpoint_v2(store->conn->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  health_broken(store, &err);
}

int health_may_try(struct store *store, struct error *err) {
  int rc = check_files(store, err);

  return rc != 0 ? rc : has_room(store, err);
}
