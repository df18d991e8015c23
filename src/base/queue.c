// SPDX-License-Identifier: Apache-2.0
#include "base/queue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"

// The eventfd is written and read under the lock: `signalled` is then exactly its state, one write serves all messages
// until the next take, and no late write can leave it readable with nothing there (a loop would spin on it).
struct chain {
  struct queue_node *first, *last;
  size_t count;
};

struct queue {
  pthread_mutex_t lock;
  pthread_cond_t arrived;
  struct chain pressing, patient;
  size_t count, max_count;
  size_t waiters; // threads inside queue_wait and queue_gather
  size_t wanted;  // how many messages those wait for
  int fd;
  bool pressing_wakes; // though fewer are there
  bool signalled, closed;
};

enum { PATIENT_SHARE = 4 }; // one in so many of a take

static void chain_append(struct chain *chain, struct queue_node *node) {
  node->next = NULL;
  if (chain->last)
    chain->last->next = node;
  else
    chain->first = node;
  chain->last = node;
  chain->count++;
}

// The first `len`, which it has, as a chain of their own.
static struct chain chain_cut(struct chain *chain, size_t len) {
  struct chain head = *chain;

  if (len == chain->count) {
    *chain = (struct chain){0};
    return head;
  }
  if (len == 0)
    return (struct chain){0};
  head.last = chain->first;
  for (size_t i = 1; i < len; i++)
    head.last = head.last->next;
  chain->first = head.last->next;
  chain->count -= len;
  head.last->next = NULL;
  head.count = len;
  return head;
}

static void queue_lock(struct queue *queue) {
  if (pthread_mutex_lock(&queue->lock) != 0)
    abort(); // only a broken mutex fails here (pthread_mutex_lock(3)): nothing can be trusted any more
}

static void queue_unlock(struct queue *queue) {
  if (pthread_mutex_unlock(&queue->lock) != 0)
    abort();
}

