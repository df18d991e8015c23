// SPDX-License-Identifier: Apache-2.0
#include "event/artifact.h"

#include "event/names.h"

static int refuse_digest(const struct field_reader *r, const struct field_path *at, struct str text) {
  struct field_path place = field_member(at, "digest");

  if (text.len == 0)
    return field_refuse(r, &place, "is required");
  return field_refuse(r, &place, "must be sha256: or sha512: and its lower-case hexadecimal digits, not %.*s",
                      STR_ARG(str_slice(text, 0, 80)));
}

// The store's own texts are taken as they are: what went in must come out.
static int read_name(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                     const char *name, bool checked, struct str *out) {
  if (!checked)
    return field_str(r, value, at, name, EVENT_MAX_JSON_BYTES, out);
  return field_name(r, value, at, name, EVENT_MAX_NAME_BYTES, out);
}

static int read_kind(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                     enum artifact_kind *out) {
  struct field_path place = field_member(at, "kind");
  struct str text;
  int result = field_name(r, value, at, "kind", EVENT_MAX_NAME_BYTES, &text);

  *out = ARTIFACT_UNKNOWN;
  if (result != 0 || text.len == 0 || artifact_kind_read(text, out))
    return result;
  return field_refuse(r, &place, "must be image, index, chart, signature, sbom, attestation or other, not %.*s",
                      STR_ARG(text));
}

// What an artifact and a child of an index share.
static int read_child(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                      bool checked, struct event_child *out) {
  int result = read_name(r, value, at, "digest", checked, &out->digest);

  if (result == 0 && checked && !event_is_digest(out->digest))
    result = refuse_digest(r, at, out->digest);
  if (result == 0)
    result = read_name(r, value, at, "media_type", checked, &out->media_type);
  if (result == 0)
    result = read_kind(r, value, at, &out->kind);
  if (result == 0)
    result = read_name(r, value, at, "platform", checked, &out->platform);
  if (result == 0)
    result = field_i64(r, value, at, "size", 0, -1, &out->size_bytes);
  return result;
}

static int read_children(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                         bool checked, struct event_artifact *out) {
  static const char *const NAMES[] = {"digest", "media_type", "kind", "platform", "size", NULL};
  struct field_path place = field_member(at, "children");
  struct json_object *children;
  int result = field_array(r, value, at, "children", EVENT_MAX_CHILDREN, &children);

  if (result != 0 || json_array_len(children) == 0)
    return result;
  out->children_len = json_array_len(children);
  out->children = arena_array(r->arena, out->children_len, sizeof(*out->children));
  if (!out->children)
    return field_no_memory(r);
  for (size_t i = 0; i < out->children_len && result == 0; i++) {
    struct field_path element = field_element(&place, i);
    const struct json_object *child = json_array_at(children, i);
    result = field_only(r, child, &element, NAMES);
    if (result == 0)
      result = read_child(r, child, &element, checked, &out->children[i]);
  }
  return result;
}

static int read_tag(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                    bool checked, struct str *out) {
  if (json_kind(value) != JSON_STRING)
    return field_refuse(r, at, "must be a string, not %s", json_kind_name(json_kind(value)));
  if (checked && !event_is_tag(json_str(value)))
    return field_refuse(r, at, "is not a tag: letters, digits, '_', '.' and '-', at most 128, '.' and '-' not first");
  *out = arena_str(r->arena, json_str(value));
  return out->ptr ? 0 : field_no_memory(r);
}

static int read_tags(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                     bool checked, struct event_artifact *out) {
  struct field_path place = field_member(at, "tags");
  struct json_object *tags;
  int result = field_array(r, value, at, "tags", EVENT_MAX_TAGS, &tags);

  if (result != 0 || json_array_len(tags) == 0)
    return result;
  out->tags_len = json_array_len(tags);
  out->tags = arena_array(r->arena, out->tags_len, sizeof(*out->tags));
  if (!out->tags)
    return field_no_memory(r);
  for (size_t i = 0; i < out->tags_len && result == 0; i++) {
    struct field_path element = field_element(&place, i);
    result = read_tag(r, json_array_at(tags, i), &element, checked, &out->tags[i]);
  }
  return result;
}

