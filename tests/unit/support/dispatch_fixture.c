// SPDX-License-Identifier: Apache-2.0
#include "support/dispatch_fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"
#include "store/events.h"
#include "store/policies.h"
#include "store/projects.h"

static void on_deliveries(void *ctx, const struct delivery_notice *notices, size_t len) {
  struct dispatch_fixture *fixture = ctx;
  if (!atomic_load(&fixture->deaf_to_notices))
    dispatch_notify(fixture->dispatch, notices, len);
}

static void on_health(void *ctx, bool healthy, const char *reason) {
  struct dispatch_fixture *fixture = ctx;
  (void)reason;
  dispatch_store_health(fixture->dispatch, healthy);
  atomic_store(&fixture->store_broken, !healthy);
}

static struct dispatch_config config_default(void) {
  return (struct dispatch_config){
      .retry = {.steps_ms = {5000, 30000, 120000, 600000, 1800000, 3600000, 7200000, 14400000, 28800000},
                .steps_len = 9,
                .give_up_ms = 72 * HOUR_MS,
                .permanent_tries = 3,
                .retry_after_cap_ms = 8 * HOUR_MS,
                .pause_min_ms = 5000,
                .pause_max_ms = 600000},
      .window = 16384,
      .max_lanes = 1024,
      .max_fresh = 16,
      .max_connecting = 64,
      .max_exchanging = 64,
      .lane_concurrency = 8,
      .slack_interval_ms = 1000,
      .connect_timeout_ms = 5000,
      .first_byte_timeout_ms = 10000,
      .total_timeout_ms = 30000,
      .breaker_failures = 1000,
      .breaker_span_ms = 30000,
      .probe_min_ms = 30000,
      .probe_max_ms = 15 * MINUTE_MS,
      .rescan_ms = 30000,
      .portal_url = "",
      .user_agent = "Harbinger/test",
  };
}

static void open_dispatch(struct dispatch_fixture *fixture) {
  struct error err;
  fixture->reader = store_reader_open(fixture->store, &err);
  assert_non_null(fixture->reader);
  fixture->dispatch = dispatch_new(fixture->loop, fixture->client, fixture->store, fixture->reader, &fixture->config,
                                   NULL, fixture->metrics, &err);
  assert_non_null(fixture->dispatch);
}

void dispatch_fixture_reopen(struct dispatch_fixture *fixture) {
  dispatch_free(fixture->dispatch);
  store_reader_close(fixture->reader);
  open_dispatch(fixture);
}

void dispatch_fixture_start(struct dispatch_fixture *fixture) {
  struct error err;
  assert_int_equal(dispatch_start(fixture->dispatch, &err), 0);
}

void dispatch_fixture_settle(struct dispatch_fixture *fixture) {
  while (loop_step(fixture->loop, 0))
    continue;
}

void dispatch_fixture_advance(struct dispatch_fixture *fixture, int64_t ms) {
  clock_advance(&fixture->clock, ms * US_PER_MS);
  dispatch_fixture_settle(fixture);
}

static void open_client(struct dispatch_fixture *fixture) {
  struct error err;
  struct resolver_config resolver = {.servers = dns_server_address(fixture->names),
                                     .budget_ms = 5000,
                                     .positive_ttl_ms = 30000,
                                     .negative_ttl_ms = 5000,
                                     .max_names = 64,
                                     .max_waiters = 64};
  // Connections are kept for ever: a receiver of the tests takes few.
  struct http_client_config client = {.max_calls = 256,
                                      .max_idle = 256,
                                      .max_idle_per_key = 256,
                                      .max_sessions = 1,
                                      .idle_timeout_ms = 1000 * HOUR_MS,
                                      .max_connection_age_ms = 1000 * HOUR_MS};
  struct cidr loopback;
  fixture->resolver = resolver_new(fixture->loop, &resolver, &err);
  assert_non_null(fixture->resolver);
  fixture->guard = egress_new(&err);
  assert_non_null(fixture->guard);
  assert_true(cidr_read(STR("127.0.0.0/8"), &loopback));
  assert_int_equal(egress_allow_at_start(fixture->guard, &loopback, &err), 0);
  fixture->client = http_client_new(fixture->loop, fixture->resolver, fixture->guard, NULL, &client, NULL, &err);
  assert_non_null(fixture->client);
}

