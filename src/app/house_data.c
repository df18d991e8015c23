// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/file.h"
#include "app/house_steps.h"
#include "store/identity.h"

int house_start_store(struct house *house, struct error *err) {
  const struct config *config = house->config;
  struct store_config store = {
      .dir = config->data,
      .max_queue = (size_t)config->store_max_queue,
      .min_free_bytes = config->store_min_free_bytes,
      .gather_us = config->store_gather_us,
      .retry_ms = config->store_retry_ms,
      .no_backup_before_upgrade = !config->store_backup_before_upgrade,
      .retention =
          {
              .events_s = config->retention_events_s,
              .attempts_s = config->retention_attempts_s,
              .failed_attempts_s = config->retention_failed_attempts_s,
              .bodies_s = config->retention_bodies_s,
              .failed_bodies_s = config->retention_failed_bodies_s,
              .ingest_log_s = config->retention_ingest_log_s,
              .seen_s = 48 * 3600,
              .audit_s = config->retention_audit_s,
              .session_idle_s = config->auth_session_idle_s,
              .session_max_s = config->auth_session_max_s,
              .backlog_s = config->delivery_max_backlog_age_s,
              .max_bytes = config->retention_max_bytes,
          },
      .on_deliveries = house_on_deliveries,
      .on_policy_news = house_on_policy_news,
      .on_health = house_on_store_health,
      .ctx = house,
  };
  char path[4096];
  // The key must be there before the store is: a store without its key is only ciphertext.
  if (mkdir(config->data, 0700) != 0 && access(config->data, X_OK) != 0) {
    char words[128];
    return error_set(err, ERR_IO, "cannot make the data directory %s: %s", config->data, error_errno(errno, words));
  }
  snprintf(path, sizeof path, "%s/secret.key", config->data);
  struct store_keys keys;
  int rc = store_settle(config->data, &house->log, err);
  if (rc == 0)
    rc = file_keys(path, &keys, err);
  if (rc != 0)
    return rc;
  memcpy(store.seal_key, keys.keys[0], sizeof store.seal_key);
  memcpy(store.old_seal_key, keys.keys[1], sizeof store.old_seal_key);
  store.has_old_seal_key = keys.len == 2;
  explicit_bzero(&keys, sizeof keys);
  if (store.has_old_seal_key)
    log_warn(&house->log, "app",
             "a change of keys was interrupted: both open everything; finish it with `harbinger key rotate --data %s`",
             config->data);
  house->store = store_open(&store, &house->clock, house->ids, &house->log, house->metrics, err);
  if (!house->store)
    return err->code;
  return store_start(house->store, err);
}

// The registry reports our own questions as pulls; ingest knows them by this name. It is the same after a restart, and only
// who holds the key can say it, so that nobody hides a pull behind it.
static void name_own_agent(struct house *house, const uint8_t *key) {
  uint8_t mac[HMAC_BYTES];
  crypto_hmac_sha256((struct str){(const char *)key, SEAL_KEY_BYTES}, STR("own user agent"), mac);
  snprintf(house->own_agent, sizeof house->own_agent,
           "Harbinger/" HARBINGER_VERSION " (%02x%02x%02x%02x%02x%02x%02x%02x)", mac[0], mac[1], mac[2], mac[3], mac[4],
           mac[5], mac[6], mac[7]);
}

int house_start_auth(struct house *house, struct error *err) {
  uint8_t token_key[SEAL_KEY_BYTES];
  char path[4096];
  snprintf(path, sizeof path, "%s/token.key", house->config->data);
  int rc = file_key(path, token_key, sizeof token_key, err);
  if (rc != 0)
    return rc;
  name_own_agent(house, token_key);
  const struct auth_config config = {
      .cache_ms = house->config->auth_cache_ms,
      .max_cached = 1024,
      .max_tracked = 65536,
      .delay_min_ms = house->config->auth_delay_min_ms,
      .delay_max_ms = house->config->auth_delay_max_ms,
      .forget_ms = house->config->auth_forget_ms,
      .max_hashing = HOUSE_HASHING,
      .max_hash_waiters = 32,
      .store = house->store,
      .session_idle_s = house->config->auth_session_idle_s,
      .session_max_s = house->config->auth_session_max_s,
      .max_sessions_per_user = (size_t)house->config->auth_max_sessions_per_user,
  };
  house->auth = auth_new(&config, token_key, &house->clock, err);
  return house->auth ? 0 : (int)err->code;
}

struct first_user {
  const char *hash;
  bool made;
};

static int make_first_user(struct store_conn *conn, void *ctx, struct error *err) {
  struct first_user *first = ctx;
  struct arena *arena = arena_new(HOUSE_ARENA_BYTES);
  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  struct user user;
  int rc = user_get_by_name(conn, STR("admin"), arena, &user, err);
  first->made = rc == ERR_NOT_FOUND;
  if (first->made) {
    user = (struct user){
        .name = STR("admin"), .realname = STR("system admin"), .password_hash = str_of(first->hash), .is_admin = true};
    rc = user_create(conn, &user, err);
  }
  arena_free(arena);
  return rc;
}

// The first start makes `admin`. The hash is made before the writer is asked: the writer never does slow work.
int house_start_first_user(struct house *house, struct error *err) {
  char password[PASSWORD_HASH_BYTES], hash[PASSWORD_HASH_BYTES];
  const char *given = house->config->admin_password;
  char made[25];
  auth_password_make(made);
  snprintf(password, sizeof password, "%s", given[0] ? given : made);
  struct store_conn *conn = store_reader_open(house->store, err);
  if (!conn)
    return err->code;
  struct arena *arena = arena_new(HOUSE_ARENA_BYTES);
  struct user user;
  int rc = arena ? user_get_by_name(conn, STR("admin"), arena, &user, err) : ERR_NO_MEMORY;
  arena_free(arena);
  store_reader_close(conn);
  if (rc != ERR_NOT_FOUND)
    return rc;
  if (given[0] && (rc = auth_password_check(STR("admin"), str_of(given), err)) != 0) {
    error_context(err, "admin.password");
    return rc;
  }
  if ((rc = crypto_password_hash(str_of(password), hash, err)) != 0)
    return rc;
  struct first_user first = {.hash = hash};
  rc = store_write_sync(house->store, make_first_user, &first, err);
  if (rc == 0 && first.made && !given[0])
    house->first_password = strdup(password);
  return rc;
}