// SPDX-License-Identifier: Apache-2.0
#include "gateway/headers.h"

#include "gateway/oci_path.h"

enum { OWN_HEADERS = 4 };

#define API_VERSION "Docker-Distribution-Api-Version"

// Of one connection (RFC 9110 7.6.1), or about the two of us.
static const char *const both_ways[] = {
    "connection",        "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade",    "content-length",   "x-request-id",       "http2-settings"};
// What a client may not tell the registry: that is between it and us. Accept-Encoding: bodies are not changed, and a
// manifest is compared with its digest.
static const char *const not_forwarded[] = {
    "host", "authorization", "cookie", "expect",  "accept-encoding",       "forwarded", "x-real-ip", "user-agent",
    "via",  "x-client-ip",   "origin", "referer", "x-http-method-override"};
static const char *const not_answered[] = {"date",
                                           "server",
                                           "www-authenticate",
                                           "set-cookie",
                                           "location",
                                           "link",
                                           "strict-transport-security",
                                           "x-content-type-options",
                                           "alt-svc",
                                           "via",
                                           "content-type",
                                           "clear-site-data",
                                           "set-cookie2",
                                           "refresh",
                                           "content-location"};

static bool is_one_of(struct str name, const char *const *list, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (str_ieq_c(name, list[i]))
      return true;
  }
  return false;
}

static bool starts_icase(struct str name, const char *prefix) {
  size_t len = strlen(prefix);

  return name.len >= len && str_ieq(str_slice(name, 0, len), (struct str){prefix, len});
}

// Does a Connection header name it? Then it is for this connection alone.
static bool is_of_connection(const struct http_head *head, struct str name) {
  for (size_t i = 0; i < head->headers_len; i++) {
    if (!str_ieq_c(head->headers[i].name, "connection"))
      continue;
    struct str rest = head->headers[i].value, one;
    while (rest.ptr && str_next(&rest, ',', &one)) {
      if (str_ieq(str_trim(one), name))
        return true;
    }
  }
  return false;
}

static bool is_forwarded(const struct header_request *request, struct str name) {
  if (is_one_of(name, both_ways, ARRAY_LEN(both_ways)) || is_one_of(name, not_forwarded, ARRAY_LEN(not_forwarded)))
    return false;
  if (starts_icase(name, "x-forwarded-") || starts_icase(name, "x-original-") || starts_icase(name, "x-rewrite-"))
    return false;
  if (request->whole && (str_ieq_c(name, "range") || str_ieq_c(name, "if-range")))
    return false;
  return !is_of_connection(request->head, name);
}

static void add(struct headers *out, struct str name, struct str value) {
  out->list[out->len++] = (struct http_header){name, value};
}

int headers_forward(const struct header_rules *rules, const struct header_request *request, struct arena *arena,
                    struct headers *out, struct error *err) {
  const struct http_head *head = request->head;

  out->len = 0;
  out->list = arena_array(arena, head->headers_len + OWN_HEADERS, sizeof(*out->list));
  if (!out->list)
    return error_set(err, ERR_NO_MEMORY, "no memory for a request");
  for (size_t i = 0; i < head->headers_len; i++) {
    if (is_forwarded(request, head->headers[i].name))
      add(out, head->headers[i].name, head->headers[i].value);
  }
  if (rules->user_agent.len)
    add(out, STR("User-Agent"), rules->user_agent);
  if (request->abroad)
    return 0;
  if (rules->authorization.len)
    add(out, STR("Authorization"), rules->authorization);
  add(out, STR("X-Forwarded-For"), request->client);
  add(out, STR("X-Request-Id"), request->request_id);
  return 0;
}

// ---- addresses --------------------------------------------------------------------------------------------------------

static bool is_printable(struct str text) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] <= ' ' || text.ptr[i] > '~' || text.ptr[i] == '#')
      return false;
  }
  return text.len > 0;
}

// The position of the first '/' or '?' from `start`, or the end.
static size_t authority_end(struct str text, size_t start) {
  while (start < text.len && text.ptr[start] != '/' && text.ptr[start] != '?')
    start++;
  return start;
}

static enum header_place place_absolute(const struct header_rules *rules, struct str text, struct arena *arena,
                                        struct url *url) {
  size_t end = authority_end(text, str_starts_c(text, "https://") ? sizeof("https://") - 1 : sizeof("http://") - 1);
  struct str target = str_from(text, end);

  if (url_parse(str_slice(text, 0, end), url, NULL) != 0 || url->userinfo.ptr)
    return PLACE_BAD;
  if (target.len == 0)
    target = STR("/");
  else if (target.ptr[0] == '?')
    target = ARENA_JOIN(arena, STR("/"), target);
  if (!target.ptr)
    return PLACE_BAD;
  url->target = target;
  return url_same_origin(url, &rules->upstream) ? PLACE_UPSTREAM : PLACE_ABROAD;
}

