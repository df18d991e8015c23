// SPDX-License-Identifier: Apache-2.0
// Events: what a trusted job reports, what a project has seen, and why each webhook got an event or not.
#include "store/events.h"

#include <pthread.h>

#include "api/event_view.h"
#include "api/routes.h"
#include "base/utf8.h"
#include "store/deliveries.h"

enum { UNPAGED_MAX_ROWS = 1000, IDEMPOTENCY_KEY_MAX_BYTES = 255, USER_AGENT_MAX_BYTES = 1024 };

// ---- POST -----------------------------------------------------------------------------------------------------------

static int read_key(struct api_call *call, struct str *out, struct error *err) {
  struct str key = http_head_get(call->request->head, "Idempotency-Key");

  *out = STR_EMPTY;
  if (!key.ptr)
    return 0;
  if (key.len == 0 || key.len > IDEMPOTENCY_KEY_MAX_BYTES)
    return error_set(err, ERR_BAD_REQUEST, "Idempotency-Key must have 1 to %d bytes, not %zu",
                     IDEMPOTENCY_KEY_MAX_BYTES, key.len);
  *out = key;
  return 0;
}

static int no_memory(struct error *err) {
  return error_set(err, ERR_NO_MEMORY, "out of memory for an event");
}

// What the body leaves to the server.
static int complete(struct api_call *call, const struct project *project, struct event *event, struct error *err) {
  char address[ADDRESS_TEXT_BYTES];
  struct str agent = http_head_get(call->request->head, "User-Agent");

  event->repository.project = project->name;
  event->source.kind = SOURCE_API;
  event->source.instance = call->identity.name; // who says so, whoever the event's actor is: its line in the audit
  if (event->occurred_at_us == 0)
    event->occurred_at_us = clock_wall_us(call->config->clock);
  if (event->actor.kind == ACTOR_UNKNOWN && event->actor.name.len == 0) {
    event->actor.kind = ACTOR_USER;
    event->actor.name = call->identity.name;
  }
  if (event->trigger.len == 0)
    event->trigger = STR("api");
  event->client.address = arena_str(call->arena, str_of(address_write(&call->request->peer, address)));
  event->client.user_agent = agent.ptr ? utf8_cut(agent, USER_AGENT_MAX_BYTES) : STR_EMPTY;
  event->client.request_id = call->request->request_id;
  if (!event->client.address.ptr)
    return no_memory(err);
  return call_registry_host(call, &event->registry_host, err);
}

// store_write_sync with `takes_events`: refused below the floor of free space.
struct waited {
  struct store_write write;
  struct event_commit *commit;
  pthread_mutex_t lock;
  pthread_cond_t told;
  bool done;
};

static int waited_apply(struct store_conn *conn, struct store_write *write, struct error *err) {
  struct waited *waited = CONTAINER_OF(write, struct waited, write);

  return event_commit(conn, waited->commit, err);
}

static void waited_done(struct store_write *write) {
  struct waited *waited = CONTAINER_OF(write, struct waited, write);

  (void)pthread_mutex_lock(&waited->lock);
  waited->done = true;
  (void)pthread_cond_signal(&waited->told);
  (void)pthread_mutex_unlock(&waited->lock);
}

static int commit_and_wait(struct store *store, struct event_commit *commit, struct error *err) {
  struct waited waited = {
      .write = {.apply = waited_apply, .done = waited_done, .takes_events = true},
      .commit = commit,
      .lock = PTHREAD_MUTEX_INITIALIZER,
      .told = PTHREAD_COND_INITIALIZER,
  };
  int rc = store_submit(store, &waited.write, err);

  if (rc != 0)
    return rc;
  (void)pthread_mutex_lock(&waited.lock);
  while (!waited.done)
    (void)pthread_cond_wait(&waited.told, &waited.lock);
  (void)pthread_mutex_unlock(&waited.lock);
  (void)pthread_cond_destroy(&waited.told);
  (void)pthread_mutex_destroy(&waited.lock);
  if (waited.write.rc != 0)
    *err = waited.write.err;
  return waited.write.rc;
}

// A repeated submission is answered as the first one was: the deliveries made with the event, not those sent again later.
static int count_deliveries(struct api_call *call, struct event_commit *commit, struct error *err) {
  struct delivery *deliveries;
  size_t len;
  int rc = delivery_of_event(call->conn, &commit->event->id, call->arena, &deliveries, &len, err);

  commit->deliveries = 0;
  for (size_t i = 0; rc == 0 && i < len; i++)
    commit->deliveries += deliveries[i].created_at_us == commit->event->recorded_at_us;
  return rc;
}

