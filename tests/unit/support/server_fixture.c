// SPDX-License-Identifier: Apache-2.0
#include "support/server_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void world_answer(struct world *world, struct http_request *request) {
  const struct http_header headers[] = {
      {STR("X-Good"), STR("yes")},
      {STR("X-Split"), STR("a\r\nSet-Cookie: b")},
      {STR("Content-Length"), STR("7")},
  };
  http_respond(request, &(struct http_response){
                            .status = 201,
                            .content_type = "text/plain",
                            .headers = headers,
                            .headers_len = world->bad_headers ? ARRAY_LEN(headers) : 0,
                            .body = world->answer,
                        });
}

static size_t on_body_limit(void *ctx, const struct http_head *head) {
  (void)ctx;
  (void)head;
  return BODY_LIMIT_BYTES;
}

static bool on_streams_body(void *ctx, const struct http_head *head) {
  (void)head;
  return ((struct world *)ctx)->stream_bodies;
}

static void on_request(void *ctx, struct http_request *request) {
  struct world *world = ctx;
  assert_true(world->requests < MAX_REQUESTS);
  world->waiting[world->requests++] = request;
  world->last_body_len = request->body.len;
  memcpy(world->last_body, request->body.ptr,
         request->body.len < sizeof world->last_body ? request->body.len : sizeof world->last_body);
  if (!world->defer)
    world_answer(world, request);
}

static void on_write_error(void *ctx, struct str path, int status, const char *words, struct buf *out,
                           const char **content_type) {
  (void)ctx;
  *content_type = "text/plain";
  buf_printf(out, "error %d on [%.*s]: %s", status, STR_ARG(path), words);
}

static void on_answered(void *ctx, const struct http_request *request, int status, int64_t duration_us) {
  struct world *world = ctx;
  assert_non_null(request->head);
  assert_true(request->request_id.len > 0);
  assert_true(duration_us >= 0);
  world->answered++;
  world->last_status = status;
}

int world_set_up(void **state) {
  struct error err;
  struct world *world = calloc(1, sizeof *world);
  clock_init_simulated(&world->clock, INT64_C(1784361600) * US_PER_S); // Sat, 18 Jul 2026 08:00:00 GMT
  world->loop = loop_new(&world->clock, MAX_CONNECTIONS + 2, 4, &err);
  world->ids = id_source_new(&world->clock);
  world->answer = STR("done\n");
  const struct http_server_handler handler = {
      .ctx = world,
      .body_limit = on_body_limit,
      .streams_body = on_streams_body,
      .on_request = on_request,
      .write_error = on_write_error,
      .on_answered = on_answered,
  };
  struct http_server_config config = {
      .backlog = 16,
      .max_connections = MAX_CONNECTIONS,
      .max_head_bytes = 64 * 1024,
      .max_buffered_bytes = BUDGET_BYTES,
      .max_response_bytes = 32 * 1024 * 1024,
      .request_arena_bytes = 1024 * 1024,
      .header_timeout_ms = 10000,
      .body_idle_timeout_ms = 30000,
      .body_rate_window_ms = 60000,
      .body_min_bytes_per_s = 1024,
      .keep_alive_timeout_ms = 75000,
      .write_timeout_ms = 30000,
  };
  if (!address_read(STR("127.0.0.1"), &config.listen))
    return -1;
  world->server = http_server_new(world->loop, &config, &handler, world->ids, NULL, &err);
  *state = world;
  return world->server ? 0 : -1;
}

int world_tear_down(void **state) {
  struct world *world = *state;
  http_server_free(world->server);
  loop_free(world->loop);
  id_source_free(world->ids);
  free(world);
  return 0;
}

void caller_open(const struct world *world, struct caller *caller) {
  *caller = (struct caller){.fd = socket(AF_INET, SOCK_STREAM, 0)};
  buf_init(&caller->got, 64 * 1024 * 1024);
  struct address address = http_server_address(world->server);
  struct sockaddr_storage storage;
  socklen_t len = address_to_sockaddr(&address, &storage);
  assert_true(caller->fd >= 0);
  assert_int_equal(connect(caller->fd, (const struct sockaddr *)&storage, len), 0);
  const int on = 1; // two small writes shall not wait for each other
  assert_int_equal(setsockopt(caller->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
  assert_int_equal(fcntl(caller->fd, F_SETFL, O_NONBLOCK), 0);
}

void caller_close(struct caller *caller) {
  if (caller->fd >= 0)
    close(caller->fd);
  caller->fd = -1;
  buf_free(&caller->got);
}

void caller_read(struct caller *caller) {
  while (!caller->ended) {
    char *to = buf_reserve(&caller->got, 64 * 1024);
    assert_non_null(to);
    ssize_t got = recv(caller->fd, to, 64 * 1024, 0);
    if (got > 0) {
      buf_added(&caller->got, (size_t)got);
      continue;
    }
    if (got < 0 && errno == EAGAIN)
      return;
    caller->ended = true;
    caller->reset = got < 0;
  }
}

// Until the caller has `text` in what it got; the server runs meanwhile.
void caller_await(struct world *world, struct caller *caller, const char *text) {
  for (int i = 0; i < MAX_ROUNDS; i++) {
    caller_read(caller);
    if (str_contains(buf_str(&caller->got), str_of(text)))
      return;
    assert_false(caller->ended);
    loop_step(world->loop, 1);
  }
  fail_msg("never got: %s", text);
}

void caller_await_end(struct world *world, struct caller *caller) {
  for (int i = 0; i < MAX_ROUNDS && !caller->ended; i++) {
    loop_step(world->loop, 1);
    caller_read(caller);
  }
  assert_true(caller->ended);
  assert_false(caller->reset);
}

void world_await_requests(struct world *world, size_t count) {
  for (int i = 0; i < MAX_ROUNDS && world->requests < count; i++)
    loop_step(world->loop, 1);
  assert_int_equal(world->requests, count);
}

// Run until the server has nothing more to do; two empty rounds, since a peer's bytes may just be under way.
void world_settle(struct world *world) {
  for (int quiet = 0; quiet < 2;)
    quiet = loop_step(world->loop, 2) ? 0 : quiet + 1;
}

void caller_send(struct world *world, struct caller *caller, struct str data) {
  for (int i = 0; i < MAX_ROUNDS && data.len > 0; i++) {
    ssize_t sent = send(caller->fd, data.ptr, data.len, MSG_NOSIGNAL);
    if (sent > 0)
      data = str_from(data, (size_t)sent);
    else
      assert_true(errno == EAGAIN || errno == EWOULDBLOCK);
    loop_step(world->loop, 0);
  }
  assert_int_equal(data.len, 0);
}

void caller_send_c(struct world *world, struct caller *caller, const char *text) {
  caller_send(world, caller, str_of(text));
}

void world_advance_ms(struct world *world, int64_t ms) {
  clock_advance(&world->clock, ms * US_PER_MS);
  world_settle(world);
}

bool caller_got(const struct caller *caller, const char *text) {
  return str_contains(buf_str(&caller->got), str_of(text));
}

size_t caller_count(const struct caller *caller, const char *text) {
  size_t count = 0;
  size_t len = strlen(text);
  for (struct str s = buf_str(&caller->got); s.len >= len; s = str_from(s, 1))
    count += memcmp(s.ptr, text, len) == 0;
  return count;
}
