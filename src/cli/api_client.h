// SPDX-License-Identifier: Apache-2.0
// One blocking call at a time to a Harbinger server: net's client on a loop of its own, not guarded (the person who types
// the address is the one who calls). Failures become words that say what to do. One thread; owns loop, resolver, client.
#ifndef HARBINGER_CLI_API_CLIENT_H
#define HARBINGER_CLI_API_CLIENT_H

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

enum { API_CLIENT_MAX_ANSWER_BYTES = 33 * 1024 * 1024, API_CLIENT_CA_MAX_BYTES = 4 * 1024 * 1024 };

struct api_client;

struct api_client_config {
  struct str url;           // of the server, e.g. "https://registry.example.com"; a path in it is kept
  struct str authorization; // "Bearer ..." or "Basic ..."; empty: none
  const char *ca_file;      // PEM bundle to trust instead of the system's; NULL or "": the system's
  const char *unauthorized; // words for 401
};

struct api_answer {
  int status;
  struct str body;
  struct json_object *json; // NULL when the body is empty or no JSON
  struct str location;      // header Location; empty when absent
  int64_t total;            // X-Total-Count; -1 when absent
};

// The strings of `config` must live as long as the client.
struct api_client *api_client_new(const struct api_client_config *config, struct arena *arena, struct error *err)
    MUST_CHECK;
void api_client_free(struct api_client *client);

struct api_client_request {
  const char *method;
  struct str path;            // from "/api/", with query
  struct str body;            // JSON; empty: none
  struct str idempotency_key; // empty: none
};

// An answer below 400 is 0. Else the code of its status, and the server's words.
int api_client_call(struct api_client *client, const struct api_client_request *request, struct api_answer *out,
                    struct error *err) MUST_CHECK;
// Percent-encode all but unreserved characters (RFC 3986 2.3); ptr NULL when the arena is full.
struct str api_client_escape(struct str text, struct arena *arena) MUST_CHECK;
// A whole file, at most `max_bytes`.
int api_client_read_file(const char *path, size_t max_bytes, struct arena *arena, struct str *out, struct error *err)
    MUST_CHECK;

#endif
