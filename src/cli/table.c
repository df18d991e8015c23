// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include "base/json_writer.h"
#include "base/utf8.h"
#include "cli/terminal.h"

enum { TABLE_MAX_BYTES = 32 * 1024 * 1024, CELL_MAX_BYTES = 64 * 1024, PATH_MAX_BYTES = 128 };

static const struct json_object *step(const struct json_object *value, struct str name, struct arena *arena,
                                      enum json_kind *kind) {
  uint64_t index;
  if (json_kind(value) == JSON_ARRAY && str_to_u64(name, &index)) {
    const struct json_object *element = json_array_at(value, (size_t)index);
    *kind = index < json_array_len(value) ? json_kind(element) : JSON_ABSENT;
    return element;
  }
  const char *key = arena_cstr(arena, name);
  return json_member(value, key ? key : "", kind);
}

static const struct json_object *walk(const struct json_object *value, struct str path, struct arena *arena,
                                      enum json_kind *kind) {
  struct str name;
  *kind = json_kind(value);
  while (*kind != JSON_ABSENT && *kind != JSON_NULL && str_next(&path, '.', &name))
    value = step(value, name, arena, kind);
  return value;
}

static void put_value(struct buf *out, const struct json_object *value, enum json_kind kind) {
  struct json_writer w = json_writer_make(out, false);
  switch (kind) {
  case JSON_STRING:
    buf_put(out, json_str(value));
    return;
  case JSON_ARRAY:
    for (size_t i = 0; i < json_array_len(value); i++) {
      const struct json_object *element = json_array_at(value, i);
      buf_put_c(out, i > 0 ? ", " : "");
      struct str name; // of objects that have one: tags
      if (json_kind(element) == JSON_STRING)
        buf_put(out, json_str(element));
      else if (json_kind(element) == JSON_OBJECT && json_get_str(element, "name", &name))
        buf_put(out, name);
      else
        json_put_value(&w, element);
      w.need_comma = false;
    }
    return;
  default:
    json_put_value(&w, value);
  }
}

static bool is_zero_time(struct str text) {
  return str_starts_c(text, "0001-01-01T00:00:00");
}

struct str table_cell(const struct json_object *row, const char *path, struct arena *arena) {
  struct str paths = str_of(path), one;
  const struct json_object *value = NULL;
  enum json_kind kind = JSON_ABSENT;
  while ((kind == JSON_ABSENT || kind == JSON_NULL) && str_next(&paths, '|', &one))
    value = walk(row, one, arena, &kind);
  if (kind == JSON_ABSENT || kind == JSON_NULL)
    return STR("-");
  if (kind == JSON_BOOL) {
    struct buf text;
    buf_init(&text, CELL_MAX_BYTES);
    put_value(&text, value, kind);
    bool yes = str_eq_c(buf_str(&text), "true");
    buf_free(&text);
    return yes ? STR("yes") : STR("no");
  }
  struct buf text;
  buf_init(&text, CELL_MAX_BYTES);
  put_value(&text, value, kind);
  struct str cell = arena_str(arena, buf_str(&text));
  buf_free(&text);
  return !cell.ptr || cell.len == 0 || is_zero_time(cell) ? STR("-") : cell;
}

static struct str cut(struct str cell, struct arena *arena) {
  if (utf8_count(cell) <= TABLE_MAX_CELL_CHARS)
    return cell;
  size_t bytes = 0;
  uint32_t c;
  for (int i = 0; i < TABLE_MAX_CELL_CHARS - 1; i++) {
    size_t len = utf8_next(str_from(cell, bytes), &c);
    bytes += len ? len : 1;
  }
  struct str shorter = arena_printf(arena, "%.*s\xe2\x80\xa6", (int)bytes, cell.ptr);
  return shorter.ptr ? shorter : cell;
}

static void put_padded(struct buf *out, struct str cell, size_t width) {
  terminal_put(out, cell);
  for (size_t i = terminal_width(cell); i < width; i++)
    buf_put_char(out, ' ');
}

static void flush(FILE *out, struct buf *text) {
  if (text->failed)
    (void)fputs("harbinger: the answer is too large to show; ask for fewer rows with --limit\n", stderr);
  else
    (void)fwrite(text->ptr ? text->ptr : "", 1, text->len, out);
  buf_free(text);
}

void table_print(FILE *out, const struct table_column *columns, size_t columns_len, const struct json_object *rows,
                 struct arena *arena) {
  size_t widths[TABLE_MAX_COLUMNS] = {0}, rows_len = json_array_len(rows);
  struct str *cells = arena_array(arena, rows_len * columns_len + 1, sizeof *cells);
  struct buf text;
  if (!cells || columns_len > TABLE_MAX_COLUMNS)
    return;
  buf_init(&text, TABLE_MAX_BYTES);
  for (size_t column = 0; column < columns_len; column++) {
    bool last = column + 1 == columns_len;
    widths[column] = last ? 0 : strlen(columns[column].title);
    for (size_t row = 0; row < rows_len; row++) {
      struct str cell = table_cell(json_array_at(rows, row), columns[column].path, arena);
      cells[row * columns_len + column] = last ? cell : cut(cell, arena);
      size_t width = terminal_width(cells[row * columns_len + column]);
      if (!last && width > widths[column])
        widths[column] = width;
    }
  }
  for (size_t line = 0; line <= rows_len; line++) {
    for (size_t column = 0; column < columns_len; column++) {
      struct str cell = line == 0 ? str_of(columns[column].title) : cells[(line - 1) * columns_len + column];
      put_padded(&text, cell, widths[column]);
      buf_put_c(&text, column + 1 == columns_len ? "\n" : "  ");
    }
  }
  flush(out, &text);
}

void table_print_fields(FILE *out, const struct table_column *fields, size_t fields_len,
                        const struct json_object *object, struct arena *arena) {
  size_t width = 0;
  struct buf text;
  buf_init(&text, TABLE_MAX_BYTES);
  for (size_t i = 0; i < fields_len; i++)
    width = strlen(fields[i].title) > width ? strlen(fields[i].title) : width;
  for (size_t i = 0; i < fields_len; i++) {
    struct str cell = table_cell(object, fields[i].path, arena);
    if (str_eq_c(cell, "-"))
      continue;
    buf_printf(&text, "%s:", fields[i].title);
    for (size_t pad = strlen(fields[i].title); pad < width + 1; pad++)
      buf_put_char(&text, ' ');
    terminal_put(&text, cell);
    buf_put_char(&text, '\n');
  }
  flush(out, &text);
}
