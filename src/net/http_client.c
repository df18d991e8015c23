// SPDX-License-Identifier: Apache-2.0
#include "net/http_client.h"

#include <stdlib.h>

#include "net/http_client_internal.h"

enum { SPARE_BUF_BYTES = 32 * 1024 }; // a spare call keeps buffers up to this

static struct http_call *call_take(struct http_client *client) {
  struct list_node *node = list_pop_front(&client->spare);
  struct buf out, body;
  struct http_call *call;
  if (node) {
    call = CONTAINER_OF(node, struct http_call, node);
    out = call->out;
    body = call->body;
    memset(call, 0, sizeof(*call));
  } else {
    call = calloc(1, sizeof(*call));
    if (!call)
      return NULL;
    buf_init(&out, HTTP_MAX_OUT_BYTES);
    buf_init(&body, 0);
  }
  call->out = out;
  call->body = body;
  return call;
}

static void call_recycle(struct http_call *call) {
  struct http_client *client = call->client;
  call->state = CALL_ENDED;
  call->home = NULL;
  if (call->stream)
    free(call->stream->rest);
  free(call->stream);
  call->stream = NULL;
  if (call->out.cap > SPARE_BUF_BYTES)
    buf_free(&call->out);
  if (call->body.cap > SPARE_BUF_BYTES)
    buf_free(&call->body);
  if (client->spare.count < HTTP_SPARE_CALLS) {
    list_push_front(&client->spare, &call->node);
    return;
  }
  buf_free(&call->out);
  buf_free(&call->body);
  free(call);
}

// Everything but the connection, which lends the answer's head to on_done.
static void call_detach(struct http_call *call) {
  struct http_client *client = call->client;
  loop_timer_cancel(client->loop, &call->timer);
  resolver_cancel(call->query);
  call->query = NULL;
  call_drop_dial(call);
  list_remove(call->home, &call->node);
  if (call->stream && call->stream->is_soon)
    list_remove(&client->soon, &call->stream->soon_node);
  client->calls--;
  call->state = CALL_ENDED;
}

// A request that is not whole must not look as if it were: the peer gets a reset.
static bool is_half_sent(const struct http_call *call) {
  return call->sent_bytes > 0 && !call_request_sent(call);
}

static void call_release(struct http_call *call, bool reusable) {
  struct client_conn *conn = call->conn;
  call->conn = NULL;
  if (conn && reusable)
    http_pool_put(conn);
  else if (conn && is_half_sent(call))
    client_conn_reset(conn);
  else
    client_conn_close(conn);
  if (call->key)
    http_pool_key_unref(call->client, call->key);
  call->key = NULL;
  call_recycle(call);
}

void call_describe(const struct http_call *call, struct http_result *result) {
  result->request_sent = call->request_started;
  result->reused = call->reused;
  result->tls_resumed = call->tls_resumed;
  result->peer = call->peer;
  result->timings = call->timings;
}

void call_finish(struct http_call *call, struct http_result *result, bool reusable) {
  call_detach(call);
  call->timings.total_us = loop_now_us(call->client->loop) - call->started_us;
  call_describe(call, result);
  call->params.on_done(call->params.ctx, result);
  call_release(call, reusable);
}

void call_fail(struct http_call *call, enum http_outcome outcome, const struct error *err) {
  struct http_result result = {.outcome = outcome, .err = *err, .body = STR_EMPTY};
  log_debug(call->client->log, "net", "a request failed: %s", err->text);
  if (outcome == HTTP_OUTCOME_TLS && call->key->session) // whatever is wrong with it, it is not tried again
    http_pool_drop_session(call->client, call->key);
  call_finish(call, &result, false);
}

static void reset_timings(struct http_call *call) {
  call->timings = (struct http_timings){-1, -1, -1, -1, -1};
}

bool call_retry(struct http_call *call) {
  if (call->retried || !call->conn->reused)
    return false;
  call->retried = true;
  loop_timer_cancel(call->client->loop, &call->timer);
  client_conn_close(call->conn);
  call->conn = NULL;
  call->sent_bytes = 0;
  call->first_byte_deadline_us = 0;
  call->send_failed = false;
  call->reused = false;
  if (call->stream) {
    call->stream->out_sent = 0;
    call->stream->complete = call->stream->blocked = false;
  }
  call->peer = (struct address){0};
  reset_timings(call);
  call_connect(call);
  return true;
}

