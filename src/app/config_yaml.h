// SPDX-License-Identifier: Apache-2.0
// A YAML file as a flat walk of dotted keys: nested mappings join their keys with dots, sequences of scalars are listed
// item by item. No anchors, no tags, no second document. Errors name file and line.
#ifndef HARBINGER_APP_CONFIG_YAML_H
#define HARBINGER_APP_CONFIG_YAML_H

#include "base/error.h"
#include "base/str.h"

enum { CONFIG_YAML_MAX_DEPTH = 4, CONFIG_YAML_MAX_KEY_BYTES = 256 };

enum config_yaml_kind {
  CONFIG_YAML_PAIR,           // key = value
  CONFIG_YAML_SEQUENCE_START, // key = [
  CONFIG_YAML_SEQUENCE_ITEM,  //   value
};

struct config_yaml_item {
  enum config_yaml_kind kind;
  struct str key;    // "server.header_timeout_ms"
  struct str parent; // "server"; empty at the top
  struct str value;  // empty for SEQUENCE_START
};

typedef int config_yaml_fn(void *ctx, const struct config_yaml_item *item, struct error *err);

// Calls `fn` for each item in order; its error gets "FILE:LINE: " put before. `path` is for words only.
int config_yaml_read(const char *path, struct str text, config_yaml_fn *fn, void *ctx, struct error *err) MUST_CHECK;

#endif
