// SPDX-License-Identifier: Apache-2.0
#include "registry/manifest.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/json_scan.h"
#include "base/json_walk.h"
#include "base/utf8.h"

enum { MEDIA_TYPE_MAX_BYTES = 255, PLATFORM_PART_MAX_BYTES = 64, SCHEMA_1 = 1 };

static const char OCI_MANIFEST[] = "application/vnd.oci.image.manifest.v1+json";
static const char OCI_INDEX[] = "application/vnd.oci.image.index.v1+json";
static const char DOCKER_SCHEMA_1[] = "application/vnd.docker.distribution.manifest.v1+prettyjws";

static const char *const MEDIA_TYPES[] = {
    OCI_MANIFEST,
    OCI_INDEX,
    "application/vnd.oci.artifact.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    DOCKER_SCHEMA_1,
    "application/vnd.docker.distribution.manifest.v1+json",
};

static struct str essence(struct str media_type) {
  ptrdiff_t semicolon = str_find(media_type, ';');

  return utf8_cut(str_trim(semicolon < 0 ? media_type : str_slice(media_type, 0, (size_t)semicolon)),
                  MEDIA_TYPE_MAX_BYTES);
}

bool manifest_is_media_type(struct str media_type) {
  struct str type = essence(media_type);

  for (size_t i = 0; i < ARRAY_LEN(MEDIA_TYPES); i++) {
    if (str_ieq_c(type, MEDIA_TYPES[i]))
      return true;
  }
  return false;
}

bool manifest_config_has_platform(struct str config_media_type) {
  return str_ieq_c(config_media_type, "application/vnd.oci.image.config.v1+json") ||
         str_ieq_c(config_media_type, "application/vnd.docker.container.image.v1+json");
}

enum artifact_kind manifest_kind(struct str media_type, struct str artifact_type, struct str config_media_type,
                                 struct str layer_media_type) {
  // OCI image spec 1.1: the configuration of what is not an image is the empty one, and artifactType says what it is.
  enum artifact_kind kind = artifact_kind_of(media_type, artifact_type.len ? artifact_type : config_media_type);

  if (kind == ARTIFACT_INDEX || layer_media_type.len == 0)
    return kind;
  enum artifact_kind layer = artifact_kind_of(media_type, layer_media_type);
  bool tells = layer == ARTIFACT_SIGNATURE || layer == ARTIFACT_SBOM || layer == ARTIFACT_ATTESTATION;
  return tells && (kind == ARTIFACT_IMAGE || kind == ARTIFACT_OTHER) ? layer : kind;
}

struct platform_parts {
  struct str os, architecture, variant;
};

static void read_part(struct str value, struct arena *arena, struct str *out) {
  struct str text;

  // A slash or a blank within a part would make another platform of it.
  if (!json_walk_str(value, arena, &text) || text.len > PLATFORM_PART_MAX_BYTES)
    return;
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] <= ' ' || text.ptr[i] == '/' || text.ptr[i] == '\x7f')
      return;
  }
  *out = text;
}

struct str manifest_platform(struct str object, struct arena *arena) {
  struct json_walk walk = json_walk_open(object);
  struct platform_parts parts = {0};
  struct str key, value;

  while (json_walk_next(&walk, &key, &value)) {
    if (str_eq_c(key, "os"))
      read_part(value, arena, &parts.os);
    else if (str_eq_c(key, "architecture"))
      read_part(value, arena, &parts.architecture);
    else if (str_eq_c(key, "variant"))
      read_part(value, arena, &parts.variant);
  }
  if (parts.os.len == 0 || parts.architecture.len == 0)
    return STR_EMPTY;
  return arena_printf(arena, "%.*s/%.*s%s%.*s", STR_ARG(parts.os), STR_ARG(parts.architecture),
                      parts.variant.len ? "/" : "", STR_ARG(parts.variant));
}

