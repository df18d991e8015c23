// SPDX-License-Identifier: Apache-2.0
#include "app/config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/config_yaml.h"
#include "app/file.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "net/url.h"
#include "store/sessions.h"

enum setting_type { SETTING_TEXT, SETTING_INT, SETTING_BOOL, SETTING_LIST, SETTING_PAIRS };

struct setting {
  const char *key;
  enum setting_type type;
  size_t offset;
  const char *fallback; // the default, as one would write it
  int64_t min, max;     // integers only
  const char *unit;
  const char *meaning;
};

#define AT(member) offsetof(struct config, member)
#define MS_PER_DAY (INT64_C(86400) * 1000)
#define S_PER_YEAR (INT64_C(366) * 86400)
#define GIB (INT64_C(1) << 30)

#define TEXT(key, member, fallback, meaning) \
  { key, SETTING_TEXT, AT(member), fallback, 0, 0, "", meaning }
#define BOOL(key, member, fallback, meaning) \
  { key, SETTING_BOOL, AT(member), fallback, 0, 0, "", meaning }
#define LIST(key, member, fallback, unit, meaning) \
  { key, SETTING_LIST, AT(member), fallback, 0, 0, unit, meaning }
#define PAIRS(key, member, meaning) \
  { key, SETTING_PAIRS, AT(member), "", 0, 0, "", meaning }
#define INT(key, member, fallback, min, max, unit, meaning) \
  { key, SETTING_INT, AT(member), fallback, min, max, unit, meaning }
#define MS(key, member, fallback, meaning) INT(key, member, fallback, 1, 366 * MS_PER_DAY, "ms", meaning)
#define SECONDS(key, member, fallback, meaning) INT(key, member, fallback, 1, 100 * S_PER_YEAR, "s", meaning)

