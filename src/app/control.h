// SPDX-License-Identifier: Apache-2.0
// The control socket DIR/control.sock (0600): commands on this machine that work on the data directory talk to the running
// server here, since it holds the lock. One line of JSON in ({"command":"passwd","name":..,"password":..}), one line out
// ({"ok":true} or {"error":"words"}). Only the same user or root gets through. Listens on the serve loop. `passwd` works in
// the pool; care (app/care.h) in a thread of its own, with up to ten lines {"progress":..,"of":..,"what":".."} a second
// before the last one, which is {"ok":true,"exit":N,"text":".."}; it ends when the other side hangs up.
#ifndef HARBINGER_APP_CONTROL_H
#define HARBINGER_APP_CONTROL_H

#include "app/care_desk.h"
#include "auth/auth.h"
#include "base/pool.h"
#include "net/loop.h"
#include "store/store.h"

enum { CONTROL_MAX_LINE_BYTES = 4096, CONTROL_MAX_REPLY_BYTES = 512 * 1024, CONTROL_MAX_CLIENTS = 8 };

struct control;

struct control_config {
  const char *dir;
  struct loop *loop;
  struct pool *pool;
  struct store *store;
  struct auth *auth;
  struct care_desk *desk;
  const struct log *log;
};

struct control *control_new(const struct control_config *config, struct error *err) MUST_CHECK;
void control_free(struct control *control); // removes the socket; loop and pool must have stopped

// The other side, for commands: send a line, get the answer's last line (arena). `progress` (may be NULL) is told of the
// lines before it; false from it hangs up. ERR_NOT_FOUND when no server listens.
int control_ask(const char *dir, struct str line, const struct store_progress *progress, struct arena *arena,
                struct str *answer, struct error *err) MUST_CHECK;

// The password of `name` was changed: DIR/admin-password, where `./run` keeps the first one of `admin`, is no longer right and
// goes.
void control_forget_password_file(const char *dir, struct str name);

// Give a user a new password in this store, end all his sessions and forget cached passwords; removes DIR/admin-password when it is `admin`'s.
// Blocks (argon2, commit). Shared by the socket and the offline command.
int control_set_password(struct store *store, struct auth *auth, const char *dir, unsigned uid, struct str name,
                         struct str password, struct error *err) MUST_CHECK;

#endif
