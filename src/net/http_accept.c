// SPDX-License-Identifier: Apache-2.0
#include "net/http_accept.h"

enum { WEIGHT_MOST = 1000, WEIGHT_UNSAID = -1 }; // thousandths: a weight has at most three digits

// RFC 9110 12.4.2: "0" or "1", up to three digits behind a dot. What cannot be read wants nothing.
static int weight_read(struct str text) {
  int weight = 0, unit = WEIGHT_MOST;

  if (text.len == 0 || text.len > sizeof "0.000" - 1 || (text.len > 1 && text.ptr[1] != '.'))
    return 0;
  for (size_t i = 0; i < text.len; i++) {
    if (i == 1)
      continue;
    if (text.ptr[i] < '0' || text.ptr[i] > '9')
      return 0;
    weight += (text.ptr[i] - '0') * unit;
    unit /= 10;
  }
  return weight <= WEIGHT_MOST ? weight : 0;
}

// The weight among the parameters behind an item: `;level=1;q=0.4`.
static int weight_of_parameters(struct str parameters) {
  struct str one;

  while (parameters.len > 0 && str_next(&parameters, ';', &one)) {
    one = str_trim(one);
    if (str_starts_c(one, "q=") || str_starts_c(one, "Q="))
      return weight_read(str_from(one, sizeof "q=" - 1));
  }
  return WEIGHT_MOST;
}

// The weight that a list names for `item`; WEIGHT_UNSAID when it does not.
static int weight_in_list(struct str list, const char *item) {
  struct str one;

  while (list.len > 0 && str_next(&list, ',', &one)) {
    ptrdiff_t end = str_find(one, ';');
    struct str name = end < 0 ? one : str_slice(one, 0, (size_t)end);
    if (str_ieq_c(str_trim(name), item))
      return end < 0 ? WEIGHT_MOST : weight_of_parameters(str_from(one, (size_t)end + 1));
  }
  return WEIGHT_UNSAID;
}

// A list may come in several headers (RFC 9110 5.3).
static int weight_of(const struct http_head *head, const char *header, const char *item) {
  for (size_t i = 0; i < head->headers_len; i++) {
    if (!str_ieq_c(head->headers[i].name, header))
      continue;
    int weight = weight_in_list(head->headers[i].value, item);
    if (weight != WEIGHT_UNSAID)
      return weight;
  }
  return WEIGHT_UNSAID;
}

bool http_accepts_gzip(const struct http_head *head) {
  int others = weight_of(head, "Accept-Encoding", "*");
  int gzip = weight_of(head, "Accept-Encoding", "gzip");
  int plain = weight_of(head, "Accept-Encoding", "identity");

  if (gzip == WEIGHT_UNSAID)
    gzip = weight_of(head, "Accept-Encoding", "x-gzip"); // RFC 9110 8.4.1.3: the same
  if (gzip == WEIGHT_UNSAID)
    gzip = others;
  if (plain == WEIGHT_UNSAID)
    plain = others;
  return gzip > 0 && gzip >= plain;
}

bool http_accept_names(const struct http_head *head, const char *media_type) {
  return weight_of(head, "Accept", media_type) > 0;
}

static bool list_holds_tag(struct str list, struct str etag) {
  struct str one;

  while (list.len > 0 && str_next(&list, ',', &one)) {
    one = str_trim(one);
    if (str_starts_c(one, "W/"))
      one = str_from(one, sizeof "W/" - 1);
    if (str_eq(one, etag) || str_eq_c(one, "*"))
      return true;
  }
  return false;
}

bool http_none_match_holds(const struct http_head *head, struct str etag) {
  for (size_t i = 0; i < head->headers_len; i++) {
    if (str_ieq_c(head->headers[i].name, "If-None-Match") && list_holds_tag(head->headers[i].value, etag))
      return true;
  }
  return false;
}
