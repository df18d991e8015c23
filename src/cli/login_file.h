// SPDX-License-Identifier: Apache-2.0
// Where the client keeps its login: $XDG_CONFIG_HOME/harbinger/login.json (default ~/.config), mode 0600. HARBINGER_URL,
// HARBINGER_TOKEN and HARBINGER_CA_FILE of the environment come before it. A kept token is used only for the server that gave
// it: another HARBINGER_URL does not get it. One thread; strings live in the caller's arena.
#ifndef HARBINGER_CLI_LOGIN_FILE_H
#define HARBINGER_CLI_LOGIN_FILE_H

#include "base/arena.h"
#include "base/error.h"

enum { LOGIN_FILE_MAX_BYTES = 64 * 1024 };

struct login {
  struct str url;
  struct str token;
  int64_t token_id;    // 0 when unknown
  struct str username; // who logged in; may be empty
  const char *ca_file; // "" when the system's trust is used
  bool from_file;      // all of it
};

// The login to use. ERR_UNAUTHORIZED with what to do when there is none.
int login_file_find(struct arena *arena, struct login *out, struct error *err) MUST_CHECK;
// The file alone. ERR_NOT_FOUND when there is none.
int login_file_read(struct arena *arena, struct login *out, struct error *err) MUST_CHECK;
// Replace the file at once; makes its folder (0700).
int login_file_write(struct arena *arena, const struct login *login, struct error *err) MUST_CHECK;
// Do both addresses name one server: scheme, host and port? Only then may a token of the one go to the other.
bool login_same_server(struct str a, struct str b);
int login_file_remove(struct arena *arena, struct error *err) MUST_CHECK; // fine when there is none

#endif
