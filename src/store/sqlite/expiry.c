// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/expiry.h"

#include <stdio.h>

#include "store/sqlite/changes.h"
#include "store/sqlite/order.h"
#include "store/sqlite/state.h"
#include "store/stops.h"

enum { EXPIRY_PRIOS = 4, EXPIRY_WORDS_BYTES = 160 };

struct stuck { // a target that work waits for in vain
  int64_t policy_id;
  bool suspended, paused, strict_order;
};

// 1: *out is filled; 0: the target is none of ours, or a cancel's sweep has not been over its rows. Suspended, paused or
// failing since before `before_us`: what is as old because the program was stopped had no time to be sent. A policy that
// was saved while it is paused counts from then.
static int look_at(struct store_conn *conn, int64_t target_id, int64_t before_us, struct stuck *out,
                   struct error *err) {
  static const char sql[] =
      "SELECT t.policy_id, t.suspended, p.hold, t.strict_order FROM target t JOIN policy p ON p.id = t.policy_id WHERE "
      "t.id = ?1 AND t.deleted_us IS NULL AND p.deleted_us IS NULL AND t.swept_below >= t.cancel_below AND "
      "((t.suspended = 1 AND t.suspended_us < ?2) OR (p.hold = 1 AND p.updated_us < ?2) OR "
      "(t.failing_since_us > 0 AND t.failing_since_us < ?2))";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target_id);
  stmt_bind_i64(&stmt, 2, before_us);
  rc = stmt_step(&stmt, "read a target", err);
  if (rc == 1)
    *out = (struct stuck){.policy_id = stmt_i64(&stmt, 0),
                          .suspended = stmt_bool(&stmt, 1),
                          .paused = stmt_bool(&stmt, 2),
                          .strict_order = stmt_bool(&stmt, 3)};
  return rc;
}

// Since when it is suspended is not known of what a restore without its key gave up, nor from before that was noted: then
// since it was first seen so.
static int note_suspension(struct store_conn *conn, int64_t target_id, struct error *err) {
  static const char sql[] = "UPDATE target SET suspended_us = ?2 WHERE id = ?1 AND suspended = 1 AND suspended_us = 0";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target_id);
  stmt_bind_i64(&stmt, 2, clock_wall_us(conn->store->clock));
  return stmt_run(&stmt, "note since when a target is suspended", err);
}

static void write_words(const struct stuck *stuck, int64_t max_age_s, char *words, size_t size) {
  const int64_t day_s = 86400;
  const char *why = stuck->paused      ? "its webhook was paused"
                    : stuck->suspended ? "its target was suspended"
                                       : "its target answered nothing well";
  bool days = max_age_s % day_s == 0;

  (void)snprintf(words, size, "expired: it waited for more than %lld %s while %s",
                 (long long)(days ? max_age_s / day_s : max_age_s), days ? "days" : "seconds", why);
}

// By due time, which is that of making for what was never tried, and never more than a retry's wait later.
static int end_some(struct store_conn *conn, int64_t target_id, int64_t prio, int64_t before_us, const char *words,
                    int64_t *ended, struct error *err) {
  static const char sql[] =
      "UPDATE delivery SET state = 4, ended_us = ?4, last_words = ?5 || CASE WHEN coalesce(last_words, '') <> '' THEN "
      "'; the last try: ' || last_words ELSE '' END WHERE id IN (SELECT id FROM delivery INDEXED BY delivery_waiting "
      "WHERE state <= 1 AND target_id = ?1 AND prio = ?2 AND due_us < ?3 ORDER BY due_us, id LIMIT ?6)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, target_id);
  stmt_bind_i64(&stmt, 2, prio);
  stmt_bind_i64(&stmt, 3, before_us);
  stmt_bind_i64(&stmt, 4, clock_wall_us(conn->store->clock));
  stmt_bind_text(&stmt, 5, str_of(words));
  stmt_bind_i64(&stmt, 6, EXPIRY_STEP_ROWS);
  rc = stmt_run(&stmt, "end what waited too long", err);
  if (rc == 0)
    *ended = stmt_changes(&stmt);
  return rc;
}

static int end_of_target(struct store_conn *conn, int64_t target_id, int64_t max_age_s, int64_t *ended,
                         struct error *err) {
  int64_t before_us = store_ran_since(conn->store, clock_wall_us(conn->store->clock), max_age_s * US_PER_S);
  char words[EXPIRY_WORDS_BYTES];
  struct stuck stuck = {.policy_id = 0};
  int rc = note_suspension(conn, target_id, err);

  if (rc == 0)
    rc = look_at(conn, target_id, before_us, &stuck, err);
  if (rc <= 0)
    return rc;
  write_words(&stuck, max_age_s, words, sizeof(words));
  rc = 0;
  for (int64_t prio = 0; rc == 0 && *ended == 0 && prio < EXPIRY_PRIOS; prio++)
    rc = end_some(conn, target_id, prio, before_us, words, ended, err);
  if (rc != 0 || *ended == 0)
    return rc;
  change_waiting(conn, -*ended);
  change_news(conn, stuck.policy_id, false);
  return stuck.strict_order ? order_promote(conn, target_id, err) : 0;
}

static int next_target(struct store_conn *conn, struct expiry *expiry, bool *finished, struct error *err) {
  static const char sql[] = "SELECT target_id FROM delivery INDEXED BY delivery_waiting WHERE state <= 1 AND target_id "
                            "> ?1 ORDER BY target_id LIMIT 1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int rc = stmt_begin(conn, sql, &stmt, err);

  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, expiry->target_id);
  rc = stmt_step(&stmt, "list the targets with work", err);
  if (rc < 0)
    return rc;
  *finished = rc == 0;
  *expiry = (struct expiry){.target_id = rc == 1 ? stmt_i64(&stmt, 0) : 0};
  return 0;
}

int expiry_some(struct store_conn *conn, int64_t max_age_s, struct expiry *expiry, int64_t *ended, bool *finished,
                struct error *err) {
  int rc = 0;

  *ended = 0;
  *finished = max_age_s <= 0;
  if (*finished)
    return 0;
  if (expiry->target_id != 0)
    rc = end_of_target(conn, expiry->target_id, max_age_s, ended, err);
  expiry->ended += *ended;
  if (rc != 0 || *ended > 0)
    return rc;
  if (expiry->ended > 0)
    log_warn(conn->store->log, "store", "%lld deliveries of target %lld expired: they had waited for more than %lld s",
             (long long)expiry->ended, (long long)expiry->target_id, (long long)max_age_s);
  return next_target(conn, expiry, finished, err);
}
