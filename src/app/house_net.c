// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "app/file.h"
#include "app/house_steps.h"
#include "store/settings.h"

enum { MAX_PEM_BYTES = 4 * 1024 * 1024, RESOLVER_MAX_NAMES = 4096, RESOLVER_MAX_WAITERS = 16384 };

static int allow_at_start(struct house *house, struct error *err) {
  for (size_t i = 0; i < house->config->egress_allow.len; i++) {
    struct cidr range;
    if (!cidr_read(str_of(house->config->egress_allow.items[i]), &range))
      return error_set(err, ERR_CONFIG, "egress.allow: `%s` is not a CIDR range such as 127.0.0.0/8",
                       house->config->egress_allow.items[i]);
    int rc = egress_allow_at_start(house->egress, &range, err);
    if (rc != 0)
      return rc;
  }
  return 0;
}

static int allow_ports(struct house *house, struct error *err) {
  uint16_t ports[CONFIG_MAX_LIST];
  size_t len = 0;
  for (size_t i = 0; i < house->config->egress_ports.len; i++) {
    uint64_t port;
    if (!str_to_u64(str_of(house->config->egress_ports.items[i]), &port) || port < 1 || port > 65535)
      return error_set(err, ERR_CONFIG, "egress.ports: `%s` is not a port", house->config->egress_ports.items[i]);
    ports[len++] = (uint16_t)port;
  }
  return egress_set_extra_ports(house->egress, ports, len, err);
}

// Ranges that administrators allowed at run time are in the store.
static int allow_stored(struct house *house, struct error *err) {
  struct store_conn *conn = store_reader_open(house->store, err);
  if (!conn)
    return err->code;
  struct arena *arena = arena_new(HOUSE_ARENA_BYTES);
  struct str stored = {0};
  struct cidr ranges[EGRESS_MAX_RANGES];
  size_t len = 0;
  int rc = arena ? setting_get(conn, "egress_allowed", arena, &stored, err) : ERR_NO_MEMORY;
  struct str part;
  while (rc == 0 && stored.len > 0 && len < EGRESS_MAX_RANGES && str_next(&stored, ',', &part))
    if (cidr_read(part, &ranges[len]))
      len++;
  if (rc == 0)
    rc = egress_set_allowed(house->egress, ranges, len, err);
  arena_free(arena);
  store_reader_close(conn);
  return rc;
}

// The registry behind us is never a webhook's target.
static int guard_upstream(struct house *house, struct error *err) {
  struct url url;
  if (!house->config->upstream_url[0])
    return 0;
  int rc = url_parse(str_of(house->config->upstream_url), &url, err);
  if (rc != 0)
    return rc;
  if (!url.host_is_address) {
    // A name: its port on every address of this machine is ours at once, other addresses when it has answered from there.
    url.address = (struct address){.family = AF_INET};
  }
  url.address.port = url.port;
  return egress_add_own(house->egress, &url.address, err);
}

int house_start_egress(struct house *house, struct error *err) {
  house->egress = egress_new(err);
  if (!house->egress)
    return err->code;
  int rc = allow_at_start(house, err);
  if (rc == 0)
    rc = allow_ports(house, err);
  if (rc == 0)
    rc = allow_stored(house, err);
  if (rc == 0)
    rc = guard_upstream(house, err);
  return rc;
}

static int read_pem(const char *path, struct arena *arena, struct str *pem, struct error *err) {
  *pem = STR_EMPTY;
  return path[0] ? file_read(path, MAX_PEM_BYTES, arena, pem, err) : 0;
}

int house_start_trust(struct house *house, struct error *err) {
  struct arena *arena = arena_new(2 * MAX_PEM_BYTES);
  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "out of memory for certificates");
  struct str pem;
  int rc = read_pem(house->config->tls_ca_file, arena, &pem, err);
  if (rc == 0 && !(house->trust = tls_client_new(pem, err)))
    rc = err->code;
  arena_free(arena);
  return rc;
}

int house_read_trust(struct house *house, struct str *pem, struct error *err) {
  *pem = STR_EMPTY;
  if (!house->config->tls_ca_file[0])
    return 0;
  if (!house->trust_arena && !(house->trust_arena = arena_new(2 * MAX_PEM_BYTES)))
    return error_set(err, ERR_NO_MEMORY, "out of memory for certificates");
  return read_pem(house->config->tls_ca_file, house->trust_arena, pem, err);
}

static struct resolver *make_resolver(struct house *house, struct loop *loop, struct error *err) {
  const struct resolver_config config = {
      .servers = house->config->resolver_servers,
      .budget_ms = house->config->resolver_budget_ms,
      .positive_ttl_ms = house->config->resolver_positive_ttl_ms,
      .negative_ttl_ms = house->config->resolver_negative_ttl_ms,
      .max_names = RESOLVER_MAX_NAMES,
      .max_waiters = RESOLVER_MAX_WAITERS,
  };
  return resolver_new(loop, &config, err);
}

static struct http_client *make_client(struct house *house, struct loop *loop, struct resolver *resolver,
                                       struct error *err) {
  const struct http_client_config config = {
      .max_calls = (size_t)(house->config->delivery_max_connecting + house->config->delivery_max_exchanging),
      .max_idle = 1024,
      .max_idle_per_key = 64,
      .max_sessions = 4096,
      .idle_timeout_ms = house->config->delivery_idle_timeout_ms,
      .max_connection_age_ms = 300000,
  };
  return http_client_new(loop, resolver, house->egress, house->trust, &config, &house->log, err);
}

