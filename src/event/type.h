// SPDX-License-Identifier: Apache-2.0
// The ten event types of Harbor, in the order in which Harbor lists them. Pure functions.
#ifndef HARBINGER_EVENT_TYPE_H
#define HARBINGER_EVENT_TYPE_H

#include "base/attr.h"
#include "base/str.h"

enum event_type {
  EVENT_PUSH_ARTIFACT,
  EVENT_PULL_ARTIFACT,
  EVENT_DELETE_ARTIFACT,
  EVENT_QUOTA_EXCEED,
  EVENT_QUOTA_WARNING,
  EVENT_SCANNING_FAILED,
  EVENT_SCANNING_STOPPED,
  EVENT_SCANNING_COMPLETED,
  EVENT_REPLICATION,
  EVENT_TAG_RETENTION,
  EVENT_TYPE_COUNT,
};

const char *event_type_name(enum event_type type);        // "PUSH_ARTIFACT"
const char *event_type_cloudevents(enum event_type type); // "harbor.artifact.pushed"
const char *event_type_label(enum event_type type);       // "Artifact pushed"
bool event_type_read(struct str name, enum event_type *type) MUST_CHECK;
bool event_type_is_scan(enum event_type type);
bool event_type_is_quota(enum event_type type);

#endif
