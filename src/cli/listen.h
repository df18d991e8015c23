// SPDX-License-Identifier: Apache-2.0
// The parts of `harbinger listen`: what was received, how it is shown (listen_show.c), and the commands it is handed to
// (listen_command.c). One loop thread. A request and all that is read from it live until it is answered.
#ifndef HARBINGER_CLI_LISTEN_H
#define HARBINGER_CLI_LISTEN_H

#include <sys/types.h>

#include "base/list.h"
#include "net/http_server.h"

enum {
  LISTEN_MAX_BODY_BYTES = 4 * 1024 * 1024,
  LISTEN_MAX_RUNNING = 8,  // commands at once
  LISTEN_MAX_WAITING = 64, // requests that wait for a command to end; above it 503
  LISTEN_COMMAND_MS = 300000,
};

// What a body and its headers say. Empty strings where they say nothing.
struct received {
  const char *format; // "Default"
  struct str type;    // "PUSH_ARTIFACT"
  struct str resource, digest, repository, actor, text;
  struct str event_id, delivery, attempt;
  int64_t latency_us;    // from occurred_at to the end of the head; -1 when unknown
  bool latency_is_exact; // false: occurred_at was given in seconds only
};

// Fill `out` from a request whose body is one of our formats. ERR_BAD_REQUEST with words when it is none.
int received_read(const struct http_request *request, struct arena *arena, struct received *out, struct error *err)
    MUST_CHECK;
// Two lines for people, or one JSON object; flushed.
void received_print(const struct received *received, const struct http_request *request, bool json);

struct command_runner {
  struct loop *loop;
  const char *command;
  struct list running, waiting;
  // The command has ended (or could not be started): answer the request.
  void (*on_end)(void *ctx, struct http_request *request, const struct received *received, bool ok, const char *words);
  void *ctx;
};

void command_runner_init(struct command_runner *runner, struct loop *loop, const char *command);
// Run the command for this request, now or when one of the others has ended. False when too many wait; on_end is not
// called then. `received` is copied; its strings must live as long as the request.
bool command_runner_start(struct command_runner *runner, struct http_request *request, const struct received *received)
    MUST_CHECK;
void command_runner_stop(struct command_runner *runner); // kills what runs, drops what waits; on_end is not called

#endif
