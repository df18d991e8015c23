// SPDX-License-Identifier: Apache-2.0
#include "api/changed_fields.h"

#include <stdio.h>

#include "api/project_body.h"
#include "base/json.h"

enum { ROOM_FOR_MORE = 16 }; // ", and more"

struct fields {
  struct buf text;
  bool full;
};

static void put(struct fields *fields, struct str name) {
  const size_t with_comma = 2 + name.len;

  if (fields->full)
    return;
  fields->full = fields->text.len + with_comma > CHANGED_FIELDS_MAX_BYTES - ROOM_FOR_MORE;
  if (fields->text.len > 0)
    buf_put_c(&fields->text, ", ");
  if (fields->full)
    buf_put_c(&fields->text, "and more");
  else
    buf_put(&fields->text, name);
}

static void put_if(struct fields *fields, bool differs, const char *name) {
  if (differs)
    put(fields, str_of(name));
}

static int finish(struct fields *fields, struct arena *arena, struct str *out, struct error *err) {
  *out = fields->text.failed ? (struct str){0} : arena_str(arena, buf_str(&fields->text));
  buf_free(&fields->text);
  return out->ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory for the audit");
}

// ---- policies -------------------------------------------------------------------------------------------------------

static void put_target_if(struct fields *fields, bool differs, size_t i, const char *name) {
  char text[64];

  if (!differs)
    return;
  (void)snprintf(text, sizeof(text), "targets[%zu]%s", i, name);
  put(fields, str_of(text));
}

static void compare_targets(struct fields *fields, const struct target *old, const struct target *target, size_t i) {
  const struct target blank = {.address = STR_EMPTY, .auth_header = STR_EMPTY, .extras = true};

  if (!old)
    old = &blank;
  put_target_if(fields, old == &blank || old->type != target->type, i, ".type");
  put_target_if(fields, !str_eq(old->address, target->address), i, ".address (secret)");
  put_target_if(fields, !str_eq(old->auth_header, target->auth_header), i, ".auth_header (secret)");
  put_target_if(fields, old->skip_cert_verify != target->skip_cert_verify, i, ".skip_cert_verify");
  put_target_if(fields, old->format != target->format, i, ".payload_format");
  put_target_if(fields, old->extras != target->extras, i, ".harbinger.extras");
  put_target_if(fields, old->strict_order != target->strict_order, i, ".harbinger.strict_order");
}

static const struct target *target_with_id(const struct policy *policy, int64_t id) {
  for (size_t i = 0; policy && id != 0 && i < policy->targets_len; i++)
    if (policy->targets[i].id == id)
      return &policy->targets[i];
  return NULL;
}

static void put_targets(struct fields *fields, const struct policy *old, const struct policy *policy) {
  for (size_t i = 0; i < policy->targets_len; i++)
    compare_targets(fields, target_with_id(old, policy->targets[i].id), &policy->targets[i], i);
  for (size_t i = 0; old && i < old->targets_len; i++)
    put_target_if(fields, !target_with_id(policy, old->targets[i].id), i, " (removed)");
}

int changed_fields_of_policy(const struct policy *old, const struct policy *policy, struct arena *arena,
                             struct str *out, struct error *err) {
  const struct policy blank = {.name = STR_EMPTY, .description = STR_EMPTY};
  const struct policy *was = old ? old : &blank;
  struct fields fields = {.full = false};

  buf_init(&fields.text, CHANGED_FIELDS_MAX_BYTES);
  put_if(&fields, !str_eq(was->name, policy->name), "name");
  put_if(&fields, !str_eq(was->description, policy->description), "description");
  put_if(&fields, was->enabled != policy->enabled, "enabled");
  put_if(&fields, was->event_mask != policy->event_mask, "event_types");
  put_if(&fields, was->tagged_only != policy->tagged_only, "harbinger.tagged");
  put_if(&fields, was->paused != policy->paused, "harbinger.paused");
  put_targets(&fields, old, policy);
  return finish(&fields, arena, out, err);
}

// ---- projects -------------------------------------------------------------------------------------------------------

static int metadata_parse(struct str text, struct arena *arena, struct json_object **out, struct error *err) {
  *out = NULL;
  return text.len > 0 ? json_parse(text, arena, out, err) : 0;
}

static int put_metadata(struct fields *fields, struct str old_text, struct str text, struct arena *arena,
                        struct error *err) {
  struct json_object *old, *now;
  int rc = metadata_parse(old_text, arena, &old, err);

  if (rc == 0)
    rc = metadata_parse(text, arena, &now, err);
  for (size_t i = 0; rc == 0 && project_metadata_key(i); i++) {
    const char *key = project_metadata_key(i);
    struct str was = STR_EMPTY, is = STR_EMPTY;
    char name[128];
    if (old)
      (void)json_get_str(old, key, &was);
    if (now)
      (void)json_get_str(now, key, &is);
    (void)snprintf(name, sizeof(name), "metadata.%s", key);
    put_if(fields, !str_eq(was, is), name);
  }
  return rc;
}

int changed_fields_of_project(const struct project *old, const struct project *project, struct arena *arena,
                              struct str *out, struct error *err) {
  const struct project blank = {.name = STR_EMPTY, .metadata = STR_EMPTY, .storage_limit = -1};
  const struct project *was = old ? old : &blank;
  struct fields fields = {.full = false};

  buf_init(&fields.text, CHANGED_FIELDS_MAX_BYTES);
  put_if(&fields, !str_eq(was->name, project->name), "project_name");
  put_if(&fields, was->is_public != project->is_public, "metadata.public");
  put_if(&fields, was->storage_limit != project->storage_limit, "storage_limit");
  int rc = put_metadata(&fields, was->metadata, project->metadata, arena, err);
  int finished = finish(&fields, arena, out, err);
  return rc != 0 ? rc : finished;
}
