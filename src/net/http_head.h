// SPDX-License-Identifier: Apache-2.0
// Reading the head of one HTTP/1.1 message, line by line (RFC 9112 3 to 6): the parser's inner part, used by http.c
// only. The lines belong to the caller, who says when they move; a head of more than HTTP_FEW_HEADERS headers takes one
// block of memory, smaller ones none. One thread.
#ifndef HARBINGER_NET_HTTP_HEAD_H
#define HARBINGER_NET_HTTP_HEAD_H

#include "net/http.h"

enum { HTTP_FEW_HEADERS = 16 };

struct http_head_reader {
  struct http_head head;
  struct http_header few[HTTP_FEW_HEADERS];
  struct http_header *many; // HTTP_MAX_HEADERS of them once `few` is full
  bool has_start_line;
  bool has_host;
  bool has_coding;
  bool says_close;
  bool says_keep_alive;
  int refused_status; // 0: not refused
  const char *refused_words;
};

// Also for the next message: frees what the last one took.
void http_head_reader_reset(struct http_head_reader *reader, bool is_response);
// One line without its CRLF: the start line, then a header each. False: refused_status and refused_words say why.
bool http_head_read_line(struct http_head_reader *reader, struct str line) MUST_CHECK;
// The empty line came: what can only be judged when all headers are known. False as above.
bool http_head_read_end(struct http_head_reader *reader) MUST_CHECK;
// The caller has copied the `len` bytes of lines at `from` to `to`; both are still readable.
void http_head_moved(struct http_head_reader *reader, const char *from, size_t len, const char *to);

#endif
