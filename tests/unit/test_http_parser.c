// SPDX-License-Identifier: Apache-2.0
// net/http.c and net/http_head.c: what is taken, what is refused with which status, and that it makes no difference how
// the bytes were cut.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "net/http.h"

#define POST "POST / HTTP/1.1\r\nHost: h\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

// What one message came to.
struct outcome {
  enum http_event last; // HTTP_DONE, HTTP_BAD or HTTP_NEED_MORE
  bool had_head;
  int status; // of HTTP_BAD
  struct error err;
  struct str rest; // of the input after the message
  struct buf body;
};

static void assert_str(struct str s, const char *expected) {
  struct str shown = s.ptr ? s : STR("NULL");
  if (!s.ptr || !str_eq_c(s, expected))
    fail_msg("'%.*s' is not '%s'", STR_ARG(shown), expected);
}

// One message, fed in pieces of `cut` bytes; each piece is freed at once, so that a view kept into it is seen.
static void feed(struct http_parser *parser, struct str input, size_t cut, struct outcome *out) {
  memset(out, 0, sizeof(*out));
  buf_init(&out->body, 1 << 20);
  out->last = HTTP_NEED_MORE;
  while (out->last == HTTP_NEED_MORE && input.len > 0) {
    size_t size = cut < input.len ? cut : input.len;
    char *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, input.ptr, size);
    struct str piece, given = {copy, size};
    do {
      out->last = http_parser_next(parser, &given, &piece);
      out->had_head |= out->last == HTTP_HEAD;
      if (out->last == HTTP_BODY) {
        assert_true(piece.len > 0);
        buf_put(&out->body, piece);
      }
    } while (out->last == HTTP_HEAD || out->last == HTTP_BODY);
    input = str_from(input, size - given.len);
    free(copy);
  }
  out->rest = input;
  if (out->last == HTTP_BAD)
    out->status = http_parser_error(parser, &out->err);
}

static const size_t cuts[] = {SIZE_MAX, 1, 2, 3, 7};

static void expect_bad(enum http_parser_kind kind, size_t max_head_bytes, struct str input, int status) {
  for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
    struct http_parser *parser = http_parser_new(kind, max_head_bytes);
    struct outcome out;
    assert_non_null(parser);
    feed(parser, input, cuts[i], &out);
    if (out.last != HTTP_BAD || out.status != status)
      fail_msg("event %d, status %d, not %d: %.*s", (int)out.last, out.status, status, STR_ARG(input));
    assert_true(strlen(out.err.text) > 30);
    struct str more = STR("GET / HTTP/1.1\r\n"), piece;
    assert_int_equal(http_parser_next(parser, &more, &piece), HTTP_BAD); // and stays refused
    assert_int_equal(http_parser_eof(parser), HTTP_BAD);
    buf_free(&out.body);
    http_parser_free(parser);
  }
}

static void expect_bad_request(const char *text, int status) {
  expect_bad(HTTP_REQUESTS, HTTP_MAX_HEAD_BYTES, str_of(text), status);
}

// The message is complete, its body is `body`, and `rest` follows it.
static void expect_done(enum http_parser_kind kind, const char *text, const char *body, const char *rest) {
  for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
    struct http_parser *parser = http_parser_new(kind, HTTP_MAX_HEAD_BYTES);
    struct outcome out;
    assert_non_null(parser);
    feed(parser, str_of(text), cuts[i], &out);
    if (out.last != HTTP_DONE)
      fail_msg("event %d, %s: %s", (int)out.last, out.err.text, text);
    assert_true(out.had_head);
    assert_str(buf_str(&out.body).ptr ? buf_str(&out.body) : STR_EMPTY, body);
    assert_str(out.rest, rest);
    buf_free(&out.body);
    http_parser_free(parser);
  }
}

