// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#undef error_set // the analyser's view of it, see error.h

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

enum { ERRNO_TEXT_BYTES = 128, SPARE_BYTES = 4 }; // spare: one code point more than fits, to see where to cut

enum { EXIT_GENERAL = 1, EXIT_CONFIG = 2 };

// The one table: what a code means to an HTTP client, to Harbor's error bodies, to the shell and to logs.
static const struct code_row {
  const char *name;
  const char *harbor_code;
  int http_status;
  int exit_code;
} CODE_ROWS[] = {
    [-ERR_OK] = {"ok", "OK", 200, 0},
    [-ERR_BAD_REQUEST] = {"bad_request", "BAD_REQUEST", 400, EXIT_GENERAL},
    [-ERR_UNAUTHORIZED] = {"unauthorized", "UNAUTHORIZED", 401, EXIT_GENERAL},
    [-ERR_FORBIDDEN] = {"forbidden", "FORBIDDEN", 403, EXIT_GENERAL},
    [-ERR_NOT_FOUND] = {"not_found", "NOT_FOUND", 404, EXIT_GENERAL},
    [-ERR_METHOD] = {"method_not_allowed", "METHOD_NOT_ALLOWED", 405, EXIT_GENERAL},
    [-ERR_CONFLICT] = {"conflict", "CONFLICT", 409, EXIT_GENERAL},
    [-ERR_PRECONDITION] = {"precondition", "PRECONDITION", 412, EXIT_GENERAL},
    [-ERR_TOO_LARGE] = {"too_large", "REQUEST_ENTITY_TOO_LARGE", 413, EXIT_GENERAL},
    [-ERR_INVALID] = {"invalid", "UNPROCESSABLE_ENTITY", 422, EXIT_GENERAL},
    [-ERR_TOO_MANY] = {"too_many", "TOO_MANY_REQUESTS", 429, EXIT_GENERAL},
    [-ERR_INTERNAL] = {"internal", "UNKNOWN", 500, EXIT_GENERAL},
    [-ERR_NOT_IMPLEMENTED] = {"not_implemented", "NOT_IMPLEMENTED", 501, EXIT_GENERAL},
    [-ERR_UNAVAILABLE] = {"unavailable", "UNAVAILABLE", 503, EXIT_GENERAL},
    [-ERR_TIMEOUT] = {"timeout", "REQUEST_TIMEOUT", 408, EXIT_GENERAL},
    [-ERR_NO_MEMORY] = {"no_memory", "UNAVAILABLE", 503, EXIT_GENERAL},
    [-ERR_IO] = {"io", "UNAVAILABLE", 503, EXIT_GENERAL},
    [-ERR_FULL] = {"full", "UNAVAILABLE", 503, EXIT_GENERAL},
    [-ERR_BLOCKED] = {"blocked", "BAD_REQUEST", 400, EXIT_GENERAL},
    [-ERR_TLS] = {"tls", "UNKNOWN", 500, EXIT_GENERAL},
    [-ERR_CONFIG] = {"config", "UNKNOWN", 500, EXIT_CONFIG},
    [-ERR_DENIED] = {"denied", "DENIED", 403, EXIT_GENERAL},
    [-ERR_HEADER_TOO_LARGE] = {"header_too_large", "REQUEST_HEADER_FIELDS_TOO_LARGE", 431, EXIT_GENERAL},
};

static const struct code_row *code_row(enum errcode code) {
  int index = -(int)code;

  if (index < 0 || (size_t)index >= ARRAY_LEN(CODE_ROWS))
    index = -ERR_INTERNAL;
  return &CODE_ROWS[index];
}

// Words may quote bytes from outside; what is not UTF-8 becomes '?', and the end is cut on a code point.
static void keep_words(struct error *err, char *words) {
  struct str text = utf8_cut(str_of(words), ERROR_TEXT_BYTES - 1);

  for (size_t i = 0; i < text.len;) {
    uint32_t code_point;
    size_t len = utf8_next(str_from(text, i), &code_point);
    if (len == 0)
      words[i] = '?';
    i += len ? len : 1;
  }
  memcpy(err->text, words, text.len);
  err->text[text.len] = '\0';
}

int error_set(struct error *err, enum errcode code, const char *fmt, ...) {
  char words[ERROR_TEXT_BYTES + SPARE_BYTES]; // aside, because an argument may be err->text
  va_list args;

  if (!err)
    return code;
  va_start(args, fmt);
  if (vsnprintf(words, sizeof(words), fmt, args) < 0)
    words[0] = '\0';
  va_end(args);
  err->code = code;
  keep_words(err, words);
  return code;
}

int error_context(struct error *err, const char *fmt, ...) {
  char words[2 * ERROR_TEXT_BYTES + SPARE_BYTES];
  va_list args;

  if (!err)
    return ERR_INTERNAL;
  va_start(args, fmt);
  int len = vsnprintf(words, ERROR_TEXT_BYTES, fmt, args);
  va_end(args);
  if (len < 0)
    return err->code;
  size_t used = strlen(words);
  (void)snprintf(words + used, sizeof(words) - used, ": %s", err->text);
  keep_words(err, words);
  return err->code;
}

const char *error_errno(int errno_value, char buf[static 128]) {
  // Not strerror_r: it has two shapes, and its words follow the locale.
  const char *words = strerrordesc_np(errno_value);

  if (words)
    (void)snprintf(buf, ERRNO_TEXT_BYTES, "%s", words);
  else
    (void)snprintf(buf, ERRNO_TEXT_BYTES, "error number %d", errno_value);
  return buf;
}

int error_http_status(enum errcode code) {
  return code_row(code)->http_status;
}

enum errcode error_of_status(int http_status) {
  for (size_t i = 0; i < ARRAY_LEN(CODE_ROWS); i++)
    if (CODE_ROWS[i].http_status == http_status)
      return (enum errcode)(-(int)i);
  return ERR_INTERNAL;
}

const char *error_harbor_code(enum errcode code) {
  return code_row(code)->harbor_code;
}

int error_exit_code(enum errcode code) {
  return code_row(code)->exit_code;
}

const char *error_name(enum errcode code) {
  return code_row(code)->name;
}
