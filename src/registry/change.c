// SPDX-License-Identifier: Apache-2.0
#include "registry/change.h"

#include <stdlib.h>

#include "base/fault.h"
#include "event/copy.h"
#include "registry/change_facts.h"
#include "registry/change_internal.h"
#include "registry/manifest.h"

enum {
  SETTINGS_MAX_BYTES = 64 * 1024,
  ASK_SPARE_BYTES = 8 * 1024 * 1024, // besides the body, for its facts
  LEAST_OPEN = 1024,
};

int64_t changes_now_us(const struct changes *changes) {
  return clock_mono_us(loop_clock(changes->loop));
}

// ---- the end of an ask --------------------------------------------------------------------------------------------------

static void ask_free(struct ask *ask) {
  loop_timer_cancel(ask->changes->loop, &ask->due);
  list_remove(&ask->changes->asks, &ask->all);
  arena_free(ask->arena);
  free(ask);
}

void changes_look_drained(struct changes *changes) {
  void (*on_drained)(void *ctx) = changes->on_drained;

  if (!changes->draining || !on_drained || !list_empty(&changes->asks) || changes->writes > 0)
    return;
  changes->on_drained = NULL;
  on_drained(changes->drained_ctx);
}

static void on_end_due(struct loop_timer *timer) {
  struct changes *changes = CONTAINER_OF(timer, struct changes, end_due);
  struct list_node *node;

  while ((node = list_pop_front(&changes->ended))) {
    struct ask *ask = CONTAINER_OF(node, struct ask, node);
    FAULT_POINT("change.answer.before");
    ask->on_done(ask->ctx, &ask->result);
    ask_free(ask);
  }
  changes_look_drained(changes);
}

void ask_end(struct ask *ask, int rc, const struct error *err, bool may_have_happened) {
  struct changes *changes = ask->changes;

  loop_timer_cancel(changes->loop, &ask->due);
  if (list_linked(&ask->node))
    list_remove(ask->work ? &ask->work->asks : &ask->place->waiting, &ask->node);
  ask->state = ASK_ENDED;
  ask->result.rc = rc;
  ask->result.may_have_happened = may_have_happened;
  if (rc != 0) {
    ask->result.err = *err;
    ask->result.answer = NULL;
  }
  list_push_back(&changes->ended, &ask->node);
  loop_timer_set(changes->loop, &changes->end_due, 0);
}

static void on_waited_too_long(struct loop_timer *timer) {
  struct ask *ask = CONTAINER_OF(timer, struct ask, due);
  struct place *place = ask->place;
  struct error err;

  (void)error_set(
      &err, ERR_FULL, "another change of %.*s/%.*s is not settled yet, and %lld s were waited for it: try again later",
      STR_ARG(ask->order.project), STR_ARG(ask->order.repository), (long long)(ask->changes->config.wait_ms / 1000));
  ask_end(ask, (int)err.code, &err, false);
  place_turn(place);
}

// ---- start --------------------------------------------------------------------------------------------------------------

static bool copy_text(struct str *text, struct arena *arena) {
  *text = arena_str(arena, text->ptr ? *text : STR_EMPTY);
  return text->ptr != NULL;
}

static int check(const struct changes *changes, const struct change_order *order, struct error *err) {
  if (changes->draining)
    return error_set(err, ERR_UNAVAILABLE, "the server is stopping: try again in a moment");
  if (changes->asks.count >= changes->config.max_open || changes->works.count >= 2 * changes->config.max_open)
    return error_set(err, ERR_FULL, "%zu changes are on their way, more are not taken: try again later",
                     changes->works.count);
  if (order->tag.len == 0 && order->digest.len == 0)
    return error_set(err, ERR_INVALID, "a change needs a tag or a digest");
  return 0;
}

static int ask_fill(struct ask *ask, const struct change_order *order, struct error *err) {
  struct change_order *own = &ask->order;

  *own = *order;
  if (!copy_text(&own->project, ask->arena) || !copy_text(&own->repository, ask->arena) ||
      !copy_text(&own->tag, ask->arena) || !copy_text(&own->digest, ask->arena) ||
      !copy_text(&own->media_type, ask->arena) || !copy_text(&own->body, ask->arena) ||
      !event_copy(&order->event, ask->arena, &own->event))
    return error_set(err, ERR_NO_MEMORY, "no memory for a change");
  own->event.repository.project = own->project;
  own->event.repository.name = own->repository;
  ask->reference = own->tag.len ? own->tag : own->digest;
  return change_facts_read(own, ask->arena, &ask->config_digest, err);
}

int change_start(struct changes *changes, const struct change_order *order,
                 void (*on_done)(void *ctx, const struct change_result *result), void *ctx, struct error *err) {
  int rc = check(changes, order, err);

  if (rc != 0)
    return rc;
  struct ask *ask = calloc(1, sizeof(*ask));
  if (!ask)
    return error_set(err, ERR_NO_MEMORY, "no memory for a change");
  ask->changes = changes;
  ask->due.on_fire = on_waited_too_long;
  ask->on_done = on_done;
  ask->ctx = ctx;
  ask->arena = arena_new(order->body.len + ASK_SPARE_BYTES);
  list_push_back(&changes->asks, &ask->all);
  rc = ask->arena ? ask_fill(ask, order, err) : error_set(err, ERR_NO_MEMORY, "no memory for a change");
  struct place *place = rc == 0 ? place_of(changes, ask->order.project, ask->order.repository, err) : NULL;
  if (!place) {
    ask_free(ask);
    return (int)err->code;
  }
  place_add(place, ask);
  loop_timer_set(changes->loop, &ask->due, changes_now_us(changes) + changes->config.wait_ms * US_PER_MS);
  place_turn(place);
  return 0;
}

