// SPDX-License-Identifier: Apache-2.0
// Settings of `harbinger serve`: one table (config.c) names each with type, default, unit, bounds and what it is for.
// Sources, later ones win: the defaults, the YAML file, the environment (HARBINGER_ + the key in capitals, dots as
// underscores), the command line. An unknown key or an ill-typed value is refused with file and line, or with the
// variable's name. A plain value once loaded; strings live as long as the config.
#ifndef HARBINGER_APP_CONFIG_H
#define HARBINGER_APP_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "dispatch/retry.h"
#include "ingest/ingest.h"
#include "net/address.h"

enum { CONFIG_MAX_FILE_BYTES = 1024 * 1024, CONFIG_MAX_LIST = 64 };

struct config_list {
  const char *items[CONFIG_MAX_LIST];
  size_t len;
};

struct config_pair_list { // a mapping of names to values
  const char *names[CONFIG_MAX_LIST];
  const char *values[CONFIG_MAX_LIST];
  size_t len;
};

struct config {
  struct arena *arena;
  // General
  const char *listen, *data, *external_url, *portal_url, *registry_host;
  const char *log_level;
  const char *log_format;
  const char *admin_password;
  int64_t pool_threads, pool_max_jobs, max_descriptors;
  int64_t drain_ms;
  // Listener
  const char *tls_cert_file, *tls_key_file;
  int64_t tls_hsts_max_age_s;
  int64_t server_max_connections, server_max_head_bytes, server_max_buffered_bytes;
  int64_t server_header_timeout_ms, server_body_idle_timeout_ms, server_body_rate_window_ms,
      server_body_min_bytes_per_s;
  int64_t server_keep_alive_timeout_ms, server_write_timeout_ms;
  // Sources
  const char *ingest_token;
  struct config_pair_list ingest_tokens;
  struct config_list ingest_behind_gateway;
  const char *ingest_unknown_project, *ingest_default_project;
  const char *upstream_url, *upstream_authorization;
  bool upstream_skip_cert_verify;
  int64_t upstream_timeout_ms;
  // Gateway
  bool gateway_enabled;
  const char *gateway_unknown_project, *gateway_redirects, *gateway_on_store_failure;
  int64_t gateway_max_streams, gateway_upstream_timeout_ms, gateway_idle_timeout_ms;
  // Outgoing
  const char *tls_ca_file;
  struct config_list egress_allow, egress_ports;
  const char *resolver_servers;
  int64_t resolver_budget_ms, resolver_positive_ttl_ms, resolver_negative_ttl_ms;
  int64_t delivery_connect_timeout_ms, delivery_first_byte_timeout_ms, delivery_total_timeout_ms;
  int64_t delivery_max_fresh;
  int64_t delivery_concurrency, delivery_max_connecting, delivery_max_exchanging, delivery_slack_interval_ms;
  int64_t delivery_window, delivery_max_lanes, delivery_rescan_ms, delivery_idle_timeout_ms;
  struct config_list retry_schedule;
  int64_t retry_give_up_ms, retry_permanent_tries, retry_after_cap_ms, retry_pause_min_ms, retry_pause_max_ms;
  int64_t delivery_suspend_after_s, delivery_max_backlog_age_s;
  int64_t breaker_failures, breaker_span_ms, breaker_probe_min_ms, breaker_probe_max_ms;
  // Store
  bool store_backup_before_upgrade;
  int64_t store_max_queue, store_min_free_bytes, store_retry_ms, store_gather_us;
  int64_t retention_events_s, retention_attempts_s, retention_failed_attempts_s, retention_bodies_s;
  int64_t retention_failed_bodies_s, retention_max_bytes, retention_audit_s, retention_ingest_log_s;
  // API
  const char *harbor_version;
  bool harbor_reveal_auth_header;
  int64_t api_cancel_wait_ms, api_token_lifetime_s;
  int64_t api_webhook_tests_per_minute, api_webhook_tests_at_once;
  int64_t api_max_streams, api_max_streams_per_user, api_stream_lifetime_s;
  int64_t auth_cache_ms, auth_delay_min_ms, auth_delay_max_ms, auth_forget_ms;
  int64_t auth_session_idle_s, auth_session_max_s, auth_max_sessions_per_user;
  bool metrics_open;
  const char *metrics_token;
};

// Defaults, then `file` (NULL: none) and the environment. `env`: NAME=VALUE strings, NULL-terminated; unknown
// HARBINGER_ variables are named in `warning` (an orchestrator may inject some), not refused.
int config_load(struct config *config, const char *file, char *const *env, struct buf *warning, struct error *err)
    MUST_CHECK;
// One setting from the command line. `first`: the key was not given there before, so that a list or mapping replaces what
// earlier sources said; without it the value is appended to that of the option before.
int config_set(struct config *config, const char *key, const char *value, bool first, struct error *err) MUST_CHECK;
// What no single setting can know: certificate without key, unreadable addresses, a schedule that cannot be.
int config_check(const struct config *config, struct error *err) MUST_CHECK;
int config_retry(const struct config *config, struct retry_config *out, struct error *err) MUST_CHECK;
void config_free(struct config *config);

// The table for docs/configuration.md in Markdown: key, variable, type, default, unit, meaning.
void config_write_table(struct buf *out);

#endif
