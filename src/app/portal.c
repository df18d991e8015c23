// SPDX-License-Identifier: Apache-2.0
#include "app/portal.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "base/crypto.h"
#include "base/id.h"
#include "net/http_accept.h"
#include "net/url.h"

enum {
  INDEX_MAX_BYTES = 256 * 1024,
  PREFIX_MAX_BYTES = URL_MAX_BYTES * (sizeof "&amp;" - 1),
  NONCE_BYTES = 16,
  NONCE_TEXT_BYTES = 32, // base64url of it
  ERROR_BODY_BYTES = 4096,
  MAX_HEADERS = 12,
};

// scripts/embed-portal sees to it that index.html holds each of them once.
#define BASE_MARK "<base href=\"/\" />"
#define NONCE_MARK "__CSP_NONCE__"

struct portal {
  const struct embedded_page *pages;
  struct buf prefix; // what addresses begin with, e.g. "/hooks/", as HTML
  struct buf index;  // index.html with the prefix in it, and the mark of the nonce; empty: there is no portal
};

// An answer's headers, with memory for what is made for it.
struct answer {
  struct http_header headers[MAX_HEADERS];
  size_t headers_len;
  char policy[512];
  char etag[64];
};

static const char without_portal[] =
    "Harbinger: webhooks for container registries.\n"
    "API: /api/v2.0 (described at /api/openapi.yaml). Health: /healthz, /readyz. Metrics: /metrics.\n"
    "From a terminal: harbinger login, then harbinger webhook ls.\n"
    "This program was built without the portal: scripts/build-portal makes it, scripts/build puts it in.\n";

