// SPDX-License-Identifier: Apache-2.0
// Changes of the registry (registry/change.h), which the serve loop makes, for handlers, which run on pool threads: the order
// goes to the loop, the thread waits for the answer, at most so long, and what comes later is only committed. A few at a
// time: each holds a thread of the pool. A change belongs to the thread until it is posted, then to both, and goes with
// the last of them.
#ifndef HARBINGER_API_CHANGE_DESK_H
#define HARBINGER_API_CHANGE_DESK_H

#include "registry/change.h"

struct change_desk;
struct desk_change;

struct change_desk_config {
  struct loop *loop;
  struct changes *changes;
  size_t max_at_once;
  int64_t wait_ms; // for one answer
};

enum { DESK_WORDS_BYTES = 256 };

struct desk_answer {
  int status;                   // of the registry
  char words[DESK_WORDS_BYTES]; // its own, or empty
};

struct change_desk *change_desk_new(const struct change_desk_config *config, struct error *err) MUST_CHECK;
// When the loop has ended: whoever waits is told that the server stops, and nobody waits any more. NULL is fine.
void change_desk_close(struct change_desk *desk);
void change_desk_free(struct change_desk *desk); // after changes_free

// A place for one change after another. ERR_TOO_MANY: all are taken.
int change_desk_enter(struct change_desk *desk, struct error *err) MUST_CHECK;
void change_desk_leave(struct change_desk *desk);
// Inside a place. The order is copied. 0: the registry has answered. ERR_UNAVAILABLE, ERR_TIMEOUT: words for the client.
int change_desk_run(struct change_desk *desk, const struct change_order *order, struct desk_answer *answer,
                    struct error *err) MUST_CHECK;

#endif
