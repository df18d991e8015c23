// SPDX-License-Identifier: Apache-2.0
#include "gateway/rights.h"

static const char *const verbs[] = {
    [GATEWAY_PULL] = "pull from",
    [GATEWAY_PUSH] = "push to",
    [GATEWAY_DELETE] = "delete from",
};

int gateway_allow(const struct identity *identity, const struct gateway_project *project, enum gateway_action action,
                  struct str name, struct error *err) {
  enum auth_action asked = action == GATEWAY_PULL ? AUTH_READ_PUBLIC : AUTH_CHANGE_PROJECT;
  int rc = auth_allow(identity, asked, project->known && project->is_public, err);

  if (rc == ERR_UNAUTHORIZED)
    return error_set(err, rc, "log in to %s the project `%.*s`, for example with: docker login HOST", verbs[action],
                     STR_ARG(name));
  if (rc == ERR_FORBIDDEN)
    return error_set(err, rc, "the user `%.*s` may not %s the project `%.*s`: ask one of its administrators",
                     STR_ARG(identity->name), verbs[action], STR_ARG(name));
  return rc;
}
