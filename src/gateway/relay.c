// SPDX-License-Identifier: Apache-2.0
#include "gateway/relay.h"

#include <stdlib.h>

#include "gateway/digest.h"
#include "gateway/pulls.h"
#include "gateway/upstream.h"

enum {
  RELAY_ARENA_BYTES = 512 * 1024,
  HIGH_WATER_BYTES = 128 * 1024, // written for the client and not taken: the registry rests
  MAX_REDIRECTS = 5,
  MAX_DROPPED_BYTES = 64 * 1024,                    // of the body of a redirect
  MAX_COLLECTED_BYTES = 256 * 1024 * 1024,          // manifests in memory, all together
  NO_LENGTH_BYTES = GATEWAY_MAX_MANIFEST_BYTES + 1, // room for one byte too many
};

struct relay {
  struct list_node node; // gateway->relays
  struct gateway *gateway;
  struct arena *arena;
  struct http_request *request; // NULL: answered, or the client has gone
  struct http_call *call;
  struct url url; // where the call goes
  struct str method;
  bool reads;   // GET or HEAD
  bool is_head; // HEAD
  uint64_t body_sent;
  // Of the answer:
  bool streaming;
  bool paused;
  size_t waiting_bytes; // written since the client last had taken all
  // Redirects:
  int redirects;
  bool follows; // `url` is the next one; what still comes is dropped
  size_t dropped_bytes;
  // A manifest:
  bool manifest, collecting;
  struct str reference;
  bool by_digest;
  struct pull *pull;
  struct buf whole;
  struct http_response response; // of what is being collected
  struct headers headers;
};

static int relay_call(struct relay *relay, struct error *err);

// ---- ends -------------------------------------------------------------------------------------------------------------

static void relay_end(struct relay *relay) {
  struct gateway *gateway = relay->gateway;

  gateway->collected_bytes -= relay->whole.len;
  list_remove(&gateway->relays, &relay->node);
  metric_add(gateway->open, -1);
  buf_free(&relay->whole);
  pull_free(relay->pull);
  arena_free(relay->arena); // the relay lies in it
}

static void relay_drop_call(struct relay *relay) {
  if (relay->call)
    http_call_cancel(relay->call);
  relay->call = NULL;
}

// Nothing has been answered yet: an error of ours, and the end.
static void relay_refuse(struct relay *relay, enum oci_code code, int status, const char *words) {
  struct http_request *request = relay->request;

  relay->request = NULL;
  relay_drop_call(relay);
  if (request)
    answer_error(relay->gateway, request, code, status, words);
  relay_end(relay);
}

static void relay_no_memory(struct relay *relay) {
  relay_refuse(relay, OCI_UNAVAILABLE, 503, "no memory for a request; try again");
}

// ---- the request's body -----------------------------------------------------------------------------------------------

static void on_body_piece(void *ctx, struct str piece) {
  struct relay *relay = ctx;
  const struct http_head *head = relay->request->head;
  struct error err;

  if (!relay->call || http_call_send(relay->call, piece, &err) != 0) {
    relay_no_memory(relay);
    return;
  }
  metric_add(relay->gateway->bytes_up, (int64_t)piece.len);
  relay->body_sent += piece.len;
  // Its end: the registry asks for no more. Else on_sendable asks, if it does not take more at once.
  bool all = head->has_length && relay->body_sent == head->length;
  if (all || http_call_takes_more(relay->call))
    http_body_want(relay->request);
}

static void on_body_end(void *ctx) {
  struct relay *relay = ctx;

  if (relay->call && !relay->request->head->has_length)
    http_call_send_end(relay->call);
}

// What is half sent is reset: no registry may take it for the whole. The upload itself stays the registry's, so that the client
// can ask how far it came and go on.
static void on_body_broken(void *ctx, const struct error *why) {
  struct relay *relay = ctx;

  log_write(relay->gateway->config.log, LOG_DEBUG, "gateway", STR_EMPTY, "an upload broke off after %llu bytes: %s",
            (unsigned long long)relay->body_sent, why->text);
  relay->request = NULL;
  relay_drop_call(relay);
  relay_end(relay);
}

static void on_sendable(void *ctx) {
  struct relay *relay = ctx;

  if (relay->request && !relay->streaming)
    http_body_want(relay->request);
}

// ---- the answer, bit by bit -------------------------------------------------------------------------------------------

static void on_client_gone(void *ctx) {
  struct relay *relay = ctx;

  relay->request = NULL;
  relay_drop_call(relay);
  relay_end(relay);
}

