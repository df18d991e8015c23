// SPDX-License-Identifier: Apache-2.0
// The API whole: a real store with its writer, a pool, an HTTP server on loopback with a simulated clock, one client.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/api.h"
#include "store/identity.h"
#include "store/settings.h"
#include "support/store_fixture.h"

enum { API_TEST_ROUNDS = 20000, API_TEST_ANSWER_BYTES = 256 * 1024 };

#define PASSWORD "Right4Sure"
#define ADMIN "Authorization: Basic YWRtaW46UmlnaHQ0U3VyZQ==\r\n" // admin:Right4Sure
#define USER "Authorization: Basic YWxpY2U6UmlnaHQ0U3VyZQ==\r\n"  // alice:Right4Sure
#define WRONG "Authorization: Basic YWRtaW46V3Jvbmc0U3VyZQ==\r\n" // admin:Wrong4Sure
#define ERRORS(code, message) "{\"errors\":[{\"code\":\"" code "\",\"message\":\"" message "\"}]}\n"

struct world {
  struct fixture *store;
  struct auth *auth;
  struct egress *egress;
  struct pool *pool;
  struct loop *loop;
  struct log log;
  struct http_server *server;
  struct api *api;
  int changed_passwords;
  char answer[API_TEST_ANSWER_BYTES]; // the last one, with a NUL
  size_t answer_len;
};

static size_t body_limit(void *ctx, const struct http_head *head) {
  (void)ctx;
  (void)head;
  return API_MAX_BODY_BYTES;
}

static void on_request(void *ctx, struct http_request *request) {
  struct world *world = ctx;
  api_handle(world->api, request);
}

static void write_error(void *ctx, struct str path, int status, const char *words, struct buf *out,
                        const char **content_type) {
  (void)ctx;
  (void)path;
  *content_type = "application/json; charset=utf-8";
  api_write_error(error_of_status(status), status, words, out);
}

static void on_answered(void *ctx, const struct http_request *request, int status, int64_t duration_us) {
  (void)ctx;
  (void)request;
  (void)status;
  (void)duration_us;
}

static void on_password_changed(void *ctx, struct str user_name) {
  struct world *world = ctx;
  assert_true(user_name.len > 0);
  world->changed_passwords++;
}

static void *reader_open(void *ctx, struct error *err) {
  struct world *world = ctx;
  return store_reader_open(world->store->store, err);
}

static void reader_close(void *ctx, void *conn) {
  (void)ctx;
  store_reader_close(conn);
}

static int add_users(struct store_conn *conn, void *ctx, struct error *err) {
  struct user admin = {.name = STR("admin"), .password_hash = str_of(ctx), .is_admin = true};
  struct user alice = {.name = STR("alice"), .password_hash = str_of(ctx)};
  int rc = user_create(conn, &admin, err);
  return rc == 0 ? user_create(conn, &alice, err) : rc;
}

static void start_server(struct world *world) {
  struct error err;
  struct http_server_config config = {
      .listen = {.family = AF_INET, .bytes = {127, 0, 0, 1}},
      .backlog = 16,
      .max_connections = 8,
      .max_head_bytes = HTTP_MAX_HEAD_BYTES,
      .max_buffered_bytes = 16 * 1024 * 1024,
      .max_response_bytes = 64 * 1024 * 1024,
      .request_arena_bytes = 64 * 1024 * 1024,
      .header_timeout_ms = 3600000,
      .body_idle_timeout_ms = 3600000,
      .body_rate_window_ms = 3600000,
      .body_min_bytes_per_s = 0,
      .keep_alive_timeout_ms = 3600000,
      .write_timeout_ms = 3600000,
  };
  const struct http_server_handler handler = {.ctx = world,
                                              .body_limit = body_limit,
                                              .on_request = on_request,
                                              .write_error = write_error,
                                              .on_answered = on_answered};
  world->server = http_server_new(world->loop, &config, &handler, world->store->ids, NULL, &err);
  assert_non_null(world->server);
}