bool manifest_read_child(struct str descriptor, struct arena *arena, struct event_child *out) {
  struct json_walk walk = json_walk_open(descriptor);
  struct str key, value, artifact_type = STR_EMPTY;

  *out = (struct event_child){.media_type = STR_EMPTY, .platform = STR_EMPTY, .size_bytes = -1};
  while (json_walk_next(&walk, &key, &value)) {
    if (str_eq_c(key, "digest")) {
      if (!json_walk_str(value, arena, &out->digest))
        return false;
    } else if (str_eq_c(key, "mediaType")) {
      if (json_walk_str(value, arena, &out->media_type))
        out->media_type = essence(out->media_type);
    } else if (str_eq_c(key, "artifactType")) {
      if (!json_walk_str(value, arena, &artifact_type))
        artifact_type = STR_EMPTY;
    } else if (str_eq_c(key, "size")) {
      if (!json_walk_i64(value, &out->size_bytes) || out->size_bytes < 0)
        out->size_bytes = -1;
    } else if (str_eq_c(key, "platform")) {
      out->platform = manifest_platform(value, arena);
    }
  }
  out->kind = manifest_kind(out->media_type, artifact_type, STR_EMPTY, STR_EMPTY);
  return out->platform.ptr && event_is_digest(out->digest);
}

static int no_memory(struct error *err) {
  return error_set(err, ERR_NO_MEMORY, "no memory to read a manifest");
}

static size_t count_elements(struct str array) {
  struct json_walk walk = json_walk_open(array);
  struct str key, value;
  size_t count = 0;

  while (json_walk_next(&walk, &key, &value))
    count++;
  return count;
}

static int read_children(struct str array, struct arena *arena, struct manifest *out, struct error *err) {
  size_t count = count_elements(array);
  struct json_walk walk = json_walk_open(array);
  struct str key, value;

  out->children_cut = count > EVENT_MAX_CHILDREN;
  out->children_len = 0;
  out->children = arena_array(arena, out->children_cut ? EVENT_MAX_CHILDREN : count, sizeof(*out->children));
  if (!out->children)
    return no_memory(err);
  while (out->children_len < EVENT_MAX_CHILDREN && json_walk_next(&walk, &key, &value)) {
    if (!manifest_read_child(value, arena, &out->children[out->children_len]))
      return error_set(err, ERR_INVALID, "an entry of the index has no digest");
    out->children_len++;
  }
  return 0;
}

// What the members of a manifest say, as they come.
struct parts {
  struct str media_type, artifact_type, layer_media_type;
  struct str config, layers, manifests; // values
  int64_t schema_version;
};

static void take_member(struct str key, struct str value, struct arena *arena, struct parts *parts) {
  bool taken = true;

  if (str_eq_c(key, "mediaType"))
    taken = json_walk_str(value, arena, &parts->media_type);
  else if (str_eq_c(key, "artifactType"))
    taken = json_walk_str(value, arena, &parts->artifact_type);
  else if (str_eq_c(key, "schemaVersion"))
    taken = json_walk_i64(value, &parts->schema_version);
  else if (str_eq_c(key, "config") && json_walk_kind(value) == JSON_OBJECT)
    parts->config = value;
  else if ((str_eq_c(key, "layers") || str_eq_c(key, "blobs")) && json_walk_kind(value) == JSON_ARRAY)
    parts->layers = value;
  else if (str_eq_c(key, "manifests") && json_walk_kind(value) == JSON_ARRAY)
    parts->manifests = value;
  (void)taken; // of another kind: as if it were not there
}

// Adds a descriptor's size; unknown stays unknown.
static void add_size(int64_t *sum, int64_t size_bytes) {
  if (*sum < 0 || size_bytes < 0 || __builtin_add_overflow(*sum, size_bytes, sum))
    *sum = -1;
}

