// SPDX-License-Identifier: Apache-2.0
#include "event/names.h"

enum { SHA256_HEX_CHARS = 64, SHA512_HEX_CHARS = 128, TAG_MAX_BYTES = 128 };

static const char *const ACTORS[] = {
    [ACTOR_UNKNOWN] = "",      [ACTOR_USER] = "user",           [ACTOR_ROBOT] = "robot",
    [ACTOR_SYSTEM] = "system", [ACTOR_ANONYMOUS] = "anonymous",
};

static const char *const ARTIFACTS[] = {
    [ARTIFACT_UNKNOWN] = "",
    [ARTIFACT_IMAGE] = "image",
    [ARTIFACT_INDEX] = "index",
    [ARTIFACT_CHART] = "chart",
    [ARTIFACT_SIGNATURE] = "signature",
    [ARTIFACT_SBOM] = "sbom",
    [ARTIFACT_ATTESTATION] = "attestation",
    [ARTIFACT_OTHER] = "other",
};

static const char *const SOURCES[] = {
    [SOURCE_GATEWAY] = "gateway", [SOURCE_DISTRIBUTION] = "distribution",
    [SOURCE_ZOT] = "zot",         [SOURCE_HARBOR] = "harbor",
    [SOURCE_API] = "api",         [SOURCE_JOB] = "job",
};

static const char *name_of(const char *const *names, size_t len, size_t i) {
  return i < len ? names[i] : "";
}

static bool find(const char *const *names, size_t len, struct str name, size_t *i) {
  for (*i = 0; *i < len; (*i)++) {
    if (names[*i][0] != '\0' && str_eq_c(name, names[*i]))
      return true;
  }
  return false;
}

const char *actor_kind_name(enum actor_kind kind) {
  return name_of(ACTORS, ARRAY_LEN(ACTORS), (size_t)kind);
}

const char *artifact_kind_name(enum artifact_kind kind) {
  return name_of(ARTIFACTS, ARRAY_LEN(ARTIFACTS), (size_t)kind);
}

const char *source_kind_name(enum source_kind kind) {
  return name_of(SOURCES, ARRAY_LEN(SOURCES), (size_t)kind);
}

bool actor_kind_read(struct str name, enum actor_kind *kind) {
  size_t i;
  bool found = find(ACTORS, ARRAY_LEN(ACTORS), name, &i);

  if (found)
    *kind = (enum actor_kind)i;
  return found;
}

bool artifact_kind_read(struct str name, enum artifact_kind *kind) {
  size_t i;
  bool found = find(ARTIFACTS, ARRAY_LEN(ARTIFACTS), name, &i);

  if (found)
    *kind = (enum artifact_kind)i;
  return found;
}

bool source_kind_read(struct str name, enum source_kind *kind) {
  size_t i;
  bool found = find(SOURCES, ARRAY_LEN(SOURCES), name, &i);

  if (found)
    *kind = (enum source_kind)i;
  return found;
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || is_digit(c);
}

bool event_is_digest(struct str text) {
  bool sha512 = str_starts_c(text, "sha512:");
  size_t hex_chars = sha512 ? SHA512_HEX_CHARS : SHA256_HEX_CHARS;
  struct str hex = str_from(text, sizeof("sha256:") - 1);

  if ((!sha512 && !str_starts_c(text, "sha256:")) || hex.len != hex_chars)
    return false;
  for (size_t i = 0; i < hex.len; i++) {
    if (!is_digit(hex.ptr[i]) && (hex.ptr[i] < 'a' || hex.ptr[i] > 'f'))
      return false;
  }
  return true;
}

bool event_is_tag(struct str text) {
  if (text.len == 0 || text.len > TAG_MAX_BYTES)
    return false;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    bool word = is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_';
    if (!word && (i == 0 || (c != '.' && c != '-')))
      return false;
  }
  return true;
}

bool event_is_project_name(struct str text) {
  bool separated = true; // a separator stands between two letters or digits, never first, last or twice

  if (text.len == 0 || text.len > EVENT_MAX_NAME_BYTES)
    return false;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    bool separator = c == '.' || c == '_' || c == '-';
    if (separator ? separated : !is_lower_or_digit(c))
      return false;
    separated = separator;
  }
  return !separated;
}

// One separator of the OCI grammar: "." "_" "__" or any number of "-". 0 when there is none.
static size_t separator_len(struct str text) {
  size_t len = 0;

  if (text.len == 0)
    return 0;
  if (text.ptr[0] == '.')
    return 1;
  if (text.ptr[0] == '_')
    return text.len > 1 && text.ptr[1] == '_' ? 2 : 1;
  while (len < text.len && text.ptr[len] == '-')
    len++;
  return len;
}

