// SPDX-License-Identifier: Apache-2.0
// The lists that people filter, sort and page: each is a description and a reader of one row. A struct query becomes SQL:
// only the columns that a list names get into the text, values are always bound. Inside store/sqlite/ only; any thread
// with its own connection.
#ifndef HARBINGER_STORE_SQLITE_QUERY_SQL_H
#define HARBINGER_STORE_SQLITE_QUERY_SQL_H

#include "store/query.h"
#include "store/sqlite/conn.h"

enum { QUERY_SQL_MAX_ROWS = 100000 }; // when neither a page size nor max_rows bounds the answer

enum query_column_kind { COLUMN_TEXT, COLUMN_INT, COLUMN_TIME, COLUMN_BOOL };

struct query_column {
  const char *key;  // of `q` and `sort`
  const char *expr; // SQL
  enum query_column_kind kind;
};

struct query_list {
  const char *what; // "list tags": completes "cannot ..."
  row_reader *read; // of a row of `select` into an item of item_bytes
  size_t item_bytes;
  const char *select; // columns
  const char *from;   // tables and at least one fixed condition: "policy p WHERE p.project_id = ?1"
  const struct query_column *columns;
  size_t columns_len;
  const char *default_order; // "p.created_us DESC"; used when no sort key is known
  const char *indexed_key;   // a key whose column is sorted by `indexed_expr`, which sorts the same and is in an index;
  const char *indexed_expr;  // both may be NULL
  const char *tie;           // a unique last key, so that pages do not overlap
  int64_t fixed[3];          // ?1, ?2, ?3
  int fixed_len;
};

// The rows of the page as an array in the arena (rows_read), and in *total how many there are on all pages. `query` may
// be NULL: everything up to QUERY_SQL_MAX_ROWS.
int query_sql_list(struct store_conn *conn, const struct query_list *list, const struct query *query,
                   struct arena *arena, void **rows, size_t *len, int64_t *total, struct error *err) MUST_CHECK;

#endif