// ---- start and stop of the whole ----------------------------------------------------------------------------------------

static int copy_setting(struct changes *changes, const char **text, struct error *err) {
  *text = arena_cstr(changes->arena, str_of(*text));
  return *text ? 0 : error_set(err, ERR_NO_MEMORY, "no memory for changes of the registry");
}

static void add_header(struct changes *changes, struct str name, const char *value) {
  if (value[0])
    changes->headers[changes->headers_len++] = (struct http_header){name, str_of(value)};
}

static int configure(struct changes *changes, const struct changes_config *config, struct error *err) {
  struct changes_config *own = &changes->config;
  struct str url = str_of(config->upstream_url);
  struct url parsed;

  *own = *config;
  while (str_ends(url, STR("/")))
    url = str_slice(url, 0, url.len - 1);
  int rc = url_parse(url, &parsed, err);
  if (rc != 0) {
    error_context(err, "upstream.url");
    return rc;
  }
  changes->arena = arena_new(SETTINGS_MAX_BYTES);
  changes->places = map_new(4 * (own->max_open > LEAST_OPEN ? own->max_open : LEAST_OPEN));
  if (!changes->arena || !changes->places || !(own->upstream_url = arena_cstr(changes->arena, url)))
    return error_set(err, ERR_NO_MEMORY, "no memory for changes of the registry");
  rc = copy_setting(changes, &own->authorization, err);
  if (rc == 0)
    rc = copy_setting(changes, &own->user_agent, err);
  if (rc != 0)
    return rc;
  add_header(changes, STR("Accept"), MANIFEST_ACCEPT);
  add_header(changes, STR("User-Agent"), own->user_agent);
  add_header(changes, STR("Authorization"), own->authorization);
  return 0;
}

static void count(struct changes *changes, struct metrics *metrics) {
  struct change_metrics *m = &changes->metrics;
  static const char name[] = "harbinger_changes_total",
                    help[] = "Pushes and deletes through the gateway by what became of them";

  m->told = metrics_counter(metrics, name, "outcome=\"event\"", help);
  m->refused = metrics_counter(metrics, name, "outcome=\"refused\"", help);
  m->unsettled = metrics_counter(metrics, name, "outcome=\"unsettled\"", help);
  m->unchanged =
      metrics_counter(metrics, "harbinger_changes_unchanged_total", "", "Events of pushes that changed nothing");
  m->inferred =
      metrics_counter(metrics, "harbinger_changes_inferred_total", "", "Events that were found out, not seen");
  m->open = metrics_gauge(metrics, "harbinger_changes_open", "", "Changes on their way or not settled yet");
  m->gaps = metrics_counter(metrics, "harbinger_changes_without_store_total", "",
                            "Changes that went through while the store could not record them");
  m->gaps_lost = metrics_counter(metrics, "harbinger_changes_lost_total", "", "Of these, changes that became no event");
}

struct changes *changes_new(const struct changes_config *config, struct loop *loop, struct http_client *client,
                            struct store *store, const struct log *log, struct metrics *metrics, struct error *err) {
  struct changes *changes = calloc(1, sizeof(*changes));

  if (!changes) {
    (void)error_set(err, ERR_NO_MEMORY, "no memory for changes of the registry");
    return NULL;
  }
  changes->loop = loop;
  changes->client = client;
  changes->store = store;
  changes->log = log;
  changes->end_due.on_fire = on_end_due;
  changes->gap_due.on_fire = gap_fire;
  list_init(&changes->asks);
  list_init(&changes->ended);
  list_init(&changes->works);
  list_init(&changes->ready);
  list_init(&changes->gaps);
  count(changes, metrics);
  int rc = configure(changes, config, err);
  if (rc == 0)
    rc = settle_recover(changes, err);
  if (rc == 0)
    return changes;
  changes_free(changes);
  return NULL;
}

static void refuse_waiting(struct changes *changes) {
  struct error err;

  (void)error_set(&err, ERR_UNAVAILABLE, "the server is stopping: try again in a moment");
  LIST_EACH (&changes->asks, node, following) {
    struct ask *ask = CONTAINER_OF(node, struct ask, all);
    if (ask->state == ASK_WAITING)
      ask_end(ask, (int)err.code, &err, false);
  }
}

void changes_drain(struct changes *changes, void (*on_drained)(void *ctx), void *ctx) {
  changes->draining = true;
  changes->on_drained = on_drained;
  changes->drained_ctx = ctx;
  refuse_waiting(changes);
  loop_timer_set(changes->loop, &changes->end_due, 0); // not before this returns
}

// Nobody is told any more. Places go with their last work.
void changes_free(struct changes *changes) {
  if (!changes)
    return;
  LIST_EACH (&changes->asks, node, following) {
    struct ask *ask = CONTAINER_OF(node, struct ask, all);
    if (ask->call)
      http_call_cancel(ask->call);
    ask_free(ask);
  }
  if (gap_is_open(changes))
    log_warn(changes->log, "registry", "%zu changes that went through without the store became no event",
             changes->gaps.count);
  changes->freeing = true;
  LIST_EACH (&changes->works, node, following)
    work_free(CONTAINER_OF(node, struct work, all));
  loop_timer_cancel(changes->loop, &changes->end_due);
  loop_timer_cancel(changes->loop, &changes->gap_due);
  places_free(changes);
  arena_free(changes->arena);
  free(changes);
}
