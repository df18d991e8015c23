// SPDX-License-Identifier: Apache-2.0
// Intrusive doubly linked lists. A node is in at most one list; moving it between state lists is the state change.
// The list owns nothing. One thread.
#ifndef HARBINGER_BASE_LIST_H
#define HARBINGER_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct list_node {
  struct list_node *prev, *next;
};

struct list {
  struct list_node head;
  size_t count;
};

static inline void list_init(struct list *list) {
  list->head.prev = list->head.next = &list->head;
  list->count = 0;
}

static inline bool list_empty(const struct list *list) {
  return list->head.next == &list->head;
}
static inline bool list_linked(const struct list_node *node) {
  return node->next != NULL;
}

static inline void list_push_back(struct list *list, struct list_node *node) {
  node->prev = list->head.prev;
  node->next = &list->head;
  list->head.prev->next = node;
  list->head.prev = node;
  list->count++;
}

static inline void list_push_front(struct list *list, struct list_node *node) {
  node->next = list->head.next;
  node->prev = &list->head;
  list->head.next->prev = node;
  list->head.next = node;
  list->count++;
}

static inline void list_remove(struct list *list, struct list_node *node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  node->prev = node->next = NULL;
  list->count--;
}

static inline struct list_node *list_first(const struct list *list) {
  return list_empty(list) ? NULL : list->head.next;
}

static inline struct list_node *list_pop_front(struct list *list) {
  struct list_node *node = list_first(list);
  if (node)
    list_remove(list, node);
  return node;
}

// Walk; the current node may be removed in the body.
#define LIST_EACH(list, node, following)                                                           \
  for (struct list_node *node = (list)->head.next, *following = node->next; node != &(list)->head; \
       node = following, following = node->next)

#endif
