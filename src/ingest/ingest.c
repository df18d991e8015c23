// SPDX-License-Identifier: Apache-2.0
#include "ingest/ingest.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/json_writer.h"
#include "ingest/distribution.h"
#include "store/catalogue.h"

// One commit takes this many notifications at most, and an envelope has one commit on the way at a time: a transaction of
// the writer stays short however large the envelope is (docs/architecture.md, the store).
enum {
  CHUNK_NOTIFICATIONS = 64,
  TOKEN_MIN_BYTES = 16,
  ANSWER_MAX_BYTES = 4096,
  SOURCE_KEY_MAX_BYTES = 1024,
};

struct source {
  struct str name, token;
  bool behind_gateway;
};

struct ingest {
  struct arena *arena; // the configuration's strings
  struct source *sources;
  size_t sources_len;
  bool create_unknown_projects;
  struct str default_project, external_host, own_user_agent;
  size_t inline_body_bytes;
  struct loop *loop;
  struct pool *pool;
  struct store *store;
  const struct log *log;
  struct log_pace not_taken;
  struct log_pace direct; // writes past the gateway
  struct metric *outcomes[NOTIFICATION_OUTCOME_COUNT];
  struct metric *direct_writes;
  size_t running;
  void (*on_committed)(void *ctx, const struct event *event);
  void *on_committed_ctx;
};

// One request from its arrival to its answer, in the request's arena. It belongs to the loop but while the pool reads it
// (job) or the writer commits a chunk of it (write); each hands it back by posting `back`.
struct flight {
  struct ingest *ingest;
  struct http_request *request;
  const struct source *source;
  struct pool_job job;
  struct loop_task back;
  struct store_write write;
  struct notification *notifications;
  size_t len;
  size_t begin, end;  // the chunk on its way
  size_t alone_until; // notifications before this go one by one: one of them spoiled its chunk
  size_t events;      // committed
  int rc;             // of reading
  struct error err;
};

// ---- answers ----------------------------------------------------------------------------------------------------------

static void answer_error_with(struct http_request *request, int status, enum errcode code, const char *words,
                              const struct http_header *header) {
  struct buf body;

  buf_init(&body, ANSWER_MAX_BYTES);
  struct json_writer w = json_writer_make(&body, false);
  json_object_begin(&w);
  json_key(&w, "errors");
  json_array_begin(&w);
  json_object_begin(&w);
  json_field_str(&w, "code", status == 415 ? STR("UNSUPPORTED_MEDIA_TYPE") : str_of(error_harbor_code(code)));
  json_field_str(&w, "message", str_of(words));
  json_object_end(&w);
  json_array_end(&w);
  json_object_end(&w);
  buf_put_char(&body, '\n');
  http_respond(request, &(struct http_response){.status = status,
                                                .content_type = "application/json; charset=utf-8",
                                                .headers = header,
                                                .headers_len = header ? 1 : 0,
                                                .body = buf_str(&body)});
  buf_free(&body);
}

// What went wrong with us is for our log; the source, which is a program, is told to come again.
static void answer_error(struct ingest *ingest, struct http_request *request, const struct error *err) {
  static const struct http_header retry = {STR("Retry-After"), STR("1")};
  int status = error_http_status(err->code);

  if (status < 500) {
    answer_error_with(request, status, err->code, err->text, NULL);
    return;
  }
  char reason[1];
  bool told = !store_takes_events(ingest->store, reason, sizeof reason); // the store's own trouble has its line
  if (!told && log_pace(ingest->log, &ingest->not_taken))
    log_write(ingest->log, LOG_WARN, "ingest", request->request_id, "an envelope was not taken: %s", err->text);
  answer_error_with(request, status, err->code, "the notifications cannot be taken now; try again", &retry);
}

static void answer_accepted(struct flight *flight) {
  struct buf body;

  buf_init(&body, ANSWER_MAX_BYTES);
  struct json_writer w = json_writer_make(&body, false);
  json_object_begin(&w);
  json_field_i64(&w, "accepted", (int64_t)flight->len);
  json_field_i64(&w, "events", (int64_t)flight->events);
  json_object_end(&w);
  buf_put_char(&body, '\n');
  http_respond(flight->request, &(struct http_response){.status = 200,
                                                        .content_type = "application/json; charset=utf-8",
                                                        .body = buf_str(&body)});
  buf_free(&body);
}

