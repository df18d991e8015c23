// SPDX-License-Identifier: Apache-2.0
#include "ingest/notification.h"

const char *notification_outcome_name(enum notification_outcome outcome) {
  static const char *const NAMES[NOTIFICATION_OUTCOME_COUNT] = {
      [NOTIFICATION_EVENT] = "event",
      [NOTIFICATION_DUPLICATE] = "duplicate",
      [NOTIFICATION_UNWANTED_PULL] = "pull that no webhook asks for",
      [NOTIFICATION_NO_PROJECT] = "no project",
      [NOTIFICATION_NO_PROJECT_NAME] = "not a project name",
      [NOTIFICATION_BLOB] = "blob",
      [NOTIFICATION_HEAD] = "head",
      [NOTIFICATION_METHOD] = "pull that is no GET",
      [NOTIFICATION_OWN] = "own question",
      [NOTIFICATION_MOUNT] = "mount",
      [NOTIFICATION_TAG_OF_DELETE] = "tag of a delete",
      [NOTIFICATION_REPOSITORY] = "repository",
      [NOTIFICATION_UNKNOWN_ACTION] = "unknown action",
      [NOTIFICATION_MALFORMED] = "malformed",
      [NOTIFICATION_REFUSED] = "refused",
  };

  return (size_t)outcome < ARRAY_LEN(NAMES) ? NAMES[outcome] : "";
}