static void signal_fd(struct queue *queue) {
  uint64_t one = 1;

  if (queue->signalled)
    return;
  while (write(queue->fd, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
  queue->signalled = true;
}

static void clear_fd(struct queue *queue) {
  uint64_t seen;

  if (!queue->signalled)
    return;
  while (read(queue->fd, &seen, sizeof(seen)) < 0 && errno == EINTR) {
  }
  queue->signalled = false;
}

static bool cond_init_monotonic(pthread_cond_t *cond) {
  pthread_condattr_t attr;

  if (pthread_condattr_init(&attr) != 0)
    return false;
  bool ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 && pthread_cond_init(cond, &attr) == 0;
  (void)pthread_condattr_destroy(&attr);
  return ok;
}

struct queue *queue_new(size_t max_count) {
  struct queue *queue = calloc(1, sizeof(*queue));

  if (!queue)
    return NULL;
  queue->max_count = max_count;
  queue->wanted = 1;
  queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (queue->fd < 0)
    goto no_fd;
  if (pthread_mutex_init(&queue->lock, NULL) != 0)
    goto no_lock;
  if (!cond_init_monotonic(&queue->arrived))
    goto no_cond;
  return queue;

no_cond:
  (void)pthread_mutex_destroy(&queue->lock);
no_lock:
  (void)close(queue->fd);
no_fd:
  free(queue);
  return NULL;
}

void queue_free(struct queue *queue) {
  if (!queue)
    return;
  assert(queue->count == 0 && queue->waiters == 0);
  (void)pthread_cond_destroy(&queue->arrived);
  (void)pthread_mutex_destroy(&queue->lock);
  (void)close(queue->fd);
  free(queue);
}

static int push(struct queue *queue, struct queue_node *node, struct chain *chain, bool reserved) {
  int result = 0;

  queue_lock(queue);
  if (queue->closed) {
    result = ERR_UNAVAILABLE;
  } else if (!reserved && queue->count >= queue->max_count) {
    result = ERR_FULL;
  } else {
    chain_append(chain, node);
    queue->count++;
    signal_fd(queue);
    bool presses = queue->pressing_wakes && chain == &queue->pressing;
    if (queue->waiters && (queue->count >= queue->wanted || presses))
      (void)pthread_cond_signal(&queue->arrived);
  }
  queue_unlock(queue);
  return result;
}

int queue_push(struct queue *queue, struct queue_node *node) {
  return push(queue, node, &queue->pressing, false);
}

int queue_push_patient(struct queue *queue, struct queue_node *node) {
  return push(queue, node, &queue->patient, false);
}

int queue_push_reserved(struct queue *queue, struct queue_node *node) {
  return push(queue, node, &queue->pressing, true);
}

struct queue_node *queue_take_all(struct queue *queue) {
  return queue_take(queue, SIZE_MAX);
}

static size_t at_most(size_t count, size_t max) {
  return count < max ? count : max;
}

struct queue_node *queue_take(struct queue *queue, size_t max) {
  queue_lock(queue);
  size_t kept = at_most(queue->patient.count, max / PATIENT_SHARE);
  struct chain taken = chain_cut(&queue->pressing, at_most(queue->pressing.count, max - kept));
  struct chain patient = chain_cut(&queue->patient, at_most(queue->patient.count, max - taken.count));
  if (taken.last)
    taken.last->next = patient.first;
  else
    taken.first = patient.first;
  queue->count -= taken.count + patient.count;
  if (queue->count == 0)
    clear_fd(queue);
  queue_unlock(queue);
  return taken.first;
}

void queue_give_back(struct queue *queue, struct queue_node *first) {
  struct chain back = {0};

  while (first) {
    struct queue_node *next = first->next;
    chain_append(&back, first);
    first = next;
  }
  if (back.count == 0)
    return;
  queue_lock(queue);
  back.last->next = queue->patient.first;
  if (!queue->patient.last)
    queue->patient.last = back.last;
  queue->patient.first = back.first;
  queue->patient.count += back.count;
  queue->count += back.count;
  signal_fd(queue);
  queue_unlock(queue);
}

bool queue_is_pressed(struct queue *queue) {
  queue_lock(queue);
  bool pressed = queue->pressing.count > 0;
  queue_unlock(queue);
  return pressed;
}

static struct timespec monotonic_after(int64_t timeout_us) {
  struct timespec at;

  if (clock_gettime(CLOCK_MONOTONIC, &at) != 0)
    abort();
  at.tv_sec += timeout_us / 1000000;
  at.tv_nsec += (long)(timeout_us % 1000000) * 1000L;
  if (at.tv_nsec >= 1000000000L) {
    at.tv_sec++;
    at.tv_nsec -= 1000000000L;
  }
  return at;
}

bool queue_wait(struct queue *queue, int timeout_ms) {
  // The kernel's clock, not base/clock.h: a wait is a real one even when a test moves the program's time.
  struct timespec until = {0};
  int waited = 0;

  if (timeout_ms >= 0)
    until = monotonic_after((int64_t)timeout_ms * 1000);
  queue_lock(queue);
  queue->waiters++;
  while (queue->count == 0 && !queue->closed && waited == 0) {
    if (timeout_ms < 0)
      waited = pthread_cond_wait(&queue->arrived, &queue->lock);
    else
      waited = pthread_cond_timedwait(&queue->arrived, &queue->lock, &until);
  }
  queue->waiters--;
  bool something = queue->count > 0;
  queue_unlock(queue);
  return something;
}

void queue_gather(struct queue *queue, size_t count, int64_t timeout_us, bool pressing) {
  struct timespec until = monotonic_after(timeout_us);
  int waited = 0;

  queue_lock(queue);
  queue->waiters++;
  queue->wanted = count;
  queue->pressing_wakes = pressing;
  while (queue->count < count && !(pressing && queue->pressing.count > 0) && !queue->closed && waited == 0)
    waited = pthread_cond_timedwait(&queue->arrived, &queue->lock, &until);
  queue->wanted = 1;
  queue->pressing_wakes = false;
  queue->waiters--;
  queue_unlock(queue);
}

void queue_close(struct queue *queue) {
  queue_lock(queue);
  if (!queue->closed) {
    queue->closed = true;
    signal_fd(queue); // a loop wakes once more and sees queue_closed
    (void)pthread_cond_broadcast(&queue->arrived);
  }
  queue_unlock(queue);
}

bool queue_closed(struct queue *queue) {
  queue_lock(queue);
  bool closed = queue->closed;
  queue_unlock(queue);
  return closed;
}

size_t queue_count(struct queue *queue) {
  queue_lock(queue);
  size_t count = queue->count;
  queue_unlock(queue);
  return count;
}

int queue_fd(const struct queue *queue) {
  return queue->fd;
}
