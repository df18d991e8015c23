// SPDX-License-Identifier: Apache-2.0
// The one table of routes: method, path template, handler. Templates are matched by segments before decoding; `{name}`
// takes one segment, `{name+}` as many as it can (repository names), a literal beats a parameter. A known path with
// another method is 405 with `Allow`. Parameters are percent-decoded once; a repository name that clients encoded twice
// is the handler's.
#ifndef HARBINGER_API_ROUTES_H
#define HARBINGER_API_ROUTES_H

#include "api/call.h"

struct api_route {
  const char *method;
  const char *path; // "/api/v2.0/projects/{project_name_or_id}/webhook/policies"
  api_handler *handler;
  const char *body; // what messages call the request's body ("policy"); NULL when none is read
};

// Find the handler; fills call->params. ERR_NOT_FOUND, ERR_METHOD (with the Allow header added to the answer).
int route_find(struct api_call *call, const struct api_route **out, struct error *err) MUST_CHECK;

// Handlers by file.
api_handler policies_list, policies_create, policies_get, policies_update, policies_delete;    // policies.c
api_handler policies_pause, policies_resume;                                                   // policy_pause.c
api_handler webhook_test_unsaved, webhook_test_saved, webhook_sample;                          // webhook_test.c
api_handler executions_list, tasks_list, task_log, jobs_list, last_triggers, supported_events; // executions.c
api_handler events_submit, events_list, events_get;                                            // events.c
api_handler deliveries_list, deliveries_get, deliveries_redeliver, deliveries_stream,
    webhook_summary; // deliveries.c
api_handler projects_list, projects_create, projects_head, projects_get, projects_update, projects_delete,
    projects_summary; // projects.c
api_handler repositories_list, repositories_list_all, repositories_get, artifacts_list, artifacts_get,
    artifact_tags_list;                                                                        // repositories.c
api_handler repositories_delete, artifacts_delete, artifact_tags_create, artifact_tags_delete; // repository_changes.c
api_handler users_current, users_password;                                                     // users.c
api_handler session_login, session_logout;                                                     // session.c
api_handler tokens_list, tokens_create, tokens_delete;                                         // tokens.c
api_handler system_info, system_health, system_ping, system_version, system_statistics, configurations_get,
    configurations_update, openapi_get, log_level_set; // system.c
api_handler first_steps_get;                           // first_steps.c
api_handler egress_get, egress_put;                    // egress_ranges.c
api_handler sync_begin, sync_get, sync_stop;           // sync.c
api_handler ingest_log_list, audit_log_list;           // logs.c

#endif
