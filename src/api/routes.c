// SPDX-License-Identifier: Apache-2.0
#include "api/routes.h"

#include "base/utf8.h"
#include "net/url.h"

// Longest path that is looked at, in segments: a repository name of 255 bytes has at most 128.
enum { ROUTE_MAX_SEGMENTS = 160, ROUTE_MAX_TEMPLATE_SEGMENTS = 16, ROUTE_MAX_METHODS = 8 };

#define V2 "/api/v2.0"
#define OURS V2 "/harbinger"
#define PROJECTS V2 "/projects"
#define PROJECT PROJECTS "/{project_name_or_id}"
#define POLICIES PROJECT "/webhook/policies"
#define POLICY POLICIES "/{webhook_policy_id}"
#define TASKS POLICY "/executions/{execution_id}/tasks"
#define REPOSITORY PROJECT "/repositories/{repository_name+}"
#define ARTIFACT REPOSITORY "/artifacts/{reference}"

// clang-format off
static const struct api_route routes[] = {
    {"GET",    "/api/version", system_version, NULL},
    {"GET",    "/api/openapi.yaml", openapi_get, NULL},
    {"POST",   "/c/login", session_login, NULL},
    {"GET",    "/c/log_out", session_logout, NULL},
    {"GET",    V2 "/ping", system_ping, NULL},
    {"GET",    V2 "/health", system_health, NULL},
    {"GET",    V2 "/systeminfo", system_info, NULL},
    {"GET",    V2 "/statistics", system_statistics, NULL},
    {"GET",    V2 "/configurations", configurations_get, NULL},
    {"PUT",    V2 "/configurations", configurations_update, "configurations"},

    {"GET",    V2 "/users/current", users_current, NULL},
    {"PUT",    V2 "/users/{user_id}/password", users_password, "password"},

    {"GET",    PROJECTS, projects_list, NULL},
    {"HEAD",   PROJECTS, projects_head, NULL},
    {"POST",   PROJECTS, projects_create, "project"},
    {"GET",    PROJECT, projects_get, NULL},
    {"PUT",    PROJECT, projects_update, "project"},
    {"DELETE", PROJECT, projects_delete, NULL},
    {"GET",    PROJECT "/summary", projects_summary, NULL},

    {"GET",    POLICIES, policies_list, NULL},
    {"POST",   POLICIES, policies_create, "policy"},
    {"GET",    POLICY, policies_get, NULL},
    {"PUT",    POLICY, policies_update, "policy"},
    {"DELETE", POLICY, policies_delete, NULL},
    {"POST",   POLICY "/pause", policies_pause, "pause"},
    {"POST",   POLICY "/resume", policies_resume, "resume"},
    {"POST",   POLICIES "/test", webhook_test_unsaved, "test"},
    {"POST",   POLICY "/test", webhook_test_saved, "test"},
    {"GET",    PROJECT "/webhook/sample", webhook_sample, NULL},
    {"GET",    POLICY "/executions", executions_list, NULL},
    {"GET",    TASKS, tasks_list, NULL},
    {"GET",    TASKS "/{task_id}/log", task_log, NULL},
    {"GET",    POLICY "/deliveries", deliveries_list, NULL},
    {"GET",    POLICY "/deliveries/stream", deliveries_stream, NULL},
    {"GET",    POLICY "/summary", webhook_summary, NULL},
    {"GET",    PROJECT "/webhook/lasttrigger", last_triggers, NULL},
    {"GET",    PROJECT "/webhook/jobs", jobs_list, NULL},
    {"GET",    PROJECT "/webhook/events", supported_events, NULL},
    {"GET",    PROJECT "/webhook/deliveries/{delivery_id}", deliveries_get, NULL},
    {"POST",   PROJECT "/webhook/deliveries/{delivery_id}/redeliver", deliveries_redeliver, NULL},

    {"GET",    PROJECT "/events", events_list, NULL},
    {"POST",   PROJECT "/events", events_submit, "event"},
    {"GET",    PROJECT "/events/{event_id}", events_get, NULL},

    {"GET",    V2 "/repositories", repositories_list_all, NULL},
    {"GET",    PROJECT "/repositories", repositories_list, NULL},
    {"GET",    REPOSITORY, repositories_get, NULL},
    {"DELETE", REPOSITORY, repositories_delete, NULL},
    {"GET",    REPOSITORY "/artifacts", artifacts_list, NULL},
    {"GET",    ARTIFACT, artifacts_get, NULL},
    {"DELETE", ARTIFACT, artifacts_delete, NULL},
    {"GET",    ARTIFACT "/tags", artifact_tags_list, NULL},
    {"POST",   ARTIFACT "/tags", artifact_tags_create, "tag"},
    {"DELETE", ARTIFACT "/tags/{tag_name}", artifact_tags_delete, NULL},

    {"GET",    OURS "/tokens", tokens_list, NULL},
    {"POST",   OURS "/tokens", tokens_create, "token"},
    {"DELETE", OURS "/tokens/{token_id}", tokens_delete, NULL},
    {"GET",    OURS "/first-steps", first_steps_get, NULL},
    {"GET",    OURS "/egress", egress_get, NULL},
    {"PUT",    OURS "/egress", egress_put, "egress"},
    {"GET",    OURS "/sync", sync_get, NULL},
    {"POST",   OURS "/sync", sync_begin, "sync"},
    {"DELETE", OURS "/sync", sync_stop, NULL},
    {"GET",    OURS "/ingest-log", ingest_log_list, NULL},
    {"GET",    OURS "/audit", audit_log_list, NULL},
    {"PUT",    OURS "/log-level", log_level_set, "log_level"},
};
// clang-format on

