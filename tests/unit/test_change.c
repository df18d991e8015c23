// SPDX-License-Identifier: Apache-2.0
// Changes through the real store and client to a small registry on the same loop, which answers, refuses, breaks off, or
// keeps a request and does it late; simulated time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "registry/change_internal.h"
#include "store/catalogue.h"
#include "store/intents.h"
#include "support/receiver.h"
#include "support/store_fixture.h"

enum {
  MAX_NAMES = 32,
  MAX_HELD = 8,
  MAX_ASKS = 32,
  MAX_STEPS = 4000,
  STEP_MS = 5,
  UPSTREAM_TIMEOUT_MS = 120000,
  WAIT_MS = 30000,
  TEXT_BYTES = 512,
};

#define PROJECT "demo"
#define REPOSITORY "web/api"
#define BASE "/v2/" PROJECT "/" REPOSITORY "/"

// What the registry does with the next change.
enum behaviour { DO, REFUSE, DO_THEN_RESET, RESET, KEEP, DO_THEN_500, ONLY_500 };

struct name {
  char reference[160], digest[80];
};

struct held {
  struct receiver_peer *peer;
  char request[8192];
};

struct registry {
  struct receiver *receiver;
  struct name names[MAX_NAMES]; // tags, and each digest as its own
  enum behaviour next[MAX_HELD];
  size_t next_len;
  struct held held[MAX_HELD];
  size_t held_len;
  bool silent; // answers nothing at all
  bool without_digest;
  int puts, deletes, heads, gets;
};

struct test_ask {
  struct place_of_test *place;
  int done, rc, status;
  bool may_have_happened;
  char words[ERROR_TEXT_BYTES];
};

struct place_of_test {
  struct fixture *f;
  struct loop *loop;
  struct resolver *resolver;
  struct egress *guard;
  struct http_client *client;
  struct changes_config config;
  struct changes *changes;
  struct registry registry;
  char url[64];
  struct test_ask asks[MAX_ASKS];
  int asks_len;
  int committed, drained;
};

// ---- the registry -------------------------------------------------------------------------------------------------------

static struct name *name_find(struct registry *registry, const char *reference) {
  for (size_t i = 0; i < MAX_NAMES; i++)
    if (strcmp(registry->names[i].reference, reference) == 0)
      return &registry->names[i];
  return NULL;
}

static void name_set(struct registry *registry, const char *reference, const char *digest) {
  struct name *name = name_find(registry, reference);

  if (!name)
    name = name_find(registry, "");
  assert_non_null(name);
  (void)snprintf(name->reference, sizeof(name->reference), "%s", reference);
  (void)snprintf(name->digest, sizeof(name->digest), "%s", digest);
}

static void digest_write(struct str body, char out[static 80]) {
  uint8_t hash[SHA256_BYTES];
  struct buf hex;

  crypto_sha256(body, hash);
  buf_init(&hex, 2 * SHA256_BYTES + 1);
  crypto_hex((struct str){(const char *)hash, sizeof(hash)}, &hex);
  (void)snprintf(out, 80, "sha256:%.*s", STR_ARG(buf_str(&hex)));
  buf_free(&hex);
}

static void reply(struct receiver_peer *peer, int status, const char *digest) {
  char text[TEXT_BYTES], header[160] = "";

  if (!peer->stream)
    return;
  if (digest && digest[0])
    (void)snprintf(header, sizeof(header), "Docker-Content-Digest: %s\r\n", digest);
  (void)snprintf(text, sizeof(text), "HTTP/1.1 %d %s\r\n%sX-Of-Upstream: yes\r\nContent-Length: 0\r\n\r\n", status,
                 http_reason(status), header);
  peer_send(peer, str_of(text));
}

static void reference_of(const char *request, char *out, size_t size) {
  const char *at = strstr(request, "/manifests/");
  size_t len = strcspn(at + 11, " ");

  (void)snprintf(out, size, "%.*s", (int)len, at + 11);
}

// Does the change; the status that it is answered with.
static int registry_do(struct registry *registry, const char *request, char digest[static 80]) {
  char reference[160];

  reference_of(request, reference, sizeof(reference));
  digest[0] = '\0';
  if (strncmp(request, "PUT ", 4) == 0) {
    const char *body = strstr(request, "\r\n\r\n") + 4;
    digest_write(str_of(body), digest);
    name_set(registry, digest, digest);
    name_set(registry, reference, digest);
    return 201;
  }
  struct name *name = name_find(registry, reference);
  if (!name)
    return 404;
  char gone[80];
  (void)snprintf(gone, sizeof(gone), "%s", name->digest);
  for (size_t i = 0; i < MAX_NAMES; i++)
    if (strcmp(registry->names[i].reference, reference) == 0 ||
        (strncmp(reference, "sha256:", 7) == 0 && strcmp(registry->names[i].digest, gone) == 0))
      registry->names[i].reference[0] = registry->names[i].digest[0] = '\0';
  return 202;
}

