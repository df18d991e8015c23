// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <stdarg.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/utf8.h"

enum { PRINTED_MAX_BYTES = 32 * 1024 * 1024, ESCAPE_BYTES = 16 };

// Controls of C0 and C1, and the marks that turn the direction of what follows.
static bool is_unsafe(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x200e || c == 0x200f || c == 0x061c ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static const char *escape(uint32_t c, char out[static ESCAPE_BYTES]) {
  switch (c) {
  case '\n':
    return "\\n";
  case '\r':
    return "\\r";
  case '\t':
    return "\\t";
  default:
    (void)snprintf(out, ESCAPE_BYTES, "\\u%04x", (unsigned)c);
    return out;
  }
}

static void put_escaped(struct buf *out, struct str text, bool json) {
  char escaped[ESCAPE_BYTES];
  for (size_t i = 0; i < text.len;) {
    uint32_t c;
    size_t len = utf8_next(str_from(text, i), &c);
    if (len == 0)
      buf_printf(out, json ? "\\ufffd" : "\\x%02x", (unsigned)(unsigned char)text.ptr[i]);
    else if (is_unsafe(c) && !(json && (c == '\n' || c == '\t' || c == '\r')))
      buf_put_c(out, escape(c, escaped));
    else
      buf_put(out, str_slice(text, i, i + len));
    i += len ? len : 1;
  }
}

void terminal_put(struct buf *out, struct str text) {
  put_escaped(out, text, false);
}

void terminal_put_json(struct buf *out, struct str json) {
  put_escaped(out, json, true);
}

size_t terminal_width(struct str text) {
  struct buf escaped;
  buf_init(&escaped, PRINTED_MAX_BYTES);
  terminal_put(&escaped, text);
  size_t width = utf8_count(buf_str(&escaped));
  buf_free(&escaped);
  return width;
}

void terminal_print(FILE *out, struct str text) {
  struct buf escaped;
  buf_init(&escaped, PRINTED_MAX_BYTES);
  terminal_put(&escaped, text);
  (void)fwrite(escaped.ptr ? escaped.ptr : "", 1, escaped.len, out);
  buf_free(&escaped);
}

void terminal_printf(FILE *out, const char *fmt, ...) {
  char line[TERMINAL_LINE_BYTES];
  va_list args;
  va_start(args, fmt);
  int len = vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  if (len < 0)
    return;
  struct str text = str_of(line);
  bool ended = str_ends(text, STR("\n"));
  terminal_print(out, ended ? str_slice(text, 0, text.len - 1) : text);
  if (ended)
    (void)fputc('\n', out);
}

static int read_line(const char *what, char *out, struct error *err) {
  if (!fgets(out, TERMINAL_LINE_BYTES, stdin))
    return error_set(err, ERR_BAD_REQUEST, "there is no %s on standard input", what);
  size_t len = strcspn(out, "\n");
  if (out[len] == '\0' && len + 1 == TERMINAL_LINE_BYTES)
    return error_set(err, ERR_BAD_REQUEST, "the %s on standard input is longer than %d bytes", what,
                     TERMINAL_LINE_BYTES - 2);
  out[len] = '\0';
  if (len > 0 && out[len - 1] == '\r')
    out[len - 1] = '\0';
  return 0;
}

int terminal_read_line(const char *what, char *out, struct error *err) {
  return read_line(what, out, err);
}

int terminal_ask(const char *prompt, bool hidden, char *out, struct error *err) {
  struct termios shown, silent;
  hidden = hidden && tcgetattr(STDIN_FILENO, &shown) == 0;
  // Before the prompt: who answers it at once must not see the echo, nor lose what was typed to the flush.
  if (hidden) {
    silent = shown;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  (void)fprintf(stderr, "%s: ", prompt);
  (void)fflush(stderr);
  int rc = read_line(prompt, out, err);
  if (hidden) {
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &shown);
    (void)fputc('\n', stderr);
  }
  return rc;
}
