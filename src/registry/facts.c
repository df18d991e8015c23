// SPDX-License-Identifier: Apache-2.0
#include "registry/facts.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "registry/manifest.h"

enum {
  CONFIG_MAX_BYTES = 1024 * 1024,     // an image's configuration
  QUESTION_SPARE_BYTES = 1024 * 1024, // addresses, children, decoded strings
  START_ARENA_BYTES = 16 * 1024 * 1024,
  MAX_CHILDREN_ASKED = 64, // of an index; with more its size stays unknown
  CONNECT_TIMEOUT_MS = 5000,
  MAX_HEADERS = 3, // of a question
  KEY_MAX_BYTES = 1024,
  STATUS_OK = 200,
  STATUS_UNAUTHORIZED = 401,
  STATUS_FORBIDDEN = 403,
  STATUS_NOT_FOUND = 404,
};

// An artifact to ask about. In facts->waiting until a question takes it; in facts->known until it is answered.
struct wish {
  struct list_node node;
  bool asked_again; // after a failure of the network
  struct str project, repository, digest;
  struct str key; // "project/repository@digest": the three above are views into it
  char text[];
};

// One of max_at_once places for what is being asked. Free while `wish` is NULL. It belongs to the loop but while the writer
// has `write`.
struct question {
  struct registry_facts *facts;
  struct wish *wish;
  struct arena *arena;
  struct http_call *call;
  void (*on_answer)(struct question *question, const struct http_result *result);
  bool bare_name; // the upstream knows the repository without the project: a name without a slash
  struct manifest manifest;
  size_t child; // of the index, being asked
  struct artifact_facts found;
  struct store_write write;
  bool writing; // the writer has `write`
  struct loop_task written;
};

struct registry_facts {
  struct loop *loop;
  struct http_client *client;
  struct store *store;
  const struct log *log;
  struct arena *arena; // the configuration's strings
  struct str upstream_url, authorization, user_agent;
  void (*on_peer)(void *ctx, const struct address *peer);
  void *on_peer_ctx;
  size_t max_at_once, max_waiting, max_manifest_bytes;
  int64_t timeout_ms;
  bool skip_cert_verify;
  bool refused; // the upstream refused us: said once
  struct list waiting;
  struct map *known;
  struct question *questions;
  struct loop_task begin;
};

static void start_questions(struct registry_facts *facts);

// ---- the end of a question ----------------------------------------------------------------------------------------------

static void question_clear(struct question *question) {
  arena_free(question->arena);
  *question = (struct question){.facts = question->facts};
}

static void wish_forget(struct registry_facts *facts, struct wish *wish) {
  (void)map_remove(facts->known, wish->key);
  free(wish);
}

static void question_end(struct question *question) {
  struct registry_facts *facts = question->facts;

  wish_forget(facts, question->wish);
  question_clear(question);
  start_questions(facts);
}

// The network failed. Once again, behind all that wait; then the artifact stays incomplete until the next start.
static void question_failed(struct question *question, const char *words) {
  struct registry_facts *facts = question->facts;
  struct wish *wish = question->wish;

  log_debug(facts->log, "registry", "cannot ask for the facts of %.*s: %s", STR_ARG(wish->key), words);
  if (wish->asked_again) {
    question_end(question);
    return;
  }
  wish->asked_again = true;
  question_clear(question);
  list_push_back(&facts->waiting, &wish->node);
  start_questions(facts);
}

// ---- into the catalogue -------------------------------------------------------------------------------------------------

static int complete_apply(struct store_conn *conn, struct store_write *w, struct error *err) {
  struct question *question = CONTAINER_OF(w, struct question, write);

  return catalogue_complete(conn, &question->found, err);
}

static void complete_done(struct store_write *w) {
  struct question *question = CONTAINER_OF(w, struct question, write);

  // Refused only when the loop has ended for good; registry_facts_free frees the question then.
  if (loop_post_reserved(question->facts->loop, &question->written) != 0)
    log_debug(question->facts->log, "registry", "facts came back after the serve loop had ended");
}

