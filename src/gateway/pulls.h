// SPDX-License-Identifier: Apache-2.0
// What happened, for the store: who did it, from where, to what. A pull becomes an event after its answer and nobody waits for
// it: at most GATEWAY_MAX_PULLS are on their way to the store, what comes above that, or while the store takes nothing, is
// dropped and counted. Each GET of a manifest that is answered with 200 is one pull, as Harbor counts: of an index the index
// and then the manifest that the client chose; HEAD, 304 and our own questions are none. Serve loop.
#ifndef HARBINGER_GATEWAY_PULLS_H
#define HARBINGER_GATEWAY_PULLS_H

#include "event/event.h"
#include "gateway/gateway_internal.h"

// Actor, client, repository, source and the address that clients pull from; one artifact with its reference. All text is copied
// into the arena. ERR_NO_MEMORY.
int happened(const struct visit *visit, enum event_type type, struct arena *arena, struct event *out, struct error *err)
    MUST_CHECK;

struct pull;
// Before the answer, while the request is there. NULL: no memory, or it does not count.
struct pull *pull_new(const struct visit *visit) MUST_CHECK;
// The answer was given: `digest` and `content_type` as told, `body` the manifest. Ends the pull.
void pull_tell(struct pull *pull, struct str digest, struct str content_type, struct str body);
void pull_free(struct pull *pull); // it was none after all; NULL is fine

#endif
