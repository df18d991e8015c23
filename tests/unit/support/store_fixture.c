// SPDX-License-Identifier: Apache-2.0
#include "support/store_fixture.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/sqlite/writer.h"

static void on_deliveries(void *ctx, const struct delivery_notice *notices, size_t len) {
  struct fixture *f = ctx;

  for (size_t i = 0; i < len && f->notices_len < FIXTURE_MAX_NOTICES; i++)
    f->notices[f->notices_len++] = notices[i];
}

static void on_health(void *ctx, bool healthy, const char *reason) {
  struct fixture *f = ctx;

  f->health_calls++;
  f->healthy = healthy;
  (void)snprintf(f->reason, sizeof(f->reason), "%s", reason);
}

void fixture_open(struct fixture *f) {
  f->store = store_open(&f->config, &f->clock, f->ids, NULL, f->metrics, &f->err);
  if (!f->store)
    fail_msg("store_open: %s", f->err.text);
  f->reader = store_reader_open(f->store, &f->err);
  if (!f->reader)
    fail_msg("store_reader_open: %s", f->err.text);
}

void fixture_close(struct fixture *f) {
  store_reader_close(f->reader);
  store_stop(f->store);
  store_close(f->store);
  f->reader = NULL;
  f->store = NULL;
}

struct fixture *fixture_new(void) {
  struct fixture *f = calloc(1, sizeof(*f));

  assert_non_null(f);
  assert_int_equal(crypto_start(&f->err), 0);
  (void)snprintf(f->dir, sizeof(f->dir), "/tmp/harbinger-store-XXXXXX");
  assert_non_null(mkdtemp(f->dir));
  clock_init_simulated(&f->clock, FIXTURE_START_US);
  f->ids = id_source_new(&f->clock);
  f->metrics = metrics_new(512);
  f->arena = arena_new(256 * 1024 * 1024);
  f->healthy = true;
  f->config = (struct store_config){
      .dir = f->dir,
      .max_queue = 20000,
      .retry_ms = 1000,
      .retention = {.events_s = 90 * 86400,
                    .attempts_s = 30 * 86400,
                    .failed_attempts_s = 90 * 86400,
                    .bodies_s = 7 * 86400,
                    .failed_bodies_s = 30 * 86400,
                    .ingest_log_s = 86400,
                    .seen_s = 48 * 3600,
                    .audit_s = 365 * 86400},
      .on_deliveries = on_deliveries,
      .on_health = on_health,
      .ctx = f,
  };
  memset(f->config.seal_key, 7, sizeof(f->config.seal_key));
  fixture_open(f);
  return f;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at) {
  (void)st, (void)kind, (void)at;
  return remove(path);
}