static void test_request_head(void **state) {
  (void)state;
  const struct str text =
      STR("PATCH /api/v2.0/projects/a%2Fb?q=name%3D~x&y={z} HTTP/1.1\r\n"
          "Host: harbinger.example:8080\r\nX-Empty:\r\nX-Blank: \t \r\nX-Value: \t a b\xc3\xa9 \t\r\n"
          "x-value: second\r\nContent-Length: 3\r\n\r\nabc");
  for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
    struct http_parser *parser = http_parser_new(HTTP_REQUESTS, HTTP_MAX_HEAD_BYTES);
    struct outcome out;
    feed(parser, text, cuts[i], &out);
    assert_int_equal(out.last, HTTP_DONE);
    const struct http_head *head = http_parser_head(parser);
    assert_false(head->is_response);
    assert_str(head->method, "PATCH");
    assert_str(head->target, "/api/v2.0/projects/a%2Fb?q=name%3D~x&y={z}");
    assert_str(head->path, "/api/v2.0/projects/a%2Fb");
    assert_str(head->query, "q=name%3D~x&y={z}");
    assert_int_equal(head->version_minor, 1);
    assert_int_equal(head->headers_len, 6);
    assert_str(head->headers[3].name, "X-Value");
    assert_str(http_head_get(head, "x-VALUE"), "a b\xc3\xa9");
    assert_str(http_head_get(head, "X-Empty"), "");
    assert_str(http_head_get(head, "X-Blank"), "");
    assert_null(http_head_get(head, "X-Valu").ptr);
    assert_true(head->has_length && head->length == 3 && !head->chunked && head->keep_alive);
    assert_str(buf_str(&out.body), "abc");
    buf_free(&out.body);
    http_parser_free(parser);
  }
}

static void test_response_head(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int status;
    const char *reason;
    int minor;
    bool keep_alive;
  } cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "OK", 1, true},
      {"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", 429, "Too Many Requests", 1,
       false},
      {"HTTP/1.0 200 \r\nContent-Length: 0\r\n\r\n", 200, "", 0, false},
      {"HTTP/1.0 200\r\nContent-Length: 0\r\nConnection: foo, Keep-Alive\r\n\r\n", 200, "", 0, true},
      {"HTTP/1.1 999 \t\xff\r\nContent-Length: 0\r\n\r\n", 999, "\t\xff", 1, true},
      {"HTTP/1.1 204 No Content\r\n\r\n", 204, "No Content", 1, true},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct http_parser *parser = http_parser_new(HTTP_RESPONSES, HTTP_MAX_HEAD_BYTES);
    struct outcome out;
    feed(parser, str_of(cases[i].text), SIZE_MAX, &out);
    assert_int_equal(out.last, HTTP_DONE);
    const struct http_head *head = http_parser_head(parser);
    assert_true(head->is_response);
    assert_int_equal(head->status, cases[i].status);
    assert_str(head->reason, cases[i].reason);
    assert_int_equal(head->version_minor, cases[i].minor);
    assert_int_equal(head->keep_alive, cases[i].keep_alive);
    buf_free(&out.body);
    http_parser_free(parser);
  }
}

