// SPDX-License-Identifier: Apache-2.0
#include "registry/client.h"

#include "registry/manifest.h"

enum {
  ASK_TIMEOUT_MS = 10000,
  ASK_STEP_MS = 200,
  ASK_MAX_HEADERS = 3,
  STATUS_UNAUTHORIZED = 401,
  STATUS_FORBIDDEN = 403,
};

static void on_answer(void *ctx, const struct http_result *result) {
  struct registry_question *question = ctx;

  question->done = true;
  question->call = NULL;
  question->err = result->err;
  if (result->outcome != HTTP_OUTCOME_ANSWERED)
    return;
  struct str digest = http_head_get(result->head, "Docker-Content-Digest");
  struct str link = http_head_get(result->head, "Link");
  struct str type = http_head_get(result->head, "Content-Type");
  question->status = result->status;
  question->content_type = arena_str(question->arena, type.ptr ? type : STR_EMPTY);
  question->body = arena_str(question->arena, result->body);
  question->digest = arena_str(question->arena, digest.ptr ? digest : STR_EMPTY);
  question->link = arena_str(question->arena, link.ptr ? link : STR_EMPTY);
  question->cut = !question->body.ptr || !question->digest.ptr || !question->link.ptr || !question->content_type.ptr ||
                  result->truncated;
}

static int start(struct registry_client *client, struct registry_question *question, struct error *err) {
  const struct registry_client_config *config = client->config;
  struct http_header *headers = arena_array(question->arena, ASK_MAX_HEADERS, sizeof *headers);
  size_t headers_len = 0;
  struct http_call_params params = {.method = question->method,
                                    .headers = headers,
                                    .body = STR_EMPTY,
                                    .skip_cert_verify = config->skip_cert_verify,
                                    .keep_body_bytes = REGISTRY_ANSWER_MAX_BYTES,
                                    .read_body_bytes = REGISTRY_ANSWER_MAX_BYTES + 1,
                                    .connect_timeout_ms = ASK_TIMEOUT_MS,
                                    .first_byte_timeout_ms = ASK_TIMEOUT_MS,
                                    .total_timeout_ms = ASK_TIMEOUT_MS,
                                    .on_done = on_answer,
                                    .ctx = question};
  struct str url = arena_printf(question->arena, "%.*s%.*s", STR_ARG(client->base), STR_ARG(question->path));

  if (!headers || !url.ptr || !question->path.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory to ask the registry");
  headers[headers_len++] = (struct http_header){STR("Accept"), STR(MANIFEST_ACCEPT ", application/json")};
  if (config->user_agent && config->user_agent[0])
    headers[headers_len++] = (struct http_header){STR("User-Agent"), str_of(config->user_agent)};
  if (config->authorization && config->authorization[0])
    headers[headers_len++] = (struct http_header){STR("Authorization"), str_of(config->authorization)};
  params.headers_len = headers_len;
  int rc = url_parse(url, &params.url, err);
  if (rc != 0)
    return rc;
  question->call = http_client_start(client->http, &params, err);
  return question->call ? 0 : err->code;
}

static int judge(const struct registry_question *question, struct error *err) {
  if (question->status == 0)
    return error_set(err, ERR_UNAVAILABLE, "cannot ask the registry: %s", question->err.text);
  if (question->cut)
    return error_set(err, ERR_TOO_LARGE, "an answer of the registry is too large or was cut short");
  if (question->status == STATUS_UNAUTHORIZED || question->status == STATUS_FORBIDDEN)
    return error_set(err, ERR_UNAVAILABLE, "the registry answers %d: set upstream.authorization", question->status);
  return 0;
}

static int tell(struct registry_client *client, struct error *err) {
  return store_progress_tell(client->progress, client->what, client->done, client->of, err);
}

int registry_client_step(struct registry_client *client, struct error *err) {
  (void)loop_step(client->loop, ASK_STEP_MS);
  return tell(client, err);
}

static void cancel_all(struct registry_question *questions, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (questions[i].call)
      http_call_cancel(questions[i].call);
    questions[i].call = NULL;
  }
}

// Start what may be on its way; *ended: how many have their answer, from the first one on without a gap.
static int ask_more(struct registry_client *client, struct registry_question *questions, size_t len, size_t *started,
                    size_t *ended, struct error *err) {
  int rc = 0;

  while (*ended < *started && questions[*ended].done && rc == 0)
    rc = judge(&questions[(*ended)++], err);
  while (rc == 0 && *started < len && *started - *ended < REGISTRY_CLIENT_AT_ONCE)
    rc = start(client, &questions[(*started)++], err);
  return rc;
}

int registry_client_ask(struct registry_client *client, struct registry_question *questions, size_t len,
                        struct arena *arena, struct error *err) {
  size_t started = 0, ended = 0;
  int rc = tell(client, err);

  for (size_t i = 0; i < len; i++)
    questions[i] = (struct registry_question){.method = questions[i].method,
                                              .path = questions[i].path,
                                              .body = STR_EMPTY,
                                              .digest = STR_EMPTY,
                                              .link = STR_EMPTY,
                                              .content_type = STR_EMPTY,
                                              .client = client,
                                              .arena = arena};
  while (rc == 0 && ended < len) {
    rc = ask_more(client, questions, len, &started, &ended, err);
    if (rc == 0 && ended < len)
      rc = registry_client_step(client, err);
  }
  if (rc != 0)
    cancel_all(questions, len);
  return rc;
}

int registry_client_open(struct registry_client *client, const struct registry_client_config *config,
                         const struct store_progress *progress, struct error *err) {
  const struct resolver_config resolver = {.budget_ms = ASK_TIMEOUT_MS,
                                           .positive_ttl_ms = 30000,
                                           .negative_ttl_ms = 1000,
                                           .max_names = 4,
                                           .max_waiters = 16};
  const struct http_client_config http = {.max_calls = REGISTRY_CLIENT_AT_ONCE,
                                          .max_idle = REGISTRY_CLIENT_AT_ONCE,
                                          .max_idle_per_key = REGISTRY_CLIENT_AT_ONCE,
                                          .max_sessions = 1,
                                          .idle_timeout_ms = 30000,
                                          .max_connection_age_ms = 300000};

  *client = (struct registry_client){.config = config, .progress = progress, .what = "asking the registry"};
  client->base = str_of(config->upstream_url);
  while (str_ends(client->base, STR("/")))
    client->base.len--;
  clock_init_real(&client->clock);
  if (str_starts_c(str_of(config->upstream_url), "https://") && !(client->tls = tls_client_new(config->ca_pem, err)))
    return err->code;
  if (!(client->loop = loop_new(&client->clock, 64, 64, err)) ||
      !(client->resolver = resolver_new(client->loop, &resolver, err)) ||
      !(client->http = http_client_new(client->loop, client->resolver, NULL, client->tls, &http, NULL, err)))
    return err->code;
  return 0;
}

void registry_client_close(struct registry_client *client) {
  if (client->http)
    http_client_free(client->http);
  if (client->resolver)
    resolver_free(client->resolver);
  if (client->loop)
    loop_free(client->loop);
  if (client->tls)
    tls_client_free(client->tls);
  *client = (struct registry_client){0};
}