static void registry_ask(struct registry *registry, struct receiver_peer *peer, const char *request, bool head) {
  char reference[160];
  struct name *name;

  if (strstr(request, "/blobs/")) {
    static const char config[] = "{\"os\":\"linux\",\"architecture\":\"arm64\"}";
    char text[TEXT_BYTES];
    (void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", sizeof(config) - 1, config);
    peer_send(peer, str_of(text));
    return;
  }
  reference_of(request, reference, sizeof(reference));
  name = name_find(registry, reference);
  if (head)
    registry->heads++;
  else
    registry->gets++;
  reply(peer, name ? 200 : 404, name && !registry->without_digest ? name->digest : "");
}

static void on_request(struct receiver_peer *peer, void *ctx) {
  struct registry *registry = &((struct place_of_test *)ctx)->registry;
  const char *request = registry->receiver->last;
  bool head = strncmp(request, "HEAD ", 5) == 0;
  char digest[80] = "";

  if (registry->silent)
    return;
  if (head || strncmp(request, "GET ", 4) == 0) {
    registry_ask(registry, peer, request, head);
    return;
  }
  bool put = strncmp(request, "PUT ", 4) == 0;
  registry->puts += put;
  registry->deletes += !put;
  enum behaviour behaviour = registry->next_len ? registry->next[0] : DO;
  if (registry->next_len)
    memmove(registry->next, registry->next + 1, --registry->next_len * sizeof(registry->next[0]));
  if (behaviour == KEEP) {
    struct held *held = &registry->held[registry->held_len++];
    held->peer = peer;
    (void)snprintf(held->request, sizeof(held->request), "%s", request);
    return;
  }
  int status = behaviour == DO || behaviour == DO_THEN_RESET || behaviour == DO_THEN_500
                   ? registry_do(registry, request, digest)
                   : 0;
  if (behaviour == DO_THEN_RESET || behaviour == RESET)
    peer_reset(peer);
  else
    reply(peer, behaviour == DO ? status : behaviour == REFUSE ? 400 : 500, digest);
}

// The registry does what it kept, and answers if anybody is still there.
static void held_do(struct place_of_test *place, size_t i) {
  struct held *held = &place->registry.held[i];
  char digest[80] = "";
  int status = registry_do(&place->registry, held->request, digest);

  reply(held->peer, status, digest);
}

static void then(struct place_of_test *place, enum behaviour behaviour) {
  place->registry.next[place->registry.next_len++] = behaviour;
}

// ---- the fixture --------------------------------------------------------------------------------------------------------

static void on_committed(void *ctx, const struct event *event) {
  assert_true(event->seq > 0);
  ((struct place_of_test *)ctx)->committed++;
}

static void open_changes(struct place_of_test *place) {
  struct error err;

  place->changes =
      changes_new(&place->config, place->loop, place->client, place->f->store, NULL, place->f->metrics, &err);
  if (!place->changes)
    fail_msg("changes_new: %s", err.text);
}

static void open_store(struct place_of_test *place) {
  struct error err;

  assert_int_equal(store_start(place->f->store, &err), 0);
}

static void open_net(struct place_of_test *place) {
  const struct resolver_config names = {.servers = "127.0.0.1:9",
                                        .budget_ms = 5000,
                                        .positive_ttl_ms = 30000,
                                        .negative_ttl_ms = 5000,
                                        .max_names = 16,
                                        .max_waiters = 16};
  const struct http_client_config client = {.max_calls = 256,
                                            .max_idle = 64,
                                            .max_idle_per_key = 64,
                                            .max_sessions = 1,
                                            .idle_timeout_ms = 30000,
                                            .max_connection_age_ms = 300000};
  struct error err;

  place->loop = loop_new(&place->f->clock, 4096, 1024, &err);
  assert_non_null(place->loop);
  place->resolver = resolver_new(place->loop, &names, &err);
  place->guard = egress_new(&err);
  assert_non_null(place->resolver);
  assert_non_null(place->guard);
  place->client = http_client_new(place->loop, place->resolver, place->guard, NULL, &client, NULL, &err);
  assert_non_null(place->client);
  place->registry.receiver = receiver_new(place->loop, NULL);
  place->registry.receiver->ctx = place;
  place->registry.receiver->on_request = on_request;
  (void)snprintf(place->url, sizeof(place->url), "http://127.0.0.1:%u/", place->registry.receiver->port);
}

static int set_up(void **state) {
  struct place_of_test *place = calloc(1, sizeof(*place));

  assert_non_null(place);
  place->f = fixture_new();
  (void)fixture_project(place->f, PROJECT);
  open_net(place);
  place->config = (struct changes_config){.upstream_url = place->url,
                                          .authorization = "Basic abc",
                                          .user_agent = "Harbinger/test",
                                          .max_open = 64,
                                          .wait_ms = WAIT_MS,
                                          .upstream_timeout_ms = UPSTREAM_TIMEOUT_MS,
                                          .on_committed = on_committed,
                                          .ctx = place};
  open_store(place);
  open_changes(place);
  *state = place;
  return 0;
}

static void step(struct place_of_test *place) {
  (void)loop_step(place->loop, STEP_MS);
}

#define WAIT_FOR(place, condition)                         \
  do {                                                     \
    for (int i_ = 0; i_ < MAX_STEPS && !(condition); i_++) \
      step(place);                                         \
    assert_true(condition);                                \
  } while (0)

// Until nothing is on its way that takes no time of the clock: what must not happen has had its chance.
static void settle(struct place_of_test *place) {
  for (int quiet = 0; quiet < 10;)
    quiet = loop_step(place->loop, STEP_MS) || place->changes->writes > 0 ? 0 : quiet + 1;
}

// The store has nothing of the changes in its hands any more.
static void close_all(struct place_of_test *place) {
  settle(place);
  changes_free(place->changes);
  fixture_close(place->f);
}

// A kill: what was only in memory is gone, the store is what it was.
static void restart(struct place_of_test *place) {
  close_all(place);
  fixture_open(place->f);
  open_store(place);
  open_changes(place);
}

static void advance(struct place_of_test *place, int64_t ms) {
  clock_advance(&place->f->clock, ms * US_PER_MS);
  settle(place);
}

// In steps, so that what is due in between happens when it is due.
static void advance_slowly(struct place_of_test *place, int64_t ms) {
  for (int64_t gone = 0; gone < ms; gone += 5000)
    advance(place, 5000);
}

static int tear_down(void **state) {
  struct place_of_test *place = *state;

  close_all(place);
  http_client_free(place->client);
  receiver_free(place->registry.receiver);
  egress_free(place->guard);
  resolver_free(place->resolver);
  loop_free(place->loop);
  fixture_free(place->f);
  free(place);
  return 0;
}

// ---- asking -------------------------------------------------------------------------------------------------------------

static void on_done(void *ctx, const struct change_result *result) {
  struct test_ask *ask = ctx;

  ask->done++;
  ask->rc = result->rc;
  ask->may_have_happened = result->may_have_happened;
  if (result->rc == 0) {
    assert_non_null(result->answer);
    ask->status = result->answer->status;
    assert_true(str_eq_c(http_head_get(result->answer->head, "x-of-upstream"), "yes"));
  } else {
    assert_true(result->err.text[0] != '\0');
    (void)snprintf(ask->words, sizeof(ask->words), "%s", result->err.text);
  }
}

// A manifest of its own for each number.
static struct str manifest_of(int number, char text[static TEXT_BYTES]) {
  int len = snprintf(text, TEXT_BYTES,
                     "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{"
                     "\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"" FIXTURE_DIGEST_A
                     "\",\"size\":10},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":"
                     "\"" FIXTURE_DIGEST_B "\",\"size\":100}],\"annotations\":{\"n\":\"%d\"}}",
                     number);
  return (struct str){text, (size_t)len};
}

static struct test_ask *start(struct place_of_test *place, const struct change_order *order) {
  struct test_ask *ask = &place->asks[place->asks_len++];
  struct error err;

  ask->place = place;
  if (change_start(place->changes, order, on_done, ask, &err) != 0)
    fail_msg("change_start: %s", err.text);
  assert_int_equal(ask->done, 0);
  return ask;
}

static struct change_order order_of(struct place_of_test *place, enum change_kind kind, const char *tag) {
  return (struct change_order){
      .kind = kind,
      .project = STR(PROJECT),
      .repository = STR(REPOSITORY),
      .tag = str_of(tag),
      .digest = STR_EMPTY,
      .media_type = STR("application/vnd.oci.image.manifest.v1+json"),
      .body = STR_EMPTY,
      .event = {.type = kind == CHANGE_PUT ? EVENT_PUSH_ARTIFACT : EVENT_DELETE_ARTIFACT,
                .occurred_at_us = clock_wall_us(&place->f->clock),
                .actor = {ACTOR_USER, STR("admin")}},
  };
}

static struct test_ask *put(struct place_of_test *place, const char *tag, int number) {
  struct change_order order = order_of(place, CHANGE_PUT, tag);
  char text[TEXT_BYTES], digest[80];

  order.body = manifest_of(number, text);
  digest_write(order.body, digest);
  order.digest = str_of(digest);
  return start(place, &order);
}

static struct test_ask *delete_digest(struct place_of_test *place, int number) {
  struct change_order order = order_of(place, CHANGE_DELETE, "");
  char text[TEXT_BYTES], digest[80];

  digest_write(manifest_of(number, text), digest);
  order.digest = str_of(digest);
  return start(place, &order);
}

static struct test_ask *delete_tag(struct place_of_test *place, const char *tag) {
  struct change_order order = order_of(place, CHANGE_DELETE, tag);

  return start(place, &order);
}

static void succeeds(struct place_of_test *place, struct test_ask *ask, int status) {
  WAIT_FOR(place, ask->done > 0);
  if (ask->rc != 0)
    fail_msg("failed: %s", ask->words);
  assert_int_equal(ask->done, 1);
  assert_int_equal(ask->status, status);
}

static void fails(struct place_of_test *place, struct test_ask *ask, int rc, bool may_have_happened) {
  WAIT_FOR(place, ask->done > 0);
  assert_int_equal(ask->done, 1);
  assert_int_equal(ask->rc, rc);
  assert_int_equal(ask->may_have_happened, may_have_happened);
}

static void numbers_are(struct place_of_test *place, int64_t events, int64_t intents) {
  settle(place);
  fixture_number_is(place->f, "SELECT count(*) FROM event", events);
  fixture_number_is(place->f, "SELECT count(*) FROM intent", intents);
}

// The newest event by its sequence number.
static struct event newest(struct place_of_test *place) {
  char sql[] = "SELECT max(seq) FROM event";
  int64_t seq = fixture_number(place->f, sql);
  struct query query = {.page = 1, .page_size = 100, .max_rows = 100};
  struct event *events;
  size_t len;
  int64_t total;
  struct error err;

  assert_int_equal(event_list(place->f->reader, 0, &query, place->f->arena, &events, &len, &total, &err), 0);
  for (size_t i = 0; i < len; i++)
    if (events[i].seq == seq)
      return events[i];
  fail_msg("there is no event");
  abort();
}

static void catalogue_says(struct place_of_test *place, const char *tag, int number) {
  char text[TEXT_BYTES], digest[80], sql[TEXT_BYTES];

  digest_write(manifest_of(number, text), digest);
  (void)snprintf(sql, sizeof(sql),
                 "SELECT count(*) FROM tag t JOIN artifact a ON a.id = t.artifact_id WHERE t.removed_us IS NULL AND "
                 "t.name = '%s' AND a.digest = '%s'",
                 tag, digest);
  fixture_number_is(place->f, sql, 1);
}

// The store's tags and the registry's are the same.
static void catalogue_is_true(struct place_of_test *place) {
  int tags = 0;
  char sql[TEXT_BYTES];

  for (size_t i = 0; i < MAX_NAMES; i++) {
    const struct name *name = &place->registry.names[i];
    if (!name->reference[0] || strncmp(name->reference, "sha256:", 7) == 0)
      continue;
    tags++;
    (void)snprintf(sql, sizeof(sql),
                   "SELECT count(*) FROM tag t JOIN artifact a ON a.id = t.artifact_id WHERE t.removed_us IS NULL AND "
                   "t.name = '%s' AND a.digest = '%s'",
                   name->reference, name->digest);
    fixture_number_is(place->f, sql, 1);
  }
  fixture_number_is(place->f, "SELECT count(*) FROM tag WHERE removed_us IS NULL", tags);
}

// ---- the plain path -----------------------------------------------------------------------------------------------------

static void test_a_push_is_answered_with_its_event_on_disk(void **state) {
  struct place_of_test *place = *state;

  succeeds(place, put(place, "v1", 1), 201);
  fixture_number_is(place->f, "SELECT count(*) FROM event", 1);
  struct event event = newest(place);
  assert_int_equal(event.type, EVENT_PUSH_ARTIFACT);
  assert_int_equal(event.artifacts_len, 1);
  assert_true(str_eq_c(event.artifacts[0].reference, "v1"));
  assert_int_equal(event.artifacts[0].kind, ARTIFACT_IMAGE);
  assert_true(event.artifacts[0].size_bytes > 110);
  assert_true(str_eq_c(event.artifacts[0].platform, "linux/arm64"));
  assert_true(str_eq_c(event.actor.name, "admin"));
  assert_false(event.unchanged);
  assert_false(event.inferred);
  assert_int_equal(place->committed, 1);
  catalogue_says(place, "v1", 1);
  numbers_are(place, 1, 0);
  assert_non_null(strstr(place->registry.receiver->last, "User-Agent: Harbinger/test"));
}

static void test_a_push_of_what_is_there_is_marked_unchanged(void **state) {
  struct place_of_test *place = *state;

  succeeds(place, put(place, "v1", 1), 201);
  succeeds(place, put(place, "v1", 1), 201);
  assert_true(newest(place).unchanged);
  succeeds(place, put(place, "v1", 2), 201);
  assert_false(newest(place).unchanged);
  numbers_are(place, 3, 0);
}

static void test_a_refused_push_is_no_event(void **state) {
  struct place_of_test *place = *state;

  then(place, REFUSE);
  succeeds(place, put(place, "v1", 1), 400);
  numbers_are(place, 0, 0);
}

static void test_a_push_of_a_project_that_is_new_makes_it(void **state) {
  struct place_of_test *place = *state;
  struct change_order order = order_of(place, CHANGE_PUT, "v1");
  char text[TEXT_BYTES], digest[80];

  order.project = STR("new");
  order.body = manifest_of(1, text);
  digest_write(order.body, digest);
  order.digest = str_of(digest);
  succeeds(place, start(place, &order), 201);
  fixture_number_is(place->f, "SELECT count(*) FROM project WHERE name = 'new'", 1);
}

static void test_a_delete_by_digest_takes_every_tag(void **state) {
  struct place_of_test *place = *state;

  succeeds(place, put(place, "v1", 1), 201);
  succeeds(place, put(place, "v2", 1), 201);
  succeeds(place, put(place, "other", 2), 201);
  succeeds(place, delete_digest(place, 1), 202);
  struct event event = newest(place);
  assert_int_equal(event.type, EVENT_DELETE_ARTIFACT);
  assert_int_equal(event.artifacts[0].tags_len, 2);
  assert_true(event.artifacts[0].size_bytes > 110);
  assert_int_equal(event.artifacts[0].kind, ARTIFACT_IMAGE);
  numbers_are(place, 4, 0);
  catalogue_is_true(place);
  succeeds(place, delete_digest(place, 1), 404);
  numbers_are(place, 4, 0);
}

static void test_a_delete_of_a_tag_alone_takes_no_artifact(void **state) {
  struct place_of_test *place = *state;

  succeeds(place, put(place, "v1", 1), 201);
  succeeds(place, put(place, "v2", 1), 201);
  succeeds(place, delete_tag(place, "v1"), 202);
  numbers_are(place, 2, 0);
  catalogue_is_true(place);
}

static void test_the_intent_is_on_disk_before_anything_is_forwarded(void **state) {
  struct place_of_test *place = *state;

  then(place, KEEP);
  struct test_ask *ask = put(place, "v1", 1);
  WAIT_FOR(place, place->registry.held_len == 1);
  fixture_number_is(place->f, "SELECT count(*) FROM intent WHERE reference = 'v1' AND before = '' AND forwards = 1", 1);
  assert_int_equal(ask->done, 0);
  held_do(place, 0);
  succeeds(place, ask, 201);
  numbers_are(place, 1, 0);
}

static void test_what_the_upstream_says_of_before_counts_not_the_catalogue(void **state) {
  struct place_of_test *place = *state;
  char text[TEXT_BYTES], digest[80];

  digest_write(manifest_of(7, text), digest); // written past us
  name_set(&place->registry, "v1", digest);
  name_set(&place->registry, digest, digest);
  then(place, KEEP);
  struct test_ask *ask = put(place, "v1", 1);
  WAIT_FOR(place, place->registry.held_len == 1);
  fixture_number_is(place->f, "SELECT length(before) FROM intent", 71);
  held_do(place, 0);
  succeeds(place, ask, 201);
  succeeds(place, put(place, "v7", 7), 201);
}

static void test_a_registry_that_tells_no_digest_is_asked_for_the_bytes(void **state) {
  struct place_of_test *place = *state;

  place->registry.without_digest = true;
  name_set(&place->registry, "v1", FIXTURE_DIGEST_A);
  succeeds(place, put(place, "v1", 1), 201);
  assert_int_equal(place->registry.gets, 1);
  numbers_are(place, 1, 0);
}

// ---- together and one after the other -----------------------------------------------------------------------------------

static void test_the_same_bytes_under_an_open_intent_go_at_once_and_are_one_event(void **state) {
  struct place_of_test *place = *state;

  then(place, KEEP);
  struct test_ask *first = put(place, "v1", 1);
  WAIT_FOR(place, place->registry.held_len == 1);
  struct test_ask *second = put(place, "v1", 1);
  succeeds(place, second, 201); // the first has no answer yet
  fixture_number_is(place->f, "SELECT count(*) FROM event", 1);
  // The first may still come: other bytes must not come before it.
  struct test_ask *other = put(place, "v1", 2);
  settle(place);
  assert_int_equal(other->done, 0);
  assert_int_equal(place->registry.puts, 2);
  held_do(place, 0);
  succeeds(place, first, 201);
  succeeds(place, other, 201);
  numbers_are(place, 2, 0);
  catalogue_is_true(place);
}

static void test_other_bytes_for_a_tag_wait_for_the_answer(void **state) {
  struct place_of_test *place = *state;

  then(place, KEEP);
  struct test_ask *first = put(place, "v1", 1);
  WAIT_FOR(place, place->registry.held_len == 1);
  struct test_ask *second = put(place, "v1", 2), *third = put(place, "v1", 1), *elsewhere = put(place, "v2", 3);
  succeeds(place, elsewhere, 201);
  assert_int_equal(second->done + third->done, 0); // the third keeps its turn behind the second
  held_do(place, 0);
  succeeds(place, third, 201);
  assert_int_equal(first->done + second->done, 2);
  numbers_are(place, 4, 0);
  catalogue_says(place, "v1", 1);
  catalogue_is_true(place);
}

static void test_a_delete_by_digest_waits_for_and_holds_up_its_repository(void **state) {
  struct place_of_test *place = *state;

  succeeds(place, put(place, "v1", 1), 201);
  then(place, KEEP);
  struct test_ask *push = put(place, "v2", 2);
  WAIT_FOR(place, place->registry.held_len == 1);
  struct test_ask *gone = delete_digest(place, 1), *later = put(place, "v3", 1);
  settle(place);
  assert_int_equal(gone->done + later->done + place->registry.deletes, 0);
  held_do(place, 0);
  succeeds(place, later, 201);
  assert_int_equal(push->done + gone->done, 2);
  numbers_are(place, 4, 0);
  catalogue_is_true(place);
}

static void test_who_waits_too_long_is_told_so(void **state) {
  struct place_of_test *place = *state;

  then(place, KEEP);
  (void)put(place, "v1", 1);
  WAIT_FOR(place, place->registry.held_len == 1);
  struct test_ask *second = put(place, "v1", 2);
  settle(place);
  advance(place, WAIT_MS + 1);
  fails(place, second, ERR_FULL, false);
  assert_int_equal(place->registry.puts, 1);
}

static void test_more_than_max_open_are_refused(void **state) {
  struct place_of_test *place = *state;
  struct change_order order = order_of(place, CHANGE_DELETE, "v1");
  struct error err;

  changes_free(place->changes);
  place->config.max_open = 2;
  open_changes(place);
  then(place, KEEP);
  (void)put(place, "v1", 1);
  (void)put(place, "v1", 2);
  assert_int_equal(change_start(place->changes, &order, on_done, NULL, &err), ERR_FULL);
}

// ---- no answer ----------------------------------------------------------------------------------------------------------

static void test_a_push_whose_answer_is_lost_is_found_out(void **state) {
  struct place_of_test *place = *state;

  then(place, DO_THEN_RESET);
  fails(place, put(place, "v1", 1), ERR_IO, true);
  numbers_are(place, 1, 0);
  assert_false(newest(place).inferred);
  catalogue_is_true(place);
}

static void test_a_push_that_was_not_done_is_no_event_when_its_time_is_over(void **state) {
  struct place_of_test *place = *state;

  then(place, RESET);
  fails(place, put(place, "v1", 1), ERR_IO, true);
  numbers_are(place, 0, 1);
  struct test_ask *other = put(place, "v1", 2); // must not be overtaken by the first
  settle(place);
  assert_int_equal(other->done, 0);
  advance_slowly(place, WAIT_MS);
  fails(place, other, ERR_FULL, false);
  advance_slowly(place, UPSTREAM_TIMEOUT_MS);
  numbers_are(place, 0, 0);
  assert_true(place->registry.heads < 60); // it slows down
  succeeds(place, put(place, "v1", 2), 201);
  numbers_are(place, 1, 0);
}

static void test_a_push_that_comes_late_is_one_event(void **state) {
  struct place_of_test *place = *state;

  then(place, KEEP);
  struct test_ask *ask = put(place, "v1", 1);
  WAIT_FOR(place, place->registry.held_len == 1);
  peer_reset(place->registry.held[0].peer);
  fails(place, ask, ERR_IO, true);
  struct test_ask *other = put(place, "v1", 2);
  settle(place);
  held_do(place, 0);
  advance_slowly(place, 10000);
  succeeds(place, other, 201);
  numbers_are(place, 2, 0);
  catalogue_says(place, "v1", 2);
  catalogue_is_true(place);
}

static void test_the_same_bytes_again_after_a_lost_answer_go_at_once(void **state) {
  struct place_of_test *place = *state;

  then(place, KEEP);
  struct test_ask *ask = put(place, "v1", 1);
  WAIT_FOR(place, place->registry.held_len == 1);
  peer_reset(place->registry.held[0].peer);
  fails(place, ask, ERR_IO, true);
  succeeds(place, put(place, "v1", 1), 201);
  // One event; the first may still come, and what comes after must wait for it.
  numbers_are(place, 1, 1);
  struct test_ask *other = put(place, "v1", 2);
  settle(place);
  assert_int_equal(other->done, 0);
  advance_slowly(place, WAIT_MS + 1);
  fails(place, other, ERR_FULL, false);
  advance_slowly(place, UPSTREAM_TIMEOUT_MS);
  numbers_are(place, 1, 0);
  succeeds(place, put(place, "v1", 2), 201);
  numbers_are(place, 2, 0);
}

static void test_an_answer_of_500_is_settled_by_one_question(void **state) {
  struct place_of_test *place = *state;

  then(place, ONLY_500);
  fails(place, put(place, "v1", 1), ERR_IO, true);
  succeeds(place, put(place, "v1", 2), 201); // does not wait for any time to pass
  then(place, DO_THEN_500);
  fails(place, put(place, "v1", 3), ERR_IO, true);
  numbers_are(place, 2, 0);
  catalogue_says(place, "v1", 3);
  catalogue_is_true(place);
}

static void test_a_slow_upstream_is_a_timeout_and_found_out(void **state) {
  struct place_of_test *place = *state;

  then(place, KEEP);
  struct test_ask *ask = put(place, "v1", 1);
  WAIT_FOR(place, place->registry.held_len == 1);
  advance(place, UPSTREAM_TIMEOUT_MS + 1000);
  fails(place, ask, ERR_TIMEOUT, true);
  numbers_are(place, 0, 0);
}

static void test_an_unchanged_push_without_an_answer_is_settled_when_its_time_is_over(void **state) {
  struct place_of_test *place = *state;

  succeeds(place, put(place, "v1", 1), 201);
  then(place, RESET);
  fails(place, put(place, "v1", 1), ERR_IO, true);
  numbers_are(place, 1, 1);
  advance_slowly(place, UPSTREAM_TIMEOUT_MS + 5000);
  numbers_are(place, 2, 0);
  assert_true(newest(place).unchanged);
}

static void test_a_tag_written_past_us_makes_the_event_inferred(void **state) {
  struct place_of_test *place = *state;
  char text[TEXT_BYTES], digest[80];

  then(place, DO_THEN_RESET);
  struct test_ask *ask = put(place, "v1", 1);
  WAIT_FOR(place, place->registry.puts == 1);
  digest_write(manifest_of(9, text), digest);
  name_set(&place->registry, "v1", digest);
  name_set(&place->registry, digest, digest);
  fails(place, ask, ERR_IO, true);
  numbers_are(place, 1, 0);
  assert_true(newest(place).inferred);
  catalogue_is_true(place);
}

static void test_a_delete_whose_answer_is_lost_is_found_out(void **state) {
  struct place_of_test *place = *state;

  succeeds(place, put(place, "v1", 1), 201);
  then(place, DO_THEN_RESET);
  fails(place, delete_digest(place, 1), ERR_IO, true);
  numbers_are(place, 2, 0);
  assert_int_equal(newest(place).type, EVENT_DELETE_ARTIFACT);
  assert_int_equal(newest(place).artifacts[0].tags_len, 1);
  catalogue_is_true(place);
}

static void test_an_upstream_that_cannot_be_reached_leaves_nothing_open(void **state) {
  struct place_of_test *place = *state;

  receiver_free(place->registry.receiver);
  place->registry.receiver = NULL;
  fails(place, put(place, "v1", 1), ERR_IO, false);
  numbers_are(place, 0, 0);
}

static void test_the_settler_backs_off_while_the_upstream_is_silent(void **state) {
  struct place_of_test *place = *state;

  then(place, DO_THEN_RESET);
  struct test_ask *ask = put(place, "v1", 1);
  WAIT_FOR(place, place->registry.puts == 1);
  place->registry.silent = true;
  fails(place, ask, ERR_IO, true);
  int before = place->registry.receiver->requests;
  advance_slowly(place, 10 * UPSTREAM_TIMEOUT_MS);
  int asked = place->registry.receiver->requests - before;
  assert_true(asked > 3 && asked < 60);
  numbers_are(place, 0, 1);
  place->registry.silent = false;
  advance_slowly(place, 60000);
  numbers_are(place, 1, 0);
  catalogue_is_true(place);
}

// ---- a kill -------------------------------------------------------------------------------------------------------------

static void test_what_a_kill_left_open_is_found_out_after_the_start(void **state) {
  struct place_of_test *place = *state;

  succeeds(place, put(place, "gone", 5), 201);
  then(place, KEEP);
  then(place, KEEP);
  (void)put(place, "v1", 1);
  (void)put(place, "v2", 2);
  WAIT_FOR(place, place->registry.held_len == 2);
  numbers_are(place, 1, 2);
  held_do(place, 0); // its answer is lost with us
  restart(place);
  numbers_are(place, 2, 1);
  catalogue_is_true(place);
  struct test_ask *other = put(place, "v2", 3);
  settle(place);
  assert_int_equal(other->done, 0);
  held_do(place, 1); // late
  advance_slowly(place, 10000);
  succeeds(place, other, 201);
  numbers_are(place, 4, 0);
  catalogue_is_true(place);
}

static void test_after_a_kill_the_second_forward_of_the_same_bytes_is_waited_for(void **state) {
  struct place_of_test *place = *state;

  then(place, KEEP);
  (void)put(place, "v1", 1);
  WAIT_FOR(place, place->registry.held_len == 1);
  succeeds(place, put(place, "v1", 1), 201);
  numbers_are(place, 1, 1);
  restart(place);
  struct test_ask *other = put(place, "v1", 2);
  settle(place);
  assert_int_equal(other->done, 0);
  held_do(place, 0);
  advance_slowly(place, UPSTREAM_TIMEOUT_MS + 5000);
  fails(place, other, ERR_FULL, false);
  numbers_are(place, 1, 0);
  catalogue_is_true(place);
}

// ---- the store ----------------------------------------------------------------------------------------------------------

// Below the floor of free space no event is taken.
static void fill_disk(struct place_of_test *place, int64_t floor_bytes) {
  place->f->config.min_free_bytes = floor_bytes;
  restart(place);
}

static void test_without_the_store_nothing_is_forwarded(void **state) {
  struct place_of_test *place = *state;

  fill_disk(place, INT64_MAX);
  fails(place, put(place, "v1", 1), ERR_UNAVAILABLE, false);
  assert_int_equal(place->registry.puts, 0);
  numbers_are(place, 0, 0);
}

static void test_without_the_store_changes_may_pass_and_are_told_when_it_is_back(void **state) {
  struct place_of_test *place = *state;

  place->config.without_store = CHANGE_PASS;
  fill_disk(place, INT64_MAX);
  succeeds(place, put(place, "v1", 1), 201);
  succeeds(place, put(place, "v1", 2), 201);
  advance(place, 2000);
  numbers_are(place, 2, 0);
  assert_true(newest(place).inferred);
  catalogue_says(place, "v1", 2);
  catalogue_is_true(place);
}

// ---- the end ------------------------------------------------------------------------------------------------------------

static void on_drained(void *ctx) {
  ((struct place_of_test *)ctx)->drained++;
}

static void test_draining_waits_for_what_was_forwarded_and_refuses_the_rest(void **state) {
  struct place_of_test *place = *state;
  struct change_order order = order_of(place, CHANGE_DELETE, "v1");
  struct error err;

  then(place, KEEP);
  struct test_ask *ask = put(place, "v1", 1), *waiting = put(place, "v1", 2);
  WAIT_FOR(place, place->registry.held_len == 1);
  changes_drain(place->changes, on_drained, place);
  assert_int_equal(change_start(place->changes, &order, on_done, NULL, &err), ERR_UNAVAILABLE);
  fails(place, waiting, ERR_UNAVAILABLE, false);
  settle(place);
  assert_int_equal(place->drained, 0);
  held_do(place, 0);
  succeeds(place, ask, 201);
  WAIT_FOR(place, place->drained == 1);
  numbers_are(place, 1, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_a_push_is_answered_with_its_event_on_disk),
      TEST(test_a_push_of_what_is_there_is_marked_unchanged),
      TEST(test_a_refused_push_is_no_event),
      TEST(test_a_push_of_a_project_that_is_new_makes_it),
      TEST(test_a_delete_by_digest_takes_every_tag),
      TEST(test_a_delete_of_a_tag_alone_takes_no_artifact),
      TEST(test_the_intent_is_on_disk_before_anything_is_forwarded),
      TEST(test_what_the_upstream_says_of_before_counts_not_the_catalogue),
      TEST(test_a_registry_that_tells_no_digest_is_asked_for_the_bytes),
      TEST(test_the_same_bytes_under_an_open_intent_go_at_once_and_are_one_event),
      TEST(test_other_bytes_for_a_tag_wait_for_the_answer),
      TEST(test_a_delete_by_digest_waits_for_and_holds_up_its_repository),
      TEST(test_who_waits_too_long_is_told_so),
      TEST(test_more_than_max_open_are_refused),
      TEST(test_a_push_whose_answer_is_lost_is_found_out),
      TEST(test_a_push_that_was_not_done_is_no_event_when_its_time_is_over),
      TEST(test_a_push_that_comes_late_is_one_event),
      TEST(test_the_same_bytes_again_after_a_lost_answer_go_at_once),
      TEST(test_an_answer_of_500_is_settled_by_one_question),
      TEST(test_a_slow_upstream_is_a_timeout_and_found_out),
      TEST(test_an_unchanged_push_without_an_answer_is_settled_when_its_time_is_over),
      TEST(test_a_tag_written_past_us_makes_the_event_inferred),
      TEST(test_a_delete_whose_answer_is_lost_is_found_out),
      TEST(test_an_upstream_that_cannot_be_reached_leaves_nothing_open),
      TEST(test_the_settler_backs_off_while_the_upstream_is_silent),
      TEST(test_what_a_kill_left_open_is_found_out_after_the_start),
      TEST(test_after_a_kill_the_second_forward_of_the_same_bytes_is_waited_for),
      TEST(test_without_the_store_nothing_is_forwarded),
      TEST(test_without_the_store_changes_may_pass_and_are_told_when_it_is_back),
      TEST(test_draining_waits_for_what_was_forwarded_and_refuses_the_rest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
