// SPDX-License-Identifier: Apache-2.0
// Deliveries and attempts. A delivery is one event for one target; its id is Harbor's execution id and task id. `running`
// is memory of the sender only: after a kill the delivery is still waiting and is sent again. See store.h.
#ifndef HARBINGER_STORE_DELIVERIES_H
#define HARBINGER_STORE_DELIVERIES_H

#include "event/event.h"
#include "policy/policy.h"
#include "store/query.h"
#include "store/store.h"

enum { DELIVERY_MAX_OF_EVENT = 1000, ATTEMPT_WHY_BYTES = 512 };

enum delivery_state { // values are stored
  DELIVERY_PENDING = 0,
  DELIVERY_RETRYING = 1,
  DELIVERY_HELD = 2, // strict order: waits for its predecessor, outside the index
  DELIVERY_SUCCEEDED = 3,
  DELIVERY_FAILED = 4,
  DELIVERY_CANCELLED = 5,
};

const char *delivery_state_name(enum delivery_state state);

// ---- for the sender -------------------------------------------------------------------------------------------------

// Targets that have waiting deliveries (not suspended, not being put in order, policy enabled), each once, in order of id,
// at most `max`: those after *after, which becomes where to go on (0: there are no more). None may be found although there
// are more: what is not sent to is stepped over, a bounded piece in each call.
int delivery_lanes(struct store_conn *conn, int64_t *after, int64_t *targets, size_t max, size_t *len,
                   struct error *err) MUST_CHECK;
// The next waiting deliveries of a target in one priority class in order of (due, id), starting after (due_us, id);
// cancelled ones are left out. At most `max`.
int delivery_next(struct store_conn *conn, int64_t target_id, int prio, int64_t after_due_us, int64_t after_id,
                  struct delivery_notice *out, size_t max, size_t *len, struct error *err) MUST_CHECK;

struct delivery_load {
  int64_t id, target_id, policy_id;
  enum delivery_state state;
  int attempts;
  int64_t created_at_us;
  int64_t failing_since_us; // its target; 0: it does not fail
  struct event event;
  struct str body; // stored with the first attempt; ptr NULL before
};
// Everything a try needs besides the target. `format_key` names the stored body. ERR_NOT_FOUND when it is gone.
int delivery_load(struct store_conn *conn, int64_t id, const char *format_key, struct arena *arena,
                  struct delivery_load *out, struct error *err) MUST_CHECK;

struct attempt {
  int64_t delivery_id;
  int number; // 1, 2, ...
  int64_t started_at_us, ended_at_us;
  struct str outcome; // "success", "http_error", "dns", "blocked", "connect", "tls", "timeout", "closed", "malformed"
  int status;         // 0 when no answer
  struct str words;   // why it failed, for a person
  struct str request_headers;                                  // "Name: value\n" lines, secrets as ********
  struct str response_headers;                                 // as received, at most 8 KiB
  struct str response_body;                                    // at most 4 KiB
  int64_t dns_us, connect_us, tls_us, first_byte_us, total_us; // -1 when not reached
  bool connection_reused;
};

struct attempt_result {
  struct attempt attempt;
  enum delivery_state state; // SUCCEEDED, FAILED, RETRYING
  int prio;                  // RETRYING
  int64_t due_us;            // RETRYING
  const char *format_key;
  struct str body;        // stored once; empty when it is stored already
  struct str ended_words; // FAILED: why, when it is not what the attempt says; empty: that
  bool target_failed;     // it says something about the target, and nothing good
  bool suspend_target;    // 410
  struct str suspend_reason;
  int64_t suspend_failing_before_us; // and when it has failed without a success since before this; 0: never
  // Set by delivery_record:
  bool suspended; // the target was suspended by this
  char suspended_why[ATTEMPT_WHY_BYTES];
};
// Inside a store_write: insert the attempt, move the delivery. A delivery cancelled meanwhile keeps `cancelled` (its
// attempt is recorded all the same) unless it succeeded.
int delivery_record(struct store_conn *conn, struct attempt_result *result, struct error *err) MUST_CHECK;

// ---- for people -----------------------------------------------------------------------------------------------------

struct delivery {
  int64_t id, policy_id, target_id, project_id;
  enum target_type target_type;
  enum payload_format format; // of the target, deleted or not: they name the stored body
  bool extras;
  struct uuid event_id;
  enum event_type event_type;
  enum delivery_state state;
  int attempts;
  int last_status;
  struct str last_words;
  int64_t created_at_us;
  int64_t started_at_us; // of the last attempt, 0 before
  int64_t ended_at_us;   // 0 while waiting
  int64_t due_us;        // next try while waiting
  struct str body;       // when asked for and still stored or renderable: the caller renders when empty
};

// `query` keys: id, status (Harbor's words), start_time, update_time, end_time, vendor_type, extra_attrs.event_type; sorts
// start_time, end_time, id, status. Covers the newest 10,000 of the policy (0: of the project; 0 and 0: all).
int delivery_list(struct store_conn *conn, int64_t project_id, int64_t policy_id, const struct query *query,
                  struct arena *arena, struct delivery **out, size_t *len, int64_t *total, struct error *err)
    MUST_CHECK;
int delivery_get(struct store_conn *conn, int64_t id, struct arena *arena, struct delivery *out,
                 struct error *err) MUST_CHECK; // ERR_NOT_FOUND "execution 7 not found"
// Those of one event in order of id, the first DELIVERY_MAX_OF_EVENT. Ones made with the event have created_at_us equal to
// its recorded_at_us; later ones are redeliveries.
int delivery_of_event(struct store_conn *conn, const struct uuid *event_id, struct arena *arena, struct delivery **out,
                      size_t *len, struct error *err) MUST_CHECK;
int delivery_attempts(struct store_conn *conn, int64_t id, struct arena *arena, struct attempt **out, size_t *len,
                      struct error *err) MUST_CHECK;
// How long the last try took; -1 when there was none or its attempt is trimmed.
int delivery_last_duration(struct store_conn *conn, const struct delivery *delivery, int64_t *us, struct error *err)
    MUST_CHECK;
// How many deliveries of a policy wait, counted up to `max`; *more when there are others.
int delivery_waiting(struct store_conn *conn, int64_t policy_id, int64_t max, int64_t *count, bool *more,
                     struct error *err) MUST_CHECK;
// Strict order: the delivery of the target that the held ones wait for; 0 when none waits.
int delivery_head(struct store_conn *conn, int64_t target_id, int64_t *id, struct error *err) MUST_CHECK;
int delivery_body(struct store_conn *conn, int64_t id, const char *format_key, struct arena *arena, struct str *body,
                  struct error *err) MUST_CHECK; // ptr NULL when not stored
// A new delivery of the same event to the same target; in strict order it comes after all that wait. Inside a store_write.
int delivery_again(struct store_conn *conn, int64_t id, int64_t *new_id, struct error *err) MUST_CHECK;

struct delivery_depth {
  int64_t waiting;       // deliveries waiting
  int64_t oldest_due_us; // 0 when none
};
// Cheap enough for /metrics (kept in memory by the writer, exact after start).
void delivery_depth(struct store *store, struct delivery_depth *out);

#endif
