// SPDX-License-Identifier: Apache-2.0
// The requests that `load` sends: written once, then only the digits of the next one are put in, so that the client costs
// as little as a client can.
#ifndef HARBINGER_BENCH_REQUEST_H
#define HARBINGER_BENCH_REQUEST_H

#include <stddef.h>
#include <stdint.h>

enum { REQUEST_MAX_BYTES = 4096, MARKS_MAX = 16 };

enum request_kind {
  REQUEST_NOTIFICATION, // a notification of Distribution, 1 KB: what a registry posts to ingest
  REQUEST_MANIFEST,     // PUT of a manifest under a tag: what a client sends to a registry
};

struct mark {
  size_t at, digits;
  int what;
};

struct request {
  size_t len, marks_len;
  struct mark marks[MARKS_MAX];
  char bytes[REQUEST_MAX_BYTES];
};

struct request_plan {
  enum request_kind kind;
  const char *host, *path, *token; // path: of the manifests, or where notifications go
  const char *body;                // of a manifest
  uint64_t nonce;                  // two runs on one server are not each other's duplicates
};

// Fills `request`; ends the program when it does not fit.
void request_make(struct request *request, const struct request_plan *plan);

// Makes it request `number`, of project `project`. The tag says the number: n0000000042; the project is p00007.
void request_number(struct request *request, uint64_t number, uint64_t project);

#endif
