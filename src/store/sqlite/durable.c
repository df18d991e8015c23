// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crypto.h"

enum {
  PIECE_BYTES = 1024 * 1024,
  SYNC_PIECES = 16, // written back as it goes: one sync of everything at the end would hold up the commits of others
};

static void fd_close(const int *fd) {
  if (*fd >= 0)
    (void)close(*fd);
}

static int fail(struct error *err, const char *verb, const char *path) {
  char words[128];
  int why = errno;

  return error_set(err, ERR_IO, "cannot %s %s: %s%s", verb, path, error_errno(why, words),
                   why == ENOSPC || why == EDQUOT ? ": make room on that disk" : "");
}

int durable_path(char out[static DURABLE_PATH_BYTES], const char *dir, const char *name, struct error *err) {
  int len = snprintf(out, DURABLE_PATH_BYTES, "%s/%s", dir, name);

  if (len < 0 || len >= DURABLE_PATH_BYTES)
    return error_set(err, ERR_CONFIG, "the path %.100s... is too long", dir);
  return 0;
}

bool durable_exists(const char *path) {
  return access(path, F_OK) == 0;
}

int64_t durable_size(const char *path) {
  struct stat st;

  return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

int durable_own(const char *like, const char *path, struct error *err) {
  struct stat st;

  if (geteuid() != 0 || stat(like, &st) != 0 || lchown(path, st.st_uid, st.st_gid) == 0)
    return 0;
  return fail(err, "give its owner to", path);
}

int durable_sync(const char *path, struct error *err) {
  CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

  if (fd < 0)
    return fail(err, "open", path);
  return fsync(fd) == 0 ? 0 : fail(err, "sync", path);
}

int durable_sync_parent(const char *path, struct error *err) {
  char parent[DURABLE_PATH_BYTES];
  size_t len = strlen(path);

  while (len > 1 && path[len - 1] == '/')
    len--;
  while (len > 0 && path[len - 1] != '/')
    len--;
  if (len >= sizeof(parent))
    return error_set(err, ERR_CONFIG, "the path %.100s... is too long", path);
  (void)snprintf(parent, sizeof(parent), "%.*s", len > 0 ? (int)len : 1, len > 0 ? path : ".");
  return durable_sync(parent, err);
}

static int write_whole(int fd, const char *path, struct str content, struct error *err) {
  while (content.len > 0) {
    ssize_t n = write(fd, content.ptr, content.len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail(err, "write", path);
    content = str_from(content, (size_t)n);
  }
  return 0;
}

// Always a new file: root writes in directories of others, where a name may be a link to what is not theirs.
static int create(const char *path, struct error *err) {
  (void)unlink(path);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

  return fd >= 0 ? fd : fail(err, "create", path);
}

int durable_write(const char *path, struct str content, struct error *err) {
  CLEANUP(fd_close) int fd = create(path, err);

  if (fd < 0)
    return fd;
  int rc = write_whole(fd, path, content, err);
  if (rc == 0 && fsync(fd) != 0)
    rc = fail(err, "sync", path);
  return rc;
}

int durable_rename(const char *from, const char *to, struct error *err) {
  if (rename(from, to) != 0)
    return fail(err, "rename to", to);
  return durable_sync_parent(to, err);
}

struct sum_job {
  int from, to; // to -1: none
  const char *from_path, *to_path, *what;
  const struct store_progress *progress;
  struct crypto_sum *sum;
  int64_t size_bytes;
};

static int sum_pieces(struct sum_job *job, char *piece, struct error *err) {
  int64_t done = 0;

  for (int pieces = 1;; pieces++) {
    ssize_t got = read(job->from, piece, PIECE_BYTES);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail(err, "read", job->from_path);
    if (got == 0)
      return 0;
    crypto_sum_add(job->sum, (struct str){piece, (size_t)got});
    int rc = job->to >= 0 ? write_whole(job->to, job->to_path, (struct str){piece, (size_t)got}, err) : 0;
    if (rc == 0 && job->to >= 0 && pieces % SYNC_PIECES == 0 && fdatasync(job->to) != 0)
      rc = fail(err, "sync", job->to_path);
    done += got;
    if (rc == 0)
      rc = store_progress_tell(job->progress, job->what, done, job->size_bytes, err);
    if (rc != 0)
      return rc;
  }
}

static void hex(const uint8_t bytes[static SHA256_BYTES], char out[static DURABLE_SUM_BYTES]) {
  for (size_t i = 0; i < SHA256_BYTES; i++)
    (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

int durable_sum(const char *from, const char *to, const char *what, const struct store_progress *progress,
                char out[static DURABLE_SUM_BYTES], struct error *err) {
  uint8_t bytes[SHA256_BYTES] = {0};
  CLEANUP(fd_close) int in = open(from, O_RDONLY | O_CLOEXEC);

  if (in < 0)
    return fail(err, "open", from);
  CLEANUP(fd_close) int copy = to ? create(to, err) : -1;
  if (to && copy < 0)
    return copy;
  struct sum_job job = {.from = in,
                        .to = copy,
                        .from_path = from,
                        .to_path = to,
                        .what = what,
                        .progress = progress,
                        .sum = crypto_sum_begin(),
                        .size_bytes = durable_size(from)};
  char *piece = malloc(PIECE_BYTES);
  int rc =
      piece && job.sum ? sum_pieces(&job, piece, err) : error_set(err, ERR_NO_MEMORY, "no memory to read %s", from);
  free(piece);
  crypto_sum_end(job.sum, rc == 0 ? bytes : NULL);
  if (rc == 0 && to && fsync(copy) != 0)
    rc = fail(err, "sync", to);
  hex(bytes, out);
  return rc;
}
