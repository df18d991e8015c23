// SPDX-License-Identifier: Apache-2.0
// Questions to the registry behind us from a thread that may wait: a client and a loop of its own, so that it blocks nobody
// else's. At most REGISTRY_CLIENT_AT_ONCE questions are on their way. One thread; answers live in the caller's arena.
#ifndef HARBINGER_REGISTRY_CLIENT_H
#define HARBINGER_REGISTRY_CLIENT_H

#include "base/arena.h"
#include "net/http_client.h"
#include "store/admin.h"

enum { REGISTRY_CLIENT_AT_ONCE = 8, REGISTRY_ANSWER_MAX_BYTES = 4 * 1024 * 1024 };

struct registry_client_config {
  const char *upstream_url, *authorization, *user_agent; // as registry_facts_config
  bool skip_cert_verify;
  struct str ca_pem; // whom we trust; empty: the system's
};

// The strings of the configuration must live as long as the client.
struct registry_client {
  const struct registry_client_config *config;
  const struct store_progress *progress; // asked often whether to go on
  const char *what;                      // told with the progress: "comparing with the registry"
  int64_t done, of;                      // likewise
  struct str base;                       // upstream_url without a slash at its end
  struct clock clock;
  struct loop *loop;
  struct resolver *resolver;
  struct tls_client *tls;
  struct http_client *http;
};

struct registry_question {
  struct str method, path; // "HEAD", "/v2/team-a/web/manifests/v1"
  // The answer:
  int status; // any that the registry gave
  struct str body, digest, link, content_type;
  // The client's own:
  struct registry_client *client;
  struct arena *arena;
  struct http_call *call;
  bool done, cut;
  struct error err;
};

int registry_client_open(struct registry_client *client, const struct registry_client_config *config,
                         const struct store_progress *progress, struct error *err) MUST_CHECK;
void registry_client_close(struct registry_client *client); // fine when it was not opened
// Ask all of them. ERR_UNAVAILABLE when one got no answer, or the registry refuses us (401, 403), or the work shall end;
// ERR_TOO_LARGE when an answer was. Other statuses are the caller's to judge.
int registry_client_ask(struct registry_client *client, struct registry_question *questions, size_t len,
                        struct arena *arena, struct error *err) MUST_CHECK;
// One round of the loop while the caller waits for what else uses it; an error when the work shall end.
int registry_client_step(struct registry_client *client, struct error *err) MUST_CHECK;

#endif
