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
  struct http_request request;
  struct api_call call;
  const struct api_route *route;
  struct error err;
};

static int setup(void **state) {
  struct world *world = test_calloc(1, sizeof *world);
  world->request.arena = arena_new(1024 * 1024);
  world->request.head = &world->head;
  *state = world;
  return 0;
}

static int teardown(void **state) {
  struct world *world = *state;
  arena_free(world->request.arena);
  test_free(world);
  return 0;
}

static int find(struct world *world, const char *method, const char *path) {
  world->head.method = str_of(method);
  world->head.path = str_of(path);
  world->call = (struct api_call){.request = &world->request, .arena = world->request.arena};
  world->route = NULL;
  return route_find(&world->call, &world->route, &world->err);
}

static void assert_param(const struct world *world, size_t i, const char *expected) {
  assert_true(i < world->call.params_len);
  assert_int_equal(world->call.params[i].len, strlen(expected));
  assert_memory_equal(world->call.params[i].ptr, expected, strlen(expected));
}

static void test_every_path_finds_its_handler(void **state) {
  struct world *world = *state;
#define V2 "/api/v2.0"
#define P V2 "/projects/p"
#define W P "/webhook"
#define A P "/repositories/web%2Fapi/artifacts"
  static const struct {
    const char *method, *path;
    api_handler *handler;
    size_t params;
  } rows[] = {
      {"GET", "/api/version", system_version, 0},
      {"GET", "/api/openapi.yaml", openapi_get, 0},
      {"GET", V2 "/ping", system_ping, 0},
      {"GET", V2 "/health", system_health, 0},
      {"GET", V2 "/systeminfo", system_info, 0},
      {"GET", V2 "/statistics", system_statistics, 0},
      {"GET", V2 "/configurations", configurations_get, 0},
      {"PUT", V2 "/configurations", configurations_update, 0},
      {"GET", V2 "/users/current", users_current, 0},
      {"PUT", V2 "/users/1/password", users_password, 1},
      {"GET", V2 "/projects", projects_list, 0},
      {"HEAD", V2 "/projects", projects_head, 0},
      {"POST", V2 "/projects", projects_create, 0},
      {"GET", P, projects_get, 1},
      {"PUT", P, projects_update, 1},
      {"DELETE", P, projects_delete, 1},
      {"GET", P "/summary", projects_summary, 1},
      {"GET", W "/policies", policies_list, 1},
      {"POST", W "/policies", policies_create, 1},
      {"GET", W "/policies/3", policies_get, 2},
      {"PUT", W "/policies/3", policies_update, 2},
      {"DELETE", W "/policies/3", policies_delete, 2},
      {"GET", W "/policies/3/executions", executions_list, 2},
      {"GET", W "/policies/3/executions/4/tasks", tasks_list, 3},
      {"GET", W "/policies/3/executions/4/tasks/5/log", task_log, 4},
      {"GET", W "/policies/3/deliveries", deliveries_list, 2},
      {"GET", W "/lasttrigger", last_triggers, 1},
      {"GET", W "/jobs", jobs_list, 1},
      {"GET", W "/events", supported_events, 1},
      {"GET", W "/deliveries/9", deliveries_get, 2},
      {"POST", W "/deliveries/9/redeliver", deliveries_redeliver, 2},
      {"GET", P "/events", events_list, 1},
      {"POST", P "/events", events_submit, 1},
      {"GET", P "/events/0198", events_get, 2},
      {"GET", V2 "/repositories", repositories_list_all, 0},
      {"GET", P "/repositories", repositories_list, 1},
      {"GET", P "/repositories/web%2Fapi", repositories_get, 2},
      {"DELETE", P "/repositories/web%2Fapi", repositories_delete, 2},
      {"GET", A, artifacts_list, 2},
      {"GET", A "/v1", artifacts_get, 3},
      {"DELETE", A "/v1", artifacts_delete, 3},
      {"GET", A "/v1/tags", artifact_tags_list, 3},
      {"POST", A "/v1/tags", artifact_tags_create, 3},
      {"DELETE", A "/v1/tags/v2", artifact_tags_delete, 4},
      {"GET", V2 "/harbinger/tokens", tokens_list, 0},
      {"POST", V2 "/harbinger/tokens", tokens_create, 0},
      {"DELETE", V2 "/harbinger/tokens/4", tokens_delete, 1},
      {"GET", V2 "/harbinger/egress", egress_get, 0},
      {"PUT", V2 "/harbinger/egress", egress_put, 0},
      {"GET", V2 "/harbinger/ingest-log", ingest_log_list, 0},
      {"GET", V2 "/harbinger/audit", audit_log_list, 0},
      {"PUT", V2 "/harbinger/log-level", log_level_set, 0},
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    if (find(world, rows[i].method, rows[i].path) != 0 || world->route->handler != rows[i].handler ||
        world->call.params_len != rows[i].params)
      fail_msg("%s %s finds another handler or other parameters", rows[i].method, rows[i].path);
  }
}

