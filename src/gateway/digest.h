// SPDX-License-Identifier: Apache-2.0
// Digests of content as the OCI image specification 1.1 writes them (descriptor.md): sha256 and sha512. Pure, any thread.
#ifndef HARBINGER_GATEWAY_DIGEST_H
#define HARBINGER_GATEWAY_DIGEST_H

#include "base/arena.h"

struct str digest_of(struct str content, struct arena *arena) MUST_CHECK; // "sha256:..."; ptr NULL: no memory
// Is it the digest of that content? False for algorithms that are not known here.
bool digest_matches(struct str digest, struct str content) MUST_CHECK;

#endif
