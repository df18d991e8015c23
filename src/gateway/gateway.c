// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/catalog.h"
#include "gateway/gateway_internal.h"
#include "gateway/manifests.h"
#include "gateway/relay.h"

enum { SETTINGS_MAX_BYTES = 64 * 1024, SMALL_BODY_BYTES = 4096 };

// ---- which request, which file ----------------------------------------------------------------------------------------

bool gateway_owns(struct str path) {
  return str_starts_c(path, "/v2/") || str_eq_c(path, "/v2");
}

// An upload's content; everything else is small, or a manifest.
bool gateway_streams_body(const struct http_head *head) {
  struct oci_path path;
  enum oci_code code;

  return oci_path_read(head->path, &path, &code, NULL) == 0 && (path.kind == OCI_UPLOADS || path.kind == OCI_UPLOAD) &&
         (str_eq_c(head->method, "POST") || str_eq_c(head->method, "PATCH") || str_eq_c(head->method, "PUT"));
}

size_t gateway_body_limit(const struct http_head *head) {
  return str_eq_c(head->method, "PUT") ? GATEWAY_MAX_MANIFEST_BYTES : SMALL_BODY_BYTES;
}

void visit_over(struct visit *visit) {
  list_remove(&visit->gateway->visits, &visit->node);
}

static void answer_base(struct visit *visit) {
  static const struct http_header version = {STR("Docker-Distribution-Api-Version"), STR("registry/2.0")};

  // Clients ask here whether, and how, to log in.
  if (!visit->identity.authenticated) {
    visit_refuse(visit, OCI_UNAUTHORIZED, 0, "log in, for example with: docker login HOST");
    return;
  }
  visit_over(visit);
  http_respond(visit->request, &(struct http_response){.status = 200,
                                                       .content_type = "application/json; charset=utf-8",
                                                       .headers = &version,
                                                       .headers_len = 1,
                                                       .body = STR("{}\n")});
}

// The end of an upload says what it ought to have become.
static void route_upload(struct visit *visit) {
  const struct http_head *head = visit->request->head;
  struct str digest = STR_EMPTY;

  bool named = url_query_get(head->query, "digest", visit->request->arena, &digest);
  if ((named || str_eq_c(head->method, "PUT")) && !event_is_digest(digest))
    visit_refuse(visit, OCI_DIGEST_INVALID, 0,
                 "`digest` is no digest: sha256: and 64 hexadecimal digits in lower case");
  else
    relay_start(visit);
}

static void route_manifest(struct visit *visit) {
  struct str method = visit->request->head->method;

  if (str_eq_c(method, "PUT"))
    manifest_put(visit);
  else if (str_eq_c(method, "DELETE"))
    manifest_delete(visit);
  else if (str_eq_c(method, "GET"))
    relay_start_manifest(visit);
  else
    relay_start(visit);
}

void gateway_route(struct visit *visit) {
  switch (visit->path.kind) {
  case OCI_BASE:
    answer_base(visit);
    break;
  case OCI_CATALOG:
    catalog_answer(visit);
    break;
  case OCI_MANIFEST:
    route_manifest(visit);
    break;
  case OCI_UPLOADS:
  case OCI_UPLOAD:
    route_upload(visit);
    break;
  default:
    relay_start(visit);
    break;
  }
}

void gateway_handle(struct gateway *gateway, struct http_request *request) {
  const struct http_head *head = request->head;
  struct oci_path path;
  enum oci_code code;
  struct error err;

  if (oci_path_read(head->path, &path, &code, &err) != 0) {
    answer_error(gateway, request, code, 0, err.text);
    return;
  }
  metric_add(gateway->requests[path.kind], 1);
  if (!oci_kind_takes(path.kind, head->method)) {
    char words[ERROR_TEXT_BYTES];
    (void)snprintf(words, sizeof(words), "this end-point takes %s", oci_kind_methods(path.kind));
    answer_error(gateway, request, OCI_UNSUPPORTED, 0, words);
    return;
  }
  // Those whose refusal is held back cost a timer: they must not keep others out.
  if (gateway->visits.count - gateway->held + gateway->relays.count >= gateway->config.max_streams) {
    answer_error(gateway, request, OCI_TOOMANYREQUESTS, 0,
                 "this gateway serves as many requests as gateway.max_streams allows; try again");
    return;
  }
  visit_start(gateway, request, &path);
}

// ---- start and stop ---------------------------------------------------------------------------------------------------

