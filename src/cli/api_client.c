// SPDX-License-Identifier: Apache-2.0
#include "cli/api_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/http_client.h"

enum {
  CONNECT_TIMEOUT_MS = 10000,
  FIRST_BYTE_TIMEOUT_MS = 60000, // the server holds back the answers to wrong passwords, and waits for a cancel
  TOTAL_TIMEOUT_MS = 120000,
  MAX_TIMERS = 64,
  MAX_TASKS = 16,
  STEP_MS = 1000,
  MAX_HEADERS = 5,
};

struct api_client {
  struct api_client_config config;
  struct arena *arena;
  struct clock clock;
  struct loop *loop;
  struct resolver *resolver;
  struct tls_client *tls;
  struct http_client *http;
};

// ---- a connection -------------------------------------------------------------------------------------------------------

static int trust(struct api_client *client, struct error *err) {
  struct str pem = STR_EMPTY;
  const char *file = client->config.ca_file;
  if (!str_starts_c(client->config.url, "https://"))
    return 0; // reading the system's bundle takes longer than the whole call
  if (file && file[0]) {
    int rc = api_client_read_file(file, API_CLIENT_CA_MAX_BYTES, client->arena, &pem, err);
    if (rc != 0)
      return rc;
  }
  client->tls = tls_client_new(pem, err);
  if (client->tls)
    return 0;
  return file && file[0] ? error_context(err, "--ca-file %s", file) : (int)err->code;
}

static int open_client(struct api_client *client, struct error *err) {
  const struct resolver_config resolver = {.budget_ms = CONNECT_TIMEOUT_MS,
                                           .positive_ttl_ms = 30000,
                                           .negative_ttl_ms = 1000,
                                           .max_names = 4,
                                           .max_waiters = 4};
  const struct http_client_config http = {.max_calls = 1,
                                          .max_idle = 1,
                                          .max_idle_per_key = 1,
                                          .max_sessions = 1,
                                          .idle_timeout_ms = 30000,
                                          .max_connection_age_ms = 300000};
  struct url url;
  int rc = url_parse(client->config.url, &url, err);
  if (rc != 0)
    return error_context(err, "the server's address `%.*s`", STR_ARG(client->config.url));
  if ((rc = trust(client, err)) != 0)
    return rc;
  clock_init_real(&client->clock);
  if (!(client->loop = loop_new(&client->clock, MAX_TIMERS, MAX_TASKS, err)) ||
      !(client->resolver = resolver_new(client->loop, &resolver, err)) ||
      !(client->http = http_client_new(client->loop, client->resolver, NULL, client->tls, &http, NULL, err)))
    return err->code;
  return 0;
}

struct api_client *api_client_new(const struct api_client_config *config, struct arena *arena, struct error *err) {
  struct api_client *client = calloc(1, sizeof *client);
  if (!client) {
    (void)error_set(err, ERR_NO_MEMORY, "out of memory");
    return NULL;
  }
  client->config = *config;
  client->arena = arena;
  while (str_ends(client->config.url, STR("/")))
    client->config.url.len--;
  if (open_client(client, err) == 0)
    return client;
  api_client_free(client);
  return NULL;
}

void api_client_free(struct api_client *client) {
  if (!client)
    return;
  if (client->http)
    http_client_free(client->http);
  if (client->resolver)
    resolver_free(client->resolver);
  if (client->loop)
    loop_free(client->loop);
  tls_client_free(client->tls);
  free(client);
}

// ---- words for what went wrong ------------------------------------------------------------------------------------------

// Harbor's {"errors":[{"message":...}]}; its line ends become blanks. Empty when the body is something else.
static struct str server_words(const struct api_answer *answer, struct arena *arena) {
  struct str words = STR_EMPTY;
  if (!json_get_str(json_array_at(json_get_array(answer->json, "errors"), 0), "message", &words))
    return STR_EMPTY;
  char *line = arena_cstr(arena, words);
  for (char *c = line; c && *c; c++)
    if (*c == '\n')
      *c = ' ';
  return str_of(line);
}

