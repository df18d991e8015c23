// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/query_sql.h"

#include "base/buf.h"
#include "base/rfc3339.h"

enum { QUERY_SQL_MAX_BYTES = 64 * 1024 };

struct value {
  bool is_text;
  int64_t number;
  struct str text;
};

struct builder {
  struct buf sql;
  struct arena *arena;
  struct value *values; // for the `?` after the fixed ones, in order
  size_t values_len, values_cap;
  bool no_memory;
};

static void put_value(struct builder *b, struct value value) {
  struct value *grown = rows_grow(b->arena, b->values, b->values_len, &b->values_cap, sizeof(*grown));

  if (!grown) {
    b->no_memory = true;
    return;
  }
  b->values = grown;
  b->values[b->values_len++] = value;
}

static const struct query_column *column_find(const struct query_list *list, struct str key) {
  for (size_t i = 0; i < list->columns_len; i++) {
    if (str_eq_c(key, list->columns[i].key))
      return &list->columns[i];
  }
  return NULL;
}

// The value in the column's kind; false when it can be equal to nothing there (a word for a number).
static bool convert(const struct query_column *column, const struct query_value *given, struct value *out) {
  switch (column->kind) {
  case COLUMN_TEXT:
    *out = (struct value){.is_text = true, .text = given->text};
    return true;
  case COLUMN_INT:
    out->is_text = false;
    out->number = given->number;
    return given->kind == QUERY_INT || str_to_i64(given->text, &out->number);
  case COLUMN_TIME:
    out->is_text = false;
    out->number = given->number;
    return given->kind == QUERY_TIME || rfc3339_read(given->text, &out->number);
  case COLUMN_BOOL:
    out->is_text = false;
    out->number = str_ieq_c(given->text, "true") || str_eq_c(given->text, "1");
    return out->number != 0 || str_ieq_c(given->text, "false") || str_eq_c(given->text, "0");
  }
  return false;
}

static void put_compare(struct builder *b, const struct query_column *column, const char *op,
                        const struct query_value *given) {
  struct value value;

  if (!convert(column, given, &value)) {
    buf_put_c(&b->sql, "0");
    return;
  }
  buf_printf(&b->sql, "(%s) %s ?", column->expr, op);
  put_value(b, value);
}

// k=~v: substring whatever the case; the wildcards of LIKE are plain characters.
static void put_like(struct builder *b, const struct query_column *column, struct str text) {
  char *pattern = arena_alloc(b->arena, text.len * 2 + 2);
  size_t len = 0;

  if (!pattern) {
    b->no_memory = true;
    return;
  }
  pattern[len++] = '%';
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] == '%' || text.ptr[i] == '_' || text.ptr[i] == '\\')
      pattern[len++] = '\\';
    pattern[len++] = text.ptr[i];
  }
  pattern[len++] = '%';
  buf_printf(&b->sql, "CAST((%s) AS TEXT) LIKE ? ESCAPE '\\'", column->expr);
  put_value(b, (struct value){.is_text = true, .text = {pattern, len}});
}

static void put_range(struct builder *b, const struct query_column *column, const struct query_condition *condition) {
  bool low = condition->values[0].kind != QUERY_NONE, high = condition->values[1].kind != QUERY_NONE;

  if (low)
    put_compare(b, column, ">=", &condition->values[0]);
  if (low && high)
    buf_put_c(&b->sql, " AND ");
  if (high)
    put_compare(b, column, "<=", &condition->values[1]);
  if (!low && !high)
    buf_put_c(&b->sql, "1");
}

// k={v1 v2}: an empty list matches nothing, as in Harbor.
static void put_in(struct builder *b, const struct query_column *column, const struct query_condition *condition) {
  buf_put_c(&b->sql, "0");
  for (size_t i = 0; i < condition->list_len && i < QUERY_MAX_VALUES; i++) {
    buf_put_c(&b->sql, " OR ");
    put_compare(b, column, "=", &condition->list[i]);
  }
}

static void put_condition(struct builder *b, const struct query_column *column,
                          const struct query_condition *condition) {
  buf_put_c(&b->sql, " AND (");
  switch (condition->op) {
  case QUERY_EQ:
    put_compare(b, column, "=", &condition->values[0]);
    break;
  case QUERY_GT:
    put_compare(b, column, ">", &condition->values[0]);
    break;
  case QUERY_LT:
    put_compare(b, column, "<", &condition->values[0]);
    break;
  case QUERY_LIKE:
    put_like(b, column, condition->values[0].text);
    break;
  case QUERY_RANGE:
    put_range(b, column, condition);
    break;
  case QUERY_IN:
    put_in(b, column, condition);
    break;
  }
  buf_put_c(&b->sql, ")");
}

