// SPDX-License-Identifier: Apache-2.0
#include "api/rate_limit.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"

enum { WINDOW_S = 60 };

enum asker { ASKER_USER, ASKER_PROJECT, ASKERS };

// GCRA: each asking moves the time at which the count is clean again by one interval; it may lie a window ahead.
struct count {
  enum asker kind;
  int64_t id;
  int64_t clean_us; // in the past: free
};

struct rate_limit {
  pthread_mutex_t lock; // around `counts`
  int64_t interval_us;
  struct count counts[RATE_LIMIT_MAX_TRACKED];
};

// The count of that asker, or the one that is soonest clean, made its own.
static struct count *count_of(struct rate_limit *limit, enum asker kind, int64_t id, const struct count *keep) {
  struct count *oldest = NULL;

  for (size_t i = 0; i < RATE_LIMIT_MAX_TRACKED; i++) {
    struct count *count = &limit->counts[i];
    if (count->kind == kind && count->id == id)
      return count;
    if (count != keep && (!oldest || count->clean_us < oldest->clean_us))
      oldest = count;
  }
  *oldest = (struct count){.kind = kind, .id = id, .clean_us = INT64_MIN};
  return oldest;
}

static int64_t wait_us(const struct rate_limit *limit, const struct count *count, int64_t now_us) {
  int64_t clean_us = count->clean_us > now_us ? count->clean_us : now_us;

  return clean_us + limit->interval_us - now_us - WINDOW_S * US_PER_S;
}

static void add(const struct rate_limit *limit, struct count *count, int64_t now_us) {
  count->clean_us = (count->clean_us > now_us ? count->clean_us : now_us) + limit->interval_us;
}

int64_t rate_limit_ask(struct rate_limit *limit, int64_t user_id, int64_t project_id, int64_t now_us) {
  pthread_mutex_lock(&limit->lock);
  struct count *user = count_of(limit, ASKER_USER, user_id, NULL);
  struct count *project = count_of(limit, ASKER_PROJECT, project_id, user);
  int64_t user_us = wait_us(limit, user, now_us), project_us = wait_us(limit, project, now_us);
  int64_t longest_us = user_us > project_us ? user_us : project_us;
  if (longest_us <= 0) {
    add(limit, user, now_us);
    add(limit, project, now_us);
  }
  pthread_mutex_unlock(&limit->lock);
  return longest_us <= 0 ? 0 : (longest_us + US_PER_S - 1) / US_PER_S;
}

struct rate_limit *rate_limit_new(int64_t per_minute, struct error *err) {
  struct rate_limit *limit = calloc(1, sizeof(*limit));

  if (!limit) {
    error_set(err, ERR_NO_MEMORY, "out of memory for a rate limit");
    return NULL;
  }
  pthread_mutex_init(&limit->lock, NULL);
  limit->interval_us = WINDOW_S * US_PER_S / (per_minute > 0 ? per_minute : 1);
  for (size_t i = 0; i < RATE_LIMIT_MAX_TRACKED; i++)
    limit->counts[i] = (struct count){.kind = ASKERS, .clean_us = INT64_MIN};
  return limit;
}

void rate_limit_free(struct rate_limit *limit) {
  if (!limit)
    return;
  pthread_mutex_destroy(&limit->lock);
  free(limit);
}
