// SPDX-License-Identifier: Apache-2.0
// The notifications of CNCF Distribution and what is built on it: an envelope {"events": [...]} of
// application/vnd.docker.distribution.events.v1+json (2.x) or v2+json (3.x, which writes empty mediaType, size and digest
// where 2.x leaves them out). Manifests alone become events: pushes, GETs, and deletes of a digest. Pure, any thread.
#ifndef HARBINGER_INGEST_DISTRIBUTION_H
#define HARBINGER_INGEST_DISTRIBUTION_H

#include "ingest/notification.h"

enum { DISTRIBUTION_MAX_NOTIFICATION_BYTES = 1024 * 1024 }; // above it a notification is malformed

bool distribution_is_media_type(struct str content_type); // v1, v2 or application/json; parameters do not count

// Read the envelope. ERR_BAD_REQUEST when it is not JSON or has no `events` array, ERR_TOO_LARGE above `max_events`:
// nothing of it may be taken then. What is wrong with one notification is that one's NOTIFICATION_MALFORMED, so that it
// does not hold up those behind it: a registry repeats an envelope until it is accepted, for ever.
int distribution_read(struct str body, const struct notification_rules *rules, size_t max_events, struct arena *arena,
                      struct notification **out, size_t *len, struct error *err) MUST_CHECK;

#endif
