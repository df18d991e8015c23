// SPDX-License-Identifier: Apache-2.0
#include "auth/password.h"

#include <pthread.h>
#include <stdlib.h>

#include "auth/auth.h"
#include "base/id.h"
#include "base/utf8.h"

enum { MADE_LEN = 24 };

struct hash_gate {
  pthread_mutex_t lock;
  pthread_cond_t left;
  int hashing, max_hashing;
  size_t waiting, max_waiters;
};

struct hash_gate *hash_gate_new(int max_hashing, size_t max_waiters, struct error *err) {
  struct hash_gate *gate = calloc(1, sizeof *gate);

  if (!gate) {
    error_set(err, ERR_NO_MEMORY, "out of memory for the password checks");
    return NULL;
  }
  pthread_mutex_init(&gate->lock, NULL);
  pthread_cond_init(&gate->left, NULL);
  gate->max_hashing = max_hashing > 0 ? max_hashing : 1;
  gate->max_waiters = max_waiters;
  return gate;
}

void hash_gate_free(struct hash_gate *gate) {
  if (!gate)
    return;
  pthread_cond_destroy(&gate->left);
  pthread_mutex_destroy(&gate->lock);
  free(gate);
}

int hash_gate_enter(struct hash_gate *gate, struct error *err) {
  int rc = 0;

  pthread_mutex_lock(&gate->lock);
  if (gate->hashing == gate->max_hashing && gate->waiting >= gate->max_waiters) {
    rc = error_set(err, ERR_UNAVAILABLE, "too many passwords are being checked; try again");
  } else {
    gate->waiting++;
    while (gate->hashing == gate->max_hashing)
      pthread_cond_wait(&gate->left, &gate->lock);
    gate->waiting--;
    gate->hashing++;
  }
  pthread_mutex_unlock(&gate->lock);
  return rc;
}

void hash_gate_leave(struct hash_gate *gate) {
  pthread_mutex_lock(&gate->lock);
  gate->hashing--;
  pthread_cond_signal(&gate->left);
  pthread_mutex_unlock(&gate->lock);
}

int password_verify(struct hash_gate *gate, struct str password, const char *hash, bool *right, struct error *err) {
  int rc = hash_gate_enter(gate, err);

  *right = false;
  if (rc != 0)
    return rc;
  *right = crypto_password_verify(password, hash);
  hash_gate_leave(gate);
  return 0;
}

int password_hash(struct hash_gate *gate, struct str password, char out[static PASSWORD_HASH_BYTES],
                  struct error *err) {
  int rc = hash_gate_enter(gate, err);

  if (rc != 0)
    return rc;
  rc = crypto_password_hash(password, out, err);
  hash_gate_leave(gate);
  return rc;
}

// ---- new passwords --------------------------------------------------------------------------------------------------

static bool has_between(struct str s, char low, char high) {
  for (size_t i = 0; i < s.len; i++)
    if (s.ptr[i] >= low && s.ptr[i] <= high)
      return true;
  return false;
}

static bool has_all_kinds(struct str s) {
  return has_between(s, 'A', 'Z') && has_between(s, 'a', 'z') && has_between(s, '0', '9');
}

int auth_password_check(struct str name, struct str password, struct error *err) {
  if (password.len < PASSWORD_MIN_BYTES || password.len > PASSWORD_MAX_BYTES)
    return error_set(err, ERR_BAD_REQUEST, "the password must have %d to %d characters", PASSWORD_MIN_BYTES,
                     PASSWORD_MAX_BYTES);
  if (!utf8_valid(password) || str_find(password, '\0') >= 0)
    return error_set(err, ERR_BAD_REQUEST, "the password is not valid UTF-8 text");
  if (str_ieq(name, password))
    return error_set(err, ERR_BAD_REQUEST, "the password must not be the user's name");
  if (!has_all_kinds(password))
    return error_set(err, ERR_BAD_REQUEST,
                     "the password must have at least one upper case letter, one lower case letter and one digit");
  return 0;
}

// Letters and digits that nobody mixes up when reading them from a screen.
static void draw(char out[static MADE_LEN + 1]) {
  static const char alphabet[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
  const unsigned len = sizeof alphabet - 1,
                 fair = 256 - 256 % len; // bytes from `fair` on would favour the first letters

  for (size_t i = 0; i < MADE_LEN;) {
    uint8_t byte;
    random_bytes(&byte, sizeof byte);
    if (byte < fair)
      out[i++] = alphabet[byte % len];
  }
  out[MADE_LEN] = '\0';
}

void auth_password_make(char out[static 25]) {
  do
    draw(out);
  while (!has_all_kinds((struct str){out, MADE_LEN})); // one draw in fifty has no digit
}