static void test_requests_that_are_taken(void **state) {
  (void)state;
  static const struct {
    const char *text, *body, *rest;
  } cases[] = {
      {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "", ""},
      {"GET / HTTP/1.0\r\n\r\n", "", ""},
      {"GET / HTTP/1.1\r\nhOST:h\r\n\r\nGET /next", "", "GET /next"},
      {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "", ""},
      {"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "", ""},
      {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "", ""},
      {"get //a/../b;c=d@e:f!$&'()*+,~._-%41 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "", ""},
      {"GET /?a[b]=\"<>\\^`{|}?/%zz HTTP/1.1\r\nHost: h\r\n\r\n", "", ""},
      {POST "Content-Length: 0\r\n\r\nx", "", "x"},
      {POST "Content-Length: 005\r\n\r\nhellox", "hello", "x"},
      {CHUNKED "0\r\n\r\nx", "", "x"},
      {CHUNKED "5\r\nhello\r\n00a;ext=\"v;w\"\r\n0123456789\r\n0\r\n\r\nx", "hello0123456789", "x"},
      {CHUNKED "0000000000000001\r\na\r\n0;last\r\nTrailer: v\r\nContent-Length: 5\r\nEmpty:\r\n\r\nx", "a", "x"},
      {POST "Transfer-Encoding:\tCHUNKED \r\n\r\n1\r\n\n\r\n0\r\n\r\n", "\n", ""},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++)
    expect_done(HTTP_REQUESTS, cases[i].text, cases[i].body, cases[i].rest);
}

static void test_start_lines_that_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int status;
  } cases[] = {
      {"GET /\r\nHost: h\r\n\r\n", 400},
      {"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
      {"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {" GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET\r\n\r\n", 400},
      {"/ HTTP/1.1\r\n\r\n", 400},
      {"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"\r\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET  HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"OPTIONS ** HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /a\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /a\x7f HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /\xc3\xbc HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /?\xc3\xbc HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /?a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /a\\b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /% HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /%2 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505},
      {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"GET / http/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/1,1\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/11\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", 400},
      {"\x16\x03\x01", 400},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++)
    expect_bad_request(cases[i].text, cases[i].status);
  expect_bad(HTTP_REQUESTS, HTTP_MAX_HEAD_BYTES, (struct str){"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", 29}, 400);
}

static void test_headers_that_are_refused(void **state) {
  (void)state;
  static const char *const cases[] = {
      "X : a\r\n",      "X\t: a\r\n",      ": a\r\n",      "X\r\n",          " X: a\r\n",   "\tX: a\r\n",
      "X: a\r\n b\r\n", "X: a\r\n\tb\r\n", "X Y: a\r\n",   "X(: a\r\n",      "X@: a\r\n",   "\xc3\xbc: a\r\n",
      "X: a\x01\r\n",   "X: a\x7f\r\n",    "X: a\rb\r\n",  "X: a\nY: b\r\n", "X: a\r\r\n",  "X: a\n",
      "X: a\x0b\r\n",   "X\x01: a\r\n",    "\"X\": a\r\n", "Host: h2\r\n",   "Host: h\r\n", "host: h\r\n",
      "X: \x1b[0m\r\n", "\r: a\r\n",       "X;y: a\r\n",
  };
  char text[256];
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", cases[i]);
    expect_bad_request(text, 400);
  }
  static const char *const hosts[] = {"a b", "a,b c", "a/b", "user@h", "a\\b", "h#", "h?", "\"h\"", "h\xc3\xbc", "<h>"};
  for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
    (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]);
    expect_bad_request(text, 400);
  }
  expect_bad_request("GET / HTTP/1.1\r\n\r\n", 400);
  expect_bad_request("GET / HTTP/1.1\r\nX: y\r\n\r\n", 400);
  expect_bad(HTTP_REQUESTS, HTTP_MAX_HEAD_BYTES, (struct str){"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", 35}, 400);
}

static void test_framing_that_two_readers_would_read_differently_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *headers;
    int status;
  } cases[] = {
      {"Content-Length: 5\r\nContent-Length: 5\r\n", 400},
      {"Content-Length: 5\r\nContent-Length: 6\r\n", 400},
      {"Content-Length: 5, 5\r\n", 400},
      {"Content-Length: +5\r\n", 400},
      {"Content-Length: -5\r\n", 400},
      {"Content-Length: 0x5\r\n", 400},
      {"Content-Length: 5 5\r\n", 400},
      {"Content-Length: 5.0\r\n", 400},
      {"Content-Length:\r\n", 400},
      {"Content-Length: five\r\n", 400},
      {"Content-Length: 9223372036854775808\r\n", 400},
      {"Content-Length: 18446744073709551616\r\n", 400},
      {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400},
      {"Transfer-Encoding:\r\n", 400},
      {"Transfer-Encoding: chunked, chunked\r\n", 501},
      {"Transfer-Encoding: gzip, chunked\r\n", 501},
      {"Transfer-Encoding: identity\r\n", 501},
      {"Transfer-Encoding: chunked;q=1\r\n", 501},
      {"Transfer-Encoding: \"chunked\"\r\n", 501},
      {"Transfer-Encoding: xchunked\r\n", 501},
      {"Transfer-Encoding: chunked,\r\n", 501},
      {"Transfer-Encoding: \x0b"
       "chunked\r\n",
       400},
      {"Transfer-Encoding : chunked\r\n", 400},
      {"Transfer-Encoding: chunked\r\n x\r\n", 400},
  };
  char text[256];
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    (void)snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: h\r\n%s\r\n", cases[i].headers);
    expect_bad_request(text, cases[i].status);
    (void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s\r\n", cases[i].headers);
    expect_bad(HTTP_RESPONSES, HTTP_MAX_HEAD_BYTES, str_of(text), cases[i].status);
  }
  expect_bad_request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
}

