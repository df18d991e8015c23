// SPDX-License-Identifier: Apache-2.0
// The words for the kinds of actors, artifacts and sources, read back. Pure functions; the other direction and the
// syntax of names is in event.h.
#ifndef HARBINGER_EVENT_NAMES_H
#define HARBINGER_EVENT_NAMES_H

#include "event/event.h"

bool actor_kind_read(struct str name, enum actor_kind *kind) MUST_CHECK;
bool artifact_kind_read(struct str name, enum artifact_kind *kind) MUST_CHECK;
bool source_kind_read(struct str name, enum source_kind *kind) MUST_CHECK;

#endif