bool call_left_callback(struct http_call *call) {
  call->in_callback = false;
  if (!call->cancelled)
    return true;
  call_detach(call);
  call_release(call, false);
  return false;
}

bool call_tell_connected(struct http_call *call) {
  if (!call->params.on_connected || call->told_connected)
    return true;
  call->told_connected = true;
  call->in_callback = true;
  call->params.on_connected(call->params.ctx);
  return call_left_callback(call);
}

static int64_t earlier(int64_t a_us, int64_t b_us) {
  return b_us != 0 && b_us < a_us ? b_us : a_us;
}

void call_arm(struct http_call *call) {
  int64_t at_us = call->total_deadline_us;
  if (call->state == CALL_CONNECTING || call->state == CALL_HANDSHAKING)
    at_us = earlier(at_us, call->connect_deadline_us);
  if (call->state == CALL_CONNECTING)
    at_us = earlier(at_us, call->stagger_us);
  if (call->state == CALL_EXCHANGING && !call->answer_began)
    at_us = earlier(at_us, call->first_byte_deadline_us);
  if (call->stream) {
    at_us = earlier(at_us, call_stream_deadline_us(call));
    // One that is set earlier looks again when it fires: a piece does not move it.
    if (at_us == INT64_MAX || (call->timer.entry.index != 0 && call->timer.entry.at_us <= at_us))
      return;
  }
  if (call->timer.entry.index == 0 || call->timer.entry.at_us != at_us)
    loop_timer_set(call->client->loop, &call->timer, at_us);
}

static void call_time_out(struct http_call *call, const char *what, int64_t limit_ms) {
  if (call->answered) { // the status decides, whatever its body does
    call_answer_cut(call, what);
    return;
  }
  struct error err;
  const struct url *url = &call->params.url;
  error_set(&err, ERR_TIMEOUT, "%s %.*s port %u within %lld ms", what, STR_ARG(url->host), url->port,
            (long long)limit_ms);
  call_fail(call, call->state == CALL_RESOLVING ? HTTP_OUTCOME_DNS : HTTP_OUTCOME_TIMEOUT, &err);
}

static void on_call_timer(struct loop_timer *timer) {
  struct http_call *call = CONTAINER_OF(timer, struct http_call, timer);
  const struct http_call_params *params = &call->params;
  int64_t now_us = loop_now_us(call->client->loop);
  bool connecting = call->state == CALL_CONNECTING || call->state == CALL_HANDSHAKING;
  if (now_us >= call->total_deadline_us)
    call_time_out(call, "the delivery was not finished by", params->total_timeout_ms);
  else if (connecting && now_us >= call->connect_deadline_us)
    call_time_out(call, call->state == CALL_CONNECTING ? "no connection to" : "the TLS handshake was not finished by",
                  params->connect_timeout_ms);
  else if (call->state == CALL_EXCHANGING && !call->answer_began && call->first_byte_deadline_us != 0 &&
           now_us >= call->first_byte_deadline_us)
    call_time_out(call, "no answer to the request from", params->first_byte_timeout_ms);
  else if (call->stream && now_us >= call_stream_deadline_us(call))
    call_time_out(call, call_stream_late_words(call), call->stream->to.idle_timeout_ms);
  else if (call->state == CALL_CONNECTING)
    call_connect_timer(call);
  else
    call_arm(call);
}

void client_conn_on_ready(struct loop_io *io, uint32_t events) {
  struct client_conn *conn = CONTAINER_OF(io, struct client_conn, io);
  struct http_call *call = conn->call;
  if (!call)
    http_pool_idle_ready(conn);
  else if (call->state == CALL_CONNECTING)
    call_dial_ready(conn);
  else if (call->state == CALL_HANDSHAKING)
    call_handshake_ready(call);
  else if (call->state == CALL_EXCHANGING)
    call_exchange_ready(call, events);
}

static void call_run(struct http_call *call) {
  struct http_client *client = call->client;
  call->started_us = loop_now_us(client->loop);
  call->total_deadline_us = call->stream ? INT64_MAX : call->started_us + call->params.total_timeout_ms * US_PER_MS;
  call->key = http_pool_key_of(client, &call->params);
  if (!call->key) {
    struct error err;
    error_set(&err, ERR_NO_MEMORY, "no memory for another connection");
    call_fail(call, HTTP_OUTCOME_LOCAL, &err);
    return;
  }
  call->conn = http_pool_take(client, call->key);
  if (!call->conn) {
    call_connect(call);
    return;
  }
  call->conn->call = call;
  call->reused = true;
  call->peer = call->conn->peer;
  if (call_tell_connected(call))
    call_exchange(call);
}

