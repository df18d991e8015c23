// SPDX-License-Identifier: Apache-2.0
// Files of the source tree that are bytes in the program: the .sql files of the store and api/openapi.yaml.
// scripts/embed makes the table when the program is built. Constant data: any thread may read it, nobody frees it.
#ifndef HARBINGER_BASE_EMBEDDED_H
#define HARBINGER_BASE_EMBEDDED_H

#include <stddef.h>

// `data` is followed by a NUL that `size_bytes` does not count, so that text can be used as a C string.
struct embedded_file {
  const char *path; // from the top of the tree, e.g. "src/store/sqlite/001_init.sql"; NULL ends the table
  const unsigned char *data;
  size_t size_bytes;
};

// All embedded files sorted by path (byte order), ended by an entry whose path is NULL.
extern const struct embedded_file embedded_files[];

// The file with exactly this path, or NULL when there is none.
const struct embedded_file *embedded_find(const char *path);

#endif