static void register_metrics(struct gateway *gateway) {
  static const char *const outcomes[GATEWAY_OUTCOMES] = {[HTTP_OUTCOME_DNS] = "dns",
                                                         [HTTP_OUTCOME_BLOCKED] = "blocked",
                                                         [HTTP_OUTCOME_CONNECT] = "connect",
                                                         [HTTP_OUTCOME_TLS] = "tls",
                                                         [HTTP_OUTCOME_TIMEOUT] = "timeout",
                                                         [HTTP_OUTCOME_CLOSED] = "closed",
                                                         [HTTP_OUTCOME_MALFORMED] = "malformed",
                                                         [HTTP_OUTCOME_LOCAL] = "local"};
  struct metrics *m = gateway->config.metrics;
  char labels[64];

  for (int kind = 0; kind < OCI_KIND_COUNT; kind++) {
    (void)snprintf(labels, sizeof(labels), "kind=\"%s\"", oci_kind_name((enum oci_kind)kind));
    gateway->requests[kind] =
        metrics_counter(m, "harbinger_gateway_requests_total", labels, "Requests to /v2/, by end-point.");
  }
  for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
    if (!outcomes[i])
      continue;
    (void)snprintf(labels, sizeof(labels), "reason=\"%s\"", outcomes[i]);
    gateway->failures[i] = metrics_counter(m, "harbinger_gateway_upstream_errors_total", labels,
                                           "Questions that the registry behind the gateway gave no answer to.");
  }
  gateway->cut = metrics_counter(m, "harbinger_gateway_answers_cut_total", "",
                                 "Answers of the registry that fell short or were not what their digest names.");
  gateway->bytes_up = metrics_counter(m, "harbinger_gateway_bytes_total", "direction=\"up\"",
                                      "Content passed to the registry (up) and to clients (down).");
  gateway->bytes_down = metrics_counter(m, "harbinger_gateway_bytes_total", "direction=\"down\"", "");
  gateway->open =
      metrics_gauge(m, "harbinger_gateway_streams", "", "Requests being passed between a client and the registry.");
  gateway->pulls_dropped = metrics_counter(m, "harbinger_gateway_pulls_dropped_total", "",
                                           "Pulls that made no event because the store was full, broken or behind.");
}

static int read_external(struct gateway *gateway, struct error *err) {
  struct str text = str_of(gateway->config.external_url);
  struct url url;

  gateway->rules.external = STR_EMPTY;
  gateway->registry_host = arena_str(gateway->arena, str_of(gateway->config.registry_host));
  if (text.len == 0)
    return 0;
  int rc = url_parse(text, &url, err);
  if (rc != 0)
    return error_context(err, "external_url");
  struct str host = url_host_header(&url, gateway->arena);
  gateway->rules.external = ARENA_JOIN(gateway->arena, url.https ? STR("https://") : STR("http://"), host);
  if (gateway->registry_host.len == 0)
    gateway->registry_host = host;
  return 0;
}

static int configure(struct gateway *gateway, struct error *err) {
  const struct gateway_config *config = &gateway->config;

  gateway->arena = arena_new(SETTINGS_MAX_BYTES);
  if (!gateway->arena)
    return error_set(err, ERR_NO_MEMORY, "no memory for the gateway");
  struct str url = arena_str(gateway->arena, str_of(config->upstream_url));
  gateway->rules.authorization = arena_str(gateway->arena, str_of(config->authorization));
  gateway->rules.user_agent = arena_str(gateway->arena, str_of(config->user_agent));
  if (arena_out_of_memory(gateway->arena))
    return error_set(err, ERR_NO_MEMORY, "no memory for the gateway");
  int rc = url_parse(url, &gateway->rules.upstream, err);
  if (rc != 0)
    return error_context(err, "upstream.url");
  if (url_path(&gateway->rules.upstream).len)
    return error_set(err, ERR_CONFIG,
                     "upstream.url has a path: a gateway needs the registry at the root of its address, or "
                     "gateway.enabled=false");
  rc = read_external(gateway, err);
  if (rc == 0 && arena_out_of_memory(gateway->arena))
    rc = error_set(err, ERR_NO_MEMORY, "no memory for the gateway");
  return rc;
}

struct gateway *gateway_new(const struct gateway_config *config, struct error *err) {
  struct gateway *gateway = calloc(1, sizeof(*gateway));

  if (!gateway) {
    (void)error_set(err, ERR_NO_MEMORY, "no memory for the gateway");
    return NULL;
  }
  gateway->config = *config;
  list_init(&gateway->visits);
  list_init(&gateway->relays);
  gateway->reader = configure(gateway, err) == 0 ? store_reader_open(config->store, err) : NULL;
  if (!gateway->reader) {
    gateway_free(gateway);
    return NULL;
  }
  register_metrics(gateway);
  return gateway;
}

void gateway_stop(struct gateway *gateway) {
  if (!gateway)
    return;
  LIST_EACH (&gateway->visits, node, following) {
    struct visit *visit = CONTAINER_OF(node, struct visit, node);
    loop_timer_cancel(gateway->config.loop, &visit->delayed);
    visit_refuse(visit, OCI_UNAVAILABLE, 503, GATEWAY_STOPPING);
  }
  relay_refuse_all(gateway);
}

void gateway_free(struct gateway *gateway) {
  if (!gateway)
    return;
  relay_free_all(gateway);
  if (gateway->reader)
    store_reader_close(gateway->reader);
  arena_free(gateway->arena);
  free(gateway);
}
