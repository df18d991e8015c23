// SPDX-License-Identifier: Apache-2.0
// Server and client together, as a proxy between a client and an upstream over real sockets: every byte, once, in order, both
// ways, plain and under TLS, however fast or slow either side is; and what each hears when the other breaks off.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/client_fixture.h"
#include "support/relay.h"

enum { ROUNDS = 20000, READ_BYTES = 16 * 1024 };

static char pattern(uint64_t at) {
  return (char)('a' + ((at * 2654435761u) >> 11) % 26);
}

// ---- the upstream: takes a body, then answers with as many bytes of the pattern

struct upstream {
  struct http_server *server;
  bool chunked;       // answer without a length
  bool lazy;          // take a body only when asked
  uint64_t cut_after; // abort the answer after so many bytes; 0: never
  uint64_t got;       // of all bodies
  int requests, broken, wrong;
};

struct upload {
  struct upstream *upstream;
  struct http_request *request;
  uint64_t got, sent;
};

static void serve_more(void *ctx) {
  struct upload *upload = ctx;
  struct upstream *upstream = upload->upstream;
  char piece[48 * 1024];
  struct error err;
  while (upload->sent < upload->got && http_stream_waiting(upload->request) == 0) {
    size_t len = upload->got - upload->sent < sizeof piece ? (size_t)(upload->got - upload->sent) : sizeof piece;
    for (size_t i = 0; i < len; i++)
      piece[i] = pattern(upload->sent + i);
    if (http_stream_write(upload->request, (struct str){piece, len}, &err) != 0)
      abort();
    upload->sent += len;
    if (upstream->cut_after && upload->sent >= upstream->cut_after) {
      http_stream_abort(upload->request);
      free(upload);
      return;
    }
  }
  if (upload->sent < upload->got)
    return;
  http_stream_end(upload->request);
  free(upload);
}

static void upstream_closed(void *ctx) {
  struct upload *upload = ctx;
  upload->upstream->broken++;
  free(upload);
}

static void upload_piece(void *ctx, struct str piece) {
  struct upload *upload = ctx;
  for (size_t i = 0; i < piece.len; i++)
    upload->upstream->wrong += piece.ptr[i] != pattern(upload->got + i);
  upload->got += piece.len;
  upload->upstream->got += piece.len;
  if (!upload->upstream->lazy)
    http_body_want(upload->request);
}

static void upload_end(void *ctx) {
  struct upload *upload = ctx;
  const struct http_stream_handler handler = {.ctx = upload, .on_closed = upstream_closed, .on_taken = serve_more};
  const struct http_response response = {
      .status = 200, .has_length = !upload->upstream->chunked, .length = upload->got};
  struct error err;
  if (http_respond_stream(upload->request, &response, &handler, &err) != 0)
    abort();
  serve_more(upload);
}

static void upload_broken(void *ctx, const struct error *why) {
  (void)why;
  upstream_closed(ctx);
}

static void upstream_request(void *ctx, struct http_request *request) {
  struct upstream *upstream = ctx;
  struct upload *upload = calloc(1, sizeof *upload);
  const struct http_body_handler reader = {
      .ctx = upload, .on_piece = upload_piece, .on_end = upload_end, .on_broken = upload_broken};
  upload->upstream = upstream;
  upload->request = request;
  upstream->requests++;
  if (str_starts(request->head->target, STR("/early"))) {
    http_respond(request, &(struct http_response){.status = 413, .body = STR("too much\n")});
    free(upload);
    return;
  }
  http_body_read(request, &reader);
  if (!upstream->lazy)
    http_body_want(request);
}

static bool yes(void *ctx, const struct http_head *head) {
  (void)ctx;
  (void)head;
  return true;
}

static void no_words(void *ctx, struct str path, int status, const char *words, struct buf *out,
                     const char **content_type) {
  (void)ctx;
  (void)path;
  (void)status;
  (void)words;
  (void)out;
  (void)content_type;
}

static void not_noted(void *ctx, const struct http_request *request, int status, int64_t duration_us) {
  (void)ctx;
  (void)request;
  (void)status;
  (void)duration_us;
}

// ---- the world

struct house {
  struct client_fixture *fixture;
  struct id_source *ids;
  struct upstream upstream;
  struct relay relay;
  struct tls_server *tls;
  struct stream *caller; // to the relay
  char *got;
  size_t got_len;
  bool ended, reset;
};

static struct http_server *serve(struct house *house, const struct http_server_handler *handler) {
  struct error err;
  struct http_server_config config = {
      .backlog = 16,
      .max_connections = 16,
      .max_head_bytes = 64 * 1024,
      .max_buffered_bytes = 8 * 1024 * 1024,
      .max_response_bytes = 32 * 1024 * 1024,
      .request_arena_bytes = 1024 * 1024,
      .header_timeout_ms = 10000,
      .body_idle_timeout_ms = 30000,
      .body_rate_window_ms = 60000,
      .body_min_bytes_per_s = 1024,
      .keep_alive_timeout_ms = 75000,
      .write_timeout_ms = 30000,
  };
  assert_true(address_read(STR("127.0.0.1"), &config.listen));
  struct http_server *server = http_server_new(house->fixture->loop, &config, handler, house->ids, NULL, &err);
  assert_non_null(server);
  http_server_set_tls(server, house->tls);
  return server;
}

