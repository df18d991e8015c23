// SPDX-License-Identifier: Apache-2.0
#include "registry/walk.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/catalogue.h"

enum {
  PAGE_ROWS = 100,
  PAGE_ARENA_BYTES = 32 * 1024 * 1024,
  REPOSITORY_ARENA_BYTES = 128 * 1024 * 1024, // its tags and what differs
  MAX_PAGES = 10000,                          // of a list of the registry
  FIRST_ITEMS = 64,
  STATUS_OK = 200,
  STATUS_NOT_FOUND = 404,
};

struct walk {
  const struct registry_walk_config *config;
  struct registry_client *client;
  struct store_conn *conn;
  const struct walk_visitor *visitor;
  struct walk_counts *counts;
  struct walk_position position;
};

// One repository while it is looked at: its own arena.
struct place {
  struct walk *walk;
  struct arena *arena;
  struct walk_repository repository;
  struct str path;  // "/v2/NAME": with the project, or without it where a bare name stands for the default project
  struct str *tags; // of the registry; empty once we have them, too
  size_t tags_len, tags_cap, differences_cap;
  size_t found; // tags and manifests of ours that the registry has
};

// ---- lists that grow ----------------------------------------------------------------------------------------------------

// Room for one more item in the arena, at double the room each time.
static void *grow(struct arena *arena, void *items, size_t len, size_t *cap, size_t size) {
  if (len < *cap)
    return items;
  size_t more = *cap ? *cap * 2 : FIRST_ITEMS;
  void *grown = arena_array(arena, more, size);
  if (grown && len)
    memcpy(grown, items, len * size);
  if (grown)
    *cap = more;
  return grown;
}

static int differ(struct place *place, const struct walk_difference *difference, struct error *err) {
  struct walk_repository *r = &place->repository;
  struct walk_difference *grown =
      grow(place->arena, r->differences, r->len, &place->differences_cap, sizeof *r->differences);

  if (!grown)
    return error_set(err, ERR_NO_MEMORY, "no memory for what differs in %.*s", STR_ARG(r->name));
  r->differences = grown;
  struct walk_difference *copy = &grown[r->len++];
  *copy = *difference;
  copy->tag = arena_str(place->arena, difference->tag);
  copy->digest = arena_str(place->arena, difference->digest);
  copy->known_digest = arena_str(place->arena, difference->known_digest);
  return copy->tag.ptr && copy->digest.ptr && copy->known_digest.ptr
             ? 0
             : error_set(err, ERR_NO_MEMORY, "no memory for what differs in %.*s", STR_ARG(r->name));
}

// ---- the registry's lists -----------------------------------------------------------------------------------------------

// </v2/...?last=x&n=y>; rel="next", or with our own address before it: the path within, or empty.
static struct str next_page(struct str link) {
  ptrdiff_t from = str_find(link, '<'), to = str_find(link, '>');

  if (from < 0 || to <= from || !str_contains(link, STR("next")))
    return STR_EMPTY;
  struct str path = str_slice(link, (size_t)from + 1, (size_t)to);
  for (size_t i = 0; i + sizeof "/v2/" - 1 <= path.len; i++)
    if (str_starts_c(str_from(path, i), "/v2/"))
      return str_from(path, i);
  return STR_EMPTY;
}

static int ask(struct walk *walk, const char *method, struct str path, struct arena *arena,
               struct registry_question *question, struct error *err) {
  *question = (struct registry_question){.method = str_of(method), .path = path};
  return registry_client_ask(walk->client, question, 1, arena, err);
}

static int read_tags(struct place *place, struct str body, struct error *err) {
  struct json_object *json;
  int rc = json_parse(body, place->arena, &json, err);

  if (rc != 0)
    return error_context(err, "the registry's list of tags of %.*s", STR_ARG(place->repository.name));
  struct json_object *tags = json_get_array(json, "tags");
  for (size_t i = 0; i < json_array_len(tags); i++) {
    struct str *grown = grow(place->arena, place->tags, place->tags_len, &place->tags_cap, sizeof *grown);
    struct str tag = json_str(json_array_at(tags, i));
    if (!grown)
      return error_set(err, ERR_NO_MEMORY, "%.*s has more tags than fit into memory", STR_ARG(place->repository.name));
    place->tags = grown;
    if (event_is_tag(tag))
      place->tags[place->tags_len++] = tag;
  }
  return 0;
}

