// SPDX-License-Identifier: Apache-2.0
#include "dispatch/echo.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/utf8.h"

enum { WAYS = 4, SETS = ECHO_KEYS / WAYS };

// What was delivered last under one key, and how often it came back since `since_us`.
struct heard {
  uint64_t key; // 0: empty
  int64_t began_us, delivered_us, since_us;
  uint32_t count;
};

struct warned {
  int64_t policy_id; // 0: empty
  int64_t logged_us, heard_us;
  char words[ECHO_WORDS_BYTES];
};

struct echoes {
  const struct log *log;
  struct metric *warnings;
  struct heard (*sets)[WAYS]; // the loop's
  pthread_mutex_t lock;       // of what is below
  struct warned warned[ECHO_POLICIES];
};

struct echoes *echoes_new(const struct log *log, struct metrics *metrics) {
  struct echoes *echoes = calloc(1, sizeof(*echoes));
  if (!echoes)
    return NULL;
  echoes->sets = calloc(SETS, sizeof(*echoes->sets));
  if (!echoes->sets || pthread_mutex_init(&echoes->lock, NULL) != 0) {
    free(echoes->sets);
    free(echoes);
    return NULL;
  }
  echoes->log = log;
  echoes->warnings = metrics_counter(metrics, "harbinger_loop_warnings_total", "",
                                     "Warnings that a receiver seems to cause the events that it is told of.");
  return echoes;
}

void echoes_free(struct echoes *echoes) {
  if (!echoes)
    return;
  (void)pthread_mutex_destroy(&echoes->lock);
  free(echoes->sets);
  free(echoes);
}

// ---- the sign -------------------------------------------------------------------------------------------------------

// FNV-1a, 64 bits: two keys that meet cost a wrong count of a warning, nothing else.
static uint64_t mix(uint64_t hash, const void *bytes, size_t len) {
  const unsigned char *at = bytes;
  for (size_t i = 0; i < len; i++)
    hash = (hash ^ at[i]) * UINT64_C(1099511628211);
  return hash;
}

static uint64_t mix_text(uint64_t hash, struct str text) {
  return mix(mix(hash, text.ptr, text.len), "", 1); // ended, so that no two lists of texts look the same
}

static struct str tag_of(const struct event *event) {
  return event->artifacts_len > 0 ? event_resource_tag(event, &event->artifacts[0]) : STR_EMPTY;
}

// Who did it: without a name, from where.
static struct str actor_of(const struct event *event) {
  return event->actor.name.len > 0 ? event->actor.name : event->client.address;
}

static uint64_t key_of(int64_t policy_id, const struct event *event) {
  uint64_t hash = mix(UINT64_C(14695981039346656037), &policy_id, sizeof(policy_id));
  hash = mix(hash, &event->type, sizeof(event->type));
  hash = mix(hash, &event->actor.kind, sizeof(event->actor.kind));
  hash = mix_text(hash, actor_of(event));
  hash = mix_text(hash, event->repository.project);
  hash = mix_text(hash, event->repository.name);
  hash = mix_text(hash, tag_of(event));
  return hash != 0 ? hash : 1;
}

// The key's place; a new one takes that of the key that was delivered longest ago.
static struct heard *place_of(struct echoes *echoes, uint64_t key) {
  struct heard *set = echoes->sets[(key >> 32) % SETS], *oldest = &set[0];
  for (int i = 0; i < WAYS; i++) {
    if (set[i].key == key)
      return &set[i];
    if (set[i].delivered_us < oldest->delivered_us)
      oldest = &set[i];
  }
  *oldest = (struct heard){.key = key};
  return oldest;
}

static bool is_echo(const struct heard *heard, const struct event *event) {
  return heard->delivered_us != 0 && event->recorded_at_us >= heard->began_us &&
         event->recorded_at_us - heard->delivered_us < ECHO_WITHIN_S * US_PER_S;
}

