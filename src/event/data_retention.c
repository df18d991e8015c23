// SPDX-License-Identifier: Apache-2.0
// What a tag retention task reports: Harbor's `retention` object.
#include "event/data_parts.h"

static const struct shape_field SELECTOR_FIELDS[] = {
    {"kind", SHAPE_NAME, SHAPE_ALWAYS, NULL},
    {"decoration", SHAPE_NAME, SHAPE_ALWAYS, NULL},
    {"pattern", SHAPE_TEXT, SHAPE_ALWAYS, NULL},
    {"extras", SHAPE_TEXT, SHAPE_ALWAYS, NULL},
};
static const struct shape SELECTOR = SHAPE_OF(SELECTOR_FIELDS);

static const struct shape_field RULE_FIELDS[] = {
    {"template", SHAPE_NAME, SHAPE_ALWAYS, NULL},
    {"params", SHAPE_SCALARS, SHAPE_OMIT_EMPTY, NULL},
    {"tag_selectors", SHAPE_OBJECTS, SHAPE_OMIT_EMPTY, &SELECTOR},
    {"scope_selectors", SHAPE_LISTS, SHAPE_OMIT_EMPTY, &SELECTOR},
};
static const struct shape RULE = SHAPE_OF(RULE_FIELDS);

static const struct shape_field RETENTION_FIELDS[] = {
    {"total", SHAPE_COUNT, SHAPE_REQUIRED, NULL},
    {"retained", SHAPE_COUNT, SHAPE_REQUIRED, NULL},
    {"harbor_hostname", SHAPE_TEXT, SHAPE_OMIT_EMPTY, NULL},
    {"project_name", SHAPE_NAME, SHAPE_OMIT_EMPTY, NULL},
    {"retention_policy_id", SHAPE_COUNT, SHAPE_OMIT_EMPTY, NULL},
    {"retention_rule", SHAPE_OBJECTS, SHAPE_OMIT_EMPTY, &RULE},
    {"result", SHAPE_NAME, SHAPE_OMIT_EMPTY, NULL},
    {"deleted_artifact", SHAPE_OBJECTS, SHAPE_OMIT_EMPTY, &event_artifact_shape},
};
static const struct shape RETENTION = SHAPE_OF(RETENTION_FIELDS);
static const struct shape_field OBJECT = {"retention", SHAPE_OBJECT, SHAPE_REQUIRED, &RETENTION};

int event_retention_read(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                         struct event_retention *out) {
  *out = (struct event_retention){.object = STR_EMPTY, .result = STR_EMPTY};
  if (!value)
    return 0;
  int result = event_shape_text(r, &OBJECT, value, at, &out->object);
  if (result == 0)
    result = event_copy_member(r, value, "result", &out->result);
  if (result != 0)
    return result;
  (void)json_get_i64(value, "total", &out->total);
  (void)json_get_i64(value, "retained", &out->retained);
  out->deleted = (int64_t)json_array_len(json_get_array(value, "deleted_artifact"));
  return 0;
}
