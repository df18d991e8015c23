// SPDX-License-Identifier: Apache-2.0
#include "api/etag.h"

struct str etag_make(int64_t version, struct arena *arena) {
  return arena_printf(arena, "\"%lld\"", (long long)version);
}

static bool list_holds(struct str list, struct str etag) {
  struct str item;

  if (str_eq_c(str_trim(list), "*"))
    return true;
  // Our own tags hold no comma, so that a comma within quotes splits only tags that are none of ours.
  while (list.len > 0 && str_next(&list, ',', &item)) {
    if (str_eq(str_trim(item), etag))
      return true;
  }
  return false;
}

bool etag_if_match(const struct http_head *head, struct str etag) {
  bool asked = false;

  for (size_t i = 0; i < head->headers_len; i++) {
    if (!str_ieq_c(head->headers[i].name, "If-Match"))
      continue;
    if (list_holds(head->headers[i].value, etag))
      return true;
    asked = true;
  }
  return !asked;
}
