// SPDX-License-Identifier: Apache-2.0
#include "registry/sync.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/json_writer.h"
#include "registry/compare.h"
#include "registry/facts.h"
#include "store/catalogue.h"
#include "store/settings.h"

enum {
  BATCH_REPAIRS = 200,      // of a transaction
  BATCH_REPOSITORIES = 200, // how many may be looked at again after a kill
  BATCH_ARENA_BYTES = 32 * 1024 * 1024,
  POSITION_MAX_BYTES = 2048,
  FACTS_PAGE = 256,
  FACTS_MAX_MANIFEST_BYTES = 4 * 1024 * 1024,
  LAST_STEP_MS = 200,
  LOGGED_REPAIRS = 100, // of a pass, one by one
};

#define SETTING "sync_position"

struct sync {
  const struct registry_sync_config *config;
  struct store *store;
  struct sync_counts *counts;
  // What is committed next, in an arena of its own:
  struct arena *arena;
  struct catalogue_repair repairs[BATCH_REPAIRS];
  size_t repairs_len, repositories;
  struct walk_position position;
  char after[POSITION_MAX_BYTES];
  int logged;
};

// ---- where it is --------------------------------------------------------------------------------------------------------

static int write_position(struct store_conn *conn, const struct sync *sync, struct error *err) {
  const struct walk_position *at = &sync->position;
  struct buf text;

  if (at->phase == WALK_DONE)
    return setting_set(conn, SETTING, STR_EMPTY, err);
  buf_init(&text, 2 * POSITION_MAX_BYTES);
  struct json_writer w = json_writer_make(&text, false);
  json_object_begin(&w);
  json_field_str(&w, "project", str_of(sync->config->walk.project));
  json_field_str(&w, "registry", str_of(sync->config->walk.client.upstream_url));
  json_field_bool(&w, "listed", at->phase == WALK_LISTED);
  json_field_i64(&w, "after_id", at->after_id);
  json_field_i64(&w, "last_id", at->last_id);
  json_field_str(&w, "after", at->after);
  json_object_end(&w);
  int rc = text.failed ? error_set(err, ERR_NO_MEMORY, "no memory for the position of a sync")
                       : setting_set(conn, SETTING, buf_str(&text), err);
  buf_free(&text);
  return rc;
}

// One that was not of this project and this registry is of no use.
static int read_position(struct sync *sync, struct store_conn *conn, struct error *err) {
  struct str text, project, registry, after;
  struct json_object *json;
  struct error ignored;
  bool listed = false;

  sync->position = (struct walk_position){.after = STR_EMPTY};
  int rc = setting_get(conn, SETTING, sync->arena, &text, err);
  if (rc != 0 || !text.ptr || text.len == 0 || json_parse(text, sync->arena, &json, &ignored) != 0)
    return rc;
  if (!json_get_str(json, "project", &project) || !str_eq_c(project, sync->config->walk.project) ||
      !json_get_str(json, "registry", &registry) || !str_eq_c(registry, sync->config->walk.client.upstream_url) ||
      !json_get_str(json, "after", &after) || after.len >= sizeof sync->after)
    return 0;
  (void)json_get_bool(json, "listed", &listed);
  (void)json_get_i64(json, "after_id", &sync->position.after_id);
  (void)json_get_i64(json, "last_id", &sync->position.last_id);
  (void)snprintf(sync->after, sizeof sync->after, "%.*s", STR_ARG(after));
  sync->position.phase = listed ? WALK_LISTED : WALK_KNOWN;
  sync->position.after = str_of(sync->after);
  sync->counts->resumed = true;
  return 0;
}

// ---- commit -------------------------------------------------------------------------------------------------------------

static int commit_apply(struct store_conn *conn, void *ctx, struct error *err) {
  struct sync *sync = ctx;

  for (size_t i = 0; i < sync->repairs_len; i++) {
    int rc = catalogue_repair(conn, &sync->repairs[i], err);
    if (rc != 0)
      return rc;
  }
  return write_position(conn, sync, err);
}

static void note_trouble(struct sync *sync, struct str project, struct str name, const char *words) {
  if (!sync->counts->trouble[0])
    (void)snprintf(sync->counts->trouble, sizeof sync->counts->trouble, "%.*s/%.*s: %s", STR_ARG(project),
                   STR_ARG(name), words);
  log_warn(sync->config->log, "sync", "%.*s/%.*s: %s", STR_ARG(project), STR_ARG(name), words);
}

