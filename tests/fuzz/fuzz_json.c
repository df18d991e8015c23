// SPDX-License-Identifier: Apache-2.0
// JSON: what the strict edge lets through, the library parses, and a walk through the text sees what the library's tree
// holds; what is written of its strings and numbers is JSON again, with the same values.
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/json_scan.h"
#include "base/json_walk.h"
#include "base/json_writer.h"
#include "base/utf8.h"

#define HOLD(condition)                                         \
  do {                                                          \
    if (!(condition)) {                                         \
      (void)fprintf(stderr, "does not hold: %s\n", #condition); \
      abort();                                                  \
    }                                                           \
  } while (0)

enum { ARENA_BYTES = 64 * 1024 * 1024, MEMBERS_MAX = 64, WRITTEN_MAX_BYTES = 8 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pair {
  struct str text; // of the walk
  const struct json_object *value;
};

static void check_string_again(struct str text, struct arena *arena) {
  struct json_object *again;
  struct buf out;

  buf_init(&out, WRITTEN_MAX_BYTES);
  struct json_writer w = json_writer_make(&out, true);
  json_array_begin(&w);
  json_put_str(&w, text);
  json_array_end(&w);
  HOLD(!out.failed);
  HOLD(json_parse(buf_str(&out), arena, &again, NULL) == 0);
  HOLD(str_eq(json_str(json_array_at(again, 0)), text));
  buf_free(&out);
}

static void check_scalar(struct pair pair, struct arena *arena) {
  struct str walked = STR_EMPTY;
  int64_t number = 0;
  bool is_str = json_walk_str(pair.text, arena, &walked), is_int = json_walk_i64(pair.text, &number);

  HOLD(is_str == (json_kind(pair.value) == JSON_STRING));
  if (is_str) {
    HOLD(str_eq(walked, json_str(pair.value)));
    HOLD(utf8_valid(walked) && str_find(walked, '\0') < 0);
    check_string_again(walked, arena);
  }
  HOLD(is_int == (json_kind(pair.value) == JSON_INT));
}

static void check_pair(struct pair pair, struct arena *arena, int depth);

static void check_array(struct pair pair, struct arena *arena, int depth) {
  struct json_walk walk = json_walk_open(pair.text);
  struct str key, text;
  size_t len = 0;

  while (json_walk_next(&walk, &key, &text)) {
    HOLD(key.len == 0);
    HOLD(len < json_array_len(pair.value));
    if (len < MEMBERS_MAX)
      check_pair((struct pair){text, json_array_at(pair.value, len)}, arena, depth + 1);
    len++;
  }
  HOLD(len == json_array_len(pair.value));
}

// Of members with one key the tree has the last; a key spelled with escapes is known to the tree alone.
static bool is_overwritten(struct json_walk rest, struct str key) {
  struct str other, text;

  while (json_walk_next(&rest, &other, &text))
    if (str_eq(other, key) || str_find(other, '\\') >= 0)
      return true;
  return false;
}

static void check_object(struct pair pair, struct arena *arena, int depth) {
  struct json_walk walk = json_walk_open(pair.text);
  struct str key, text;

  for (size_t i = 0; i < MEMBERS_MAX && json_walk_next(&walk, &key, &text); i++) {
    enum json_kind kind;
    if (str_find(key, '\\') >= 0 || is_overwritten(walk, key))
      continue;
    struct str name = arena_printf(arena, "%.*s", STR_ARG(key));
    HOLD(name.ptr != NULL);
    const struct json_object *value = json_member(pair.value, name.ptr, &kind);
    HOLD(kind != JSON_ABSENT && kind == json_walk_kind(text));
    check_pair((struct pair){text, value}, arena, depth + 1);
  }
}

// NOLINTNEXTLINE(misc-no-recursion): the depth is that of the text, at most JSON_MAX_DEPTH
static void check_pair(struct pair pair, struct arena *arena, int depth) {
  HOLD(depth <= JSON_MAX_DEPTH);
  HOLD(json_walk_kind(pair.text) == json_kind(pair.value));
  switch (json_kind(pair.value)) {
  case JSON_ARRAY:
    check_array(pair, arena, depth);
    return;
  case JSON_OBJECT:
    check_object(pair, arena, depth);
    return;
  default:
    check_scalar(pair, arena);
  }
}

static bool is_blank(char c) { // RFC 8259 2
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct str trim(struct str text) {
  while (text.len > 0 && is_blank(text.ptr[0]))
    text = str_from(text, 1);
  while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
    text.len--;
  return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // A copy of its own size, so that a byte read past it is seen.
  char *copy = malloc(size + (size == 0));
  struct arena *arena = arena_new(ARENA_BYTES);
  struct json_object *tree;
  struct error err;

  HOLD(copy != NULL && arena != NULL);
  memcpy(copy, data, size);
  struct str text = {copy, size};
  int scanned = json_scan_for_tree(text, JSON_MAX_DEPTH, JSON_MAX_CONTAINERS, &err);
  HOLD(scanned == 0 || (scanned == ERR_INVALID && utf8_valid(str_of(err.text)) && err.text[0] != '\0'));
  HOLD(scanned != 0 || json_scan(text, JSON_MAX_DEPTH, &err) == 0);
  HOLD(json_parse(text, arena, &tree, &err) == scanned);
  if (scanned == 0)
    check_pair((struct pair){trim(text), tree}, arena, 0);
  arena_free(arena);
  free(copy);
  return 0;
}
