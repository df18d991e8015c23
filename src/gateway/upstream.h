// SPDX-License-Identifier: Apache-2.0
// What the registry's failures mean to a client: the specification's codes, with words that name the cause and no address.
#ifndef HARBINGER_GATEWAY_UPSTREAM_H
#define HARBINGER_GATEWAY_UPSTREAM_H

#include "gateway/gateway_internal.h"

struct upstream_words {
  enum oci_code code;
  int status;
  const char *words;
};

// Of a call that brought no answer; counted and logged with the full words.
struct upstream_words upstream_failed(struct gateway *gateway, struct str request_id, const struct http_result *result)
    MUST_CHECK;
// Is this answer none for the client: our own credentials refused, or an error that is not in the specification's shape?
// Then what to say instead; else `words` is NULL.
struct upstream_words upstream_judge(struct gateway *gateway, struct str request_id, const struct http_result *result)
    MUST_CHECK;
void upstream_saw(struct gateway *gateway, const struct address *peer); // tells app/ of its address

#endif