// The one table of settings; docs/configuration.md is printed from it.
static const struct setting settings[] = {
    TEXT("listen", listen, "127.0.0.1:8080", "Address and port to serve on; port 0 takes a free one."),
    TEXT("data", data, "./data",
         "Data directory: the store, the key file, the control socket. Created with mode 0700."),
    TEXT("external_url", external_url, "",
         "How clients reach this server, e.g. `https://registry.example.com`. Empty: made from `listen`; pushes then "
         "carry "
         "the host that the registry reported."),
    TEXT("portal_url", portal_url, "",
         "Base of links in chat messages. Empty: `external_url`; without both there is no link."),
    TEXT("registry_host", registry_host, "",
         "host[:port] that `resource_url` begins with. Empty: that of `external_url`, else the notification's own."),
    TEXT("admin.password", admin_password, "",
         "Password of the user `admin` made by the first start. Empty: a random one, shown once."),
    TEXT("log.level", log_level, "info", "debug, info, warn or error; can be changed at run time."),
    TEXT("log.format", log_format, "plain", "plain or json (one object per line), on standard error."),
    INT("pool.threads", pool_threads, "4", 1, 64, "threads",
        "Threads for API calls, password hashes and large bodies."),
    INT("pool.max_jobs", pool_max_jobs, "1024", 16, 65536, "jobs",
        "API calls that may wait for a thread; above it 503."),
    INT("limits.descriptors", max_descriptors, "65536", 256, 1048576, "descriptors",
        "The process raises its own limit of open descriptors to this, as far as the system lets it."),
    MS("limits.drain_ms", drain_ms, "9000",
       "How long a stop waits for running requests and deliveries; closing the store comes after it."),

    TEXT("tls.cert_file", tls_cert_file, "",
         "PEM chain of the listener, leaf first. Empty: plain HTTP. Read again on SIGHUP."),
    TEXT("tls.key_file", tls_key_file, "", "PEM key of the listener."),
    INT("tls.hsts_max_age_s", tls_hsts_max_age_s, "31536000", 0, 100 * S_PER_YEAR, "s",
        "Answers over TLS tell browsers to use https alone for this host, on all its ports, for so long. 0: not."),
    INT("server.max_connections", server_max_connections, "16384", 16, 1000000, "connections",
        "Open client connections; above it the one idle longest is closed."),
    INT("server.max_head_bytes", server_max_head_bytes, "65536", 1024, 1048576, "bytes",
        "Request line and headers; above it 431."),
    INT("server.max_buffered_bytes", server_max_buffered_bytes, "268435456", 1048576, 64 * GIB, "bytes",
        "All request bodies in memory together; above it 503."),
    MS("server.header_timeout_ms", server_header_timeout_ms, "10000", "Time for a request's head; after it 408."),
    MS("server.body_idle_timeout_ms", server_body_idle_timeout_ms, "30000", "A body without progress; after it 408."),
    MS("server.body_rate_window_ms", server_body_rate_window_ms, "60000",
       "Window over which a body's rate is measured."),
    INT("server.body_min_bytes_per_s", server_body_min_bytes_per_s, "1024", 0, GIB, "bytes/s",
        "Slower bodies than this over the window get 408."),
    MS("server.keep_alive_timeout_ms", server_keep_alive_timeout_ms, "75000",
       "An idle client connection is closed after this."),
    MS("server.write_timeout_ms", server_write_timeout_ms, "30000",
       "A client that does not read its answer is cut off after this."),

    TEXT("ingest.token", ingest_token, "",
         "Bearer token for every source that has none of its own; at least 16 bytes."),
    PAIRS("ingest.tokens", ingest_tokens, "Bearer tokens by source name, e.g. `{harbor-east: TOKEN}`."),
    LIST("ingest.behind_gateway", ingest_behind_gateway, "", "source names",
         "Sources (`default` is the one of ingest.token) whose registry everybody should reach through `/v2/` here: "
         "pushes "
         "and deletes that go past it are counted and logged."),
    TEXT("ingest.unknown_project", ingest_unknown_project, "create",
         "What happens to a notification of a project that does not exist: create it, or refuse (no event, noted in "
         "the ingest log)."),
    TEXT("ingest.default_project", ingest_default_project, "library",
         "Project of repositories whose name has no slash."),
    TEXT("upstream.url", upstream_url, "",
         "The registry, e.g. `http://127.0.0.1:5000`: asked for sizes, media types and platforms that notifications "
         "leave out."),
    TEXT("upstream.authorization", upstream_authorization, "", "Authorization header for the registry."),
    BOOL("upstream.skip_cert_verify", upstream_skip_cert_verify, "false", "Accept any certificate of the registry."),
    MS("upstream.timeout_ms", upstream_timeout_ms, "10000", "One question to the registry."),

    BOOL("gateway.enabled", gateway_enabled, "true",
         "Serve `/v2/` in front of `upstream.url`. Without `upstream.url` there is nothing to serve."),
    TEXT("gateway.unknown_project", gateway_unknown_project, "create",
         "A push to a project that does not exist, by who may make one: create (the first manifest makes the project, "
         "private), or refuse (404, with the command that makes it)."),
    TEXT("gateway.redirects", gateway_redirects, "pass",
         "Redirects of the registry to another host, such as an object store: pass (the client goes there), or follow "
         "(the content comes through here; the host must be allowed like a webhook's)."),
    TEXT("gateway.on_store_failure", gateway_on_store_failure, "refuse",
         "Pushes of manifests and deletes while the store takes nothing: refuse (503, pulls go on), or pass (they go "
         "through, the gap is counted, logged and told as events when the store is back)."),
    INT("gateway.max_streams", gateway_max_streams, "2048", 1, 65536, "requests",
        "Requests to `/v2/` at once; above it 429."),
    MS("gateway.upstream_timeout_ms", gateway_upstream_timeout_ms, "120000",
       "From the last byte of a request to the first of the registry's answer; after it 504."),
    MS("gateway.idle_timeout_ms", gateway_idle_timeout_ms, "30000",
       "A registry that stops in the middle of an answer, or of taking an upload, is given up after this."),

    TEXT("tls.ca_file", tls_ca_file, "", "PEM bundle trusted for outgoing TLS. Empty: the system's."),
    LIST("egress.allow", egress_allow, "", "CIDR ranges",
         "Loopback, link-local and metadata ranges that webhooks may reach, for tests and demos; never this program's "
         "own "
         "ports. Private ranges are allowed at run time with `harbinger egress allow`."),
    LIST("egress.ports", egress_ports, "", "ports", "Ports for webhooks besides 80, 443 and 1024 and up."),
    TEXT("resolver.servers", resolver_servers, "",
         "Name servers as `addr:port`, separated by commas. Empty: the system's."),
    MS("resolver.budget_ms", resolver_budget_ms, "5000", "Time for one name, all tries together."),
    MS("resolver.positive_ttl_ms", resolver_positive_ttl_ms, "30000", "Longest time an answer is remembered."),
    MS("resolver.negative_ttl_ms", resolver_negative_ttl_ms, "5000", "How long a failure is remembered."),

    MS("delivery.connect_timeout_ms", delivery_connect_timeout_ms, "5000", "Connect and TLS handshake of a try."),
    MS("delivery.first_byte_timeout_ms", delivery_first_byte_timeout_ms, "10000",
       "From the request's last byte to the answer's first."),
    MS("delivery.total_timeout_ms", delivery_total_timeout_ms, "30000", "A whole try."),
    INT("delivery.concurrency", delivery_concurrency, "8", 1, 64, "requests", "Requests at once per target."),
    INT("delivery.max_connecting", delivery_max_connecting, "4096", 1, 65536, "requests",
        "Tries that are resolving or connecting."),
    INT("delivery.max_exchanging", delivery_max_exchanging, "512", 1, 65536, "requests",
        "Tries that are sending or waiting for an answer."),
    MS("delivery.slack_interval_ms", delivery_slack_interval_ms, "1000",
       "Shortest time between two messages to one Slack target."),
    INT("delivery.window", delivery_window, "16384", 64, 1048576, "deliveries",
        "Waiting deliveries held in memory, as ids."),
    INT("delivery.max_fresh", delivery_max_fresh, "1024", 0, 65536, "events",
        "New events kept in memory until their first try, at most 8 KiB each."),
    INT("delivery.max_lanes", delivery_max_lanes, "131072", 16, 4194304, "lanes",
        "Targets with work held in memory; the others wait in the store."),
    MS("delivery.rescan_ms", delivery_rescan_ms, "30000",
       "How often the store is asked for work that no notice named."),
    MS("delivery.idle_timeout_ms", delivery_idle_timeout_ms, "30000",
       "An idle connection to a target is closed after this."),
    INT("delivery.suspend_after_s", delivery_suspend_after_s, "432000", 0, 100 * S_PER_YEAR, "s",
        "A target that fails for this long without a success is suspended: its deliveries wait until a person resumes "
        "it. 0: never."),
    INT("delivery.max_backlog_age_s", delivery_max_backlog_age_s, "2592000", 0, 100 * S_PER_YEAR, "s",
        "Deliveries that wait for longer than this for a target that is suspended, paused or failing all the time fail "
        "as expired. 0: never."),
    LIST("retry.schedule_ms", retry_schedule, "5000,30000,120000,600000,1800000,3600000,7200000,14400000,28800000",
         "ms", "Waits between tries, each with full jitter; the last one repeats until `retry.give_up_ms`."),
    MS("retry.give_up_ms", retry_give_up_ms, "259200000", "A delivery fails this long after its first try."),
    INT("retry.permanent_tries", retry_permanent_tries, "3", 1, 100, "tries",
        "Tries for answers that a retry hardly changes (400, 401, 404 ...)."),
    MS("retry.retry_after_cap_ms", retry_after_cap_ms, "28800000", "Longest `Retry-After` that is honoured."),
    MS("retry.pause_min_ms", retry_pause_min_ms, "5000", "Pause of a target after 429 or 503 without `Retry-After`."),
    MS("retry.pause_max_ms", retry_pause_max_ms, "600000", "Longest such pause."),
    INT("breaker.failures", breaker_failures, "10", 1, 10000, "failures",
        "Failures in a row that open a target's breaker."),
    MS("breaker.span_ms", breaker_span_ms, "30000", "They must lie at least this far apart."),
    MS("breaker.probe_min_ms", breaker_probe_min_ms, "30000",
       "First wait before the head of the queue probes an open target."),
    MS("breaker.probe_max_ms", breaker_probe_max_ms, "900000", "Longest wait between probes."),

    BOOL("store.backup_before_upgrade", store_backup_before_upgrade, "true",
         "Copy the store to `backups/` in the data directory before a new version changes its schema; without room for "
         "the copy the server does not start. `false`: there is no way back to the old version."),
    INT("store.max_queue", store_max_queue, "8192", 256, 1048576, "items",
        "Changes that may wait for the writer; above it 503."),
    INT("store.min_free_bytes", store_min_free_bytes, "67108864", 0, 1024 * GIB, "bytes",
        "Below this free space no new event is taken."),
    INT("store.gather_us", store_gather_us, "1000", 0, 100000, "us",
        "Under load: how long the writer waits for more changes to commit together."),
    MS("store.retry_ms", store_retry_ms, "1000", "How often a broken store is tried again."),
    SECONDS("retention.events_s", retention_events_s, "7776000", "Events are kept this long."),
    SECONDS("retention.attempts_s", retention_attempts_s, "2592000", "Attempts of deliveries that succeeded."),
    SECONDS("retention.failed_attempts_s", retention_failed_attempts_s, "7776000",
            "Attempts of deliveries that failed."),
    SECONDS("retention.bodies_s", retention_bodies_s, "604800", "Bodies of deliveries that succeeded."),
    SECONDS("retention.failed_bodies_s", retention_failed_bodies_s, "2592000", "Bodies of deliveries that failed."),
    SECONDS("retention.audit_s", retention_audit_s, "31536000", "Entries of the audit."),
    SECONDS("retention.ingest_log_s", retention_ingest_log_s, "86400", "Notes on notifications that made no event."),
    INT("retention.max_bytes", retention_max_bytes, "2147483648", 16777216, 1024 * GIB, "bytes",
        "Size of the store above which the oldest history goes early; a waiting delivery never does."),

    TEXT("harbor_api.version", harbor_version, "",
         "`harbor_version` of /systeminfo. Empty: `v2.16.0-harbinger.` and our version."),
    BOOL("harbor_api.reveal_auth_header", harbor_reveal_auth_header, "false",
         "Return `auth_header` in clear to those who may change the webhook, as Harbor does (the Terraform provider "
         "compares it)."),
    MS("api.cancel_wait_ms", api_cancel_wait_ms, "1000",
       "Longest time a delete or disable waits for the sender to confirm."),
    SECONDS("api.token_lifetime_s", api_token_lifetime_s, "7776000", "Life of an API token."),
    INT("api.max_streams", api_max_streams, "256", 1, 4096, "streams",
        "How many pages may follow deliveries as they happen at the same time (server-sent events)."),
    INT("api.max_streams_per_user", api_max_streams_per_user, "16", 1, 4096, "streams", "Of these, for one user."),
    INT("api.stream_lifetime_s", api_stream_lifetime_s, "60", 1, 3600, "s",
        "After so long a stream ends and the browser comes back, so that its rights are judged again."),
    INT("api.webhook_tests_per_minute", api_webhook_tests_per_minute, "30", 1, 6000, "tests",
        "Tests of webhooks per user and per project; above it 429."),
    INT("api.webhook_tests_at_once", api_webhook_tests_at_once, "2", 1, 63, "tests",
        "Tests of webhooks that wait for their receiver; above it 429. Never more than `pool.threads` less one."),
    MS("auth.cache_ms", auth_cache_ms, "60000", "A right password is remembered this long (under a keyed hash)."),
    MS("auth.delay_min_ms", auth_delay_min_ms, "250",
       "Answer to a first failed login is held back this long; doubles with each."),
    MS("auth.delay_max_ms", auth_delay_max_ms, "8000", "Longest such wait."),
    MS("auth.forget_ms", auth_forget_ms, "900000", "Failed logins are forgotten after this long without one."),
    SECONDS("auth.session_idle_s", auth_session_idle_s, "3600",
            "A browser's session ends after this long without a call."),
    SECONDS("auth.session_max_s", auth_session_max_s, "43200", "A browser's session ends after this long in any case."),
    INT("auth.max_sessions_per_user", auth_max_sessions_per_user, "32", 1, SESSIONS_MAX_PER_USER, "sessions",
        "Sessions of one user at once; with one more the oldest ends."),
    BOOL("metrics.open", metrics_open, "false", "Serve /metrics to everybody."),
    TEXT("metrics.token", metrics_token, "", "Bearer token that may read /metrics besides administrators."),
};

