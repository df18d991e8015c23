// SPDX-License-Identifier: Apache-2.0
#include "gateway/upstream.h"

static const struct upstream_words outcomes[GATEWAY_OUTCOMES] = {
    [HTTP_OUTCOME_DNS] = {OCI_UNAVAILABLE, 502, "the name of the registry behind this gateway cannot be resolved"},
    [HTTP_OUTCOME_BLOCKED] = {OCI_UNAVAILABLE, 502,
                              "the registry behind this gateway redirects to an address that is not allowed: an "
                              "administrator allows it with: harbinger egress allow RANGE"},
    [HTTP_OUTCOME_CONNECT] = {OCI_UNAVAILABLE, 502, "the registry behind this gateway cannot be reached"},
    [HTTP_OUTCOME_TLS] = {OCI_UNAVAILABLE, 502, "the certificate of the registry behind this gateway is not trusted"},
    [HTTP_OUTCOME_TIMEOUT] = {OCI_UNAVAILABLE, 504, "the registry behind this gateway does not answer in time"},
    [HTTP_OUTCOME_CLOSED] = {OCI_UNAVAILABLE, 502,
                             "the registry behind this gateway closed the connection without an answer"},
    [HTTP_OUTCOME_MALFORMED] = {OCI_UNAVAILABLE, 502,
                                "the registry behind this gateway gave an answer that is not HTTP/1.1"},
    [HTTP_OUTCOME_LOCAL] = {OCI_UNAVAILABLE, 503, "this gateway has reached one of its own limits; try again"},
};

struct upstream_words upstream_failed(struct gateway *gateway, struct str request_id,
                                      const struct http_result *result) {
  metric_add(gateway->failures[result->outcome], 1);
  if (log_pace(gateway->config.log, &gateway->upstream_pace))
    log_write(gateway->config.log, LOG_WARN, "gateway", request_id, "the registry gave no answer: %s",
              result->err.text);
  return outcomes[result->outcome];
}

struct upstream_words upstream_judge(struct gateway *gateway, struct str request_id, const struct http_result *result) {
  enum { STATUS_UNAUTHORIZED = 401, STATUS_SERVER_ERROR = 500, STATUS_LAST = 599 };
  struct str type = http_head_get(result->head, "Content-Type");

  if (result->status == STATUS_UNAUTHORIZED) {
    if (log_pace(gateway->config.log, &gateway->refused_pace))
      log_write(gateway->config.log, LOG_WARN, "gateway", request_id,
                "the registry refuses our credentials: set upstream.authorization");
    return (struct upstream_words){OCI_UNAVAILABLE, 502,
                                   "the registry behind this gateway refuses the gateway's own credentials: its "
                                   "operator sets upstream.authorization"};
  }
  if (result->status > STATUS_LAST)
    return (struct upstream_words){OCI_UNAVAILABLE, 502,
                                   "the registry behind this gateway answers with no known status"};
  if (result->status < STATUS_SERVER_ERROR || (type.ptr && str_starts_c(type, "application/json")))
    return (struct upstream_words){.words = NULL};
  return (struct upstream_words){OCI_UNAVAILABLE, result->status, "the registry behind this gateway reports an error"};
}

void upstream_saw(struct gateway *gateway, const struct address *peer) {
  if (peer->family == 0 || !gateway->config.on_peer ||
      (address_eq(peer, &gateway->peer) && peer->port == gateway->peer.port))
    return;
  gateway->peer = *peer;
  gateway->config.on_peer(gateway->config.ctx, peer);
}
