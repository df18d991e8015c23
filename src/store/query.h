// SPDX-License-Identifier: Apache-2.0
// A list query in Harbor's terms: conditions of `q`, sort keys, a page. The API parses it, each list in the store maps
// the keys that it knows to columns and ignores the others, as Harbor does. A plain value; strings in the caller's arena.
#ifndef HARBINGER_STORE_QUERY_H
#define HARBINGER_STORE_QUERY_H

#include "base/arena.h"
#include "base/error.h"

enum { QUERY_MAX_CONDITIONS = 32, QUERY_MAX_VALUES = 128, QUERY_MAX_SORTS = 8 };

enum query_op { QUERY_EQ, QUERY_LIKE, QUERY_RANGE, QUERY_IN, QUERY_GT, QUERY_LT };

enum query_value_kind { QUERY_TEXT, QUERY_INT, QUERY_TIME, QUERY_NONE };

struct query_value {
  enum query_value_kind kind;
  struct str text; // always the words as given
  int64_t number;  // QUERY_INT, or QUERY_TIME in microseconds
};

struct query_condition {
  struct str key; // snake case: creation_time, extra_attrs.event_type
  enum query_op op;
  struct query_value values[2]; // EQ, LIKE, GT, LT: [0]; RANGE: [0] and [1], either QUERY_NONE
  struct query_value *list;     // IN
  size_t list_len;
};

struct query_sort {
  struct str key;
  bool descending;
};

struct query {
  struct query_condition *conditions;
  size_t conditions_len;
  struct query_sort sorts[QUERY_MAX_SORTS];
  size_t sorts_len;
  int64_t page;      // from 1
  int64_t page_size; // 0 or less: no limit but `max_rows`
  int64_t max_rows;  // bound when there is no page size
};

#endif