static void count_repair(struct sync *sync, const struct catalogue_repair *repair) {
  struct sync_counts *counts = sync->counts;

  if (repair->outcome == REPAIR_NO_PROJECT) {
    counts->refused++;
    if (counts->refused == 1)
      note_trouble(sync, repair->project, repair->repository,
                   "its project is unknown, and ingest.unknown_project is refuse: create it with `harbinger project "
                   "create`");
  } else if (repair->outcome == REPAIR_CHANGED) {
    counts->changed_meanwhile += repair->kind != REPAIR_DROP_REPOSITORY;
  } else if (repair->kind == REPAIR_SET_TAG) {
    *(repair->known_digest.len ? &counts->moved : &counts->added) += 1;
  } else if (repair->kind == REPAIR_DROP_TAG) {
    counts->removed_tags++;
  } else if (repair->kind == REPAIR_DROP_ARTIFACT) {
    counts->removed_artifacts++;
  } else {
    counts->removed_repositories++;
  }
}

static int commit(struct sync *sync, struct error *err) {
  int rc = store_write_sync(sync->store, commit_apply, sync, err);

  if (rc != 0)
    return rc;
  for (size_t i = 0; i < sync->repairs_len; i++)
    count_repair(sync, &sync->repairs[i]);
  sync->repairs_len = sync->repositories = 0;
  arena_free(sync->arena);
  sync->arena = arena_new(BATCH_ARENA_BYTES);
  return sync->arena ? 0 : error_set(err, ERR_NO_MEMORY, "no memory to go on");
}

// ---- a repository ---------------------------------------------------------------------------------------------------------

static int add(struct sync *sync, const struct catalogue_repair *repair, struct error *err) {
  // A full batch goes without the position of this repository: after a kill it is looked at again.
  int rc = sync->repairs_len == BATCH_REPAIRS ? commit(sync, err) : 0;
  if (rc != 0)
    return rc;
  struct catalogue_repair *copy = &sync->repairs[sync->repairs_len];
  *copy = *repair;
  copy->project = arena_str(sync->arena, repair->project);
  copy->repository = arena_str(sync->arena, repair->repository);
  copy->tag = arena_str(sync->arena, repair->tag);
  copy->digest = arena_str(sync->arena, repair->digest);
  copy->known_digest = arena_str(sync->arena, repair->known_digest);
  if (!copy->project.ptr || !copy->repository.ptr || !copy->tag.ptr || !copy->digest.ptr || !copy->known_digest.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for what is to be repaired");
  sync->repairs_len++;
  return 0;
}

// What we had is repaired, and said; what we never had is read in, and only counted.
static void log_repair(struct sync *sync, const struct walk_repository *r, const struct walk_difference *difference) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(4096);
  struct str words = arena ? registry_difference_words(r, difference, arena) : (struct str){0};

  if (!r->known || !words.ptr || ++sync->logged > LOGGED_REPAIRS + 1)
    return;
  if (sync->logged <= LOGGED_REPAIRS)
    log_info(sync->config->log, "sync", "repaired: %.*s", STR_ARG(words));
  else
    log_info(sync->config->log, "sync", "more is repaired than is said one by one");
}

static int repair(struct sync *sync, const struct walk_repository *r, const struct walk_difference *difference,
                  struct error *err) {
  struct catalogue_repair repair = {.project = r->project,
                                    .repository = r->name,
                                    .tag = difference->tag,
                                    .digest = difference->digest,
                                    .known_digest = difference->known_digest,
                                    .known_pushed_us = difference->known_pushed_us,
                                    .asked_us = r->asked_us,
                                    .create_project = sync->config->create_projects};

  switch (difference->kind) {
  case WALK_TAG_GONE:
    repair.kind = REPAIR_DROP_TAG;
    break;
  case WALK_ARTIFACT_GONE:
    repair.kind = REPAIR_DROP_ARTIFACT;
    repair.digest = difference->known_digest;
    break;
  case WALK_TAG_MOVED:
  case WALK_TAG_NEW:
    repair.kind = REPAIR_SET_TAG;
    if (!event_is_digest(difference->digest)) {
      sync->counts->unreadable++;
      note_trouble(sync, r->project, r->name, "the registry names no digest of a tag");
      return 0;
    }
    break;
  }
  log_repair(sync, r, difference);
  return add(sync, &repair, err);
}

static int on_repository(void *ctx, const struct walk_repository *r, const struct walk_position *position,
                         struct error *err) {
  const struct catalogue_repair empty = {.kind = REPAIR_DROP_REPOSITORY,
                                         .project = r->project,
                                         .repository = r->name,
                                         .tag = STR_EMPTY,
                                         .digest = STR_EMPTY,
                                         .known_digest = STR_EMPTY};
  struct sync *sync = ctx;
  int rc = 0;

  sync->counts->repositories++;
  sync->repositories++;
  if (r->unreadable) {
    sync->counts->unreadable++;
    note_trouble(sync, r->project, r->name, r->unreadable);
  }
  for (size_t i = 0; rc == 0 && i < r->len; i++)
    rc = repair(sync, r, &r->differences[i], err);
  if (rc == 0 && r->gone)
    rc = add(sync, &empty, err);
  if (rc != 0)
    return rc;
  sync->position = *position;
  (void)snprintf(sync->after, sizeof sync->after, "%.*s", STR_ARG(position->after));
  sync->position.after = str_of(sync->after);
  return sync->repositories >= BATCH_REPOSITORIES ? commit(sync, err) : 0;
}