// ---- the warning ----------------------------------------------------------------------------------------------------

static struct warned *warned_of(struct echoes *echoes, int64_t policy_id) {
  struct warned *oldest = &echoes->warned[0];
  for (int i = 0; i < ECHO_POLICIES; i++) {
    if (echoes->warned[i].policy_id == policy_id)
      return &echoes->warned[i];
    if (echoes->warned[i].heard_us < oldest->heard_us)
      oldest = &echoes->warned[i];
  }
  *oldest = (struct warned){.policy_id = policy_id};
  return oldest;
}

static void write_words(const struct event *event, uint32_t count, char words[static ECHO_WORDS_BYTES]) {
  struct str actor = actor_of(event), tag = tag_of(event);
  if (actor.len == 0)
    actor = STR("an unknown client");
  int len = snprintf(words, ECHO_WORDS_BYTES,
                     "%u times within an hour the event %s came again within a minute of its delivery, by %.*s on "
                     "%.*s/%.*s%s%.*s: perhaps the receiver causes what it is told of",
                     count, event_type_name(event->type), STR_ARG(actor), STR_ARG(event->repository.project),
                     STR_ARG(event->repository.name), tag.len ? ":" : "", STR_ARG(tag));
  if (len >=
      ECHO_WORDS_BYTES) // the last character may be there in part: one byte less than there is finds its beginning
    words[utf8_cut(str_of(words), ECHO_WORDS_BYTES - 2).len] = '\0';
}

static void warn(struct echoes *echoes, int64_t policy_id, const struct event *event, uint32_t count, int64_t now_us) {
  char words[ECHO_WORDS_BYTES];
  write_words(event, count, words);
  (void)pthread_mutex_lock(&echoes->lock);
  struct warned *warned = warned_of(echoes, policy_id);
  bool is_due = warned->logged_us == 0 || now_us - warned->logged_us >= ECHO_WINDOW_S * US_PER_S ||
                now_us < warned->logged_us; // the clock was set back
  if (is_due)
    warned->logged_us = now_us;
  warned->heard_us = now_us;
  memcpy(warned->words, words, sizeof(words));
  (void)pthread_mutex_unlock(&echoes->lock);
  if (!is_due)
    return;
  metric_add(echoes->warnings, 1);
  log_warn(echoes->log, "dispatch", "webhook %lld looks like a loop: %s", (long long)policy_id, words);
}

void echoes_delivered(struct echoes *echoes, int64_t policy_id, const struct event *event, int64_t began_wall_us,
                      int64_t now_wall_us) {
  if (event->type != EVENT_PUSH_ARTIFACT && event->type != EVENT_DELETE_ARTIFACT)
    return;
  struct heard *heard = place_of(echoes, key_of(policy_id, event));
  if (is_echo(heard, event)) {
    if (heard->count == 0 || now_wall_us - heard->since_us >= ECHO_WINDOW_S * US_PER_S ||
        now_wall_us < heard->since_us) {
      heard->since_us = now_wall_us;
      heard->count = 0;
    }
    if (++heard->count > ECHO_PER_HOUR)
      warn(echoes, policy_id, event, heard->count, now_wall_us);
  }
  heard->began_us = began_wall_us;
  heard->delivered_us = now_wall_us;
}

bool echoes_warning(struct echoes *echoes, int64_t policy_id, int64_t now_wall_us,
                    char words[static ECHO_WORDS_BYTES]) {
  bool found = false;
  (void)pthread_mutex_lock(&echoes->lock);
  for (int i = 0; i < ECHO_POLICIES && !found; i++) {
    const struct warned *warned = &echoes->warned[i];
    found = warned->policy_id == policy_id && now_wall_us - warned->heard_us < ECHO_WINDOW_S * US_PER_S;
    if (found)
      memcpy(words, warned->words, sizeof(warned->words));
  }
  (void)pthread_mutex_unlock(&echoes->lock);
  return found;
}
