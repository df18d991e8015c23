// SPDX-License-Identifier: Apache-2.0
#include "dispatch/route.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "store/policies.h"

enum { ROUTE_MAX_BYTES = 256 * 1024, BASIC_MAX_BYTES = 8 * 1024 };

// "Basic ..." of the address's userinfo, decoded as Go does it, so that a receiver sees what Harbor sent (RFC 7617).
static int basic_of(struct route *route, struct error *err) {
  struct str userinfo = route->url.userinfo, name = userinfo, password = STR_EMPTY;
  ptrdiff_t colon = str_find(userinfo, ':');
  if (colon >= 0) {
    name = str_slice(userinfo, 0, (size_t)colon);
    password = str_from(userinfo, (size_t)colon + 1);
  }
  struct str decoded;
  if (url_decode(name, route->arena, &decoded))
    name = decoded;
  if (url_decode(password, route->arena, &decoded))
    password = decoded;
  struct str pair = arena_printf(route->arena, "%.*s:%.*s", STR_ARG(name), STR_ARG(password));
  if (!pair.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for a target's authorization");
  struct buf text;
  buf_init(&text, BASIC_MAX_BYTES);
  buf_put_c(&text, "Basic ");
  crypto_base64(pair, &text);
  if (!text.failed)
    route->authorization = arena_str(route->arena, buf_str(&text));
  bool ok = !text.failed && route->authorization.ptr;
  buf_free(&text);
  return ok ? 0 : error_set(err, ERR_NO_MEMORY, "no memory for a target's authorization");
}

static int take_apart(struct route *route, struct error *err) {
  const struct target *target = &route->target;
  route->authorization = target->type == TARGET_HTTP ? target->auth_header : STR_EMPTY;
  route->masked = STR(SECRET_MASK);
  if (url_parse(target->address, &route->url, &route->why) != 0)
    return 0; // each of its deliveries fails with these words
  route->has_url = true;
  route->masked = url_mask(&route->url, route->arena);
  if (!route->masked.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for a target's address");
  if (route->authorization.len == 0 && route->url.userinfo.len > 0)
    return basic_of(route, err);
  return 0;
}

static struct route *route_new(int64_t target_id, struct error *err) {
  struct arena *arena = arena_new(ROUTE_MAX_BYTES);
  struct route *route = arena ? ARENA_NEW(arena, struct route) : NULL;
  if (!route) {
    error_set(err, ERR_NO_MEMORY, "no memory for target %lld", (long long)target_id);
    arena_free(arena);
    return NULL;
  }
  route->arena = arena;
  route->users = 1;
  return route;
}

struct route *route_load(struct store *store, struct store_conn *reader, int64_t target_id, struct error *err) {
  struct route *route = route_new(target_id, err);
  if (!route)
    return NULL;
  // Before reading: a change that comes in between is then seen at the next look.
  route->generation = store_policy_generation(store);
  int rc = target_get(reader, target_id, route->arena, &route->target, &route->enabled, err);
  if (rc == 0)
    rc = take_apart(route, err);
  // With a hole it would send to elsewhere, or without its secret.
  if (arena_out_of_memory(route->arena))
    rc = error_set(err, ERR_NO_MEMORY, "no memory for target %lld", (long long)target_id);
  if (rc == 0)
    return route;
  route_drop(route);
  return NULL;
}

struct route *route_of_target(const struct target *target, struct error *err) {
  struct route *route = route_new(target->id, err);
  if (!route)
    return NULL;
  // What a request is made of; the rest is about saving and waiting.
  route->target = (struct target){.id = target->id,
                                  .policy_id = target->policy_id,
                                  .type = target->type,
                                  .address = arena_str(route->arena, target->address),
                                  .auth_header = arena_str(route->arena, target->auth_header),
                                  .skip_cert_verify = target->skip_cert_verify,
                                  .format = target->format,
                                  .extras = target->extras};
  route->enabled = true;
  int rc = route->target.address.ptr && route->target.auth_header.ptr
               ? take_apart(route, err)
               : error_set(err, ERR_NO_MEMORY, "no memory for a target");
  if (rc == 0)
    return route;
  route_drop(route);
  return NULL;
}

struct route *route_use(struct route *route) {
  route->users++;
  return route;
}

void route_drop(struct route *route) {
  if (route && --route->users == 0)
    arena_free(route->arena);
}