static void start_api(struct world *world) {
  struct error err;
  const struct api_config config = {
      .loop = world->loop,
      .pool = world->pool,
      .login_pool = world->pool,
      .store = world->store->store,
      .auth = world->auth,
      .egress = world->egress,
      .ids = world->store->ids,
      .clock = &world->store->clock,
      .log = &world->log,
      .version = "0.1.0",
      .harbor_version = "v2.16.0-harbinger.0.1.0",
      .external_url = "https://hooks.example.com",
      .registry_url = "registry.example.com",
      .token_lifetime_s = 90 * 24 * 3600,
      .cancel_wait_ms = 1000,
      .openapi = STR("openapi: 3.0.3\n"),
      .on_password_changed = on_password_changed,
      .ctx = world,
  };
  world->api = api_new(&config, &err);
  assert_non_null(world->api);
}

static int setup(void **state) {
  static const uint8_t token_key[SEAL_KEY_BYTES] = {9};
  const struct auth_config auth = {60000, 1024, 65536, 250, 8000, 900000, 2, 32, NULL, 3600, 43200, 32};
  struct world *world = test_calloc(1, sizeof *world);
  struct error err;
  char hash[PASSWORD_HASH_BYTES];
  world->store = fixture_new();
  log_init(&world->log, &world->store->clock, 2, false, LOG_ERROR);
  assert_int_equal(crypto_password_hash(STR(PASSWORD), hash, &err), 0);
  assert_int_equal(fixture_write(world->store, add_users, hash), 0);
  assert_int_equal(store_start(world->store->store, &err), 0);
  assert_non_null(world->auth = auth_new(&auth, token_key, &world->store->clock, &err));
  assert_non_null(world->egress = egress_new(&err));
  const struct pool_config pool = {2, 64, reader_open, reader_close, world};
  assert_non_null(world->pool = pool_new(&pool, &err));
  assert_non_null(world->loop = loop_new(&world->store->clock, 1024, 1024, &err));
  start_server(world);
  start_api(world);
  *state = world;
  return 0;
}

static int teardown(void **state) {
  struct world *world = *state;
  pool_free(world->pool);
  http_server_free(world->server);
  api_free(world->api);
  loop_free(world->loop);
  egress_free(world->egress);
  auth_free(world->auth);
  fixture_free(world->store);
  test_free(world);
  return 0;
}

// ---- the client -----------------------------------------------------------------------------------------------------

static int client_open(struct world *world, const char *request) {
  struct address address = http_server_address(world->server);
  struct sockaddr_storage storage;
  socklen_t len = address_to_sockaddr(&address, &storage);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)&storage, len), 0);
  assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
  world->answer_len = 0;
  return fd;
}

// One round of the loop; true when the server has closed after its answer.
static bool client_step(struct world *world, int fd) {
  (void)loop_step(world->loop, 1);
  ssize_t got = recv(fd, world->answer + world->answer_len, sizeof world->answer - 1 - world->answer_len, MSG_DONTWAIT);
  if (got > 0)
    world->answer_len += (size_t)got;
  world->answer[world->answer_len] = '\0';
  assert_true(got >= 0 || errno == EAGAIN || errno == ECONNRESET);
  return got == 0;
}

static int client_finish(struct world *world, int fd) {
  for (int i = 0; !client_step(world, fd); i++)
    assert_true(i < API_TEST_ROUNDS);
  close(fd);
  assert_memory_equal(world->answer, "HTTP/1.1 ", 9);
  assert_int_equal(api_running(world->api), 0);
  return (int)strtol(world->answer + 9, NULL, 10);
}

