// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/routes.h"

struct world {
  struct http_head head;
  struct http_header headers[4];
  struct http_request request;
  struct api_call call;
  struct query query;
  struct error err;
};

static int setup(void **state) {
  struct world *world = test_calloc(1, sizeof *world);
  world->request.arena = arena_new(16 * 1024 * 1024);
  world->head.headers = world->headers;
  world->head.path = STR("/api/v2.0/projects");
  world->request.head = &world->head;
  world->call = (struct api_call){.request = &world->request, .arena = world->request.arena};
  *state = world;
  return 0;
}

static int teardown(void **state) {
  struct world *world = *state;
  arena_free(world->request.arena);
  test_free(world);
  return 0;
}

static int read_query(struct world *world, const char *text) {
  world->head.query = str_of(text);
  return call_list_query(&world->call, 1000, &world->query, &world->err);
}

static const struct query_condition *only(struct world *world, const char *text) {
  assert_int_equal(read_query(world, text), 0);
  assert_int_equal(world->query.conditions_len, 1);
  return &world->query.conditions[0];
}

#define ASSERT_STR(str, expected) assert_true(str_eq_c((str), (expected)))

static void assert_refused(struct world *world, const char *text, enum errcode code, const char *words) {
  assert_int_equal(read_query(world, text), code);
  assert_string_equal(world->err.text, words);
}

// ---- pages ----------------------------------------------------------------------------------------------------------

static void test_defaults(void **state) {
  struct world *world = *state;
  assert_int_equal(read_query(world, ""), 0);
  assert_int_equal(world->query.page, 1);
  assert_int_equal(world->query.page_size, 10);
  assert_int_equal(world->query.max_rows, 1000);
  assert_int_equal(world->query.conditions_len, 0);
  assert_int_equal(world->query.sorts_len, 0);
}

static void test_pages(void **state) {
  struct world *world = *state;
  assert_int_equal(read_query(world, "page=3&page_size=100"), 0);
  assert_int_equal(world->query.page, 3);
  assert_int_equal(world->query.page_size, 100);
  assert_int_equal(read_query(world, "page=0&page_size=0"), 0); // harbor-cli's way to ask for all
  assert_int_equal(world->query.page, 1);
  assert_int_equal(world->query.page_size, 0);
  assert_int_equal(read_query(world, "page_size=-1&page=-7"), 0);
  assert_int_equal(world->query.page, 1);
  assert_int_equal(world->query.page_size, -1);
  assert_int_equal(read_query(world, "page=9223372036854775807&page_size=100"), 0);
  assert_true(world->query.page <= INT64_MAX / 100);
}

static void test_bad_pages_are_invalid_in_harbors_words(void **state) {
  struct world *world = *state;
  assert_refused(world, "page_size=101", ERR_INVALID,
                 "validation failure list:\npage_size in query should be less than or equal to 100");
  assert_refused(world, "page=abc", ERR_INVALID,
                 "validation failure list:\npage in query must be of type int64: \"abc\"");
  assert_refused(world, "page_size=1.5", ERR_INVALID,
                 "validation failure list:\npage_size in query must be of type int64: \"1.5\"");
  assert_int_equal(read_query(world, "page=9223372036854775808"), ERR_INVALID);
}

// ---- q --------------------------------------------------------------------------------------------------------------

static void test_exact(void **state) {
  struct world *world = *state;
  const struct query_condition *condition = only(world, "q=name=ci");
  assert_int_equal(condition->op, QUERY_EQ);
  ASSERT_STR(condition->key, "name");
  ASSERT_STR(condition->values[0].text, "ci");
  assert_int_equal(condition->values[0].kind, QUERY_TEXT);
  condition = only(world, "q=id=42");
  assert_int_equal(condition->values[0].kind, QUERY_INT);
  assert_int_equal(condition->values[0].number, 42);
  ASSERT_STR(condition->values[0].text, "42");
  condition = only(world, "q=name=\\~x"); // the backslash lets a value begin with a special character
  assert_int_equal(condition->op, QUERY_EQ);
  ASSERT_STR(condition->values[0].text, "~x");
  condition = only(world, "q=name=a=b");
  ASSERT_STR(condition->values[0].text, "a=b");
}

