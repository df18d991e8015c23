// SPDX-License-Identifier: Apache-2.0
#include "policy/policy.h"

#include "base/utf8.h"
#include "net/url.h"
#include "policy/endpoint.h"

const char *target_type_name(enum target_type type) {
  return type == TARGET_SLACK ? "slack" : "http";
}

const char *payload_format_name(enum payload_format format) {
  if (format == PAYLOAD_SLACK)
    return "";
  return format == PAYLOAD_CLOUDEVENTS ? "CloudEvents" : "Default";
}

bool target_type_read(struct str text, enum target_type *type) {
  bool slack = str_eq_c(text, "slack");

  if (!slack && !str_eq_c(text, "http"))
    return false;
  *type = slack ? TARGET_SLACK : TARGET_HTTP;
  return true;
}

bool payload_format_read(struct str text, enum payload_format *format) {
  bool cloudevents = str_eq_c(text, "CloudEvents");

  if (!cloudevents && !str_eq_c(text, "Default"))
    return false;
  *format = cloudevents ? PAYLOAD_CLOUDEVENTS : PAYLOAD_DEFAULT;
  return true;
}

// ---- Checks ---------------------------------------------------------------------------------------------------------

static int check_harbor_target(const struct policy *policy, const struct target *target, struct error *err) {
  enum target_type type;
  enum payload_format format;
  int result = endpoint_check(target->address, err);

  if (result != 0)
    return result;
  if (!target_type_read(target->type_text, &type))
    return error_set(err, ERR_BAD_REQUEST, "unsupported target type %.*s with policy %.*s", STR_ARG(target->type_text),
                     STR_ARG(policy->name));
  if (target->payload_format_text.len == 0)
    return 0;
  if (type == TARGET_SLACK)
    return error_set(err, ERR_BAD_REQUEST, "set payload format is not allowed for slack");
  if (!payload_format_read(target->payload_format_text, &format))
    return error_set(err, ERR_BAD_REQUEST, "unsupported payload format type: %.*s",
                     STR_ARG(target->payload_format_text));
  return 0;
}

// Harbor's rows, in its order.
static int check_as_harbor(const struct policy *policy, struct error *err) {
  int result = 0;

  if (policy->unknown_event_type.ptr)
    return error_set(err, ERR_BAD_REQUEST, "unsupported event type %.*s", STR_ARG(policy->unknown_event_type));
  if (policy->event_types_len == 0)
    return error_set(err, ERR_BAD_REQUEST, "empty event type");
  if (policy->targets_len == 0)
    return error_set(err, ERR_BAD_REQUEST, "empty notification target with policy %.*s", STR_ARG(policy->name));
  for (size_t i = 0; i < policy->targets_len && result == 0; i++)
    result = check_harbor_target(policy, &policy->targets[i], err);
  return result;
}

// Bytes that no header may carry; the value would fail every delivery.
static bool breaks_header(struct str value) {
  for (size_t i = 0; i < value.len; i++) {
    unsigned char c = (unsigned char)value.ptr[i];
    if ((c < 0x20 && c != '\t') || c == 0x7F)
      return true;
  }
  return false;
}

static int check_target(const struct target *target, struct error *err) {
  struct url url;

  if (str_contains(target->address, STR(SECRET_MASK)))
    return error_set(err, ERR_BAD_REQUEST, "the address is masked; give it in full");
  int result = url_parse(target->address, &url, err);
  if (result != 0)
    return result;
  if (target->auth_header.len > POLICY_MAX_AUTH_HEADER_BYTES)
    return error_set(err, ERR_BAD_REQUEST, "auth_header is longer than %d bytes", POLICY_MAX_AUTH_HEADER_BYTES);
  if (breaks_header(target->auth_header))
    return error_set(err, ERR_BAD_REQUEST, "auth_header must not hold line breaks or control characters");
  return 0;
}

static bool has_control(struct str text) {
  for (size_t i = 0; i < text.len; i++) {
    if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7F)
      return true;
  }
  return false;
}

int policy_check(const struct policy *policy, struct error *err) {
  int result = check_as_harbor(policy, err);

  if (result != 0)
    return result;
  if (str_trim(policy->name).len == 0)
    return error_set(err, ERR_BAD_REQUEST, "name is required");
  if (utf8_count(policy->name) > POLICY_MAX_NAME_CHARS)
    return error_set(err, ERR_BAD_REQUEST, "name is longer than %d characters", POLICY_MAX_NAME_CHARS);
  if (has_control(policy->name))
    return error_set(err, ERR_BAD_REQUEST, "name must not hold control characters");
  if (policy->description.len > POLICY_MAX_DESCRIPTION_BYTES)
    return error_set(err, ERR_BAD_REQUEST, "description is longer than %d bytes", POLICY_MAX_DESCRIPTION_BYTES);
  if (policy->targets_len > POLICY_MAX_TARGETS)
    return error_set(err, ERR_BAD_REQUEST, "a policy has at most %d targets, not %zu", POLICY_MAX_TARGETS,
                     policy->targets_len);
  for (size_t i = 0; i < policy->targets_len; i++) {
    if (check_target(&policy->targets[i], err) != 0)
      return error_context(err, "targets[%zu]", i);
  }
  return 0;
}

// ---- Matching -------------------------------------------------------------------------------------------------------

static bool has_tag(const struct event *event) {
  for (size_t i = 0; i < event->artifacts_len; i++) {
    if (event->artifacts[i].tags_len > 0 || event_is_tag(event->artifacts[i].reference))
      return true;
  }
  return false;
}

enum policy_verdict policy_match(const struct policy *policy, const struct event *event) {
  if (!policy->enabled)
    return POLICY_DISABLED;
  if (!(policy->event_mask & (UINT32_C(1) << event->type)))
    return POLICY_OTHER_TYPE;
  // An event about no artifact (a quota reached by a layer) is not about an untagged one.
  if (policy->tagged_only && event->artifacts_len > 0 && !has_tag(event))
    return POLICY_UNTAGGED;
  return POLICY_MATCHES;
}

const char *policy_verdict_words(enum policy_verdict verdict) {
  switch (verdict) {
  case POLICY_MATCHES:
    return "the policy matches";
  case POLICY_DISABLED:
    return "the policy is disabled";
  case POLICY_OTHER_TYPE:
    return "the policy does not subscribe to this event type";
  case POLICY_UNTAGGED:
    return "the policy takes only tagged artifacts, and this one has no tag";
  }
  return "";
}
