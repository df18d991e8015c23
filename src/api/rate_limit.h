// SPDX-License-Identifier: Apache-2.0
// How often something may be asked, per user and per project, in memory: `per_minute` at once, then one each 60/per_minute
// seconds. A bounded table; when it is full the count that is soonest clean again is forgotten. Shared by threads (a lock
// inside); nobody waits here.
#ifndef HARBINGER_API_RATE_LIMIT_H
#define HARBINGER_API_RATE_LIMIT_H

#include <stdint.h>

#include "base/error.h"

enum { RATE_LIMIT_MAX_TRACKED = 1024 }; // users and projects together

struct rate_limit;

struct rate_limit *rate_limit_new(int64_t per_minute, struct error *err) MUST_CHECK;
void rate_limit_free(struct rate_limit *limit); // NULL is fine
// May `user_id` ask once more about `project_id` at `now_us` (monotonic)? Then it is counted for both and 0 is returned;
// else the seconds until it may, 1 or more, and nothing is counted.
int64_t rate_limit_ask(struct rate_limit *limit, int64_t user_id, int64_t project_id, int64_t now_us) MUST_CHECK;

#endif
