// SPDX-License-Identifier: Apache-2.0
#include "net/url.h"

#include "base/buf.h"
#include "net/byte_class.h"

enum { HOST_MAX_BYTES = 253, LABEL_MAX_BYTES = 63 };

#define MASK "********"

static int refuse(struct error *err, const char *words) {
  return error_set(err, ERR_BAD_REQUEST, "the address cannot be used: %s", words);
}

// Before anything is split: bytes that some readers drop, stop at or turn into others.
static int check_bytes(struct str text, struct error *err) {
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.ptr[i];
    if (c <= 0x20 || c == 0x7f)
      return refuse(err, "it holds a blank or a control character; percent-encode it");
    if (c >= 0x80)
      return refuse(err, "it holds a character outside ASCII; write the host in its xn-- form and "
                         "percent-encode the rest");
    if (c == '\\')
      return refuse(err, "it holds a backslash; percent-encode it as %5C");
    if (c == '#')
      return refuse(err, "it has a fragment ('#'), which is never sent; leave it out");
  }
  return 0;
}

static int read_scheme(struct str *rest, struct url *url, struct error *err) {
  if (str_starts_c(*rest, "https://")) {
    url->https = true;
    url->port = 443;
    *rest = str_from(*rest, 8);
    return 0;
  }
  if (str_starts_c(*rest, "http://")) {
    url->port = 80;
    *rest = str_from(*rest, 7);
    return 0;
  }
  return refuse(err, "it must begin with http:// or https://");
}

static int read_userinfo(struct str *authority, struct url *url, struct error *err) {
  ptrdiff_t at = str_find(*authority, '@');
  if (at < 0)
    return 0;
  struct str userinfo = str_slice(*authority, 0, (size_t)at);
  if (userinfo.len == 0)
    return refuse(err, "there is nothing before the '@'");
  *authority = str_from(*authority, (size_t)at + 1);
  if (str_find(*authority, '@') >= 0)
    return refuse(err, "it has two '@' before the path; percent-encode the first as %40");
  for (size_t i = 0; i < userinfo.len; i++) {
    char c = userinfo.ptr[i];
    if (!byte_is(c, BYTE_HOST) || c == '[' || c == ']')
      return refuse(err, "user name or password hold a character that must be percent-encoded");
  }
  if (!byte_escapes_valid(userinfo))
    return refuse(err, "user name or password hold a '%' that two hexadecimal digits do not follow");
  url->userinfo = userinfo;
  return 0;
}

static int read_port(struct str text, struct url *url, struct error *err) {
  uint64_t port;
  if (text.len == 0 || text.len > 5 || byte_span(text, BYTE_DIGIT) != text.len || text.ptr[0] == '0' ||
      !str_to_u64(text, &port) || port > UINT16_MAX)
    return refuse(err, "after the host's colon a port from 1 to 65535 must follow");
  url->port = (uint16_t)port;
  url->port_given = true;
  return 0;
}

// "[2001:db8::1]" or "[2001:db8::1]:8080".
static int read_bracketed(struct str authority, struct url *url, struct error *err) {
  ptrdiff_t close = str_find(authority, ']');
  struct str inside = close > 0 ? str_slice(authority, 1, (size_t)close) : STR_EMPTY;
  if (str_find(inside, '%') >= 0)
    return refuse(err, "an IPv6 address with a zone reaches no webhook; leave the zone out");
  if (!address_read(inside, &url->address) || url->address.family != AF_INET6)
    return refuse(err, "what stands in brackets is not an IPv6 address");
  url->host = inside;
  url->host_is_address = true;
  struct str rest = str_from(authority, (size_t)close + 1);
  if (rest.len == 0)
    return 0;
  if (rest.ptr[0] != ':')
    return refuse(err, "after the ']' only a port may follow");
  return read_port(str_from(rest, 1), url, err);
}

// Resolvers read a last label that is a number, decimal, octal or hexadecimal, as part of an IPv4 address; no top-level
// domain is one.
static bool label_is_number(struct str label) {
  if (byte_span(label, BYTE_DIGIT) == label.len)
    return true;
  if (label.len < 2 || label.ptr[0] != '0' || (label.ptr[1] | 0x20) != 'x')
    return false;
  return byte_span(str_from(label, 2), BYTE_HEX) == label.len - 2;
}

static int check_name(struct str name, struct error *err) {
  if (name.len == 0)
    return refuse(err, "it has no host");
  if (name.len > HOST_MAX_BYTES)
    return refuse(err, "its host is longer than 253 characters");
  struct str rest = name, label = STR_EMPTY;
  while (str_next(&rest, '.', &label)) {
    if (label.len == 0)
      return refuse(err, "its host has an empty part between two dots");
    if (label.len > LABEL_MAX_BYTES)
      return refuse(err, "a part of its host is longer than 63 characters");
    for (size_t i = 0; i < label.len; i++) {
      if (!byte_is(label.ptr[i], BYTE_DIGIT | BYTE_ALPHA) && label.ptr[i] != '-')
        return refuse(err, "its host may hold only letters, digits, hyphens and dots");
    }
  }
  if (label_is_number(label))
    return refuse(err, "its host ends in a number but is not an IPv4 address of four decimal numbers");
  return 0;
}