static void on_taken(void *ctx) {
  struct relay *relay = ctx;

  relay->waiting_bytes = 0;
  if (!relay->paused || !relay->call)
    return;
  relay->paused = false;
  http_call_resume(relay->call);
}

// The client gets a reset: it must not take what it has for the whole.
static void relay_cut(struct relay *relay, const char *why) {
  struct gateway *gateway = relay->gateway;

  metric_add(gateway->cut, 1);
  if (log_pace(gateway->config.log, &gateway->upstream_pace))
    log_write(gateway->config.log, LOG_WARN, "gateway", relay->request->request_id,
              "an answer was cut off and its client reset: %s", why);
  http_stream_abort(relay->request);
  relay->request = NULL;
  relay_drop_call(relay);
  relay_end(relay);
}

static void relay_write(struct relay *relay, struct str piece) {
  struct error err;

  if (http_stream_write(relay->request, piece, &err) != 0) {
    relay_cut(relay, err.text);
    return;
  }
  metric_add(relay->gateway->bytes_down, (int64_t)piece.len);
  relay->waiting_bytes = http_stream_waiting(relay->request) == 0 ? 0 : relay->waiting_bytes + piece.len;
  if (relay->waiting_bytes < HIGH_WATER_BYTES || relay->paused)
    return;
  relay->paused = true;
  http_call_pause(relay->call);
}

static void respond_whole(struct relay *relay, const struct http_response *response) {
  struct http_request *request = relay->request;

  relay->request = NULL;
  http_respond(request, response); // the rest of the call is waited for, so that its connection can be used again
}

static void respond_stream(struct relay *relay, const struct http_response *response) {
  const struct http_stream_handler handler = {.ctx = relay, .on_closed = on_client_gone, .on_taken = on_taken};
  struct error err;

  if (http_respond_stream(relay->request, response, &handler, &err) != 0) {
    relay_no_memory(relay);
    return;
  }
  relay->streaming = true;
}

// ---- a manifest, whole ------------------------------------------------------------------------------------------------

static void too_large(struct relay *relay) {
  relay_refuse(relay, OCI_UNAVAILABLE, 502,
               "the registry behind this gateway answers with a manifest of more than 4 MiB");
}

static void collect_begin(struct relay *relay, const struct http_head *head, const struct http_response *response) {
  if (head->has_length && head->length > GATEWAY_MAX_MANIFEST_BYTES) {
    too_large(relay);
    return;
  }
  relay->collecting = true;
  relay->response = *response;
  // The head goes with the call, the headers are needed later.
  for (size_t i = 0; i < relay->headers.len; i++) {
    struct http_header *header = &relay->headers.list[i];
    *header = (struct http_header){arena_str(relay->arena, header->name), arena_str(relay->arena, header->value)};
    if (!header->name.ptr || !header->value.ptr) {
      relay_no_memory(relay);
      return;
    }
  }
}

static void collect_piece(struct relay *relay, struct str piece) {
  struct gateway *gateway = relay->gateway;

  if (gateway->collected_bytes + piece.len > MAX_COLLECTED_BYTES) {
    relay_refuse(relay, OCI_TOOMANYREQUESTS, 0, "too many manifests are being read; try again");
    return;
  }
  size_t before = relay->whole.len;
  buf_put(&relay->whole, piece);
  gateway->collected_bytes += relay->whole.len - before;
  if (relay->whole.no_memory)
    relay_no_memory(relay);
  else if (relay->whole.failed || relay->whole.len > GATEWAY_MAX_MANIFEST_BYTES)
    too_large(relay);
}

static struct str header_of(const struct headers *headers, const char *name) {
  for (size_t i = 0; i < headers->len; i++) {
    if (str_ieq_c(headers->list[i].name, name))
      return headers->list[i].value;
  }
  return (struct str){0};
}

// The digest under which the client may know what came; empty when the registry lies.
static struct str collected_digest(struct relay *relay) {
  struct str told = header_of(&relay->headers, "Docker-Content-Digest"), body = buf_str(&relay->whole);

  if (told.ptr && !digest_matches(told, body))
    return STR_EMPTY;
  if (relay->by_digest)
    return digest_matches(relay->reference, body) ? relay->reference : STR_EMPTY;
  return told.ptr ? told : digest_of(body, relay->arena);
}

