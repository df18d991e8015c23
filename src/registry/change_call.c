// SPDX-License-Identifier: Apache-2.0
// What goes to the upstream: the forwarded changes themselves, and questions about what is there.
#include "base/buf.h"
#include "base/crypto.h"
#include "base/fault.h"
#include "registry/change_internal.h"
#include "registry/manifest.h"

enum {
  CONNECT_TIMEOUT_MS = 5000,
  CONFIG_MAX_BYTES = 1024 * 1024,
  DIGEST_MAX_BYTES = 160, // "sha512:" and 128 digits
  STATUS_OK = 200,
  STATUS_MULTIPLE = 300,
  STATUS_BAD_REQUEST = 400,
  STATUS_UNAUTHORIZED = 401,
  STATUS_FORBIDDEN = 403,
  STATUS_NOT_FOUND = 404,
  STATUS_INTERNAL = 500,
  STATUS_BAD_GATEWAY = 502,
  STATUS_GATEWAY_TIMEOUT = 504,
  MAX_FORWARD_HEADERS = 3,
};

// ---- forwarding ---------------------------------------------------------------------------------------------------------

// The answer outlives the call: its event is committed first.
static void keep_answer(struct ask *ask, const struct http_result *result) {
  struct http_head *head = &ask->head;

  ask->answer = *result;
  ask->answer.body = arena_str(ask->arena, result->body);
  *head = *result->head;
  head->method = head->target = head->path = head->query = STR_EMPTY;
  head->reason = arena_str(ask->arena, head->reason);
  head->headers = arena_array(ask->arena, head->headers_len ? head->headers_len : 1, sizeof(*head->headers));
  if (!head->headers)
    head->headers_len = 0;
  for (size_t i = 0; i < head->headers_len; i++) {
    head->headers[i].name = arena_str(ask->arena, result->head->headers[i].name);
    head->headers[i].value = arena_str(ask->arena, result->head->headers[i].value);
  }
  if (!ask->answer.body.ptr || arena_out_of_memory(ask->arena)) { // what the status says is the answer still
    ask->answer.body = STR_EMPTY;
    ask->answer.truncated = true;
    head->headers_len = 0;
    head->reason = STR_EMPTY;
  }
  ask->answer.head = head;
  ask->result.answer = &ask->answer;
}

// Nobody knows what becomes of it, until upstream_timeout has passed.
static void lose(struct ask *ask) {
  struct work *work = ask->work;
  int64_t until_us = ask->forwarded_us + work->changes->config.upstream_timeout_ms * US_PER_MS;

  work->lost++;
  if (until_us > work->hold_until_us)
    work->hold_until_us = until_us;
}

static void not_answered(struct ask *ask, const struct http_result *result) {
  struct work *work = ask->work;
  struct error err;
  bool slow = result->outcome == HTTP_OUTCOME_TIMEOUT;
  const char *after = result->request_sent ? "; whether it was done is found out and told later" : "";

  (void)error_set(&err, slow ? ERR_TIMEOUT : ERR_IO, "the registry behind did not answer (%s)%s", result->err.text,
                  after);
  if (result->request_sent) {
    lose(ask);
    metric_add(work->changes->metrics.unsettled, 1);
    settle_soon(work);
  }
  ask_end(ask, (int)err.code, &err, result->request_sent);
}

static void answered(struct ask *ask, const struct http_result *result) {
  struct work *work = ask->work;
  struct error err;

  if (result->status >= STATUS_OK && result->status < STATUS_MULTIPLE) {
    FAULT_POINT("change.answered");
    work->agreed++;
    work->happened = true;
    keep_answer(ask, result);
    ask->state = ASK_ANSWERED;
  } else if (result->status >= STATUS_BAD_REQUEST && result->status < STATUS_INTERNAL) {
    metric_add(work->changes->metrics.refused, 1);
    keep_answer(ask, result);
    ask_end(ask, 0, NULL, false);
  } else {
    if (result->status == STATUS_BAD_GATEWAY || result->status == STATUS_GATEWAY_TIMEOUT)
      lose(ask); // said by something before the registry, which may be at it still
    else
      work->unclear++;
    metric_add(work->changes->metrics.unsettled, 1);
    settle_soon(work);
    (void)error_set(&err, ERR_IO, "the registry behind answered %d %s; whether it was done is found out and told later",
                    result->status, http_reason(result->status));
    ask_end(ask, (int)err.code, &err, true);
  }
}

