// SPDX-License-Identifier: Apache-2.0
#include "store/events.h"

#include "base/buf.h"
#include "store/deliveries.h"
#include "store/sqlite/catalogue_changes.h"
#include "store/sqlite/changes.h"
#include "store/sqlite/event_find.h"
#include "store/sqlite/known.h"
#include "store/sqlite/matching.h"
#include "store/sqlite/order.h"
#include "store/sqlite/query_sql.h"
#include "store/sqlite/seen.h"
#include "store/sqlite/state.h"

enum { COMMIT_SCRATCH_BYTES = 2 * 1024 * 1024, COMMIT_JSON_BYTES = 2048 };
enum { FLAG_UNCHANGED = 1, FLAG_INFERRED = 2 }; // event.flags

// One event on its way in. `event` is a copy: the caller's is filled only when all is done, because `apply` may run again.
struct commit {
  struct store_conn *conn;
  struct event_commit *request;
  struct event event;
  struct catalogue_place place;
  struct known_project *project; // until another event's
  struct arena *arena; // made only for what must be added to the event, which is then not the caller's any more
  int64_t rowid, first_delivery;
};

static int find_project(struct commit *c, struct error *err) {
  struct str name = c->event.repository.project;
  int64_t id;
  int rc = known_project(c->conn, name, &c->project, err);

  if (rc == 0 && !c->project) {
    if (!c->request->create_project)
      return error_set(err, ERR_NOT_FOUND, "project %.*s not found", STR_ARG(name));
    c->conn->changes->counts.known = true;
    rc = catalogue_project_make(c->conn, name, c->event.recorded_at_us, &id, err);
    if (rc == 0)
      rc = known_project(c->conn, name, &c->project, err);
  }
  if (rc != 0)
    return rc;
  if (!c->project)
    return error_set(err, ERR_INTERNAL, "the project %.*s, just made, is not there", STR_ARG(name));
  c->event.project_id = c->project->id;
  c->event.repository.is_public = c->project->is_public;
  return 0;
}

// Two domains, so that no source can spoil an idempotency key, and idempotency keys apart for each project. The first four
// bytes are the source's second: a repetition has the same, and keys that come in the order of time are appended to their
// bucket instead of dirtying a page each (a quarter of the cost of a commit at 256 events). 96 bits of hash are left.
static void seen_key(char domain, int64_t project_id, struct str key, int64_t source_time_us, struct seen_entry *out) {
  uint8_t whole[DIGEST_BYTES];
  char prefix[sizeof(project_id) + 1];
  uint32_t second = (uint32_t)(source_time_us / US_PER_S);

  memcpy(prefix, &project_id, sizeof(project_id));
  prefix[sizeof(project_id)] = domain;
  crypto_digest((struct str){prefix, sizeof(prefix)}, key, whole);
  for (int i = 0; i < 4; i++)
    out->key[i] = (uint8_t)(second >> (24 - 8 * i));
  memcpy(out->key + 4, whole, SEEN_KEY_BYTES - 4);
}

static void event_of_then(struct commit *c, const struct uuid *id, struct error *err) {
  static const char sql[] = "SELECT seq, recorded_us, project_id FROM event WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};

  c->event.id = *id;
  c->event.seq = c->event.recorded_at_us = 0;
  int64_t rowid;
  if (event_find(c->conn, id, &rowid, err) != 1 || stmt_begin(c->conn, sql, &stmt, err) != 0)
    return; // trimmed meanwhile: its id is still the answer
  stmt_bind_i64(&stmt, 1, rowid);
  if (stmt_step(&stmt, "read the event of then", err) != 1)
    return;
  c->event.seq = stmt_i64(&stmt, 0);
  c->event.recorded_at_us = stmt_i64(&stmt, 1);
  c->event.project_id = stmt_i64(&stmt, 2);
}

