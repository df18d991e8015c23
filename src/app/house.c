// SPDX-License-Identifier: Apache-2.0
#include "app/house_steps.h"

#include "base/embedded.h"

enum { METRICS_MAX_SERIES = 1024, FACTS_AT_ONCE = 4, FACTS_WAITING = 4096, LOGIN_MAX_JOBS = 64 };

// ---- news from below: what the writer's thread tells -----------------------------------------------------------------

void house_on_deliveries(void *ctx, const struct delivery_notice *notices, size_t len) {
  struct house *house = ctx;
  if (house->dispatch)
    dispatch_notify(house->dispatch, notices, len);
}

void house_on_policy_news(void *ctx, const struct policy_news *news, size_t len, bool all) {
  struct house *house = ctx;
  feed_tell(house->feed, news, len, all);
}

void house_on_store_health(void *ctx, bool healthy, const char *reason) {
  struct house *house = ctx;
  (void)reason; // the store has logged it
  if (house->dispatch)
    dispatch_store_health(house->dispatch, healthy);
}

void house_on_committed(void *ctx, const struct event *event) {
  struct house *house = ctx;
  if (!house->facts || event->type != EVENT_PUSH_ARTIFACT)
    return;
  for (size_t i = 0; i < event->artifacts_len; i++)
    registry_facts_ask(house->facts, event->repository.project, event->repository.name, event->artifacts[i].digest);
}

static void on_password_changed(void *ctx, struct str user_name) {
  struct house *house = ctx;
  control_forget_password_file(house->config->data, user_name);
}

static void before_metrics(void *ctx) {
  struct house *house = ctx;
  struct delivery_depth depth;
  delivery_depth(house->store, &depth);
  int64_t age_us = depth.oldest_due_us ? clock_wall_us(&house->clock) - depth.oldest_due_us : 0;
  metric_set(house->waiting, depth.waiting);
  metric_set(house->oldest_age, age_us > 0 ? age_us / US_PER_S : 0);
  process_metrics_refresh(&house->process);
}

// ---- the start list, from below ---------------------------------------------------------------------------------------

static int start_base(struct house *house, struct error *err) {
  enum log_level level = LOG_INFO;
  if (!log_level_read(str_of(house->config->log_level), &level))
    level = LOG_INFO; // config_check has refused others
  clock_init_real(&house->clock);
  log_init(&house->log, &house->clock, 2, str_eq_c(str_of(house->config->log_format), "json"), level);
  house->ids = id_source_new(&house->clock);
  house->metrics = metrics_new(METRICS_MAX_SERIES);
  if (!house->ids || !house->metrics)
    return error_set(err, ERR_NO_MEMORY, "out of memory at start");
  // Before the store, whose writer tells it.
  const struct feed_config feed = {
      .max_watches = (size_t)house->config->api_max_streams,
      .max_per_user = (size_t)house->config->api_max_streams_per_user,
      .lifetime_ms = house->config->api_stream_lifetime_s * 1000,
  };
  house->feed = feed_new(&feed, err);
  return house->feed ? crypto_start(err) : (int)err->code;
}

static void *pool_context_open(void *ctx, struct error *err) {
  struct house *house = ctx;
  return store_reader_open(house->store, err);
}

static void pool_context_close(void *ctx, void *conn) {
  (void)ctx;
  store_reader_close(conn);
}

static struct pool *make_pool(struct house *house, size_t threads, size_t max_jobs, struct error *err) {
  const struct pool_config config = {
      .threads = threads,
      .max_jobs = max_jobs,
      .context_open = pool_context_open,
      .context_close = pool_context_close,
      .ctx = house,
  };
  return pool_new(&config, err);
}

static int start_pools(struct house *house, struct error *err) {
  house->pool = make_pool(house, (size_t)house->config->pool_threads, (size_t)house->config->pool_max_jobs, err);
  if (!house->pool)
    return err->code;
  // As many threads as may hash at once: a storm of guesses waits in line here and nowhere else.
  house->login_pool = make_pool(house, HOUSE_HASHING, LOGIN_MAX_JOBS, err);
  return house->login_pool ? 0 : (int)err->code;
}