static void flight_fail(struct flight *flight, const struct error *err) {
  struct error copy = *err; // the flight goes with the answer

  flight->ingest->running--;
  answer_error(flight->ingest, flight->request, &copy);
}

// ---- commit: the writer's thread --------------------------------------------------------------------------------------

static int note(struct store_conn *conn, const struct flight *flight, const struct notification *n, struct error *err) {
  const struct ingest_note note = {
      .source = str_of(source_kind_name(SOURCE_DISTRIBUTION)),
      .instance = flight->source->name,
      .reason = str_of(notification_outcome_name(n->outcome)),
      .action = n->action,
      .repository = n->repository,
      .reference = n->reference,
      .notification_id = n->id,
  };

  return ingest_note_add(conn, &note, err);
}

static int commit_event(struct store_conn *conn, const struct flight *flight, struct notification *n,
                        struct error *err) {
  char key[SOURCE_KEY_MAX_BYTES];
  struct event_commit commit = {.event = n->event,
                                .create_project = flight->ingest->create_unknown_projects,
                                .source_key = STR_EMPTY,
                                .source_time_us = n->source_time_us};

  if (n->id.len) {
    // The name's length stands first, so that no two pairs make the same key.
    int len = snprintf(key, sizeof(key), "%zu:%.*s%.*s", flight->source->name.len, STR_ARG(flight->source->name),
                       STR_ARG(n->id));
    commit.source_key = (struct str){key, len < (int)sizeof(key) ? (size_t)len : sizeof(key) - 1};
  }
  n->outcome = NOTIFICATION_EVENT;
  int rc = event_commit(conn, &commit, err);
  if (rc == ERR_NOT_FOUND)
    n->outcome = NOTIFICATION_NO_PROJECT;
  else if (rc != 0)
    return rc;
  else if (commit.duplicate)
    n->outcome = NOTIFICATION_DUPLICATE;
  else if (!commit.known)
    n->outcome = NOTIFICATION_UNWANTED_PULL;
  return n->outcome == NOTIFICATION_EVENT ? 0 : note(conn, flight, n, err);
}

static int commit_notification(struct store_conn *conn, const struct flight *flight, struct notification *n,
                               struct error *err) {
  if (n->event)
    return commit_event(conn, flight, n, err);
  int rc = n->outcome == NOTIFICATION_TAG_OF_DELETE
               ? catalogue_tag_removed(conn, n->tag.project, n->tag.repository, n->reference, n->tag.request_id, err)
               : 0;
  return rc != 0 ? rc : note(conn, flight, n, err);
}

static int chunk_apply(struct store_conn *conn, struct store_write *w, struct error *err) {
  struct flight *flight = CONTAINER_OF(w, struct flight, write);

  for (size_t i = flight->begin; i < flight->end; i++) {
    int rc = commit_notification(conn, flight, &flight->notifications[i], err);
    if (rc != 0)
      return rc;
  }
  return 0;
}

static void flight_post(struct flight *flight) {
  // Refused only when the loop has ended for good: then nobody waits for the answer.
  if (loop_post_reserved(flight->ingest->loop, &flight->back) != 0)
    log_debug(flight->ingest->log, "ingest", "an envelope came back after the serve loop had ended");
}

static void chunk_done(struct store_write *w) {
  flight_post(CONTAINER_OF(w, struct flight, write));
}

// ---- commit: the loop's thread ----------------------------------------------------------------------------------------

static void chunk_settled(struct loop_task *task);

static void submit_next(struct flight *flight) {
  size_t most = flight->end < flight->alone_until ? 1 : CHUNK_NOTIFICATIONS;

  flight->begin = flight->end;
  flight->end = flight->len - flight->begin > most ? flight->begin + most : flight->len;
  flight->write = (struct store_write){.apply = chunk_apply, .done = chunk_done, .takes_events = true};
  flight->back.run = chunk_settled;
  struct error err;
  if (store_submit(flight->ingest->store, &flight->write, &err) != 0)
    flight_fail(flight, &err);
  FAULT_POINT("ingest.submitted");
}

