// SPDX-License-Identifier: Apache-2.0
#include "auth/failure_notes.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crypto.h"

// A note keeps its place for a minute: as many places as there can be notes in one.
enum { PLACES = FAILURE_NOTES_PER_MINUTE, MINUTE_S = 60, KEY_BYTES = 16 };

struct note {
  bool taken;
  int64_t at_us;
  uint8_t key[KEY_BYTES]; // a hash of user and address
};

struct failure_notes {
  pthread_mutex_t lock; // around all below
  struct note notes[PLACES];
  int64_t others;
};

static void key_of(struct str user, const struct address *peer, uint8_t key[static KEY_BYTES]) {
  uint8_t parts[2 * SHA256_BYTES], hash[SHA256_BYTES];

  crypto_sha256(user, parts);
  crypto_sha256((struct str){(const char *)peer->bytes, sizeof(peer->bytes)}, parts + SHA256_BYTES);
  crypto_sha256((struct str){(const char *)parts, sizeof(parts)}, hash);
  memcpy(key, hash, KEY_BYTES);
}

// The place for this key, or NULL: it was noted within a minute, or no place is free.
static struct note *place_for(struct failure_notes *notes, const uint8_t key[static KEY_BYTES], int64_t now_us) {
  struct note *place = NULL;

  for (size_t i = 0; i < PLACES; i++) {
    struct note *note = &notes->notes[i];
    if (note->taken && now_us - note->at_us < MINUTE_S * US_PER_S) {
      if (memcmp(note->key, key, KEY_BYTES) == 0)
        return NULL;
    } else if (!place) {
      place = note;
    }
  }
  return place;
}

bool failure_notes_add(struct failure_notes *notes, struct str user, const struct address *peer, int64_t now_us,
                       int64_t *others) {
  uint8_t key[KEY_BYTES];

  key_of(user, peer, key);
  pthread_mutex_lock(&notes->lock);
  struct note *place = place_for(notes, key, now_us);
  if (place) {
    *place = (struct note){.taken = true, .at_us = now_us};
    memcpy(place->key, key, KEY_BYTES);
    *others = notes->others;
    notes->others = 0;
  } else {
    notes->others++;
  }
  pthread_mutex_unlock(&notes->lock);
  return place != NULL;
}

struct failure_notes *failure_notes_new(struct error *err) {
  struct failure_notes *notes = calloc(1, sizeof(*notes));

  if (!notes) {
    error_set(err, ERR_NO_MEMORY, "out of memory for notes on failed logins");
    return NULL;
  }
  pthread_mutex_init(&notes->lock, NULL);
  return notes;
}

void failure_notes_free(struct failure_notes *notes) {
  if (!notes)
    return;
  pthread_mutex_destroy(&notes->lock);
  free(notes);
}