static void complete_written(struct loop_task *task) {
  struct question *question = CONTAINER_OF(task, struct question, written);

  if (question->write.rc != 0)
    log_warn(question->facts->log, "registry", "the facts of %.*s are not kept: %s", STR_ARG(question->wish->key),
             question->write.err.text);
  question_end(question);
}

static void question_complete(struct question *question) {
  struct error err;

  question->found.project = question->wish->project;
  question->found.repository = question->wish->repository;
  question->found.digest = question->wish->digest;
  question->write = (struct store_write){.apply = complete_apply, .done = complete_done};
  question->written.run = complete_written;
  question->writing = true;
  if (store_submit(question->facts->store, &question->write, &err) == 0)
    return;
  question->writing = false;
  log_debug(question->facts->log, "registry", "the facts of %.*s are not kept: %s", STR_ARG(question->wish->key),
            err.text);
  question_end(question);
}

// The upstream has no more to say about it: it is not asked again.
static void question_nothing(struct question *question, const char *words) {
  log_info(question->facts->log, "registry", "the facts of %.*s stay unknown: %s", STR_ARG(question->wish->key), words);
  question->found = (struct artifact_facts){
      .media_type = STR_EMPTY, .platform = STR_EMPTY, .kind = ARTIFACT_UNKNOWN, .size_bytes = -1};
  question_complete(question);
}

// ---- asking -------------------------------------------------------------------------------------------------------------

static void on_call_done(void *ctx, const struct http_result *result) {
  struct question *question = ctx;

  const struct registry_facts *facts = question->facts;

  question->call = NULL;
  if (facts->on_peer && result->peer.family != 0)
    facts->on_peer(facts->on_peer_ctx, &result->peer);
  question->on_answer(question, result);
}