// Will the same words be refused again and again? Then they must not hold up what comes behind them.
static bool is_final(enum errcode code) {
  int status = error_http_status(code);

  return status >= 400 && status < 500 && code != ERR_TIMEOUT && code != ERR_TOO_MANY;
}

// The chunk is rolled back as a whole: again, one by one; and the one that is refused alone becomes a note.
static void chunk_refused(struct flight *flight) {
  struct notification *first = &flight->notifications[flight->begin];

  if (!is_final(flight->write.err.code) || (flight->end - flight->begin == 1 && !first->event)) {
    flight_fail(flight, &flight->write.err);
    return;
  }
  if (flight->end - flight->begin == 1) {
    log_write(flight->ingest->log, LOG_WARN, "ingest", flight->request->request_id,
              "notification %.*s of %.*s made no event: %s", STR_ARG(first->id), STR_ARG(first->repository),
              flight->write.err.text);
    first->event = NULL;
    first->outcome = NOTIFICATION_REFUSED;
  } else {
    flight->alone_until = flight->end;
  }
  flight->end = flight->begin;
  submit_next(flight);
}

// The event is made all the same; but nothing held it back, and a crash of the registry may lose the next one.
static void report_direct(const struct flight *flight, const struct event *event) {
  struct ingest *ingest = flight->ingest;

  if (!flight->source->behind_gateway || event->type == EVENT_PULL_ARTIFACT)
    return;
  metric_add(ingest->direct_writes, 1);
  if (log_pace(ingest->log, &ingest->direct))
    log_write(ingest->log, LOG_WARN, "ingest", flight->request->request_id,
              "%.*s/%.*s was changed past the gateway, by %.*s from %.*s with %.*s: let everybody use the gateway's "
              "address, and let only Harbinger reach the registry",
              STR_ARG(event->repository.project), STR_ARG(event->repository.name),
              STR_ARG(event->actor.name.len ? event->actor.name : STR("somebody")), STR_ARG(event->client.address),
              STR_ARG(event->client.user_agent.len ? event->client.user_agent : STR("an unnamed client")));
}

static void tell_committed(struct flight *flight) {
  struct ingest *ingest = flight->ingest;

  for (size_t i = flight->begin; i < flight->end; i++) {
    const struct notification *n = &flight->notifications[i];
    metric_add(ingest->outcomes[n->outcome], 1);
    if (n->outcome != NOTIFICATION_EVENT)
      continue;
    flight->events++;
    report_direct(flight, n->event);
    if (ingest->on_committed && n->event->type != EVENT_PULL_ARTIFACT)
      ingest->on_committed(ingest->on_committed_ctx, n->event);
  }
}

static void chunk_settled(struct loop_task *task) {
  struct flight *flight = CONTAINER_OF(task, struct flight, back);

  if (flight->write.rc != 0) {
    chunk_refused(flight);
    return;
  }
  tell_committed(flight);
  if (flight->end < flight->len) {
    submit_next(flight);
    return;
  }
  flight->ingest->running--;
  FAULT_POINT("ingest.answer.before");
  answer_accepted(flight);
}

// ---- reading ----------------------------------------------------------------------------------------------------------

static void flight_read(struct flight *flight) {
  const struct ingest *ingest = flight->ingest;
  const struct notification_rules rules = {
      .instance = flight->source->name,
      .default_project = ingest->default_project,
      .external_host = ingest->external_host,
      .own_user_agent = ingest->own_user_agent,
      .received_us = flight->request->received_us,
  };

  flight->rc = distribution_read(flight->request->body, &rules, INGEST_MAX_EVENTS, flight->request->arena,
                                 &flight->notifications, &flight->len, &flight->err);
}

static void flight_go_on(struct flight *flight) {
  FAULT_POINT("ingest.read");
  // What could not be read for lack of memory looks like a notification that means nothing, and would be answered so.
  if (arena_out_of_memory(flight->request->arena))
    flight->rc = error_set(&flight->err, ERR_NO_MEMORY, "no memory to read an envelope");
  if (flight->rc != 0) {
    flight_fail(flight, &flight->err);
  } else if (flight->len == 0) {
    flight->ingest->running--;
    answer_accepted(flight);
  } else {
    submit_next(flight);
  }
}