// 1: known, c->event is the one of then; 0: new.
static int is_repeated(struct commit *c, struct error *err) {
  struct seen_entry entry = {0};

  if (c->request->source_key.len == 0)
    return 0;
  seen_key('s', 0, c->request->source_key, c->request->source_time_us, &entry);
  int rc = seen_find(c->conn, &entry, c->request->source_time_us, err);
  if (rc == 1)
    event_of_then(c, &entry.event_id, err);
  return rc;
}

static int is_idempotent(struct commit *c, struct error *err) {
  struct seen_entry entry = {.idempotency = true};

  if (c->request->idempotency_key.len == 0)
    return 0;
  seen_key('i', c->event.project_id, c->request->idempotency_key, 0, &entry);
  int rc = seen_find(c->conn, &entry, 0, err);
  if (rc == 1 && !str_eq(entry.check, (struct str){(const char *)c->request->body_sha256, SHA256_BYTES}))
    return error_set(err, ERR_CONFLICT, "the Idempotency-Key was used for another body in the last 48 hours");
  if (rc == 1)
    event_of_then(c, &entry.event_id, err);
  return rc;
}

static int remember(struct commit *c, struct error *err) {
  struct event_commit *request = c->request;
  struct seen_entry entry = {.event_id = c->event.id};
  int rc = 0;

  if (request->idempotency_key.len) {
    seen_key('i', c->event.project_id, request->idempotency_key, 0, &entry);
    entry.idempotency = true;
    entry.check = (struct str){(const char *)request->body_sha256, SHA256_BYTES};
    rc = seen_add(c->conn, &entry, 0, err);
  }
  if (rc == 0 && request->source_key.len) {
    entry.idempotency = false;
    entry.check = STR_EMPTY;
    seen_key('s', 0, request->source_key, request->source_time_us, &entry);
    rc = seen_add(c->conn, &entry, request->source_time_us, err);
  }
  return rc;
}

// A pull that nobody wants is not written. One that a client posts is: the client is told its id.
static int is_unwanted(struct commit *c, struct error *err) {
  struct compiled_project *project;

  if (c->event.type != EVENT_PULL_ARTIFACT || c->event.source.kind == SOURCE_API)
    return 0;
  int rc = matching_project(c->conn, c->event.project_id, &project, err);
  if (rc != 0)
    return rc;
  for (size_t i = 0; i < project->policies_len; i++) {
    if (policy_match(&project->policies[i].policy, &c->event) == POLICY_MATCHES)
      return 0;
  }
  return 1;
}

static int insert_event(struct commit *c, struct error *err) {
  static const char sql[] =
      "INSERT INTO event (id, uuid, project_id, seq, type, occurred_us, recorded_us, repository, json, flags, "
      "first_delivery, deliveries) VALUES (?10, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?11, ?12)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  struct buf json;

  buf_init(&json, EVENT_MAX_JSON_BYTES);
  buf_expect(&json, COMMIT_JSON_BYTES);
  struct json_writer writer = json_writer_make(&json, true);
  event_write_json(&c->event, &writer);
  int rc = 0;
  if (json.no_memory) // not the event's own fault, which would be final
    rc = error_set(err, ERR_NO_MEMORY, "no memory to store an event");
  else if (json.failed)
    rc = error_set(err, ERR_TOO_LARGE, "the event is larger than %d bytes", EVENT_MAX_JSON_BYTES);
  if (rc == 0)
    rc = stmt_begin(c->conn, sql, &stmt, err);
  if (rc == 0) {
    stmt_bind_blob(&stmt, 1, (struct str){(const char *)c->event.id.bytes, UUID_BYTES});
    stmt_bind_i64(&stmt, 2, c->event.project_id);
    stmt_bind_i64(&stmt, 3, c->event.seq);
    stmt_bind_i64(&stmt, 4, (int64_t)c->event.type);
    stmt_bind_i64(&stmt, 5, c->event.occurred_at_us);
    stmt_bind_i64(&stmt, 6, c->event.recorded_at_us);
    stmt_bind_text(&stmt, 7, c->event.repository.name);
    stmt_bind_text(&stmt, 8, buf_str(&json));
    stmt_bind_i64(&stmt, 9, (c->event.unchanged ? FLAG_UNCHANGED : 0) | (c->event.inferred ? FLAG_INFERRED : 0));
    stmt_bind_i64(&stmt, 10, c->rowid);
    stmt_bind_i64(&stmt, 11, c->first_delivery);
    stmt_bind_i64(&stmt, 12, (int64_t)c->request->deliveries);
    rc = stmt_run(&stmt, "insert an event", err);
  }
  stmt_end(&stmt); // before the text it is bound to
  buf_free(&json);
  return rc;
}

