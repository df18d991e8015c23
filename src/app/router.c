// SPDX-License-Identifier: Apache-2.0
#include "app/router.h"

#include <stdio.h>

#include "auth/refusal.h"
#include "gateway/oci_error.h"

enum { METRICS_MAX_BYTES = 4 * 1024 * 1024, SMALL_BODY_BYTES = 4096, READY_REASON_BYTES = 256 };

enum path_kind { PATH_API, PATH_INGEST, PATH_REGISTRY, PATH_OPERATOR, PATH_OTHER, PATH_NONE };

static const char *const kind_names[] = {"api", "ingest", "registry", "operator", "other", "none"};

static enum path_kind path_kind(struct str path) {
  if (path.len == 0)
    return PATH_NONE;
  if (api_owns(path))
    return PATH_API;
  if (str_starts_c(path, "/ingest/"))
    return PATH_INGEST;
  if (gateway_owns(path))
    return PATH_REGISTRY;
  if (str_eq_c(path, "/healthz") || str_eq_c(path, "/readyz") || str_eq_c(path, "/metrics"))
    return PATH_OPERATOR;
  return PATH_OTHER;
}

void router_start(struct router *router) {
  static const char *const classes[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
  for (size_t kind = 0; kind < ARRAY_LEN(router->requests); kind++) {
    for (size_t class = 0; class < ARRAY_LEN(classes); class ++) {
      char labels[64];
      snprintf(labels, sizeof labels, "path=\"%s\",class=\"%s\"", kind_names[kind], classes[class]);
      router->requests[kind][class] = metrics_counter(router->metrics, "harbinger_http_requests_total", labels,
                                                      "Requests answered, by path and status.");
    }
  }
}

// Errors have the shape of the path they are for: the OCI distribution specification's for /v2/, Harbor's elsewhere.
static void write_error(void *ctx, struct str path, int status, const char *words, struct buf *out,
                        const char **content_type) {
  (void)ctx;
  *content_type = "application/json; charset=utf-8";
  if (path_kind(path) != PATH_REGISTRY) {
    api_write_error(error_of_status(status), status, words, out);
    return;
  }
  oci_error_write(oci_code_of_status(status), str_of(words), out);
}

static void answer_error(struct http_request *request, int status, const char *words) {
  char memory[SMALL_BODY_BYTES];
  struct buf body;
  buf_init(&body, sizeof memory);
  const char *content_type = NULL;
  write_error(NULL, request->head->path, status, words, &body, &content_type);
  http_respond(request,
               &(struct http_response){.status = status, .content_type = content_type, .body = buf_str(&body)});
  buf_free(&body);
}

static void answer_text(struct http_request *request, int status, const char *words) {
  http_respond(request, &(struct http_response){
                            .status = status, .content_type = "text/plain; charset=utf-8", .body = str_of(words)});
}

// ---- pages that must know who asks: judged in the pool, answered on the loop ----------------------------------------

struct operator_page {
  struct pool_job job;
  struct loop_task answer;
  struct router *router;
  struct http_request *request;
  bool admin, token_ok;
  int64_t delay_ms;
  struct loop_timer delayed;
  struct error err;
};

static bool holds_metrics_token(const struct router *router, struct str authorization) {
  if (router->metrics_token.len == 0 || !str_starts_c(authorization, "Bearer "))
    return false;
  return str_eq_secret(str_from(authorization, sizeof "Bearer " - 1), router->metrics_token);
}

static void answer_metrics(struct operator_page *page) {
  struct router *router = page->router;
  if (!page->admin && !page->token_ok && !router->metrics_open) {
    bool known = page->err.code == 0 && http_head_get(page->request->head, "Authorization").ptr;
    answer_error(page->request, known ? 403 : 401,
                 known ? "forbidden: /metrics is for administrators" : "unauthorized");
    return;
  }
  if (router->before_metrics)
    router->before_metrics(router->ctx);
  struct buf body;
  buf_init(&body, METRICS_MAX_BYTES);
  metrics_write(router->metrics, &body);
  if (body.failed)
    answer_error(page->request, 500, "the metrics do not fit");
  else
    http_respond(
        page->request,
        &(struct http_response){.status = 200, .content_type = "text/plain; version=0.0.4", .body = buf_str(&body)});
  buf_free(&body);
}

static void answer_ready(struct operator_page *page) {
  char reason[READY_REASON_BYTES] = "", body[READY_REASON_BYTES + 32];
  bool ready = store_takes_events(page->router->store, reason, sizeof reason);
  if (ready && http_server_turns_away(page->router->server)) {
    snprintf(reason, sizeof reason, "no descriptor is left and clients are turned away: raise the limit (LimitNOFILE)");
    ready = false;
  }
  bool may_know = page->admin || page->request->peer_is_loopback;
  snprintf(body, sizeof body, "%s%s%s\n", ready ? "ready" : "not ready", ready || !may_know ? "" : ": ",
           ready || !may_know ? "" : reason);
  answer_text(page->request, ready ? 200 : 503, body);
}

static void page_finish(struct operator_page *page) {
  if (str_eq_c(page->request->head->path, "/metrics"))
    answer_metrics(page);
  else
    answer_ready(page);
}

static void page_delayed(struct loop_timer *timer) {
  page_finish(CONTAINER_OF(timer, struct operator_page, delayed));
}

static void page_judged(struct loop_task *task) {
  struct operator_page *page = CONTAINER_OF(task, struct operator_page, answer);
  if (page->delay_ms <= 0) {
    page_finish(page);
    return;
  }
  page->delayed.on_fire = page_delayed;
  loop_timer_set(page->router->loop, &page->delayed, loop_now_us(page->router->loop) + page->delay_ms * US_PER_MS);
}

static void page_judge(struct pool_job *job, void *thread_context) {
  struct operator_page *page = CONTAINER_OF(job, struct operator_page, job);
  struct identity identity = {0};
  struct str authorization = http_head_get(page->request->head, "Authorization");
  int rc = auth_identify(page->router->auth, thread_context, authorization, &page->request->peer, page->request->arena,
                         &identity, &page->delay_ms, &page->err);
  if (rc == ERR_UNAUTHORIZED)
    auth_note_refusal(page->router->auth, page->router->store, page->request, identity.name,
                      clock_wall_us(loop_clock(page->router->loop)));
  page->admin = rc == 0 && identity.authenticated && identity.is_admin;
  // The loop lives until all requests are answered, so that this cannot be refused.
  if (loop_post_reserved(page->router->loop, &page->answer) != 0)
    log_error(page->router->log, "app", "the serve loop is gone");
}

static struct pool *page_pool(const struct router *router, const struct http_request *request,
                              struct str authorization) {
  return auth_must_hash(router->auth, authorization, request->arena) ? router->login_pool : router->pool;
}

static void operator_page(struct router *router, struct http_request *request) {
  struct operator_page *page = ARENA_NEW(request->arena, struct operator_page);
  if (!page) {
    answer_error(request, 503, "out of memory");
    return;
  }
  page->router = router;
  page->request = request;
  page->answer.run = page_judged;
  page->job.run = page_judge;
  struct str authorization = http_head_get(request->head, "Authorization");
  page->token_ok = holds_metrics_token(router, authorization);
  if (!authorization.ptr || page->token_ok || router->metrics_open) {
    page_finish(page); // nothing to judge
  } else if (pool_add(page_pool(router, request, authorization), &page->job) != 0) {
    answer_error(request, 503, "too many requests wait; try again");
  }
}

// ---- routing ---------------------------------------------------------------------------------------------------------

static bool is_get(const struct http_head *head) {
  return str_eq_c(head->method, "GET") || str_eq_c(head->method, "HEAD");
}

static size_t body_limit(void *ctx, const struct http_head *head) {
  struct router *router = ctx;
  switch (path_kind(head->path)) {
  case PATH_API:
    return API_MAX_BODY_BYTES;
  case PATH_INGEST:
    return ingest_body_limit(router->ingest, head);
  case PATH_REGISTRY:
    return router->gateway ? gateway_body_limit(head) : SMALL_BODY_BYTES;
  default:
    return SMALL_BODY_BYTES;
  }
}

static bool streams_body(void *ctx, const struct http_head *head) {
  struct router *router = ctx;
  return router->gateway && path_kind(head->path) == PATH_REGISTRY && gateway_streams_body(head);
}

static void route_operator(struct router *router, struct http_request *request) {
  if (!is_get(request->head)) {
    answer_error(request, 405, "method not allowed: only GET and HEAD are");
  } else if (str_eq_c(request->head->path, "/healthz")) {
    answer_text(request, 200, "ok\n");
  } else {
    operator_page(router, request);
  }
}

static void on_request(void *ctx, struct http_request *request) {
  struct router *router = ctx;
  switch (path_kind(request->head->path)) {
  case PATH_API:
    api_handle(router->api, request);
    break;
  case PATH_INGEST:
    ingest_handle(router->ingest, request);
    break;
  case PATH_OPERATOR:
    route_operator(router, request);
    break;
  case PATH_REGISTRY:
    if (router->gateway)
      gateway_handle(router->gateway, request);
    else
      answer_error(request, 404, "this server is not a registry: push to the registry itself");
    break;
  default:
    portal_handle(router->portal, request);
    break;
  }
}

static void on_answered(void *ctx, const struct http_request *request, int status, int64_t duration_us) {
  struct router *router = ctx;
  enum path_kind kind = path_kind(request->head ? request->head->path : STR_EMPTY);
  if (status >= 100 && status < 600)
    metric_add(router->requests[kind][status / 100 - 1], 1);
  if (!request->head || !log_enabled(router->log, LOG_DEBUG))
    return;
  log_write(router->log, LOG_DEBUG, "http", request->request_id, "%.*s %.*s from %.*s: %d in %lld us",
            STR_ARG(request->head->method), STR_ARG(request->head->path), STR_ARG(request->peer_text), status,
            (long long)duration_us);
}

struct http_server_handler router_handler(struct router *router) {
  return (struct http_server_handler){
      .ctx = router,
      .body_limit = body_limit,
      .streams_body = streams_body,
      .on_request = on_request,
      .write_error = write_error,
      .on_answered = on_answered,
  };
}
