// SPDX-License-Identifier: Apache-2.0
// Checking passwords against their hashes, a bounded number at once: argon2id takes 19 MiB and 11 ms, and whoever asks
// without knowing a password must not be able to take the machine with it. The rules for new passwords are in auth.h.
// Any thread that may wait (the pool's).
#ifndef HARBINGER_AUTH_PASSWORD_H
#define HARBINGER_AUTH_PASSWORD_H

#include "base/crypto.h"
#include "base/error.h"

enum { PASSWORD_MIN_BYTES = 8, PASSWORD_MAX_BYTES = 128 };

struct hash_gate; // who may hash now

// `max_hashing` at once; `max_waiters` wait for a place, above it ERR_UNAVAILABLE.
struct hash_gate *hash_gate_new(int max_hashing, size_t max_waiters, struct error *err) MUST_CHECK;
void hash_gate_free(struct hash_gate *gate);
// ERR_UNAVAILABLE at once when too many wait. Every success is followed by hash_gate_leave.
int hash_gate_enter(struct hash_gate *gate, struct error *err) MUST_CHECK;
void hash_gate_leave(struct hash_gate *gate);

// *right: is `password` the one of `hash` (a PHC string)? ERR_UNAVAILABLE when too many are being checked.
int password_verify(struct hash_gate *gate, struct str password, const char *hash, bool *right, struct error *err)
    MUST_CHECK;
// A new hash, counted by the gate like a check.
int password_hash(struct hash_gate *gate, struct str password, char out[static PASSWORD_HASH_BYTES], struct error *err)
    MUST_CHECK;

#endif