static void on_forwarded(void *ctx, const struct http_result *result) {
  struct ask *ask = ctx;
  struct work *work = ask->work;

  ask->call = NULL;
  work->under_way--;
  if (result->outcome == HTTP_OUTCOME_ANSWERED)
    answered(ask, result);
  else
    not_answered(ask, result);
  work_step(work);
}

void call_forward(struct ask *ask) {
  struct changes *changes = ask->changes;
  struct work *work = ask->work;
  struct http_header *headers = arena_array(ask->arena, MAX_FORWARD_HEADERS, sizeof(*headers));
  bool put = ask->order.kind == CHANGE_PUT;
  struct error err;
  struct http_call_params params = {
      .url = work->url_reference,
      .method = put ? STR("PUT") : STR("DELETE"),
      .headers = headers,
      .body = put ? ask->order.body : STR_EMPTY,
      .skip_cert_verify = changes->config.skip_cert_verify,
      .keep_body_bytes = CHANGE_ANSWER_BYTES,
      .read_body_bytes = CHANGE_ANSWER_BYTES,
      .connect_timeout_ms = CONNECT_TIMEOUT_MS,
      .first_byte_timeout_ms = changes->config.upstream_timeout_ms,
      .total_timeout_ms = changes->config.upstream_timeout_ms,
      .on_done = on_forwarded,
      .ctx = ask,
  };

  if (headers) {
    headers[params.headers_len++] = (struct http_header){STR("User-Agent"), str_of(changes->config.user_agent)};
    if (changes->config.authorization[0])
      headers[params.headers_len++] = (struct http_header){STR("Authorization"), str_of(changes->config.authorization)};
    if (put && ask->order.media_type.len)
      headers[params.headers_len++] = (struct http_header){STR("Content-Type"), ask->order.media_type};
    ask->call = http_client_start(changes->client, &params, &err);
  } else {
    (void)error_set(&err, ERR_NO_MEMORY, "no memory for a change");
  }
  if (!ask->call) {
    ask_end(ask, (int)err.code, &err, false);
    return;
  }
  http_call_once(ask->call); // sent again it could come to pass twice, the second time after what came later
  ask->forwarded_us = changes_now_us(changes);
  ask->state = ASK_FORWARDED;
  work->under_way++;
  work->forwarded++;
  work->question_final = work->refuted = false; // what was asked before knows nothing of it
}

// ---- questions ----------------------------------------------------------------------------------------------------------

static struct str digest_of_body(struct work *work, struct str body) {
  uint8_t hash[SHA256_BYTES];
  struct buf text;

  crypto_sha256(body, hash);
  buf_init(&text, DIGEST_MAX_BYTES);
  buf_put_c(&text, "sha256:");
  crypto_hex((struct str){(const char *)hash, sizeof(hash)}, &text);
  struct str digest = arena_str(work->arena, buf_str(&text));
  buf_free(&text);
  return digest;
}

static bool is_refused(int status) {
  return status == STATUS_UNAUTHORIZED || status == STATUS_FORBIDDEN;
}

