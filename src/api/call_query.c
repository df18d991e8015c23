// SPDX-License-Identifier: Apache-2.0
// The query of a list as Harbor's clients write it: page, page_size, sort, and the grammar of `q`: conditions by comma,
// `k=v` exact, `k=~v` contains, `k=[min~max]`, `k={v1 v2}` any of, `k=(v1 v2)` all of (read and ignored, as in Harbor),
// and Django-like operators on the key (`k__gte=v`). Keys may be Go's field names (`CreationTime`).
#include "api/call.h"
#include "base/rfc3339.h"
#include "base/utf8.h"
#include "net/url.h"

enum { PAGE_DEFAULT = 10, PAGE_MAX = 100, PAGE_LAST = 1000000000, KEY_MAX_BYTES = 64, QUERY_QUOTED_BYTES = 128 };

static int no_memory(struct error *err) {
  return error_set(err, ERR_NO_MEMORY, "out of memory for the query of a list");
}

static int bad_value(struct str value, struct error *err) {
  return error_set(err, ERR_BAD_REQUEST, "invalid query string value: %.*s",
                   STR_ARG(utf8_cut(value, QUERY_QUOTED_BYTES)));
}

// ---- keys -----------------------------------------------------------------------------------------------------------

static bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// "CreationTime" -> "creation_time", "ProjectID" -> "project_id"; what stands after a dot is the user's
// ("extra_attrs.X"). .ptr NULL: no memory. Names over KEY_MAX_BYTES are no key of ours and stay as they are.
static struct str key_snake(struct str key, struct arena *arena) {
  char text[2 * KEY_MAX_BYTES];
  size_t len = 0;

  if (key.len > KEY_MAX_BYTES)
    return key;
  for (size_t i = 0; i < key.len; i++) {
    if (key.ptr[i] == '.') {
      memcpy(text + len, key.ptr + i, key.len - i);
      len += key.len - i;
      break;
    }
    bool starts_word =
        i > 0 && is_upper(key.ptr[i]) &&
        (is_lower(key.ptr[i - 1]) || (is_upper(key.ptr[i - 1]) && i + 1 < key.len && is_lower(key.ptr[i + 1])));
    if (starts_word)
      text[len++] = '_';
    text[len++] = is_upper(key.ptr[i]) ? (char)(key.ptr[i] - 'A' + 'a') : key.ptr[i];
  }
  return arena_str(arena, (struct str){text, len});
}

enum key_suffix { SUFFIX_NONE, SUFFIX_EXACT, SUFFIX_CONTAINS, SUFFIX_IN, SUFFIX_GTE, SUFFIX_LTE, SUFFIX_GT, SUFFIX_LT };

// Cut "__gte" and the like off the key. False: an operator that nobody knows, so that the key is unknown.
static bool key_suffix(struct str *key, enum key_suffix *suffix) {
  static const struct {
    const char *name;
    enum key_suffix suffix;
  } known[] = {
      {"exact", SUFFIX_EXACT}, {"icontains", SUFFIX_CONTAINS},
      {"in", SUFFIX_IN},       {"gte", SUFFIX_GTE},
      {"lte", SUFFIX_LTE},     {"gt", SUFFIX_GT},
      {"lt", SUFFIX_LT},
  };

  *suffix = SUFFIX_NONE;
  for (size_t i = 1; i + 1 < key->len; i++) {
    if (key->ptr[i] != '_' || key->ptr[i + 1] != '_')
      continue;
    struct str name = str_from(*key, i + 2);
    key->len = i;
    for (size_t k = 0; k < ARRAY_LEN(known); k++) {
      if (str_eq_c(name, known[k].name)) {
        *suffix = known[k].suffix;
        return true;
      }
    }
    return false;
  }
  return true;
}

// ---- values ---------------------------------------------------------------------------------------------------------

// A time without zone (UTC), a number, or words.
static struct query_value value_read(struct str text) {
  struct query_value value = {.kind = QUERY_TEXT, .text = text};
  char zoned[sizeof "2006-01-02T15:04:05Z"];
  bool maybe_time = text.len == sizeof zoned - 2 && text.ptr[10] == 'T';

  if (maybe_time) {
    memcpy(zoned, text.ptr, text.len);
    zoned[sizeof zoned - 2] = 'Z';
    zoned[sizeof zoned - 1] = '\0';
  }
  if (maybe_time && rfc3339_read(str_of(zoned), &value.number))
    value.kind = QUERY_TIME;
  else if (str_to_i64(text, &value.number))
    value.kind = QUERY_INT;
  return value;
}