static const struct setting *setting_find(struct str key) {
  for (size_t i = 0; i < ARRAY_LEN(settings); i++)
    if (str_eq_c(key, settings[i].key))
      return &settings[i];
  return NULL;
}

static void *member_at(struct config *config, const struct setting *setting) {
  return (char *)config + setting->offset;
}

static int set_text(struct config *config, const struct setting *setting, struct str value, struct error *err) {
  char *copy = arena_cstr(config->arena, value);
  if (!copy)
    return error_set(err, ERR_NO_MEMORY, "out of memory for settings");
  if (memchr(value.ptr, '\0', value.len))
    return error_set(err, ERR_CONFIG, "%s holds a NUL byte", setting->key);
  *(const char **)member_at(config, setting) = copy;
  return 0;
}

static int set_int(struct config *config, const struct setting *setting, struct str value, struct error *err) {
  int64_t number;
  if (!str_to_i64(value, &number))
    return error_set(err, ERR_CONFIG, "%s must be a whole number%s%s, not `%.*s`", setting->key,
                     setting->unit[0] ? " of " : "", setting->unit, STR_ARG(value));
  if (number < setting->min || number > setting->max)
    return error_set(err, ERR_CONFIG, "%s must be between %lld and %lld, not %lld", setting->key,
                     (long long)setting->min, (long long)setting->max, (long long)number);
  *(int64_t *)member_at(config, setting) = number;
  return 0;
}

