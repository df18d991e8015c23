// SPDX-License-Identifier: Apache-2.0
// A path of /v2/ that is let through says one thing: put together again from its parts it is the same, and no part holds what
// another server could read differently.
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "event/event.h"
#include "gateway/oci_path.h"

#define HOLD(condition)                                         \
  do {                                                          \
    if (!(condition)) {                                         \
      (void)fprintf(stderr, "does not hold: %s\n", #condition); \
      abort();                                                  \
    }                                                           \
  } while (0)

enum { TEXT_MAX_BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct oci_path *path, struct buf *out) {
  static const char *const between[OCI_KIND_COUNT] = {
      [OCI_TAGS] = "/tags/list",        [OCI_MANIFEST] = "/manifests/",   [OCI_BLOB] = "/blobs/",
      [OCI_UPLOADS] = "/blobs/uploads", [OCI_UPLOAD] = "/blobs/uploads/", [OCI_REFERRERS] = "/referrers/"};

  buf_put_c(out, "/v2/");
  buf_put(out, path->project);
  buf_put_char(out, '/');
  buf_put(out, path->repository);
  buf_put_c(out, between[path->kind]);
  buf_put(out, path->reference);
}

static void check(const struct oci_path *path, struct str text) {
  struct buf again;

  HOLD(str_find(text, '%') < 0 && str_find(text, '\\') < 0 && !str_contains(text, STR("/../")));
  HOLD(event_is_repository_name(path->name) && str_find(path->project, '/') < 0 && path->repository.len > 0);
  HOLD(path->kind != OCI_MANIFEST || event_is_tag(path->reference) || event_is_digest(path->reference));
  HOLD((path->kind != OCI_BLOB && path->kind != OCI_REFERRERS) || event_is_digest(path->reference));
  buf_init(&again, TEXT_MAX_BYTES);
  write_again(path, &again);
  HOLD(!again.failed);
  if (path->kind == OCI_UPLOADS && str_ends(text, STR("/")))
    buf_put_char(&again, '/');
  HOLD(str_eq(buf_str(&again), text));
  buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct str text = {(const char *)data, size};
  struct oci_path path;
  enum oci_code code = OCI_CODE_COUNT;
  struct error err;

  if (oci_path_read(text, &path, &code, &err) != 0) {
    HOLD(code < OCI_CODE_COUNT && err.text[0]);
    return 0;
  }
  if (path.kind == OCI_BASE)
    HOLD(str_eq_c(text, "/v2") || str_eq_c(text, "/v2/"));
  else if (path.kind == OCI_CATALOG)
    HOLD(str_eq_c(text, "/v2/_catalog"));
  else
    check(&path, text);
  return 0;
}