static void compose(char out[static 4096], const char *line, const char *headers, const char *body) {
  char length[96] = "";
  if (body)
    snprintf(length, sizeof length, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
  int len = snprintf(out, 4096, "%s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s%s\r\n%s", line, headers, length,
                     body ? body : "");
  assert_true(len > 0 && len < 4096);
}

// The status of "GET /path" with these header lines and this body (NULL: none).
static int ask(struct world *world, const char *line, const char *headers, const char *body) {
  char request[4096];
  compose(request, line, headers, body);
  return client_finish(world, client_open(world, request));
}

static bool said(const struct world *world, const char *text) {
  return strstr(world->answer, text) != NULL;
}

static const char *answer_body(const struct world *world) {
  const char *end = strstr(world->answer, "\r\n\r\n");
  assert_non_null(end);
  return end + 4;
}

static void make_project(struct world *world, const char *name, bool is_public) {
  char body[256];
  snprintf(body, sizeof body, "{\"project_name\":\"%s\",\"metadata\":{\"public\":\"%s\"}}", name,
           is_public ? "true" : "false");
  assert_int_equal(ask(world, "POST /api/v2.0/projects", ADMIN, body), 201);
}

// ---- the frame ------------------------------------------------------------------------------------------------------

static void test_open_pages_need_no_login(void **state) {
  struct world *world = *state;
  assert_int_equal(ask(world, "GET /api/version", "", NULL), 200);
  assert_string_equal(answer_body(world), "{\"version\":\"v2.0\"}\n");
  assert_true(said(world, "\r\nContent-Type: application/json\r\n"));
  assert_true(said(world, "\r\nX-Request-Id: "));
  assert_int_equal(ask(world, "GET /api/v2.0/ping", "", NULL), 200);
  assert_string_equal(answer_body(world), "Pong");
  assert_true(said(world, "Content-Type: text/plain"));
  assert_int_equal(ask(world, "GET /api/openapi.yaml", "", NULL), 200);
  assert_string_equal(answer_body(world), "openapi: 3.0.3\n");
  assert_int_equal(ask(world, "GET /api/v2.0/health", "", NULL), 200);
  assert_string_equal(answer_body(world), "{\"components\":[{\"name\":\"core\",\"status\":\"healthy\"},{\"name\":"
                                          "\"database\",\"status\":\"healthy\"}],\"status\":\"healthy\"}\n");
}

static void test_errors_are_harbors(void **state) {
  struct world *world = *state;
  assert_int_equal(ask(world, "GET /api/v2.0/users/current", "X-Request-Id: r-1\r\n", NULL), 401);
  assert_string_equal(answer_body(world), ERRORS("UNAUTHORIZED", "unauthorized"));
  assert_true(said(world, "\r\nX-Request-Id: r-1\r\n"));
  assert_true(said(world, "\r\nContent-Type: application/json; charset=utf-8\r\n"));
  assert_int_equal(ask(world, "GET /api/v2.0/nothing", "", NULL), 404);
  assert_string_equal(answer_body(world), ERRORS("NOT_FOUND", "path /api/v2.0/nothing was not found"));
  assert_int_equal(ask(world, "PATCH /api/v2.0/ping", "", NULL), 405);
  assert_string_equal(answer_body(world), ERRORS("METHOD_NOT_ALLOWED", "method PATCH is not allowed, but [GET] are"));
  assert_true(said(world, "\r\nAllow: GET\r\n"));
}

static void test_wrong_credentials_are_401_everywhere_after_a_while(void **state) {
  struct world *world = *state;
  static const char *const lines[] = {"GET /api/version", "GET /api/v2.0/nothing", "GET /api/v2.0/projects"};
  for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
    char request[4096];
    compose(request, lines[i], WRONG, NULL);
    int fd = client_open(world, request);
    // Held back by a timer of the loop: nothing comes before the clock has moved.
    for (int round = 0; round < 300; round++)
      assert_false(client_step(world, fd));
    assert_int_equal(world->answer_len, 0);
    assert_int_equal(api_running(world->api), 1);
    clock_advance(&world->store->clock, (INT64_C(250) << i) * US_PER_MS);
    assert_int_equal(client_finish(world, fd), 401);
    assert_string_equal(answer_body(world), ERRORS("UNAUTHORIZED", "unauthorized"));
  }
}

static void test_malformed_input_is_told_before_rights(void **state) {
  struct world *world = *state;
  assert_int_equal(ask(world, "POST /api/v2.0/projects", "", "{"), 422);
  assert_true(said(world, "validation failure list:\\nparsing project body"));
  assert_int_equal(ask(world, "GET /api/v2.0/projects?page_size=101", "", NULL), 422);
  assert_int_equal(ask(world, "POST /api/v2.0/projects", "", "{\"project_name\":\"UPPER\"}"), 401);
  assert_int_equal(ask(world, "POST /api/v2.0/projects", USER, "{\"project_name\":\"UPPER\"}"), 403);
  assert_int_equal(ask(world, "POST /api/v2.0/projects", ADMIN, "{\"project_name\":\"UPPER\"}"), 400);
  assert_int_equal(ask(world, "PUT /api/v2.0/users/x/password", "", "{}"), 422);
}

// ---- projects -------------------------------------------------------------------------------------------------------