void client_run_soon(struct http_client *client) {
  if (client->start_timer.entry.index == 0)
    loop_timer_set(client->loop, &client->start_timer, loop_now_us(client->loop));
}

// Only those that are here now; what on_done starts waits for the next round.
static void on_start_timer(struct loop_timer *timer) {
  struct http_client *client = CONTAINER_OF(timer, struct http_client, start_timer);
  for (size_t left = client->starting.count; left > 0 && !list_empty(&client->starting); left--) {
    struct http_call *call = CONTAINER_OF(list_pop_front(&client->starting), struct http_call, node);
    call->home = &client->running;
    list_push_back(&client->running, &call->node);
    call_run(call);
  }
  for (size_t left = client->soon.count; left > 0; left--)
    call_stream_next(client);
  if (!list_empty(&client->starting) || !list_empty(&client->soon))
    client_run_soon(client);
}

struct http_call *http_client_start(struct http_client *client, const struct http_call_params *params,
                                    struct error *err) {
  if (client->calls >= client->config.max_calls) {
    error_set(err, ERR_FULL, "%zu requests are on their way already", client->calls);
    return NULL;
  }
  struct http_call *call = call_take(client);
  if (!call) {
    error_set(err, ERR_NO_MEMORY, "no memory for another request");
    return NULL;
  }
  call->client = client;
  call->params = *params;
  if (params->stream && !call_stream_new(call, params->stream)) {
    call_recycle(call);
    error_set(err, ERR_NO_MEMORY, "no memory for another request");
    return NULL;
  }
  call->params.stream = NULL; // the caller's
  buf_clear(&call->body);
  call->body.max_bytes = params->keep_body_bytes;
  call->timer.on_fire = on_call_timer;
  reset_timings(call);
  if (call_write_head(call, err) != 0) {
    call_recycle(call);
    return NULL;
  }
  // In a moment of its own, so that no callback runs inside this function.
  client_run_soon(client);
  call->state = CALL_STARTING;
  call->home = &client->starting;
  list_push_back(&client->starting, &call->node);
  client->calls++;
  return call;
}

void http_call_cancel(struct http_call *call) {
  if (!call || call->state == CALL_ENDED)
    return;
  if (call->in_callback) {
    call->cancelled = true;
    return;
  }
  call_detach(call);
  call_release(call, false);
}

bool http_call_request_started(const struct http_call *call) {
  return call->sent_bytes > 0;
}

void http_call_once(struct http_call *call) {
  call->retried = true;
}

struct http_client *http_client_new(struct loop *loop, struct resolver *resolver, struct egress *guard,
                                    struct tls_client *tls, const struct http_client_config *config,
                                    const struct log *log, struct error *err) {
  struct http_client *client = calloc(1, sizeof(*client));
  if (!client) {
    error_set(err, ERR_NO_MEMORY, "no memory for the HTTP client");
    return NULL;
  }
  client->loop = loop;
  client->resolver = resolver;
  client->guard = guard;
  client->tls = tls;
  client->config = *config;
  client->log = log;
  list_init(&client->starting);
  list_init(&client->running);
  list_init(&client->spare);
  list_init(&client->soon);
  client->start_timer.on_fire = on_start_timer;
  if (http_pool_init(client, err) != 0) {
    free(client);
    return NULL;
  }
  return client;
}

static void cancel_all(struct list *calls) {
  struct list_node *node;
  while ((node = list_first(calls)) != NULL)
    http_call_cancel(CONTAINER_OF(node, struct http_call, node));
}

void http_client_free(struct http_client *client) {
  if (!client)
    return;
  cancel_all(&client->starting); // none are left when the caller keeps its promise
  cancel_all(&client->running);
  loop_timer_cancel(client->loop, &client->start_timer);
  http_pool_free(client);
  struct list_node *node;
  while ((node = list_pop_front(&client->spare)) != NULL) {
    struct http_call *call = CONTAINER_OF(node, struct http_call, node);
    buf_free(&call->out);
    buf_free(&call->body);
    free(call);
  }
  free(client);
}
