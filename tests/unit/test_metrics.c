// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/metrics.h"

static void assert_written(const struct metrics *metrics, const char *expected) {
  struct buf buf;

  buf_init(&buf, 65536);
  metrics_write(metrics, &buf);
  buf_put_char(&buf, '\0');
  assert_false(buf.failed);
  assert_string_equal(buf.ptr, expected);
  buf_free(&buf);
}

static void test_series_of_a_name_are_written_together(void **state) {
  (void)state;
  struct metrics *metrics = metrics_new(10);
  struct metric *ok = metrics_counter(metrics, "deliveries_total", "outcome=\"success\"", "Deliveries\nby \\ outcome.");
  struct metric *depth = metrics_gauge(metrics, "queue_depth", "", "Waiting.");
  struct metric *bad = metrics_counter(metrics, "deliveries_total", "outcome=\"failed\"", "ignored");

  metric_add(ok, 2);
  metric_add(bad, 1);
  metric_set(depth, 7);
  metric_add(depth, -9);
  assert_written(metrics, "# HELP deliveries_total Deliveries\\nby \\\\ outcome.\n"
                          "# TYPE deliveries_total counter\n"
                          "deliveries_total{outcome=\"success\"} 2\n"
                          "deliveries_total{outcome=\"failed\"} 1\n"
                          "# HELP queue_depth Waiting.\n"
                          "# TYPE queue_depth gauge\n"
                          "queue_depth -2\n");
  metrics_free(metrics);
  metrics_free(NULL);
}

static void test_histogram_buckets_are_cumulative_and_include_their_bound(void **state) {
  (void)state;
  static const double BOUNDS[] = {0.005, 0.1, 1};
  struct metrics *metrics = metrics_new(10);
  struct metric *plain = metrics_histogram(metrics, "wait_seconds", "", "Wait.", BOUNDS, 3);
  struct metric *labelled = metrics_histogram(metrics, "wait_seconds", "lane=\"a\"", "Wait.", BOUNDS, 1);

  metric_observe(plain, 0.005);
  metric_observe(plain, 0.25);
  metric_observe(plain, 0.25);
  metric_observe(plain, 8);
  metric_observe(plain, (double)NAN); // counts nowhere
  metric_observe(labelled, 0);
  assert_int_equal(metric_value(plain), 4);
  assert_written(metrics, "# HELP wait_seconds Wait.\n"
                          "# TYPE wait_seconds histogram\n"
                          "wait_seconds_bucket{le=\"0.005\"} 1\n"
                          "wait_seconds_bucket{le=\"0.1\"} 1\n"
                          "wait_seconds_bucket{le=\"1\"} 3\n"
                          "wait_seconds_bucket{le=\"+Inf\"} 4\n"
                          "wait_seconds_sum 8.505\n"
                          "wait_seconds_count 4\n"
                          "wait_seconds_bucket{lane=\"a\",le=\"0.005\"} 1\n"
                          "wait_seconds_bucket{lane=\"a\",le=\"+Inf\"} 1\n"
                          "wait_seconds_sum{lane=\"a\"} 0\n"
                          "wait_seconds_count{lane=\"a\"} 1\n");
  metrics_free(metrics);
}

static void test_registry_is_bounded_and_finds_what_it_has(void **state) {
  (void)state;
  struct metrics *metrics = metrics_new(2);
  struct metric *a = metrics_counter(metrics, "a_total", "", "A.");

  assert_non_null(a);
  assert_non_null(metrics_counter(metrics, "b_total", "", "B."));
  assert_null(metrics_counter(metrics, "c_total", "", "C."));
  assert_null(metrics_counter(metrics, "a_total", "x=\"y\"", "A."));
  assert_ptr_equal(metrics_counter(metrics, "a_total", "", "A."), a);
  assert_null(metrics_gauge(metrics, "a_total", "", "A."));
  metrics_free(metrics);
}

static void test_names_and_bounds_are_checked(void **state) {
  (void)state;
  static const double FALLING[] = {2, 1}, SAME[] = {1, 1};
  double many[25];
  struct metrics *metrics = metrics_new(10);

  for (size_t i = 0; i < 25; i++)
    many[i] = (double)i;
  assert_null(metrics_counter(metrics, "", "", ""));
  assert_null(metrics_counter(metrics, "1a", "", ""));
  assert_null(metrics_counter(metrics, "a b", "", ""));
  assert_null(metrics_counter(metrics, "a-b", "", ""));
  assert_non_null(metrics_counter(metrics, "_a:1", "", ""));
  assert_null(metrics_histogram(metrics, "h", "", "", FALLING, 2));
  assert_null(metrics_histogram(metrics, "h", "", "", SAME, 2));
  assert_null(metrics_histogram(metrics, "h", "", "", many, 25));
  assert_non_null(metrics_histogram(metrics, "h", "", "", many, 24));
  metrics_free(metrics);
}

static void test_missing_metrics_and_wrong_kinds_count_nothing(void **state) {
  (void)state;
  struct metrics *metrics = metrics_new(10);
  struct metric *counter = metrics_counter(metrics, "c_total", "", "");
  struct metric *histogram = metrics_histogram(metrics, "h", "", "", NULL, 0);

  metric_add(NULL, 1);
  metric_set(NULL, 1);
  metric_observe(NULL, 1);
  assert_int_equal(metric_value(NULL), 0);
  assert_null(metrics_counter(NULL, "x", "", ""));
  metric_add(counter, 3);
  metric_add(counter, -1); // a counter only rises
  metric_set(counter, 1);
  metric_observe(counter, 1);
  assert_int_equal(metric_value(counter), 3);
  metric_add(histogram, 1);
  metric_set(histogram, 1);
  assert_int_equal(metric_value(histogram), 0);
  metrics_free(metrics);
}

enum { THREADS = 4, PER_THREAD = 20000 };

struct shared {
  struct metric *counter, *histogram;
};

static void *count(void *arg) {
  struct shared *shared = arg;

  for (int i = 0; i < PER_THREAD; i++) {
    metric_add(shared->counter, 1);
    metric_observe(shared->histogram, 0.5);
  }
  return NULL;
}

static void test_threads_lose_no_update(void **state) {
  (void)state;
  static const double BOUNDS[] = {1};
  struct metrics *metrics = metrics_new(10);
  struct shared shared = {metrics_counter(metrics, "c_total", "", "C."),
                          metrics_histogram(metrics, "h", "", "H.", BOUNDS, 1)};
  pthread_t threads[THREADS];

  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, count, &shared), 0);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_join(threads[i], NULL), 0);
  assert_written(metrics, "# HELP c_total C.\n# TYPE c_total counter\nc_total 80000\n"
                          "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 80000\nh_bucket{le=\"+Inf\"} 80000\n"
                          "h_sum 40000\nh_count 80000\n");
  metrics_free(metrics);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_series_of_a_name_are_written_together),
      cmocka_unit_test(test_histogram_buckets_are_cumulative_and_include_their_bound),
      cmocka_unit_test(test_registry_is_bounded_and_finds_what_it_has),
      cmocka_unit_test(test_names_and_bounds_are_checked),
      cmocka_unit_test(test_missing_metrics_and_wrong_kinds_count_nothing),
      cmocka_unit_test(test_threads_lose_no_update),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
