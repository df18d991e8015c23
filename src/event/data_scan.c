// SPDX-License-Identifier: Apache-2.0
// What scanners report: Harbor's overview by report type and the overview of an SBOM run.
#include "base/rfc3339.h"
#include "event/data_parts.h"
#include "event/event.h"

static const struct shape_field SCANNER_FIELDS[] = {
    {"name", SHAPE_TEXT, SHAPE_ALWAYS, NULL},
    {"vendor", SHAPE_TEXT, SHAPE_ALWAYS, NULL},
    {"version", SHAPE_TEXT, SHAPE_ALWAYS, NULL},
};
static const struct shape SCANNER = SHAPE_OF(SCANNER_FIELDS);

static const struct shape_field SUMMARY_FIELDS[] = {
    {"total", SHAPE_COUNT, SHAPE_ALWAYS, NULL},
    {"fixable", SHAPE_COUNT, SHAPE_ALWAYS, NULL},
    {"summary", SHAPE_COUNTS, SHAPE_REQUIRED, NULL},
};
static const struct shape SUMMARY = SHAPE_OF(SUMMARY_FIELDS);

static const struct shape_field REPORT_FIELDS[] = {
    {"report_id", SHAPE_TEXT, SHAPE_ALWAYS, NULL},         {"scan_status", SHAPE_NAME, SHAPE_REQUIRED, NULL},
    {"severity", SHAPE_NAME, SHAPE_ALWAYS, NULL},          {"duration", SHAPE_COUNT, SHAPE_ALWAYS, NULL},
    {"summary", SHAPE_OBJECT, SHAPE_ALWAYS, &SUMMARY},     {"start_time", SHAPE_TIME, SHAPE_ALWAYS, NULL},
    {"end_time", SHAPE_TIME, SHAPE_ALWAYS, NULL},          {"scanner", SHAPE_OBJECT, SHAPE_OMIT_EMPTY, &SCANNER},
    {"complete_percent", SHAPE_COUNT, SHAPE_ALWAYS, NULL},
};
static const struct shape REPORT = SHAPE_OF(REPORT_FIELDS);
static const struct shape_field OVERVIEW = {"scan_overview", SHAPE_MAP, SHAPE_OMIT_EMPTY, &REPORT};

static const struct shape_field SBOM_FIELDS[] = {
    {"duration", SHAPE_COUNT, SHAPE_AS_GIVEN, NULL},       {"end_time", SHAPE_TIME, SHAPE_AS_GIVEN, NULL},
    {"report_id", SHAPE_TEXT, SHAPE_AS_GIVEN, NULL},       {"sbom_digest", SHAPE_NAME, SHAPE_AS_GIVEN, NULL},
    {"sbom_repository", SHAPE_TEXT, SHAPE_AS_GIVEN, NULL}, {"scan_status", SHAPE_NAME, SHAPE_REQUIRED, NULL},
    {"scanner", SHAPE_OBJECT, SHAPE_AS_GIVEN, &SCANNER},   {"start_time", SHAPE_TIME, SHAPE_AS_GIVEN, NULL},
};
static const struct shape SBOM = SHAPE_OF(SBOM_FIELDS);
static const struct shape_field SBOM_OVERVIEW = {"sbom_overview", SHAPE_OBJECT, SHAPE_OMIT_EMPTY, &SBOM};

static const char *status_of_type(enum event_type type) {
  if (type == EVENT_SCANNING_STOPPED)
    return "Stopped";
  return type == EVENT_SCANNING_FAILED ? "Error" : "Success";
}

// Status and end of a report or an SBOM overview. Go's zero time says that it has not ended.
static int read_outcome(const struct field_reader *r, const struct json_object *report, struct event_scan *out) {
  int64_t ended_at_us;
  int result = event_copy_member(r, report, "scan_status", &out->status);

  if (result == 0)
    result = event_copy_member(r, report, "end_time", &out->completed_at);
  if (result == 0 && (!rfc3339_read(out->completed_at, &ended_at_us) || ended_at_us == RFC3339_ZERO_US))
    out->completed_at = STR_EMPTY;
  return result;
}

