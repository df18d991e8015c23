// SPDX-License-Identifier: Apache-2.0
#include "policy/endpoint.h"

#include "base/buf.h"

enum { QUOTED_MAX_BYTES = 256, REFUSAL_MAX_BYTES = 4 * QUOTED_MAX_BYTES };

// Text as Go's %q shows it, cut.
static void put_quoted(struct buf *out, struct str text) {
  buf_put_char(out, '"');
  for (size_t i = 0; i < text.len && out->len < QUOTED_MAX_BYTES; i++) {
    unsigned char c = (unsigned char)text.ptr[i];
    if (c == '"' || c == '\\')
      buf_printf(out, "\\%c", c);
    else if (c == '\n' || c == '\r' || c == '\t')
      buf_put_c(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    else if (c < 0x20 || c == 0x7F)
      buf_printf(out, "\\x%02x", c);
    else
      buf_put_char(out, text.ptr[i]);
  }
  buf_put_char(out, '"');
}

struct endpoint {
  bool has_scheme;
  struct str text; // trimmed, for messages
  struct error *err;
};

// `parse "http://...": WORDS "DETAIL"AFTER`
static int refuse(const struct endpoint *endpoint, const char *words, struct str detail, const char *after) {
  struct buf text;

  buf_init(&text, REFUSAL_MAX_BYTES);
  buf_put_c(&text, "parse ");
  struct buf whole;
  buf_init(&whole, REFUSAL_MAX_BYTES);
  buf_put_c(&whole, endpoint->has_scheme ? "" : "http://");
  buf_put(&whole, str_slice(endpoint->text, 0, QUOTED_MAX_BYTES));
  put_quoted(&text, buf_str(&whole));
  buf_free(&whole);
  buf_printf(&text, ": %s", words);
  if (detail.ptr)
    put_quoted(&text, detail);
  buf_put_c(&text, after);
  int result = error_set(endpoint->err, ERR_BAD_REQUEST, "%.*s", STR_ARG(buf_str(&text)));
  buf_free(&text);
  return result;
}

static int refuse_plain(const struct endpoint *endpoint, const char *words) {
  return refuse(endpoint, words, (struct str){NULL, 0}, "");
}

static int hex_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// An escape at the front: two hexadecimal digits; in a host only "%25" and bytes beyond ASCII.
static bool is_escape(struct str text, bool in_host) {
  if (text.len < 3 || hex_value(text.ptr[1]) < 0 || hex_value(text.ptr[2]) < 0)
    return false;
  return !in_host || hex_value(text.ptr[1]) >= 8 || (text.ptr[1] == '2' && text.ptr[2] == '5');
}

static int check_escapes(const struct endpoint *endpoint, struct str text, bool in_host) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] == '%' && !is_escape(str_from(text, i), in_host))
      return refuse(endpoint, "invalid URL escape ", str_slice(text, i, i + 3), "");
  }
  return 0;
}

static bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_one_of(char c, const char *set) {
  return c != '\0' && strchr(set, c) != NULL;
}

static int check_port(const struct endpoint *endpoint, struct str colon_port) {
  bool valid = colon_port.len == 0 || colon_port.ptr[0] == ':';

  for (size_t i = 1; i < colon_port.len && valid; i++)
    valid = colon_port.ptr[i] >= '0' && colon_port.ptr[i] <= '9';
  return valid ? 0 : refuse(endpoint, "invalid port ", colon_port, " after host");
}

static int check_host(const struct endpoint *endpoint, struct str host) {
  bool bracketed = host.len > 0 && host.ptr[0] == '[';
  ptrdiff_t mark = str_rfind(host, bracketed ? ']' : ':');
  int result = 0;

  if (bracketed && mark < 0)
    return refuse_plain(endpoint, "missing ']' in host");
  if (mark >= 0)
    result = check_port(endpoint, str_from(host, (size_t)mark + (bracketed ? 1 : 0)));
  if (result == 0)
    result = check_escapes(endpoint, host, true);
  for (size_t i = 0; i < host.len && result == 0; i++) {
    char c = host.ptr[i];
    if ((unsigned char)c < 0x80 && !is_alnum(c) && !is_one_of(c, "!$&'()*+,;=:[]<>\"-_.~%"))
      result = refuse(endpoint, "invalid character ", str_slice(host, i, i + 1), " in host name");
  }
  return result;
}

static int check_userinfo(const struct endpoint *endpoint, struct str userinfo) {
  for (size_t i = 0; i < userinfo.len; i++) {
    if (!is_alnum(userinfo.ptr[i]) && !is_one_of(userinfo.ptr[i], "-._:~!$&'()*+,;=%@"))
      return refuse_plain(endpoint, "net/url: invalid userinfo");
  }
  return check_escapes(endpoint, userinfo, false);
}

// Go's url.ParseRequestURI of an http address.
static int parse(const struct endpoint *endpoint, struct str rest) {
  for (size_t i = 0; i < rest.len; i++) {
    if ((unsigned char)rest.ptr[i] < 0x20 || rest.ptr[i] == 0x7F)
      return refuse_plain(endpoint, "net/url: invalid control character in URL");
  }
  ptrdiff_t query = str_find(rest, '?');
  if (query >= 0)
    rest = str_slice(rest, 0, (size_t)query);
  ptrdiff_t slash = str_find(rest, '/');
  struct str authority = slash < 0 ? rest : str_slice(rest, 0, (size_t)slash);
  struct str path = slash < 0 ? STR_EMPTY : str_from(rest, (size_t)slash);
  ptrdiff_t at = str_rfind(authority, '@');
  int result = check_host(endpoint, at < 0 ? authority : str_from(authority, (size_t)at + 1));

  if (result == 0 && at >= 0)
    result = check_userinfo(endpoint, str_slice(authority, 0, (size_t)at));
  return result == 0 ? check_escapes(endpoint, path, false) : result;
}

static struct str trim(struct str text) {
  while (text.len > 0 && text.ptr[0] == ' ')
    text = str_from(text, 1);
  while (text.len > 0 && text.ptr[text.len - 1] == ' ')
    text.len--;
  while (text.len > 0 && text.ptr[text.len - 1] == '/')
    text.len--;
  return text;
}

// The first "://".
static bool find_scheme(struct str text, size_t *len) {
  for (*len = 0; *len + 3 <= text.len; (*len)++) {
    if (str_starts_c(str_from(text, *len), "://"))
      return true;
  }
  return false;
}

int endpoint_check(struct str address, struct error *err) {
  struct str text = trim(address), rest = text;
  size_t scheme_len;
  struct endpoint endpoint = {.text = text, .err = err};

  if (text.len == 0)
    return error_set(err, ERR_BAD_REQUEST, "empty URL");
  endpoint.has_scheme = find_scheme(text, &scheme_len);
  if (endpoint.has_scheme) {
    struct str scheme = str_slice(text, 0, scheme_len);
    if (!str_eq_c(scheme, "http") && !str_eq_c(scheme, "https"))
      return error_set(err, ERR_BAD_REQUEST, "invalid scheme: %.*s", STR_ARG(scheme));
    rest = str_from(text, scheme_len + 3);
  }
  return parse(&endpoint, rest);
}
