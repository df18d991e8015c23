// SPDX-License-Identifier: Apache-2.0
// What the process itself costs, under the names that Prometheus' clients agreed on: memory, processor, descriptors, start.
// Made at start; read anew each time /metrics is asked, on the serve thread. A plain value; the series are the registry's.
#ifndef HARBINGER_APP_PROCESS_METRICS_H
#define HARBINGER_APP_PROCESS_METRICS_H

#include "base/clock.h"
#include "base/metrics.h"

struct process_metrics {
  struct metric *resident_bytes, *cpu_seconds, *open_fds, *max_fds;
};

void process_metrics_init(struct process_metrics *process, struct metrics *metrics, const struct clock *clock);
// What the system does not tell keeps its last value.
void process_metrics_refresh(const struct process_metrics *process);

#endif