static int set_bool(struct config *config, const struct setting *setting, struct str value, struct error *err) {
  bool yes = str_eq_c(value, "true"), no = str_eq_c(value, "false");
  if (!yes && !no)
    return error_set(err, ERR_CONFIG, "%s must be true or false, not `%.*s`", setting->key, STR_ARG(value));
  *(bool *)member_at(config, setting) = yes;
  return 0;
}

static int list_append(struct config *config, const struct setting *setting, struct str value, struct error *err) {
  struct config_list *list = member_at(config, setting);
  if (list->len == CONFIG_MAX_LIST)
    return error_set(err, ERR_CONFIG, "%s has more than %d entries", setting->key, CONFIG_MAX_LIST);
  char *copy = arena_cstr(config->arena, str_trim(value));
  if (!copy)
    return error_set(err, ERR_NO_MEMORY, "out of memory for settings");
  list->items[list->len++] = copy;
  return 0;
}

static int list_append_all(struct config *config, const struct setting *setting, struct str values, struct error *err) {
  struct str part;
  while (values.len > 0 && str_next(&values, ',', &part)) {
    if (str_trim(part).len == 0)
      continue;
    int rc = list_append(config, setting, part, err);
    if (rc != 0)
      return rc;
  }
  return 0;
}

static int pair_append(struct config *config, const struct setting *setting, struct str name, struct str value,
                       struct error *err) {
  struct config_pair_list *pairs = member_at(config, setting);
  if (pairs->len == CONFIG_MAX_LIST)
    return error_set(err, ERR_CONFIG, "%s has more than %d entries", setting->key, CONFIG_MAX_LIST);
  char *name_copy = arena_cstr(config->arena, name), *value_copy = arena_cstr(config->arena, value);
  if (!name_copy || !value_copy)
    return error_set(err, ERR_NO_MEMORY, "out of memory for settings");
  pairs->names[pairs->len] = name_copy;
  pairs->values[pairs->len++] = value_copy;
  return 0;
}

