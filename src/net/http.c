// SPDX-License-Identifier: Apache-2.0
#include "net/http.h"

#include <stdlib.h>

#include "net/byte_class.h"
#include "net/http_head.h"

enum {
  HEAD_FIRST_BYTES = 1024,    // most heads fit
  HEAD_KEEP_BYTES = 8 * 1024, // a larger buffer is given back between messages
  CHUNK_MAX_DIGITS = 16,      // leading zeros included
  CHUNK_MAX_EXTENSION_BYTES = 256,
};

enum parser_state {
  READ_HEAD,
  READ_LENGTH,      // body_left bytes to come
  READ_UNTIL_CLOSE, // RFC 9112 6.3, 8
  READ_CHUNK_SIZE,
  READ_CHUNK_EXTENSION,
  READ_CHUNK_SIZE_LF,
  READ_CHUNK_DATA, // body_left bytes to come
  READ_CHUNK_DATA_CR,
  READ_CHUNK_DATA_LF,
  READ_TRAILER_START, // of a line
  READ_TRAILER_NAME,
  READ_TRAILER_VALUE,
  READ_TRAILER_LF,
  READ_LAST_LF,
  MESSAGE_DONE,
  MESSAGE_BAD,
};

struct http_parser {
  enum http_parser_kind kind;
  enum parser_state state;
  bool skipped_blank_line;
  bool no_body;
  size_t max_head_bytes;
  char *lines; // the head as received; the views of reader.head point into it
  size_t lines_len;
  size_t lines_cap;
  size_t line_start;
  uint64_t body_left;
  unsigned chunk_digits;
  size_t extension_bytes; // of this chunk
  size_t trailer_bytes;
  size_t trailers_len;
  struct http_head_reader reader;
};

static enum http_event refuse(struct http_parser *parser, int status, const char *words) {
  parser->state = MESSAGE_BAD;
  parser->reader.refused_status = status;
  parser->reader.refused_words = words;
  return HTTP_BAD;
}

// ---- the head

static bool lines_grow(struct http_parser *parser, size_t needed) {
  size_t cap = parser->lines_cap ? parser->lines_cap : HEAD_FIRST_BYTES;
  while (cap < needed)
    cap *= 2;
  if (cap > parser->max_head_bytes)
    cap = parser->max_head_bytes;
  char *lines = malloc(cap);
  if (!lines) {
    (void)refuse(parser, 503, "out of memory for the head");
    return false;
  }
  if (parser->lines_len > 0) {
    memcpy(lines, parser->lines, parser->lines_len);
    http_head_moved(&parser->reader, parser->lines, parser->lines_len, lines);
  }
  free(parser->lines);
  parser->lines = lines;
  parser->lines_cap = cap;
  return true;
}

static bool lines_append(struct http_parser *parser, struct str bytes) {
  if (bytes.len > parser->max_head_bytes - parser->lines_len) {
    (void)refuse(parser, 431, "its head is larger than is taken here");
    return false;
  }
  if (bytes.len > parser->lines_cap - parser->lines_len && !lines_grow(parser, parser->lines_len + bytes.len))
    return false;
  memcpy(parser->lines + parser->lines_len, bytes.ptr, bytes.len);
  parser->lines_len += bytes.len;
  return true;
}

// RFC 9112 6.3: how the body ends.
static enum http_event head_complete(struct http_parser *parser) {
  struct http_head *head = &parser->reader.head;
  if (!http_head_read_end(&parser->reader)) {
    parser->state = MESSAGE_BAD;
    return HTTP_BAD;
  }
  bool bodiless =
      head->is_response && (parser->no_body || head->status < 200 || head->status == 204 || head->status == 304);
  bool unframed = !head->chunked && !head->has_length;
  if (bodiless || (unframed && !head->is_response) || (head->has_length && head->length == 0)) {
    parser->state = MESSAGE_DONE;
  } else if (head->chunked) {
    parser->state = READ_CHUNK_SIZE;
  } else if (head->has_length) {
    parser->state = READ_LENGTH;
    parser->body_left = head->length;
  } else {
    parser->state = READ_UNTIL_CLOSE;
    head->keep_alive = false;
  }
  return HTTP_HEAD;
}