// The layers' sizes are in bytes that are moved: an empty or missing list is none.
static void read_layers(struct parts *parts, struct arena *arena, struct manifest *out) {
  struct json_walk walk = json_walk_open(parts->layers);
  struct str key, value;

  while (json_walk_next(&walk, &key, &value)) {
    struct event_child layer;
    if (!manifest_read_child(value, arena, &layer))
      layer.size_bytes = -1;
    else if (parts->layer_media_type.len == 0)
      parts->layer_media_type = layer.media_type;
    add_size(&out->size_bytes, layer.size_bytes);
  }
}

static void read_config(const struct parts *parts, struct arena *arena, struct manifest *out) {
  struct event_child config;

  if (parts->config.len == 0)
    return;
  if (!manifest_read_child(parts->config, arena, &config)) {
    out->size_bytes = -1;
    return;
  }
  out->config_digest = config.digest;
  out->config_media_type = config.media_type;
  add_size(&out->size_bytes, config.size_bytes);
}

static struct str media_type_of(const struct parts *parts, struct str content_type) {
  if (parts->media_type.len)
    return essence(parts->media_type);
  if (manifest_is_media_type(content_type))
    return essence(content_type);
  if (parts->schema_version == SCHEMA_1)
    return str_of(DOCKER_SCHEMA_1);
  // OCI image spec 1.0 let it be left out.
  if (parts->manifests.len)
    return str_of(OCI_INDEX);
  return parts->config.len ? str_of(OCI_MANIFEST) : STR_EMPTY;
}

static int check_object(struct str json, const char *what, struct error *err) {
  int rc = json_scan(json, JSON_MAX_DEPTH, err);

  if (rc != 0) {
    error_context(err, "%s", what);
    return rc;
  }
  if (json_walk_kind(json) != JSON_OBJECT)
    return error_set(err, ERR_INVALID, "%s is not a JSON object", what);
  return 0;
}

int manifest_read(struct str json, struct str content_type, struct arena *arena, struct manifest *out,
                  struct error *err) {
  struct parts parts = {0};
  struct str key, value;
  int rc = check_object(json, "the manifest", err);

  *out = (struct manifest){.size_bytes = -1};
  if (rc != 0)
    return rc;
  struct json_walk walk = json_walk_open(json);
  while (json_walk_next(&walk, &key, &value))
    take_member(key, value, arena, &parts);

  out->media_type = media_type_of(&parts, content_type);
  if (!manifest_is_media_type(out->media_type))
    return error_set(err, ERR_INVALID, "\"%.*s\" is not the media type of a manifest", STR_ARG(out->media_type));
  out->size_bytes = (int64_t)json.len;
  if (artifact_kind_of(out->media_type, STR_EMPTY) == ARTIFACT_INDEX) {
    out->kind = ARTIFACT_INDEX;
    return read_children(parts.manifests, arena, out, err);
  }
  if (parts.schema_version == SCHEMA_1)
    out->size_bytes = -1; // it names its layers, not their sizes
  read_config(&parts, arena, out);
  read_layers(&parts, arena, out);
  out->kind =
      manifest_kind(out->media_type, essence(parts.artifact_type), out->config_media_type, parts.layer_media_type);
  return 0;
}

int manifest_config_platform(struct str json, struct arena *arena, struct str *out, struct error *err) {
  int rc = check_object(json, "the configuration", err);

  *out = STR_EMPTY;
  if (rc != 0)
    return rc;
  *out = manifest_platform(json, arena);
  return out->ptr ? 0 : no_memory(err);
}

bool manifest_has_digest(struct str content, struct str digest) {
  enum { HEX_BYTES = 2 * SHA256_BYTES };
  uint8_t hash[SHA256_BYTES];
  struct buf hex;

  if (!str_starts_c(digest, "sha256:"))
    return true;
  crypto_sha256(content, hash);
  buf_init(&hex, HEX_BYTES + 1);
  crypto_hex((struct str){(const char *)hash, sizeof(hash)}, &hex);
  bool same = str_eq(buf_str(&hex), str_from(digest, sizeof("sha256:") - 1));
  buf_free(&hex);
  return same;
}