static int refused(struct api_client *client, const struct api_answer *answer, struct str request_id,
                   struct error *err) {
  struct str words = server_words(answer, client->arena);
  int status = answer->status;
  if (status == 401)
    return error_set(err, ERR_UNAUTHORIZED, "%s", client->config.unauthorized);
  enum errcode code = error_of_status(status);
  if (words.len == 0)
    return error_set(err, code,
                     "%.*s answered %d, but not as a Harbinger does; is this its address? (`harbinger login URL` names "
                     "another)",
                     STR_ARG(client->config.url), status);
  if (status == 500)
    return error_set(err, code, "the server failed (%.*s); its log says more under request id %.*s", STR_ARG(words),
                     STR_ARG(request_id));
  if (status == 503 || status == 429)
    return error_set(err, code, "the server cannot do it now: %.*s; try again later", STR_ARG(words));
  if (status == 403)
    return error_set(err, code, "you may not do that: %.*s", STR_ARG(words));
  return error_set(err, code, "%.*s", STR_ARG(words));
}

static int unreachable(struct api_client *client, const struct http_result *result, struct error *err) {
  const char *advice = "is the server running there, and is the address right?";
  if (result->outcome == HTTP_OUTCOME_TLS)
    advice = "a private authority is named with `harbinger login URL --ca-file FILE`; is the server's port TLS at all?";
  if (result->outcome == HTTP_OUTCOME_TIMEOUT)
    advice = "does a firewall drop the connection, or is the server overloaded?";
  if (result->outcome == HTTP_OUTCOME_DNS)
    advice = "is the name right, and does this machine reach its name server?";
  return error_set(err, result->err.code ? result->err.code : ERR_UNAVAILABLE, "cannot reach %.*s: %s; %s",
                   STR_ARG(client->config.url), result->err.text, advice);
}

// ---- a call -------------------------------------------------------------------------------------------------------------

struct exchange {
  struct api_client *client;
  struct api_answer *answer;
  struct error *err;
  bool done;
  int rc;
};

static void take_answer(struct exchange *exchange, const struct http_result *result) {
  struct arena *arena = exchange->client->arena;
  struct api_answer *answer = exchange->answer;
  struct str total = http_head_get(result->head, "X-Total-Count");
  struct str location = http_head_get(result->head, "Location");
  struct str request_id = arena_str(arena, http_head_get(result->head, "X-Request-Id"));
  *answer = (struct api_answer){.status = result->status, .total = -1, .location = STR_EMPTY};
  answer->body = arena_str(arena, result->body);
  if (location.len > 0)
    answer->location = arena_str(arena, location);
  if (!answer->body.ptr || !answer->location.ptr || !request_id.ptr) {
    exchange->rc = error_set(exchange->err, ERR_TOO_LARGE, "the answer is larger than this program takes");
    return;
  }
  if (total.len > 0 && !str_to_i64(total, &answer->total))
    answer->total = -1;
  if (answer->body.len > 0 && json_parse(answer->body, arena, &answer->json, NULL) != 0)
    answer->json = NULL;
  if (result->truncated)
    exchange->rc = error_set(exchange->err, ERR_IO, "the answer of %.*s was cut short: try again",
                             STR_ARG(exchange->client->config.url));
  else if (result->status >= 400)
    exchange->rc = refused(exchange->client, answer, request_id, exchange->err);
  else if (result->status >= 300)
    exchange->rc = error_set(exchange->err, ERR_UNAVAILABLE,
                             "%.*s answers with a redirect (%d): log in to the address it leads to",
                             STR_ARG(exchange->client->config.url), result->status);
}

static void on_done(void *ctx, const struct http_result *result) {
  struct exchange *exchange = ctx;
  exchange->done = true;
  if (result->outcome == HTTP_OUTCOME_ANSWERED)
    take_answer(exchange, result);
  else
    exchange->rc = unreachable(exchange->client, result, exchange->err);
}