// `still`: nothing is sent to this target now, so that the sender need not hear of it.
static int insert_delivery(struct commit *c, const struct target *target, bool still, struct error *err) {
  static const char sql[] =
      "INSERT INTO delivery (event_rowid, policy_id, target_id, target_type, event_type, state, prio, "
      "attempts, due_us, created_us, apart) VALUES (?1, ?2, ?3, ?4, ?5, ?8, ?6, 0, ?7, ?7, 0)";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int prio = c->event.type == EVENT_PULL_ARTIFACT ? 1 : 0;
  bool held = false;
  int rc = target->strict_order ? order_holds(c->conn, target->id, &held, err) : 0;

  if (rc == 0)
    rc = stmt_begin(c->conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, c->rowid);
  stmt_bind_i64(&stmt, 2, target->policy_id);
  stmt_bind_i64(&stmt, 3, target->id);
  stmt_bind_i64(&stmt, 4, (int64_t)target->type);
  stmt_bind_i64(&stmt, 5, (int64_t)c->event.type);
  stmt_bind_i64(&stmt, 6, prio);
  stmt_bind_i64(&stmt, 7, c->event.recorded_at_us);
  stmt_bind_i64(&stmt, 8, held ? DELIVERY_HELD : DELIVERY_PENDING);
  rc = stmt_run(&stmt, "insert a delivery", err);
  int64_t id = sqlite3_last_insert_rowid(c->conn->db);
  if (c->first_delivery == 0)
    c->first_delivery = id; // the others follow: nobody else inserts
  if (rc == 0 && (held || still))
    change_waiting(c->conn, 1);
  else if (rc == 0)
    change_delivery(c->conn, &(struct delivery_notice){.delivery_id = id,
                                                       .target_id = target->id,
                                                       .prio = prio,
                                                       .due_us = c->event.recorded_at_us,
                                                       .event = c->arena ? NULL : c->request->event});
  if (rc == 0)
    change_news(c->conn, target->policy_id, false);
  return rc;
}

// To the second: a hot policy writes this row once a second, not once an event.
static int note_trigger(struct commit *c, struct compiled_policy *compiled, struct error *err) {
  static const char sql[] = "INSERT INTO last_trigger (policy_id, event_type, at_us) VALUES (?1, ?2, ?3) "
                            "ON CONFLICT DO UPDATE SET at_us = excluded.at_us";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  int64_t *last_us = &compiled->triggered_us[c->event.type];

  if (*last_us != 0 && c->event.recorded_at_us >= *last_us && c->event.recorded_at_us < *last_us + US_PER_S)
    return 0;
  int rc = stmt_begin(c->conn, sql, &stmt, err);
  if (rc != 0)
    return rc;
  stmt_bind_i64(&stmt, 1, compiled->policy.id);
  stmt_bind_i64(&stmt, 2, (int64_t)c->event.type);
  stmt_bind_i64(&stmt, 3, c->event.recorded_at_us);
  rc = stmt_run(&stmt, "note a trigger", err);
  c->conn->changes->counts.cache = true;
  *last_us = c->event.recorded_at_us;
  return rc;
}

