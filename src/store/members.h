// SPDX-License-Identifier: Apache-2.0
// Members of projects: which user has which role. See store.h for connections, threads and arenas. A project's owner is
// made its first administrator by project_create.
#ifndef HARBINGER_STORE_MEMBERS_H
#define HARBINGER_STORE_MEMBERS_H

#include "store/query.h"
#include "store/store.h"

// Harbor's numbers, as its API shows them.
enum role {
  ROLE_NONE = 0,
  ROLE_PROJECT_ADMIN = 1,
  ROLE_DEVELOPER = 2,
  ROLE_GUEST = 3,
  ROLE_MAINTAINER = 4,
  ROLE_LIMITED_GUEST = 5,
  ROLE_COUNT,
};

struct member {
  int64_t id, project_id, user_id;
  struct str user_name;
  enum role role;
  int64_t created_at_us, updated_at_us;
};

// The user's role in the project; ROLE_NONE when they have none, or are disabled or gone. One indexed read: fit for a loop.
int member_role(struct store_conn *conn, int64_t project_id, int64_t user_id, enum role *out, struct error *err)
    MUST_CHECK;
int member_create(struct store_conn *conn, struct member *member, struct error *err) MUST_CHECK; // ERR_CONFLICT
int member_get(struct store_conn *conn, int64_t project_id, int64_t id, struct arena *arena, struct member *out,
               struct error *err) MUST_CHECK; // ERR_NOT_FOUND
int member_set_role(struct store_conn *conn, int64_t project_id, int64_t id, enum role role, struct error *err)
    MUST_CHECK;
int member_delete(struct store_conn *conn, int64_t project_id, int64_t id, struct error *err) MUST_CHECK;
// Members of the project by name; `name_part` (empty: all) is a substring of the user's name.
int member_list(struct store_conn *conn, int64_t project_id, struct str name_part, const struct query *query,
                struct arena *arena, struct member **out, size_t *len, int64_t *total, struct error *err) MUST_CHECK;
// How many members each role has, [enum role].
int member_count(struct store_conn *conn, int64_t project_id, int64_t out[static ROLE_COUNT], struct error *err)
    MUST_CHECK;

#endif
