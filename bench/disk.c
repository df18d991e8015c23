// SPDX-License-Identifier: Apache-2.0
// What the disk gives a program that does nothing else: appends of BYTES to a growing file, each followed by fdatasync,
// for SECONDS; RATE a second, or 0 for one after the other.
//
//   disk FILE BYTES SECONDS RATE     one JSON object: appends a second, median and 99th percentile of one
#include <fcntl.h>
#include <unistd.h>

#include "wall.h"

enum { APPENDS_MAX = 1000000 };

static void wait_until(int64_t at_us) {
  const struct timespec at = {.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000};
  while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL) == EINTR) {
  }
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fputs("usage: disk FILE BYTES SECONDS RATE\n", stderr);
    return 2;
  }
  size_t bytes = strtoul(argv[2], NULL, 10), len = 0;
  int64_t rate = number_of(argv[4]);
  int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  char *block = calloc(1, bytes + 1);
  int64_t *took = calloc(APPENDS_MAX, sizeof *took);
  if (fd < 0 || !block || !took)
    give_up("disk", argv[1]);
  memset(block, 'x', bytes);
  int64_t start_us = wall_us(), end_us = start_us + number_of(argv[3]) * 1000000, now_us = start_us;
  while (now_us < end_us && len < APPENDS_MAX) {
    if (rate > 0)
      wait_until(start_us + (int64_t)len * 1000000 / rate);
    int64_t before_us = wall_us();
    if (write(fd, block, bytes) != (ssize_t)bytes || fdatasync(fd) != 0)
      give_up("disk", argv[1]);
    now_us = wall_us();
    took[len++] = now_us - before_us;
  }
  qsort(took, len, sizeof *took, compare_numbers);
  printf("{\"per_second\":%.0f,\"p50_us\":%lld,\"p99_us\":%lld}\n", (double)len * 1e6 / (double)(now_us - start_us),
         (long long)took[len / 2], (long long)took[len * 99 / 100]);
  unlink(argv[1]);
  return 0;
}
