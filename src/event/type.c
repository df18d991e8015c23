// SPDX-License-Identifier: Apache-2.0
#include "event/type.h"

struct type_row {
  const char *name, *cloudevents, *label;
};

static const struct type_row TYPES[EVENT_TYPE_COUNT] = {
    [EVENT_PUSH_ARTIFACT] = {"PUSH_ARTIFACT", "harbor.artifact.pushed", "Artifact pushed"},
    [EVENT_PULL_ARTIFACT] = {"PULL_ARTIFACT", "harbor.artifact.pulled", "Artifact pulled"},
    [EVENT_DELETE_ARTIFACT] = {"DELETE_ARTIFACT", "harbor.artifact.deleted", "Artifact deleted"},
    [EVENT_QUOTA_EXCEED] = {"QUOTA_EXCEED", "harbor.quota.exceeded", "Quota exceed"},
    [EVENT_QUOTA_WARNING] = {"QUOTA_WARNING", "harbor.quota.warned", "Quota near threshold"},
    [EVENT_SCANNING_FAILED] = {"SCANNING_FAILED", "harbor.scan.failed", "Scanning failed"},
    [EVENT_SCANNING_STOPPED] = {"SCANNING_STOPPED", "harbor.scan.stopped", "Scanning stopped"},
    [EVENT_SCANNING_COMPLETED] = {"SCANNING_COMPLETED", "harbor.scan.completed", "Scanning finished"},
    [EVENT_REPLICATION] = {"REPLICATION", "harbor.replication.status.changed", "Replication status changed"},
    [EVENT_TAG_RETENTION] = {"TAG_RETENTION", "harbor.tag_retention.finished", "Tag retention finished"},
};

static const struct type_row *row(enum event_type type) {
  static const struct type_row NONE = {"", "", ""};

  return (size_t)type < ARRAY_LEN(TYPES) ? &TYPES[type] : &NONE;
}

const char *event_type_name(enum event_type type) {
  return row(type)->name;
}

const char *event_type_cloudevents(enum event_type type) {
  return row(type)->cloudevents;
}

const char *event_type_label(enum event_type type) {
  return row(type)->label;
}

bool event_type_read(struct str name, enum event_type *type) {
  for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
    if (!str_eq_c(name, TYPES[i].name))
      continue;
    *type = (enum event_type)i;
    return true;
  }
  return false;
}

bool event_type_is_scan(enum event_type type) {
  return type == EVENT_SCANNING_FAILED || type == EVENT_SCANNING_STOPPED || type == EVENT_SCANNING_COMPLETED;
}

bool event_type_is_quota(enum event_type type) {
  return type == EVENT_QUOTA_EXCEED || type == EVENT_QUOTA_WARNING;
}
