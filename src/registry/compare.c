// SPDX-License-Identifier: Apache-2.0
#include "registry/compare.h"

struct compare {
  struct arena *arena;
  struct registry_compared *out;
};

// Ends the walk, and is no failure: nobody reads more than these.
enum { COMPARE_FULL = 1 };

struct str registry_difference_words(const struct walk_repository *r, const struct walk_difference *difference,
                                     struct arena *arena) {
  switch (difference->kind) {
  case WALK_TAG_GONE:
    return arena_printf(arena, "%.*s/%.*s: tag %.*s is not in the registry", STR_ARG(r->project), STR_ARG(r->name),
                        STR_ARG(difference->tag));
  case WALK_TAG_MOVED:
    return arena_printf(arena, "%.*s/%.*s: tag %.*s is %.*s in the registry and %.*s here", STR_ARG(r->project),
                        STR_ARG(r->name), STR_ARG(difference->tag), STR_ARG(difference->digest),
                        STR_ARG(difference->known_digest));
  case WALK_TAG_NEW:
    return arena_printf(arena, "%.*s/%.*s: tag %.*s is in the registry only", STR_ARG(r->project), STR_ARG(r->name),
                        STR_ARG(difference->tag));
  case WALK_ARTIFACT_GONE:
    break;
  }
  return arena_printf(arena, "%.*s/%.*s: %.*s is not in the registry", STR_ARG(r->project), STR_ARG(r->name),
                      STR_ARG(difference->known_digest));
}

static int add(struct compare *compare, struct str what, struct error *err) {
  if (!what.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for what differs");
  compare->out->differences[compare->out->len++].what = what;
  return compare->out->len == STORE_CHECK_MAX_FINDINGS ? COMPARE_FULL : 0;
}

static int on_repository(void *ctx, const struct walk_repository *r, const struct walk_position *position,
                         struct error *err) {
  struct compare *compare = ctx;
  int rc = 0;

  (void)position;
  if (r->unreadable)
    return error_set(err, ERR_UNAVAILABLE, "%.*s/%.*s cannot be compared: %s", STR_ARG(r->project), STR_ARG(r->name),
                     r->unreadable);
  if (r->gone)
    return add(compare,
               arena_printf(compare->arena, "%.*s/%.*s is not in the registry", STR_ARG(r->project), STR_ARG(r->name)),
               err);
  for (size_t i = 0; rc == 0 && i < r->len; i++)
    rc = add(compare, registry_difference_words(r, &r->differences[i], compare->arena), err);
  return rc;
}

int registry_compare(const struct registry_walk_config *config, struct store *store,
                     const struct store_progress *progress, struct arena *arena, struct registry_compared *out,
                     struct error *err) {
  struct compare compare = {.arena = arena, .out = out};
  const struct walk_visitor visitor = {.on_repository = on_repository, .ctx = &compare};
  const struct walk_position begin = {.after = STR_EMPTY};
  struct registry_client client = {0};
  struct store_conn *conn = NULL;

  *out =
      (struct registry_compared){.differences = arena_array(arena, STORE_CHECK_MAX_FINDINGS, sizeof *out->differences)};
  if (!out->differences)
    return error_set(err, ERR_NO_MEMORY, "no memory to compare");
  int rc = registry_client_open(&client, &config->client, progress, err);
  client.what = "comparing with the registry";
  if (rc == 0 && !(conn = store_reader_open(store, err)))
    rc = err->code;
  if (rc == 0)
    rc = registry_walk(config, &client, conn, &begin, &visitor, &out->counts, err);
  if (conn)
    store_reader_close(conn);
  registry_client_close(&client);
  return rc == COMPARE_FULL ? 0 : rc;
}
