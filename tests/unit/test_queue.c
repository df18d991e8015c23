// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/queue.h"

enum { SENDERS = 4, PER_SENDER = 5000 };

struct message {
  struct queue_node node;
  int sender, number;
};

static bool readable(struct queue *queue) {
  struct pollfd fd = {.fd = queue_fd(queue), .events = POLLIN};
  return poll(&fd, 1, 0) == 1;
}

static struct message *message_of(struct queue_node *node) {
  return CONTAINER_OF(node, struct message, node);
}

static void test_messages_come_in_order(void **state) {
  (void)state;
  struct queue *queue = queue_new(10);
  struct message messages[5] = {0};

  assert_null(queue_take_all(queue));
  for (int i = 0; i < 5; i++) {
    messages[i].number = i;
    assert_int_equal(queue_push(queue, &messages[i].node), 0);
  }
  assert_int_equal(queue_count(queue), 5);
  assert_null(queue_take(queue, 0));
  struct queue_node *two = queue_take(queue, 2);
  assert_int_equal(message_of(two)->number, 0);
  assert_int_equal(message_of(two->next)->number, 1);
  assert_null(two->next->next);
  struct queue_node *rest = queue_take_all(queue);
  for (int i = 2; i < 5; i++, rest = rest->next)
    assert_int_equal(message_of(rest)->number, i);
  assert_null(rest);
  assert_int_equal(queue_count(queue), 0);
  queue_free(queue);
}

static void test_descriptor_is_readable_exactly_while_something_waits(void **state) {
  (void)state;
  struct queue *queue = queue_new(10);
  struct message messages[3] = {0};

  assert_false(readable(queue));
  for (int i = 0; i < 3; i++)
    assert_int_equal(queue_push(queue, &messages[i].node), 0);
  assert_true(readable(queue));
  assert_non_null(queue_take(queue, 2));
  assert_true(readable(queue));
  assert_non_null(queue_take(queue, 2));
  assert_false(readable(queue));
  assert_int_equal(queue_push(queue, &messages[0].node), 0);
  assert_true(readable(queue));
  assert_non_null(queue_take_all(queue));
  assert_false(readable(queue));
  queue_free(queue);
}

static void test_full_queue_leaves_the_message_to_its_sender(void **state) {
  (void)state;
  struct queue *queue = queue_new(1);
  struct message messages[3] = {0};

  assert_int_equal(queue_push(queue, &messages[0].node), 0);
  assert_int_equal(queue_push(queue, &messages[1].node), ERR_FULL);
  assert_int_equal(queue_push_reserved(queue, &messages[2].node), 0); // an answer is never lost
  assert_int_equal(queue_count(queue), 2);
  struct queue_node *all = queue_take_all(queue);
  assert_ptr_equal(all, &messages[0].node);
  assert_ptr_equal(all->next, &messages[2].node);
  assert_int_equal(queue_push(queue, &messages[1].node), 0);
  assert_non_null(queue_take_all(queue));
  queue_free(queue);
}

static void test_closed_queue_takes_nothing_but_gives_what_it_has(void **state) {
  (void)state;
  struct queue *queue = queue_new(10);
  struct message messages[2] = {0};

  assert_int_equal(queue_push(queue, &messages[0].node), 0);
  assert_false(queue_closed(queue));
  queue_close(queue);
  queue_close(queue);
  assert_true(queue_closed(queue));
  assert_int_equal(queue_push(queue, &messages[1].node), ERR_UNAVAILABLE);
  assert_int_equal(queue_push_reserved(queue, &messages[1].node), ERR_UNAVAILABLE);
  assert_true(queue_wait(queue, -1));
  assert_ptr_equal(queue_take_all(queue), &messages[0].node);
  assert_false(queue_wait(queue, -1));
  assert_false(readable(queue)); // a loop that has seen the close does not spin
  queue_free(queue);
}

static void test_close_of_an_empty_queue_wakes_a_loop_once(void **state) {
  (void)state;
  struct queue *queue = queue_new(10);

  queue_close(queue);
  assert_true(readable(queue));
  assert_null(queue_take_all(queue));
  assert_false(readable(queue));
  queue_free(queue);
}

static void test_wait_ends_after_its_time(void **state) {
  (void)state;
  struct queue *queue = queue_new(10);

  assert_false(queue_wait(queue, 0));
  assert_false(queue_wait(queue, 1));
  queue_free(queue);
}

struct sender {
  struct queue *queue;
  struct message *messages;
  pthread_t thread;
};

static void *send_all(void *arg) {
  struct sender *sender = arg;

  for (int i = 0; i < PER_SENDER; i++) {
    // The queue holds all of them: a refusal would be wrong.
    if (queue_push(sender->queue, &sender->messages[i].node) != 0)
      abort();
  }
  return NULL;
}

static void start_senders(struct sender senders[static SENDERS], struct queue *queue) {
  for (int s = 0; s < SENDERS; s++) {
    senders[s].queue = queue;
    senders[s].messages = calloc(PER_SENDER, sizeof(struct message));
    assert_non_null(senders[s].messages);
    for (int i = 0; i < PER_SENDER; i++) {
      senders[s].messages[i].sender = s;
      senders[s].messages[i].number = i;
    }
    assert_int_equal(pthread_create(&senders[s].thread, NULL, send_all, &senders[s]), 0);
  }
}

static void join_senders(struct sender senders[static SENDERS]) {
  for (int s = 0; s < SENDERS; s++)
    assert_int_equal(pthread_join(senders[s].thread, NULL), 0);
}

static void free_messages(struct sender senders[static SENDERS]) {
  for (int s = 0; s < SENDERS; s++)
    free(senders[s].messages);
}

