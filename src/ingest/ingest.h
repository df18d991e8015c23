// SPDX-License-Identifier: Apache-2.0
// Notifications of foreign registries become events: one file per format (distribution.c), this file the way they share:
// check the source's token, read the body, hand events to the store, answer only after the commit. Runs on the serve
// loop; bodies over 64 KiB are read in the pool.
#ifndef HARBINGER_INGEST_INGEST_H
#define HARBINGER_INGEST_INGEST_H

#include "base/metrics.h"
#include "base/pool.h"
#include "event/event.h"
#include "net/http_server.h"
#include "store/events.h"
#include "store/settings.h"

enum { INGEST_MAX_BODY_BYTES = 10 * 1024 * 1024, INGEST_MAX_EVENTS = 10000, INGEST_MAX_SOURCES = 64 };

struct ingest;

struct ingest_source {
  const char *name;    // as configured; the one token for all is named "default"
  const char *token;   // bearer token, at least 16 bytes
  bool behind_gateway; // everybody should write through /v2/: who does not is reported
};

struct ingest_config {
  struct ingest_source sources[INGEST_MAX_SOURCES];
  size_t sources_len;
  bool create_unknown_projects; // ingest.unknown_project: create | refuse
  const char *default_project;  // "library"
  const char *external_host;    // host[:port] of external_url; "": the notification's request.host
  size_t inline_body_bytes;     // 65536
  // The User-Agent of our own requests to the registry, questions (registry/facts.h) and what the gateway passes on alike: it
  // notifies of them, too, and they are nobody's pull, or an event already. Secret, so that nobody else goes unseen. NULL or
  // "": there are none.
  const char *own_user_agent;
};

struct ingest *ingest_new(const struct ingest_config *config, struct loop *loop, struct pool *pool, struct store *store,
                          const struct clock *clock, struct id_source *ids, const struct log *log,
                          struct metrics *metrics, struct error *err) MUST_CHECK;
void ingest_free(struct ingest *ingest);
// Is this path ours (/ingest/...)? Then the limit of its body.
size_t ingest_body_limit(const struct ingest *ingest, const struct http_head *head);
// Take over a request to /ingest/...; answers it later: 200 with `{"accepted":N,"events":M}`, or an error.
void ingest_handle(struct ingest *ingest, struct http_request *request);
size_t ingest_running(const struct ingest *ingest); // requests taken and not answered yet

// After each committed push or delete: the artifact's facts may be missing (see registry/facts.h). Loop thread.
void ingest_on_committed(struct ingest *ingest, void (*fn)(void *ctx, const struct event *event), void *ctx);

#endif
