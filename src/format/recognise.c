// SPDX-License-Identifier: Apache-2.0
// Which of our formats is this body? For receivers that want to show what they got.
#include "base/json.h"
#include "format/format.h"

static struct str essence(struct str content_type) {
  ptrdiff_t semicolon = str_find(content_type, ';');

  return str_trim(semicolon < 0 ? content_type : str_slice(content_type, 0, (size_t)semicolon));
}

static const char *refuse(struct error *err, const char *words) {
  (void)error_set(err, ERR_INVALID, "%s", words);
  return NULL;
}

static const char *recognise_cloudevents(const struct json_object *body, struct error *err) {
  struct str version = STR_EMPTY, id = STR_EMPTY, source = STR_EMPTY, type = STR_EMPTY;

  (void)json_get_str(body, "id", &id);
  (void)json_get_str(body, "source", &source);
  (void)json_get_str(body, "type", &type);
  if (!json_get_str(body, "specversion", &version) || !str_eq_c(version, "1.0"))
    return refuse(err, "a CloudEvents body without specversion \"1.0\"");
  if (id.len == 0 || source.len == 0)
    return refuse(err, "a CloudEvents body without id or source");
  if (!json_get_object(body, "data"))
    return refuse(err, "a CloudEvents body without an object `data`");
  for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
    if (str_eq_c(type, event_type_cloudevents((enum event_type)i)))
      return format_info(PAYLOAD_CLOUDEVENTS)->name;
  }
  return refuse(err, "a CloudEvents body whose type is none of ours");
}

static const char *recognise_default(const struct json_object *body, struct error *err) {
  struct str type = STR_EMPTY, operator_name;
  enum event_type event_type;
  int64_t occur_at;

  (void)json_get_str(body, "type", &type);
  if (!event_type_read(type, &event_type))
    return refuse(err, "`type` is none of the ten event types");
  if (!json_get_i64(body, "occur_at", &occur_at))
    return refuse(err, "`occur_at` is not an integer of Unix seconds");
  if (!json_get_str(body, "operator", &operator_name))
    return refuse(err, "`operator` is not a string");
  if (!json_get_object(body, "event_data"))
    return refuse(err, "`event_data` is not an object");
  return format_info(PAYLOAD_DEFAULT)->name;
}

const char *format_recognise(struct str content_type, struct str body, struct arena *scratch, struct error *err) {
  struct str type = essence(content_type), text;
  struct json_object *object;

  if (json_parse(body, scratch, &object, err) != 0)
    return NULL;
  if (json_kind(object) != JSON_OBJECT)
    return refuse(err, "the body is not a JSON object");
  if (str_ieq_c(type, format_info(PAYLOAD_CLOUDEVENTS)->content_type))
    return recognise_cloudevents(object, err);
  if (!str_ieq_c(type, "application/json"))
    return refuse(err, "the content type is neither application/json nor application/cloudevents+json");
  if (json_get_array(object, "blocks") && json_get_str(object, "text", &text))
    return format_info(PAYLOAD_SLACK)->name;
  return recognise_default(object, err);
}
