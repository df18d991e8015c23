// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/embedded.h"

// Compares an embedded file with the one in the source tree.
static void assert_same_as_source(const struct embedded_file *file) {
  char path[4096];
  char found[65536];
  (void)snprintf(path, sizeof path, "%s/%s", HARBINGER_SOURCE_DIR, file->path);
  FILE *source = fopen(path, "rb");
  assert_non_null(source);
  size_t offset = 0;
  size_t got;
  while ((got = fread(found, 1, sizeof found, source)) > 0) {
    assert_true(offset + got <= file->size_bytes);
    assert_memory_equal(found, file->data + offset, got);
    offset += got;
  }
  assert_int_equal(fclose(source), 0);
  assert_int_equal(offset, file->size_bytes);
  assert_int_equal(file->data[file->size_bytes], 0);
}

static void test_embedded_files_are_the_source_trees_bytes(void **state) {
  (void)state;
  for (const struct embedded_file *file = embedded_files; file->path != NULL; file++)
    assert_same_as_source(file);
}

static void test_embedded_files_are_sorted_and_found_by_path(void **state) {
  (void)state;
  for (const struct embedded_file *file = embedded_files; file->path != NULL; file++) {
    assert_ptr_equal(embedded_find(file->path), file);
    if (file[1].path != NULL)
      assert_true(strcmp(file->path, file[1].path) < 0);
  }
  assert_null(embedded_find("src/store/sqlite/no_such_file.sql"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_embedded_files_are_the_source_trees_bytes),
      cmocka_unit_test(test_embedded_files_are_sorted_and_found_by_path),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