static int insert_deliveries(struct commit *c, struct error *err) {
  struct compiled_project *project;
  bool enabled;
  int rc = matching_enabled(c->conn, &enabled, err);

  if (rc != 0 || !enabled)
    return rc;
  rc = matching_project(c->conn, c->event.project_id, &project, err);
  for (size_t i = 0; rc == 0 && i < project->policies_len; i++) {
    struct compiled_policy *compiled = &project->policies[i];
    if (policy_match(&compiled->policy, &c->event) != POLICY_MATCHES)
      continue;
    rc = note_trigger(c, compiled, err);
    for (size_t k = 0; rc == 0 && k < compiled->policy.targets_len; k++) {
      const struct target *target = &compiled->policy.targets[k];
      rc = insert_delivery(c, target, compiled->policy.paused || target->suspended, err);
      c->request->deliveries++;
    }
  }
  return rc;
}

static int apply_to_catalogue(struct commit *c, struct error *err) {
  switch (c->event.type) {
  case EVENT_PUSH_ARTIFACT:
    return catalogue_push(c->conn, &c->place, &c->event, err);
  case EVENT_PULL_ARTIFACT:
    return catalogue_pull(c->conn, &c->place, &c->event, err);
  case EVENT_DELETE_ARTIFACT:
    return catalogue_delete(c->conn, &c->place, &c->event, err);
  default:
    return 0;
  }
}

static int find_place(struct commit *c, struct error *err) {
  int rc = catalogue_place(c->conn, c->event.project_id, c->event.repository.name, c->event.type == EVENT_PUSH_ARTIFACT,
                           &c->place, err);

  if (rc == 0 && c->event.repository.created_at_us == 0)
    c->event.repository.created_at_us = c->place.repository_created_us;
  if (rc != 0 || c->event.type != EVENT_DELETE_ARTIFACT)
    return rc;
  c->arena = arena_new(COMMIT_SCRATCH_BYTES);
  if (!c->arena)
    return error_set(err, ERR_NO_MEMORY, "no memory to complete an event");
  int enriched = catalogue_enrich(c->conn, &c->place, &c->event, c->arena, err);
  if (enriched == 0 && arena_out_of_memory(c->arena))
    return error_set(err, ERR_NO_MEMORY, "no memory to complete an event");
  return enriched;
}

static int write_event(struct commit *c, struct error *err) {
  c->event.seq = known_next_seq(c->conn, c->project);
  c->event.id = id_next(c->conn->store->ids);
  int rc = known_next_event(c->conn, &c->rowid, err);
  if (rc == 0)
    rc = insert_deliveries(c, err);
  if (rc == 0)
    rc = insert_event(c, err);
  if (rc == 0)
    rc = remember(c, err);
  if (rc == 0)
    rc = apply_to_catalogue(c, err);
  if (rc == 0)
    change_event(c->conn, &c->event);
  c->request->known = rc == 0;
  return rc;
}

static int commit(struct commit *c, struct error *err) {
  // The repeated first: a late repetition must not bring a deleted project back.
  int rc = is_repeated(c, err);

  if (rc == 0)
    rc = find_project(c, err);
  if (rc == 0)
    rc = is_idempotent(c, err);
  if (rc != 0) {
    c->request->duplicate = c->request->known = rc == 1;
    return rc < 0 ? rc : 0;
  }
  rc = find_place(c, err);
  if (rc != 0)
    return rc;
  rc = is_unwanted(c, err);
  if (rc == 1)
    return catalogue_pull(c->conn, &c->place, &c->event, err);
  return rc < 0 ? rc : write_event(c, err);
}

