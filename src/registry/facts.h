// SPDX-License-Identifier: Apache-2.0
// What a notification did not say (size, media type, kind, platform) is asked from the upstream registry by digest, after
// the commit: at most 4 questions at once, a bounded list of those that wait, no event waits for it. Runs on the serve
// loop; answers go into the catalogue.
#ifndef HARBINGER_REGISTRY_FACTS_H
#define HARBINGER_REGISTRY_FACTS_H

#include "net/http_client.h"
#include "store/catalogue.h"

struct registry_facts;

struct registry_facts_config {
  const char *upstream_url;  // "http://127.0.0.1:5000", no path
  const char *authorization; // whole header value, "" for none
  const char *user_agent;    // ingest knows our own questions by it (ingest/ingest.h); NULL or "": none is sent
  size_t max_at_once;        // 4
  size_t max_waiting;        // 4096; above it the artifact stays incomplete until the next start
  int64_t timeout_ms;        // 10000
  size_t max_manifest_bytes; // 4 MiB
  bool skip_cert_verify;
  // Each question's answer came from here: app/ keeps webhooks away from it. NULL: nobody wants to know.
  void (*on_peer)(void *ctx, const struct address *peer);
  void *ctx;
};

struct registry_facts *registry_facts_new(const struct registry_facts_config *config, struct loop *loop,
                                          struct http_client *client, struct store *store, const struct log *log,
                                          struct error *err) MUST_CHECK;
// Running questions are cancelled. The store has been stopped: it may hold facts on their way.
void registry_facts_free(struct registry_facts *facts);
// Ask about an artifact. Drops the wish when too many wait or it is being asked already.
void registry_facts_ask(struct registry_facts *facts, struct str project, struct str repository, struct str digest);
// Ask no more, and drop what waits. The writer may still have answers: they come back to the loop, and registry_facts_pending
// says 0 when all have.
void registry_facts_stop(struct registry_facts *facts);
// How many are asked about or wait for it.
size_t registry_facts_pending(const struct registry_facts *facts);

#endif
