// SPDX-License-Identifier: Apache-2.0
// Which fields a change changed, for the audit: their names as requests have them, never a value. Those whose values not
// everybody may see are marked: "enabled, targets[0].auth_header (secret)". Pure functions over an arena of the caller.
#ifndef HARBINGER_API_CHANGED_FIELDS_H
#define HARBINGER_API_CHANGED_FIELDS_H

#include "policy/policy.h"
#include "store/projects.h"

enum { CHANGED_FIELDS_MAX_BYTES = 2048 }; // past it: "..., and more"

// What differs between two states; `old` NULL: it is new, all that it says counts. Targets are compared with the one
// whose id they keep; one without is "targets[I]" with all that it says, one that went "targets[I] (removed)" with its
// old place. Empty when nothing differs. ERR_NO_MEMORY.
int changed_fields_of_policy(const struct policy *old, const struct policy *policy, struct arena *arena,
                             struct str *out, struct error *err) MUST_CHECK;
int changed_fields_of_project(const struct project *old, const struct project *project, struct arena *arena,
                              struct str *out, struct error *err) MUST_CHECK;

#endif
