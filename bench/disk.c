// SPDX-License-Identifier: Apache-2.0
// What the disk gives a program that does nothing else: appends of BYTES, each followed by fdatasync, for SECONDS.
//
//   disk FILE BYTES SECONDS        one JSON object: appends a second, median and 99th percentile of one
#include <fcntl.h>
#include <unistd.h>

#include "wall.h"

enum { APPENDS_MAX = 1000000 };

static int compare(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fputs("usage: disk FILE BYTES SECONDS\n", stderr);
    return 2;
  }
  size_t bytes = strtoul(argv[2], NULL, 10), len = 0;
  int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  char *block = calloc(1, bytes + 1);
  int64_t *took = calloc(APPENDS_MAX, sizeof *took);
  if (fd < 0 || !block || !took)
    give_up("disk", argv[1]);
  memset(block, 'x', bytes);
  int64_t start_us = wall_us(), end_us = start_us + strtoll(argv[3], NULL, 10) * 1000000, now_us = start_us;
  while (now_us < end_us && len < APPENDS_MAX) {
    if (write(fd, block, bytes) != (ssize_t)bytes || fdatasync(fd) != 0)
      give_up("disk", argv[1]);
    int64_t after_us = wall_us();
    took[len++] = after_us - now_us;
    now_us = after_us;
  }
  qsort(took, len, sizeof *took, compare);
  printf("{\"per_second\":%.0f,\"p50_us\":%lld,\"p99_us\":%lld}\n", (double)len * 1e6 / (double)(now_us - start_us),
         (long long)took[len / 2], (long long)took[len * 99 / 100]);
  unlink(argv[1]);
  return 0;
}
