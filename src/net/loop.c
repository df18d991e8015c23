// SPDX-License-Identifier: Apache-2.0
#include "net/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LOOP_EVENTS_PER_ROUND = 64 };

struct loop {
  const struct clock *clock;
  int64_t now_us;
  int epoll_fd;
  struct heap timers;
  struct queue *tasks;
  struct loop_io tasks_io; // the queue's eventfd
  struct loop_io wake_io;  // an eventfd of our own: loop_stop must wake the loop even when the queue is full
  atomic_bool stopping;
  // The batch in hand. loop_io_remove blanks what waits in it, so that no handler runs for a freed loop_io.
  struct epoll_event events[LOOP_EVENTS_PER_ROUND];
  int events_len;
  int events_at;
  bool ran_something;
};

static void loop_run_tasks(struct loop_io *io, uint32_t events) {
  (void)events;
  struct loop *loop = CONTAINER_OF(io, struct loop, tasks_io);
  struct queue_node *node = queue_take_all(loop->tasks);
  while (node) {
    // The task may free itself when it runs.
    struct queue_node *next = node->next;
    struct loop_task *task = CONTAINER_OF(node, struct loop_task, node);
    task->run(task);
    loop->ran_something = true;
    node = next;
  }
}

static void loop_woken(struct loop_io *io, uint32_t events) {
  (void)events;
  uint64_t count;
  if (read(io->fd, &count, sizeof count) < 0)
    return; // EAGAIN: somebody has taken it already, which is as good
}

static int loop_open(struct loop *loop, size_t max_timers, size_t max_tasks, struct error *err) {
  char words[128];
  loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (loop->epoll_fd < 0)
    return error_set(err, ERR_IO, "cannot make an epoll descriptor: %s", error_errno(errno, words));
  loop->wake_io.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (loop->wake_io.fd < 0)
    return error_set(err, ERR_IO, "cannot make an eventfd: %s", error_errno(errno, words));
  // All the room at once (untouched pages cost nothing), so that setting a timer never fails for memory.
  loop->timers.slots = calloc(max_timers + 1, sizeof(struct heap_entry *));
  loop->tasks = queue_new(max_tasks);
  if (!loop->timers.slots || !loop->tasks)
    return error_set(err, ERR_NO_MEMORY, "no memory for an event loop of %zu timers", max_timers);
  loop->timers.cap = max_timers;
  loop->tasks_io.fd = queue_fd(loop->tasks);
  int rc = loop_io_set(loop, &loop->tasks_io, EPOLLIN, err);
  return rc ? rc : loop_io_set(loop, &loop->wake_io, EPOLLIN, err);
}

// One event of the batch to its handler.
static void loop_dispatch(struct loop *loop, const struct epoll_event *event) {
  struct loop_io *io = event->data.ptr;
  if (!io)
    return;
  // What is registered may have changed since the batch was taken.
  uint32_t ready = event->events & (io->events | EPOLLERR | EPOLLHUP);
  if (!ready)
    return;
  if (io != &loop->tasks_io && io != &loop->wake_io)
    loop->ran_something = true;
  io->on_ready(io, ready);
}

static void loop_fire_timers(struct loop *loop) {
  // A handler may set its timer again for a moment that is past; it then waits for the next round like everybody.
  for (size_t left = loop->timers.count; left > 0; left--) {
    struct heap_entry *top = heap_top(&loop->timers);
    if (!top || top->at_us > loop->now_us)
      return;
    heap_remove(&loop->timers, top);
    struct loop_timer *timer = CONTAINER_OF(top, struct loop_timer, entry);
    timer->on_fire(timer);
    loop->ran_something = true;
  }
}

// How long epoll may wait: until the head of the heap is due, at most `max_wait_ms` (-1: no limit).
static int loop_wait_ms(const struct loop *loop, int max_wait_ms) {
  const struct heap_entry *top = heap_top(&loop->timers);
  if (!top)
    return max_wait_ms;
  int64_t wait_us = top->at_us - clock_mono_us(loop->clock);
  if (wait_us <= 0)
    return 0;
  // Simulated time does not pass while we wait.
  if (loop->clock->simulated)
    return max_wait_ms;
  int64_t wait_ms = wait_us / US_PER_MS + (wait_us % US_PER_MS ? 1 : 0);
  int64_t limit_ms = max_wait_ms < 0 ? INT32_MAX : max_wait_ms;
  return (int)(wait_ms < limit_ms ? wait_ms : limit_ms);
}