static void test_many_senders_lose_nothing_and_each_keeps_its_order(void **state) {
  (void)state;
  struct queue *queue = queue_new(SENDERS * PER_SENDER);
  struct sender senders[SENDERS];
  int next[SENDERS] = {0};
  int total = 0;

  start_senders(senders, queue);
  while (total < SENDERS * PER_SENDER) {
    struct pollfd fd = {.fd = queue_fd(queue), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 10000), 1); // a lost wake-up shows here
    for (struct queue_node *node = queue_take_all(queue); node; node = node->next, total++)
      assert_int_equal(message_of(node)->number, next[message_of(node)->sender]++);
  }
  join_senders(senders);
  assert_false(readable(queue));
  queue_free(queue);
  free_messages(senders);
}

static void test_gathering_waits_for_many_or_for_its_time_or_for_the_end(void **state) {
  (void)state;
  struct queue *queue = queue_new(SENDERS * PER_SENDER);
  struct sender senders[SENDERS];

  queue_gather(queue, 1, 1000, false); // nothing comes: it ends
  assert_int_equal(queue_count(queue), 0);
  start_senders(senders, queue);
  queue_gather(queue, SENDERS * PER_SENDER, INT64_C(60000000), false); // a lost wake-up hangs here
  assert_int_equal(queue_count(queue), SENDERS * PER_SENDER);
  assert_non_null(queue_take_all(queue));
  join_senders(senders);
  assert_false(queue_wait(queue, 0));
  queue_close(queue);
  queue_gather(queue, 1, INT64_C(60000000), false); // closed: nothing will come
  (void)queue_take_all(queue);
  queue_free(queue);
  free_messages(senders);
}

static int next_number(struct queue_node **node) {
  int number = message_of(*node)->number;
  *node = (*node)->next;
  return number;
}

static void test_patient_messages_come_after_the_others_but_for_a_quarter(void **state) {
  (void)state;
  struct queue *queue = queue_new(20);
  struct message messages[20] = {0};

  for (int i = 0; i < 20; i++) {
    messages[i].number = i;
    assert_int_equal(i < 8 ? queue_push_patient(queue, &messages[i].node) : queue_push(queue, &messages[i].node), 0);
  }
  assert_true(queue_is_pressed(queue));
  struct queue_node *node = queue_take(queue, 8);
  for (int i = 8; i < 14; i++)
    assert_int_equal(next_number(&node), i);
  struct queue_node *patient = node;
  assert_int_equal(next_number(&node), 0);
  assert_int_equal(next_number(&node), 1);
  assert_null(node);
  queue_give_back(queue, patient);
  assert_int_equal(queue_count(queue), 14);
  assert_true(readable(queue));
  node = queue_take_all(queue);
  for (int i = 14; i < 20; i++)
    assert_int_equal(next_number(&node), i);
  for (int i = 0; i < 8; i++) // what was given back is the first of its kind again
    assert_int_equal(next_number(&node), i);
  assert_null(node);
  assert_false(queue_is_pressed(queue));
  queue_give_back(queue, NULL);
  assert_int_equal(queue_count(queue), 0);
  assert_false(readable(queue));
  queue_free(queue);
}

static void test_gathering_ends_when_somebody_presses(void **state) {
  (void)state;
  struct queue *queue = queue_new(20);
  struct message messages[2] = {0};

  assert_int_equal(queue_push_patient(queue, &messages[0].node), 0);
  queue_gather(queue, 2, 1000, true); // a patient one does not end it: its time does
  assert_int_equal(queue_push(queue, &messages[1].node), 0);
  queue_gather(queue, 20, INT64_C(60000000), true); // ends at once
  (void)queue_take_all(queue);
  queue_free(queue);
}

static void *drain(void *arg) {
  struct queue *queue = arg;
  size_t taken = 0;

  for (;;) {
    if (queue_wait(queue, -1)) {
      for (struct queue_node *node = queue_take(queue, 3); node; node = node->next)
        taken++;
    } else if (queue_closed(queue)) {
      return (void *)taken;
    }
  }
}

static void test_several_waiters_share_all_messages_and_end_at_close(void **state) {
  (void)state;
  enum { WAITERS = 3 };
  struct queue *queue = queue_new(SENDERS * PER_SENDER);
  struct sender senders[SENDERS];
  pthread_t waiters[WAITERS];
  size_t total = 0;

  for (int i = 0; i < WAITERS; i++)
    assert_int_equal(pthread_create(&waiters[i], NULL, drain, queue), 0);
  start_senders(senders, queue);
  join_senders(senders);
  queue_close(queue);
  for (int i = 0; i < WAITERS; i++) {
    void *taken;
    assert_int_equal(pthread_join(waiters[i], &taken), 0);
    total += (size_t)(uintptr_t)taken;
  }
  assert_int_equal(total, SENDERS * PER_SENDER);
  queue_free(queue);
  free_messages(senders);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_messages_come_in_order),
      cmocka_unit_test(test_descriptor_is_readable_exactly_while_something_waits),
      cmocka_unit_test(test_full_queue_leaves_the_message_to_its_sender),
      cmocka_unit_test(test_closed_queue_takes_nothing_but_gives_what_it_has),
      cmocka_unit_test(test_close_of_an_empty_queue_wakes_a_loop_once),
      cmocka_unit_test(test_wait_ends_after_its_time),
      cmocka_unit_test(test_many_senders_lose_nothing_and_each_keeps_its_order),
      cmocka_unit_test(test_gathering_waits_for_many_or_for_its_time_or_for_the_end),
      cmocka_unit_test(test_gathering_ends_when_somebody_presses),
      cmocka_unit_test(test_patient_messages_come_after_the_others_but_for_a_quarter),
      cmocka_unit_test(test_several_waiters_share_all_messages_and_end_at_close),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