struct segments {
  struct str items[ROUTE_MAX_SEGMENTS];
  size_t len;
};

// Split at '/' before any decoding. One trailing slash is forgiven, as go-swagger does. False: too many segments.
static bool path_split(struct str path, struct segments *out) {
  struct str rest = str_from(path, 1), part;

  out->len = 0;
  if (rest.len > 0 && str_ends(rest, STR("/")))
    rest.len--;
  while (str_next(&rest, '/', &part)) {
    if (out->len == ROUTE_MAX_SEGMENTS)
      return false;
    out->items[out->len++] = part;
  }
  return true;
}

static bool is_param(struct str segment) {
  return segment.len > 2 && segment.ptr[0] == '{';
}

static bool takes_many(struct str segment) {
  return is_param(segment) && segment.ptr[segment.len - 2] == '+';
}

struct match {
  const struct api_route *route;
  int literals;                           // segments that matched word by word: the most wins
  struct str params[API_MAX_PATH_PARAMS]; // raw
  size_t params_len;
};

static bool match_add(struct match *match, struct str raw) {
  if (raw.len == 0 || match->params_len == API_MAX_PATH_PARAMS)
    return false;
  match->params[match->params_len++] = raw;
  return true;
}

// Match the segments of one template. `{name+}` takes what the segments after it leave: a template has at most one.
static bool route_matches(const struct segments *path, const struct api_route *route, struct match *match) {
  struct str rest = str_from(str_of(route->path), 1), segment;
  struct str wanted[ROUTE_MAX_TEMPLATE_SEGMENTS];
  size_t len = 0, at = 0;
  bool many = false;

  *match = (struct match){.route = route};
  while (len < ROUTE_MAX_TEMPLATE_SEGMENTS && str_next(&rest, '/', &segment)) {
    many = many || takes_many(segment);
    wanted[len++] = segment;
  }
  if (path->len < len || (path->len > len && !many))
    return false;
  for (size_t i = 0; i < len; i++) {
    size_t take = takes_many(wanted[i]) ? path->len - len + 1 : 1;
    struct str first = path->items[at], last = path->items[at + take - 1];
    struct str raw = {first.ptr, (size_t)(last.ptr + last.len - first.ptr)};
    at += take;
    if (is_param(wanted[i]) ? !match_add(match, raw) : !str_eq(wanted[i], raw))
      return false;
    match->literals += !is_param(wanted[i]);
  }
  return true;
}

// The most literal template that matches, of this method (NULL: of any).
static bool route_best(const struct segments *path, const struct str *method, struct match *best) {
  bool found = false;

  for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
    struct match match = {0};
    if ((method && !str_eq_c(*method, routes[i].method)) || !route_matches(path, &routes[i], &match))
      continue;
    if (!found || match.literals > best->literals)
      *best = match;
    found = true;
  }
  return found;
}

// The methods of the template `path`, sorted as the table's writer need not keep them: "DELETE,GET,PUT".
static void allowed_methods(const char *path, struct buf *out) {
  static const char *const order[] = {"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"};

  for (size_t m = 0; m < ARRAY_LEN(order); m++) {
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
      if (!str_eq_c(str_of(routes[i].path), path) || !str_eq_c(str_of(routes[i].method), order[m]))
        continue;
      if (out->len > 0)
        buf_put_char(out, ',');
      buf_put_c(out, order[m]);
    }
  }
}

static int method_refused(struct api_call *call, const struct match *match, struct error *err) {
  struct buf methods;

  buf_init(&methods, ROUTE_MAX_METHODS * sizeof "DELETE,");
  allowed_methods(match->route->path, &methods);
  struct str allow = arena_str(call->arena, buf_str(&methods));
  buf_free(&methods);
  if (!allow.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for a list of methods");
  call_header(call, "Allow", allow);
  return error_set(err, ERR_METHOD, "method %.*s is not allowed, but [%.*s] are",
                   STR_ARG(utf8_cut(call->request->head->method, 32)), STR_ARG(allow));
}

static int decode_params(struct api_call *call, const struct match *match, struct error *err) {
  for (size_t i = 0; i < match->params_len; i++) {
    struct str value;
    if (!url_decode(match->params[i], call->arena, &value) || !utf8_valid(value) || str_find(value, '\0') >= 0)
      return error_set(err, ERR_BAD_REQUEST, "the path is not percent-encoded UTF-8 at \"%.*s\"",
                       STR_ARG(utf8_cut(match->params[i], 128)));
    call->params[i] = value;
  }
  call->params_len = match->params_len;
  return 0;
}

int route_find(struct api_call *call, const struct api_route **out, struct error *err) {
  const struct http_head *head = call->request->head;
  struct segments path;
  struct match match = {0}, other = {0};

  if (!path_split(head->path, &path) || !route_best(&path, NULL, &other))
    return error_set(err, ERR_NOT_FOUND, "path %.*s was not found", STR_ARG(utf8_cut(head->path, 256)));
  if (!route_best(&path, &head->method, &match) || match.literals < other.literals)
    return method_refused(call, &other, err);
  *out = match.route;
  return decode_params(call, &match, err);
}
