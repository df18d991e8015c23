// SPDX-License-Identifier: Apache-2.0
#include "net/http_head.h"

#include <stdlib.h>

#include "net/byte_class.h"

static bool refuse(struct http_head_reader *reader, int status, const char *words) {
  reader->refused_status = status;
  reader->refused_words = words;
  return false;
}

// No early exit, so that the compiler makes vector code of it: values are most of a head's bytes.
static bool is_field_value(struct str s) {
  unsigned bad = 0;
  for (size_t i = 0; i < s.len; i++) {
    unsigned char c = (unsigned char)s.ptr[i];
    bad |= (unsigned)((c < 0x20) & (c != '\t')) | (unsigned)(c == 0x7f);
  }
  return bad == 0;
}

bool http_is_field_value(struct str s) {
  return is_field_value(s);
}

bool http_is_token(struct str s) {
  return s.len > 0 && byte_span(s, BYTE_TOKEN) == s.len;
}

// RFC 9112 2.3; the name is case-sensitive.
static bool read_version(struct http_head_reader *reader, struct str text) {
  if (text.len != 8 || memcmp(text.ptr, "HTTP/", 5) != 0 || text.ptr[6] != '.' || !byte_is(text.ptr[5], BYTE_DIGIT) ||
      !byte_is(text.ptr[7], BYTE_DIGIT))
    return refuse(reader, 400, "the start line has no HTTP version");
  if (text.ptr[5] != '1' || text.ptr[7] > '1')
    return refuse(reader, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  reader->head.version_minor = text.ptr[7] - '0';
  return true;
}

// RFC 9112 3.2: origin-form, or `*` for OPTIONS.
static bool read_target(struct http_head_reader *reader, struct str target) {
  struct http_head *head = &reader->head;
  if (str_eq(target, STR("*")) && str_eq(head->method, STR("OPTIONS"))) {
    head->target = head->path = target;
    return true;
  }
  if (target.len == 0 || target.ptr[0] != '/')
    return refuse(reader, 400, "the request target is not a path that begins with '/'");
  size_t path_len = byte_span(target, BYTE_PATH);
  struct str path = {target.ptr, path_len};
  struct str query = STR_EMPTY;
  if (path_len < target.len) {
    if (target.ptr[path_len] != '?')
      return refuse(reader, 400, "the path holds a byte that must be percent-encoded");
    query = str_from(target, path_len + 1);
    if (byte_span(query, BYTE_QUERY) != query.len)
      return refuse(reader, 400, "the query holds a byte that must be percent-encoded");
  }
  if (!byte_escapes_valid(path))
    return refuse(reader, 400, "the path holds a '%' that two hexadecimal digits do not follow");
  head->target = target;
  head->path = path;
  head->query = query;
  return true;
}

// RFC 9112 3: method SP request-target SP HTTP-version, exactly one blank each.
static bool read_request_line(struct http_head_reader *reader, struct str line) {
  size_t method_len = byte_span(line, BYTE_TOKEN);
  if (method_len == 0 || method_len == line.len || line.ptr[method_len] != ' ')
    return refuse(reader, 400, "the request line is not METHOD, one blank, target, one blank, HTTP version");
  struct str rest = str_from(line, method_len + 1);
  const char *blank = memchr(rest.ptr, ' ', rest.len);
  if (!blank)
    return refuse(reader, 400, "the request line has no HTTP version");
  size_t target_len = (size_t)(blank - rest.ptr);
  if (!read_version(reader, str_from(rest, target_len + 1)))
    return false;
  reader->head.method = (struct str){line.ptr, method_len};
  return read_target(reader, (struct str){rest.ptr, target_len});
}

// RFC 9112 4. The blank after the code is taken as optional when no reason follows: servers leave it out, and no two
// readers disagree about what such a line means.
static bool read_status_line(struct http_head_reader *reader, struct str line) {
  const char *p = line.ptr;
  if (!read_version(reader, str_slice(line, 0, 8)))
    return false;
  if (line.len < 12 || p[8] != ' ' || !byte_is(p[9], BYTE_DIGIT) || !byte_is(p[10], BYTE_DIGIT) ||
      !byte_is(p[11], BYTE_DIGIT) || p[9] == '0' || (line.len > 12 && p[12] != ' '))
    return refuse(reader, 400, "the status line has no status code of three digits");
  struct str reason = str_from(line, 13);
  if (!is_field_value(reason))
    return refuse(reader, 400, "the status line holds a control byte");
  reader->head.status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
  reader->head.reason = reason;
  return true;
}

// RFC 9112 6.3, 5: digits and nothing else, so never a list; what does not fit 63 bits is malformed for us.
static bool take_content_length(struct http_head_reader *reader, struct str value) {
  struct http_head *head = &reader->head;
  if (head->has_length)
    return refuse(reader, 400, "there are two Content-Length headers");
  if (!str_to_u64(value, &head->length) || head->length > INT64_MAX)
    return refuse(reader, 400, "the Content-Length is not a number");
  head->has_length = true;
  return true;
}

static bool take_transfer_encoding(struct http_head_reader *reader, struct str value) {
  if (reader->has_coding)
    return refuse(reader, 400, "there are two Transfer-Encoding headers");
  if (value.len == 0)
    return refuse(reader, 400, "the Transfer-Encoding is empty");
  if (!str_ieq_c(value, "chunked"))
    return refuse(reader, 501, "the only Transfer-Encoding taken is `chunked` alone");
  reader->has_coding = true;
  reader->head.chunked = true;
  return true;
}

// RFC 9112 3.2.
static bool take_host(struct http_head_reader *reader, struct str value) {
  if (reader->has_host)
    return refuse(reader, 400, "there are two Host headers");
  if (byte_span(value, BYTE_HOST) != value.len)
    return refuse(reader, 400, "the Host header is not a host");
  reader->has_host = true;
  return true;
}

// RFC 9110 7.6.1: a list, possibly over several headers.
static void take_connection(struct http_head_reader *reader, struct str value) {
  struct str option;
  while (str_next(&value, ',', &option)) {
    option = str_trim(option);
    if (str_ieq_c(option, "close"))
      reader->says_close = true;
    else if (str_ieq_c(option, "keep-alive"))
      reader->says_keep_alive = true;
  }
}

// The headers that decide where a message ends and what happens to the connection; their lengths differ.
static bool take_known_header(struct http_head_reader *reader, const struct http_header *header) {
  bool request = !reader->head.is_response;
  switch (header->name.len) {
  case 4:
    if (request && str_ieq_c(header->name, "host"))
      return take_host(reader, header->value);
    return true;
  case 6:
    if (request && str_ieq_c(header->name, "expect"))
      reader->head.expect_continue |= str_ieq_c(header->value, "100-continue");
    return true;
  case 10:
    if (str_ieq_c(header->name, "connection"))
      take_connection(reader, header->value);
    return true;
  case 14:
    if (str_ieq_c(header->name, "content-length"))
      return take_content_length(reader, header->value);
    return true;
  case 17:
    if (str_ieq_c(header->name, "transfer-encoding"))
      return take_transfer_encoding(reader, header->value);
    return true;
  default:
    return true;
  }
}

// A place for one more header, or NULL.
static struct http_header *next_header(struct http_head_reader *reader) {
  struct http_head *head = &reader->head;
  if (head->headers_len == HTTP_MAX_HEADERS) {
    (void)refuse(reader, 431, "there are more than 128 headers");
    return NULL;
  }
  if (head->headers_len == HTTP_FEW_HEADERS && !reader->many) {
    reader->many = malloc(HTTP_MAX_HEADERS * sizeof(*reader->many));
    if (!reader->many) {
      (void)refuse(reader, 503, "out of memory for headers");
      return NULL;
    }
    memcpy(reader->many, reader->few, sizeof(reader->few));
    head->headers = reader->many;
  }
  return &head->headers[head->headers_len];
}

// RFC 9112 5.
static bool read_header(struct http_head_reader *reader, struct str line) {
  size_t name_len = byte_span(line, BYTE_TOKEN);
  if (name_len == 0) {
    bool folded = line.ptr[0] == ' ' || line.ptr[0] == '\t';
    return refuse(reader, 400, folded ? "a header line begins with a blank" : "a header has no name");
  }
  if (name_len == line.len || line.ptr[name_len] != ':') {
    bool blank = name_len < line.len && (line.ptr[name_len] == ' ' || line.ptr[name_len] == '\t');
    return refuse(reader, 400, blank ? "there is a blank before a header's colon" : "a header's name is malformed");
  }
  struct str value = str_from(line, name_len + 1);
  if (!is_field_value(value))
    return refuse(reader, 400, "a header's value holds a control byte");
  struct http_header *header = next_header(reader);
  if (!header)
    return false;
  header->name = (struct str){line.ptr, name_len};
  header->value = str_trim(value);
  reader->head.headers_len++;
  return take_known_header(reader, header);
}

bool http_head_read_line(struct http_head_reader *reader, struct str line) {
  if (reader->has_start_line)
    return read_header(reader, line);
  reader->has_start_line = true;
  return reader->head.is_response ? read_status_line(reader, line) : read_request_line(reader, line);
}

bool http_head_read_end(struct http_head_reader *reader) {
  struct http_head *head = &reader->head;
  if (head->chunked && head->has_length)
    return refuse(reader, 400, "there are both a Content-Length and a Transfer-Encoding");
  if (head->chunked && head->version_minor == 0) // RFC 9112 6.1: the framing of such a message is faulty
    return refuse(reader, 400, "HTTP/1.0 has no Transfer-Encoding");
  if (!head->is_response && head->version_minor == 1 && !reader->has_host)
    return refuse(reader, 400, "there is no Host header");
  if (head->version_minor == 0)
    head->expect_continue = false; // RFC 9110 10.1.1
  head->keep_alive = !reader->says_close && (head->version_minor == 1 || reader->says_keep_alive);
  return true;
}

static void move_str(struct str *s, const char *from, size_t len, const char *to) {
  uintptr_t offset = (uintptr_t)s->ptr - (uintptr_t)from;
  if (offset <= len) // else it is the constant empty string
    s->ptr = to + offset;
}

void http_head_moved(struct http_head_reader *reader, const char *from, size_t len, const char *to) {
  struct http_head *head = &reader->head;
  move_str(&head->method, from, len, to);
  move_str(&head->target, from, len, to);
  move_str(&head->path, from, len, to);
  move_str(&head->query, from, len, to);
  move_str(&head->reason, from, len, to);
  for (size_t i = 0; i < head->headers_len; i++) {
    move_str(&head->headers[i].name, from, len, to);
    move_str(&head->headers[i].value, from, len, to);
  }
}

void http_head_reader_reset(struct http_head_reader *reader, bool is_response) {
  free(reader->many);
  reader->many = NULL;
  reader->has_start_line = reader->has_host = reader->has_coding = false;
  reader->says_close = reader->says_keep_alive = false;
  reader->refused_status = 0;
  reader->refused_words = NULL;
  reader->head = (struct http_head){
      .is_response = is_response,
      .method = STR_EMPTY,
      .target = STR_EMPTY,
      .path = STR_EMPTY,
      .query = STR_EMPTY,
      .reason = STR_EMPTY,
      .headers = reader->few,
  };
}