static void test_chunked_bodies_that_are_refused(void **state) {
  (void)state;
  static const char *const cases[] = {
      "\r\n",
      "x\r\n",
      " 5\r\nhello",
      "5 \r\nhello",
      "5 ;a\r\nhello",
      "0x5\r\nhello",
      "-1\r\n",
      "+5\r\nhello",
      "5\nhello",
      "5\rhello",
      "5\r\nhello0\r\n",
      "5\r\nhello\n0\r\n",
      "5\r\nhello\r0",
      ";a\r\n",
      "10000000000000000\r\n",
      "8000000000000000\r\n",
      "00000000000000005\r\n",
      "5;a\nhello",
      "5;a\x01\r\n",
      "5;a\rb\r\n",
      "0\r\n\n",
      "0\r\nX\r\n\r\n",
      "0\r\n X: a\r\n",
      "0\r\n: a\r\n",
      "0\r\nX : a\r\n",
      "0\r\nX: a\n",
      "0\r\nX: a\r\rb",
      "0\r\nX: \x01\r\n",
      "0\r\n\rx",
      "5\r\nhello\r\n\r\n",
      "0\n",
  };
  char text[256];
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    (void)snprintf(text, sizeof(text), "%s%s", CHUNKED, cases[i]);
    expect_bad_request(text, 400);
  }
}

static void test_chunk_extensions_are_bounded_per_chunk(void **state) {
  (void)state;
  char text[2048], extension[258];
  memset(extension, 'e', sizeof(extension) - 1);
  extension[257] = '\0';
  (void)snprintf(text, sizeof(text), "%s1;%.256s\r\na\r\n1;%.256s\r\nb\r\n0;%.256s\r\n\r\n", CHUNKED, extension,
                 extension, extension);
  expect_done(HTTP_REQUESTS, text, "ab", "");
  (void)snprintf(text, sizeof(text), "%s1;%.257s\r\na\r\n0\r\n\r\n", CHUNKED, extension);
  expect_bad_request(text, 400);
}

static void test_response_status_lines_that_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int status;
  } cases[] = {
      {"HTTP/1.1 20 OK\r\n\r\n", 400},
      {"HTTP/1.1 099 OK\r\n\r\n", 400},
      {"HTTP/1.1 2000 OK\r\n\r\n", 400},
      {"HTTP/1.1  200 OK\r\n\r\n", 400},
      {"HTTP/1.1 2x0 OK\r\n\r\n", 400},
      {"HTTP/1.1 200OK\r\n\r\n", 400},
      {"HTTP/1.1\r\n\r\n", 400},
      {"HTTP/2 200\r\n\r\n", 400},
      {"HTTP/2.0 200 OK\r\n\r\n", 505},
      {"HTTP/1.1 200 O\x01K\r\n\r\n", 400},
      {"http/1.1 200 OK\r\n\r\n", 400},
      {"SSH-2.0-x\r\n", 400},
      {"\r\nHTTP/1.1 200 OK\r\n\r\n", 400},
      {"HTTP/1.1 200 OK\n\n", 400},
      {"Hello\r\n\r\n", 400},
      {"HTTP/1.1\t200 OK\r\n\r\n", 400},
      {"HTTP/1.1 -10 OK\r\n\r\n", 400},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++)
    expect_bad(HTTP_RESPONSES, HTTP_MAX_HEAD_BYTES, str_of(cases[i].text), cases[i].status);
}

