// SPDX-License-Identifier: Apache-2.0
// Of the fault build alone: the n-th allocation from a moment on fails. A test says so in the control file (base/fault.h),
// at byte FAULT_MEMORY_AT; it arms by writing `fail_at` last and disarms with 0. What is counted are the calls that our own
// sources make of malloc and its kin (the linker sends them here, --wrap), each piece of an arena, and SQLite's.
// HARBINGER_FAULT_TRACE=1 in the environment: each that fails is written to standard error with its callers.
#ifndef HARBINGER_BASE_FAULT_MEMORY_H
#define HARBINGER_BASE_FAULT_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

enum { FAULT_MEMORY_AT = 2048 };

struct fault_memory {
  int64_t fail_at; // 0: none fails; else this one, counted from 1
  int64_t count;   // how many have been asked for since it was armed
  int64_t failed;  // how many of them have failed
};

#ifdef HARBINGER_FAULTS

// An expression: must this allocation fail?
#define FAULT_ALLOCATION() fault_memory_fails()

bool fault_memory_fails(void); // one more is asked for. Any thread; it allocates nothing

#else

#define FAULT_ALLOCATION() false

#endif

#endif