static void test_parameters_are_decoded_once(void **state) {
  struct world *world = *state;
  assert_int_equal(find(world, "GET", P "/repositories/web%252Fapi/artifacts/sha256%3Aab"), 0);
  assert_param(world, 0, "p");
  assert_param(world, 1, "web%2Fapi");
  assert_param(world, 2, "sha256:ab");
  assert_int_equal(find(world, "GET", V2 "/projects/a+b%20c"), 0);
  assert_param(world, 0, "a+b c");
  assert_int_equal(find(world, "GET", V2 "/projects/a%2Fb/summary"), 0);
  assert_param(world, 0, "a/b");
}

static void test_a_repository_name_takes_plain_slashes_too(void **state) {
  struct world *world = *state;
  assert_int_equal(find(world, "GET", P "/repositories/web/api/v2"), 0);
  assert_ptr_equal(world->route->handler, repositories_get);
  assert_param(world, 1, "web/api/v2");
  assert_int_equal(find(world, "GET", P "/repositories/web/api/artifacts/v1/tags"), 0);
  assert_ptr_equal(world->route->handler, artifact_tags_list);
  assert_param(world, 1, "web/api");
  assert_param(world, 2, "v1");
}

static void test_a_trailing_slash_is_forgiven(void **state) {
  struct world *world = *state;
  assert_int_equal(find(world, "GET", V2 "/projects/"), 0);
  assert_ptr_equal(world->route->handler, projects_list);
  assert_int_equal(find(world, "GET", W "/policies/3/"), 0);
  assert_param(world, 1, "3");
}

static void test_unknown_paths_are_not_found(void **state) {
  struct world *world = *state;
  static const char *const paths[] = {
      "/api",
      "/api/",
      "/api/v2.0",
      "/api/v2.0/nothing",
      "/api/v1.0/projects",
      W "/nothing",
      W,
      V2 "//projects",
      V2 "/projects//webhook/policies",
      "/API/version",
      V2 "/projects/p/webhook/policies/3/executions/4",
  };
  for (size_t i = 0; i < ARRAY_LEN(paths); i++)
    assert_int_equal(find(world, "GET", paths[i]), ERR_NOT_FOUND);
  assert_int_equal(find(world, "GET", "/api/v2.0/nothing"), ERR_NOT_FOUND);
  assert_string_equal(world->err.text, "path /api/v2.0/nothing was not found");
  assert_int_equal(world->call.headers_len, 0);
}

static void test_a_path_of_thousands_of_segments_is_not_found(void **state) {
  struct world *world = *state;
  struct buf path;
  buf_init(&path, 64 * 1024);
  buf_put_c(&path, P "/repositories");
  for (int i = 0; i < 10000; i++)
    buf_put_c(&path, "/a");
  buf_put_char(&path, '\0');
  assert_false(path.failed);
  assert_int_equal(find(world, "GET", path.ptr), ERR_NOT_FOUND);
  buf_free(&path);
}

static void test_other_methods_are_405_with_what_is_allowed(void **state) {
  struct world *world = *state;
  static const struct {
    const char *method, *path, *allow;
  } rows[] = {
      {"PATCH", W "/policies/3", "DELETE,GET,PUT"},
      {"DELETE", W "/policies", "GET,POST"},
      {"OPTIONS", V2 "/projects", "GET,HEAD,POST"},
      {"POST", V2 "/ping", "GET"},
      {"HEAD", V2 "/projects/p", "DELETE,GET,PUT"},
      {"GET", A "/v1/tags/v2", "DELETE"}, // not a repository of that name
      {"get", V2 "/ping", "GET"},
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    char words[256];
    assert_int_equal(find(world, rows[i].method, rows[i].path), ERR_METHOD);
    assert_int_equal(world->call.headers_len, 1);
    assert_true(str_eq_c(world->call.headers[0].name, "Allow"));
    assert_true(str_eq_c(world->call.headers[0].value, rows[i].allow));
    snprintf(words, sizeof words, "method %s is not allowed, but [%s] are", rows[i].method, rows[i].allow);
    assert_string_equal(world->err.text, words);
  }
}

static void test_bad_encoding_is_refused(void **state) {
  struct world *world = *state;
  static const char *const paths[] = {V2 "/projects/%zz", V2 "/projects/%f", V2 "/projects/%ff", V2 "/projects/a%00b"};
  for (size_t i = 0; i < ARRAY_LEN(paths); i++)
    assert_int_equal(find(world, "GET", paths[i]), ERR_BAD_REQUEST);
}

static void test_paths_of_the_api(void **state) {
  (void)state;
  assert_true(api_owns(STR("/api/version")));
  assert_true(api_owns(STR("/api")));
  assert_false(api_owns(STR("/apis")));
  assert_false(api_owns(STR("/v2/")));
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_WORLD(test_every_path_finds_its_handler),
      WITH_WORLD(test_parameters_are_decoded_once),
      WITH_WORLD(test_a_repository_name_takes_plain_slashes_too),
      WITH_WORLD(test_a_trailing_slash_is_forgiven),
      WITH_WORLD(test_unknown_paths_are_not_found),
      WITH_WORLD(test_a_path_of_thousands_of_segments_is_not_found),
      WITH_WORLD(test_other_methods_are_405_with_what_is_allowed),
      WITH_WORLD(test_bad_encoding_is_refused),
      cmocka_unit_test(test_paths_of_the_api),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
