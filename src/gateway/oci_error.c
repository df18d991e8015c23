// SPDX-License-Identifier: Apache-2.0
#include "gateway/oci_error.h"

#include "base/json_writer.h"

static const struct {
  const char *name;
  int status;
} codes[OCI_CODE_COUNT] = {
    [OCI_BLOB_UNKNOWN] = {"BLOB_UNKNOWN", 404},
    [OCI_BLOB_UPLOAD_INVALID] = {"BLOB_UPLOAD_INVALID", 400},
    [OCI_BLOB_UPLOAD_UNKNOWN] = {"BLOB_UPLOAD_UNKNOWN", 404},
    [OCI_DENIED] = {"DENIED", 403},
    [OCI_DIGEST_INVALID] = {"DIGEST_INVALID", 400},
    [OCI_MANIFEST_INVALID] = {"MANIFEST_INVALID", 400},
    [OCI_MANIFEST_UNKNOWN] = {"MANIFEST_UNKNOWN", 404},
    [OCI_NAME_INVALID] = {"NAME_INVALID", 400},
    [OCI_NAME_UNKNOWN] = {"NAME_UNKNOWN", 404},
    [OCI_PAGINATION_NUMBER_INVALID] = {"PAGINATION_NUMBER_INVALID", 400},
    [OCI_RANGE_INVALID] = {"RANGE_INVALID", 416},
    [OCI_SIZE_INVALID] = {"SIZE_INVALID", 400},
    [OCI_TAG_INVALID] = {"TAG_INVALID", 400},
    [OCI_TOOMANYREQUESTS] = {"TOOMANYREQUESTS", 429},
    [OCI_UNAUTHORIZED] = {"UNAUTHORIZED", 401},
    [OCI_UNAVAILABLE] = {"UNAVAILABLE", 503},
    [OCI_UNKNOWN] = {"UNKNOWN", 500},
    [OCI_UNSUPPORTED] = {"UNSUPPORTED", 405},
};

const char *oci_code_name(enum oci_code code) {
  return codes[code].name;
}

int oci_code_status(enum oci_code code) {
  return codes[code].status;
}

enum oci_code oci_code_of_status(int status) {
  switch (status) {
  case 401:
    return OCI_UNAUTHORIZED;
  case 403:
    return OCI_DENIED;
  case 404:
    return OCI_NAME_UNKNOWN;
  case 413: // only manifests are read whole
    return OCI_MANIFEST_INVALID;
  case 416:
    return OCI_RANGE_INVALID;
  case 429:
    return OCI_TOOMANYREQUESTS;
  default:
    return status >= 500 ? OCI_UNAVAILABLE : OCI_UNSUPPORTED;
  }
}

enum oci_code oci_code_of(enum errcode code) {
  switch (code) {
  case ERR_UNAUTHORIZED:
    return OCI_UNAUTHORIZED;
  case ERR_FORBIDDEN:
  case ERR_DENIED:
    return OCI_DENIED;
  case ERR_NOT_FOUND:
    return OCI_NAME_UNKNOWN;
  case ERR_TOO_MANY:
    return OCI_TOOMANYREQUESTS;
  case ERR_INTERNAL:
    return OCI_UNKNOWN;
  default:
    return OCI_UNAVAILABLE;
  }
}

void oci_error_write(enum oci_code code, struct str message, struct buf *out) {
  struct json_writer w = json_writer_make(out, false);

  json_object_begin(&w);
  json_key(&w, "errors");
  json_array_begin(&w);
  json_object_begin(&w);
  json_field_str(&w, "code", str_of(codes[code].name));
  json_field_str(&w, "message", message);
  json_object_end(&w);
  json_array_end(&w);
  json_object_end(&w);
  buf_put_char(out, '\n');
}
