// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pool.h"

enum { JOBS = 100 };

struct counted {
  struct pool_job job;
  atomic_int *runs;
};

static void count(struct pool_job *job, void *thread_context) {
  (void)thread_context;
  atomic_fetch_add(CONTAINER_OF(job, struct counted, job)->runs, 1);
}

static void test_a_stopped_pool_has_run_what_waited_and_takes_no_more(void **state) {
  (void)state;
  const struct pool_config config = {.threads = 2, .max_jobs = JOBS};
  struct counted jobs[JOBS + 1];
  atomic_int runs = 0;
  struct error err;
  struct pool *pool = pool_new(&config, &err);
  assert_non_null(pool);
  for (int i = 0; i < JOBS; i++) {
    jobs[i] = (struct counted){.job.run = count, .runs = &runs};
    assert_int_equal(pool_add(pool, &jobs[i].job), 0);
  }
  pool_stop(pool);
  assert_int_equal(atomic_load(&runs), JOBS);
  jobs[JOBS] = (struct counted){.job.run = count, .runs = &runs};
  assert_int_equal(pool_add(pool, &jobs[JOBS].job), ERR_UNAVAILABLE);
  pool_stop(pool);
  pool_free(pool);
  assert_int_equal(atomic_load(&runs), JOBS);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_stopped_pool_has_run_what_waited_and_takes_no_more)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
