// SPDX-License-Identifier: Apache-2.0
// Envelopes: what the library's parser makes of the text and what the walk makes of it are the same, and every event that
// comes out is one that can be written and read back.
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"
#include "ingest/distribution.h"

#define HOLD(condition)                                         \
  do {                                                          \
    if (!(condition)) {                                         \
      (void)fprintf(stderr, "does not hold: %s\n", #condition); \
      abort();                                                  \
    }                                                           \
  } while (0)

enum { ARENA_BYTES = 64 * 1024 * 1024, MAX_EVENTS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct notification_rules RULES = {.instance = {"fuzz", 4},
                                                .default_project = {"library", 7},
                                                .external_host = {"", 0},
                                                .own_user_agent = {"x", 1},
                                                .received_us = 1};

static void check_event(const struct event *event, struct arena *arena) {
  struct event again;
  struct buf json, twice;

  HOLD(event_is_project_name(event->repository.project));
  HOLD(event_is_repository_name(event->repository.name));
  HOLD(event->type <= EVENT_DELETE_ARTIFACT);
  HOLD(event->artifacts_len == 1 && event_is_digest(event->artifacts[0].digest));
  HOLD(event->artifacts[0].tags_len == 0 || event_is_tag(event->artifacts[0].tags[0]));
  HOLD(event->artifacts[0].size_bytes >= -1);
  HOLD(event->artifacts[0].children_len <= EVENT_MAX_CHILDREN);
  HOLD(utf8_valid(event->actor.name) && utf8_valid(event->client.user_agent) && utf8_valid(event->client.address));
  buf_init(&json, EVENT_MAX_JSON_BYTES);
  buf_init(&twice, EVENT_MAX_JSON_BYTES);
  struct json_writer w = json_writer_make(&json, true);
  event_write_json(event, &w);
  HOLD(!json.failed);
  HOLD(event_read_json(buf_str(&json), arena, &again, NULL) == 0);
  w = json_writer_make(&twice, true);
  event_write_json(&again, &w);
  HOLD(str_eq(buf_str(&json), buf_str(&twice)));
  buf_free(&json);
  buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct str body = {(const char *)data, size};
  struct arena *arena = arena_new(ARENA_BYTES);
  struct json_object *document = NULL;
  struct notification *out;
  size_t len;
  HOLD(arena != NULL);
  int rc = distribution_read(body, &RULES, MAX_EVENTS, arena, &out, &len, NULL);
  struct json_object *events =
      json_parse(body, arena, &document, NULL) == 0 ? json_get_array(document, "events") : NULL;
  size_t expected = json_array_len(events);

  // A key spelled with escapes is known to the library alone.
  bool escaped = memchr(data, '\\', size) != NULL;
  HOLD(rc == 0 || rc == ERR_BAD_REQUEST || rc == ERR_TOO_LARGE);
  HOLD(rc != 0 || (len == expected && len <= MAX_EVENTS) || escaped);
  HOLD(rc == 0 || !events || expected > MAX_EVENTS || escaped);
  for (size_t i = 0; rc == 0 && i < len; i++) {
    HOLD((out[i].outcome == NOTIFICATION_EVENT) == (out[i].event != NULL));
    HOLD(utf8_valid(out[i].id) && utf8_valid(out[i].action) && utf8_valid(out[i].repository));
    HOLD(utf8_valid(out[i].reference));
    if (out[i].event)
      check_event(out[i].event, arena);
  }
  arena_free(arena);
  return 0;
}