static int make_project(struct store_conn *conn, void *ctx, struct error *err) {
  struct dispatch_fixture *fixture = ctx;
  struct project project = {
      .name = STR("team"), .owner_name = STR("admin"), .metadata = STR("{}"), .storage_limit = -1};
  int rc = project_create(conn, &project, err);
  fixture->project_id = project.id;
  return rc;
}

static void open_store(struct dispatch_fixture *fixture) {
  struct error err;
  struct store_config config = {.dir = fixture->dir,
                                .max_queue = 8192,
                                .retry_ms = 1000,
                                .on_deliveries = on_deliveries,
                                .on_health = on_health,
                                .ctx = fixture,
                                .retention = {.events_s = 90 * 86400,
                                              .attempts_s = 30 * 86400,
                                              .failed_attempts_s = 90 * 86400,
                                              .bodies_s = 7 * 86400,
                                              .failed_bodies_s = 30 * 86400,
                                              .ingest_log_s = 86400,
                                              .seen_s = 2 * 86400,
                                              .audit_s = 365 * 86400,
                                              .max_bytes = INT64_C(2) << 30}};
  fixture->store = store_open(&config, &fixture->clock, fixture->ids, NULL, fixture->metrics, &err);
  if (!fixture->store)
    fail_msg("%s", err.text);
}

int dispatch_fixture_set_up(void **state) {
  struct dispatch_fixture *fixture = calloc(1, sizeof(*fixture));
  struct error err;
  assert_non_null(fixture);
  assert_int_equal(crypto_start(&err), 0);
  clock_init_simulated(&fixture->clock, START_US);
  fixture->loop = loop_new(&fixture->clock, 4096, 1024, &err);
  fixture->ids = id_source_new(&fixture->clock);
  fixture->metrics = metrics_new(1024);
  fixture->arena = arena_new(64 * 1024 * 1024);
  assert_true(fixture->loop && fixture->ids && fixture->metrics && fixture->arena);
  fixture->names = dns_server_new(fixture->loop);
  open_client(fixture);
  snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/harbinger-dispatch-XXXXXX");
  assert_non_null(mkdtemp(fixture->dir));
  open_store(fixture);
  fixture->config = config_default();
  open_dispatch(fixture);
  fixture->own_reader = store_reader_open(fixture->store, &err);
  assert_non_null(fixture->own_reader);
  assert_int_equal(store_start(fixture->store, &err), 0);
  assert_int_equal(store_write_sync(fixture->store, make_project, fixture, &err), 0);
  *state = fixture;
  return 0;
}

static void remove_dir(const char *dir) {
  DIR *entries = opendir(dir);
  struct dirent *entry;
  char path[512];
  assert_non_null(entries);
  while ((entry = readdir(entries)) != NULL) {
    snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
    if (entry->d_name[0] != '.')
      assert_int_equal(unlink(path), 0);
  }
  closedir(entries);
  assert_int_equal(rmdir(dir), 0);
}

int dispatch_fixture_tear_down(void **state) {
  struct dispatch_fixture *fixture = *state;
  if (!fixture->store_stopped)
    store_stop(fixture->store);
  dispatch_fixture_settle(fixture); // what the writer handed back
  dispatch_free(fixture->dispatch);
  store_reader_close(fixture->reader);
  store_reader_close(fixture->own_reader);
  store_close(fixture->store);
  http_client_free(fixture->client);
  egress_free(fixture->guard);
  resolver_free(fixture->resolver);
  dns_server_free(fixture->names);
  for (int i = 0; i < fixture->hooks_len; i++)
    receiver_free(fixture->hooks[i].receiver);
  dispatch_fixture_settle(fixture);
  loop_free(fixture->loop);
  metrics_free(fixture->metrics);
  id_source_free(fixture->ids);
  arena_free(fixture->arena);
  remove_dir(fixture->dir);
  free(fixture);
  return 0;
}

// Value of a request's header; "" when it has none.
struct str test_request_header(const char *request, const char *name) {
  char line[64];
  snprintf(line, sizeof(line), "\r\n%s: ", name);
  const char *at = strcasestr(request, line);
  if (!at)
    return STR_EMPTY;
  at += strlen(line);
  return (struct str){at, (size_t)(strstr(at, "\r\n") - at)};
}

int64_t test_request_number(const char *request, const char *name) {
  int64_t number;
  assert_true(str_to_i64(test_request_header(request, name), &number));
  return number;
}