static void test_a_project_is_made_read_changed_and_deleted(void **state) {
  struct world *world = *state;
  assert_int_equal(ask(world, "POST /api/v2.0/projects", ADMIN,
                       "{\"project_name\":\"team-a\",\"metadata\":{\"auto_scan\":\"true\",\"odd\":\"x\"},"
                       "\"storage_limit\":1000,\"unknown\":[]}"),
                   201);
  assert_true(said(world, "\r\nLocation: /api/v2.0/projects/1\r\n"));
  assert_string_equal(answer_body(world), "");
  assert_int_equal(ask(world, "POST /api/v2.0/projects", ADMIN, "{\"project_name\":\"team-a\"}"), 409);
  assert_string_equal(answer_body(world), ERRORS("CONFLICT", "The project named team-a already exists"));
  assert_int_equal(ask(world, "GET /api/v2.0/projects/team-a", ADMIN, NULL), 200);
  assert_string_equal(
      answer_body(world),
      "{\"creation_time\":\"2026-08-21T08:13:20.000Z\",\"current_user_role_id\":1,\"current_user_role_ids\":[1],"
      "\"cve_allowlist\":{\"creation_time\":\"0001-01-01T00:00:00.000Z\",\"id\":1,\"items\":[],\"project_id\":1,"
      "\"update_time\":\"0001-01-01T00:00:00.000Z\"},\"metadata\":{\"auto_scan\":\"true\",\"public\":\"false\"},"
      "\"name\":\"team-a\",\"owner_id\":1,\"owner_name\":\"admin\",\"project_id\":1,\"repo_count\":0,"
      "\"update_time\":\"2026-08-21T08:13:20.000Z\"}\n");
  clock_advance(&world->store->clock, US_PER_S);
  assert_int_equal(ask(world, "PUT /api/v2.0/projects/1", ADMIN, "{\"metadata\":{\"public\":\"true\"}}"), 200);
  assert_int_equal(ask(world, "GET /api/v2.0/projects/1", "", NULL), 200);
  assert_true(said(world, "\"metadata\":{\"auto_scan\":\"true\",\"public\":\"true\"}"));
  assert_true(said(world, "\"creation_time\":\"2026-08-21T08:13:20.000Z\""));
  assert_true(said(world, "\"update_time\":\"2026-08-21T08:13:21.000Z\"}"));
  assert_true(said(world, "\"current_user_role_ids\":[],")); // the anonymous
  assert_int_equal(ask(world, "GET /api/v2.0/projects/1/summary", ADMIN, NULL), 200);
  assert_string_equal(answer_body(world), "{\"quota\":{\"hard\":{\"storage\":1000},\"used\":{}},\"repo_count\":0}\n");
  assert_int_equal(ask(world, "DELETE /api/v2.0/projects/1", ADMIN, NULL), 200);
  assert_int_equal(ask(world, "GET /api/v2.0/projects/1", ADMIN, NULL), 404);
}

static void test_bad_projects_are_refused(void **state) {
  struct world *world = *state;
  static const struct {
    const char *body;
    int status;
  } rows[] = {
      {"{}", 400},
      {"{\"project_name\":7}", 422},
      {"{\"project_name\":\"\"}", 400},
      {"{\"project_name\":\"a..b\"}", 400},
      {"{\"project_name\":\"-a\"}", 400},
      {"{\"project_name\":\"a-\"}", 400},
      {"{\"project_name\":\"a b\"}", 400},
      {"{\"project_name\":\"a\",\"metadata\":[]}", 422},
      {"{\"project_name\":\"a\",\"metadata\":{\"public\":true}}", 422},
      {"{\"project_name\":\"a\",\"storage_limit\":\"1\"}", 422},
      {"{\"project_name\":\"a\",\"storage_limit\":-2}", 400},
      {"{\"project_name\":\"a\",\"registry_id\":3}", 400},
      {"{\"project_name\":\"a\",\"registry_id\":null,\"storage_limit\":0,\"metadata\":null}", 201},
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    if (ask(world, "POST /api/v2.0/projects", ADMIN, rows[i].body) != rows[i].status)
      fail_msg("%s: %s", rows[i].body, world->answer);
}

static void test_unknown_and_forbidden_projects_look_alike(void **state) {
  struct world *world = *state;
  make_project(world, "secret", false);
  static const char *const lines[] = {"GET /api/v2.0/projects/secret", "GET /api/v2.0/projects/none",
                                      "GET /api/v2.0/projects/1", "GET /api/v2.0/projects/77"};
  for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
    assert_int_equal(ask(world, lines[i], "", NULL), 401);
    assert_int_equal(ask(world, lines[i], USER, NULL), 403);
    assert_int_equal(ask(world, lines[i], ADMIN, NULL), i % 2 == 0 ? 200 : 404);
  }
  assert_int_equal(ask(world, "GET /api/v2.0/projects/none", ADMIN, NULL), 404);
  assert_string_equal(answer_body(world), ERRORS("NOT_FOUND", "project none not found"));
  assert_int_equal(ask(world, "GET /api/v2.0/projects/a%20b", ADMIN, NULL), 400);
}

