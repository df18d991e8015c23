// SPDX-License-Identifier: Apache-2.0
// The chunked coding alone (RFC 9112 7.1): the input is what stands behind the head. However it is cut the parser says the
// same, and a body that it lets through is the one that a plain reading of the whole text gives.
#include "http_events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char HEAD[] = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

enum { BODY_MAX_BYTES = 1 << 20 };

static int hex_of(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static ptrdiff_t find_line_end(struct str text) {
  for (size_t i = 0; i + 1 < text.len; i++)
    if (text.ptr[i] == '\r' && text.ptr[i + 1] == '\n')
      return (ptrdiff_t)i;
  return -1;
}

// Read the chunks of *text up to the last one; true with the body in *body when they are whole.
static bool read_plainly(struct str *text, struct buf *body) {
  for (;;) {
    size_t length = 0, digits = 0;
    ptrdiff_t end = find_line_end(*text);
    while (end > 0 && digits < (size_t)end && hex_of(text->ptr[digits]) >= 0 && length < BODY_MAX_BYTES)
      length = length * 16 + (size_t)hex_of(text->ptr[digits++]);
    if (end <= 0 || digits == 0 || length >= BODY_MAX_BYTES)
      return false;
    *text = str_from(*text, (size_t)end + 2);
    if (length == 0)
      return true;
    if (text->len < length + 2 || text->ptr[length] != '\r' || text->ptr[length + 1] != '\n')
      return false;
    buf_put(body, str_slice(*text, 0, length));
    *text = str_from(*text, length + 2);
  }
}

// True when the first message is complete; then its body.
static bool read_by_parser(struct str input, struct buf *body) {
  struct http_parser *parser = http_parser_new(HTTP_REQUESTS, EVENTS_HEAD_BYTES);
  struct str head = STR(HEAD), piece;
  enum http_event event;

  HOLD(parser != NULL);
  HOLD(http_parser_next(parser, &head, &piece) == HTTP_HEAD && http_parser_head(parser)->chunked);
  while ((event = http_parser_next(parser, &input, &piece)) == HTTP_BODY)
    buf_put(body, piece);
  http_parser_free(parser);
  return event == HTTP_DONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct str input = {(const char *)data, size < EVENTS_MAX_FED_BYTES ? size : EVENTS_MAX_FED_BYTES};
  struct buf whole, plain, parsed;

  buf_init(&whole, EVENTS_MAX_BYTES);
  buf_init(&plain, EVENTS_MAX_BYTES);
  buf_init(&parsed, EVENTS_MAX_BYTES);
  buf_put(&whole, STR(HEAD));
  buf_put(&whole, input);
  events_hold_for_each_cut(HTTP_REQUESTS, buf_str(&whole), false, (uint32_t)size);
  if (read_by_parser(input, &parsed)) {
    struct str rest = input;
    HOLD(read_plainly(&rest, &plain));
    HOLD(str_eq(buf_str(&plain), buf_str(&parsed)));
  }
  buf_free(&whole);
  buf_free(&plain);
  buf_free(&parsed);
  return 0;
}
