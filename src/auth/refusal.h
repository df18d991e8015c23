// SPDX-License-Identifier: Apache-2.0
// The line that a failed login leaves in the audit, wherever it was tried: the API, the login page, the pages of the
// operator. Which failures get one is failure_notes.h's; nobody waits for its commit, so that a slow store answers no
// guess later. Threads that may judge credentials.
#ifndef HARBINGER_AUTH_REFUSAL_H
#define HARBINGER_AUTH_REFUSAL_H

#include "auth/auth.h"
#include "net/http_server.h"

// Wrong credentials came with this request at `at_us`, as auth_identify or auth_login judged. `name`: of the user, or
// empty: nobody's.
void auth_note_refusal(struct auth *auth, struct store *store, const struct http_request *request, struct str name,
                       int64_t at_us);

#endif