int event_commit(struct store_conn *conn, struct event_commit *request, struct error *err) {
  struct commit c = {.conn = conn, .request = request, .event = *request->event};

  if (!conn->changes)
    return error_set(err, ERR_INTERNAL, "an event can be inserted by the writer only");
  request->duplicate = request->known = false;
  request->deliveries = 0;
  c.event.id = (struct uuid){0};
  c.event.seq = 0;
  c.event.recorded_at_us = clock_wall_us(conn->store->clock);
  int rc = commit(&c, err);
  arena_free(c.arena);
  if (rc != 0)
    return rc;
  struct event *out = request->event;
  out->id = c.event.id;
  out->project_id = c.event.project_id;
  out->seq = c.event.seq;
  out->recorded_at_us = c.event.recorded_at_us;
  out->repository.is_public = c.event.repository.is_public;
  out->repository.created_at_us = c.event.repository.created_at_us;
  return 0;
}

static int read_event(struct stmt *stmt, struct arena *arena, void *out, struct error *err) {
  return event_read_json(stmt_view(stmt, 0), arena, out, err);
}

int event_get(struct store_conn *conn, const struct uuid *id, struct arena *arena, struct event *out,
              struct error *err) {
  static const char sql[] = "SELECT json FROM event WHERE id = ?1";
  CLEANUP(stmt_end) struct stmt stmt = {0};
  char text[UUID_TEXT_BYTES];
  int64_t rowid;
  int rc = event_find(conn, id, &rowid, err);

  if (rc == 1) {
    rc = stmt_begin(conn, sql, &stmt, err);
    if (rc != 0)
      return rc;
    stmt_bind_i64(&stmt, 1, rowid);
    rc = stmt_step(&stmt, "read an event", err);
  }
  if (rc <= 0)
    return rc < 0 ? rc : error_set(err, ERR_NOT_FOUND, "event %s not found", uuid_write(id, text));
  return read_event(&stmt, arena, out, err);
}

// SQL that turns the stored number into the type's name, so that `q` and `sort` see names.
#define EVENT_TYPE_EXPR(column)                                                                            \
  "CASE " column " WHEN 0 THEN 'PUSH_ARTIFACT' WHEN 1 THEN 'PULL_ARTIFACT' WHEN 2 THEN 'DELETE_ARTIFACT' " \
  "WHEN 3 THEN 'QUOTA_EXCEED' WHEN 4 THEN 'QUOTA_WARNING' WHEN 5 THEN 'SCANNING_FAILED' "                  \
  "WHEN 6 THEN 'SCANNING_STOPPED' WHEN 7 THEN 'SCANNING_COMPLETED' WHEN 8 THEN 'REPLICATION' "             \
  "WHEN 9 THEN 'TAG_RETENTION' END"

// By the index of the few that are marked, so that counting the others needs no row.
#define UNCHANGED_EXPR "e.id IN (SELECT u.id FROM event u WHERE u.flags <> 0 AND u.flags & 1)"

int event_list(struct store_conn *conn, int64_t project_id, const struct query *query, struct arena *arena,
               struct event **out, size_t *len, int64_t *total, struct error *err) {
  static const struct query_column columns[] = {
      {"type", EVENT_TYPE_EXPR("e.type"), COLUMN_TEXT}, {"seq", "e.seq", COLUMN_INT},
      {"occurred_at", "e.occurred_us", COLUMN_TIME},    {"repository", "e.repository", COLUMN_TEXT},
      {"recorded_at", "e.recorded_us", COLUMN_TIME},    {"unchanged", UNCHANGED_EXPR, COLUMN_BOOL},
  };
  const struct query_list list = {
      .what = "list events",
      .read = read_event,
      .item_bytes = sizeof(struct event),
      .select = "e.json",
      .from = project_id != 0 ? "event e WHERE e.project_id = ?1" : "event e WHERE ?1 = 0",
      .columns = columns,
      .columns_len = ARRAY_LEN(columns),
      .tie = project_id != 0 ? "e.seq DESC" : "e.id DESC",
      .fixed = {project_id},
      .fixed_len = 1,
  };
  void *rows;
  int rc = query_sql_list(conn, &list, query, arena, &rows, len, total, err);

  *out = rows;
  return rc;
}
