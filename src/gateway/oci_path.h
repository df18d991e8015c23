// SPDX-License-Identifier: Apache-2.0
// A path below /v2/, read strictly once by the grammar of the OCI distribution specification 1.1 ("Endpoints", "Pulling
// manifests"). Nothing is decoded: a path with a percent sign, an empty or a dotted segment is outside of the grammar, so
// that the registry behind us never gets one that it could read differently. Views into the text; pure, any thread.
#ifndef HARBINGER_GATEWAY_OCI_PATH_H
#define HARBINGER_GATEWAY_OCI_PATH_H

#include "gateway/oci_error.h"

enum oci_kind {
  OCI_BASE,      // /v2/
  OCI_CATALOG,   // /v2/_catalog
  OCI_TAGS,      // /v2/NAME/tags/list
  OCI_MANIFEST,  // /v2/NAME/manifests/REFERENCE
  OCI_BLOB,      // /v2/NAME/blobs/DIGEST
  OCI_UPLOADS,   // /v2/NAME/blobs/uploads/
  OCI_UPLOAD,    // /v2/NAME/blobs/uploads/ID
  OCI_REFERRERS, // /v2/NAME/referrers/DIGEST
  OCI_KIND_COUNT,
};

enum { OCI_UPLOAD_ID_MAX_BYTES = 512 };

struct oci_path {
  enum oci_kind kind;
  struct str name;       // "team-a/web/api"; empty of OCI_BASE and OCI_CATALOG
  struct str project;    // "team-a"
  struct str repository; // "web/api"; empty when the name has one component
  struct str reference;  // tag, digest or upload id
  bool by_digest;        // of OCI_MANIFEST: the reference is a digest
};

// `path`: the request's, up to the '?'. ERR_BAD_REQUEST or ERR_NOT_FOUND (no such end-point), with *code and words.
int oci_path_read(struct str path, struct oci_path *out, enum oci_code *code, struct error *err) MUST_CHECK;
// Name of a repository, split at its first slash. ERR_BAD_REQUEST with words: outside of the grammar, or no project.
int oci_name_read(struct str name, struct oci_path *out, struct error *err) MUST_CHECK;

const char *oci_kind_name(enum oci_kind kind);    // "manifest", for metrics
const char *oci_kind_methods(enum oci_kind kind); // "GET, HEAD", for Allow
bool oci_kind_takes(enum oci_kind kind, struct str method);

#endif
