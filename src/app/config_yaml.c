// SPDX-License-Identifier: Apache-2.0
#include "app/config_yaml.h"

#include <stdio.h>
#include <yaml.h>

struct level {
  size_t key_len; // of `walk.key` without this level's last part
  bool is_sequence;
  bool expects_value; // mapping: a key was read
};

struct walk {
  const char *path;
  config_yaml_fn *fn;
  void *ctx;
  struct error *err;
  char key[CONFIG_YAML_MAX_KEY_BYTES];
  size_t key_len;
  struct level levels[CONFIG_YAML_MAX_DEPTH];
  size_t depth;
  bool has_document;
};

static int fail_at(struct walk *walk, size_t line, const char *words) {
  return error_set(walk->err, ERR_CONFIG, "%s:%zu: %s", walk->path, line + 1, words);
}

static struct level *top(struct walk *walk) {
  return walk->depth ? &walk->levels[walk->depth - 1] : NULL;
}

static int emit(struct walk *walk, enum config_yaml_kind kind, struct str value, size_t line) {
  struct config_yaml_item item = {.kind = kind, .key = {walk->key, walk->key_len}, .value = value};
  ptrdiff_t dot = str_rfind(item.key, '.');
  item.parent = dot < 0 ? STR_EMPTY : str_slice(item.key, 0, (size_t)dot);
  int rc = walk->fn(walk->ctx, &item, walk->err);
  if (rc != 0)
    error_context(walk->err, "%s:%zu", walk->path, line + 1);
  return rc;
}

static int key_push(struct walk *walk, struct str part, size_t line) {
  int len = snprintf(walk->key + walk->key_len, sizeof walk->key - walk->key_len, "%s%.*s", walk->key_len ? "." : "",
                     STR_ARG(part));
  if (len < 0 || walk->key_len + (size_t)len >= sizeof walk->key)
    return fail_at(walk, line, "the key is too long");
  walk->key_len += (size_t)len;
  return 0;
}

// A value of a mapping has been dealt with: its key goes.
static void value_done(struct walk *walk) {
  struct level *level = top(walk);
  if (!level || level->is_sequence)
    return;
  level->expects_value = false;
  walk->key_len = level->key_len;
}

static int on_scalar(struct walk *walk, const yaml_event_t *event) {
  size_t line = event->start_mark.line;
  struct str value = {(const char *)event->data.scalar.value, event->data.scalar.length};
  struct level *level = top(walk);
  if (str_find(value, '\0') >= 0)
    return fail_at(walk, line, "a zero byte is in a key or value");
  // An empty document is one empty scalar; anything else at the top is no mapping.
  if (!level)
    return value.len ? fail_at(walk, line, "the file must be a mapping of settings") : 0;
  if (level->is_sequence)
    return emit(walk, CONFIG_YAML_SEQUENCE_ITEM, value, line);
  if (!level->expects_value) {
    if (value.len == 0)
      return fail_at(walk, line, "a key is empty");
    level->expects_value = true;
    return key_push(walk, value, line);
  }
  int rc = emit(walk, CONFIG_YAML_PAIR, value, line);
  value_done(walk);
  return rc;
}

static int on_open(struct walk *walk, const yaml_event_t *event, bool is_sequence) {
  size_t line = event->start_mark.line;
  struct level *level = top(walk);
  if (level && (level->is_sequence || !level->expects_value))
    return fail_at(walk, line, "a list holds plain values only");
  if (!level && is_sequence)
    return fail_at(walk, line, "the file must be a mapping of settings");
  if (walk->depth == CONFIG_YAML_MAX_DEPTH)
    return fail_at(walk, line, "nested too deeply");
  walk->levels[walk->depth++] = (struct level){.key_len = walk->key_len, .is_sequence = is_sequence};
  return is_sequence ? emit(walk, CONFIG_YAML_SEQUENCE_START, STR_EMPTY, line) : 0;
}

static int on_close(struct walk *walk) {
  walk->depth--;
  value_done(walk);
  return 0;
}

static int on_document(struct walk *walk, const yaml_event_t *event) {
  if (walk->has_document)
    return fail_at(walk, event->start_mark.line, "a second document begins here");
  walk->has_document = true;
  return 0;
}

static int on_event(struct walk *walk, const yaml_event_t *event) {
  switch (event->type) {
  case YAML_DOCUMENT_START_EVENT:
    return on_document(walk, event);
  case YAML_SCALAR_EVENT:
    return on_scalar(walk, event);
  case YAML_MAPPING_START_EVENT:
    return on_open(walk, event, false);
  case YAML_SEQUENCE_START_EVENT:
    return on_open(walk, event, true);
  case YAML_MAPPING_END_EVENT:
  case YAML_SEQUENCE_END_EVENT:
    return on_close(walk);
  case YAML_ALIAS_EVENT:
    return fail_at(walk, event->start_mark.line, "aliases are not supported");
  default:
    return 0;
  }
}

int config_yaml_read(const char *path, struct str text, config_yaml_fn *fn, void *ctx, struct error *err) {
  struct walk walk = {.path = path, .fn = fn, .ctx = ctx, .err = err};
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser))
    return error_set(err, ERR_NO_MEMORY, "out of memory for %s", path);
  yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
  int rc = 0;
  bool more = true;
  while (rc == 0 && more) {
    yaml_event_t event;
    if (!yaml_parser_parse(&parser, &event)) {
      rc = fail_at(&walk, parser.problem_mark.line, parser.problem ? parser.problem : "not YAML");
      break;
    }
    rc = on_event(&walk, &event);
    more = event.type != YAML_STREAM_END_EVENT;
    yaml_event_delete(&event);
  }
  yaml_parser_delete(&parser);
  return rc;
}
