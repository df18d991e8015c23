// SPDX-License-Identifier: Apache-2.0
// Sessions of browsers as Harbor has them: the cookie `sid` of POST /c/login, and the token X-Harbor-CSRF-Token that unsafe
// calls with it must carry. Around every call on its pool thread; what a session is stands in auth/session.h.
#ifndef HARBINGER_API_SESSION_H
#define HARBINGER_API_SESSION_H

#include "api/call.h"

// After auth_identify and before the handler. Without an Authorization header: who the cookie says is calling becomes
// call->identity (nobody when the session is not known or over), the answer gets the current CSRF token and, when it
// was missing, the cookie that belongs to it; an unsafe call with a session, without that token or from another site, is
// ERR_FORBIDDEN (a login checks the same itself). With an Authorization header cookies are not looked at.
int session_begin(struct api_call *call, struct error *err) MUST_CHECK;
// A 401 to somebody whose session is over says so.
void session_explain(const struct api_call *call, struct error *err);

#endif
