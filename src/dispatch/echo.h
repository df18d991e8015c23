// SPDX-License-Identifier: Apache-2.0
// Warnings of loops: a receiver whose own robot answers a delivery by doing again what the delivery told of (a build that
// pushes the tag whose push started it). The sign: a push or delete whose project, repository, tag, type and actor are
// those of an event that the same policy delivered with success less than a minute before it was made, or was just
// delivering: some act before they answer. More than
// ECHO_PER_HOUR of them in an hour raise a warning. Nothing is held back: we cannot know who caused what. Bounded tables,
// in memory only; a key that is pushed out of them is counted anew. Pulls are left out: that many machines fetch one tag
// as one robot is ordinary life.
#ifndef HARBINGER_DISPATCH_ECHO_H
#define HARBINGER_DISPATCH_ECHO_H

#include "base/log.h"
#include "base/metrics.h"
#include "event/event.h"

enum {
  ECHO_PER_HOUR = 20,
  ECHO_WITHIN_S = 60,
  ECHO_WINDOW_S = 3600,   // counted over, and how long a warning is shown after the last echo
  ECHO_KEYS = 4096,       // 160 KiB
  ECHO_POLICIES = 64,     // with a warning at a time; the oldest goes
  ECHO_WORDS_BYTES = 512, // of a warning, cut at the end of a character
};

struct echoes;

struct echoes *echoes_new(const struct log *log, struct metrics *metrics) MUST_CHECK; // NULL: no memory
void echoes_free(struct echoes *echoes);

// Sending loop: the policy's delivery of this event succeeded at `now_wall_us` by a try that began at `began_wall_us`.
// One probe of a table.
void echoes_delivered(struct echoes *echoes, int64_t policy_id, const struct event *event, int64_t began_wall_us,
                      int64_t now_wall_us);
// Any thread: the policy's warning, while there is one. False: none.
bool echoes_warning(struct echoes *echoes, int64_t policy_id, int64_t now_wall_us, char words[static ECHO_WORDS_BYTES]);

#endif