// *found: the registry knows the repository under this path.
static int list_tags(struct place *place, bool *found, struct error *err) {
  struct str path = arena_printf(place->arena, "%.*s/tags/list?n=1000", STR_ARG(place->path));
  struct registry_question question;

  *found = false;
  for (int pages = 0; path.len > 0 && pages < MAX_PAGES; pages++) {
    int rc = ask(place->walk, "GET", path, place->arena, &question, err);
    if (rc != 0 || question.status == STATUS_NOT_FOUND)
      return rc;
    if (question.status != STATUS_OK) {
      place->repository.unreadable =
          arena_printf(place->arena, "the registry answers %d to its list of tags", question.status).ptr;
      return 0;
    }
    *found = true;
    rc = read_tags(place, question.body, err);
    if (rc != 0)
      return rc;
    path = next_page(question.link);
  }
  return path.ptr ? 0 : error_set(err, ERR_NO_MEMORY, "no memory to ask the registry");
}

// Under which of its names has the registry our repository? With neither the path is that of the full name.
static int find_tags(struct place *place, struct error *err) {
  const struct walk_repository *r = &place->repository;
  bool bare = str_eq_c(r->project, place->walk->config->default_project) && str_find(r->name, '/') < 0;
  struct str full = arena_printf(place->arena, "/v2/%.*s/%.*s", STR_ARG(r->project), STR_ARG(r->name));
  struct str alone = arena_printf(place->arena, "/v2/%.*s", STR_ARG(r->name));
  bool found;

  if (!full.ptr || !alone.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory to ask the registry");
  place->path = full;
  int rc = list_tags(place, &found, err);
  if (rc != 0 || found || r->unreadable || !bare)
    return rc;
  place->path = alone;
  rc = list_tags(place, &found, err);
  if (rc == 0 && !found)
    place->path = full;
  return rc;
}

// ---- what we know ---------------------------------------------------------------------------------------------------------

static int ask_heads(struct place *place, struct registry_question *questions, size_t len, struct arena *arena,
                     struct error *err) {
  for (size_t i = 0; i < len; i++) {
    questions[i].method = STR("HEAD");
    questions[i].path = arena_printf(arena, "%.*s/manifests/%.*s", STR_ARG(place->path), STR_ARG(questions[i].path));
  }
  place->walk->counts->compared += (int64_t)len;
  int rc = registry_client_ask(place->walk->client, questions, len, arena, err);
  for (size_t i = 0; rc == 0 && i < len; i++)
    if (questions[i].status != STATUS_OK && questions[i].status != STATUS_NOT_FOUND)
      place->repository.unreadable =
          arena_printf(place->arena, "the registry answers %d to a question for a manifest", questions[i].status).ptr;
  return rc;
}

static void forget_tag(struct place *place, struct str tag) {
  for (size_t i = 0; i < place->tags_len; i++)
    if (str_eq(place->tags[i], tag))
      place->tags[i] = STR_EMPTY; // both have it
}

// *there: the tag names this artifact in the registry, too.
static int compare_tag(struct place *place, const struct artifact *artifact, const struct catalogue_tag *tag,
                       const struct registry_question *answer, bool *there, struct error *err) {
  struct walk_difference difference = {.tag = tag->name,
                                       .digest = answer->digest,
                                       .known_digest = artifact->digest,
                                       .known_pushed_us = tag->pushed_at_us};

  *there = false;
  forget_tag(place, tag->name);
  if (answer->status == STATUS_NOT_FOUND) {
    difference.kind = WALK_TAG_GONE;
    difference.digest = STR_EMPTY;
    return differ(place, &difference, err);
  }
  place->found++;
  *there = answer->digest.len == 0 || str_eq(answer->digest, artifact->digest);
  difference.kind = WALK_TAG_MOVED;
  return *there ? 0 : differ(place, &difference, err);
}

static int compare_tags(struct place *place, const struct artifact *artifact, struct arena *arena, bool *there,
                        struct error *err) {
  struct registry_question *questions = arena_array(arena, artifact->tags_len, sizeof *questions);

  if (!questions)
    return error_set(err, ERR_NO_MEMORY, "no memory to ask for the tags of %.*s", STR_ARG(artifact->digest));
  for (size_t i = 0; i < artifact->tags_len; i++)
    questions[i].path = artifact->tags[i].name;
  int rc = ask_heads(place, questions, artifact->tags_len, arena, err);
  for (size_t i = 0; rc == 0 && !place->repository.unreadable && i < artifact->tags_len; i++) {
    bool same;
    rc = compare_tag(place, artifact, &artifact->tags[i], &questions[i], &same, err);
    *there = *there || same;
  }
  return rc;
}

// Of a page, those that no tag has shown to be there.
static int compare_digests(struct place *place, const struct artifact *artifacts, const bool *there, size_t len,
                           struct arena *arena, struct error *err) {
  struct registry_question *questions = arena_array(arena, len, sizeof *questions);
  const struct artifact **asked = arena_array(arena, len, sizeof *asked);
  size_t asked_len = 0;

  if (!questions || !asked)
    return error_set(err, ERR_NO_MEMORY, "no memory to ask for a page of artifacts");
  for (size_t i = 0; i < len; i++) {
    if (there[i])
      continue;
    questions[asked_len].path = artifacts[i].digest;
    asked[asked_len++] = &artifacts[i];
  }
  int rc = ask_heads(place, questions, asked_len, arena, err);
  for (size_t i = 0; rc == 0 && !place->repository.unreadable && i < asked_len; i++) {
    const struct walk_difference gone = {.kind = WALK_ARTIFACT_GONE,
                                         .tag = STR_EMPTY,
                                         .digest = STR_EMPTY,
                                         .known_digest = asked[i]->digest,
                                         .known_pushed_us = asked[i]->pushed_at_us};
    if (questions[i].status == STATUS_OK)
      place->found++;
    else
      rc = differ(place, &gone, err);
  }
  return rc;
}

static int compare_page(struct place *place, const struct artifact *artifacts, size_t len, struct arena *arena,
                        struct error *err) {
  bool *there = arena_array(arena, len, sizeof *there);
  int rc = 0;

  if (!there)
    return error_set(err, ERR_NO_MEMORY, "no memory for a page of artifacts");
  for (size_t i = 0; rc == 0 && i < len && !place->repository.unreadable; i++) {
    there[i] = false;
    if (artifacts[i].tags_len > 0)
      rc = compare_tags(place, &artifacts[i], arena, &there[i], err);
  }
  return rc == 0 && !place->repository.unreadable ? compare_digests(place, artifacts, there, len, arena, err) : rc;
}

static int compare_artifacts(struct place *place, int64_t repository_id, int64_t *artifacts_len, struct error *err) {
  struct artifact *artifacts = NULL;
  size_t len = PAGE_ROWS;
  int64_t total = 0;
  int rc = 0;

  *artifacts_len = 0;
  for (int64_t page = 1; rc == 0 && len == PAGE_ROWS && !place->repository.unreadable; page++) {
    CLEANUP(arena_cleanup) struct arena *arena = arena_new(PAGE_ARENA_BYTES);
    const struct query query = {.page = page, .page_size = PAGE_ROWS, .sorts = {{STR("id"), false}}, .sorts_len = 1};
    if (!arena)
      return error_set(err, ERR_NO_MEMORY, "no memory for a page of artifacts");
    rc = artifact_list(place->walk->conn, repository_id, &query, arena, &artifacts, &len, &total, err);
    if (rc == 0 && len > 0)
      rc = compare_page(place, artifacts, len, arena, err);
    *artifacts_len += rc == 0 ? (int64_t)len : 0;
  }
  return rc;
}

// ---- what only the registry has -------------------------------------------------------------------------------------------

static int add_new_tags(struct place *place, const struct registry_question *answers, const struct str *tags,
                        size_t len, struct error *err) {
  int rc = 0;

  for (size_t i = 0; rc == 0 && i < len; i++) {
    const struct walk_difference added = {.kind = WALK_TAG_NEW,
                                          .tag = tags[i],
                                          .digest = answers ? answers[i].digest : STR_EMPTY,
                                          .known_digest = STR_EMPTY};
    if (!answers || answers[i].status == STATUS_OK) // else it went meanwhile
      rc = differ(place, &added, err);
  }
  return rc;
}

static int find_new_tags(struct place *place, struct error *err) {
  int rc = 0;

  for (size_t at = 0; rc == 0 && at < place->tags_len && !place->repository.unreadable;) {
    struct registry_question questions[PAGE_ROWS];
    struct str tags[PAGE_ROWS];
    size_t len = 0;
    for (; at < place->tags_len && len < PAGE_ROWS; at++) {
      if (place->tags[at].len == 0)
        continue;
      tags[len] = place->tags[at];
      questions[len++].path = place->tags[at];
    }
    CLEANUP(arena_cleanup) struct arena *arena = arena_new(PAGE_ARENA_BYTES);
    if (!arena)
      return error_set(err, ERR_NO_MEMORY, "no memory for a page of tags");
    if (place->walk->visitor->ask_new)
      rc = ask_heads(place, questions, len, arena, err);
    if (rc == 0 && !place->repository.unreadable)
      rc = add_new_tags(place, place->walk->visitor->ask_new ? questions : NULL, tags, len, err);
  }
  return rc;
}

// ---- a repository ---------------------------------------------------------------------------------------------------------

static int visit(struct place *place, struct error *err) {
  struct walk *walk = place->walk;

  walk->client->done++;
  return walk->visitor->on_repository(walk->visitor->ctx, &place->repository, &walk->position, err);
}

// `path`: under which the registry listed it; empty: to be found. `id` 0: we do not have it.
static int look_at(struct walk *walk, int64_t id, struct str project, struct str name, struct str path,
                   struct error *err) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(REPOSITORY_ARENA_BYTES);
  struct place place = {
      .walk = walk,
      .arena = arena,
      .path = path,
      .repository = {
          .project = project, .name = name, .known = id != 0, .asked_us = clock_wall_us(&walk->client->clock)}};
  int64_t artifacts = 0;
  bool found;

  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "no memory for a repository");
  int rc = path.len ? list_tags(&place, &found, err) : find_tags(&place, err);
  if (rc == 0 && id != 0 && !place.repository.unreadable)
    rc = compare_artifacts(&place, id, &artifacts, err);
  place.repository.gone = artifacts > 0 && place.found == 0 && place.tags_len == 0;
  if (rc == 0)
    rc = find_new_tags(&place, err);
  if (place.repository.unreadable)
    place.repository.len = 0; // half of it is nothing
  return rc == 0 ? visit(&place, err) : rc;
}

