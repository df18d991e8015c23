// SPDX-License-Identifier: Apache-2.0
// Receivers echo what they got: debug pages, error traces, proxies. What is kept of an answer must not show the secret that
// was sent with the request to those who may read the history but not change the webhook. Pure function.
#ifndef HARBINGER_DISPATCH_REDACT_H
#define HARBINGER_DISPATCH_REDACT_H

#include "base/arena.h"

enum { REDACT_MIN_SECRET_BYTES = 6 }; // shorter ones would blacken ordinary words

// `text` with every place of the authorization value, or of its credentials alone ("Bearer X": X), as ********. `text`
// itself when there is none; empty when there is no memory: rather nothing than a secret.
struct str redact_authorization(struct str text, struct str authorization, struct arena *arena);
// Of a text that was cut: an end with which the authorization value or its credentials begin, REDACT_MIN_SECRET_BYTES or
// more of it, as ********. Where the cut falls may be in the hands of who reads it. Else as redact_authorization.
struct str redact_cut_end(struct str text, struct str authorization, struct arena *arena);

#endif