static void open_caller(struct house *house) {
  struct address address = http_server_address(house->relay.server);
  struct sockaddr_storage storage;
  struct error err;
  socklen_t len = address_to_sockaddr(&address, &storage);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)&storage, len), 0);
  assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
  house->caller = house->tls ? stream_new_client(fd, house->fixture->tls, STR("127.0.0.1"), true, NULL, &err)
                             : stream_new_plain(fd);
  assert_non_null(house->caller);
  while (stream_handshake(house->caller, &err) != STREAM_OK)
    loop_step(house->fixture->loop, 1);
}

static struct house *house_new(void **state, bool tls) {
  struct client_fixture *fixture = *state;
  struct house *house = calloc(1, sizeof *house);
  const struct http_server_handler upstream = {.ctx = &house->upstream,
                                               .streams_body = yes,
                                               .on_request = upstream_request,
                                               .write_error = no_words,
                                               .on_answered = not_noted};
  house->fixture = fixture;
  house->ids = id_source_new(&fixture->clock);
  if (tls) {
    struct str chain, key;
    struct error err;
    pki_issue(fixture->pki, "IP:127.0.0.1", &chain, &key);
    house->tls = tls_server_new(chain, key, &err);
    assert_non_null(house->tls);
  }
  house->upstream.server = serve(house, &upstream);
  house->relay = (struct relay){.client = fixture->client,
                                .scheme = tls ? "https" : "http",
                                .host = "127.0.0.1",
                                .port = http_server_address(house->upstream.server).port};
  const struct http_server_handler handler = relay_handler(&house->relay);
  house->relay.server = serve(house, &handler);
  open_caller(house);
  return house;
}

static void house_free(struct house *house) {
  stream_free(house->caller);
  client_fixture_settle(house->fixture);
  for (int i = 0; i < ROUNDS && house->relay.open > 0; i++)
    loop_step(house->fixture->loop, 1);
  assert_int_equal(house->relay.open, 0);
  http_server_free(house->relay.server);
  http_server_free(house->upstream.server);
  tls_server_free(house->tls);
  id_source_free(house->ids);
  free(house->got);
  free(house);
}

static size_t read_some(struct house *house) {
  struct error err;
  size_t got = 0;
  if (house->ended)
    return 0;
  house->got = realloc(house->got, house->got_len + READ_BYTES);
  enum stream_result result = stream_read(house->caller, house->got + house->got_len, READ_BYTES, &got, &err);
  house->got_len += got;
  house->ended = result == STREAM_EOF || result == STREAM_FAILED;
  house->reset = result == STREAM_FAILED;
  return got;
}

static size_t send_some(struct house *house, struct str data) {
  size_t written = 0;
  struct error err;
  if (data.len > 0 && stream_write(house->caller, data, &written, &err) == STREAM_FAILED)
    return 0; // what came before it is still to be read
  return written;
}

static size_t body_at(const struct house *house) {
  const char *end = house->got_len > 0 ? memmem(house->got, house->got_len, "\r\n\r\n", 4) : NULL;
  return end ? (size_t)(end - house->got) + 4 : 0;
}

// Send a body of `size` bytes with a length, read the answer with a length.
static void exchange(struct house *house, size_t size, bool slow_reader) {
  char head[128];
  size_t sent = 0, head_sent = 0;
  char *body = malloc(size);
  for (size_t i = 0; i < size; i++)
    body[i] = pattern(i);
  house->got_len = 0;
  (void)snprintf(head, sizeof head, "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", size);
  for (int i = 0; i < ROUNDS && (body_at(house) == 0 || house->got_len < body_at(house) + size); i++) {
    size_t moved = send_some(house, str_from(str_of(head), head_sent));
    head_sent += moved;
    if (head_sent == strlen(head)) {
      moved = send_some(house, str_from((struct str){body, size}, sent));
      sent += moved;
    }
    bool reads = !slow_reader || i % 16 == 0;
    if (reads)
      moved += read_some(house);
    loop_step(house->fixture->loop, reads && moved == 0 ? 1 : 0);
    assert_false(house->ended);
  }
  assert_int_equal(sent, size);
  assert_int_equal(house->got_len, body_at(house) + size);
  assert_memory_equal(house->got + body_at(house), body, size);
  assert_int_equal(house->upstream.wrong, 0);
  free(body);
}

static void run_exchanges(void **state, bool tls) {
  static const size_t sizes[] = {1, 5000, 64 * 1024, 64 * 1024 + 1, 3 * 1024 * 1024 + 17};
  struct house *house = house_new(state, tls);
  for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
    exchange(house, sizes[i], false);
    exchange(house, sizes[i], true);
  }
  assert_int_equal(house->relay.broken, 0);
  assert_int_equal(http_server_connections(house->upstream.server), 1); // kept
  house_free(house);
}

