// SPDX-License-Identifier: Apache-2.0
// Testing a webhook: one request to a target, stored or not, made, guarded and sent as a delivery's is, and what came back,
// for a person who waits for it. No lane, no attempt, no second try, no effect on the target's breaker or pauses.
// Bounded: a trial holds one of a few places from trial_new until both sides have let go of it, so that those who wait
// cannot take all threads. The sending loop owns a trial while its request is on the way.
#ifndef HARBINGER_DISPATCH_TRIAL_H
#define HARBINGER_DISPATCH_TRIAL_H

#include "dispatch/dispatch.h"

struct trial;

enum { TRIAL_GRACE_MS = 5000 }; // beyond a request's total timeout: then the sending loop is not heard from any more

struct trials_config {
  struct loop *loop; // the sending loop
  struct http_client *client;
  const struct dispatch_config *dispatch; // must outlive the trials
  const struct log *log;
};

struct trials *trials_new(const struct trials_config *config, struct error *err) MUST_CHECK;
// Loop thread: no trial any more. Those on their way are cancelled, and who waits is told (ERR_UNAVAILABLE).
void trials_close(struct trials *trials);
void trials_free(struct trials *trials); // closed, and every trial dropped

// Any thread. Take a place and make the request (copies; target and event may go). ERR_TOO_MANY when all
// `max_trials` places are taken, ERR_UNAVAILABLE while stopping, ERR_BAD_REQUEST for an address that cannot be one.
int trial_new(struct trials *trials, const struct target *target, const struct event *event, struct trial **out,
              struct error *err) MUST_CHECK;
// Once, any thread but the loop's: send it and wait for the end, at most the total timeout and TRIAL_GRACE_MS.
// ERR_UNAVAILABLE when nothing could be learnt about the receiver: our own limits, or stopping. 0: see trial_result. The
// place is free again when it returns, unless the loop did not take the test in time.
int trial_run(struct trial *trial, struct error *err) MUST_CHECK;
void trial_drop(struct trial *trial); // NULL is fine

struct trial_result {
  const struct attempt *attempt; // as an attempt of a delivery is kept: secrets are masked
  struct str request_body;
  bool truncated; // of the answer's body more came than was kept, or it was cut short
};
// After trial_run returned 0, until trial_drop.
struct trial_result trial_result(const struct trial *trial);

#endif