// "name=value,name=value": a mapping where only text can be given (environment, command line).
static int pairs_append_all(struct config *config, const struct setting *setting, struct str text, struct error *err) {
  struct str part;
  while (text.len > 0 && str_next(&text, ',', &part)) {
    ptrdiff_t eq = str_find(part, '=');
    if (eq <= 0)
      return error_set(err, ERR_CONFIG, "%s must read name=value,name=value", setting->key);
    int rc =
        pair_append(config, setting, str_trim(str_slice(part, 0, (size_t)eq)), str_from(part, (size_t)eq + 1), err);
    if (rc != 0)
      return rc;
  }
  return 0;
}

static int set_value(struct config *config, const struct setting *setting, struct str value, struct error *err) {
  switch (setting->type) {
  case SETTING_TEXT:
    return set_text(config, setting, value, err);
  case SETTING_INT:
    return set_int(config, setting, value, err);
  case SETTING_BOOL:
    return set_bool(config, setting, value, err);
  case SETTING_LIST:
    return list_append_all(config, setting, value, err);
  case SETTING_PAIRS:
    return pairs_append_all(config, setting, value, err);
  }
  return error_set(err, ERR_INTERNAL, "setting %s has no type", setting->key);
}

// A later source replaces a list of an earlier one as a whole.
static void list_reset(struct config *config, const struct setting *setting) {
  if (setting->type == SETTING_LIST)
    ((struct config_list *)member_at(config, setting))->len = 0;
  if (setting->type == SETTING_PAIRS)
    ((struct config_pair_list *)member_at(config, setting))->len = 0;
}

