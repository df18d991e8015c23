// SPDX-License-Identifier: Apache-2.0
#include "gateway/catalog.h"

#include "base/json_writer.h"
#include "store/catalogue.h"

enum { PAGE_MAX_BYTES = 1024 * 1024 };

static int refuse(struct visit *visit, enum oci_code code, int rc) {
  visit->code = code;
  visit->rc = rc;
  return rc;
}

static int read_n(struct visit *visit, int64_t *n) {
  struct str text;

  *n = CATALOG_PAGE;
  if (!url_query_get(visit->request->head->query, "n", visit->request->arena, &text))
    return 0;
  if (!str_to_i64(text, n) || *n < 0) {
    (void)error_set(&visit->err, ERR_BAD_REQUEST, "`n` must be a number of repositories");
    return refuse(visit, OCI_PAGINATION_NUMBER_INVALID, ERR_BAD_REQUEST);
  }
  if (*n > CATALOG_MAX_PAGE)
    *n = CATALOG_MAX_PAGE;
  return 0;
}

static struct str write_page(struct arena *arena, const struct repository *list, size_t len) {
  struct buf body;

  buf_init(&body, PAGE_MAX_BYTES);
  struct json_writer w = json_writer_make(&body, false);
  json_object_begin(&w);
  json_key(&w, "repositories");
  json_array_begin(&w);
  for (size_t i = 0; i < len; i++)
    json_put_str(&w, list[i].name);
  json_array_end(&w);
  json_object_end(&w);
  buf_put_char(&body, '\n');
  struct str page = body.failed ? (struct str){0} : arena_str(arena, buf_str(&body));
  buf_free(&body);
  return page;
}

int catalog_read(struct visit *visit, struct store_conn *conn) {
  struct arena *arena = visit->request->arena;
  struct query_condition after = {.key = STR("name"), .op = QUERY_GT};
  struct query query = {.sorts = {{.key = STR("name")}}, .sorts_len = 1, .page = 1};
  struct repository *list = NULL;
  struct str last;
  size_t len = 0;
  int64_t n, total;
  int rc = read_n(visit, &n);

  if (rc != 0)
    return rc;
  if (url_query_get(visit->request->head->query, "last", arena, &last) && last.len) {
    after.values[0] = (struct query_value){.kind = QUERY_TEXT, .text = last};
    query.conditions = &after;
    query.conditions_len = 1;
  }
  query.page_size = n + 1; // one more tells whether another page follows
  query.max_rows = n + 1;
  int64_t scope = visit->identity.is_admin ? REPOSITORY_OF_ALL : REPOSITORY_OF_PUBLIC;
  if (n > 0 && (rc = repository_list(conn, scope, &query, arena, &list, &len, &total, &visit->err)) != 0)
    return refuse(visit, OCI_UNAVAILABLE, rc);
  bool more = len > (size_t)n;
  visit->catalog_page = write_page(arena, list, more ? (size_t)n : len);
  visit->catalog_link = STR_EMPTY;
  if (more) // a repository's name needs no escape in a query
    visit->catalog_link =
        arena_printf(arena, "<%.*s/v2/_catalog?last=%.*s&n=%lld>; rel=\"next\"",
                     STR_ARG(visit->gateway->rules.external), STR_ARG(list[n - 1].name), (long long)n);
  if (visit->catalog_page.ptr && visit->catalog_link.ptr)
    return 0;
  return refuse(visit, OCI_UNAVAILABLE, error_set(&visit->err, ERR_NO_MEMORY, "no memory for a page of the catalogue"));
}

void catalog_answer(struct visit *visit) {
  const struct http_header headers[] = {{STR("Docker-Distribution-Api-Version"), STR("registry/2.0")},
                                        {STR("Link"), visit->catalog_link}};

  visit_over(visit);
  http_respond(visit->request, &(struct http_response){.status = 200,
                                                       .content_type = "application/json; charset=utf-8",
                                                       .headers = headers,
                                                       .headers_len = visit->catalog_link.len ? 2 : 1,
                                                       .body = visit->catalog_page});
}
