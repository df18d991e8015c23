// SPDX-License-Identifier: Apache-2.0
#include "api/api.h"

#include <stdlib.h>

#include "api/call.h"
#include "api/change_desk.h"
#include "api/feed.h"
#include "api/rate_limit.h"
#include "api/routes.h"
#include "api/session.h"
#include "auth/refusal.h"

enum {
  ERROR_BODY_BYTES = 4 * ERROR_TEXT_BYTES,
  CHANGE_WAIT_MS = 35000, // a little longer than a change waits for those before it (registry/change.h)
};

struct api {
  struct api_config config;
  size_t running; // loop thread
  struct rate_limit *test_limit;
  struct change_desk *desk; // NULL: there is no registry to change
};

// A request on its way: loop, pool, loop. Lives in the request's arena.
struct api_flight {
  struct pool_job job;
  struct loop_task answer;
  struct loop_timer delayed;
  struct api *api;
  struct api_call call;
  bool must_hash; // on a login thread
  bool identified;
};

void api_write_error(enum errcode code, int status, const char *words, struct buf *out) {
  bool ours = status == 500;
  struct json_writer w = json_writer_make(out, false);

  json_object_begin(&w);
  json_key(&w, "errors");
  json_array_begin(&w);
  json_object_begin(&w);
  json_field_str(&w, "code", str_of(ours ? error_harbor_code(ERR_INTERNAL) : error_harbor_code(code)));
  json_field_str(&w, "message", ours ? STR("internal server error") : str_of(words));
  json_object_end(&w);
  json_array_end(&w);
  json_object_end(&w);
  buf_put_char(out, '\n');
}

bool api_owns(struct str path) {
  return str_starts_c(path, "/api/") || str_eq_c(path, "/api") || str_starts_c(path, "/c/");
}

static void respond_error(struct http_request *request, enum errcode code, const char *words,
                          const struct http_header *headers, size_t headers_len) {
  struct buf body;
  int status = error_http_status(code);

  buf_init(&body, ERROR_BODY_BYTES);
  api_write_error(code, status, words, &body);
  http_respond(request, &(struct http_response){.status = status,
                                                .content_type = "application/json; charset=utf-8",
                                                .headers = headers,
                                                .headers_len = headers_len,
                                                .body = buf_str(&body)});
  buf_free(&body);
}

// ---- on a pool thread -----------------------------------------------------------------------------------------------

// What a client reads of a failure of ours: the words name files and states that are not for everybody; the log has
// them.
static void hide_words(struct api_call *call, struct error *err) {
  int status = error_http_status(err->code);

  if (status < 500 || err->code == ERR_NOT_IMPLEMENTED)
    return;
  // The store's own trouble has its line already.
  char reason[1];
  enum log_level level =
      status == 503 && !store_takes_events(call->config->store, reason, sizeof reason) ? LOG_DEBUG : LOG_ERROR;
  log_write(call->config->log, level, "api", call->request->request_id, "%.*s %.*s: %s",
            STR_ARG(call->request->head->method), STR_ARG(call->request->head->path), err->text);
  if (status == 503)
    call_header(call, "Retry-After", STR("1"));
  if (status == 503 && !call->words_for_all) {
    error_set(err, err->code, "the server cannot do this now; try again");
  }
}

// Credentials are judged before anything else: wrong ones are 401 on every path.
static int call_identify(struct api_flight *flight, struct error *err) {
  struct api_call *call = &flight->call;
  struct str authorization = http_head_get(call->request->head, "Authorization");

  if (flight->identified) // by a login thread
    return 0;
  int rc = auth_identify(call->config->auth, call->conn, authorization, &call->request->peer, call->arena,
                         &call->identity, &call->delay_ms, err);
  if (rc == ERR_UNAUTHORIZED)
    auth_note_refusal(call->config->auth, call->config->store, call->request, call->identity.name,
                      clock_wall_us(call->config->clock));
  if (rc == 0)
    rc = session_begin(call, err);
  flight->identified = rc == 0;
  return rc;
}

static int call_run(struct api_flight *flight, struct error *err) {
  struct api_call *call = &flight->call;
  const struct api_route *route;
  int rc = route_find(call, &route, err);
  if (rc != 0)
    return rc;
  call->route = route;
  if ((rc = route->handler(call, err)) != 0)
    return rc;
  bool is_json = !call->content_type || str_starts_c(str_of(call->content_type), "application/json");
  if (call->body.len > 0 && is_json)
    buf_put_char(&call->body, '\n');
  if (call->body.failed)
    return error_set(err, ERR_INTERNAL, "the answer does not fit into %d bytes", (int)API_MAX_ANSWER_BYTES);
  return 0;
}

// Where memory ran out a value is missing: that is not the caller's mistake, and a page with holes is no answer. What
// has been committed is told as it is; call_change has looked at it before.
static int heed_memory(struct api_call *call, int rc, struct error *err) {
  bool reads = str_eq_c(call->request->head->method, "GET") || str_eq_c(call->request->head->method, "HEAD");
  bool no_memory = arena_out_of_memory(call->arena) || call->body.no_memory;

  if (!no_memory || call->watch || (rc == 0 && !reads))
    return rc;
  return error_set(err, ERR_NO_MEMORY, "no memory for this call");
}

// The failure as the answer: the status, Harbor's body and its content type.
static void call_fail(struct api_call *call, struct error *err) {
  hide_words(call, err);
  buf_clear(&call->body);
  call->status = error_http_status(err->code);
  call->content_type = "application/json; charset=utf-8";
  if (call->status == 401) // RFC 9110 11.6.1; no Basic, which would open the browser's own login window
    call_header(call, "Www-Authenticate", STR("Bearer realm=\"harbinger\""));
  api_write_error(err->code, call->status, err->text, &call->body);
}

