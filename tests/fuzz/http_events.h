// SPDX-License-Identifier: Apache-2.0
// What the two fuzz targets of the HTTP parser share: feed bytes cut in one way, write down all that came out, and hold
// that another cut gives the same. Included by one .c each.
#ifndef HARBINGER_TESTS_FUZZ_HTTP_EVENTS_H
#define HARBINGER_TESTS_FUZZ_HTTP_EVENTS_H

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "net/http.h"

enum {
  EVENTS_HEAD_BYTES = 2048, // small, so that the cap is met
  EVENTS_MAX_BYTES = 4 << 20,
  EVENTS_MAX_FED_BYTES = 16 * 1024,
};

#define HOLD(condition)                                         \
  do {                                                          \
    if (!(condition)) {                                         \
      (void)fprintf(stderr, "does not hold: %s\n", #condition); \
      abort();                                                  \
    }                                                           \
  } while (0)

// What the parser promises of each head it lets through.
static void events_check_head(const struct http_head *head) {
  HOLD(head->headers_len <= HTTP_MAX_HEADERS);
  HOLD(!(head->chunked && head->has_length));
  HOLD(head->version_minor == 0 || head->version_minor == 1);
  size_t hosts = 0, lengths = 0, codings = 0;
  for (size_t i = 0; i < head->headers_len; i++) {
    HOLD(http_is_token(head->headers[i].name));
    HOLD(http_is_field_value(head->headers[i].value));
    hosts += str_ieq_c(head->headers[i].name, "host");
    lengths += str_ieq_c(head->headers[i].name, "content-length");
    codings += str_ieq_c(head->headers[i].name, "transfer-encoding");
  }
  HOLD(lengths == (head->has_length ? 1 : 0) && codings == (head->chunked ? 1 : 0));
  if (head->is_response) {
    HOLD(head->status >= 100 && head->status <= 999);
    return;
  }
  HOLD(hosts == 1 || (hosts == 0 && head->version_minor == 0));
  HOLD(http_is_token(head->method));
  HOLD(head->target.len > 0 && (head->target.ptr[0] == '/' || str_eq(head->target, STR("*"))));
  HOLD(head->path.ptr == head->target.ptr && head->path.len <= head->target.len);
}

static void events_put_head(struct buf *events, const struct http_head *head) {
  buf_printf(events, "HEAD %d %d %d %d %d %llu", head->status, head->version_minor, head->keep_alive,
             head->expect_continue, head->chunked, (unsigned long long)head->length);
  const struct str parts[] = {head->method, head->target, head->path, head->query, head->reason};
  for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
    buf_put_char(events, '|');
    buf_put(events, parts[i]);
  }
  for (size_t i = 0; i < head->headers_len; i++) {
    buf_put_char(events, '\n');
    buf_put(events, head->headers[i].name);
    buf_put_c(events, ": ");
    buf_put(events, head->headers[i].value);
  }
  buf_put_char(events, '\n');
}

// A body is written as its bytes, however they were cut, and a mark at the end of the message.
static bool events_feed(struct http_parser *parser, struct str input, bool no_body, struct buf *events) {
  for (;;) {
    struct str piece;
    size_t before = input.len;
    switch (http_parser_next(parser, &input, &piece)) {
    case HTTP_NEED_MORE:
      HOLD(input.len == 0);
      return true;
    case HTTP_HEAD:
      events_check_head(http_parser_head(parser));
      events_put_head(events, http_parser_head(parser));
      break;
    case HTTP_BODY:
      HOLD(piece.len > 0 && piece.len <= before - input.len);
      buf_put(events, piece);
      break;
    case HTTP_DONE:
      buf_put_c(events, "\nDONE\n");
      http_parser_reset(parser);
      HOLD(http_parser_idle(parser));
      if (no_body)
        http_parser_expect_no_body(parser);
      if (input.len == 0)
        return true;
      break;
    case HTTP_BAD: {
      struct error err;
      int status = http_parser_error(parser, &err);
      HOLD(status == 400 || status == 431 || status == 501 || status == 505);
      buf_printf(events, "\nBAD %d %s\n", status, err.text);
      return false;
    }
    }
  }
}

// `cut`: bytes per feeding; 0: sizes from `seed`, SIZE_MAX: all at once.
static void events_run(enum http_parser_kind kind, struct str input, bool no_body, size_t cut, uint32_t seed,
                       struct buf *events) {
  struct http_parser *parser = http_parser_new(kind, EVENTS_HEAD_BYTES);
  HOLD(parser != NULL);
  if (no_body)
    http_parser_expect_no_body(parser);
  bool more = true;
  while (more && input.len > 0) {
    seed = seed * 1664525U + 1013904223U;
    size_t size = cut ? cut : (seed >> 16) % 64 + 1;
    if (size > input.len)
      size = input.len;
    // A copy of its own, so that the sanitizer sees a byte read past it, and that nothing of it is kept.
    char *copy = malloc(size);
    HOLD(copy != NULL);
    memcpy(copy, input.ptr, size);
    more = events_feed(parser, (struct str){copy, size}, no_body, events);
    free(copy);
    input = str_from(input, size);
  }
  if (more) {
    enum http_event end = http_parser_eof(parser);
    HOLD(end == HTTP_DONE || end == HTTP_BAD);
    buf_printf(events, "\nEND %d\n", (int)end);
  }
  http_parser_free(parser);
}

// Whole, byte by byte and in pieces: the same events.
static void events_hold_for_each_cut(enum http_parser_kind kind, struct str input, bool no_body, uint32_t seed) {
  const size_t cuts[] = {SIZE_MAX, 1, 0};
  struct buf events[ARRAY_LEN(cuts)];
  if (input.len > EVENTS_MAX_FED_BYTES)
    input.len = EVENTS_MAX_FED_BYTES;
  for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
    buf_init(&events[i], EVENTS_MAX_BYTES);
    events_run(kind, input, no_body, cuts[i], seed, &events[i]);
    HOLD(!events[i].failed);
    HOLD(str_eq(buf_str(&events[0]), buf_str(&events[i])));
  }
  for (size_t i = 0; i < ARRAY_LEN(cuts); i++)
    buf_free(&events[i]);
}

#endif
