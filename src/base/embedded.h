// SPDX-License-Identifier: Apache-2.0
// Files that are bytes in the program: of the source tree the .sql files of the store and api/openapi.yaml
// (scripts/embed), and what scripts/build-portal has made (scripts/embed-portal). Constant data: any thread may read it, nobody frees it.
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

// A file of the portal, in the forms in which it is sent.
struct embedded_page {
  const char *path;         // from portal/dist, e.g. "index.html"; NULL ends the table
  const char *content_type; // e.g. "text/css; charset=utf-8"
  const char *hash;         // of the bytes, 32 hexadecimal digits
  const unsigned char *data;
  size_t size_bytes;
  const unsigned char *gzip; // NULL when compressing saves nothing
  size_t gzip_bytes;
};

// Sorted by path, ended by an entry whose path is NULL; only that one in a program that was built without the portal.
extern const struct embedded_page embedded_portal[];

#endif