// What cannot begin a message is refused at its first byte, not when the deadline for the head has passed.
static bool may_begin(const struct http_parser *parser, char byte) {
  if (parser->kind == HTTP_RESPONSES)
    return byte == 'H';
  return byte_is(byte, BYTE_TOKEN) || byte == '\r';
}

// RFC 9112 2.2: one empty line before a request is passed over, as old clients send it after a body.
static bool skip_blank_line(struct http_parser *parser) {
  if (parser->kind != HTTP_REQUESTS || parser->skipped_blank_line)
    return false;
  parser->skipped_blank_line = true;
  parser->lines_len = parser->line_start = 0;
  return true;
}

// Line by line, each byte is looked at once when it comes and once when its line is complete, however it was cut.
static enum http_event read_head(struct http_parser *parser, struct str *input) {
  while (input->len > 0) {
    if (parser->lines_len == 0 && !may_begin(parser, input->ptr[0]))
      return refuse(parser, 400, "this is not HTTP/1.1");
    const char *newline = memchr(input->ptr, '\n', input->len);
    size_t taken = newline ? (size_t)(newline - input->ptr) + 1 : input->len;
    if (!lines_append(parser, (struct str){input->ptr, taken}))
      return HTTP_BAD;
    *input = str_from(*input, taken);
    if (!newline)
      return HTTP_NEED_MORE;

    struct str line = {parser->lines + parser->line_start, parser->lines_len - parser->line_start - 1};
    if (line.len == 0 || line.ptr[line.len - 1] != '\r')
      return refuse(parser, 400, "a line ends with LF alone, not with CR LF");
    line.len--;
    parser->line_start = parser->lines_len;
    if (line.len > 0) {
      if (!http_head_read_line(&parser->reader, line)) {
        parser->state = MESSAGE_BAD;
        return HTTP_BAD;
      }
    } else if (parser->reader.has_start_line) {
      return head_complete(parser);
    } else if (!skip_blank_line(parser)) {
      return refuse(parser, 400, "the message begins with empty lines");
    }
  }
  return HTTP_NEED_MORE;
}

// ---- the body

static enum http_event take_body(struct http_parser *parser, struct str *input, struct str *piece,
                                 enum parser_state after) {
  if (input->len == 0)
    return HTTP_NEED_MORE;
  size_t taken = input->len < parser->body_left ? input->len : (size_t)parser->body_left;
  *piece = (struct str){input->ptr, taken};
  *input = str_from(*input, taken);
  parser->body_left -= taken;
  if (parser->body_left == 0)
    parser->state = after;
  return HTTP_BODY;
}

static void chunk_size_complete(struct http_parser *parser) {
  parser->state = parser->body_left > 0 ? READ_CHUNK_DATA : READ_TRAILER_START;
  parser->chunk_digits = 0;
  parser->extension_bytes = 0;
}

// RFC 9112 7.1: 1*HEXDIG, then an extension or the end of the line; no blanks.
static bool chunk_size_byte(struct http_parser *parser, char byte) {
  if (byte_is(byte, BYTE_HEX)) {
    if (++parser->chunk_digits > CHUNK_MAX_DIGITS || parser->body_left > INT64_MAX >> 4) {
      (void)refuse(parser, 400, "a chunk's size is too large");
      return false;
    }
    parser->body_left = parser->body_left << 4 | byte_hex_value(byte);
    return true;
  }
  if (parser->chunk_digits > 0 && byte == '\r') {
    parser->state = READ_CHUNK_SIZE_LF;
    return true;
  }
  if (parser->chunk_digits > 0 && byte == ';') {
    parser->state = READ_CHUNK_EXTENSION;
    return true;
  }
  (void)refuse(parser, 400, "a chunk's size is malformed");
  return false;
}

static bool chunk_extension_byte(struct http_parser *parser, char byte) {
  if (byte == '\r') {
    parser->state = READ_CHUNK_SIZE_LF;
    return true;
  }
  if (!byte_is_field_value(byte)) {
    (void)refuse(parser, 400, "a chunk's extension holds a control byte");
    return false;
  }
  if (++parser->extension_bytes > CHUNK_MAX_EXTENSION_BYTES) {
    (void)refuse(parser, 400, "a chunk's extension is longer than 256 bytes");
    return false;
  }
  return true;
}