enum header_place headers_place(const struct header_rules *rules, struct str text, struct arena *arena,
                                struct url *url) {
  if (!is_printable(text))
    return PLACE_BAD;
  if (starts_icase(text, "http://") || starts_icase(text, "https://"))
    return place_absolute(rules, text, arena, url);
  if (text.ptr[0] != '/')
    return PLACE_BAD;
  if (str_starts_c(text, "//")) {
    struct str scheme = rules->upstream.https ? STR("https:") : STR("http:");
    struct str whole = ARENA_JOIN(arena, scheme, text);
    return whole.ptr ? place_absolute(rules, whole, arena, url) : PLACE_BAD;
  }
  *url = rules->upstream;
  url->target = text;
  return PLACE_UPSTREAM;
}

struct str headers_external(const struct header_rules *rules, struct str target, struct arena *arena) {
  return ARENA_JOIN(arena, rules->external, target);
}

// A path that clients reach through us.
static bool is_ours(struct str target) {
  struct oci_path path;
  enum oci_code code;
  ptrdiff_t question = str_find(target, '?');

  return oci_path_read(question < 0 ? target : str_slice(target, 0, (size_t)question), &path, &code, NULL) == 0;
}

// Empty: left out.
static struct str rewrite(const struct header_rules *rules, struct str text, bool is_redirect, struct arena *arena) {
  struct url url;
  enum header_place place = headers_place(rules, text, arena, &url);

  if (place == PLACE_BAD)
    return STR_EMPTY;
  if (place == PLACE_ABROAD && is_redirect)
    return text;
  // Where an upload goes on, or what was made, is behind us whatever host the registry believes to have.
  return is_ours(url.target) ? headers_external(rules, url.target, arena) : STR_EMPTY;
}

// RFC 8288 3: <target>; parameters, more of them by comma. What stands between the brackets is rewritten, or the whole left
// out when it cannot be.
static struct str rewrite_link(const struct header_rules *rules, struct str text, struct arena *arena) {
  struct str out = STR_EMPTY;

  for (;;) {
    ptrdiff_t open = str_find(text, '<');
    if (open < 0)
      return ARENA_JOIN(arena, out, text);
    ptrdiff_t close = str_find(str_from(text, (size_t)open), '>');
    if (close < 0)
      return STR_EMPTY;
    struct str inside = str_slice(text, (size_t)open + 1, (size_t)(open + close));
    struct str rewritten = rewrite(rules, inside, false, arena);
    if (rewritten.len == 0)
      return STR_EMPTY;
    out = ARENA_JOIN(arena, out, str_slice(text, 0, (size_t)open + 1), rewritten, STR(">"));
    if (!out.ptr)
      return out;
    text = str_from(text, (size_t)(open + close) + 1);
  }
}

static bool is_answered(const struct http_head *head, struct str name) {
  return !is_one_of(name, both_ways, ARRAY_LEN(both_ways)) && !is_one_of(name, not_answered, ARRAY_LEN(not_answered)) &&
         !starts_icase(name, "access-control-") && !is_of_connection(head, name);
}

static int add_address(struct headers *out, struct str name, struct str value, struct error *err) {
  if (!value.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for an answer");
  if (value.len)
    add(out, name, value);
  return 0;
}

int headers_answer(const struct header_rules *rules, const struct http_head *head, struct arena *arena,
                   struct headers *out, const char **content_type, struct error *err) {
  bool is_redirect = head->status >= 300 && head->status < 400;
  struct str type = http_head_get(head, "Content-Type"), location = http_head_get(head, "Location");

  *content_type = type.ptr && type.len ? arena_cstr(arena, type) : NULL;
  out->len = 0;
  out->list = arena_array(arena, head->headers_len + OWN_HEADERS, sizeof(*out->list));
  if (!out->list || (type.len && !*content_type))
    return error_set(err, ERR_NO_MEMORY, "no memory for an answer");
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < head->headers_len; i++) {
    const struct http_header *header = &head->headers[i];
    if (str_ieq_c(header->name, "link"))
      rc = add_address(out, STR("Link"), rewrite_link(rules, header->value, arena), err);
    else if (is_answered(head, header->name))
      add(out, header->name, header->value);
  }
  if (rc == 0 && location.ptr)
    rc = add_address(out, STR("Location"), rewrite(rules, location, is_redirect, arena), err);
  if (!http_head_get(head, API_VERSION).ptr)
    add(out, STR(API_VERSION), STR("registry/2.0"));
  return rc;
}
