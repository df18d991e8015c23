// SPDX-License-Identifier: Apache-2.0
#include "registry/compare.h"

#include "base/json.h"
#include "net/http_client.h"
#include "registry/manifest.h"
#include "store/catalogue.h"
#include "store/projects.h"

enum {
  PAGE_ROWS = 100,
  ANSWER_MAX_BYTES = 4 * 1024 * 1024, // a list of tags
  PAGE_ARENA_BYTES = 32 * 1024 * 1024,
  ASK_TIMEOUT_MS = 10000,
  ASK_STEP_MS = 200,
  ASK_MAX_HEADERS = 3,
  MAX_TAG_PAGES = 10000,
  STATUS_OK = 200,
  STATUS_NOT_FOUND = 404,
};

struct compare {
  const struct registry_compare_config *config;
  const struct store_progress *progress;
  struct clock clock;
  struct loop *loop;
  struct resolver *resolver;
  struct tls_client *tls;
  struct http_client *http;
  struct store_conn *conn;
  struct arena *arena; // of the differences
  struct registry_difference *differences;
  size_t len;
  int64_t compared, done, of;
};

// ---- a question -------------------------------------------------------------------------------------------------------

struct reply {
  struct arena *arena;
  bool done, no_memory;
  int status; // 0: no answer
  struct error err;
  struct str body, digest, link;
};

static void on_reply(void *ctx, const struct http_result *result) {
  struct reply *reply = ctx;

  reply->done = true;
  reply->err = result->err;
  if (result->outcome != HTTP_OUTCOME_ANSWERED)
    return;
  struct str digest = http_head_get(result->head, "Docker-Content-Digest");
  struct str link = http_head_get(result->head, "Link");
  reply->status = result->status;
  reply->body = arena_str(reply->arena, result->body);
  reply->digest = arena_str(reply->arena, digest.ptr ? digest : STR_EMPTY);
  reply->link = arena_str(reply->arena, link.ptr ? link : STR_EMPTY);
  reply->no_memory = !reply->body.ptr || !reply->digest.ptr || !reply->link.ptr || result->truncated;
}

// A stop does not wait for a slow registry.
static int tell(struct compare *compare, struct error *err) {
  return store_progress_tell(compare->progress, "comparing with the registry", compare->done, compare->of, err);
}

