// SPDX-License-Identifier: Apache-2.0
// The event types in plain words, and what a notification of each contains.

interface EventTypeInfo {
  type: string;
  words: string;
  contains: string;
}

export const EVENT_TYPES: EventTypeInfo[] = [
  {
    type: "PUSH_ARTIFACT",
    words: "Artifact pushed",
    contains: "Repository and its project, resource URL, tags, digest, artifact, time, and who pushed.",
  },
  {
    type: "PULL_ARTIFACT",
    words: "Artifact pulled",
    contains: "Repository and its project, digest, artifact, time, and who pulled.",
  },
  {
    type: "DELETE_ARTIFACT",
    words: "Artifact deleted",
    contains: "Repository and its project, digest, artifact, size, time, and who deleted.",
  },
  {
    type: "SCANNING_COMPLETED",
    words: "Scanning completed",
    contains:
      "Repository and its project, tag, artifact, critical, major and minor issues, status, time, and who scanned.",
  },
  {
    type: "SCANNING_STOPPED",
    words: "Scanning stopped",
    contains: "Repository and its project, tag, artifact, and scan status.",
  },
  {
    type: "SCANNING_FAILED",
    words: "Scanning failed",
    contains: "Repository and its project, tag, artifact, error, and who scanned.",
  },
  {
    type: "QUOTA_EXCEED",
    words: "Quota exceed",
    contains: "Repository and its project, tags, digest, artifact, time, who pushed, and the quota.",
  },
  {
    type: "QUOTA_WARNING",
    words: "Quota near threshold",
    contains: "Repository and its project, tags, digest, artifact, time, who pushed, and the quota.",
  },
  {
    type: "REPLICATION",
    words: "Replication status changed",
    contains: "Repository and its project, tags, digest, artifact, time, and who started the replication.",
  },
  {
    type: "TAG_RETENTION",
    words: "Tag retention finished",
    contains: "Repository and its project, tags, digest, and each artifact that was removed.",
  },
];

/** A type in plain words; one that is not known here as it is written. */
export function eventTypeWords(type: string): string {
  return EVENT_TYPES.find((one) => one.type === type)?.words ?? type;
}