static void flight_was_read(struct loop_task *task) {
  flight_go_on(CONTAINER_OF(task, struct flight, back));
}

static void read_in_pool(struct pool_job *job, void *thread_context) {
  struct flight *flight = CONTAINER_OF(job, struct flight, job);

  (void)thread_context;
  flight_read(flight);
  flight_post(flight);
}

static void flight_start(struct ingest *ingest, struct http_request *request, const struct source *source) {
  struct flight *flight = ARENA_NEW(request->arena, struct flight);
  struct error err;

  if (!flight) {
    (void)error_set(&err, ERR_NO_MEMORY, "no memory for a request");
    answer_error(ingest, request, &err);
    return;
  }
  flight->ingest = ingest;
  flight->request = request;
  flight->source = source;
  ingest->running++;
  if (request->body.len <= ingest->inline_body_bytes) {
    flight_read(flight);
    flight_go_on(flight);
    return;
  }
  flight->job.run = read_in_pool;
  flight->back.run = flight_was_read;
  if (pool_add(ingest->pool, &flight->job) != 0) {
    (void)error_set(&err, ERR_FULL, "too many large bodies wait for the pool");
    flight_fail(flight, &err);
  }
}

// ---- who, what, where -------------------------------------------------------------------------------------------------

// All sources are compared, so that the time does not tell which of them came close.
static const struct source *find_source(const struct ingest *ingest, const struct http_head *head) {
  static const struct str scheme = STR("Bearer ");
  struct str header = http_head_get(head, "Authorization");
  const struct source *found = NULL;

  if (!header.ptr || !str_ieq(str_slice(header, 0, scheme.len), scheme))
    return NULL;
  struct str token = str_trim(str_from(header, scheme.len));
  for (size_t i = 0; i < ingest->sources_len; i++) {
    if (str_eq_secret(token, ingest->sources[i].token))
      found = &ingest->sources[i];
  }
  return found;
}

static void answer_unauthorized(const struct ingest *ingest, struct http_request *request) {
  static const struct http_header challenge = {STR("WWW-Authenticate"), STR("Bearer realm=\"harbinger ingest\"")};

  answer_error_with(
      request, 401, ERR_UNAUTHORIZED,
      ingest->sources_len == 0
          ? "no source may send notifications yet: set ingest.token (HARBINGER_INGEST_TOKEN) or a token "
            "per source in ingest.tokens, and let the registry send it as `Authorization: Bearer TOKEN`"
          : "unauthorized: send `Authorization: Bearer TOKEN` with a token of ingest.token or ingest.tokens",
      &challenge);
}

static bool is_ours(const struct http_head *head) {
  return str_eq_c(head->path, "/ingest/distribution");
}

size_t ingest_body_limit(const struct ingest *ingest, const struct http_head *head) {
  // Who has no token shall not make us keep ten mebibytes; what is small is read, so that the answer says what is wrong.
  bool full = is_ours(head) && str_eq_c(head->method, "POST") && find_source(ingest, head) != NULL;

  return full ? INGEST_MAX_BODY_BYTES : ingest->inline_body_bytes;
}

void ingest_handle(struct ingest *ingest, struct http_request *request) {
  static const struct http_header allow = {STR("Allow"), STR("POST")};
  const struct source *source = find_source(ingest, request->head);
  struct str content_type = http_head_get(request->head, "Content-Type");

  if (!is_ours(request->head))
    answer_error_with(request, 404, ERR_NOT_FOUND, "path not found: registries post to /ingest/distribution", NULL);
  else if (!str_eq_c(request->head->method, "POST"))
    answer_error_with(request, 405, ERR_METHOD, "method not allowed: notifications come by POST", &allow);
  else if (!source)
    answer_unauthorized(ingest, request);
  else if (!content_type.ptr || !distribution_is_media_type(content_type))
    answer_error_with(request, 415, ERR_BAD_REQUEST,
                      "the Content-Type must be application/vnd.docker.distribution.events.v1+json, its v2+json, or "
                      "application/json",
                      NULL);
  else
    flight_start(ingest, request, source);
}

size_t ingest_running(const struct ingest *ingest) {
  return ingest->running;
}