static int answer_submitted(struct api_call *call, const struct event_commit *commit, struct error *err) {
  char id[UUID_TEXT_BYTES];
  struct str path = call->request->head->path;

  while (path.len > 1 && path.ptr[path.len - 1] == '/')
    path.len--;
  struct str location = arena_printf(call->arena, "%.*s/%s", STR_ARG(path), uuid_write(&commit->event->id, id));
  if (!location.ptr)
    return no_memory(err);
  call->status = commit->duplicate ? 200 : 201;
  call_header(call, "Location", location);
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  json_field_str(&w, "id", str_of(id));
  json_field_i64(&w, "seq", commit->event->seq);
  json_field_i64(&w, "deliveries", (int64_t)commit->deliveries);
  json_object_end(&w);
  return 0;
}

int events_submit(struct api_call *call, struct error *err) {
  struct json_object *body;
  struct project project;
  struct event event;
  struct event_commit commit = {.event = &event};
  int rc = call_body(call, &body, err);

  if (rc == 0)
    rc = event_read_submission(body, call->arena, &event, err);
  if (rc == ERR_INVALID && !str_starts_c(str_of(err->text), "validation failure list:"))
    return error_context(err, "validation failure list:\nevent in body");
  if (rc == 0)
    rc = call_project(call, 0, AUTH_CHANGE_PROJECT, &project, err);
  if (rc == 0)
    rc = read_key(call, &commit.idempotency_key, err);
  if (rc == 0)
    rc = complete(call, &project, &event, err);
  if (rc != 0)
    return rc;
  crypto_sha256(call->request->body, commit.body_sha256);
  rc = commit_and_wait(call->config->store, &commit, err);
  if (rc == 0 && commit.duplicate)
    rc = count_deliveries(call, &commit, err);
  return rc != 0 ? rc : answer_submitted(call, &commit, err);
}

// ---- GET ------------------------------------------------------------------------------------------------------------

// Pushes that changed nothing are left out unless the query says something about them.
static int hide_unchanged(struct api_call *call, struct query *query, struct error *err) {
  struct query_condition *conditions = arena_array(call->arena, query->conditions_len + 1, sizeof(*conditions));

  if (!conditions)
    return no_memory(err);
  for (size_t i = 0; i < query->conditions_len; i++) {
    if (str_eq_c(query->conditions[i].key, "unchanged"))
      return 0;
    conditions[i] = query->conditions[i];
  }
  conditions[query->conditions_len++] = (struct query_condition){
      .key = STR("unchanged"), .op = QUERY_EQ, .values = {{.kind = QUERY_TEXT, .text = STR("false")}}};
  query->conditions = conditions;
  return 0;
}

int events_list(struct api_call *call, struct error *err) {
  struct query query;
  struct project project;
  struct event *events;
  size_t len;
  int64_t total;
  int rc = call_list_query(call, UNPAGED_MAX_ROWS, &query, err);

  if (rc == 0)
    rc = call_project(call, 0, AUTH_READ_PROJECT, &project, err);
  if (rc == 0)
    rc = hide_unchanged(call, &query, err);
  if (rc == 0)
    rc = event_list(call->conn, project.id, &query, call->arena, &events, &len, &total, err);
  if (rc == 0)
    rc = call_page_headers(call, &query, total, err);
  struct json_writer w = call_json(call);
  json_array_begin(&w);
  for (size_t i = 0; rc == 0 && i < len; i++) {
    json_object_begin(&w);
    rc = event_view_write(call, &events[i], &w, err);
    json_object_end(&w);
  }
  json_array_end(&w);
  return rc;
}

int events_get(struct api_call *call, struct error *err) {
  struct project project;
  struct event event;
  struct uuid id;

  if (!uuid_read(call->params[1], &id))
    return error_set(err, ERR_INVALID, "validation failure list:\nevent_id in path must be of type uuid: \"%.*s\"",
                     STR_ARG(utf8_cut(call->params[1], IDEMPOTENCY_KEY_MAX_BYTES)));
  int rc = call_project(call, 0, AUTH_READ_PROJECT, &project, err);
  if (rc == 0)
    rc = event_get(call->conn, &id, call->arena, &event, err);
  if (rc == 0 && event.project_id != project.id) {
    char text[UUID_TEXT_BYTES];
    return error_set(err, ERR_NOT_FOUND, "event %s not found", uuid_write(&id, text));
  }
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  rc = event_view_write(call, &event, &w, err);
  if (rc == 0)
    rc = event_view_write_deliveries(call, &event, &w, err);
  json_object_end(&w);
  return rc;
}
