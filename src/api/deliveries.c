// SPDX-License-Identifier: Apache-2.0
// Our own view of deliveries: everything that explains what was sent, what came back and when the next try is; and
// sending one again.
#include "api/delivery_view.h"
#include "api/feed.h"
#include "api/routes.h"
#include "net/url.h"
#include "store/events.h"
#include "store/policies.h"

enum {
  UNPAGED_MAX_ROWS = 1000,
  SUMMARY_MAX_WAITING = 10000,
  REASON_MAX_BYTES = 1024,
  ARTIFACT_SCRATCH_BYTES = 32 * 1024 * 1024, // one event of EVENT_MAX_JSON_BYTES, read
};

#define STREAM_FREE_S "5" // Retry-After while all streams are taken

// What the event is about; left out when it is about nothing that has a name, or is trimmed. Events may be large: that
// of a row is forgotten before the next, or a page of them would not fit into the call's arena.
static int write_artifact(struct api_call *call, const struct delivery *delivery, struct json_writer *w,
                          struct error *err) {
  CLEANUP(arena_cleanup) struct arena *scratch = arena_new(ARTIFACT_SCRATCH_BYTES);
  struct event event;

  if (!scratch)
    return error_set(err, ERR_NO_MEMORY, "out of memory for an event");
  int rc = event_get(call->conn, &delivery->event_id, scratch, &event, err);
  if (rc != 0)
    return rc == ERR_NOT_FOUND ? 0 : rc;
  struct str name = event.artifacts_len > 0 ? event_artifact_name(&event, &event.artifacts[0], scratch)
                                            : event_repo_full_name(&event, scratch);
  if (!name.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for an answer");
  json_field_str_opt(w, "artifact", name);
  return 0;
}

// The members that list and single view share but `attempts`, which is their number here and they themselves there.
static int write_members(struct api_call *call, const struct delivery *delivery, struct json_writer *w,
                         struct error *err) {
  char id[UUID_TEXT_BYTES];

  json_field_i64(w, "id", delivery->id);
  json_field_str(w, "event_id", str_of(uuid_write(&delivery->event_id, id)));
  json_field_str(w, "event_type", str_of(event_type_name(delivery->event_type)));
  json_field_i64(w, "policy_id", delivery->policy_id);
  json_field_i64(w, "target_id", delivery->target_id);
  json_field_str(w, "target_type", str_of(target_type_name(delivery->target_type)));
  json_field_str(w, "state", str_of(delivery_state_name(delivery->state)));
  json_field_str(w, "status", str_of(delivery_view_status(delivery)));
  delivery_view_field_time_us(w, "created_at", delivery->created_at_us);
  delivery_view_field_time_us(w, "started_at", delivery->started_at_us);
  delivery_view_field_time_us(w, "ended_at", delivery->ended_at_us);
  if (delivery->state <= DELIVERY_RETRYING) // one that is held waits for another, not for a time
    delivery_view_field_time_us(w, "next_try_at", delivery->due_us);
  json_field_i64_opt(w, "last_status", delivery->last_status);
  json_field_str_opt(w, "last_error", delivery_view_error(delivery));
  return write_artifact(call, delivery, w, err);
}

static int write_row(struct api_call *call, const struct delivery *delivery, struct json_writer *w, struct error *err) {
  int64_t duration_us;
  int rc = delivery_last_duration(call->conn, delivery, &duration_us, err);

  json_object_begin(w);
  if (rc == 0)
    rc = write_members(call, delivery, w, err);
  if (rc != 0)
    return rc;
  json_field_i64(w, "attempts", delivery->attempts);
  if (duration_us >= 0)
    json_field_i64(w, "last_duration_us", duration_us);
  json_object_end(w);
  return 0;
}

int deliveries_list(struct api_call *call, struct error *err) {
  struct query query;
  struct project project;
  struct policy policy;
  struct delivery *deliveries;
  int64_t policy_id, total;
  size_t len;
  int rc = call_path_int(call, 1, "webhook_policy_id", &policy_id, err);

  if (rc == 0)
    rc = call_list_query(call, UNPAGED_MAX_ROWS, &query, err);
  if (rc == 0)
    rc = call_project(call, 0, AUTH_READ_PROJECT, &project, err);
  if (rc == 0)
    rc = policy_get(call->conn, project.id, policy_id, call->arena, &policy, err);
  if (rc == 0)
    rc = delivery_list(call->conn, project.id, policy_id, &query, call->arena, &deliveries, &len, &total, err);
  if (rc == 0)
    rc = call_page_headers(call, &query, total, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_array_begin(&w);
  for (size_t i = 0; rc == 0 && i < len; i++)
    rc = write_row(call, &deliveries[i], &w, err);
  json_array_end(&w);
  return rc;
}

int webhook_summary(struct api_call *call, struct error *err) {
  const struct query newest = {.page = 1, .page_size = 1};
  struct project project;
  struct policy policy;
  struct delivery *last;
  int64_t policy_id, total, waiting;
  size_t len;
  bool more;
  int rc = call_path_int(call, 1, "webhook_policy_id", &policy_id, err);

  if (rc == 0)
    rc = call_project(call, 0, AUTH_READ_PROJECT, &project, err);
  if (rc == 0)
    rc = policy_get(call->conn, project.id, policy_id, call->arena, &policy, err);
  if (rc == 0)
    rc = delivery_waiting(call->conn, policy_id, SUMMARY_MAX_WAITING, &waiting, &more, err);
  if (rc == 0)
    rc = delivery_list(call->conn, project.id, policy_id, &newest, call->arena, &last, &len, &total, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  if (len > 0) {
    json_key(&w, "last");
    rc = write_row(call, &last[0], &w, err);
  }
  json_field_i64(&w, "waiting", waiting);
  json_field_bool(&w, "waiting_is_more", more);
  json_object_end(&w);
  return rc;
}

int deliveries_stream(struct api_call *call, struct error *err) {
  struct project project;
  struct policy policy;
  struct feed_watch *watch;
  int64_t policy_id;
  int rc = call_path_int(call, 1, "webhook_policy_id", &policy_id, err);

  if (rc == 0)
    rc = call_project(call, 0, AUTH_READ_PROJECT, &project, err);
  if (rc == 0)
    rc = policy_get(call->conn, project.id, policy_id, call->arena, &policy, err);
  if (rc != 0)
    return rc;
  rc = feed_reserve(call->config->feed, call->identity.user_id, project.id, policy_id, &watch, err);
  if (rc == ERR_TOO_MANY)
    call_header(call, "Retry-After", STR(STREAM_FREE_S));
  if (rc != 0)
    return rc;
  call_header(call, "Cache-Control", STR("no-store"));
  call_header(call, "X-Accel-Buffering", STR("no")); // nginx would keep the events to itself
  call->watch = watch;
  return 0;
}

// ---- one delivery ---------------------------------------------------------------------------------------------------

static int find(struct api_call *call, enum auth_action action, struct delivery *out, struct error *err) {
  struct project project;
  int64_t id;
  int rc = call_path_int(call, 1, "delivery_id", &id, err);

  if (rc == 0)
    rc = call_project(call, 0, action, &project, err);
  if (rc != 0)
    return rc;
  rc = delivery_get(call->conn, id, call->arena, out, err);
  if (rc == ERR_NOT_FOUND || (rc == 0 && out->project_id != project.id))
    return error_set(err, ERR_NOT_FOUND, "delivery %lld not found", (long long)id);
  return rc;
}

// What became of the delivery after this try.
static enum retry_followed followed_by(const struct delivery *delivery, const struct attempt *attempt) {
  if (attempt->number < delivery->attempts)
    return RETRY_FOLLOWED;
  if (delivery->state == DELIVERY_CANCELLED)
    return RETRY_FOLLOWED_CANCEL;
  if (delivery->state != DELIVERY_FAILED)
    return RETRY_FOLLOWED_LATER;
  // A delivery that its last try ended has that try's words.
  return str_eq(delivery->last_words, attempt->words) ? RETRY_FOLLOWED_FAILED : RETRY_FOLLOWED_EXPIRED;
}

static void write_reason(struct api_call *call, const struct delivery *delivery, const struct attempt *attempt,
                         struct json_writer *w) {
  const struct retry_past past = {.type = delivery->target_type,
                                  .outcome = attempt->outcome,
                                  .status = attempt->status,
                                  .response_body = attempt->response_body,
                                  .number = attempt->number};
  struct buf reason;

  buf_init(&reason, REASON_MAX_BYTES);
  retry_explain(dispatch_retry(call->config->dispatch), &past, followed_by(delivery, attempt), &reason);
  json_field_str_opt(w, "retry_reason", buf_str(&reason));
  buf_free(&reason);
}

static void write_attempt(struct api_call *call, const struct delivery *delivery, const struct attempt *attempt,
                          struct json_writer *w) {
  json_object_begin(w);
  json_field_i64(w, "number", attempt->number);
  delivery_view_field_time_us(w, "started_at", attempt->started_at_us);
  delivery_view_field_time_us(w, "ended_at", attempt->ended_at_us);
  json_field_str(w, "outcome", attempt->outcome);
  json_field_i64_opt(w, "status", attempt->status);
  json_field_str_opt(w, "error", attempt->words);
  write_reason(call, delivery, attempt, w);
  delivery_view_field_lines(w, "request_headers", attempt->request_headers);
  delivery_view_field_lines(w, "response_headers", attempt->response_headers);
  json_field_str_opt(w, "response_body", attempt->response_body);
  delivery_view_field_timings(w, attempt);
  json_field_bool(w, "connection_reused", attempt->connection_reused);
  json_object_end(w);
}

// Why is nothing sent? What the sender knows beyond the store.
static void write_lane(struct api_call *call, const struct delivery *delivery, struct json_writer *w) {
  struct dispatch_lane_state lane;

  if (delivery->state > DELIVERY_HELD)
    return;
  dispatch_lane_state(call->config->dispatch, delivery->target_id, &lane);
  if (!lane.known)
    return;
  json_key(w, "lane");
  json_object_begin(w);
  json_field_bool(w, "paused", lane.paused);
  json_field_bool(w, "breaker_open", lane.breaker_open);
  json_field_i64(w, "running", lane.running);
  delivery_view_field_time_us(w, "next_at", lane.next_us);
  json_object_end(w);
}

// Strict order: what it waits for.
static int write_head(struct api_call *call, const struct delivery *delivery, struct json_writer *w,
                      struct error *err) {
  int64_t head;

  if (delivery->state != DELIVERY_HELD)
    return 0;
  int rc = delivery_head(call->conn, delivery->target_id, &head, err);
  if (rc == 0)
    json_field_i64_opt(w, "waits_for", head);
  return rc;
}

// The target as it is now; a deleted one is left out. Its address in clear for those who may change it.
static int write_target(struct api_call *call, const struct delivery *delivery, struct json_writer *w,
                        struct error *err) {
  struct target target;
  struct error ignored;
  struct url url;
  bool enabled;
  int rc = target_get(call->conn, delivery->target_id, call->arena, &target, &enabled, err);

  if (rc == ERR_NOT_FOUND)
    return 0;
  if (rc != 0)
    return rc;
  struct str shown = target.address;
  if (auth_allow(&call->identity, AUTH_CHANGE_PROJECT, false, &ignored) != 0)
    shown = url_parse(target.address, &url, &ignored) == 0 ? url_mask(&url, call->arena) : STR(SECRET_MASK);
  json_field_str(w, "address", shown.ptr ? shown : STR(SECRET_MASK));
  if (!enabled && delivery->state <= DELIVERY_HELD) // of a disabled webhook nothing waits
    json_field_bool(w, "webhook_paused", true);
  if (target.suspended) {
    json_field_bool(w, "suspended", true);
    json_field_str_opt(w, "suspended_reason", target.suspended_reason);
  }
  return 0;
}

int deliveries_get(struct api_call *call, struct error *err) {
  struct delivery delivery;
  struct attempt *attempts;
  struct str payload;
  size_t len;
  int rc = find(call, AUTH_READ_PROJECT, &delivery, err);

  if (rc == 0)
    rc = delivery_attempts(call->conn, delivery.id, call->arena, &attempts, &len, err);
  if (rc == 0)
    rc = delivery_view_payload(call, &delivery, &payload, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  if ((rc = write_members(call, &delivery, &w, err)) != 0)
    return rc;
  if ((rc = write_target(call, &delivery, &w, err)) != 0)
    return rc;
  if ((rc = write_head(call, &delivery, &w, err)) != 0)
    return rc;
  write_lane(call, &delivery, &w);
  if (payload.ptr)
    json_field_str(&w, "payload", payload);
  json_key(&w, "attempts");
  json_array_begin(&w);
  for (size_t i = 0; i < len; i++)
    write_attempt(call, &delivery, &attempts[i], &w);
  json_array_end(&w);
  json_object_end(&w);
  return 0;
}

// ---- again ----------------------------------------------------------------------------------------------------------

struct redelivery {
  int64_t id, new_id;
};

static int apply_redelivery(struct store_conn *conn, void *ctx, struct error *err) {
  struct redelivery *redelivery = ctx;

  return delivery_again(conn, redelivery->id, &redelivery->new_id, err);
}

// The request's path up to the old id, then the new one.
static struct str location_of(struct api_call *call, int64_t id) {
  struct str path = call->request->head->path;
  const int segments = 2; // "/{delivery_id}/redeliver"

  while (path.len > 1 && path.ptr[path.len - 1] == '/')
    path.len--;
  for (int i = 0; i < segments; i++)
    path.len = (size_t)str_rfind(path, '/');
  return arena_printf(call->arena, "%.*s/%lld", STR_ARG(path), (long long)id);
}

int deliveries_redeliver(struct api_call *call, struct error *err) {
  struct delivery delivery;
  int rc = find(call, AUTH_CHANGE_PROJECT, &delivery, err);

  if (rc != 0)
    return rc;
  struct redelivery redelivery = {.id = delivery.id};
  struct str subject = arena_printf(call->arena, "%lld", (long long)delivery.id);
  if (!subject.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for an answer");
  rc = call_change(call, apply_redelivery, &redelivery, "redeliver", "delivery", subject, err);
  if (rc != 0)
    return rc;
  struct str location = location_of(call, redelivery.new_id);
  if (!location.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for an answer");
  call->status = 201;
  call_header(call, "Location", location);
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  json_field_i64(&w, "id", redelivery.new_id);
  json_object_end(&w);
  return 0;
}
