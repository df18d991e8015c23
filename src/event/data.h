// SPDX-License-Identifier: Apache-2.0
// An event's own data by type: what a scanner, the quota, replication and tag retention say besides repository and
// artifacts. Read field by field (unknown members refused), kept in Harbor's order so that formats embed the objects
// byte for byte (Harbor's field order, `<>&` escaped). Plain values, strings in the caller's arena.
#ifndef HARBINGER_EVENT_DATA_H
#define HARBINGER_EVENT_DATA_H

#include "base/arena.h"
#include "base/error.h"
#include "base/json_writer.h"
#include "event/type.h"

enum {
  EVENT_MAX_TEXT_BYTES = 64 * 1024, // details, errors, descriptions
  EVENT_MAX_LIST = 1024,            // elements of a list within data
};

struct event_scan {
  struct str scan_type;     // "vulnerability", "sbom" or empty
  struct str scan_overview; // Harbor's object keyed by report type, as JSON; empty when there is none
  struct str sbom_overview; // the same for SBOM runs
  struct str error;         // words of the scanner; empty when none
  // Read out of the first report by key, else of the SBOM's:
  struct str status; // "Success", "Stopped", "Error" ...; from the type when there is no report
  bool has_counts;
  int64_t critical, major, minor; // Critical + High, Medium, Low + Negligible
  struct str completed_at;        // RFC 3339 as the scanner wrote it; empty when unknown
  struct str sbom_digest;
};

struct event_quota {
  struct str details;
  int64_t requested_bytes, used_bytes, limit_bytes; // -1 when unknown
  int64_t percent;                                  // -1 when unknown
};

struct event_replication {
  struct str object; // Harbor's `replication` object as JSON; empty when there is none
  // Read out of it:
  struct str job_status, trigger_type, description;
  struct str src, dest;   // "endpoint/namespace"
  struct str name_tag;    // of the artifact that succeeded or failed; empty when none
  struct str fail_reason; // of the first failed artifact that has one
};

struct event_retention {
  struct str object; // Harbor's `retention` object as JSON; empty when there is none
  // Read out of it:
  struct str result;
  int64_t total, retained, deleted;
};

struct event_data {
  enum event_type type; // which member counts
  struct event_scan scan;
  struct event_quota quota;
  struct event_replication replication;
  struct event_retention retention;
};

// `value` may be NULL or null (no data). ERR_INVALID with the path of the field ("data.scan_type: ...").
int event_data_read(enum event_type type, const struct json_object *value, struct arena *arena, struct event_data *out,
                    struct error *err) MUST_CHECK;
// The inverse: one JSON value (an object, or null for types without data).
void event_data_write(const struct event_data *data, struct json_writer *w);

#endif
