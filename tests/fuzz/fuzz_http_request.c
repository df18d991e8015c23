// SPDX-License-Identifier: Apache-2.0
// Requests, several on one connection: whatever the cut, the same events, and no head that breaks the parser's promises.
#include "http_events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint32_t seed = (uint32_t)size;
  for (size_t i = 0; i < size && i < 64; i++)
    seed = seed * 31 + data[i];
  events_hold_for_each_cut(HTTP_REQUESTS, (struct str){(const char *)data, size}, false, seed);
  return 0;
}
