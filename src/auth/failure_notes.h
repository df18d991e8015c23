// SPDX-License-Identifier: Apache-2.0
// Which failed logins get a line in the audit: one per user and address each minute, FAILURE_NOTES_PER_MINUTE in all, so
// that a storm of guesses is told and fills no disk. The others are counted and told by the next line. A fixed table;
// shared by threads (a lock inside).
#ifndef HARBINGER_AUTH_FAILURE_NOTES_H
#define HARBINGER_AUTH_FAILURE_NOTES_H

#include "base/error.h"
#include "net/address.h"

enum { FAILURE_NOTES_PER_MINUTE = 30 };

struct failure_notes;

struct failure_notes *failure_notes_new(struct error *err) MUST_CHECK;
void failure_notes_free(struct failure_notes *notes); // NULL is fine
// One more failure, at `now_us` (monotonic), for `user` (empty: nobody's name). True: note it; then *others failures of
// anybody were not noted since the last note.
bool failure_notes_add(struct failure_notes *notes, struct str user, const struct address *peer, int64_t now_us,
                       int64_t *others) MUST_CHECK;

#endif
