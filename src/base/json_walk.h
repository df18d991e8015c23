// SPDX-License-Identifier: Apache-2.0
// Walking through JSON text in place, for input that is large or comes often: no tree is built (one of 10 MiB of empty
// arrays takes a gigabyte), strings without escapes are views into the text. Only for text that json_scan has accepted:
// nothing is checked twice. A value is the text of one JSON value; keys are compared as written, so that one spelled with
// escapes is not recognised. The values live as long as the text. Pure functions, any thread.
#ifndef HARBINGER_BASE_JSON_WALK_H
#define HARBINGER_BASE_JSON_WALK_H

#include "base/arena.h"
#include "base/json.h"

struct json_walk {
  struct str rest; // behind what was handed out
};

enum json_kind json_walk_kind(struct str value); // an empty `value` is JSON_ABSENT

// Over the members of an object or the elements of an array (then *key is empty); over anything else: nothing.
struct json_walk json_walk_open(struct str value);
bool json_walk_next(struct json_walk *walk, struct str *key, struct str *value);

// Each answers false, and leaves *out alone, when the value is of another kind. A string with escapes is decoded into the
// arena; false also when the arena is full.
bool json_walk_str(struct str value, struct arena *arena, struct str *out) MUST_CHECK;
bool json_walk_i64(struct str value, int64_t *out) MUST_CHECK;

#endif
