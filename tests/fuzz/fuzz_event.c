// SPDX-License-Identifier: Apache-2.0
// Events from outside and from the store: whatever is taken must render in every format, and be written and read again
// to the same bytes. corpus_event/ holds submissions and stored events.
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"
#include "format/format.h"

enum { ARENA_BYTES = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
  if (!holds)
    abort();
}

static struct str stored(struct arena *arena, const struct event *event) {
  struct buf buf;

  buf_init(&buf, 4 * EVENT_MAX_JSON_BYTES);
  struct json_writer w = json_writer_make(&buf, true);
  event_write_json(event, &w);
  require(!buf.failed);
  struct str text = arena_str(arena, buf_str(&buf));
  buf_free(&buf);
  require(text.ptr != NULL);
  return text;
}

static void check_bodies(struct arena *arena, const struct event *event) {
  struct format_input input = {
      .event = event, .extras = true, .policy_id = 1, .portal_url = STR("https://portal.example")};

  for (int format = PAYLOAD_DEFAULT; format <= PAYLOAD_SLACK; format++) {
    struct json_object *parsed;
    struct buf body;
    input.format = (enum payload_format)format;
    buf_init(&body, FORMAT_MAX_BODY_BYTES);
    if (format_render(&input, arena, &body, NULL) == 0) {
      require(utf8_valid(buf_str(&body)));
      require(json_parse(buf_str(&body), arena, &parsed, NULL) == 0);
    }
    buf_free(&body);
  }
}

static void check_event(struct arena *arena, const struct event *event) {
  struct str first = stored(arena, event);
  struct event again;

  require(event_read_json(first, arena, &again, NULL) == 0);
  require(str_eq(stored(arena, &again), first));
  check_bodies(arena, event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct arena *arena = arena_new(ARENA_BYTES);
  struct str text = {(const char *)data, size};
  struct json_object *body;
  struct event event;
  struct error err;

  if (!arena)
    return 0;
  if (event_read_json(text, arena, &event, &err) == 0)
    check_event(arena, &event);
  if (json_parse(text, arena, &body, &err) == 0 && event_read_submission(body, arena, &event, &err) == 0)
    check_event(arena, &event);
  arena_free(arena);
  return 0;
}
