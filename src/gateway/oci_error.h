// SPDX-License-Identifier: Apache-2.0
// The errors of /v2/: the codes of the OCI distribution specification 1.1 ("Error Codes") and the few that registries use
// besides, one table from code to status, and the body {"errors":[{"code","message"}]}. Pure functions, any thread.
#ifndef HARBINGER_GATEWAY_OCI_ERROR_H
#define HARBINGER_GATEWAY_OCI_ERROR_H

#include "base/buf.h"
#include "base/error.h"

enum oci_code {
  OCI_BLOB_UNKNOWN,
  OCI_BLOB_UPLOAD_INVALID,
  OCI_BLOB_UPLOAD_UNKNOWN,
  OCI_DENIED,
  OCI_DIGEST_INVALID,
  OCI_MANIFEST_INVALID,
  OCI_MANIFEST_UNKNOWN,
  OCI_NAME_INVALID,
  OCI_NAME_UNKNOWN,
  OCI_PAGINATION_NUMBER_INVALID,
  OCI_RANGE_INVALID,
  OCI_SIZE_INVALID,
  OCI_TAG_INVALID,
  OCI_TOOMANYREQUESTS,
  OCI_UNAUTHORIZED,
  OCI_UNAVAILABLE,
  OCI_UNKNOWN,
  OCI_UNSUPPORTED,
  OCI_CODE_COUNT,
};

const char *oci_code_name(enum oci_code code); // "NAME_INVALID"
int oci_code_status(enum oci_code code);       // the status that goes with it unless the caller knows better
enum oci_code oci_code_of_status(int status);  // for errors that the HTTP server itself answers
enum oci_code oci_code_of(enum errcode code);  // for errors of the house
void oci_error_write(enum oci_code code, struct str message, struct buf *out); // the body

#endif
