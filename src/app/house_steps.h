// SPDX-License-Identifier: Apache-2.0
// The steps of house_start by what they make, for the house's own files only.
#ifndef HARBINGER_APP_HOUSE_STEPS_H
#define HARBINGER_APP_HOUSE_STEPS_H

#include "app/house.h"

enum {
  HOUSE_HASHING = 2,              // password hashes at once: each takes 19 MiB
  HOUSE_ARENA_BYTES = 256 * 1024, // short-lived: a start step's words
  HOUSE_LOOP_TASKS = 65536,       // tasks that may wait for a loop
  HOUSE_LOOP_TIMERS = 65536,      // timers of a loop besides its connections or lanes
};

// house_data.c: what lives in the data directory.
int house_start_store(struct house *house, struct error *err) MUST_CHECK;
int house_start_auth(struct house *house, struct error *err) MUST_CHECK;
int house_start_first_user(struct house *house, struct error *err) MUST_CHECK;

// house_net.c: what touches the network.
int house_start_egress(struct house *house, struct error *err) MUST_CHECK; // the guard
int house_start_trust(struct house *house, struct error *err) MUST_CHECK;  // roots for outgoing TLS
// The text of tls.ca_file, empty without one; it lives as long as the house.
int house_read_trust(struct house *house, struct str *pem, struct error *err) MUST_CHECK;
int house_start_serve_loop(struct house *house, struct error *err) MUST_CHECK;
int house_start_send_loop(struct house *house, struct error *err) MUST_CHECK;
int house_start_listener(struct house *house, struct error *err) MUST_CHECK;
int house_load_certificate(struct house *house, struct error *err) MUST_CHECK; // with the serve loop running or not

// house_gateway.c: what stands in front of the registry.
int house_start_changes(struct house *house, struct error *err) MUST_CHECK;
int house_start_gateway(struct house *house, struct error *err) MUST_CHECK;
void house_on_upstream_peer(void *house, const struct address *peer); // it is never a webhook's target

// house.c: what happened in the registry, after its commit: facts that are missing are asked for.
void house_on_committed(void *house, const struct event *event);
// and what the store's writer tells.
void house_on_deliveries(void *house, const struct delivery_notice *notices, size_t len);
void house_on_policy_news(void *house, const struct policy_news *news, size_t len, bool all);
void house_on_store_health(void *house, bool healthy, const char *reason);

// house_stop.c
void house_drain(struct house *house); // waits until both loops have finished what runs, at most config->drain_ms

#endif