// A login thread hashes and does nothing else, as long as the others take the rest: a call may wait for a receiver, and
// who logs in must not wait with it. True: the flight is theirs.
static bool pass_on(struct api_flight *flight) {
  if (!flight->must_hash)
    return false;
  flight->must_hash = false;
  return pool_add(flight->call.config->pool, &flight->job) == 0;
}

static void flight_run(struct pool_job *job, void *thread_context) {
  struct api_flight *flight = CONTAINER_OF(job, struct api_flight, job);
  struct api_call *call = &flight->call;
  struct error err = {.code = ERR_OK};

  call->conn = thread_context;
  int rc = call_identify(flight, &err);
  if (rc == 0 && pass_on(flight))
    return;
  if (rc == 0)
    rc = call_run(flight, &err);
  rc = heed_memory(call, rc, &err);
  if (rc != 0) {
    err.code = (enum errcode)rc;
    session_explain(call, &err);
    call_fail(call, &err);
  } else if (!call->content_type && call->body.len > 0) {
    call->content_type = "application/json";
  }
  // The loop outlives the pool; its queue takes answers to what it counted itself.
  if (loop_post_reserved(call->config->loop, &flight->answer) != 0)
    log_error(call->config->log, "api", "the serve loop is gone before its answer");
}

// ---- on the loop ----------------------------------------------------------------------------------------------------

static void flight_stream(struct api_flight *flight) {
  struct api_call *call = &flight->call;
  struct error err;

  flight->api->running--;
  if (feed_begin(call->watch, call->request, call->headers, call->headers_len, &err) != 0)
    respond_error(call->request, err.code, err.text, NULL, 0);
}

static void flight_finish(struct api_flight *flight) {
  struct api_call *call = &flight->call;

  if (call->watch) {
    flight_stream(flight);
    return;
  }
  const struct http_response response = {
      .status = call->status,
      .content_type = call->content_type,
      .headers = call->headers,
      .headers_len = call->headers_len,
      .body = buf_str(&call->body),
  };

  flight->api->running--;
  http_respond(call->request, &response);
}

static void flight_delayed(struct loop_timer *timer) {
  flight_finish(CONTAINER_OF(timer, struct api_flight, delayed));
}

static void flight_answer(struct loop_task *task) {
  struct api_flight *flight = CONTAINER_OF(task, struct api_flight, answer);
  struct loop *loop = flight->api->config.loop;

  if (flight->call.delay_ms <= 0) {
    flight_finish(flight);
    return;
  }
  flight->delayed.on_fire = flight_delayed;
  loop_timer_set(loop, &flight->delayed, loop_now_us(loop) + flight->call.delay_ms * US_PER_MS);
}

static void free_body(void *body) {
  buf_free(body);
}

void api_handle(struct api *api, struct http_request *request) {
  struct api_flight *flight = ARENA_NEW(request->arena, struct api_flight);

  if (!flight) {
    respond_error(request, ERR_NO_MEMORY, "the server is out of memory; try again", NULL, 0);
    return;
  }
  flight->api = api;
  flight->job.run = flight_run;
  flight->answer.run = flight_answer;
  flight->call =
      (struct api_call){.api = api, .config = &api->config, .request = request, .arena = request->arena, .status = 200};
  buf_init(&flight->call.body, API_MAX_ANSWER_BYTES);
  if (arena_on_free(request->arena, free_body, &flight->call.body) != 0) {
    respond_error(request, ERR_NO_MEMORY, "the server is out of memory; try again", NULL, 0);
    return;
  }
  struct str authorization = http_head_get(request->head, "Authorization");
  flight->must_hash = auth_must_hash(api->config.auth, authorization, request->arena);
  // A login is hashed there from the form, and needs nothing else that takes long.
  bool login = str_eq_c(request->head->path, "/c/login");
  flight->must_hash = flight->must_hash && !login;
  api->running++;
  if (pool_add(flight->must_hash || login ? api->config.login_pool : api->config.pool, &flight->job) == 0)
    return;
  api->running--;
  const struct http_header retry = {STR("Retry-After"), STR("1")};
  respond_error(request, ERR_FULL, "too many requests wait; try again", &retry, 1);
}

struct rate_limit *call_test_limit(struct api_call *call) {
  return call->api->test_limit;
}

struct change_desk *call_change_desk(struct api_call *call) {
  return call->api->desk;
}

void api_close(struct api *api) {
  if (api)
    change_desk_close(api->desk);
}

size_t api_running(const struct api *api) {
  return api->running;
}

struct api *api_new(const struct api_config *config, struct error *err) {
  struct api *api = calloc(1, sizeof *api);

  if (!api) {
    error_set(err, ERR_NO_MEMORY, "out of memory for the API");
    return NULL;
  }
  api->config = *config;
  const struct change_desk_config desk = {
      .loop = config->loop, .changes = config->changes, .max_at_once = config->max_changes, .wait_ms = CHANGE_WAIT_MS};
  api->test_limit = rate_limit_new(config->tests_per_minute, err);
  if (api->test_limit && (!config->changes || (api->desk = change_desk_new(&desk, err)) != NULL))
    return api;
  api_free(api);
  return NULL;
}

void api_free(struct api *api) {
  if (!api)
    return;
  rate_limit_free(api->test_limit);
  change_desk_free(api->desk);
  free(api);
}