static void test_bodies_pass_both_ways_unchanged(void **state) {
  run_exchanges(state, false);
}

static void test_bodies_pass_both_ways_unchanged_under_tls(void **state) {
  run_exchanges(state, true);
}

static void await_count(struct house *house, const int *count, int least) {
  for (int i = 0; i < ROUNDS && *count < least; i++)
    loop_step(house->fixture->loop, 1);
  assert_true(*count >= least);
}

static void send_c(struct house *house, const char *text) {
  struct str left = str_of(text);
  for (int i = 0; i < ROUNDS && left.len > 0; i++) {
    left = str_from(left, send_some(house, left));
    loop_step(house->fixture->loop, 0);
  }
}

static void await_text(struct house *house, const char *text) {
  for (int i = 0; i < ROUNDS; i++) {
    if (house->got_len > 0 && memmem(house->got, house->got_len, text, strlen(text)))
      return;
    (void)read_some(house);
    loop_step(house->fixture->loop, 1);
  }
  fail_msg("never got: %s", text);
}

static void test_chunked_bodies_pass_both_ways(void **state) {
  struct house *house = house_new(state, false);
  char body[3] = {pattern(0), pattern(1), pattern(2)};
  char request[128];
  house->upstream.chunked = true;
  (void)snprintf(request, sizeof request, "PATCH /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  send_c(house, request);
  (void)snprintf(request, sizeof request, "1\r\n%c\r\n2\r\n%c%c\r\n0\r\n\r\n", body[0], body[1], body[2]);
  send_c(house, request);
  await_text(house, "\r\n0\r\n\r\n");
  assert_int_equal(house->upstream.got, 3);
  assert_int_equal(house->upstream.wrong, 0);
  house_free(house);
}

static void test_a_client_that_waits_for_continue_gets_it_and_its_answer(void **state) {
  struct house *house = house_new(state, true);
  send_c(house, "PUT /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
  await_text(house, "HTTP/1.1 100 Continue\r\n\r\n");
  char body[2] = {pattern(0), 0};
  send_c(house, body);
  await_text(house, "HTTP/1.1 200 ");
  house_free(house);
}

static void test_an_early_answer_of_the_upstream_reaches_the_client(void **state) {
  struct house *house = house_new(state, false);
  send_c(house, "PUT /early HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n");
  static char more[64 * 1024];
  for (int i = 0; i < 64; i++) {
    (void)send_some(house, (struct str){more, sizeof more});
    loop_step(house->fixture->loop, 0);
  }
  await_text(house, "too much\n");
  assert_non_null(memmem(house->got, house->got_len, "HTTP/1.1 413 ", 13));
  house_free(house);
}

static void test_a_client_that_goes_breaks_the_upstream_upload_off(void **state) {
  struct house *house = house_new(state, false);
  send_c(house, "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\nabc");
  await_count(house, &house->upstream.requests, 1);
  for (int i = 0; i < ROUNDS && house->upstream.got < 3; i++)
    loop_step(house->fixture->loop, 1);
  stream_free(house->caller);
  await_count(house, &house->upstream.broken, 1);
  assert_int_equal(house->relay.broken, 1);
  open_caller(house); // for house_free
  house_free(house);
}

static void run_cut(void **state, bool tls, bool chunked) {
  struct house *house = house_new(state, tls);
  enum { SIZE = 1024 * 1024 };
  char head[128];
  char *body = malloc(SIZE);
  size_t sent = 0;
  for (size_t i = 0; i < SIZE; i++)
    body[i] = pattern(i);
  house->upstream.cut_after = SIZE / 2;
  house->upstream.chunked = chunked;
  (void)snprintf(head, sizeof head, "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", SIZE);
  send_c(house, head);
  for (int i = 0; i < ROUNDS && !house->ended; i++) {
    sent += send_some(house, str_from((struct str){body, SIZE}, sent));
    (void)read_some(house);
    loop_step(house->fixture->loop, 1);
  }
  assert_true(house->reset);
  assert_int_equal(house->relay.broken, 1);
  free(body);
  house_free(house);
}

static void test_an_upstream_that_cuts_its_answer_off_is_a_reset_for_the_client(void **state) {
  run_cut(state, false, false);
}

static void test_a_chunked_answer_that_is_cut_off_is_a_reset_under_tls_too(void **state) {
  run_cut(state, true, true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)
      TEST(test_bodies_pass_both_ways_unchanged),
      TEST(test_bodies_pass_both_ways_unchanged_under_tls),
      TEST(test_chunked_bodies_pass_both_ways),
      TEST(test_a_client_that_waits_for_continue_gets_it_and_its_answer),
      TEST(test_an_early_answer_of_the_upstream_reaches_the_client),
      TEST(test_a_client_that_goes_breaks_the_upstream_upload_off),
      TEST(test_an_upstream_that_cuts_its_answer_off_is_a_reset_for_the_client),
      TEST(test_a_chunked_answer_that_is_cut_off_is_a_reset_under_tls_too),
#undef TEST
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