static const char not_found_page[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<meta charset=\"utf-8\" />\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n"
    "<meta name=\"color-scheme\" content=\"light dark\" />\n"
    "<title>Page not found - Harbinger</title>\n"
    "<h1>Page not found</h1>\n"
    "<p>There is nothing at this address. The portal begins at <a href=\"%.*s\">its projects</a>.</p>\n"
    "</html>\n";

// ---- index.html ------------------------------------------------------------------------------------------------------

static void put_replaced(struct buf *out, struct str text, struct str mark, struct str by) {
  const char *at;

  while (text.len > 0 && (at = memmem(text.ptr, text.len, mark.ptr, mark.len)) != NULL) {
    size_t before = (size_t)(at - text.ptr);
    buf_put(out, str_slice(text, 0, before));
    buf_put(out, by);
    text = str_from(text, before + mark.len);
  }
  buf_put(out, text);
}

// The prefix for an attribute's value. Of what HTML would take for its own a URL's path may hold only this.
static void put_escaped(struct buf *out, struct str text) {
  put_replaced(out, text, STR("&"), STR("&amp;"));
}

static int make_prefix(struct portal *portal, const char *public_url, struct error *err) {
  struct url url;
  struct str path = STR_EMPTY;

  if (public_url[0]) {
    int rc = url_parse(str_of(public_url), &url, err);
    if (rc != 0)
      return rc;
    path = url_path(&url);
  }
  // Two slashes in front would make the first part a host.
  while (path.len > 1 && path.ptr[1] == '/')
    path = str_from(path, 1);
  put_escaped(&portal->prefix, path);
  buf_put_char(&portal->prefix, '/');
  return 0;
}

static struct str bytes_of(const struct embedded_page *page) {
  return (struct str){(const char *)page->data, page->size_bytes};
}

static const struct embedded_page *find_page(const struct portal *portal, struct str path) {
  for (const struct embedded_page *page = portal->pages; page->path; page++) {
    if (str_eq_c(path, page->path))
      return page;
  }
  return NULL;
}

static int make_index(struct portal *portal, struct error *err) {
  const struct embedded_page *page = find_page(portal, STR("index.html"));
  struct buf base;

  buf_init(&base, PREFIX_MAX_BYTES + sizeof BASE_MARK);
  buf_printf(&base, "<base href=\"%.*s\" />", STR_ARG(buf_str(&portal->prefix)));
  if (page)
    put_replaced(&portal->index, bytes_of(page), STR(BASE_MARK), buf_str(&base));
  int rc = 0;
  if (portal->prefix.failed || base.failed || portal->index.failed)
    rc = error_set(err, ERR_NO_MEMORY, "out of memory for the portal's first page");
  buf_free(&base);
  return rc;
}

// ---- headers ---------------------------------------------------------------------------------------------------------

static void put_header(struct answer *answer, struct str name, const char *value) {
  if (answer->headers_len < MAX_HEADERS)
    answer->headers[answer->headers_len++] = (struct http_header){name, str_of(value)};
}

// Nothing from elsewhere, nothing inline but the styles that know the nonce, nobody may frame it. `nonce`: "" for none.
static void put_security_headers(struct answer *answer, const char *nonce) {
  snprintf(answer->policy, sizeof answer->policy,
           "default-src 'none'; script-src 'self'; style-src 'self'%s%s%s; img-src 'self' data:; font-src 'self'; "
           "connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
           nonce[0] ? " 'nonce-" : "", nonce, nonce[0] ? "'" : "");
  put_header(answer, STR("Content-Security-Policy"), answer->policy);
  put_header(answer, STR("Referrer-Policy"), "same-origin");
  put_header(answer, STR("Cross-Origin-Opener-Policy"), "same-origin");
  put_header(answer, STR("X-Frame-Options"), "DENY");
}

static void respond(struct http_request *request, struct answer *answer, int status, const char *content_type,
                    struct str body) {
  http_respond(request, &(struct http_response){.status = status,
                                                .content_type = content_type,
                                                .headers = answer->headers,
                                                .headers_len = answer->headers_len,
                                                .body = body});
}

static void respond_error(struct http_request *request, struct answer *answer, int status, const char *words) {
  struct buf body;

  buf_init(&body, ERROR_BODY_BYTES);
  put_security_headers(answer, "");
  api_write_error(error_of_status(status), status, words, &body);
  respond(request, answer, status, "application/json; charset=utf-8", buf_str(&body));
  buf_free(&body);
}

// ---- answers ---------------------------------------------------------------------------------------------------------

static void answer_index(struct portal *portal, struct http_request *request) {
  uint8_t random[NONCE_BYTES];
  char nonce[NONCE_TEXT_BYTES];
  struct answer answer = {0};
  struct buf text, body;

  random_bytes(random, sizeof random);
  buf_init(&text, sizeof nonce - 1);
  crypto_base64url((struct str){(const char *)random, sizeof random}, &text);
  buf_init(&body, INDEX_MAX_BYTES);
  put_replaced(&body, buf_str(&portal->index), STR(NONCE_MARK), buf_str(&text));
  snprintf(nonce, sizeof nonce, "%.*s", STR_ARG(buf_str(&text)));
  if (text.failed || body.failed) {
    respond_error(request, &answer, 503, "out of memory");
  } else {
    put_security_headers(&answer, nonce);
    put_header(&answer, STR("Cache-Control"), "no-store"); // a nonce is for one answer
    respond(request, &answer, 200, "text/html; charset=utf-8", buf_str(&body));
  }
  buf_free(&body);
  buf_free(&text);
}

static void answer_page(struct http_request *request, const struct embedded_page *page) {
  struct answer answer = {0};
  bool compressed = page->gzip && http_accepts_gzip(request->head);
  // Vite puts a hash of the content into the names below assets/.
  bool for_ever = str_starts_c(str_of(page->path), "assets/");

  // RFC 9110 8.8.3.3: each coding has its own strong tag.
  snprintf(answer.etag, sizeof answer.etag, "\"%s%s\"", page->hash, compressed ? "-gzip" : "");
  put_security_headers(&answer, "");
  put_header(&answer, STR("ETag"), answer.etag);
  put_header(&answer, STR("Cache-Control"), for_ever ? "public, max-age=31536000, immutable" : "no-cache");
  if (page->gzip)
    put_header(&answer, STR("Vary"), "Accept-Encoding");
  if (http_none_match_holds(request->head, str_of(answer.etag))) {
    respond(request, &answer, 304, NULL, STR_EMPTY);
    return;
  }
  if (compressed)
    put_header(&answer, STR("Content-Encoding"), "gzip");
  respond(request, &answer, 200, page->content_type,
          compressed ? (struct str){(const char *)page->gzip, page->gzip_bytes} : bytes_of(page));
}

static void answer_not_found(struct portal *portal, struct http_request *request) {
  struct answer answer = {0};
  struct buf body;

  put_header(&answer, STR("Vary"), "Accept");
  put_header(&answer, STR("Cache-Control"), "no-store");
  if (portal->index.len == 0 || !http_accept_names(request->head, "text/html")) {
    respond_error(request, &answer, 404, "path not found");
    return;
  }
  buf_init(&body, ERROR_BODY_BYTES + PREFIX_MAX_BYTES);
  buf_printf(&body, not_found_page, STR_ARG(buf_str(&portal->prefix)));
  put_security_headers(&answer, "");
  respond(request, &answer, 404, "text/html; charset=utf-8", buf_str(&body));
  buf_free(&body);
}

// ---- which one -------------------------------------------------------------------------------------------------------

static bool is_get(const struct http_head *head) {
  return str_eq_c(head->method, "GET") || str_eq_c(head->method, "HEAD");
}

// The addresses that the portal's own router knows, and what index.html itself is called.
static bool is_portals(struct str path) {
  return str_eq_c(path, "/") || str_eq_c(path, "/index.html") || str_eq_c(path, "/harbor") ||
         str_starts_c(path, "/harbor/");
}

static void answer_method(struct http_request *request) {
  struct answer answer = {0};

  put_header(&answer, STR("Allow"), "GET, HEAD");
  respond_error(request, &answer, 405, "method not allowed: only GET and HEAD are");
}

static void answer_without_portal(struct http_request *request) {
  struct answer answer = {0};

  put_security_headers(&answer, "");
  respond(request, &answer, 200, "text/plain; charset=utf-8", str_of(without_portal));
}

// The path is compared as it came, never decoded and never walked: there are no folders to leave.
void portal_handle(struct portal *portal, struct http_request *request) {
  struct str path = request->head->path;
  bool has_index = portal->index.len > 0;
  bool index = has_index ? is_portals(path) : str_eq_c(path, "/");
  const struct embedded_page *page = !index && path.len > 1 ? find_page(portal, str_from(path, 1)) : NULL;

  if (!index && (!page || path.ptr[0] != '/'))
    answer_not_found(portal, request);
  else if (!is_get(request->head))
    answer_method(request);
  else if (page)
    answer_page(request, page);
  else if (has_index)
    answer_index(portal, request);
  else
    answer_without_portal(request);
}

struct portal *portal_new(const struct embedded_page *pages, const char *public_url, struct error *err) {
  struct portal *portal = calloc(1, sizeof *portal);

  if (!portal) {
    (void)error_set(err, ERR_NO_MEMORY, "out of memory for the portal");
    return NULL;
  }
  portal->pages = pages;
  buf_init(&portal->index, INDEX_MAX_BYTES);
  buf_init(&portal->prefix, PREFIX_MAX_BYTES);
  if (make_prefix(portal, public_url, err) != 0 || make_index(portal, err) != 0) {
    portal_free(portal);
    return NULL;
  }
  return portal;
}

void portal_free(struct portal *portal) {
  if (!portal)
    return;
  buf_free(&portal->index);
  buf_free(&portal->prefix);
  free(portal);
}
