// SPDX-License-Identifier: Apache-2.0
// Manifests, indexes and configurations: nothing that an upstream answers makes sizes, digests or platforms that cannot be.
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "registry/manifest.h"

#define HOLD(condition)                                         \
  do {                                                          \
    if (!(condition)) {                                         \
      (void)fprintf(stderr, "does not hold: %s\n", #condition); \
      abort();                                                  \
    }                                                           \
  } while (0)

enum { ARENA_BYTES = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_platform(struct str platform) {
  size_t slashes = 0;
  for (size_t i = 0; i < platform.len; i++)
    slashes += platform.ptr[i] == '/';
  HOLD(platform.len == 0 || slashes == 1 || slashes == 2);
  HOLD(utf8_valid(platform));
}

static void check_manifest(const struct manifest *m, struct str body) {
  HOLD(manifest_is_media_type(m->media_type) && utf8_valid(m->media_type));
  HOLD(m->size_bytes == -1 || m->size_bytes >= (int64_t)body.len);
  HOLD(m->config_digest.len == 0 || event_is_digest(m->config_digest));
  HOLD(m->children_len <= EVENT_MAX_CHILDREN);
  HOLD(m->children_len == 0 || m->kind == ARTIFACT_INDEX);
  for (size_t i = 0; i < m->children_len; i++) {
    HOLD(event_is_digest(m->children[i].digest));
    HOLD(m->children[i].size_bytes >= -1);
    check_platform(m->children[i].platform);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const types[] = {"application/vnd.oci.image.manifest.v1+json",
                                      "application/vnd.oci.image.index.v1+json", "", "text/plain"};
  struct str body = {(const char *)data, size}, platform;
  struct arena *arena = arena_new(ARENA_BYTES);
  struct manifest manifest;

  HOLD(arena != NULL);
  for (size_t i = 0; i < ARRAY_LEN(types); i++) {
    if (manifest_read(body, str_of(types[i]), arena, &manifest, NULL) == 0)
      check_manifest(&manifest, body);
  }
  if (manifest_config_platform(body, arena, &platform, NULL) == 0)
    check_platform(platform);
  arena_free(arena);
  return 0;
}