static int walk_known(struct walk *walk, struct error *err) {
  struct catalogue_name *names = NULL;
  size_t len = PAGE_ROWS;
  int rc =
      catalogue_count_after(walk->conn, str_of(walk->config->project), walk->position.after_id, &walk->client->of, err);

  walk->client->of += walk->client->done;
  while (rc == 0 && len == PAGE_ROWS) {
    CLEANUP(arena_cleanup) struct arena *arena = arena_new(PAGE_ARENA_BYTES);
    if (!arena)
      return error_set(err, ERR_NO_MEMORY, "no memory for a page of repositories");
    rc = catalogue_names_after(walk->conn, str_of(walk->config->project), walk->position.after_id, PAGE_ROWS, arena,
                               &names, &len, err);
    for (size_t i = 0; rc == 0 && i < len; i++) {
      walk->position.after_id = walk->position.last_id = names[i].id;
      rc = look_at(walk, names[i].id, names[i].project, names[i].name, STR_EMPTY, err);
    }
  }
  return rc;
}

// ---- the registry's list of repositories ----------------------------------------------------------------------------------

static int look_at_listed(struct walk *walk, struct str listed, struct arena *arena, struct error *err) {
  ptrdiff_t slash = str_find(listed, '/');
  struct str project = slash < 0 ? str_of(walk->config->default_project) : str_slice(listed, 0, (size_t)slash);
  struct str name = slash < 0 ? listed : str_from(listed, (size_t)slash + 1);
  const char *wanted = walk->config->project;
  int64_t id = 0;

  if ((wanted && wanted[0] && !str_eq_c(project, wanted)) || !event_is_repository_name(listed))
    return 0;
  int rc = catalogue_repository_id(walk->conn, project, name, &id, err);
  if (rc != 0 || (id != 0 && id <= walk->position.last_id))
    return rc; // WALK_KNOWN has looked at it
  struct str path = arena_printf(arena, "/v2/%.*s", STR_ARG(listed));
  return path.ptr ? look_at(walk, id, project, name, path, err)
                  : error_set(err, ERR_NO_MEMORY, "no memory to ask the registry");
}

