// SPDX-License-Identifier: Apache-2.0
// The loop: timers by a simulated clock, descriptors, and tasks from other threads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"

enum { MAX_TIMERS = 8, MAX_TASKS = 64, MAX_ROUNDS = 20000 };

struct world {
  struct clock clock;
  struct loop *loop;
};

struct probe {
  struct loop_timer timer;
  struct world *world;
  int fired;
  int64_t again_at_us; // set the timer anew when it fires; 0: do not
  struct probe *cancels;
  int *order;
  int at_order;
};

static int set_up(void **state) {
  struct error err;
  struct world *world = calloc(1, sizeof *world);
  clock_init_simulated(&world->clock, 0);
  world->loop = loop_new(&world->clock, MAX_TIMERS, MAX_TASKS, &err);
  *state = world;
  return world->loop ? 0 : -1;
}

static int tear_down(void **state) {
  struct world *world = *state;
  loop_free(world->loop);
  free(world);
  return 0;
}

static void probe_fire(struct loop_timer *timer) {
  struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
  probe->fired++;
  if (probe->order)
    probe->at_order = ++*probe->order;
  if (probe->again_at_us)
    loop_timer_set(probe->world->loop, timer, probe->again_at_us);
  if (probe->cancels)
    loop_timer_cancel(probe->world->loop, &probe->cancels->timer);
}

static struct probe probe_make(struct world *world) {
  return (struct probe){.timer.on_fire = probe_fire, .world = world};
}

static void test_timers_fire_in_order_and_not_early(void **state) {
  struct world *world = *state;
  int order = 0;
  struct probe late = probe_make(world);
  struct probe early = probe_make(world);
  late.order = early.order = &order;
  int64_t start_us = clock_mono_us(&world->clock);
  loop_timer_set(world->loop, &late.timer, start_us + 2 * US_PER_S);
  loop_timer_set(world->loop, &early.timer, start_us + US_PER_S);
  clock_advance(&world->clock, US_PER_S - 1);
  assert_false(loop_step(world->loop, 0));
  assert_int_equal(early.fired, 0);
  clock_advance(&world->clock, 1);
  assert_true(loop_step(world->loop, 0));
  assert_int_equal(early.fired, 1);
  assert_int_equal(late.fired, 0);
  clock_advance(&world->clock, 3600 * US_PER_S);
  loop_step(world->loop, 0);
  assert_int_equal(late.at_order, 2);
  assert_int_equal(loop_now_us(world->loop), clock_mono_us(&world->clock));
}

static void test_timer_can_be_moved_and_cancelled(void **state) {
  struct world *world = *state;
  struct probe probe = probe_make(world);
  int64_t start_us = clock_mono_us(&world->clock);
  loop_timer_set(world->loop, &probe.timer, start_us + US_PER_S);
  loop_timer_set(world->loop, &probe.timer, start_us + 5 * US_PER_S);
  clock_advance(&world->clock, 2 * US_PER_S);
  loop_step(world->loop, 0);
  assert_int_equal(probe.fired, 0);
  loop_timer_cancel(world->loop, &probe.timer);
  loop_timer_cancel(world->loop, &probe.timer);
  clock_advance(&world->clock, 10 * US_PER_S);
  loop_step(world->loop, 0);
  assert_int_equal(probe.fired, 0);
}

static void test_timer_set_for_the_past_waits_for_the_next_round(void **state) {
  struct world *world = *state;
  struct probe probe = probe_make(world);
  probe.again_at_us = clock_mono_us(&world->clock);
  loop_timer_set(world->loop, &probe.timer, probe.again_at_us);
  clock_advance(&world->clock, 1);
  loop_step(world->loop, 0);
  assert_int_equal(probe.fired, 1);
  loop_step(world->loop, -1); // a due timer means no waiting, though -1 allows it
  assert_int_equal(probe.fired, 2);
}

static void test_timer_cancelled_by_another_in_its_round_does_not_fire(void **state) {
  struct world *world = *state;
  struct probe first = probe_make(world);
  struct probe second = probe_make(world);
  int64_t start_us = clock_mono_us(&world->clock);
  first.cancels = &second;
  loop_timer_set(world->loop, &first.timer, start_us + 1);
  loop_timer_set(world->loop, &second.timer, start_us + 2);
  clock_advance(&world->clock, 10);
  loop_step(world->loop, 0);
  assert_int_equal(first.fired, 1);
  assert_int_equal(second.fired, 0);
}

static void test_real_clock_waits_for_the_head_of_the_heap(void **state) {
  (void)state;
  struct error err;
  struct world world;
  clock_init_real(&world.clock);
  world.loop = loop_new(&world.clock, MAX_TIMERS, MAX_TASKS, &err);
  assert_non_null(world.loop);
  struct probe probe = probe_make(&world);
  int64_t at_us = clock_mono_us(&world.clock) + 5 * US_PER_MS;
  loop_timer_set(world.loop, &probe.timer, at_us);
  while (probe.fired == 0)
    loop_step(world.loop, -1); // without the heap's deadline this would never return
  assert_true(clock_mono_us(&world.clock) >= at_us);
  loop_free(world.loop);
}

struct end {
  struct loop_io io;
  struct world *world;
  struct end *removes;
  int ready;
  uint32_t last_events;
};

static void end_ready(struct loop_io *io, uint32_t events) {
  struct end *end = CONTAINER_OF(io, struct end, io);
  end->ready++;
  end->last_events = events;
  if (!end->removes)
    return;
  loop_io_remove(end->world->loop, &end->removes->io);
  // The owner may free it now, and its memory may look like anything.
  end->removes->io.events = UINT32_MAX;
}

