// SPDX-License-Identifier: Apache-2.0
// How far a system is on the way to its first delivered webhook: the newest of each thing that it takes. Cheap however
// much there is. See store.h for connections, threads and arenas.
#ifndef HARBINGER_STORE_FIRST_STEPS_H
#define HARBINGER_STORE_FIRST_STEPS_H

#include "store/store.h"

struct first_steps { // ids are 0 for what is not there yet
  int64_t project_id;
  struct str project_name;
  int64_t policy_id, policy_project_id;
  struct str policy_name, policy_project_name;
  int64_t delivery_id, delivery_policy_id, delivery_project_id; // succeeded
};

int first_steps_read(struct store_conn *conn, struct arena *arena, struct first_steps *out, struct error *err)
    MUST_CHECK;

#endif