static void test_a_header_makes_digits_a_name(void **state) {
  struct world *world = *state;
  make_project(world, "first", false);
  make_project(world, "1", true);
  assert_int_equal(ask(world, "GET /api/v2.0/projects/1", ADMIN, NULL), 200);
  assert_true(said(world, "\"name\":\"first\""));
  assert_int_equal(ask(world, "GET /api/v2.0/projects/1", ADMIN "X-Is-Resource-Name: true\r\n", NULL), 200);
  assert_true(said(world, "\"name\":\"1\""));
  assert_int_equal(ask(world, "POST /api/v2.0/projects", ADMIN "X-Resource-Name-In-Location: true\r\n",
                       "{\"project_name\":\"third\"}"),
                   201);
  assert_true(said(world, "\r\nLocation: /api/v2.0/projects/third\r\n"));
}

static void test_lists_show_what_one_may_see(void **state) {
  struct world *world = *state;
  char name[16];
  for (int i = 0; i < 12; i++) {
    snprintf(name, sizeof name, "p%d", i);
    make_project(world, name, i % 4 == 0);
  }
  assert_int_equal(ask(world, "GET /api/v2.0/projects", ADMIN, NULL), 200);
  assert_true(said(world, "\r\nX-Total-Count: 12\r\n"));
  assert_true(said(world, "\r\nLink: </api/v2.0/projects?page=2&page_size=10>; rel=\"next\"\r\n"));
  assert_int_equal(ask(world, "GET /api/v2.0/projects?page=0&page_size=0", ADMIN, NULL), 200);
  assert_false(said(world, "\r\nLink: "));
  assert_true(said(world, "\"name\":\"p0\"") && said(world, "\"name\":\"p11\""));
  assert_int_equal(ask(world, "GET /api/v2.0/projects", "", NULL), 200);
  assert_true(said(world, "\r\nX-Total-Count: 3\r\n"));
  assert_int_equal(ask(world, "GET /api/v2.0/projects?public=false", USER, NULL), 200);
  assert_true(said(world, "\r\nX-Total-Count: 0\r\n"));
  assert_string_equal(answer_body(world), "[]\n");
  assert_int_equal(ask(world, "GET /api/v2.0/projects?name=1", ADMIN, NULL), 200);
  assert_true(said(world, "\r\nX-Total-Count: 3\r\n")); // p1, p10, p11
  assert_int_equal(ask(world, "GET /api/v2.0/projects?q=name%253Dp3", ADMIN, NULL), 200);
  assert_true(said(world, "\r\nX-Total-Count: 1\r\n"));
  assert_int_equal(ask(world, "GET /api/v2.0/projects?q=name", ADMIN, NULL), 400);
  assert_int_equal(ask(world, "GET /api/v2.0/statistics", USER, NULL), 200);
  assert_true(said(world, "\"private_project_count\":0,") && said(world, "\"public_project_count\":3,"));
  assert_int_equal(ask(world, "GET /api/v2.0/statistics", ADMIN, NULL), 200);
  assert_true(said(world, "\"total_project_count\":12,"));
}

static void test_head_tells_whether_a_project_exists(void **state) {
  struct world *world = *state;
  make_project(world, "here", false);
  assert_int_equal(ask(world, "HEAD /api/v2.0/projects?project_name=here", USER, NULL), 200);
  assert_int_equal(ask(world, "HEAD /api/v2.0/projects?project_name=gone", USER, NULL), 404);
  assert_int_equal(ask(world, "HEAD /api/v2.0/projects?project_name=here", "", NULL), 401);
  assert_int_equal(ask(world, "HEAD /api/v2.0/projects", USER, NULL), 422);
}

// ---- users and tokens -----------------------------------------------------------------------------------------------

