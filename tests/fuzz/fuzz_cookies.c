// SPDX-License-Identifier: Apache-2.0
// What is taken for one of our cookies lies inside the header, has the shape of our texts, and is read as the same one when
// it stands alone; and a session and its CSRF token never come out of anything else.
#include <stdio.h>
#include <stdlib.h>

#include "api/cookies.h"
#include "auth/session.h"
#include "base/buf.h"

#define HOLD(condition)                                         \
  do {                                                          \
    if (!(condition)) {                                         \
      (void)fprintf(stderr, "does not hold: %s\n", #condition); \
      abort();                                                  \
    }                                                           \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(struct str header, struct str value) {
  struct cookies again = {.len = 0};
  char alone[64];

  HOLD(auth_is_random_text(value));
  HOLD(value.ptr >= header.ptr && value.ptr + value.len <= header.ptr + header.len);
  int len = snprintf(alone, sizeof(alone), "sid=%.*s", STR_ARG(value));
  HOLD(len > 0 && (size_t)len < sizeof(alone));
  cookies_read((struct str){alone, (size_t)len}, "sid", &again);
  HOLD(again.len == 1 && str_eq(again.values[0], value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct str header = {(const char *)data, size};
  struct cookies found = {.len = 0}, other = {.len = 0};

  cookies_read(header, "sid", &found);
  HOLD(found.len <= COOKIES_MAX_LOOKED_AT && (found.seen || found.len == 0));
  for (size_t i = 0; i < found.len; i++)
    check_value(header, found.values[i]);
  cookies_read(header, "_gorilla_csrf", &other);
  for (size_t i = 0; i < other.len; i++)
    for (size_t j = 0; j < found.len; j++)
      HOLD(other.values[i].ptr != found.values[j].ptr);
  return 0;
}