static void on_request(struct receiver_peer *peer, void *ctx) {
  struct test_hook *hook = ctx;
  struct dispatch_fixture *fixture = hook->fixture;
  assert_true(fixture->seen_len < DISPATCH_FIXTURE_MAX_SEEN);
  struct test_request *seen = &fixture->seen[fixture->seen_len++];
  snprintf(hook->last, sizeof(hook->last), "%s", peer->receiver->last);
  hook->requests++;
  seen->at_us = clock_wall_us(&fixture->clock);
  seen->hook = (int)(hook - fixture->hooks);
  seen->delivery_id = test_request_number(hook->last, "X-Harbinger-Delivery");
  seen->attempt = (int)test_request_number(hook->last, "X-Harbinger-Attempt");
  assert_true(event_type_read(test_request_header(hook->last, "X-Harbinger-Event"), &seen->type));
  if (hook->answer)
    peer_send(peer, str_of(hook->answer));
}

struct target *test_hook_target(struct test_hook *hook) {
  return &hook->policy.targets[0];
}

static int create_policy(struct store_conn *conn, void *ctx, struct error *err) {
  return policy_create(conn, ctx, err);
}

static int update_policy(struct store_conn *conn, void *ctx, struct error *err) {
  struct test_hook *hook = ctx;
  int64_t *targets;
  size_t len;
  return policy_update(conn, &hook->policy, hook->fixture->arena, &targets, &len, err);
}

void test_hook_save(struct test_hook *hook) {
  struct error err;
  if (store_write_sync(hook->fixture->store, update_policy, hook, &err) != 0)
    fail_msg("%s", err.text);
}

// `host` NULL: the receiver's address. `events`: which types it wants.
struct test_hook *test_hook_add_at(struct dispatch_fixture *fixture, const char *host, enum target_type type,
                                   const char *auth_header) {
  static const enum event_type TYPES[] = {EVENT_PUSH_ARTIFACT, EVENT_PULL_ARTIFACT};
  struct test_hook *hook = &fixture->hooks[fixture->hooks_len++];
  struct error err;
  hook->fixture = fixture;
  hook->answer = OK_ANSWER;
  hook->receiver = receiver_new(fixture->loop, NULL);
  hook->receiver->ctx = hook;
  hook->receiver->on_request = on_request;
  hook->policy = (struct policy){.project_id = fixture->project_id,
                                 .name = arena_printf(fixture->arena, "hook-%d", fixture->hooks_len),
                                 .description = STR_EMPTY,
                                 .creator = STR("admin"),
                                 .enabled = true,
                                 .event_types_len = ARRAY_LEN(TYPES),
                                 .event_mask = 1U << EVENT_PUSH_ARTIFACT | 1U << EVENT_PULL_ARTIFACT,
                                 .targets_len = 1};
  hook->policy.event_types = arena_array(fixture->arena, ARRAY_LEN(TYPES), sizeof(TYPES[0]));
  memcpy(hook->policy.event_types, TYPES, sizeof(TYPES));
  hook->policy.targets = ARENA_NEW(fixture->arena, struct target);
  *test_hook_target(hook) = (struct target){
      .type = type,
      .type_text = str_of(target_type_name(type)),
      .address =
          arena_printf(fixture->arena, "http://%s:%u/hook?key=geheim", host ? host : "127.0.0.1", hook->receiver->port),
      .auth_header = str_of(auth_header),
      .format = type == TARGET_SLACK ? PAYLOAD_SLACK : PAYLOAD_DEFAULT,
      .payload_format_text = type == TARGET_SLACK ? STR_EMPTY : STR("Default"),
      .extras = true,
      .suspended_reason = STR_EMPTY,
  };
  if (store_write_sync(fixture->store, create_policy, &hook->policy, &err) != 0)
    fail_msg("%s", err.text);
  hook->target_id = test_hook_target(hook)->id;
  assert_true(hook->target_id > 0);
  return hook;
}

struct test_hook *test_hook_add(struct dispatch_fixture *fixture) {
  return test_hook_add_at(fixture, NULL, TARGET_HTTP, "");
}

static int commit_event(struct store_conn *conn, void *ctx, struct error *err) {
  return event_commit(conn, ctx, err);
}

