// SPDX-License-Identifier: Apache-2.0
// Which room answers a request, by the first part of its path, and the three pages of the operator: /healthz, /readyz,
// /metrics. Serve loop only.
#ifndef HARBINGER_APP_ROUTER_H
#define HARBINGER_APP_ROUTER_H

#include "api/api.h"
#include "app/portal.h"
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "ingest/ingest.h"
#include "net/http_server.h"

struct router {
  struct api *api;
  struct ingest *ingest;
  struct gateway *gateway; // NULL: /v2/ is not served
  struct portal *portal;   // whatever no other room has
  struct store *store;
  struct http_server *server; // that it serves
  struct auth *auth;
  struct pool *pool, *login_pool; // login_pool: where a password must be hashed first
  struct loop *loop;
  struct metrics *metrics;
  const struct log *log;
  struct str metrics_token; // empty: administrators only
  bool metrics_open;
  void (*before_metrics)(void *ctx); // refresh gauges
  void *ctx;
  struct metric *requests[6][5]; // by kind of path and status class
};

// Register the request counters. Call once, before the server runs.
void router_start(struct router *router);
struct http_server_handler router_handler(struct router *router);

#endif