static void put_where(struct builder *b, const struct query_list *list, const struct query *query) {
  buf_put_c(&b->sql, list->from);
  for (size_t i = 0; query && i < query->conditions_len && i < QUERY_MAX_CONDITIONS; i++) {
    const struct query_column *column = column_find(list, query->conditions[i].key);
    if (column) // unknown keys are ignored (harbor.md 2.3)
      put_condition(b, column, &query->conditions[i]);
  }
}

static void put_order(struct builder *b, const struct query_list *list, const struct query *query) {
  size_t known = 0;

  buf_put_c(&b->sql, " ORDER BY ");
  for (size_t i = 0; query && i < query->sorts_len && i < QUERY_MAX_SORTS; i++) {
    const struct query_column *column = column_find(list, query->sorts[i].key);
    if (!column)
      continue;
    bool indexed = list->indexed_key && str_eq_c(query->sorts[i].key, list->indexed_key);
    const char *order = indexed ? list->indexed_expr : column->expr;
    buf_printf(&b->sql, "%s(%s)%s", known++ ? ", " : "", order, query->sorts[i].descending ? " DESC" : "");
  }
  if (known == 0 && list->default_order)
    buf_printf(&b->sql, "%s%s", known++ ? ", " : "", list->default_order);
  buf_printf(&b->sql, "%s%s", known ? ", " : "", list->tie);
}

static void put_page(struct builder *b, const struct query *query) {
  int64_t limit = QUERY_SQL_MAX_ROWS, offset = 0;

  if (query && query->page_size > 0) {
    limit = query->page_size < limit ? query->page_size : limit;
    int64_t before = query->page > 1 ? query->page - 1 : 0;
    if (__builtin_mul_overflow(before, limit, &offset))
      offset = INT64_MAX;
  } else if (query && query->max_rows > 0 && query->max_rows < limit) {
    limit = query->max_rows;
  }
  buf_put_c(&b->sql, " LIMIT ? OFFSET ?");
  put_value(b, (struct value){.number = limit});
  put_value(b, (struct value){.number = offset});
}

static int prepare(struct store_conn *conn, struct builder *b, const struct query_list *list, struct stmt *out,
                   struct error *err) {
  int rc;

  if (b->sql.no_memory)
    rc = error_set(err, ERR_NO_MEMORY, "no memory for a query");
  else if (b->no_memory || b->sql.failed)
    rc = error_set(err, ERR_TOO_LARGE, "the query has too many conditions or values");
  else
    rc = stmt_begin_once(conn, buf_str(&b->sql), out, err);
  buf_free(&b->sql);
  if (rc != 0)
    return rc;
  for (int i = 0; i < list->fixed_len; i++)
    stmt_bind_i64(out, i + 1, list->fixed[i]);
  for (size_t i = 0; i < b->values_len; i++) { // a plain `?` is numbered after the largest before it
    int at = list->fixed_len + (int)i + 1;
    if (b->values[i].is_text)
      stmt_bind_text(out, at, b->values[i].text);
    else
      stmt_bind_i64(out, at, b->values[i].number);
  }
  return 0;
}

static int count_all(struct store_conn *conn, const struct query_list *list, const struct query *query,
                     struct arena *arena, int64_t *total, struct error *err) {
  struct builder b = {.arena = arena};
  CLEANUP(stmt_end) struct stmt stmt = {0};

  buf_init(&b.sql, QUERY_SQL_MAX_BYTES);
  buf_put_c(&b.sql, "SELECT count(*) FROM ");
  put_where(&b, list, query);
  int rc = prepare(conn, &b, list, &stmt, err);
  if (rc != 0)
    return rc;
  rc = stmt_step(&stmt, "count the rows of a list", err);
  if (rc < 0)
    return rc;
  *total = rc == 1 ? stmt_i64(&stmt, 0) : 0;
  return 0;
}

static int read_page(struct store_conn *conn, const struct query_list *list, const struct query *query,
                     struct arena *arena, void **rows, size_t *len, struct error *err) {
  struct builder b = {.arena = arena};
  CLEANUP(stmt_end) struct stmt stmt = {0};

  buf_init(&b.sql, QUERY_SQL_MAX_BYTES);
  buf_printf(&b.sql, "SELECT %s FROM ", list->select);
  put_where(&b, list, query);
  put_order(&b, list, query);
  put_page(&b, query);
  int rc = prepare(conn, &b, list, &stmt, err);
  return rc != 0 ? rc : rows_read(&stmt, list->what, list->read, list->item_bytes, arena, rows, len, err);
}

int query_sql_list(struct store_conn *conn, const struct query_list *list, const struct query *query,
                   struct arena *arena, void **rows, size_t *len, int64_t *total, struct error *err) {
  *rows = NULL;
  *len = 0;
  int rc = count_all(conn, list, query, arena, total, err);
  return rc != 0 ? rc : read_page(conn, list, query, arena, rows, len, err);
}