static int ask(struct question *question, const char *what, struct str digest, size_t max_bytes,
               void (*on_answer)(struct question *, const struct http_result *), struct error *err) {
  struct registry_facts *facts = question->facts;
  const struct wish *wish = question->wish;
  struct http_header *headers = arena_array(question->arena, MAX_HEADERS, sizeof(*headers));
  size_t headers_len = 1;
  struct http_call_params params = {
      .method = STR("GET"),
      .headers = headers,
      .body = STR_EMPTY,
      .skip_cert_verify = facts->skip_cert_verify,
      .keep_body_bytes = max_bytes,
      .read_body_bytes = max_bytes + 1,
      .connect_timeout_ms = facts->timeout_ms < CONNECT_TIMEOUT_MS ? facts->timeout_ms : CONNECT_TIMEOUT_MS,
      .first_byte_timeout_ms = facts->timeout_ms,
      .total_timeout_ms = facts->timeout_ms,
      .on_done = on_call_done,
      .ctx = question,
  };
  struct str url = arena_printf(question->arena, "%.*s/v2/%.*s%s%.*s/%s/%.*s", STR_ARG(facts->upstream_url),
                                STR_ARG(question->bare_name ? STR_EMPTY : wish->project),
                                question->bare_name ? "" : "/", STR_ARG(wish->repository), what, STR_ARG(digest));

  if (!headers || !url.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for a question");
  headers[0] =
      (struct http_header){STR("Accept"), str_eq_c(str_of(what), "manifests") ? STR(MANIFEST_ACCEPT) : STR("*/*")};
  if (facts->user_agent.len)
    headers[headers_len++] = (struct http_header){STR("User-Agent"), facts->user_agent};
  if (facts->authorization.len)
    headers[headers_len++] = (struct http_header){STR("Authorization"), facts->authorization};
  params.headers_len = headers_len;
  int rc = url_parse(url, &params.url, err);
  if (rc != 0)
    return rc;
  question->on_answer = on_answer;
  question->call = http_client_start(facts->client, &params, err);
  return question->call ? 0 : (int)err->code;
}

// What the answers to all questions have in common. True when `result` holds the whole of what was asked for.
static bool is_answered(struct question *question, const struct http_result *result) {
  struct registry_facts *facts = question->facts;
  struct error err;

  if (result->outcome != HTTP_OUTCOME_ANSWERED) {
    question_failed(question, result->err.text);
    return false;
  }
  if (result->status == STATUS_OK && !result->truncated) {
    facts->refused = false;
    return true;
  }
  if (result->status == STATUS_OK) {
    question_nothing(question, "the answer of the upstream is too large or was cut short");
    return false;
  }
  if ((result->status == STATUS_UNAUTHORIZED || result->status == STATUS_FORBIDDEN) && !facts->refused) {
    facts->refused = true;
    log_warn(facts->log, "registry",
             "the upstream refuses to tell sizes, media types and platforms (status %d): set upstream.authorization",
             result->status);
  }
  (void)error_set(&err, ERR_INTERNAL, "the upstream answers %d", result->status);
  question->wish->asked_again = true; // a clear answer: the next one would be the same
  question_failed(question, err.text);
  return false;
}

static int read_manifest(struct question *question, struct str body, const struct http_result *result,
                         struct str digest, struct manifest *out, struct error *err) {
  struct str content_type = http_head_get(result->head, "Content-Type");

  if (!manifest_has_digest(body, digest))
    return error_set(err, ERR_INVALID, "the upstream answers with other content than the digest names");
  // It ends with the call, and is the media type of a manifest that does not name its own.
  content_type = arena_str(question->arena, content_type.ptr ? content_type : STR_EMPTY);
  if (!content_type.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for a media type");
  return manifest_read(body, content_type, question->arena, out, err);
}

// ---- an index: its size is that of all it lists -------------------------------------------------------------------------

static void ask_child(struct question *question);

static void on_child(struct question *question, const struct http_result *result) {
  const struct event_child *child = &question->manifest.children[question->child];
  struct manifest manifest;
  struct error err;
  bool gone = result->outcome == HTTP_OUTCOME_ANSWERED && result->status == STATUS_NOT_FOUND;

  question->child++;
  if (gone) { // an index may list what was never pushed: it takes no room
    ask_child(question);
    return;
  }
  if (!is_answered(question, result))
    return;
  if (read_manifest(question, result->body, result, child->digest, &manifest, &err) != 0 || manifest.size_bytes < 0 ||
      __builtin_add_overflow(question->found.size_bytes, manifest.size_bytes, &question->found.size_bytes)) {
    question->found.size_bytes = -1;
    question_complete(question);
    return;
  }
  ask_child(question);
}

static void ask_child(struct question *question) {
  struct error err;

  if (question->child == question->manifest.children_len)
    question_complete(question);
  else if (ask(question, "manifests", question->manifest.children[question->child].digest,
               question->facts->max_manifest_bytes, on_child, &err) != 0)
    question_failed(question, err.text);
}

// ---- an image -----------------------------------------------------------------------------------------------------------

static void on_config(struct question *question, const struct http_result *result) {
  struct str platform;
  struct error err;

  if (result->outcome != HTTP_OUTCOME_ANSWERED) {
    question_failed(question, result->err.text);
    return;
  }
  // Without it (a store that redirects to another host, say) the rest is still worth keeping.
  if (result->status == STATUS_OK && !result->truncated &&
      manifest_has_digest(result->body, question->manifest.config_digest) &&
      manifest_config_platform(result->body, question->arena, &platform, &err) == 0)
    question->found.platform = platform;
  question_complete(question);
}

static void on_manifest(struct question *question, const struct http_result *result) {
  const struct manifest *manifest = &question->manifest;
  struct error err;

  if (result->outcome == HTTP_OUTCOME_ANSWERED && result->status == STATUS_NOT_FOUND) {
    // Content is named by its digest: wherever the upstream has it, it is the same.
    if (!question->bare_name && str_find(question->wish->repository, '/') < 0) {
      question->bare_name = true;
      if (ask(question, "manifests", question->wish->digest, question->facts->max_manifest_bytes, on_manifest, &err) !=
          0)
        question_failed(question, err.text);
      return;
    }
    question_nothing(question, "the upstream does not have it");
    return;
  }
  if (!is_answered(question, result))
    return;
  // The body ends with the call, the facts do not: their strings are views into a copy.
  struct str body = arena_str(question->arena, result->body);
  int rc = body.ptr ? read_manifest(question, body, result, question->wish->digest, &question->manifest, &err)
                    : error_set(&err, ERR_NO_MEMORY, "no memory for a manifest of %zu bytes", result->body.len);
  if (rc != 0) {
    question_nothing(question, err.text);
    return;
  }
  question->found = (struct artifact_facts){.media_type = manifest->media_type,
                                            .platform = STR_EMPTY,
                                            .kind = manifest->kind,
                                            .size_bytes = manifest->size_bytes};
  if (manifest->kind == ARTIFACT_INDEX && (manifest->children_cut || manifest->children_len > MAX_CHILDREN_ASKED)) {
    question->found.size_bytes = -1;
    question_complete(question);
  } else if (manifest->kind == ARTIFACT_INDEX) {
    ask_child(question);
  } else if (!manifest->config_digest.len || !manifest_config_has_platform(manifest->config_media_type)) {
    question_complete(question);
  } else if (ask(question, "blobs", manifest->config_digest, CONFIG_MAX_BYTES, on_config, &err) != 0) {
    question_failed(question, err.text);
  }
}

// ---- the list -----------------------------------------------------------------------------------------------------------

static bool question_start(struct question *question, struct wish *wish) {
  struct registry_facts *facts = question->facts;
  struct error err;

  question->wish = wish;
  question->arena = arena_new(facts->max_manifest_bytes + QUESTION_SPARE_BYTES);
  if (question->arena && ask(question, "manifests", wish->digest, facts->max_manifest_bytes, on_manifest, &err) == 0)
    return true;
  question_clear(question);
  return false;
}

// As many as may be asked at once. What cannot even be started is dropped: it stays incomplete until the next start.
static void start_questions(struct registry_facts *facts) {
  for (size_t i = 0; i < facts->max_at_once; i++) {
    while (!facts->questions[i].wish && !list_empty(&facts->waiting)) {
      struct wish *wish = CONTAINER_OF(list_pop_front(&facts->waiting), struct wish, node);
      if (!question_start(&facts->questions[i], wish))
        wish_forget(facts, wish);
    }
  }
}

static bool wish_key(struct str project, struct str repository, struct str digest, struct buf *out) {
  buf_put(out, project);
  buf_put_char(out, '/');
  buf_put(out, repository);
  buf_put_char(out, '@');
  buf_put(out, digest);
  return !out->failed;
}

static void wish_add(struct registry_facts *facts, struct str project, struct str repository, struct str key) {
  struct wish *wish = calloc(1, sizeof(*wish) + key.len);

  if (!wish)
    return;
  memcpy(wish->text, key.ptr, key.len);
  wish->key = (struct str){wish->text, key.len};
  wish->project = str_slice(wish->key, 0, project.len);
  wish->repository = str_slice(wish->key, project.len + 1, project.len + 1 + repository.len);
  wish->digest = str_from(wish->key, project.len + 1 + repository.len + 1);
  if (map_put(facts->known, wish->key, wish) != 0) {
    free(wish);
    return;
  }
  list_push_back(&facts->waiting, &wish->node);
}

static void wish_consider(struct registry_facts *facts, struct str project, struct str repository, struct str digest) {
  struct buf key;

  if (facts->waiting.count >= facts->max_waiting || !event_is_digest(digest))
    return;
  buf_init(&key, KEY_MAX_BYTES);
  if (wish_key(project, repository, digest, &key) && !map_get(facts->known, buf_str(&key)))
    wish_add(facts, project, repository, buf_str(&key));
  buf_free(&key);
}

void registry_facts_ask(struct registry_facts *facts, struct str project, struct str repository, struct str digest) {
  wish_consider(facts, project, repository, digest);
  start_questions(facts);
}

void registry_facts_stop(struct registry_facts *facts) {
  while (!list_empty(&facts->waiting))
    wish_forget(facts, CONTAINER_OF(list_pop_front(&facts->waiting), struct wish, node));
  for (size_t i = 0; i < facts->max_at_once; i++) {
    struct question *question = &facts->questions[i];
    if (!question->wish || question->writing)
      continue;
    if (question->call)
      http_call_cancel(question->call);
    wish_forget(facts, question->wish);
    question_clear(question);
  }
}

size_t registry_facts_pending(const struct registry_facts *facts) {
  return map_count(facts->known);
}

// ---- start and stop -----------------------------------------------------------------------------------------------------

static void begin_asking(struct loop_task *task) {
  start_questions(CONTAINER_OF(task, struct registry_facts, begin));
}

// What an earlier run did not find out.
static int read_incomplete(struct registry_facts *facts, struct error *err) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(START_ARENA_BYTES);
  struct store_conn *conn = store_reader_open(facts->store, err);
  struct artifact_facts *missing;
  size_t len = 0;

  if (!conn)
    return err->code;
  int rc = arena ? catalogue_incomplete(conn, 0, (int64_t)facts->max_waiting, arena, &missing, &len, err)
                 : error_set(err, ERR_NO_MEMORY, "no memory to read what the catalogue lacks");
  store_reader_close(conn);
  for (size_t i = 0; rc == 0 && i < len; i++)
    wish_consider(facts, missing[i].project, missing[i].repository, missing[i].digest);
  if (rc == 0 && len > 0) {
    facts->begin.run = begin_asking;
    rc = loop_post_reserved(facts->loop, &facts->begin);
  }
  return rc;
}

static int configure(struct registry_facts *facts, const struct registry_facts_config *config, struct error *err) {
  enum { SETTINGS_MAX_BYTES = 64 * 1024 };
  struct str url = str_of(config->upstream_url);
  struct url parsed;

  while (str_ends(url, STR("/")))
    url = str_slice(url, 0, url.len - 1);
  int rc = url_parse(url, &parsed, err);
  if (rc != 0) {
    error_context(err, "upstream.url");
    return rc;
  }
  facts->arena = arena_new(SETTINGS_MAX_BYTES);
  facts->known = map_new(config->max_waiting + config->max_at_once);
  facts->questions = calloc(config->max_at_once ? config->max_at_once : 1, sizeof(*facts->questions));
  if (!facts->arena || !facts->known || !facts->questions)
    return error_set(err, ERR_NO_MEMORY, "no memory for questions to the upstream");
  facts->upstream_url = arena_str(facts->arena, url);
  facts->authorization = arena_str(facts->arena, str_of(config->authorization));
  facts->on_peer = config->on_peer;
  facts->on_peer_ctx = config->ctx;
  facts->user_agent = arena_str(facts->arena, str_of(config->user_agent));
  if (!facts->upstream_url.ptr || !facts->authorization.ptr || !facts->user_agent.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for questions to the upstream");
  facts->max_at_once = config->max_at_once;
  facts->max_waiting = config->max_waiting;
  facts->max_manifest_bytes = config->max_manifest_bytes;
  facts->timeout_ms = config->timeout_ms;
  facts->skip_cert_verify = config->skip_cert_verify;
  for (size_t i = 0; i < facts->max_at_once; i++)
    facts->questions[i].facts = facts;
  return 0;
}

struct registry_facts *registry_facts_new(const struct registry_facts_config *config, struct loop *loop,
                                          struct http_client *client, struct store *store, const struct log *log,
                                          struct error *err) {
  struct registry_facts *facts = calloc(1, sizeof(*facts));

  if (!facts) {
    (void)error_set(err, ERR_NO_MEMORY, "no memory for questions to the upstream");
    return NULL;
  }
  facts->loop = loop;
  facts->client = client;
  facts->store = store;
  facts->log = log;
  list_init(&facts->waiting);
  int rc = configure(facts, config, err);
  if (rc == 0)
    rc = read_incomplete(facts, err);
  if (rc == 0)
    return facts;
  registry_facts_free(facts);
  return NULL;
}

void registry_facts_free(struct registry_facts *facts) {
  size_t cursor = 0;
  struct str key;
  void *wish;

  if (!facts)
    return;
  for (size_t i = 0; facts->questions && i < facts->max_at_once; i++) {
    if (facts->questions[i].call)
      http_call_cancel(facts->questions[i].call);
    question_clear(&facts->questions[i]);
  }
  while (facts->known && map_next(facts->known, &cursor, &key, &wish)) // waiting ones and asked ones
    wish_forget(facts, wish);
  map_free(facts->known);
  free(facts->questions);
  arena_free(facts->arena);
  free(facts);
}
