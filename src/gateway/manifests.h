// SPDX-License-Identifier: Apache-2.0
// What changes a repository: a manifest put by tag or by digest, a manifest or tag deleted. It goes through the change protocol
// (registry/change.h), which commits before it forwards and again before the client hears: whatever the client does
// meanwhile, what happened becomes an event. Serve loop only.
#ifndef HARBINGER_GATEWAY_MANIFESTS_H
#define HARBINGER_GATEWAY_MANIFESTS_H

#include "gateway/gateway_internal.h"

void manifest_put(struct visit *visit);    // the request's body is the manifest
void manifest_delete(struct visit *visit); // by digest or by tag

#endif
