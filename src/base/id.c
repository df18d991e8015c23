// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

// RFC 9562 5.7 and method 1 of 6.2: 48 bits of milliseconds, version, 12 bits of counter, variant, 62 random bits.
enum { COUNTER_MAX = 0xFFF, TAIL_BYTES = 8, POOL_BYTES = 1024 };

struct id_source {
  const struct clock *clock;
  pthread_mutex_t lock;
  int64_t last_ms;
  unsigned counter;
  size_t pool_left; // random bytes not used yet: one call of the kernel serves 128 ids
  uint8_t pool[POOL_BYTES];
};

static void source_lock(struct id_source *ids) {
  if (pthread_mutex_lock(&ids->lock) != 0)
    abort();
}

static void source_unlock(struct id_source *ids) {
  if (pthread_mutex_unlock(&ids->lock) != 0)
    abort();
}

struct id_source *id_source_new(const struct clock *clock) {
  struct id_source *ids = calloc(1, sizeof(*ids));

  if (!ids)
    return NULL;
  if (pthread_mutex_init(&ids->lock, NULL) != 0) {
    free(ids);
    return NULL;
  }
  ids->clock = clock;
  ids->last_ms = -1;
  return ids;
}

void id_source_free(struct id_source *ids) {
  if (!ids)
    return;
  (void)pthread_mutex_destroy(&ids->lock);
  free(ids);
}

// Move to the next (time, counter) pair: the clock's millisecond when it is ahead, else the counter, and when that is
// used up a millisecond borrowed from the future.
static void step(struct id_source *ids) {
  int64_t now_ms = clock_wall_us(ids->clock) / US_PER_MS;

  if (now_ms > ids->last_ms) {
    ids->last_ms = now_ms;
    ids->counter = 0;
  } else if (ids->counter < COUNTER_MAX) {
    ids->counter++;
  } else {
    ids->last_ms++;
    ids->counter = 0;
  }
}

static const uint8_t *random_tail(struct id_source *ids) {
  if (ids->pool_left < TAIL_BYTES) {
    random_bytes(ids->pool, sizeof(ids->pool));
    ids->pool_left = sizeof(ids->pool);
  }
  ids->pool_left -= TAIL_BYTES;
  return ids->pool + ids->pool_left;
}

struct uuid id_next(struct id_source *ids) {
  struct uuid uuid;

  source_lock(ids);
  step(ids);
  uint64_t time_ms = (uint64_t)ids->last_ms;
  for (int i = 0; i < 6; i++)
    uuid.bytes[i] = (uint8_t)(time_ms >> (40 - 8 * i));
  uuid.bytes[6] = (uint8_t)(0x70 | ids->counter >> 8);
  uuid.bytes[7] = (uint8_t)(ids->counter & 0xFF);
  memcpy(uuid.bytes + 8, random_tail(ids), TAIL_BYTES);
  source_unlock(ids);
  uuid.bytes[8] = (uint8_t)(0x80 | (uuid.bytes[8] & 0x3F));
  return uuid;
}

void id_source_raise(struct id_source *ids, const struct uuid *last) {
  int64_t last_ms = 0;

  if (last->bytes[6] >> 4 != 7) // only version 7 carries a time
    return;
  for (int i = 0; i < 6; i++)
    last_ms = last_ms << 8 | last->bytes[i];
  unsigned counter = (unsigned)(last->bytes[6] & 0x0F) << 8 | last->bytes[7];

  source_lock(ids);
  if (last_ms > ids->last_ms || (last_ms == ids->last_ms && counter > ids->counter)) {
    ids->last_ms = last_ms;
    ids->counter = counter;
  }
  source_unlock(ids);
}

static bool hyphen_before(int byte) {
  return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

const char *uuid_write(const struct uuid *uuid, char out[static UUID_TEXT_BYTES]) {
  static const char DIGITS[] = "0123456789abcdef";
  char *to = out;

  for (int i = 0; i < UUID_BYTES; i++) {
    if (hyphen_before(i))
      *to++ = '-';
    *to++ = DIGITS[uuid->bytes[i] >> 4];
    *to++ = DIGITS[uuid->bytes[i] & 0x0F];
  }
  *to = '\0';
  return out;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

bool uuid_read(struct str text, struct uuid *uuid) {
  struct uuid read;
  size_t at = 0;

  if (text.len != UUID_TEXT_BYTES - 1)
    return false;
  for (int i = 0; i < UUID_BYTES; i++) {
    if (hyphen_before(i) && text.ptr[at++] != '-')
      return false;
    int high = hex_digit(text.ptr[at++]);
    int low = hex_digit(text.ptr[at++]);
    if (high < 0 || low < 0)
      return false;
    read.bytes[i] = (uint8_t)(high << 4 | low);
  }
  *uuid = read;
  return true;
}

void random_bytes(void *out, size_t len) {
  uint8_t *to = out;

  while (len > 0) {
    ssize_t got = getrandom(to, len, 0);
    if (got < 0) {
      if (errno == EINTR)
        continue;
      abort(); // no secret may be made without it
    }
    to += got;
    len -= (size_t)got;
  }
}
