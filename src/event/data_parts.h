// SPDX-License-Identifier: Apache-2.0
// The parts of event/data.c, one file per kind of data; for that file only. Each reads `value` (an object or NULL),
// found at `at`, into its struct; all strings are copies in the reader's arena.
#ifndef HARBINGER_EVENT_DATA_PARTS_H
#define HARBINGER_EVENT_DATA_PARTS_H

#include "event/data.h"
#include "event/shape.h"

int event_scan_read(const struct field_reader *r, enum event_type type, const struct json_object *value,
                    const struct field_path *at, struct event_scan *out) MUST_CHECK;
int event_quota_read(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                     struct event_quota *out) MUST_CHECK;
int event_replication_read(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                           struct event_replication *out) MUST_CHECK;
int event_retention_read(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                         struct event_retention *out) MUST_CHECK;

// One object of Harbor's, written in its order with `<>&` escaped, as text in the arena.
int event_shape_text(const struct field_reader *r, const struct shape_field *field, const struct json_object *value,
                     const struct field_path *at, struct str *out) MUST_CHECK;
// A copy of a string member of a value that has passed its shape; empty when absent.
int event_copy_member(const struct field_reader *r, const struct json_object *object, const char *name, struct str *out)
    MUST_CHECK;

// Harbor's artifact within replication and retention.
extern const struct shape event_artifact_shape;

#endif
