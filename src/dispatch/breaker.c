// SPDX-License-Identifier: Apache-2.0
#include "dispatch/breaker.h"

#include "base/clock.h"

static uint32_t clamp_ms(int64_t ms, int64_t max_ms) {
  int64_t limit_ms = max_ms < UINT32_MAX ? max_ms : UINT32_MAX;
  return (uint32_t)(ms < limit_ms ? ms : limit_ms);
}

bool breaker_failure(struct breaker *breaker, const struct breaker_config *config, int64_t now_us) {
  if (breaker->open) {
    breaker->probe_ms = clamp_ms((int64_t)breaker->probe_ms * 2, config->probe_max_ms);
    return false;
  }
  if (breaker->failures == 0)
    breaker->began_us = now_us;
  if (breaker->failures < UINT16_MAX)
    breaker->failures++;
  if (breaker->failures < config->failures || now_us - breaker->began_us < config->span_ms * US_PER_MS)
    return false;
  breaker->open = true;
  breaker->probe_ms = clamp_ms(config->probe_min_ms, config->probe_max_ms);
  return true;
}

bool breaker_success(struct breaker *breaker) {
  bool was_open = breaker->open;
  *breaker = (struct breaker){0};
  return was_open;
}
