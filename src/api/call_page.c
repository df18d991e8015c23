// SPDX-License-Identifier: Apache-2.0
// X-Total-Count and Link as Harbor writes them: the request's path and query, parameters decoded and in alphabetical
// order, with `page` and `page_size` of the page that the link leads to.
#include <stdlib.h>

#include "api/call.h"
#include "net/byte_class.h"
#include "net/url.h"

enum { PAGE_MAX_PAIRS = 64, PAGE_MAX_LINK_BYTES = 2 * HTTP_MAX_HEAD_BYTES };

struct pair {
  struct str key, value; // decoded
  size_t place;          // in the request: equal keys keep their order
};

static int pair_order(const void *a, const void *b) {
  const struct pair *left = a, *right = b;
  int order = str_cmp(left->key, right->key);

  if (order != 0)
    return order;
  return left->place < right->place ? -1 : 1;
}

// '+' is a blank in a query (application/x-www-form-urlencoded).
static bool decode_form(struct str text, struct arena *arena, struct str *out) {
  char *copy = arena_cstr(arena, text);

  if (!copy)
    return false;
  for (size_t i = 0; i < text.len; i++)
    if (copy[i] == '+')
      copy[i] = ' ';
  return url_decode((struct str){copy, text.len}, arena, out);
}

// The request's own parameters but those that the link sets itself. Malformed ones are left out, as Go does.
static size_t pairs_read(struct str query, struct arena *arena, struct pair *pairs) {
  struct str text;
  size_t len = 0;

  while (len < PAGE_MAX_PAIRS - 2 && str_next(&query, '&', &text)) {
    ptrdiff_t equals = str_find(text, '=');
    struct pair *pair = &pairs[len];
    if (text.len == 0 || !decode_form(equals < 0 ? text : str_slice(text, 0, (size_t)equals), arena, &pair->key) ||
        !decode_form(equals < 0 ? STR_EMPTY : str_from(text, (size_t)equals + 1), arena, &pair->value))
      continue;
    if (str_eq_c(pair->key, "page") || str_eq_c(pair->key, "page_size"))
      continue;
    pair->place = len++;
  }
  return len;
}

static bool is_unreserved(char c) {
  return byte_is(c, BYTE_ALPHA | BYTE_DIGIT) || c == '-' || c == '.' || c == '_' || c == '~';
}

static void put_escaped(struct str text, struct buf *out) {
  for (size_t i = 0; i < text.len; i++) {
    if (is_unreserved(text.ptr[i]))
      buf_put_char(out, text.ptr[i]);
    else
      buf_printf(out, "%%%02X", (unsigned)(unsigned char)text.ptr[i]);
  }
}

// Can these decoded words stand in a header between '<' and '>'?
static bool is_plain(struct str text) {
  for (size_t i = 0; i < text.len; i++)
    if (text.ptr[i] < 0x20 || text.ptr[i] > 0x7e || text.ptr[i] == '<' || text.ptr[i] == '>')
      return false;
  return true;
}

// Harbor undoes the escaping of its links; where that would break the header it stays.
static void put_word(struct str text, struct buf *out) {
  if (is_plain(text))
    buf_put(out, text);
  else
    put_escaped(text, out);
}

static void link_put(struct api_call *call, const struct query *query, int64_t page, const char *rel,
                     const struct pair *request_pairs, size_t request_len, struct buf *out) {
  struct pair pairs[PAGE_MAX_PAIRS];
  size_t len = 0;
  struct str path = call->request->head->path, decoded;

  for (; len < request_len; len++)
    pairs[len] = request_pairs[len];
  struct str page_text = arena_printf(call->arena, "%lld", (long long)page);
  struct str size_text = arena_printf(call->arena, "%lld", (long long)query->page_size);
  pairs[len++] = (struct pair){STR("page"), page_text, 0};
  pairs[len++] = (struct pair){STR("page_size"), size_text, 0};
  qsort(pairs, len, sizeof pairs[0], pair_order);
  if (out->len > 0)
    buf_put(out, STR(" , "));
  buf_put_char(out, '<');
  if (url_decode(path, call->arena, &decoded) && is_plain(decoded))
    path = decoded;
  buf_put(out, path);
  for (size_t i = 0; i < len; i++) {
    buf_put_char(out, i == 0 ? '?' : '&');
    put_word(pairs[i].key, out);
    buf_put_char(out, '=');
    put_word(pairs[i].value, out);
  }
  buf_printf(out, ">; rel=\"%s\"", rel);
}

// The page before exists when it is not the first and its end is before the total's; Harbor's conditions, with its
// products kept from overflowing.
static int put_links(struct api_call *call, const struct query *query, int64_t total, struct error *err) {
  struct pair pairs[PAGE_MAX_PAIRS];
  int64_t before, through;
  struct buf out;

  if (query->page_size <= 0)
    return 0;
  if (__builtin_mul_overflow(query->page - 1, query->page_size, &before) ||
      __builtin_mul_overflow(query->page, query->page_size, &through))
    return 0;
  bool has_prev = query->page > 1 && before < total, has_next = through < total;
  if (!has_prev && !has_next)
    return 0;
  size_t len = pairs_read(call->request->head->query, call->arena, pairs);
  buf_init(&out, PAGE_MAX_LINK_BYTES);
  if (has_prev)
    link_put(call, query, query->page - 1, "prev", pairs, len, &out);
  if (has_next)
    link_put(call, query, query->page + 1, "next", pairs, len, &out);
  struct str value = out.failed ? (struct str){0} : arena_str(call->arena, buf_str(&out));
  buf_free(&out);
  if (!value.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for the links of a list");
  call_header(call, "Link", value);
  return 0;
}

int call_page_headers(struct api_call *call, const struct query *query, int64_t total, struct error *err) {
  struct str count = arena_printf(call->arena, "%lld", (long long)total);

  if (!count.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for the headers of a list");
  call_header(call, "X-Total-Count", count);
  return put_links(call, query, total, err);
}
