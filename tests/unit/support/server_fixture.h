// SPDX-License-Identifier: Apache-2.0
// An HTTP server under test with its handler and a simulated clock, and callers of it over loopback. Everything runs on
// the test's thread: waiting means stepping the server's loop until the condition holds, at most MAX_ROUNDS times.
#ifndef HARBINGER_TESTS_UNIT_SUPPORT_SERVER_FIXTURE_H
#define HARBINGER_TESTS_UNIT_SUPPORT_SERVER_FIXTURE_H

#include "net/http_server.h"

enum {
  MAX_ROUNDS = 20000, // of at most 1 ms each: how long a test waits before it fails
  MAX_REQUESTS = 16,
  BODY_LIMIT_BYTES = 256 * 1024,
  BUDGET_BYTES = 300 * 1024,
  MAX_CONNECTIONS = 8,
};

struct world {
  struct clock clock;
  struct loop *loop;
  struct id_source *ids;
  struct http_server *server;
  bool defer;         // keep requests in `waiting` instead of answering
  bool stream_bodies; // hand requests over with the head
  bool bad_headers;   // answer with headers that must be dropped
  struct str answer;
  struct http_request *waiting[MAX_REQUESTS];
  size_t requests;
  size_t answered;
  int last_status;
  char last_body[64];
  size_t last_body_len;
  bool drained;
};

struct caller {
  struct buf got;
  int fd;
  bool ended;
  bool reset;
};

// Answer with 201, text/plain and `world->answer`.
void world_answer(struct world *world, struct http_request *request);
int world_set_up(void **state);
int world_tear_down(void **state);
// Connects without blocking afterwards.
void caller_open(const struct world *world, struct caller *caller);
void caller_close(struct caller *caller);
// What is there now.
void caller_read(struct caller *caller);
// Until the caller has `text` in what it got; the server runs meanwhile.
void caller_await(struct world *world, struct caller *caller, const char *text);
// Until the server ended the connection, and not by a reset.
void caller_await_end(struct world *world, struct caller *caller);
void world_await_requests(struct world *world, size_t count);
// Run until the server has nothing more to do.
void world_settle(struct world *world);
void caller_send(struct world *world, struct caller *caller, struct str data);
void caller_send_c(struct world *world, struct caller *caller, const char *text);
void world_advance_ms(struct world *world, int64_t ms);
bool caller_got(const struct caller *caller, const char *text);
size_t caller_count(const struct caller *caller, const char *text);

#endif
