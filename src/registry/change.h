// SPDX-License-Identifier: Apache-2.0
// A change of the registry behind us that becomes an event with certainty: what is about to be done is committed as an
// intent, then forwarded, then settled in one commit with its event, its deliveries and the catalogue; what no answer settled
// is asked for (change_settle.h) until it is known, also after a kill. At most one change of a (repository, tag), or
// (repository, digest), is on its way; others wait for it, and a delete by digest waits for, and holds up, its whole
// repository. A second PUT of the same bytes joins the first one. Serve loop only.
#ifndef HARBINGER_REGISTRY_CHANGE_H
#define HARBINGER_REGISTRY_CHANGE_H

#include "base/metrics.h"
#include "event/event.h"
#include "net/http_client.h"
#include "store/store.h"

struct changes;

enum change_kind { CHANGE_PUT, CHANGE_DELETE };

// gateway.on_store_failure
enum change_without_store {
  CHANGE_REFUSE, // nothing is forwarded: ERR_UNAVAILABLE
  CHANGE_PASS,   // forwarded all the same; the gap is counted, logged, and told as an event when the store is back
};

struct changes_config {
  const char *upstream_url;  // "http://127.0.0.1:5000", no path
  const char *authorization; // whole header value, "" for none
  const char
      *user_agent; // of our own questions; what is forwarded carries it too, so that ingest knows it (behind_gateway)
  bool skip_cert_verify;
  size_t max_open;             // 4096 changes on their way or waiting; above it ERR_FULL
  int64_t wait_ms;             // 30000: so long one waits for those before it; then ERR_FULL
  int64_t upstream_timeout_ms; // 120000
  enum change_without_store without_store;
  // Serve loop, after the commit of each event: what its source did not say may be asked for. NULL: nobody wants to know.
  void (*on_committed)(void *ctx, const struct event *event);
  void *ctx;
};

// What a client asks for. All text is copied.
struct change_order {
  enum change_kind kind;
  struct str project, repository; // "team-a", "web/api"
  struct str tag;                 // empty: by digest
  struct str digest;              // PUT: of `body`, computed; DELETE by digest; empty for the delete of a tag
  struct str media_type, body;    // PUT: the manifest and its Content-Type as they came
  // With actor, client, occurred_at, source, registry_host and upstream_name: all else is filled in here. The delete of a tag
  // alone is an event only when the artifact went with it, as with a source's notification.
  struct event event;
};

struct change_result {
  // 0: `answer` is the upstream's, 2xx or 4xx, and is to be passed on; what a 2xx says is committed. Else words for the client:
  // ERR_UNAVAILABLE the store or a server that stops, ERR_FULL too long waited for the changes before it, ERR_IO the upstream
  // gave no answer, or one that says neither yes nor no (5xx), ERR_TIMEOUT it was too slow.
  int rc;
  struct error err;
  bool may_have_happened;           // rc is not 0: what became of it is found out, and told, later
  const struct http_result *answer; // valid until on_done returns; its body is at most 64 KiB
};

// Picks up the intents that a kill left open.
struct changes *changes_new(const struct changes_config *config, struct loop *loop, struct http_client *client,
                            struct store *store, const struct log *log, struct metrics *metrics, struct error *err)
    MUST_CHECK;
// `on_done` exactly once, never before this returns. Whoever asked may have gone meanwhile: `ctx` must live until then. Not 0
// (ERR_FULL, ERR_NO_MEMORY): nothing was begun.
int change_start(struct changes *changes, const struct change_order *order,
                 void (*on_done)(void *ctx, const struct change_result *result), void *ctx, struct error *err)
    MUST_CHECK;
// No new ones; `on_drained` when no forwarded change waits for its answer any more. Open intents stay for the next start.
void changes_drain(struct changes *changes, void (*on_drained)(void *ctx), void *ctx);
void changes_free(struct changes *changes);

#endif