static void test_contains(void **state) {
  struct world *world = *state;
  const struct query_condition *condition = only(world, "q=name=~web");
  assert_int_equal(condition->op, QUERY_LIKE);
  ASSERT_STR(condition->values[0].text, "web");
  condition = only(world, "q=id=~4");
  assert_int_equal(condition->op, QUERY_LIKE);
}

static void test_ranges(void **state) {
  struct world *world = *state;
  const struct query_condition *condition = only(world, "q=creation_time=[2026-08-21T08:13:20~2026-08-21T08:13:21]");
  assert_int_equal(condition->op, QUERY_RANGE);
  assert_int_equal(condition->values[0].kind, QUERY_TIME);
  assert_int_equal(condition->values[0].number, INT64_C(1787300000) * US_PER_S);
  assert_int_equal(condition->values[1].number, INT64_C(1787300001) * US_PER_S);
  condition = only(world, "q=id=[~9]");
  assert_int_equal(condition->values[0].kind, QUERY_NONE);
  assert_int_equal(condition->values[1].number, 9);
  condition = only(world, "q=name=['a'~\"b\"]");
  ASSERT_STR(condition->values[0].text, "a");
  ASSERT_STR(condition->values[1].text, "b");
}

static void test_lists(void **state) {
  struct world *world = *state;
  const struct query_condition *condition = only(world, "q=id={1%202%20x}");
  assert_int_equal(condition->op, QUERY_IN);
  assert_int_equal(condition->list_len, 3);
  assert_int_equal(condition->list[1].number, 2);
  assert_int_equal(condition->list[2].kind, QUERY_TEXT);
  condition = only(world, "q=id={}");
  assert_int_equal(condition->op, QUERY_IN);
  assert_int_equal(condition->list_len, 0);
  assert_int_equal(read_query(world, "q=labels=(a%20b)"), 0); // read and ignored
  assert_int_equal(world->query.conditions_len, 0);
}

static void test_q_may_be_encoded_twice(void **state) {
  struct world *world = *state;
  const struct query_condition *condition = only(world, "q=name%253D%257Eweb%2520api");
  assert_int_equal(condition->op, QUERY_LIKE);
  ASSERT_STR(condition->values[0].text, "web api");
  condition = only(world, "q=name%3D%7Eweb");
  ASSERT_STR(condition->values[0].text, "web");
  condition = only(world, "q=name%3D50%25"); // decodes to "50%", which is no second encoding
  ASSERT_STR(condition->values[0].text, "50%");
}

static void test_several_conditions(void **state) {
  struct world *world = *state;
  assert_int_equal(read_query(world, "q=name=~a,enabled=true,extra_attrs.event_type=PUSH_ARTIFACT"), 0);
  assert_int_equal(world->query.conditions_len, 3);
  ASSERT_STR(world->query.conditions[2].key, "extra_attrs.event_type");
  assert_int_equal(read_query(world, "q=id=1,id=2"), 0); // the last one counts
  assert_int_equal(world->query.conditions_len, 1);
  assert_int_equal(world->query.conditions[0].values[0].number, 2);
}