static void remove_directory(const char *dir) {
  (void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void fixture_free(struct fixture *f) {
  if (f->store)
    fixture_close(f);
  remove_directory(f->dir);
  arena_free(f->arena);
  metrics_free(f->metrics);
  id_source_free(f->ids);
  free(f);
}

static void read_fixture(const char *file, struct buf *sql) {
  char path[512];

  (void)snprintf(path, sizeof(path), "%s/tests/fixtures/%s", HARBINGER_SOURCE_DIR, file);
  FILE *stream = fopen(path, "rb");
  assert_non_null(stream);
  buf_init(sql, 1024 * 1024);
  for (size_t got = 1; got > 0;) {
    char *to = buf_reserve(sql, 4096);
    assert_non_null(to);
    got = fread(to, 1, 4096, stream);
    buf_added(sql, got);
  }
  (void)fclose(stream);
  buf_put_char(sql, '\0');
}

void fixture_load(struct fixture *f, const char *file) {
  char path[256], *words = NULL;
  struct buf sql;
  sqlite3 *db;

  fixture_close(f);
  read_fixture(file, &sql);
  (void)snprintf(path, sizeof(path), "%s/harbinger.db", f->dir);
  assert_int_equal(remove(path), 0);
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  if (sqlite3_exec(db, sql.ptr, NULL, NULL, &words) != SQLITE_OK)
    fail_msg("%s", words);
  (void)sqlite3_close(db);
  buf_free(&sql);
  fixture_open(f);
}

struct write {
  struct store_write w;
  fixture_apply *apply;
  void *ctx;
  bool done;
};

static int write_apply(struct store_conn *conn, struct store_write *w, struct error *err) {
  struct write *write = CONTAINER_OF(w, struct write, w);

  return write->apply(conn, write->ctx, err);
}

static void write_done(struct store_write *w) {
  CONTAINER_OF(w, struct write, w)->done = true;
}

int fixture_write(struct fixture *f, fixture_apply *apply, void *ctx) {
  struct write write = {.w = {.apply = write_apply, .done = write_done}, .apply = apply, .ctx = ctx};
  int rc = store_submit(f->store, &write.w, &f->err);

  if (rc != 0)
    return rc;
  for (int turns = 0; !write.done; turns++) {
    assert_true(turns < 1000);
    (void)writer_turn(f->store);
  }
  f->err = write.w.err;
  return write.w.rc;
}

int64_t fixture_number(struct fixture *f, const char *sql) {
  sqlite3_stmt *stmt;
  sqlite3 *db = f->reader->db;

  if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
    fail_msg("%s: %s", sql, sqlite3_errmsg(db));
  int rc = sqlite3_step(stmt);
  int64_t number = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : -1;
  (void)sqlite3_finalize(stmt);
  return number;
}

void fixture_number_is(struct fixture *f, const char *sql, int64_t expected) {
  int64_t number = fixture_number(f, sql);

  if (number != expected)
    fail_msg("%s: %lld, expected %lld", sql, (long long)number, (long long)expected);
}

void fixture_exec(struct fixture *f, const char *sql) {
  if (sqlite3_exec(f->store->conn->db, sql, NULL, NULL, NULL) != SQLITE_OK)
    fail_msg("%s: %s", sql, sqlite3_errmsg(f->store->conn->db));
}

static int apply_project(struct store_conn *conn, void *ctx, struct error *err) {
  return project_create(conn, ctx, err);
}

int64_t fixture_project(struct fixture *f, const char *name) {
  struct project project = {
      .name = str_of(name), .owner_id = 1, .owner_name = STR("admin"), .metadata = STR("{}"), .storage_limit = -1};

  if (fixture_write(f, apply_project, &project) != 0)
    fail_msg("project %s: %s", name, f->err.text);
  return project.id;
}

struct policy fixture_policy(struct fixture *f, int64_t project_id, const char *name, size_t targets) {
  struct policy policy = {.project_id = project_id, .name = str_of(name), .enabled = true, .targets_len = targets};

  policy.description = STR("what it is for");
  policy.creator = STR("admin");
  policy.event_types = arena_array(f->arena, EVENT_TYPE_COUNT, sizeof(enum event_type));
  policy.targets = arena_array(f->arena, targets ? targets : 1, sizeof(struct target));
  assert_true(policy.event_types && policy.targets);
  policy.event_types[0] = EVENT_PUSH_ARTIFACT;
  policy.event_types[1] = EVENT_DELETE_ARTIFACT;
  policy.event_types_len = 2;
  policy.event_mask = 1U << EVENT_PUSH_ARTIFACT | 1U << EVENT_DELETE_ARTIFACT;
  for (size_t i = 0; i < targets; i++) {
    struct str address = arena_printf(f->arena, "https://receiver-%zu.example/%s", i, name);
    policy.targets[i] = (struct target){.type = TARGET_HTTP,
                                        .address = address,
                                        .auth_header = STR("Bearer plain-secret"),
                                        .format = PAYLOAD_DEFAULT,
                                        .extras = true};
  }
  return policy;
}

static int apply_policy_create(struct store_conn *conn, void *ctx, struct error *err) {
  return policy_create(conn, ctx, err);
}

void fixture_policy_create(struct fixture *f, struct policy *policy) {
  if (fixture_write(f, apply_policy_create, policy) != 0)
    fail_msg("policy: %s", f->err.text);
}

struct update {
  struct fixture *f;
  struct policy *policy;
};

static int apply_policy_update(struct store_conn *conn, void *ctx, struct error *err) {
  struct update *update = ctx;
  int64_t *targets;
  size_t len;

  return policy_update(conn, update->policy, update->f->arena, &targets, &len, err);
}

void fixture_policy_update(struct fixture *f, struct policy *policy) {
  struct update update = {f, policy};

  if (fixture_write(f, apply_policy_update, &update) != 0)
    fail_msg("policy: %s", f->err.text);
}

struct event fixture_event(struct fixture *f, enum event_type type, const char *project, const char *repository,
                           const char *digest, const char *tag) {
  struct event event = {.type = type, .occurred_at_us = clock_wall_us(&f->clock)};

  event.data.type = type;
  event.actor.kind = ACTOR_USER;
  event.actor.name = STR("alice");
  event.repository.project = str_of(project);
  event.repository.name = str_of(repository);
  event.source.kind = SOURCE_DISTRIBUTION;
  event.registry_host = STR("registry.example.com");
  event.artifacts = arena_array(f->arena, 1, sizeof(struct event_artifact));
  assert_non_null(event.artifacts);
  event.artifacts_len = 1;
  event.artifacts[0].digest = str_of(digest);
  event.artifacts[0].size_bytes = -1;
  if (type == EVENT_PUSH_ARTIFACT) {
    event.artifacts[0].size_bytes = 1234;
    event.artifacts[0].media_type = STR("application/vnd.oci.image.manifest.v1+json");
    event.artifacts[0].kind = ARTIFACT_IMAGE;
  }
  if (!tag)
    return event;
  event.artifacts[0].tags = arena_array(f->arena, 1, sizeof(struct str));
  assert_non_null(event.artifacts[0].tags);
  event.artifacts[0].tags[0] = str_of(tag);
  event.artifacts[0].tags_len = 1;
  event.artifacts[0].reference = str_of(tag);
  return event;
}

static int apply_event(struct store_conn *conn, void *ctx, struct error *err) {
  return event_commit(conn, ctx, err);
}

int fixture_commit(struct fixture *f, struct event *event, const char *source_key, struct event_commit *out) {
  struct event_commit commit = {.event = event,
                                .create_project = true,
                                .source_key = str_of(source_key),
                                .source_time_us = event->occurred_at_us};
  int rc = fixture_write(f, apply_event, &commit);

  if (out)
    *out = commit;
  return rc;
}

struct event fixture_push(struct fixture *f, const char *project) {
  struct event event = fixture_event(f, EVENT_PUSH_ARTIFACT, project, "app", FIXTURE_DIGEST_A, "v1");

  if (fixture_commit(f, &event, NULL, NULL) != 0)
    fail_msg("push: %s", f->err.text);
  return event;
}

struct attempt_result fixture_result(int64_t delivery_id, int number, enum delivery_state state, int64_t at_us) {
  return (struct attempt_result){
      .attempt = {.delivery_id = delivery_id,
                  .number = number,
                  .started_at_us = at_us,
                  .ended_at_us = at_us + 2500,
                  .outcome = state == DELIVERY_SUCCEEDED ? STR("success") : STR("http_error"),
                  .status = state == DELIVERY_SUCCEEDED ? 200 : 500,
                  .words = state == DELIVERY_SUCCEEDED ? STR("") : STR("answered 500"),
                  .request_headers = STR("Content-Type: application/json\n"),
                  .response_headers = STR("Content-Length: 2\n"),
                  .response_body = STR("ok"),
                  .dns_us = 10,
                  .connect_us = 20,
                  .tls_us = -1,
                  .first_byte_us = 40,
                  .total_us = 2500},
      .state = state,
      .prio = 2,
      .due_us = at_us + 5 * US_PER_S,
      .format_key = "default",
  };
}

static int apply_record(struct store_conn *conn, void *ctx, struct error *err) {
  return delivery_record(conn, ctx, err);
}

int fixture_record(struct fixture *f, const struct attempt_result *result) {
  struct attempt_result copy = *result;

  return fixture_write(f, apply_record, &copy);
}
