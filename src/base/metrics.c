// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"

enum { MAX_BOUNDS = 24, SERIES_TEXT_BYTES = 2048 }; // bytes for one series and its texts, on average

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct histogram {
  size_t bounds_len;
  double bounds[MAX_BOUNDS];
  _Atomic int64_t counts[MAX_BOUNDS + 1]; // not cumulative: an observation touches one; the last is +Inf
  _Atomic double sum;
};

struct metric {
  struct metric *next;      // in order of registration
  struct metric *same_name; // the next series of the family
  struct metric *family;    // its first series, which has the help
  const char *name, *labels, *help;
  enum metric_kind kind;
  _Atomic int64_t value;
  struct histogram *histogram; // METRIC_HISTOGRAM only
};

struct metrics {
  struct arena *arena;
  struct metric *first, *last;
  size_t count, max_series;
};

struct metrics *metrics_new(size_t max_series) {
  struct metrics *metrics = calloc(1, sizeof(*metrics));
  size_t max_bytes;

  if (!metrics)
    return NULL;
  if (__builtin_mul_overflow(max_series, (size_t)SERIES_TEXT_BYTES, &max_bytes))
    max_bytes = SIZE_MAX;
  metrics->arena = arena_new(max_bytes);
  if (!metrics->arena) {
    free(metrics);
    return NULL;
  }
  metrics->max_series = max_series;
  return metrics;
}

void metrics_free(struct metrics *metrics) {
  if (!metrics)
    return;
  arena_free(metrics->arena);
  free(metrics);
}

static bool name_valid(const char *name) {
  static const char ALLOWED[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789";

  return *name && !(*name >= '0' && *name <= '9') && name[strspn(name, ALLOWED)] == '\0';
}

static struct metric *series_new(struct metrics *metrics, const char *name, const char *labels, const char *help) {
  struct metric *metric = ARENA_NEW(metrics->arena, struct metric);

  if (!metric)
    return NULL;
  metric->name = arena_cstr(metrics->arena, str_of(name));
  metric->labels = arena_cstr(metrics->arena, str_of(labels));
  metric->help = arena_cstr(metrics->arena, str_of(help));
  return metric->name && metric->labels && metric->help ? metric : NULL;
}

static void append(struct metrics *metrics, struct metric *metric, struct metric *last_of_family) {
  metric->family = last_of_family ? last_of_family->family : metric;
  if (last_of_family)
    last_of_family->same_name = metric;
  if (metrics->last)
    metrics->last->next = metric;
  else
    metrics->first = metric;
  metrics->last = metric;
  metrics->count++;
}

// The series with this name and these labels: the one there is, or a new one. NULL when full, when the name is no name
// or is taken by another kind.
static struct metric *series(struct metrics *metrics, enum metric_kind kind, const char *name, const char *labels,
                             const char *help) {
  struct metric *last_of_family = NULL;

  if (!metrics || !name_valid(name))
    return NULL;
  for (struct metric *metric = metrics->first; metric; metric = metric->next) {
    if (strcmp(metric->name, name) != 0)
      continue;
    if (metric->kind != kind)
      return NULL;
    if (str_eq_c(str_of(labels), metric->labels))
      return metric;
    last_of_family = metric;
  }
  if (metrics->count >= metrics->max_series)
    return NULL;
  struct metric *metric = series_new(metrics, name, labels, help);
  if (!metric)
    return NULL;
  metric->kind = kind;
  append(metrics, metric, last_of_family);
  return metric;
}

struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *labels, const char *help) {
  return series(metrics, METRIC_COUNTER, name, labels, help);
}

struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help) {
  return series(metrics, METRIC_GAUGE, name, labels, help);
}

static bool bounds_valid(const double *bounds, size_t bounds_len) {
  if (bounds_len > MAX_BOUNDS)
    return false;
  for (size_t i = 0; i < bounds_len; i++) {
    if (!isfinite(bounds[i]) || (i > 0 && bounds[i] <= bounds[i - 1]))
      return false;
  }
  return true;
}

struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *labels, const char *help,
                                 const double *bounds, size_t bounds_len) {
  if (!metrics || !bounds_valid(bounds, bounds_len))
    return NULL;
  struct histogram *histogram = ARENA_NEW(metrics->arena, struct histogram);
  if (!histogram)
    return NULL;
  struct metric *metric = series(metrics, METRIC_HISTOGRAM, name, labels, help);
  if (!metric || metric->histogram)
    return metric;
  histogram->bounds_len = bounds_len;
  if (bounds_len)
    memcpy(histogram->bounds, bounds, bounds_len * sizeof(*bounds));
  metric->histogram = histogram;
  return metric;
}

// All updates are relaxed: each number is right by itself, and no other memory hangs on it.
void metric_add(struct metric *metric, int64_t by) {
  if (!metric || metric->kind == METRIC_HISTOGRAM || (metric->kind == METRIC_COUNTER && by < 0))
    return;
  atomic_fetch_add_explicit(&metric->value, by, memory_order_relaxed);
}

void metric_set(struct metric *metric, int64_t value) {
  if (metric && metric->kind == METRIC_GAUGE)
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void metric_observe(struct metric *metric, double value) {
  if (!metric || metric->kind != METRIC_HISTOGRAM || isnan(value))
    return;

  struct histogram *histogram = metric->histogram;
  size_t bucket = 0;
  while (bucket < histogram->bounds_len && value > histogram->bounds[bucket])
    bucket++;
  atomic_fetch_add_explicit(&histogram->counts[bucket], 1, memory_order_relaxed);
  double sum = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&histogram->sum, &sum, sum + value, memory_order_relaxed,
                                                memory_order_relaxed)) {
  }
}

int64_t metric_value(const struct metric *metric) {
  int64_t total = 0;

  if (!metric)
    return 0;
  if (metric->kind != METRIC_HISTOGRAM)
    return atomic_load_explicit(&metric->value, memory_order_relaxed);
  for (size_t i = 0; i <= metric->histogram->bounds_len; i++)
    total += atomic_load_explicit(&metric->histogram->counts[i], memory_order_relaxed);
  return total;
}

static void write_head(const struct metric *family, struct buf *out) {
  static const char *const TYPES[] = {
      [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};

  buf_printf(out, "# HELP %s ", family->name);
  for (const char *at = family->help; *at; at++) {
    if (*at == '\n')
      buf_put_c(out, "\\n");
    else if (*at == '\\')
      buf_put_c(out, "\\\\");
    else
      buf_put_char(out, *at);
  }
  buf_printf(out, "\n# TYPE %s %s\n", family->name, TYPES[family->kind]);
}

static void write_labels(const struct metric *metric, struct buf *out) {
  if (*metric->labels)
    buf_printf(out, "{%s}", metric->labels);
  buf_put_char(out, ' ');
}

static void write_bucket(const struct metric *metric, double bound, int64_t count, struct buf *out) {
  buf_printf(out, "%s_bucket{%s%sle=\"", metric->name, metric->labels, *metric->labels ? "," : "");
  buf_put_double(out, bound);
  buf_put_c(out, "\"} ");
  buf_put_i64(out, count);
  buf_put_char(out, '\n');
}

static void write_histogram(const struct metric *metric, struct buf *out) {
  const struct histogram *histogram = metric->histogram;
  int64_t count = 0;

  for (size_t i = 0; i <= histogram->bounds_len; i++) {
    count += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
    write_bucket(metric, i < histogram->bounds_len ? histogram->bounds[i] : (double)INFINITY, count, out);
  }
  buf_printf(out, "%s_sum", metric->name);
  write_labels(metric, out);
  buf_put_double(out, atomic_load_explicit(&histogram->sum, memory_order_relaxed));
  buf_printf(out, "\n%s_count", metric->name);
  write_labels(metric, out);
  buf_put_i64(out, count); // what +Inf said: both from one reading
  buf_put_char(out, '\n');
}

static void write_series(const struct metric *metric, struct buf *out) {
  if (metric->kind == METRIC_HISTOGRAM) {
    write_histogram(metric, out);
    return;
  }
  buf_put_c(out, metric->name);
  write_labels(metric, out);
  buf_put_i64(out, metric_value(metric));
  buf_put_char(out, '\n');
}

void metrics_write(const struct metrics *metrics, struct buf *out) {
  // All series of a name together, as the format demands, whatever the order they were registered in.
  for (const struct metric *family = metrics->first; family; family = family->next) {
    if (family->family != family)
      continue;
    write_head(family, out);
    for (const struct metric *metric = family; metric; metric = metric->same_name)
      write_series(metric, out);
  }
}