static void test_keys_may_be_gos_names(void **state) {
  struct world *world = *state;
  static const struct {
    const char *given, *key;
  } rows[] = {
      {"q=Name=x", "name"},
      {"q=CreationTime=x", "creation_time"},
      {"q=ProjectID=x", "project_id"},
      {"q=ID=x", "id"},
      {"q=ExtraAttrs.Event_Type=x", "extra_attrs.Event_Type"},
      {"q=HTTPStatus=x", "http_status"},
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    ASSERT_STR(only(world, rows[i].given)->key, rows[i].key);
}

static void test_operators_on_the_key(void **state) {
  struct world *world = *state;
  const struct query_condition *condition = only(world, "q=Name__icontains=x");
  assert_int_equal(condition->op, QUERY_LIKE);
  ASSERT_STR(condition->key, "name");
  assert_int_equal(only(world, "q=id__gt=3")->op, QUERY_GT);
  assert_int_equal(only(world, "q=id__lt=3")->op, QUERY_LT);
  assert_int_equal(only(world, "q=id__exact=3")->op, QUERY_EQ);
  assert_int_equal(only(world, "q=id__in={1%202}")->list_len, 2);
  assert_int_equal(only(world, "q=id__in=1")->list_len, 1);
  condition = only(world, "q=id__gte=3");
  assert_int_equal(condition->op, QUERY_RANGE);
  assert_int_equal(condition->values[0].number, 3);
  assert_int_equal(condition->values[1].kind, QUERY_NONE);
  condition = only(world, "q=id__lte=3");
  assert_int_equal(condition->values[0].kind, QUERY_NONE);
  assert_int_equal(condition->values[1].number, 3);
  assert_int_equal(read_query(world, "q=id__gte=1,id__lte=5"), 0);
  assert_int_equal(world->query.conditions_len, 2);
  assert_int_equal(read_query(world, "q=id__frob=1"), 0); // unknown: ignored
  assert_int_equal(world->query.conditions_len, 0);
}

static void test_malformed_q_is_refused_in_harbors_words(void **state) {
  struct world *world = *state;
  static const char *const no_equals[] = {"q=name", "q==x", "q=name=", "q=a=1,,b=2", "q=a=1,"};
  for (size_t i = 0; i < ARRAY_LEN(no_equals); i++)
    assert_refused(world, no_equals[i], ERR_BAD_REQUEST,
                   "the query string must contain \"=\" and the key/value cannot be empty");
  static const char *const bad_values[] = {"[1~2", "[1]", "[~]", "[1~2~3]", "{1", "(1", "[", "{"};
  for (size_t i = 0; i < ARRAY_LEN(bad_values); i++) {
    char query[64], words[96];
    snprintf(query, sizeof query, "q=id=%s", bad_values[i]);
    snprintf(words, sizeof words, "invalid query string value: %s", bad_values[i]);
    assert_refused(world, query, ERR_BAD_REQUEST, words);
  }
  assert_int_equal(read_query(world, "q=name=%ff"), ERR_BAD_REQUEST);
  assert_int_equal(read_query(world, "q=name=a%00"), ERR_BAD_REQUEST);
}

static void test_q_is_bounded(void **state) {
  struct world *world = *state;
  struct buf text;
  buf_init(&text, 64 * 1024);
  buf_put_c(&text, "q=");
  for (int i = 0; i <= QUERY_MAX_CONDITIONS; i++)
    buf_printf(&text, "%sk%d=1", i ? "," : "", i);
  buf_put_char(&text, '\0');
  assert_int_equal(read_query(world, text.ptr), ERR_BAD_REQUEST);
  buf_clear(&text);
  buf_put_c(&text, "q=id={");
  for (int i = 0; i <= QUERY_MAX_VALUES; i++)
    buf_printf(&text, "%d%%20", i);
  buf_put(&text, (struct str){"}\0", 2});
  assert_int_equal(read_query(world, text.ptr), ERR_BAD_REQUEST);
  buf_free(&text);
}

static void test_sort(void **state) {
  struct world *world = *state;
  assert_int_equal(read_query(world, "sort=-creation_time,Name,,-"), 0);
  assert_int_equal(world->query.sorts_len, 2);
  ASSERT_STR(world->query.sorts[0].key, "creation_time");
  assert_true(world->query.sorts[0].descending);
  ASSERT_STR(world->query.sorts[1].key, "name");
  assert_false(world->query.sorts[1].descending);
  assert_int_equal(read_query(world, "sort=a,b,c,d,e,f,g,h,i,j"), 0);
  assert_int_equal(world->query.sorts_len, QUERY_MAX_SORTS);
}

// ---- headers of a page ----------------------------------------------------------------------------------------------

// The headers of a list of `total` rows; the Link's value, or ptr NULL.
static struct str links(struct world *world, const char *text, int64_t total) {
  struct str link = {0};
  world->call.headers_len = 0;
  assert_int_equal(read_query(world, text), 0);
  assert_int_equal(call_page_headers(&world->call, &world->query, total, &world->err), 0);
  assert_true(world->call.headers_len >= 1);
  ASSERT_STR(world->call.headers[0].name, "X-Total-Count");
  if (world->call.headers_len > 1) {
    ASSERT_STR(world->call.headers[1].name, "Link");
    link = world->call.headers[1].value;
  }
  return link;
}

static void test_total_is_always_told(void **state) {
  struct world *world = *state;
  assert_null(links(world, "", 0).ptr);
  ASSERT_STR(world->call.headers[0].value, "0");
  assert_null(links(world, "", 10).ptr);
  ASSERT_STR(world->call.headers[0].value, "10");
  assert_null(links(world, "page_size=0", 5000).ptr);
  assert_null(links(world, "page_size=-3", 5000).ptr);
}

static void test_links_are_harbors(void **state) {
  struct world *world = *state;
  ASSERT_STR(links(world, "", 11), "</api/v2.0/projects?page=2&page_size=10>; rel=\"next\"");
  ASSERT_STR(links(world, "page_size=5&page=2&name=x&b", 11),
             "</api/v2.0/projects?b=&name=x&page=1&page_size=5>; rel=\"prev\" , "
             "</api/v2.0/projects?b=&name=x&page=3&page_size=5>; rel=\"next\"");
  ASSERT_STR(links(world, "page=3&page_size=5", 11), "</api/v2.0/projects?page=2&page_size=5>; rel=\"prev\"");
  // A page past the end leads nowhere, unless the one before it has rows.
  assert_null(links(world, "page=9&page_size=5", 11).ptr);
  // Escapes are undone, as Harbor does.
  ASSERT_STR(links(world, "q=name%3D~a", 11), "</api/v2.0/projects?page=2&page_size=10&q=name=~a>; rel=\"next\"");
}

static void test_links_cannot_break_the_header(void **state) {
  struct world *world = *state;
  struct str link = links(world, "q=name%3Da%0d%0aEvil:%20x&z=%3C%3E%c3%bc", 11);
  assert_true(http_is_field_value(link));
  assert_true(str_contains(link, STR("%0D%0A")));
  assert_true(str_contains(link, STR("z=%3C%3E%C3%BC")));
}

// ---- other parameters -----------------------------------------------------------------------------------------------

static void test_booleans_are_read_as_harbor_reads_them(void **state) {
  struct world *world = *state;
  static const char *const words[] = {"v=true", "v=1", "v=YES", "v=on", "v=t"}, *const others[] = {"v=false", "v=0",
                                                                                                   "v=x"};
  bool value;
  for (size_t i = 0; i < ARRAY_LEN(words); i++) {
    world->head.query = str_of(words[i]);
    assert_int_equal(call_query_bool(&world->call, "v", false, &value, &world->err), 0);
    assert_true(value);
  }
  for (size_t i = 0; i < ARRAY_LEN(others); i++) {
    world->head.query = str_of(others[i]);
    assert_int_equal(call_query_bool(&world->call, "v", true, &value, &world->err), 0);
    assert_false(value);
  }
  world->head.query = STR("");
  assert_int_equal(call_query_bool(&world->call, "v", true, &value, &world->err), 0);
  assert_true(value);
}

static void test_path_integers(void **state) {
  struct world *world = *state;
  int64_t id;
  world->call.params[0] = STR("17");
  assert_int_equal(call_path_int(&world->call, 0, "webhook_policy_id", &id, &world->err), 0);
  assert_int_equal(id, 17);
  world->call.params[0] = STR("abc");
  assert_int_equal(call_path_int(&world->call, 0, "webhook_policy_id", &id, &world->err), ERR_INVALID);
  assert_string_equal(world->err.text,
                      "validation failure list:\nwebhook_policy_id in path must be of type int64: \"abc\"");
}

static int read_body(struct world *world, const char *type, const char *text) {
  static const struct api_route route = {"POST", "/", NULL, "policy"};
  struct json_object *body;
  world->headers[0] = (struct http_header){STR("Content-Type"), str_of(type)};
  world->head.headers_len = type ? 1 : 0;
  world->request.body = str_of(text);
  world->call.route = &route;
  return call_body(&world->call, &body, &world->err);
}

static void test_bodies(void **state) {
  struct world *world = *state;
  assert_int_equal(read_body(world, "application/json", "{}"), 0);
  assert_int_equal(read_body(world, "Application/JSON; charset=utf-8", "{\"a\":1}"), 0);
  assert_int_equal(read_body(world, "application/json", ""), ERR_INVALID);
  assert_string_equal(world->err.text, "validation failure list:\npolicy in body is required");
  assert_int_equal(read_body(world, "text/plain", "{}"), ERR_INVALID);
  assert_string_equal(world->err.text, "validation failure list:\nunsupported media type \"text/plain\", only "
                                       "[application/json] are allowed");
  assert_int_equal(read_body(world, NULL, "{}"), ERR_INVALID);
  static const char *const bad[] = {"{", "[]", "1", "null", "{\"a\":1}x", "{\"a\":\"\xff\"}"};
  for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
    assert_int_equal(read_body(world, "application/json", bad[i]), ERR_INVALID);
    assert_true(
        str_starts_c(str_of(world->err.text), "validation failure list:\nparsing policy body from \"\" failed"));
  }
}

