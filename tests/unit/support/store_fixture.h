// SPDX-License-Identifier: Apache-2.0
// A real store in a directory of its own with a simulated clock, for the tests of src/store/. The writer is driven by hand
// (fixture_write) unless a test starts its thread: what happens when is then the test's choice.
#ifndef HARBINGER_TESTS_STORE_FIXTURE_H
#define HARBINGER_TESTS_STORE_FIXTURE_H

#include "store/deliveries.h"
#include "store/events.h"
#include "store/policies.h"
#include "store/projects.h"

#define FIXTURE_START_US INT64_C(1787300000000000) // 2026-08-21T08:53:20Z
#define FIXTURE_HOUR_US (INT64_C(3600) * US_PER_S)
#define FIXTURE_DAY_US (24 * FIXTURE_HOUR_US)
#define FIXTURE_DIGEST_A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define FIXTURE_DIGEST_B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

enum { FIXTURE_MAX_NOTICES = 8192 };

struct fixture {
  char dir[64];
  struct clock clock;
  struct id_source *ids;
  struct metrics *metrics;
  struct store_config config;
  struct store *store;
  struct store_conn *reader;
  struct arena *arena;
  struct error err;
  struct delivery_notice notices[FIXTURE_MAX_NOTICES];
  size_t notices_len;
  int health_calls;
  bool healthy;
  char reason[ERROR_TEXT_BYTES];
};

struct fixture *fixture_new(void);    // asserts that all is well
void fixture_free(struct fixture *f); // removes the directory
void fixture_close(struct fixture *f);
void fixture_open(struct fixture *f);

// Start over in a directory with the database of tests/fixtures/FILE, as a program of that schema left it.
void fixture_load(struct fixture *f, const char *file);

typedef int fixture_apply(struct store_conn *conn, void *ctx, struct error *err);
// Submit and run the writer until it is done. Returns the outcome, words in f->err.
int fixture_write(struct fixture *f, fixture_apply *apply, void *ctx);
void fixture_number_is(struct fixture *f, const char *sql, int64_t expected); // a scalar of the file
int64_t fixture_number(struct fixture *f, const char *sql);
void fixture_exec(struct fixture *f, const char *sql); // behind the store's back

int64_t fixture_project(struct fixture *f, const char *name);
// A policy with one HTTP target for PUSH and DELETE. Fields may be changed before fixture_policy_create.
struct policy fixture_policy(struct fixture *f, int64_t project_id, const char *name, size_t targets);
void fixture_policy_create(struct fixture *f, struct policy *policy);
void fixture_policy_update(struct fixture *f, struct policy *policy);

struct event fixture_event(struct fixture *f, enum event_type type, const char *project, const char *repository,
                           const char *digest, const char *tag);
// Commit it; the commit's results in *out (may be NULL).
int fixture_commit(struct fixture *f, struct event *event, const char *source_key, struct event_commit *out);
// A push of DIGEST_A with tag v1 to demo/app that must go in.
struct event fixture_push(struct fixture *f, const char *project);

struct attempt_result fixture_result(int64_t delivery_id, int number, enum delivery_state state, int64_t at_us);
int fixture_record(struct fixture *f, const struct attempt_result *result);

#endif
