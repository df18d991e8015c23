// SPDX-License-Identifier: Apache-2.0
#include "dispatch/request.h"

#include "base/clock.h"

enum { REQUEST_MAX_QUOTED_BYTES = 100 };

struct format_input request_format(const struct route *route, const struct event *event, const char *portal_url) {
  return (struct format_input){.event = event,
                               .format = route->target.format,
                               .extras = route->target.extras,
                               .policy_id = route->target.policy_id,
                               .portal_url = str_of(portal_url)};
}

static int no_memory(struct error *err) {
  return error_set(err, ERR_NO_MEMORY, "no memory for a delivery");
}

static int make_body(const struct route *route, const struct delivery_load *load, const char *portal_url,
                     struct arena *arena, struct request *out, struct error *err) {
  if (load->body.ptr) {
    out->body = load->body;
    return 0;
  }
  struct format_input input = request_format(route, &load->event, portal_url);
  struct buf body;
  buf_init(&body, FORMAT_MAX_BODY_BYTES);
  int rc = format_render(&input, arena, &body, err);
  if (rc == 0) {
    out->body = arena_str(arena, buf_str(&body));
    out->body_is_new = true;
    rc = out->body.ptr ? 0 : no_memory(err);
  }
  buf_free(&body);
  return rc;
}

static void add(struct request *out, const char *name, struct str value) {
  out->headers[out->headers_len++] = (struct http_header){str_of(name), value};
}

int request_make(const struct route *route, const struct delivery_load *load, const char *portal_url,
                 const char *user_agent, int attempt, int64_t now_wall_us, struct arena *arena, struct request *out,
                 struct error *err) {
  char uuid[UUID_TEXT_BYTES];
  *out = (struct request){0};
  int rc = make_body(route, load, portal_url, arena, out, err);
  if (rc != 0)
    return rc;
  struct str id = arena_str(arena, str_of(uuid_write(&load->event.id, uuid)));
  struct str timestamp = arena_printf(arena, "%lld", (long long)(now_wall_us / US_PER_S));
  struct str delivery = arena_printf(arena, "%lld", (long long)load->id);
  struct str number = arena_printf(arena, "%d", attempt);
  if (!id.ptr || !timestamp.ptr || !delivery.ptr || !number.ptr)
    return no_memory(err);
  add(out, "Content-Type", str_of(format_info(route->target.format)->content_type));
  add(out, "User-Agent", str_of(user_agent));
  add(out, "webhook-id", id); // Standard Webhooks: the same for every try
  add(out, "webhook-timestamp", timestamp);
  add(out, "X-Harbinger-Delivery", delivery);
  add(out, "X-Harbinger-Attempt", number);
  add(out, "X-Harbinger-Event", str_of(event_type_name(load->event.type)));
  if (route->authorization.len > 0)
    add(out, "Authorization", route->authorization);
  return 0;
}

static struct str keep(struct buf *text, struct arena *arena) {
  struct str kept = arena_str(arena, buf_str(text));
  buf_free(text);
  return kept.ptr ? kept : STR_EMPTY;
}

static void put_line(struct buf *text, struct str name, struct str value) {
  size_t size = name.len + value.len + 3;
  if (text->len + size > REQUEST_MAX_RECORDED_BYTES)
    return; // whole lines only
  buf_put(text, name);
  buf_put_c(text, ": ");
  buf_put(text, value);
  buf_put_char(text, '\n');
}

struct str request_recorded(const struct request *request, const struct route *route, struct arena *arena) {
  struct buf text;
  buf_init(&text, REQUEST_MAX_RECORDED_BYTES + 1);
  if (route->has_url) {
    struct str host = url_host_header(&route->url, arena);
    put_line(&text, STR("Host"), host.ptr ? host : STR_EMPTY);
  }
  for (size_t i = 0; i < request->headers_len; i++) {
    const struct http_header *header = &request->headers[i];
    bool secret = str_ieq_c(header->name, "Authorization");
    put_line(&text, header->name, secret ? str_of(SECRET_MASK) : header->value);
  }
  struct str length = arena_printf(arena, "%zu", request->body.len);
  put_line(&text, STR("Content-Length"), length.ptr ? length : STR_EMPTY);
  return keep(&text, arena);
}

struct str request_recorded_answer(const struct http_head *head, struct arena *arena) {
  struct buf text;
  buf_init(&text, REQUEST_MAX_RECORDED_BYTES + 1);
  for (size_t i = 0; i < head->headers_len; i++) {
    const struct http_header *header = &head->headers[i];
    // A session of the receiver's is nothing for those who read our history.
    bool secret = str_ieq_c(header->name, "Set-Cookie");
    put_line(&text, header->name, secret ? str_of(SECRET_MASK) : header->value);
  }
  return keep(&text, arena);
}

// Slack's errors are short words; anything else is shown as the answer's body, not in a sentence of ours.
static bool is_quotable(struct str text) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] < ' ' || text.ptr[i] > '~')
      return false;
  }
  return text.len > 0 && text.len <= REQUEST_MAX_QUOTED_BYTES;
}

struct str request_failure_words(const struct http_result *result, enum target_type type, struct arena *arena) {
  struct str words;
  if (result->outcome != HTTP_OUTCOME_ANSWERED) {
    words = arena_str(arena, str_of(result->err.text));
  } else if (type == TARGET_SLACK && is_quotable(result->body)) {
    words = arena_printf(arena, "the receiver answered %d %s: %.*s", result->status, http_reason(result->status),
                         STR_ARG(result->body));
  } else {
    words = arena_printf(arena, "the receiver answered %d %s", result->status, http_reason(result->status));
  }
  return words.ptr ? str_trim(words) : STR_EMPTY; // a status without a name leaves a blank
}