void ingest_on_committed(struct ingest *ingest, void (*fn)(void *ctx, const struct event *event), void *ctx) {
  ingest->on_committed = fn;
  ingest->on_committed_ctx = ctx;
}

// ---- start and stop ---------------------------------------------------------------------------------------------------

static int copy_sources(struct ingest *ingest, const struct ingest_config *config, struct error *err) {
  if (config->sources_len > INGEST_MAX_SOURCES)
    return error_set(err, ERR_CONFIG, "ingest.tokens: at most %d sources can have a token", INGEST_MAX_SOURCES);
  ingest->sources = arena_array(ingest->arena, config->sources_len, sizeof(*ingest->sources));
  if (!ingest->sources)
    return error_set(err, ERR_NO_MEMORY, "no memory for the sources of ingest");
  for (size_t i = 0; i < config->sources_len; i++) {
    struct source *source = &ingest->sources[i];
    source->name = arena_str(ingest->arena, str_of(config->sources[i].name));
    source->token = arena_str(ingest->arena, str_of(config->sources[i].token));
    source->behind_gateway = config->sources[i].behind_gateway;
    if (!source->name.ptr || !source->token.ptr)
      return error_set(err, ERR_NO_MEMORY, "no memory for the sources of ingest");
    if (source->token.len < TOKEN_MIN_BYTES)
      return error_set(err, ERR_CONFIG,
                       "the ingest token of source `%s` (ingest.token, ingest.tokens) must be at least %d bytes long",
                       config->sources[i].name, TOKEN_MIN_BYTES);
    ingest->sources_len++;
  }
  return 0;
}

static void register_metrics(struct ingest *ingest, struct metrics *metrics) {
  char labels[96];

  for (int i = 0; metrics && i < NOTIFICATION_OUTCOME_COUNT; i++) {
    (void)snprintf(labels, sizeof(labels), "source=\"%s\",outcome=\"%s\"", source_kind_name(SOURCE_DISTRIBUTION),
                   notification_outcome_name((enum notification_outcome)i));
    ingest->outcomes[i] = metrics_counter(metrics, "harbinger_ingest_notifications_total", labels,
                                          "Notifications taken from registries, by what became of them.");
  }
  if (metrics)
    ingest->direct_writes = metrics_counter(metrics, "harbinger_ingest_direct_writes_total", "",
                                            "Pushes and deletes of sources behind the gateway that went past it.");
}

static int configure(struct ingest *ingest, const struct ingest_config *config, struct error *err) {
  enum { CONFIG_MAX_BYTES = 1024 * 1024 };

  ingest->arena = arena_new(CONFIG_MAX_BYTES);
  if (!ingest->arena)
    return error_set(err, ERR_NO_MEMORY, "no memory for ingest");
  ingest->default_project = arena_str(ingest->arena, str_of(config->default_project));
  ingest->external_host = arena_str(ingest->arena, str_of(config->external_host));
  ingest->own_user_agent = arena_str(ingest->arena, str_of(config->own_user_agent));
  if (!ingest->default_project.ptr || !ingest->external_host.ptr || !ingest->own_user_agent.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for ingest");
  ingest->create_unknown_projects = config->create_unknown_projects;
  ingest->inline_body_bytes = config->inline_body_bytes;
  return copy_sources(ingest, config, err);
}

struct ingest *ingest_new(const struct ingest_config *config, struct loop *loop, struct pool *pool, struct store *store,
                          const struct clock *clock, struct id_source *ids, const struct log *log,
                          struct metrics *metrics, struct error *err) {
  struct ingest *ingest = calloc(1, sizeof(*ingest));

  (void)clock, (void)ids; // requests carry their time, the store gives events their ids
  if (!ingest) {
    (void)error_set(err, ERR_NO_MEMORY, "no memory for ingest");
    return NULL;
  }
  ingest->loop = loop;
  ingest->pool = pool;
  ingest->store = store;

  ingest->log = log;
  if (configure(ingest, config, err) != 0) {
    ingest_free(ingest);
    return NULL;
  }
  register_metrics(ingest, metrics);
  return ingest;
}

void ingest_free(struct ingest *ingest) {
  if (!ingest)
    return;
  arena_free(ingest->arena);
  free(ingest);
}