// Of lists and ranges: words may stand in quotes.
static struct query_value value_of_list(struct str text) {
  struct query_value value = value_read(text);
  bool quoted = text.len >= 2 && (text.ptr[0] == '"' || text.ptr[0] == '\'') && text.ptr[text.len - 1] == text.ptr[0];

  if (value.kind == QUERY_TEXT && quoted)
    value.text = str_slice(text, 1, text.len - 1);
  return value;
}

static bool enclosed(struct str value, char close) {
  return value.len >= 2 && value.ptr[value.len - 1] == close;
}

static int range_read(struct str value, struct query_condition *out, struct error *err) {
  struct str inside = str_slice(value, 1, value.len - 1);
  ptrdiff_t tilde = str_find(inside, '~');

  if (!enclosed(value, ']') || tilde < 0 || tilde != str_rfind(inside, '~') || inside.len < 2)
    return bad_value(value, err);
  struct str low = str_trim(str_slice(inside, 0, (size_t)tilde)), high = str_trim(str_from(inside, (size_t)tilde + 1));
  const struct query_value none = {.kind = QUERY_NONE, .text = STR_EMPTY};
  if (low.len == 0 && high.len == 0)
    return bad_value(value, err);
  out->op = QUERY_RANGE;
  out->values[0] = low.len > 0 ? value_of_list(low) : none;
  out->values[1] = high.len > 0 ? value_of_list(high) : none;
  return 0;
}

// How many values a list may hold: its blanks tell. Sized by the words, so that a query of many empty lists costs nothing.
static size_t list_room(struct str words) {
  size_t room = 1;

  for (size_t i = 0; i < words.len && room < QUERY_MAX_VALUES; i++)
    room += words.ptr[i] == ' ';
  return room;
}

static int list_read(struct str value, char close, struct arena *arena, struct query_condition *out,
                     struct error *err) {
  struct str rest = str_slice(value, 1, value.len - 1), word;

  if (!enclosed(value, close))
    return bad_value(value, err);
  out->op = QUERY_IN;
  out->list = arena_array(arena, list_room(rest), sizeof *out->list);
  if (!out->list)
    return no_memory(err);
  while (str_next(&rest, ' ', &word)) {
    if (word.len == 0)
      continue;
    if (out->list_len == QUERY_MAX_VALUES)
      return error_set(err, ERR_BAD_REQUEST, "a list of the query has more than %d values", QUERY_MAX_VALUES);
    out->list[out->list_len++] = value_of_list(word);
  }
  return 0;
}

// The value's own grammar. `ignored`: read, but no list looks at it.
static int pattern_read(struct str value, struct arena *arena, struct query_condition *out, bool *ignored,
                        struct error *err) {
  *ignored = false;
  switch (value.ptr[0]) {
  case '~':
    out->op = QUERY_LIKE;
    out->values[0] = (struct query_value){.kind = QUERY_TEXT, .text = str_from(value, 1)};
    return 0;
  case '[':
    return range_read(value, out, err);
  case '{':
    return list_read(value, '}', arena, out, err);
  case '(':
    *ignored = true;
    return list_read(value, ')', arena, out, err);
  default:
    out->op = QUERY_EQ;
    out->values[0] = value_read(value.ptr[0] == '\\' ? str_from(value, 1) : value);
    return 0;
  }
}

// An operator on the key decides over a plain value; a value with a grammar of its own does not take one.
static int suffix_apply(enum key_suffix suffix, struct str value, struct arena *arena, struct query_condition *out,
                        struct error *err) {
  const struct query_value none = {.kind = QUERY_NONE, .text = STR_EMPTY};

  if (suffix == SUFFIX_NONE || suffix == SUFFIX_EXACT || (suffix == SUFFIX_IN && out->op == QUERY_IN))
    return 0;
  if (out->op != QUERY_EQ)
    return bad_value(value, err);
  switch (suffix) {
  case SUFFIX_CONTAINS:
    out->op = QUERY_LIKE;
    return 0;
  case SUFFIX_IN:
    out->op = QUERY_IN;
    out->list = ARENA_NEW(arena, struct query_value);
    if (!out->list)
      return no_memory(err);
    out->list[out->list_len++] = out->values[0];
    return 0;
  case SUFFIX_GTE:
    out->op = QUERY_RANGE;
    out->values[1] = none;
    return 0;
  case SUFFIX_LTE:
    out->op = QUERY_RANGE;
    out->values[1] = out->values[0];
    out->values[0] = none;
    return 0;
  default:
    out->op = suffix == SUFFIX_GT ? QUERY_GT : QUERY_LT;
    return 0;
  }
}

