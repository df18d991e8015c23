// SPDX-License-Identifier: Apache-2.0
// All rooms of a running server and their wiring: who owns what, which callback goes where. house_start and house_stop are
// the start and the stop list. Main thread only.
#ifndef HARBINGER_APP_HOUSE_H
#define HARBINGER_APP_HOUSE_H

#include <pthread.h>

#include "api/api.h"
#include "api/feed.h"
#include "app/config.h"
#include "app/control.h"
#include "app/process_metrics.h"
#include "app/router.h"
#include "auth/auth.h"
#include "base/pool.h"
#include "dispatch/dispatch.h"
#include "gateway/gateway.h"
#include "ingest/ingest.h"
#include "net/egress.h"
#include "net/http_server.h"
#include "registry/facts.h"
#include "registry/sync_job.h"
#include "store/store.h"

struct loop_thread {
  struct loop *loop;
  pthread_t handle;
  bool running;
};

struct house {
  const struct config *config;
  struct clock clock;
  struct log log;
  struct id_source *ids;
  struct metrics *metrics;
  struct metric *waiting, *oldest_age; // refreshed when /metrics is read
  struct process_metrics process;
  struct egress *egress;
  struct tls_client *trust;
  struct arena *trust_arena; // of the text of tls.ca_file
  struct tls_server *tls;    // of the listener; NULL: plain
  struct store *store;
  struct auth *auth;
  struct pool *pool, *login_pool;

  struct loop_thread serve; // listener, API, ingest, questions to the upstream
  struct resolver *serve_resolver;
  struct http_client *serve_client;
  struct http_server *server;
  struct api *api;
  struct feed *feed; // who watches deliveries; told by the writer
  struct ingest *ingest;
  struct changes *changes; // of the registry; NULL without an upstream
  struct gateway *gateway; // NULL: /v2/ is not served
  struct portal *portal;
  struct registry_facts *facts;           // NULL without an upstream
  struct sync_job *sync;                  // likewise
  struct registry_client_config upstream; // of questions by threads that may wait
  struct care_desk *desk;
  struct control *control;
  struct router router;

  struct loop_thread send; // lanes and outgoing deliveries
  struct resolver *send_resolver;
  struct http_client *send_client;
  struct store_conn *send_reader;
  struct dispatch *_Atomic dispatch; // the writer's thread runs before it is made

  char *first_password; // of `admin`, when this start made it; shown once
  char own_agent[64];   // User-Agent of our questions to the registry
  char url[160];        // http://127.0.0.1:PORT as bound
};

int house_start(struct house *house, const struct config *config, struct error *err) MUST_CHECK;
// Finish running requests and deliveries for at most config->drain_ms, then stop everything. Fine after a failed start.
void house_stop(struct house *house);
// SIGHUP: certificates of the listener, addresses of this machine. A failure keeps what was.
int house_reload(struct house *house, struct error *err) MUST_CHECK;

#endif