// A page of it; *next: the path of the one after, or empty.
static int walk_page(struct walk *walk, struct str path, char *next, size_t next_size, struct error *err) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(PAGE_ARENA_BYTES);
  struct registry_question question;
  struct json_object *json;

  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "no memory for a page of the registry's repositories");
  next[0] = '\0';
  int rc = ask(walk, "GET", path, arena, &question, err);
  if (rc != 0)
    return rc;
  if (question.status != STATUS_OK) {
    walk->counts->list_status = question.status;
    return 0;
  }
  rc = json_parse(question.body, arena, &json, err);
  if (rc != 0)
    return error_context(err, "the registry's list of repositories");
  struct json_object *names = json_get_array(json, "repositories");
  walk->client->of = walk->client->done + (int64_t)json_array_len(names);
  for (size_t i = 0; rc == 0 && i < json_array_len(names); i++) {
    walk->position.after = json_str(json_array_at(names, i));
    rc = look_at_listed(walk, walk->position.after, arena, err);
  }
  walk->position.after = STR_EMPTY; // it lived in this page
  struct str link = next_page(question.link);
  if (rc == 0 && link.len >= next_size)
    return error_set(err, ERR_TOO_LARGE, "the registry's link to its next page is longer than %zu bytes", next_size);
  if (link.len)
    memcpy(next, link.ptr, link.len);
  next[link.len] = '\0';
  return rc;
}