// The store may have broken before there was anybody to tell: on a full disk its first sweep does it.
static void tell_health(struct house *house) {
  char reason[1];
  bool healthy;
  do {
    healthy = store_healthy(house->store, reason, sizeof(reason));
    dispatch_store_health(house->dispatch, healthy);
  } while (healthy != store_healthy(house->store, reason, sizeof(reason))); // the writer told otherwise meanwhile
}

enum { MAX_REGISTRY_CHANGES = 2 }; // through the API, at once

// What holds a pool thread while somebody else thinks: one is left for everybody else.
static size_t spare_threads(const struct config *c, int64_t wanted) {
  int64_t spare = c->pool_threads > 1 ? c->pool_threads - 1 : 1;
  return (size_t)(wanted < spare ? wanted : spare);
}

static int start_sender(struct house *house, struct error *err) {
  const struct config *c = house->config;
  if (!(house->send_reader = store_reader_open(house->store, err)))
    return err->code;
  struct dispatch_config config = {
      .window = (size_t)c->delivery_window,
      .max_lanes = (size_t)c->delivery_max_lanes,
      .max_fresh = (size_t)c->delivery_max_fresh,
      .max_connecting = (size_t)c->delivery_max_connecting,
      .max_exchanging = (size_t)c->delivery_max_exchanging,
      .lane_concurrency = (int)c->delivery_concurrency,
      .slack_interval_ms = c->delivery_slack_interval_ms,
      .connect_timeout_ms = c->delivery_connect_timeout_ms,
      .first_byte_timeout_ms = c->delivery_first_byte_timeout_ms,
      .total_timeout_ms = c->delivery_total_timeout_ms,
      .suspend_after_s = c->delivery_suspend_after_s,
      .breaker_failures = (int)c->breaker_failures,
      .breaker_span_ms = c->breaker_span_ms,
      .probe_min_ms = c->breaker_probe_min_ms,
      .probe_max_ms = c->breaker_probe_max_ms,
      .rescan_ms = c->delivery_rescan_ms,
      .max_trials = spare_threads(c, c->api_webhook_tests_at_once),
      .portal_url = c->portal_url[0] ? c->portal_url : c->external_url,
      .user_agent = "Harbinger/" HARBINGER_VERSION,
  };
  int rc = config_retry(c, &config.retry, err);
  if (rc != 0)
    return rc;
  house->dispatch = dispatch_new(house->send.loop, house->send_client, house->store, house->send_reader, &config,
                                 &house->log, house->metrics, err);
  if (!house->dispatch)
    return err->code;
  tell_health(house);
  return 0;
}

static int mark_behind_gateway(const struct config *c, struct ingest_config *config, struct error *err) {
  for (size_t i = 0; i < c->ingest_behind_gateway.len; i++) {
    bool found = false;
    for (size_t k = 0; k < config->sources_len; k++) {
      if (strcmp(config->sources[k].name, c->ingest_behind_gateway.items[i]) != 0)
        continue;
      config->sources[k].behind_gateway = found = true;
    }
    if (!found)
      return error_set(err, ERR_CONFIG,
                       "ingest.behind_gateway names the source %s, which has no token: sources are those of "
                       "ingest.tokens, and `default` for ingest.token",
                       c->ingest_behind_gateway.items[i]);
  }
  return 0;
}

static int start_ingest(struct house *house, struct error *err) {
  const struct config *c = house->config;
  struct url external;
  struct ingest_config config = {
      .create_unknown_projects = str_eq_c(str_of(c->ingest_unknown_project), "create"),
      .default_project = c->ingest_default_project,
      .own_user_agent = house->own_agent,
      .external_host = c->registry_host,
      .inline_body_bytes = 64 * 1024,
  };
  struct arena *arena = arena_new(HOUSE_ARENA_BYTES);
  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "out of memory for ingest");
  if (!c->registry_host[0] && c->external_url[0] && url_parse(str_of(c->external_url), &external, err) == 0)
    config.external_host = url_host_header(&external, arena).ptr;
  if (c->ingest_token[0])
    config.sources[config.sources_len++] = (struct ingest_source){.name = "default", .token = c->ingest_token};
  for (size_t i = 0; i < c->ingest_tokens.len && config.sources_len < INGEST_MAX_SOURCES; i++)
    config.sources[config.sources_len++] =
        (struct ingest_source){.name = c->ingest_tokens.names[i], .token = c->ingest_tokens.values[i]};
  int rc = mark_behind_gateway(c, &config, err);
  if (rc != 0) {
    arena_free(arena);
    return rc;
  }
  house->ingest = ingest_new(&config, house->serve.loop, house->pool, house->store, &house->clock, house->ids,
                             &house->log, house->metrics, err);
  arena_free(arena);
  if (!house->ingest)
    return err->code;
  ingest_on_committed(house->ingest, house_on_committed, house);
  return 0;
}

