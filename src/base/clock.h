// SPDX-License-Identifier: Apache-2.0
// All `now` and all deadlines of the program. The real clock reads the system; a simulated one is moved by tests,
// so that three days of retries are a test of milliseconds. Reading is safe from any thread.
#ifndef HARBINGER_BASE_CLOCK_H
#define HARBINGER_BASE_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)

struct clock {
  bool simulated;
  _Atomic int64_t wall_us; // simulated only
  _Atomic int64_t mono_us; // simulated only
};

void clock_init_real(struct clock *clock);
void clock_init_simulated(struct clock *clock, int64_t wall_us);
void clock_advance(struct clock *clock, int64_t by_us); // simulated only: moves both
void clock_jump(struct clock *clock, int64_t by_us);    // simulated only: moves the wall clock alone

int64_t clock_wall_us(const struct clock *clock); // microseconds since the Unix epoch: for what is stored and shown
int64_t clock_mono_us(const struct clock *clock); // monotonic microseconds: for deadlines and durations

#endif
