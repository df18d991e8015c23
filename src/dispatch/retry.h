// SPDX-License-Identifier: Apache-2.0
// What a receiver's answer means and when the next try is: one table, from which docs/receiving.md is printed. Pure
// functions; randomness comes in as an argument.
#ifndef HARBINGER_DISPATCH_RETRY_H
#define HARBINGER_DISPATCH_RETRY_H

#include "base/buf.h"
#include "base/error.h"
#include "net/http_client.h"
#include "policy/policy.h"

enum { RETRY_MAX_STEPS = 32 };

struct retry_config {
  int64_t steps_ms[RETRY_MAX_STEPS]; // 5 s, 30 s, 2 m, 10 m, 30 m, 1 h, 2 h, 4 h, 8 h; the last one repeats
  size_t steps_len;
  int64_t give_up_ms;                 // 3 days after the first try
  int permanent_tries;                // 3: for answers that a retry will hardly change
  int64_t retry_after_cap_ms;         // 8 h
  int64_t pause_min_ms, pause_max_ms; // a 429 or 503 without Retry-After pauses the lane: 5 s doubling to 10 m
};

enum retry_class {
  RETRY_SUCCESS,
  RETRY_SCHEDULE, // the whole schedule
  RETRY_FEW,      // permanent_tries
  RETRY_SUSPEND,  // 410: the target is suspended, the delivery waits with the others
  RETRY_NEVER,    // chat targets: our message is wrong, a retry cannot help
};

struct retry_verdict {
  enum retry_class class;
  const char *outcome; // "success", "http_error", "dns", "blocked", "connect", "tls", "timeout", "closed", "malformed"
  bool pauses_lane;    // 429, 503
  bool spends_breaker; // the breaker counts it as a failure (a guard refusal does not)
  bool ours;           // it says nothing about the target: our name server or our network was not there
};

// `result` of an HTTP call, or its error. For Slack the words of the body count besides the status.
struct retry_verdict retry_judge(enum target_type type, const struct http_result *result);
// Retry-After in seconds (decimals round up) or an HTTP date, as a wait from now; -1 when absent or unreadable.
int64_t retry_after_ms(struct str header, int64_t now_wall_us);

enum retry_action { RETRY_AGAIN, RETRY_GIVE_UP };
// After try number `attempts` (from 1) ended with `class`. `first_try_us`: wall clock of the first. `random`: uniform 32
// bits, for full jitter. Sets *wait_ms for RETRY_AGAIN.
enum retry_action retry_next(const struct retry_config *config, enum retry_class class, int attempts,
                             int64_t first_try_us, int64_t now_us, uint32_t random, int64_t *wait_ms);
int retry_prio(enum event_type type, int attempts); // the lane's class of the next try

// A try of the past, as it was recorded.
struct retry_past {
  enum target_type type;
  struct str outcome; // as in retry_verdict
  int status;         // 0 without an answer
  struct str response_body;
  int number; // of the try, from 1
};
enum retry_followed {
  RETRY_FOLLOWED,         // by another try
  RETRY_FOLLOWED_LATER,   // it waits for the next one
  RETRY_FOLLOWED_FAILED,  // it was the last: the delivery failed
  RETRY_FOLLOWED_EXPIRED, // it was the last: the delivery failed for having waited too long
  RETRY_FOLLOWED_CANCEL,  // it was the last: the delivery was cancelled
};
// Why the try was followed by another or was not, for a person, by the rules above; nothing after a success and for an
// outcome that is none of theirs.
void retry_explain(const struct retry_config *config, const struct retry_past *past, enum retry_followed followed,
                   struct buf *out);

// The table of docs/receiving.md in Markdown.
void retry_write_table(const struct retry_config *config, struct buf *out);

#endif