static int start_facts(struct house *house, struct error *err) {
  const struct config *c = house->config;
  if (!c->upstream_url[0])
    return 0;
  const struct registry_facts_config config = {
      .upstream_url = c->upstream_url,
      .authorization = c->upstream_authorization,
      .user_agent = house->own_agent,
      .on_peer = house_on_upstream_peer,
      .ctx = house,
      .max_at_once = FACTS_AT_ONCE,
      .max_waiting = FACTS_WAITING,
      .timeout_ms = c->upstream_timeout_ms,
      .max_manifest_bytes = 4 * 1024 * 1024,
      .skip_cert_verify = c->upstream_skip_cert_verify,
  };
  house->facts = registry_facts_new(&config, house->serve.loop, house->serve_client, house->store, &house->log, err);
  return house->facts ? 0 : (int)err->code;
}

static int start_sync(struct house *house, struct error *err) {
  const struct config *c = house->config;
  if (!c->upstream_url[0])
    return 0;
  house->upstream = (struct registry_client_config){.upstream_url = c->upstream_url,
                                                    .authorization = c->upstream_authorization,
                                                    .user_agent = house->own_agent,
                                                    .skip_cert_verify = c->upstream_skip_cert_verify};
  int rc = house_read_trust(house, &house->upstream.ca_pem, err);
  if (rc != 0)
    return rc;
  const struct registry_sync_config config = {
      .walk = {.default_project = c->ingest_default_project, .project = "", .client = house->upstream},
      .create_projects = str_eq_c(str_of(c->ingest_unknown_project), "create"),
      .facts_timeout_ms = c->upstream_timeout_ms,
      .log = &house->log,
  };
  house->sync = sync_job_new(&config, house->store, &house->clock, err);
  return house->sync ? 0 : (int)err->code;
}

static int start_api(struct house *house, struct error *err) {
  const struct config *c = house->config;
  const struct embedded_file *openapi = embedded_find("api/openapi.yaml");
  const char *version = c->harbor_version[0] ? c->harbor_version : "v2.16.0-harbinger." HARBINGER_VERSION;
  const struct api_config config = {
      .loop = house->serve.loop,
      .pool = house->pool,
      .login_pool = house->login_pool,
      .store = house->store,
      .auth = house->auth,
      .dispatch = house->dispatch,
      .egress = house->egress,
      .feed = house->feed,
      .sync = house->sync,
      .changes = house->changes,
      .max_changes = spare_threads(house->config, MAX_REGISTRY_CHANGES),
      .upstream = house->upstream.upstream_url ? &house->upstream : NULL,
      .ids = house->ids,
      .clock = &house->clock,
      .log = &house->log,
      .version = HARBINGER_VERSION,
      .harbor_version = version,
      .external_url = c->external_url[0] ? c->external_url : house->url,
      .registry_url = c->registry_host,
      .portal_url = c->portal_url[0] ? c->portal_url : c->external_url,
      .reveal_auth_header = c->harbor_reveal_auth_header,
      .cancel_wait_ms = c->api_cancel_wait_ms,
      .token_lifetime_s = c->api_token_lifetime_s,
      .tests_per_minute = c->api_webhook_tests_per_minute,
      .openapi = openapi ? (struct str){(const char *)openapi->data, openapi->size_bytes} : STR_EMPTY,
      .on_password_changed = on_password_changed,
      .ctx = house,
      .has_upstream = c->upstream_url[0] != '\0',
  };
  feed_run(house->feed, house->serve.loop);
  house->api = api_new(&config, err);
  return house->api ? 0 : (int)err->code;
}

