// SPDX-License-Identifier: Apache-2.0
// A struct query turned into SQL: only the columns that a list names get into the text, values are always bound. Inside
// store/sqlite/ only; any thread with its own connection.
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
  const char *select; // columns
  const char *from;   // tables and at least one fixed condition: "policy p WHERE p.project_id = ?1"
  const struct query_column *columns;
  size_t columns_len;
  const char *default_order; // "p.created_us DESC"; used when no sort key is known
  const char *tie;           // a unique last key, so that pages do not overlap
  int64_t fixed[3];          // ?1, ?2, ?3
  int fixed_len;
};

int query_sql_count(struct store_conn *conn, const struct query_list *list, const struct query *query,
                    struct arena *arena, int64_t *total, struct error *err) MUST_CHECK;
// The rows of the page. End *out with stmt_end; `query` and `arena` must live until then.
int query_sql_rows(struct store_conn *conn, const struct query_list *list, const struct query *query,
                   struct arena *arena, struct stmt *out, struct error *err) MUST_CHECK;

#endif
