// SPDX-License-Identifier: Apache-2.0
// The private ranges that webhooks may reach: administrators read and replace them; a change counts at once.
#include "api/routes.h"
#include "base/utf8.h"
#include "store/settings.h"

enum { RANGES_MAX_BYTES = EGRESS_MAX_RANGES * ADDRESS_TEXT_BYTES, APPLY_ROUNDS = 16 };

#define SETTING "egress_allowed"

struct ranges {
  struct cidr items[EGRESS_MAX_RANGES];
  size_t len;
};

static int ranges_stored(struct api_call *call, struct ranges *out, struct str *text, struct error *err) {
  int rc = setting_get(call->conn, SETTING, call->arena, text, err);
  struct str rest = *text, part;

  out->len = 0;
  while (rc == 0 && rest.len > 0 && out->len < EGRESS_MAX_RANGES && str_next(&rest, ',', &part))
    if (cidr_read(part, &out->items[out->len])) // written by us; what is not readable allows nothing
      out->len++;
  return rc;
}

int egress_get(struct api_call *call, struct error *err) {
  struct ranges ranges;
  struct str text;
  char range[ADDRESS_TEXT_BYTES];
  int rc = call_require(call, AUTH_ADMINISTER, err);

  if (rc == 0)
    rc = ranges_stored(call, &ranges, &text, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_object_begin(&w);
  json_key(&w, "allowed");
  json_array_begin(&w);
  for (size_t i = 0; i < ranges.len; i++)
    json_put_str(&w, str_of(cidr_write(&ranges.items[i], range)));
  json_array_end(&w);
  json_object_end(&w);
  return 0;
}

static bool ranges_has(const struct ranges *ranges, const struct cidr *range) {
  for (size_t i = 0; i < ranges->len; i++)
    if (ranges->items[i].prefix_len == range->prefix_len && address_eq(&ranges->items[i].base, &range->base))
      return true;
  return false;
}

static int ranges_read(const struct json_object *body, struct ranges *out, struct error *err) {
  const struct json_object *array = json_get_array(body, "allowed");

  out->len = 0;
  if (!array)
    return error_set(err, ERR_INVALID,
                     "validation failure list:\nallowed in body is required and must be of type array");
  for (size_t i = 0; i < json_array_len(array); i++) {
    const struct json_object *item = json_array_at(array, i);
    struct cidr range;
    if (json_kind(item) != JSON_STRING)
      return error_set(err, ERR_INVALID, "validation failure list:\nallowed.%zu in body must be of type string", i);
    if (!cidr_read(json_str(item), &range))
      return error_set(err, ERR_BAD_REQUEST,
                       "\"%.*s\" is not a range of addresses such as 10.1.0.0/16 with no bits set after the prefix",
                       STR_ARG(utf8_cut(json_str(item), ADDRESS_TEXT_BYTES)));
    if (ranges_has(out, &range))
      continue;
    if (out->len == EGRESS_MAX_RANGES)
      return error_set(err, ERR_BAD_REQUEST, "at most %d ranges can be allowed", EGRESS_MAX_RANGES);
    out->items[out->len++] = range;
  }
  return 0;
}

// Would the guard take them? Asked of a guard of its own, so that nothing is allowed before it is stored.
static int ranges_judge(const struct ranges *ranges, struct error *err) {
  struct egress *trial = egress_new(err);

  if (!trial)
    return err->code;
  int rc = egress_set_allowed(trial, ranges->items, ranges->len, err);
  egress_free(trial);
  if (rc == ERR_INVALID)
    err->code = ERR_BAD_REQUEST;
  return rc == ERR_INVALID ? ERR_BAD_REQUEST : rc;
}

static struct str ranges_text(const struct ranges *ranges, struct arena *arena) {
  struct buf text;
  char range[ADDRESS_TEXT_BYTES];

  buf_init(&text, RANGES_MAX_BYTES);
  for (size_t i = 0; i < ranges->len; i++) {
    if (i > 0)
      buf_put_char(&text, ',');
    buf_put_c(&text, cidr_write(&ranges->items[i], range));
  }
  struct str copy = text.failed ? (struct str){0} : arena_str(arena, buf_str(&text));
  buf_free(&text);
  return copy;
}

static int store_apply(struct store_conn *conn, void *ctx, struct error *err) {
  const struct str *text = ctx;

  return setting_set(conn, SETTING, *text, err);
}

// Hand the stored ranges to the guard, and look again: of two changes at once the one committed last stays, whatever
// the order in which their threads get here.
static int guard_follow(struct api_call *call, struct error *err) {
  struct ranges ranges;
  struct str applied, now;
  int rc = ranges_stored(call, &ranges, &applied, err);

  for (int round = 0; rc == 0 && round < APPLY_ROUNDS; round++) {
    rc = egress_set_allowed(call->config->egress, ranges.items, ranges.len, err);
    if (rc == 0)
      rc = ranges_stored(call, &ranges, &now, err);
    if (rc == 0 && str_eq(applied, now))
      return 0;
    applied = now;
  }
  return rc;
}

int egress_put(struct api_call *call, struct error *err) {
  struct json_object *body;
  struct ranges ranges;
  struct error wrong;
  int rc = call_body(call, &body, &wrong);

  if (rc == 0)
    rc = ranges_read(body, &ranges, &wrong);
  if ((rc = call_judge(rc, &wrong, call_require(call, AUTH_ADMINISTER, err), err)) != 0 ||
      (rc = ranges_judge(&ranges, err)) != 0)
    return rc;
  struct str text = ranges_text(&ranges, call->arena);
  if (!text.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory for the allowed ranges");
  call->changed_fields = STR("allowed");
  rc = call_change(call, store_apply, &text, "allow", "egress", text, err);
  return rc == 0 ? guard_follow(call, err) : rc;
}
