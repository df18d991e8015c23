// SPDX-License-Identifier: Apache-2.0
// What a manifest that is being pushed says about its artifact, for the event of the push. Pure functions.
#ifndef HARBINGER_REGISTRY_CHANGE_FACTS_H
#define HARBINGER_REGISTRY_CHANGE_FACTS_H

#include "registry/change.h"

// The one artifact of the order's event: digest, tag, reference, and of a PUT what its body says (media type, kind, size,
// children of an index); a body that is no manifest is the upstream's to refuse. *config_digest: of an image whose platform
// its configuration tells, else empty. Text is views into the order or lives in the arena. ERR_NO_MEMORY.
int change_facts_read(struct change_order *order, struct arena *arena, struct str *config_digest, struct error *err)
    MUST_CHECK;

#endif
