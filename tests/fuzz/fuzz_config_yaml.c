// SPDX-License-Identifier: Apache-2.0
// Configuration files: whatever their bytes, the walk ends, keeps its bounds, hands out keys that lie in their parents, and
// says where and why it refuses.
#include <stdio.h>
#include <stdlib.h>

#include "app/config_yaml.h"

#define HOLD(condition)                                         \
  do {                                                          \
    if (!(condition)) {                                         \
      (void)fprintf(stderr, "does not hold: %s\n", #condition); \
      abort();                                                  \
    }                                                           \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
  size_t items;
  bool in_sequence;
  size_t refuse_at; // the item that the caller refuses; 0: none
  size_t bytes;     // of all values
};

static int look(void *ctx, const struct config_yaml_item *item, struct error *err) {
  struct seen *seen = ctx;

  seen->items++;
  HOLD(item->key.len > 0 && item->key.len <= CONFIG_YAML_MAX_KEY_BYTES);
  HOLD(item->parent.len < item->key.len && str_starts(item->key, item->parent));
  HOLD(item->kind != CONFIG_YAML_SEQUENCE_ITEM || seen->in_sequence);
  seen->in_sequence = item->kind != CONFIG_YAML_PAIR;
  for (size_t i = 0; i < item->value.len; i++) // each byte is there
    seen->bytes += item->value.ptr[i] != '\0';
  return seen->items == seen->refuse_at ? error_set(err, ERR_CONFIG, "not wanted") : 0;
}

static int run(struct str text, size_t refuse_at, struct seen *seen) {
  struct error err = {.code = ERR_OK};

  *seen = (struct seen){.refuse_at = refuse_at};
  int rc = config_yaml_read("harbinger.yaml", text, look, seen, &err);
  HOLD(rc == 0 || str_starts_c(str_of(err.text), "harbinger.yaml:"));
  return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *copy = malloc(size + (size == 0));
  struct seen seen, again;

  HOLD(copy != NULL);
  memcpy(copy, data, size);
  struct str text = {copy, size};
  int rc = run(text, 0, &seen);
  size_t middle = seen.items / 2 + 1;
  if (rc == 0 && seen.items > 0) { // what the caller refuses ends the walk there
    HOLD(run(text, middle, &again) == ERR_CONFIG);
    HOLD(again.items == middle);
  }
  free(copy);
  return 0;
}