// An event for every hook.
void dispatch_fixture_happen(struct dispatch_fixture *fixture, enum event_type type) {
  static struct str tags[] = {{"v1", 2}};
  struct event_artifact artifact = {.digest =
                                        STR("sha256:3f1c0ce0a1a7c3f2b7f0e9d8c7b6a5948372615049382716f5e4d3c2b1a09f8e"),
                                    .tags = tags,
                                    .tags_len = 1,
                                    .reference = STR("v1"),
                                    .media_type = STR("application/vnd.oci.image.manifest.v1+json"),
                                    .kind = ARTIFACT_IMAGE,
                                    .platform = STR_EMPTY,
                                    .size_bytes = 42};
  struct event event = {.id = id_next(fixture->ids),
                        .type = type,
                        .occurred_at_us = clock_wall_us(&fixture->clock),
                        .actor = {ACTOR_USER, STR("alice")},
                        .trigger = STR_EMPTY,
                        .client = {STR_EMPTY, STR_EMPTY, STR_EMPTY},
                        .repository = {.project = STR("team"), .name = STR("web")},
                        .artifacts = &artifact,
                        .artifacts_len = 1,
                        .data = {.type = type},
                        .source = {SOURCE_API, STR_EMPTY},
                        .registry_host = STR("registry.example.com"),
                        .upstream_name = STR("team/web")};
  struct event_commit commit = {.event = &event, .source_key = STR_EMPTY, .idempotency_key = STR_EMPTY};
  struct error err;
  if (store_write_sync(fixture->store, commit_event, &commit, &err) != 0)
    fail_msg("%s", err.text);
}

void dispatch_fixture_happen_times(struct dispatch_fixture *fixture, enum event_type type, int times) {
  for (int i = 0; i < times; i++)
    dispatch_fixture_happen(fixture, type);
}

struct delivery test_delivery_get(struct dispatch_fixture *fixture, int64_t id) {
  struct delivery delivery;
  struct error err;
  if (delivery_get(fixture->own_reader, id, fixture->arena, &delivery, &err) != 0)
    fail_msg("%s", err.text);
  return delivery;
}

struct attempt test_attempt_get(struct dispatch_fixture *fixture, int64_t id, int number) {
  struct attempt *attempts;
  size_t len;
  struct error err;
  assert_int_equal(delivery_attempts(fixture->own_reader, id, fixture->arena, &attempts, &len, &err), 0);
  assert_true((size_t)number <= len);
  assert_int_equal(attempts[number - 1].number, number);
  return attempts[number - 1];
}

bool test_delivery_is(struct dispatch_fixture *fixture, int64_t id, enum delivery_state state) {
  return test_delivery_get(fixture, id).state == state;
}

int64_t dispatch_fixture_gauge(struct dispatch_fixture *fixture, const char *name) {
  return metric_value(metrics_gauge(fixture->metrics, name, "", ""));
}

// Nothing is on its way and everything is recorded.
void dispatch_fixture_wait_quiet(struct dispatch_fixture *fixture) {
  dispatch_fixture_settle(fixture);
  WAIT_FOR(fixture, dispatch_fixture_gauge(fixture, "harbinger_deliveries_running") == 0);
}

void dispatch_fixture_assert_each_once(struct dispatch_fixture *fixture, int deliveries) {
  assert_int_equal(fixture->seen_len, deliveries);
  for (int i = 0; i < deliveries; i++) {
    for (int k = 0; k < i; k++)
      assert_true(fixture->seen[i].delivery_id != fixture->seen[k].delivery_id);
  }
}

struct asking {
  struct dispatch_fixture *fixture;
  int64_t target_id;
  bool cancel;
  struct dispatch_lane_state state;
  _Atomic bool done;
};

static void *ask_thread(void *arg) {
  struct asking *asking = arg;
  if (asking->cancel)
    dispatch_cancel(asking->fixture->dispatch, &asking->target_id, 1, 10000);
  else
    dispatch_lane_state(asking->fixture->dispatch, asking->target_id, &asking->state);
  atomic_store(&asking->done, true);
  return NULL;
}

static struct dispatch_lane_state ask(struct test_hook *hook, bool cancel) {
  struct asking asking = {.fixture = hook->fixture, .target_id = hook->target_id, .cancel = cancel};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, ask_thread, &asking), 0);
  WAIT_FOR(hook->fixture, atomic_load(&asking.done));
  assert_int_equal(pthread_join(thread, NULL), 0);
  return asking.state;
}

struct dispatch_lane_state test_hook_lane_state(struct test_hook *hook) {
  return ask(hook, false);
}

void test_hook_cancel(struct test_hook *hook) {
  (void)ask(hook, true);
}
