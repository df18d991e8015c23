// SPDX-License-Identifier: Apache-2.0
#include "support/bodies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct str bodies_text(const struct json_object *object, const char *key) {
  struct str text = STR_EMPTY;

  (void)json_get_str(object, key, &text);
  return text;
}

void bodies_render(const struct format_input *input, struct buf *out) {
  struct arena *scratch = arena_new(BODIES_ARENA_BYTES);
  struct error err = {.code = ERR_OK};

  assert_non_null(scratch);
  buf_init(out, FORMAT_MAX_BODY_BYTES);
  if (format_render(input, scratch, out, &err) != 0)
    fail_msg("%s", err.text);
  arena_free(scratch);
}

void bodies_assert_same(const char *what, struct str is, struct str expected) {
  size_t i = 0;

  while (i < is.len && i < expected.len && is.ptr[i] == expected.ptr[i])
    i++;
  if (i == is.len && i == expected.len)
    return;
  size_t start = i > 60 ? i - 60 : 0;
  fail_msg("%s differs at byte %zu:\nis       ...%.*s\nexpected ...%.*s", what, i,
           STR_ARG(str_slice(is, start, start + 160)), STR_ARG(str_slice(expected, start, start + 160)));
}
