// SPDX-License-Identifier: Apache-2.0
// One exchange passed between a client and the registry, both bodies bit by bit: neither side is read faster than the other
// takes, so that a layer of any size costs 128 KiB. A client that goes away ends the call, half sent as it is, so that the
// registry never takes the part for the whole; a registry that falls short resets the client. Redirects that lead to the
// registry itself, and with follow_redirects others, are gone after here (5 at most). Serve loop only.
#ifndef HARBINGER_GATEWAY_RELAY_H
#define HARBINGER_GATEWAY_RELAY_H

#include "gateway/gateway_internal.h"

// Takes the visit over. Its request's body, if one is to come, goes with it.
void relay_start(struct visit *visit);
// A GET of a manifest: the same, but a 200 is taken whole (GATEWAY_MAX_MANIFEST_BYTES) and compared with its digest before the
// client sees a byte; then the pull becomes an event.
void relay_start_manifest(struct visit *visit);
void relay_refuse_all(struct gateway *gateway); // those that have no answer yet get one
void relay_free_all(struct gateway *gateway);   // at the end, when the server has been freed

#endif
