// SPDX-License-Identifier: Apache-2.0
// The strict edge before the JSON library: RFC 8259 to the letter, so that what the library takes leniently (numbers
// clamped to 64 bits, NaN, U+0000, lone surrogates) never reaches it. Keeps nothing; any thread.
#ifndef HARBINGER_BASE_JSON_SCAN_H
#define HARBINGER_BASE_JSON_SCAN_H

#include "base/error.h"
#include "base/str.h"

enum { JSON_SCAN_MAX_DEPTH = 64 }; // one bit each

// Check that `text` is one JSON value and nothing else, nested at most `max_depth` (<= JSON_SCAN_MAX_DEPTH) arrays and
// objects deep, valid UTF-8, integers within int64, other numbers finite. ERR_INVALID with the reason and the byte
// (the first is 1).
int json_scan(struct str text, int max_depth, struct error *err) MUST_CHECK;
// The same with at most `max_containers` arrays and objects: for what becomes a tree, where an empty object of two bytes
// takes a thousand. ERR_INVALID as above.
int json_scan_for_tree(struct str text, int max_depth, size_t max_containers, struct error *err) MUST_CHECK;

#endif