// ---- sizes, media types, platforms ----------------------------------------------------------------------------------------

static int ask_page(struct sync *sync, struct registry_client *client, struct registry_facts *facts,
                    struct store_conn *conn, int64_t *after_id, size_t *len, struct error *err) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(BATCH_ARENA_BYTES);
  struct artifact_facts *missing;
  const char *project = sync->config->walk.project;

  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "no memory for a page of artifacts");
  int rc = catalogue_incomplete(conn, *after_id, FACTS_PAGE, arena, &missing, len, err);
  for (size_t i = 0; rc == 0 && i < *len; i++) {
    *after_id = missing[i].id;
    if (project[0] && !str_eq_c(missing[i].project, project))
      continue;
    registry_facts_ask(facts, missing[i].project, missing[i].repository, missing[i].digest);
    sync->counts->facts_asked++;
  }
  while (rc == 0 && registry_facts_pending(facts) > 0) {
    client->done = sync->counts->facts_asked - (int64_t)registry_facts_pending(facts);
    client->of = sync->counts->facts_asked;
    rc = registry_client_step(client, err);
  }
  return rc;
}

// As after an event, by the same code, a page at a time.
static int complete(struct sync *sync, struct registry_client *client, struct store_conn *conn, struct error *err) {
  const struct registry_client_config *c = &sync->config->walk.client;
  const struct registry_facts_config config = {.upstream_url = c->upstream_url,
                                               .authorization = c->authorization,
                                               .user_agent = c->user_agent,
                                               .max_at_once = REGISTRY_CLIENT_AT_ONCE,
                                               .max_waiting = FACTS_PAGE,
                                               .timeout_ms = sync->config->facts_timeout_ms,
                                               .max_manifest_bytes = FACTS_MAX_MANIFEST_BYTES,
                                               .skip_cert_verify = c->skip_cert_verify};
  struct registry_facts *facts =
      registry_facts_new(&config, client->loop, client->http, sync->store, sync->config->log, err);
  int64_t after_id = 0;
  size_t len = FACTS_PAGE;
  int rc = 0;

  if (!facts)
    return err->code;
  client->what = "asking for sizes and platforms";
  while (rc == 0 && len == FACTS_PAGE)
    rc = ask_page(sync, client, facts, conn, &after_id, &len, err);
  // What the writer has of it comes back to the loop, which must still be there.
  registry_facts_stop(facts);
  while (registry_facts_pending(facts) > 0)
    (void)loop_step(client->loop, LAST_STEP_MS);
  registry_facts_free(facts);
  return rc;
}

static int run(struct sync *sync, struct registry_client *client, struct store_conn *conn, struct error *err) {
  const struct walk_visitor visitor = {.ask_new = true, .on_repository = on_repository, .ctx = sync};
  struct walk_counts counts;
  int rc = read_position(sync, conn, err);

  if (rc != 0)
    return rc;
  struct walk_position from = sync->position;
  rc = registry_walk(&sync->config->walk, client, conn, &from, &visitor, &counts, err);
  sync->counts->compared = counts.compared;
  if (rc != 0)
    return rc;
  if (counts.list_status)
    return error_set(err, ERR_UNAVAILABLE,
                     "the registry answers %d to /v2/_catalog, so that nobody knows which repositories it has; those "
                     "that were known are as it has them. Let upstream.authorization be of an account that may list "
                     "them",
                     counts.list_status);
  sync->position = (struct walk_position){.phase = WALK_DONE, .after = STR_EMPTY};
  rc = commit(sync, err);
  return rc == 0 ? complete(sync, client, conn, err) : rc;
}

int registry_sync(const struct registry_sync_config *config, struct store *store, const struct store_progress *progress,
                  struct sync_counts *counts, struct error *err) {
  struct sync *sync = calloc(1, sizeof *sync);
  struct registry_client client = {0};
  struct store_conn *conn = NULL;

  *counts = (struct sync_counts){0};
  if (!sync)
    return error_set(err, ERR_NO_MEMORY, "no memory to read the registry");
  sync->config = config;
  sync->store = store;
  sync->counts = counts;
  sync->arena = arena_new(BATCH_ARENA_BYTES);
  int rc = sync->arena ? registry_client_open(&client, &config->walk.client, progress, err)
                       : error_set(err, ERR_NO_MEMORY, "no memory to read the registry");
  client.what = "reading the registry";
  if (rc == 0 && !(conn = store_reader_open(store, err)))
    rc = err->code;
  if (rc == 0)
    rc = run(sync, &client, conn, err);
  if (rc != 0 && sync->arena && sync->repairs_len > 0) { // what was read so far is kept
    struct error ignored;
    (void)commit(sync, &ignored);
  }
  if (conn)
    store_reader_close(conn);
  registry_client_close(&client);
  arena_free(sync->arena);
  free(sync);
  return rc;
}
