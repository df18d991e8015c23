// SPDX-License-Identifier: Apache-2.0
// Text of an event as Slack shows it, so that no name becomes a mention, a link, an emoji or formatting, within Slack's
// limits. Pure functions that append to a buffer.
#ifndef HARBINGER_FORMAT_SLACK_TEXT_H
#define HARBINGER_FORMAT_SLACK_TEXT_H

#include "base/buf.h"

enum slack_style {
  SLACK_CODE,    // a code span: a backtick becomes ', control characters and direction marks a space
  SLACK_LINE,    // the same without the span: headers of plain text
  SLACK_DETAILS, // plain text of several lines: newline, tab and backtick stay
};

// Limits in code points of the escaped text, which is what Slack counts.
enum {
  SLACK_HEADER_CHARS = 150,
  SLACK_DETAILS_CHARS = 3000,
  SLACK_VALUE_CHARS = 1000,
  SLACK_LISTED_VALUE_CHARS = 300,
  SLACK_LISTED_VALUES = 5,
};

// Append `text`, escaped; when it is longer than `max_chars`, cut so that it and an ellipsis fit, never within an
// entity.
void slack_put(struct buf *out, enum slack_style style, struct str text, size_t max_chars);
// "12 B", "27.0 MiB": base 1024, one decimal.
void slack_put_size(struct buf *out, int64_t size_bytes);

#endif