static void on_heard(void *ctx, const struct http_result *result) {
  struct work *work = ctx;
  struct error err = {0};

  work->question = NULL;
  if (result->outcome != HTTP_OUTCOME_ANSWERED) {
    bool slow = result->outcome == HTTP_OUTCOME_TIMEOUT;
    int rc = error_set(&err, slow ? ERR_TIMEOUT : ERR_IO, "the registry behind did not answer (%s)", result->err.text);
    work_heard(work, rc, STR_EMPTY, &err);
    return;
  }
  if (result->status == STATUS_NOT_FOUND) {
    work_heard(work, 0, STR_EMPTY, NULL);
    return;
  }
  if (result->status != STATUS_OK) {
    int rc = error_set(&err, ERR_IO, "the registry behind answered %d %s when asked what is there%s", result->status,
                       http_reason(result->status),
                       is_refused(result->status) ? ": set upstream.authorization to what it accepts" : "");
    work_heard(work, rc, STR_EMPTY, &err);
    return;
  }
  struct str told = http_head_get(result->head, "Docker-Content-Digest");
  struct str digest = STR_EMPTY;
  if (told.ptr && event_is_digest(told)) {
    digest = arena_str(work->arena, told);
  } else if (!work->by_get) {
    work->by_get = true; // the specification lets a registry leave the header out
    int rc = call_ask(work, work->about, &err);
    if (rc != 0)
      work_heard(work, rc, STR_EMPTY, &err);
    return;
  } else if (!result->truncated) {
    digest = digest_of_body(work, result->body);
  }
  int rc = digest.ptr && digest.len ? 0 : error_set(&err, ERR_IO, "the registry behind did not say what is there");
  work_heard(work, rc, digest, &err);
}

int call_ask(struct work *work, enum question_about about, struct error *err) {
  struct changes *changes = work->changes;
  bool first = about == ASK_BEFORE || about == ASK_REFERENCE;
  struct http_call_params params = {
      .url = first ? work->url_reference : work->url_digest,
      .method = work->by_get ? STR("GET") : STR("HEAD"),
      .headers = changes->headers,
      .headers_len = changes->headers_len,
      .body = STR_EMPTY,
      .skip_cert_verify = changes->config.skip_cert_verify,
      .keep_body_bytes = CHANGE_MAX_BODY_BYTES,
      .read_body_bytes = CHANGE_MAX_BODY_BYTES + 1,
      .connect_timeout_ms = CONNECT_TIMEOUT_MS,
      .first_byte_timeout_ms = CHANGE_QUESTION_TIMEOUT_MS,
      .total_timeout_ms = CHANGE_QUESTION_TIMEOUT_MS,
      .on_done = on_heard,
      .ctx = work,
  };

  work->about = about;
  work->question = http_client_start(changes->client, &params, err);
  return work->question ? 0 : (int)err->code;
}

// ---- the platform -------------------------------------------------------------------------------------------------------

static void on_config(void *ctx, const struct http_result *result) {
  struct work *work = ctx;
  struct str body = STR_EMPTY, platform;
  struct error err;

  work->platform = NULL;
  if (result->outcome == HTTP_OUTCOME_ANSWERED && result->status == STATUS_OK && !result->truncated)
    body = arena_str(work->arena, result->body);
  // Into the event when it is told: the writer may be reading it just now.
  if (body.ptr && body.len && manifest_config_platform(body, work->arena, &platform, &err) == 0)
    work->learned_platform = platform;
  work_step(work);
}

void call_ask_platform(struct work *work) {
  struct changes *changes = work->changes;
  struct error err;
  struct http_call_params params = {
      .url = work->url_config,
      .method = STR("GET"),
      .headers = changes->headers,
      .headers_len = changes->headers_len,
      .body = STR_EMPTY,
      .skip_cert_verify = changes->config.skip_cert_verify,
      .keep_body_bytes = CONFIG_MAX_BYTES,
      .read_body_bytes = CONFIG_MAX_BYTES + 1,
      .connect_timeout_ms = CHANGE_PLATFORM_TIMEOUT_MS,
      .first_byte_timeout_ms = CHANGE_PLATFORM_TIMEOUT_MS,
      .total_timeout_ms = CHANGE_PLATFORM_TIMEOUT_MS,
      .on_done = on_config,
      .ctx = work,
  };

  work->platform = http_client_start(changes->client, &params, &err);
}
