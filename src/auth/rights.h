// SPDX-License-Identifier: Apache-2.0
// Who may do what: the one table of rights, and the one function that judges by it. Rights bear Harbor's names
// (`resource:action`), roles have Harbor's rights; docs/rights.md is printed from here. Pure, any thread: whoever asks has
// found out the place (which project, whether it is public, the caller's role in it) before.
#ifndef HARBINGER_AUTH_RIGHTS_H
#define HARBINGER_AUTH_RIGHTS_H

#include "base/error.h"
#include "base/str.h"
#include "store/members.h"

enum right {
  // In a project:
  RIGHT_PROJECT_READ,
  RIGHT_PROJECT_UPDATE,
  RIGHT_PROJECT_DELETE,
  RIGHT_MEMBER_CREATE,
  RIGHT_MEMBER_READ,
  RIGHT_MEMBER_UPDATE,
  RIGHT_MEMBER_DELETE,
  RIGHT_MEMBER_LIST,
  RIGHT_LOG_LIST,
  RIGHT_QUOTA_READ,
  RIGHT_REPOSITORY_READ,
  RIGHT_REPOSITORY_UPDATE,
  RIGHT_REPOSITORY_DELETE,
  RIGHT_REPOSITORY_LIST,
  RIGHT_REPOSITORY_PULL,
  RIGHT_REPOSITORY_PUSH,
  RIGHT_ARTIFACT_READ,
  RIGHT_ARTIFACT_DELETE,
  RIGHT_ARTIFACT_LIST,
  RIGHT_TAG_LIST,
  RIGHT_TAG_CREATE,
  RIGHT_TAG_DELETE,
  RIGHT_ROBOT_CREATE,
  RIGHT_ROBOT_READ,
  RIGHT_ROBOT_UPDATE,
  RIGHT_ROBOT_DELETE,
  RIGHT_ROBOT_LIST,
  RIGHT_WEBHOOK_CREATE, // Harbor's `notification-policy`, ours is a second name of it: `webhook`
  RIGHT_WEBHOOK_READ,   // with executions, deliveries, attempts
  RIGHT_WEBHOOK_UPDATE, // with tests, pauses, redeliveries
  RIGHT_WEBHOOK_DELETE,
  RIGHT_WEBHOOK_LIST,
  RIGHT_EVENT_LIST,   // ours
  RIGHT_EVENT_CREATE, // ours: tell an event through the API
  // In the system:
  RIGHT_PROJECT_CREATE,
  RIGHT_USER_CREATE,
  RIGHT_USER_READ,
  RIGHT_USER_UPDATE,
  RIGHT_USER_DELETE,
  RIGHT_USER_LIST,
  RIGHT_SYSTEM_ROBOT_CREATE,
  RIGHT_SYSTEM_ROBOT_READ,
  RIGHT_SYSTEM_ROBOT_UPDATE,
  RIGHT_SYSTEM_ROBOT_DELETE,
  RIGHT_SYSTEM_ROBOT_LIST,
  RIGHT_SYSTEM_QUOTA_READ,
  RIGHT_SYSTEM_QUOTA_UPDATE,
  RIGHT_SYSTEM_QUOTA_LIST,
  RIGHT_AUDIT_LOG_LIST,
  RIGHT_SYSTEM_READ,   // configuration, egress, sync, ingest log
  RIGHT_SYSTEM_UPDATE, // the same, changed
  RIGHT_COUNT,
};
_Static_assert(RIGHT_COUNT <= 64, "a set of rights is 64 bits");

#define RIGHT_BIT(right) (UINT64_C(1) << (right))

enum right_level { LEVEL_PROJECT, LEVEL_SYSTEM };

struct right_row {
  const char *resource, *action; // Harbor's words
  enum right_level level;
  unsigned roles; // 1u << enum role, of those who have it
  bool open;      // everybody has it in a public project
};

// Places where grants hold; `repository` empty: all of the project's.
enum { GRANT_SYSTEM = -1, GRANT_ALL_PROJECTS = 0 };
struct grant {
  int64_t project_id;    // or one of the above
  struct str repository; // without the project's name
  uint64_t rights;       // RIGHT_BIT
};

enum identity_kind { IDENTITY_ANONYMOUS, IDENTITY_USER, IDENTITY_ROBOT };

// Who is calling, as auth/auth.h found out. Strings and grants in the request's arena.
struct identity {
  bool authenticated; // false: anonymous
  int64_t user_id;    // 0: none, a robot
  struct str name;    // a robot's with prefix and project, as it logs in
  bool is_admin;
  int64_t token_id;   // 0: none
  int64_t session_id; // 0: none; with both 0 it was Basic
  enum identity_kind kind;
  int64_t robot_id;
  // A robot may what its grants say. For a user with a token that is `narrowed`, they are a ceiling beside the role.
  bool narrowed;
  const struct grant *grants;
  size_t grants_len;
};

// Where something is to be done.
struct right_place {
  bool known;         // the project exists; false as well for the system itself
  int64_t project_id; // 0: the system
  bool is_public;
  enum role role;        // the caller's in the project; ROLE_NONE for robots
  struct str repository; // when one is meant, without the project's name; else empty
};

// 0, or ERR_UNAUTHORIZED "unauthorized" when nobody is logged in, or ERR_FORBIDDEN "forbidden". A project that does not
// exist is refused like one that is private. Administrators may everything unless their token is narrowed.
int rights_judge(const struct identity *who, enum right right, const struct right_place *place, struct error *err)
    MUST_CHECK;

const struct right_row *rights_row(enum right right);
// The right of these words at this level; RIGHT_COUNT when we know none. `webhook` is `notification-policy`.
enum right rights_find(enum right_level level, struct str resource, struct str action) MUST_CHECK;
// "project_admin", "maintainer", "developer", "guest", "limited_guest", as Harbor's entity has them; "" for ROLE_NONE.
const char *role_name(enum role role);
enum role role_find(struct str name) MUST_CHECK; // ROLE_NONE: none of them; `admin` and camelCase forms are taken, too

#endif
