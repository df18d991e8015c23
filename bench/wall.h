// SPDX-License-Identifier: Apache-2.0
// What the tools of the benchmark share: the wall clock in microseconds (all of them run on one machine, so that their
// times compare), a way to end with a reason, numbers of the command line, and the search for a header.
#ifndef HARBINGER_BENCH_WALL_H
#define HARBINGER_BENCH_WALL_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline int64_t wall_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

// Ends the program with `what` and the system's reason.
__attribute__((noreturn)) static inline void give_up(const char *tool, const char *what) {
  fprintf(stderr, "%s: %s: %m\n", tool, what);
  exit(1);
}

static inline int64_t number_of(const char *text) {
  return strtoll(text, NULL, 10);
}

// Content-Length of a head of `len` bytes; 0 when it has none. In the two spellings that those measured here use.
static inline size_t content_length(const char *head, size_t len) {
  static const char name[] = "\r\nContent-Length: ", small[] = "\r\ncontent-length: ";
  const char *found = memmem(head, len, name, sizeof name - 1);
  if (!found)
    found = memmem(head, len, small, sizeof small - 1);
  return found ? strtoul(found + sizeof name - 1, NULL, 10) : 0;
}

static inline int compare_numbers(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

#endif