static int ask(struct compare *compare, const char *method, struct str path, struct arena *arena, struct reply *reply,
               struct error *err) {
  struct http_header headers[ASK_MAX_HEADERS] = {{STR("Accept"), STR(MANIFEST_ACCEPT ", application/json")}};
  size_t headers_len = 1;
  struct http_call_params params = {.method = str_of(method),
                                    .headers = headers,
                                    .body = STR_EMPTY,
                                    .skip_cert_verify = compare->config->skip_cert_verify,
                                    .keep_body_bytes = ANSWER_MAX_BYTES,
                                    .read_body_bytes = ANSWER_MAX_BYTES + 1,
                                    .connect_timeout_ms = ASK_TIMEOUT_MS,
                                    .first_byte_timeout_ms = ASK_TIMEOUT_MS,
                                    .total_timeout_ms = ASK_TIMEOUT_MS,
                                    .on_done = on_reply,
                                    .ctx = reply};
  struct str url = arena_printf(arena, "%s%.*s", compare->config->upstream_url, STR_ARG(path));
  struct http_call *call;

  *reply = (struct reply){.arena = arena, .body = STR_EMPTY, .digest = STR_EMPTY, .link = STR_EMPTY};
  if (!url.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory to ask the registry");
  if (compare->config->user_agent && compare->config->user_agent[0])
    headers[headers_len++] = (struct http_header){STR("User-Agent"), str_of(compare->config->user_agent)};
  if (compare->config->authorization && compare->config->authorization[0])
    headers[headers_len++] = (struct http_header){STR("Authorization"), str_of(compare->config->authorization)};
  params.headers_len = headers_len;
  int rc = tell(compare, err);
  if (rc == 0)
    rc = url_parse(url, &params.url, err);
  if (rc != 0)
    return rc;
  if (!(call = http_client_start(compare->http, &params, err)))
    return err ? (int)err->code : ERR_UNAVAILABLE;
  while (!reply->done) {
    (void)loop_step(compare->loop, ASK_STEP_MS);
    if (!reply->done && (rc = tell(compare, err)) != 0) {
      http_call_cancel(call);
      return rc;
    }
  }
  if (reply->status == 0)
    return error_set(err, ERR_UNAVAILABLE, "cannot ask the registry: %s", reply->err.text);
  if (reply->no_memory)
    return error_set(err, ERR_TOO_LARGE, "an answer of the registry is too large or was cut short");
  if (reply->status != STATUS_OK && reply->status != STATUS_NOT_FOUND)
    return error_set(err, ERR_UNAVAILABLE, "the registry answers %d%s", reply->status,
                     reply->status == 401 || reply->status == 403 ? ": set upstream.authorization" : "");
  return 0;
}

// ---- differences ------------------------------------------------------------------------------------------------------

static bool is_full(const struct compare *compare) {
  return compare->len == STORE_CHECK_MAX_FINDINGS;
}

static int differ(struct compare *compare, struct str what, struct error *err) {
  if (!what.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for what differs");
  if (!is_full(compare))
    compare->differences[compare->len++].what = what;
  return 0;
}

// The registry's name of a repository: with the project, or without it where a bare name stands for the default project.
struct place {
  struct str name; // ours
  struct str path; // "/v2/NAME"
  struct str *tags;
  size_t tags_len;
  bool known;
};

static int read_tags(struct reply *reply, struct arena *arena, struct place *place, size_t *cap, struct error *err) {
  struct json_object *json;
  int rc = json_parse(reply->body, arena, &json, err);

  if (rc != 0)
    return error_context(err, "the registry's list of tags");
  struct json_object *tags = json_get_array(json, "tags");
  for (size_t i = 0; i < json_array_len(tags); i++) {
    if (place->tags_len == *cap) {
      size_t more = *cap ? *cap * 2 : 64;
      struct str *grown = arena_array(arena, more, sizeof(*grown));
      if (!grown)
        return error_set(err, ERR_NO_MEMORY, "%.*s has more tags than fit into memory", STR_ARG(place->name));
      if (place->tags_len)
        memcpy(grown, place->tags, place->tags_len * sizeof(*grown));
      place->tags = grown;
      *cap = more;
    }
    place->tags[place->tags_len++] = json_str(json_array_at(tags, i));
  }
  return 0;
}

// </v2/...?last=x&n=y>; rel="next": the path within, or empty.
static struct str next_page(struct str link) {
  ptrdiff_t from = str_find(link, '<'), to = str_find(link, '>');

  if (from < 0 || to <= from || !str_contains(link, STR("next")))
    return STR_EMPTY;
  struct str path = str_slice(link, (size_t)from + 1, (size_t)to);
  return path.len > 0 && path.ptr[0] == '/' ? path : STR_EMPTY;
}

static int list_tags(struct compare *compare, struct place *place, struct arena *arena, struct error *err) {
  struct str path = arena_printf(arena, "%.*s/tags/list?n=1000", STR_ARG(place->path));
  struct reply reply;
  size_t cap = 0;

  for (int pages = 0; path.len > 0 && pages < MAX_TAG_PAGES; pages++) {
    int rc = ask(compare, "GET", path, arena, &reply, err);
    if (rc != 0 || reply.status == STATUS_NOT_FOUND)
      return rc;
    place->known = true;
    rc = read_tags(&reply, arena, place, &cap, err);
    if (rc != 0)
      return rc;
    path = next_page(reply.link);
  }
  return path.ptr ? 0 : error_set(err, ERR_NO_MEMORY, "no memory to ask the registry");
}

static int find_place(struct compare *compare, struct str name, struct place *place, struct arena *arena,
                      struct error *err) {
  ptrdiff_t slash = str_find(name, '/');
  bool bare = slash > 0 && str_eq_c(str_slice(name, 0, (size_t)slash), compare->config->default_project);
  const struct str names[] = {name, bare ? str_from(name, (size_t)slash + 1) : STR_EMPTY};

  *place = (struct place){.name = name};
  for (size_t i = 0; i < ARRAY_LEN(names) && names[i].len > 0 && !place->known; i++) {
    if (i > 0 && str_find(names[i], '/') >= 0)
      continue;
    place->path = arena_printf(arena, "/v2/%.*s", STR_ARG(names[i]));
    if (!place->path.ptr)
      return error_set(err, ERR_NO_MEMORY, "no memory to ask the registry");
    int rc = list_tags(compare, place, arena, err);
    if (rc != 0)
      return rc;
  }
  return 0;
}

// ---- a repository -----------------------------------------------------------------------------------------------------

static int head(struct compare *compare, const struct place *place, struct str reference, struct arena *arena,
                struct reply *reply, struct error *err) {
  struct str path = arena_printf(arena, "%.*s/manifests/%.*s", STR_ARG(place->path), STR_ARG(reference));

  compare->compared++;
  if (!path.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory to ask the registry");
  return ask(compare, "HEAD", path, arena, reply, err);
}

static int compare_tag(struct compare *compare, struct place *place, const struct artifact *artifact, struct str tag,
                       struct arena *arena, struct error *err) {
  struct reply reply;
  int rc = head(compare, place, tag, arena, &reply, err);

  for (size_t i = 0; i < place->tags_len; i++)
    if (str_eq(place->tags[i], tag))
      place->tags[i] = STR_EMPTY; // both have it
  if (rc != 0)
    return rc;
  if (reply.status == STATUS_NOT_FOUND)
    return differ(
        compare,
        arena_printf(compare->arena, "%.*s: tag %.*s is not in the registry", STR_ARG(place->name), STR_ARG(tag)), err);
  if (reply.digest.len > 0 && !str_eq(reply.digest, artifact->digest))
    return differ(compare,
                  arena_printf(compare->arena, "%.*s: tag %.*s is %.*s in the registry and %.*s here",
                               STR_ARG(place->name), STR_ARG(tag), STR_ARG(reply.digest), STR_ARG(artifact->digest)),
                  err);
  return 0;
}

static int compare_artifact(struct compare *compare, struct place *place, const struct artifact *artifact,
                            struct arena *arena, struct error *err) {
  struct reply reply;

  for (size_t i = 0; i < artifact->tags_len; i++) {
    int rc = compare_tag(compare, place, artifact, artifact->tags[i].name, arena, err);
    if (rc != 0)
      return rc;
  }
  if (artifact->tags_len > 0)
    return 0; // asked for by name
  int rc = head(compare, place, artifact->digest, arena, &reply, err);
  if (rc != 0 || reply.status != STATUS_NOT_FOUND)
    return rc;
  return differ(compare,
                arena_printf(compare->arena, "%.*s: %.*s is not in the registry", STR_ARG(place->name),
                             STR_ARG(artifact->digest)),
                err);
}

static int compare_artifacts(struct compare *compare, struct place *place, int64_t repository_id, struct error *err) {
  struct artifact *artifacts = NULL;
  size_t len = PAGE_ROWS;
  int64_t total = 0;
  int rc = 0;

  for (int64_t page = 1; rc == 0 && len == PAGE_ROWS && !is_full(compare); page++) {
    CLEANUP(arena_cleanup) struct arena *arena = arena_new(PAGE_ARENA_BYTES);
    const struct query query = {.page = page, .page_size = PAGE_ROWS, .sorts = {{STR("id"), false}}, .sorts_len = 1};
    if (!arena)
      return error_set(err, ERR_NO_MEMORY, "no memory for a page of artifacts");
    rc = artifact_list(compare->conn, repository_id, &query, arena, &artifacts, &len, &total, err);
    for (size_t i = 0; rc == 0 && i < len; i++)
      rc = compare_artifact(compare, place, &artifacts[i], arena, err);
  }
  return rc;
}

static int compare_repository(struct compare *compare, const struct repository *repository, struct error *err) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(2 * (size_t)PAGE_ARENA_BYTES);
  struct place place;

  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "no memory for a repository");
  int rc = find_place(compare, repository->name, &place, arena, err);
  if (rc != 0)
    return rc;
  if (!place.known)
    return repository->artifact_count == 0
               ? 0
               : differ(compare, arena_printf(compare->arena, "%.*s is not in the registry", STR_ARG(repository->name)),
                        err);
  rc = compare_artifacts(compare, &place, repository->id, err);
  for (size_t i = 0; rc == 0 && i < place.tags_len && !is_full(compare); i++)
    if (place.tags[i].len > 0)
      rc = differ(compare,
                  arena_printf(compare->arena, "%.*s: tag %.*s is in the registry only", STR_ARG(repository->name),
                               STR_ARG(place.tags[i])),
                  err);
  return rc;
}

static int compare_all(struct compare *compare, struct error *err) {
  struct repository *repositories = NULL;
  size_t len = PAGE_ROWS;
  int rc = 0;

  for (int64_t page = 1; rc == 0 && len == PAGE_ROWS && !is_full(compare); page++) {
    CLEANUP(arena_cleanup) struct arena *arena = arena_new(PAGE_ARENA_BYTES);
    const struct query query = {.page = page, .page_size = PAGE_ROWS, .sorts = {{STR("id"), false}}, .sorts_len = 1};
    if (!arena)
      return error_set(err, ERR_NO_MEMORY, "no memory for a page of repositories");
    rc = repository_list(compare->conn, REPOSITORY_OF_ALL, &query, arena, &repositories, &len, &compare->of, err);
    for (size_t i = 0; rc == 0 && i < len && !is_full(compare); i++, compare->done++)
      rc = compare_repository(compare, &repositories[i], err);
  }
  return rc;
}

// ---- the client -------------------------------------------------------------------------------------------------------

static int open_client(struct compare *compare, struct error *err) {
  const struct resolver_config resolver = {
      .budget_ms = ASK_TIMEOUT_MS, .positive_ttl_ms = 30000, .negative_ttl_ms = 1000, .max_names = 4, .max_waiters = 4};
  const struct http_client_config http = {.max_calls = 1,
                                          .max_idle = 1,
                                          .max_idle_per_key = 1,
                                          .max_sessions = 1,
                                          .idle_timeout_ms = 30000,
                                          .max_connection_age_ms = 300000};

  clock_init_real(&compare->clock);
  if (str_starts_c(str_of(compare->config->upstream_url), "https://") &&
      !(compare->tls = tls_client_new(compare->config->ca_pem, err)))
    return err ? (int)err->code : ERR_TLS;
  if (!(compare->loop = loop_new(&compare->clock, 64, 16, err)) ||
      !(compare->resolver = resolver_new(compare->loop, &resolver, err)) ||
      !(compare->http = http_client_new(compare->loop, compare->resolver, NULL, compare->tls, &http, NULL, err)))
    return err ? (int)err->code : ERR_NO_MEMORY;
  return 0;
}

static void close_client(struct compare *compare) {
  if (compare->http)
    http_client_free(compare->http);
  if (compare->resolver)
    resolver_free(compare->resolver);
  if (compare->loop)
    loop_free(compare->loop);
  tls_client_free(compare->tls);
}

int registry_compare(const struct registry_compare_config *config, struct store *store,
                     const struct store_progress *progress, struct arena *arena, struct registry_difference **out,
                     size_t *len, int64_t *compared, struct error *err) {
  struct compare compare = {.config = config, .progress = progress, .arena = arena};

  compare.differences = arena_array(arena, STORE_CHECK_MAX_FINDINGS, sizeof(*compare.differences));
  if (!compare.differences)
    return error_set(err, ERR_NO_MEMORY, "no memory to compare");
  int rc = open_client(&compare, err);
  if (rc == 0 && !(compare.conn = store_reader_open(store, err)))
    rc = err ? (int)err->code : ERR_UNAVAILABLE;
  if (rc == 0)
    rc = compare_all(&compare, err);
  if (compare.conn)
    store_reader_close(compare.conn);
  close_client(&compare);
  *out = compare.differences;
  *len = compare.len;
  *compared = compare.compared;
  return rc;
}