static int64_t severity(const struct json_object *counts, const char *name) {
  int64_t count = 0;

  (void)json_get_i64(counts, name, &count);
  return count;
}

// A scanner that counts to the end of 64 bits is believed no further.
static int64_t sum(int64_t a, int64_t b) {
  int64_t total;

  return __builtin_add_overflow(a, b, &total) ? INT64_MAX : total;
}

static void read_counts(const struct json_object *report, struct event_scan *out) {
  const struct json_object *summary = json_get_object(report, "summary");

  if (!summary)
    return;
  const struct json_object *counts = json_get_object(summary, "summary");
  out->has_counts = true;
  out->critical = sum(severity(counts, "Critical"), severity(counts, "High"));
  out->major = severity(counts, "Medium");
  out->minor = sum(severity(counts, "Low"), severity(counts, "Negligible"));
}

// The report whose key sorts first, which is the first that is written.
static const struct json_object *first_report(const struct json_object *overview) {
  struct json_object *value, *first = NULL;
  struct str key, first_key = STR_EMPTY;
  size_t cursor = 0;

  while (json_next_member(overview, &cursor, &key, &value)) {
    if (first && str_cmp(key, first_key) > 0)
      continue;
    first = value;
    first_key = key;
  }
  return first;
}

static int read_overview(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                         struct event_scan *out) {
  struct field_path place = field_member(at, "scan_overview");
  const struct json_object *report = first_report(value);

  if (!report)
    return 0;
  int result = event_shape_text(r, &OVERVIEW, value, &place, &out->scan_overview);
  if (result == 0)
    result = read_outcome(r, report, out);
  if (result == 0)
    read_counts(report, out);
  return result;
}

static int read_sbom(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                     struct event_scan *out) {
  struct field_path place = field_member(at, "sbom_overview");
  size_t cursor = 0;
  struct json_object *first;
  struct str key;

  if (!json_next_member(value, &cursor, &key, &first))
    return 0;
  int result = event_shape_text(r, &SBOM_OVERVIEW, value, &place, &out->sbom_overview);
  if (result == 0)
    result = event_copy_member(r, value, "sbom_digest", &out->sbom_digest);
  if (result == 0 && out->scan_overview.len == 0)
    result = read_outcome(r, value, out);
  return result;
}

static int read_type(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                     struct event_scan *out) {
  struct field_path place = field_member(at, "scan_type");
  int result = field_name(r, value, at, "scan_type", EVENT_MAX_NAME_BYTES, &out->scan_type);

  if (result != 0 || out->scan_type.len == 0)
    return result;
  if (!str_eq_c(out->scan_type, "vulnerability") && !str_eq_c(out->scan_type, "sbom"))
    return field_refuse(r, &place, "must be vulnerability or sbom, not %.*s", STR_ARG(out->scan_type));
  return 0;
}

int event_scan_read(const struct field_reader *r, enum event_type type, const struct json_object *value,
                    const struct field_path *at, struct event_scan *out) {
  static const char *const NAMES[] = {"scan_type", "scan_overview", "sbom_overview", "error", NULL};
  struct json_object *overview = NULL, *sbom = NULL;

  *out = (struct event_scan){.scan_type = STR_EMPTY,
                             .scan_overview = STR_EMPTY,
                             .sbom_overview = STR_EMPTY,
                             .error = STR_EMPTY,
                             .status = str_of(status_of_type(type)),
                             .completed_at = STR_EMPTY,
                             .sbom_digest = STR_EMPTY};
  if (!value)
    return 0;
  int result = field_only(r, value, at, NAMES);
  if (result == 0)
    result = read_type(r, value, at, out);
  if (result == 0)
    result = field_str(r, value, at, "error", EVENT_MAX_TEXT_BYTES, &out->error);
  if (result == 0)
    result = field_object(r, value, at, "scan_overview", &overview);
  if (result == 0)
    result = field_object(r, value, at, "sbom_overview", &sbom);
  if (result == 0 && overview)
    result = read_overview(r, overview, at, out);
  if (result == 0 && sbom)
    result = read_sbom(r, sbom, at, out);
  return result;
}
