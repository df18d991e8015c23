// SPDX-License-Identifier: Apache-2.0
// What `harbinger backup`, `check`, `compact` and `key rotate` do, the same in a running server (app/care_desk.h) and in a
// command that has opened the store itself (app/care_command.c). Blocks for as long as the store is large; its thread is
// the caller's, never a loop's or one of the pool's.
#ifndef HARBINGER_APP_CARE_H
#define HARBINGER_APP_CARE_H

#include "base/buf.h"
#include "store/care.h"

struct json_object;

enum care_kind { CARE_BACKUP, CARE_CHECK, CARE_COMPACT, CARE_KEY_ROTATE, CARE_KINDS };

enum { CARE_PATH_BYTES = 2048, CARE_TEXT_BYTES = 64 * 1024 };

struct care_request {
  enum care_kind kind;
  char dir[CARE_PATH_BYTES]; // backup: absolute
  bool catalogue;            // check: compare with the upstream registry
  bool incremental;          // compact: make it a store that can be compacted online
  unsigned uid;              // of the user who asked, for the audit; never read from a line
};

struct care_place {
  struct store *store;
  const char *data;                                               // the data directory
  bool serving;                                                   // the store's server is running: this one
  const char *upstream_url, *upstream_authorization, *user_agent; // url "": there is none
  const char *default_project;                                    // with a url: that of names without one
  bool upstream_skip_cert_verify;
  const char *ca_file; // whom we trust; "": the system's
};

// For the control socket's line, and back. Reading: ERR_BAD_REQUEST, and ERR_NOT_FOUND when the command is another's.
void care_request_write(const struct care_request *request, struct buf *out);
int care_request_read(const struct json_object *json, struct care_request *out, struct error *err) MUST_CHECK;

// Who works on this machine, for the audit: actor, and "uid 1000" as address.
#define CARE_ACTOR "operator on this machine"
enum { CARE_WHO_BYTES = 32 };
void care_who(unsigned uid, char out[static CARE_WHO_BYTES]);

// Do it. `text`: what a person should read, lines; *exit_code: 0, or 1 when a check found something.
int care_do(const struct care_request *request, const struct care_place *place, const struct store_progress *progress,
            struct buf *text, int *exit_code, struct error *err) MUST_CHECK;

#endif
