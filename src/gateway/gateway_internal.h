// SPDX-License-Identifier: Apache-2.0
// What the files of the gateway share; nobody else includes it. gateway.c owns the settings and sends a request to its file;
// visit.c finds out who asks; answer.c writes what we say ourselves. Serve loop only, but for what visit.c gives to pools.
#ifndef HARBINGER_GATEWAY_GATEWAY_INTERNAL_H
#define HARBINGER_GATEWAY_GATEWAY_INTERNAL_H

#include "base/list.h"
#include "gateway/gateway.h"
#include "gateway/headers.h"
#include "gateway/oci_path.h"
#include "gateway/rights.h"

enum { GATEWAY_OUTCOMES = HTTP_OUTCOME_LOCAL + 1, GATEWAY_MAX_PULLS = 1024 };

struct gateway {
  struct gateway_config config;
  struct arena *arena;
  struct store_conn *reader; // the serve loop's
  struct header_rules rules;
  struct str registry_host; // empty: the request's Host
  struct list visits;       // struct visit.node: requests that no relay has taken over yet
  size_t held;              // of the visits: refused, and held back for a while
  struct list relays;       // struct relay.node
  size_t collected_bytes;   // of manifests being read
  _Atomic int pulls;        // events of pulls on their way to the store
  struct address peer;      // that answered last
  struct metric *requests[OCI_KIND_COUNT], *failures[GATEWAY_OUTCOMES], *cut, *bytes_up, *bytes_down, *open,
      *pulls_dropped;
  struct log_pace upstream_pace, drop_pace, refused_pace, change_pace;
};

// One request from its arrival to its answer, in the request's arena. The pool's while it is judged, else the loop's.
struct visit {
  struct list_node node; // gateway->visits
  struct gateway *gateway;
  struct http_request *request;
  struct oci_path path;
  enum gateway_action action;
  struct pool_job job;
  struct loop_task judged;
  struct loop_timer delayed;
  // Judged:
  struct identity identity;
  struct gateway_project project;
  struct str mount, mount_from; // of an upload that may be a mount; empty: an ordinary one
  struct str catalog_page;      // OCI_CATALOG: the body
  struct str catalog_link;
  int64_t delay_ms;
  int rc;
  enum oci_code code; // when rc is not 0
  struct error err;
};

#define GATEWAY_STOPPING "the server is stopping; try again in a moment"

// ---- visit.c
void visit_start(struct gateway *gateway, struct http_request *request, const struct oci_path *path);
// ---- gateway.c
void gateway_route(struct visit *visit); // who asks is known and may
void visit_over(struct visit *visit);    // before its answer, which ends its memory
// ---- answer.c
// An error of ours. `status` 0: the code's own. `words` need not outlive the call.
void answer_error(struct gateway *gateway, struct http_request *request, enum oci_code code, int status,
                  const char *words);
void visit_refuse(struct visit *visit, enum oci_code code, int status, const char *words); // with visit_over

#endif
