// SPDX-License-Identifier: Apache-2.0
#include "api/cookies.h"

#include "auth/session.h"

void cookies_read(struct str header, const char *name, struct cookies *out) {
  struct str pair;

  while (str_next(&header, ';', &pair)) {
    ptrdiff_t equals = str_find(pair, '=');
    if (equals < 0 || !str_eq_c(str_trim(str_slice(pair, 0, (size_t)equals)), name))
      continue;
    struct str value = str_trim(str_from(pair, (size_t)equals + 1));
    out->seen = true;
    if (auth_is_random_text(value) && out->len < COOKIES_MAX_LOOKED_AT)
      out->values[out->len++] = value;
  }
}

struct cookies cookies_find(const struct http_head *head, const char *name) {
  struct cookies found = {.len = 0};

  for (size_t i = 0; i < head->headers_len; i++)
    if (str_ieq_c(head->headers[i].name, "Cookie"))
      cookies_read(head->headers[i].value, name, &found);
  return found;
}
