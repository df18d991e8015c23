// SPDX-License-Identifier: Apache-2.0
// Times that others write: Retry-After, HTTP dates and RFC 3339. A wait is never negative, and what was read and written
// again is the same time.
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rfc3339.h"
#include "dispatch/retry.h"

#define HOLD(condition)                                         \
  do {                                                          \
    if (!(condition)) {                                         \
      (void)fprintf(stderr, "does not hold: %s\n", #condition); \
      abort();                                                  \
    }                                                           \
  } while (0)

// A wait that is longer than any cap would do: the longest is what a date of the year 9999 asks for.
#define LONGEST_WAIT_MS (INT64_C(10000) * 366 * 24 * 3600 * 1000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_wait(struct str text) {
  static const int64_t nows_us[] = {0, INT64_C(1787300000000000), INT64_C(253402300799000000)};

  for (size_t i = 0; i < ARRAY_LEN(nows_us); i++) {
    int64_t wait_ms = retry_after_ms(text, nows_us[i]);
    HOLD(wait_ms >= -1);
    struct str seconds = str_trim(text);
    HOLD(wait_ms <= LONGEST_WAIT_MS || (seconds.ptr[0] >= '0' && seconds.ptr[0] <= '9'));
  }
}

static void check_http_date(struct str text) {
  char written[30];
  int64_t at_us, again_us;

  if (!http_date_read(text, &at_us))
    return;
  HOLD(at_us % US_PER_S == 0);
  HOLD(http_date_read(str_of(http_date_write(at_us, written)), &again_us) && again_us == at_us);
}

static void check_rfc3339(struct str text) {
  char written[RFC3339_BYTES];
  int64_t at_us, again_us;

  if (!rfc3339_read(text, &at_us))
    return;
  HOLD(rfc3339_read(str_of(rfc3339_write(at_us, 6, written)), &again_us) && again_us == at_us);
  HOLD(rfc3339_read(str_of(rfc3339_write(at_us, 0, written)), &again_us));
  HOLD(at_us == RFC3339_ZERO_US || (again_us <= at_us && at_us - again_us < US_PER_S));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *copy = malloc(size + (size == 0));

  HOLD(copy != NULL);
  memcpy(copy, data, size);
  struct str text = {copy, size};
  check_wait(text);
  check_http_date(text);
  check_rfc3339(text);
  free(copy);
  return 0;
}