static void test_the_current_user(void **state) {
  struct world *world = *state;
  assert_int_equal(ask(world, "GET /api/v2.0/users/current", ADMIN, NULL), 200);
  assert_string_equal(answer_body(world),
                      "{\"admin_role_in_auth\":false,\"creation_time\":\"2026-08-21T08:13:20.000Z\","
                      "\"sysadmin_flag\":true,\"update_time\":\"2026-08-21T08:13:20.000Z\",\"user_id\":1,"
                      "\"username\":\"admin\"}\n");
}

static void test_a_password_is_changed(void **state) {
  struct world *world = *state;
  const char *own = "PUT /api/v2.0/users/2/password";
  assert_int_equal(ask(world, own, USER, "{\"old_password\":\"no\",\"new_password\":\"Other4Sure\"}"), 403);
  assert_int_equal(ask(world, own, USER, "{\"old_password\":\"" PASSWORD "\",\"new_password\":\"short\"}"), 400);
  assert_int_equal(ask(world, own, USER, "{\"old_password\":\"" PASSWORD "\",\"new_password\":\"" PASSWORD "\"}"), 400);
  assert_int_equal(ask(world, "PUT /api/v2.0/users/1/password", USER, "{\"new_password\":\"Other4Sure\"}"), 403);
  assert_int_equal(ask(world, "PUT /api/v2.0/users/9/password", ADMIN, "{\"new_password\":\"Other4Sure\"}"), 404);
  assert_int_equal(ask(world, own, "", "{\"new_password\":\"Other4Sure\"}"), 401);
  assert_int_equal(world->changed_passwords, 0);
  assert_int_equal(ask(world, own, USER, "{\"old_password\":\"" PASSWORD "\",\"new_password\":\"Other4Sure\"}"), 200);
  assert_int_equal(world->changed_passwords, 1);
  // The old one is forgotten at once.
  char request[4096];
  compose(request, "GET /api/v2.0/users/current", USER, NULL);
  int fd = client_open(world, request);
  while (api_running(world->api) == 0)
    assert_false(client_step(world, fd));
  for (int round = 0; round < 300; round++)
    assert_false(client_step(world, fd));
  clock_advance(&world->store->clock, 250 * US_PER_MS);
  assert_int_equal(client_finish(world, fd), 401);
  assert_int_equal(ask(world, own, ADMIN, "{\"new_password\":\"" PASSWORD "\"}"),
                   200); // administrators need no old one
  assert_int_equal(ask(world, "GET /api/v2.0/users/current", USER, NULL), 200);
}

static void test_a_token_lives_from_its_making_to_its_end(void **state) {
  struct world *world = *state;
  char token[256];
  assert_int_equal(ask(world, "POST /api/v2.0/harbinger/tokens", "", "{\"name\":\"ci\"}"), 401);
  assert_int_equal(ask(world, "POST /api/v2.0/harbinger/tokens", USER, "{}"), 422);
  assert_int_equal(
      ask(world, "POST /api/v2.0/harbinger/tokens", USER, "{\"name\":\"ci\",\"expires_at\":\"2030-01-01T00:00:00Z\"}"),
      400);
  assert_int_equal(ask(world, "POST /api/v2.0/harbinger/tokens", USER, "{\"name\":\"ci\"}"), 201);
  assert_true(said(world, "\r\nLocation: /api/v2.0/harbinger/tokens/1\r\n"));
  assert_true(said(world, "\"expires_at\":\"2026-11-19T08:13:20.000Z\""));
  const char *text = strstr(world->answer, "hbt_");
  assert_non_null(text);
  snprintf(token, sizeof token, "Authorization: Bearer %.47s\r\n", text);
  assert_int_equal(ask(world, "GET /api/v2.0/users/current", token, NULL), 200);
  assert_true(said(world, "\"username\":\"alice\""));
  assert_int_equal(ask(world, "POST /api/v2.0/harbinger/tokens", token, "{\"name\":\"more\"}"), 403);
  assert_int_equal(ask(world, "GET /api/v2.0/harbinger/tokens", USER, NULL), 200);
  assert_true(said(world, "\"name\":\"ci\"") && !said(world, "hbt_"));
  assert_int_equal(ask(world, "GET /api/v2.0/harbinger/tokens", ADMIN, NULL), 200);
  assert_string_equal(answer_body(world), "[]\n");
  assert_int_equal(ask(world, "DELETE /api/v2.0/harbinger/tokens/1", ADMIN, NULL), 404); // not theirs
  assert_int_equal(ask(world, "DELETE /api/v2.0/harbinger/tokens/1", token, NULL), 200);
  assert_int_equal(ask(world, "DELETE /api/v2.0/harbinger/tokens/1", USER, NULL), 404);
}