static void test_responses_without_body_whatever_the_head_says(void **state) {
  (void)state;
  expect_done(HTTP_RESPONSES, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2", "", "HTTP/1.1 2");
  expect_done(HTTP_RESPONSES, "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nnext", "", "next");
  expect_done(HTTP_RESPONSES, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nnext", "", "next");
  expect_done(HTTP_RESPONSES, "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\nnext", "", "next");
  struct http_parser *parser = http_parser_new(HTTP_RESPONSES, HTTP_MAX_HEAD_BYTES);
  struct outcome out;
  http_parser_expect_no_body(parser);
  feed(parser, STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnext"), SIZE_MAX, &out);
  assert_int_equal(out.last, HTTP_DONE);
  assert_str(out.rest, "next");
  assert_true(http_parser_head(parser)->has_length && http_parser_head(parser)->length == 5);
  assert_true(http_parser_head(parser)->keep_alive);
  http_parser_reset(parser); // for one message only
  feed(parser, STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnext"), SIZE_MAX, &out);
  assert_int_equal(out.last, HTTP_NEED_MORE);
  assert_str(buf_str(&out.body), "next");
  buf_free(&out.body);
  http_parser_free(parser);
}

static void test_end_of_connection(void **state) {
  (void)state;
  static const struct {
    const char *text;
    enum http_event end;
    const char *body;
  } cases[] = {
      {"", HTTP_BAD, ""},
      {"HTTP/1.1 200 OK\r\n", HTTP_BAD, ""},
      {"HTTP/1.1 200 OK\r\n\r\nto the end", HTTP_DONE, "to the end"},
      {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", HTTP_DONE, ""},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", HTTP_BAD, "hell"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", HTTP_BAD, "hello"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", HTTP_BAD, ""},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct http_parser *parser = http_parser_new(HTTP_RESPONSES, HTTP_MAX_HEAD_BYTES);
    struct outcome out;
    feed(parser, str_of(cases[i].text), 3, &out);
    assert_int_equal(out.last, HTTP_NEED_MORE);
    assert_int_equal(http_parser_eof(parser), cases[i].end);
    assert_str(out.body.len ? buf_str(&out.body) : STR_EMPTY, cases[i].body);
    if (cases[i].end == HTTP_DONE)
      assert_false(http_parser_head(parser)->keep_alive);
    else
      assert_int_equal(http_parser_error(parser, &out.err), 400);
    buf_free(&out.body);
    http_parser_free(parser);
  }
}

static void test_keep_alive_and_expect(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool keep_alive, expect_continue;
  } cases[] = {
      {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true, false},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: CLOSE\r\n\r\n", false, false},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: x , close\t, y\r\n\r\n", false, false},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false, false},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n", true, false},
      {"GET / HTTP/1.0\r\n\r\n", false, false},
      {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, false},
      {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, false},
      {"GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n\r\n", true, true},
      {"GET / HTTP/1.1\r\nHost: h\r\nExpect: other\r\n\r\n", true, false},
      {"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", false, false},
  };
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct http_parser *parser = http_parser_new(HTTP_REQUESTS, HTTP_MAX_HEAD_BYTES);
    struct outcome out;
    feed(parser, str_of(cases[i].text), SIZE_MAX, &out);
    assert_int_equal(out.last, HTTP_DONE);
    if (http_parser_head(parser)->keep_alive != cases[i].keep_alive ||
        http_parser_head(parser)->expect_continue != cases[i].expect_continue)
      fail_msg("%s", cases[i].text);
    http_parser_free(parser);
  }
}

static void put(char *at, struct str bytes) {
  memcpy(at, bytes.ptr, bytes.len);
}

static void test_head_bytes_are_capped(void **state) {
  (void)state;
  enum { CAP = 4096 };
  char text[CAP + 2];
  const struct str start = STR("GET / HTTP/1.1\r\nHost: h\r\nX: ");
  memset(text, 'a', sizeof(text));
  put(text, start);
  put(text + CAP - 4, STR("\r\n\r\n"));
  for (size_t i = 0; i < ARRAY_LEN(cuts); i++) { // exactly the cap
    struct http_parser *parser = http_parser_new(HTTP_REQUESTS, CAP);
    struct outcome out;
    feed(parser, (struct str){text, CAP}, cuts[i], &out);
    assert_int_equal(out.last, HTTP_DONE);
    assert_int_equal(http_head_get(http_parser_head(parser), "x").len, CAP - 4 - start.len);
    http_parser_free(parser);
  }
  text[CAP - 4] = text[CAP - 3] = text[CAP - 2] = text[CAP - 1] = 'a';
  expect_bad(HTTP_REQUESTS, CAP, (struct str){text, CAP + 1}, 431); // no line's end in sight
  put(text + CAP - 3, STR("\r\n\r\n"));
  expect_bad(HTTP_REQUESTS, CAP, (struct str){text, CAP + 1}, 431); // the last byte is one too many

  struct http_parser *parser = http_parser_new(HTTP_REQUESTS, CAP); // what is known by then can be read
  struct outcome out;
  feed(parser, (struct str){text, CAP + 1}, SIZE_MAX, &out);
  assert_int_equal(out.err.code, ERR_HEADER_TOO_LARGE);
  assert_str(http_parser_head(parser)->path, "/");
  http_parser_free(parser);
}

