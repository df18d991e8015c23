// SPDX-License-Identifier: Apache-2.0
// A growing byte buffer made with its maximum. Appending past it, or without memory, sets `failed` and changes
// nothing, so that a writer appends freely and checks once at the end. The owner frees it. One thread at a time.
#ifndef HARBINGER_BASE_BUF_H
#define HARBINGER_BASE_BUF_H

#include "base/str.h"

struct buf {
  char *ptr;
  size_t len;
  size_t cap;
  size_t max_bytes;
  bool failed;
  bool no_memory; // why it failed: not for its maximum
};

void buf_init(struct buf *buf, size_t max_bytes); // no memory is taken yet
void buf_free(struct buf *buf);                   // back to the state after buf_init
void buf_expect(struct buf *buf, size_t size); // room ahead: fewer moves. A failure shows at the append that needs it
void buf_clear(struct buf *buf);               // len = 0, nothing has failed, memory kept
void buf_put(struct buf *buf, struct str s);
void buf_put_c(struct buf *buf, const char *cstr);
void buf_put_char(struct buf *buf, char c);
enum { I64_TEXT_BYTES = 21 };
// The number in digits, inside `text`.
struct str i64_text(int64_t value, char text[static I64_TEXT_BYTES]);
void buf_put_i64(struct buf *buf, int64_t value);
// The shortest decimal form that reads back as the same number, laid out as Go's encoding/json does (1e-7, 1e+21);
// NaN, +Inf and -Inf as Prometheus spells them.
void buf_put_double(struct buf *buf, double value);
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
// Room for `size` more bytes: pointer to write to, or NULL (failed is set). Commit with buf_added.
char *buf_reserve(struct buf *buf, size_t size) MUST_CHECK;
void buf_added(struct buf *buf, size_t size);
void buf_consume(struct buf *buf, size_t size); // drop bytes at the front
struct str buf_str(const struct buf *buf);

#endif