static int yaml_setting(void *ctx, const struct config_yaml_item *item, struct error *err) {
  struct config *config = ctx;
  const struct setting *setting = setting_find(item->key);
  if (!setting && item->kind == CONFIG_YAML_PAIR)
    setting = setting_find(item->parent);
  if (!setting)
    return error_set(err, ERR_CONFIG, "unknown setting %.*s; docs/configuration.md lists all", STR_ARG(item->key));
  bool list = setting->type == SETTING_LIST, pairs = setting->type == SETTING_PAIRS;
  if (item->kind == CONFIG_YAML_SEQUENCE_START) {
    if (!list)
      return error_set(err, ERR_CONFIG, "%s takes one value, not a list", setting->key);
    list_reset(config, setting);
    return 0;
  }
  if (item->kind == CONFIG_YAML_SEQUENCE_ITEM)
    return list_append(config, setting, item->value, err);
  if (item->kind == CONFIG_YAML_PAIR && pairs)
    return pair_append(config, setting, str_from(item->key, item->parent.len + 1), item->value, err);
  list_reset(config, setting);
  return set_value(config, setting, item->value, err);
}

static void variable_name(const char *key, char *out, size_t size) {
  int len = snprintf(out, size, "HARBINGER_%s", key);
  for (int i = 0; i < len && (size_t)i < size; i++) {
    if (out[i] == '.')
      out[i] = '_';
    if (out[i] >= 'a' && out[i] <= 'z')
      out[i] = (char)(out[i] - 'a' + 'A');
  }
}

