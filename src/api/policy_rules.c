// SPDX-License-Identifier: Apache-2.0
#include "api/policy_rules.h"

#include "api/etag.h"
#include "base/rfc3339.h"
#include "net/url.h"

static int check_egress(struct api_call *call, const struct policy *policy, struct error *err) {
  for (size_t i = 0; i < policy->targets_len; i++) {
    struct url url;
    int rc = url_parse(policy->targets[i].address, &url, err);
    if (rc == 0)
      rc = egress_check_url(call->config->egress, &url, err);
    if (rc != 0)
      return error_context(err, "targets[%zu]", i);
  }
  return 0;
}

int policy_rules_check(struct api_call *call, const struct policy *policy, struct error *err) {
  int rc = policy_check(policy, err);

  return rc != 0 ? rc : check_egress(call, policy, err);
}

int policy_rules_unchanged(struct api_call *call, int64_t updated_at_us, struct error *err) {
  char at[RFC3339_BYTES];
  struct str etag = etag_make(updated_at_us, call->arena);

  if (!etag.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for an answer");
  if (etag_if_match(call->request->head, etag))
    return 0;
  return error_set(err, ERR_PRECONDITION, "this webhook was changed since you read it (at %s): read it again",
                   rfc3339_write(updated_at_us, 3, at));
}

struct str policy_rules_subject(struct api_call *call, const struct project *project, struct str name) {
  struct str subject = arena_printf(call->arena, "%.*s/%.*s", STR_ARG(project->name), STR_ARG(name));

  return subject.ptr ? subject : project->name;
}
