// SPDX-License-Identifier: Apache-2.0
// Tests of a target, as the API asks for them: from a thread of its own, while the test's thread runs the loop.
#include "dispatch/trial.h"

#include <pthread.h>

#include "event/sample.h"
#include "support/dispatch_fixture.h"

struct asking {
  struct trials *trials;
  const struct target *target;
  struct event event;
  int first, result, second, third; // errcodes: of making a test, of its end, of making another before and after a drop
  _Atomic bool done;
};

static void make_event(struct dispatch_fixture *fixture, struct event *out) {
  const struct event_sample_input input = {.type = EVENT_PUSH_ARTIFACT,
                                           .id = id_next(fixture->ids),
                                           .now_us = START_US,
                                           .project_id = fixture->project_id,
                                           .project = STR("team")};
  struct error err;
  assert_int_equal(event_sample(&input, fixture->arena, out, &err), 0);
}

static void *ask(void *arg) {
  struct asking *asking = arg;
  struct trial *trial = NULL, *second = NULL, *third = NULL;
  struct error err;
  asking->first = trial_new(asking->trials, asking->target, &asking->event, &trial, &err);
  asking->result = asking->first == 0 ? trial_run(trial, &err) : asking->first;
  asking->second = trial_new(asking->trials, asking->target, &asking->event, &second, &err);
  trial_drop(trial);
  asking->third = trial_new(asking->trials, asking->target, &asking->event, &third, &err);
  trial_drop(third);
  trial_drop(second);
  atomic_store(&asking->done, true);
  return NULL;
}

static void test_a_place_is_free_when_the_answer_is_there(void **state) {
  struct dispatch_fixture *fixture = *state;
  fixture->config.max_trials = 1;
  dispatch_fixture_reopen(fixture);
  struct test_hook *hook = test_hook_add(fixture);
  struct asking asking = {.trials = dispatch_trials(fixture->dispatch), .target = test_hook_target(hook)};
  make_event(fixture, &asking.event);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, ask, &asking), 0);
  WAIT_FOR(fixture, atomic_load(&asking.done));
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(asking.first, 0);
  assert_int_equal(asking.result, 0);
  assert_int_equal(asking.second, 0);           // though the first is still looked at
  assert_int_equal(asking.third, ERR_TOO_MANY); // the second has the only place: the drop gave none back twice
  assert_int_equal(hook->requests, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_place_is_free_when_the_answer_is_there, dispatch_fixture_set_up,
                                      dispatch_fixture_tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
