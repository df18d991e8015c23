// SPDX-License-Identifier: Apache-2.0
// Harbor's check of a webhook address, with its messages: what Harbor refuses, clients expect to see refused in the
// same words. It lets much pass that can never be delivered; net/url.h is the strict reader. Pure function.
#ifndef HARBINGER_POLICY_ENDPOINT_H
#define HARBINGER_POLICY_ENDPOINT_H

#include "base/error.h"
#include "base/str.h"

// ERR_BAD_REQUEST with "empty URL", "invalid scheme: X", or the message of Go's url.ParseRequestURI.
int endpoint_check(struct str address, struct error *err) MUST_CHECK;

#endif
