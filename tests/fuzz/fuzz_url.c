// SPDX-License-Identifier: Apache-2.0
// Addresses that are let through say one thing: their parts put together again are the same address, the mask shows none
// of the secret parts, the target is one that the request parser takes, and decoding stays inside its bytes.
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "net/http.h"
#include "net/url.h"

#define HOLD(condition)                                         \
  do {                                                          \
    if (!(condition)) {                                         \
      (void)fprintf(stderr, "does not hold: %s\n", #condition); \
      abort();                                                  \
    }                                                           \
  } while (0)

enum { REQUEST_MAX_BYTES = 16384 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(struct str host, struct str target) {
  struct buf request;
  buf_init(&request, REQUEST_MAX_BYTES);
  buf_printf(&request, "POST %.*s HTTP/1.1\r\nHost: %.*s\r\n\r\n", STR_ARG(target), STR_ARG(host));
  HOLD(!request.failed);
  struct http_parser *parser = http_parser_new(HTTP_REQUESTS, REQUEST_MAX_BYTES);
  HOLD(parser != NULL);
  struct str input = buf_str(&request), piece;
  HOLD(http_parser_next(parser, &input, &piece) == HTTP_HEAD);
  HOLD(input.len == 0);
  HOLD(str_eq(http_parser_head(parser)->target, target));
  HOLD(str_eq(http_head_get(http_parser_head(parser), "host"), host));
  http_parser_free(parser);
  buf_free(&request);
}

static void check_again(const struct url *url, struct str text, struct arena *arena) {
  struct url again;
  HOLD(url_parse(text, &again, NULL) == 0);
  HOLD(url_same_origin(url, &again));
  HOLD(str_eq(url_host_header(&again, arena), url_host_header(url, arena)));
}

static void check_parsed(const struct url *url, struct arena *arena) {
  HOLD(url->port > 0 && url->host.len > 0 && url->target.ptr[0] == '/');
  struct address address;
  HOLD(address_read(url->host, &address) == url->host_is_address);
  struct str host = url_host_header(url, arena), masked = url_mask(url, arena);
  HOLD(host.ptr && masked.ptr);
  check_request(host, url->target);
  struct str scheme = url->https ? STR("https") : STR("http");
  check_again(url, arena_printf(arena, "%.*s://%.*s%.*s", STR_ARG(scheme), STR_ARG(host), STR_ARG(url->target)), arena);
  check_again(url, url->origin, arena);
  struct url shown;
  HOLD(url_parse(masked, &shown, NULL) == 0 && url_same_origin(url, &shown));
  HOLD(!shown.userinfo.ptr || str_eq(shown.userinfo, STR("********")));
  HOLD(str_eq(shown.target, url->target.len > 1 ? STR("/********") : STR("/")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct arena *arena = arena_new(1 << 20);
  HOLD(arena != NULL);
  struct str text = {(const char *)data, size}, out;
  struct url url;
  struct error err;
  if (url_parse(text, &url, &err) == 0)
    check_parsed(&url, arena);
  if (url_decode(text, arena, &out))
    HOLD(out.len <= size);
  if (url_query_get(text, "page", arena, &out))
    HOLD(out.len <= size);
  struct cidr range;
  if (cidr_read(text, &range)) {
    struct cidr again;
    char written[ADDRESS_TEXT_BYTES];
    HOLD(cidr_read(str_of(cidr_write(&range, written)), &again));
    HOLD(address_eq(&range.base, &again.base) && range.prefix_len == again.prefix_len);
    HOLD(cidr_contains(&range, &again.base));
  }
  struct address endpoint;
  if (address_read_with_port(text, &endpoint)) {
    struct address again;
    char written[ADDRESS_TEXT_BYTES];
    HOLD(address_read_with_port(str_of(address_write_with_port(&endpoint, written)), &again));
    HOLD(address_eq(&endpoint, &again) && endpoint.port == again.port);
  }
  arena_free(arena);
  return 0;
}
