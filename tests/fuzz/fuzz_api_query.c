// SPDX-License-Identifier: Apache-2.0
// A list's query as any client may write it: reading it and writing its links never reads outside of it, keeps every
// bound, and no byte of it can break out of the Link header.
#include <stdlib.h>

#include "api/call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bounds(const struct query *query) {
  bool good = query->conditions_len <= QUERY_MAX_CONDITIONS && query->sorts_len <= QUERY_MAX_SORTS &&
              query->page >= 1 && query->page_size <= 100;
  for (size_t i = 0; good && i < query->conditions_len; i++)
    good = query->conditions[i].key.len > 0 && query->conditions[i].list_len <= QUERY_MAX_VALUES;
  if (!good)
    abort();
}

static void check_headers(const struct api_call *call) {
  for (size_t i = 0; i < call->headers_len; i++)
    if (!http_is_field_value(call->headers[i].value))
      abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct arena *arena = arena_new(32 * 1024 * 1024);
  struct http_head head = {.path = STR("/api/v2.0/projects"), .query = {(const char *)data, size}};
  struct http_request request = {.arena = arena, .head = &head};
  struct api_call call = {.request = &request, .arena = arena};
  struct query query;
  struct error err;
  if (call_list_query(&call, 1000, &query, &err) == 0) {
    check_bounds(&query);
    if (call_page_headers(&call, &query, 1000, &err) == 0)
      check_headers(&call);
  }
  arena_free(arena);
  return 0;
}