static void put_headers(struct buf *text, size_t len) {
  for (size_t i = 0; i < len; i++)
    buf_printf(text, "X-%zu: value %zu\r\n", i, i);
  buf_put_c(text, "\r\n");
}

static void test_header_count_is_capped(void **state) {
  (void)state;
  struct buf text;
  buf_init(&text, 1 << 16);
  buf_put_c(&text, "GET /many?x HTTP/1.1\r\nHost: h\r\n");
  put_headers(&text, HTTP_MAX_HEADERS - 1);
  for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
    struct http_parser *parser = http_parser_new(HTTP_REQUESTS, HTTP_MAX_HEAD_BYTES);
    struct outcome out;
    feed(parser, buf_str(&text), cuts[i], &out);
    assert_int_equal(out.last, HTTP_DONE);
    const struct http_head *head = http_parser_head(parser);
    assert_int_equal(head->headers_len, HTTP_MAX_HEADERS);
    // The buffer has moved more than once by now, and the views with it.
    assert_str(head->path, "/many");
    assert_str(head->query, "x");
    assert_str(http_head_get(head, "host"), "h");
    assert_str(http_head_get(head, "x-0"), "value 0");
    assert_str(http_head_get(head, "x-126"), "value 126");
    http_parser_free(parser);
  }
  buf_clear(&text);
  buf_put_c(&text, "GET / HTTP/1.1\r\nHost: h\r\n");
  put_headers(&text, HTTP_MAX_HEADERS);
  expect_bad(HTTP_REQUESTS, HTTP_MAX_HEAD_BYTES, buf_str(&text), 431);
  buf_free(&text);
}

static void test_trailers_are_capped_like_the_head(void **state) {
  (void)state;
  struct buf text;
  buf_init(&text, 1 << 16);
  buf_put_c(&text, CHUNKED "0\r\n");
  put_headers(&text, HTTP_MAX_HEADERS);
  buf_put_char(&text, '\0');
  expect_done(HTTP_REQUESTS, text.ptr, "", "");
  buf_clear(&text);
  buf_put_c(&text, CHUNKED "0\r\n");
  put_headers(&text, HTTP_MAX_HEADERS + 1);
  expect_bad(HTTP_REQUESTS, HTTP_MAX_HEAD_BYTES, buf_str(&text), 431);
  expect_bad(HTTP_REQUESTS, 1024, buf_str(&text), 431);
  buf_free(&text);
}

static void test_messages_follow_each_other(void **state) {
  (void)state;
  const struct str text =
      STR("POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab\r\nPOST /2 HTTP/1.1\r\nHost: h\r\n"
          "Transfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\nT: t\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
  static const char *const paths[] = {"/1", "/2", "/3"}, *const bodies[] = {"ab", "c", ""};
  for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
    struct http_parser *parser = http_parser_new(HTTP_REQUESTS, HTTP_MAX_HEAD_BYTES);
    struct str rest = text;
    for (size_t m = 0; m < ARRAY_LEN(paths); m++) {
      struct outcome out;
      assert_true(http_parser_idle(parser));
      feed(parser, rest, cuts[i], &out);
      assert_int_equal(out.last, HTTP_DONE);
      assert_str(http_parser_head(parser)->path, paths[m]);
      assert_str(out.body.len ? buf_str(&out.body) : STR_EMPTY, bodies[m]);
      assert_false(http_parser_idle(parser));
      rest = out.rest;
      buf_free(&out.body);
      http_parser_reset(parser);
    }
    assert_int_equal(rest.len, 0);
    http_parser_free(parser);
  }
}