static bool expect_byte(struct http_parser *parser, char byte, char expected, enum parser_state next) {
  if (byte != expected) {
    (void)refuse(parser, 400, "CR LF is missing in the chunked body");
    return false;
  }
  parser->state = next;
  return true;
}

// Trailers are held to the rules of headers, and dropped: nothing here needs one, and merging them into the head is how
// two readers come to disagree (RFC 9110 6.5.1).
static bool trailer_byte(struct http_parser *parser, char byte) {
  if (++parser->trailer_bytes > parser->max_head_bytes) {
    (void)refuse(parser, 431, "its trailers are larger than is taken here");
    return false;
  }
  switch (parser->state) {
  case READ_TRAILER_START:
    if (byte == '\r') {
      parser->state = READ_LAST_LF;
      return true;
    }
    if (!byte_is(byte, BYTE_TOKEN))
      break;
    if (++parser->trailers_len > HTTP_MAX_HEADERS) {
      (void)refuse(parser, 431, "there are more than 128 trailers");
      return false;
    }
    parser->state = READ_TRAILER_NAME;
    return true;
  case READ_TRAILER_NAME:
    if (byte == ':')
      parser->state = READ_TRAILER_VALUE;
    else if (!byte_is(byte, BYTE_TOKEN))
      break;
    return true;
  case READ_TRAILER_VALUE:
    if (byte == '\r')
      parser->state = READ_TRAILER_LF;
    else if (!byte_is_field_value(byte))
      break;
    return true;
  case READ_TRAILER_LF:
    return expect_byte(parser, byte, '\n', READ_TRAILER_START);
  default:
    return expect_byte(parser, byte, '\n', MESSAGE_DONE);
  }
  (void)refuse(parser, 400, "a trailer is malformed");
  return false;
}

static bool chunk_byte(struct http_parser *parser, char byte) {
  switch (parser->state) {
  case READ_CHUNK_SIZE:
    return chunk_size_byte(parser, byte);
  case READ_CHUNK_EXTENSION:
    return chunk_extension_byte(parser, byte);
  case READ_CHUNK_SIZE_LF:
    if (!expect_byte(parser, byte, '\n', READ_CHUNK_DATA))
      return false;
    chunk_size_complete(parser);
    return true;
  case READ_CHUNK_DATA_CR:
    return expect_byte(parser, byte, '\r', READ_CHUNK_DATA_LF);
  case READ_CHUNK_DATA_LF:
    return expect_byte(parser, byte, '\n', READ_CHUNK_SIZE);
  default:
    return trailer_byte(parser, byte);
  }
}

static enum http_event read_chunked(struct http_parser *parser, struct str *input, struct str *piece) {
  while (input->len > 0) {
    if (parser->state == READ_CHUNK_DATA)
      return take_body(parser, input, piece, READ_CHUNK_DATA_CR);
    if (!chunk_byte(parser, input->ptr[0]))
      return HTTP_BAD;
    *input = str_from(*input, 1);
    if (parser->state == MESSAGE_DONE)
      return HTTP_DONE;
  }
  return HTTP_NEED_MORE;
}

// ---- the parser's face

struct http_parser *http_parser_new(enum http_parser_kind kind, size_t max_head_bytes) {
  struct http_parser *parser = calloc(1, sizeof(*parser));
  if (!parser)
    return NULL;
  parser->kind = kind;
  parser->max_head_bytes = max_head_bytes;
  http_parser_reset(parser);
  return parser;
}

void http_parser_free(struct http_parser *parser) {
  if (!parser)
    return;
  http_head_reader_reset(&parser->reader, false);
  free(parser->lines);
  free(parser);
}

