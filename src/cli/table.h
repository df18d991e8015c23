// SPDX-License-Identifier: Apache-2.0
// JSON of the server as a table with aligned columns, or as one line per field, for people. Values are escaped for the
// terminal; a long cell of a table is cut, but never that of the last column. One thread.
#ifndef HARBINGER_CLI_TABLE_H
#define HARBINGER_CLI_TABLE_H

#include <stdio.h>

#include "base/arena.h"
#include "base/json.h"

enum { TABLE_MAX_COLUMNS = 16, TABLE_MAX_CELL_CHARS = 64 };

struct table_column {
  const char *title;
  const char *path; // members by dots, elements by number: "targets.0.address"; several by '|': the first that is there
};

// The value at a path as text: strings as they are, yes and no, lists by comma, "-" when absent, empty or Go's zero time.
// In the arena or a view of the document.
struct str table_cell(const struct json_object *row, const char *path, struct arena *arena);
void table_print(FILE *out, const struct table_column *columns, size_t columns_len, const struct json_object *rows,
                 struct arena *arena);
// "Title:  value" lines; fields that are not there are left out.
void table_print_fields(FILE *out, const struct table_column *fields, size_t fields_len,
                        const struct json_object *object, struct arena *arena);

#endif
