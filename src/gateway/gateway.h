// SPDX-License-Identifier: Apache-2.0
// /v2/ of the OCI distribution specification 1.1 in front of the registry behind us, as HTTP: who asks, for what, may they;
// then blobs, uploads and lists are passed through bit by bit (relay.h), manifests go through the change protocol
// (manifests.h, registry/change.h), the catalogue is answered from the store (catalog.h). It keeps no state between requests:
// an upload under way is the registry's. Serve loop only.
#ifndef HARBINGER_GATEWAY_GATEWAY_H
#define HARBINGER_GATEWAY_GATEWAY_H

#include "auth/auth.h"
#include "base/metrics.h"
#include "base/pool.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "registry/change.h"

struct gateway;

enum { GATEWAY_MAX_MANIFEST_BYTES = 4 * 1024 * 1024 };

struct gateway_config {
  struct loop *loop;
  struct pool *pool;       // pages of the catalogue; its contexts are read connections
  struct pool *login_pool; // likewise, where a password must be hashed
  struct store *store;
  struct auth *auth;
  struct http_client *client;
  struct changes *changes;
  const struct log *log;
  struct metrics *metrics;
  const char *upstream_url;  // "http://127.0.0.1:5000", no path
  const char *authorization; // for the registry, whole header value; "" for none
  const char *user_agent;    // of all that we ask: ingest knows it (ingest/ingest.h)
  bool skip_cert_verify;
  const char *external_url;  // in Location and Link; "": they are relative
  const char *registry_host; // host[:port] of events' resource_url; "": that of external_url, else the request's Host
  bool create_unknown_projects;                                     // gateway.unknown_project: create | refuse
  bool follow_redirects;                                            // gateway.redirects: pass | follow
  size_t max_streams;                                               // 1024 requests of /v2/ at once; above it 429
  int64_t connect_timeout_ms, upstream_timeout_ms, idle_timeout_ms; // 5000, 120000, 30000
  // Each answer came from here: app/ keeps webhooks away from it. NULL: nobody wants to know.
  void (*on_peer)(void *ctx, const struct address *peer);
  void *ctx;
};

struct gateway *gateway_new(const struct gateway_config *config, struct error *err) MUST_CHECK;
// Before the server is freed, when pools and store have been stopped: what has no answer yet gets one. A change that is on its
// way is settled after the next start.
void gateway_stop(struct gateway *gateway);
// The server has been freed.
void gateway_free(struct gateway *gateway);
bool gateway_owns(struct str path); // is it a path of /v2/?
// Of a request to /v2/: how many bytes may be read whole, or is the body read bit by bit?
size_t gateway_body_limit(const struct http_head *head);
bool gateway_streams_body(const struct http_head *head);
// Take over a request; it is answered later.
void gateway_handle(struct gateway *gateway, struct http_request *request);

#endif
