// SPDX-License-Identifier: Apache-2.0
// One epoll loop of one thread: descriptors, timers in one deadline heap (the epoll timeout is computed from its head),
// and tasks posted by other threads. It owns neither the descriptors nor the timers registered with it. All functions
// but loop_post and loop_stop belong to the loop's thread. Handlers never block.
#ifndef HARBINGER_NET_LOOP_H
#define HARBINGER_NET_LOOP_H

#include <sys/epoll.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/heap.h"
#include "base/queue.h"

struct loop;

struct loop_io {
  int fd;
  uint32_t events; // what is registered: EPOLLIN, EPOLLOUT ...; 0 when not registered
  void (*on_ready)(struct loop_io *io, uint32_t events);
};

struct loop_timer {
  struct heap_entry entry;
  void (*on_fire)(struct loop_timer *timer);
};

// A task from another thread: run once on the loop's thread, in order of posting.
struct loop_task {
  struct queue_node node;
  void (*run)(struct loop_task *task);
};

// `max_timers`, `max_tasks`: bounds. The clock must outlive the loop. With a simulated clock, loop_step fires timers by
// that clock and never waits for them.
struct loop *loop_new(const struct clock *clock, size_t max_timers, size_t max_tasks, struct error *err) MUST_CHECK;
void loop_free(struct loop *loop);

int loop_io_set(struct loop *loop, struct loop_io *io, uint32_t events, struct error *err) MUST_CHECK; // add or change
void loop_io_remove(struct loop *loop, struct loop_io *io); // before closing the fd; fine when not registered

// Set or move. Never fails for memory; more than `max_timers` at once is a mistake of the program and aborts it.
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_mono_us);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer); // fine when not set

// Any thread. ERR_FULL / ERR_UNAVAILABLE as queue_push; the _reserved form is for answers that must not be lost.
int loop_post(struct loop *loop, struct loop_task *task) MUST_CHECK;
int loop_post_reserved(struct loop *loop, struct loop_task *task) MUST_CHECK;
void loop_stop(struct loop *loop); // any thread: loop_run returns after the current round

void loop_run(struct loop *loop);                   // until loop_stop
bool loop_step(struct loop *loop, int max_wait_ms); // one round; true when something ran
int64_t loop_now_us(const struct loop *loop);       // monotonic time of this round (read once per round)
const struct clock *loop_clock(const struct loop *loop);

#endif
