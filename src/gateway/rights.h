// SPDX-License-Identifier: Apache-2.0
// Who may do what with the repositories of a project, as far as /v2/ asks: the one place that says so. Pure, any thread.
#ifndef HARBINGER_GATEWAY_RIGHTS_H
#define HARBINGER_GATEWAY_RIGHTS_H

#include "auth/auth.h"

enum gateway_action { GATEWAY_PULL, GATEWAY_PUSH, GATEWAY_DELETE };

struct gateway_project {
  bool known; // it exists
  bool is_public;
};

// ERR_UNAUTHORIZED: who asks must log in; ERR_FORBIDDEN: may not, whoever they say they are. A project that does not exist
// is refused with the same words as one that is private. `name`: the project's, for the words.
int gateway_allow(const struct identity *identity, const struct gateway_project *project, enum gateway_action action,
                  struct str name, struct error *err) MUST_CHECK;

#endif