int house_start_serve_loop(struct house *house, struct error *err) {
  const struct config *c = house->config;
  size_t calls = (size_t)(c->delivery_max_connecting + c->delivery_max_exchanging);
  // A connection's own, and one for an answer that is held back.
  size_t timers = 2 * (size_t)c->server_max_connections + calls + HOUSE_LOOP_TIMERS;
  if (!(house->serve.loop = loop_new(&house->clock, timers, HOUSE_LOOP_TASKS, err)))
    return err->code;
  if (!(house->serve_resolver = make_resolver(house, house->serve.loop, err)))
    return err->code;
  house->serve_client = make_client(house, house->serve.loop, house->serve_resolver, err);
  return house->serve_client ? 0 : (int)err->code;
}

int house_start_send_loop(struct house *house, struct error *err) {
  const struct config *c = house->config;
  size_t calls = (size_t)(c->delivery_max_connecting + c->delivery_max_exchanging);
  size_t timers = (size_t)c->delivery_max_lanes + calls + HOUSE_LOOP_TIMERS;
  if (!(house->send.loop = loop_new(&house->clock, timers, HOUSE_LOOP_TASKS, err)))
    return err->code;
  if (!(house->send_resolver = make_resolver(house, house->send.loop, err)))
    return err->code;
  house->send_client = make_client(house, house->send.loop, house->send_resolver, err);
  return house->send_client ? 0 : (int)err->code;
}

// The listener belongs to the serve loop: once that runs, the swap is a task of it.
struct certificate_swap {
  struct loop_task task;
  struct house *house;
  struct tls_server *tls;
};

static void swap_certificate(struct loop_task *task) {
  struct certificate_swap *swap = CONTAINER_OF(task, struct certificate_swap, task);
  struct house *house = swap->house;
  http_server_set_tls(house->server, swap->tls);
  tls_server_free(house->tls); // running connections keep theirs
  house->tls = swap->tls;
  free(swap);
}

static int use_certificate(struct house *house, struct tls_server *tls, struct error *err) {
  struct certificate_swap *swap = calloc(1, sizeof *swap);
  if (!swap)
    return error_set(err, ERR_NO_MEMORY, "out of memory for the new certificate");
  *swap = (struct certificate_swap){.task.run = swap_certificate, .house = house, .tls = tls};
  if (!house->serve.running) {
    swap_certificate(&swap->task);
    return 0;
  }
  int rc = loop_post(house->serve.loop, &swap->task);
  if (rc == 0)
    return 0;
  free(swap);
  return error_set(err, rc, "the serve loop takes no more work");
}

int house_load_certificate(struct house *house, struct error *err) {
  const struct config *c = house->config;
  if (!c->tls_cert_file[0])
    return 0;
  struct arena *arena = arena_new(2 * MAX_PEM_BYTES + HOUSE_ARENA_BYTES);
  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "out of memory for certificates");
  struct str chain, key;
  struct tls_server *tls = NULL;
  int rc = read_pem(c->tls_cert_file, arena, &chain, err);
  if (rc == 0)
    rc = read_pem(c->tls_key_file, arena, &key, err);
  if (rc == 0 && !(tls = tls_server_new(chain, key, err)))
    rc = err->code;
  if (rc == 0 && (rc = use_certificate(house, tls, err)) != 0)
    tls_server_free(tls);
  arena_free(arena);
  return rc;
}

// What people and tests paste: an unspecified address is reached by loopback.
static void name_url(struct house *house) {
  struct address bound = http_server_address(house->server);
  char text[ADDRESS_TEXT_BYTES];
  bool any = true;
  for (size_t i = 0; i < (bound.family == AF_INET ? 4U : 16U); i++)
    any = any && bound.bytes[i] == 0;
  if (any)
    bound = (struct address){.family = AF_INET, .bytes = {127, 0, 0, 1}, .port = bound.port};
  snprintf(house->url, sizeof house->url, "%s://%s", house->config->tls_cert_file[0] ? "https" : "http",
           address_write_with_port(&bound, text));
}

int house_start_listener(struct house *house, struct error *err) {
  const struct config *c = house->config;
  struct http_server_config config = {
      .backlog = 1024,
      .max_connections = (size_t)c->server_max_connections,
      .max_head_bytes = (size_t)c->server_max_head_bytes,
      .max_buffered_bytes = (size_t)c->server_max_buffered_bytes,
      .max_response_bytes = 64 * 1024 * 1024,
      .request_arena_bytes = 64 * 1024 * 1024,
      .header_timeout_ms = c->server_header_timeout_ms,
      .body_idle_timeout_ms = c->server_body_idle_timeout_ms,
      .body_rate_window_ms = c->server_body_rate_window_ms,
      .body_min_bytes_per_s = (size_t)c->server_body_min_bytes_per_s,
      .keep_alive_timeout_ms = c->server_keep_alive_timeout_ms,
      .write_timeout_ms = c->server_write_timeout_ms,
      .hsts_max_age_s = c->tls_hsts_max_age_s,
  };
  if (!address_read_with_port(str_of(c->listen), &config.listen))
    return error_set(err, ERR_CONFIG, "listen `%s` is not ADDRESS:PORT", c->listen);
  const struct http_server_handler handler = router_handler(&house->router);
  house->server = http_server_new(house->serve.loop, &config, &handler, house->ids, &house->log, err);
  if (!house->server)
    return err->code;
  house->router.server = house->server;
  name_url(house);
  const struct address bound = http_server_address(house->server);
  int rc = egress_add_own(house->egress, &bound, err);
  if (rc == 0)
    rc = egress_refresh_local(house->egress, err);
  return rc == 0 ? house_load_certificate(house, err) : rc;
}