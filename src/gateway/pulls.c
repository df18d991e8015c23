// SPDX-License-Identifier: Apache-2.0
#include "gateway/pulls.h"

#include "registry/manifest.h"
#include "store/events.h"

enum { PULL_ARENA_BYTES = 1024 * 1024, USER_AGENT_MAX_BYTES = 512, READ_MANIFEST_BYTES = 256 * 1024 };

struct pull {
  struct store_write write;
  struct event_commit commit;
  struct event event;
  struct arena *arena; // the pull lies in it
  struct gateway *gateway;
};

// host[:port] that clients reach us by; a request's own Host only when it is one.
static struct str registry_host(const struct visit *visit) {
  struct str host = http_head_get(visit->request->head, "Host");
  struct url url;
  struct str text = ARENA_JOIN(visit->request->arena, STR("http://"), host.ptr ? host : STR_EMPTY);

  if (visit->gateway->registry_host.len)
    return visit->gateway->registry_host;
  bool sane = text.ptr && url_parse(text, &url, NULL) == 0 && !url.userinfo.ptr && str_eq_c(url.target, "/");
  return sane ? host : STR_EMPTY;
}

static struct str copy(struct arena *arena, struct str text, size_t max_bytes) {
  return arena_str(arena, text.ptr ? str_slice(text, 0, max_bytes) : STR_EMPTY);
}

int happened(const struct visit *visit, enum event_type type, struct arena *arena, struct event *out,
             struct error *err) {
  const struct http_request *request = visit->request;
  const struct oci_path *path = &visit->path;
  struct event_artifact *artifact = ARENA_NEW(arena, struct event_artifact);
  char address[ADDRESS_TEXT_BYTES];

  *out = (struct event){.type = type, .occurred_at_us = clock_wall_us(loop_clock(visit->gateway->config.loop))};
  out->actor.kind = visit->identity.authenticated ? ACTOR_USER : ACTOR_ANONYMOUS;
  out->actor.name = copy(arena, visit->identity.name, EVENT_MAX_NAME_BYTES);
  out->client.address = copy(arena, str_of(address_write(&request->peer, address)), sizeof(address));
  out->client.user_agent = copy(arena, http_head_get(request->head, "User-Agent"), USER_AGENT_MAX_BYTES);
  out->client.request_id = copy(arena, request->request_id, EVENT_MAX_NAME_BYTES);
  out->trigger = STR_EMPTY;
  out->repository.project = arena_str(arena, path->project);
  out->repository.name = arena_str(arena, path->repository);
  out->repository.is_public = visit->project.is_public;
  out->upstream_name = arena_str(arena, path->name);
  out->registry_host = copy(arena, registry_host(visit), EVENT_MAX_NAME_BYTES);
  out->source.kind = SOURCE_GATEWAY;
  out->source.instance = STR_EMPTY;
  out->data.type = type;
  out->artifacts = artifact;
  out->artifacts_len = 1;
  struct str reference = arena_str(arena, path->reference);
  struct str *tags = ARENA_NEW(arena, struct str);
  if (!artifact || !tags || !reference.ptr || !out->registry_host.ptr || !out->upstream_name.ptr ||
      !out->repository.name.ptr || !out->repository.project.ptr || !out->client.request_id.ptr ||
      !out->client.user_agent.ptr || !out->client.address.ptr || !out->actor.name.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for an event");
  *artifact = (struct event_artifact){.digest = path->by_digest ? reference : STR_EMPTY,
                                      .reference = reference,
                                      .media_type = STR_EMPTY,
                                      .platform = STR_EMPTY,
                                      .size_bytes = -1};
  if (!path->by_digest) {
    tags[0] = reference;
    artifact->tags = tags;
    artifact->tags_len = 1;
  }
  return 0;
}

static void drop(struct gateway *gateway, const char *why) {
  metric_add(gateway->pulls_dropped, 1);
  if (log_pace(gateway->config.log, &gateway->drop_pace))
    log_warn(gateway->config.log, "gateway",
             "pulls are not recorded: %s (counted in harbinger_gateway_pulls_dropped_total)", why);
}

static int pull_apply(struct store_conn *conn, struct store_write *write, struct error *err) {
  struct pull *pull = CONTAINER_OF(write, struct pull, write);

  pull->commit = (struct event_commit){
      .event = &pull->event, .create_project = pull->gateway->config.create_unknown_projects, .source_key = STR_EMPTY};
  return event_commit(conn, &pull->commit, err);
}

static void pull_done(struct store_write *write) { // the writer's thread
  struct pull *pull = CONTAINER_OF(write, struct pull, write);
  struct gateway *gateway = pull->gateway;

  if (write->rc != 0)
    drop(gateway, write->err.text);
  atomic_fetch_sub(&gateway->pulls, 1);
  pull_free(pull);
}

struct pull *pull_new(const struct visit *visit) {
  struct gateway *gateway = visit->gateway;
  struct str agent = http_head_get(visit->request->head, "User-Agent");
  struct error err;

  if (agent.ptr && gateway->rules.user_agent.len && str_eq(agent, gateway->rules.user_agent))
    return NULL;
  struct arena *arena = arena_new(PULL_ARENA_BYTES);
  struct pull *pull = arena ? ARENA_NEW(arena, struct pull) : NULL;
  if (pull && happened(visit, EVENT_PULL_ARTIFACT, arena, &pull->event, &err) == 0) {
    pull->arena = arena;
    pull->gateway = gateway;
    pull->write = (struct store_write){.apply = pull_apply, .done = pull_done, .takes_events = true};
    return pull;
  }
  drop(gateway, "no memory");
  arena_free(arena);
  return NULL;
}

// What the manifest says of itself; the size of an index is what the catalogue knows.
static void read_facts(struct pull *pull, struct str content_type, struct str body) {
  struct event_artifact *artifact = &pull->event.artifacts[0];
  struct str copied = body.len <= READ_MANIFEST_BYTES ? arena_str(pull->arena, body) : (struct str){0};
  struct str type = arena_str(pull->arena, content_type.ptr ? content_type : STR_EMPTY);
  struct manifest manifest;

  if (!copied.ptr || !type.ptr || manifest_read(copied, type, pull->arena, &manifest, NULL) != 0)
    return;
  artifact->media_type = manifest.media_type;
  artifact->kind = manifest.kind;
  artifact->size_bytes = manifest.size_bytes;
  artifact->children = manifest.children;
  artifact->children_len = manifest.children_len;
}

void pull_tell(struct pull *pull, struct str digest, struct str content_type, struct str body) {
  struct gateway *gateway = pull->gateway;
  struct error err;

  pull->event.artifacts[0].digest = arena_str(pull->arena, digest);
  read_facts(pull, content_type, body);
  if (arena_out_of_memory(pull->arena) || !pull->event.artifacts[0].digest.ptr) {
    drop(gateway, "no memory");
    pull_free(pull);
    return;
  }
  if (atomic_fetch_add(&gateway->pulls, 1) >= GATEWAY_MAX_PULLS) {
    atomic_fetch_sub(&gateway->pulls, 1);
    drop(gateway, "too many wait for the store");
    pull_free(pull);
    return;
  }
  if (store_submit(gateway->config.store, &pull->write, &err) == 0)
    return;
  atomic_fetch_sub(&gateway->pulls, 1);
  drop(gateway, err.text);
  pull_free(pull);
}

void pull_free(struct pull *pull) {
  if (pull)
    arena_free(pull->arena);
}