static void test_refusals_come_in_harbors_order(void **state) {
  struct error input, rights;
  (void)state;
  error_set(&input, ERR_INVALID, "malformed");
  error_set(&rights, ERR_FORBIDDEN, "forbidden");
  assert_int_equal(call_judge(ERR_INVALID, &input, ERR_FORBIDDEN, &rights), ERR_INVALID);
  assert_string_equal(rights.text, "malformed");
  error_set(&input, ERR_BAD_REQUEST, "wrong");
  error_set(&rights, ERR_FORBIDDEN, "forbidden");
  assert_int_equal(call_judge(ERR_BAD_REQUEST, &input, ERR_FORBIDDEN, &rights), ERR_FORBIDDEN);
  assert_string_equal(rights.text, "forbidden");
  assert_int_equal(call_judge(ERR_BAD_REQUEST, &input, 0, &rights), ERR_BAD_REQUEST);
  assert_string_equal(rights.text, "wrong");
  assert_int_equal(call_judge(0, &input, 0, &rights), 0);
}

static void test_error_bodies(void **state) {
  struct buf out;
  (void)state;
  buf_init(&out, 4096);
  api_write_error(ERR_NOT_FOUND, 404, "project \"x\" not found", &out);
  ASSERT_STR(buf_str(&out), "{\"errors\":[{\"code\":\"NOT_FOUND\",\"message\":\"project \\\"x\\\" not found\"}]}\n");
  buf_clear(&out);
  api_write_error(ERR_INTERNAL, 500, "the file /x is broken", &out);
  ASSERT_STR(buf_str(&out), "{\"errors\":[{\"code\":\"UNKNOWN\",\"message\":\"internal server error\"}]}\n");
  buf_clear(&out);
  api_write_error(ERR_NOT_IMPLEMENTED, 501, "comes later", &out);
  ASSERT_STR(buf_str(&out), "{\"errors\":[{\"code\":\"NOT_IMPLEMENTED\",\"message\":\"comes later\"}]}\n");
  buf_free(&out);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_WORLD(test_defaults),
      WITH_WORLD(test_pages),
      WITH_WORLD(test_bad_pages_are_invalid_in_harbors_words),
      WITH_WORLD(test_exact),
      WITH_WORLD(test_contains),
      WITH_WORLD(test_ranges),
      WITH_WORLD(test_lists),
      WITH_WORLD(test_q_may_be_encoded_twice),
      WITH_WORLD(test_several_conditions),
      WITH_WORLD(test_keys_may_be_gos_names),
      WITH_WORLD(test_operators_on_the_key),
      WITH_WORLD(test_malformed_q_is_refused_in_harbors_words),
      WITH_WORLD(test_q_is_bounded),
      WITH_WORLD(test_sort),
      WITH_WORLD(test_total_is_always_told),
      WITH_WORLD(test_links_are_harbors),
      WITH_WORLD(test_links_cannot_break_the_header),
      WITH_WORLD(test_booleans_are_read_as_harbor_reads_them),
      WITH_WORLD(test_path_integers),
      WITH_WORLD(test_bodies),
      cmocka_unit_test(test_refusals_come_in_harbors_order),
      cmocka_unit_test(test_error_bodies),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