static int read_host(struct str authority, struct url *url, struct error *err) {
  if (authority.len > 0 && authority.ptr[0] == '[')
    return read_bracketed(authority, url, err);
  ptrdiff_t colon = str_find(authority, ':');
  url->host = colon < 0 ? authority : str_slice(authority, 0, (size_t)colon);
  if (colon >= 0) {
    int rc = read_port(str_from(authority, (size_t)colon + 1), url, err);
    if (rc)
      return rc;
  }
  if (address_read(url->host, &url->address)) {
    url->host_is_address = true;
    return 0;
  }
  if (url->host.len > 1 && url->host.ptr[url->host.len - 1] == '.')
    url->host.len--;
  return check_name(url->host, err);
}

struct str url_path(const struct url *url) {
  ptrdiff_t query = str_find(url->target, '?');
  struct str path = query < 0 ? url->target : str_slice(url->target, 0, (size_t)query);
  while (path.len > 0 && path.ptr[path.len - 1] == '/')
    path.len--;
  return path;
}

static int read_target(struct str target, struct url *url, struct error *err) {
  if (target.len == 0) {
    url->target = STR("/");
    return 0;
  }
  if (target.ptr[0] == '?')
    return refuse(err, "between host and query a '/' is missing");
  size_t path_len = byte_span(target, BYTE_PATH);
  if (path_len < target.len && target.ptr[path_len] != '?')
    return refuse(err, "its path holds a character that must be percent-encoded");
  if (!byte_escapes_valid(target))
    return refuse(err, "it holds a '%' that two hexadecimal digits do not follow; write %25");
  url->target = target;
  return 0;
}

int url_parse(struct str text, struct url *out, struct error *err) {
  if (text.len == 0)
    return refuse(err, "it is empty");
  if (text.len > URL_MAX_BYTES)
    return refuse(err, "it is longer than 2048 characters");
  struct url url = {.text = text};
  struct str rest = text;
  int rc = check_bytes(text, err);
  if (rc == 0)
    rc = read_scheme(&rest, &url, err);
  if (rc)
    return rc;

  size_t authority_len = 0;
  while (authority_len < rest.len && rest.ptr[authority_len] != '/' && rest.ptr[authority_len] != '?')
    authority_len++;
  struct str authority = str_slice(rest, 0, authority_len);
  struct str target = str_from(rest, authority_len);
  url.origin = (struct str){text.ptr, text.len - target.len};
  rc = read_userinfo(&authority, &url, err);
  if (rc == 0)
    rc = read_host(authority, &url, err);
  if (rc == 0)
    rc = read_target(target, &url, err);
  if (rc)
    return rc;
  url.address.port = url.host_is_address ? url.port : 0;
  *out = url;
  return 0;
}

bool url_same_origin(const struct url *a, const struct url *b) {
  if (a->https != b->https || a->port != b->port || a->host_is_address != b->host_is_address)
    return false;
  return a->host_is_address ? address_eq(&a->address, &b->address) : str_ieq(a->host, b->host);
}

static struct str bracketed_host(const struct url *url, struct arena *arena) {
  bool ipv6 = url->host_is_address && url->address.family == AF_INET6;
  return ipv6 ? arena_printf(arena, "[%.*s]", STR_ARG(url->host)) : url->host;
}

struct str url_host_header(const struct url *url, struct arena *arena) {
  struct str host = bracketed_host(url, arena);
  if (!host.ptr || url->port == (url->https ? 443 : 80))
    return host;
  char port[I64_TEXT_BYTES];
  return ARENA_JOIN(arena, host, STR(":"), i64_text(url->port, port));
}

struct str url_mask(const struct url *url, struct arena *arena) {
  struct str host = bracketed_host(url, arena);
  if (!host.ptr)
    return host;
  char port[8] = "";
  if (url->port_given) {
    struct str digits = str_from(url->origin, (size_t)str_rfind(url->origin, ':'));
    memcpy(port, digits.ptr, digits.len);
  }
  return arena_printf(arena, "%s://%s%.*s%s/%s", url->https ? "https" : "http", url->userinfo.ptr ? MASK "@" : "",
                      STR_ARG(host), port, url->target.len > 1 ? MASK : "");
}

static bool decode(struct str text, bool plus_is_blank, struct arena *arena, struct str *out) {
  if (!byte_escapes_valid(text))
    return false;
  char *bytes = arena_alloc(arena, text.len + 1);
  if (!bytes)
    return false;
  size_t len = 0;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    if (c == '%') {
      c = (char)(byte_hex_value(text.ptr[i + 1]) << 4 | byte_hex_value(text.ptr[i + 2]));
      i += 2;
    } else if (c == '+' && plus_is_blank) {
      c = ' ';
    }
    bytes[len++] = c;
  }
  *out = (struct str){bytes, len};
  return true;
}

bool url_decode(struct str text, struct arena *arena, struct str *out) {
  return decode(text, false, arena, out);
}

static bool key_matches(struct str written, struct str key, struct arena *arena) {
  if (str_find(written, '%') < 0 && str_find(written, '+') < 0)
    return str_eq(written, key);
  struct str decoded;
  return decode(written, true, arena, &decoded) && str_eq(decoded, key);
}

bool url_query_get(struct str query, const char *key, struct arena *arena, struct str *out) {
  struct str wanted = str_of(key), pair;
  while (str_next(&query, '&', &pair)) {
    ptrdiff_t equals = str_find(pair, '=');
    struct str written = equals < 0 ? pair : str_slice(pair, 0, (size_t)equals);
    if (key_matches(written, wanted, arena))
      return decode(equals < 0 ? STR_EMPTY : str_from(pair, (size_t)equals + 1), true, arena, out);
  }
  return false;
}
