// SPDX-License-Identifier: Apache-2.0
#include "gateway/manifests.h"

#include <stdio.h>

#include "gateway/digest.h"
#include "gateway/pulls.h"
#include "gateway/upstream.h"

enum { MEDIA_TYPE_MAX_BYTES = 255 };

// ---- the answer -------------------------------------------------------------------------------------------------------

static void answer_upstream(struct visit *visit, const struct http_result *result) {
  struct gateway *gateway = visit->gateway;
  struct http_request *request = visit->request;
  struct headers headers;
  const char *content_type;
  struct error err;

  upstream_saw(gateway, &result->peer);
  const struct upstream_words judged = upstream_judge(gateway, request->request_id, result);
  if (judged.words) {
    visit_refuse(visit, judged.code, judged.status, judged.words);
    return;
  }
  if (headers_answer(&gateway->rules, result->head, request->arena, &headers, &content_type, &err) != 0) {
    visit_refuse(visit, OCI_UNAVAILABLE, 503, "no memory for an answer; try again");
    return;
  }
  visit_over(visit);
  http_respond(request, &(struct http_response){.status = result->status,
                                                .content_type = content_type,
                                                .headers = headers.list,
                                                .headers_len = headers.len,
                                                .body = result->body});
}

// Addresses and paths in the words of others are for the log.
static const char *none_words(struct visit *visit, const struct change_result *result) {
  const struct gateway *gateway = visit->gateway;
  char reason[1];

  if (result->rc == ERR_TIMEOUT)
    return "the registry behind this gateway does not answer in time";
  if (result->rc == ERR_IO)
    return "the registry behind this gateway gave no answer";
  if (result->rc == ERR_UNAVAILABLE && !store_takes_events(gateway->config.store, reason, sizeof(reason)))
    return "the server cannot record what happens, because its store is full or broken: pushes and deletes are refused "
           "until it can, pulls go on";
  return result->err.text;
}

static void answer_none(struct visit *visit, const struct change_result *result) {
  struct gateway *gateway = visit->gateway;
  const char *may = result->may_have_happened
                        ? "; it may have happened all the same, which is found out: pushing the same again is safe"
                        : "";
  char words[ERROR_TEXT_BYTES + 128];
  int status = result->rc == ERR_TIMEOUT ? 504 : result->rc == ERR_IO ? 502 : 503;

  if (log_pace(gateway->config.log, &gateway->change_pace))
    log_write(gateway->config.log, LOG_WARN, "gateway", visit->request->request_id, "a change was not answered: %s",
              result->err.text);
  (void)snprintf(words, sizeof(words), "%s%s", none_words(visit, result), may);
  visit_refuse(visit, OCI_UNAVAILABLE, status, words);
}

// The client may have gone meanwhile; its request has stayed until now.
static void on_changed(void *ctx, const struct change_result *result) {
  struct visit *visit = ctx;

  if (result->rc == 0)
    answer_upstream(visit, result->answer);
  else
    answer_none(visit, result);
}

// ---- the order --------------------------------------------------------------------------------------------------------

static void change(struct visit *visit, struct change_order *order, enum event_type type) {
  const struct oci_path *path = &visit->path;
  struct error err;

  order->project = path->project;
  order->repository = path->repository;
  order->tag = path->by_digest ? STR_EMPTY : path->reference;
  int rc = happened(visit, type, visit->request->arena, &order->event, &err);
  if (rc == 0 && order->digest.len)
    order->event.artifacts[0].digest = order->digest;
  if (rc == 0)
    order->event.artifacts[0].media_type = order->media_type;
  if (rc == 0)
    rc = change_start(visit->gateway->config.changes, order, on_changed, visit, &err);
  if (rc != 0)
    visit_refuse(visit, rc == ERR_FULL ? OCI_TOOMANYREQUESTS : OCI_UNAVAILABLE, 0, err.text);
}

static struct str media_type_of(const struct http_request *request) {
  struct str type = http_head_get(request->head, "Content-Type");

  return type.ptr ? type : STR_EMPTY;
}

void manifest_put(struct visit *visit) {
  const struct http_request *request = visit->request;
  const struct oci_path *path = &visit->path;
  struct change_order order = {
      .kind = CHANGE_PUT, .media_type = media_type_of(request), .body = request->body, .digest = STR_EMPTY};

  if (request->body.len == 0) {
    visit_refuse(visit, OCI_MANIFEST_INVALID, 0, "the manifest is empty");
    return;
  }
  if (order.media_type.len > MEDIA_TYPE_MAX_BYTES) {
    visit_refuse(visit, OCI_MANIFEST_INVALID, 0, "the Content-Type is longer than 255 bytes");
    return;
  }
  if (path->by_digest && !digest_matches(path->reference, request->body)) {
    visit_refuse(visit, OCI_DIGEST_INVALID, 0, "the manifest is not what its digest names: it was changed on its way");
    return;
  }
  order.digest = path->by_digest ? path->reference : digest_of(request->body, request->arena);
  if (!order.digest.ptr) {
    visit_refuse(visit, OCI_UNAVAILABLE, 503, "no memory for a manifest; try again");
    return;
  }
  change(visit, &order, EVENT_PUSH_ARTIFACT);
}

void manifest_delete(struct visit *visit) {
  struct change_order order = {.kind = CHANGE_DELETE, .media_type = STR_EMPTY, .body = STR_EMPTY};

  order.digest = visit->path.by_digest ? visit->path.reference : STR_EMPTY;
  change(visit, &order, EVENT_DELETE_ARTIFACT);
}
