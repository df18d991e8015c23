// SPDX-License-Identifier: Apache-2.0
// A project as Harbor's clients send and read it: the request body (ProjectReq), its checks, the metadata strings, the
// JSON view. Pure functions over an arena.
#ifndef HARBINGER_API_PROJECT_BODY_H
#define HARBINGER_API_PROJECT_BODY_H

#include "api/call.h"

enum { PROJECT_MAX_NAME_BYTES = 255, PROJECT_MAX_METADATA_VALUE_BYTES = 1024 };

// Read a body into *project: what it does not say is kept. `for_create`: the name is read and checked, too. ERR_INVALID
// for wrong types, ERR_BAD_REQUEST for what cannot be.
int project_body_read(const struct json_object *body, bool for_create, struct arena *arena, struct project *project,
                      struct error *err) MUST_CHECK;
// Harbor's JSON of a project, alphabetical. `role`: of the caller in it, 1 for administrators, 0 for none.
void project_body_write(const struct project *project, int role, struct arena *arena, struct json_writer *w);

// The keys of a project's metadata that are kept, `public` among them; NULL past the last.
const char *project_metadata_key(size_t i);

#endif
