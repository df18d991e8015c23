// SPDX-License-Identifier: Apache-2.0
// CloudEvents 1.0.2, structured mode, attributes in the order in which Harbor sends them.
#include "base/rfc3339.h"
#include "base/utf8.h"
#include "format/body.h"

enum { REPLACEMENT_BYTES = 3 };

// CloudEvents 1.0.2, type system: a String holds no control characters and no noncharacters.
static bool is_allowed(uint32_t code_point) {
  if (code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F))
    return false;
  return (code_point & 0xFFFE) != 0xFFFE && (code_point < 0xFDD0 || code_point > 0xFDEF);
}

// The attribute's text with U+FFFD for what it must not hold.
static struct str attribute(struct body *body, struct str text) {
  if (text.len > SIZE_MAX / REPLACEMENT_BYTES)
    return body_text(body, (struct str){NULL, 0});
  char *bytes = arena_alloc(body->scratch, text.len * REPLACEMENT_BYTES + 1);
  size_t len = 0;

  if (!bytes)
    return body_text(body, (struct str){NULL, 0});
  while (text.len > 0) {
    uint32_t code_point;
    size_t step = utf8_next(text, &code_point);
    bool keep = step > 0 && is_allowed(code_point);
    struct str part = keep ? str_slice(text, 0, step) : STR("\xEF\xBF\xBD");
    memcpy(bytes + len, part.ptr, part.len);
    len += part.len;
    text = str_from(text, step > 0 ? step : 1);
  }
  return (struct str){bytes, len};
}

static struct str source(struct body *body) {
  return body_text(body, arena_printf(body->scratch, "/projects/%lld/webhook/policies/%lld",
                                      (long long)body->input->event->project_id, (long long)body->input->policy_id));
}

int cloudevents_render(const struct format_input *input, struct arena *scratch, struct buf *out, struct error *err) {
  const struct event *event = input->event;
  struct json_writer w = json_writer_make(out, true);
  struct body body = {.input = input, .scratch = scratch, .w = &w};
  char id[UUID_TEXT_BYTES], time[RFC3339_BYTES];

  (void)err;
  json_object_begin(&w);
  json_field_str(&w, "specversion", STR("1.0"));
  json_field_str(&w, "id", str_of(uuid_write(&event->id, id)));
  json_field_str(&w, "source", source(&body));
  json_field_str(&w, "type", str_of(event_type_cloudevents(event->type)));
  json_field_str(&w, "datacontenttype", STR("application/json"));
  json_field_str(&w, "time", str_of(rfc3339_write(event->occurred_at_us, 0, time)));
  json_key(&w, "data");
  body_write_event_data(&body);
  json_field_str(&w, "operator", attribute(&body, event->actor.name));
  json_field_str(&w, "requestid", attribute(&body, event->client.request_id));
  json_object_end(&w);
  return 0;
}