static void collect_end(struct relay *relay, bool cut) {
  struct http_response response = relay->response;
  struct pull *pull = relay->pull;

  if (cut) {
    metric_add(relay->gateway->cut, 1);
    relay_refuse(relay, OCI_UNAVAILABLE, 502, "the registry behind this gateway cut off its answer");
    return;
  }
  struct str digest = collected_digest(relay);
  if (digest.len == 0) {
    metric_add(relay->gateway->cut, 1);
    log_write(relay->gateway->config.log, LOG_WARN, "gateway", relay->request->request_id,
              "the registry answered with other content than the digest names; the client got an error");
    relay_refuse(relay, OCI_UNAVAILABLE, 502,
                 "the registry behind this gateway answers with other content than the digest names");
    return;
  }
  response.body = buf_str(&relay->whole);
  response.headers = relay->headers.list;
  response.headers_len = relay->headers.len;
  metric_add(relay->gateway->bytes_down, (int64_t)relay->whole.len);
  respond_whole(relay, &response);
  relay->pull = NULL;
  if (pull)
    pull_tell(pull, digest, str_of(response.content_type), response.body);
  relay_end(relay);
}

// ---- the answer's head ------------------------------------------------------------------------------------------------

static bool has_no_body(const struct relay *relay, const struct http_head *head) {
  if (relay->is_head)
    return head->has_length; // without one a HEAD is answered as a stream that has none, too
  return head->status == 204 || head->status == 304 || (head->has_length && head->length == 0);
}

static void relay_answer(struct relay *relay, const struct http_head *head) {
  struct http_response response = {.status = head->status, .has_length = head->has_length, .length = head->length};
  struct error err;

  if (headers_answer(&relay->gateway->rules, head, relay->arena, &relay->headers, &response.content_type, &err) != 0) {
    relay_no_memory(relay);
    return;
  }
  response.headers = relay->headers.list;
  response.headers_len = relay->headers.len;
  bool goes_on = head->status == 202 || (head->status >= 300 && head->status < 400);
  if (goes_on && http_head_get(head, "Location").ptr && !header_of(&relay->headers, "Location").ptr) {
    relay_refuse(relay, OCI_UNAVAILABLE, 502,
                 "the registry behind this gateway goes on at an address that is not below its /v2/");
    return;
  }
  if (has_no_body(relay, head)) {
    response.has_length = relay->is_head;
    respond_whole(relay, &response);
  } else if (relay->manifest && head->status == 200) {
    response.has_length = false;
    collect_begin(relay, head, &response);
  } else {
    response.has_length = head->has_length && !relay->is_head;
    respond_stream(relay, &response);
  }
}

// ---- redirects --------------------------------------------------------------------------------------------------------

// Copy what the call needs out of the answer that goes.
static bool keep_url(struct relay *relay, const struct url *url) {
  struct str text = arena_str(relay->arena, url->text), target = arena_str(relay->arena, url->target);

  // Parsed again, so that no view points at what goes.
  if (!text.ptr || !target.ptr || url_parse(text, &relay->url, NULL) != 0)
    return false;
  relay->url.target = target;
  return true;
}

static void redirect_go(struct relay *relay) {
  struct error err;

  relay->call = NULL;
  relay->follows = false;
  relay->dropped_bytes = 0;
  if (relay_call(relay, &err) != 0)
    relay_refuse(relay, OCI_UNAVAILABLE, 503, "this gateway has reached one of its own limits; try again");
}

// Serves a redirect: true when it is gone after here, or refused; false when the client is to go.
static bool relay_redirect(struct relay *relay, const struct http_head *head) {
  struct header_rules here = relay->gateway->rules;
  struct url next;

  here.upstream = relay->url; // what is relative is so to where the answer came from
  enum header_place place = headers_place(&here, http_head_get(head, "Location"), relay->arena, &next);
  if (place == PLACE_BAD) {
    relay_refuse(relay, OCI_UNAVAILABLE, 502, "the registry behind this gateway redirects to no address");
    return true;
  }
  bool abroad = !url_same_origin(&next, &relay->gateway->rules.upstream);
  if (abroad && !relay->gateway->config.follow_redirects)
    return false;
  if (!relay->reads) {
    if (!abroad)
      return false;
    relay_refuse(relay, OCI_UNAVAILABLE, 502,
                 "the registry behind this gateway redirects an upload, which gateway.redirects=follow cannot do");
    return true;
  }
  if (++relay->redirects > MAX_REDIRECTS) {
    relay_refuse(relay, OCI_UNAVAILABLE, 502, "the registry behind this gateway redirects more than 5 times");
    return true;
  }
  if (!keep_url(relay, &next)) {
    relay_no_memory(relay);
    return true;
  }
  relay->follows = true;
  return true;
}

