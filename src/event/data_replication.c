// SPDX-License-Identifier: Apache-2.0
// What a replication task reports: Harbor's `replication` object.
#include "event/data_parts.h"

static const struct shape_field RESOURCE_FIELDS[] = {
    {"registry_name", SHAPE_TEXT, SHAPE_OMIT_EMPTY, NULL}, {"registry_type", SHAPE_NAME, SHAPE_ALWAYS, NULL},
    {"endpoint", SHAPE_TEXT, SHAPE_ALWAYS, NULL},          {"provider", SHAPE_NAME, SHAPE_OMIT_EMPTY, NULL},
    {"namespace", SHAPE_TEXT, SHAPE_OMIT_EMPTY, NULL},
};
static const struct shape RESOURCE = SHAPE_OF(RESOURCE_FIELDS);

static const struct shape_field REPLICATION_FIELDS[] = {
    {"harbor_hostname", SHAPE_TEXT, SHAPE_OMIT_EMPTY, NULL},
    {"job_status", SHAPE_NAME, SHAPE_REQUIRED, NULL},
    {"description", SHAPE_TEXT, SHAPE_OMIT_EMPTY, NULL},
    {"artifact_type", SHAPE_NAME, SHAPE_OMIT_EMPTY, NULL},
    {"authentication_type", SHAPE_NAME, SHAPE_OMIT_EMPTY, NULL},
    {"override_mode", SHAPE_BOOL, SHAPE_OMIT_EMPTY, NULL},
    {"trigger_type", SHAPE_NAME, SHAPE_OMIT_EMPTY, NULL},
    {"policy_creator", SHAPE_TEXT, SHAPE_OMIT_EMPTY, NULL},
    {"execution_timestamp", SHAPE_COUNT, SHAPE_OMIT_EMPTY, NULL},
    {"src_resource", SHAPE_OBJECT, SHAPE_REQUIRED, &RESOURCE},
    {"dest_resource", SHAPE_OBJECT, SHAPE_REQUIRED, &RESOURCE},
    {"successful_artifact", SHAPE_OBJECTS, SHAPE_OMIT_EMPTY, &event_artifact_shape},
    {"failed_artifact", SHAPE_OBJECTS, SHAPE_OMIT_EMPTY, &event_artifact_shape},
    {"execution_id", SHAPE_COUNT, SHAPE_OMIT_EMPTY, NULL},
    {"task_id", SHAPE_COUNT, SHAPE_OMIT_EMPTY, NULL},
};
static const struct shape REPLICATION = SHAPE_OF(REPLICATION_FIELDS);
static const struct shape_field OBJECT = {"replication", SHAPE_OBJECT, SHAPE_REQUIRED, &REPLICATION};

// "endpoint/namespace", or the endpoint alone.
static int read_side(const struct field_reader *r, const struct json_object *value, const char *name, struct str *out) {
  const struct json_object *resource = json_get_object(value, name);
  struct str endpoint = STR_EMPTY, namespace = STR_EMPTY;

  (void)json_get_str(resource, "endpoint", &endpoint);
  (void)json_get_str(resource, "namespace", &namespace);
  *out = arena_printf(r->arena, "%.*s%s%.*s", STR_ARG(endpoint), namespace.len > 0 ? "/" : "", STR_ARG(namespace));
  return out->ptr ? 0 : field_no_memory(r);
}

static int read_artifacts(const struct field_reader *r, const struct json_object *value,
                          struct event_replication *out) {
  const struct json_object *failed = json_get_array(value, "failed_artifact");
  const struct json_object *done = json_array_len(failed) > 0 ? failed : json_get_array(value, "successful_artifact");
  int result = event_copy_member(r, json_array_at(done, 0), "name_tag", &out->name_tag);

  for (size_t i = 0; i < json_array_len(failed) && result == 0 && out->fail_reason.len == 0; i++)
    result = event_copy_member(r, json_array_at(failed, i), "fail_reason", &out->fail_reason);
  return result;
}

int event_replication_read(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                           struct event_replication *out) {
  *out = (struct event_replication){.object = STR_EMPTY,
                                    .job_status = STR_EMPTY,
                                    .trigger_type = STR_EMPTY,
                                    .description = STR_EMPTY,
                                    .src = STR_EMPTY,
                                    .dest = STR_EMPTY,
                                    .name_tag = STR_EMPTY,
                                    .fail_reason = STR_EMPTY};
  if (!value)
    return 0;
  int result = event_shape_text(r, &OBJECT, value, at, &out->object);
  if (result == 0)
    result = event_copy_member(r, value, "job_status", &out->job_status);
  if (result == 0)
    result = event_copy_member(r, value, "trigger_type", &out->trigger_type);
  if (result == 0)
    result = event_copy_member(r, value, "description", &out->description);
  if (result == 0)
    result = read_side(r, value, "src_resource", &out->src);
  if (result == 0)
    result = read_side(r, value, "dest_resource", &out->dest);
  return result == 0 ? read_artifacts(r, value, out) : result;
}
