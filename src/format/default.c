// SPDX-License-Identifier: Apache-2.0
// Harbor's format `Default`.
#include "format/body.h"

int default_render(const struct format_input *input, struct arena *scratch, struct buf *out, struct error *err) {
  const struct event *event = input->event;
  struct json_writer w = json_writer_make(out, true);
  struct body body = {.input = input, .scratch = scratch, .w = &w};

  (void)err;
  json_object_begin(&w);
  json_field_str(&w, "type", str_of(event_type_name(event->type)));
  json_field_i64(&w, "occur_at", body_unix_seconds(event->occurred_at_us));
  json_field_str(&w, "operator", event->actor.name);
  json_key(&w, "event_data");
  body_write_event_data(&body);
  json_object_end(&w);
  return 0;
}
