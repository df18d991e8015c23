// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_PATH_BYTES = 4096 };

static int refuse(int fd, int why, const char *dir, const char *path, struct error *err) {
  char pid[32], words[128];
  ssize_t len = why == EWOULDBLOCK ? pread(fd, pid, sizeof(pid) - 1, 0) : 0;

  if (why != EWOULDBLOCK)
    return error_set(err, ERR_IO, "cannot lock %s: %s", path, error_errno(why, words));
  pid[len > 0 ? len : 0] = '\0';
  pid[strcspn(pid, "\n")] = '\0';
  return error_set(err, ERR_UNAVAILABLE,
                   "another harbinger (process %s) serves the data directory %s: stop it, or use another --data",
                   pid[0] ? pid : "unknown", dir);
}

// A lock that root's command made is of use to the user that runs harbinger only when he may open it.
static void own_like_directory(int fd, const char *dir) {
  struct stat st;

  if (geteuid() == 0 && stat(dir, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
    return; // then the next start says what is wrong
}

int lock_take(const char *dir, int *fd, struct error *err) {
  char path[LOCK_PATH_BYTES], words[128], pid[32];

  (void)snprintf(path, sizeof(path), "%s/lock", dir);
  *fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600); // it is truncated below, by root, too
  if (*fd < 0)
    return error_set(err, ERR_IO,
                     "cannot open %s: %s: the data directory must be writable for the user that runs harbinger", path,
                     error_errno(errno, words));
  if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
    int rc = refuse(*fd, errno, dir, path, err);
    (void)close(*fd);
    *fd = -1;
    return rc;
  }
  own_like_directory(*fd, dir);
  int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
  // For the words above only: a full disk must not keep the store from opening.
  if (ftruncate(*fd, 0) == 0)
    len = (int)pwrite(*fd, pid, (size_t)len, 0);
  (void)len;
  return 0;
}
