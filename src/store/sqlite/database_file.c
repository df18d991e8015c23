// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/database_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The database file format of SQLite 3: the file's header (1.3), and a log's, with 24 bytes before each page (4.1).
enum {
  HEADER_BYTES = 100,
  HEADER_PAGE_BYTES = 16,
  HEADER_CHANGES = 24,
  HEADER_PAGES = 28,
  HEADER_PAGES_VALID_FOR = 92,
  LOG_HEADER_BYTES = 32,
  LOG_HEADER_SALT = 16,
  LOG_FRAME_BYTES = 24,
  LOG_FRAME_SALT = 8,
  LOG_SALT_BYTES = 8,
  LOCK_BYTE = 0x40000000,
  PATH_MAX_BYTES = 4096,
};

static int refuse(const char *path, int why, struct error *err) {
  char words[128];

  return error_set(err, ERR_IO,
                   "cannot open %s: %s: the data directory must be writable for the user that runs harbinger", path,
                   error_errno(why, words));
}

static int refuse_cut(const char *path, int64_t bytes, struct error *err) {
  return error_set(err, ERR_UNAVAILABLE, "%s was cut short, to %lld bytes: restore a backup", path, (long long)bytes);
}

// ---- making ---------------------------------------------------------------------------------------------------------

static int write_empty(const char *path, struct error *err) {
  sqlite3 *db = NULL;
  int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

  if (rc == SQLITE_OK)
    rc = sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL); // writes and syncs the first page
  if (rc != SQLITE_OK)
    (void)error_set(err, ERR_IO, "cannot make %s: %s", path, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
  int closed = sqlite3_close(db);
  return rc == SQLITE_OK && closed == SQLITE_OK ? 0 : (int)ERR_IO;
}

