// SPDX-License-Identifier: Apache-2.0
// Care in a running server: one piece of work at a time, in a thread that is made for it and ends with it. Not in the pool:
// its four threads answer the API, and a backup would hold one of them for as long as the file is large. The thread has a
// low priority; what it must not do at once it does in small steps (store/care.h).
// The serve loop begins, watches and cancels; care_desk_stop is for the main thread when that loop has ended.
#ifndef HARBINGER_APP_CARE_DESK_H
#define HARBINGER_APP_CARE_DESK_H

#include <stdatomic.h>

#include "app/care.h"
#include "base/log.h"
#include "net/loop.h"

struct care_desk;

struct care_job {
  struct care_request request;
  void (*done)(
      struct care_job *job); // on the loop, once, when the fields below are filled; the job is its owner's again
  int rc;
  struct error err;
  struct buf text; // the owner frees it
  int exit_code;
  // The desk's own, but for care_job_progress:
  struct care_desk *desk;
  struct loop_task ended;
  _Atomic(const char *) what;
  _Atomic int64_t at, of;
};

struct care_desk *care_desk_new(const struct care_place *place, struct loop *loop, const struct log *log,
                                struct error *err) MUST_CHECK;
void care_desk_stop(struct care_desk *desk); // closes it and waits for what runs; NULL is fine
void care_desk_free(struct care_desk *desk);

// ERR_CONFLICT: something else is being done; then the job stays the caller's and `done` is not called.
int care_desk_begin(struct care_desk *desk, struct care_job *job, struct error *err) MUST_CHECK;
// The work ends soon, and `done` is called as ever.
void care_desk_cancel(struct care_desk *desk);
// The server stops: that, and nothing begins any more. NULL is fine.
void care_desk_close(struct care_desk *desk);
// How far the job is; false while nothing is known.
bool care_job_progress(struct care_job *job, const char **what, int64_t *at, int64_t *of);

#endif