static const struct setting *setting_of_variable(struct str name) {
  for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
    char variable[128];
    variable_name(settings[i].key, variable, sizeof variable);
    if (str_eq_c(name, variable))
      return &settings[i];
  }
  return NULL;
}

// Variables of the client commands and of the tests, which the server passes by in silence.
static bool variable_is_other(struct str name) {
  static const char *const others[] = {"HARBINGER_URL",         "HARBINGER_TOKEN",   "HARBINGER_CONFIG",
                                       "HARBINGER_CA_FILE",     "HARBINGER_CA_FILE", "HARBINGER_BINARY",
                                       "HARBINGER_SOURCE_ROOT", "HARBINGER_BUILD"};
  for (size_t i = 0; i < ARRAY_LEN(others); i++)
    if (str_eq_c(name, others[i]))
      return true;
  return false;
}

static int load_environment(struct config *config, char *const *env, struct buf *warning, struct error *err) {
  for (; env && *env; env++) {
    struct str line = str_of(*env);
    if (!str_starts_c(line, "HARBINGER_"))
      continue;
    ptrdiff_t eq = str_find(line, '=');
    if (eq < 0)
      continue;
    struct str name = str_slice(line, 0, (size_t)eq);
    const struct setting *setting = setting_of_variable(name);
    if (!setting) {
      if (!variable_is_other(name))
        buf_printf(warning, "%s%.*s", warning->len ? ", " : "", STR_ARG(name));
      continue;
    }
    list_reset(config, setting);
    int rc = set_value(config, setting, str_from(line, (size_t)eq + 1), err);
    if (rc != 0) {
      error_context(err, "environment variable %.*s", STR_ARG(name));
      return rc;
    }
  }
  return 0;
}

static int load_file(struct config *config, const char *path, struct error *err) {
  struct str text;
  int rc = file_read(path, CONFIG_MAX_FILE_BYTES, config->arena, &text, err);
  if (rc != 0)
    return rc;
  return config_yaml_read(path, text, yaml_setting, config, err);
}

int config_load(struct config *config, const char *file, char *const *env, struct buf *warning, struct error *err) {
  *config = (struct config){.arena = arena_new(4 * CONFIG_MAX_FILE_BYTES)};
  if (!config->arena)
    return error_set(err, ERR_NO_MEMORY, "out of memory for settings");
  for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
    int rc = set_value(config, &settings[i], str_of(settings[i].fallback), err);
    if (rc != 0)
      return rc;
  }
  int rc = file ? load_file(config, file, err) : 0;
  if (rc != 0)
    return rc;
  return load_environment(config, env, warning, err);
}

int config_set(struct config *config, const char *key, const char *value, bool first, struct error *err) {
  const struct setting *setting = setting_find(str_of(key));
  if (!setting)
    return error_set(err, ERR_CONFIG, "unknown setting %s", key);
  if (first)
    list_reset(config, setting);
  return set_value(config, setting, str_of(value), err);
}

static int check_url(const char *key, const char *value, struct error *err) {
  struct url url;
  if (!value[0])
    return 0;
  int rc = url_parse(str_of(value), &url, err);
  if (rc != 0) {
    error_context(err, "%s `%s`", key, value);
    err->code = ERR_CONFIG;
    return ERR_CONFIG;
  }
  return 0;
}

static int check_one_of(const char *key, const char *value, const char *a, const char *b, struct error *err) {
  if (str_eq_c(str_of(value), a) || str_eq_c(str_of(value), b))
    return 0;
  return error_set(err, ERR_CONFIG, "%s must be %s or %s, not `%s`", key, a, b, value);
}