// ---- the system -----------------------------------------------------------------------------------------------------

static void test_systeminfo_tells_the_anonymous_less(void **state) {
  struct world *world = *state;
  assert_int_equal(ask(world, "GET /api/v2.0/systeminfo", "", NULL), 200);
  assert_string_equal(answer_body(world), "{\"auth_mode\":\"db_auth\",\"banner_message\":\"\",\"oidc_provider_name\":"
                                          "\"\",\"primary_auth_mode\":false,\"self_registration\":false}\n");
  assert_int_equal(ask(world, "GET /api/v2.0/systeminfo", USER, NULL), 200);
  assert_true(said(world, "\"harbor_version\":\"v2.16.0-harbinger.0.1.0\""));
  assert_true(said(world, "\"notification_enable\":true"));
}

static void test_notifications_are_switched(void **state) {
  struct world *world = *state;
  const char *line = "PUT /api/v2.0/configurations";
  assert_int_equal(ask(world, "GET /api/v2.0/configurations", USER, NULL), 403);
  assert_int_equal(ask(world, line, ADMIN, "{\"notification_enable\":\"no\"}"), 422);
  assert_int_equal(ask(world, line, ADMIN, "{\"read_only\":true}"), 400);
  assert_int_equal(ask(world, line, ADMIN, "{\"read_only\":false,\"auth_mode\":\"db_auth\",\"new\":1}"), 200);
  assert_int_equal(ask(world, line, USER, "{\"notification_enable\":false}"), 403);
  assert_int_equal(ask(world, line, ADMIN, "{\"notification_enable\":false}"), 200);
  assert_int_equal(ask(world, "GET /api/v2.0/configurations", ADMIN, NULL), 200);
  assert_true(said(world, "\"notification_enable\":{\"editable\":true,\"value\":false}"));
  assert_int_equal(ask(world, line, ADMIN, "{\"notification_enable\":true}"), 200);
  assert_int_equal(ask(world, "GET /api/v2.0/systeminfo", USER, NULL), 200);
  assert_true(said(world, "\"notification_enable\":true"));
}

static bool reachable(struct world *world, const char *text) {
  struct address address;
  assert_true(address_read(str_of(text), &address));
  address.port = 443;
  return egress_check(world->egress, &address, NULL) == EGRESS_ALLOWED;
}

static void test_allowed_ranges_count_at_once(void **state) {
  struct world *world = *state;
  const char *line = "PUT /api/v2.0/harbinger/egress";
  assert_int_equal(ask(world, line, USER, "{\"allowed\":[\"10.1.0.0/16\"]}"), 403);
  assert_int_equal(ask(world, line, ADMIN, "{\"allowed\":\"10.1.0.0/16\"}"), 422);
  assert_int_equal(ask(world, line, ADMIN, "{\"allowed\":[7]}"), 422);
  assert_int_equal(ask(world, line, ADMIN, "{\"allowed\":[\"10.1.0.1/16\"]}"), 400);
  assert_int_equal(ask(world, line, ADMIN, "{\"allowed\":[\"127.0.0.0/8\"]}"), 400); // never
  assert_false(reachable(world, "10.1.2.3"));
  assert_int_equal(ask(world, line, ADMIN, "{\"allowed\":[\"10.1.0.0/16\",\"fd00::/8\",\"10.1.0.0/16\"]}"), 200);
  assert_true(reachable(world, "10.1.2.3"));
  assert_int_equal(ask(world, "GET /api/v2.0/harbinger/egress", ADMIN, NULL), 200);
  assert_string_equal(answer_body(world), "{\"allowed\":[\"10.1.0.0/16\",\"fd00::/8\"]}\n");
  assert_int_equal(ask(world, line, ADMIN, "{\"allowed\":[]}"), 200);
  assert_false(reachable(world, "10.1.2.3"));
  assert_int_equal(ask(world, "GET /api/v2.0/harbinger/egress", ADMIN, NULL), 200);
  assert_string_equal(answer_body(world), "{\"allowed\":[]}\n");
}