int api_client_call(struct api_client *client, const struct api_client_request *request, struct api_answer *out,
                    struct error *err) {
  struct exchange exchange = {.client = client, .answer = out, .err = err};
  struct str address = arena_printf(client->arena, "%.*s%.*s", STR_ARG(client->config.url), STR_ARG(request->path));
  struct http_header headers[MAX_HEADERS];
  size_t headers_len = 0;
  struct http_call_params params = {
      .method = str_of(request->method),
      .headers = headers,
      .body = request->body.ptr ? request->body : STR_EMPTY,
      .keep_body_bytes = API_CLIENT_MAX_ANSWER_BYTES,
      .read_body_bytes = API_CLIENT_MAX_ANSWER_BYTES,
      .connect_timeout_ms = CONNECT_TIMEOUT_MS,
      .first_byte_timeout_ms = FIRST_BYTE_TIMEOUT_MS,
      .total_timeout_ms = TOTAL_TIMEOUT_MS,
      .on_done = on_done,
      .ctx = &exchange,
  };
  if (!address.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  int rc = url_parse(address, &params.url, err);
  if (rc != 0)
    return rc;
  // Names of projects may be numbers; the header says that ours are always names.
  headers[headers_len++] = (struct http_header){STR("X-Is-Resource-Name"), STR("true")};
  headers[headers_len++] = (struct http_header){STR("User-Agent"), STR("harbinger-cli/" HARBINGER_VERSION)};
  if (client->config.authorization.len > 0)
    headers[headers_len++] = (struct http_header){STR("Authorization"), client->config.authorization};
  if (params.body.len > 0)
    headers[headers_len++] = (struct http_header){STR("Content-Type"), STR("application/json")};
  if (request->idempotency_key.len > 0)
    headers[headers_len++] = (struct http_header){STR("Idempotency-Key"), request->idempotency_key};
  params.headers_len = headers_len;
  if (!http_client_start(client->http, &params, err))
    return err->code;
  while (!exchange.done)
    (void)loop_step(client->loop, STEP_MS);
  return exchange.rc;
}

// ---- small things -------------------------------------------------------------------------------------------------------

static bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

struct str api_client_escape(struct str text, struct arena *arena) {
  static const char HEX[] = "0123456789ABCDEF";
  if (text.len > (size_t)API_CLIENT_CA_MAX_BYTES)
    return (struct str){0};
  char *out = arena_alloc(arena, 3 * text.len + 1);
  size_t len = 0;
  for (size_t i = 0; out && i < text.len; i++) {
    unsigned char c = (unsigned char)text.ptr[i];
    if (is_unreserved(text.ptr[i])) {
      out[len++] = text.ptr[i];
      continue;
    }
    out[len++] = '%';
    out[len++] = HEX[c >> 4];
    out[len++] = HEX[c & 15];
  }
  return (struct str){out, len};
}

static int read_all(int fd, const char *path, size_t max_bytes, struct arena *arena, struct str *out,
                    struct error *err) {
  char words[128];
  char *bytes = arena_alloc(arena, max_bytes + 1);
  size_t len = 0;
  if (!bytes)
    return error_set(err, ERR_NO_MEMORY, "out of memory for %s", path);
  while (len <= max_bytes) {
    ssize_t got = read(fd, bytes + len, max_bytes + 1 - len);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return error_set(err, ERR_IO, "cannot read %s: %s", path, error_errno(errno, words));
    if (got == 0) {
      *out = (struct str){bytes, len};
      return 0;
    }
    len += (size_t)got;
  }
  return error_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, max_bytes);
}

int api_client_read_file(const char *path, size_t max_bytes, struct arena *arena, struct str *out, struct error *err) {
  char words[128];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return error_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", path,
                     error_errno(errno, words));
  int rc = read_all(fd, path, max_bytes, arena, out, err);
  (void)close(fd);
  return rc;
}