void http_parser_reset(struct http_parser *parser) {
  http_head_reader_reset(&parser->reader, parser->kind == HTTP_RESPONSES);
  if (parser->lines_cap > HEAD_KEEP_BYTES) {
    free(parser->lines);
    parser->lines = NULL;
    parser->lines_cap = 0;
  }
  parser->lines_len = parser->line_start = 0;
  parser->state = READ_HEAD;
  parser->skipped_blank_line = false;
  parser->no_body = false;
  parser->body_left = 0;
  parser->chunk_digits = 0;
  parser->extension_bytes = 0;
  parser->trailer_bytes = 0;
  parser->trailers_len = 0;
}

void http_parser_expect_no_body(struct http_parser *parser) {
  parser->no_body = true;
}

enum http_event http_parser_next(struct http_parser *parser, struct str *input, struct str *piece) {
  *piece = STR_EMPTY;
  switch (parser->state) {
  case READ_HEAD:
    return read_head(parser, input);
  case READ_LENGTH:
    return take_body(parser, input, piece, MESSAGE_DONE);
  case READ_UNTIL_CLOSE:
    parser->body_left = UINT64_MAX; // never reached
    return take_body(parser, input, piece, MESSAGE_DONE);
  case MESSAGE_DONE:
    return HTTP_DONE;
  case MESSAGE_BAD:
    return HTTP_BAD;
  default:
    return read_chunked(parser, input, piece);
  }
}

enum http_event http_parser_eof(struct http_parser *parser) {
  switch (parser->state) {
  case READ_UNTIL_CLOSE:
    parser->state = MESSAGE_DONE;
    return HTTP_DONE;
  case MESSAGE_DONE:
    return HTTP_DONE;
  case MESSAGE_BAD:
    return HTTP_BAD;
  case READ_HEAD:
    return refuse(parser, 400, "the connection was closed before the end of the head");
  default:
    return refuse(parser, 400, "the connection was closed before the end of the body");
  }
}

const struct http_head *http_parser_head(const struct http_parser *parser) {
  return &parser->reader.head;
}

int http_parser_error(const struct http_parser *parser, struct error *err) {
  static const struct {
    int status;
    enum errcode code;
  } codes[] = {{431, ERR_HEADER_TOO_LARGE}, {501, ERR_NOT_IMPLEMENTED}, {503, ERR_NO_MEMORY}};
  int status = parser->reader.refused_status;
  enum errcode code = ERR_BAD_REQUEST;
  for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
    if (codes[i].status == status)
      code = codes[i].code;
  }
  (void)error_set(err, code, "the HTTP message is refused: %s",
                  parser->reader.refused_words ? parser->reader.refused_words : "nothing was refused");
  return status;
}

bool http_parser_idle(const struct http_parser *parser) {
  return parser->state == READ_HEAD && parser->lines_len == 0;
}

size_t http_parser_large_head_bytes(const struct http_parser *parser) {
  return parser->lines_cap > HEAD_KEEP_BYTES ? parser->lines_cap : 0;
}

// ---- what both sides need

struct str http_head_get(const struct http_head *head, const char *name) {
  struct str wanted = str_of(name);
  for (size_t i = 0; i < head->headers_len; i++) {
    const struct http_header *header = &head->headers[i];
    if (header->name.len == wanted.len && str_ieq(header->name, wanted))
      return header->value;
  }
  return (struct str){NULL, 0};
}

// RFC 9110 15 and RFC 6585.
const char *http_reason(int status) {
  static const struct {
    int status;
    const char *reason;
  } reasons[] = {
      {100, "Continue"},
      {101, "Switching Protocols"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {203, "Non-Authoritative Information"},
      {204, "No Content"},
      {205, "Reset Content"},
      {206, "Partial Content"},
      {300, "Multiple Choices"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {305, "Use Proxy"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {402, "Payment Required"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {407, "Proxy Authentication Required"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {411, "Length Required"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {416, "Range Not Satisfiable"},
      {417, "Expectation Failed"},
      {421, "Misdirected Request"},
      {422, "Unprocessable Content"},
      {425, "Too Early"},
      {426, "Upgrade Required"},
      {428, "Precondition Required"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
      {507, "Insufficient Storage"},
  };
  for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
    if (reasons[i].status == status)
      return reasons[i].reason;
  }
  return "Unknown";
}
