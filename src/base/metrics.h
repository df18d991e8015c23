// SPDX-License-Identifier: Apache-2.0
// Counters, gauges and histograms for /metrics in Prometheus' text format 0.0.4. A registry is made at start with a
// fixed set of families and bounded label values, so that no input can grow it; updating is lock-free from any thread.
#ifndef HARBINGER_BASE_METRICS_H
#define HARBINGER_BASE_METRICS_H

#include "base/buf.h"

struct metrics;
struct metric; // one time series: counter, gauge or histogram; owned by the registry

struct metrics *metrics_new(size_t max_series) MUST_CHECK;
void metrics_free(struct metrics *metrics);
// Register a series at start (one thread, before the others run). `labels` is the text between the braces, e.g.
// "outcome=\"success\"", or "". `help` is taken from the first series of a name. NULL when full: callers treat NULL
// metrics as "do not count". Names end in _total, _seconds, _bytes as Prometheus asks.
struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *labels, const char *help);
struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help);
// `bounds` in the unit of the name, ascending, at most 24.
struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *labels, const char *help,
                                 const double *bounds, size_t bounds_len);

void metric_add(struct metric *metric, int64_t by); // NULL is fine, for all four
void metric_set(struct metric *metric, int64_t value);
void metric_observe(struct metric *metric, double value);
int64_t metric_value(const struct metric *metric);

void metrics_write(const struct metrics *metrics, struct buf *out);

#endif
