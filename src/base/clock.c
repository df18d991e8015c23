// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

#include "base/fault.h"

static int64_t system_us(clockid_t id) {
  struct timespec now;

  // Cannot fail with the two clocks named here and a valid pointer (clock_gettime(2)).
  if (clock_gettime(id, &now) != 0)
    abort();
  return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

void clock_init_real(struct clock *clock) {
  clock->simulated = false;
  atomic_init(&clock->wall_us, 0);
  atomic_init(&clock->mono_us, 0);
}

void clock_init_simulated(struct clock *clock, int64_t wall_us) {
  clock->simulated = true;
  atomic_init(&clock->wall_us, wall_us);
  // Not 0: a machine that just started is no special case, and 0 often means "no deadline".
  atomic_init(&clock->mono_us, US_PER_S);
}

void clock_advance(struct clock *clock, int64_t by_us) {
  atomic_fetch_add(&clock->wall_us, by_us);
  atomic_fetch_add(&clock->mono_us, by_us);
}

void clock_jump(struct clock *clock, int64_t by_us) {
  atomic_fetch_add(&clock->wall_us, by_us);
}

int64_t clock_wall_us(const struct clock *clock) {
  return clock->simulated ? atomic_load(&clock->wall_us) : system_us(CLOCK_REALTIME) + fault_clock_offset_us();
}

int64_t clock_mono_us(const struct clock *clock) {
  return clock->simulated ? atomic_load(&clock->mono_us) : system_us(CLOCK_MONOTONIC);
}