static size_t word_len(struct str text) {
  size_t len = 0;

  while (len < text.len && is_lower_or_digit(text.ptr[len]))
    len++;
  return len;
}

static bool is_path_component(struct str text) {
  size_t len = word_len(text);

  if (len == 0)
    return false;
  text = str_from(text, len);
  while (text.len > 0) {
    size_t separator = separator_len(text);
    size_t word = word_len(str_from(text, separator));
    if (separator == 0 || word == 0)
      return false;
    text = str_from(text, separator + word);
  }
  return true;
}

bool event_is_repository_name(struct str text) {
  struct str rest = text, component;

  if (text.len == 0 || text.len > EVENT_MAX_NAME_BYTES)
    return false;
  while (str_next(&rest, '/', &component)) {
    if (!is_path_component(component))
      return false;
  }
  return true;
}

struct media_type_row {
  const char *media_type;
  enum artifact_kind kind;
};

// What the manifest's own media type says.
static const struct media_type_row MANIFESTS[] = {
    {"application/vnd.oci.image.index.v1+json", ARTIFACT_INDEX},
    {"application/vnd.docker.distribution.manifest.list.v2+json", ARTIFACT_INDEX},
    {"application/vnd.docker.distribution.manifest.v2+json", ARTIFACT_IMAGE},
    {"application/vnd.docker.distribution.manifest.v1+prettyjws", ARTIFACT_IMAGE},
    {"application/vnd.docker.distribution.manifest.v1+json", ARTIFACT_IMAGE},
    // Everything that is not an index is such a manifest: what it holds stands in its config or artifact type.
    {"application/vnd.oci.image.manifest.v1+json", ARTIFACT_UNKNOWN},
};

// What its artifactType or the media type of its config says.
static const struct media_type_row CONFIGS[] = {
    {"application/vnd.oci.image.config.v1+json", ARTIFACT_IMAGE},
    {"application/vnd.docker.container.image.v1+json", ARTIFACT_IMAGE},
    {"application/vnd.cncf.helm.config.v1+json", ARTIFACT_CHART},
    {"application/vnd.cncf.notary.signature", ARTIFACT_SIGNATURE},
    {"application/vnd.dev.cosign.artifact.sig.v1+json", ARTIFACT_SIGNATURE},
    {"application/vnd.dev.cosign.simplesigning.v1+json", ARTIFACT_SIGNATURE},
    {"application/vnd.dev.cosign.artifact.sbom.v1+json", ARTIFACT_SBOM},
    {"application/vnd.goharbor.harbor.sbom.v1", ARTIFACT_SBOM},
    {"application/spdx+json", ARTIFACT_SBOM},
    {"text/spdx+json", ARTIFACT_SBOM},
    {"text/spdx", ARTIFACT_SBOM},
    {"application/vnd.cyclonedx+json", ARTIFACT_SBOM},
    {"application/vnd.cyclonedx+xml", ARTIFACT_SBOM},
    {"application/vnd.cyclonedx", ARTIFACT_SBOM},
    {"application/vnd.in-toto+json", ARTIFACT_ATTESTATION},
    {"application/vnd.dsse.envelope.v1+json", ARTIFACT_ATTESTATION},
    {"application/vnd.dev.cosign.artifact.att.v1+json", ARTIFACT_ATTESTATION},
};

static enum artifact_kind kind_in(const struct media_type_row *rows, size_t len, struct str media_type) {
  for (size_t i = 0; i < len; i++) {
    if (str_ieq_c(media_type, rows[i].media_type))
      return rows[i].kind;
  }
  return ARTIFACT_OTHER;
}

// Without parameters.
static struct str essence(struct str media_type) {
  ptrdiff_t semicolon = str_find(media_type, ';');

  return str_trim(semicolon < 0 ? media_type : str_slice(media_type, 0, (size_t)semicolon));
}

enum artifact_kind artifact_kind_of(struct str media_type, struct str config_media_type) {
  struct str manifest = essence(media_type), config = essence(config_media_type);
  enum artifact_kind by_manifest =
      manifest.len == 0 ? ARTIFACT_UNKNOWN : kind_in(MANIFESTS, ARRAY_LEN(MANIFESTS), manifest);

  if (by_manifest == ARTIFACT_INDEX || config.len == 0)
    return by_manifest;
  return kind_in(CONFIGS, ARRAY_LEN(CONFIGS), config);
}