static void loop_discard(struct loop *loop) {
  if (loop->epoll_fd >= 0)
    close(loop->epoll_fd);
  if (loop->wake_io.fd >= 0)
    close(loop->wake_io.fd);
  if (loop->tasks)
    queue_free(loop->tasks);
  heap_free(&loop->timers);
  free(loop);
}

struct loop *loop_new(const struct clock *clock, size_t max_timers, size_t max_tasks, struct error *err) {
  struct loop *loop = calloc(1, sizeof *loop);
  if (!loop) {
    error_set(err, ERR_NO_MEMORY, "no memory for an event loop");
    return NULL;
  }
  loop->clock = clock;
  loop->now_us = clock_mono_us(clock);
  loop->epoll_fd = -1;
  loop->wake_io.fd = -1;
  loop->wake_io.on_ready = loop_woken;
  loop->tasks_io.on_ready = loop_run_tasks;
  heap_init(&loop->timers, max_timers);
  if (loop_open(loop, max_timers, max_tasks, err) != 0) {
    loop_discard(loop);
    return NULL;
  }
  return loop;
}

void loop_free(struct loop *loop) {
  if (loop)
    loop_discard(loop);
}

int loop_io_set(struct loop *loop, struct loop_io *io, uint32_t events, struct error *err) {
  if (io->events == events)
    return 0;
  if (events == 0) {
    loop_io_remove(loop, io);
    return 0;
  }
  struct epoll_event event = {.events = events, .data.ptr = io};
  int op = io->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(loop->epoll_fd, op, io->fd, &event) != 0) {
    char words[128];
    return error_set(err, ERR_IO, "cannot wait for descriptor %d: %s", io->fd, error_errno(errno, words));
  }
  io->events = events;
  return 0;
}

void loop_io_remove(struct loop *loop, struct loop_io *io) {
  if (!io->events)
    return;
  epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
  io->events = 0;
  for (int i = loop->events_at; i < loop->events_len; i++) {
    if (loop->events[i].data.ptr == io)
      loop->events[i].data.ptr = NULL;
  }
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_mono_us) {
  if (heap_set(&loop->timers, &timer->entry, at_mono_us) == 0)
    return;
  // The owners' own bounds add up to max_timers: coming here is a mistake in the program, and a deadline that
  // never fires would be worse than stopping.
  fprintf(stderr, "harbinger: net: more than %zu timers on one loop\n", loop->timers.max_count);
  abort();
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer) {
  heap_remove(&loop->timers, &timer->entry);
}

int loop_post(struct loop *loop, struct loop_task *task) {
  return queue_push(loop->tasks, &task->node);
}

int loop_post_reserved(struct loop *loop, struct loop_task *task) {
  return queue_push_reserved(loop->tasks, &task->node);
}

void loop_stop(struct loop *loop) {
  atomic_store(&loop->stopping, true);
  uint64_t one = 1;
  if (write(loop->wake_io.fd, &one, sizeof one) < 0)
    return; // the counter is full, so the loop wakes anyway
}

void loop_run(struct loop *loop) {
  while (!atomic_load(&loop->stopping))
    loop_step(loop, -1);
  atomic_store(&loop->stopping, false);
}

bool loop_step(struct loop *loop, int max_wait_ms) {
  loop->ran_something = false;
  int count = epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_PER_ROUND, loop_wait_ms(loop, max_wait_ms));
  loop->now_us = clock_mono_us(loop->clock);
  // Descriptors before timers: bytes that came in time must not lose to their own deadline.
  loop->events_len = count > 0 ? count : 0; // EINTR is an empty round
  loop->events_at = 0;
  while (loop->events_at < loop->events_len)
    loop_dispatch(loop, &loop->events[loop->events_at++]);
  loop->events_len = 0;
  loop_fire_timers(loop);
  return loop->ran_something;
}

int64_t loop_now_us(const struct loop *loop) {
  return loop->now_us;
}

const struct clock *loop_clock(const struct loop *loop) {
  return loop->clock;
}
