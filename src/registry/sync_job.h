// SPDX-License-Identifier: Apache-2.0
// The sync of a running server: at most one at a time, in a thread that is made for it and ends with it, at a low priority.
// Any thread may begin, watch and cancel it; sync_job_stop is for the main thread before the store stops.
#ifndef HARBINGER_REGISTRY_SYNC_JOB_H
#define HARBINGER_REGISTRY_SYNC_JOB_H

#include "registry/sync.h"

enum { SYNC_PROJECT_BYTES = 256 };

struct sync_job;

// What is told of the one that runs, or of the last one.
struct sync_state {
  bool running;
  char project[SYNC_PROJECT_BYTES]; // empty: all
  const char *what;                 // "reading the registry"; NULL: nothing ran yet
  int64_t done, of;                 // repositories or artifacts; of 0: nobody knows
  int64_t started_us, ended_us;     // 0: not yet
  int rc;                           // of the last one that has ended
  struct error err;
  struct sync_counts counts; // when it has ended
};

// `config` without project; its strings must live as long as the job.
struct sync_job *sync_job_new(const struct registry_sync_config *config, struct store *store, const struct clock *clock,
                              struct error *err) MUST_CHECK;
void sync_job_stop(struct sync_job *job); // ends what runs and waits for it; NULL is fine
void sync_job_free(struct sync_job *job);

// `project` empty: of all. ERR_CONFLICT: one is going on. ERR_UNAVAILABLE: the server is stopping.
int sync_job_begin(struct sync_job *job, struct str project, struct error *err) MUST_CHECK;
// It ends soon, and keeps what it has read. False: none runs.
bool sync_job_cancel(struct sync_job *job);
void sync_job_state(struct sync_job *job, struct sync_state *out);

#endif