static bool is_redirect(const struct http_head *head) {
  int status = head->status;

  return (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
         http_head_get(head, "Location").ptr;
}

// ---- the call ---------------------------------------------------------------------------------------------------------

static void on_head(void *ctx, const struct http_result *result) {
  struct relay *relay = ctx;

  // Where it redirects to is not ours: what is ours nobody may send webhooks to, nor be redirected to.
  if (url_same_origin(&relay->url, &relay->gateway->rules.upstream))
    upstream_saw(relay->gateway, &result->peer);
  if (is_redirect(result->head) && relay_redirect(relay, result->head))
    return;
  // Distribution announces the blob's length with it and sends some words: that would be a cut answer.
  if (result->status == 416 && relay->reads) {
    relay_refuse(relay, OCI_RANGE_INVALID, 416, "the range lies outside of the content");
    return;
  }
  const struct upstream_words judged = upstream_judge(relay->gateway, relay->request->request_id, result);
  if (judged.words)
    relay_refuse(relay, judged.code, judged.status, judged.words);
  else
    relay_answer(relay, result->head);
}

static void on_piece(void *ctx, struct str piece) {
  struct relay *relay = ctx;

  if (relay->follows) {
    relay->dropped_bytes += piece.len;
    if (relay->dropped_bytes <= MAX_DROPPED_BYTES)
      return;
    http_call_cancel(relay->call);
    redirect_go(relay);
  } else if (relay->collecting) {
    collect_piece(relay, piece);
  } else if (relay->streaming) {
    relay_write(relay, piece);
  }
}

static void on_done(void *ctx, const struct http_result *result) {
  struct relay *relay = ctx;
  bool cut = result->outcome != HTTP_OUTCOME_ANSWERED || result->truncated;

  relay->call = NULL;
  if (relay->follows) {
    redirect_go(relay);
  } else if (relay->collecting) {
    collect_end(relay, cut);
  } else if (relay->streaming && cut) {
    relay_cut(relay,
              result->outcome == HTTP_OUTCOME_ANSWERED ? "the registry fell short of its length" : result->err.text);
  } else if (relay->streaming) {
    http_stream_end(relay->request);
    relay->request = NULL;
    relay_end(relay);
  } else if (relay->request) { // no head came
    const struct upstream_words failed = upstream_failed(relay->gateway, relay->request->request_id, result);
    relay_refuse(relay, failed.code, failed.status, failed.words);
  } else {
    relay_end(relay);
  }
}

static int relay_call(struct relay *relay, struct error *err) {
  const struct gateway_config *config = &relay->gateway->config;
  const struct http_request *request = relay->request;
  char address[ADDRESS_TEXT_BYTES];
  bool abroad = !url_same_origin(&relay->url, &relay->gateway->rules.upstream);
  const struct header_request asked = {.head = request->head,
                                       .client =
                                           arena_str(relay->arena, str_of(address_write(&request->peer, address))),
                                       .request_id = request->request_id,
                                       .whole = relay->manifest,
                                       .abroad = abroad};
  const struct http_call_stream stream = {.has_body = request->body_to_come,
                                          .has_length = request->head->has_length,
                                          .length = request->head->length,
                                          .idle_timeout_ms = config->idle_timeout_ms,
                                          .on_sendable = on_sendable,
                                          .on_head = on_head,
                                          .on_piece = on_piece};
  struct headers headers;

  if (!asked.client.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for a request");
  int rc = headers_forward(&relay->gateway->rules, &asked, relay->arena, &headers, err);
  if (rc != 0)
    return rc;
  const struct http_call_params params = {
      .url = relay->url,
      .method = relay->method,
      .headers = headers.list,
      .headers_len = headers.len,
      .body = STR_EMPTY,
      .guarded = abroad, // the registry's word, not the operator's
      .skip_cert_verify = !abroad && config->skip_cert_verify,
      .connect_timeout_ms = config->connect_timeout_ms,
      .first_byte_timeout_ms = config->upstream_timeout_ms,
      .total_timeout_ms = config->upstream_timeout_ms,
      .on_done = on_done,
      .ctx = relay,
      .stream = &stream,
  };
  relay->call = http_client_start(config->client, &params, err);
  if (!relay->call)
    return (int)err->code;
  // What was done perhaps is not done again unasked (RFC 9110 9.2.2): the end of an upload would not find it any more.
  if (str_eq_c(relay->method, "PUT") || str_eq_c(relay->method, "DELETE"))
    http_call_once(relay->call);
  return 0;
}

// ---- start ------------------------------------------------------------------------------------------------------------

// What the registry is asked for. The query of an upload's begin is written anew: a mount only as it was judged.
static struct str target_of(const struct visit *visit, struct arena *arena) {
  const struct http_head *head = visit->request->head;
  struct str digest, algorithm, query = STR_EMPTY;

  if (visit->path.kind != OCI_UPLOADS)
    return arena_str(arena, head->target);
  if (visit->mount.len)
    query = ARENA_JOIN(arena, STR("?mount="), visit->mount, STR("&from="), visit->mount_from);
  else if (url_query_get(head->query, "digest", arena, &digest) && event_is_digest(digest))
    query = ARENA_JOIN(arena, STR("?digest="), digest);
  else if (url_query_get(head->query, "digest-algorithm", arena, &algorithm) &&
           (str_eq_c(algorithm, "sha256") || str_eq_c(algorithm, "sha512")))
    query = ARENA_JOIN(arena, STR("?digest-algorithm="), algorithm);
  return query.ptr ? ARENA_JOIN(arena, STR("/v2/"), visit->path.name, STR("/blobs/uploads/"), query) : query;
}

static struct relay *relay_new(struct visit *visit) {
  struct arena *arena = arena_new(RELAY_ARENA_BYTES);
  struct relay *relay = arena ? ARENA_NEW(arena, struct relay) : NULL;
  struct str method = visit->request->head->method;

  if (!relay) {
    arena_free(arena);
    return NULL;
  }
  relay->gateway = visit->gateway;
  relay->arena = arena;
  relay->request = visit->request;
  relay->url = visit->gateway->rules.upstream;
  relay->url.target = target_of(visit, arena);
  relay->method = arena_str(arena, method);
  relay->reference = arena_str(arena, visit->path.reference);
  relay->by_digest = visit->path.by_digest;
  relay->is_head = str_eq_c(method, "HEAD");
  relay->reads = relay->is_head || str_eq_c(method, "GET");
  buf_init(&relay->whole, NO_LENGTH_BYTES);
  if (relay->url.target.ptr && relay->method.ptr && relay->reference.ptr)
    return relay;
  arena_free(arena);
  return NULL;
}

static void start(struct visit *visit, bool manifest) {
  const struct http_body_handler body = {.on_piece = on_body_piece, .on_end = on_body_end, .on_broken = on_body_broken};
  struct gateway *gateway = visit->gateway;
  struct relay *relay = relay_new(visit);
  struct error err;

  if (!relay) {
    visit_refuse(visit, OCI_UNAVAILABLE, 503, "no memory for a request; try again");
    return;
  }
  relay->manifest = manifest;
  relay->pull = manifest ? pull_new(visit) : NULL;
  list_push_back(&gateway->relays, &relay->node);
  metric_add(gateway->open, 1);
  visit_over(visit);
  if (relay->request->body_to_come) {
    struct http_body_handler handler = body;
    handler.ctx = relay;
    http_body_read(relay->request, &handler);
  }
  if (relay_call(relay, &err) == 0)
    return;
  if (log_pace(gateway->config.log, &gateway->upstream_pace))
    log_write(gateway->config.log, LOG_WARN, "gateway", relay->request->request_id, "a request was not passed on: %s",
              err.text);
  relay_refuse(relay, OCI_UNAVAILABLE, 503, "this gateway has reached one of its own limits; try again");
}

void relay_start(struct visit *visit) {
  start(visit, false);
}

void relay_start_manifest(struct visit *visit) {
  start(visit, true);
}

void relay_refuse_all(struct gateway *gateway) {
  LIST_EACH (&gateway->relays, node, following) {
    struct relay *relay = CONTAINER_OF(node, struct relay, node);
    if (relay->request && !relay->streaming)
      relay_refuse(relay, OCI_UNAVAILABLE, 503, GATEWAY_STOPPING);
  }
}

void relay_free_all(struct gateway *gateway) {
  while (!list_empty(&gateway->relays)) {
    struct relay *relay = CONTAINER_OF(list_first(&gateway->relays), struct relay, node);
    relay_drop_call(relay);
    relay_end(relay);
  }
}