static void test_idle_until_a_message_begins(void **state) {
  (void)state;
  struct http_parser *parser = http_parser_new(HTTP_REQUESTS, HTTP_MAX_HEAD_BYTES);
  struct str piece, input = STR("\r\n");
  assert_true(http_parser_idle(parser));
  assert_int_equal(http_parser_next(parser, &input, &piece), HTTP_NEED_MORE);
  assert_true(http_parser_idle(parser)); // an old client's empty line after its body is no message
  input = STR("G");
  assert_int_equal(http_parser_next(parser, &input, &piece), HTTP_NEED_MORE);
  assert_false(http_parser_idle(parser));
  http_parser_free(parser);
}

static void test_large_bodies_pass_through_as_views(void **state) {
  (void)state;
  struct http_parser *parser = http_parser_new(HTTP_REQUESTS, HTTP_MAX_HEAD_BYTES);
  struct str piece, input = STR("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775807\r\n\r\nabc");
  assert_int_equal(http_parser_next(parser, &input, &piece), HTTP_HEAD);
  assert_int_equal(http_parser_head(parser)->length, INT64_MAX);
  const char *at = input.ptr;
  assert_int_equal(http_parser_next(parser, &input, &piece), HTTP_BODY);
  assert_ptr_equal(piece.ptr, at);
  assert_int_equal(piece.len, 3);
  assert_int_equal(http_parser_next(parser, &input, &piece), HTTP_NEED_MORE);
  assert_int_equal(http_parser_eof(parser), HTTP_BAD);
  http_parser_free(parser);
}

static void test_tokens_values_and_reasons(void **state) {
  (void)state;
  assert_true(http_is_token(STR("X-a!#$%&'*+.^_`|~9")));
  static const char *const not_tokens[] = {"",         "a b", "a:b", "a/b", "\"a\"", "a\x7f",
                                           "\xc3\xbc", "a(",  "a@",  "a,",  "a\t"};
  for (size_t i = 0; i < ARRAY_LEN(not_tokens); i++)
    assert_false(http_is_token(str_of(not_tokens[i])));
  assert_true(http_is_field_value(STR("")));
  assert_true(http_is_field_value(STR("a\tb \xff~")));
  static const char *const not_values[] = {"a\rb", "a\nb", "\x01", "\x7f", "\x1f", "\x0b"};
  for (size_t i = 0; i < ARRAY_LEN(not_values); i++)
    assert_false(http_is_field_value(str_of(not_values[i])));
  assert_false(http_is_field_value((struct str){"a\0b", 3}));
  assert_string_equal(http_reason(404), "Not Found");
  assert_string_equal(http_reason(431), "Request Header Fields Too Large");
  assert_string_equal(http_reason(799), "Unknown");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_request_head),
      cmocka_unit_test(test_response_head),
      cmocka_unit_test(test_requests_that_are_taken),
      cmocka_unit_test(test_start_lines_that_are_refused),
      cmocka_unit_test(test_headers_that_are_refused),
      cmocka_unit_test(test_framing_that_two_readers_would_read_differently_is_refused),
      cmocka_unit_test(test_chunked_bodies_that_are_refused),
      cmocka_unit_test(test_chunk_extensions_are_bounded_per_chunk),
      cmocka_unit_test(test_response_status_lines_that_are_refused),
      cmocka_unit_test(test_responses_without_body_whatever_the_head_says),
      cmocka_unit_test(test_end_of_connection),
      cmocka_unit_test(test_keep_alive_and_expect),
      cmocka_unit_test(test_head_bytes_are_capped),
      cmocka_unit_test(test_header_count_is_capped),
      cmocka_unit_test(test_trailers_are_capped_like_the_head),
      cmocka_unit_test(test_messages_follow_each_other),
      cmocka_unit_test(test_idle_until_a_message_begins),
      cmocka_unit_test(test_large_bodies_pass_through_as_views),
      cmocka_unit_test(test_tokens_values_and_reasons),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