static int walk_listed(struct walk *walk, struct error *err) {
  enum { PATH_BYTES = 2048 };
  char path[PATH_BYTES], next[PATH_BYTES];
  int rc = 0;

  // The name is in the grammar of repositories: nothing of it needs an escape.
  (void)snprintf(path, sizeof path, "/v2/_catalog?n=%d%s%.*s", PAGE_ROWS, walk->position.after.len ? "&last=" : "",
                 STR_ARG(walk->position.after));
  for (int pages = 0; rc == 0 && path[0] && pages < MAX_PAGES; pages++) {
    rc = walk_page(walk, str_of(path), next, sizeof next, err);
    if (rc == 0 && strcmp(path, next) == 0)
      return error_set(err, ERR_UNAVAILABLE, "the registry's list of repositories leads to the same page again");
    memcpy(path, next, sizeof path);
  }
  return rc;
}

int registry_walk(const struct registry_walk_config *config, struct registry_client *client, struct store_conn *conn,
                  const struct walk_position *from, const struct walk_visitor *visitor, struct walk_counts *counts,
                  struct error *err) {
  struct walk walk = {
      .config = config, .client = client, .conn = conn, .visitor = visitor, .counts = counts, .position = *from};
  int rc = 0;

  *counts = (struct walk_counts){0};
  if (walk.position.phase == WALK_KNOWN)
    rc = walk_known(&walk, err);
  if (rc != 0)
    return rc;
  walk.position.phase = WALK_LISTED;
  return walk_listed(&walk, err);
}
