// SPDX-License-Identifier: Apache-2.0
// What saving a webhook and testing one have in common: what may be sent to, and how the audit names it. Pool threads.
#ifndef HARBINGER_API_POLICY_RULES_H
#define HARBINGER_API_POLICY_RULES_H

#include "api/call.h"
#include "policy/policy.h"

// policy_check, then the egress guard on each address as typed; what a name stands for is judged when it is sent to.
int policy_rules_check(struct api_call *call, const struct policy *policy, struct error *err) MUST_CHECK;
// Of two people who change one webhook, the second is told: ERR_PRECONDITION when the call has an If-Match that does not
// hold `updated_at_us`, the state that it would change. Within the change, in the writer.
int policy_rules_unchanged(struct api_call *call, int64_t updated_at_us, struct error *err) MUST_CHECK;
// For the audit: project and webhook; never an address.
struct str policy_rules_subject(struct api_call *call, const struct project *project, struct str name);

#endif
