// SPDX-License-Identifier: Apache-2.0
// The only way threads talk: a bounded queue of intrusive messages, many senders, one receiver, with an eventfd that
// the receiver's epoll or poll waits on. A message owns its arena; ownership moves with it. When the queue is full the
// sender is told at once and keeps the message. Messages that nobody waits for may be pushed as patient ones: the others
// are taken before them, but for a quarter of each take.
#ifndef HARBINGER_BASE_QUEUE_H
#define HARBINGER_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct queue_node {
  struct queue_node *next;
};

struct queue;

struct queue *queue_new(size_t max_count) MUST_CHECK;
void queue_free(struct queue *queue); // must be empty
// ERR_FULL when max_count wait (the message stays the caller's), ERR_UNAVAILABLE after queue_close.
int queue_push(struct queue *queue, struct queue_node *node) MUST_CHECK;
// Push that may exceed max_count: for answers to messages that were themselves counted (a completion must never be
// lost). ERR_UNAVAILABLE after queue_close.
int queue_push_reserved(struct queue *queue, struct queue_node *node) MUST_CHECK;
// The same for a message that nobody waits for.
int queue_push_patient(struct queue *queue, struct queue_node *node) MUST_CHECK;
// All waiting messages as a chain by `next`, or NULL: in order, the patient ones behind the others. Clears the eventfd.
// Receiver only.
struct queue_node *queue_take_all(struct queue *queue);
// At most `max` messages, a quarter of them patient ones when so many wait. Receiver only.
struct queue_node *queue_take(struct queue *queue, size_t max);
// Patient messages that were taken and are not for now, as a chain: they are the next of their kind. Receiver only.
void queue_give_back(struct queue *queue, struct queue_node *first);
// Whether anything waits that is not patient.
bool queue_is_pressed(struct queue *queue);
// Wait until something is there, `timeout_ms` passes (-1: for ever) or the queue is closed. False when nothing is
// there. Receivers without a loop only. Several threads may wait on one queue (the pool).
// True is a hint when several threads take: queue_take may still answer NULL.
bool queue_wait(struct queue *queue, int timeout_ms);
// Wait until `count` messages are there, `timeout_us` passes or the queue is closed; no message wakes the waiter before,
// unless `pressing` says that one which is not patient shall. For the one receiver of a queue.
void queue_gather(struct queue *queue, size_t count, int64_t timeout_us, bool pressing);
// No more pushes; what waits can still be taken. Waiters wake, and the eventfd is readable until the next take.
void queue_close(struct queue *queue);
bool queue_closed(struct queue *queue);
size_t queue_count(struct queue *queue);
int queue_fd(const struct queue *queue); // readable when something waits

#endif