static int start_portal(struct house *house, struct error *err) {
  const struct config *c = house->config;
  house->portal = portal_new(embedded_portal, c->portal_url[0] ? c->portal_url : c->external_url, err);
  return house->portal ? 0 : (int)err->code;
}

static int start_control(struct house *house, struct error *err) {
  const struct care_place place = {
      .store = house->store,
      .data = house->config->data,
      .serving = true,
      .upstream_url = house->config->upstream_url,
      .upstream_authorization = house->config->upstream_authorization,
      .upstream_skip_cert_verify = house->config->upstream_skip_cert_verify,
      .default_project = house->config->ingest_default_project,
      .user_agent = house->own_agent,
      .ca_file = house->config->tls_ca_file,
  };
  if (!(house->desk = care_desk_new(&place, house->serve.loop, &house->log, err)))
    return err->code;
  const struct control_config config = {
      .dir = house->config->data,
      .loop = house->serve.loop,
      .pool = house->pool,
      .store = house->store,
      .auth = house->auth,
      .desk = house->desk,
      .log = &house->log,
  };
  house->control = control_new(&config, err);
  return house->control ? 0 : (int)err->code;
}

static void *loop_thread_main(void *arg) {
  struct loop_thread *thread = arg;
  loop_run(thread->loop);
  return NULL;
}

static int loop_thread_start(struct loop_thread *thread, const char *name, struct error *err) {
  if (pthread_create(&thread->handle, NULL, loop_thread_main, thread) != 0)
    return error_set(err, ERR_NO_MEMORY, "cannot start the %s thread", name);
  pthread_setname_np(thread->handle, name);
  thread->running = true;
  return 0;
}

static int start_threads(struct house *house, struct error *err) {
  int rc = dispatch_start(house->dispatch, err);
  if (rc == 0)
    rc = loop_thread_start(&house->send, "send", err);
  if (rc == 0)
    rc = loop_thread_start(&house->serve, "serve", err);
  return rc;
}

static int start_router(struct house *house, struct error *err) {
  (void)err;
  house->waiting = metrics_gauge(house->metrics, "harbinger_deliveries_waiting", "", "Deliveries waiting for a try.");
  house->oldest_age = metrics_gauge(house->metrics, "harbinger_deliveries_oldest_age_seconds", "",
                                    "How long the delivery that is due longest has been due.");
  process_metrics_init(&house->process, house->metrics, &house->clock);
  house->router = (struct router){
      .store = house->store,
      .auth = house->auth,
      .pool = house->pool,
      .login_pool = house->login_pool,
      .loop = house->serve.loop,
      .metrics = house->metrics,
      .log = &house->log,
      .metrics_token = str_of(house->config->metrics_token),
      .metrics_open = house->config->metrics_open,
      .before_metrics = before_metrics,
      .ctx = house,
  };
  router_start(&house->router);
  return 0;
}

static int start_rooms_of_router(struct house *house, struct error *err) {
  int rc = start_ingest(house, err);
  if (rc == 0)
    rc = start_facts(house, err);
  if (rc == 0)
    rc = start_sync(house, err);
  if (rc == 0)
    rc = house_start_changes(house, err);
  if (rc == 0)
    rc = house_start_gateway(house, err);
  if (rc == 0)
    rc = start_api(house, err);
  if (rc == 0)
    rc = start_portal(house, err);
  house->router.api = house->api;
  house->router.portal = house->portal;
  house->router.ingest = house->ingest;
  house->router.gateway = house->gateway;
  return rc;
}

int house_start(struct house *house, const struct config *config, struct error *err) {
  static int (*const steps[])(struct house *, struct error *) = {
      start_base,        house_start_store,    house_start_auth,       house_start_first_user, house_start_egress,
      house_start_trust, start_pools,          house_start_serve_loop, house_start_send_loop,  start_sender,
      start_router,      house_start_listener, start_rooms_of_router,  start_control,          start_threads,
  };
  *house = (struct house){.config = config};
  for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
    int rc = steps[i](house, err);
    if (rc != 0)
      return rc;
  }
  return 0;
}

int house_reload(struct house *house, struct error *err) {
  int rc = egress_refresh_local(house->egress, err);
  if (rc == 0)
    rc = house_load_certificate(house, err);
  return rc;
}