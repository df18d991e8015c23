// SPDX-License-Identifier: Apache-2.0
// One error for the whole house: a code that decides HTTP status, Harbor's error code and the exit code
// (one table, in error.c), and words for a person made where the failure is: what was tried, on what,
// why it failed, what to do. Plain value, no ownership, any thread.
#ifndef HARBINGER_BASE_ERROR_H
#define HARBINGER_BASE_ERROR_H

#include <stdbool.h>

#include "base/attr.h"

enum errcode {
  ERR_OK = 0,
  ERR_BAD_REQUEST = -1,      // the caller's words are wrong: 400 BAD_REQUEST
  ERR_UNAUTHORIZED = -2,     // no or wrong credentials: 401 UNAUTHORIZED
  ERR_FORBIDDEN = -3,        // known, but may not: 403 FORBIDDEN
  ERR_NOT_FOUND = -4,        // 404 NOT_FOUND
  ERR_METHOD = -5,           // 405 METHOD_NOT_ALLOWED
  ERR_CONFLICT = -6,         // 409 CONFLICT
  ERR_PRECONDITION = -7,     // 412 PRECONDITION
  ERR_TOO_LARGE = -8,        // 413 REQUEST_ENTITY_TOO_LARGE
  ERR_INVALID = -9,          // well-formed but refused: 422 UNPROCESSABLE_ENTITY
  ERR_TOO_MANY = -10,        // rate limit: 429 TOO_MANY_REQUESTS
  ERR_INTERNAL = -11,        // our fault: 500 UNKNOWN, the words go to the log only
  ERR_NOT_IMPLEMENTED = -12, // 501 NOT_IMPLEMENTED
  ERR_UNAVAILABLE = -13,     // the store cannot take it now: 503 UNAVAILABLE
  ERR_TIMEOUT = -14,         // 408 REQUEST_TIMEOUT
  ERR_NO_MEMORY = -15,       // 503 UNAVAILABLE
  ERR_IO = -16,              // file, socket, disk: 503 UNAVAILABLE
  ERR_FULL = -17,            // a bounded queue or table is full: 503 UNAVAILABLE
  ERR_BLOCKED = -18,         // the egress guard refused: 400 BAD_REQUEST
  ERR_TLS = -19,             // handshake, name or trust failure
  ERR_CONFIG = -20,          // a setting is wrong: exit code 2
  ERR_DENIED = -21,          // 403 DENIED
  ERR_HEADER_TOO_LARGE = -22 // 431
};

enum { ERROR_TEXT_BYTES = 512 };

struct error {
  enum errcode code;
  char text[ERROR_TEXT_BYTES]; // UTF-8, no trailing newline, cut on a code point
};

// Fill `err` (may be NULL) and return `code`, so that a failing path is one line:
// `return error_set(err, ERR_IO, "cannot open %s: %s", path, error_errno(errno, buf))`.
int error_set(struct error *err, enum errcode code, const char *fmt, ...) PRINTF_LIKE(3, 4);

#ifdef __clang_analyzer__
// The analyser does not see into error.c: say where it is called that the result is the code, and so not 0.
#define error_set(err, code, ...) ((void)error_set((err), (code), __VA_ARGS__), (int)(code))
#endif

// Put "WHAT: " before the words already there: the caller's part of the story. Returns err->code, or
// ERR_INTERNAL when `err` is NULL.
int error_context(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

// Words for errno (thread-safe), e.g. "No such file or directory". `buf` is the caller's, 128 bytes.
const char *error_errno(int errno_value, char buf[static 128]);

int error_http_status(enum errcode code);         // e.g. 404
enum errcode error_of_status(int http_status);    // the first code of the table with that status; ERR_INTERNAL else
const char *error_harbor_code(enum errcode code); // e.g. "NOT_FOUND" (Harbor's error bodies)
int error_exit_code(enum errcode code);           // sysexits-like; 1 unless said in the table
const char *error_name(enum errcode code);        // e.g. "not_found", for logs and metrics

#endif
