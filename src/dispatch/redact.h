// SPDX-License-Identifier: Apache-2.0
// Receivers echo what they got: debug pages, error traces, proxies. What is kept of an answer must not show the secrets that
// were sent with the request to those who may read the history but not change the webhook: the authorization, and of the
// address what may be one (of a chat's address the path is the key). Pure functions.
#ifndef HARBINGER_DISPATCH_REDACT_H
#define HARBINGER_DISPATCH_REDACT_H

#include "base/arena.h"
#include "net/url.h"

enum {
  REDACT_MAX_SECRETS = 24,
  REDACT_MIN_SECRET_BYTES = 6, // shorter ones would blacken ordinary words
  REDACT_MIN_PART_BYTES = 12,  // of an address: shorter parts of it are ordinary words
};

// Views into what they were made from; longer ones come before their parts.
struct redact_secrets {
  struct str items[REDACT_MAX_SECRETS];
  size_t len;
};

// The authorization value and its credentials alone ("Bearer X": X); of `url` (NULL: none) userinfo and its password, path
// with query, path, query, and the longer of their segments and values.
struct redact_secrets redact_secrets_of(struct str authorization, const struct url *url);
// `text` with every place of a secret as ********. `text` itself when there is none; empty when there is no memory: rather
// nothing than a secret.
struct str redact(struct str text, const struct redact_secrets *secrets, struct arena *arena);
// Of a text that was cut: an end with which a secret begins, REDACT_MIN_SECRET_BYTES or more of it, as ********. Where
// the cut falls may be in the hands of who reads it. Else as redact.
struct str redact_cut_end(struct str text, const struct redact_secrets *secrets, struct arena *arena);

#endif
