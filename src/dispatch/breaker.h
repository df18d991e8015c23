// SPDX-License-Identifier: Apache-2.0
// A target's breaker: after enough failures in a row over enough time only one delivery, the head, is tried, at growing
// intervals; the others spend no tries. A plain value of 16 bytes inside a lane. Pure; times are monotonic.
#ifndef HARBINGER_DISPATCH_BREAKER_H
#define HARBINGER_DISPATCH_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct breaker_config {
  int failures;    // in a row ...
  int64_t span_ms; // ... over at least this
  int64_t probe_min_ms, probe_max_ms;
};

struct breaker {
  int64_t began_us;  // the first failure of the streak
  uint32_t probe_ms; // the wait before the next probe, while open
  uint16_t failures; // in a row, saturating
  bool open;
};

// A failure at `now_us`. True when the breaker has just opened. While it is open each failure doubles `probe_ms`.
bool breaker_failure(struct breaker *breaker, const struct breaker_config *config, int64_t now_us);
// True when the breaker was open.
bool breaker_success(struct breaker *breaker);

#endif
