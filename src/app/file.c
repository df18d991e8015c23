// SPDX-License-Identifier: Apache-2.0
#include "app/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"

static void fd_close(const int *fd) {
  if (*fd >= 0)
    close(*fd);
}

static int fail(struct error *err, const char *verb, const char *path) {
  char words[128];
  return error_set(err, ERR_IO, "cannot %s %s: %s", verb, path, error_errno(errno, words));
}

static ssize_t read_whole(int fd, char *out, size_t size) {
  size_t got = 0;
  while (got < size) {
    ssize_t n = read(fd, out + got, size - got);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -1;
    if (n == 0)
      break;
    got += (size_t)n;
  }
  return (ssize_t)got;
}

int file_read(const char *path, size_t max_bytes, struct arena *arena, struct str *out, struct error *err) {
  CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail(err, "open", path);
  struct stat st;
  if (fstat(fd, &st) != 0)
    return fail(err, "look at", path);
  if (!S_ISREG(st.st_mode))
    return error_set(err, ERR_IO, "%s is not a regular file", path);
  if ((uint64_t)st.st_size > max_bytes)
    return error_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, max_bytes);
  size_t size = (size_t)st.st_size;
  char *text = arena_alloc(arena, size + 1);
  if (!text)
    return error_set(err, ERR_NO_MEMORY, "out of memory for %s", path);
  ssize_t got = read_whole(fd, text, size);
  if (got < 0)
    return fail(err, "read", path);
  *out = (struct str){text, (size_t)got};
  return 0;
}

static int write_whole(int fd, struct str content) {
  while (content.len > 0) {
    ssize_t n = write(fd, content.ptr, content.len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -1;
    content = str_from(content, (size_t)n);
  }
  return fsync(fd);
}

static void directory_of(const char *path, char out[static 4096]) {
  const char *slash = strrchr(path, '/');
  snprintf(out, 4096, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
}

// Root's commands write for the user that runs the server: the file is the directory's owner's.
static int own_like_directory(int fd, const char *path) {
  char dir[4096];
  struct stat st;
  if (geteuid() != 0)
    return 0;
  directory_of(path, dir);
  return stat(dir, &st) == 0 ? fchown(fd, st.st_uid, st.st_gid) : -1;
}

// The name is on disk as well: a key that a power cut takes back would be one that opens nothing.
static int sync_directory_of(const char *path, struct error *err) {
  char dir[4096];
  directory_of(path, dir);
  CLEANUP(fd_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return fail(err, "open", dir);
  return fsync(fd) == 0 ? 0 : fail(err, "sync", dir);
}

int file_write_secret(const char *path, struct str content, struct error *err) {
  char beside[4096];
  if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
    return error_set(err, ERR_IO, "the path %s is too long", path);
  unlink(beside); // always a new file: for root a name in the directory of another may be a link to what is not theirs
  CLEANUP(fd_close) int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(err, "create", beside);
  if (own_like_directory(fd, path) != 0 || fchmod(fd, 0600) != 0 || write_whole(fd, content) != 0) {
    int rc = fail(err, "write", beside);
    unlink(beside);
    return rc;
  }
  if (rename(beside, path) != 0)
    return fail(err, "rename to", path);
  return sync_directory_of(path, err);
}

static int key_make(const char *path, uint8_t *key, size_t len, struct error *err) {
  random_bytes(key, len);
  return file_write_secret(path, (struct str){(const char *)key, len}, err);
}

int file_key(const char *path, uint8_t *key, size_t len, struct error *err) {
  CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT)
    return key_make(path, key, len, err);
  if (fd < 0)
    return fail(err, "open", path);
  struct stat st;
  if (fstat(fd, &st) != 0)
    return fail(err, "look at", path);
  if (st.st_mode & (S_IRWXG | S_IRWXO))
    return error_set(err, ERR_CONFIG, "%s may be read by others; run: chmod 600 %s", path, path);
  if (read_whole(fd, (char *)key, len) != (ssize_t)len)
    return error_set(err, ERR_CONFIG, "%s is shorter than %zu bytes: it is damaged; restore it from a backup", path,
                     len);
  return 0;
}

int file_keys(const char *path, struct store_keys *out, struct error *err) {
  uint8_t bytes[2 * SEAL_KEY_BYTES];
  struct stat st;
  bool two = stat(path, &st) == 0 && st.st_size == (off_t)sizeof bytes;
  int rc = file_key(path, bytes, two ? sizeof bytes : SEAL_KEY_BYTES, err);
  memcpy(out->keys, bytes, sizeof bytes);
  out->len = two ? 2 : 1;
  explicit_bzero(bytes, sizeof bytes);
  return rc;
}

int file_keys_write(const char *path, const struct store_keys *keys, struct error *err) {
  return file_write_secret(path, (struct str){(const char *)keys->keys, keys->len * SEAL_KEY_BYTES}, err);
}
