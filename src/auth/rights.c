// SPDX-License-Identifier: Apache-2.0
#include "auth/rights.h"

// Columns of the table: project administrator, maintainer, developer, guest, limited guest, each with what those after
// it have.
#define A (1u << ROLE_PROJECT_ADMIN)
#define M (A | 1u << ROLE_MAINTAINER)
#define D (M | 1u << ROLE_DEVELOPER)
#define G (D | 1u << ROLE_GUEST)
#define L (G | 1u << ROLE_LIMITED_GUEST)

// clang-format off
static const struct right_row rows[RIGHT_COUNT] = {
    [RIGHT_PROJECT_READ]        = {"project", "read", LEVEL_PROJECT, L, true},
    [RIGHT_PROJECT_UPDATE]      = {"project", "update", LEVEL_PROJECT, A, false},
    [RIGHT_PROJECT_DELETE]      = {"project", "delete", LEVEL_PROJECT, A, false},
    [RIGHT_MEMBER_CREATE]       = {"member", "create", LEVEL_PROJECT, A, false},
    [RIGHT_MEMBER_READ]         = {"member", "read", LEVEL_PROJECT, G, false},
    [RIGHT_MEMBER_UPDATE]       = {"member", "update", LEVEL_PROJECT, A, false},
    [RIGHT_MEMBER_DELETE]       = {"member", "delete", LEVEL_PROJECT, A, false},
    [RIGHT_MEMBER_LIST]         = {"member", "list", LEVEL_PROJECT, G, false},
    [RIGHT_LOG_LIST]            = {"log", "list", LEVEL_PROJECT, G, false},
    [RIGHT_QUOTA_READ]          = {"quota", "read", LEVEL_PROJECT, L, false},
    [RIGHT_REPOSITORY_READ]     = {"repository", "read", LEVEL_PROJECT, G, true},
    [RIGHT_REPOSITORY_UPDATE]   = {"repository", "update", LEVEL_PROJECT, D, false},
    [RIGHT_REPOSITORY_DELETE]   = {"repository", "delete", LEVEL_PROJECT, M, false},
    [RIGHT_REPOSITORY_LIST]     = {"repository", "list", LEVEL_PROJECT, L, true},
    [RIGHT_REPOSITORY_PULL]     = {"repository", "pull", LEVEL_PROJECT, L, true},
    [RIGHT_REPOSITORY_PUSH]     = {"repository", "push", LEVEL_PROJECT, D, false},
    [RIGHT_ARTIFACT_READ]       = {"artifact", "read", LEVEL_PROJECT, L, true},
    [RIGHT_ARTIFACT_DELETE]     = {"artifact", "delete", LEVEL_PROJECT, M, false},
    [RIGHT_ARTIFACT_LIST]       = {"artifact", "list", LEVEL_PROJECT, L, true},
    [RIGHT_TAG_LIST]            = {"tag", "list", LEVEL_PROJECT, L, true},
    [RIGHT_TAG_CREATE]          = {"tag", "create", LEVEL_PROJECT, D, false},
    [RIGHT_TAG_DELETE]          = {"tag", "delete", LEVEL_PROJECT, M, false},
    [RIGHT_ROBOT_CREATE]        = {"robot", "create", LEVEL_PROJECT, A, false},
    [RIGHT_ROBOT_READ]          = {"robot", "read", LEVEL_PROJECT, G, false},
    [RIGHT_ROBOT_UPDATE]        = {"robot", "update", LEVEL_PROJECT, A, false},
    [RIGHT_ROBOT_DELETE]        = {"robot", "delete", LEVEL_PROJECT, A, false},
    [RIGHT_ROBOT_LIST]          = {"robot", "list", LEVEL_PROJECT, G, false},
    [RIGHT_WEBHOOK_CREATE]      = {"notification-policy", "create", LEVEL_PROJECT, A, false},
    [RIGHT_WEBHOOK_READ]        = {"notification-policy", "read", LEVEL_PROJECT, M, false},
    [RIGHT_WEBHOOK_UPDATE]      = {"notification-policy", "update", LEVEL_PROJECT, A, false},
    [RIGHT_WEBHOOK_DELETE]      = {"notification-policy", "delete", LEVEL_PROJECT, A, false},
    [RIGHT_WEBHOOK_LIST]        = {"notification-policy", "list", LEVEL_PROJECT, M, false},
    [RIGHT_EVENT_LIST]          = {"event", "list", LEVEL_PROJECT, M, false},
    [RIGHT_EVENT_CREATE]        = {"event", "create", LEVEL_PROJECT, A, false},
    [RIGHT_PROJECT_CREATE]      = {"project", "create", LEVEL_SYSTEM, 0, false},
    [RIGHT_USER_CREATE]         = {"user", "create", LEVEL_SYSTEM, 0, false},
    [RIGHT_USER_READ]           = {"user", "read", LEVEL_SYSTEM, 0, false},
    [RIGHT_USER_UPDATE]         = {"user", "update", LEVEL_SYSTEM, 0, false},
    [RIGHT_USER_DELETE]         = {"user", "delete", LEVEL_SYSTEM, 0, false},
    [RIGHT_USER_LIST]           = {"user", "list", LEVEL_SYSTEM, 0, false},
    [RIGHT_SYSTEM_ROBOT_CREATE] = {"robot", "create", LEVEL_SYSTEM, 0, false},
    [RIGHT_SYSTEM_ROBOT_READ]   = {"robot", "read", LEVEL_SYSTEM, 0, false},
    [RIGHT_SYSTEM_ROBOT_UPDATE] = {"robot", "update", LEVEL_SYSTEM, 0, false},
    [RIGHT_SYSTEM_ROBOT_DELETE] = {"robot", "delete", LEVEL_SYSTEM, 0, false},
    [RIGHT_SYSTEM_ROBOT_LIST]   = {"robot", "list", LEVEL_SYSTEM, 0, false},
    [RIGHT_SYSTEM_QUOTA_READ]   = {"quota", "read", LEVEL_SYSTEM, 0, false},
    [RIGHT_SYSTEM_QUOTA_UPDATE] = {"quota", "update", LEVEL_SYSTEM, 0, false},
    [RIGHT_SYSTEM_QUOTA_LIST]   = {"quota", "list", LEVEL_SYSTEM, 0, false},
    [RIGHT_AUDIT_LOG_LIST]      = {"audit-log", "list", LEVEL_SYSTEM, 0, false},
    [RIGHT_SYSTEM_READ]         = {"system", "read", LEVEL_SYSTEM, 0, false},
    [RIGHT_SYSTEM_UPDATE]       = {"system", "update", LEVEL_SYSTEM, 0, false},
};
// clang-format on

