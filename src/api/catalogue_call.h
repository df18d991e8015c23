// SPDX-License-Identifier: Apache-2.0
// What the path of a catalogue operation names, for the handlers that read (repositories.c) and those that change
// (repository_changes.c). Pool threads.
#ifndef HARBINGER_API_CATALOGUE_CALL_H
#define HARBINGER_API_CATALOGUE_CALL_H

#include "api/routes.h"
#include "store/catalogue.h"

// Path parameters 0 and 1 (project and repository) after the rights to do `action` were asked; errors as call_project.
int call_repository(struct api_call *call, enum auth_action action, struct project *project, struct repository *out,
                    struct error *err) MUST_CHECK;
// And 2, a digest or a tag.
int call_artifact(struct api_call *call, enum auth_action action, struct project *project,
                  struct repository *repository, struct artifact *out, struct error *err) MUST_CHECK;

#endif
