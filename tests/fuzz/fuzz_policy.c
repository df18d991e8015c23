// SPDX-License-Identifier: Apache-2.0
// Policies from outside: what passes the checks is written as JSON that reads back to the same policy.
// corpus_policy/ holds request bodies.
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"
#include "policy/policy.h"

enum { ARENA_BYTES = 16 * 1024 * 1024, JSON_BYTES = 8 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
  if (!holds)
    abort();
}

static struct str written(struct arena *arena, const struct policy *policy, enum policy_view view) {
  struct buf buf;

  buf_init(&buf, JSON_BYTES);
  struct json_writer w = json_writer_make(&buf, false);
  policy_write_json(policy, view, arena, &w);
  require(!buf.failed);
  struct str text = arena_str(arena, buf_str(&buf));
  buf_free(&buf);
  return text;
}

// What an editor gets can be sent back: the stored policy stays as it is.
static void check_round_trip(struct arena *arena, const struct policy *policy) {
  struct json_object *body;
  struct policy again;
  struct str editor = written(arena, policy, POLICY_VIEW_EDITOR);

  if (!editor.ptr || json_parse(editor, arena, &body, NULL) != 0)
    abort();
  require(policy_read(body, policy, arena, &again, NULL) == 0);
  require(policy_check(&again, NULL) == 0);
  require(policy_adopt_targets(&again, policy, arena, NULL) == 0);
  require(str_eq(written(arena, &again, POLICY_VIEW_REVEAL), written(arena, policy, POLICY_VIEW_REVEAL)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct arena *arena = arena_new(ARENA_BYTES);
  struct str text = {(const char *)data, size};
  struct json_object *body;
  struct policy policy;
  struct error err;

  if (!arena)
    return 0;
  if (json_parse(text, arena, &body, &err) == 0 && policy_read(body, NULL, arena, &policy, &err) == 0 &&
      policy_check(&policy, &err) == 0 && policy_adopt_targets(&policy, NULL, arena, &err) == 0) {
    check_round_trip(arena, &policy);
    require(utf8_valid(written(arena, &policy, POLICY_VIEW_READER)));
  }
  arena_free(arena);
  return 0;
}