static int make(const char *path, uid_t owner, struct error *err) {
  char made[PATH_MAX_BYTES];

  if (snprintf(made, sizeof(made), "%s.new", path) >= (int)sizeof(made))
    return refuse(path, ENAMETOOLONG, err);
  (void)unlink(made); // what a kill left of an earlier try goes; for root the name may be a link to what is not theirs
  int fd = open(made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return refuse(path, errno, err);
  int owned = owner != 0 ? fchown(fd, owner, (gid_t)-1) : 0;
  int why = errno;
  (void)close(fd);
  int rc = owned == 0 ? write_empty(made, err) : refuse(path, why, err);
  if (rc == 0 && rename(made, path) != 0)
    rc = refuse(path, errno, err);
  if (rc != 0)
    (void)unlink(made);
  return rc;
}

// ---- looking --------------------------------------------------------------------------------------------------------

static int64_t number_at(const uint8_t *header, size_t at, size_t len) {
  int64_t number = 0;

  for (size_t i = 0; i < len; i++)
    number = number << 8 | header[at + i];
  return number;
}

static int open_log(const char *path) {
  char log[PATH_MAX_BYTES];

  return snprintf(log, sizeof(log), "%s-wal", path) < (int)sizeof(log) ? open(log, O_RDONLY | O_CLOEXEC) : -1;
}

static bool has_log(const char *path) {
  struct stat found;
  int fd = open_log(path);
  bool has = fd >= 0 && fstat(fd, &found) == 0 && found.st_size > 0;

  if (fd >= 0)
    (void)close(fd);
  return has;
}

// How many of the pages from `first` to `last` the log holds. Frames of an older round of the log have another salt.
static int64_t count_in_log(int fd, int64_t page_bytes, int64_t first, int64_t last) {
  uint8_t head[LOG_HEADER_BYTES], frame[LOG_FRAME_BYTES];
  int64_t found = 0;

  if (pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
    return 0;
  bool *seen = calloc((size_t)(last - first + 1), sizeof(*seen));
  if (!seen)
    return last - first + 1; // no ground to refuse it
  for (int64_t at = LOG_HEADER_BYTES; pread(fd, frame, sizeof(frame), at) == (ssize_t)sizeof(frame);
       at += LOG_FRAME_BYTES + page_bytes) {
    int64_t page = number_at(frame, 0, 4);
    if (page < first || page > last || memcmp(frame + LOG_FRAME_SALT, head + LOG_HEADER_SALT, LOG_SALT_BYTES) != 0)
      continue;
    found += !seen[page - first];
    seen[page - first] = true;
  }
  free(seen);
  return found;
}

// A kill while the log is moved into the file may leave the first page, which counts the pages, before the last ones are
// there; they are in the log then. The page that holds the locks is never written.
static bool lacks_pages(const char *path, const uint8_t *header, int64_t bytes) {
  int64_t page_bytes = number_at(header, HEADER_PAGE_BYTES, 2);

  if (page_bytes == 1)
    page_bytes = 65536;
  if (page_bytes < 512 || number_at(header, HEADER_CHANGES, 4) != number_at(header, HEADER_PAGES_VALID_FOR, 4))
    return false; // SQLite has the word
  int64_t pages = number_at(header, HEADER_PAGES, 4), first = bytes / page_bytes + 1;
  int64_t locks = LOCK_BYTE / page_bytes + 1;
  int64_t missing = pages - first + 1 - (locks >= first && locks <= pages);
  if (missing <= 0)
    return false;
  struct stat log;
  int fd = open_log(path);
  if (fd < 0)
    return true;
  int64_t frames = fstat(fd, &log) == 0 ? log.st_size / (page_bytes + LOG_FRAME_BYTES) : 0;
  int64_t found = missing > frames ? 0 : count_in_log(fd, page_bytes, first, pages);
  (void)close(fd);
  return found < missing;
}

// ---- root in the directory of another -------------------------------------------------------------------------------

// 0: we are not root, or the directory is root's.
static uid_t other_owner(const char *path) {
  char dir[PATH_MAX_BYTES];
  struct stat st;
  const char *slash = strrchr(path, '/');

  if (geteuid() != 0)
    return 0;
  (void)snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
  return stat(dir, &st) == 0 ? st.st_uid : 0;
}

// SQLite opens by name, and what that user puts there root would read and write: only a file that is that user's own.
static int check_owner(const char *path, uid_t owner, struct error *err) {
  static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
  char name[PATH_MAX_BYTES];
  struct stat st;

  for (size_t i = 0; owner != 0 && i < sizeof(ends) / sizeof(ends[0]); i++) {
    if (snprintf(name, sizeof(name), "%s%s", path, ends[i]) >= (int)sizeof(name))
      return refuse(path, ENAMETOOLONG, err);
    if (lstat(name, &st) != 0)
      continue; // not there, or told by who opens it
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || (st.st_uid != owner && st.st_uid != 0))
      return error_set(err, ERR_IO,
                       "%s is not a file of the user that the data directory belongs to (uid %u), and root does not "
                       "open it: run this as that user, or look at what it is",
                       name, (unsigned)owner);
  }
  return 0;
}

int database_file_prepare(const char *path, struct error *err) {
  uint8_t header[HEADER_BYTES];
  struct stat found;
  uid_t owner = other_owner(path);
  int rc = check_owner(path, owner, err);

  if (rc != 0)
    return rc;
  int fd = open(path, O_RDWR | O_CLOEXEC);

  if (fd < 0 && errno == ENOENT && has_log(path))
    return error_set(err, ERR_UNAVAILABLE, "%s is not there, but its log is: put it back, or restore a backup", path);
  if (fd < 0)
    return errno == ENOENT ? make(path, owner, err) : refuse(path, errno, err);
  rc = fstat(fd, &found) == 0 ? 0 : refuse(path, errno, err);
  ssize_t len = rc == 0 ? pread(fd, header, sizeof(header), 0) : 0;
  if (len < 0)
    rc = refuse(path, errno, err);
  (void)close(fd);
  if (rc != 0)
    return rc;
  if (len < HEADER_BYTES || lacks_pages(path, header, found.st_size))
    return refuse_cut(path, found.st_size, err);
  return 0;
}