static const struct {
  const char *name, *other;
} roles[ROLE_COUNT] = {
    [ROLE_NONE] = {"", ""},
    [ROLE_PROJECT_ADMIN] = {"project_admin", "projectAdmin"},
    [ROLE_DEVELOPER] = {"developer", "developer"},
    [ROLE_GUEST] = {"guest", "guest"},
    [ROLE_MAINTAINER] = {"maintainer", "maintainer"},
    [ROLE_LIMITED_GUEST] = {"limited_guest", "limitedGuest"},
};

const struct right_row *rights_row(enum right right) {
  return &rows[right];
}

enum right rights_find(enum right_level level, struct str resource, struct str action) {
  struct str wanted = str_eq_c(resource, "webhook") ? STR("notification-policy") : resource;

  for (enum right right = 0; right < RIGHT_COUNT; right++)
    if (rows[right].level == level && str_eq_c(wanted, rows[right].resource) && str_eq_c(action, rows[right].action))
      return right;
  return RIGHT_COUNT;
}

const char *role_name(enum role role) {
  return roles[role].name;
}

enum role role_find(struct str name) {
  if (str_eq_c(name, "admin"))
    return ROLE_PROJECT_ADMIN;
  for (enum role role = ROLE_PROJECT_ADMIN; role < ROLE_COUNT; role++)
    if (str_eq_c(name, roles[role].name) || str_eq_c(name, roles[role].other))
      return role;
  return ROLE_NONE;
}

// A grant for one repository says nothing about the project as a whole, nor about another repository.
static bool grant_holds(const struct grant *grant, enum right right, const struct right_place *place) {
  if (!(grant->rights & RIGHT_BIT(right)))
    return false;
  if (rows[right].level == LEVEL_SYSTEM)
    return grant->project_id == GRANT_SYSTEM;
  if (!place->known || (grant->project_id != GRANT_ALL_PROJECTS && grant->project_id != place->project_id))
    return false;
  return grant->repository.len == 0 || str_eq(grant->repository, place->repository);
}

static bool granted(const struct identity *who, enum right right, const struct right_place *place) {
  for (size_t i = 0; i < who->grants_len; i++)
    if (grant_holds(&who->grants[i], right, place))
      return true;
  return false;
}

static bool is_open(enum right right, const struct right_place *place) {
  return rows[right].open && place->known && place->is_public;
}

static bool role_has(enum right right, const struct right_place *place) {
  return place->known && place->role != ROLE_NONE && (rows[right].roles & 1u << place->role);
}

static bool may(const struct identity *who, enum right right, const struct right_place *place) {
  if (is_open(right, place))
    return true;
  if (!who->authenticated)
    return false;
  if (who->kind == IDENTITY_ROBOT)
    return granted(who, right, place);
  if (who->narrowed && !granted(who, right, place))
    return false;
  return who->is_admin || role_has(right, place);
}

int rights_judge(const struct identity *who, enum right right, const struct right_place *place, struct error *err) {
  if (may(who, right, place))
    return 0;
  if (!who->authenticated)
    return error_set(err, ERR_UNAUTHORIZED, "unauthorized");
  return error_set(err, ERR_FORBIDDEN, "forbidden");
}
