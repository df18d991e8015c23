// SPDX-License-Identifier: Apache-2.0
// The artifacts of an event in JSON: read from submissions and from the store, written for the store and in bodies.
#ifndef HARBINGER_EVENT_ARTIFACT_H
#define HARBINGER_EVENT_ARTIFACT_H

#include "event/event.h"
#include "event/field.h"

// Member `artifacts` of `object` into the event. `checked`: the syntax of digests and tags, and that each has a digest:
// what comes from outside; the store's own are taken as they are.
int event_artifacts_read(const struct field_reader *r, const struct json_object *object, bool checked,
                         struct event *out) MUST_CHECK;

// The members `digest`, `tags`, `media_type`, `kind`, `platform`, `size`, `children` of an object that is open, each
// left out when unknown or empty.
void event_artifact_write_members(const struct event_artifact *artifact, struct json_writer *w);

#endif