static void test_the_log_level_is_set(void **state) {
  struct world *world = *state;
  const char *line = "PUT /api/v2.0/harbinger/log-level";
  assert_int_equal(ask(world, line, USER, "{\"level\":\"debug\"}"), 403);
  assert_int_equal(ask(world, line, ADMIN, "{\"level\":\"loud\"}"), 400);
  assert_int_equal(ask(world, line, ADMIN, "{\"level\":3}"), 422);
  assert_int_equal(ask(world, line, ADMIN, "{\"level\":\"warn\"}"), 200);
  assert_int_equal(world->log.level, LOG_WARN);
}

static void test_changes_are_in_the_audit(void **state) {
  struct world *world = *state;
  make_project(world, "team-a", false);
  assert_int_equal(ask(world, "DELETE /api/v2.0/projects/team-a", ADMIN "X-Request-Id: r-7\r\n", NULL), 200);
  assert_int_equal(ask(world, "PUT /api/v2.0/harbinger/egress", ADMIN, "{\"allowed\":[\"10.0.0.0/8\"]}"), 200);
  assert_int_equal(ask(world, "GET /api/v2.0/harbinger/audit", USER, NULL), 403);
  assert_int_equal(ask(world, "GET /api/v2.0/harbinger/audit", ADMIN, NULL), 200);
  assert_true(said(world, "\r\nX-Total-Count: 3\r\n"));
  assert_true(said(world, "{\"actor\":\"admin\",\"address\":\"127.0.0.1\",\"at\":\"2026-08-21T08:13:20.000Z\",\"id\":2,"
                          "\"kind\":\"project\",\"operation\":\"delete\",\"project\":\"team-a\",\"request_id\":\"r-7\","
                          "\"subject\":\"team-a\"}"));
  assert_true(said(world, "\"kind\":\"egress\",\"operation\":\"allow\"") && said(world, "\"subject\":\"10.0.0.0/8\""));
  assert_int_equal(ask(world, "GET /api/v2.0/harbinger/audit?q=kind%3Degress", ADMIN, NULL), 200);
  assert_true(said(world, "\r\nX-Total-Count: 1\r\n"));
}

static int add_note(struct store_conn *conn, void *ctx, struct error *err) {
  const struct ingest_note note = {
      .at_us = FIXTURE_START_US, .source = STR("distribution"), .reason = STR("blob"), .repository = STR("team-a/web")};
  (void)ctx;
  return ingest_note_add(conn, &note, err);
}

static void test_the_ingest_log_is_shown(void **state) {
  struct world *world = *state;
  struct error err;
  assert_int_equal(store_write_sync(world->store->store, add_note, NULL, &err), 0);
  assert_int_equal(ask(world, "GET /api/v2.0/harbinger/ingest-log", "", NULL), 401);
  assert_int_equal(ask(world, "GET /api/v2.0/harbinger/ingest-log", ADMIN, NULL), 200);
  assert_string_equal(answer_body(world), "[{\"at\":\"2026-08-21T08:13:20.000Z\",\"id\":1,\"reason\":\"blob\","
                                          "\"repository\":\"team-a/web\",\"source\":\"distribution\"}]\n");
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_WORLD(test_open_pages_need_no_login),
      WITH_WORLD(test_errors_are_harbors),
      WITH_WORLD(test_wrong_credentials_are_401_everywhere_after_a_while),
      WITH_WORLD(test_malformed_input_is_told_before_rights),
      WITH_WORLD(test_a_project_is_made_read_changed_and_deleted),
      WITH_WORLD(test_bad_projects_are_refused),
      WITH_WORLD(test_unknown_and_forbidden_projects_look_alike),
      WITH_WORLD(test_a_header_makes_digits_a_name),
      WITH_WORLD(test_lists_show_what_one_may_see),
      WITH_WORLD(test_head_tells_whether_a_project_exists),
      WITH_WORLD(test_the_current_user),
      WITH_WORLD(test_a_password_is_changed),
      WITH_WORLD(test_a_token_lives_from_its_making_to_its_end),
      WITH_WORLD(test_systeminfo_tells_the_anonymous_less),
      WITH_WORLD(test_notifications_are_switched),
      WITH_WORLD(test_allowed_ranges_count_at_once),
      WITH_WORLD(test_the_log_level_is_set),
      WITH_WORLD(test_changes_are_in_the_audit),
      WITH_WORLD(test_the_ingest_log_is_shown),
  };
  struct error err;
  if (crypto_start(&err) != 0)
    return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
