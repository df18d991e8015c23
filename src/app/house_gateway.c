// SPDX-License-Identifier: Apache-2.0
// What stands in front of the registry: the changes that become events, and /v2/.
#include "app/house_steps.h"

enum { MAX_OPEN_CHANGES = 4096, CHANGE_WAIT_MS = 30000, CONNECT_TIMEOUT_MS = 5000 };

// A registry that is configured by name: its addresses are known when it has answered.
void house_on_upstream_peer(void *ctx, const struct address *peer) {
  struct house *house = ctx;
  struct error err = {0};
  if (egress_add_own(house->egress, peer, &err) != 0)
    log_warn(&house->log, "app", "the registry's address is not guarded: %s", err.text);
}

int house_start_changes(struct house *house, struct error *err) {
  const struct config *c = house->config;
  if (!c->upstream_url[0])
    return 0;
  bool pass = str_eq_c(str_of(c->gateway_on_store_failure), "pass");
  const struct changes_config config = {
      .upstream_url = c->upstream_url,
      .authorization = c->upstream_authorization,
      .user_agent = house->own_agent,
      .skip_cert_verify = c->upstream_skip_cert_verify,
      .max_open = MAX_OPEN_CHANGES,
      .wait_ms = CHANGE_WAIT_MS,
      .upstream_timeout_ms = c->gateway_upstream_timeout_ms,
      .without_store = pass ? CHANGE_PASS : CHANGE_REFUSE,
      .on_committed = house_on_committed,
      .ctx = house,
  };
  house->changes =
      changes_new(&config, house->serve.loop, house->serve_client, house->store, &house->log, house->metrics, err);
  return house->changes ? 0 : (int)err->code;
}

int house_start_gateway(struct house *house, struct error *err) {
  const struct config *c = house->config;
  if (!c->upstream_url[0] || !c->gateway_enabled)
    return 0;
  const struct gateway_config config = {
      .loop = house->serve.loop,
      .pool = house->pool,
      .login_pool = house->login_pool,
      .store = house->store,
      .auth = house->auth,
      .client = house->serve_client,
      .changes = house->changes,
      .log = &house->log,
      .metrics = house->metrics,
      .upstream_url = c->upstream_url,
      .authorization = c->upstream_authorization,
      .user_agent = house->own_agent,
      .skip_cert_verify = c->upstream_skip_cert_verify,
      .external_url = c->external_url,
      .registry_host = c->registry_host,
      .create_unknown_projects = str_eq_c(str_of(c->gateway_unknown_project), "create"),
      .follow_redirects = str_eq_c(str_of(c->gateway_redirects), "follow"),
      .max_streams = (size_t)c->gateway_max_streams,
      .connect_timeout_ms = CONNECT_TIMEOUT_MS,
      .upstream_timeout_ms = c->gateway_upstream_timeout_ms,
      .idle_timeout_ms = c->gateway_idle_timeout_ms,
      .on_peer = house_on_upstream_peer,
      .ctx = house,
  };
  house->gateway = gateway_new(&config, err);
  return house->gateway ? 0 : (int)err->code;
}
