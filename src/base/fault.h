// SPDX-License-Identifier: Apache-2.0
// Faults that tests ask for: a kill at a named point of the commit and send path, a planted defect, a moved clock, a disk
// that answers with errors. They exist in the executable `harbinger-faults` only, whose sources with fault points are
// compiled with -DHARBINGER_FAULTS=1; in the release nothing of this file stays, no symbol and no branch.
// The environment of a fault build says what is to happen:
//   HARBINGER_FAULTS="NAME=kill@17,NAME2=plant"  kill -9 of itself at the 17th pass of point NAME (without @: the first);
//                                                defect NAME2 is there. NAME is one of the table in fault.c, which
//                                                `harbinger-faults faults` prints; another name ends the process.
//   HARBINGER_FAULT_CONTROL=PATH                 a file of FAULT_CONTROL_BYTES, struct fault_control in the machine's byte
//                                                order, that a test writes while the program runs
//   HARBINGER_FAULT_VFS, HARBINGER_FAULT_SEED    store/sqlite/fault_vfs.h
// Any thread may call all of it.
#ifndef HARBINGER_BASE_FAULT_H
#define HARBINGER_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// Offsets are part of the contract with the tests: 0, 8, 12, 16.
struct fault_control {
  int64_t clock_offset_us; // added to the wall clock
  int32_t disk;            // 0: well, else the errno of each write, cut and sync of the store: EIO, ENOSPC, EROFS ...
  int32_t sync;            // 0, else the errno of each sync of the store alone
  int32_t read;            // 0, else the errno of each read of the store
};

enum { FAULT_CONTROL_BYTES = 4096 };

#ifdef HARBINGER_FAULTS

// A statement: the process may end here.
#define FAULT_POINT(name) fault_point(name)
// An expression: was the defect planted?
#define FAULT_PLANTED(name) fault_planted(name)

void fault_point(const char *name);
bool fault_planted(const char *name);
// For a defect that is a race: what was done too early has a few milliseconds to be seen by other threads and processes.
void fault_linger(void);
int64_t fault_clock_offset_us(void);
int fault_disk_errno(void); // of the next write
int fault_sync_errno(void); // of the next sync
int fault_read_errno(void);
void fault_print_names(FILE *out); // one a line: `point NAME` or `plant NAME`

#else

#define FAULT_POINT(name) ((void)0)
#define FAULT_PLANTED(name) false

static inline void fault_linger(void) {
}

static inline int64_t fault_clock_offset_us(void) {
  return 0;
}

#endif

#endif
