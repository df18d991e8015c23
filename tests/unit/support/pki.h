// SPDX-License-Identifier: Apache-2.0
// Certificates for unit tests, made on the spot: an authority and what it signs. P-256, valid for a day.
#ifndef HARBINGER_TESTS_UNIT_SUPPORT_PKI_H
#define HARBINGER_TESTS_UNIT_SUPPORT_PKI_H

#include "base/str.h"

struct pki; // one authority

struct pki *pki_new(void); // fails the test when it cannot
void pki_free(struct pki *pki);
struct str pki_ca_pem(const struct pki *pki);
// A certificate for `alt_names` ("DNS:a.example,IP:127.0.0.1"); the texts live as long as the authority.
void pki_issue(struct pki *pki, const char *alt_names, struct str *chain_pem, struct str *key_pem);

#endif
