// SPDX-License-Identifier: Apache-2.0
// What we say ourselves: errors in the specification's shape.
#include "gateway/gateway_internal.h"

enum { ERROR_BODY_BYTES = 4 * ERROR_TEXT_BYTES, ERROR_HEADERS = 3 };

void answer_error(struct gateway *gateway, struct http_request *request, enum oci_code code, int status,
                  const char *words) {
  struct http_header headers[ERROR_HEADERS] = {{STR("Docker-Distribution-Api-Version"), STR("registry/2.0")}};
  size_t len = 1;
  struct oci_path path;
  enum oci_code ignored;
  struct buf body;

  (void)gateway;
  if (status == 0)
    status = oci_code_status(code);
  if (status == 401)
    headers[len++] = (struct http_header){STR("WWW-Authenticate"), STR("Basic realm=\"harbinger\"")};
  if (status == 405 && oci_path_read(request->head->path, &path, &ignored, NULL) == 0)
    headers[len++] = (struct http_header){STR("Allow"), str_of(oci_kind_methods(path.kind))};
  if (status == 429 || status == 503)
    headers[len++] = (struct http_header){STR("Retry-After"), STR("1")};
  buf_init(&body, ERROR_BODY_BYTES);
  oci_error_write(code, str_of(words), &body);
  http_respond(request, &(struct http_response){.status = status,
                                                .content_type = "application/json; charset=utf-8",
                                                .headers = headers,
                                                .headers_len = len,
                                                .body = buf_str(&body)});
  buf_free(&body);
}

void visit_refuse(struct visit *visit, enum oci_code code, int status, const char *words) {
  struct gateway *gateway = visit->gateway;

  visit_over(visit);
  answer_error(gateway, visit->request, code, status, words);
}
