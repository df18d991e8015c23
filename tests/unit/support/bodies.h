// SPDX-License-Identifier: Apache-2.0
// What the tests of bodies share.
#ifndef HARBINGER_TESTS_UNIT_SUPPORT_BODIES_H
#define HARBINGER_TESTS_UNIT_SUPPORT_BODIES_H

#include "base/json.h"
#include "format/format.h"

enum { BODIES_ARENA_BYTES = 64 * 1024 * 1024 };

// A string member, or the empty string.
struct str bodies_text(const struct json_object *object, const char *key);
// Render into a buffer that the caller frees; a failure fails the test.
void bodies_render(const struct format_input *input, struct buf *out);
// Fails the test with the first difference and its surroundings.
void bodies_assert_same(const char *what, struct str is, struct str expected);

#endif