int config_check(const struct config *config, struct error *err) {
  struct address address;
  if (!address_read_with_port(str_of(config->listen), &address))
    return error_set(err, ERR_CONFIG, "listen must read ADDRESS:PORT, e.g. 127.0.0.1:8080 or [::]:443, not `%s`",
                     config->listen);
  enum log_level level;
  if (!log_level_read(str_of(config->log_level), &level))
    return error_set(err, ERR_CONFIG, "log.level must be debug, info, warn or error, not `%s`", config->log_level);
  int rc = check_one_of("log.format", config->log_format, "plain", "json", err);
  if (rc == 0)
    rc = check_one_of("ingest.unknown_project", config->ingest_unknown_project, "create", "refuse", err);
  if (rc == 0)
    rc = check_one_of("gateway.unknown_project", config->gateway_unknown_project, "create", "refuse", err);
  if (rc == 0)
    rc = check_one_of("gateway.redirects", config->gateway_redirects, "pass", "follow", err);
  if (rc == 0)
    rc = check_one_of("gateway.on_store_failure", config->gateway_on_store_failure, "refuse", "pass", err);
  if (rc == 0)
    rc = check_url("external_url", config->external_url, err);
  if (rc == 0)
    rc = check_url("portal_url", config->portal_url, err);
  if (rc == 0)
    rc = check_url("upstream.url", config->upstream_url, err);
  if (rc != 0)
    return rc;
  if (!config->tls_cert_file[0] != !config->tls_key_file[0])
    return error_set(err, ERR_CONFIG, "tls.cert_file and tls.key_file must be given together");
  if (!event_is_project_name(str_of(config->ingest_default_project)))
    return error_set(err, ERR_CONFIG, "ingest.default_project `%s` is not a project name",
                     config->ingest_default_project);
  struct retry_config retry;
  return config_retry(config, &retry, err);
}

int config_retry(const struct config *config, struct retry_config *out, struct error *err) {
  *out = (struct retry_config){
      .give_up_ms = config->retry_give_up_ms,
      .permanent_tries = (int)config->retry_permanent_tries,
      .retry_after_cap_ms = config->retry_after_cap_ms,
      .pause_min_ms = config->retry_pause_min_ms,
      .pause_max_ms = config->retry_pause_max_ms,
  };
  const struct config_list *steps = &config->retry_schedule;
  if (steps->len == 0 || steps->len > RETRY_MAX_STEPS)
    return error_set(err, ERR_CONFIG, "retry.schedule_ms must have 1 to %d waits, not %zu", RETRY_MAX_STEPS,
                     steps->len);
  for (size_t i = 0; i < steps->len; i++) {
    int64_t step_ms;
    if (!str_to_i64(str_of(steps->items[i]), &step_ms) || step_ms < 1 || step_ms > 30 * MS_PER_DAY)
      return error_set(err, ERR_CONFIG, "retry.schedule_ms: `%s` is not a wait between 1 ms and 30 days",
                       steps->items[i]);
    out->steps_ms[out->steps_len++] = step_ms;
  }
  return 0;
}

void config_free(struct config *config) {
  arena_free(config->arena);
  config->arena = NULL;
}

static const char *type_name(enum setting_type type) {
  static const char *const names[] = {"text", "integer", "boolean", "list", "mapping"};
  return names[type];
}

void config_write_table(struct buf *out) {
  buf_put_c(out, "| Setting | Variable | Type | Default | Unit | Meaning |\n| --- | --- | --- | --- | --- | --- |\n");
  for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
    const struct setting *s = &settings[i];
    char variable[128];
    variable_name(s->key, variable, sizeof variable);
    buf_printf(out, "| `%s` | `%s` | %s | ", s->key, variable, type_name(s->type));
    if (s->fallback[0])
      buf_printf(out, "`%s`", s->fallback);
    buf_printf(out, " | %s | %s |\n", s->unit, s->meaning);
  }
}