// ---- q and sort -----------------------------------------------------------------------------------------------------

static int condition_add(struct query *query, const struct query_condition *condition, struct error *err) {
  for (size_t i = 0; i < query->conditions_len; i++) {
    // The last one of a key counts, as in a Go map; operators make keys of their own.
    if (str_eq(query->conditions[i].key, condition->key) && query->conditions[i].op == condition->op &&
        condition->op != QUERY_RANGE) {
      query->conditions[i] = *condition;
      return 0;
    }
  }
  if (query->conditions_len == QUERY_MAX_CONDITIONS)
    return error_set(err, ERR_BAD_REQUEST, "the query string has more than %d conditions", QUERY_MAX_CONDITIONS);
  query->conditions[query->conditions_len++] = *condition;
  return 0;
}

static int piece_read(struct str piece, struct arena *arena, struct query *query, struct error *err) {
  ptrdiff_t equals = str_find(piece, '=');
  struct query_condition condition = {0};
  enum key_suffix suffix;
  bool ignored;

  if (equals <= 0 || (size_t)equals + 1 == piece.len)
    return error_set(err, ERR_BAD_REQUEST, "the query string must contain \"=\" and the key/value cannot be empty");
  struct str key = str_slice(piece, 0, (size_t)equals), value = str_from(piece, (size_t)equals + 1);
  int rc = pattern_read(value, arena, &condition, &ignored, err);
  if (rc != 0 || ignored || !key_suffix(&key, &suffix))
    return rc;
  if ((rc = suffix_apply(suffix, value, arena, &condition, err)) != 0)
    return rc;
  condition.key = key_snake(key, arena);
  return condition.key.ptr ? condition_add(query, &condition, err) : no_memory(err);
}

// `q` is decoded once more than other parameters: clients encode it twice. What is not encoded twice stays as it is.
static struct str decode_again(struct str q, struct arena *arena) {
  struct str again;
  char *copy = arena_cstr(arena, q);

  if (!copy)
    return (struct str){0};
  for (size_t i = 0; i < q.len; i++)
    if (copy[i] == '+')
      copy[i] = ' ';
  return url_decode((struct str){copy, q.len}, arena, &again) ? again : q;
}

static int q_read(struct str q, struct arena *arena, struct query *query, struct error *err) {
  struct str piece;

  query->conditions = arena_array(arena, QUERY_MAX_CONDITIONS, sizeof *query->conditions);
  q = decode_again(q, arena);
  if (!query->conditions || !q.ptr)
    return no_memory(err);
  if (!utf8_valid(q) || str_find(q, '\0') >= 0)
    return error_set(err, ERR_BAD_REQUEST, "the query string is not valid UTF-8 text");
  while (str_next(&q, ',', &piece)) {
    int rc = piece_read(piece, arena, query, err);
    if (rc != 0)
      return rc;
  }
  return 0;
}

static int sort_read(struct str text, struct arena *arena, struct query *query, struct error *err) {
  struct str part;

  while (query->sorts_len < QUERY_MAX_SORTS && str_next(&text, ',', &part)) {
    bool descending = str_starts_c(part, "-");
    part = str_trim(descending ? str_from(part, 1) : part);
    if (part.len == 0)
      continue;
    struct str key = key_snake(part, arena);
    if (!key.ptr)
      return no_memory(err);
    query->sorts[query->sorts_len++] = (struct query_sort){.key = key, .descending = descending};
  }
  return 0;
}

int call_list_query(struct api_call *call, int64_t max_rows, struct query *out, struct error *err) {
  struct str text;

  *out = (struct query){.max_rows = max_rows};
  int rc = call_query_int(call, "page", 1, &out->page, err);
  if (rc == 0)
    rc = call_query_int(call, "page_size", PAGE_DEFAULT, &out->page_size, err);
  if (rc != 0)
    return rc;
  if (out->page_size > PAGE_MAX)
    return error_set(err, ERR_INVALID,
                     "validation failure list:\npage_size in query should be less than or equal to %d", PAGE_MAX);
  if (out->page < 1)
    out->page = 1;
  if (out->page > PAGE_LAST)
    out->page = PAGE_LAST; // past every end; keeps products from overflowing
  if (call_query_str(call, "q", &text) && text.len > 0 && (rc = q_read(text, call->arena, out, err)) != 0)
    return rc;
  if (call_query_str(call, "sort", &text))
    rc = sort_read(text, call->arena, out, err);
  return rc;
}
