// SPDX-License-Identifier: Apache-2.0
// What a person sees and types. Text from a server never reaches the terminal as it is: control characters, direction
// marks and bytes that are not UTF-8 are written as escapes, so that no name can move the cursor or forge a line. One
// thread.
#ifndef HARBINGER_CLI_TERMINAL_H
#define HARBINGER_CLI_TERMINAL_H

#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"

enum { TERMINAL_LINE_BYTES = 4096 };

// Append `text`, escaped as JSON does (a newline is \n, ESC is \u001b), malformed bytes as \xNN.
void terminal_put(struct buf *out, struct str text);
// The same for JSON text: only characters that may stand inside a JSON string are escaped, so that the value stays what it
// is; newlines and tabs between the values stay.
void terminal_put_json(struct buf *out, struct str json);
size_t terminal_width(struct str text); // code points that terminal_put writes
void terminal_print(FILE *out, struct str text);
// Like fprintf, escaped as a whole but for newlines of the format's own end.
void terminal_printf(FILE *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

// Ask on standard error, read a line from standard input; `hidden`: without echo. ERR_BAD_REQUEST when there is no line or it is
// too long. `out` holds TERMINAL_LINE_BYTES.
int terminal_ask(const char *prompt, bool hidden, char *out, struct error *err) MUST_CHECK;
// The first line of standard input, without its end.
int terminal_read_line(const char *what, char *out, struct error *err) MUST_CHECK;

#endif
