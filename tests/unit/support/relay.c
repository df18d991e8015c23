// SPDX-License-Identifier: Apache-2.0
#include "support/relay.h"

#include <stdio.h>
#include <stdlib.h>

struct exchange {
  struct relay *relay;
  struct http_request *request; // NULL: gone
  struct http_call *call;       // NULL: over
  bool streaming;
  char url[512];
};

static void exchange_free(struct exchange *exchange) {
  if (exchange->request || exchange->call)
    return;
  exchange->relay->open--;
  free(exchange);
}

static void bad_gateway(struct exchange *exchange) {
  http_respond(exchange->request, &(struct http_response){.status = 502, .content_type = "text/plain"});
  exchange->request = NULL;
}

// ---- the client's side

static void on_piece_up(void *ctx, struct str piece) {
  struct exchange *exchange = ctx;
  struct error err;
  if (!exchange->call)
    return;
  if (http_call_send(exchange->call, piece, &err) == 0 && http_call_takes_more(exchange->call))
    http_body_want(exchange->request);
}

static void on_end_up(void *ctx) {
  struct exchange *exchange = ctx;
  if (exchange->call)
    http_call_send_end(exchange->call);
}

static void client_gone(void *ctx) {
  struct exchange *exchange = ctx;
  exchange->relay->broken++;
  exchange->request = NULL;
  http_call_cancel(exchange->call);
  exchange->call = NULL;
  exchange_free(exchange);
}

static void on_broken_up(void *ctx, const struct error *why) {
  (void)why;
  client_gone(ctx);
}

static void on_taken(void *ctx) {
  struct exchange *exchange = ctx;
  if (exchange->call)
    http_call_resume(exchange->call);
}

// ---- the upstream's side

static void on_sendable(void *ctx) {
  struct exchange *exchange = ctx;
  http_body_want(exchange->request);
}

static void on_head(void *ctx, const struct http_result *result) {
  struct exchange *exchange = ctx;
  const struct http_stream_handler handler = {.ctx = exchange, .on_closed = client_gone, .on_taken = on_taken};
  const struct http_response response = {
      .status = result->status, .has_length = result->head->has_length, .length = result->head->length};
  struct error err;
  exchange->streaming = http_respond_stream(exchange->request, &response, &handler, &err) == 0;
}

static void on_piece_down(void *ctx, struct str piece) {
  struct exchange *exchange = ctx;
  struct error err;
  if (http_stream_write(exchange->request, piece, &err) != 0)
    abort();
  if (http_stream_waiting(exchange->request) > 0)
    http_call_pause(exchange->call);
}

static void on_done(void *ctx, const struct http_result *result) {
  struct exchange *exchange = ctx;
  exchange->call = NULL;
  if (!exchange->streaming) {
    exchange->relay->broken++;
    bad_gateway(exchange);
  } else if (result->truncated) {
    exchange->relay->broken++;
    http_stream_abort(exchange->request);
  } else {
    http_stream_end(exchange->request);
  }
  exchange->request = NULL;
  exchange_free(exchange);
}

static void on_request(void *ctx, struct http_request *request) {
  struct relay *relay = ctx;
  struct exchange *exchange = calloc(1, sizeof *exchange);
  const struct http_body_handler reader = {
      .ctx = exchange, .on_piece = on_piece_up, .on_end = on_end_up, .on_broken = on_broken_up};
  struct http_call_stream stream = {
      .has_body = request->body_to_come,
      .has_length = request->head->has_length,
      .length = request->head->length,
      .idle_timeout_ms = 30000,
      .on_sendable = on_sendable,
      .on_head = on_head,
      .on_piece = on_piece_down,
  };
  struct http_call_params params = {
      .method = request->head->method,
      .connect_timeout_ms = 5000,
      .first_byte_timeout_ms = 30000,
      .on_done = on_done,
      .ctx = exchange,
      .stream = &stream,
  };
  struct error err;
  exchange->relay = relay;
  exchange->request = request;
  relay->open++;
  (void)snprintf(exchange->url, sizeof exchange->url, "%s://%s:%u%.*s", relay->scheme, relay->host, relay->port,
                 STR_ARG(request->head->target));
  if (url_parse(str_of(exchange->url), &params.url, &err) == 0)
    exchange->call = http_client_start(relay->client, &params, &err);
  if (!exchange->call) {
    bad_gateway(exchange);
    exchange_free(exchange);
    return;
  }
  if (request->body_to_come)
    http_body_read(request, &reader);
}

static bool on_streams_body(void *ctx, const struct http_head *head) {
  (void)ctx;
  (void)head;
  return true;
}

static void on_write_error(void *ctx, struct str path, int status, const char *words, struct buf *out,
                           const char **content_type) {
  (void)ctx;
  (void)path;
  *content_type = "text/plain";
  buf_printf(out, "%d %s\n", status, words);
}

static void on_answered(void *ctx, const struct http_request *request, int status, int64_t duration_us) {
  (void)ctx;
  (void)request;
  (void)status;
  (void)duration_us;
}

struct http_server_handler relay_handler(struct relay *relay) {
  return (struct http_server_handler){
      .ctx = relay,
      .streams_body = on_streams_body,
      .on_request = on_request,
      .write_error = on_write_error,
      .on_answered = on_answered,
  };
}
