// SPDX-License-Identifier: Apache-2.0
// Harbor's API v2.0 as far as webhooks, projects and catalogue go, and our extensions. Handlers are plain functions
// that run on a pool thread with a read connection of their own and may wait for a commit; the loop only hands requests
// over and takes answers back. One table of routes (routes.c) names method, path, handler and rights.
#ifndef HARBINGER_API_API_H
#define HARBINGER_API_API_H

#include "auth/auth.h"
#include "base/pool.h"
#include "dispatch/dispatch.h"
#include "net/egress.h"
#include "net/http_server.h"
#include "store/store.h"

enum { API_MAX_BODY_BYTES = 1024 * 1024 };

struct api;
struct feed;
struct changes;
struct registry_client_config;
struct sync_job;

struct api_config {
  struct loop *loop;       // serve
  struct pool *pool;       // its thread contexts are `struct store_conn *`, as login_pool's
  struct pool *login_pool; // calls whose password must be hashed first
  struct store *store;
  struct auth *auth;
  struct dispatch *dispatch;
  struct egress *egress;
  struct feed *feed;
  // NULL: there is no upstream registry.
  struct sync_job *sync;
  struct changes *changes;
  const struct registry_client_config *upstream;
  size_t max_changes; // of the registry at once, 2: each holds a thread of the pool
  struct id_source *ids;
  const struct clock *clock;
  struct log *log;            // level settable through the API
  const char *version;        // "0.1.0"
  const char *harbor_version; // "v2.16.0-harbinger.0.1.0"
  const char *external_url;   // as clients reach us
  const char *registry_url;   // host[:port] of the registry
  const char *portal_url;
  bool reveal_auth_header;
  int64_t cancel_wait_ms;   // 1000
  int64_t token_lifetime_s; // 90 days
  int64_t tests_per_minute; // 30 tests of webhooks per user and per project
  struct str openapi;       // text of openapi.yaml
  // For /health and /systeminfo: is the upstream configured?
  bool has_upstream;
  // A user's password was changed through the API (pool thread, after the commit): app/ forgets files that hold the old
  // one. NULL: nobody wants to know.
  void (*on_password_changed)(void *ctx, struct str user_name);
  void *ctx;
};

struct api *api_new(const struct api_config *config, struct error *err) MUST_CHECK;
// The serve loop has ended: handlers that wait for it are told. Before the pool stops; NULL is fine.
void api_close(struct api *api);
void api_free(struct api *api);
// Is this path one of ours: /api/..., /c/...
bool api_owns(struct str path);
// Take over a request; answered later on the loop. Loop thread.
void api_handle(struct api *api, struct http_request *request);
size_t api_running(const struct api *api); // taken and not answered yet

// Harbor's error body {"errors":[{"code":..,"message":..}]} + newline. The words of a 500 are ours alone: clients read
// code UNKNOWN and "internal server error", as Harbor says it (docs/harbor-compatibility.md); 501 and 503 keep their
// words.
void api_write_error(enum errcode code, int status, const char *words, struct buf *out);

#endif