static int read_reference(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                          bool checked, struct str *out) {
  struct field_path place = field_member(at, "reference");
  int result = read_name(r, value, at, "reference", checked, out);

  if (result == 0 && checked && out->len > 0 && !event_is_tag(*out) && !event_is_digest(*out))
    result = field_refuse(r, &place, "must be a tag or a digest");
  return result;
}

static int read_artifact(const struct field_reader *r, const struct json_object *value, const struct field_path *at,
                         bool checked, struct event_artifact *out) {
  static const char *const NAMES[] = {"digest",   "tags", "reference", "media_type", "kind",
                                      "platform", "size", "children",  NULL};
  struct event_child own = {.kind = ARTIFACT_UNKNOWN};
  int result = field_only(r, value, at, NAMES);

  if (result == 0)
    result = read_child(r, value, at, checked, &own);
  if (result != 0)
    return result;
  out->digest = own.digest;
  out->media_type = own.media_type;
  out->kind = own.kind;
  out->platform = own.platform;
  out->size_bytes = own.size_bytes;
  result = read_reference(r, value, at, checked, &out->reference);
  if (result == 0)
    result = read_tags(r, value, at, checked, out);
  return result == 0 ? read_children(r, value, at, checked, out) : result;
}

int event_artifacts_read(const struct field_reader *r, const struct json_object *object, bool checked,
                         struct event *out) {
  struct field_path place = field_member(NULL, "artifacts");
  struct json_object *artifacts;
  int result = field_array(r, object, NULL, "artifacts", EVENT_MAX_ARTIFACTS, &artifacts);

  out->artifacts = NULL;
  out->artifacts_len = json_array_len(artifacts);
  if (result != 0 || out->artifacts_len == 0)
    return result;
  out->artifacts = arena_array(r->arena, out->artifacts_len, sizeof(*out->artifacts));
  if (!out->artifacts)
    return field_no_memory(r);
  for (size_t i = 0; i < out->artifacts_len && result == 0; i++) {
    struct field_path element = field_element(&place, i);
    result = read_artifact(r, json_array_at(artifacts, i), &element, checked, &out->artifacts[i]);
  }
  return result;
}

static void write_facts(struct str media_type, enum artifact_kind kind, struct str platform, int64_t size_bytes,
                        struct json_writer *w) {
  json_field_str_opt(w, "media_type", media_type);
  json_field_str_opt(w, "kind", str_of(artifact_kind_name(kind)));
  json_field_str_opt(w, "platform", platform);
  if (size_bytes >= 0)
    json_field_i64(w, "size", size_bytes);
}

static void write_children(const struct event_artifact *artifact, struct json_writer *w) {
  json_key(w, "children");
  json_array_begin(w);
  for (size_t i = 0; i < artifact->children_len; i++) {
    const struct event_child *child = &artifact->children[i];
    json_object_begin(w);
    json_field_str_opt(w, "digest", child->digest);
    write_facts(child->media_type, child->kind, child->platform, child->size_bytes, w);
    json_object_end(w);
  }
  json_array_end(w);
}

void event_artifact_write_members(const struct event_artifact *artifact, struct json_writer *w) {
  json_field_str_opt(w, "digest", artifact->digest);
  if (artifact->tags_len > 0) {
    json_key(w, "tags");
    json_array_begin(w);
    for (size_t i = 0; i < artifact->tags_len; i++)
      json_put_str(w, artifact->tags[i]);
    json_array_end(w);
  }
  write_facts(artifact->media_type, artifact->kind, artifact->platform, artifact->size_bytes, w);
  if (artifact->children_len > 0)
    write_children(artifact, w);
}