static void test_descriptor_tells_what_was_asked_for(void **state) {
  struct world *world = *state;
  struct error err;
  int pair[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  struct end end = {.io = {.fd = pair[0], .on_ready = end_ready}, .world = world};
  assert_int_equal(loop_io_set(world->loop, &end.io, EPOLLIN, &err), 0);
  assert_false(loop_step(world->loop, 0));
  assert_int_equal(write(pair[1], "x", 1), 1);
  assert_true(loop_step(world->loop, -1));
  assert_int_equal(end.last_events, EPOLLIN);
  assert_int_equal(loop_io_set(world->loop, &end.io, EPOLLOUT, &err), 0);
  loop_step(world->loop, -1);
  assert_int_equal(end.last_events, EPOLLOUT);
  assert_int_equal(loop_io_set(world->loop, &end.io, 0, &err), 0);
  assert_false(loop_step(world->loop, 0));
  assert_int_equal(end.ready, 2);
  close(pair[0]);
  close(pair[1]);
}

static void test_removed_descriptor_gets_no_event_of_the_same_round(void **state) {
  struct world *world = *state;
  struct error err;
  int pair[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  // Both are ready at once; whichever comes first removes the other.
  struct end a = {.io = {.fd = pair[0], .on_ready = end_ready}, .world = world};
  struct end b = {.io = {.fd = pair[1], .on_ready = end_ready}, .world = world};
  a.removes = &b;
  b.removes = &a;
  assert_int_equal(loop_io_set(world->loop, &a.io, EPOLLOUT, &err), 0);
  assert_int_equal(loop_io_set(world->loop, &b.io, EPOLLOUT, &err), 0);
  loop_step(world->loop, -1);
  assert_int_equal(a.ready + b.ready, 1);
  close(pair[0]);
  close(pair[1]);
}

static void test_descriptor_that_cannot_be_watched_is_an_error_with_words(void **state) {
  struct world *world = *state;
  struct error err;
  struct end end = {.io = {.fd = -1, .on_ready = end_ready}};
  assert_int_equal(loop_io_set(world->loop, &end.io, EPOLLIN, &err), ERR_IO);
  assert_non_null(strstr(err.text, "descriptor -1"));
  assert_int_equal(end.io.events, 0);
}

enum { THREADS = 4, TASKS_PER_THREAD = 500 };

struct sender {
  pthread_t thread;
  struct loop *loop;
  int number;
};

struct message {
  struct loop_task task;
  int sender, number;
};

// Filled on the loop's thread only.
static int newest[THREADS];
static int arrived;

static void message_run(struct loop_task *task) {
  struct message *message = CONTAINER_OF(task, struct message, task);
  assert_int_equal(message->number, newest[message->sender] + 1);
  newest[message->sender] = message->number;
  arrived++;
  free(message); // a task may end its own life
}

static void *sender_run(void *arg) {
  struct sender *sender = arg;
  for (int i = 1; i <= TASKS_PER_THREAD; i++) {
    struct message *message = calloc(1, sizeof *message);
    message->task.run = message_run;
    message->sender = sender->number;
    message->number = i;
    while (loop_post(sender->loop, &message->task) == ERR_FULL)
      sched_yield(); // the bound holds: 4 threads send far more than fits
  }
  return NULL;
}

static void test_tasks_of_all_threads_run_in_order_on_the_loop(void **state) {
  struct world *world = *state;
  struct sender senders[THREADS];
  for (int i = 0; i < THREADS; i++) {
    senders[i] = (struct sender){.loop = world->loop, .number = i};
    assert_int_equal(pthread_create(&senders[i].thread, NULL, sender_run, &senders[i]), 0);
  }
  for (int i = 0; i < MAX_ROUNDS && arrived < THREADS * TASKS_PER_THREAD; i++)
    loop_step(world->loop, 100);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
  assert_int_equal(arrived, THREADS * TASKS_PER_THREAD);
}

static void task_nothing(struct loop_task *task) {
  (void)task;
}

static void test_full_queue_is_told_and_answers_still_fit(void **state) {
  struct world *world = *state;
  struct loop_task tasks[MAX_TASKS + 1];
  for (int i = 0; i < MAX_TASKS + 1; i++)
    tasks[i] = (struct loop_task){.run = task_nothing};
  for (int i = 0; i < MAX_TASKS; i++)
    assert_int_equal(loop_post(world->loop, &tasks[i]), 0);
  assert_int_equal(loop_post(world->loop, &tasks[MAX_TASKS]), ERR_FULL);
  assert_int_equal(loop_post_reserved(world->loop, &tasks[MAX_TASKS]), 0);
  assert_true(loop_step(world->loop, 0));
  assert_false(loop_step(world->loop, 0));
}

static void *stop_run(void *arg) {
  loop_stop(arg);
  return NULL;
}

static void test_stop_from_another_thread_ends_the_run(void **state) {
  struct world *world = *state;
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, stop_run, world->loop), 0);
  loop_run(world->loop);
  assert_int_equal(pthread_join(thread, NULL), 0);
}

#define HELD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      HELD(test_timers_fire_in_order_and_not_early),
      HELD(test_timer_can_be_moved_and_cancelled),
      HELD(test_timer_set_for_the_past_waits_for_the_next_round),
      HELD(test_timer_cancelled_by_another_in_its_round_does_not_fire),
      HELD(test_real_clock_waits_for_the_head_of_the_heap),
      HELD(test_descriptor_tells_what_was_asked_for),
      HELD(test_removed_descriptor_gets_no_event_of_the_same_round),
      HELD(test_descriptor_that_cannot_be_watched_is_an_error_with_words),
      HELD(test_tasks_of_all_threads_run_in_order_on_the_loop),
      HELD(test_full_queue_is_told_and_answers_still_fit),
      HELD(test_stop_from_another_thread_ends_the_run),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
