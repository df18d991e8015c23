// SPDX-License-Identifier: Apache-2.0
#include "gateway/oci_path.h"

#include "event/event.h"

enum { SHOWN_BYTES = 128 }; // of a stranger's name in our words

static const struct {
  const char *name, *methods;
} kinds[OCI_KIND_COUNT] = {
    [OCI_BASE] = {"base", "GET, HEAD"},
    [OCI_CATALOG] = {"catalog", "GET"},
    [OCI_TAGS] = {"tags", "GET, HEAD"},
    [OCI_MANIFEST] = {"manifest", "GET, HEAD, PUT, DELETE"},
    [OCI_BLOB] = {"blob", "GET, HEAD, DELETE"},
    [OCI_UPLOADS] = {"uploads", "POST"},
    [OCI_UPLOAD] = {"upload", "GET, PATCH, PUT, DELETE"},
    [OCI_REFERRERS] = {"referrers", "GET, HEAD"},
};

const char *oci_kind_name(enum oci_kind kind) {
  return kinds[kind].name;
}

const char *oci_kind_methods(enum oci_kind kind) {
  return kinds[kind].methods;
}

bool oci_kind_takes(enum oci_kind kind, struct str method) {
  struct str rest = str_of(kinds[kind].methods), one;

  while (str_next(&rest, ',', &one)) {
    if (str_eq(str_trim(one), method))
      return true;
  }
  return false;
}

// `what` in quotes, then why not.
static int refuse(enum oci_code *code, enum oci_code is, struct error *err, struct str what, const char *why) {
  *code = is;
  return error_set(err, ERR_BAD_REQUEST, "`%.*s` %s", STR_ARG(str_slice(what, 0, SHOWN_BYTES)), why);
}

int oci_name_read(struct str name, struct oci_path *out, struct error *err) {
  struct str shown = str_slice(name, 0, SHOWN_BYTES);
  ptrdiff_t slash = str_find(name, '/');

  if (!event_is_repository_name(name))
    return error_set(err, ERR_BAD_REQUEST,
                     "`%.*s` is no name of a repository: lower case letters and digits, separated by one of . _ __ or "
                     "hyphens, in parts separated by one slash, %d bytes at most",
                     STR_ARG(shown), EVENT_MAX_NAME_BYTES);
  if (slash < 0)
    return error_set(err, ERR_BAD_REQUEST, "the name `%.*s` has no project: use HOST/PROJECT/%.*s", STR_ARG(shown),
                     STR_ARG(shown));
  out->name = name;
  out->project = str_slice(name, 0, (size_t)slash);
  out->repository = str_from(name, (size_t)slash + 1);
  return 0;
}

// Cut the last segment off *rest, which ends before its slash then. False when there is no slash left.
static bool take_last(struct str *rest, struct str *segment) {
  ptrdiff_t slash = str_rfind(*rest, '/');

  if (slash < 0)
    return false;
  *segment = str_from(*rest, (size_t)slash + 1);
  rest->len = (size_t)slash;
  return true;
}

static bool is_upload_id(struct str id) {
  if (id.len == 0 || id.len > OCI_UPLOAD_ID_MAX_BYTES || str_eq_c(id, ".") || str_eq_c(id, ".."))
    return false;
  for (size_t i = 0; i < id.len; i++) {
    char c = id.ptr[i];
    bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && c != '-' && c != '_' && c != '.' && c != '=' && c != '~')
      return false;
  }
  return true;
}

static int check_reference(struct oci_path *out, enum oci_code *code, struct error *err) {
  struct str reference = out->reference;

  switch (out->kind) {
  case OCI_MANIFEST:
    out->by_digest = event_is_digest(reference);
    if (out->by_digest || event_is_tag(reference))
      return 0;
    if (str_find(reference, ':') >= 0)
      return refuse(code, OCI_DIGEST_INVALID, err, reference,
                    "is no digest: sha256: and 64, or sha512: and 128, hexadecimal digits in lower case");
    return refuse(code, OCI_TAG_INVALID, err, reference,
                  "is no tag: letters, digits, _ . and -, not beginning with . or -, 128 bytes at most");
  case OCI_BLOB:
  case OCI_REFERRERS:
    if (event_is_digest(reference))
      return 0;
    return refuse(code, OCI_DIGEST_INVALID, err, reference,
                  "is no digest: sha256: and 64, or sha512: and 128, hexadecimal digits in lower case");
  case OCI_UPLOAD:
    if (is_upload_id(reference))
      return 0;
    return refuse(code, OCI_BLOB_UPLOAD_UNKNOWN, err, reference, "is no upload");
  default:
    return 0;
  }
}

// What stands behind the name, read from the end: a name may itself have components called `blobs` or `manifests`.
static bool split(struct str path, struct oci_path *out) {
  struct str rest = path, last, before;

  out->reference = STR_EMPTY;
  if (!take_last(&rest, &last) || !take_last(&rest, &before))
    return false;
  out->name = rest;
  if (str_eq_c(before, "tags") && str_eq_c(last, "list")) {
    out->kind = OCI_TAGS;
    return true;
  }
  if (str_eq_c(before, "blobs") && str_eq_c(last, "uploads")) { // without the slash at its end: meant is the same
    out->kind = OCI_UPLOADS;
    return true;
  }
  out->reference = last;
  if (str_eq_c(before, "uploads")) {
    struct str blobs, name = rest;
    if (take_last(&name, &blobs) && str_eq_c(blobs, "blobs")) {
      out->kind = last.len ? OCI_UPLOAD : OCI_UPLOADS;
      out->name = name;
      return true;
    }
    return false;
  }
  if (!str_eq_c(before, "manifests") && !str_eq_c(before, "blobs") && !str_eq_c(before, "referrers"))
    return false;
  out->kind = str_eq_c(before, "manifests") ? OCI_MANIFEST : str_eq_c(before, "blobs") ? OCI_BLOB : OCI_REFERRERS;
  return true;
}

int oci_path_read(struct str path, struct oci_path *out, enum oci_code *code, struct error *err) {
  *out = (struct oci_path){.name = STR_EMPTY, .project = STR_EMPTY, .repository = STR_EMPTY, .reference = STR_EMPTY};
  if (str_eq_c(path, "/v2") || str_eq_c(path, "/v2/"))
    return 0;
  if (str_find(path, '%') >= 0)
    return refuse(code, OCI_NAME_INVALID, err, path,
                  "is refused: names, tags and digests are written without percent signs");
  struct str below = str_from(path, sizeof("/v2/") - 1);
  if (!str_starts_c(path, "/v2/"))
    return refuse(code, OCI_NAME_UNKNOWN, err, path, "is not below /v2/");
  if (str_eq_c(below, "_catalog")) {
    out->kind = OCI_CATALOG;
    return 0;
  }
  if (!split(below, out)) {
    *code = OCI_NAME_UNKNOWN;
    return error_set(err, ERR_NOT_FOUND, "`%.*s` is no end-point of the OCI distribution specification",
                     STR_ARG(str_slice(path, 0, SHOWN_BYTES)));
  }
  int rc = oci_name_read(out->name, out, err);
  if (rc != 0) {
    *code = OCI_NAME_INVALID;
    return rc;
  }
  return check_reference(out, code, err);
}
