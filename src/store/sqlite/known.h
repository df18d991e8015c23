// SPDX-License-Identifier: Apache-2.0
// What the writer remembers of the projects and repositories that events were for last, so that an event neither looks
// them up nor writes its project's row: the sequence numbers given in a group go into the file once, before its COMMIT (or
// with the item, where each has a savepoint). Only the writer changes these rows; whoever does so elsewhere calls
// known_forget_projects first. A bounded table of places by hash: who is not there is looked up. The writer's thread only;
// inside store/sqlite/.
#ifndef HARBINGER_STORE_SQLITE_KNOWN_H
#define HARBINGER_STORE_SQLITE_KNOWN_H

#include "event/event.h"
#include "store/sqlite/conn.h"

enum { KNOWN_PROJECTS = 64, KNOWN_REPOSITORIES = 256 }; // places, powers of two

struct known_project {
  int64_t id;
  int64_t seq; // the last one given
  bool is_public;
  bool raised; // seq is not in the file yet
  size_t name_len;
  char name[EVENT_MAX_NAME_BYTES];
};

struct known_repository {
  int64_t project_id, id, created_us;
  size_t name_len;
  char name[EVENT_MAX_NAME_BYTES];
};

struct known;

struct known *known_new(void) MUST_CHECK;
void known_free(struct known *known); // NULL is fine

// The living project of this name, in memory from now on; its row is read when it was not. *out NULL: there is none.
// Valid until the next call for another project.
int known_project(struct store_conn *conn, struct str name, struct known_project **out, struct error *err) MUST_CHECK;
// The row of the next event of this transaction: the one behind the last. 0 and an error when it cannot be read.
int known_next_event(struct store_conn *conn, int64_t *rowid, struct error *err) MUST_CHECK;
// The project's next sequence number, given to an event of this transaction.
int64_t known_next_seq(struct store_conn *conn, struct known_project *project);
// NULL: not in memory.
const struct known_repository *known_repository(const struct store_conn *conn, int64_t project_id, struct str name);
// `is_new`: made by this transaction.
void known_add_repository(struct store_conn *conn, int64_t project_id, struct str name, int64_t id, int64_t created_us,
                          bool is_new);

// Write the sequence numbers that were given. Before each COMMIT and RELEASE.
int known_flush(struct store_conn *conn, struct error *err) MUST_CHECK;
void known_forget_repositories(struct store_conn *conn); // one was dropped
// A project's row is about to change: what was given goes into the file, then nothing is known of projects.
int known_forget_projects(struct store_conn *conn, struct error *err) MUST_CHECK;
void known_undo(struct known *known); // the transaction, or a part of it, was rolled back

#endif
